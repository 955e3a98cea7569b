//! Workers, classes and selectors: written by one at a time under a lock, read by all without.
//!
//! Readers use three things. An id leads to a worker through the same index that the ledger has. A
//! selector leads to its tiers through a directory that is replaced as a whole when a tier comes or
//! goes (arc-swap; each thread keeps a cache of it and only compares a pointer). The tiers
//! themselves are rings of places that the writer changes in place.

mod check;
mod classes;
mod constraints;
mod devices;
mod entries;
mod gather;
mod growing;
mod info;
mod labels;
mod name;
mod slot_set;
mod supposed;
mod views;
mod worker;
mod writer;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use once_cell::race::OnceBox;
use parking_lot::Mutex;

pub use constraints::{Constraints, Selector, SelectorError};
pub use name::Name;
pub(crate) use supposed::Supposed;
pub(crate) use views::{Directory, Facts, NOWHERE, Tier, View};
pub use worker::{
    DeviceInfo, DeviceSpec, WorkerError, WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate,
};
pub(crate) use writer::Signal;
use writer::Writer;

use crate::ledger::{Agenda, Armed, Header, IdIndex, Lease, LeaseOver, Plate};
use crate::placement::Resources;
use crate::slots::{Blocks, Count, Stamp, State, Table, Wide, Word};
use crate::sync::{Chunked, lock};

/// Longest name of a pool, label, tenant, machine or GPU type, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// Most entries in one list of a selector's constraints.
pub const MAX_LIST_LEN: usize = 64;

/// What a registry may hold, and its one rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) workers: usize,
    pub(crate) selectors: usize,
    pub(crate) gpu_separation: bool,
}

impl Limits {
    /// A block that is open has a worker on it, and one more may be opened before a worker that
    /// moves has left its own.
    fn blocks(&self) -> usize {
        self.workers + 1
    }
}

/// What readers share with the writer.
pub(crate) struct Shared {
    pub(crate) table: Table,
    pub(crate) blocks: Blocks,
    /// Moves of workers between places.
    pub(crate) moves: Count,
    /// Registered workers.
    pub(crate) workers: Count,
    /// Changes of workers: rises after each.
    pub(crate) changes: Count,
    pub(crate) directory: Arc<ArcSwap<Directory>>,
    /// How often another directory has been shown: rises after it has been.
    pub(crate) shown: Count,
    /// By slot; what was there last where nobody is.
    facts: Chunked<ArcSwapOption<Facts>, 512>,
    plates: Chunked<Plate, 512>,
    pools: devices::Pools,
    /// By selector: the one that sees devices where it sees numbers of GPUs, once one has been asked for.
    twins: Chunked<OnceBox<Selector>, 64>,
    ids: IdIndex,
    /// Only where a worker has ever had one.
    leases: Chunked<Lease, 512>,
    /// Leases that were begun, or cut short, since the last tick.
    armed: Armed,
}

impl Shared {
    /// As [`crate::slots::Slot::revise`], and raises the hints that it may have left too low. Under
    /// the lock.
    fn revise(
        &self,
        slot: u32,
        capacity: Resources,
        state: State,
        moved: Option<Stamp>,
    ) -> Word<Wide> {
        let slot = self.table.open(slot);
        let word = slot.revise(capacity, state, moved);
        self.blocks.raise_all(slot);
        word
    }

    fn carrier(&self, slot: u32, id: &[u8]) -> Option<(u32, Header)> {
        Some((slot, self.plates.get(slot as usize)?.carries(id)?))
    }

    /// What the worker of this slot is. No lock.
    pub(crate) fn facts(&self, slot: u32) -> Option<arc_swap::Guard<Option<Arc<Facts>>>> {
        Some(self.facts.get(slot as usize)?.load())
    }

    /// The worker of this id. No lock.
    pub(crate) fn find(&self, id: &[u8]) -> Option<WorkerRef> {
        if id.is_empty() || id.len() > crate::MAX_ID_LEN {
            return None;
        }
        let (slot, header) = self.ids.find(Self::hash(id), |slot| self.carrier(slot, id))?;
        let stamp = self.table.get(slot)?.stamp();
        // The stamp is read while the plate says the same: it is that registration's.
        let plate = self.plates.get(slot as usize)?;
        (header.phase() == crate::ledger::Phase::Live && plate.still(header))
            .then_some(WorkerRef { index: slot, incarnation: stamp.incarnation })
    }

