//! What is due when: a hierarchical timing wheel (Varghese and Lauck 1987) over the whole of a 64-bit
//! clock, in whatever unit the host counts.
//!
//! Eleven levels of 64 slots: level n has slots of 64^n units. An entry stands at the level of the
//! highest digit (base 64) in which it differs from now, and is filed anew, lower, when time reaches
//! its slot: eleven times at most, however far the clock jumps, and slots in which nothing stands are
//! not looked at.

const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT) as usize;

#[derive(Debug)]
struct Level<T> {
    /// A bit for each slot that is not empty.
    occupied: u64,
    slots: Vec<Vec<(u64, T)>>,
}

/// Entries by the time at which they are due. One thread's at a time.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    now: u64,
    len: usize,
    levels: Vec<Level<T>>,
    /// Due already when they were entered.
    overdue: Vec<(u64, T)>,
    /// Room for what is filed anew, kept from one advance to the next.
    refiled: Vec<(u64, T)>,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        let level = || Level { occupied: 0, slots: (0..SLOTS).map(|_| Vec::new()).collect() };
        let levels = (0..LEVELS).map(|_| level()).collect();
        Wheel { now: 0, len: 0, levels, overdue: Vec::new(), refiled: Vec::new() }
    }
}

impl<T> Wheel<T> {
    /// Entries that are not due yet, as far as it has been advanced.
    #[cfg(all(test, not(slotwise_loom)))]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// O(1). What is due already comes with the next advance.
    pub(crate) fn insert(&mut self, when: u64, item: T) {
        self.len += 1;
        let Some(high) = (when ^ self.now).checked_ilog2().filter(|_| when > self.now) else {
            self.overdue.push((when, item));
            return;
        };
        let n = (high / DIGIT) as usize;
        let slot = (when >> (n as u32 * DIGIT)) as usize % SLOTS;
        let level = &mut self.levels[n];
        level.occupied |= 1 << slot;
        level.slots[slot].push((when, item));
    }

    /// Moves on to `now` (no further back than before) and hands over all that is due, which is what
    /// was entered for then or earlier, in no particular order. Amortised O(1) an entry.
    pub(crate) fn advance(&mut self, now: u64, mut due: impl FnMut(u64, T)) {
        debug_assert!(now >= self.now);
        let before = core::mem::replace(&mut self.now, now);
        self.len -= self.overdue.len();
        self.overdue.drain(..).for_each(|(when, item)| due(when, item));
        let mut refiled = core::mem::take(&mut self.refiled);
        for (n, level) in self.levels.iter_mut().enumerate() {
            let shift = n as u32 * DIGIT;
            let (from, to) = (before >> shift, now >> shift);
            if from == to {
                break;
            }
            let mut passed = level.occupied & passed(from, to);
            level.occupied &= !passed;
            while passed != 0 {
                refiled.append(&mut level.slots[passed.trailing_zeros() as usize]);
                passed &= passed - 1;
            }
        }
        self.len -= refiled.len();
        for (when, item) in refiled.drain(..) {
            if when <= now { due(when, item) } else { self.insert(when, item) }
        }
        self.refiled = refiled;
    }
}

/// The slots that time comes by on its way from one position of a level to a later one.
fn passed(from: u64, to: u64) -> u64 {
    let count = (to - from).min(SLOTS as u64) as u32;
    let ones = u64::MAX >> (SLOTS as u32 - count);
    ones.rotate_left(((from + 1) % SLOTS as u64) as u32)
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        // Steps of every size, so that every level is crossed.
        let step = (0u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
        prop_oneof![step.clone().prop_map(Op::Insert), step.prop_map(Op::Advance)]
    }

    proptest! {
        /// Against an ordered set: nothing early, nothing late, nothing twice.
        #[test]
        fn agrees_with_an_ordered_set(ops in prop::collection::vec(op(), 1..200)) {
            let mut wheel = Wheel::default();
            let mut set = BTreeSet::new();
            let mut now = 0u64;
            for (n, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(step) => {
                        // Also in the past.
                        let when = now.saturating_add(step).saturating_sub(step % 3 * 5);
                        wheel.insert(when, n);
                        set.insert((when, n));
                    }
                    Op::Advance(step) => {
                        now = now.saturating_add(step);
                        let mut due = BTreeSet::new();
                        wheel.advance(now, |when, n| assert!(due.insert((when, n))));
                        let later = set.split_off(&(now, usize::MAX));
                        prop_assert_eq!(&due, &set);
                        set = later;
                    }
                }
                prop_assert_eq!(wheel.len(), set.len());
            }
        }
    }

    #[test]
    fn end_of_time_is_reached() {
        let mut wheel = Wheel::default();
        wheel.insert(u64::MAX, ());
        wheel.insert(u64::MAX - 1, ());
        let mut due = 0;
        wheel.advance(u64::MAX - 1, |_, _| due += 1);
        assert_eq!(due, 1);
        wheel.advance(u64::MAX, |_, _| due += 1);
        assert_eq!(due, 2);
    }
}
