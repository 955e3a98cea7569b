//! What a node is worth: how much of its devices short random sequences of requests would still
//! fill.

use std::{cell::OnceCell, collections::HashSet};

#[cfg(target_arch = "x86_64")]
use super::avx2::{Avx2, Wide};
use super::{
    MAX_DEVICES, MAX_MODELS, ModelSet, Node, Shape, WHOLE,
    lanes::{Each, Eight, LANES, Lanes},
    node::{self, mix},
};

/// Requests drawn for each sequence where nothing leaves. Longer ones find a place for every sliver
/// and so make nodes that are hard to fill look well; shorter ones do not fill a large node.
pub const LENGTH: usize = 60;

/// The same where nearly as much leaves as comes: a node is soon another one then, and what counts is what
/// fits next.
pub const SHORTEST: usize = 10;

/// CPU counts in tenths of a core here: of a node rounded down, of a request up.
const TENTH: u32 = 100;

/// The golden ratio's part behind the point, in units of 2^-64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steps between looks whether anything more fits.
const STRIDE: usize = 5;

/// One request of each sequence.
#[derive(Clone, Copy, Debug)]
struct Step {
    cpu: Each,
    /// Of one device, in units of [`UNIT`]; where several are asked for, [`OVER`].
    milli: Each,
    /// How many devices, where that is more than one.
    several: Each,
    /// In which lanes that is, as bits.
    several_in: u32,
}

impl Step {
    /// All sequences are over.
    const OVER: Step = Step {
        cpu: Each([0; LANES]),
        milli: Each([OVER; LANES]),
        several: Each([0; LANES]),
        several_in: 0,
    };
}

/// A request that fits nowhere: its sequence is over.
const OVER: i16 = i16::MAX;

/// A device with nothing free, the first one. What is free counts from there on, in units of [`UNIT`], and
/// to it comes the device's number: no two devices have the same, and the tightest one is a minimum, the
/// first of equal ones. What a device has left after a request that does not fit wraps round to more than
/// after any that does.
const EMPTY: i16 = i16::MIN;

/// A thousandth of a device.
const UNIT: i16 = MAX_DEVICES as i16;

/// What no device can have left, after whatever request.
const NOBODY: i16 = -1;

/// A device with so many thousandths free.
const fn with_free(device: usize, free: i16) -> i16 {
    EMPTY + free * UNIT + device as i16
}

/// What nodes are told apart by before they meet the sequences: how much the device with the most has
/// free, by quarters of a device and whole, and how much CPU. Most of what is drawn asks for more than
/// a nearly full node has; leaving it out beforehand changes no value.
const MOST_MILLI: [u16; 5] = [WHOLE / 4, WHOLE / 2, WHOLE / 4 * 3, WHOLE - 1, WHOLE];
const MOST_CPU: [u32; 4] = [4_000, 8_000, 16_000, u32::MAX];

/// Lists for one model: one for each of [`MOST_MILLI`] and of [`MOST_CPU`].
const LISTS: usize = MOST_MILLI.len() * MOST_CPU.len();

