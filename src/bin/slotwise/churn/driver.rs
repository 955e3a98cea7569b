//! One thread's work: hold a share of the cluster, giving back the oldest to make room for the
//! next. In steady state it allocates nothing per request, so that what is measured is the engine.

use std::{collections::VecDeque, time::Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use slotwise::{
    BatchMode, Engine, ReleaseError, Released, Request, Reservation, ReserveError, Selector,
    Ticket, Verdict,
};

use super::{
    By,
    load::{Id, Mix, Phase, Planned, Stream},
};
use crate::report::{latencies, nanos};

/// Requests drawn at a time, so that drawing them does not stand between two timed calls.
const BLOCK: usize = 256;

/// After so many refusals in a row there is no point in filling on.
const FULL: usize = 1000;

/// What all threads share.
pub struct Plan<'a> {
    pub engine: &'a Engine,
    pub mix: &'static Mix,
    pub selectors: Vec<Selector>,
    pub seed: u64,
    pub by: By,
    pub batch: usize,
    /// CPU that each thread holds, in millicores.
    pub share: u64,
}

/// A reservation as its thread remembers it.
#[derive(Clone, Copy)]
pub struct Held {
    /// Its ticket's number or its id's serial.
    key: u64,
    pub worker: u32,
    pub shape: u8,
}

/// What one thread was answered, and how long it took.
pub struct Tally {
    pub placed: u64,
    pub busy: u64,
    pub never: u64,
    /// Told to ask again.
    pub contended: u64,
    pub released: u64,
    pub reserve: Histogram<u64>,
    pub release: Histogram<u64>,
    /// The first answer that should not have come; the thread stops there.
    pub problem: Option<String>,
}

impl Tally {
    pub fn new() -> Tally {
        Tally {
            placed: 0,
            busy: 0,
            never: 0,
            contended: 0,
            released: 0,
            reserve: latencies(),
            release: latencies(),
            problem: None,
        }
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: Tally) {
        self.placed += other.placed;
        self.busy += other.busy;
        self.never += other.never;
        self.contended += other.contended;
        self.released += other.released;
        self.reserve.add(other.reserve).expect("the histograms have the same bounds");
        self.release.add(other.release).expect("the histograms have the same bounds");
        self.problem = self.problem.take().or(other.problem);
    }
}

/// A thread's books and buffers.
pub struct Driver<'a> {
    plan: &'a Plan<'a>,
    thread: u32,
    /// Oldest first.
    pub live: VecDeque<Held>,
    pub held_cpu: u64,
    pub tally: Tally,
    reserved: Vec<Result<Reservation, ReserveError>>,
    leaving: Vec<Held>,
    tickets: Vec<Ticket>,
    released: Vec<Result<Released, ReleaseError>>,
}

