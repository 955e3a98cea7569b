//! What a node is worth: how much of its devices short random sequences of requests would still
//! fill.

use std::cell::OnceCell;

use super::{
    MAX_DEVICES, MAX_MODELS, Node, Shape, WHOLE,
    lanes::{Lanes, WIDTH},
    node::mix,
};

/// Sequences, side by side: one in each lane, so that a step is the same few instructions for all.
/// With fewer, the node wins that the few happen to flatter.
pub const LANES: usize = PARTS * WIDTH;

/// Lanes are run through by so many parts, each of which fits into a processor's registers.
const PARTS: usize = 4;

/// Requests drawn for each sequence where nothing leaves. Longer ones find a place for every sliver
/// and so make nodes that are hard to fill look well; shorter ones do not fill a large node.
pub const LENGTH: usize = 60;

/// The same where nearly as much leaves as comes: a node is soon another one then, and what counts is what
/// fits next.
pub const SHORTEST: usize = 8;

/// CPU counts in tenths of a core here: of a node rounded down, of a request up.
const TENTH: u32 = 100;

/// The golden ratio's part behind the point, in units of 2^-64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steps between looks whether anything more fits.
const STRIDE: usize = 5;

/// One request of each of [`WIDTH`] sequences.
#[derive(Clone, Copy, Debug)]
struct Step {
    cpu: Lanes,
    milli: Lanes,
    /// How many devices, where that is more than one.
    several: Lanes,
    any_several: bool,
}

/// A request that fits nowhere: its sequence is over.
const OVER: i16 = i16::MAX;

/// A device with nothing free.
const EMPTY: i16 = i16::MIN;

/// What nodes are told apart by before they meet the sequences: how much the device with the most has
/// free, by quarters of a device and whole, and how much CPU. Most of what is drawn asks for more than
/// a nearly full node has; leaving it out beforehand changes no value.
const MOST_MILLI: [u16; 5] = [WHOLE / 4, WHOLE / 2, WHOLE / 4 * 3, WHOLE - 1, WHOLE];
const MOST_CPU: [u32; 4] = [4_000, 8_000, 16_000, u32::MAX];

/// Lists for one model: one for each of [`MOST_MILLI`] and of [`MOST_CPU`].
const LISTS: usize = MOST_MILLI.len() * MOST_CPU.len();

/// What a node meets, by parts of the lanes.
type List = [Vec<Step>; PARTS];

/// The sequences drawn last, as each model meets them.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    /// By lane.
    drawn: Vec<Vec<Shape>>,
    /// By model and what nodes are told apart by, each made when it is first met.
    lists: Vec<OnceCell<List>>,
    /// The least that a drawn request for devices asks of one, and of CPU.
    least_milli: i16,
    least_cpu: i16,
}

/// CPU in tenths of a core, as much as 3,276 cores.
fn tenths(cpu: u32) -> i16 {
    cpu.min(OVER as u32 - 1) as i16
}

