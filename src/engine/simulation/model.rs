//! What must be so, told by the answers alone: which reservations there are and what they hold, which
//! workers and in which state.
//!
//! Calls that come under the registry's lock come back in the order in which they had it, and so do
//! those that end or change one reservation, since nothing stops between their last step and their
//! return. A reservation may be met by others before its maker comes back with it: what happened to it
//! until then is kept for its birth.

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{ACCOUNTS, Ask, On};
use super::world::World;
use crate::engine::{Quota, Reservation, ReserveError};
use crate::ledger::Ticket;
use crate::placement::Resources;
use crate::registry::WorkerRef;
use crate::slots::State;

/// A reservation.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: u8,
    pub(super) at: WorkerRef,
    pub(super) amount: Resources,
    pub(super) on: On,
    pub(super) provisional: bool,
    /// Who has to leave for it.
    pub(super) waits: Vec<Ticket>,
}

/// What becomes of a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// By a call that began then.
    Confirmed(u64),
    Resized(Resources),
    Released(Resources),
    /// By a tick of this time.
    Expired(Resources, u64),
    /// With its worker.
    Lost(Option<Resources>),
}

/// How one ended, as far as that matters to calls that come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Released,
    Expired,
    Lost,
    /// With its worker, while somebody was resizing one.
    LostResized,
}

/// A registered worker.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) at: WorkerRef,
    pub(super) total: Resources,
    pub(super) set_aside: Resources,
    pub(super) pool: bool,
    /// Its GPUs are devices.
    pub(super) devices: bool,
    pub(super) zone: Option<Vec<u8>>,
    pub(super) machine: Option<Vec<u8>>,
    pub(super) ready: bool,
    pub(super) cordoned: bool,
    pub(super) draining: bool,
    pub(super) generation: u64,
    /// Until when its lease runs: one of these, and when the call was over that said so.
    pub(super) leases: Vec<(u64, u64)>,
    /// Its lease may be another one.
    pub(super) lease_unsure: bool,
}

impl Worker {
    pub(super) fn state(&self) -> State {
        match (self.draining, self.cordoned, self.ready) {
            (true, ..) => State::Draining,
            (_, true, _) => State::Cordoned,
            (.., true) => State::Ready,
            (.., false) => State::Pending,
        }
    }

    pub(super) fn capacity(&self) -> Resources {
        self.total.beyond(&self.set_aside)
    }

    /// Whether a request may use it, whatever is free.
    pub(super) fn suits(&self, ask: &Ask, gpu_separation: bool) -> bool {
        let gpus = match ask.devices() {
            Some(_) => self.devices,
            None if ask.need.gpus > 0 => !self.devices,
            None => !gpu_separation || self.total.gpus == 0,
        };
        gpus && (ask.selector == 0 || self.pool)
    }
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) live: BTreeMap<Ticket, Held>,
    /// What happened to reservations that nobody has come back with.
    early: BTreeMap<Ticket, Vec<Event>>,
    /// When each ended, and how.
    pub(super) ended: BTreeMap<Ticket, (u64, End)>,
    /// Ends of which only the id is known, since the last comparison.
    pub(super) ended_by_id: Vec<u8>,
    pub(super) workers: BTreeMap<u8, Worker>,
    /// Registrations that have ended: when, and who took over.
    pub(super) gone: BTreeMap<WorkerRef, (u64, Option<WorkerRef>)>,
    pub(super) quotas: [Quota; ACCOUNTS],
    /// The time that the last tick told.
    pub(super) now: u64,
    /// Versions that somebody says to have made, by slot.
    versions: BTreeSet<(u32, u64)>,
    /// Batches by id, and what was answered.
    pub(super) batches: BTreeMap<u8, Vec<Result<Reservation, ReserveError>>>,
    /// Heartbeats of workers whose registration has not come back yet: the lease, as in [`Worker`], and
    /// whether they were of this registration for sure.
    pub(super) early_beats: Vec<(WorkerRef, (u64, u64), bool)>,
    /// Told to be held no more.
    pub(super) must_end: Vec<Ticket>,
    /// Told to be held, by who asked for the id.
    pub(super) met: Vec<(Ticket, u8)>,
}

impl Model {
    /// What holds an id, as far as is known.
    pub(super) fn holder(&self, id: u8) -> Option<Ticket> {
        let held = self.live.iter().find(|(_, held)| id != 0 && held.id == id);
        held.map(|(&ticket, _)| ticket)
    }

