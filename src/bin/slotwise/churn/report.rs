//! A churn's result as JSON, as a table, and as a plot of its latencies.

use comfy_table::Cell;
use hdrhistogram::Histogram;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::{Args, By, Outcome, memory};
use crate::{
    failure::Failure,
    plot::{self, Axis, Series},
    report::{number, table, verdict},
};

#[derive(Serialize)]
struct Json<'a> {
    workers: u32,
    threads: u16,
    requests: u64,
    mix: &'static str,
    policy: &'static str,
    by: By,
    batch: u32,
    seed: u64,
    fill: f64,
    fill_reached: f64,
    placed: u64,
    busy: u64,
    never: u64,
    contended: u64,
    released: u64,
    cas_retries: u64,
    conflict_fraction: f64,
    probes: Probes,
    ns_reserve: Nanos,
    ns_release: Nanos,
    pairs_per_s: f64,
    bytes_per_worker: Option<f64>,
    bytes_per_reservation: Option<f64>,
    peak_rss_bytes: Option<u64>,
    audit: &'a str,
    oversold: u64,
    version: &'static str,
}

#[derive(Serialize)]
struct Probes {
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Serialize)]
struct Nanos {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl From<&Histogram<u64>> for Nanos {
    fn from(h: &Histogram<u64>) -> Nanos {
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|q| h.value_at_quantile(q));
        Nanos { p50, p90, p99, p999, max: h.max() }
    }
}

