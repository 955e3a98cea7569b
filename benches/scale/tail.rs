//! Tail latency: every call timed by itself, while more threads than cores are at it.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Fill};
use crate::common::{ById, ByTicket, Job, LIGHT, REFUSED, Scheduler, StartLine, jobs};
use crate::report::{Options, Table};

const THREADS: u64 = 8;
/// What each thread has alive.
const LIVE: usize = 16;
const SPAN: Duration = Duration::from_secs(2);

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn timed<R>(nanos: &mut Histogram<u64>, what: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = what();
    let took = start.elapsed();
    nanos.record(took.as_nanos() as u64).expect("the histogram grows");
    result
}

/// Reserve and release, of one thread.
fn churn<S: Scheduler>(
    scheduler: &S,
    jobs: &[Job],
    start_line: &StartLine,
    span: Duration,
) -> [Histogram<u64>; 2] {
    let [mut reserve, mut release] = [histogram(), histogram()];
    let mut live = VecDeque::with_capacity(LIVE + 1);
    start_line.wait();
    let until = Instant::now() + span;
    for (k, job) in jobs.iter().cycle().enumerate() {
        live.push_back((job, timed(&mut reserve, || scheduler.reserve(job)).expect(REFUSED)));
        if live.len() > LIVE {
            let (job, held) = live.pop_front().expect("there is one");
            timed(&mut release, || scheduler.release(job, held));
        }
        if k % 64 == 0 && Instant::now() >= until {
            break;
        }
    }
    live.into_iter().for_each(|(job, held)| scheduler.release(job, held));
    [reserve, release]
}

fn line(scenario: &str, what: &str, nanos: &Histogram<u64>) -> Vec<Value> {
    let mut line = vec![json!(scenario), json!(what), json!(nanos.len())];
    line.extend([0.5, 0.99, 0.999].map(|q| json!(nanos.value_at_quantile(q))));
    line.push(json!(nanos.max()));
    line
}

fn rows<S: Scheduler>(lines: &mut Vec<Vec<Value>>, scenario: &str, scheduler: &S, span: Duration) {
    let work: Vec<Vec<Job>> = (1..=THREADS).map(|seed| jobs(seed, 1_024, &LIGHT)).collect();
    let start_line = StartLine::new(work.len());
    let [mut reserve, mut release] = [histogram(), histogram()];
    let body = |jobs: &Vec<Job>| churn(scheduler, jobs, &start_line, span);
    thread::scope(|scope| {
        let threads: Vec<_> = work.iter().map(|jobs| scope.spawn(|| body(jobs))).collect();
        for thread in threads {
            let [one, other] = thread.join().expect("a benchmark thread panicked");
            reserve.add(one).expect("the histogram grows");
            release.add(other).expect("the histogram grows");
        }
    });
    lines.push(line(scenario, &format!("{}: reserve", S::NAME), &reserve));
    lines.push(line(scenario, &format!("{}: release", S::NAME), &release));
}

pub fn table(options: &Options) -> Table {
    let span = options.span(SPAN);
    let mut clock = histogram();
    (0..10_000).for_each(|_| timed(&mut clock, || ()));
    let mut lines = vec![line("1 thread", "the clock alone", &clock)];
    let cluster = |workers, fill| {
        let mut cluster = Cluster::new(workers, |spec, _| spec);
        cluster.fill(fill);
        cluster.engine
    };
    rows(&mut lines, "20 workers, empty", &ByTicket(cluster(20, Fill::Empty)), span);
    rows(&mut lines, "20 workers, empty", &ById(cluster(20, Fill::Empty)), span);
    let larger = "10000 workers, 5 % free";
    rows(&mut lines, larger, &ByTicket(cluster(10_000, Fill::Twentieth)), span);
    let head = ["scenario", "what", "calls", "p50 ns", "p99 ns", "p99.9 ns", "max ns"];
    let title = format!("Tail of {THREADS} threads, every call timed, {} ms", span.as_millis());
    Table::new(title, &head, lines)
}
