//! Which labels selectors tell classes apart by, and which are looked up.
//!
//! A label of few values (a zone, a disk type) is part of a worker's class. A label that is nearly
//! unique (a hostname) would make every worker a class of its own; it is kept here instead, from
//! value to workers. Which is which is found out from the values: a key starts as the first kind,
//! and turns into the second, for good, once it has more than [`FEW`] values and fewer than
//! [`SHARED`] workers a value on average.

use std::collections::BTreeMap;

use super::Name;
use super::slot_set::SlotSet;

/// Values that a key may have before it is asked how many workers share one.
const FEW: usize = 64;

/// Workers that share a value, on average, for the key to stay part of classes.
const SHARED: usize = 4;

#[derive(Default)]
struct Key {
    by_value: BTreeMap<Name, SlotSet>,
    workers: usize,
    looked_up: bool,
}

/// Every label key in use.
#[derive(Default)]
pub(super) struct Labels {
    keys: BTreeMap<Name, Key>,
}

impl Labels {
    /// Notes the label of a worker, and lets it share the key's bytes with the others. True: the key
    /// has just turned into one that is looked up.
    pub(super) fn note(&mut self, key: &mut Name, value: &Name, slot: u32) -> bool {
        let entry = self.keys.entry(key.clone());
        *key = entry.key().clone();
        let k = entry.or_default();
        k.by_value.entry(value.clone()).or_default().insert(slot);
        k.workers += 1;
        let values = k.by_value.len();
        let turns = !k.looked_up && values > FEW && k.workers < values * SHARED;
        k.looked_up |= turns;
        turns
    }

    /// Forgets it again. A key that is looked up stays so, also while no worker has it.
    pub(super) fn forget(&mut self, key: &Name, value: &Name, slot: u32) {
        let Some(k) = self.keys.get_mut(key) else { return };
        let Some(slots) = k.by_value.get_mut(value) else { return };
        if slots.remove(slot) {
            k.workers -= 1;
        }
        if slots.is_empty() {
            k.by_value.remove(value);
        }
        if k.workers == 0 && !k.looked_up {
            self.keys.remove(key);
        }
    }

    pub(super) fn is_looked_up(&self, key: &Name) -> bool {
        self.keys.get(key).is_some_and(|k| k.looked_up)
    }

    /// The workers that have this label.
    pub(super) fn with(&self, key: &Name, value: &Name) -> impl Iterator<Item = u32> + '_ {
        self.keys.get(key).and_then(|k| k.by_value.get(value)).into_iter().flat_map(SlotSet::iter)
    }

    /// The workers that have this key.
    pub(super) fn with_key(&self, key: &Name) -> Vec<u32> {
        let values = self.keys.get(key).into_iter().flat_map(|k| k.by_value.values());
        values.flat_map(SlotSet::iter).collect()
    }
}