impl Sequences {
    /// Draws new ones of `length` requests from kinds by weight; `seed` alone says which. Cost: some
    /// ten microseconds.
    ///
    /// What all sequences have at one place are as many kinds, by size, as their weights say: the
    /// sequences differ in the order of what comes, and together hardly in what comes (stratified
    /// sampling; across places, an additive recurrence of the golden ratio).
    pub fn draw(kinds: &[(Shape, u64)], length: usize, seed: u64) -> Sequences {
        let mut kinds = kinds.to_vec();
        kinds.sort_by_key(|(shape, _)| (shape.num_gpu(), shape.milli(), shape.cpu()));
        let mut sums: Vec<u64> = Vec::with_capacity(kinds.len());
        for (_, weight) in &kinds {
            sums.push(sums.last().unwrap_or(&0) + weight);
        }
        let Some(&all) = sums.last().filter(|&&all| all > 0) else {
            return Sequences::default();
        };
        let (mut counter, mut offset) = (mix(seed), mix(!seed));
        let mut below = |n: usize| {
            counter = counter.wrapping_add(1);
            ((u128::from(mix(counter)) * n as u128) >> 64) as usize
        };
        // The kind at a share of all weights, in units of 2^-64 of a stratum.
        let kind_at = |stratum: usize, offset: u64| {
            let share = ((stratum as u128) << 64 | u128::from(offset)) / LANES as u128;
            let at = ((share * u128::from(all)) >> 64) as u64;
            kinds[sums.partition_point(|&sum| sum <= at)].0
        };
        let mut drawn = vec![Vec::new(); LANES];
        let mut strata: [usize; LANES] = core::array::from_fn(|lane| lane);
        for _ in 0..length {
            offset = offset.wrapping_add(GOLDEN);
            (1..LANES).rev().for_each(|i| strata.swap(i, below(i + 1)));
            for (lane, &stratum) in drawn.iter_mut().zip(&strata) {
                lane.push(kind_at(stratum, offset));
            }
        }
        let parts = || drawn.iter().flatten().filter(|shape| shape.num_gpu() > 0);
        let least_milli = parts().map(|shape| shape.milli() as i16).min().unwrap_or(OVER);
        let least_cpu = parts().map(|shape| tenths(shape.cpu().div_ceil(TENTH))).min();
        let least_cpu = least_cpu.unwrap_or(OVER);
        let lists = vec![OnceCell::new(); MAX_MODELS * LISTS];
        Sequences { drawn, lists, least_milli, least_cpu }
    }

    /// The drawn requests, by sequence.
    pub fn drawn(&self) -> &[Vec<Shape>] {
        &self.drawn
    }

    /// States of the same [`Sequences::value`] that differ in nothing that matters share this number.
    #[inline]
    pub fn digest(&self, node: &Node) -> u64 {
        node.digest(node.cpu / TENTH, self.least_milli as u16)
    }

    /// Thousandths of devices that the sequences fill on this node, summed over [`LANES`]
    /// sequences. Each offers its requests one after the other; one that does not fit is passed
    /// over; a part goes to the device that it fills up the most. Memory is not looked at.
    /// Cost: one or two microseconds for 8 devices.
    pub fn value(&self, node: &Node) -> i32 {
        let mut free = [0i16; MAX_DEVICES];
        let (mut count, mut most) = (0, 0);
        for &left in node.devices().iter().filter(|&&left| left as i16 >= self.least_milli) {
            free[count] = left as i16;
            count += 1;
            most = left.max(most);
        }
        let cpu = tenths(node.cpu / TENTH);
        if count == 0 || cpu < self.least_cpu {
            return 0;
        }
        let Some(list) = self.list(node, most) else { return 0 };
        match count {
            1 => self.fill::<1>(list, cpu, &free),
            2 => self.fill::<2>(list, cpu, &free),
            3 => self.fill::<3>(list, cpu, &free),
            4 => self.fill::<4>(list, cpu, &free),
            5 => self.fill::<5>(list, cpu, &free),
            6 => self.fill::<6>(list, cpu, &free),
            7 => self.fill::<7>(list, cpu, &free),
            8 => self.fill::<8>(list, cpu, &free),
            _ => self.fill::<MAX_DEVICES>(list, cpu, &free),
        }
    }

    /// What a node meets that has `most` free on one device.
    fn list(&self, node: &Node, most: u16) -> Option<&List> {
        let milli = MOST_MILLI.iter().position(|&bound| most <= bound)?;
        let cpu = MOST_CPU.iter().position(|&bound| node.cpu <= bound)?;
        let list = usize::from(node.model()) * LISTS + milli * MOST_CPU.len() + cpu;
        Some(self.lists.get(list)?.get_or_init(|| {
            let mut parts = self.drawn.chunks_exact(WIDTH);
            core::array::from_fn(|_| {
                parts.next().map_or(Vec::new(), |part| {
                    steps(part, node.model(), MOST_MILLI[milli], MOST_CPU[cpu])
                })
            })
        }))
    }

    fn fill<const D: usize>(&self, list: &List, cpu: i16, free: &[i16; MAX_DEVICES]) -> i32 {
        list.iter().map(|steps| self.fill_part::<D>(steps, cpu, free)).sum()
    }

