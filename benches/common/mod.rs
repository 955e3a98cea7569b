//! What the benchmarks share: the jobs that are asked for, one interface over the engine and all
//! that it is compared with, and the steady state that threads run on it.

#[path = "../../tests/common/start_line.rs"]
mod start_line;

use std::hash::BuildHasher;
use std::iter::Cycle;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use slotwise::{BatchMode, Config, Engine, Request, Resources, Ticket, WorkerSpec};

use crate::baseline::{MutexVec, MutexVecMap};
pub use start_line::StartLine;

/// What every worker of the benchmarks has: 100 cores, 256 GiB.
pub const TOTAL: Resources = Resources::new(100_000, 262_144);

/// The cluster of the benchmarks, empty.
pub const CLUSTER: [Resources; 20] = [TOTAL; 20];

/// Sizes of which 1,000 fit on one worker or two: a first-fit scan ends at once.
pub const LIGHT: [Resources; 3] =
    [Resources::new(50, 128), Resources::new(100, 256), Resources::new(150, 384)];

/// Sizes of which 1,000 fill 80 % of the cluster.
pub const HEAVY: [Resources; 3] =
    [Resources::new(800, 2_048), Resources::new(1_600, 4_096), Resources::new(2_400, 6_144)];

/// The pool that all workers belong to and all jobs ask for, as the baselines number it.
pub const POOL: u32 = 0;

/// One container to place.
pub struct Job {
    /// Looks like a UUID: 36 bytes.
    pub id: String,
    pub need: Resources,
    /// Where its probe starts when it has no id: what a host would keep of a function or image.
    pub hash: u64,
}

/// SplitMix64 (Steele, Lea and Flood 2014): cheap enough to draw from between two timed calls.
pub struct Random(pub u64);

impl Random {
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// `count` jobs of mixed sizes, the same ones for the same seed; other seeds give other ids.
pub fn jobs(seed: u64, count: usize, sizes: &[Resources]) -> Vec<Job> {
    let mut random = Random(seed << 32);
    (0..count)
        .map(|_| {
            let (a, b, hash) = (random.draw(), random.draw(), random.draw());
            let id = format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                a >> 32,
                a >> 16 & 0xffff,
                a & 0xffff,
                b >> 48,
                b & 0xffff_ffff_ffff
            );
            Job { id, need: sizes[random.draw() as usize % sizes.len()], hash }
        })
        .collect()
}

/// Something that places jobs. Every benchmark body is written once, over this.
pub trait Scheduler: Sync {
    const NAME: &'static str;
    /// What whoever reserved keeps until the release.
    type Held: Copy;

    /// None: refused.
    fn reserve(&self, job: &Job) -> Option<Self::Held>;

    fn release(&self, job: &Job, held: Self::Held);

    /// Panics if anything is still held, or the books do not add up. Not timed.
    fn check_idle(&self) {}
}

/// A scheduler inside this process.
pub trait Embedded: Scheduler + 'static {
    /// A cluster of [`TOTAL`] workers with this much free on each.
    fn cluster(free: &[Resources]) -> Self;

    /// Reserves all of `jobs` in one call and releases them in another, each time it is called.
    /// The arrays that a host would keep from call to call are kept.
    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a;
}

pub const REFUSED: &str = "the benchmarks ask for less than there is";

/// The engine, reservations named by ticket alone.
pub struct ByTicket(pub Engine);

/// The engine, reservations named by id.
pub struct ById(pub Engine);

/// What is not free is set aside, so that every scheduler starts from the same picture.
fn engine(free: &[Resources]) -> Engine {
    let engine = Engine::new(Config::default()).expect("the default limits are valid");
    for (k, free) in free.iter().enumerate() {
        let taken = Resources::new(TOTAL.cpu - free.cpu, TOTAL.memory - free.memory);
        engine
            .add_worker(WorkerSpec::new(format!("worker-{k}"), TOTAL).set_aside(taken))
            .expect("the worker is valid");
    }
    engine
}

fn check_engine(engine: &Engine) {
    let audit = engine.audit();
    assert!(audit.is_ok(), "the books do not add up: {audit:?}");
    assert_eq!(audit.reservations, 0, "reservations are left over");
}

fn engine_batches<'a>(engine: &'a Engine, requests: Vec<Request<'a>>) -> impl FnMut() + 'a {
    let (mut placed, mut tickets, mut released) = (Vec::new(), Vec::<Ticket>::new(), Vec::new());
    move || {
        engine.reserve_batch(&requests, BatchMode::Independent, &mut placed);
        tickets.clear();
        tickets.extend(placed.iter().map(|r| r.as_ref().expect(REFUSED).ticket));
        engine.release_batch(&tickets, &mut released);
    }
}

impl ByTicket {
    fn request(job: &Job) -> Request<'_> {
        Request::anonymous(job.need).hash(job.hash)
    }
}

impl Scheduler for ByTicket {
    const NAME: &'static str = "slotwise by ticket";
    type Held = Ticket;

    fn reserve(&self, job: &Job) -> Option<Ticket> {
        self.0.reserve(&Self::request(job)).ok().map(|placed| placed.ticket)
    }

    fn release(&self, _: &Job, ticket: Ticket) {
        self.0.release(ticket).expect("it is held");
    }

    fn check_idle(&self) {
        check_engine(&self.0);
    }
}

impl Embedded for ByTicket {
    fn cluster(free: &[Resources]) -> Self {
        ByTicket(engine(free))
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        engine_batches(&self.0, jobs.iter().map(Self::request).collect())
    }
}

impl ById {
    fn request(job: &Job) -> Request<'_> {
        Request::new(job.id.as_bytes(), job.need)
    }
}

impl Scheduler for ById {
    const NAME: &'static str = "slotwise by id";
    type Held = ();

