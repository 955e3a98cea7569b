//! The cases, in short form: `w(id, cpu, memory)` and `gpu(id, cpu, memory, type, n)` are workers,
//! `r(cpu, memory)` is what a request needs.

use std::collections::BTreeSet;

use slotwise::{
    BatchMode, Config, Constraints, Dimension, Foreseen, Group, GroupOp, Policy, ReleaseError,
    Request, ReserveError, State, Verdict, WorkerError, WorkerUpdate,
};

use crate::common::*;

fn types(names: &[&str]) -> Constraints {
    names.iter().fold(Constraints::new(), |c, name| c.gpu_type(*name))
}

#[test]
fn case_01_gpu_worker_serves_gpu_requests_of_its_type() {
    let e = engine([gpu("a", 1000, 1250, "A10G", 1)]);
    let plain = Request::new(b"plain", r(1000, 1000));
    refused(e.unchanged_but_counted(|e| e.reserve(&plain)));

    let (a10g, t4) = (types(&["A10G"]), types(&["T4"]));
    let need = r(1000, 1000);
    assert_eq!(e.lands(&Request::new(b"1", need).constraints(&a10g)).unwrap(), "a");
    assert_eq!(e.see("a").free, free(0, 250, 0));
    let no_such_type = e.reserve(&Request::new(b"2", need).constraints(&t4));
    assert_eq!(refused(no_such_type), Verdict::Never);
    let full = e.reserve(&Request::new(b"3", need).constraints(&a10g));
    assert_eq!(refused(full), Verdict::Busy);
}

#[test]
fn case_02_pending_worker_is_chosen_once_ready() {
    let e = engine([w("a", 1000, 1000).pending(true)]);
    let request = Request::new(b"1", r(100, 100));
    let Err(ReserveError::Refused(refusal)) = e.reserve(&request) else { panic!("placed") };
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, None));
    assert_eq!(refusal.reasons.not_ready, 1);

    assert_eq!(e.ready(b"a").unwrap().state, State::Ready);
    assert_eq!(e.lands(&request).unwrap(), "a");
}

#[test]
fn case_03_every_type_list_finds_its_gpu() {
    let e = engine(["A10G", "T4", "A6000"].map(|kind| gpu(kind, 1000, 1000, kind, 1)));
    let lists: [&[&str]; 3] = [&["A10G"], &["T4", "A6000"], &["A10G", "T4", "A6000"]];
    let used: BTreeSet<String> = lists
        .iter()
        .map(|list| {
            e.lands(&Request::anonymous(r(100, 100)).constraints(&types(list))).expect("placed")
        })
        .collect();
    assert_eq!(used.len(), 3);
}

#[test]
fn case_04_first_type_of_the_list_wins_at_equal_priority() {
    let e = engine(["A10G", "T4"].map(|kind| gpu(kind, 1000, 1000, kind, 1).priority(7)));
    let either = types(&["T4", "A10G"]);
    let request = Request::new(b"1", r(100, 100)).constraints(&either);
    for policy in Policy::ALL {
        assert_eq!(e.would_land(&request.policy(policy)).unwrap(), "T4", "{policy}");
    }
}

#[test]
fn case_05_worker_that_requires_a_selector() {
    let e =
        engine([w("closed", 1000, 1000).pool("p").requires_selector(true), w("open", 500, 500)]);
    let p = Constraints::new().pool("p");
    assert_eq!(e.lands(&Request::new(b"1", r(100, 100)).constraints(&p)).unwrap(), "closed");
    assert_eq!(e.lands(&Request::new(b"2", r(500, 500))).unwrap(), "open");
    // The closed worker has room, but not for a request that names no pool.
    assert_eq!(refused(e.reserve(&Request::new(b"3", r(100, 100)))), Verdict::Busy);
    let q = Constraints::new().pool("q");
    let elsewhere = e.reserve(&Request::new(b"4", r(100, 100)).constraints(&q));
    assert_eq!(refused(elsewhere), Verdict::Never);
}

#[test]
fn case_06_preemptable_only_cluster() {
    let e = engine([w("spot", 1000, 1000).preemptable(true)]);
    let request = Request::new(b"1", r(100, 100));
    assert_eq!(refused(e.reserve(&request)), Verdict::Never);
    e.add_worker(w("plain", 1000, 1000)).unwrap();
    assert_eq!(e.lands(&request).unwrap(), "plain");
    assert_eq!(e.see("spot").version, 0);
}