    /// Written without branches on lanes, so that it compiles to vector instructions.
    ///
    /// What is free counts from [`EMPTY`] on: then what a device has left after a request that does
    /// not fit wraps round to more than after any that does, and the tightest device is a minimum.
    #[inline(never)]
    fn fill_part<const D: usize>(
        &self,
        steps: &[Step],
        cpu: i16,
        free: &[i16; MAX_DEVICES],
    ) -> i32 {
        let zero = Lanes::all(0);
        let mut cpu = Lanes::all(cpu);
        let mut left: [Lanes; D] = core::array::from_fn(|d| Lanes::all(EMPTY + free[d]));
        for (number, step) in steps.iter().enumerate() {
            if number % STRIDE == 0 && self.nothing_more_fits(cpu, &left) {
                break;
            }
            let best =
                left.iter().fold(Lanes::all(OVER), |best, free| best.min(free.less(step.milli)));
            let mut takes = zero.above(best).and_not(step.cpu.above(cpu));
            if step.any_several {
                several(step, &mut left, &mut cpu, &mut takes);
            }
            cpu = cpu.less(takes.and(step.cpu));
            for free in &mut left {
                let here = takes.and(free.less(step.milli).equals(best));
                takes = takes.and_not(here);
                *free = free.less(here.and(step.milli));
            }
        }
        let before: i32 = free[..D].iter().map(|&free| i32::from(EMPTY + free)).sum();
        before * WIDTH as i32 - left.iter().map(|lanes| lanes.sum()).sum::<i32>()
    }

    /// In no lane is there a device and CPU for the least of what is asked of either.
    #[inline(always)]
    fn nothing_more_fits<const D: usize>(&self, cpu: Lanes, left: &[Lanes; D]) -> bool {
        let most = left.iter().fold(Lanes::all(EMPTY), |most, free| most.max(*free));
        let device = most.above(Lanes::all(EMPTY + self.least_milli - 1));
        cpu.above(Lanes::all(self.least_cpu - 1)).and(device).is_zero()
    }
}

/// Places the requests for several whole devices, and takes them out of `takes`.
#[inline]
fn several<const D: usize>(step: &Step, left: &mut [Lanes; D], cpu: &mut Lanes, takes: &mut Lanes) {
    let (zero, full) = (Lanes::all(0), Lanes::all(EMPTY + WHOLE as i16));
    let mut whole = zero;
    for free in left.iter() {
        whole = whole.less(free.equals(full));
    }
    let mut wanted = takes.and(step.several).and_not(step.several.above(whole));
    *takes = takes.and(step.several.equals(zero));
    *cpu = cpu.less(wanted.above(zero).and(step.cpu));
    for free in left.iter_mut() {
        let here = wanted.above(zero).and(free.equals(full));
        wanted = wanted.less(here.and(Lanes::all(1)));
        *free = free.less(here.and(Lanes::all(WHOLE as i16)));
    }
}

/// The sequences without what a model may not take, and what asks for more of a device or of CPU than
/// that; those that are over end in requests that fit nowhere.
fn steps(drawn: &[Vec<Shape>], model: u8, milli: u16, cpu: u32) -> Vec<Step> {
    let allowed = |shape: &&Shape| {
        shape.cpu() <= cpu
            && (shape.num_gpu() == 0 || shape.milli() <= milli && shape.models().contains(model))
    };
    let lanes: Vec<Vec<&Shape>> =
        drawn.iter().map(|lane| lane.iter().filter(allowed).collect()).collect();
    let longest = lanes.iter().map(Vec::len).max().unwrap_or(0);
    let step = |number: usize| {
        let each = |f: &dyn Fn(&Shape) -> i16, none| {
            Lanes(core::array::from_fn(|l| lanes[l].get(number).map_or(none, |shape| f(shape))))
        };
        let several = |shape: &Shape| match shape.num_gpu() {
            0 | 1 => 0,
            n => i16::from(n),
        };
        let several = each(&several, 0);
        Step {
            cpu: each(&|shape| tenths(shape.cpu().div_ceil(TENTH)), 0),
            milli: each(&|shape| shape.milli() as i16, OVER),
            several,
            any_several: !several.is_zero(),
        }
    };
    (0..longest).map(step).collect()
}
