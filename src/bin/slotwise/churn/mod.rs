//! `slotwise churn`: a filled cluster in which threads reserve and release.

mod driver;
mod load;
mod memory;
mod report;

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;
use slotwise::{Config, Engine, Policy, Resources, Stats};

use crate::{
    failure::Failure,
    replay::{oversold, plus},
    report::{Output, audit_text, policy_help, progress, register},
};
use driver::{Driver, Plan, Tally};
use load::Mix;

/// Fills a cluster to a fraction of its CPU, then reserves and releases while it stays there.
///
/// Each thread holds its share of the fraction and gives back its oldest reservations to make
/// room for its next request. What is asked for follows from the seed; which thread comes first
/// does not. At the end the reservations that the threads remember are added up by worker against
/// what the worker has, and the engine audits itself and its counters are compared with the
/// threads' own: a disagreement is a failed check.
#[derive(clap::Args)]
#[command(after_long_help = "\
Mixes: uniform (equal 64-core machines), shapes (16 to 128 cores, more or less memory a core), gpu
(a third plain, a third with 8 T4, a third with 8 A10G; some requests want one, some prefer one).

Numbers: ns_reserve and ns_release are those of each call by a clock around it, a batch's divided
evenly over its requests; pairs_per_s, reservations made and given back in a second, halved, has
the clock and the drawing of the requests in it. conflict_fraction is cas_retries / (placed +
released + cas_retries), all of the churn alone, as are probes. bytes_per_worker and
bytes_per_reservation are the growth of the resident set while workers are registered and while the
cluster is filled, so they mean something for large clusters only; null where the system does not
tell. contended counts requests that were told to ask again. fill_reached is the fraction of CPU
held when the churn began; it is under --fill where the cluster takes no more.")]
pub struct Args {
    /// How many workers.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    workers: u32,
    /// How many requests, by all threads together.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    requests: u64,
    /// How many threads [default: as many as the machine runs at once].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The fraction of CPU that is held, from 0 to 1.
    #[arg(long, default_value_t = 0.8, value_parser = fraction)]
    fill: f64,
    /// How a reservation is named when it is released.
    #[arg(long, value_enum, default_value_t = By::Id)]
    by: By,
    /// How many requests in one call. By id, releases stay one a call.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    batch: u32,
    /// Which machines and requests: uniform, shapes, gpu.
    #[arg(long, value_name = "NAME", default_value = "uniform", value_parser = Mix::named)]
    mix: &'static Mix,
    #[arg(long, value_name = "NAME", default_value = "affinity", help = policy_help(
        "How a worker is chosen",
    ))]
    policy: Policy,
    /// Another seed, other requests.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    /// By an id of 36 bytes that the host gives.
    Id,
    /// By the engine's ticket; the reservation has no id.
    Ticket,
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|f| (0.0..=1.0).contains(f));
    number.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// What a run came to.
struct Outcome {
    threads: u16,
    tally: Tally,
    stats: Stats,
    elapsed: Duration,
    fill_reached: f64,
    bytes_per_worker: Option<f64>,
    bytes_per_reservation: Option<f64>,
    audit: String,
    oversold: u64,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let outcome = churn(args)?;
    let printed = report::print(args, &outcome);
    Failure::unless_empty(outcome.problems())?;
    printed
}

impl Outcome {
    /// The checks that failed.
    fn problems(&self) -> Vec<String> {
        let Outcome { tally, stats, audit, oversold, .. } = self;
        let mut problems = Vec::from_iter(tally.problem.clone());
        if *oversold > 0 {
            problems.push(format!("{oversold} oversold"));
        }
        if audit != "ok" {
            problems.push(format!("audit: {audit}"));
        }
        let counted = [
            ("placed", tally.placed, stats.placed),
            ("busy", tally.busy, stats.busy),
            ("never", tally.never, stats.never),
            ("released", tally.released, stats.released),
        ];
        for (what, threads, engine) in counted {
            if threads != engine {
                problems.push(format!("{what}: {threads} by the threads, {engine} by the engine"));
            }
        }
        problems
    }
}

