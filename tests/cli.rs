//! The built program from outside: what it prints, refuses and promises.
#![cfg(feature = "cli")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n";
const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n";
const POLICIES: [&str; 8] = [
    "affinity",
    "first-fit",
    "tightest-fit",
    "spread",
    "power-of-two",
    "dot-product",
    "fgd",
    "adaptive",
];

fn slotwise(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    slotwise(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// The JSON of a run whose every check held.
#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = run(&[args, &["--format", "json"]].concat());
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{args:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Refused with exit status 2, one line on stderr and nothing on stdout.
#[track_caller]
fn refused(args: &[&str], line: &str) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert_eq!((stdout(&output), stderr(&output)), ("", &*format!("{line}\n")), "{args:?}");
}

/// A pair of trace files in a directory of their own.
struct Trace {
    dir: TempDir,
}

impl Trace {
    fn new(nodes: &str, pods: &str) -> Trace {
        let trace = Trace { dir: TempDir::new().expect("a directory") };
        fs::write(trace.nodes(), format!("{NODES}{nodes}")).expect("written");
        fs::write(trace.pods(), format!("{PODS}{pods}")).expect("written");
        trace
    }

    fn generated(more: &[&str]) -> Trace {
        let trace = Trace { dir: TempDir::new().expect("a directory") };
        let (nodes, pods) = (trace.nodes(), trace.pods());
        let output =
            run(&[&["generate", "--nodes-out", &nodes, "--pods-out", &pods], more].concat());
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
        trace
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn nodes(&self) -> String {
        self.path("nodes.csv")
    }

    fn pods(&self) -> String {
        self.path("pods.csv")
    }

    fn texts(&self) -> [String; 2] {
        [self.nodes(), self.pods()].map(|path| fs::read_to_string(path).expect("read"))
    }

    #[track_caller]
    fn replay(&self, more: &[&str]) -> Value {
        json(&[&["replay", "--nodes", &self.nodes(), "--pods", &self.pods()], more].concat())
    }

    fn replay_output(&self, more: &[&str]) -> Output {
        run(&[&["replay", "--nodes", &self.nodes(), "--pods", &self.pods()], more].concat())
    }
}

/// First fit by plain loops over the text of the files: (placed, allocated in percent).
fn first_fit([nodes, pods]: &[String; 2]) -> (u64, f64) {
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().skip(1).map(|l| l.split(',').map(str::to_owned).collect()).collect()
    };
    let number = |text: &String| text.parse::<i64>().expect("a number");
    let mut free: Vec<([i64; 3], String)> = rows(nodes)
        .iter()
        .map(|row| ([number(&row[1]), number(&row[2]), number(&row[3])], row[4].clone()))
        .collect();
    let capacity: i64 = free.iter().map(|(free, _)| free[2] * 1000).sum();
    let (mut placed, mut allocated) = (0, 0);
    for pod in rows(pods) {
        let need = [number(&pod[1]), number(&pod[2]), number(&pod[3])];
        let spec = pod.get(5).filter(|spec| need[2] > 0 && !spec.is_empty());
        let fits = |(free, model): &&mut ([i64; 3], String)| {
            spec.is_none_or(|spec| spec.split('|').any(|allowed| allowed == model))
                && free.iter().zip(need).all(|(free, need)| *free >= need)
        };
        if let Some((free, _)) = free.iter_mut().find(fits) {
            free.iter_mut().zip(need).for_each(|(free, need)| *free -= need);
            placed += 1;
            allocated += need[2] * number(&pod[4]);
        }
    }
    (placed, 100.0 * allocated as f64 / capacity as f64)
}

#[track_caller]
fn has_fields(value: &Value, fields: &[&str]) {
    for field in fields {
        let found = field.split('.').try_fold(value, |value, name| value.get(name));
        assert!(found.is_some(), "no {field} in {value}");
    }
}

#[track_caller]
fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} is no count in {value}"))
}

fn without_times(mut value: Value) -> Value {
    value.as_object_mut().expect("an object").remove("ns_per_placement").expect("was there");
    value
}