/// The sequences drawn last, as each model meets them.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    /// By lane.
    drawn: Vec<Vec<Shape>>,
    /// By model's class and what nodes are told apart by, each made when it is first met.
    lists: Vec<OnceCell<Vec<Step>>>,
    /// By model: models of one class may take the same of what was drawn.
    classes: Vec<u8>,
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
        let classes = classes(kinds.iter().map(|(shape, _)| shape.models()));
        let lists = vec![OnceCell::new(); MAX_MODELS * LISTS];
        Sequences { drawn, lists, classes, least_milli, least_cpu }
    }

    /// The drawn requests, by sequence.
    pub fn drawn(&self) -> &[Vec<Shape>] {
        &self.drawn
    }

    /// States of the same [`Sequences::value`] that differ in nothing that matters share this number. From
    /// `sum`, which is [`Sequences::devices`] of the state's devices.
    #[inline]
    pub fn digest(&self, sum: u64, cpu: u32, model: u8) -> u64 {
        node::digest(sum, cpu / TENTH, model)
    }

    /// What stands for a node's devices in a digest.
    #[inline]
    pub fn devices(&self, node: &Node) -> u64 {
        node.mixed(self.least_milli as u16)
    }

    /// The same after a request took devices that have `left` each.
    #[inline]
    pub fn devices_after(&self, sum: u64, left: u16, shape: &Shape) -> u64 {
        let mixed = |free| node::mixed(free, self.least_milli as u16);
        let each = mixed(left - shape.milli()).wrapping_sub(mixed(left));
        sum.wrapping_add(each.wrapping_mul(u64::from(shape.num_gpu())))
    }

    /// Thousandths of devices that the sequences fill on this node, summed over [`LANES`]
    /// sequences. Each offers its requests one after the other; one that does not fit is passed
    /// over; a part goes to the device that it fills up the most. Memory is not looked at.
    /// Cost: up to a microsecond for 8 devices.
    pub fn value(&self, node: &Node) -> i32 {
        self.value_by(node, true)
    }

    /// The same, if not the `widest` by what every processor has.
    #[inline]
    fn value_by(&self, node: &Node, widest: bool) -> i32 {
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
            1 => self.fill::<1>(list, cpu, &free, widest),
            2 => self.fill::<2>(list, cpu, &free, widest),
            3 => self.fill::<3>(list, cpu, &free, widest),
            4 => self.fill::<4>(list, cpu, &free, widest),
            5 => self.fill::<5>(list, cpu, &free, widest),
            6 => self.fill::<6>(list, cpu, &free, widest),
            7 => self.fill::<7>(list, cpu, &free, widest),
            8 => self.fill::<8>(list, cpu, &free, widest),
            _ => self.fill::<MAX_DEVICES>(list, cpu, &free, widest),
        }
    }

    /// What a node meets that has `most` free on one device.
    fn list(&self, node: &Node, most: u16) -> Option<&[Step]> {
        let milli = MOST_MILLI.iter().position(|&bound| most <= bound)?;
        let cpu = MOST_CPU.iter().position(|&bound| node.cpu <= bound)?;
        let class = usize::from(*self.classes.get(usize::from(node.model()))?);
        let list = class * LISTS + milli * MOST_CPU.len() + cpu;
        let make = || steps(&self.drawn, node.model(), MOST_MILLI[milli], MOST_CPU[cpu]);
        Some(self.lists.get(list)?.get_or_init(make))
    }

    #[inline(never)]
    fn fill<const D: usize>(
        &self,
        list: &[Step],
        cpu: i16,
        free: &[i16; MAX_DEVICES],
        widest: bool,
    ) -> i32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::shown().filter(|_| widest) {
            return avx2.run(|avx2| self.fill_lanes::<D, Wide>(avx2, list, cpu, free));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = widest;
        self.fill_lanes::<D, Eight>((), list, cpu, free)
    }

    #[inline(always)]
    fn fill_lanes<const D: usize, L: Lanes>(
        &self,
        shown: L::Shown,
        steps: &[Step],
        cpu: i16,
        free: &[i16; MAX_DEVICES],
    ) -> i32 {
        let all = |n: i16| L::all(shown, n);
        let before: i32 = (0..D).map(|d| i32::from(with_free(d, free[d]))).sum();
        let mut filled = before * LANES as i32;
        // Whole devices become fewer alone; without two of them, nobody who asks for several is looked at.
        let takes_several = free[..D].iter().filter(|&&free| free == WHOLE as i16).count() > 1;
        for part in 0..LANES / L::WIDTH {
            let in_part = (u32::MAX >> (LANES - L::WIDTH)) << (part * L::WIDTH);
            let mut cpu = all(cpu);
            let mut left: [L; D] = core::array::from_fn(|d| all(with_free(d, free[d])));
            for (number, step) in steps.iter().enumerate() {
                if number % STRIDE == 0 && self.nothing_more_fits(shown, cpu, &left) {
                    break;
                }
                let each = |each: &Each| L::of(shown, each, part);
                let asks = each(&step.cpu);
                if takes_several && step.several_in & in_part != 0 {
                    several(shown, (asks, each(&step.several)), &mut left, &mut cpu);
                }
                let milli = each(&step.milli);
                let best = left.iter().fold(all(OVER), |best, free| best.min(free.less(milli)));
                let fails = best.above(all(NOBODY)).or(asks.above(cpu));
                cpu = cpu.less(asks.and_not(fails));
                let best = best.or(fails);
                for free in &mut left {
                    let rest = free.less(milli);
                    *free = free.or_where(rest.equals(best), rest);
                }
            }
            filled -= left.iter().map(|lanes| lanes.sum()).sum::<i32>();
        }
        filled / i32::from(UNIT)
    }

    /// In no lane is there a device and CPU for the least of what is asked of either.
    #[inline(always)]
    fn nothing_more_fits<const D: usize, L: Lanes>(
        &self,
        shown: L::Shown,
        cpu: L,
        left: &[L; D],
    ) -> bool {
        let all = |n: i16| L::all(shown, n);
        let most = left.iter().fold(all(EMPTY), |most, free| most.max(*free));
        let device = most.above(all(with_free(0, self.least_milli) - 1));
        cpu.above(all(self.least_cpu - 1)).and(device).is_nowhere()
    }
}