impl<'a> Driver<'a> {
    pub fn new(plan: &'a Plan<'a>, thread: u32) -> Driver<'a> {
        // Filled once, so that the memory is there before growth is measured.
        let expected = (plan.share / plan.mix.mean_cpu()) as usize;
        let mut live =
            VecDeque::from(vec![Held { key: 1, worker: 1, shape: 1 }; expected * 5 / 4 + BLOCK]);
        live.clear();
        Driver {
            plan,
            thread,
            live,
            held_cpu: 0,
            tally: Tally::new(),
            reserved: Vec::with_capacity(plan.batch),
            leaving: Vec::with_capacity(BLOCK),
            tickets: Vec::with_capacity(BLOCK),
            released: Vec::with_capacity(BLOCK),
        }
    }

    /// Reserves until this thread holds its share, or the cluster takes no more.
    pub fn fill(&mut self, bar: &ProgressBar) {
        let (mut refused, share) = (0, self.plan.share);
        self.each_batch(Phase::Fill, u64::MAX, bar, |driver, planned, requests| {
            if driver.held_cpu >= share || refused >= FULL {
                return false;
            }
            let placed = driver.tally.placed;
            driver.reserve(planned, requests);
            refused = if driver.tally.placed > placed { 0 } else { refused + requests.len() };
            true
        });
        self.tally = Tally { problem: self.tally.problem.take(), ..Tally::new() };
    }

    /// Places so many requests, each time giving back the oldest as far as the share asks for it.
    pub fn churn(&mut self, requests: u64, bar: &ProgressBar) {
        self.each_batch(Phase::Churn, requests, bar, |driver, planned, requests| {
            driver.make_room(planned);
            driver.reserve(planned, requests);
            true
        });
    }

    /// Draws up to `count` requests and hands them on a batch at a time, until told to stop.
    fn each_batch(
        &mut self,
        phase: Phase,
        count: u64,
        bar: &ProgressBar,
        mut each: impl FnMut(&mut Self, &[Planned], &[Request<'_>]) -> bool,
    ) {
        let Plan { mix, ref selectors, seed, by, batch, .. } = *self.plan;
        let mut stream = Stream::new(mix, seed, self.thread, phase);
        let block_len = BLOCK.next_multiple_of(batch);
        let mut block = Vec::with_capacity(block_len);
        let mut left = count;
        while left > 0 {
            let now = left.min(block_len as u64) as usize;
            stream.draw(now, &mut block);
            let requests: Vec<Request<'_>> =
                block.iter().map(|p| p.request(mix, selectors, by == By::Id)).collect();
            for (planned, requests) in block.chunks(batch).zip(requests.chunks(batch)) {
                if self.tally.problem.is_some() || !each(self, planned, requests) {
                    return;
                }
            }
            left -= now as u64;
            bar.inc(now as u64);
        }
    }

    fn reserve(&mut self, planned: &[Planned], requests: &[Request<'_>]) {
        self.reserved.clear();
        let start = Instant::now();
        match requests {
            [one] => self.reserved.push(self.plan.engine.reserve(one)),
            many => {
                self.plan.engine.reserve_batch(many, BatchMode::Independent, &mut self.reserved);
            }
        }
        record(&mut self.tally.reserve, start, planned.len());
        for (planned, result) in planned.iter().zip(&self.reserved) {
            match result {
                Ok(placed) => {
                    let key = match self.plan.by {
                        By::Id => planned.serial,
                        By::Ticket => placed.ticket.to_bits(),
                    };
                    let (worker, shape) = (placed.worker.index, planned.shape);
                    self.live.push_back(Held { key, worker, shape });
                    self.held_cpu += self.plan.mix.need(shape).cpu;
                    self.tally.placed += 1;
                }
                Err(ReserveError::InFlight | ReserveError::Contended) => self.tally.contended += 1,
                Err(e) => match e.verdict() {
                    Some(Verdict::Busy) => self.tally.busy += 1,
                    Some(Verdict::Never) => self.tally.never += 1,
                    None => self.tally.problem = Some(format!("reserve: {e}")),
                },
            }
        }
    }

    /// Gives back the oldest reservations until the requests to come fit into the share.
    fn make_room(&mut self, planned: &[Planned]) {
        let mix = self.plan.mix;
        let need: u64 = planned.iter().map(|p| mix.need(p.shape).cpu).sum();
        self.leaving.clear();
        while self.held_cpu + need > self.plan.share {
            let Some(oldest) = self.live.pop_front() else {
                break;
            };
            self.held_cpu -= mix.need(oldest.shape).cpu;
            self.leaving.push(oldest);
        }
        self.released.clear();
        let engine = self.plan.engine;
        match self.plan.by {
            By::Ticket if self.plan.batch > 1 => {
                self.tickets.clear();
                self.tickets.extend(self.leaving.iter().map(|held| Ticket::from_bits(held.key)));
                let start = Instant::now();
                engine.release_batch(&self.tickets, &mut self.released);
                record(&mut self.tally.release, start, self.leaving.len());
            }
            by => {
                for held in &self.leaving {
                    let id = Id::new(self.thread, held.key);
                    let start = Instant::now();
                    self.released.push(match by {
                        By::Id => engine.release_id(id.as_bytes()),
                        By::Ticket => engine.release(Ticket::from_bits(held.key)),
                    });
                    record(&mut self.tally.release, start, 1);
                }
            }
        }
        for (held, result) in self.leaving.iter().zip(&self.released) {
            match result {
                Ok(released) => {
                    self.tally.released += 1;
                    let expected = (held.worker, mix.need(held.shape));
                    if (released.worker.index, released.amount) != expected {
                        self.tally.problem =
                            Some(format!("released {released:?}, expected {expected:?}"));
                    }
                }
                Err(e) => self.tally.problem = Some(format!("release: {e}")),
            }
        }
    }
}

/// A call's time, spread evenly over its requests.
fn record(histogram: &mut Histogram<u64>, start: Instant, requests: usize) {
    let took = nanos(start.elapsed());
    if let Some(each) = took.checked_div(requests as u64) {
        histogram.saturating_record_n(each, requests as u64);
    }
}
