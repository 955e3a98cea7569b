//! A seeded simulation of hosts that do everything at once: a virtual clock, a few threads of which one
//! runs at a time and which are stopped at every step of the protocols, workers that die, messages that
//! come late and twice. All that an engine promises is checked at every step, and everything against a
//! naive model when nothing is under way.
//!
//! `SLOTWISE_SIM_STEPS` is the number of steps, that is of injection points passed (default 3,000,000);
//! `SLOTWISE_SIM_SEED` is the first world's seed (default 1). A world is a new engine with limits of its own and
//! lasts some ten thousand steps; the next one has the next seed. A failure prints its seed, which
//! alone brings it back: `make sim SLOTWISE_SIM_SEED=...`.

mod baton;
mod choose;
mod compare;
mod displace;
mod model;
mod ops;
mod record;
mod rng;
mod watch;
mod world;

use crate::sync::Bug;

/// Steps within which a seeded bug must be caught.
const CAUGHT_WITHIN: u64 = 16_000_000;

/// The seeded bugs that it must catch: in each, a mistake that was made once or that the protocols are
/// there to avoid. Of the others loom tells: what is out of order between two processors (`AmountUnordered`);
/// hints that are too low for a moment only, while whoever made them so is under way (`LowerWithoutMark`,
/// `RaiseStopsEarly`); devices that are misread while their worker changes, which the swap that follows
/// nearly always finds out (`PageReadOnce`); two that enter one id while a cell before both is freed
/// (`InsertPassesLater`); and what the engine does not do wrong by itself
/// (`NoteClearedLate`: it reads deadlines only when the last note is cleared). `RefuseIgnoresMoves` has a
/// test among those of stopped threads: here, requests are refused while others are under way.
const BUGS: [Bug; 24] = [
    Bug::TakeIgnoresState,
    Bug::GiveIgnoresIncarnation,
    Bug::InsertWithoutSecondLook,
    Bug::LookOnlyOnce,
    Bug::MemberFollowsForEver,
    Bug::StaleAim,
    Bug::UnpledgeWithoutLook,
    Bug::PledgeGivesUpId,
    Bug::AmountAfterUnpledge,
    Bug::DoomedForGood,
    Bug::DoomIgnoresLeader,
    Bug::TicketKeepsGeneration,
    Bug::ReleaseWithoutCas,
    Bug::PublishWithoutCas,
    Bug::TakeIgnoresEpoch,
    Bug::LowerWithoutSecondLook,
    Bug::ChargeWithoutCas,
    Bug::CountWithoutCas,
    Bug::LastOneDoesNotSeal,
    Bug::ConfirmWithoutCas,
    Bug::ExpireWithoutCas,
    Bug::GroupIgnoresHandOff,
    Bug::FreeListWithoutTag,
    Bug::PageGivenEarly,
];

/// Steps of one world.
const WORLD: u64 = 40_000;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number"))
    })
}

/// The threads of a world run one at a time: on one processor the baton is handed on without waking
/// another.
#[cfg(target_os = "linux")]
fn pin() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(may) = sched_getaffinity(None) else { return };
    let Some(first) = (0..CpuSet::MAX_CPU).rev().find(|&cpu| may.is_set(cpu)) else { return };
    let mut one = CpuSet::new();
    one.set(first);
    // Slower without, and no worse.
    let _ = sched_setaffinity(None, &one);
}

#[cfg(not(target_os = "linux"))]
fn pin() {}

/// How many steps and operations were done in worlds from this one on, and the first in which something
/// was wrong.
struct Run {
    steps: u64,
    operations: u64,
    failed: Option<(u64, baton::Report)>,
}

/// Runs worlds until so many steps are done, or something is wrong.
fn simulate(first: u64, steps: u64, bug: Option<Bug>) -> Run {
    let mut run = Run { steps: 0, operations: 0, failed: None };
    for seed in first.. {
        if run.steps >= steps || run.failed.is_some() {
            break;
        }
        let report = baton::run(seed, WORLD, bug, false);
        run.steps += report.steps;
        run.operations += report.operations;
        run.failed = report.failure.is_some().then_some((seed, report));
    }
    run
}

#[test]
fn every_promise_holds_at_every_step() {
    let first = from_env("SLOTWISE_SIM_SEED", 1);
    let steps = from_env("SLOTWISE_SIM_STEPS", 3_000_000);
    let run = simulate(first, steps, None);
    println!("{} steps, {} operations", run.steps, run.operations);
    if let Some((seed, report)) = run.failed {
        // Once more, with an eye on what led there.
        let again = baton::run(seed, WORLD, None, true);
        again.trace.iter().for_each(|line| println!("{line}"));
        let failure = report.failure.unwrap_or_default();
        let step = report.steps;
        assert_eq!(again.failure.as_ref(), Some(&failure), "SLOTWISE_SIM_SEED={seed} replays");
        panic!("SLOTWISE_SIM_SEED={seed}, step {step}: {failure}");
    }
}

/// So that a failure can be looked into, and a fix be shown to be one.
#[test]
fn a_seed_is_a_run() {
    for seed in [7, 8] {
        let run = || baton::run(seed, 20_000, None, true);
        let (one, other) = (run(), run());
        assert_eq!((one.steps, &one.trace), (other.steps, &other.trace));
        assert!(!one.trace.is_empty());
    }
}

#[test]
fn catches_seeded_bugs() {
    let mut missed = Vec::new();
    for bug in BUGS {
        let run = simulate(1, CAUGHT_WITHIN, Some(bug));
        match run.failed.and_then(|(_, report)| report.failure) {
            Some(failure) => println!("{bug:?} after {} steps: {failure:.150}", run.steps),
            None => missed.push(bug),
        }
    }
    assert_eq!(missed, []);
}
