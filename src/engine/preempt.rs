//! Room for a request of higher priority where others have to leave first.
//!
//! Two classes of use: what is *held* by reservations that are there, and what is *claimed* by a
//! request that is to take their place. A claim takes all that it needs from its worker's slot at once,
//! as one change from exactly the version that the plan was made at; what is free there may be less than
//! nothing until those that have to leave have left, so nobody else comes in between. What the victims
//! hold stays theirs, and counts, until the host has really stopped and released them. Only then can the
//! claim be confirmed: what is held never exceeds what there is.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::devices::WithDevices;
use super::limits::Limited;
use super::local::Local;
use super::reserve::{Checked, Drafted, worker_of};
use super::select::{Candidate, Planned, Query};
use super::{Engine, Request, Reservation, ReserveError, Terms};
use crate::ledger::{Draft, Sighting, Ticket};
use crate::placement::{
    Cost, Devices, Dimension, Free, Granted, Resources, Victim as Weighed, fewest_victims,
};
use crate::registry::{Name, WorkerRef};
use crate::slots::{Need, Slot, State, Wide, Word};
use crate::sync::{Stop, lock, stop};

/// A reservation that would have to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its ticket.
    pub ticket: Ticket,
    /// Its id; empty for an anonymous one.
    pub id: Name,
    /// Its rank.
    pub priority: i32,
    /// What it holds, devices apart.
    pub amount: Resources,
    /// The devices that it holds.
    pub granted: Option<Granted>,
}

/// Where a request would fit, and who would have to leave for it. Good for one use at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The worker.
    pub worker: WorkerRef,
    /// The version at which this is true.
    pub version: u64,
    /// Who would have to leave; nobody if it fits without.
    pub victims: Vec<Victim>,
    /// Victims of other claims that the request has to wait for, too.
    pub leaving: Vec<Ticket>,
}

/// What each claim waits for.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<Ticket, Vec<Ticket>>>);

/// What may leave a worker, and what is about to.
#[derive(Default)]
struct Tenants {
    candidates: Vec<(Ticket, Weighed)>,
    leaving: Vec<(Ticket, Weighed)>,
}

/// A worker as it is looked at.
struct Seen<'a> {
    at: Candidate,
    slot: &'a Slot,
    room: Room,
}

/// What is free on a worker, or would be.
#[derive(Clone, Copy)]
struct Room {
    free: Free,
    /// Of devices, where it has them and they are asked for.
    devices: Option<Devices>,
}

impl Room {
    fn plus(&mut self, amount: &Resources, granted: Option<Granted>) {
        self.free = self.free.plus(amount);
        let more = self.devices.zip(granted).map(|(free, granted)| free.plus(&granted));
        self.devices = more.or(self.devices);
    }

    fn fits(&self, query: &Query) -> bool {
        let devices = query.devices.is_none_or(|need| self.devices.is_some_and(|d| d.fits(&need)));
        self.free.fits(&query.amount()) && devices
    }

    /// What a request gets of the devices, and what those that are `free` have then, while others are
    /// still there.
    fn promise(&self, query: &Query, free: &Devices) -> Option<(Granted, Devices)> {
        let (need, prefer) = query.devices_by_policy()?;
        let granted = self.devices?.grant(&need, prefer)?;
        Some((granted, free.promise(&granted)?))
    }
}

/// What is there, by who only looks.
struct Looking;

impl Planned for Looking {
    const REAL: bool = false;

    fn free(&self, at: &Candidate, _: &Slot) -> Free {
        at.word.free()
    }
}

type Best = ((Cost, usize, u32), Preemption);

