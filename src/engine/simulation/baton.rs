//! Who goes on: real threads, of which exactly one runs at a time. The one that has the baton hands it
//! on at the injection points of [`crate::sync::stop`], between reading something and swapping it, as a
//! seeded source of numbers says; so a seed is an interleaving.
//!
//! Nobody is left waiting for a lock by the system: [`crate::sync::lock`] tries, and hands the baton on
//! while the lock is somebody else's, who may so be stopped in the middle of a tick or of a change of
//! the registry.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::ops::Op;
use super::rng::Rng;
use super::world::World;
use crate::engine::Engine;
use crate::sync::{Bug, Stop, parking, seeded};

pub(super) const THREADS: usize = 4;

/// Injection points of one operation by which it must have come to an end: nobody waits for ever for
/// what another thread does, nor tries again and again in vain.
const ENDLESS: u64 = 20_000;

/// What a thread is told when the simulation is over before it has come to its end.
struct Over;

/// Where a thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In an operation, or about to begin one.
    Work,
    /// Between two operations, until all are.
    Rest,
}

pub(super) struct Baton {
    pub(super) rng: Rng,
    /// Injection points that have been passed.
    pub(super) step: u64,
    turn: usize,
    at: [At; THREADS],
    /// Not to be chosen before this step, while there are others.
    parked: [u64; THREADS],
    /// Waits for another one.
    waits: [bool; THREADS],
    /// Injection points that its operation has passed.
    passed: [u64; THREADS],
    /// One in so many steps hands the baton on, ...
    pace: usize,
    /// ... and one in so many of these stops the thread for long.
    patience: usize,
    /// Operations until all come to rest.
    until_rest: u64,
    over: bool,
}

/// All that the threads share.
pub(super) struct Stage {
    pub(super) engine: Engine,
    state: Mutex<(Baton, World)>,
    turns: [Condvar; THREADS],
    limit: u64,
    bug: Option<Bug>,
}

type State<'a> = MutexGuard<'a, (Baton, World)>;

/// How a simulation ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) steps: u64,
    pub(super) operations: u64,
    /// What was wrong.
    pub(super) failure: Option<String>,
    /// The last operations, where that was asked for.
    pub(super) trace: Vec<String>,
}

/// Runs one world until so many injection points have been passed, or something is wrong.
pub(super) fn run(seed: u64, limit: u64, bug: Option<Bug>, traced: bool) -> Report {
    let mut rng = Rng::new(seed);
    let (engine, world) = World::new(&mut rng, traced);
    let baton = Baton {
        step: 0,
        turn: 0,
        at: [At::Work; THREADS],
        parked: [0; THREADS],
        waits: [false; THREADS],
        passed: [0; THREADS],
        pace: rng.pick(&[2, 3, 5, 9]),
        patience: rng.pick(&[40, 10, 2]),
        until_rest: 0,
        over: false,
        rng,
    };
    let turns = [const { Condvar::new() }; THREADS];
    let state = Mutex::new((baton, world));
    let stage = Arc::new(Stage { engine, state, turns, limit, bug });
    std::thread::scope(|scope| {
        for me in 0..THREADS {
            let stage = Arc::clone(&stage);
            scope.spawn(move || stage.play(me));
        }
    });
    let mut state = stage.state.lock();
    let (baton, world) = &mut *state;
    Report {
        steps: baton.step,
        operations: world.operations,
        failure: world.failure.take(),
        trace: world.trace(),
    }
}

