//! The host's clock: what ends by itself, and when.
//!
//! The engine reads no clock. Times are numbers of the host's, in whatever unit it counts (say
//! milliseconds since it started), that do not go back; deadlines are such numbers too. Nothing ends
//! before a tick says that its time has come.

use parking_lot::Mutex;

use super::reserve::{existing, worker_of};
use super::{ClockWentBack, ConfirmError, Engine, Lost, ReleaseError, Reservation};
use crate::ledger::{Agenda, Now, Sighting, Ticket};
use crate::placement::Resources;
use crate::registry::{Name, WorkerError, WorkerRef};
use crate::sync::{Stop, lock, stop};

/// A reservation that was not confirmed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its id; empty for an anonymous one.
    pub id: Name,
    /// Its ticket, which is not valid any more.
    pub ticket: Ticket,
    /// Where it was.
    pub worker: WorkerRef,
    /// What it held, and what has returned there.
    pub amount: Resources,
}

/// A worker whose lease is over, and that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWorker {
    /// Its id, which may be registered again.
    pub id: Name,
    /// The registration that has ended.
    pub worker: WorkerRef,
    /// What was held there, each once.
    pub lost: Vec<Lost>,
}

/// What a tick has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Reservations that were not confirmed in time.
    pub expired: Vec<Expired>,
    /// Workers that were not heard of in time.
    pub workers: Vec<LostWorker>,
}

/// The time, and what is due.
#[derive(Default)]
pub(super) struct Clock {
    now: Now,
    /// One tick at a time.
    agendas: Mutex<Agendas>,
}

#[derive(Default)]
struct Agendas {
    reservations: Agenda,
    workers: Agenda,
}

impl From<ReleaseError> for ConfirmError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::InFlight => ConfirmError::InFlight,
            _ => ConfirmError::NotHeld,
        }
    }
}

impl Engine {
    /// The time that the last tick told; 0 before the first.
    pub fn now(&self) -> u64 {
        self.clock.now.get()
    }

    /// Tells the engine the time and ends what is due: provisional reservations whose deadline is
    /// `now` or before, and workers whose lease is, with all that they hold. Each is handed over once.
    /// A time before the last one's changes nothing.
    ///
    /// A confirmation or a heartbeat that comes before the tick counts, however late it is; one that
    /// comes after is refused. Of two at once, one is first.
    ///
    /// Ticks take turns; reservations and everything else go on. Amortised O(1) for each reservation
    /// and each heartbeat that ever set a deadline; with workers that are due, one look through all
    /// reservations, under the registry's lock.
    pub fn tick(&self, now: u64) -> Result<Ticked, ClockWentBack> {
        let mut agendas = lock(&self.clock.agendas);
        let before = self.now();
        if now < before {
            return Err(ClockWentBack { given: now, now: before });
        }
        self.clock.now.set(now);
        let local = self.local();
        let mut ticked = Ticked::default();
        self.ledger.expire(&mut agendas.reservations, now, |ticket, holding, id| {
            let (worker, amount) = (worker_of(&holding), holding.amount);
            self.give_held(local, ticket, &holding);
            self.end(local, ticket, &holding);
            local.counters.expired.add(1);
            ticked.expired.push(Expired { id: id.into(), ticket, worker, amount });
        });
        let over = self.registry.leases_over(&mut agendas.workers, now);
        if !over.is_empty() {
            stop(Stop::Expired);
            ticked.workers = self.remove_expired(&over);
        }
        Ok(ticked)
    }

    /// Removes workers whose leases are over, but for those that were removed already, and ends what
    /// is held there.
    fn remove_expired(&self, over: &[WorkerRef]) -> Vec<LostWorker> {
        let local = self.local();
        self.registry.remove_all(over, |removed| {
            let lost_one = |(id, worker)| LostWorker { id, worker, lost: Vec::new() };
            let mut workers: Vec<LostWorker> = removed.into_iter().map(lost_one).collect();
            workers.sort_by_key(|one| one.worker);
            let at = |workers: &[LostWorker], (index, incarnation)| {
                let worker = WorkerRef { index, incarnation };
                workers.binary_search_by_key(&worker, |one| one.worker).ok()
            };
            let mut all: Vec<((u32, u32), Lost)> = Vec::new();
            let removed = |place| at(&workers, place).is_some();
            self.evict(local, removed, |place, lost| all.push((place, lost)));
            for (place, lost) in all {
                if let Some(at) = at(&workers, place) {
                    workers[at].lost.push(lost);
                }
            }
            workers
        })
    }

    /// A sign of life: the worker's lease runs until then. From its first heartbeat, or the lease that
    /// it was registered with ([`WorkerSpec::lease`](crate::WorkerSpec::lease)), a worker that is not
    /// heard of in time ends with the next tick and is returned by it; a worker that has no lease never
    /// does. No lock.
    ///
    /// [`WorkerError::Unknown`] once it has expired, whatever the host's messages say: it may register
    /// anew.
    pub fn heartbeat(&self, id: &[u8], until: u64) -> Result<(), WorkerError> {
        let now = self.now();
        if until <= now {
            return Err(WorkerError::LeasePassed { until, now });
        }
        let worker = self.find_worker(id).ok_or(WorkerError::Unknown)?;
        self.registry.renew_lease(worker, until).map_err(|_| WorkerError::Unknown)?;
        // Removed meanwhile: the lease is of a registration that has ended, and nobody's.
        if self.gone(worker) { Err(WorkerError::Unknown) } else { Ok(()) }
    }

    /// Makes a provisional reservation a lasting one. One that is confirmed already stays so.
    ///
    /// Races with the tick that ends it, with a release and with the removal of its worker: one of them
    /// is first. A claim ([`Engine::preempt`]) cannot be confirmed before all that it displaces has been
    /// released. O(1) and no lock, but for claims.
    pub fn confirm(&self, ticket: Ticket) -> Result<Reservation, ConfirmError> {
        if let Some(victims) = self.victims_left(ticket) {
            return Err(ConfirmError::Waiting { victims });
        }
        let held = self.ledger.confirm(ticket).map_err(ReleaseError::from)?;
        if held.provisional {
            self.local().counters.confirmed.add(1);
        }
        let mut confirmed = existing(ticket, held);
        (confirmed.existing, confirmed.provisional) = (!held.provisional, false);
        Ok(confirmed)
    }

    /// Confirms what an id holds; otherwise as [`Engine::confirm`].
    pub fn confirm_id(&self, id: &[u8]) -> Result<Reservation, ConfirmError> {
        let ticket = self.ticket_of(id)?;
        self.confirm(ticket)
    }

    /// When a provisional reservation ends unless it is confirmed; none if it does not end by itself.
    pub fn deadline(&self, ticket: Ticket) -> Option<u64> {
        match self.ledger.look(ticket)? {
            Sighting::Live(_, held) if held.provisional => {
                self.ledger.look_carried(ticket)?.deadline
            }
            _ => None,
        }
    }
}
