//! A replay's result as JSON, as a table with a row for each policy, and as a plot.

use comfy_table::Cell;
use hdrhistogram::Histogram;
use indicatif::HumanCount;
use serde::Serialize;

use super::{Args, Gpu, Replay, books::Books, input::Trace};
use crate::{
    failure::Failure,
    plot::{self, Axis, Series},
    report::{number, table, verdict},
};

#[derive(Serialize)]
struct Json<'a> {
    policy: &'static str,
    gpu: Gpu,
    nodes: usize,
    pods: usize,
    #[serde(flatten)]
    books: &'a Books,
    ns_per_placement: Nanos,
    /// Whether the policy read the pods beforehand.
    knows_future: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragmentation: Option<&'a [Option<f64>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<&'a str>,
    version: &'static str,
}

#[derive(Serialize)]
pub struct Nanos {
    pub p50: u64,
    pub p99: u64,
    pub mean: f64,
}

impl From<&Histogram<u64>> for Nanos {
    fn from(h: &Histogram<u64>) -> Nanos {
        Nanos { p50: h.value_at_quantile(0.5), p99: h.value_at_quantile(0.99), mean: h.mean() }
    }
}

pub fn print(args: &Args, trace: &Trace, replays: &[Replay]) -> Result<(), Failure> {
    let json: Vec<Json<'_>> = replays
        .iter()
        .map(|replay| Json {
            policy: replay.policy,
            gpu: args.gpu,
            nodes: trace.nodes.len(),
            pods: trace.pods.len(),
            books: &replay.books,
            ns_per_placement: Nanos::from(&replay.latency),
            knows_future: replay.knows_future,
            fragmentation: replay.fragmentation.as_deref(),
            audit: replay.audit.as_deref(),
            version: env!("CARGO_PKG_VERSION"),
        })
        .collect();
    match &json[..] {
        [one] => args.output.print(one, || text(&json))?,
        many => args.output.print(&many, || text(&json))?,
    }
    if let Some(path) = &args.output.plot {
        let percent = |v: f64| format!("{v} %");
        let axis = |label| Axis { label, from: 0.0, to: 130.0, ticks: 14, text: &percent };
        plot::draw(
            path,
            match args.gpu {
                Gpu::Whole => "GPU share allocated against arrived",
                Gpu::Shared => "GPU share allocated, and fragmented, against arrived",
            },
            &axis("arrived"),
            &Axis { to: 100.0, ticks: 11, ..axis("allocated") },
            replays.iter().flat_map(lines).collect(),
        )?;
    }
    Ok(())
}

/// Allocated, and what is free and useless where that is known.
fn lines(replay: &Replay) -> impl Iterator<Item = Series> {
    let series = |name: String, values: &[Option<f64>]| {
        let points = values.iter().enumerate();
        Series { name, points: points.filter_map(|(k, v)| Some((k as f64, (*v)?))).collect() }
    };
    let allocated = series(replay.policy.to_owned(), &replay.books.allo);
    let fragmented = replay.fragmentation.as_deref();
    let fragmented = fragmented.map(|f| series(format!("{}: fragmented", replay.policy), f));
    [Some(allocated), fragmented].into_iter().flatten()
}

fn text(replays: &[Json<'_>]) -> String {
    let mut table = table(&[
        "policy",
        "placed",
        "dropped",
        "why dropped",
        "allo[100]",
        "allo[130]",
        "ns p50",
        "ns p99",
        "ns mean",
        "oversold",
        "audit",
        "knows future",
    ]);
    let percent = |value: Option<f64>| number(value.map_or("-".into(), |v| format!("{v:.2} %")));
    for Json { policy, books, ns_per_placement: ns, audit, knows_future, .. } in replays {
        let audit = audit.unwrap_or("-");
        let reasons: Vec<String> = books
            .dropped_by_reason
            .iter()
            .map(|(reason, count)| format!("{reason} {}", HumanCount(*count)))
            .collect();
        table.add_row([
            Cell::new(policy),
            number(HumanCount(books.placed)),
            number(HumanCount(books.dropped)),
            Cell::new(reasons.join("\n")),
            percent(books.allo_100),
            percent(books.allo_130),
            number(HumanCount(ns.p50)),
            number(HumanCount(ns.p99)),
            number(HumanCount(ns.mean.round() as u64)),
            verdict(books.oversold, books.oversold == 0),
            verdict(audit, matches!(audit, "ok" | "-")),
            Cell::new(if *knows_future { "yes" } else { "no" }),
        ]);
    }
    let Json { nodes, pods, books, gpu, .. } = &replays[0];
    let takes = match gpu {
        Gpu::Whole => "a part of a device takes a whole one",
        Gpu::Shared => "a part of a device takes that part",
    };
    let asked =
        books.arrived_percent.map_or(String::new(), |p| format!(" that ask for {p:.1} % of them"));
    format!(
        "{} nodes with {} GPUs; {} pods{asked}; {takes}\n{table}",
        HumanCount(*nodes as u64),
        HumanCount(books.capacity_gpu_milli / super::input::DEVICE),
        HumanCount(*pods as u64),
    )
}