/// Places the requests for several whole devices.
#[inline(always)]
fn several<const D: usize, L: Lanes>(
    shown: L::Shown,
    (asks, several): (L, L),
    left: &mut [L; D],
    cpu: &mut L,
) {
    let all = |n: i16| L::all(shown, n);
    let full = |device| all(with_free(device, WHOLE as i16));
    let numbered = || left.iter().enumerate();
    let whole = numbered().fold(all(0), |whole, (d, free)| whole.less(free.equals(full(d))));
    let mut wanted = several.and_not(several.above(whole)).and_not(asks.above(*cpu));
    *cpu = cpu.less(wanted.above(all(0)).and(asks));
    for (device, free) in left.iter_mut().enumerate() {
        let here = wanted.above(all(0)).and(free.equals(full(device)));
        wanted = wanted.less(here.and(all(1)));
        *free = free.or_where(here, all(with_free(device, 0)));
    }
}

/// Models that are in the same ones of these sets have the same number.
fn classes(sets: impl Iterator<Item = ModelSet>) -> Vec<u8> {
    let mut classes = vec![0; MAX_MODELS];
    for set in sets.collect::<HashSet<_>>() {
        // Who is in it and who is not have other numbers from here on.
        let (mut numbers, mut next) = ([[None; 2]; MAX_MODELS], 0..);
        for (model, class) in classes.iter_mut().enumerate() {
            let number = &mut numbers[usize::from(*class)][usize::from(set.contains(model as u8))];
            *class = *number.get_or_insert_with(|| next.next().unwrap_or_default());
        }
    }
    classes
}

/// The sequences without what a model may not take, and what asks for more of a device or of CPU than
/// that; those that are over end in requests that fit nowhere.
fn steps(drawn: &[Vec<Shape>], model: u8, milli: u16, cpu: u32) -> Vec<Step> {
    let allowed = |shape: &&Shape| {
        shape.cpu() <= cpu
            && (shape.num_gpu() == 0 || shape.milli() <= milli && shape.models().contains(model))
    };
    let mut steps = Vec::new();
    for (lane, sequence) in drawn.iter().enumerate() {
        for (number, shape) in sequence.iter().filter(allowed).enumerate() {
            if number == steps.len() {
                steps.push(Step::OVER);
            }
            let step = &mut steps[number];
            step.cpu.0[lane] = tenths(shape.cpu().div_ceil(TENTH));
            match shape.num_gpu() {
                0 | 1 => step.milli.0[lane] = shape.milli() as i16 * UNIT,
                several => {
                    step.several.0[lane] = several.into();
                    step.several_in |= 1 << lane;
                }
            }
        }
    }
    steps
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use crate::placement::gpu::ModelSet;
    use proptest::prelude::*;

    fn shape() -> impl Strategy<Value = Shape> {
        let models = prop_oneof![Just(ModelSet::ANY), Just(ModelSet::of([1]))];
        let amounts = prop_oneof![(2u64..9, Just(1000u64)), (0u64..2, 1u64..=1000)];
        (amounts, 0u64..20_000, models).prop_map(|((count, milli), cpu, models)| {
            Shape::new(cpu.max(1), 0, count, if count == 0 { 0 } else { milli }, models).unwrap()
        })
    }

    proptest! {
        /// As many at a time as there are registers for, or eight: the processor makes no difference.
        #[test]
        fn every_processor_fills_alike(
            kinds in prop::collection::vec((shape(), 1u64..9), 1..20),
            length in 1usize..LENGTH,
            free in prop::collection::vec(prop_oneof![Just(1000u16), 0u16..=1000], 1..=MAX_DEVICES),
            cpu in 0u32..200_000,
            model in 0u8..2,
            seed: u64,
        ) {
            let sequences = Sequences::draw(&kinds, length, seed);
            let node = Node::with_free(cpu, 0, &free, model).unwrap();
            prop_assert_eq!(sequences.value(&node), sequences.value_by(&node, false));
        }
    }
}
