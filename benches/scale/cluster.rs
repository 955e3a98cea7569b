//! Workers that are full or not as a row asks for it, and the pairs that are timed on them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use slotwise::{
    Config, Engine, Policy, Request, Resources, Ticket, Verdict, WorkerRef, WorkerSpec,
};

use crate::common::{REFUSED, Random};

/// What every worker has. In no dimension close to a power of two, so that what the benchmarks take
/// from an empty worker leaves it in its size class.
pub const TOTAL: Resources = Resources::new(100_000, 200_000);

/// What a pair takes: 100,000 of them on 20 workers still leave each in its size class.
pub const NEED: Resources = Resources::new(2, 4);

/// Powers of two: a worker with just this free changes its size class with each reservation and
/// release.
const EDGE: Resources = Resources::new(65_536, 131_072);

/// More than any row has alive that does not say how many.
const ROOM: usize = 1 << 14;

/// What is free of a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Every worker, all of it.
    Empty,
    /// One in twenty workers, all of it; the others are full.
    Twentieth,
    /// One in a thousand.
    Thousandth,
    One,
    None,
    /// As much of every worker as makes each operation cross a size class.
    Edge,
}

impl Fill {
    pub const ALL: [Fill; 6] =
        [Fill::Empty, Fill::Twentieth, Fill::Thousandth, Fill::One, Fill::None, Fill::Edge];

    pub fn name(self) -> &'static str {
        match self {
            Fill::Empty => "empty",
            Fill::Twentieth => "5 % free",
            Fill::Thousandth => "0.1 % free",
            Fill::One => "one free",
            Fill::None => "none free",
            Fill::Edge => "crossing a size class",
        }
    }

    /// How much is held on how many of so many workers.
    fn held(self, workers: usize) -> (Resources, usize) {
        let edge = Resources::new(TOTAL.cpu - EDGE.cpu, TOTAL.memory - EDGE.memory);
        match self {
            Fill::Empty => (TOTAL, 0),
            Fill::Twentieth => (TOTAL, workers - workers.div_ceil(20)),
            Fill::Thousandth => (TOTAL, workers - workers.div_ceil(1000)),
            Fill::One => (TOTAL, workers - 1),
            Fill::None => (TOTAL, workers),
            Fill::Edge => (edge, workers),
        }
    }
}

/// An engine whose workers are made full, and free again, by reservations.
pub struct Cluster {
    pub engine: Engine,
    /// In the order in which they are made full: those that stay free longest were drawn at random.
    workers: Vec<WorkerRef>,
    /// What makes them full: of as many of them, this much of each.
    holding: Vec<Ticket>,
    each: Resources,
    random: Random,
}

impl Cluster {
    /// `detail` adds to a worker of this number what a row needs beside capacity.
    pub fn new(workers: usize, detail: impl Fn(WorkerSpec, usize) -> WorkerSpec) -> Cluster {
        Cluster::with_room(workers, ROOM, detail)
    }

    /// With room for so many reservations beside those that make workers full: an engine's tables
    /// are as large as its limits, and a host would set them near what it needs.
    pub fn with_room(
        workers: usize,
        room: usize,
        detail: impl Fn(WorkerSpec, usize) -> WorkerSpec,
    ) -> Cluster {
        let config = Config {
            max_workers: workers,
            max_reservations: workers + room,
            count_reasons: false,
            ..Config::default()
        };
        let engine = Engine::new(config).expect("the limits are in range");
        let spec = |k| detail(WorkerSpec::new(format!("worker-{k}"), TOTAL), k);
        let added = engine.add_workers((0..workers).map(spec));
        let mut workers: Vec<WorkerRef> =
            added.into_iter().map(|w| w.expect("the worker is valid")).collect();
        let mut random = Random(workers.len() as u64);
        for k in (1..workers.len()).rev() {
            workers.swap(k, (random.draw() % (k as u64 + 1)) as usize);
        }
        // Drawn at random is only where the steps between fills lie. In the order of the slots
        // between them, a million workers are filled in a fraction of the time.
        let mut from = 0;
        for fill in [Fill::Twentieth, Fill::Thousandth, Fill::One] {
            let (_, to) = fill.held(workers.len());
            workers[from..to].sort();
            from = to;
        }
        Cluster { engine, workers, holding: Vec::new(), each: TOTAL, random }
    }

    /// The worker that is made full last of all.
    pub fn last(&self) -> WorkerRef {
        *self.workers.last().expect("there are workers")
    }

    /// Whether anything had to be done.
    pub fn fill(&mut self, fill: Fill) -> bool {
        let (each, count) = fill.held(self.workers.len());
        self.hold(each, count)
    }

    /// Holds `each` on just the first `count` workers. Whether it did not before.
    pub fn hold(&mut self, each: Resources, count: usize) -> bool {
        if each == self.each && count == self.holding.len() {
            return false;
        }
        let keep = if each == self.each { count } else { 0 };
        for ticket in self.holding.drain(keep.min(self.holding.len())..) {
            self.engine.release(ticket).expect("it is held");
        }
        self.each = each;
        for &worker in &self.workers[self.holding.len()..count] {
            let request = Request::anonymous(each);
            let held = self.engine.reserve_on(worker, &request, None).expect(REFUSED);
            self.holding.push(held.ticket);
        }
        true
    }

    /// Reserves and releases so often, one at a time, each starting at a place drawn at random (in
    /// about a nanosecond, which is timed as well). Where nothing is free, what is timed is being
    /// told so. `detail` adds to a request of this number what a row needs.
    pub fn pairs(
        &mut self,
        fill: Fill,
        pairs: usize,
        detail: impl Fn(Request<'static>, usize) -> Request<'static>,
    ) -> Duration {
        if self.fill(fill) {
            // What was taken whole leaves hints of smaller sizes up, until one request has followed
            // them. This one compares all workers that hints lead to.
            let request = detail(Request::anonymous(NEED).policy(Policy::TightestFit), 0);
            if let Ok(placed) = self.engine.reserve(&request) {
                self.engine.release(placed.ticket).expect("it is held");
            }
        }
        // Some are not timed: what filling left in the caches is not what a host would find there.
        self.run(fill, pairs / 8, &detail);
        let start = Instant::now();
        self.run(fill, pairs, &detail);
        start.elapsed()
    }

    fn run(
        &mut self,
        fill: Fill,
        pairs: usize,
        detail: &impl Fn(Request<'static>, usize) -> Request<'static>,
    ) {
        for k in 0..pairs {
            let request = detail(Request::anonymous(NEED).hash(self.random.draw()), k);
            match self.engine.reserve(black_box(&request)) {
                Ok(placed) => drop(self.engine.release(placed.ticket).expect("it is held")),
                Err(error) => {
                    let busy = error.verdict() == Some(Verdict::Busy);
                    assert!(fill == Fill::None && busy, "{REFUSED}: {error}");
                }
            }
        }
    }
}
