//! Registering, changing and reading workers.

use super::Engine;
use super::local::Local;
use crate::ledger::{Sighting, Ticket};
use crate::placement::{Free, Resources};
use crate::registry::{
    Listed, Name, Signal, WorkerError, WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate,
};
use crate::slots::State;

/// A reservation that ended because its worker was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its id; empty for an anonymous one.
    pub id: Name,
    /// Its ticket, which is not valid any more.
    pub ticket: Ticket,
    /// What it held.
    pub amount: Resources,
}

/// A worker's slot at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The slot's version.
    pub version: u64,
    /// The worker's state.
    pub state: State,
    /// What is free; negative where over-committed. Of devices, those that are free as a whole.
    pub free: Free,
}

impl Engine {
    /// Registers a worker: O(log workers), and nothing is copied in proportion to their number.
    /// Takes the registry's lock; placements go on meanwhile.
    pub fn add_worker(&self, spec: WorkerSpec) -> Result<WorkerRef, WorkerError> {
        self.registry.add([spec]).pop().expect("one result for one worker")
    }

    /// Registers many under one lock, each for itself: one result each, in order.
    pub fn add_workers(
        &self,
        specs: impl IntoIterator<Item = WorkerSpec>,
    ) -> Vec<Result<WorkerRef, WorkerError>> {
        self.registry.add(specs)
    }

    /// Changes a worker as one step and returns it as it then is. A change that changes nothing
    /// leaves the version as it is. What reservations hold is never touched: free is always total
    /// less set aside less what the ledger holds, also below zero.
    pub fn update_worker(
        &self,
        id: &[u8],
        update: WorkerUpdate,
    ) -> Result<WorkerInfo, WorkerError> {
        self.registry.update(id, update)
    }

    /// Takes a worker out and ends what was held there: returns each of those reservations, once.
    /// A release of one of them that comes later finds nothing, also when the id has been
    /// registered again. Looks through all reservations: O(most there ever were).
    pub fn remove_worker(&self, id: &[u8]) -> Result<Vec<Lost>, WorkerError> {
        let local = self.local();
        self.registry.remove(id, |worker| {
            let mut lost = Vec::new();
            let place = (worker.index, worker.incarnation);
            self.evict(local, |other| other == place, |_, one| lost.push(one));
            lost
        })
    }

    /// Ends what is held on registrations that have been removed.
    pub(super) fn evict(
        &self,
        local: &Local,
        removed: impl Fn((u32, u32)) -> bool,
        mut lost: impl FnMut((u32, u32), Lost),
    ) {
        self.ledger.evict(&local.magazine, removed, |ticket, id, holding| {
            if holding.rides {
                self.settle(ticket, &holding.amount);
            }
            let one = Lost { id: id.into(), ticket, amount: holding.amount };
            lost((holding.slot, holding.incarnation), one);
        });
    }

    /// The host's readiness signal: a pending worker becomes ready. Does not lift a cordon.
    pub fn ready(&self, id: &[u8]) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::Ready)
    }

    /// The readiness signal of an agent of this generation of the rollout: refused if the worker is of
    /// a later one by now, so that a message from before an upgrade makes nothing ready. One of a later
    /// generation counts, and is the worker's from then on.
    pub fn ready_generation(&self, id: &[u8], generation: u64) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::ReadyOf(generation))
    }

    /// Takes the readiness back: the worker is pending again. What it holds stays.
    pub fn unready(&self, id: &[u8]) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::Unready)
    }

    /// The operator's durable intent that nothing new lands here. Once this returns, nothing
    /// does; what is held stays.
    pub fn cordon(&self, id: &[u8]) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::Cordon)
    }

    /// Lifts cordon and drain: the worker is as ready as its last readiness signal said.
    pub fn uncordon(&self, id: &[u8]) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::Uncordon)
    }

    /// As [`Engine::cordon`], to empty the worker: [`WorkerInfo::held`] of what it returns says
    /// how much is still there.
    pub fn drain(&self, id: &[u8]) -> Result<WorkerInfo, WorkerError> {
        self.registry.signal(id, Signal::Drain)
    }

    /// The worker of this id, in full. Takes the registry's lock.
    pub fn worker(&self, id: &[u8]) -> Option<WorkerInfo> {
        self.registry.info(self.find_worker(id)?)
    }

    /// The worker that a reference names, in full; none once it was removed. Takes the registry's
    /// lock.
    pub fn worker_by_ref(&self, worker: WorkerRef) -> Option<WorkerInfo> {
        self.registry.info(worker)
    }

    /// The engine's name for the worker of this id. No lock.
    pub fn find_worker(&self, id: &[u8]) -> Option<WorkerRef> {
        self.registry.shared.find(id)
    }

    /// A worker's slot as it is this instant. No lock, one load.
    pub fn snapshot(&self, worker: WorkerRef) -> Option<Snapshot> {
        let slot = self.registry.shared.table.get(worker.index)?;
        let word = slot.word();
        let current = slot.stamp().incarnation == worker.incarnation;
        (current && word.state() != State::Removed).then(|| Snapshot {
            version: word.version(),
            state: word.state(),
            free: word.shown_free(),
        })
    }

    /// Whether that registration has ended.
    #[inline]
    pub(super) fn gone(&self, worker: WorkerRef) -> bool {
        self.snapshot(worker).is_none()
    }

    /// All workers, by index. Takes the registry's lock; O(workers).
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.registry.list(Listed::All)
    }

    /// The workers of one pool, by index; of none, with the empty name. Takes the registry's lock.
    pub fn workers_in_pool(&self, pool: &[u8]) -> Vec<WorkerInfo> {
        self.registry.list(Listed::Pool(pool))
    }

    /// The workers on one machine, by index. Takes the registry's lock.
    pub fn workers_on_machine(&self, machine: &[u8]) -> Vec<WorkerInfo> {
        self.registry.list(Listed::Machine(machine))
    }

    /// How many workers are registered.
    pub fn worker_count(&self) -> usize {
        self.registry.shared.workers.get() as usize
    }

    /// How many reservations are alive. Counts them: O(most there ever were).
    pub fn reservation_count(&self) -> usize {
        self.ledger.sightings().filter(|s| !matches!(s, Sighting::Between(..))).count()
    }
}
