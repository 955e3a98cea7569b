//! Fragmentation gradient descent, as published: Weng et al., "Beware of Fragmentation: Scheduling
//! GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023.
//!
//! It knows beforehand which requests are typical, and puts each where the least free GPU becomes
//! useless to those.

use std::{cell::OnceCell, collections::HashMap};

use super::{DeviceSet, MAX_DEVICES, MAX_MODELS, Node, Shape, WHOLE};

/// The share of requests that the typical ones make up, in hundredths.
const TYPICAL: u64 = 95;

/// A kind of request and how often it comes.
#[derive(Clone, Debug)]
pub struct Typical {
    shape: Shape,
    count: u64,
}

/// The kinds that make up 95 % of the requests, most frequent first, kinds that are equally
/// frequent in the order of their amounts; memory does not tell kinds apart. The published policy
/// reads the requests that are to come for this.
pub fn typical(requests: impl IntoIterator<Item = Shape>) -> Vec<Typical> {
    let mut counts: HashMap<Shape, u64> = HashMap::new();
    for shape in requests {
        *counts.entry(shape.without_memory()).or_insert(0) += 1;
    }
    typical_of(counts)
}

/// The same of kinds, each once, and how often they came.
pub fn typical_of(counts: impl IntoIterator<Item = (Shape, u64)>) -> Vec<Typical> {
    let mut counts: Vec<(Shape, u64)> = counts.into_iter().collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let order = |s: &Shape| (s.cpu(), s.milli(), s.num_gpu(), s.models());
    counts.sort_by_key(|(shape, count)| (u64::MAX - count, order(shape)));
    let mut sum = 0;
    counts.retain(|(_, count)| {
        let wanted = sum * 100 < all * TYPICAL;
        sum += if wanted { *count } else { 0 };
        wanted
    });
    counts.into_iter().map(|(shape, count)| Typical { shape, count }).collect()
}

/// How many requests the typical ones stand for.
fn all(typical: &[Typical]) -> u64 {
    typical.iter().map(|kind| kind.count).sum::<u64>().max(1)
}

/// Free thousandths of a node's devices that a request drawn from the typical ones is expected to
/// find useless. All of them, if it needs no device, may not use the model, or does not fit by CPU
/// or devices; else those of devices with less free than it asks of one.
pub fn fragmentation(node: &Node, typical: &[Typical]) -> f64 {
    let free = node.free();
    let useless = |shape: &Shape| {
        if shape.num_gpu() == 0 || shape.cpu() > node.cpu || !node.devices_fit(shape) {
            return free;
        }
        let small = node.devices().iter().filter(|&&left| left < shape.milli());
        small.map(|&left| u32::from(left)).sum()
    };
    // Whole numbers, so that what is equal is found to be.
    let sum: u64 = typical.iter().map(|kind| kind.count * u64::from(useless(&kind.shape))).sum();
    sum as f64 / all(typical) as f64
}

/// The policy: typical requests, by what makes a device useful to them.
///
/// What is *useful* of a device with so much free is all of that to each request for a part that is no
/// larger, and nothing to others; of several whole ones, all of them to each request for no more. So what
/// a node has that is useful is a sum over its devices of what a table tells, and the rest is useless.
#[derive(Clone, Debug)]
pub struct Fgd {
    typical: Vec<Typical>,
    all: u64,
    /// The amounts of CPU that requests for devices ask for, rising.
    cpus: Vec<u32>,
    /// By thousandths: to how many different parts that typical requests ask for they are enough.
    parts: Vec<u16>,
    /// By model and by how many of `cpus` there are enough for; each is made when it is first met.
    rows: Vec<OnceCell<Box<Row>>>,
    nodes: Vec<Now>,
}

/// What counts of a node for each kind of request.
#[derive(Clone, Copy, Debug)]
struct Now {
    /// Its row, and what is useful of its devices by that.
    row: usize,
    useful: i64,
}

/// Typical requests that a model and an amount of CPU will do for.
#[derive(Clone, Debug)]
struct Row {
    /// For one device or a part, by how many different parts there is enough for.
    single: Vec<u64>,
    /// For several, by how many devices are whole.
    several: [u64; MAX_DEVICES + 1],
}