    pub(super) fn quota_limits(&self) -> [[u64; 3]; ACCOUNTS] {
        self.quotas.map(|quota| {
            [quota.cpu, quota.memory, quota.gpus].map(|limit| limit.unwrap_or(u64::MAX))
        })
    }

    /// Where something is that was made there.
    pub(super) fn now_at(&self, mut at: WorkerRef) -> WorkerRef {
        while let Some((_, Some(next))) = self.gone.get(&at) {
            at = *next;
        }
        at
    }

    /// What is still kept for reservations that nobody has come back with.
    pub(super) fn unborn(&self) -> Option<Ticket> {
        self.early.keys().next().copied()
    }
}

impl World {
    /// A reservation is there that was not.
    pub(super) fn born(&mut self, step: u64, began: u64, held: Held, made: &Reservation) {
        let ticket = made.ticket;
        let provisional = held.on.hold_until.is_some() || !held.waits.is_empty();
        if made.provisional != provisional {
            self.fail(format!("{made:?} should be provisional: {provisional}"));
        }
        self.made_version(made.worker, made.version);
        match self.model.gone.get(&made.worker) {
            Some((when, _)) if *when < began => {
                self.fail(format!("{made:?} is on a registration that had ended at {when}"));
            }
            _ => {}
        }
        if self.model.ended.contains_key(&ticket) || self.model.live.contains_key(&ticket) {
            return self.fail(format!("{ticket:?} was given out twice"));
        }
        self.model.live.insert(ticket, held);
        for event in self.model.early.remove(&ticket).unwrap_or_default() {
            self.happened(step, ticket, event);
        }
    }

    /// A call has changed a slot, and nobody else made that version.
    pub(super) fn made_version(&mut self, at: WorkerRef, version: u64) {
        if !self.model.versions.insert((at.index, version)) {
            self.fail(format!("two calls made version {version} of {at}"));
        }
    }

    /// Somebody has been told that this reservation holds an id.
    pub(super) fn met(&mut self, began: u64, ticket: Ticket, id: u8) {
        match self.model.ended.get(&ticket) {
            Some((when, _)) if *when < began => {
                self.fail(format!("{ticket:?} is said to hold an id, and ended at {when}"));
            }
            _ => self.model.met.push((ticket, id)),
        }
    }

    /// Somebody has been told that this one is held no more.
    pub(super) fn missed(&mut self, ticket: Option<Ticket>) {
        let live = ticket.filter(|ticket| self.model.live.contains_key(ticket));
        self.model.must_end.extend(live);
    }

    pub(super) fn happened(&mut self, step: u64, ticket: Ticket, event: Event) {
        if let Some((when, how)) = self.model.ended.get(&ticket) {
            let fine = match event {
                // A removal comes first where both end it; it held the new amount then.
                Event::Resized(_) => *how == End::LostResized,
                // Given back before its confirmation has come back; but never expired.
                Event::Confirmed(began) => *when >= began && *how != End::Expired,
                _ => false,
            };
            if fine {
                return;
            }
            let what = format!("{ticket:?} has ended at {when} ({how:?}), and then: {event:?}");
            return self.fail(what);
        }
        let Some(held) = self.model.live.get_mut(&ticket) else {
            return self.model.early.entry(ticket).or_default().push(event);
        };
        let amount = match event {
            Event::Confirmed(_) => {
                held.provisional = false;
                return;
            }
            Event::Resized(amount) => {
                held.amount = amount;
                return;
            }
            Event::Released(amount) | Event::Expired(amount, _) => amount,
            Event::Lost(amount) => amount.unwrap_or(held.amount),
        };
        let held = held.clone();
        let resizing = self.flights.iter().flatten().any(|flight| flight.resizes);
        let how = match event {
            Event::Lost(_) if resizing => End::LostResized,
            // Just before its worker's removal comes by.
            Event::Expired(..) if resizing && amount != held.amount => End::LostResized,
            Event::Lost(_) => End::Lost,
            Event::Expired(..) => End::Expired,
            _ => End::Released,
        };
        if how != End::LostResized && amount != held.amount {
            self.fail(format!("{ticket:?} held {}, and then: {event:?}", held.amount));
        }
        if let Event::Expired(_, now) = event {
            let due = held.on.hold_until.is_some_and(|deadline| deadline <= now);
            if !due || !held.provisional {
                self.fail(format!("{ticket:?} should not have expired at {now}: {held:?}"));
            }
        }
        self.model.live.remove(&ticket);
        self.model.ended.insert(ticket, (step, how));
        self.recent.push_back(ticket);
        if self.recent.len() > 12 {
            self.recent.pop_front();
        }
    }
}
