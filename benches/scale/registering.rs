//! Registering workers: one into many, and many at once.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use slotwise::{Config, Engine, WorkerSpec};

use crate::cluster::TOTAL;
use crate::report::{Options, Table};

fn spec(k: usize) -> WorkerSpec {
    WorkerSpec::new(format!("worker-{k}"), TOTAL)
}

fn engine(max_workers: usize) -> Engine {
    Engine::new(Config { max_workers, ..Config::default() }).expect("the limits are in range")
}

/// One after another into so many.
fn singly(workers: usize, more: usize) -> Vec<Value> {
    let engine = engine(workers + more);
    engine.add_workers((0..workers).map(spec));
    let mut nanos = Histogram::<u64>::new(3).expect("three digits are allowed");
    for k in workers..workers + more {
        let spec = spec(k);
        let start = Instant::now();
        let added = engine.add_worker(spec);
        let took = start.elapsed();
        added.expect("the worker is valid");
        nanos.record(took.as_nanos() as u64).expect("the histogram grows");
    }
    let micros = |nanos: u64| json!(nanos as f64 / 1e3);
    vec![
        json!(format!("one into {workers}, {more} times")),
        micros(nanos.value_at_quantile(0.5)),
        micros(nanos.value_at_quantile(0.99)),
        micros(nanos.max()),
        Value::Null,
    ]
}

/// All in one call; their descriptions are there already.
fn in_bulk(workers: usize) -> Vec<Value> {
    let mut seconds: Vec<f64> = (0..3)
        .map(|_| {
            let engine = engine(workers);
            let specs: Vec<WorkerSpec> = (0..workers).map(spec).collect();
            let start = Instant::now();
            let added = engine.add_workers(specs);
            let took = start.elapsed();
            assert!(added.iter().all(Result::is_ok), "the workers are valid");
            took.as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let what = format!("{workers} in one call (median of {})", seconds.len());
    let median = seconds[seconds.len() / 2];
    let each = median * 1e6 / workers as f64;
    vec![json!(what), json!(each), Value::Null, Value::Null, json!(median)]
}

pub fn table(options: &Options) -> Table {
    let (many, more, million) =
        if options.small() { (2_000, 500, 20_000) } else { (100_000, 5_000, 1_000_000) };
    let head = ["what", "us each", "p99 us", "max us", "s in all"];
    Table::new(
        "Registering workers (p50, or the mean)",
        &head,
        vec![singly(many, more), in_bulk(million)],
    )
}
