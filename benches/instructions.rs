//! How many instructions the hottest operations take, and whether that has grown.
//!
//! Unlike times, these counts are the same on every run, so that a change that costs something is
//! noticed on a busy machine too. Counted by callgrind, as the difference between a short and a
//! long run of this program; it says so where valgrind is not installed. What they do not say is
//! how long an instruction takes: a swap is one of them.
//!
//! `cargo bench --bench instructions` fails if an operation takes more than its limit. The limits
//! hold for the release profile; elsewhere, as in `cargo test --benches`, the counts are only shown.

use std::env;
use std::process::{Command, ExitCode};

use slotwise::{BatchMode, Config, Engine, Request, Resources, Ticket, WorkerSpec};

const NEED: Resources = Resources::new(1000, 1024);

/// A hot operation, in pairs of reserve and release.
struct Operation {
    name: &'static str,
    run: fn(&Engine, usize),
    /// Instructions a pair as measured with Rust 1.95 on x86-64 (414, 1,020, 516), and 3 in a hundred more:
    /// what a request does not use costs it next to nothing.
    limit: u64,
}

const OPERATIONS: [Operation; 3] = [
    Operation { name: "by ticket", run: by_ticket, limit: 426 },
    Operation { name: "by id", run: by_id, limit: 1_050 },
    Operation { name: "batches of 64", run: in_batches, limit: 531 },
];

/// The hash of the k-th request.
fn spread(k: usize) -> u64 {
    (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn by_ticket(engine: &Engine, pairs: usize) {
    for k in 0..pairs {
        let held = engine.reserve(&Request::anonymous(NEED).hash(spread(k))).expect("room");
        engine.release(held.ticket).expect("held");
    }
}

fn by_id(engine: &Engine, pairs: usize) {
    let mut id = *b"6f9619ff-8b86-d011-b42d-000000000000";
    for k in 0..pairs {
        id[28..].copy_from_slice(&spread(k).to_le_bytes());
        engine.reserve(&Request::new(&id, NEED)).expect("room");
        engine.release_id(&id).expect("held");
    }
}

fn in_batches(engine: &Engine, pairs: usize) {
    let (mut placed, mut released) = (Vec::new(), Vec::new());
    for batch in 0..pairs / 64 {
        let request = |k| Request::anonymous(NEED).hash(spread(batch * 64 + k));
        let requests: [Request<'_>; 64] = std::array::from_fn(request);
        engine.reserve_batch(&requests, BatchMode::Independent, &mut placed);
        let tickets: [Ticket; 64] = std::array::from_fn(|k| placed[k].expect("room").ticket);
        engine.release_batch(&tickets, &mut released);
    }
}

/// What the counted process is asked to do: the operation's number and how many pairs.
const ASKED: &str = "SLOTWISE_COUNT_INSTRUCTIONS_OF";

fn main() -> ExitCode {
    if let Ok(asked) = env::var(ASKED) {
        let (operation, pairs) = asked.split_once(' ').expect("two numbers");
        let engine = Engine::new(Config::default()).expect("the limits are in range");
        for k in 0..20 {
            let total = Resources::new(100_000, 200_000);
            engine.add_worker(WorkerSpec::new(format!("worker-{k}"), total)).expect("valid");
        }
        let operation: usize = operation.parse().expect("a number");
        (OPERATIONS[operation].run)(&engine, pairs.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let limited = env::args().any(|arg| arg == "--bench");
    let mut over = false;
    for (number, operation) in OPERATIONS.iter().enumerate() {
        const SHORT: u64 = 6_400;
        const LONG: u64 = 32_000;
        let counts = [SHORT, LONG].map(|pairs| count(number, pairs));
        let [Some(short), Some(long)] = counts else {
            println!(
                "instructions: not counted, valgrind is not installed (apt-get install valgrind)"
            );
            return ExitCode::SUCCESS;
        };
        let each = (long - short) / (LONG - SHORT);
        let grown = limited && each > operation.limit;
        let verdict = if grown { "  MORE THAN THE LIMIT" } else { "" };
        println!(
            "instructions a pair, {}: {each} (limit {}){verdict}",
            operation.name, operation.limit
        );
        over |= grown;
    }
    if over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The instructions of a whole process. `None`: there is no valgrind.
fn count(operation: usize, pairs: u64) -> Option<u64> {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .env(ASKED, format!("{operation} {pairs}"))
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "callgrind failed: {told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected :")).expect("a count");
    Some(collected.1.trim().parse().expect("a number"))
}
