//! Who must leave so that a request fits: the smallest set of what is held on one worker.

use core::cmp::Reverse;

use super::{Dimension, Resources};

/// Something held that may be told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its rank: lower leaves first.
    pub priority: i32,
    /// What it holds.
    pub amount: Resources,
}

/// How bad it is that some leave: fewest first, then the lowest highest priority, then the lowest sum of
/// priorities, then the least capacity, as a share of the worker's, in units of 2^-40.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// How many leave.
    pub count: usize,
    /// The highest priority among them; the lowest there is if nobody leaves.
    pub highest: i32,
    /// The sum of their priorities.
    pub priorities: i64,
    /// The share of the worker that they hold, summed over dimensions.
    pub share: u64,
}

impl Cost {
    /// Nobody leaves.
    pub const NONE: Cost = Cost { count: 0, highest: i32::MIN, priorities: 0, share: 0 };

    fn with(self, one: &Held, weights: [u64; 3]) -> Cost {
        let share = Dimension::ALL.map(|d| one.amount.get(d) * weights[d as usize]);
        Cost {
            count: self.count + 1,
            highest: self.highest.max(one.priority),
            priorities: self.priorities + one.priority as i64,
            share: self.share + share.iter().sum::<u64>(),
        }
    }
}

/// Sets looked at before the best so far is taken as the answer.
const BUDGET: u32 = 200_000;

/// Which of `held` must leave so that at least `missing` becomes free, and at what [`Cost`]; of equal
/// costs, the set of those that come first. `None`: all of them together do not hold enough. `weights`:
/// see [`super::weights`].
///
/// Exact (the problem is a covering problem in three dimensions, searched by branch and bound), unless
/// it takes more than 200,000 steps; then the best set found so far.
pub fn fewest(held: &[Held], missing: &Resources, weights: [u64; 3]) -> Option<(Cost, Vec<usize>)> {
    if missing.is_zero() {
        return Some((Cost::NONE, Vec::new()));
    }
    // Those that hold nothing of what is missing help nobody.
    let helps = |one: &Held| {
        Dimension::ALL.into_iter().any(|d| missing.get(d) > 0 && one.amount.get(d) > 0)
    };
    let mut order: Vec<usize> = (0..held.len()).filter(|&at| helps(&held[at])).collect();
    // The largest part of what is missing first, so that small sets are found early.
    let part = |one: &Held| -> u64 {
        let part = |d: Dimension| match missing.get(d) {
            0 => 0,
            most => (one.amount.get(d).min(most) << 32) / most,
        };
        Dimension::ALL.map(part).iter().sum()
    };
    order.sort_by_key(|&at| (Reverse(part(&held[at])), held[at].priority, at));
    let mut search = Search { held, weights, order, best: None, chosen: Vec::new(), steps: 0 };
    // Deepening: no set is looked at that is larger than the smallest that will do.
    for size in 1..=search.order.len() {
        search.extend(0, size, *missing, Cost::NONE);
        if search.best.is_some() || search.steps > BUDGET {
            break;
        }
    }
    if search.best.is_none() {
        search.greedily(*missing);
    }
    search.best.map(|(cost, mut set)| {
        set.sort_unstable();
        (cost, set)
    })
}

struct Search<'a> {
    held: &'a [Held],
    weights: [u64; 3],
    order: Vec<usize>,
    best: Option<(Cost, Vec<usize>)>,
    chosen: Vec<usize>,
    steps: u32,
}