#[test]
fn replay_gives_every_field_and_its_numbers_agree() {
    let trace = Trace::generated(&["--nodes", "60"]);
    let result = trace.replay(&[]);
    has_fields(
        &result,
        &[
            "policy",
            "gpu",
            "nodes",
            "pods",
            "placed",
            "dropped",
            "dropped_by_reason",
            "capacity_gpu_milli",
            "arrived_percent",
            "allocated_percent",
            "allo",
            "allo_100",
            "allo_130",
            "ns_per_placement.p50",
            "ns_per_placement.p99",
            "ns_per_placement.mean",
            "knows_future",
            "oversold",
            "version",
        ],
    );
    let [nodes, pods] = trace.texts().map(|text| text.lines().count() as u64 - 1);
    assert_eq!((number(&result, "nodes"), number(&result, "pods")), (nodes, pods));
    assert_eq!(number(&result, "placed") + number(&result, "dropped"), pods);
    let reasons = result["dropped_by_reason"].as_object().expect("an object");
    let by_reason: u64 = reasons.values().map(|n| n.as_u64().expect("a count")).sum();
    assert_eq!(by_reason, number(&result, "dropped"));
    let allo = result["allo"].as_array().expect("an array");
    assert_eq!(allo.len(), 131);
    assert_eq!((&allo[100], &allo[130]), (&result["allo_100"], &result["allo_130"]));
    assert!(result["allo_130"].is_f64(), "the demand goes past 130 %: {result}");
    assert_eq!((&result["policy"], &result["gpu"]), (&"affinity".into(), &"whole".into()));
    assert_eq!((&result["knows_future"], &result["oversold"]), (&false.into(), &0.into()));
    assert_eq!(
        (&result["version"], &result["audit"]),
        (&env!("CARGO_PKG_VERSION").into(), &"ok".into())
    );
}

#[test]
fn replay_by_first_fit_is_what_plain_loops_give() {
    for seed in ["1", "2", "3"] {
        let trace = Trace::generated(&["--nodes", "40", "--seed", seed]);
        let result = trace.replay(&["--policy", "first-fit"]);
        let (placed, allocated) = first_fit(&trace.texts());
        assert_eq!(number(&result, "placed"), placed, "seed {seed}");
        assert_eq!(result["allocated_percent"], allocated, "seed {seed}");
    }
}

#[test]
fn replay_drops_what_does_not_fit_and_says_why() {
    let trace = Trace::new(
        "a,8000,1000,1,T4\nb,8000,1000,1,A100\nc,8000,1000,0,\n",
        "p,1000,10,1,500,A100\n\
         q,1000,10,1,1000,\n\
         busy,1000,10,1,100,\n\
         no-model,1000,10,1,1000,H100\n\
         too-many,1000,10,2,1000,\n\
         too-large,9000,10,0,0,\n\
         plain,8000,10,0,0,T4\n",
    );
    let result = trace.replay(&["--policy", "first-fit"]);
    let expected = serde_json::json!({
        "busy_gpus": 1, "never_no_match": 1, "never_gpus": 1, "never_cpu": 1
    });
    assert_eq!(result["dropped_by_reason"], expected);
    assert_eq!((number(&result, "placed"), number(&result, "capacity_gpu_milli")), (3, 2000));
    // p and q, as asked for; the part of a device counts as a part though it took a whole one.
    assert_eq!(
        (&result["allocated_percent"], &result["arrived_percent"]),
        (&75.0.into(), &230.0.into())
    );
}

#[test]
fn replay_ranks_allowed_models_equally() {
    // If A|B preferred A, p would take the only A100 and q would be dropped.
    let trace = Trace::new(
        "t,8000,1000,1,T4\na,8000,1000,1,A100\n",
        "p,1000,10,1,1000,A100|T4\nq,1000,10,1,1000,A100\n",
    );
    assert_eq!(number(&trace.replay(&["--policy", "first-fit"]), "placed"), 2);
}

#[test]
fn replay_of_the_same_input_gives_the_same_placements() {
    let trace = Trace::generated(&["--nodes", "50"]);
    for policy in POLICIES {
        let once = || without_times(trace.replay(&["--policy", policy]));
        assert_eq!(once(), once(), "{policy}");
    }
}

