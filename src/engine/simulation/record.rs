//! What an answer means for the model, and what is wrong with it.

use super::model::{Event, Held, Worker};
use super::ops::{Ask, Op, Outcome, Step, Word};
use super::world::{Flight, World};
use crate::engine::*;
use crate::ledger::Ticket;
use crate::registry::{WorkerError, WorkerInfo, WorkerRef};
use crate::slots::State;

impl World {
    pub(super) fn record(
        &mut self,
        engine: &Engine,
        (step, flight): (u64, &Flight),
        op: &Op,
        outcome: Outcome,
    ) {
        match (op, outcome) {
            (Op::Preempt(ask, plan), Outcome::Reserved(result)) => {
                let victims = plan.victims.iter().map(|victim| victim.ticket);
                let waits = victims.chain(plan.leaving.iter().copied()).collect();
                self.reserved((step, flight), op, ask, waits, &result);
            }
            (Op::Reserve(ask) | Op::ReserveOn(_, _, ask), Outcome::Reserved(result)) => {
                self.reserved((step, flight), op, ask, Vec::new(), &result);
            }
            (_, Outcome::Released(ticket, result)) => {
                self.released((step, flight), ticket, &result);
            }
            (Op::ReleaseMany(tickets), Outcome::ReleasedMany(results)) => {
                for (ticket, result) in tickets.iter().zip(&results) {
                    self.released((step, flight), Some(*ticket), result);
                }
            }
            (_, Outcome::Confirmed(ticket, result)) => {
                self.confirmed(engine, (step, flight), ticket, &result);
            }
            (Op::Resize(_, need) | Op::ResizeId(_, need), Outcome::Resized(ticket, result)) => {
                self.resized((step, flight), ticket, need, &result);
            }
            (Op::Batch(mode, asks), Outcome::Batch(_, results)) => {
                self.batched((step, flight), op, (*mode, asks), &results);
            }
            (Op::Once(id, mode, asks), Outcome::Batch(done, results)) => match done {
                Ok(true) => {
                    self.batched((step, flight), op, (*mode, asks), &results);
                    let placed = results.iter().any(Result::is_ok);
                    if placed && self.model.batches.insert(*id, results).is_some() {
                        self.fail(format!("batch {id} was done twice"));
                    }
                }
                Ok(false) => {
                    if self.model.batches.get(id) != Some(&results) {
                        self.fail(format!("batch {id} is answered with {results:?}"));
                    }
                }
                Err(error) => self.refused(flight, op, None, error),
            },
            (Op::Group(_, steps), Outcome::Group(outcomes)) => {
                self.grouped((step, flight), op, steps, &outcomes);
            }
            (Op::DryRun(asks, _), Outcome::Foreseen(results)) => {
                if results.len() != asks.len() {
                    self.fail(format!("{results:?}"));
                }
            }
            (Op::Plan(ask), Outcome::Planned(result)) => self.planned(flight, op, ask, result),
            (Op::SetQuota(n, quota), Outcome::QuotaSet(result)) => {
                if result.is_err() {
                    self.fail(format!("{result:?}"));
                }
                self.model.quotas[*n as usize] = *quota;
                let limits = self.model.quota_limits();
                for other in self.flights.iter_mut().flatten() {
                    for (most, limit) in other.quotas.iter_mut().zip(limits) {
                        *most = std::array::from_fn(|d| most[d].max(limit[d]));
                    }
                }
            }
            (Op::Heartbeat(..), Outcome::Beaten(named, result)) => {
                self.beaten((step, flight), op, named, result);
            }
            (Op::Tick(now), Outcome::Ticked(result)) => self.ticked(step, *now, result),
            (_, Outcome::Audited(audit)) => {
                if !audit.is_ok() || (audit.unsettled > 0 && !flight.beside_others) {
                    self.fail(format!("{audit:?}"));
                }
            }
            (op, outcome) => self.changed(engine, step, op, outcome),
        }
    }

