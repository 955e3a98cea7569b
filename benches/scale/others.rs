//! What else one might write: finer locks and a concurrent map, as fast as their kind allows. The
//! two that hold one lock for all are in `baseline`.

use std::hash::RandomState;
use std::slice;

use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use slotwise::Resources;

use crate::baseline::{self, MutexVec, MutexVecMap, Worker};
use crate::cluster::{Cluster, TOTAL};
use crate::common::{ById, ByTicket, Job, LIGHT, POOL, Scheduler, jobs_per_thread, steady};
use crate::report::{self, Options, Row, Table, Unit};
use crate::{BARE, CALM, units};

const WORKERS: usize = 20;
const FREE: [Resources; WORKERS] = [TOTAL; WORKERS];

/// Workers in the order in which a job looks at them: threads that all began with the first one
/// would only wait for each other.
fn round(job: &Job) -> impl Iterator<Item = u32> + use<> {
    let from = (job.hash % WORKERS as u64) as usize;
    (from..WORKERS).chain(0..from).map(|k| k as u32)
}

/// A lock for each worker.
struct Mutexes(Vec<CachePadded<Mutex<Worker>>>);

impl Scheduler for Mutexes {
    const NAME: &'static str = "a Mutex per worker";
    type Held = u32;

    fn reserve(&self, job: &Job) -> Option<u32> {
        let took = |k: &u32| {
            let mut worker = self.0[*k as usize].lock();
            baseline::take(slice::from_mut(&mut worker), POOL, &job.need).is_some()
        };
        round(job).find(took)
    }

    fn release(&self, job: &Job, worker: u32) {
        let mut worker = self.0[worker as usize].lock();
        baseline::give(slice::from_mut(&mut worker), 0, &job.need);
    }
}

/// Readers choose, side by side; one writer at a time takes, if it is still there to be taken.
struct ReadersFirst(RwLock<Vec<Worker>>);

impl Scheduler for ReadersFirst {
    const NAME: &'static str = "RwLock of Vec";
    type Held = u32;

    fn reserve(&self, job: &Job) -> Option<u32> {
        loop {
            let chosen = baseline::find(&self.0.read(), POOL, &job.need)?;
            let worker = &mut self.0.write()[chosen];
            if baseline::take(slice::from_mut(worker), POOL, &job.need).is_some() {
                return Some(chosen as u32);
            }
        }
    }

    fn release(&self, job: &Job, worker: u32) {
        baseline::give(&mut self.0.write(), worker, &job.need);
    }
}

/// A concurrent map of workers.
struct Map(DashMap<u32, Worker>);

impl Scheduler for Map {
    const NAME: &'static str = "DashMap of workers";
    type Held = u32;

    fn reserve(&self, job: &Job) -> Option<u32> {
        let took = |k: &u32| {
            let mut worker = self.0.get_mut(k).expect("no worker leaves");
            baseline::take(slice::from_mut(&mut *worker), POOL, &job.need).is_some()
        };
        round(job).find(took)
    }

    fn release(&self, job: &Job, worker: u32) {
        let mut worker = self.0.get_mut(&worker).expect("no worker leaves");
        baseline::give(slice::from_mut(&mut *worker), 0, &job.need);
    }
}

pub fn table(options: &Options) -> Table {
    fn row<S: Scheduler + 'static>(threads: usize, scheduler: S) -> Row<'static> {
        const LIVE: usize = 16;
        let work = jobs_per_thread(threads, LIVE, &LIGHT);
        let scenario = format!("{threads} thread{}", if threads > 1 { "s" } else { "" });
        Row::new(scenario, S::NAME, move |pairs| steady(&scheduler, &work, LIVE, pairs / threads))
    }
    let engine = || Cluster::new(WORKERS, |spec, _| spec).engine;
    let workers = || baseline::workers(&FREE, POOL).into_iter();
    let mut rows = units();
    for threads in [1, 2, 8] {
        rows.extend([
            row(threads, ByTicket(engine())),
            row(threads, ById(engine())),
            row(threads, MutexVec::new(&FREE, POOL)),
            row(threads, MutexVecMap::<RandomState>::new(&FREE, POOL)),
            row(threads, Mutexes(workers().map(|w| CachePadded::new(Mutex::new(w))).collect())),
            row(threads, ReadersFirst(RwLock::new(workers().collect()))),
            row(threads, Map((0..).zip(workers()).collect())),
        ]);
    }
    report::interleave(&mut rows, options);
    let units = [BARE, CALM, ByTicket::NAME, ById::NAME].map(Unit::cost);
    report::table("Beside what else one might write, 20 workers, per pair", &rows, &units, options)
}
