//! By the number of workers and what is free of them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::cluster::{Cluster, Fill};
use crate::report::{self, Options, Row, Table, Unit};
use crate::{BARE, CALM, units};

/// The cost in bare pairs by the number of workers, of one fill.
pub struct Curve {
    pub fill: &'static str,
    pub points: Vec<(usize, f64)>,
}

pub struct Fills {
    pub table: Table,
    pub curves: Vec<Curve>,
}

pub fn measure(options: &Options) -> Fills {
    const SMALLEST: &str = "20 workers";
    const SIZES: [(usize, &str); 4] = [
        (20, SMALLEST),
        (10_000, "10,000 workers"),
        (100_000, "100,000 workers"),
        (1_000_000, "1,000,000 workers"),
    ];
    let sizes = if options.small() { &SIZES[..2] } else { &SIZES };
    let mut rows = units();
    // Where each fill's rows are, for the curves.
    let mut lines = Vec::new();
    for &(workers, name) in sizes {
        // One for all fills: only what is held changes from row to row.
        let cluster = Rc::new(RefCell::new(Cluster::new(workers, |spec, _| spec)));
        for fill in Fill::ALL {
            let cluster = Rc::clone(&cluster);
            lines.push((rows.len(), fill, workers));
            let run = move |pairs| cluster.borrow_mut().pairs(fill, pairs, |request, _| request);
            rows.push(Row::new(fill.name(), name, run).at_least(1));
        }
    }
    report::interleave(&mut rows, options);
    let bare = Unit::cost(BARE);
    let curves = Fill::ALL.map(|fill| Curve {
        fill: fill.name(),
        points: lines
            .iter()
            .filter(|(_, of, _)| *of == fill)
            .filter_map(|&(row, _, workers)| {
                Some((workers, report::ratio(&rows, &rows[row], &bare)?))
            })
            .collect(),
    });
    let units = [bare, Unit::cost(CALM), Unit::cost(SMALLEST)];
    let title = "Reserve and release by ticket, one thread (none free: being told so)";
    Fills { table: report::table(title, &rows, &units, options), curves: curves.into() }
}
