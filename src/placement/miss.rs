//! How far a request is from fitting on a worker.

use super::{DeviceNeed, Devices, Dimension, Free, Resources};

/// Whether a request fits on a worker that matches it, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It fits.
    Fits,
    /// It would fit if so much more were free.
    Short {
        /// How much, by dimension.
        missing: Resources,
    },
    /// It would not fit if all were free.
    TooSmall {
        /// By how much the worker is too small, by dimension.
        missing: Resources,
    },
}

impl Room {
    /// What a worker has for a request.
    pub fn of(need: &Resources, free: &Free, capacity: &Resources) -> Room {
        if free.fits(need) {
            Room::Fits
        } else if need.fits_in(capacity) {
            Room::Short { missing: missing(free, need) }
        } else {
            Room::TooSmall { missing: need.beyond(capacity) }
        }
    }

    /// The same of a request that needs devices beside amounts, where so much of them is free, and so much
    /// is there in all. They count as GPUs, each that would have to have room and has not.
    pub(crate) fn with_devices(self, need: &DeviceNeed, free: &Devices, all: &Devices) -> Room {
        let [now, ever] = [free, all].map(|devices| devices.missing(need));
        match self {
            Room::TooSmall { missing } => Room::TooSmall { missing: missing.gpus(ever) },
            _ if ever > 0 => Room::TooSmall { missing: Resources::ZERO.gpus(ever) },
            Room::Short { missing } => Room::Short { missing: missing.gpus(now) },
            Room::Fits if now > 0 => Room::Short { missing: Resources::ZERO.gpus(now) },
            Room::Fits => Room::Fits,
        }
    }
}

/// How much more would have to be free in each dimension for the request to fit. Over-commitment is
/// made up for in dimensions of which something is needed; the others do not matter.
pub fn missing(free: &Free, need: &Resources) -> Resources {
    let short = |d: Dimension| match need.get(d) {
        0 => 0,
        n => (n as i64 - free.get(d)).max(0) as u64,
    };
    let [cpu, memory, gpus] = Dimension::ALL.map(short);
    Resources { cpu, memory, gpus }
}

/// What is missing as a share of the worker, summed over dimensions, in units of 2^-40 as in
/// [`free_share`](super::free_share). More than one whole of a small worker may be missing where it is
/// over-committed, hence the width.
pub fn share_of(missing: &Resources, weights: [u64; 3]) -> u128 {
    Dimension::ALL.map(|d| missing.get(d) as u128 * weights[d as usize] as u128).iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::weights;
    use super::*;
    use proptest::prelude::*;

    fn amount() -> impl Strategy<Value = Resources> {
        (0u64..6, 0u64..6, 0u64..3).prop_map(|(c, m, g)| Resources::new(c, m).gpus(g))
    }

    proptest! {
        /// What is missing, and nothing less in any dimension, makes it fit.
        #[test]
        fn freeing_what_is_missing_makes_it_fit(
            need in amount(), capacity in amount(), held in amount()
        ) {
            let free = Free::from(capacity).minus(&held);
            match Room::of(&need, &free, &capacity) {
                Room::Fits => prop_assert!(free.fits(&need) && missing(&free, &need).is_zero()),
                Room::Short { missing } => {
                    prop_assert!(free.plus(&missing).fits(&need) && !free.fits(&need));
                    for d in Dimension::ALL.into_iter().filter(|&d| missing.get(d) > 0) {
                        let [cpu, memory, gpus] =
                            Dimension::ALL.map(|e| missing.get(e) - (d == e) as u64);
                        let less = Resources { cpu, memory, gpus };
                        prop_assert!(!free.plus(&less).fits(&need));
                    }
                }
                Room::TooSmall { missing } => {
                    prop_assert!(!Free::from(capacity).fits(&need) && !missing.is_zero());
                    prop_assert!(Free::from(capacity).plus(&missing).fits(&need));
                }
            }
        }
    }

    #[test]
    fn shares_of_the_smallest_and_the_largest_do_not_overflow() {
        let least = weights(&Resources::new(1, 1).gpus(1));
        let twice = Resources { cpu: 1 << 24, memory: 1 << 28, gpus: 510 };
        let units = (1u128 << 24) + (1 << 28) + 510;
        assert_eq!(share_of(&twice, least), units << 40);
    }
}
