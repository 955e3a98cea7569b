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

use super::limits::Limited;
use super::local::Local;
use super::reserve::{Checked, Drafted, worker_of};
use super::select::{Candidate, Planned};
use super::{Engine, Request, Reservation, ReserveError, Terms};
use crate::ledger::{Draft, Sighting, Ticket};
use crate::placement::{Cost, Dimension, Free, Resources, Victim as Weighed, fewest_victims};
use crate::registry::{Name, WorkerRef};
use crate::slots::{Slot, State};
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
    /// What it holds.
    pub amount: Resources,
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
    candidates: Vec<(Ticket, i32, Resources)>,
    leaving: Vec<(Ticket, Resources)>,
}

/// What is there, by who only looks.
struct AsItIs;

impl Planned for AsItIs {
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
    /// A request that no set of victims would make room for is refused as by
    /// [`Engine::reserve`]; one that asks for devices is an error
    /// ([`DeviceError::OneAtATime`](crate::DeviceError::OneAtATime)). Its quota is not asked for here. Takes no lock; allocates; looks at every
    /// matching worker and at all reservations there ever were at once. The set is the smallest unless
    /// hundreds would have to leave (see the placement module).
    pub fn plan_preemption(&self, request: &Request<'_>) -> Result<Preemption, ReserveError> {
        let local = self.local();
        let checked = self.check_amounts(local, request)?;
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
                let word = slot.word();
                let stamp = slot.stamp();
                let at = Candidate::new(occupant.slot, stamp, word);
                let there = stamp.epoch == occupant.epoch && word.state() != State::Removed;
                if there && word.state().takes(checked.query.ahead) {
                    let tenants = tenants.remove(&at.worker()).unwrap_or_default();
                    self.weigh(&checked, &terms, rank, (at, slot), tenants, &mut best);
                }
            });
        }
        drop(directory);
        match best {
            Some((_, mut plan)) => {
                for victim in &mut plan.victims {
                    victim.id = self.ledger.id_of(victim.ticket).unwrap_or_default().into();
                }
                Ok(plan)
            }
            None => match self.choose(local, &checked, &Limited::of(self, terms.limits, &AsItIs)) {
                Err(refused) => Err(refused),
                // It has come to fit meanwhile.
                Ok(found) => {
                    let (worker, version) = (found.worker(), found.word.version());
                    Ok(Preemption { worker, version, victims: Vec::new(), leaving: Vec::new() })
                }
            },
        }
    }

    /// By worker, what the request may displace, and what is leaving already.
    fn tenants(&self, terms: &Terms<'_>) -> HashMap<WorkerRef, Tenants> {
        let mut tenants = HashMap::<WorkerRef, Tenants>::new();
        for sighting in self.ledger.sightings() {
            let Sighting::Live(ticket, held) = sighting else { continue };
            let Some(carried) = held.rides.then(|| self.ledger.look_carried(ticket)).flatten()
            else {
                continue;
            };
            if self.ledger.is_displaced(ticket) {
                let on = tenants.entry(worker_of(&held)).or_default();
                on.leaving.push((ticket, held.amount));
            } else if carried.preemptable && carried.priority < terms.priority {
                let on = tenants.entry(worker_of(&held)).or_default();
                on.candidates.push((ticket, carried.priority, held.amount));
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
        (at, slot): (Candidate, &Slot),
        tenants: Tenants,
        best: &mut Option<Best>,
    ) {
        let need = &checked.query.need;
        let limits = Limited::of(self, terms.limits, &AsItIs);
        if !need.fits_in(&slot.capacity()) || limits.bars(&at) {
            return;
        }
        let mut free = at.word.free();
        let mut leaving = Vec::new();
        if !free.fits(need) {
            for (ticket, amount) in &tenants.leaving {
                free = free.plus(amount);
                leaving.push(*ticket);
            }
        }
        let missing = |d: Dimension| match need.get(d) {
            0 => 0,
            n => (n as i64 - free.get(d)).max(0) as u64,
        };
        let [cpu, memory, gpus] = Dimension::ALL.map(missing);
        let missing = Resources { cpu, memory, gpus };
        let held: Vec<Weighed> = tenants
            .candidates
            .iter()
            .map(|&(_, priority, amount)| Weighed { priority, amount })
            .collect();
        let Some((cost, set)) = fewest_victims(&held, &missing, slot.weights()) else { return };
        let key = (cost, rank, at.slot);
        if best.as_ref().is_some_and(|(other, _)| *other <= key) {
            return;
        }
        let victim = |n: usize| {
            let (ticket, priority, amount) = tenants.candidates[n];
            Victim { ticket, id: Name::default(), priority, amount }
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
        let checked = self.check_amounts(local, request)?;
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
        let slot = self.registry.shared.table.get(worker.index);
        let slot = slot.ok_or(ReserveError::UnknownWorker)?;
        let word = slot.word();
        if self.gone(worker) {
            return Err(ReserveError::UnknownWorker);
        }
        let moved = || {
            let now = slot.word();
            let (free, state) = (now.free().available(), now.state());
            Err(ReserveError::VersionConflict { version: now.version(), free, state })
        };
        let need = &checked.query.need;
        let takes = word.state().takes(checked.query.ahead);
        if word.version() != plan.version || !takes || !need.fits_in(&slot.capacity()) {
            return moved();
        }
        // A plan is the host's to hand in: what it says is not believed, but looked up.
        let Some(room) = self.room_without(worker, word.free(), plan, terms) else {
            return moved();
        };
        if !room.fits(need) || !self.suits(local, checked, worker) {
            return moved();
        }
        self.ledger.aim(draft, worker.index, worker.incarnation, need);
        let less = word.promise(need);
        if !slot.swap_from(word, less) {
            return moved();
        }
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
        let shared = &self.registry.shared;
        shared.blocks.taken(&shared.table, slot, less, need);
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
        mut free: Free,
        plan: &Preemption,
        terms: &Terms<'_>,
    ) -> Option<Free> {
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
            free = free.plus(&held.amount);
        }
        Some(free)
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
