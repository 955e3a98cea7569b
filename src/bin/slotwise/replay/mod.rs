//! `slotwise replay`: a recorded cluster's requests through the engine, one after the other.

mod books;
mod input;
mod report;

pub use books::{oversold, plus};
pub use input::DEVICE;

use std::{path::PathBuf, str::FromStr, time::Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;
use slotwise::{
    Config, Constraints, Engine, Policy, Request, ReserveError, Selector, UnknownPolicy, WorkerSpec,
};

use crate::{
    failure::Failure,
    report::{Output, audit_text, latencies, nanos, policy_help, progress, register},
};
use books::{Books, Placement};
use input::Trace;

/// Label under which a node's GPU model is registered: unlike a list of GPU types, the values of
/// a label are a set without an order of preference, which is what `A|B` means in a trace.
const MODEL: &str = "gpu-model";

/// Places the pods of a trace on its nodes, in order and one at a time.
///
/// Pods arrive in file order; nothing is released or moved; a pod that no node can take is
/// dropped. The order of the nodes in their file is the tie-break. The placements are then added
/// up again from nothing but the two files, and the engine audits itself: either of them finding
/// something oversold is a failed check.
#[derive(clap::Args)]
#[command(after_long_help = "\
Input: CSV with a header; columns are found by name and others ignored.
  nodes: sn, cpu_milli, memory_mib, gpu, model
  pods:  name, cpu_milli, memory_mib, num_gpu, gpu_milli and, where models matter, gpu_spec (A|B)
A pod's name is its affinity key; it may come again.

Result: arrived and allocated count num_gpu x gpu_milli of what was asked for, in percent of the
cluster's GPUs, also where a whole device was taken for a part. allo[k] is the mean of allocated
over the pods at which arrived rounds to k percent; a bin without pods has the mean of those of its
two neighbours that have some, and is null when neither has.

Reasons for a drop: busy_cpu, busy_memory, busy_gpus (most nodes that could take it are short of
that now), busy_not_ready (they take nothing now), never_cpu, never_memory, never_gpus (no allowed
node is large enough in that), never_together (none in all of it at once), never_no_match (no node
of an allowed model).")]
pub struct Args {
    /// The nodes, in tie-break order.
    #[arg(long, value_name = "NODES.csv")]
    nodes: PathBuf,
    /// The pods, in order of arrival.
    #[arg(long, value_name = "PODS.csv")]
    pods: PathBuf,
    #[arg(long, value_name = "NAME", default_value = "affinity", help = policy_help(
        "One policy, several with commas between, or \"all\" (JSON is then an array), of",
    ))]
    policy: Policies,
    /// What a part of a device takes.
    #[arg(long, value_enum, default_value_t = Gpu::Whole)]
    gpu: Gpu,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Gpu {
    /// That part of one device (not in this version).
    Shared,
    /// A whole device.
    Whole,
}

/// The policies to compare, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policies(Vec<Policy>);

impl FromStr for Policies {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        if text == "all" {
            return Ok(Policies(Policy::ALL.to_vec()));
        }
        let mut policies = Vec::new();
        for name in text.split(',') {
            let policy = name.parse()?;
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        Ok(Policies(policies))
    }
}

/// One policy's replay.
struct Replay {
    policy: Policy,
    books: Books,
    latency: Histogram<u64>,
    audit: String,
}

