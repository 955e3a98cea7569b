//! Making a reservation hold another amount where it is.

use super::local::Local;
use super::reserve::worker_of;
use super::{Engine, ReleaseError, ResizeError, Resized};
use crate::ledger::{Holding, OverLimit, Ticket};
use crate::placement::{Resources, missing};
use crate::registry::WorkerRef;
use crate::slots::{Change, Fence, Refused};
use crate::sync::{Stop, stop};

/// How often a change that was refused, and would not be now, is tried again.
const TRIES: u32 = 1_000;

impl From<ReleaseError> for ResizeError {
    /// Of one that is not there to be released, nor resized.
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::InFlight => ResizeError::InFlight,
            _ => ResizeError::NotHeld,
        }
    }
}

impl From<OverLimit> for ResizeError {
    fn from(over: OverLimit) -> Self {
        let OverLimit { dimension, used, limit } = over;
        ResizeError::QuotaExceeded { dimension, used, limit }
    }
}

impl Engine {
    /// Makes a live reservation hold `need` instead of what it holds, as one change of its worker:
    /// its version rises by one, and at no instant is the difference anybody else's. Ticket, id and
    /// worker stay. A reservation that holds just that already is left alone, and so is the worker.
    ///
    /// Each dimension goes its own way, more of one and less of another. Only what grows must be
    /// free, and needs a worker that is ready or pending; what shrinks or stays never blocks, in any
    /// state, over-committed or not. A change that is refused has changed nothing.
    ///
    /// The reservation holds its id all the while; others who ask for it meanwhile are told
    /// `InFlight`. If the worker is removed during the call, the reservation goes with it and ends
    /// once: here, as [`ResizeError::Lost`], or among what the removal returns.
    ///
    /// O(1); no lock, no system call, no allocation.
    pub fn resize(&self, ticket: Ticket, need: Resources) -> Result<Resized, ResizeError> {
        check_size(&need)?;
        self.resize_to(self.local(), ticket, need)
    }

    /// Makes what an id holds another amount; otherwise as [`Engine::resize`].
    pub fn resize_id(&self, id: &[u8], need: Resources) -> Result<Resized, ResizeError> {
        check_size(&need)?;
        let ticket = self.ticket_of(id)?;
        self.resize_to(self.local(), ticket, need)
    }

    /// Races with a release, a group or another resize of the same reservation (one of them moves
    /// the header first, the others are told so), with any other change of the worker (one swap fails
    /// and decides anew), and with the removal of the worker, which passes a pledged record by: the
    /// look at the worker in `unpledge` is its partner.
    fn resize_to(
        &self,
        local: &Local,
        ticket: Ticket,
        need: Resources,
    ) -> Result<Resized, ResizeError> {
        let held = self.ledger.pledge(ticket).map_err(ReleaseError::from)?;
        stop(Stop::Pledged);
        let worker = worker_of(&held);
        let gone = || self.gone(worker);
        let changed = match held.amount == need {
            true => Ok(None),
            false => self.resize_pledged(local, ticket, &held, &need).map(Some),
        };
        let kept = match changed {
            Ok(Some(version)) => {
                self.ledger.unpledge_as(ticket, held.provisional, &need, version, gone)
            }
            // As it was.
            Ok(None) | Err(_) => self.ledger.unpledge(ticket, held.provisional, gone),
        };
        if !kept {
            // The removal has passed it by, and what it held went with the worker.
            let amount = if let Ok(Some(_)) = changed { need } else { held.amount };
            self.end(local, ticket, &Holding { amount, ..held });
            return Err(ResizeError::Lost);
        }
        let changed = changed?;
        local.counters.resized.add(changed.is_some() as u64);
        let version = changed.unwrap_or(held.version);
        Ok(Resized { ticket, worker, before: held.amount, version })
    }

    /// Changes slot and account of a pledged reservation: charged before more is taken, credited after
    /// it was given back.
    fn resize_pledged(
        &self,
        local: &Local,
        ticket: Ticket,
        held: &Holding,
        need: &Resources,
    ) -> Result<u64, ResizeError> {
        let change = || self.change_by_difference(local, worker_of(held), &held.amount, need);
        if !held.rides {
            return change();
        }
        let (less, more) = (held.amount.beyond(need), need.beyond(&held.amount));
        self.charge_more(ticket, &more)?;
        let changed = change();
        self.credit_some(ticket, if changed.is_ok() { &less } else { &more });
        changed
    }

    /// Changes the slot of a pledged reservation; the version that this made.
    fn change_by_difference(
        &self,
        local: &Local,
        worker: WorkerRef,
        held: &Resources,
        need: &Resources,
    ) -> Result<u64, ResizeError> {
        let (give, take) = (held.beyond(need), need.beyond(held));
        let fence = Fence::Incarnation(worker.incarnation);
        // It is there already: a worker on its way keeps it, and may hold more for it.
        let change =
            Change { fence, give, take, count: 1, ahead: true, expected: None, devices: None };
        let slot = self.registry.shared.table.get(worker.index).ok_or(ResizeError::NotHeld)?;
        for _ in 0..TRIES {
            let mut retries = 0;
            let changed = slot.change(&change, &mut retries);
            if retries > 0 {
                local.counters.cas_retries.add(retries);
            }
            let refused = match changed {
                Ok(changed) => {
                    stop(Stop::Resized);
                    self.registry.shared.blocks.freed(slot, changed.before, changed.after);
                    return Ok(changed.version());
                }
                Err(refused) => refused,
            };
            let word = slot.word();
            // After the word, so that this is of the registration that the reservation is on.
            if self.gone(worker) {
                return Err(ResizeError::NotHeld);
            }
            match refused {
                Refused::Stale | Refused::Version(_) => return Err(ResizeError::NotHeld),
                Refused::Contended => return Err(ResizeError::Contended),
                // Said of the word as it is now; if it would do by now, it is tried again.
                Refused::State => {
                    if !word.state().takes(change.ahead) {
                        return Err(ResizeError::State { state: word.state() });
                    }
                }
                Refused::Short => {
                    if word.page() != 0 && give.gpus | take.gpus != 0 {
                        return Err(ResizeError::Devices);
                    }
                    let missing = missing(&word.free(), &take);
                    if !missing.is_zero() {
                        return Err(ResizeError::Short { missing });
                    }
                }
            }
        }
        Err(ResizeError::Contended)
    }
}

/// Refuses what no reservation can hold.
fn check_size(need: &Resources) -> Result<(), ResizeError> {
    if need.is_zero() {
        return Err(ResizeError::Empty);
    }
    let Some(dimension) = need.first_over(&Resources::MAX) else { return Ok(()) };
    let (given, limit) = (need.get(dimension), Resources::MAX.get(dimension));
    Err(ResizeError::TooLarge { dimension, given, limit })
}
