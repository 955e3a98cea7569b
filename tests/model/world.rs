//! An engine and its model, side by side.

use std::collections::HashMap;

use slotwise::{
    BatchMode, Constraints, Engine, Foreseen, ReleaseError, Request, Reservation, ReserveError,
    Selector, SupposeError, Supposition, Ticket, WorkerError, WorkerRef,
};

use crate::common::small;
use crate::naive::{Model, Where};
use crate::ops::{Ask, MACHINES, Op, POOLS, Signal, Spec, Text};

pub type Answers = Vec<Result<Reservation, ReserveError>>;
pub type Foresight = Vec<Result<Foreseen, ReserveError>>;

pub struct World {
    pub engine: Engine,
    pub model: Model,
    /// All that were ever given out.
    refs: Vec<WorkerRef>,
    pub tickets: Vec<Ticket>,
    /// What each batch id was first used with, and the answers.
    batches: HashMap<Text, (Vec<Ask>, BatchMode, Answers)>,
}

/// The whole refusal must agree.
fn in_full(error: ReserveError) -> ReserveError {
    error
}

/// The verdict must agree: counts of a request that is one of many are as of no one instant.
fn verdict(error: ReserveError) -> ReserveError {
    match error {
        ReserveError::Refused(mut refusal) => {
            refusal.blocking = None;
            refusal.reasons = Default::default();
            refusal.outlook = Default::default();
            refusal.into()
        }
        other => other,
    }
}

impl World {
    pub fn new() -> World {
        let engine = Engine::new(small()).expect("a valid configuration");
        let model = Model::default();
        World { engine, model, refs: vec![], tickets: vec![], batches: HashMap::new() }
    }