impl Stage {
    /// A thread's whole life.
    fn play(self: Arc<Self>, me: usize) {
        super::pin();
        seeded::switch_on(self.bug);
        let stage = Arc::clone(&self);
        let hook: parking::Hook = Rc::new(move |at| stage.stop(me, at));
        let mut state = self.state.lock();
        while state.0.turn != me && !state.0.over {
            self.turns[me].wait(&mut state);
        }
        drop(state);
        let work = || {
            while let Some(op) = self.next(me, &hook) {
                let outcome = op.perform(&self.engine);
                parking::simulate(None);
                let mut state = self.state.lock();
                let (baton, world) = &mut *state;
                world.watch(&self.engine, me);
                world.finish(&self.engine, (me, baton.step), op, outcome);
                if world.failure.is_some() {
                    self.leave(state);
                }
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(work));
        parking::simulate(None);
        seeded::switch_on(None);
        let mut state = self.state.lock();
        if let Err(payload) = ended
            && payload.downcast_ref::<Over>().is_none()
        {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("?");
            state.1.fail(format!("the engine panicked: {text}"));
        }
        self.end(&mut state);
    }

    fn end(&self, state: &mut State<'_>) {
        state.0.over = true;
        for turn in &self.turns {
            turn.notify_all();
        }
    }

    /// Something is wrong: everybody goes home from where they are.
    fn leave(&self, mut state: State<'_>) -> ! {
        self.end(&mut state);
        drop(state);
        // Not a panic of its own: nothing is printed, least of all where a failure is wanted.
        resume_unwind(Box::new(Over))
    }

    /// An injection point.
    fn stop(&self, me: usize, at: Stop) {
        let mut state = self.state.lock();
        let (baton, world) = &mut *state;
        baton.step += 1;
        baton.passed[me] += 1;
        world.watch(&self.engine, me);
        if baton.passed[me] > ENDLESS {
            world.fail(format!("an operation has not ended after {ENDLESS} steps of its own"));
        }
        if baton.hands_on(me, at) {
            world.look_through(&self.engine);
            if world.failure.is_none() {
                let next = baton.choose(me);
                self.hand_to(next, me, &mut state);
            }
        }
        if state.1.failure.is_some() || state.0.over {
            self.leave(state);
        }
    }

    fn hand_to(&self, next: usize, me: usize, state: &mut State<'_>) {
        if next == me {
            return;
        }
        state.0.turn = next;
        self.turns[next].notify_one();
        while state.0.turn != me && !state.0.over {
            self.turns[me].wait(state);
        }
    }

    /// The next operation; none: it is over. Now and then all come to rest before it, and the last to
    /// do so compares everything.
    fn next(&self, me: usize, hook: &parking::Hook) -> Option<Op> {
        let mut state = self.state.lock();
        if state.0.until_rest == 0 {
            state.0.at[me] = At::Rest;
            if state.0.at.contains(&At::Work) {
                let next = state.0.choose(me);
                self.hand_to(next, me, &mut state);
            } else {
                let (baton, world) = &mut *state;
                world.compare(&self.engine, baton);
                baton.until_rest = 10 + baton.rng.below(60) as u64;
                baton.at = [At::Work; THREADS];
                baton.parked = [0; THREADS];
                if baton.step >= self.limit || world.failure.is_some() {
                    self.end(&mut state);
                }
            }
        }
        if state.0.over {
            return None;
        }
        let (baton, world) = &mut *state;
        baton.until_rest = baton.until_rest.saturating_sub(1);
        baton.passed[me] = 0;
        let op = world.begin(&self.engine, me, baton);
        parking::simulate(Some(Rc::clone(hook)));
        Some(op)
    }
}

impl Baton {
    fn hands_on(&mut self, me: usize, at: Stop) -> bool {
        self.waits[me] = matches!(at, Stop::Locked | Stop::Spin);
        if self.waits[me] {
            // Whoever is waited for needs more than one step.
            self.parked[me] = self.step + 30;
            return true;
        }
        let on = self.rng.one_in(self.pace);
        if on && self.rng.one_in(self.patience) {
            // Others do many operations meanwhile.
            let steps = self.rng.pick(&[100, 300, 2_000]);
            self.parked[me] = self.step + self.rng.below(steps) as u64;
        }
        on
    }

    /// Somebody else, if there is anybody: best one that is not parked, and rather one that is than one
    /// that waits for it.
    fn choose(&mut self, me: usize) -> usize {
        let others = (0..THREADS).filter(|&t| t != me && self.at[t] == At::Work);
        let awake: Vec<usize> = others.clone().filter(|&t| self.parked[t] <= self.step).collect();
        match awake.len() {
            0 => others.min_by_key(|&t| (self.waits[t], self.parked[t])).unwrap_or(me),
            n => awake[self.rng.below(n)],
        }
    }
}
