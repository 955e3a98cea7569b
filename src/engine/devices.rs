//! Requests for devices: parts of one GPU, or several GPUs of which it is told which they are.
//!
//! Which devices a reservation got is written in its rider; CPU, memory and devices are taken and
//! given back as one change of the worker's slot (see `slots::devices`).

use core::iter;

use super::Engine;
use super::local::Local;
use super::reserve::worker_of;
use super::select::{Candidate, Planned};
use crate::ledger::{Holding, Sighting, Ticket};
use crate::placement::{DeviceNeed, Devices, Free, Granted, Prefer, Resources};
use crate::registry::{Shared, WorkerRef};
use crate::slots::{Change, Changed, Columns, Need, Pool, Refused, Slot, State, Wide};
use crate::sync::{Stop, stop};

impl Engine {
    /// The devices that a reservation holds; none if it asked for none, or is not held. No lock.
    pub fn granted(&self, ticket: Ticket) -> Option<Granted> {
        self.granted_if_held(ticket).flatten()
    }

    /// The same, and whether it is held at all. Looks again where the reservation was being changed
    /// meanwhile, so that one which keeps its devices is never said to have none.
    pub(crate) fn granted_if_held(&self, ticket: Ticket) -> Option<Option<Granted>> {
        loop {
            match self.ledger.look(ticket)? {
                Sighting::Live(_, held) | Sighting::Pledged(_, held) if held.rides => {
                    if let Some(granted) = self.ledger.look_granted(ticket) {
                        return Some(granted);
                    }
                }
                Sighting::Live(..) | Sighting::Pledged(..) => return Some(None),
                Sighting::Between(..) => return None,
            }
        }
    }

    /// Changes a slot for a draft of a request: the devices, where it asks for any.
    pub(super) fn change_with_devices(
        &self,
        slot: &Slot,
        index: u32,
        (change, need, prefer): (&Change, &DeviceNeed, Prefer),
        retries: &mut u64,
    ) -> Result<(Changed<Wide>, Granted), Refused<Wide>> {
        match self.registry.shared.pool(index) {
            Some(pool) => slot.change_with_devices(pool, change, (need, prefer), retries),
            None => Err(Refused::Short),
        }
    }

    /// Gives a reservation's capacity back, devices and all. By who owns its record.
    pub(super) fn give_held(&self, local: &Local, ticket: Ticket, held: &Holding) -> Option<u64> {
        let worker = worker_of(held);
        match self.ledger.granted(ticket).filter(|_| held.rides) {
            None => self.give(local, worker, &held.amount, 1),
            Some(granted) => {
                self.give_devices(local, worker, (&held.amount, 1), iter::once(granted))
            }
        }
    }

    /// As [`Engine::give`], with devices.
    pub(super) fn give_devices(
        &self,
        local: &Local,
        worker: WorkerRef,
        given: (&Resources, u64),
        granted: impl Iterator<Item = Granted> + Clone,
    ) -> Option<u64> {
        let shared = &self.registry.shared;
        let (slot, pool) = shared.table.get(worker.index).zip(shared.pool(worker.index))?;
        let (incarnation, mut retries) = (worker.incarnation, 0);
        let changed = slot.give_with_devices(pool, incarnation, given, granted, &mut retries);
        local.counters.cas_retries.add(retries);
        let changed = changed?;
        stop(Stop::Credited);
        shared.blocks.freed(slot, changed.before, changed.after);
        Some(changed.version())
    }
}

/// What is planned, and beside it the devices that a request asks for.
pub(super) struct WithDevices<'a, P> {
    pub(super) shared: &'a Shared,
    pub(super) need: Option<DeviceNeed>,
    pub(super) beside: &'a P,
}

impl<P: Planned> WithDevices<'_, P> {
    /// Whether the devices would do. What their digest says is not always enough: it does not know of
    /// each.
    fn do_devices(&self, at: &Candidate, slot: &Slot) -> bool {
        let Some(need) = &self.need else { return true };
        let digest = self.beside.free(at, slot).gpus.max(0);
        if at.word.page() != 0 && need.surely_fits(digest as u64) {
            return true;
        }
        let Some(pool) = self.shared.pool(at.slot) else { return false };
        self.beside.devices(at, slot, pool).is_some_and(|devices| devices.fits(need))
    }
}

impl<P: Planned> Planned for WithDevices<'_, P> {
    const REAL: bool = P::REAL;

    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        let mut free = self.beside.free(at, slot);
        if let Some(need) = &self.need
            && !self.do_devices(at, slot)
        {
            free.gpus = need.too_little(free.gpus);
        }
        free
    }

    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        self.beside.fits(at, slot, need) && self.do_devices(at, slot)
    }

    fn devices(&self, at: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        self.beside.devices(at, slot, pool)
    }

    fn bars(&self, at: &Candidate) -> bool {
        self.beside.bars(at)
    }

    fn columns(&self, need: &Resources) -> Columns {
        self.beside.columns(need)
    }

    fn most(&self, slot: u32, capacity: Resources) -> Resources {
        let mut most = self.beside.most(slot, capacity);
        if let Some(need) = &self.need
            && !self.shared.pool(slot).is_some_and(|pool| pool.all().fits(need))
        {
            most.gpus = need.too_little(most.gpus as i64) as u64;
        }
        most
    }

    fn is_more_than_amounts(&self) -> bool {
        self.need.is_some() || self.beside.is_more_than_amounts()
    }

    fn changes_workers(&self) -> bool {
        self.beside.changes_workers()
    }

    fn gone(&self, worker: WorkerRef) -> bool {
        self.beside.gone(worker)
    }

    fn beside(&self, show: &mut dyn FnMut(State, &Free, &Resources, bool)) {
        self.beside.beside(show);
    }

    fn workers(&self, registered: u32) -> u32 {
        self.beside.workers(registered)
    }
}
