//! The world around the engine: its clock, what is under way, what has been seen, what is still to be
//! delivered; and what the hosts in it do next.

use std::collections::VecDeque;

use super::baton::{Baton, THREADS};
use super::model::Model;
use super::ops::{ACCOUNTS, Ask, LIMITS, Op, Outcome, SELECTORS, WORKERS};
use super::rng::Rng;
use super::watch::Seen;
use crate::engine::{Config, Engine, Scope};
use crate::ledger::Ticket;
use crate::registry::Constraints;

/// Operations that a trace remembers.
const REMEMBERED: usize = 400;

/// An operation that has begun.
pub(super) struct Flight {
    pub(super) began: u64,
    /// Others have been under way meanwhile.
    pub(super) beside_others: bool,
    /// By how much a worker's version may rise at once.
    pub(super) at_once: u64,
    /// It may hold something on pending workers.
    pub(super) ahead: bool,
    pub(super) changes_workers: bool,
    pub(super) hands_off: bool,
    /// It looks in the pool alone.
    pub(super) pool_only: bool,
    /// It changes what a reservation holds.
    pub(super) resizes: bool,
    /// It may lower a worker's total.
    pub(super) revises: bool,
    /// It puts off the end of a lease.
    pub(super) beats: bool,
    /// The request, if it is one that looks for a worker.
    pub(super) ask: Option<Ask>,
    /// Workers, by slot, that it has fitted on since it began.
    pub(super) could: u32,
    /// Slots on which it has left more free than before: others need not know before it is done.
    pub(super) raised: u32,
    /// The most that accounts could be charged with at any time since it began.
    pub(super) quotas: [[u64; 3]; ACCOUNTS],
    /// What held its id, or is named by its ticket, when it began.
    pub(super) holder: Option<Ticket>,
    /// The worker that it is to change.
    pub(super) target: Option<u8>,
}

pub(super) struct World {
    pub(super) operations: u64,
    pub(super) failure: Option<String>,
    trace: Option<VecDeque<String>>,
    /// The latest time that anybody has said, or is saying.
    pub(super) clock: u64,
    pub(super) flights: [Option<Flight>; THREADS],
    pub(super) model: Model,
    pub(super) seen: Seen,
    /// Messages on their way, and when they arrive.
    pub(super) late: Vec<(u64, Op)>,
    pub(super) plans: Vec<(super::ops::Ask, crate::engine::Preemption)>,
    /// Tickets that were good once.
    pub(super) recent: VecDeque<Ticket>,
    /// At most so many workers.
    pub(super) crowd: u8,
    /// At most so many reservations.
    pub(super) room: usize,
    pub(super) gpu_separation: bool,
}

impl World {
    pub(super) fn new(rng: &mut Rng, traced: bool) -> (Engine, World) {
        // Few records are exactly so many; from 1,024 on, threads keep some to themselves.
        let room = rng.pick(&[16, 24, 200, 1024]);
        let gpu_separation = rng.one_in(2);
        let config = Config {
            max_workers: WORKERS.len(),
            max_reservations: room,
            max_selectors: 4,
            max_batches: 256,
            max_accounts: ACCOUNTS,
            max_groups: LIMITS.len(),
            count_reasons: rng.one_in(2),
            gpu_separation,
            ..Config::default()
        };
        let engine = Engine::new(config).expect("a valid configuration");
        let pool = engine.selector(&Constraints::new().pool("p")).expect("there is room");
        assert_eq!(pool, SELECTORS[1]);
        let scopes = [Scope::Worker, Scope::Machine, Scope::Label("zone".into())];
        for (scope, limit) in scopes.into_iter().zip(LIMITS) {
            assert_eq!(engine.spread_group("g", scope), Ok(limit.group));
        }
        for (n, name) in ["acme", "umbrella"].into_iter().enumerate() {
            assert_eq!(engine.account(name).map(|account| account.0), Ok(n as u32));
        }
        let world = World {
            operations: 0,
            failure: None,
            trace: traced.then(VecDeque::new),
            clock: 0,
            flights: [const { None }; THREADS],
            model: Model::default(),
            seen: Seen::default(),
            late: Vec::new(),
            plans: Vec::new(),
            recent: VecDeque::new(),
            crowd: rng.pick(&[2, 3, 5, WORKERS.len() as u8]),
            room,
            gpu_separation,
        };
        (engine, world)
    }