impl<'a> Json<'a> {
    fn new(args: &Args, outcome: &'a Outcome) -> Json<'a> {
        let Outcome { tally, stats, .. } = outcome;
        let changes = tally.placed + tally.released;
        let attempts = changes + stats.cas_retries;
        let seconds = outcome.elapsed.as_secs_f64();
        Json {
            workers: args.workers,
            threads: outcome.threads,
            requests: args.requests,
            mix: args.mix.name,
            policy: args.policy.name(),
            by: args.by,
            batch: args.batch,
            seed: args.seed,
            fill: args.fill,
            fill_reached: outcome.fill_reached,
            placed: tally.placed,
            busy: tally.busy,
            never: tally.never,
            contended: tally.contended,
            released: tally.released,
            cas_retries: stats.cas_retries,
            conflict_fraction: stats.cas_retries as f64 / attempts.max(1) as f64,
            probes: Probes {
                p50: stats.probes_at(0.5),
                p99: stats.probes_at(0.99),
                max: stats.probes_at(1.0),
            },
            ns_reserve: Nanos::from(&tally.reserve),
            ns_release: Nanos::from(&tally.release),
            pairs_per_s: if seconds > 0.0 { changes as f64 / 2.0 / seconds } else { 0.0 },
            bytes_per_worker: outcome.bytes_per_worker,
            bytes_per_reservation: outcome.bytes_per_reservation,
            peak_rss_bytes: memory::peak(),
            audit: &outcome.audit,
            oversold: outcome.oversold,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn text(&self) -> String {
        let Probes { p50, p99, max } = self.probes;
        let count = |n: u64| number(HumanCount(n));
        let bytes =
            |n: Option<f64>| number(n.map_or("-".into(), |n| HumanCount(n as u64).to_string()));
        let mut counts = table(&["what", "count"]);
        for (what, value) in [
            ("requests", count(self.requests)),
            ("placed", count(self.placed)),
            ("busy", count(self.busy)),
            ("never", count(self.never)),
            ("told to ask again", count(self.contended)),
            ("released", count(self.released)),
            ("CAS retries", count(self.cas_retries)),
            ("conflict fraction", number(format!("{:.6}", self.conflict_fraction))),
            ("probes, p50 / p99 / max", number(format!("{p50} / {p99} / {max}"))),
            ("pairs per second", count(self.pairs_per_s as u64)),
            ("bytes per worker", bytes(self.bytes_per_worker)),
            ("bytes per reservation", bytes(self.bytes_per_reservation)),
            (
                "peak memory",
                number(self.peak_rss_bytes.map_or("-".into(), |n| HumanBytes(n).to_string())),
            ),
            ("oversold", verdict(self.oversold, self.oversold == 0)),
            ("audit", verdict(self.audit, self.audit == "ok")),
        ] {
            counts.add_row([Cell::new(what), value]);
        }
        let mut spread = table(&["", "p50", "p90", "p99", "p99.9", "max"]);
        for (what, ns) in [("reserve, ns", &self.ns_reserve), ("release, ns", &self.ns_release)] {
            let values = [ns.p50, ns.p90, ns.p99, ns.p999, ns.max].map(count);
            spread.add_row([Cell::new(what)].into_iter().chain(values));
        }
        format!(
            "{} workers ({}), {:.1} % of CPU held; {} threads, by {}, batches of {}, {}\n{counts}\n{spread}",
            HumanCount(self.workers.into()),
            self.mix,
            100.0 * self.fill_reached,
            self.threads,
            if self.by == By::Id { "id" } else { "ticket" },
            self.batch,
            self.policy,
        )
    }
}

pub fn print(args: &Args, outcome: &Outcome) -> Result<(), Failure> {
    let json = Json::new(args, outcome);
    args.output.print(&json, || json.text())?;
    if let Some(path) = &args.output.plot {
        let series = [("reserve", &outcome.tally.reserve), ("release", &outcome.tally.release)];
        let series = series.map(|(name, histogram)| line(name, histogram));
        let points = || series.iter().flat_map(|line| &line.points);
        let nines = points().map(|p| p.0).fold(1.0, f64::max).ceil();
        let fastest = points().map(|p| p.1).fold(f64::INFINITY, f64::min).floor();
        let slowest = points().map(|p| p.1).fold(fastest + 1.0, f64::max).ceil();
        plot::draw(
            path,
            "Latency by percentile",
            &Axis {
                label: "percentile",
                from: 0.0,
                to: nines,
                ticks: nines as usize + 1,
                text: &|nines| format!("{} %", trimmed(100.0 - 100.0 / 10f64.powf(nines))),
            },
            &Axis {
                label: "time",
                from: fastest,
                to: slowest,
                ticks: (slowest - fastest) as usize + 1,
                text: &|decades| duration(10f64.powf(decades)),
            },
            Vec::from(series),
        )?;
    }
    Ok(())
}

/// A latency curve on scales that show the tail: across, the number of nines of the percentile; up,
/// the decades of nanoseconds. It ends where no call is slower.
fn line(name: &str, histogram: &Histogram<u64>) -> Series {
    let most = (histogram.len().max(1) as f64).log10();
    let points = (0..=(most * 20.0) as u32).map(|step| {
        let nines = f64::from(step) / 20.0;
        let ns = histogram.value_at_quantile(1.0 - 10f64.powf(-nines));
        (nines, (ns.max(1) as f64).log10())
    });
    Series { name: name.to_owned(), points: points.collect() }
}

/// A percentile without the digits that say nothing.
fn trimmed(percent: f64) -> String {
    let text = format!("{percent:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn duration(ns: f64) -> String {
    let (unit, name) = match ns {
        ..1e3 => (1.0, "ns"),
        ..1e6 => (1e3, "us"),
        ..1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{:.0} {name}", ns / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_as_percentiles_and_times() {
        let percent = |nines: i32| trimmed(100.0 - 100.0 / 10f64.powi(nines));
        assert_eq!([0, 1, 3].map(percent), ["0", "90", "99.9"]);
        assert_eq!([1.0, 1e3, 2e6, 5e9].map(duration), ["1 ns", "1 us", "2 ms", "5 s"]);
    }

    #[test]
    fn a_curve_rises_to_the_slowest_call_but_a_few() {
        let mut histogram = crate::report::latencies();
        (1..=1000).for_each(|ns| histogram.record(ns).unwrap());
        let points = line("reserve", &histogram).points;
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{points:?}");
        let (nines, decades) = points[points.len() - 1];
        assert_eq!((nines, (10f64.powf(decades)).round()), (3.0, 999.0));
    }
}
