//! The policies once more, slow and obviously right: the oracle that the engine is held to.

use super::{Dimension, Free, Policy, Resources, free_share, order, weights};

/// A worker as a policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its index.
    pub index: u32,
    /// What is free.
    pub free: Free,
    /// What it could hold when empty.
    pub capacity: Resources,
    /// Its state takes the request.
    pub takes: bool,
}

/// A block: its number, and its places used so far, holes included.
pub type Block = (u32, Vec<Option<Worker>>);

/// The places of workers of equal rank: blocks in the order in which they came, or holes.
pub type Tier = Vec<Option<Block>>;

/// The worker that `policy` gives the request, among tiers in order of rank.
pub fn choose(policy: Policy, tiers: &[Tier], need: &Resources, hash: u64) -> Option<u32> {
    let chosen = tiers.iter().find_map(|tier| choose_in(policy, tier, need, hash));
    chosen.map(|worker| worker.index)
}

fn choose_in(policy: Policy, tier: &Tier, need: &Resources, hash: u64) -> Option<Worker> {
    let fits = |w: &Worker| w.takes && w.free.fits(need);
    let left = |w: &Worker| free_share(w.free.minus(need), weights(&w.capacity));
    let mut all: Vec<Worker> = round_from(tier, hash).into_iter().filter(fits).collect();
    match policy {
        Policy::Affinity => all.first().copied(),
        // What a policy that learns has learned is not known here.
        Policy::FirstFit | Policy::Fgd | Policy::Adaptive => {
            all.into_iter().min_by_key(|w| w.index)
        }
        Policy::DotProduct => all.into_iter().min_by_key(|w| (dot(w, need), w.index)),
        Policy::TightestFit => all.into_iter().min_by_key(|w| (left(w), w.index)),
        Policy::Spread => all.into_iter().min_by_key(|w| (u64::MAX - left(w), w.index)),
        Policy::PowerOfTwo => {
            let met = |hash| home(tier, hash)?.into_iter().next().filter(fits);
            let mut two: Vec<Worker> =
                [hash, order::other(hash)].into_iter().filter_map(met).collect();
            two.sort_by_key(|w| (u64::MAX - left(w), w.index));
            two.append(&mut all);
            two.first().copied()
        }
    }
}

/// Free times asked for, each as a share of the worker in 2^-20, rounded down.
fn dot(worker: &Worker, need: &Resources) -> u64 {
    let product = |d: Dimension| {
        let all = worker.capacity.get(d);
        let share = |amount: u64| match all {
            0 => 0,
            all => (amount * ((1 << 40) / all)) >> 20,
        };
        share(worker.free.available().get(d)) * share(need.get(d))
    };
    Dimension::ALL.map(product).iter().sum()
}

/// The block that `hash` points to, or past a hole the next.
fn start(tier: &Tier, hash: u64) -> Option<&Block> {
    let first = order::start(hash, tier.len() as u32) as usize;
    tier[first..].iter().chain(&tier[..first]).flatten().next()
}

/// The workers of a block, from the place that `hash` points to and round to it.
fn round(block: &Block, hash: u64) -> impl Iterator<Item = Worker> {
    let from = order::start(order::second(hash), block.1.len() as u32) as usize;
    let (before, after) = block.1.split_at(from);
    after.iter().chain(before).flatten().copied()
}

/// The workers of the block that `hash` points to.
fn home(tier: &Tier, hash: u64) -> Option<Vec<Worker>> {
    Some(round(start(tier, hash)?, hash).collect())
}

/// All workers of the tier: the block that `hash` points to, then the others by their numbers from
/// there on and round.
fn round_from(tier: &Tier, hash: u64) -> Vec<Worker> {
    let Some(first) = start(tier, hash) else { return Vec::new() };
    let mut blocks: Vec<&Block> = tier.iter().flatten().collect();
    blocks.sort_by_key(|(number, _)| (*number < first.0, *number));
    blocks.into_iter().flat_map(|block| round(block, hash)).collect()
}
