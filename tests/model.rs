//! Random lists of operations give the same answers on the engine and on a naive model: placed,
//! busy or never, the same worker where the policy is exact, the same errors, versions and free
//! amounts.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test model` is the long run.

#[path = "model/branch.rs"]
mod branch;
mod common;
#[path = "model/explain.rs"]
mod explain;
#[path = "model/groups.rs"]
mod groups;
#[path = "model/naive.rs"]
mod naive;
#[path = "model/ops.rs"]
mod ops;
#[path = "model/world.rs"]
mod world;

use std::collections::HashSet;

use branch::{Branch, EXACT};
use ops::{Ask, Op, asks, mode, ops, spec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use slotwise::{BatchMode, Policy, ReserveError, Ticket};
use world::World;

fn config() -> ProptestConfig {
    // 256 cases, or what PROPTEST_CASES says.
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn world_after(ops: &[Op]) -> World {
    let mut world = World::new();
    ops.iter().for_each(|op| world.apply(op));
    world
}

/// No id twice: a batch tells the second one from the first, a sequence does not.
fn distinct(mut asks: Vec<Ask>) -> Vec<Ask> {
    let mut seen = HashSet::new();
    for ask in &mut asks {
        if !seen.insert(ask.id.clone()) {
            ask.id.clear();
        }
    }
    asks
}

fn branch() -> impl Strategy<Value = Branch> {
    let indices = || prop::collection::vec(any::<Index>(), 0..4);
    // Names that no registered worker has.
    let with = prop::collection::vec(spec(), 0..4).prop_map(|mut with| {
        with.iter_mut().zip(["n0", "n1", "n2"]).for_each(|(spec, id)| spec.id = id);
        with
    });
    (indices(), indices(), with).prop_map(|(credited, without, with)| Branch {
        credited,
        without,
        with,
    })
}

/// By policies that do not learn: one that does learns from the request itself, and may send it elsewhere than
/// was foreseen.
fn unlearned(mut asks: Vec<Ask>) -> Vec<Ask> {
    asks.iter_mut()
        .filter(|ask| ask.policy.learns())
        .for_each(|ask| ask.policy = Policy::DotProduct);
    asks
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn engine_and_model_give_the_same_answers(ops in ops(60)) {
        world_after(&ops).finish();
    }

    #[test]
    fn independent_batch_is_the_sequence(before in ops(20), asks in asks().prop_map(distinct)) {
        let (batch, mut sequence) = (world_after(&before), world_after(&before));
        let (together, _) = batch.engine_batch(None, &asks, BatchMode::Independent);
        let one_by_one: Vec<_> = asks.iter().map(|ask| sequence.reserve(ask)).collect();

        for (a, b) in together.into_iter().zip(one_by_one) {
            // Tickets are names: they may differ between two engines.
            match (a, b) {
                (Ok(a), Ok(b)) => prop_assert_eq!(
                    (a.worker, a.version, a.existing),
                    (b.worker, b.version, b.existing)
                ),
                (a, b) => prop_assert_eq!(a.map_err(|e| e.verdict()), b.map_err(|e| e.verdict())),
            }
        }
        prop_assert_eq!(batch.engine.workers(), sequence.engine.workers());
    }

    #[test]
    fn failed_gang_leaves_no_trace(before in ops(20), asks in asks()) {
        let world = world_after(&before);
        let seen = (world.engine.workers(), world.engine.reservation_count());
        let (answers, _) = world.engine_batch(None, &asks, BatchMode::AllOrNothing);
        if answers.iter().any(Result::is_err) {
            prop_assert!(answers.iter().all(Result::is_err));
            prop_assert_eq!((world.engine.workers(), world.engine.reservation_count()), seen);
            prop_assert!(world.engine.audit().is_ok());
        }
    }

    /// With what is credited given back first; refusals with all their reasons.
    #[test]
    fn dry_run_is_the_batch_that_follows(
        before in ops(30),
        asks in asks().prop_map(unlearned),
        mode in mode(),
        credited in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let world = world_after(&before);
        let e = &world.engine;
        let all = &world.tickets;
        let credited = credited.iter().filter(|_| !all.is_empty());
        let credited: Vec<Ticket> = credited.map(|at| *at.get(all)).collect();
        let seen = || (e.workers(), e.reservation_count(), e.stats());
        let now = seen();
        let foreseen = world.dry_run(&asks, &credited, mode);
        prop_assert_eq!(seen(), now);
        for one in foreseen.iter().flatten() {
            prop_assert_eq!(Some(one.version), e.snapshot(one.worker).map(|now| now.version));
        }

        e.release_batch(&credited, &mut vec![]);
        let (done, _) = world.engine_batch(None, &asks, mode);
        for (foreseen, done) in foreseen.into_iter().zip(done) {
            let foreseen = foreseen.map(|one| (one.worker, one.existing));
            let done = done.map(|one| (one.worker, one.existing.then_some(one.ticket)));
            prop_assert_eq!(foreseen, done);
        }
    }

    /// Word for word: where, at which version, or the whole refusal; and every worker's own reason.
    #[test]
    fn explanation_is_what_reserving_says(before in ops(40), asks in asks().prop_map(unlearned)) {
        let mut world = world_after(&before);
        for ask in &asks {
            let explained = world.ask(ask, |engine, request| engine.explain(request, true));
            let brief = world.ask(ask, |engine, request| engine.explain(request, false));
            explain::check(ask, &world.engine.workers(), &explained, brief);
            match (explained, world.reserve(ask)) {
                (Err(expected), answer) => prop_assert_eq!(answer, Err(expected)),
                (Ok(explained), Ok(placed)) => {
                    let foreseen = explained.answer.expect("it was placed");
                    prop_assert_eq!(foreseen.worker, placed.worker);
                    prop_assert_eq!(foreseen.existing, placed.existing.then_some(placed.ticket));
                    if !placed.existing {
                        prop_assert_eq!(foreseen.version + 1, placed.version);
                    }
                }
                (Ok(explained), Err(error)) => {
                    prop_assert_eq!(explained.answer.map_err(ReserveError::from), Err(error));
                }
            }
        }
    }

    /// Placed or refused, with all the reasons, and on which worker, where the policy says which; and
    /// as many copies of a request as there would be room for.
    #[test]
    fn branch_is_an_engine_where_it_was_made(
        before in ops(30),
        mut asks in asks(),
        mode in mode(),
        branch in branch(),
        exact: bool,
    ) {
        if exact {
            (0..).zip(&mut asks).for_each(|(k, ask)| ask.policy = EXACT[k % EXACT.len()]);
        } else {
            // Where one goes decides about the next: only whether it is placed is the same.
            asks.truncate(1);
        }
        let (world, twin) = (world_after(&before), world_after(&before));
        let Some((foreseen, placed)) = branch::both(&world, &twin, &branch, &asks, mode) else {
            return Ok(());
        };
        if exact {
            prop_assert_eq!(foreseen, placed);
        } else {
            let told = |went: Vec<branch::Went>| -> Vec<_> {
                went.into_iter().map(|one| one.map(|(_, existing)| existing)).collect()
            };
            prop_assert_eq!(told(foreseen), told(placed));
        }
    }
}
