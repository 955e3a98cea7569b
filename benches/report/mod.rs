//! Interleaved rounds in one process, and a table of their medians and ratios.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use clap::Parser;
use serde_json::{Map, Value, json};

/// How a program of interleaved rounds is called.
#[derive(Parser)]
pub struct Options {
    /// Rounds; every row is measured once in each.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// A line of JSON in place of each table.
    #[arg(long)]
    pub json: bool,
    /// A few rounds, with small sizes where sizes differ: a look, not a measurement.
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` passes and `cargo test` does not: without it, one short round is run, to
    /// see that everything works.
    #[arg(long)]
    bench: bool,
}

impl Options {
    /// The program's arguments; a wrong one ends it with a message.
    pub fn get() -> Options {
        let options = Options::parse();
        let rounds = match (options.bench, options.quick) {
            (true, false) => options.rounds,
            (true, true) => options.rounds.min(3),
            (false, _) => 1,
        };
        Options { rounds, ..options }
    }

    /// Whether large sizes are to be left out, as they take long to set up.
    pub fn small(&self) -> bool {
        self.quick || !self.bench
    }

    /// How long something that is told how long it may take may take.
    pub fn span(&self, full: Duration) -> Duration {
        match (self.bench, self.quick) {
            (true, false) => full,
            (true, true) => full / 5,
            (false, _) => full / 50,
        }
    }
}

/// A row is run for at least this long in each round, so that neither the clock nor the start of
/// threads weighs.
const ROUND: Duration = Duration::from_millis(20);

/// One row: something to measure, and what its rounds took.
pub struct Row<'a> {
    scenario: String,
    name: Cow<'static, str>,
    run: Box<dyn FnMut(usize) -> Duration + 'a>,
    times: usize,
    nanos: Vec<f64>,
}

impl<'a> Row<'a> {
    /// `run` does it as often as it is told (over all threads, a power of two that is at least
    /// 64) and says how long that took.
    pub fn new(
        scenario: impl Into<String>,
        name: impl Into<Cow<'static, str>>,
        run: impl FnMut(usize) -> Duration + 'a,
    ) -> Self {
        Row {
            scenario: scenario.into(),
            name: name.into(),
            run: Box::new(run),
            times: 64,
            nanos: Vec::new(),
        }
    }

    /// `run` is told any power of two from this one on: 1 for what may be slow.
    pub fn at_least(self, times: usize) -> Self {
        Row { times, ..self }
    }
}

/// What a column of ratios compares with.
#[derive(Clone, Copy)]
pub struct Unit {
    name: &'static str,
    throughput: bool,
}

impl Unit {
    /// How many times as long as this row: the one in the row's own scenario, or else the only one.
    pub const fn cost(name: &'static str) -> Unit {
        Unit { name, throughput: false }
    }

    /// The other way round: how many times as much in the same time.
    pub const fn throughput(name: &'static str) -> Unit {
        Unit { name, throughput: true }
    }

    fn title(&self) -> String {
        format!("{} {}", if self.throughput { "throughput x" } else { "x" }, self.name)
    }
}

/// Runs all rows in turn, round by round. The absolute times of one machine drift while a program
/// runs; rows that are measured within one round have had the same weather.
pub fn interleave(rows: &mut [Row], options: &Options) {
    let round = options.span(ROUND);
    for row in &mut *rows {
        // Not the first time: memory that is touched then comes from the system, some of it in large pages,
        // and would be all that is measured.
        (row.run)(row.times);
        while options.bench && (row.run)(row.times) < round {
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

/// The median over rounds of `row` in terms of the unit.
pub fn ratio(rows: &[Row], row: &Row, unit: &Unit) -> Option<f64> {
    let named = || rows.iter().filter(|other| other.name == unit.name);
    let base = named().find(|other| other.scenario == row.scenario).or_else(|| {
        let mut all = named();
        all.next().filter(|_| all.next().is_none())
    })?;
    let ratio = |(a, b): (&f64, &f64)| if unit.throughput { b / a } else { a / b };
    Some(median(row.nanos.iter().zip(&base.nanos).map(ratio)))
}

/// Medians of every row, and medians of its ratios to the units.
pub fn table(title: &str, rows: &[Row], units: &[Unit], options: &Options) -> Table {
    let title = format!("{title}: medians of {} interleaved rounds", options.rounds);
    let mut head = vec!["scenario".to_owned(), "what".to_owned(), "ns".to_owned()];
    head.extend(units.iter().map(Unit::title));
    let lines = rows.iter().map(|row| {
        let mut line = vec![json!(row.scenario), json!(row.name)];
        line.push(json!(median(row.nanos.iter().copied())));
        line.extend(units.iter().map(|unit| json!(ratio(rows, row, unit))));
        line
    });
    Table { title, lines: lines.collect(), head }
}

/// Words, numbers and gaps.
pub struct Table {
    pub title: String,
    pub head: Vec<String>,
    pub lines: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(title: impl Into<String>, head: &[&str], lines: Vec<Vec<Value>>) -> Table {
        Table { title: title.into(), head: head.iter().map(|&h| h.to_owned()).collect(), lines }
    }

    /// As text, or as one line of JSON.
    pub fn print(&self, options: &Options) {
        if !options.json {
            println!("{}\n\n{self}", self.title);
            return;
        }
        let object =
            |line: &Vec<Value>| self.head.iter().cloned().zip(line.iter().cloned()).collect();
        let rows: Vec<Map<String, Value>> = self.lines.iter().map(object).collect();
        println!("{}", json!({ "title": self.title, "rounds": options.rounds, "rows": rows }));
    }
}

/// A Markdown table that also reads well as text: words to the left, numbers to the right.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_f64() => number_text(number.as_f64().unwrap_or(0.0)),
            other => other.to_string(),
        };
        let mut text = vec![self.head.clone()];
        text.extend(self.lines.iter().map(|line| line.iter().map(cell).collect()));
        let column = |column: usize| {
            let width = text.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
            (width, self.lines.iter().all(|line| line[column].is_string()))
        };
        let columns: Vec<(usize, bool)> = (0..self.head.len()).map(column).collect();
        for (k, line) in text.iter().enumerate() {
            for (cell, &(width, words)) in line.iter().zip(&columns) {
                match words {
                    true => write!(f, "| {cell:<width$} ")?,
                    false => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if k == 0 {
                for &(width, words) in &columns {
                    write!(f, "| {}{}", "-".repeat(width), if words { " " } else { ":" })?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Two places, or fewer where the number is large anyway.
fn number_text(number: f64) -> String {
    let places = if number < 100.0 {
        2
    } else if number < 1000.0 {
        1
    } else {
        0
    };
    format!("{number:.places$}")
}