    fn reserved(
        &mut self,
        (step, flight): (u64, &Flight),
        op: &Op,
        ask: &Ask,
        waits: Vec<Ticket>,
        result: &Result<Reservation, ReserveError>,
    ) {
        match result {
            Ok(held) if held.existing => self.met(flight.began, held.ticket, ask.id),
            Ok(made) => {
                let on = ask.terms.unwrap_or_default();
                let provisional = on.hold_until.is_some() || !waits.is_empty();
                let (id, at, amount) = (ask.id, made.worker, ask.need);
                let held = Held { id, at, amount, on, provisional, waits };
                self.born(step, flight.began, held, made);
            }
            Err(error) => self.refused(flight, op, Some(ask), *error),
        }
    }

    /// Whether a request may have been refused for this reason.
    fn refused(&mut self, flight: &Flight, op: &Op, ask: Option<&Ask>, error: ReserveError) {
        let batch = matches!(op, Op::Batch(..) | Op::Once(..) | Op::Group(..));
        let fine = match error {
            ReserveError::Refused(_) => flight.could == 0,
            ReserveError::InFlight | ReserveError::Contended => flight.beside_others,
            ReserveError::DuplicateId | ReserveError::Peer { .. } => batch,
            ReserveError::VersionConflict { version, .. } => match op {
                Op::ReserveOn(_, expected, _) => expected.is_some_and(|v| v != version),
                _ => matches!(op, Op::Preempt(..)),
            },
            ReserveError::UnknownWorker => {
                let named = match op {
                    Op::ReserveOn(at, ..) => Some(*at),
                    Op::Preempt(_, plan) => Some(plan.worker),
                    _ => None,
                };
                let there = self.model.workers.values().any(|worker| Some(worker.at) == named);
                let changing = self.flights.iter().flatten().any(|other| other.changes_workers);
                !there || changing
            }
            // Drafts count, and what nobody has come back with; so do tallies, of which there are as many.
            ReserveError::LedgerFull { limit } => {
                limit == self.room && self.model.live.len() + 40 >= limit
                    || ask.is_none_or(|ask| ask.terms.is_some_and(|on| on.groups != 0))
            }
            ReserveError::QuotaExceeded { dimension, used, limit } => {
                ask.is_some_and(|ask| used + ask.charge().get(dimension) > limit)
            }
            ReserveError::DeadlinePassed { deadline, now } => deadline <= now && now <= self.clock,
            _ => false,
        };
        if !fine {
            let could = flight.could;
            self.fail(format!("refused with {error:?}, though it fits on slots {could:#b}"));
        }
    }

    fn batched(
        &mut self,
        (step, flight): (u64, &Flight),
        op: &Op,
        (mode, asks): (BatchMode, &[Ask]),
        results: &[Result<Reservation, ReserveError>],
    ) {
        let placed = results.iter().filter(|result| result.is_ok()).count();
        if results.len() != asks.len()
            || (mode == BatchMode::AllOrNothing && placed != 0 && placed != asks.len())
        {
            self.fail(format!("neither all nor nothing: {results:?}"));
        }
        for (ask, result) in asks.iter().zip(results) {
            self.reserved((step, flight), op, ask, Vec::new(), result);
        }
    }

    fn released(
        &mut self,
        (step, flight): (u64, &Flight),
        ticket: Option<Ticket>,
        result: &Result<Released, ReleaseError>,
    ) {
        match result {
            Ok(released) => {
                if let Some(version) = released.version {
                    self.made_version(released.worker, version);
                }
                let ticket = ticket.expect("it was found");
                let event = match released.version {
                    Some(_) => Event::Released(released.amount),
                    None => Event::Lost(Some(released.amount)),
                };
                self.happened(step, ticket, event);
            }
            Err(ReleaseError::NotHeld) => self.missed(ticket.or(flight.holder)),
            Err(ReleaseError::InFlight) if flight.beside_others => {}
            Err(error) => self.fail(format!("{error:?}")),
        }
    }

