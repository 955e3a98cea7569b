//! How full a worker is.

use super::{Dimension, Free, Policy, Resources};

/// What one unit of each dimension weighs: 2^40 / capacity, rounded down; 0 where the worker has
/// none. Fixed point, so that scores are the same on every machine and cost no division.
pub fn weights(capacity: &Resources) -> [u64; 3] {
    Dimension::ALL.map(|d| (1u64 << 40).checked_div(capacity.get(d)).unwrap_or(0))
}

/// The free share of a worker, summed over dimensions, in units of 2^-40: what tightest fit makes
/// small and spread makes large, of what a placement leaves. A dimension that is over-committed
/// counts as nothing free.
#[inline]
pub fn free_share(free: Free, weights: [u64; 3]) -> u64 {
    let free = free.available();
    free.cpu * weights[0] + free.memory * weights[1] + free.gpus * weights[2]
}

/// What is free times what is asked for, each as a share of the worker, summed over dimensions, in
/// units of 2^-40. The request fits, so that no share is over one.
#[inline]
pub fn dot_product(free: Free, need: &Resources, weights: [u64; 3]) -> u64 {
    let free = free.available();
    // Shares in 2^-20, so that a product has room.
    let share = |amount: u64, weight: u64| (amount * weight) >> 20;
    let product = |d: Dimension| {
        let weight = weights[d as usize];
        share(free.get(d), weight) * share(need.get(d), weight)
    };
    Dimension::ALL.map(product).iter().sum()
}

/// What a policy that compares all candidates makes small: of what a placement of `need` would leave.
/// The others go by order alone.
#[inline(always)]
pub fn score(policy: Policy, left: Free, need: &Resources, weights: [u64; 3]) -> u64 {
    match policy {
        Policy::TightestFit => free_share(left, weights),
        Policy::Spread => u64::MAX - free_share(left, weights),
        Policy::DotProduct => dot_product(left.plus(need), need, weights),
        Policy::Affinity
        | Policy::FirstFit
        | Policy::PowerOfTwo
        | Policy::Fgd
        | Policy::Adaptive => 0,
    }
}
