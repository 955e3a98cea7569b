//! A replay in which pods leave: the trace comes round after round, each pod stays for a while, and
//! what is asked for at once levels off.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use comfy_table::Cell;
use hdrhistogram::Histogram;
use indicatif::HumanCount;
use serde::Serialize;
use slotwise::{Policy, placement::gpu::DeviceSet};

use super::{
    Args, Gpu,
    books::{Place, Used},
    report::Nanos,
    shared::{Shared, knows_future, place},
};
use crate::{
    failure::Failure,
    report::{latencies, nanos, number, progress, table, verdict},
    rng::Rng,
};

/// How pods leave.
#[derive(clap::Args, Clone, Copy)]
pub struct Turnover {
    /// Pods leave again: they stay so long that together they ask for this percentage of the GPUs at
    /// once. For --gpu shared.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(1..=1000))]
    load: Option<u64>,
    /// With --load: how often the pods arrive; what is told is of all rounds after the first.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..=1000))]
    rounds: u64,
    /// With --load: another seed, other times to stay.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

impl Turnover {
    /// The load, if pods are to leave.
    pub fn load(&self, gpu: Gpu) -> Result<Option<u64>, Failure> {
        match self.load {
            Some(_) if gpu == Gpu::Whole => {
                Err(Failure::Unusable("--load: expected --gpu shared with it".to_owned()))
            }
            load => Ok(load),
        }
    }
}

/// One policy's run.
#[derive(Serialize)]
struct Run {
    policy: &'static str,
    gpu: Gpu,
    load_percent: u64,
    rounds: u64,
    seed: u64,
    nodes: usize,
    /// Arrivals in all rounds.
    pods: u64,
    placed: u64,
    dropped: u64,
    /// Of the rounds after the first: the mean of 100 x allocated / capacity after each arrival.
    allocated_mean: f64,
    /// Of the rounds after the first: what was dropped of the GPUs asked for.
    dropped_gpu_percent: f64,
    ns_per_placement: Nanos,
    knows_future: bool,
    oversold: u64,
    version: &'static str,
}

/// Runs every policy and prints the results.
pub fn run(
    args: &Args,
    shared: &Shared<'_>,
    load: u64,
    policies: &[Policy],
) -> Result<(), Failure> {
    if shared.trace.pods.iter().all(|pod| pod.asks_milli() == 0) || shared.capacity() == 0 {
        return Err(Failure::Unusable("--load: expected nodes with GPUs and pods for them".into()));
    }
    let runs: Vec<Run> =
        policies.iter().map(|&policy| one(shared, load, args.turnover, policy)).collect();
    let printed = match &runs[..] {
        [one] => args.output.print(one, || text(&runs)),
        many => args.output.print(&many, || text(&runs)),
    };
    let oversold = runs.iter().filter(|run| run.oversold > 0);
    Failure::unless_empty(
        oversold.map(|run| format!("{}: {} oversold", run.policy, run.oversold)).collect(),
    )?;
    printed
}

fn one(shared: &Shared<'_>, load: u64, how: Turnover, policy: Policy) -> Run {
    let Shared { trace, .. } = shared;
    let count = trace.pods.len() as u64;
    let asked: u64 = trace.pods.iter().map(|pod| pod.asks_milli()).sum();
    let capacity = shared.capacity() as f64;
    // So many arrivals ask for the load.
    let mean_stay = load as f64 / 100.0 * capacity * count as f64 / asked as f64;
    let mut rng = Rng::new(how.seed, 2);
    let mut placer = shared.placer(policy);
    let mut used = vec![Used::default(); trace.nodes.len()];
    let mut leaving: BinaryHeap<Reverse<(u64, usize, usize, u16)>> = BinaryHeap::new();
    let mut latency: Histogram<u64> = latencies();
    let (mut placed, mut oversold, mut allocated) = (0, 0, 0);
    let (mut sum, mut late_asked, mut late_dropped) = (0.0, 0, 0);
    let bar = progress(count * how.rounds, policy.name());
    for number in 0..count * how.rounds {
        bar.inc(1);
        while let Some(&Reverse((at, row, node, devices))) = leaving.peek() {
            if at > number {
                break;
            }
            leaving.pop();
            let (pod, devices) = (&trace.pods[row], DeviceSet(devices));
            used[node].take_away(pod, devices);
            allocated -= pod.asks_milli();
            let state = placer.nodes()[node];
            let now = shared.shapes[row].and_then(|shape| state.give(&shape, devices));
            placer.update(node, now.expect("what was taken is given back"));
        }
        // Exponential, and the same for every policy: drawn whether or not the pod is placed.
        let uniform = (rng.next() >> 11) as f64 / (1u64 << 53) as f64;
        let stay = 1 + (-(1.0 - uniform).ln() * mean_stay) as u64;
        let row = (number % count) as usize;
        let pod = &trace.pods[row];
        let went = shared.shapes[row].and_then(|shape| {
            let start = Instant::now();
            let went = place(&mut placer, &shape, seahash::hash(pod.name.as_bytes()));
            latency.saturating_record(nanos(start.elapsed()));
            went
        });
        if let Some(Place { node, devices }) = went {
            placed += 1;
            allocated += pod.asks_milli();
            used[node].add(pod, devices, Gpu::Shared);
            oversold += used[node].over(&trace.nodes[node].total);
            leaving.push(Reverse((number + stay, row, node, devices.0)));
        }
        if number >= count {
            sum += allocated as f64;
            late_asked += pod.asks_milli();
            late_dropped += if went.is_none() { pod.asks_milli() } else { 0 };
        }
    }
    bar.finish_and_clear();
    let late = (count * (how.rounds - 1)) as f64;
    Run {
        policy: policy.name(),
        gpu: Gpu::Shared,
        load_percent: load,
        rounds: how.rounds,
        seed: how.seed,
        nodes: trace.nodes.len(),
        pods: count * how.rounds,
        placed,
        dropped: count * how.rounds - placed,
        allocated_mean: 100.0 * sum / late / capacity,
        dropped_gpu_percent: 100.0 * late_dropped as f64 / late_asked as f64,
        ns_per_placement: Nanos::from(&latency),
        knows_future: knows_future(policy),
        oversold,
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn text(runs: &[Run]) -> String {
    let mut table = table(&[
        "policy",
        "placed",
        "dropped",
        "GPU dropped",
        "GPU allocated",
        "ns p50",
        "ns p99",
        "ns mean",
        "oversold",
        "knows future",
    ]);
    for run in runs {
        let ns = &run.ns_per_placement;
        table.add_row([
            Cell::new(run.policy),
            number(HumanCount(run.placed)),
            number(HumanCount(run.dropped)),
            number(format!("{:.2} %", run.dropped_gpu_percent)),
            number(format!("{:.2} %", run.allocated_mean)),
            number(HumanCount(ns.p50)),
            number(HumanCount(ns.p99)),
            number(HumanCount(ns.mean.round() as u64)),
            verdict(run.oversold, run.oversold == 0),
            Cell::new(if run.knows_future { "yes" } else { "no" }),
        ]);
    }
    let Run { nodes, pods, load_percent, rounds, .. } = &runs[0];
    format!(
        "{} nodes; {} pods in {rounds} rounds, that leave again and ask for {load_percent} % of the \
         GPUs at once; percentages are of the rounds after the first\n{table}",
        HumanCount(*nodes as u64),
        HumanCount(*pods),
    )
}
