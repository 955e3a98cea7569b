//! By how the engine is used: by ticket or id, by many threads, in batches.

use std::time::Instant;

use slotwise::{BatchMode, Request, Ticket};

use crate::cluster::{Cluster, Fill, NEED};
use crate::common::{
    ById, ByTicket, LIGHT, REFUSED, Random, Scheduler, jobs, jobs_per_thread, steady,
};
use crate::report::{self, Options, Row, Table, Unit};
use crate::{BARE, CALM, units};

/// By ticket and by id, with few and with many alive: each is released when it is the oldest.
pub fn ids(options: &Options) -> Table {
    fn row<S: Scheduler + 'static>(live: usize, scheduler: S) -> Row<'static> {
        let work = jobs_per_thread(1, live, &[NEED]);
        let scenario = format!("20 workers, {live} live");
        Row::new(scenario, S::NAME, move |pairs| steady(&scheduler, &work, live, pairs))
    }
    let mut rows = units();
    for live in [1_000, if options.small() { 10_000 } else { 100_000 }] {
        let engine = || Cluster::with_room(20, 2 * live, |spec, _| spec).engine;
        rows.push(row(live, ByTicket(engine())));
        rows.push(row(live, ById(engine())));
    }
    report::interleave(&mut rows, options);
    let units = [BARE, CALM, ByTicket::NAME].map(Unit::cost);
    report::table("Reserve and release by id (36 bytes), one thread", &rows, &units, options)
}

/// Threads that release and reserve at once.
pub fn threads(options: &Options) -> Table {
    const ONE: &str = "1 thread";
    const LIVE: usize = 16;
    // So many that the places where they start are spread over all workers.
    const JOBS: u64 = 4_096;
    let mut rows = units();
    for workers in [20, 10_000] {
        for (threads, name) in [(1, ONE), (2, "2 threads"), (4, "4 threads"), (8, "8 threads")] {
            let scheduler = ByTicket(Cluster::new(workers, |spec, _| spec).engine);
            let work: Vec<_> =
                (1..=threads).map(|seed| jobs(seed, JOBS as usize, &LIGHT)).collect();
            let run = move |pairs| steady(&scheduler, &work, LIVE, pairs / work.len());
            rows.push(Row::new(format!("{workers} workers"), name, run));
        }
    }
    report::interleave(&mut rows, options);
    let units = [Unit::cost(BARE), Unit::cost(CALM), Unit::throughput(ONE)];
    report::table("Threads, reserve and release by ticket, per pair", &rows, &units, options)
}

/// Batches of one size after another, as whole calls, per item.
pub fn batches(options: &Options) -> Table {
    const ONE: &str = "batches of 1";
    const SIZES: [(usize, &str); 4] =
        [(1, ONE), (16, "batches of 16"), (64, "batches of 64"), (512, "batches of 512")];
    let mut rows = units();
    for (workers, fill) in [(20, Fill::Empty), (10_000, Fill::Empty), (10_000, Fill::Twentieth)] {
        for (size, name) in SIZES {
            let mut cluster = Cluster::new(workers, |spec, _| spec);
            cluster.fill(fill);
            let mut random = Random(size as u64);
            let mut request = || Request::anonymous(NEED).hash(random.draw());
            let requests: Vec<Request> = (0..4_096).map(|_| request()).collect();
            let (mut placed, mut tickets) = (Vec::new(), Vec::<Ticket>::new());
            let mut released = Vec::new();
            let mut at = 0;
            let run = move |pairs: usize| {
                let engine = &cluster.engine;
                let start = Instant::now();
                for _ in 0..pairs / size {
                    engine.reserve_batch(
                        &requests[at..at + size],
                        BatchMode::Independent,
                        &mut placed,
                    );
                    tickets.clear();
                    tickets.extend(placed.iter().map(|r| r.as_ref().expect(REFUSED).ticket));
                    engine.release_batch(&tickets, &mut released);
                    at = (at + size) % requests.len();
                }
                start.elapsed()
            };
            let scenario = format!("{workers} workers, {}", fill.name());
            rows.push(Row::new(scenario, name, run).at_least(512));
        }
    }
    report::interleave(&mut rows, options);
    let units = [BARE, CALM, ONE].map(Unit::cost);
    report::table("Batches by ticket, one thread, per reservation pair", &rows, &units, options)
}