impl Fgd {
    /// For these typical requests and nodes.
    pub fn new(mut typical: Vec<Typical>, nodes: &[Node]) -> Fgd {
        let all = all(&typical);
        typical.retain(|kind| kind.shape.num_gpu() > 0);
        let mut cpus: Vec<u32> = typical.iter().map(|kind| kind.shape.cpu()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let mut parts = vec![0; usize::from(WHOLE) + 1];
        typical.iter().for_each(|kind| parts[usize::from(kind.shape.milli())] = 1);
        (1..parts.len()).for_each(|milli| parts[milli] += parts[milli - 1]);
        let rows = vec![OnceCell::new(); MAX_MODELS * (cpus.len() + 1)];
        let mut fgd = Fgd { typical, all, cpus, parts, rows, nodes: Vec::new() };
        fgd.nodes = nodes.iter().map(|node| fgd.now(node)).collect();
        fgd
    }

    /// A node has this free now; a number that is new is the next one.
    pub fn update(&mut self, node: usize, now: &Node) {
        let now = self.now(now);
        match self.nodes.get_mut(node) {
            Some(known) => *known = now,
            None => self.nodes.push(now),
        }
    }

    fn now(&self, node: &Node) -> Now {
        let row = self.row(node.model(), node.cpu);
        Now { row, useful: self.useful(row, node) }
    }

    /// 100 less trunc(100 x sigmoid((before - after) / 1000)) for the device with the largest
    /// such score; the request fits.
    #[inline]
    pub fn key(&self, node: usize, state: &Node, shape: &Shape) -> u32 {
        let take = Take::new(self, (node, state), shape);
        let saved = match shape.num_gpu() {
            1 => {
                // By arithmetic: which devices have enough is guessed wrong too often.
                let enough = |left: u16| left >= shape.milli();
                let or_none = |left| if enough(left) { take.saved(left) } else { i64::MIN };
                state.devices().iter().map(|&left| or_none(left)).max().unwrap_or(i64::MIN)
            }
            _ => take.saved(WHOLE),
        };
        100 - self.goodness(saved)
    }

    /// That device, the lowest among equal ones.
    pub fn devices(&self, node: usize, state: &Node, shape: &Shape) -> DeviceSet {
        let take = Take::new(self, (node, state), shape);
        let left = |set: &DeviceSet| set.first().map_or(0, |device| state.devices()[device]);
        let key = |set: &DeviceSet| 100 - self.goodness(take.saved(left(set)));
        state.options(shape).min_by_key(key).unwrap_or_default()
    }

    /// The published score of a change of fragmentation, 0 to 100.
    fn goodness(&self, saved: i64) -> u32 {
        let saved = saved as f64 / self.all as f64;
        (100.0 / (1.0 + (-saved / 1000.0).exp())) as u32
    }

    #[inline]
    fn row(&self, model: u8, cpu: u32) -> usize {
        let enough = self.cpus.partition_point(|&asked| asked <= cpu);
        usize::from(model) * (self.cpus.len() + 1) + enough
    }

    /// What of a node's devices is useful, summed over the typical requests of a row.
    #[inline]
    fn useful(&self, row: usize, node: &Node) -> i64 {
        let row = self.rows[row].get_or_init(|| self.make_row(row));
        let single = node.devices().iter().map(|&left| self.single(row, left)).sum::<i64>();
        single + row.several(node.whole())
    }

    /// What of a device with so much free is useful, summed over the typical requests for one.
    #[inline]
    fn single(&self, row: &Row, left: u16) -> i64 {
        let enough = self.parts[usize::from(left)];
        i64::from(left) * row.single[usize::from(enough)] as i64
    }

    #[cold]
    fn make_row(&self, row: usize) -> Box<Row> {
        let (model, enough) = (row / (self.cpus.len() + 1), row % (self.cpus.len() + 1));
        let different = usize::from(self.parts[usize::from(WHOLE)]);
        let mut row =
            Box::new(Row { single: vec![0; different + 1], several: [0; MAX_DEVICES + 1] });
        let allowed = |shape: &Shape| {
            self.cpus[..enough].contains(&shape.cpu()) && shape.models().contains(model as u8)
        };
        for Typical { shape, count } in self.typical.iter().filter(|kind| allowed(&kind.shape)) {
            match usize::from(shape.num_gpu()) {
                1 => row.single[usize::from(self.parts[usize::from(shape.milli())])] += count,
                several => row.several[several] += count,
            }
        }
        (1..row.single.len()).for_each(|n| row.single[n] += row.single[n - 1]);
        (1..row.several.len()).for_each(|n| row.several[n] += row.several[n - 1]);
        row
    }
}

impl Row {
    /// What of so many whole devices is useful, summed over the typical requests for several.
    #[inline]
    fn several(&self, whole: u32) -> i64 {
        i64::from(whole) * i64::from(WHOLE) * self.several[whole as usize] as i64
    }
}

/// A request on a node that it fits.
struct Take<'a> {
    fgd: &'a Fgd,
    /// What the node's CPU will do for afterwards.
    row: &'a Row,
    count: i64,
    milli: u16,
    /// What is useful after less what is useful before, if only CPU is taken, and what is asked for is free
    /// no more.
    saved: i64,
    /// What more is useful if whole devices are taken.
    several: i64,
}

impl<'a> Take<'a> {
    #[inline]
    fn new(fgd: &'a Fgd, (node, state): (usize, &Node), shape: &Shape) -> Take<'a> {
        let (now, row) = (fgd.nodes[node], fgd.row(state.model(), state.cpu - shape.cpu()));
        let saved = if row == now.row { 0 } else { fgd.useful(row, state) - now.useful };
        let saved = saved + i64::from(shape.asks()) * fgd.all as i64;
        let row = fgd.rows[row].get_or_init(|| fgd.make_row(row));
        let (whole, count) = (state.whole(), u32::from(shape.num_gpu()));
        let several = row.several(whole.saturating_sub(count)) - row.several(whole);
        Take { fgd, row, count: count.into(), milli: shape.milli(), saved, several }
    }

    /// Useless before less useless after, where devices are taken that have `left` each, as much as is asked
    /// for or more; times the number of typical requests.
    #[inline]
    fn saved(&self, left: u16) -> i64 {
        let single = |left| self.fgd.single(self.row, left);
        let several = if left == WHOLE { self.several } else { 0 };
        let single = single(left.saturating_sub(self.milli)) - single(left);
        self.saved + self.count * single + several
    }
}