    /// Lets a registration's lease run until then.
    fn renew_lease(&self, worker: WorkerRef, until: u64) -> Result<(), LeaseOver> {
        let lease = self.leases.get_or_grow(worker.index as usize);
        if lease.renew(worker.incarnation, until)? {
            self.armed.arm(worker.index, &lease.note);
        }
        Ok(())
    }

    /// Until when a registration's lease runs.
    fn lease(&self, worker: WorkerRef) -> Option<u64> {
        let (incarnation, until) = self.leases.get(worker.index as usize)?.running()?;
        (incarnation == worker.incarnation).then_some(until)
    }

    /// Whether this registration is there. Under the lock, or true of an instant only.
    fn is_registered(&self, worker: WorkerRef) -> bool {
        self.table.get(worker.index).is_some_and(|slot| {
            slot.stamp().incarnation == worker.incarnation && slot.word().state() != State::Removed
        })
    }

    /// What an id hashes to; see [`crate::Affinity`].
    fn hash(id: &[u8]) -> u64 {
        seahash::hash(id)
    }
}

/// The registry of one engine.
pub(crate) struct Registry {
    pub(crate) shared: Shared,
    writer: Mutex<Writer>,
}

impl Registry {
    pub(crate) fn new(limits: Limits) -> Self {
        let registry = Registry {
            shared: Shared {
                table: Table::new(limits.workers),
                blocks: Blocks::new(limits.blocks()),
                moves: Count::default(),
                workers: Count::default(),
                changes: Count::default(),
                directory: Arc::default(),
                shown: Count::default(),
                facts: Chunked::new(limits.workers),
                plates: Chunked::new(limits.workers),
                pools: Chunked::new(limits.workers),
                twins: Chunked::new(limits.selectors),
                ids: IdIndex::new(limits.workers),
                leases: Chunked::new(limits.workers),
                armed: Armed::default(),
            },
            writer: Mutex::new(Writer::new(limits)),
        };
        let any = registry.write(|writer, _| writer.select(&Constraints::new()));
        debug_assert_eq!(any, Ok(Selector::ANY));
        registry
    }

    fn write<R>(&self, operation: impl FnOnce(&mut Writer, &Shared) -> R) -> R {
        let mut writer = lock(&self.writer);
        let result = operation(&mut writer, &self.shared);
        writer.show(&self.shared);
        self.shared.changes.rise();
        result
    }

    pub(crate) fn add(
        &self,
        specs: impl IntoIterator<Item = WorkerSpec>,
    ) -> Vec<Result<WorkerRef, WorkerError>> {
        self.write(|w, shared| specs.into_iter().map(|spec| w.add(shared, spec)).collect())
    }

    pub(crate) fn update(
        &self,
        id: &[u8],
        update: WorkerUpdate,
    ) -> Result<WorkerInfo, WorkerError> {
        self.write(|writer, shared| writer.update(shared, id, update))
    }

    /// Takes a worker out; `end` ends what was held there before anybody can register anew.
    pub(crate) fn remove<R>(
        &self,
        id: &[u8],
        end: impl FnOnce(WorkerRef) -> R,
    ) -> Result<R, WorkerError> {
        self.write(|writer, shared| writer.remove(shared, id).map(end))
    }

    /// The same for those of these registrations that are there, with their ids.
    pub(crate) fn remove_all<R>(
        &self,
        workers: &[WorkerRef],
        end: impl FnOnce(Vec<(Name, WorkerRef)>) -> R,
    ) -> R {
        self.write(|writer, shared| {
            let there = workers.iter().filter(|&&worker| shared.is_registered(worker));
            let removed = there.map(|&worker| (writer.remove_slot(shared, worker.index), worker));
            end(removed.collect())
        })
    }