#[test]
fn case_07_three_requests_two_fit() {
    let e = engine([w("a", 200, 250)]);
    let ids = [b"1", b"2", b"3"];
    let mut results = Vec::new();
    e.reserve_batch(
        &ids.map(|id| Request::new(id, r(100, 125))),
        BatchMode::Independent,
        &mut results,
    );
    let placed: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(placed, [true, true, false]);
    assert_eq!(refused(results[2]), Verdict::Busy);
    assert_eq!((e.see("a").free, e.see("a").version), (free(0, 0, 0), 2));
}

#[test]
fn case_08_tightest_fit_stacks_and_spread_spreads() {
    for (policy, workers_used) in [(Policy::TightestFit, 1), (Policy::Spread, 2)] {
        let e = engine([w("a", 200, 250), w("b", 200, 250)]);
        let used: BTreeSet<String> = [b"1", b"2"]
            .map(|id| e.lands(&Request::new(id, r(100, 125)).policy(policy)).unwrap())
            .into();
        assert_eq!(used.len(), workers_used, "{policy}");
    }
}

#[test]
fn case_09_three_reservations_three_versions() {
    let e = engine([w("a", 1000, 1000)]);
    for (k, need) in [r(500, 125), r(100, 250), r(100, 125)].into_iter().enumerate() {
        let placed = e.reserve(&Request::new(&[k as u8], need)).unwrap();
        assert_eq!(placed.version, k as u64 + 1);
    }
    assert_eq!((e.see("a").free, e.see("a").version), (free(300, 500, 0), 3));
}

#[test]
fn case_10_two_gpus_where_one_is_free() {
    let e = engine([gpu("a", 1000, 1000, "T4", 2)]);
    e.reserve(&Request::new(b"1", r(100, 100).gpus(1))).unwrap();
    let answer = e.unchanged_but_counted(|e| e.reserve(&Request::new(b"2", r(100, 100).gpus(2))));
    let Err(ReserveError::Refused(refusal)) = answer else { panic!("placed") };
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, Some(Dimension::Gpus)));
    assert_eq!(refusal.reasons.gpus, 1);
}

#[test]
fn case_11_batch_on_one_worker_is_all_or_nothing() {
    let e = engine([w("a", 1000, 1000)]);
    let version = || e.see("a").version;
    let mut results = Vec::new();

    let three = [b"1", b"2", b"3"].map(|id| Request::new(id, r(250, 250)));
    e.reserve_batch(&three, BatchMode::AllOrNothing, &mut results);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!((version(), e.see("a").free), (3, free(250, 250, 0)));

    // One too many, as a batch of requests and as a group for this very worker.
    let two = [b"4", b"5"].map(|id| Request::new(id, r(250, 250)));
    e.unchanged_but_counted(|e| e.reserve_batch(&two, BatchMode::AllOrNothing, &mut results));
    assert_eq!(results[0], Err(ReserveError::Peer { index: 1 }));
    let Err(ReserveError::Refused(refusal)) = results[1] else { panic!("{results:?}") };
    // For want of what its peer would take.
    assert_eq!((refusal.verdict, refusal.reasons.cpu), (Verdict::Busy, 1));

    let ops = [b"4", b"5"].map(|id| GroupOp::Reserve { id, need: r(250, 250) });
    let group = [Group { worker: b"a", ops: &ops }];
    let answers = e.unchanged_but_counted(|e| e.apply_groups(&group));
    assert!(answers[0].iter().all(Result::is_err), "{answers:?}");
    assert_eq!(version(), 3);
}

#[test]
fn case_12_cordon_between_look_and_commit() {
    let e = engine([w("a", 1000, 1000)]);
    let look = e.see("a");
    let cordoned = e.cordon(b"a").unwrap();
    assert_eq!((cordoned.state, cordoned.version), (State::Cordoned, look.version + 1));

    let request = Request::new(b"1", r(100, 100));
    let with_version =
        e.unchanged_but_counted(|e| e.reserve_on(look.worker, &request, Some(look.version)));
    let now = ReserveError::VersionConflict {
        version: cordoned.version,
        free: r(1000, 1000),
        state: State::Cordoned,
    };
    assert_eq!(with_version, Err(now));
    let without = e.unchanged_but_counted(|e| e.reserve_on(look.worker, &request, None));
    assert_eq!(refused(without), Verdict::Busy);
    assert_eq!(refused(e.reserve(&request)), Verdict::Busy);
}

