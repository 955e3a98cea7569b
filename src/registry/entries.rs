//! The registered workers as the writer knows them.

use core::ops::Index;
use std::sync::Arc;

use super::classes::Seat;
use super::growing::Growing;
use super::views::Facts;
use crate::placement::{Devices, Resources};
use crate::slots::{Occupant, State};

/// A registered worker. There may be millions: its id is on its plate alone, what it shares with
/// others is in its facts, and its amounts are packed.
pub(super) struct Entry {
    pub(super) seat: Seat,
    /// Its stamp, class, labels and machine, as readers see them.
    pub(super) facts: Arc<Facts>,
    total: u64,
    set_aside: u64,
    /// The host's readiness signal.
    pub(super) ready: bool,
    /// The operator's intent.
    pub(super) cordoned: bool,
    pub(super) draining: bool,
}

impl Entry {
    pub(super) fn new(
        seat: Seat,
        facts: Arc<Facts>,
        (total, set_aside): (Resources, Resources),
        ready: bool,
    ) -> Self {
        Entry {
            seat,
            facts,
            total: total.to_bits(),
            set_aside: set_aside.to_bits(),
            ready,
            cordoned: false,
            draining: false,
        }
    }

    pub(super) fn state(&self) -> State {
        match (self.draining, self.cordoned, self.ready) {
            (true, _, _) => State::Draining,
            (_, true, _) => State::Cordoned,
            (_, _, true) => State::Ready,
            (_, _, false) => State::Pending,
        }
    }

    pub(super) fn total(&self) -> Resources {
        Resources::from_bits(self.total)
    }

    pub(super) fn set_aside(&self) -> Resources {
        Resources::from_bits(self.set_aside)
    }

    pub(super) fn set_amounts(&mut self, total: Resources, set_aside: Resources) {
        (self.total, self.set_aside) = (total.to_bits(), set_aside.to_bits());
    }

    pub(super) fn capacity(&self) -> Resources {
        capacity(self.total(), self.set_aside(), self.facts.traits.devices)
    }

    pub(super) fn occupant(&self, slot: u32) -> Occupant {
        Occupant { slot, epoch: self.facts.stamp.epoch }
    }
}

/// What a slot can hold; where GPUs are devices, their digest when all are free.
pub(super) fn capacity(total: Resources, aside: Resources, devices: bool) -> Resources {
    let gpus = total.gpus - aside.gpus;
    Resources {
        cpu: total.cpu - aside.cpu,
        memory: total.memory - aside.memory,
        gpus: if devices { Devices::digest_of(gpus) } else { gpus },
    }
}

/// All of them, by slot: slots are given out densely.
#[derive(Default)]
pub(super) struct Entries(Growing<Option<Entry>>);

impl Entries {
    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.0.get(slot)?.as_ref()
    }

    /// # Panics
    /// If nobody is registered there.
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Entry {
        self.0[slot].as_mut().expect("a registered worker")
    }

    /// Enters a worker on a slot that is free, or that is the next one.
    pub(super) fn insert(&mut self, slot: u32, entry: Entry) {
        match self.0.get_mut(slot) {
            Some(free) => *free = Some(entry),
            None => {
                let next = self.0.push(Some(entry));
                debug_assert_eq!(next, slot);
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32) -> Entry {
        self.0[slot].take().expect("a registered worker")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..).zip(self.0.iter()).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }
}

impl Index<u32> for Entries {
    type Output = Entry;
    fn index(&self, slot: u32) -> &Entry {
        self.get(slot).expect("a registered worker")
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Option<Entry>>(), 48);
    }

    #[test]
    fn amounts_are_kept_exactly() {
        assert_eq!(Resources::from_bits(Resources::MAX.to_bits()), Resources::MAX);
    }
}