impl Engine {
    /// The best place for a request if others may be displaced for it: those that said they are
    /// [preemptable](Terms::preemptable) and whose priority is lower than the request's
    /// ([`Terms::priority`]). On the worker where the fewest have to leave, then with the lowest
    /// priorities, then with the least capacity; among equal ones by rank, then by index. Changes
    /// nothing; [`Engine::preempt`] does what the plan says.
    ///
    /// Devices are asked for as in [`Engine::reserve`]: for a part of one, some of those on it leave; for
    /// several as a whole, all that are on them, where they may.
    ///
    /// A request that no set of victims would make room for is refused as by
    /// [`Engine::reserve`]. Its quota is not asked for here. Takes no lock; allocates; looks at every
    /// matching worker and at all reservations there ever were at once. The set is the smallest unless
    /// hundreds would have to leave (see the placement module). What is held and what is claimed of a
    /// worker come to no more than 8,388 cores, 128 TiB and 256 GPUs together, nor do claims of one
    /// device to more than 32; a worker where they would is none for the request.
    pub fn plan_preemption(&self, request: &Request<'_>) -> Result<Preemption, ReserveError> {
        let local = self.local();
        let checked = self.check(local, request)?;
        let terms = request.terms.copied().unwrap_or_default();
        let mut tenants = self.tenants(&terms);
        let mut best: Option<Best> = None;
        let mut directory = local.directory();
        let view = directory.load().view(checked.selector.0);
        let tiers = view.map_or(&[][..], |view| view.tiers(&checked.query.need));
        let shared = &self.registry.shared;
        for (rank, tier) in tiers.iter().enumerate() {
            tier.each(&shared.blocks, |occupant| {
                let Some(slot) = shared.table.get(occupant.slot) else { return };
                let (word, room) = self.room(occupant.slot, slot, &checked.query);
                let stamp = slot.stamp();
                let at = Candidate::new(occupant.slot, stamp, word);
                let there = stamp.epoch == occupant.epoch && word.state() != State::Removed;
                if there && word.state().takes(checked.query.ahead) {
                    let tenants = tenants.remove(&at.worker()).unwrap_or_default();
                    let seen = Seen { at, slot, room };
                    self.weigh(&checked, &terms, rank, seen, tenants, &mut best);
                }
            });
        }
        drop(directory);
        if let Some((_, mut plan)) = best {
            for victim in &mut plan.victims {
                victim.id = self.ledger.id_of(victim.ticket).unwrap_or_default().into();
            }
            return Ok(plan);
        }
        let devices = WithDevices { shared, need: checked.query.devices, beside: &Looking };
        let found = self.choose(local, &checked, &Limited::of(self, terms.limits, &devices))?;
        // It has come to fit meanwhile.
        let (worker, version) = (found.worker(), found.word.version());
        Ok(Preemption { worker, version, victims: Vec::new(), leaving: Vec::new() })
    }

    /// What is free on a worker; of devices, if they are asked for.
    fn room(&self, index: u32, slot: &Slot, query: &Query) -> (Word<Wide>, Room) {
        let pool = query.devices.and_then(|_| self.registry.shared.pool(index));
        let (word, devices) = match pool {
            Some(pool) => slot.devices(pool),
            None => (slot.word(), None),
        };
        (word, Room { free: word.free(), devices })
    }

    /// By worker, what the request may displace, and what is leaving already.
    fn tenants(&self, terms: &Terms<'_>) -> HashMap<WorkerRef, Tenants> {
        let mut tenants = HashMap::<WorkerRef, Tenants>::new();
        for sighting in self.ledger.sightings() {
            let Sighting::Live(ticket, held) = sighting else { continue };
            if !held.rides {
                continue;
            }
            let Some(carried) = self.ledger.look_carried(ticket) else { continue };
            let Some(granted) = self.ledger.look_granted(ticket) else { continue };
            let one = Weighed { priority: carried.priority, amount: held.amount, granted };
            if self.ledger.is_displaced(ticket) {
                tenants.entry(worker_of(&held)).or_default().leaving.push((ticket, one));
            } else if carried.preemptable && carried.priority < terms.priority {
                tenants.entry(worker_of(&held)).or_default().candidates.push((ticket, one));
            }
        }
        tenants
    }

