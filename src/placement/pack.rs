//! How many workers of one shape it takes to hold given requests.

use core::cmp::Reverse;

use super::{Dimension, Resources};

/// Which worker each request is packed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// By request: the number of its worker, from 0; none if it is larger than any.
    pub on: Vec<Option<u32>>,
    /// By worker: the first request that was put on it, which is its largest.
    pub opened_by: Vec<usize>,
}

/// First fit decreasing: the requests in order of size, largest first, each on the first worker with
/// room; equals go in the order given. `put`: what is left of a worker's room once it has this request
/// too, none where it does not fit.
///
/// Never more workers than requests. O(requests x workers); in one dimension at most 11/9 of the best
/// possible plus a constant (Johnson 1973).
pub fn pack<R>(sizes: &[u128], empty: &R, put: impl Fn(usize, &R) -> Option<R>) -> Packing {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&k| Reverse(sizes[k]));
    let mut packing = Packing { on: vec![None; sizes.len()], opened_by: Vec::new() };
    let mut rooms: Vec<R> = Vec::new();
    for k in order {
        let there = |(on, room): (usize, &R)| Some((on, put(k, room)?));
        let found = match rooms.iter().enumerate().find_map(there) {
            Some(found) => Some(found),
            None => put(k, empty).map(|left| (rooms.len(), left)),
        };
        let Some((on, left)) = found else { continue };
        if on == rooms.len() {
            packing.opened_by.push(k);
            rooms.push(left);
        } else {
            rooms[on] = left;
        }
        packing.on[k] = Some(on as u32);
    }
    packing
}

/// The fewest workers that could do, whatever the packing: in each dimension, all that is needed by
/// what a worker has.
pub fn least_workers(needs: &[Resources], capacity: &Resources) -> u64 {
    let least = Dimension::ALL.map(|d| {
        let sum: u64 = needs.iter().filter(|n| n.fits_in(capacity)).map(|n| n.get(d)).sum();
        sum.div_ceil(capacity.get(d).max(1))
    });
    least.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{share_of, weights};
    use super::*;
    use proptest::prelude::*;

    fn amount(most: u64) -> impl Strategy<Value = Resources> {
        (0..=most, 0..=most, 0..=2u64).prop_map(|(c, m, g)| Resources::new(c, m).gpus(g))
    }

    /// Largest first by repeated search, each worker as the list of what is on it.
    fn naive(needs: &[Resources], capacity: &Resources) -> Vec<Option<u32>> {
        let sum = |on: &[usize], d| on.iter().map(|&k| needs[k].get(d)).sum::<u64>();
        let size = |k: usize| {
            let share = |d: Dimension| match capacity.get(d) {
                0 => 0,
                all => needs[k].get(d) as u128 * ((1u128 << 40) / all as u128),
            };
            Dimension::ALL.into_iter().map(share).sum::<u128>()
        };
        let mut left: Vec<usize> = (0..needs.len()).collect();
        let mut workers: Vec<Vec<usize>> = Vec::new();
        let mut on = vec![None; needs.len()];
        while let Some(&k) = left.iter().max_by_key(|&&k| (size(k), Reverse(k))) {
            left.retain(|&other| other != k);
            if Dimension::ALL.into_iter().any(|d| needs[k].get(d) > capacity.get(d)) {
                continue;
            }
            workers.push(Vec::new());
            let fits = |held: &&mut Vec<usize>| {
                let room = |d| sum(held, d) + needs[k].get(d) <= capacity.get(d);
                Dimension::ALL.into_iter().all(room)
            };
            let (number, held) =
                (0..).zip(&mut workers).find(|(_, held)| fits(held)).expect("the last is empty");
            held.push(k);
            on[k] = Some(number);
            workers.retain(|held| !held.is_empty());
        }
        on
    }

    proptest! {
        #[test]
        fn packing_is_first_fit_decreasing(
            needs in prop::collection::vec(amount(8), 0..40), capacity in amount(10)
        ) {
            let sizes: Vec<u128> =
                needs.iter().map(|need| share_of(need, weights(&capacity))).collect();
            let put = |k: usize, room: &Resources| {
                needs[k].fits_in(room).then(|| room.beyond(&needs[k]))
            };
            let packing = pack(&sizes, &capacity, put);
            prop_assert_eq!(&packing.on, &naive(&needs, &capacity));

            let workers = packing.opened_by.len();
            let packed = packing.on.iter().flatten().count();
            prop_assert!(workers <= packed && workers as u64 >= least_workers(&needs, &capacity));
            for (number, &first) in packing.opened_by.iter().enumerate() {
                prop_assert_eq!(packing.on[first], Some(number as u32));
                for d in Dimension::ALL {
                    let on = needs.iter().zip(&packing.on);
                    let held = on.filter(|(_, on)| **on == Some(number as u32));
                    prop_assert!(held.map(|(n, _)| n.get(d)).sum::<u64>() <= capacity.get(d));
                }
            }
            for (need, on) in needs.iter().zip(&packing.on) {
                prop_assert_eq!(on.is_some(), need.fits_in(&capacity));
            }
        }
    }
}