    fn confirmed(
        &mut self,
        engine: &Engine,
        (step, flight): (u64, &Flight),
        ticket: Option<Ticket>,
        result: &Result<Reservation, ConfirmError>,
    ) {
        let waits = ticket.and_then(|ticket| self.model.live.get(&ticket));
        let waits = waits.map_or(&[][..], |held| &held.waits);
        match result {
            Ok(confirmed) => {
                let ticket = ticket.expect("it was found");
                if let Some(left) = waits.iter().find(|&&v| engine.ledger.look(v).is_some()) {
                    let what = format!("{ticket:?} is confirmed, and {left:?} has not left");
                    self.fail(what);
                }
                let handing_off = self.flights.iter().flatten().any(|other| other.hands_off);
                let at = self.model.live.get(&ticket).map(|held| self.model.now_at(held.at));
                // It may have been looked at just before it was handed off.
                let told = self.model.now_at(confirmed.worker);
                if at.is_some_and(|at| at != told) && !handing_off {
                    self.fail(format!("{ticket:?} is on {at:?}, and {confirmed:?}"));
                }
                self.happened(step, ticket, Event::Confirmed(flight.began));
            }
            Err(ConfirmError::NotHeld) => self.missed(ticket.or(flight.holder)),
            Err(ConfirmError::InFlight) if flight.beside_others => {}
            Err(ConfirmError::Waiting { .. }) => {
                let left =
                    |v: &Ticket| self.model.ended.get(v).is_some_and(|&(w, _)| w < flight.began);
                let known = ticket.is_some_and(|ticket| self.model.live.contains_key(&ticket));
                if known && waits.iter().all(left) {
                    self.fail(format!("{ticket:?} is to wait for nobody: {waits:?}"));
                }
            }
            Err(error) => self.fail(format!("{error:?}")),
        }
    }

    fn resized(
        &mut self,
        (step, flight): (u64, &Flight),
        ticket: Option<Ticket>,
        need: &crate::placement::Resources,
        result: &Result<Resized, ResizeError>,
    ) {
        match result {
            Ok(resized) => {
                let held = self.model.live.get(&resized.ticket).map(|held| held.amount);
                if held.is_some_and(|held| held != resized.before) {
                    self.fail(format!("it held {held:?}, and then: {resized:?}"));
                }
                if resized.before != *need {
                    self.made_version(resized.worker, resized.version);
                }
                self.happened(step, resized.ticket, Event::Resized(*need));
            }
            Err(ResizeError::NotHeld) => self.missed(ticket.or(flight.holder)),
            Err(ResizeError::Lost) => {
                self.happened(step, ticket.expect("it was found"), Event::Lost(None));
            }
            Err(ResizeError::InFlight | ResizeError::Contended) if flight.beside_others => {}
            Err(ResizeError::Short { missing }) if !missing.is_zero() => {}
            Err(ResizeError::State { state }) if !state.takes(true) => {}
            Err(ResizeError::QuotaExceeded { .. }) => {}
            Err(ResizeError::Devices) if need.gpus > 0 => {}
            Err(error) => self.fail(format!("{error:?}")),
        }
    }