    /// What it would take on one worker.
    fn weigh(
        &self,
        checked: &Checked,
        terms: &Terms<'_>,
        rank: usize,
        Seen { at, slot, mut room }: Seen<'_>,
        tenants: Tenants,
        best: &mut Option<Best>,
    ) {
        let query = &checked.query;
        let need = query.amount();
        let limits = Limited::of(self, terms.limits, &Looking);
        let capacity = slot.capacity();
        let has_devices = room.devices.is_some() || query.devices.is_none();
        if !has_devices || !query.need.fits_in(&capacity) || limits.bars(&at) {
            return;
        }
        let now = room.devices;
        let mut leaving = Vec::new();
        if !room.fits(query) {
            for (ticket, one) in &tenants.leaving {
                room.plus(&one.amount, one.granted);
                leaving.push(*ticket);
            }
        }
        let missing = |d: Dimension| match need.get(d) {
            0 => 0,
            n => (n as i64 - room.free.get(d)).max(0) as u64,
        };
        let [cpu, memory, gpus] = Dimension::ALL.map(missing);
        let missing = Resources { cpu, memory, gpus };
        let held: Vec<Weighed> = tenants.candidates.iter().map(|(_, one)| *one).collect();
        let devices = query.devices.as_ref().zip(room.devices.as_ref());
        let fewest = fewest_victims(&held, &missing, devices, slot.weights());
        let Some((cost, set)) = fewest else { return };
        let key = (cost, rank, at.slot);
        if best.as_ref().is_some_and(|(other, _)| *other <= key) {
            return;
        }
        set.iter().for_each(|&n| room.plus(&held[n].amount, held[n].granted));
        let devices = now.is_none_or(|now| room.promise(query, &now).is_some());
        if !devices || at.word.promise(&need, &capacity).is_none() {
            return;
        }
        let victim = |n: usize| {
            let (ticket, one) = tenants.candidates[n];
            let Weighed { priority, amount, granted } = one;
            Victim { ticket, id: Name::default(), priority, amount, granted }
        };
        let victims = set.into_iter().map(victim).collect();
        let (worker, version) = (at.worker(), at.word.version());
        *best = Some((key, Preemption { worker, version, victims, leaving }));
    }

    /// Does what a plan says, as one change of its worker from exactly the plan's version, or nothing:
    /// a worker that has changed since is a [`ReserveError::VersionConflict`], whose remedy is another
    /// plan. The same id again is answered with the reservation that it holds, as by
    /// [`Engine::reserve`].
    ///
    /// The request's reservation is provisional, a *claim*, as long as anybody has to leave for it: the
    /// host stops the victims and releases each once it really has; then [`Engine::confirm`] makes the
    /// claim a reservation like any other. Until then they hold what they hold. A claim that is released,
    /// or that comes under [`Terms::hold_until`] and is not confirmed in time, gives back what it
    /// claimed; its victims, if they are still there, are not asked to leave by anybody then, but are not
    /// asked again either.
    pub fn preempt(
        &self,
        request: &Request<'_>,
        plan: &Preemption,
    ) -> Result<Reservation, ReserveError> {
        let local = self.local();
        let result = self.try_preempt(local, request, plan);
        local.counters.note(&result);
        result
    }

    fn try_preempt(
        &self,
        local: &Local,
        request: &Request<'_>,
        plan: &Preemption,
    ) -> Result<Reservation, ReserveError> {
        let checked = self.check(local, request)?;
        let draft = match self.draft(local, request.id, checked.id_hash, |_| false, |_| false)? {
            Drafted::Mine(draft) => draft,
            Drafted::Held(reservation) => return Ok(reservation),
        };
        let terms = request.terms.copied().unwrap_or_default();
        let waits: Vec<Ticket> =
            plan.victims.iter().map(|v| v.ticket).chain(plan.leaving.iter().copied()).collect();
        let claim = !waits.is_empty();
        let claimed = self.place_there_on_terms(
            draft,
            &checked.query,
            plan.worker,
            (&terms, claim),
            |draft| self.claim_at(local, draft, &checked, plan, &terms, waits),
        );
        if claimed.is_err() {
            self.ledger.discard(&local.magazine, draft);
        }
        claimed
    }

