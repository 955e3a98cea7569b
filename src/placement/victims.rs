//! Who must leave so that a request fits: the smallest set of what is held on one worker.

use core::cmp::Reverse;

use super::gpu::WHOLE;
use super::{DeviceNeed, Devices, Dimension, Granted, Island, Resources};

/// Something held that may be told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its rank: lower leaves first.
    pub priority: i32,
    /// What it holds.
    pub amount: Resources,
    /// What it holds of devices.
    pub granted: Option<Granted>,
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

    pub(crate) fn with(self, one: &Held, weights: [u64; 3]) -> Cost {
        let share = Dimension::ALL.map(|d| one.amount.get(d) * weights[d as usize]);
        // Of devices, in the units of a digest, as the worker's capacity is.
        let parts = |held: Granted| u64::from(held.milli) * Devices::digest_of(held.count());
        let devices = one.granted.map_or(0, parts) * weights[Dimension::Gpus as usize];
        Cost {
            count: self.count + 1,
            highest: self.highest.max(one.priority),
            priorities: self.priorities + one.priority as i64,
            share: self.share + share.iter().sum::<u64>() + devices / u64::from(WHOLE),
        }
    }
}

/// Sets looked at before the best so far is taken as the answer.
const BUDGET: u32 = 200_000;

/// What is missing, or held of it: each dimension, and thousandths and memory of one device.
type Parts = [u64; 5];

fn parts(amount: &Resources, milli: u64, memory: u64) -> Parts {
    let [cpu, of_memory, gpus] = Dimension::ALL.map(|d| amount.get(d));
    [cpu, of_memory, gpus, milli, memory]
}

fn beyond(missing: Parts, held: &Parts) -> Parts {
    core::array::from_fn(|d| missing[d].saturating_sub(held[d]))
}

/// Which of `held` must leave so that at least `missing` becomes free, and, where devices are asked
/// for, these of those that are free; and at what [`Cost`]. Of equal costs, the set of those that come
/// first. `None`: all of them together do not hold enough. `weights`: see [`super::weights`].
///
/// Exact (a covering problem in three dimensions, or in five for each device that a part could come
/// from; whole devices are emptied, for each choice of as many; searched by branch and bound), unless it
/// takes more than 200,000 steps; then the best set found so far.
pub(crate) fn fewest(
    held: &[Held],
    missing: &Resources,
    devices: Option<(&DeviceNeed, &Devices)>,
    weights: [u64; 3],
) -> Option<(Cost, Vec<usize>)> {
    let mut search =
        Search { held, weights, items: Vec::new(), best: None, chosen: Vec::new(), steps: 0 };
    match devices {
        Some((need, free)) if need.milli < WHOLE.into() => {
            for device in 0..free.0.len() {
                search.empty_a_part(device, missing, need, free);
            }
        }
        Some((need, free)) => Emptied::new(held, need, free).each(&mut search, missing),
        None => search.cover(&[], parts(missing, 0, 0), |one| parts(&one.amount, 0, 0)),
    }
    search.best
}

struct Search<'a> {
    held: &'a [Held],
    weights: [u64; 3],
    /// Those that help with what is missing, and with how much.
    items: Vec<(usize, Parts)>,
    best: Option<(Cost, Vec<usize>)>,
    chosen: Vec<usize>,
    steps: u32,
}