#[test]
fn replay_compares_policies() {
    let trace = Trace::generated(&["--nodes", "20"]);
    let names = |value: &Value| -> Vec<String> {
        let replays = value.as_array().expect("an array");
        replays.iter().map(|r| r["policy"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&trace.replay(&["--policy", "all"])), POLICIES);
    assert_eq!(names(&trace.replay(&["--policy", "spread,first-fit"])), ["spread", "first-fit"]);

    let plot = trace.path("plot.svg");
    let output = trace.replay_output(&["--policy", "all", "--plot", &plot]);
    assert_eq!(output.status.code(), Some(0));
    let svg = fs::read_to_string(plot).expect("a plot");
    for policy in POLICIES {
        assert!(stdout(&output).contains(policy), "{policy} is not in the table");
        assert!(svg.contains(policy), "{policy} is not in the plot");
    }
    assert!(!stdout(&output).contains('\x1b'), "colours where there is no terminal");
    assert_eq!(stderr(&output), "", "progress where there is no terminal");
}

#[test]
fn replay_of_parts_has_all_policies_and_every_field() {
    let trace = Trace::generated(&["--nodes", "30"]);
    let plot = trace.path("plot.svg");
    let all = trace.replay(&["--gpu", "shared", "--policy", "all", "--plot", &plot]);
    let replays = all.as_array().expect("an array");
    let names: Vec<&str> = replays.iter().map(|r| r["policy"].as_str().expect("a name")).collect();
    assert_eq!(names, POLICIES);
    let svg = fs::read_to_string(plot).expect("a plot");
    for result in replays {
        let name = result["policy"].as_str().expect("a name");
        assert!(svg.contains(&format!("{name}: fragmented")), "{name} is not in the plot");
        has_fields(result, &["allo_100", "allo_130", "ns_per_placement.mean", "dropped_by_reason"]);
        assert_eq!((&result["gpu"], &result["oversold"]), (&"shared".into(), &0.into()), "{name}");
        assert_eq!(result["knows_future"], name == "fgd");
        assert_eq!(result["fragmentation"].as_array().expect("an array").len(), 131);
        assert_eq!(number(result, "placed") + number(result, "dropped"), number(result, "pods"));
        assert_eq!(result.get("audit"), None, "the engine was not asked");
        let again = trace.replay(&["--gpu", "shared", "--policy", name]);
        assert_eq!(without_times(again), without_times(result.clone()));
    }
}

#[test]
fn replay_of_parts_fills_devices_and_says_what_does_not_fit() {
    let trace = Trace::new("a,8000,1000,1,T4\nb,8000,1000,17,A100\n", "p,1000,10,1,500,\n");
    let line = format!(
        "{}: --gpu shared: expected at most 16 GPUs a node and 64 models, got node 'b'",
        trace.nodes()
    );
    let (nodes, pods) = (trace.nodes(), trace.pods());
    refused(&["replay", "--nodes", &nodes, "--pods", &pods, "--gpu", "shared"], &line);

    let trace = Trace::new(
        "a,8000,1000,1,T4\nb,8000,1000,2,A100\nc,8000,1000,0,\n",
        "p,1000,10,1,600,\nq,1000,10,1,600,T4|A100\nr,1000,10,1,400,T4\n\
         busy,1000,10,1,900,T4\nno-model,1000,10,1,1000,H100\ntoo-many,1000,10,3,1000,\n\
         far-too-many,1000,10,20,1000,\ntoo-large,9000,10,0,0,\n",
    );
    for policy in ["first-fit", "tightest-fit", "fgd", "adaptive"] {
        let result = trace.replay(&["--gpu", "shared", "--policy", policy]);
        let expected = serde_json::json!({
            "busy_gpus": 1, "never_no_match": 1, "never_gpus": 2, "never_cpu": 1
        });
        assert_eq!(result["dropped_by_reason"], expected, "{policy}");
        assert_eq!((number(&result, "placed"), number(&result, "oversold")), (3, 0), "{policy}");
    }
}

#[test]
fn replay_with_pods_that_leave_levels_off() {
    let trace = Trace::generated(&["--nodes", "30"]);
    let all = ["--gpu", "shared", "--policy", "tightest-fit,fgd,adaptive", "--load", "110"];
    let results = trace.replay(&all);
    for result in results.as_array().expect("an array") {
        has_fields(result, &["load_percent", "rounds", "dropped_gpu_percent", "knows_future"]);
        assert_eq!(number(result, "oversold"), 0);
        assert_eq!(number(result, "placed") + number(result, "dropped"), number(result, "pods"));
        let allocated = result["allocated_mean"].as_f64().expect("a number");
        assert!((40.0..100.0).contains(&allocated), "{result}");
        let name = result["policy"].as_str().expect("a name");
        let again = trace.replay(&["--gpu", "shared", "--policy", name, "--load", "110"]);
        assert_eq!(without_times(again), without_times(result.clone()));
    }
    let text = trace.replay_output(&all);
    assert!(stdout(&text).contains("adaptive"), "{}", stdout(&text));
    let (nodes, pods) = (trace.nodes(), trace.pods());
    refused(
        &["replay", "--nodes", &nodes, "--pods", &pods, "--load", "90"],
        "--load: expected --gpu shared with it",
    );
}

#[test]
fn replay_names_file_line_and_field_of_bad_input() {
    let trace = Trace::new("a,8000,1000,1,T4\nb,8x,1000,1,T4\n", "p,1000,10,1,500,\n");
    let (nodes, pods) = (trace.nodes(), trace.pods());
    let replay = ["replay", "--nodes", &nodes, "--pods", &pods];
    let expected = "expected a whole number from 0 to 8388607, got '8x'";
    refused(&replay, &format!("{nodes}:3: field 'cpu_milli': {expected}"));

    let trace = Trace::new("a,8000,1000,1,T4\n", "p,1000,10,1,500,\nq,1000,10,2,500,\n");
    let (nodes, pods) = (trace.nodes(), trace.pods());
    let replay = ["replay", "--nodes", &nodes, "--pods", &pods];
    refused(&replay, &format!("{pods}:3: field 'gpu_milli': expected 1000, got '500'"));

    fs::write(&pods, "name,cpu_milli\n").expect("written");
    let expected = "expected one column of this name in the header, got 'name,cpu_milli'";
    refused(&replay, &format!("{pods}:1: field 'memory_mib': {expected}"));

    fs::remove_file(&pods).expect("removed");
    let output = run(&replay);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with(&format!("{pods}: cannot read: ")), "{}", stderr(&output));
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let trace = Trace::new("a,8000,1000,1,T4\n", "p,1000,10,1,500,\n");
    let (nodes, pods) = (trace.nodes(), trace.pods());
    let replay = ["replay", "--nodes", &nodes, "--pods", &pods];
    refused(
        &["generate", "--nodes-out", "x.csv", "--pods-out", "x.csv"],
        "--nodes-out and --pods-out are both x.csv: expected two files",
    );
    let churn = ["churn", "--workers", "1", "--requests", "1"];
    for (command, args, told) in [
        (&replay[..], ["--policy", "best"], "expected one of affinity, first-fit"),
        (&replay[..], ["--policy", "spread,"], "expected one of affinity, first-fit"),
        (&replay[..], ["--gpu", "half"], "possible values: shared, whole"),
        (&replay[..], ["--format", "xml"], "possible values: text, json"),
        (&churn[..], ["--fill", "1.5"], "expected a number from 0 to 1"),
        (&churn[..], ["--threads", "0"], "0 is not in 1..=1024"),
        (&churn[..], ["--batch", "0"], "0 is not in 1..=65536"),
        (&churn[..], ["--mix", "odd"], "expected one of uniform, shapes, gpu"),
        (&churn[..], ["--by", "name"], "possible values: id, ticket"),
        (&["churn", "--requests", "1"][..], ["--workers", "0"], "0 is not in 1..="),
    ] {
        let output = run(&[command, &args].concat());
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{args:?}");
        assert!(stderr(&output).contains(told), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn a_plot_that_cannot_be_written_is_an_error_that_names_it() {
    let trace = Trace::new("a,8000,1000,1,T4\n", "p,1000,10,1,500,\n");
    let plot = trace.path("no-such-directory/plot.svg");
    let output = trace.replay_output(&["--plot", &plot]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with(&format!("{plot}: cannot write the plot: ")));
    assert!(stdout(&output).contains("affinity"), "the result itself is not lost");
}

#[test]
fn generate_follows_the_seed() {
    let some = Trace::generated(&["--nodes", "30", "--seed", "5"]).texts();
    assert_eq!(some, Trace::generated(&["--nodes", "30", "--seed", "5"]).texts());
    let other = Trace::generated(&["--nodes", "30", "--seed", "6"]).texts();
    assert!(some[0] != other[0] && some[1] != other[1]);
    let few = Trace::generated(&["--nodes", "3", "--pods", "7"]).texts();
    assert_eq!(few.map(|text| text.lines().count()), [1 + 3, 1 + 7]);
}

/// Small enough for a debug build; `--threads 1` makes the answers repeatable.
const CHURN: &[&str] = &["churn", "--workers", "30", "--requests", "3000", "--fill", "0.9"];

#[test]
fn churn_gives_every_field_and_its_numbers_agree() {
    for more in [
        &["--by", "id"][..],
        &["--by", "ticket"],
        &["--by", "ticket", "--batch", "16", "--mix", "shapes"],
        &["--by", "id", "--batch", "7", "--mix", "gpu", "--policy", "spread"],
    ] {
        let result = json(&[CHURN, &["--threads", "3"], more].concat());
        has_fields(
            &result,
            &[
                "workers",
                "threads",
                "requests",
                "placed",
                "busy",
                "never",
                "released",
                "cas_retries",
                "conflict_fraction",
                "probes.p50",
                "probes.p99",
                "probes.max",
                "ns_reserve.p50",
                "ns_reserve.p90",
                "ns_reserve.p99",
                "ns_reserve.p999",
                "ns_reserve.max",
                "ns_release.p50",
                "ns_release.p90",
                "ns_release.p99",
                "ns_release.p999",
                "ns_release.max",
                "pairs_per_s",
                "bytes_per_worker",
                "bytes_per_reservation",
                "peak_rss_bytes",
                "audit",
                "oversold",
            ],
        );
        assert_eq!((number(&result, "workers"), number(&result, "threads")), (30, 3));
        let [placed, busy, never, contended, released] =
            ["placed", "busy", "never", "contended", "released"].map(|name| number(&result, name));
        assert_eq!(placed + busy + never + contended, 3000, "{more:?}");
        assert_eq!(never, 0, "every shape fits on an empty machine of its mix: {more:?}");
        assert!(released > 0 && placed > 0, "{more:?}");
        assert_eq!((&result["audit"], &result["oversold"]), (&"ok".into(), &0.into()));
        let reached = result["fill_reached"].as_f64().expect("a fraction");
        assert!(reached > 0.7 && reached <= 1.0, "{more:?}: {reached}");
        assert_eq!(result["peak_rss_bytes"].is_u64(), cfg!(target_os = "linux"));
    }
}

#[test]
fn churn_asks_for_what_the_seed_says() {
    let answers = |seed: &str| {
        let result = json(&[CHURN, &["--threads", "1", "--seed", seed][..]].concat());
        ["placed", "busy", "released", "fill_reached"].map(|name| result[name].clone())
    };
    assert_eq!(answers("1"), answers("1"));
    let differing: HashSet<String> =
        ["1", "2", "3"].map(|seed| format!("{:?}", answers(seed))).into();
    assert!(differing.len() > 1, "no seed makes a difference: {differing:?}");
}

#[test]
fn churn_of_more_than_there_is_room_for_is_told_busy() {
    let result =
        json(&["churn", "--workers", "5", "--requests", "500", "--fill", "1", "--threads", "1"]);
    assert!(number(&result, "busy") > 0, "{result}");
    assert_eq!((&result["audit"], &result["oversold"]), (&"ok".into(), &0.into()));
}

#[test]
fn churn_of_an_empty_cluster_works() {
    let result =
        json(&["churn", "--workers", "2", "--requests", "50", "--fill", "0", "--threads", "2"]);
    assert_eq!((number(&result, "placed"), number(&result, "busy")), (50, 0));
    assert_eq!(result["bytes_per_reservation"], Value::Null);
}

#[test]
fn churn_prints_tables_and_draws_latencies() {
    let dir = TempDir::new().expect("a directory");
    let plot = dir.path().join("plot.svg");
    let output = run(&[CHURN, &["--plot", plot.to_str().expect("UTF-8")][..]].concat());
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let svg = fs::read_to_string(plot).expect("a plot");
    for what in ["reserve", "release"] {
        assert!(stdout(&output).contains(what) && svg.contains(what), "{what}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let trace = Trace::new("a,8000,1000,1,T4\n", "p,1000,10,1,500,\n");
    let (nodes, pods) = (trace.nodes(), trace.pods());
    let mut child = slotwise(&["replay", "--nodes", &nodes, "--pods", &pods])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}

/// The published trace, where it is there.
#[test]
fn replay_of_openb() {
    let openb = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/openb");
    let file = |name: &str| -> PathBuf { openb.join(name) };
    let nodes = file("openb_node_list_gpu_node.csv");
    if !nodes.exists() {
        println!("skipped: {} is not there", nodes.display());
        return;
    }
    for pods in ["default", "multigpu30", "gpuspec25"] {
        let pods = file(&format!("openb_pod_list_{pods}.csv"));
        let [nodes, pods] = [&nodes, &pods].map(|path| path.to_str().expect("UTF-8"));
        let result = json(&["replay", "--nodes", nodes, "--pods", pods, "--policy", "first-fit"]);
        let texts = [nodes, pods].map(|path| fs::read_to_string(path).expect("read"));
        let (placed, allocated) = first_fit(&texts);
        assert_eq!(number(&result, "capacity_gpu_milli"), 6_212_000);
        assert_eq!(number(&result, "placed"), placed, "{pods}");
        assert_eq!(result["allocated_percent"], allocated, "{pods}");
    }
}
