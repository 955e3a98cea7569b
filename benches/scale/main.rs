//! What placement costs at scale: by the number of workers and what is free of them, by classes and
//! labels, by threads, batches, gangs, and beside what else one might write. The unit is a bare
//! pair of atomic operations, measured in the same rounds.
//!
//! `cargo bench --bench scale -- [--rounds N] [--json] [--quick]`; with `SLOTWISE_BENCH_REPORT=DIR`
//! it also writes `DIR/BENCHMARKS.md` and `DIR/scale.svg`.

#[allow(dead_code, reason = "the other benchmarks use the rest")]
#[path = "../baseline/mod.rs"]
mod baseline;
mod classes;
mod cluster;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
#[path = "../common/mod.rs"]
mod common;
mod document;
mod fills;
mod gangs;
mod load;
mod memory;
mod others;
mod plot;
mod registering;
#[path = "../report/mod.rs"]
mod report;
mod tail;
#[path = "../unit/mod.rs"]
mod unit;

use std::env;
use std::path::PathBuf;

use report::{Options, Row, Table};
use unit::{BARE, bare_pairs};

/// What a pair costs on 20 empty workers: the second unit.
const CALM: &str = "20 empty workers";

/// The rows that all others are compared with, measured anew beside each group of rows.
fn units<'a>() -> Vec<Row<'a>> {
    let mut calm = cluster::Cluster::new(20, |spec, _| spec);
    vec![
        Row::new("1 thread", BARE, bare_pairs),
        Row::new("20 workers, empty", CALM, move |pairs| {
            calm.pairs(cluster::Fill::Empty, pairs, |request, _| request)
        }),
    ]
}

fn main() {
    let options = Options::get();
    let report = env::var_os("SLOTWISE_BENCH_REPORT").map(PathBuf::from);
    let mut tables = Vec::new();
    let mut show = |table: Table| {
        table.print(&options);
        tables.push(table);
    };
    // First, while nothing else has been in the process's memory.
    show(memory::table(&options));
    show(registering::table(&options));
    let fills = fills::measure(&options);
    show(fills.table);
    show(classes::table(&options));
    show(load::ids(&options));
    show(load::threads(&options));
    show(load::batches(&options));
    show(others::table(&options));
    show(gangs::table(&options));
    show(tail::table(&options));
    if let Some(dir) = report {
        let written = std::fs::create_dir_all(&dir)
            .and_then(|()| plot::write(&dir.join("scale.svg"), &fills.curves))
            .and_then(|()| document::write(&dir.join("BENCHMARKS.md"), &tables));
        if let Err(error) = written {
            eprintln!("{}: cannot write the report: {error}", dir.display());
            std::process::exit(1);
        }
    }
}