    /// The one change. Races with every other change of the worker, a release of a victim among them:
    /// the word is swapped from the plan's version, and what a victim held at that version it holds, or
    /// is about to give back.
    fn claim_at(
        &self,
        local: &Local,
        draft: Draft,
        checked: &Checked,
        plan: &Preemption,
        terms: &Terms<'_>,
        waits: Vec<Ticket>,
    ) -> Result<Reservation, ReserveError> {
        let worker = plan.worker;
        let shared = &self.registry.shared;
        let query = &checked.query;
        let slot = shared.table.get(worker.index).ok_or(ReserveError::UnknownWorker)?;
        let (word, now) = self.room(worker.index, slot, query);
        if self.gone(worker) {
            return Err(ReserveError::UnknownWorker);
        }
        let moved = || {
            let now = slot.word();
            let (free, state) = (now.shown_free().available(), now.state());
            Err(ReserveError::VersionConflict { version: now.version(), free, state })
        };
        let (need, capacity) = (query.amount(), slot.capacity());
        let takes = word.state().takes(query.ahead);
        if word.version() != plan.version || !takes || !query.need.fits_in(&capacity) {
            return moved();
        }
        // A plan is the host's to hand in: what it says is not believed, but looked up.
        let room = self.room_without(worker, now, plan, terms);
        let Some(room) = room.filter(|room| room.fits(query) && self.suits(local, checked, worker))
        else {
            return moved();
        };
        let promised = now.devices.map(|free| room.promise(query, &free));
        let Some(less) = word.promise(&need, &capacity) else { return moved() };
        self.ledger.aim(draft, worker.index, worker.incarnation, &need);
        let swapped = match (promised, shared.pool(worker.index)) {
            (None, _) => slot.swap_from(word, less).then_some(less),
            (Some(Some((granted, left))), Some(pool)) => {
                let swapped = slot.swap_with_devices(pool, (word, less), left);
                let swapped = swapped.map_err(|_| ReserveError::Contended)?;
                swapped.inspect(|_| self.ledger.grant(draft.index(), granted))
            }
            (Some(_), _) => return moved(),
        };
        let Some(less) = swapped else { return moved() };
        stop(Stop::Claimed);
        let ticket = draft.ticket();
        if !waits.is_empty() {
            // Before it can be confirmed.
            self.claims.add(ticket, waits, |ticket| self.is_held(ticket));
        }
        let version = less.version();
        if !self.ledger.publish(draft, version, || self.gone(worker)) {
            self.claims.remove(ticket);
            return Err(ReserveError::UnknownWorker);
        }
        shared.blocks.taken(&shared.table, slot, less, Need::new(&need));
        for victim in &plan.victims {
            self.ledger.displace(victim.ticket);
        }
        local.counters.preempted.add(plan.victims.len() as u64);
        let provisional = draft.is_provisional();
        Ok(Reservation { ticket, worker, version, existing: false, provisional })
    }

    /// What would be free if those had left. None: one of the victims is not what the plan takes it for.
    fn room_without(
        &self,
        worker: WorkerRef,
        mut room: Room,
        plan: &Preemption,
        terms: &Terms<'_>,
    ) -> Option<Room> {
        let mut seen = Vec::new();
        let tickets = plan.victims.iter().map(|v| (v.ticket, true));
        for (ticket, victim) in tickets.chain(plan.leaving.iter().map(|&t| (t, false))) {
            let Some(Sighting::Live(_, held)) = self.ledger.look(ticket) else { return None };
            let carried = self.ledger.look_carried(ticket)?;
            let may_leave = match victim {
                true => held.rides && carried.preemptable && carried.priority < terms.priority,
                false => self.ledger.is_displaced(ticket),
            };
            if worker_of(&held) != worker || !may_leave || seen.contains(&ticket) {
                return None;
            }
            seen.push(ticket);
            room.plus(&held.amount, self.ledger.look_granted(ticket)?);
        }
        Some(room)
    }

    fn is_held(&self, ticket: Ticket) -> bool {
        self.ledger.look(ticket).is_some()
    }

    /// How many a claim still waits for; none if it is no claim, or waits for nobody.
    pub(super) fn victims_left(&self, ticket: Ticket) -> Option<usize> {
        let is_claim = self.ledger.look_carried(ticket).is_some_and(|carried| carried.claim);
        if !is_claim {
            return None;
        }
        let left = self.claims.left(ticket, |victim| self.is_held(victim));
        (left > 0).then_some(left)
    }
}

impl Claims {
    /// Forgets those that are not held any more, now and then.
    fn add(&self, ticket: Ticket, waits: Vec<Ticket>, is_held: impl Fn(Ticket) -> bool) {
        let mut claims = lock(&self.0);
        if claims.len() == claims.capacity() {
            claims.retain(|&ticket, _| is_held(ticket));
        }
        claims.insert(ticket, waits);
    }

    fn remove(&self, ticket: Ticket) {
        lock(&self.0).remove(&ticket);
    }

    fn left(&self, ticket: Ticket, is_held: impl Fn(Ticket) -> bool) -> usize {
        let mut claims = lock(&self.0);
        let Some(waits) = claims.get_mut(&ticket) else { return 0 };
        waits.retain(|&victim| is_held(victim));
        let left = waits.len();
        if left == 0 {
            claims.remove(&ticket);
        }
        left
    }
}
