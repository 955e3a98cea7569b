//! Giving back, by ticket or by id.

use core::iter;
use core::ops::Range;

use super::batch::{ahead, parts};
use super::local::Local;
use super::reserve::worker_of;
use super::{Engine, ReleaseError, Released};
use crate::ledger::{Holding, NotLive, Ticket};
use crate::placement::Resources;
use crate::registry::WorkerRef;
use crate::sync::{Stop, stop};

impl From<NotLive> for ReleaseError {
    fn from(not_live: NotLive) -> Self {
        match not_live {
            NotLive::Gone => ReleaseError::NotHeld,
            NotLive::Busy => ReleaseError::InFlight,
        }
    }
}

impl Engine {
    /// Gives back what a ticket holds, exactly once: a second release, a late one, or one of a
    /// number that was never a ticket finds nothing and changes nothing. O(1); no lock, no system
    /// call, no allocation.
    #[inline]
    pub fn release(&self, ticket: Ticket) -> Result<Released, ReleaseError> {
        let local = self.local();
        self.release_with(local, ticket)
    }

    /// Gives back what an id holds; otherwise as [`Engine::release`].
    pub fn release_id(&self, id: &[u8]) -> Result<Released, ReleaseError> {
        let ticket = self.ticket_of(id)?;
        self.release_with(self.local(), ticket)
    }

    /// Gives back many: `results` is cleared and gets one result a ticket, in order.
    pub fn release_batch(
        &self,
        tickets: &[Ticket],
        results: &mut Vec<Result<Released, ReleaseError>>,
    ) {
        results.clear();
        self.release_each(tickets.len(), |k| tickets[k], |result| results.push(result));
    }

    #[inline(always)]
    pub(crate) fn release_each(
        &self,
        count: usize,
        ticket: impl Fn(usize) -> Ticket,
        mut done: impl FnMut(Result<Released, ReleaseError>),
    ) {
        let local = self.local();
        let far = self.ledger.is_far() && count > 0 && self.ledger.has_entry(ticket(0));
        for part in parts(count, far) {
            if far {
                self.ask_for_records(&part, ahead(&part, count), &ticket);
            }
            self.release_part(local, part, &ticket, &mut done);
        }
    }

    /// Apart from what goes round it, so that the registers are its own.
    #[inline(never)]
    fn release_part(
        &self,
        local: &Local,
        part: Range<usize>,
        ticket: &impl Fn(usize) -> Ticket,
        done: &mut impl FnMut(Result<Released, ReleaseError>),
    ) {
        part.for_each(|k| done(self.release_with(local, ticket(k))));
    }

    /// Asks for the records of what comes after a part, and for what those of the part lead to.
    #[inline(never)]
    fn ask_for_records(
        &self,
        part: &Range<usize>,
        ahead: Range<usize>,
        ticket: &impl Fn(usize) -> Ticket,
    ) {
        ahead.for_each(|k| self.ledger.fetch(ticket(k)));
        part.clone().for_each(|k| self.ledger.fetch_entry(ticket(k)));
    }

    /// The live reservation of an id. One that is being made is not held yet.
    pub(crate) fn ticket_of(&self, id: &[u8]) -> Result<Ticket, ReleaseError> {
        if id.is_empty() || id.len() > crate::MAX_ID_LEN {
            return Err(ReleaseError::NotHeld);
        }
        self.ledger.ticket_of(id, seahash::hash(id)).ok_or(ReleaseError::NotHeld)
    }

    /// Ends a reservation that has nothing of its slot any more, by who owns it.
    pub(super) fn end(&self, local: &Local, ticket: Ticket, holding: &Holding) {
        if holding.rides {
            self.settle(ticket, &holding.amount);
        }
        self.ledger.finish(&local.magazine, ticket);
    }

    /// Ends a reservation whose slot has been credited with its amount, not with its devices, by who
    /// owns it.
    pub(super) fn finish_with_devices(&self, local: &Local, ticket: Ticket, holding: &Holding) {
        if let Some(granted) = self.ledger.granted(ticket).filter(|_| holding.rides) {
            let given = (&Resources::ZERO, 1);
            self.give_devices(local, worker_of(holding), given, iter::once(granted));
        }
        self.finish(local, ticket, holding);
    }

    /// Ends a reservation whose slot has been credited, by who owns it.
    pub(super) fn finish(&self, local: &Local, ticket: Ticket, holding: &Holding) {
        self.end(local, ticket, holding);
        local.counters.released.add(1);
    }

    /// The same of one that carries more than an amount, by who has closed it.
    #[cold]
    #[inline(never)]
    fn release_riding(&self, local: &Local, ticket: Ticket, holding: Holding) -> Released {
        let worker = worker_of(&holding);
        let version = self.give_held(local, ticket, &holding);
        self.finish(local, ticket, &holding);
        Released { worker, amount: holding.amount, version }
    }

    #[inline(always)]
    pub(crate) fn release_with(
        &self,
        local: &Local,
        ticket: Ticket,
    ) -> Result<Released, ReleaseError> {
        let record = self.ledger.close_record(ticket)?;
        stop(Stop::Closed);
        let Some(holding) = record.plain_holding() else {
            return Ok(self.release_riding(local, ticket, record.holding()));
        };
        let worker = WorkerRef { index: holding.slot, incarnation: holding.incarnation };
        let version = self.give(local, worker, &holding.amount, 1);
        stop(Stop::Given);
        self.ledger.finish_record(&local.magazine, ticket, record);
        local.counters.released.add(1);
        Ok(Released { worker, amount: holding.amount, version })
    }
}
