//! The policies once more, slow and obviously right: the oracle that the engine is held to.

use super::{Free, Policy, Resources, free_share, order, weights};

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

/// The places of workers of equal rank: blocks of the places used so far, holes included.
pub type Tier = Vec<Vec<Option<Worker>>>;

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
        Policy::FirstFit => all.into_iter().min_by_key(|w| w.index),
        Policy::TightestFit => all.into_iter().min_by_key(|w| (left(w), w.index)),
        Policy::Spread => all.into_iter().min_by_key(|w| (u64::MAX - left(w), w.index)),
        Policy::PowerOfTwo => {
            let first = |hash| round_from(tier, hash).first().copied().filter(fits);
            let mut two: Vec<Worker> =
                [hash, order::other(hash)].into_iter().filter_map(first).collect();
            two.sort_by_key(|w| (u64::MAX - left(w), w.index));
            two.append(&mut all);
            two.first().copied()
        }
    }
}

/// All workers of the tier, from the place that `hash` points to and round to it.
fn round_from(tier: &Tier, hash: u64) -> Vec<Worker> {
    let block = order::start(hash, tier.len() as u32) as usize;
    let Some(first) = tier.get(block) else { return Vec::new() };
    let at = order::start(order::second(hash), first.len() as u32) as usize;
    let mut places: Vec<Option<Worker>> = tier.concat();
    places.rotate_left(tier[..block].iter().map(Vec::len).sum::<usize>() + at);
    places.into_iter().flatten().collect()
}