impl Replay {
    /// The checks that failed.
    fn problems(&self) -> Vec<String> {
        let Replay { policy, books: Books { oversold, misplaced, .. }, audit, .. } = self;
        let mut problems = Vec::new();
        if oversold + misplaced > 0 {
            problems.push(format!("{policy}: {oversold} oversold, {misplaced} misplaced"));
        }
        if audit != "ok" {
            problems.push(format!("{policy}: audit: {audit}"));
        }
        problems
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.gpu == Gpu::Shared {
        return Err(Failure::Unusable(
            "--gpu shared needs per-device capacity, which this version does not have; use --gpu whole"
                .to_owned(),
        ));
    }
    let trace = Trace::read(&args.nodes, &args.pods)?;
    let replays: Vec<Replay> =
        args.policy.0.iter().map(|&policy| replay(&trace, policy)).collect::<Result<_, _>>()?;
    let printed = report::print(args, &trace, &replays);
    Failure::unless_empty(replays.iter().flat_map(Replay::problems).collect())?;
    printed
}

fn replay(trace: &Trace, policy: Policy) -> Result<Replay, Failure> {
    let engine = engine(trace, policy)?;
    let selectors = selectors(trace, &engine)?;
    let mut latency = latencies();
    let mut placements: Vec<Placement> = Vec::with_capacity(trace.pods.len());
    let bar = progress(trace.pods.len() as u64, policy.name());
    for (row, pod) in trace.pods.iter().enumerate() {
        // A pod's name may come again, so it is the affinity key and not the id.
        let id = format!("row-{row}");
        let request = Request::new(id.as_bytes(), pod.whole_devices())
            .key(pod.name.as_bytes())
            .selector(selectors[pod.models]);
        let start = Instant::now();
        let result = engine.reserve(&request);
        latency.saturating_record(nanos(start.elapsed()));
        placements.push(match result {
            Ok(placed) => Ok(placed.worker.index as usize),
            Err(ReserveError::Refused(refusal)) => Err(books::reason(&refusal)),
            Err(e) => return Err(Failure::Check(format!("{policy}: pod {}: {e}", pod.name))),
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let books = Books::new(trace, &placements);
    let audit = audit_text(&engine.audit(), books.placed as usize);
    Ok(Replay { policy, books, latency, audit })
}

/// An engine with the trace's nodes as workers, in file order.
fn engine(trace: &Trace, policy: Policy) -> Result<Engine, Failure> {
    let default = Config::default();
    let engine = Engine::new(Config {
        // No more than there are: the first use of each page of a table is a page fault.
        max_workers: trace.nodes.len().max(1),
        max_reservations: trace.pods.len().max(1),
        max_selectors: (trace.model_sets.len() + 1).max(default.max_selectors),
        policy,
        // In the protocol a pod without GPUs may run on any node.
        gpu_separation: false,
        ..default
    })
    .map_err(|e| Failure::Unusable(format!("the trace is too large: {e}")))?;
    let specs = trace.nodes.iter().map(|node| {
        let spec = WorkerSpec::new(node.name.as_bytes(), node.total);
        if node.total.gpus == 0 {
            return spec;
        }
        spec.gpu_type(node.model.as_bytes()).label(MODEL, node.model.as_bytes())
    });
    register(&engine, specs).map_err(|(at, result)| {
        Failure::Check(format!("node {} was registered as {result:?}", trace.nodes[at].name))
    })?;
    Ok(engine)
}

/// A compiled selector for each set of allowed models.
fn selectors(trace: &Trace, engine: &Engine) -> Result<Vec<Selector>, Failure> {
    let selector = |models: &Vec<String>| {
        if models.is_empty() {
            return Ok(Selector::ANY);
        }
        let allowed = models.iter().map(|model| model.as_bytes());
        engine
            .selector(&Constraints::new().label_in(MODEL, allowed))
            .map_err(|e| Failure::Check(format!("models {}: {e}", models.join("|"))))
    };
    trace.model_sets.iter().map(selector).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_named_and_a_good_replay_has_none() {
        let trace = Trace { nodes: vec![], pods: vec![], model_sets: vec![] };
        let mut replay = Replay {
            policy: Policy::Spread,
            books: Books::new(&trace, &[]),
            latency: latencies(),
            audit: "ok".into(),
        };
        assert!(replay.problems().is_empty());
        replay.books.oversold = 2;
        replay.audit = "lost one".into();
        assert_eq!(
            replay.problems(),
            ["spread: 2 oversold, 0 misplaced", "spread: audit: lost one"]
        );
    }

    #[test]
    fn policies_are_listed_once_in_the_order_given() {
        let parse = |text: &str| text.parse::<Policies>().map(|p| p.0);
        assert_eq!(parse("spread"), Ok(vec![Policy::Spread]));
        assert_eq!(parse("spread,first-fit,spread"), Ok(vec![Policy::Spread, Policy::FirstFit]));
        assert_eq!(parse("all"), Ok(Policy::ALL.to_vec()));
        assert_eq!(parse("worst"), Err(UnknownPolicy));
        assert_eq!(parse(""), Err(UnknownPolicy));
    }
}
