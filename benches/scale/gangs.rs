//! Gangs: many at once on few workers, so that they get in each other's way.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slotwise::{BatchMode, Request, ReserveError, Resources, Ticket};

use crate::cluster::{Cluster, TOTAL};
use crate::common::{Random, StartLine};
use crate::report::{Options, Table};

const WORKERS: usize = 20;
/// So much that a worker that is 95 % full has room for 8, and all of them for two gangs of 64.
const MEMBER: Resources = Resources::new(TOTAL.cpu / 160, TOTAL.memory / 160);
/// How long each configuration is run; so long that threads take turns many times.
const SPAN: Duration = Duration::from_millis(500);

/// What one writer was answered.
#[derive(Default)]
struct Answers {
    placed: u64,
    busy: u64,
    contended: u64,
    /// From the call to its answer, of those that were placed or were not.
    took: Duration,
}

/// Places gangs and gives each back at once, until the time is up.
fn write(cluster: &Cluster, seed: usize, size: usize, until: Instant) -> Answers {
    let mut random = Random(seed as u64);
    let mut answers = Answers::default();
    let (mut placed, mut released) = (Vec::new(), Vec::new());
    let mut tickets: Vec<Ticket> = Vec::new();
    let mut gang = Vec::with_capacity(size);
    loop {
        gang.clear();
        gang.extend((0..size).map(|_| Request::anonymous(MEMBER).hash(random.draw())));
        let start = Instant::now();
        if start >= until {
            return answers;
        }
        cluster.engine.reserve_batch(&gang, BatchMode::AllOrNothing, &mut placed);
        answers.took += start.elapsed();
        if placed.iter().all(Result::is_ok) {
            answers.placed += 1;
        } else if placed.iter().any(|r| matches!(r, Err(ReserveError::Contended))) {
            answers.contended += 1;
        } else {
            answers.busy += 1;
        }
        tickets.clear();
        tickets.extend(placed.iter().flatten().map(|reservation| reservation.ticket));
        cluster.engine.release_batch(&tickets, &mut released);
    }
}

pub fn table(options: &Options) -> Table {
    let span = options.span(SPAN);
    let mut lines = Vec::new();
    for fill in [50, 95] {
        let mut cluster = Cluster::new(WORKERS, |spec, _| spec);
        let each = Resources::new(TOTAL.cpu * fill / 100, TOTAL.memory * fill / 100);
        cluster.hold(each, WORKERS);
        for size in [2, 8, 64] {
            for writers in [1, 2, 4, 8] {
                lines.push(measure(&cluster, fill, size, writers, span));
            }
        }
        assert!(cluster.engine.audit().is_ok(), "the books do not add up");
    }
    let head = [
        "fill",
        "gang",
        "writers",
        "gangs tried",
        "placed %",
        "busy %",
        "contended %",
        "rolled back, per gang",
        "us a call",
        "placed a ms",
    ];
    let title = format!("Gangs on {WORKERS} workers, {} ms each", span.as_millis());
    Table::new(title, &head, lines)
}

fn measure(
    cluster: &Cluster,
    fill: u64,
    size: usize,
    writers: usize,
    span: Duration,
) -> Vec<Value> {
    let before = cluster.engine.stats();
    let start_line = StartLine::new(writers);
    let body = |seed| {
        start_line.wait();
        write(cluster, seed, size, Instant::now() + span)
    };
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|seed| scope.spawn(move || body(seed))).collect();
        let answers = threads.into_iter().map(|t| t.join().expect("a benchmark thread panicked"));
        answers.fold(Answers::default(), |sum, one| Answers {
            placed: sum.placed + one.placed,
            busy: sum.busy + one.busy,
            contended: sum.contended + one.contended,
            took: sum.took + one.took,
        })
    });
    let rolled_back = cluster.engine.stats().gang_rollbacks - before.gang_rollbacks;
    let tried = all.placed + all.busy + all.contended;
    let share = |part: u64| json!(100.0 * part as f64 / tried as f64);
    vec![
        json!(format!("{fill} %")),
        json!(size),
        json!(writers),
        json!(tried),
        share(all.placed),
        share(all.busy),
        share(all.contended),
        json!(rolled_back as f64 / tried as f64),
        json!(all.took.as_secs_f64() * 1e6 / tried as f64),
        json!(all.placed as f64 / span.as_secs_f64() / 1e3),
    ]
}