    /// Does it to both and compares what they say, and what there is afterwards.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Add(specs) => self.add(specs),
            Op::Remove(id) => self.remove(id),
            Op::Update(id, change) => {
                let answer = self.engine.update_worker(id.as_bytes(), change.build());
                match self.model.update(id, change) {
                    Ok(()) => assert_eq!(answer, Ok(self.model.worker(id).unwrap().info.clone())),
                    Err(faults) => assert!(faults.contains(&answer.unwrap_err()), "{faults:?}"),
                }
            }
            Op::Signal(id, signal) => self.signal(id, *signal),
            Op::Reserve(ask) => drop(self.reserve(ask)),
            Op::ReserveOn(at, ask, ago) => {
                if !self.refs.is_empty() {
                    let worker = *at.get(&self.refs);
                    self.reserve_on(worker, ask, *ago);
                }
            }
            Op::Release(at) => {
                if !self.tickets.is_empty() {
                    let ticket = *at.get(&self.tickets);
                    self.release(ticket);
                }
            }
            Op::ReleaseId(id) => {
                let expected = self.model.ids.get(id).copied();
                let expected = expected.and_then(|ticket| self.model.release(ticket));
                let answer = self.engine.release_id(id);
                assert_eq!(answer, expected.ok_or(ReleaseError::NotHeld));
            }
            Op::ReleaseMany(_) if self.tickets.is_empty() => {}
            Op::ReleaseMany(at) => {
                let tickets: Vec<Ticket> = at.iter().map(|at| *at.get(&self.tickets)).collect();
                let mut answers = vec![];
                self.engine.release_batch(&tickets, &mut answers);
                let expected = tickets.iter().map(|t| self.model.release(*t));
                let expected: Vec<_> = expected.map(|r| r.ok_or(ReleaseError::NotHeld)).collect();
                assert_eq!(answers, expected);
            }
            Op::Resize(at, need) => {
                if !self.tickets.is_empty() {
                    let ticket = *at.get(&self.tickets);
                    let expected = self.model.resize(Some(ticket), *need);
                    assert_eq!(self.engine.resize(ticket, *need), expected);
                }
            }
            Op::ResizeId(id, need) => {
                let ticket = self.model.ids.get(id).copied();
                let expected = self.model.resize(ticket, *need);
                assert_eq!(self.engine.resize_id(id, *need), expected);
            }
            Op::Batch(asks, mode) => {
                let answers = self.engine_batch(None, asks, *mode).0;
                self.settle(asks, *mode, &answers);
            }
            Op::Once(id, asks, mode) => self.once(id, asks, *mode),
            Op::Groups(groups) => self.groups(groups),
        }
        self.compare();
    }

    /// Everything that a host can see of workers and reservations.
    fn compare(&self) {
        let (engine, model) = (&self.engine, &self.model);
        assert_eq!(engine.workers(), model.infos());
        assert_eq!(engine.worker_count(), model.workers.len());
        assert_eq!(engine.reservation_count(), model.held.len());
        let stats = engine.stats();
        assert_eq!((stats.placed, stats.released), (model.placed, model.released));
        assert_eq!(stats.resized, model.resized);
    }

    /// What is seen only when asked for by name; then everything goes, and nothing may be left.
    pub fn finish(mut self) {
        let audit = self.engine.audit();
        assert!(audit.is_ok() && audit.unsettled == 0, "{audit:?}");
        assert_eq!(audit.workers, self.model.workers.len());
        assert_eq!(audit.reservations, self.model.held.len());

        let infos = self.model.infos();
        for info in &infos {
            assert_eq!(self.engine.worker(&info.id).as_ref(), Some(info));
        }
        for worker in &self.refs {
            let info = infos.iter().find(|info| info.worker == *worker);
            assert_eq!(self.engine.worker_by_ref(*worker).as_ref(), info);
        }
        for pool in POOLS {
            let there = infos.iter().filter(|info| *info.pool == *pool.as_bytes());
            assert!(there.eq(&self.engine.workers_in_pool(pool.as_bytes())));
        }
        for machine in MACHINES {
            let is = |name: &slotwise::Name| **name == *machine.as_bytes();
            let there = infos.iter().filter(|info| info.machine.as_ref().is_some_and(is));
            assert!(there.eq(&self.engine.workers_on_machine(machine.as_bytes())));
        }
        for (id, ticket) in &self.model.ids {
            let held = self.engine.reservation(id).expect("a reservation of this id");
            let expected = &self.model.held[ticket];
            assert_eq!((held.ticket, held.worker), (*ticket, expected.on));
            assert_eq!(held.version, expected.version);
        }

        for ticket in std::mem::take(&mut self.tickets) {
            self.release(ticket);
        }
        self.compare();
        assert!(self.model.held.is_empty());
        assert!(self.engine.workers().iter().all(|info| info.held().is_zero()));
    }

    fn add(&mut self, specs: &[Spec]) {
        let answers = self.engine.add_workers(specs.iter().map(Spec::build));
        assert_eq!(answers.len(), specs.len());
        for (spec, answer) in specs.iter().zip(answers) {
            let faults = self.model.refuses_to_add(spec);
            match answer {
                Err(error) => assert!(faults.contains(&error), "{error:?}, not {faults:?}"),
                Ok(worker) => {
                    assert!(faults.is_empty() && !self.refs.contains(&worker), "{worker}");
                    self.refs.push(worker);
                    let version = self.engine.worker_by_ref(worker).expect("registered").version;
                    self.model.add(spec, worker, version);
                }
            }
        }
    }

    fn remove(&mut self, id: &str) {
        let (answer, expected) = (self.engine.remove_worker(id.as_bytes()), self.model.remove(id));
        let by_ticket = |lost: Result<Vec<slotwise::Lost>, WorkerError>| {
            lost.map(|mut lost| {
                lost.sort_by_key(|lost| lost.ticket);
                lost
            })
        };
        assert_eq!(by_ticket(answer), by_ticket(expected));
    }

    fn signal(&mut self, id: &str, signal: Signal) {
        let tell = match signal {
            Signal::Ready => Engine::ready,
            Signal::Unready => Engine::unready,
            Signal::Cordon => Engine::cordon,
            Signal::Uncordon => Engine::uncordon,
            Signal::Drain => Engine::drain,
        };
        let answer = tell(&self.engine, id.as_bytes());
        let expected = self.model.signal(id, signal);
        assert_eq!(answer, expected.map(|()| self.model.worker(id).unwrap().info.clone()));
    }

    /// The request as the engine is asked it.
    pub fn ask<T>(&self, ask: &Ask, then: impl FnOnce(&Engine, &Request<'_>) -> T) -> T {
        let (constraints, selector) = self.compiled(ask);
        then(&self.engine, &ask.request(&constraints, selector))
    }

    fn compiled(&self, ask: &Ask) -> (Constraints, Option<Selector>) {
        let constraints = ask.want.build();
        let compile = || self.engine.selector(&constraints).expect("valid constraints");
        let selector = ask.by_handle.then(compile);
        (constraints, selector)
    }

    pub fn reserve(&mut self, ask: &Ask) -> Result<Reservation, ReserveError> {
        let answer = self.ask(ask, |engine, request| engine.reserve(request));
        self.settle_one(ask, Where::Anywhere, answer, in_full);
        answer
    }

    fn reserve_on(&mut self, worker: WorkerRef, ask: &Ask, ago: Option<u64>) {
        let version = self.model.at(worker).map_or(0, |worker| worker.info.version);
        let expected = ago.map(|ago| version.saturating_sub(ago));
        let answer = self.ask(ask, |engine, request| engine.reserve_on(worker, request, expected));
        self.settle_one(ask, Where::On(worker, expected), answer, in_full);
    }

    fn settle_one(
        &mut self,
        ask: &Ask,
        place: Where,
        answer: Result<Reservation, ReserveError>,
        told: fn(ReserveError) -> ReserveError,
    ) {
        self.model.settle(ask, place, answer, told);
        self.tickets.extend(answer.ok().filter(|placed| !placed.existing).map(|p| p.ticket));
    }

    fn release(&mut self, ticket: Ticket) {
        let expected = self.model.release(ticket).ok_or(ReleaseError::NotHeld);
        assert_eq!(self.engine.release(ticket), expected);
    }

    /// Asks the engine alone; with whether this call did the batch.
    pub fn engine_batch(&self, id: Option<Text>, asks: &[Ask], mode: BatchMode) -> (Answers, bool) {
        let compiled: Vec<_> = asks.iter().map(|ask| self.compiled(ask)).collect();
        let requests: Vec<Request<'_>> =
            asks.iter().zip(&compiled).map(|(ask, (c, s))| ask.request(c, *s)).collect();
        let mut answers = vec![Err(ReserveError::Empty)];
        let did = match id {
            None => {
                self.engine.reserve_batch(&requests, mode, &mut answers);
                true
            }
            Some(id) => {
                let id = id.as_bytes();
                self.engine.reserve_batch_once(id, &requests, mode, &mut answers).expect("an id")
            }
        };
        assert_eq!(answers.len(), asks.len());
        (answers, did)
    }

    /// Asks the engine alone.
    pub fn dry_run(&self, asks: &[Ask], credited: &[Ticket], mode: BatchMode) -> Foresight {
        let compiled: Vec<_> = asks.iter().map(|ask| self.compiled(ask)).collect();
        let requests: Vec<Request<'_>> =
            asks.iter().zip(&compiled).map(|(ask, (c, s))| ask.request(c, *s)).collect();
        let mut foreseen = vec![Err(ReserveError::Empty)];
        self.engine.dry_run(&requests, credited, mode, &mut foreseen);
        assert_eq!(foreseen.len(), asks.len());
        foreseen
    }

    /// Asks the engine alone.
    pub fn dry_run_with(
        &self,
        asks: &[Ask],
        supposing: &Supposition<'_>,
        mode: BatchMode,
    ) -> (Result<(), SupposeError>, Foresight) {
        let compiled: Vec<_> = asks.iter().map(|ask| self.compiled(ask)).collect();
        let requests: Vec<Request<'_>> =
            asks.iter().zip(&compiled).map(|(ask, (c, s))| ask.request(c, *s)).collect();
        let mut foreseen = vec![Err(ReserveError::Empty)];
        let done = self.engine.dry_run_with(&requests, supposing, mode, &mut foreseen);
        (done, foreseen)
    }

    fn once(&mut self, id: Text, asks: &[Ask], mode: BatchMode) {
        match self.batches.get(id) {
            Some((asks, mode, expected)) => {
                let (answers, did) = self.engine_batch(Some(id), asks, *mode);
                assert!(!did && answers == *expected, "replay of {id}: {answers:?}");
            }
            None => {
                let (answers, did) = self.engine_batch(Some(id), asks, mode);
                assert!(did, "{id} was done before");
                self.settle(asks, mode, &answers);
                // A batch that placed nothing is not remembered: it may be tried again.
                if answers.iter().any(Result::is_ok) {
                    self.batches.insert(id, (asks.to_vec(), mode, answers));
                }
            }
        }
    }

    /// The engine's answers to a batch: may it give them?
    fn settle(&mut self, asks: &[Ask], mode: BatchMode, answers: &Answers) {
        // A fault that shows before anything is placed: of the request itself, or its id twice.
        let fault = |k: usize| {
            let twice = !asks[k].id.is_empty() && asks[..k].iter().any(|a| a.id == asks[k].id);
            Model::wrong(&asks[k]).or(twice.then_some(ReserveError::DuplicateId))
        };
        let faults: Vec<Option<ReserveError>> = (0..asks.len()).map(fault).collect();
        if mode == BatchMode::AllOrNothing && answers.iter().any(Result::is_err) {
            return self.settle_failed_gang(asks, &faults, answers);
        }
        for ((ask, fault), answer) in asks.iter().zip(faults).zip(answers) {
            match fault {
                Some(fault) => assert_eq!(*answer, Err(fault)),
                None => self.settle_one(ask, Where::Anywhere, *answer, verdict),
            }
        }
    }

    /// All must have failed: those at fault with their own error, which is what the same request
    /// gets when the gang is asked for one by one; the others with the number of one at fault.
    fn settle_failed_gang(
        &mut self,
        asks: &[Ask],
        faults: &[Option<ReserveError>],
        answers: &Answers,
    ) {
        let is_peer = |answer: &Result<_, _>| matches!(answer, Err(ReserveError::Peer { .. }));
        let mut not_placed = None;
        for (k, answer) in answers.iter().enumerate() {
            match (*answer, faults[k]) {
                (Ok(placed), _) => panic!("part of a failed gang was placed: {placed:?}"),
                (Err(ReserveError::Peer { index }), _) => {
                    assert!(
                        !is_peer(&answers[index as usize]),
                        "{k} points at a peer: {answers:?}"
                    );
                }
                (Err(error), Some(fault)) => assert_eq!(error, fault),
                (Err(error), None) => assert!(not_placed.replace((k, error)).is_none()),
            }
        }
        let Some((k, error)) = not_placed else { return };
        self.compare();
        let mut placed = vec![];
        for (ask, _) in asks[..k].iter().zip(faults).filter(|(_, fault)| fault.is_none()) {
            placed.push(self.reserve(ask).expect("it is not the one at fault"));
        }
        let alone = self.reserve(&asks[k]).expect_err("it is the one at fault");
        assert_eq!(verdict(alone), verdict(error));
        for placed in placed.iter().filter(|placed| !placed.existing) {
            self.release(placed.ticket);
        }
    }
}
