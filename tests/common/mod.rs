//! The vocabulary that the integration tests share: short names for workers and amounts, an engine
//! that is audited when a test ends, a seeded source of random numbers.

#![allow(dead_code, reason = "each test program uses a part of it")]

mod start_line;

use std::ops::Deref;

use slotwise::{
    Config, Engine, Free, Request, Reservation, ReserveError, Resources, Verdict, WorkerInfo,
    WorkerSpec,
};

use start_line::StartLine;

/// What a request needs, or a worker has: millicores and MiB.
pub const fn r(cpu: u64, memory: u64) -> Resources {
    Resources::new(cpu, memory)
}

/// A plain worker.
pub fn w(id: &str, cpu: u64, memory: u64) -> WorkerSpec {
    WorkerSpec::new(id, r(cpu, memory))
}

/// A worker with `n` GPUs of one type.
pub fn gpu(id: &str, cpu: u64, memory: u64, kind: &str, n: u64) -> WorkerSpec {
    WorkerSpec::new(id, r(cpu, memory).gpus(n)).gpu_type(kind)
}

/// What is free, as a host says it: `free(cpu, memory, gpus)`.
pub const fn free(cpu: i64, memory: i64, gpus: i64) -> Free {
    Free { cpu, memory, gpus }
}

/// Limits that suit a test: small, and far above what it uses.
pub fn small() -> Config {
    Config {
        max_workers: 1 << 10,
        max_reservations: 1 << 14,
        max_selectors: 1 << 10,
        max_batches: 1 << 6,
        ..Config::default()
    }
}

/// An engine whose books are checked when the test is done with it.
pub struct Audited(Engine);

impl Audited {
    pub fn new(config: Config, workers: impl IntoIterator<Item = WorkerSpec>) -> Self {
        let engine = Engine::new(config).expect("a valid configuration");
        for worker in workers {
            engine.add_worker(worker).expect("a valid worker");
        }
        Audited(engine)
    }

    /// The worker of this id, as it is now.
    pub fn see(&self, id: &str) -> WorkerInfo {
        self.worker(id.as_bytes()).unwrap_or_else(|| panic!("{id} is not registered"))
    }

    /// The id of the worker that this reservation is on.
    pub fn place(&self, reservation: &Reservation) -> String {
        self.worker_by_ref(reservation.worker).expect("a registered worker").id.to_string()
    }

    /// Where this request lands, or why it does not.
    pub fn lands(&self, request: &Request<'_>) -> Result<String, ReserveError> {
        self.reserve(request).map(|placed| self.place(&placed))
    }

    /// Where this request would land: the engine is left as it was, but for versions.
    pub fn would_land(&self, request: &Request<'_>) -> Result<String, ReserveError> {
        let placed = self.reserve(request)?;
        let id = self.place(&placed);
        self.release(placed.ticket).expect("the reservation just made");
        Ok(id)
    }

    /// Does `change` and asserts that nothing a host can see is different afterwards.
    #[track_caller]
    pub fn unchanged<T>(&self, change: impl FnOnce(&Engine) -> T) -> T {
        let before = self.stats();
        let answer = self.unchanged_but_counted(change);
        assert_eq!(self.stats(), before);
        answer
    }

    /// The same for a request that was decided and therefore counts in the statistics.
    #[track_caller]
    pub fn unchanged_but_counted<T>(&self, change: impl FnOnce(&Engine) -> T) -> T {
        let before = (self.workers(), self.audit());
        let answer = change(self);
        assert_eq!((self.workers(), self.audit()), before);
        answer
    }
}

impl Deref for Audited {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let audit = self.audit();
            assert!(audit.is_ok() && audit.unsettled == 0, "{audit:?}");
        }
    }
}

/// An engine with these workers and small limits.
pub fn engine(workers: impl IntoIterator<Item = WorkerSpec>) -> Audited {
    Audited::new(small(), workers)
}

/// The verdict of a request that must have been refused.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, ReserveError>) -> Verdict {
    let error = answer.expect_err("a refusal");
    error.verdict().unwrap_or_else(|| panic!("a refusal, not {error:?}"))
}

/// Runs `work` on `threads` threads that start together; their answers, by thread number.
pub fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = StartLine::new(threads);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|me| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(me)
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().expect("a thread that does not panic")).collect()
    })
}

/// Asks again as long as the answer is that another thread is at work on the same thing; which
/// ends, or something is stuck.
pub fn patiently<T, E: Copy>(
    in_flight: impl Fn(E) -> bool,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _ in 0..10_000_000 {
        match ask() {
            Err(e) if in_flight(e) => std::thread::yield_now(),
            answer => return answer,
        }
    }
    panic!("in flight for ever")
}

/// xorshift64* (Vigna 2016): small, seeded, good enough to choose operations by.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        // A seed of few bits would start a long run of small numbers; 0 would never leave it.
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 32) as usize % n
    }
}