#[test]
fn case_13_same_batch_id_twice() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let requests = [b"1", b"2"].map(|id| Request::new(id, r(400, 400)));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mode = BatchMode::AllOrNothing;
    let fresh = e.reserve_batch_once(b"batch", &requests, mode, &mut first).unwrap();
    let again = e
        .unchanged_but_counted(|e| e.reserve_batch_once(b"batch", &requests, mode, &mut second))
        .unwrap();
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(first, second);
    assert_eq!((fresh, again), (true, false));
}

#[test]
fn case_14_two_threads_one_gpu() {
    let e = engine([gpu("a", 1000, 1000, "T4", 1)]);
    for _ in 0..200 {
        let before = e.see("a").version;
        let answers = together(2, |me| e.reserve(&Request::new(&[me as u8], r(100, 100).gpus(1))));
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1));
        assert_eq!(refused(lost[0]), Verdict::Busy);
        assert_eq!(e.see("a").version, before + 1);
        e.release(won[0].unwrap().ticket).unwrap();
    }
}

#[test]
fn case_15_release_twice() {
    let e = engine([gpu("gpu", 1000, 1000, "T4", 2), w("cpu", 1000, 1000)]);
    for (id, need) in [("gpu", r(100, 100).gpus(1)), ("cpu", r(100, 100))] {
        let placed = e.reserve(&Request::new(id.as_bytes(), need)).unwrap();
        assert_eq!(e.place(&placed), id);
        let released = e.release(placed.ticket).unwrap();
        assert_eq!(released.amount, need);
        assert_eq!(released.version, Some(placed.version + 1));
        e.unchanged(|e| {
            assert_eq!(e.release(placed.ticket), Err(ReleaseError::NotHeld));
            assert_eq!(e.release_id(id.as_bytes()), Err(ReleaseError::NotHeld));
        });
        assert_eq!(e.see(id).free, e.see(id).total.into());
    }
}

#[test]
fn case_16_release_after_the_worker_was_registered_again() {
    let e = engine([w("a", 1000, 1000)]);
    let old = e.reserve(&Request::new(b"old", r(400, 400))).unwrap();
    let lost = e.remove_worker(b"a").unwrap();
    assert_eq!(lost.len(), 1);
    assert_eq!(
        (lost[0].ticket, &*lost[0].id, lost[0].amount),
        (old.ticket, &b"old"[..], r(400, 400))
    );

    let again = e.add_worker(w("a", 1000, 1000)).unwrap();
    assert_ne!(again, old.worker);
    assert_eq!(e.worker_by_ref(old.worker), None);
    e.reserve(&Request::new(b"new", r(700, 700))).unwrap();
    e.unchanged(|e| {
        assert_eq!(e.release(old.ticket), Err(ReleaseError::NotHeld));
        assert_eq!(e.release_id(b"old"), Err(ReleaseError::NotHeld));
    });
    assert_eq!(e.see("a").free, free(300, 300, 0));
}

#[test]
fn case_17_reconcile_against_the_ledger() {
    let mixed = Config { gpu_separation: false, ..small() };
    let e = Audited::new(mixed, [gpu("a", 4000, 1024, "T4", 2)]);
    e.reserve(&Request::new(b"1", r(1000, 125))).unwrap();
    e.reserve(&Request::new(b"2", r(1000, 125).gpus(1))).unwrap();
    let expected = free(2000, 774, 1);
    assert_eq!(e.see("a").free, expected);

    // Whatever the host reports anew, the ledger decides.
    let total = r(4000, 1024).gpus(2);
    e.unchanged(|e| {
        assert_eq!(e.add_worker(gpu("a", 4000, 1024, "T4", 2)), Err(WorkerError::Duplicate));
    });
    assert_eq!(e.update_worker(b"a", WorkerUpdate::new().total(total)).unwrap().free, expected);
    e.update_worker(b"a", WorkerUpdate::new().total(r(8000, 2048).gpus(4))).unwrap();
    assert_eq!(e.update_worker(b"a", WorkerUpdate::new().total(total)).unwrap().free, expected);
    assert_eq!(e.see("a").held(), r(2000, 250).gpus(1));
}