impl Search<'_> {
    /// Adds `left` more of those from `from` on.
    fn extend(&mut self, from: usize, left: usize, missing: Resources, cost: Cost) {
        if missing.is_zero() {
            self.offer(cost);
            return;
        }
        if left == 0 || self.order.len() - from < left || !self.enough(from, left, &missing) {
            return;
        }
        for at in from..self.order.len() {
            self.steps += 1;
            if self.steps > BUDGET {
                return;
            }
            let one = self.order[at];
            let held = self.held[one];
            self.chosen.push(one);
            let cost = cost.with(&held, self.weights);
            self.extend(at + 1, left - 1, missing.beyond(&held.amount), cost);
            self.chosen.pop();
        }
    }

    /// Whether the `left` largest from there on hold enough, in each dimension by itself.
    fn enough(&self, from: usize, left: usize, missing: &Resources) -> bool {
        Dimension::ALL.into_iter().all(|d| {
            if missing.get(d) == 0 {
                return true;
            }
            let rest = self.order[from..].iter().map(|&at| self.held[at].amount.get(d));
            if left == 1 {
                return rest.max().unwrap_or(0) >= missing.get(d);
            }
            let mut amounts: Vec<u64> = rest.collect();
            let most = amounts.len().min(left);
            amounts.select_nth_unstable_by_key(most - 1, |&amount| Reverse(amount));
            amounts[..most].iter().sum::<u64>() >= missing.get(d)
        })
    }

    fn offer(&mut self, cost: Cost) {
        let mut set = self.chosen.clone();
        set.sort_unstable();
        if self.best.as_ref().is_none_or(|(best, other)| (cost, &set) < (*best, other)) {
            self.best = Some((cost, set));
        }
    }

    /// One that will do, if there is one: the most helpful first, then without those that are not needed.
    fn greedily(&mut self, mut missing: Resources) {
        let all = missing;
        let mut set = Vec::new();
        for &one in &self.order {
            if missing.is_zero() {
                break;
            }
            set.push(one);
            missing = missing.beyond(&self.held[one].amount);
        }
        if !missing.is_zero() {
            return;
        }
        for at in (0..set.len()).rev() {
            let without = set.iter().enumerate().filter(|(other, _)| *other != at);
            let left = without.fold(all, |left, (_, &one)| left.beyond(&self.held[one].amount));
            if left.is_zero() {
                set.remove(at);
            }
        }
        let cost = set.iter().fold(Cost::NONE, |c, &one| c.with(&self.held[one], self.weights));
        self.best = Some((cost, set));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every set, one after the other.
    fn naive(held: &[Held], missing: &Resources, weights: [u64; 3]) -> Option<(Cost, Vec<usize>)> {
        let sets = (0..1u32 << held.len())
            .map(|bits| (0..held.len()).filter(|at| bits >> at & 1 != 0).collect::<Vec<usize>>());
        sets.filter_map(|set| {
            let left = set.iter().fold(*missing, |left, &at| left.beyond(&held[at].amount));
            let cost = set.iter().fold(Cost::NONE, |cost, &at| cost.with(&held[at], weights));
            left.is_zero().then_some((cost, set))
        })
        .min()
    }

    fn held() -> impl Strategy<Value = Held> {
        (-2..3i32, 0..6u64, 0..6u64, 0..3u64).prop_map(|(priority, cpu, memory, gpus)| Held {
            priority,
            amount: Resources { cpu, memory, gpus },
        })
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_set(
            held in prop::collection::vec(held(), 0..10),
            cpu in 0..15u64, memory in 0..15u64, gpus in 0..5u64,
        ) {
            let missing = Resources { cpu, memory, gpus };
            let weights = crate::placement::weights(&Resources::new(100, 50).gpus(8));
            prop_assert_eq!(fewest(&held, &missing, weights), naive(&held, &missing, weights));
        }
    }

    #[test]
    fn many_small_ones_are_decided_in_bounded_time() {
        let held: Vec<Held> = (0..400)
            .map(|n| Held { priority: 0, amount: Resources::new(n % 7 + 1, n % 5 + 1) })
            .collect();
        let missing = Resources::new(600, 500);
        let (cost, set) = fewest(&held, &missing, [1, 1, 0]).unwrap();
        let left = set.iter().fold(missing, |left, &at| left.beyond(&held[at].amount));
        assert!(left.is_zero() && cost.count == set.len());
    }
}