    fn grouped(
        &mut self,
        (step, flight): (u64, &Flight),
        op: &Op,
        steps: &[Step],
        outcomes: &[Result<GroupDone, GroupError>],
    ) {
        let done = outcomes.iter().any(|outcome| match outcome {
            Ok(GroupDone::Reserved(made)) => !made.existing,
            Ok(GroupDone::Released(released)) => released.version.is_some(),
            Err(_) => false,
        });
        let undone = outcomes.iter().any(|outcome| {
            // Its worker was removed between the change and the end of the call.
            let gone = Err(GroupError::Reserve(ReserveError::UnknownWorker));
            outcome.is_err() && *outcome != gone
        });
        if outcomes.len() != steps.len() || (done && undone) {
            self.fail(format!("neither all nor nothing: {outcomes:?}"));
        }
        for (what, outcome) in steps.iter().zip(outcomes) {
            match (what, outcome) {
                (&Step::Reserve(id, need), Ok(GroupDone::Reserved(made))) => {
                    let ask = Ask {
                        id,
                        need,
                        hash: 0,
                        selector: 0,
                        ahead: false,
                        policy: None,
                        terms: None,
                    };
                    self.reserved((step, flight), op, &ask, Vec::new(), &Ok(*made));
                }
                (Step::Reserve(..), Err(GroupError::Reserve(error))) => {
                    self.refused(flight, op, None, *error);
                }
                (Step::Release(ticket), Ok(GroupDone::Released(released))) => {
                    self.released((step, flight), Some(*ticket), &Ok(*released));
                }
                (Step::ReleaseId(id), Ok(GroupDone::Released(released))) => {
                    if let Some(version) = released.version {
                        self.made_version(released.worker, version);
                    }
                    self.model.ended_by_id.push(*id);
                }
                (_, Err(GroupError::Release(ReleaseError::InFlight))) if flight.beside_others => {}
                (_, Err(GroupError::Release(error))) if *error != ReleaseError::InFlight => {}
                (what, outcome) => self.fail(format!("{what:?} is answered with {outcome:?}")),
            }
        }
    }

    fn planned(
        &mut self,
        flight: &Flight,
        op: &Op,
        ask: &Ask,
        result: Result<Preemption, ReserveError>,
    ) {
        match result {
            Ok(plan) => {
                let priority = ask.terms.unwrap_or_default().priority;
                for victim in &plan.victims {
                    let held = self.model.live.get(&victim.ticket);
                    let may = |held: &Held| held.on.preemptable && held.on.priority < priority;
                    if !held.is_none_or(may) {
                        self.fail(format!("{victim:?} may not be displaced"));
                    }
                }
                if self.plans.len() < 6 {
                    self.plans.push((*ask, plan));
                }
            }
            Err(error) => self.refused(flight, op, Some(ask), error),
        }
    }

    pub(super) fn ticked(&mut self, step: u64, now: u64, result: Result<Ticked, ClockWentBack>) {
        let ticked = match result {
            Ok(ticked) if now >= self.model.now => ticked,
            Err(back) if back.given == now && now < back.now && back.now <= self.clock => return,
            other => return self.fail(format!("it was {}: {other:?}", self.model.now)),
        };
        self.model.now = now;
        for expired in ticked.expired {
            self.happened(step, expired.ticket, Event::Expired(expired.amount, now));
        }
        let beating = self.flights.iter().flatten().any(|other| other.beats);
        for dead in ticked.workers {
            let n = Self::worker_of(&dead.id);
            let worker = self.model.workers.get(&n).filter(|worker| worker.at == dead.worker);
            let over = worker.is_some_and(|worker| {
                worker.lease_unsure || worker.leases.iter().any(|(until, _)| *until <= now)
            });
            if worker.is_none() || !(over || beating) {
                let what = format!("{dead:?} has no lease that is over at {now}: {worker:?}");
                return self.fail(what);
            }
            self.removed(step, n, dead.lost, None);
        }
    }

    fn removed(&mut self, step: u64, n: u8, lost: Vec<Lost>, to: Option<WorkerRef>) {
        let worker = self.model.workers.remove(&n).expect("registered");
        self.model.gone.insert(worker.at, (step, to));
        for one in lost {
            self.happened(step, one.ticket, Event::Lost(Some(one.amount)));
        }
    }