    /// The first thing that is wrong stands.
    pub(super) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(super) fn trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default().into()
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == REMEMBERED {
                trace.pop_front();
            }
            trace.push_back(line());
        }
    }

    /// The next operation of a thread.
    pub(super) fn begin(&mut self, engine: &Engine, me: usize, baton: &mut Baton) -> Op {
        let step = baton.step;
        let op = self.next_op(engine, baton);
        self.operations += 1;
        self.note(|| format!("{step} {me} begins {op:?}"));
        if let Op::Tick(now) = op {
            self.clock = self.clock.max(now);
        }
        let flight = self.depart(engine, step, &op);
        for other in self.flights.iter_mut().flatten() {
            other.beside_others = true;
            // While it leaves the pool, and afterwards, it is none for those that look there.
            if let Op::Update(n, update) = &op
                && update.pool.as_deref() == Some(b"")
                && other.ask.is_some_and(|ask| ask.selector == 1)
                && let Some(worker) = self.model.workers.get(n)
            {
                other.could &= !(1 << worker.at.index);
            }
        }
        self.flights[me] = Some(flight);
        op
    }

    fn depart(&mut self, engine: &Engine, began: u64, op: &Op) -> Flight {
        let asks = op.asks();
        let target = match op {
            Op::Add(n, _) | Op::Update(n, _) | Op::Remove(n) | Op::Signal(n, _) => Some(*n),
            Op::HandOff(n, _) => Some(*n),
            _ => None,
        };
        let steps = match op {
            Op::Group(_, steps) => steps.len(),
            _ => asks.len(),
        };
        let holder = match op {
            Op::Release(ticket) | Op::Confirm(ticket) | Op::Resize(ticket, _) => {
                self.model.live.contains_key(ticket).then_some(*ticket)
            }
            Op::ReleaseId(id) | Op::ConfirmId(id) | Op::ResizeId(id, _) => self.model.holder(*id),
            Op::Reserve(ask) => self.model.holder(ask.id),
            _ => None,
        };
        let one = match op {
            Op::Reserve(ask) | Op::ReserveOn(_, _, ask) => Some(ask),
            _ => None,
        };
        let mut flight = Flight {
            began,
            beside_others: self.flights.iter().any(Option::is_some),
            at_once: (steps as u64).max(1),
            // What is there already may grow, or be taken over, on a worker on its way.
            ahead: asks.iter().any(|ask| ask.ahead)
                || matches!(op, Op::Resize(..) | Op::ResizeId(..) | Op::HandOff(..)),
            changes_workers: op.changes_workers(),
            hands_off: matches!(op, Op::HandOff(..)),
            // One that names its worker skips the rule.
            pool_only: matches!(op, Op::Reserve(_) | Op::Batch(..) | Op::Once(..))
                && asks.iter().all(|ask| ask.selector == 1),
            resizes: matches!(op, Op::Resize(..) | Op::ResizeId(..)),
            revises: matches!(op, Op::Update(..)),
            beats: matches!(op, Op::Heartbeat(..)),
            ask: one.copied(),
            could: 0,
            raised: 0,
            quotas: self.model.quota_limits(),
            holder,
            target,
        };
        // Limits of groups, and a version that is insisted on, may keep it off what it fits on.
        let free_to_choose = |ask: &Ask| ask.terms.is_none_or(|on| on.groups == 0);
        match op {
            Op::Reserve(ask) if free_to_choose(ask) => {
                flight.could = self.fits_now(engine, &flight);
            }
            Op::ReserveOn(at, None, ask) if free_to_choose(ask) => {
                let there = self.model.workers.values().any(|worker| worker.at == *at);
                flight.could = self.fits_now(engine, &flight) & ((there as u32) << at.index);
            }
            _ => {}
        }
        flight
    }

    /// Where the request would fit, among workers that nobody is changing, and of which nobody has yet
    /// to tell others that they have become free.
    fn fits_now(&self, engine: &Engine, flight: &Flight) -> u32 {
        let Some(ask) = &flight.ask else { return 0 };
        let mut could = 0;
        for (n, worker) in &self.model.workers {
            let changing = |other: &Flight| {
                other.target == Some(*n) || other.raised & 1 << worker.at.index != 0
            };
            let quiet = !self.flights.iter().flatten().any(changing);
            let suits = worker.suits(ask, self.gpu_separation);
            let takes = takes(engine, worker.at.index, ask);
            could |= ((quiet && suits && takes) as u32) << worker.at.index;
        }
        could
    }

    /// An operation has come back.
    pub(super) fn finish(
        &mut self,
        engine: &Engine,
        (me, step): (usize, u64),
        op: Op,
        outcome: Outcome,
    ) {
        self.note(|| format!("{step} {me} ends {op:?}: {outcome:?}"));
        if matches!(op, Op::HandOff(..)) {
            // Where it has moved more of a group to than may be, that is its doing.
            self.look_through(engine);
        }
        let flight = self.flights[me].take().expect("it has begun");
        let before = self.failure.is_some();
        self.record(engine, (step, &flight), &op, outcome);
        if let Some(failure) = self.failure.as_mut().filter(|_| !before) {
            *failure = format!("{failure}; in {op:?}");
        }
    }

    pub(super) fn worker_of(name: &[u8]) -> u8 {
        let known = WORKERS.iter().position(|id| id.as_bytes() == name);
        known.expect("a worker of the simulation") as u8
    }
}

/// Whether a request fits on a slot as it is this moment, whatever the worker is.
pub(super) fn takes(engine: &Engine, index: u32, ask: &Ask) -> bool {
    let shared = &engine.registry.shared;
    let slot = shared.table.get(index).expect("registered once");
    let word = slot.word();
    let devices = ask.devices().is_none_or(|need| {
        let devices = shared.pool(index).and_then(|pool| slot.devices(pool).1);
        devices.is_some_and(|devices| devices.fits(&need))
    });
    word.state().takes(ask.ahead) && word.free().fits(&ask.need) && devices
}
