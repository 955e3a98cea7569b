//! Interleaved rounds in one process, and a table of their medians and ratios.

use std::time::Duration;

use clap::Parser;
use serde_json::{Map, Value, json};

/// How a program of interleaved rounds is called.
#[derive(Parser)]
pub struct Options {
    /// Rounds; every row is measured once in each.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// One JSON object in place of the table.
    #[arg(long)]
    pub json: bool,
    /// What `cargo bench` passes and `cargo test` does not: without it, one short round is run, to
    /// see that everything works.
    #[arg(long)]
    bench: bool,
}

impl Options {
    /// The program's arguments; a wrong one ends it with a message.
    pub fn get() -> Options {
        let options = Options::parse();
        let rounds = if options.bench { options.rounds } else { 1 };
        Options { rounds, ..options }
    }
}

/// A row is run for at least this long in each round, so that neither the clock nor the start of
/// threads weighs.
const ROUND: Duration = Duration::from_millis(20);

/// One row: something to measure, and what its rounds took.
pub struct Row<'a> {
    scenario: String,
    name: &'static str,
    run: Box<dyn FnMut(usize) -> Duration + 'a>,
    times: usize,
    nanos: Vec<f64>,
}

impl<'a> Row<'a> {
    /// `run` does it as often as it is told (over all threads, a power of two that is at least
    /// 64) and says how long that took.
    pub fn new(
        scenario: impl Into<String>,
        name: &'static str,
        run: impl FnMut(usize) -> Duration + 'a,
    ) -> Self {
        Row { scenario: scenario.into(), name, run: Box::new(run), times: 64, nanos: Vec::new() }
    }
}

/// Runs all rows in turn, round by round. The absolute times of one machine drift while a program
/// runs; rows that are measured within one round have had the same weather.
pub fn interleave(rows: &mut [Row], options: &Options) {
    for row in &mut *rows {
        while options.bench && (row.run)(row.times) < ROUND {
            row.times *= 2;
        }
    }
    for _ in 0..options.rounds {
        for row in &mut *rows {
            let nanos = (row.run)(row.times).as_nanos() as f64;
            row.nanos.push(nanos / row.times as f64);
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median over rounds of `row` in units of the row called `name`: the one in its own scenario,
/// or else the only one.
fn ratio(rows: &[Row], row: &Row, name: &str) -> Option<f64> {
    let named = || rows.iter().filter(|other| other.name == name);
    let unit = named().find(|other| other.scenario == row.scenario).or_else(|| {
        let mut all = named();
        all.next().filter(|_| all.next().is_none())
    })?;
    Some(median(row.nanos.iter().zip(&unit.nanos).map(|(a, b)| a / b)))
}

/// Prints medians, and medians of the ratios to the rows called `units`.
pub fn print(title: &str, rows: &[Row], units: &[&str], options: &Options) {
    let ratios =
        |row: &Row| units.iter().map(|unit| ratio(rows, row, unit)).collect::<Vec<Option<f64>>>();
    let nanos = |row: &Row| median(row.nanos.iter().copied());
    if options.json {
        let rows = rows.iter().map(|row| {
            let ratios: Map<String, Value> =
                units.iter().zip(ratios(row)).map(|(u, r)| (u.to_string(), json!(r))).collect();
            json!({ "scenario": row.scenario, "name": row.name, "ns": nanos(row), "ratios": ratios })
        });
        let rows: Vec<Value> = rows.collect();
        println!("{}", json!({ "title": title, "rounds": options.rounds, "rows": rows }));
        return;
    }
    println!("{title}: medians of {} interleaved rounds\n", options.rounds);
    let mut table = vec![vec!["scenario".to_owned(), "what".to_owned(), "ns".to_owned()]];
    table[0].extend(units.iter().map(|unit| format!("x {unit}")));
    table.extend(rows.iter().map(|row| {
        let mut line =
            vec![row.scenario.clone(), row.name.to_owned(), format!("{:.1}", nanos(row))];
        line.extend(ratios(row).iter().map(|r| r.map_or(String::new(), |r| format!("{r:.2}"))));
        line
    }));
    print_markdown(&table);
}

/// A Markdown table that also reads well as text: two columns of words, then numbers.
fn print_markdown(table: &[Vec<String>]) {
    let width = |column: usize| table.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    for (k, line) in table.iter().enumerate() {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            match column {
                0 | 1 => print!("| {cell:<width$} "),
                _ => print!("| {cell:>width$} "),
            }
        }
        println!("|");
        if k == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width);
                print!(
                    "{}",
                    if column < 2 { format!("| {dashes} ") } else { format!("| {dashes}:") }
                );
            }
            println!("|");
        }
    }
}
