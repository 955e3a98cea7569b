//! What the writer tells of the workers that it knows.

use std::collections::BTreeSet;

use super::classes::ClassTraits;
use super::entries::Entry;
use super::slot_set::SlotSet;
use super::writer::Writer;
use super::{Shared, WorkerInfo, WorkerRef, WorkerSpec};
use crate::slots::{Wide, Word};

impl Writer {
    pub(super) fn spec(&self, shared: &Shared, slot: u32) -> WorkerSpec {
        let entry = &self.entries[slot];
        let traits = ClassTraits::clone(&entry.facts.traits);
        WorkerSpec {
            id: shared.plates.get_or_grow(slot as usize).id().into(),
            total: entry.total(),
            set_aside: entry.set_aside(),
            gpu_type: traits.gpu_type.unwrap_or_default(),
            pool: traits.pool.unwrap_or_default(),
            priority: traits.priority,
            tier: traits.tier,
            labels: self.labels_of(slot),
            tenant: traits.tenant,
            machine: entry.facts.machine.clone(),
            requires_selector: traits.requires_selector,
            preemptable: traits.preemptable,
            pending: !entry.ready,
            generation: self.generation(slot),
            lease: None,
            devices: self.devices_of(slot),
        }
    }

    pub(super) fn generation(&self, slot: u32) -> u64 {
        self.generations.get(&slot).copied().unwrap_or(0)
    }

    pub(super) fn info(&self, shared: &Shared, slot: u32) -> WorkerInfo {
        self.info_at(shared, slot, shared.table.open(slot).word())
    }

    /// The worker as it was at this word: what a change returns is what it made, whatever others
    /// have done since. One with devices, as it is by now.
    pub(super) fn info_at(&self, shared: &Shared, slot: u32, word: Word<Wide>) -> WorkerInfo {
        let spec = self.spec(shared, slot);
        let (word, devices) = self.devices_at(shared, slot, word);
        let incarnation = self.entries[slot].facts.stamp.incarnation;
        let worker = WorkerRef { index: slot, incarnation };
        WorkerInfo {
            id: spec.id,
            worker,
            version: word.version(),
            state: word.state(),
            total: spec.total,
            set_aside: spec.set_aside,
            free: word.shown_free(),
            gpu_type: spec.gpu_type,
            pool: spec.pool,
            priority: spec.priority,
            tier: spec.tier,
            labels: spec.labels,
            tenant: spec.tenant,
            machine: spec.machine,
            requires_selector: spec.requires_selector,
            preemptable: spec.preemptable,
            generation: spec.generation,
            lease: shared.lease(worker),
            devices,
        }
    }

    pub(super) fn registered(&self) -> impl Iterator<Item = WorkerRef> + '_ {
        let worker = |(index, entry): (u32, &Entry)| {
            let incarnation = entry.facts.stamp.incarnation;
            WorkerRef { index, incarnation }
        };
        self.entries.iter().map(worker)
    }

    pub(super) fn in_pool(&self, pool: &[u8]) -> BTreeSet<u32> {
        let of_pool = |traits: &ClassTraits| traits.pool.as_deref().unwrap_or_default() == pool;
        let classes = self.classes.iter().filter(|(_, class)| of_pool(&class.traits));
        classes.flat_map(|(_, class)| class.members()).collect()
    }

    pub(super) fn on_machine(&self, machine: &[u8]) -> impl Iterator<Item = u32> + '_ {
        self.machines.get(machine).into_iter().flat_map(SlotSet::iter)
    }
}