    fn beaten(
        &mut self,
        (step, flight): (u64, &Flight),
        op: &Op,
        [before, after]: [Option<WorkerRef>; 2],
        result: Result<(), WorkerError>,
    ) {
        let Op::Heartbeat(_, until) = *op else { unreachable!("what else has beaten") };
        match result {
            Ok(()) => {
                let known = self.model.workers.values().any(|worker| Some(worker.at) == after);
                if let Some(at) = after.filter(|_| !known) {
                    self.model.early_beats.push((at, (until, step), before == after));
                }
                let sure = before == after && before.is_some();
                for worker in self.model.workers.values_mut() {
                    if sure && Some(worker.at) == before {
                        // What was over before this one began is not the last one.
                        worker.leases.retain(|(_, over)| *over >= flight.began);
                        worker.leases.push((until, step));
                    }
                    // Another may have had the name meanwhile, and be called otherwise by now.
                    worker.lease_unsure |= !sure;
                }
            }
            Err(WorkerError::Unknown) => {
                let changing = self.flights.iter().flatten().any(|other| other.changes_workers);
                let there = self.model.workers.values().any(|worker| Some(worker.at) == before);
                for worker in self.model.workers.values_mut() {
                    // It may have been heard, and ended just then.
                    worker.lease_unsure |= Some(worker.at) == before;
                }
                if before == after && there && !changing {
                    self.fail(format!("{before:?} is registered, and said to be unknown"));
                }
            }
            Err(WorkerError::LeasePassed { until: u, now }) if u == until && until <= now => {}
            Err(error) => self.fail(format!("{error:?}")),
        }
    }

    /// Calls under the registry's lock.
    fn changed(&mut self, engine: &Engine, step: u64, op: &Op, outcome: Outcome) {
        match (op, outcome) {
            (Op::Add(n, spec), Outcome::Added(Ok(at))) => {
                // The lease that it begins with comes before its id leads to it.
                let beats = self.model.early_beats.iter().filter(|(other, ..)| *other == at);
                let lease_unsure = beats.clone().any(|(.., sure)| !sure);
                let mut leases: Vec<_> = beats.map(|(_, lease, _)| *lease).collect();
                if leases.is_empty() {
                    leases.extend(spec.lease.map(|until| (until, step)));
                }
                let worker = Worker {
                    at,
                    total: spec.total,
                    set_aside: spec.set_aside,
                    pool: !spec.pool.is_empty(),
                    devices: !spec.devices.is_empty(),
                    zone: spec.labels.first().map(|(_, zone)| zone.to_vec()),
                    machine: spec.machine.as_ref().map(|name| name.to_vec()),
                    ready: !spec.pending,
                    cordoned: false,
                    draining: false,
                    generation: spec.generation,
                    leases,
                    lease_unsure,
                };
                if self.model.workers.insert(*n, worker).is_some() {
                    self.fail(format!("{op:?}: it was there already"));
                }
            }
            (Op::Add(n, _), Outcome::Added(Err(error))) => {
                if error != WorkerError::Duplicate || !self.model.workers.contains_key(n) {
                    self.fail(format!("{error:?}"));
                }
            }
            (Op::Remove(n), Outcome::Removed(result)) => {
                match (result, self.model.workers.contains_key(n)) {
                    (Ok(lost), true) => self.removed(step, *n, lost, None),
                    (Err(WorkerError::Unknown), false) => {}
                    (other, there) => self.fail(format!("{other:?}, and it was there: {there}")),
                }
            }
            (Op::HandOff(expected, real), Outcome::HandedOff(result)) => {
                if let Ok(done) = &result {
                    self.crowd(engine, done.worker);
                }
                self.handed_off(step, (*expected, *real), result);
            }
            (Op::Update(n, _) | Op::Signal(n, _), Outcome::Changed(result)) => {
                let Some(mut worker) = self.model.workers.get(n).cloned() else {
                    if result != Err(WorkerError::Unknown) {
                        self.fail(format!("it was not there: {result:?}"));
                    }
                    return;
                };
                let given = worker.apply(op);
                match result {
                    Ok(info) if given.is_none() => {
                        self.seen.lowered |= 1 << info.worker.index;
                        if let Some(what) = worker.differs(&info) {
                            self.fail(format!("{what}: {info:?}, and {worker:?}"));
                        }
                        self.model.workers.insert(*n, worker);
                    }
                    Err(WorkerError::OldGeneration { given: g, current })
                        if given == Some(g) && current == worker.generation => {}
                    other => self.fail(format!("{other:?} of {worker:?}")),
                }
            }
            (op, outcome) => unreachable!("{op:?} is answered with {outcome:?}"),
        }
    }

