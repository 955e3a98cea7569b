//! Sets of slots that mostly hold one.

use std::collections::BTreeSet;

/// Slots. A machine or a hostname mostly has one worker: that costs no allocation.
#[derive(Debug, Default)]
#[allow(clippy::box_collection, reason = "else one slot takes as much room as a tree's root")]
pub(super) enum SlotSet {
    #[default]
    None,
    One(u32),
    /// Never empty.
    Many(Box<BTreeSet<u32>>),
}

impl SlotSet {
    pub(super) fn insert(&mut self, slot: u32) {
        match self {
            SlotSet::None => *self = SlotSet::One(slot),
            SlotSet::One(one) if *one == slot => {}
            SlotSet::One(one) => *self = SlotSet::Many(Box::new([*one, slot].into())),
            SlotSet::Many(many) => _ = many.insert(slot),
        }
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let (found, emptied) = match self {
            SlotSet::None => (false, false),
            SlotSet::One(one) => (*one == slot, *one == slot),
            SlotSet::Many(many) => (many.remove(&slot), many.is_empty()),
        };
        if emptied {
            *self = SlotSet::None;
        }
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, SlotSet::None)
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, many) = match self {
            SlotSet::None => (None, None),
            SlotSet::One(one) => (Some(*one), None),
            SlotSet::Many(many) => (None, Some(many.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_tree() {
        let (mut set, mut tree) = (SlotSet::default(), BTreeSet::new());
        let mut seed = 1;
        for _ in 0..10_000 {
            seed = crate::placement::order::other(seed);
            let slot = (seed % 3) as u32;
            if seed & 1024 == 0 {
                set.insert(slot);
                tree.insert(slot);
            } else {
                assert_eq!(set.remove(slot), tree.remove(&slot));
            }
            assert!(set.iter().eq(tree.iter().copied()));
            assert_eq!(set.is_empty(), tree.is_empty());
        }
    }
}