    /// Makes what is held on a pending worker held on the one that it has become. If the latter is not
    /// registered, the former takes its id, and `moved` has nothing to do; if it is, `moved` is to take
    /// over from the first what fits on the second, and to end the rest once the first is removed.
    pub(crate) fn hand_off<R>(
        &self,
        expected: &[u8],
        real: &[u8],
        take_over: impl FnOnce(WorkerRef, WorkerRef),
        end: impl FnOnce(WorkerRef) -> R,
    ) -> Result<(WorkerRef, Option<R>), WorkerError> {
        self.write(|writer, shared| {
            let from = writer.to_hand_off(shared, expected, real)?;
            match shared.find(real) {
                None => writer.rename(shared, from.index, real).map(|()| (from, None)),
                Some(to) => {
                    take_over(from, to);
                    writer.remove_slot(shared, from.index);
                    Ok((to, Some(end(from))))
                }
            }
        })
    }

    /// No lock. Refused once the lease is over.
    pub(crate) fn renew_lease(&self, worker: WorkerRef, until: u64) -> Result<(), LeaseOver> {
        self.shared.renew_lease(worker, until)
    }

    /// The registrations whose leases are over by `now`, each once; the caller's to remove.
    ///
    /// Races with heartbeats: a lease is swapped from just what was read, and ended or put off.
    pub(crate) fn leases_over(&self, agenda: &mut Agenda, now: u64) -> Vec<WorkerRef> {
        let lease = |index: u32| self.shared.leases.get_or_grow(index as usize);
        let mut over = Vec::new();
        agenda.advance(
            &self.shared.armed,
            now,
            |index| &lease(index).note,
            |index| {
                loop {
                    let running = lease(index).running()?;
                    if running.1 > now {
                        return Some(running.1);
                    }
                    if lease(index).expire(running) {
                        over.push(WorkerRef { index, incarnation: running.0 });
                    }
                }
            },
        );
        over
    }

    pub(crate) fn signal(&self, id: &[u8], signal: Signal) -> Result<WorkerInfo, WorkerError> {
        self.write(|writer, shared| writer.signal(shared, id, signal))
    }

    pub(crate) fn select(&self, constraints: &Constraints) -> Result<Selector, SelectorError> {
        self.write(|writer, _| writer.select(constraints))
    }

    /// The selector that sees devices where this one sees numbers of GPUs. Takes the lock the first
    /// time.
    pub(crate) fn for_devices(&self, selector: Selector) -> Result<Selector, SelectorError> {
        let twin = self.shared.twins.get_or_grow(selector.0 as usize);
        if let Some(known) = twin.get() {
            return Ok(*known);
        }
        let found = self.write(|writer, _| {
            let selected = &writer.selected[selector.0 as usize];
            let mut constraints = Constraints::clone(&selected.constraints);
            constraints.devices = true;
            writer.select(&constraints)
        })?;
        // After the directory was shown: who reads this finds the view there. Another thread may have been
        // as fast, with the same answer.
        let _ = twin.set(Box::new(found));
        Ok(found)
    }

    pub(crate) fn info(&self, worker: WorkerRef) -> Option<WorkerInfo> {
        let writer = lock(&self.writer);
        self.shared.is_registered(worker).then(|| writer.info(&self.shared, worker.index))
    }

    /// All workers, those of one pool, or those on one machine, by index.
    pub(crate) fn list(&self, which: Listed<'_>) -> Vec<WorkerInfo> {
        let writer = lock(&self.writer);
        let info = |index| writer.info(&self.shared, index);
        match which {
            Listed::All => writer.registered().map(|w| info(w.index)).collect(),
            Listed::Pool(pool) => writer.in_pool(pool).into_iter().map(info).collect(),
            Listed::Machine(machine) => writer.on_machine(machine).map(info).collect(),
        }
    }

    /// The registered workers, kept as they are until `look` is done: no registration, removal,
    /// update or change of state comes in between. Reservations go on.
    pub(crate) fn hold_still<R>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = WorkerRef>) -> R,
    ) -> R {
        let writer = lock(&self.writer);
        look(&mut writer.registered())
    }
}

/// Which workers to list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed<'a> {
    All,
    Pool(&'a [u8]),
    Machine(&'a [u8]),
}