#[test]
fn case_18_dry_run_of_three_replicas() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    e.reserve_on(e.see("a").worker, &Request::new(b"old", r(800, 800)), None).unwrap();
    let kept = e.reserve_on(e.see("b").worker, &Request::new(b"kept", r(300, 300)), None);
    let old = e.reservation(b"old").unwrap().ticket;
    let replicas = [b"1", b"2", b"3"].map(|id| Request::new(id, r(400, 400)));
    let foresee = |credited: &[_], mode| {
        let mut results: Vec<Result<Foreseen, _>> = Vec::new();
        e.unchanged(|e| e.dry_run(&replicas, credited, mode, &mut results));
        results
    };

    // One fits beside what is kept; with the credit all three do.
    let without = foresee(&[], BatchMode::AllOrNothing);
    assert_eq!(without[0], Err(ReserveError::Peer { index: 1 }));
    assert_eq!(refused(without[1]), Verdict::Busy);
    assert_eq!(without[2], Err(ReserveError::Peer { index: 1 }));
    let alone = foresee(&[], BatchMode::Independent);
    assert_eq!(alone.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    let with = foresee(&[old], BatchMode::AllOrNothing);
    assert!(with.iter().all(Result::is_ok), "{with:?}");
    assert_eq!(with, foresee(&[old, old], BatchMode::Independent));
    // It frees nothing twice, and nothing more than the worker has.
    let four = [b"1", b"2", b"3", b"4"].map(|id| Request::new(id, r(400, 400)));
    let mut results = Vec::new();
    e.dry_run(&four, &[old, old], BatchMode::AllOrNothing, &mut results);
    assert_eq!(refused(results[3]), Verdict::Busy);

    // What was foreseen is what comes.
    e.release(old).unwrap();
    let mut placed = Vec::new();
    e.reserve_batch(&replicas, BatchMode::AllOrNothing, &mut placed);
    for (foreseen, placed) in with.iter().zip(&placed) {
        assert_eq!(foreseen.unwrap().worker, placed.unwrap().worker);
    }
    assert!(e.release(kept.unwrap().ticket).is_ok());
}

#[test]
fn case_19_second_request_joins_the_pending_worker() {
    let e = engine([w("full", 100, 100), w("coming", 1000, 1000).pending(true)]);
    e.reserve_on(e.see("full").worker, &Request::anonymous(r(100, 100)), None).unwrap();
    let ahead = |id: &'static [u8], cpu| Request::new(id, r(cpu, 100)).ahead(true);

    assert_eq!(e.lands(&ahead(b"1", 600)).unwrap(), "coming");
    assert_eq!(e.lands(&ahead(b"2", 300)).unwrap(), "coming");
    let Err(ReserveError::Refused(refusal)) = e.reserve(&ahead(b"3", 200)) else {
        panic!("placed")
    };
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, Some(Dimension::Cpu)));
    // Too large for the worker on its way, and for any other: no use in waiting for it.
    assert_eq!(refused(e.reserve(&ahead(b"4", 1100))), Verdict::Never);
    // It takes only what is made ahead until it is there.
    assert_eq!(refused(e.reserve(&Request::new(b"5", r(100, 100)))), Verdict::Busy);

    assert_eq!(e.ready(b"coming").unwrap().free, free(100, 800, 0));
    assert_eq!(e.lands(&Request::new(b"5", r(100, 100))).unwrap(), "coming");
}

#[test]
fn case_20_listing_two_hundred_workers() {
    let e = engine((0..200).map(|k| {
        w(&format!("w{k}"), 1000, 1000)
            .pending(k % 2 == 1)
            .pool(["red", "green", "blue", "white"][k % 4])
            .machine(format!("m{}", k / 10))
    }));
    let count = |state| e.workers().iter().filter(|info| info.state == state).count();
    assert_eq!(e.workers().len(), 200);
    assert_eq!((count(State::Ready), count(State::Pending)), (100, 100));
    assert_eq!(e.worker_count(), 200);

    let pool = |name: &str| e.workers_in_pool(name.as_bytes()).len();
    let machine = |name: &str| -> BTreeSet<String> {
        e.workers_on_machine(name.as_bytes()).iter().map(|info| info.id.to_string()).collect()
    };
    assert_eq!((pool("red"), pool("green"), pool("nobody's")), (50, 50, 0));
    assert_eq!(machine("m3"), (30..40).map(|k| format!("w{k}")).collect());

    // A move shows at once, in listings and to requests.
    e.update_worker(b"w0", WorkerUpdate::new().pool("black")).unwrap();
    e.update_worker(b"w2", WorkerUpdate::new().machine(Some("m3".into()))).unwrap();
    assert_eq!((pool("red"), pool("black")), (49, 1));
    assert_eq!((machine("m0").len(), machine("m3").len()), (9, 11));
    let black = Constraints::new().pool("black");
    assert_eq!(e.lands(&Request::new(b"1", r(1000, 1)).constraints(&black)).unwrap(), "w0");
    e.remove_worker(b"w0").unwrap();
    assert_eq!((pool("black"), e.workers().len()), (0, 199));
}
