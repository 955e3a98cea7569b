//! `slotwise replay`: a recorded cluster's requests, one after the other: through the engine, where
//! whole devices are counted, or through the policies for parts of devices.

mod books;
mod input;
mod report;
mod shared;
mod turnover;
mod whole;

pub use books::{oversold, plus};
pub use input::DEVICE;

use std::{path::PathBuf, str::FromStr};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;
use slotwise::{Policy, UnknownPolicy};

use crate::{
    failure::Failure,
    report::{Output, policy_names},
};
use books::Books;
use input::Trace;

/// Places the pods of a trace on its nodes, in order and one at a time.
///
/// Pods arrive in file order; nothing is released (but with --load) or moved; a pod that no node can
/// take is dropped. The order of the nodes in their file is the tie-break. The placements are then added
/// up again from nothing but the two files, and the engine, which whole devices run on, audits
/// itself: either of them finding something oversold is a failed check.
#[derive(clap::Args)]
#[command(after_long_help = "\
Input: CSV with a header; columns are found by name and others ignored.
  nodes: sn, cpu_milli, memory_mib, gpu, model
  pods:  name, cpu_milli, memory_mib, num_gpu, gpu_milli and, where models matter, gpu_spec (A|B)
A pod's name is its affinity key; it may come again.

Policies: affinity, first-fit, tightest-fit, spread, power-of-two, dot-product, fgd and adaptive.
adaptive learns the mix of pods as they come, and so does fgd for whole devices; for parts of
devices, fgd is as published and reads the pods beforehand.

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
    #[arg(long, value_name = "NAME", default_value = "affinity", help = policy_names(
        "One policy, several with commas between, or \"all\" (JSON is then an array), of",
        &Policy::ALL.map(Policy::name),
    ))]
    policy: Policies,
    /// What a part of a device takes.
    #[arg(long, value_enum, default_value_t = Gpu::Whole)]
    gpu: Gpu,
    #[command(flatten)]
    turnover: turnover::Turnover,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Gpu {
    /// That part of one device.
    Shared,
    /// A whole device.
    Whole,
}

/// The policies to compare, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Policies {
    All,
    These(Vec<Policy>),
}

impl FromStr for Policies {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        if text == "all" {
            return Ok(Policies::All);
        }
        let mut policies = Vec::new();
        for name in text.split(',') {
            let policy = name.parse()?;
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        Ok(Policies::These(policies))
    }
}

impl Policies {
    /// In order.
    fn all(&self) -> &[Policy] {
        match self {
            Policies::All => &Policy::ALL,
            Policies::These(policies) => policies,
        }
    }
}

/// One policy's replay.
struct Replay {
    policy: &'static str,
    knows_future: bool,
    books: Books,
    /// Index k: free GPU that is useless to the trace's typical pods when k percent have arrived,
    /// in percent of the capacity.
    fragmentation: Option<Vec<Option<f64>>>,
    latency: Histogram<u64>,
    /// The engine's own, where it ran on one.
    audit: Option<String>,
}

impl Replay {
    /// The checks that failed.
    fn problems(&self) -> Vec<String> {
        let Replay { policy, books: Books { oversold, misplaced, .. }, audit, .. } = self;
        let mut problems = Vec::new();
        if oversold + misplaced > 0 {
            problems.push(format!("{policy}: {oversold} oversold, {misplaced} misplaced"));
        }
        if let Some(audit) = audit.as_ref().filter(|audit| *audit != "ok") {
            problems.push(format!("{policy}: audit: {audit}"));
        }
        problems
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let policies = args.policy.all();
    let load = args.turnover.load(args.gpu)?;
    let trace = Trace::read(&args.nodes, &args.pods)?;
    let replays: Vec<Replay> = match args.gpu {
        Gpu::Whole => policies
            .iter()
            .map(|&policy| whole::replay(&trace, policy))
            .collect::<Result<_, _>>()?,
        Gpu::Shared => {
            let shared = shared::Shared::new(&trace, &args.nodes)?;
            if let Some(load) = load {
                return turnover::run(args, &shared, load, policies);
            }
            policies.iter().map(|&policy| shared.replay(policy)).collect()
        }
    };
    let printed = report::print(args, &trace, &replays);
    Failure::unless_empty(replays.iter().flat_map(Replay::problems).collect())?;
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_named_and_a_good_replay_has_none() {
        let trace = Trace { nodes: vec![], pods: vec![], model_sets: vec![] };
        let mut replay = Replay {
            policy: "spread",
            knows_future: false,
            books: Books::new(&trace, &[], Gpu::Whole),
            fragmentation: None,
            latency: crate::report::latencies(),
            audit: Some("ok".into()),
        };
        assert!(replay.problems().is_empty());
        replay.books.oversold = 2;
        replay.audit = Some("lost one".into());
        assert_eq!(
            replay.problems(),
            ["spread: 2 oversold, 0 misplaced", "spread: audit: lost one"]
        );
    }

    #[test]
    fn policies_are_listed_once_in_the_order_given() {
        let parse = |text: &str| text.parse::<Policies>();
        assert_eq!(parse("spread"), Ok(Policies::These(vec![Policy::Spread])));
        let both = vec![Policy::Spread, Policy::FirstFit];
        assert_eq!(parse("spread,first-fit,spread"), Ok(Policies::These(both)));
        assert_eq!(parse("all").unwrap().all(), Policy::ALL);
        assert_eq!(parse("worst"), Err(UnknownPolicy));
        assert_eq!(parse(""), Err(UnknownPolicy));
    }
}