    fn handed_off(
        &mut self,
        step: u64,
        (expected, real): (u8, u8),
        result: Result<HandOff, WorkerError>,
    ) {
        let from = self.model.workers.get(&expected);
        let to = self.model.workers.get(&real).map(|worker| worker.at);
        let pending = from.is_some_and(|worker| worker.state() == State::Pending);
        match (result, from) {
            (Err(WorkerError::Unknown), None) => {}
            (Err(WorkerError::HandOffToItself), Some(_)) if expected == real => {}
            (Err(WorkerError::NotPending { state }), Some(worker))
                if !pending && state == worker.state() => {}
            (Ok(done), Some(worker)) if pending && expected != real => {
                let at = worker.at;
                if done.worker != to.unwrap_or(at) {
                    self.fail(format!("handed off to another: {done:?}"));
                }
                match to {
                    Some(to) => self.removed(step, expected, done.lost, Some(to)),
                    None => {
                        let worker = self.model.workers.remove(&expected).expect("just found");
                        self.model.workers.insert(real, worker);
                        if done.moved > 0 || !done.lost.is_empty() {
                            self.fail(format!("{done:?} by a change of names"));
                        }
                    }
                }
            }
            (other, from) => {
                let what = format!("{other:?}, where {from:?}");
                self.fail(what);
            }
        }
    }
}

impl Worker {
    /// What a call should make of it; a generation that it should refuse.
    fn apply(&mut self, op: &Op) -> Option<u64> {
        match op {
            Op::Update(_, update) => {
                let generation = update.generation.unwrap_or(self.generation);
                if generation < self.generation {
                    return Some(generation);
                }
                self.ready &= generation == self.generation;
                self.generation = generation;
                self.total = update.total.unwrap_or(self.total);
                if self.devices {
                    self.total.gpus = 2;
                }
                self.set_aside = update.set_aside.unwrap_or(self.set_aside);
                if let Some(pool) = &update.pool {
                    self.pool = !pool.is_empty();
                }
                if let Some(labels) = &update.labels {
                    self.zone = labels.first().map(|(_, zone)| zone.to_vec());
                }
                if let Some(machine) = &update.machine {
                    self.machine = machine.as_ref().map(|name| name.to_vec());
                }
            }
            Op::Signal(_, word) => match *word {
                Word::Ready => self.ready = true,
                Word::ReadyOf(generation) if generation < self.generation => {
                    return Some(generation);
                }
                Word::ReadyOf(generation) => (self.generation, self.ready) = (generation, true),
                Word::Unready => self.ready = false,
                Word::Cordon => self.cordoned = true,
                Word::Uncordon => (self.cordoned, self.draining) = (false, false),
                Word::Drain => self.draining = true,
            },
            _ => {}
        }
        None
    }

    /// In what the engine's worker is not this one.
    pub(super) fn differs(&self, info: &WorkerInfo) -> Option<&'static str> {
        let zone = info.labels.first().map(|(_, zone)| zone.to_vec());
        let machine = info.machine.as_ref().map(|name| name.to_vec());
        let wrong = [
            ("another registration", self.at != info.worker),
            ("another state", self.state() != info.state),
            ("another total", (self.total, self.set_aside) != (info.total, info.set_aside)),
            ("another pool", self.pool == info.pool.is_empty()),
            ("another zone", self.zone != zone),
            ("another machine", self.machine != machine),
            ("another generation", self.generation != info.generation),
        ];
        wrong.into_iter().find(|(_, wrong)| *wrong).map(|(what, _)| what)
    }
}
