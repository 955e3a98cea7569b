//! What changes workers and selectors. One caller at a time, under the registry's lock; readers
//! go on beside it.
//!
//! Nothing here copies in proportion to the number of workers: arrays that grow by pieces, trees in
//! place of tables that rehash, places that stay, rings that grow at the end, a directory copied by
//! pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::classes::{BlockChange, ClassTraits, Classes, Seat};
use super::entries::{Entries, Entry, capacity};
use super::labels::Labels;
use super::slot_set::SlotSet;
use super::views::{Directory, Facts, Selected, Source, rank};
use super::{
    Constraints, Limits, Name, Shared, WorkerError, WorkerInfo, WorkerRef, WorkerSpec,
    WorkerUpdate, check, supposed,
};
use crate::ledger::{Insert, Phase};
use crate::placement::{Rank, Resources, Wanted};
use crate::slots::{BlockRef, Occupant, Ring, Stamp, State, Wide, Word};

/// A change of state that a host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Ready,
    /// By an agent of this generation of the rollout.
    ReadyOf(u64),
    Unready,
    Cordon,
    Uncordon,
    Drain,
}

/// Everything that only the writer knows.
pub(super) struct Writer {
    pub(super) entries: Entries,
    pub(super) next_slot: u32,
    pub(super) free_slots: Vec<u32>,
    pub(super) classes: Classes,
    pub(super) labels: Labels,
    pub(super) machines: BTreeMap<Name, SlotSet>,
    pub(super) selected: Vec<Selected>,
    pub(super) by_constraints: BTreeMap<Arc<Constraints>, u32>,
    /// Selectors that look workers up, by what they look for: machine or label.
    pub(super) by_machine: BTreeMap<Name, BTreeSet<u32>>,
    pub(super) by_label: BTreeMap<(Name, Name), BTreeSet<u32>>,
    pub(super) directory: Directory,
    /// The directory has changed since it was last shown to readers.
    pub(super) unseen: bool,
    pub(super) limits: Limits,
    /// Rollout generations, but for 0.
    pub(super) generations: BTreeMap<u32, u64>,
    pub(super) devices: super::devices::Specs,
}

