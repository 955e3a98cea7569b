//! The published trace, where it lies beside the project in `../shared/openb`: figures that a paper
//! printed come out again, and the engine's own policy is better. Where it does not, the tests say
//! so and pass; the project ships none of its data.
#![cfg(feature = "cli")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

/// Replays a trace in a published order; nothing where the trace is not there.
fn replay(trace: &str, seed: u32, policy: &str) -> Option<Value> {
    replay_with(trace, seed, policy, &[])
}

fn replay_with(trace: &str, seed: u32, policy: &str, more: &[&str]) -> Option<Value> {
    let openb: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/openb");
    if !openb.exists() {
        eprintln!("skipped: {} is not there", openb.display());
        return None;
    }
    let read = |name: String| fs::read_to_string(openb.join(name)).expect("a readable file");
    let orders = read(format!("order/{trace}-{seed}.txt"));
    let dir = TempDir::new().expect("a directory");
    let reorder = |kind: &str, text: &str| {
        let order = orders.lines().find_map(|line| line.strip_prefix(kind)).expect("an order");
        let rows: Vec<&str> = text.lines().collect();
        let at = |row: &str| rows[1 + row.parse::<usize>().expect("a number")];
        let all: Vec<&str> =
            [rows[0]].into_iter().chain(order.split_whitespace().map(at)).collect();
        let path = dir.path().join(kind);
        fs::write(&path, all.join("\n")).expect("written");
        path
    };
    let nodes = reorder("nodes", &read("openb_node_list_gpu_node.csv".into()));
    let pods = reorder("pods", &read(format!("openb_pod_list_{trace}.csv")));
    let output = Command::new(env!("CARGO_BIN_EXE_slotwise"))
        .args(["replay", "--gpu", "shared", "--format", "json", "--policy", policy])
        .args(more)
        .arg("--nodes")
        .arg(nodes)
        .arg("--pods")
        .arg(pods)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{trace} {seed} {policy}: {output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["oversold"], 0);
    Some(result)
}

fn allo(result: &Value) -> [f64; 2] {
    ["allo_100", "allo_130"].map(|field| result[field].as_f64().expect("a number"))
}

#[test]
fn fgd_is_the_published_one() {
    let published = [
        (42, [95.14, 95.29]),
        (43, [95.06, 95.32]),
        (44, [95.29, 95.44]),
        (45, [95.38, 95.48]),
        (46, [95.35, 95.49]),
    ];
    for (seed, expected) in published {
        let Some(result) = replay("default", seed, "fgd") else { return };
        assert_eq!(result["knows_future"], true);
        for (got, expected) in allo(&result).into_iter().zip(expected) {
            assert!((got - expected).abs() <= 0.01, "seed {seed}: {got}, published {expected}");
        }
    }
}

#[test]
fn adaptive_is_better_than_what_was_published_without_reading_ahead() {
    let published = [
        ("default", [95.23, 95.39]),
        ("cpu200", [94.82, 95.05]),
        ("gpushare60", [91.25, 91.40]),
        ("multigpu30", [96.36, 96.46]),
        ("gpuspec25", [93.91, 94.74]),
    ];
    for (trace, published) in published {
        let Some(result) = replay(trace, 42, "adaptive") else { return };
        assert_eq!(result["knows_future"], false);
        for (got, published) in allo(&result).into_iter().zip(published) {
            assert!(got > published + 0.2, "{trace}: {got}, published {published}");
        }
    }
}

/// Where pods leave, too: less of what comes is dropped, and more of the devices is in use. On the two traces
/// where the others come nearest.
#[test]
fn adaptive_is_ahead_where_pods_leave() {
    for trace in ["default", "gpushare60"] {
        let mean = |policy| {
            let mut sum = [0.0; 2];
            for seed in 42..=46 {
                let more = ["--load", "105", "--seed", &seed.to_string()];
                let result = replay_with(trace, seed, policy, &more)?;
                let figures = ["dropped_gpu_percent", "allocated_mean"];
                let figures = figures.map(|field| result[field].as_f64().expect("a number"));
                sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure / 5.0);
            }
            Some(sum)
        };
        let Some(adaptive) = mean("adaptive") else { return };
        for other in ["fgd", "tightest-fit"].map(|other| mean(other).expect("it is there")) {
            let ahead = adaptive[0] < other[0] && adaptive[1] > other[1];
            assert!(ahead, "{trace}: {adaptive:?}, another one {other:?}");
        }
    }
}
