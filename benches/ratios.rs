//! What a reservation and its release cost, as ratios: to a bare pair of atomic operations and to
//! what a user would write with a mutex. Absolute times differ between machines and drift on one;
//! the ratios of interleaved rounds hold.
//!
//! `cargo bench --bench ratios -- [--rounds N] [--json]`

mod baseline;
mod common;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod report;
mod unit;

use std::hash::RandomState;
use std::time::Instant;

use slotwise::Resources;

use baseline::{MutexVec, MutexVecMap};
use common::{
    ById, ByTicket, CLUSTER, Embedded, HEAVY, LIGHT, Scheduler, jobs, jobs_per_thread, steady,
};
use report::{Options, Row, Unit};
use unit::{BARE, bare_pairs};

const BATCH: usize = 64;

/// Every thread keeps its share of `live` reservations and replaces them, oldest first.
fn steady_row<S: Embedded>(
    threads: usize,
    live: usize,
    sizes: (&str, &[Resources]),
) -> Row<'static> {
    let (size, sizes) = sizes;
    let scenario =
        format!("{threads} thread{}, {live} live{size}", if threads > 1 { "s" } else { "" });
    let live = live / threads;
    let work = jobs_per_thread(threads, live, sizes);
    let scheduler = S::cluster(&CLUSTER);
    Row::new(scenario, S::NAME, move |pairs| steady(&scheduler, &work, live, pairs / threads))
}

fn batch_row<S: Embedded>() -> Row<'static> {
    let work = jobs(1, BATCH, &LIGHT);
    let scheduler = S::cluster(&CLUSTER);
    Row::new(format!("1 thread, batches of {BATCH}"), S::NAME, move |pairs| {
        let mut batches = scheduler.batches(&work);
        let start = Instant::now();
        (0..pairs / BATCH).for_each(|_| batches());
        let took = start.elapsed();
        drop(batches);
        scheduler.check_idle();
        took
    })
}

fn main() {
    let options = Options::get();
    let mut rows = vec![Row::new("1 thread", BARE, bare_pairs)];
    // First fit finds room on the first worker or two, or has to pass many full ones.
    let light = ("", LIGHT.as_slice());
    let heavy = (" (80 % full)", HEAVY.as_slice());
    for (live, sizes) in [(32, light), (1_000, light), (1_000, heavy)] {
        for threads in [1, 2] {
            rows.extend([
                steady_row::<ByTicket>(threads, live, sizes),
                steady_row::<ById>(threads, live, sizes),
                steady_row::<MutexVec>(threads, live, sizes),
                steady_row::<MutexVecMap<RandomState>>(threads, live, sizes),
                steady_row::<MutexVecMap<foldhash::fast::RandomState>>(threads, live, sizes),
            ]);
        }
    }
    rows.extend([
        batch_row::<ByTicket>(),
        batch_row::<ById>(),
        batch_row::<MutexVec>(),
        batch_row::<MutexVecMap<RandomState>>(),
        batch_row::<MutexVecMap<foldhash::fast::RandomState>>(),
    ]);
    report::interleave(&mut rows, &options);
    let units = [BARE, MutexVec::NAME, MutexVecMap::<RandomState>::NAME].map(Unit::cost);
    report::table("Reserve and release, 20 workers", &rows, &units, &options).print(&options);
}