fn churn(args: &Args) -> Result<Outcome, Failure> {
    let (mix, workers) = (args.mix, args.workers as usize);
    let threads = args
        .threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get().min(1024) as u16));
    let cpu = mix.cpu(workers);
    let held_cpu = (cpu as f64 * args.fill) as u64;

    let empty = memory::resident();
    let engine = build(args, cpu / mix.smallest_cpu())?;
    let bytes_per_worker = growth(empty, args.workers.into());

    let plan = Plan {
        engine: &engine,
        mix,
        selectors: mix.selectors(&engine).map_err(|e| Failure::Check(e.to_string()))?,
        seed: args.seed,
        by: args.by,
        batch: args.batch as usize,
        share: held_cpu / u64::from(threads),
    };
    let mut drivers: Vec<Driver<'_>> =
        (0..threads).map(|thread| Driver::new(&plan, thread.into())).collect();

    let registered = memory::resident();
    let bar = progress(held_cpu / mix.mean_cpu(), "fill");
    thread::scope(|scope| {
        for driver in &mut drivers {
            scope.spawn(|| driver.fill(&bar));
        }
    });
    bar.finish_and_clear();
    let filled: usize = drivers.iter().map(|driver| driver.live.len()).sum();
    let bytes_per_reservation = growth(registered, filled as u64);
    let fill_reached = drivers.iter().map(|d| d.held_cpu).sum::<u64>() as f64 / cpu as f64;

    let before = engine.stats();
    let elapsed = in_parallel(args.requests, &mut drivers);
    let stats = since(&before, &engine.stats());

    let mut used = vec![Resources::ZERO; workers];
    for held in drivers.iter().flat_map(|driver| &driver.live) {
        let used = &mut used[held.worker as usize];
        *used = plus(*used, mix.need(held.shape));
    }
    let live = drivers.iter().map(|driver| driver.live.len()).sum();
    let tally = drivers.into_iter().map(|driver| driver.tally).reduce(|mut all, tally| {
        all.add(tally);
        all
    });
    Ok(Outcome {
        threads,
        tally: tally.expect("there is at least one thread"),
        stats,
        elapsed,
        fill_reached,
        bytes_per_worker,
        bytes_per_reservation,
        audit: audit_text(&engine.audit(), live),
        oversold: oversold((0..workers).map(|worker| mix.total(worker)).zip(&used)),
    })
}

/// An engine with its workers, and room for as many reservations as can be alive.
fn build(args: &Args, reservations: u64) -> Result<Engine, Failure> {
    let default = Config::default();
    let engine = Engine::new(Config {
        // What is needed and some room: tables that are larger than that are less dense.
        max_workers: args.workers as usize,
        max_reservations: (2 * reservations as usize).clamp(1 << 14, 1 << 27),
        policy: args.policy,
        // Nobody reads them here.
        count_reasons: false,
        ..default
    })
    .map_err(|e| Failure::Unusable(format!("--workers: {e}")))?;
    register(&engine, (0..args.workers as usize).map(|worker| args.mix.spec(worker))).map_err(
        |(at, result)| Failure::Check(format!("worker {at} was registered as {result:?}")),
    )?;
    Ok(engine)
}

/// Splits the requests among the threads and lets them all go at once; the time from the first
/// start to the last end.
fn in_parallel(requests: u64, drivers: &mut [Driver<'_>]) -> Duration {
    let threads = drivers.len() as u64;
    let bar = progress(requests, "churn");
    let barrier = Barrier::new(drivers.len());
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let running: Vec<_> = drivers
            .iter_mut()
            .zip(0..)
            .map(|(driver, i)| {
                let share = requests / threads + u64::from(i < requests % threads);
                let (bar, barrier) = (&bar, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    driver.churn(share, bar);
                    (start, Instant::now())
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    bar.finish_and_clear();
    let start = times.iter().map(|(start, _)| *start).min();
    let end = times.iter().map(|(_, end)| *end).max();
    start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start)
}

/// Bytes for each of so many since the resident set was `before`; never less than none.
fn growth(before: Option<u64>, count: u64) -> Option<f64> {
    let grown = memory::resident()?.saturating_sub(before?);
    (count > 0).then(|| grown as f64 / count as f64)
}

/// What the engine did between two looks at its counters.
fn since(before: &Stats, after: &Stats) -> Stats {
    let mut probes = after.probes;
    for (probes, before) in probes.iter_mut().zip(&before.probes) {
        *probes -= before;
    }
    Stats {
        placed: after.placed - before.placed,
        existing: after.existing - before.existing,
        busy: after.busy - before.busy,
        never: after.never - before.never,
        released: after.released - before.released,
        resized: after.resized - before.resized,
        confirmed: after.confirmed - before.confirmed,
        expired: after.expired - before.expired,
        preempted: after.preempted - before.preempted,
        cas_retries: after.cas_retries - before.cas_retries,
        version_conflicts: after.version_conflicts - before.version_conflicts,
        gang_rollbacks: after.gang_rollbacks - before.gang_rollbacks,
        probes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_named_and_a_good_run_has_none() {
        let mut outcome = Outcome {
            threads: 1,
            tally: Tally::new(),
            stats: Stats::default(),
            elapsed: Duration::ZERO,
            fill_reached: 0.5,
            bytes_per_worker: None,
            bytes_per_reservation: None,
            audit: "ok".into(),
            oversold: 0,
        };
        assert!(outcome.problems().is_empty());
        outcome.tally.placed = 3;
        outcome.stats.placed = 2;
        outcome.oversold = 1;
        assert_eq!(outcome.problems(), ["1 oversold", "placed: 3 by the threads, 2 by the engine"]);
    }

    #[test]
    fn the_fill_is_a_fraction() {
        assert_eq!([fraction("0"), fraction("0.95"), fraction("1")], [Ok(0.0), Ok(0.95), Ok(1.0)]);
        for text in ["-0.1", "1.1", "NaN", "inf", "", "half"] {
            assert!(fraction(text).is_err(), "{text}");
        }
    }
}