    fn reserve(&self, job: &Job) -> Option<()> {
        self.0.reserve(&Self::request(job)).ok().map(|_| ())
    }

    fn release(&self, job: &Job, (): ()) {
        self.0.release_id(job.id.as_bytes()).expect("it is held");
    }

    fn check_idle(&self) {
        check_engine(&self.0);
    }
}

impl Embedded for ById {
    fn cluster(free: &[Resources]) -> Self {
        ById(engine(free))
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        engine_batches(&self.0, jobs.iter().map(Self::request).collect())
    }
}

impl Scheduler for MutexVec {
    const NAME: &'static str = "Mutex of Vec";
    type Held = u32;

    fn reserve(&self, job: &Job) -> Option<u32> {
        MutexVec::reserve(self, POOL, &job.need)
    }

    fn release(&self, job: &Job, worker: u32) {
        MutexVec::release(self, worker, &job.need);
    }
}

impl Embedded for MutexVec {
    fn cluster(free: &[Resources]) -> Self {
        MutexVec::new(free, POOL)
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        let mut placed = Vec::new();
        move || {
            self.reserve_all(POOL, jobs.iter().map(|job| &job.need), &mut placed);
            let workers = placed.iter().map(|worker| worker.expect(REFUSED));
            self.release_all(workers.zip(jobs.iter().map(|job| &job.need)));
        }
    }
}

/// Tells the two hashers of [`MutexVecMap`] apart.
pub trait Named {
    const NAME: &'static str;
}

impl Named for std::hash::RandomState {
    const NAME: &'static str = "Mutex of (Vec, HashMap)";
}

impl Named for foldhash::fast::RandomState {
    const NAME: &'static str = "Mutex of (Vec, HashMap), foldhash";
}

impl<S: BuildHasher + Default + Named + Send> Scheduler for MutexVecMap<S> {
    const NAME: &'static str = S::NAME;
    type Held = ();

    fn reserve(&self, job: &Job) -> Option<()> {
        MutexVecMap::reserve(self, &job.id, POOL, &job.need).map(|_| ())
    }

    fn release(&self, job: &Job, (): ()) {
        assert!(MutexVecMap::release(self, &job.id), "it is held");
    }
}

impl<S: BuildHasher + Default + Named + Send + 'static> Embedded for MutexVecMap<S> {
    fn cluster(free: &[Resources]) -> Self {
        MutexVecMap::new(free, POOL)
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        let mut placed = Vec::new();
        move || {
            let asked = jobs.iter().map(|job| (job.id.as_str(), &job.need));
            self.reserve_all(POOL, asked, &mut placed);
            assert!(placed.iter().all(Option::is_some), "{REFUSED}");
            self.release_all(jobs.iter().map(|job| job.id.as_str()));
        }
    }
}

/// A thread's live reservations: always as many, the oldest released before a new one is made.
struct Live<'a, S: Scheduler> {
    scheduler: &'a S,
    upcoming: Cycle<slice::Iter<'a, Job>>,
    ring: Vec<(&'a Job, S::Held)>,
    oldest: usize,
}

impl<'a, S: Scheduler> Live<'a, S> {
    fn fill(scheduler: &'a S, jobs: &'a [Job], live: usize) -> Option<Self> {
        assert!(jobs.len() > live, "an id must be free before it is used again");
        let mut upcoming = jobs.iter().cycle();
        let held = |job| Some((job, scheduler.reserve(job)?));
        let ring = upcoming.by_ref().take(live).map(held).collect::<Option<_>>()?;
        Some(Live { scheduler, upcoming, ring, oldest: 0 })
    }

    fn run(&mut self, pairs: usize) -> Option<()> {
        for job in self.upcoming.by_ref().take(pairs) {
            let (old, held) = self.ring[self.oldest];
            self.scheduler.release(old, held);
            self.ring[self.oldest] = (job, self.scheduler.reserve(job)?);
            self.oldest = if self.oldest + 1 == self.ring.len() { 0 } else { self.oldest + 1 };
        }
        Some(())
    }

    fn drain(self) {
        self.ring.into_iter().for_each(|(job, held)| self.scheduler.release(job, held));
    }
}

/// Runs `pairs` releases and reservations in each thread, one thread for each list of jobs, with
/// `live` reservations held by each all the while. Returns the time from the first start to the
/// last end.
pub fn steady<S: Scheduler>(
    scheduler: &S,
    jobs: &[Vec<Job>],
    live: usize,
    pairs: usize,
) -> Duration {
    let start_line = StartLine::new(jobs.len());
    let body = |jobs| {
        let warm = Live::fill(scheduler, jobs, live).and_then(|mut live| {
            live.run(pairs / 8)?;
            Some(live)
        });
        // A refusal is unwrapped behind the start line, so that it does not leave the others waiting.
        start_line.wait();
        let mut live = warm.expect(REFUSED);
        let start = Instant::now();
        live.run(pairs).expect(REFUSED);
        let end = Instant::now();
        live.drain();
        (start, end)
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = jobs.iter().map(|jobs| scope.spawn(|| body(jobs))).collect();
        threads.into_iter().map(|t| t.join().expect("a benchmark thread panicked")).collect()
    });
    scheduler.check_idle();
    let start = spans.iter().map(|(start, _)| *start).min().expect("there is a thread");
    let end = spans.iter().map(|(_, end)| *end).max().expect("there is a thread");
    end - start
}

/// Jobs for each of `threads`, all ids different, half of them live at a time.
pub fn jobs_per_thread(threads: usize, live: usize, sizes: &[Resources]) -> Vec<Vec<Job>> {
    (0..threads).map(|thread| jobs(thread as u64 + 1, 2 * live, sizes)).collect()
}
