//! What both commands share in reporting: formats, tables, progress, latencies, the engine's audit.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use slotwise::{Audit, Engine, Policy, WorkerError, WorkerRef, WorkerSpec};

use crate::failure::Failure;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// One JSON value, for programs: fields are added, never renamed.
    Json,
}

/// Where the results go.
#[derive(clap::Args)]
pub struct Output {
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Draws the result into this file.
    #[arg(long, value_name = "OUT.svg")]
    pub plot: Option<PathBuf>,
}

impl Output {
    /// Prints the result in the form that was asked for; only that one is built.
    pub fn print<T: Serialize>(
        &self,
        json: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let result = match self.format {
            Format::Text => text(),
            Format::Json => serde_json::to_string_pretty(json)
                .map_err(|e| Failure::Check(format!("the result is not valid JSON: {e}")))?,
        };
        write_all(&mut io::stdout().lock(), &format!("{result}\n"))
            .map_err(|e| Failure::Unusable(format!("stdout: cannot write: {e}")))
    }
}

/// The help of an argument that takes a policy: names all that this build has.
pub fn policy_help(what: &str) -> String {
    policy_names(what, &Policy::ALL.map(Policy::name))
}

/// The same for policies of other kinds.
pub fn policy_names(what: &str, names: &[&str]) -> String {
    format!("{what}: {}", names.join(", "))
}

/// Writes everything. A reader that has gone away (`slotwise ... | head`) has what it wanted.
pub fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A table whose first row names the columns. It has colours on a terminal only.
pub fn table<H: AsRef<str>>(header: &[H]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(
        header.iter().map(|h| Cell::new(h.as_ref()).fg(Color::Cyan).add_attribute(Attribute::Bold)),
    );
    table
}

/// A cell for a number.
pub fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A cell for a count that must be 0, or a text that must be "ok".
pub fn verdict(value: impl ToString, good: bool) -> Cell {
    number(value).fg(if good { Color::Green } else { Color::Red })
}

/// A progress bar on stderr; shown on a terminal only.
pub fn progress(total: u64, what: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:12} {wide_bar:.cyan} {human_pos}/{human_len} {eta}")
            .expect("a template that is part of the program");
    ProgressBar::new(total).with_style(style).with_message(what.to_owned())
}

/// An empty histogram of nanoseconds up to a minute, exact to three digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds that are part of the program")
}

/// Nanoseconds, as the histograms count them.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Registers workers in order and makes sure that the engine numbers them in that order, which is
/// what the books of the program lean on. The error has the place of the worker it is about.
pub fn register(
    engine: &Engine,
    specs: impl IntoIterator<Item = WorkerSpec>,
) -> Result<(), (usize, Result<WorkerRef, WorkerError>)> {
    let registered = engine.add_workers(specs);
    let wrong = |(i, result): &(usize, Result<WorkerRef, WorkerError>)| !matches!(result, Ok(worker) if worker.index as usize == *i);
    registered.into_iter().enumerate().find(wrong).map_or(Ok(()), Err)
}

/// "ok", or what does not add up.
pub fn audit_text(audit: &Audit, live: usize) -> String {
    match audit.imbalances.first() {
        Some(first) => format!(
            "{} workers do not add up, first {}: held {}, missing {:?}",
            audit.imbalances.len(),
            first.worker,
            first.held,
            first.missing
        ),
        None if audit.reservations != live => {
            format!("{} reservations counted, {live} expected", audit.reservations)
        }
        None if audit.over_committed > 0 => {
            format!("{} workers are over-committed", audit.over_committed)
        }
        None if audit.unsettled > 0 => format!("{} workers kept changing", audit.unsettled),
        None => "ok".to_owned(),
    }
}