impl Search<'_> {
    /// So that a part of this device becomes free.
    fn empty_a_part(
        &mut self,
        device: usize,
        missing: &Resources,
        need: &DeviceNeed,
        free: &Devices,
    ) {
        let there = free.0[device];
        if !there.is_there() {
            return;
        }
        let milli = (i64::from(need.milli) - there.left_milli()).max(0) as u64;
        let memory = match need.memory {
            0 => 0,
            memory => (memory as i64 - there.left_memory()).max(0) as u64,
        };
        self.cover(&[], parts(missing, milli, memory), |one| {
            let here = one.granted.filter(|held| held.devices.has(device));
            let (milli, memory) = here.map_or((0, 0), |held| (held.milli.into(), held.memory));
            parts(&one.amount, milli, memory)
        });
    }

    /// Looks for a better set that has all of `forced`, and others so that nothing is missing; what is
    /// missing now is so without any of them.
    fn cover(&mut self, forced: &[usize], missing: Parts, holds: impl Fn(&Held) -> Parts) {
        let given = |missing, &at: &usize| beyond(missing, &holds(&self.held[at]));
        let missing = forced.iter().fold(missing, given);
        // Those that hold nothing of what is missing help nobody.
        let helps = |parts: &Parts| (0..parts.len()).any(|d| missing[d] > 0 && parts[d] > 0);
        let all = self.held.iter().enumerate().map(|(at, one)| (at, holds(one)));
        self.items.clear();
        self.items.extend(all.filter(|(at, parts)| helps(parts) && !forced.contains(at)));
        // The largest part of what is missing first, so that small sets are found early.
        let part = |held: &Parts| -> u64 {
            let part = |d: usize| match missing[d] {
                0 => 0,
                most => (held[d].min(most) << 32) / most,
            };
            (0..held.len()).map(part).sum()
        };
        let held = self.held;
        self.items.sort_by_key(|(at, parts)| (Reverse(part(parts)), held[*at].priority, *at));
        let cost = forced.iter().fold(Cost::NONE, |c, &at| c.with(&held[at], self.weights));
        self.chosen.clear();
        self.chosen.extend(forced);
        // Deepening: no set is looked at that is larger than the smallest that will do.
        for size in 0..=self.items.len() {
            let count = forced.len() + size;
            if self.steps > BUDGET || self.best.as_ref().is_some_and(|(b, _)| b.count < count) {
                break;
            }
            self.extend(0, size, missing, cost);
        }
        if self.best.is_none() {
            self.greedily(missing, cost);
        }
    }

    /// Adds `left` more of those from `from` on.
    fn extend(&mut self, from: usize, left: usize, missing: Parts, cost: Cost) {
        if missing == [0; 5] {
            self.offer(cost);
            return;
        }
        if left == 0 || self.items.len() - from < left || !self.enough(from, left, &missing) {
            return;
        }
        for at in from..self.items.len() {
            self.steps += 1;
            if self.steps > BUDGET {
                return;
            }
            let (one, parts) = self.items[at];
            self.chosen.push(one);
            let cost = cost.with(&self.held[one], self.weights);
            self.extend(at + 1, left - 1, beyond(missing, &parts), cost);
            self.chosen.pop();
        }
    }

    /// Whether the `left` largest from there on hold enough, in each dimension by itself.
    fn enough(&self, from: usize, left: usize, missing: &Parts) -> bool {
        (0..missing.len()).all(|d| {
            if missing[d] == 0 {
                return true;
            }
            let rest = self.items[from..].iter().map(|(_, parts)| parts[d]);
            if left == 1 {
                return rest.max().unwrap_or(0) >= missing[d];
            }
            let mut amounts: Vec<u64> = rest.collect();
            let most = amounts.len().min(left);
            amounts.select_nth_unstable_by_key(most - 1, |&amount| Reverse(amount));
            amounts[..most].iter().sum::<u64>() >= missing[d]
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
    fn greedily(&mut self, mut missing: Parts, cost: Cost) {
        let all = missing;
        let mut set: Vec<(usize, Parts)> = Vec::new();
        for &item in &self.items {
            if missing == [0; 5] {
                break;
            }
            set.push(item);
            missing = beyond(missing, &item.1);
        }
        if missing != [0; 5] {
            return;
        }
        for at in (0..set.len()).rev() {
            let without = set.iter().enumerate().filter(|(other, _)| *other != at);
            if without.fold(all, |left, (_, (_, parts))| beyond(left, parts)) == [0; 5] {
                set.remove(at);
            }
        }
        self.chosen.extend(set.iter().map(|(one, _)| one));
        let cost = set.iter().fold(cost, |c, &(one, _)| c.with(&self.held[one], self.weights));
        self.offer(cost);
    }
}

/// Whole devices that some would have to leave altogether.
struct Emptied<'a> {
    need: &'a DeviceNeed,
    /// Those that would be free then, with their island and who is on them: the emptiest first.
    devices: Vec<(u8, Vec<usize>)>,
    /// Of each that is held, on how many of those chosen it is.
    on: Vec<u32>,
}

impl<'a> Emptied<'a> {
    fn new(held: &[Held], need: &'a DeviceNeed, free: &Devices) -> Emptied<'a> {
        let on = |device: usize| {
            let is_on = |&at: &usize| held[at].granted.is_some_and(|g| g.devices.has(device));
            (0..held.len()).filter(is_on).collect::<Vec<usize>>()
        };
        let mut devices: Vec<_> = (0..free.0.len())
            .map(|device| (device, on(device)))
            .filter(|(device, on)| {
                let all = on.iter().filter_map(|&at| held[at].granted);
                all.fold(*free, |free, granted| free.plus(&granted)).0[*device].fits(need)
            })
            .map(|(device, on)| (free.0[device].island(), on))
            .collect();
        devices.sort_by_key(|(_, on)| on.len());
        Emptied { need, devices, on: vec![0; held.len()] }
    }

    /// Each choice of as many as are needed.
    fn each(mut self, search: &mut Search<'_>, missing: &Resources) {
        self.choose(0, self.need.count as usize, None, search, missing);
    }

    fn choose(
        &mut self,
        from: usize,
        left: usize,
        island: Option<u8>,
        search: &mut Search<'_>,
        missing: &Resources,
    ) {
        let forced: Vec<usize> = (0..self.on.len()).filter(|&at| self.on[at] > 0).collect();
        let too_many = search.best.as_ref().is_some_and(|(best, _)| best.count < forced.len());
        if too_many || self.devices.len() - from < left || search.steps > BUDGET {
            return;
        }
        if left == 0 {
            return search.cover(&forced, parts(missing, 0, 0), |one| parts(&one.amount, 0, 0));
        }
        for at in from..self.devices.len() {
            search.steps += 1;
            let (here, on) = self.devices[at].clone();
            if island.is_some_and(|island| island != here) {
                continue;
            }
            let insists = self.need.count > 1 && self.need.island == Island::Insist;
            on.iter().for_each(|&at| self.on[at] += 1);
            self.choose(at + 1, left - 1, insists.then_some(here), search, missing);
            on.iter().for_each(|&at| self.on[at] -= 1);
        }
    }
}

/// The same by every set, one after the other.
#[cfg(test)]
pub(crate) fn naive(
    held: &[Held],
    missing: &Resources,
    devices: Option<(&DeviceNeed, &Devices)>,
    weights: [u64; 3],
) -> Option<(Cost, Vec<usize>)> {
    let sets = (0..1u32 << held.len())
        .map(|bits| (0..held.len()).filter(|at| bits >> at & 1 != 0).collect::<Vec<usize>>());
    sets.filter_map(|set| {
        let left = set.iter().fold(*missing, |left, &at| left.beyond(&held[at].amount));
        let cost = set.iter().fold(Cost::NONE, |cost, &at| cost.with(&held[at], weights));
        let granted = set.iter().filter_map(|&at| held[at].granted);
        let devices_do = devices.is_none_or(|(need, free)| {
            let free = granted.fold(*free, |free, granted| free.plus(&granted));
            free.grant(need, super::Prefer::Fullest).is_some()
        });
        (left.is_zero() && devices_do).then_some((cost, set))
    })
    .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::gpu::DeviceSet;
    use crate::placement::{Device, Prefer};
    use proptest::prelude::*;

    fn held() -> impl Strategy<Value = Held> {
        (-2..3i32, 0..6u64, 0..6u64, 0..3u64).prop_map(|(priority, cpu, memory, gpus)| Held {
            priority,
            amount: Resources { cpu, memory, gpus },
            granted: None,
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
            let expected = naive(&held, &missing, None, weights);
            prop_assert_eq!(fewest(&held, &missing, None, weights), expected);
        }
    }

    /// Four devices on two islands, with what is held of them: by some that may leave, by some that
    /// may not.
    fn on_devices() -> impl Strategy<Value = (Devices, Vec<Held>)> {
        let want = prop_oneof![
            (1..=3u32).prop_map(DeviceNeed::whole),
            (1..1000u32, 0..6u64)
                .prop_map(|(milli, memory)| DeviceNeed::part(milli).memory(memory)),
        ];
        let one = (want, 0..3u64, -1..2i32, any::<bool>(), prop::bool::weighted(0.2));
        (prop::collection::vec(one, 0..10), 0..2u32).prop_map(|(some, claims)| {
            let mut free = Devices::all_free([(8, 0), (8, 1), (8, 0), (8, 1)].into_iter());
            let mut held = Vec::new();
            for (want, cpu, priority, spread, stays) in some {
                let prefer = if spread { Prefer::Emptiest } else { Prefer::Fullest };
                let Some(granted) = free.grant(&want, prefer) else { continue };
                free = free.minus(&granted);
                if !stays {
                    let (amount, granted) = (Resources::new(cpu, 0), Some(granted));
                    held.push(Held { priority, amount, granted });
                }
            }
            // What is claimed already may leave less than nothing.
            for _ in 0..claims {
                let claim = Granted { devices: DeviceSet(1), milli: 300, memory: 2 };
                free = free.promise(&claim).expect("not so much");
            }
            (free, held)
        })
    }

    fn asked() -> impl Strategy<Value = DeviceNeed> {
        let island = prop_oneof![Just(Island::Any), Just(Island::Prefer), Just(Island::Insist)];
        prop_oneof![
            (1..=4u32, 0..=8u64, island).prop_map(|(count, memory, island)| DeviceNeed {
                count,
                milli: 1000,
                memory,
                island
            }),
            (1..1000u32, 0..=8u64)
                .prop_map(|(milli, memory)| DeviceNeed::part(milli).memory(memory)),
        ]
    }

    proptest! {
        #[test]
        fn devices_are_emptied_as_by_trying_every_set(
            (free, held) in on_devices(),
            need in asked(),
            cpu in 0..6u64,
        ) {
            let missing = Resources::new(cpu, 0);
            let weights = crate::placement::weights(&Resources::new(30, 0).gpus(32));
            let devices = Some((&need, &free));
            let expected = naive(&held, &missing, devices, weights);
            prop_assert_eq!(fewest(&held, &missing, devices, weights), expected);
        }
    }

    #[test]
    fn many_small_ones_are_decided_in_bounded_time() {
        let held: Vec<Held> = (0..400)
            .map(|n| Held {
                priority: 0,
                amount: Resources::new(n % 7 + 1, n % 5 + 1),
                granted: None,
            })
            .collect();
        let missing = Resources::new(600, 500);
        let (cost, set) = fewest(&held, &missing, None, [1, 1, 0]).unwrap();
        let left = set.iter().fold(missing, |left, &at| left.beyond(&held[at].amount));
        assert!(left.is_zero() && cost.count == set.len());
    }

    #[test]
    fn many_parts_on_many_devices_are_decided_in_bounded_time() {
        let part = |n: u64| Granted { devices: DeviceSet(1 << (n % 16)), milli: 40, memory: 0 };
        let held: Vec<Held> = (0..400)
            .map(|n| Held {
                priority: 0,
                amount: Resources::new(n % 7 + 1, 1),
                granted: Some(part(n)),
            })
            .collect();
        let free = Devices([Device::new(0, 0, 0); 16]);
        for need in [DeviceNeed::whole(8), DeviceNeed::part(900)] {
            let missing = Resources::new(600, 100);
            let (cost, set) = fewest(&held, &missing, Some((&need, &free)), [1, 1, 0]).unwrap();
            let left = set.iter().fold(missing, |left, &at| left.beyond(&held[at].amount));
            let granted = set.iter().filter_map(|&at| held[at].granted);
            let room = granted.fold(free, |free, granted| free.plus(&granted));
            assert!(left.is_zero() && room.fits(&need) && cost.count == set.len());
        }
    }
}