impl Writer {
    pub(super) fn new(limits: Limits) -> Self {
        Writer {
            entries: Entries::default(),
            next_slot: 0,
            free_slots: Vec::new(),
            classes: Classes::default(),
            labels: Labels::default(),
            machines: BTreeMap::new(),
            selected: Vec::new(),
            by_constraints: BTreeMap::new(),
            by_machine: BTreeMap::new(),
            by_label: BTreeMap::new(),
            directory: Directory::default(),
            unseen: false,
            limits,
            generations: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    /// Shows readers what has changed. Each operation ends with it.
    pub(super) fn show(&mut self, shared: &Shared) {
        if core::mem::take(&mut self.unseen) {
            shared.directory.store(Arc::new(self.directory.clone()));
            shared.shown.rise();
        }
    }

    // --- workers ---

    pub(super) fn add(
        &mut self,
        shared: &Shared,
        spec: WorkerSpec,
    ) -> Result<WorkerRef, WorkerError> {
        check::worker(&spec)?;
        if shared.find(&spec.id).is_some() {
            return Err(WorkerError::Duplicate);
        }
        let full = WorkerError::TableFull { limit: self.limits.workers };
        let slot = match self.free_slots.pop() {
            Some(slot) => slot,
            None if (self.next_slot as usize) < self.limits.workers => {
                self.next_slot += 1;
                self.next_slot - 1
            }
            None => return Err(full),
        };
        let plate = shared.plates.get_or_grow(slot as usize);
        let generation = plate.open(&spec.id);
        let same = |other: u32| if other == slot { None } else { shared.carrier(other, &spec.id) };
        match shared.ids.insert(Shared::hash(&spec.id), slot, same) {
            Insert::Mine(spot) => plate.set_spot(spot),
            // Only this writer enters ids, and it has looked: the index has no cell left.
            _ => {
                plate.end(generation);
                self.free_slots.push(slot);
                return Err(full);
            }
        }
        if spec.generation > 0 {
            self.generations.insert(slot, spec.generation);
        }
        let lease = spec.lease;
        let capacity = capacity(spec.total, spec.set_aside, !spec.devices.is_empty());
        let state = supposed::state(&spec);
        let devices = self.enter_devices(shared, slot, &spec.devices);
        let stamp = shared.table.open(slot).register_with(capacity, state, devices);
        let pending = spec.pending;
        let attributes = self.note(shared, slot, spec);
        let seat = self.sit(shared, slot, attributes.traits, stamp.epoch);
        let facts = self.classes.facts(seat, stamp, attributes.own_labels, attributes.machine);
        let amounts = (attributes.total, attributes.set_aside);
        self.entries.insert(slot, Entry::new(seat, facts, amounts, !pending));
        self.state_facts(shared, slot);
        let worker = WorkerRef { index: slot, incarnation: stamp.incarnation };
        // Before the id leads here: a heartbeat, whose lease it would cut short, comes after.
        if let Some(until) = lease {
            // Of a registration that has just begun, and so is not over.
            let _ = shared.renew_lease(worker, until);
        }
        // Live: from here on the id leads to the worker.
        let _ = plate.advance(generation, Phase::Pending, Phase::Live);
        shared.workers.rise();
        for selector in self.lookers(slot) {
            self.list(selector, None);
        }
        Ok(worker)
    }

    pub(super) fn update(
        &mut self,
        shared: &Shared,
        id: &[u8],
        update: WorkerUpdate,
    ) -> Result<WorkerInfo, WorkerError> {
        let slot = shared.find(id).ok_or(WorkerError::Unknown)?.index;
        let old = self.spec(shared, slot);
        let new = apply(old.clone(), update);
        check::worker(&new)?;
        if new.generation < old.generation {
            let (given, current) = (new.generation, old.generation);
            return Err(WorkerError::OldGeneration { given, current });
        }
        if new.generation > old.generation {
            self.generations.insert(slot, new.generation);
            self.entries.get_mut(slot).ready = false;
        }
        if new == old {
            return Ok(self.info(shared, slot));
        }
        let traits_differ = |a: &WorkerSpec, b: &WorkerSpec| {
            let strip = |s: &WorkerSpec| WorkerSpec {
                total: Resources::ZERO.gpus((s.total.gpus > 0) as u64),
                set_aside: Resources::ZERO,
                generation: 0,
                ..s.clone()
            };
            strip(a) != strip(b)
        };
        if !traits_differ(&old, &new) {
            let entry = self.entries.get_mut(slot);
            entry.set_amounts(new.total, new.set_aside);
            let (capacity, state) = (entry.capacity(), entry.state());
            let word = shared.revise(slot, capacity, state, None);
            return Ok(self.info_at(shared, slot, word));
        }
        let word = self.move_to(shared, slot, new);
        Ok(self.info_at(shared, slot, word))
    }

    /// Gives a worker other attributes. See step 3 of the protocol in `slots::blocks`.
    fn move_to(&mut self, shared: &Shared, slot: u32, new: WorkerSpec) -> Word<Wide> {
        let old_facts = Arc::clone(&self.entries[slot].facts);
        let old_stamp = old_facts.stamp;
        let mut lookers = self.lookers(slot);
        // The worker as it was, for lists that may still be read while it moves.
        let was = Was { slot, facts: old_facts };
        self.unnote(slot);
        let attributes = self.note(shared, slot, new);
        // Only now: a label of the new ones may have turned, and the worker with it.
        let old_seat = self.entries[slot].seat;
        let stamp = Stamp { epoch: old_stamp.epoch + 1, ..old_stamp };
        let seat = self.sit(shared, slot, attributes.traits, stamp.epoch);
        let facts = self.classes.facts(seat, stamp, attributes.own_labels, attributes.machine);
        let entry = self.entries.get_mut(slot);
        (entry.seat, entry.facts) = (seat, facts);
        entry.set_amounts(attributes.total, attributes.set_aside);
        let (capacity, state) = (entry.capacity(), entry.state());
        lookers.extend(self.lookers(slot));
        for &selector in &lookers {
            self.list(selector, Some(&was));
        }
        self.show(shared);
        self.state_facts(shared, slot);
        shared.moves.rise();
        let word = shared.revise(slot, capacity, state, Some(stamp));
        shared.moves.rise();
        self.rise_from(shared, slot, old_seat);
        for &selector in &lookers {
            self.list(selector, None);
        }
        word
    }

    /// Takes a worker out. Returns which registration it was; what was held there is the ledger's
    /// to end.
    pub(super) fn remove(&mut self, shared: &Shared, id: &[u8]) -> Result<WorkerRef, WorkerError> {
        let worker = shared.find(id).ok_or(WorkerError::Unknown)?;
        self.remove_slot(shared, worker.index);
        Ok(worker)
    }

    /// The same by slot; returns the id.
    pub(super) fn remove_slot(&mut self, shared: &Shared, slot: u32) -> Name {
        let word = shared.table.open(slot).remove();
        self.leave_devices(shared, slot, word);
        self.generations.remove(&slot);
        let plate = shared.plates.get_or_grow(slot as usize);
        let generation = plate.header().generation();
        let id = plate.id().into();
        // Nobody finds the id any more.
        let _ = plate.advance(generation, Phase::Live, Phase::Closing);
        if let Some(spot) = plate.spot() {
            shared.ids.remove(spot);
        }
        shared.workers.fall();
        shared.facts.get_or_grow(slot as usize).store(None);
        let lookers = self.lookers(slot);
        self.unnote(slot);
        let entry = self.entries.remove(slot);
        self.rise_from(shared, slot, entry.seat);
        for selector in lookers {
            self.list(selector, None);
        }
        if plate.end(generation) && !entry.facts.stamp.spent() {
            self.free_slots.push(slot);
        }
        id
    }

    /// The pending worker that is to be handed off.
    pub(super) fn to_hand_off(
        &self,
        shared: &Shared,
        expected: &[u8],
        real: &[u8],
    ) -> Result<WorkerRef, WorkerError> {
        if real.is_empty() || real.len() > crate::MAX_ID_LEN {
            return Err(WorkerError::IdLength { length: real.len() });
        }
        let worker = shared.find(expected).ok_or(WorkerError::Unknown)?;
        if expected == real {
            return Err(WorkerError::HandOffToItself);
        }
        match self.entries[worker.index].state() {
            State::Pending => Ok(worker),
            state => Err(WorkerError::NotPending { state }),
        }
    }

    /// Gives a worker another id, which nobody has. For a moment it has none.
    pub(super) fn rename(
        &mut self,
        shared: &Shared,
        slot: u32,
        id: &[u8],
    ) -> Result<(), WorkerError> {
        let plate = shared.plates.get_or_grow(slot as usize);
        let old = plate.id();
        let enter = |id: &[u8]| {
            let _ = plate.advance(plate.header().generation(), Phase::Live, Phase::Closing);
            if let Some(spot) = plate.spot() {
                shared.ids.remove(spot);
            }
            let generation = plate.open_next(id);
            let same = |other: u32| if other == slot { None } else { shared.carrier(other, id) };
            let entered = match shared.ids.insert(Shared::hash(id), slot, same) {
                Insert::Mine(spot) => {
                    plate.set_spot(spot);
                    true
                }
                _ => false,
            };
            let _ = plate.advance(generation, Phase::Pending, Phase::Live);
            entered
        };
        if enter(id) {
            return Ok(());
        }
        // The index has no cell for it; the one that the old id left is there still.
        enter(&old);
        Err(WorkerError::TableFull { limit: self.limits.workers })
    }

    pub(super) fn signal(
        &mut self,
        shared: &Shared,
        id: &[u8],
        signal: Signal,
    ) -> Result<WorkerInfo, WorkerError> {
        let slot = shared.find(id).ok_or(WorkerError::Unknown)?.index;
        if let Signal::ReadyOf(given) = signal {
            let current = self.generation(slot);
            if given < current {
                return Err(WorkerError::OldGeneration { given, current });
            }
            if given > current {
                self.generations.insert(slot, given);
            }
        }
        let entry = self.entries.get_mut(slot);
        let before = entry.state();
        match signal {
            Signal::Ready | Signal::ReadyOf(_) => entry.ready = true,
            Signal::Unready => entry.ready = false,
            Signal::Cordon => entry.cordoned = true,
            Signal::Uncordon => (entry.cordoned, entry.draining) = (false, false),
            Signal::Drain => entry.draining = true,
        }
        let (capacity, state) = (entry.capacity(), entry.state());
        let word = if state == before {
            shared.table.open(slot).word()
        } else {
            shared.revise(slot, capacity, state, None)
        };
        Ok(self.info_at(shared, slot, word))
    }

    // --- attributes ---

    /// Enters a worker's labels and machine, and says what is left for its class.
    fn note(&mut self, shared: &Shared, slot: u32, mut spec: WorkerSpec) -> Attributes {
        let mut turned = Vec::new();
        for (key, value) in &mut spec.labels {
            if self.labels.note(key, value, slot) {
                turned.push(key.clone());
            }
        }
        if let Some(machine) = &spec.machine {
            self.machines.entry(machine.clone()).or_default().insert(slot);
        }
        for key in turned {
            self.look_up_from_now_on(shared, &key);
        }
        let mut labels = core::mem::take(&mut spec.labels);
        labels.sort();
        let (own_labels, labels) =
            labels.into_iter().partition(|(key, _)| self.labels.is_looked_up(key));
        let traits = supposed::traits(&spec, labels);
        let WorkerSpec { total, set_aside, machine, .. } = spec;
        Attributes { total, set_aside, machine, own_labels, traits }
    }

    /// Shows what a worker is to whoever names it.
    fn state_facts(&self, shared: &Shared, slot: u32) {
        let facts = Arc::clone(&self.entries[slot].facts);
        shared.facts.get_or_grow(slot as usize).store(Some(facts));
    }

    fn unnote(&mut self, slot: u32) {
        for (key, value) in self.labels_of(slot) {
            self.labels.forget(&key, &value, slot);
        }
        if let Some(machine) = self.entries[slot].facts.machine.clone() {
            let slots = self.machines.get_mut(&machine).expect("entered by `note`");
            slots.remove(slot);
            if slots.is_empty() {
                self.machines.remove(&machine);
            }
        }
    }

    /// A label key has become nearly unique: it leaves the classes of all workers that have it.
    /// Nothing changes about who matches, so no epoch and no version rises.
    ///
    /// The selectors that name the key see their workers by list before the first of these leaves
    /// a class that they name, so that a look at classes alone, which misses it, is followed by
    /// another (the count of moves has risen), which comes upon the list. The rings that they looked
    /// through are retired before the first block leaves its class: a search that still goes through
    /// one must not come upon the block's next class.
    fn look_up_from_now_on(&mut self, shared: &Shared, key: &Name) {
        let mut left = Vec::new();
        for selector in 0..self.selected.len() as u32 {
            let constraints = Arc::clone(&self.selected[selector as usize].constraints);
            if constraints.labels.iter().any(|(k, _)| k == key) {
                left.append(&mut self.source(selector));
            }
        }
        self.show(shared);
        shared.moves.rise();
        left.iter().for_each(|ring| ring.retire());
        for slot in self.labels.with_key(key) {
            // The worker that is being entered has no entry yet.
            let Some(entry) = self.entries.get(slot) else { continue };
            let (old_seat, old) = (entry.seat, Arc::clone(&entry.facts));
            let mut traits = ClassTraits::clone(&old.traits);
            let Some(at) = traits.labels.iter().position(|(k, _)| k == key) else { continue };
            let mut own_labels = old.own_labels.to_vec();
            own_labels.push(traits.labels.remove(at));
            own_labels.sort();
            let seat = self.sit(shared, slot, traits, old.stamp.epoch);
            let facts = self.classes.facts(seat, old.stamp, own_labels, old.machine.clone());
            let entry = self.entries.get_mut(slot);
            (entry.seat, entry.facts) = (seat, facts);
            // The same stamp and the same answers as before.
            self.state_facts(shared, slot);
            self.show(shared);
            shared.moves.rise();
            self.rise_from(shared, slot, old_seat);
        }
    }

    /// A seat in the class of these traits, visible to probes.
    fn sit(&mut self, shared: &Shared, slot: u32, traits: ClassTraits, epoch: u32) -> Seat {
        let (class, new) = self.classes.of(traits);
        if new {
            self.join_tiers(class);
        }
        let (seat, change) = self.classes.sit(&shared.blocks, class, slot);
        let itself = shared.table.open(slot);
        shared.blocks.put(seat.place, Occupant { slot, epoch }, itself);
        if let BlockChange::Opened(block) = change {
            for (selector, gpus, rank) in self.classes.get(class).part_of.clone() {
                self.push_block(selector, gpus, rank, block);
            }
        }
        seat
    }

    /// Leaves a seat.
    fn rise_from(&mut self, shared: &Shared, slot: u32, seat: Seat) {
        shared.blocks.clear(seat.place, shared.table.open(slot));
        if let BlockChange::Emptied(block) = self.classes.leave(seat) {
            for (selector, gpus, rank) in self.classes.get(seat.class).part_of.clone() {
                let selected = &mut self.selected[selector as usize];
                let Some((ring, holes)) = selected.rings[gpus].get_mut(&rank) else { continue };
                *holes += 1;
                if !ring.pull(block) {
                    selected.rings[gpus].remove(&rank);
                    self.directory.set(selector, selected.ring_view());
                    self.unseen = true;
                }
            }
            self.classes.give_up(&shared.blocks, block);
        }
        self.classes.tidy(seat.class);
    }

    /// Finds the tiers that a new class is part of.
    fn join_tiers(&mut self, class: u32) {
        let traits = Arc::clone(&self.classes.get(class).traits);
        let part_of = self.selected.iter().enumerate().flat_map(|(selector, selected)| {
            let ranks = if selected.source == Source::Classes {
                rank_class(&selected.wanted, &traits)
            } else {
                [None; 2]
            };
            [0, 1].into_iter().filter_map(move |g| Some((selector as u32, g, ranks[g]?)))
        });
        self.classes.get_mut(class).part_of = part_of.collect();
    }

    pub(super) fn push_block(&mut self, selector: u32, gpus: usize, rank: Rank, block: BlockRef) {
        let blocks = self.limits.blocks();
        let selected = &mut self.selected[selector as usize];
        let mut new = false;
        let (ring, holes) = selected.rings[gpus].entry(rank).or_insert_with(|| {
            new = true;
            (Arc::new(Ring::new(blocks)), 0)
        });
        ring.push(block, *holes > 0);
        *holes = holes.saturating_sub(1);
        if new {
            self.directory.set(selector, selected.ring_view());
            self.unseen = true;
        }
    }

    // --- reading ---

    pub(super) fn labels_of(&self, slot: u32) -> Vec<(Name, Name)> {
        let facts = &self.entries[slot].facts;
        let mut labels = [&facts.traits.labels[..], &facts.own_labels].concat();
        labels.sort();
        labels
    }
}

/// A specification taken apart.
struct Attributes {
    total: Resources,
    set_aside: Resources,
    machine: Option<Name>,
    own_labels: Vec<(Name, Name)>,
    traits: ClassTraits,
}

/// A worker before it moves.
pub(super) struct Was {
    pub(super) slot: u32,
    pub(super) facts: Arc<Facts>,
}

pub(super) fn rank_class(
    wanted: &[Arc<Wanted<Name>>; 2],
    traits: &ClassTraits,
) -> [Option<Rank>; 2] {
    [0, 1].map(|gpus| rank(&wanted[gpus], traits, &[]).ok())
}

fn apply(spec: WorkerSpec, update: WorkerUpdate) -> WorkerSpec {
    let mut labels = update.labels.unwrap_or(spec.labels);
    labels.sort();
    labels.dedup_by(|a, b| a.0 == b.0);
    let mut total = update.total.unwrap_or(spec.total);
    if total.gpus == 0 {
        // Devices stay, and are the worker's GPUs.
        total.gpus = spec.devices.len() as u64;
    }
    WorkerSpec {
        total,
        set_aside: update.set_aside.unwrap_or(spec.set_aside),
        gpu_type: update.gpu_type.unwrap_or(spec.gpu_type),
        pool: update.pool.unwrap_or(spec.pool),
        priority: update.priority.unwrap_or(spec.priority),
        tier: update.tier.unwrap_or(spec.tier),
        labels,
        tenant: update.tenant.unwrap_or(spec.tenant),
        machine: update.machine.unwrap_or(spec.machine),
        requires_selector: update.requires_selector.unwrap_or(spec.requires_selector),
        preemptable: update.preemptable.unwrap_or(spec.preemptable),
        generation: update.generation.unwrap_or(spec.generation),
        ..spec
    }
}
