//! Fragmentation gradient descent, as published: Weng et al., "Beware of Fragmentation: Scheduling
//! GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023.
//!
//! It knows beforehand which requests are typical, and puts each where the least free GPU becomes
//! useless to those.

use std::{cell::RefCell, collections::HashMap};

use super::{DeviceSet, Node, Shape, memo::Memo};

/// The share of requests that the typical ones make up, in hundredths.
const TYPICAL: u64 = 95;

/// A kind of request and how likely it is.
#[derive(Clone, Debug)]
pub struct Typical {
    shape: Shape,
    share: f64,
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
    let share = |count: u64| count as f64 / sum as f64;
    counts.into_iter().map(|(shape, count)| Typical { shape, share: share(count) }).collect()
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
    typical.iter().map(|kind| kind.share * f64::from(useless(&kind.shape))).sum()
}

/// The policy: typical requests, and what was computed by node state.
#[derive(Clone, Debug)]
pub struct Fgd {
    typical: Vec<Typical>,
    // Reading a score remembers; that is nobody else's to see.
    fragmentations: RefCell<Memo<f64>>,
    keys: RefCell<Memo<u32>>,
}

impl Fgd {
    /// For these typical requests.
    pub fn new(typical: Vec<Typical>) -> Fgd {
        let memo = || RefCell::new(Memo::new(1 << 13));
        Fgd { typical, fragmentations: memo(), keys: RefCell::new(Memo::new(1 << 12)) }
    }

    /// 100 less trunc(100 x sigmoid((before - after) / 1000)) for the device with the largest
    /// such score; the request fits.
    pub fn key(&self, node: &Node, shape: &Shape) -> u32 {
        let digest = node.digest(node.cpu, 1) ^ shape.digest();
        self.keys
            .borrow_mut()
            .get(digest, 0, || self.options(node, shape).map(|(key, _)| key).min().unwrap_or(100))
    }

    /// That device, the lowest among equal ones.
    pub fn devices(&self, node: &Node, shape: &Shape) -> DeviceSet {
        self.options(node, shape).min_by_key(|&(key, _)| key).unwrap_or_default().1
    }

    fn options(&self, node: &Node, shape: &Shape) -> impl Iterator<Item = (u32, DeviceSet)> {
        let fragmentation = |node: &Node| {
            let mut memo = self.fragmentations.borrow_mut();
            memo.get(node.digest(node.cpu, 1), 0, || fragmentation(node, &self.typical))
        };
        let before = fragmentation(node);
        node.options(shape).filter_map(move |devices| {
            let after = fragmentation(&node.take(shape, devices)?);
            Some((100 - goodness(before, after), devices))
        })
    }
}

/// The published score of a change of fragmentation, 0 to 100.
pub(super) fn goodness(before: f64, after: f64) -> u32 {
    (100.0 / (1.0 + (-(before - after) / 1000.0).exp())) as u32
}
