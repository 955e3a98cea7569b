//! Memory per worker and per live reservation: what the process has more of it, divided.

use std::fs;
use std::ops::Range;

use serde_json::json;
use slotwise::{Config, Engine, Request, WorkerSpec};

use crate::cluster::{NEED, TOTAL};
use crate::common::REFUSED;
use crate::report::{Options, Table};

/// What the process has resident, in bytes; none where the system has no `/proc`.
fn resident() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size()? as f64)
}

#[cfg(target_os = "linux")]
fn page_size() -> Option<usize> {
    Some(rustix::param::page_size())
}

#[cfg(not(target_os = "linux"))]
fn page_size() -> Option<usize> {
    None
}

pub fn table(options: &Options) -> Table {
    let limit: usize = if options.small() { 20_000 } else { 1_000_000 };
    // Near its limit, as a host would have it: tables that are as large as the limit are divided
    // by what is alive, too.
    let live = limit / 8 * 7;
    let config = Config { max_workers: limit, max_reservations: limit, ..Config::default() };
    let engine = Engine::new(config).expect("the limits are in range");
    let add = |range: Range<usize>| {
        let spec = |k| WorkerSpec::new(format!("worker-{k}"), TOTAL);
        // A thousand at a time: the answers are not the engine's memory.
        for from in range.clone().step_by(1_000) {
            engine.add_workers((from..range.end.min(from + 1_000)).map(spec));
        }
    };
    let reserve = |k: usize| {
        let id = format!("{k:036x}");
        engine.reserve(&Request::new(id.as_bytes(), NEED)).expect(REFUSED);
    };
    // A first worker and reservation, so that what there is once for all is not divided.
    add(0..1);
    reserve(0);
    let idle = resident();
    add(1..limit);
    let registered = resident();
    (1..live).for_each(reserve);
    let full = resident();
    assert_eq!((engine.worker_count(), engine.reservation_count()), (limit, live));

    let line = |what: &str, count: usize, from: Option<f64>, to: Option<f64>| {
        let each = match (from, to) {
            (Some(from), Some(to)) => json!((to - from) / (count - 1) as f64),
            _ => json!("not measured: needs Linux"),
        };
        vec![json!(what), json!(count), json!(limit), each]
    };
    let head = ["of each", "count", "limit", "bytes"];
    Table::new(
        "Memory, by what is resident",
        &head,
        vec![
            line("worker (id of 8 to 13 bytes)", limit, idle, registered),
            line("live reservation (id of 36 bytes)", live, registered, full),
        ],
    )
}
