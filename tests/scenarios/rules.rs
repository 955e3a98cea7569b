//! Rules 5 to 14: commit, release, the life of a worker, and what is refused.

use slotwise::{
    BatchMode, Dimension, Group, GroupDone, GroupError, GroupOp, ReleaseError, Request,
    ReserveError, ResizeError, Resources, State, Verdict, WorkerError, WorkerUpdate,
};

use crate::common::*;

#[test]
fn rule_05_commit_is_one_step_per_worker() {
    let e = engine([w("a", 1000, 1000)]);
    let kept = e.reserve(&Request::new(b"kept", r(300, 300))).unwrap();
    let gone = e.reserve(&Request::new(b"gone", r(400, 400))).unwrap();

    // What the group gives back makes the room for what it holds.
    let ops = [
        GroupOp::Release(gone.ticket),
        GroupOp::Reserve { id: b"1", need: r(350, 100) },
        GroupOp::Reserve { id: b"2", need: r(350, 100) },
        GroupOp::Reserve { id: b"kept", need: r(300, 300) },
    ];
    let answers = e.apply_groups(&[Group { worker: b"a", ops: &ops }]).remove(0);
    let Ok(GroupDone::Released(released)) = answers[0] else { panic!("{answers:?}") };
    assert_eq!(released.amount, r(400, 400));
    for k in [1, 2] {
        let Ok(GroupDone::Reserved(placed)) = answers[k] else { panic!("{answers:?}") };
        assert!(!placed.existing);
    }
    // An id that is held already is no second reservation.
    let Ok(GroupDone::Reserved(again)) = answers[3] else { panic!("{answers:?}") };
    assert!(again.existing && again.ticket == kept.ticket);
    assert_eq!((e.see("a").free, e.see("a").version), (free(0, 500, 0), 5));
}

#[test]
fn rule_05_any_failure_leaves_the_worker_as_it_was() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let (a, b) = (e.see("a").worker, e.see("b").worker);
    let here = e.reserve_on(a, &Request::new(b"here", r(300, 300)), None).unwrap();
    e.reserve_on(b, &Request::new(b"there", r(300, 300)), None).unwrap();
    let one = GroupOp::Reserve { id: b"1", need: r(100, 100) };
    let large = GroupOp::Reserve { id: b"2", need: r(100, 700) };
    let fails = |worker: &[u8], ops: &[GroupOp<'_>]| {
        let group = [Group { worker, ops }];
        let answers = e.unchanged_but_counted(|e| e.apply_groups(&group)).remove(0);
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        answers.into_iter().map(Result::unwrap_err).collect::<Vec<_>>()
    };
    let peer = GroupError::Reserve(ReserveError::Peer { index: 1 });

    // The sum in every dimension; a second step for one id; a release of what is elsewhere, of
    // nothing; a worker that nobody knows.
    assert_eq!(fails(b"a", &[one, large])[0], peer);
    let twice = GroupError::Reserve(ReserveError::DuplicateId);
    assert_eq!(fails(b"a", &[one, one]), [peer, twice]);
    let elsewhere = GroupError::Release(ReleaseError::OtherWorker);
    assert_eq!(fails(b"a", &[one, GroupOp::ReleaseId(b"there")]), [peer, elsewhere]);
    let nothing = GroupError::Release(ReleaseError::NotHeld);
    assert_eq!(fails(b"a", &[one, GroupOp::ReleaseId(b"nobody")]), [peer, nothing]);
    let peer_release = GroupError::Release(ReleaseError::Peer { index: 1 });
    let hopeless = GroupOp::Reserve { id: b"2", need: r(100, 1001) };
    assert_eq!(fails(b"a", &[GroupOp::Release(here.ticket), hopeless])[0], peer_release);
    assert_eq!(fails(b"nobody", &[one]), [GroupError::Reserve(ReserveError::UnknownWorker)]);

    // Not ready; an incarnation that is gone.
    e.cordon(b"a").unwrap();
    fails(b"a", &[one]);
    e.remove_worker(b"a").unwrap();
    e.add_worker(w("a", 1000, 1000)).unwrap();
    let stale = e.unchanged(|e| e.reserve_on(a, &Request::new(b"3", r(100, 100)), None));
    assert_eq!(stale, Err(ReserveError::UnknownWorker));
}

#[test]
fn rule_06_stale_view_is_no_conflict() {
    let e = engine([w("a", 1000, 1000)]);
    let look = e.see("a");
    e.reserve(&Request::new(b"other", r(400, 400))).unwrap();

    let request = Request::new(b"1", r(100, 100));
    let asked =
        e.unchanged_but_counted(|e| e.reserve_on(look.worker, &request, Some(look.version)));
    let Err(ReserveError::VersionConflict { version, free, state }) = asked else {
        panic!("{asked:?}")
    };
    assert_eq!((version, free, state), (1, r(600, 600), State::Ready));
    assert_eq!(e.stats().version_conflicts, 1);

    // With the version it was told, or with none at all, it commits.
    assert_eq!(e.reserve_on(look.worker, &request, Some(version)).unwrap().version, 2);
    let second = Request::new(b"2", r(100, 100));
    assert_eq!(e.reserve_on(look.worker, &second, None).unwrap().version, 3);
    assert_eq!(e.stats().version_conflicts, 1);
}

#[test]
fn rule_07_release_credits_what_was_reserved_once() {
    let e = engine([gpu("a", 1000, 1000, "T4", 4)]);
    let total = e.see("a").free;
    let need = r(100, 200).gpus(3);
    let by_id = |id: &[u8]| e.release_id(id);
    for id in [&b"1"[..], b"2"] {
        let placed = e.reserve(&Request::new(id, need)).unwrap();
        assert_eq!(e.reservation(id).map(|held| held.ticket), Some(placed.ticket));
        let released = if id == b"1" { by_id(id) } else { e.release(placed.ticket) }.unwrap();
        assert_eq!((released.worker, released.amount), (placed.worker, need));
        assert_eq!(e.see("a").free, total);
        e.unchanged(|e| {
            assert_eq!(by_id(id), Err(ReleaseError::NotHeld));
            assert_eq!(e.release(placed.ticket), Err(ReleaseError::NotHeld));
            assert_eq!(e.reservation(id), None);
        });
    }

    // A name used anew is another reservation: the old ticket does not reach it.
    let old = e.reserve(&Request::new(b"1", need)).unwrap();
    e.release(old.ticket).unwrap();
    let new = e.reserve(&Request::new(b"1", need)).unwrap();
    assert_ne!(new.ticket, old.ticket);
    assert_eq!(e.unchanged(|e| e.release(old.ticket)), Err(ReleaseError::NotHeld));
    assert_eq!(e.reservation(b"1").unwrap().ticket, new.ticket);
}

#[test]
fn rule_07_reserving_an_id_twice_is_one_reservation() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let first = e.reserve(&Request::new(b"1", r(100, 100))).unwrap();
    let elsewhere =
        e.workers().iter().map(|info| info.worker).find(|&x| x != first.worker).unwrap();
    e.unchanged_but_counted(|e| {
        // Whatever else it asks for the second time.
        let request = Request::new(b"1", r(900, 900));
        for again in [e.reserve(&request), e.reserve_on(elsewhere, &request, None)] {
            let again = again.unwrap();
            assert!(again.existing);
            assert_eq!((again.ticket, again.worker), (first.ticket, first.worker));
        }
    });
    assert_eq!(e.stats().existing, 2);
}

#[test]
fn rule_07_resized_reservation_is_one_change_and_is_credited_as_it_is() {
    let e = engine([gpu("a", 1000, 1000, "T4", 4)]);
    let placed = e.reserve(&Request::new(b"1", r(400, 400).gpus(1))).unwrap();
    // More of one, less of another, the same of the third.
    let resized = e.resize(placed.ticket, r(700, 100).gpus(1)).unwrap();
    assert_eq!((resized.ticket, resized.worker), (placed.ticket, placed.worker));
    assert_eq!((resized.before, resized.version), (r(400, 400).gpus(1), 2));
    assert_eq!((e.see("a").free, e.see("a").version), (free(300, 900, 3), 2));
    // The id names it as before, and what it says of it is as new.
    let held = e.reservation(b"1").unwrap();
    assert_eq!((held.ticket, held.version), (placed.ticket, 2));
    let again = e.unchanged_but_counted(|e| e.reserve(&Request::new(b"1", r(1, 1).gpus(1))));
    assert!(again.unwrap().existing);
    assert_eq!(e.stats().resized, 1);

    // What it holds already is no change.
    let same = e.unchanged(|e| e.resize_id(b"1", r(700, 100).gpus(1))).unwrap();
    assert_eq!((same.before, same.version), (r(700, 100).gpus(1), 2));
    assert_eq!(e.release(placed.ticket).unwrap().amount, r(700, 100).gpus(1));
    assert_eq!(e.see("a").free, e.see("a").total.into());
    assert_eq!(e.unchanged(|e| e.resize_id(b"1", r(1, 1))), Err(ResizeError::NotHeld));
}

#[test]
fn rule_07_grow_that_does_not_fit_changes_nothing_and_says_what_is_missing() {
    let e = engine([w("a", 1000, 1000)]);
    let one = e.reserve(&Request::new(b"1", r(400, 400))).unwrap().ticket;
    e.reserve(&Request::new(b"2", r(500, 500))).unwrap();
    let short = |need| match e.unchanged(|e| e.resize(one, need)) {
        Err(ResizeError::Short { missing }) => missing,
        other => panic!("{other:?}"),
    };
    assert_eq!(short(r(501, 400)), r(1, 0));
    assert_eq!(short(r(600, 700)), r(100, 200));
    // What it would give back in one dimension is of no use in another.
    assert_eq!(short(r(1, 501)), r(0, 1));
    assert_eq!(short(r(400, 400).gpus(2)), Resources::ZERO.gpus(2));
    assert_eq!(e.resize(one, r(500, 500)).unwrap().version, 3);
    assert_eq!(e.see("a").free, free(0, 0, 0));
    // What was given back by a resize is found by whoever looks for it.
    e.resize(one, r(100, 100)).unwrap();
    assert_eq!(e.lands(&Request::new(b"3", r(400, 400))).unwrap(), "a");
}

#[test]
fn rule_08_shrinking_repays_what_is_over_committed() {
    let e = engine([w("a", 1000, 1000)]);
    let one = e.reserve(&Request::new(b"1", r(800, 200))).unwrap().ticket;
    e.update_worker(b"a", WorkerUpdate::new().total(r(500, 1000))).unwrap();
    assert_eq!(e.see("a").over_committed(), r(300, 0));
    // What does not grow does not block, though less than nothing is free of it.
    e.resize(one, r(800, 300)).unwrap();
    assert_eq!(e.see("a").free, free(-300, 700, 0));
    let grown = e.unchanged(|e| e.resize(one, r(900, 300)));
    assert_eq!(grown, Err(ResizeError::Short { missing: r(400, 0) }));
    e.resize(one, r(600, 300)).unwrap();
    assert_eq!(e.see("a").over_committed(), r(100, 0));
    e.resize(one, r(500, 300)).unwrap();
    assert_eq!(e.see("a").free, free(0, 700, 0));
}

#[test]
fn rule_09_cordoned_worker_lets_reservations_shrink_and_not_grow() {
    let e = engine([w("a", 1000, 1000)]);
    let one = e.reserve(&Request::new(b"1", r(400, 400))).unwrap().ticket;
    let grow = || e.unchanged(|e| e.resize(one, r(401, 1)));
    e.cordon(b"a").unwrap();
    assert_eq!(grow(), Err(ResizeError::State { state: State::Cordoned }));
    e.drain(b"a").unwrap();
    assert_eq!(grow(), Err(ResizeError::State { state: State::Draining }));
    e.resize(one, r(100, 400)).unwrap();
    assert_eq!(e.see("a").held(), r(100, 400));
    e.uncordon(b"a").unwrap();
    e.resize(one, r(1000, 1000)).unwrap();
}

#[test]
fn rule_12_hold_on_a_pending_worker_may_grow() {
    let e = engine([w("a", 1000, 1000).pending(true)]);
    let hold = e.reserve(&Request::new(b"1", r(400, 400)).ahead(true)).unwrap().ticket;
    e.resize(hold, r(600, 400)).unwrap();
    assert_eq!(e.ready(b"a").unwrap().free, free(400, 600, 0));
    let lost = e.remove_worker(b"a").unwrap();
    assert_eq!((lost[0].ticket, lost[0].amount), (hold, r(600, 400)));
    assert_eq!(e.resize(hold, r(1, 1)), Err(ResizeError::NotHeld));
}

#[test]
fn rule_08_reregistering_gives_nothing_back() {
    let e = engine([gpu("a", 4000, 4000, "T4", 2)]);
    let placed = e.reserve(&Request::new(b"1", r(3000, 1000).gpus(1))).unwrap();
    // The host's old copy, from before the reservation.
    e.unchanged(|e| {
        assert_eq!(e.add_worker(gpu("a", 4000, 4000, "T4", 2)), Err(WorkerError::Duplicate));
    });
    let same = WorkerUpdate::new().total(r(4000, 4000).gpus(2));
    let info = e.unchanged(|e| e.update_worker(b"a", same).unwrap());
    assert_eq!((info.free, info.version), (free(1000, 3000, 1), 1));
    // Larger, and back: what is held stays held.
    e.update_worker(b"a", WorkerUpdate::new().total(r(8000, 4000).gpus(4))).unwrap();
    let info = e.update_worker(b"a", WorkerUpdate::new().total(r(4000, 4000).gpus(2))).unwrap();
    assert_eq!((info.free, info.version), (free(1000, 3000, 1), 3));

    // Smaller than what is held: nothing is free, the lack is told, and nothing new is placed.
    let info = e.update_worker(b"a", WorkerUpdate::new().total(r(2000, 4000).gpus(2))).unwrap();
    assert_eq!(info.free.available(), r(0, 3000).gpus(1));
    assert_eq!(info.over_committed(), r(1000, 0));
    assert_eq!(e.audit().over_committed, 1);
    let request = Request::new(b"2", r(1, 1).gpus(1));
    let Err(ReserveError::Refused(refusal)) = e.reserve(&request) else { panic!("placed") };
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, Some(Dimension::Cpu)));

    assert_eq!(e.release(placed.ticket).unwrap().amount, r(3000, 1000).gpus(1));
    assert_eq!(e.see("a").free, free(2000, 4000, 2));
    assert_eq!(e.audit().over_committed, 0);
    assert_eq!(e.lands(&request).unwrap(), "a");
}

#[test]
fn rule_09_only_uncordon_lifts_a_cordon() {
    let e = engine([w("a", 1000, 1000)]);
    e.cordon(b"a").unwrap();
    for signal in [e.ready(b"a"), e.unready(b"a"), e.ready(b"a"), e.cordon(b"a")] {
        assert_eq!(signal.unwrap().state, State::Cordoned);
    }
    assert_eq!(refused(e.reserve(&Request::new(b"1", r(1, 1)))), Verdict::Busy);
    assert_eq!(e.uncordon(b"a").unwrap().state, State::Ready);
    assert_eq!(e.lands(&Request::new(b"1", r(1, 1))).unwrap(), "a");
}

#[test]
fn rule_09_readiness_is_a_signal_of_its_own() {
    let e = engine([w("a", 1000, 1000)]);
    assert_eq!(e.unready(b"a").unwrap().state, State::Pending);
    assert_eq!(refused(e.reserve(&Request::new(b"1", r(1, 1)))), Verdict::Busy);
    assert_eq!(e.ready(b"a").unwrap().state, State::Ready);
    // A signal that says nothing new changes nothing.
    e.unchanged(|e| {
        e.ready(b"a").unwrap();
        e.uncordon(b"a").unwrap();
    });
    // Nor is a worker that is not there yet made ready by lifting a cordon.
    e.unready(b"a").unwrap();
    e.cordon(b"a").unwrap();
    assert_eq!(e.uncordon(b"a").unwrap().state, State::Pending);
}

#[test]
fn rule_09_drain_reports_what_is_still_held() {
    let e = engine([w("a", 1000, 1000)]);
    let held = e.reserve(&Request::new(b"1", r(300, 200))).unwrap();
    let info = e.drain(b"a").unwrap();
    assert_eq!((info.state, info.held()), (State::Draining, r(300, 200)));
    assert_eq!(e.ready(b"a").unwrap().state, State::Draining);
    assert_eq!(refused(e.reserve(&Request::new(b"2", r(1, 1)))), Verdict::Busy);
    // What is there may still go.
    e.release(held.ticket).unwrap();
    assert_eq!(e.see("a").held(), Resources::ZERO);
    assert_eq!(e.uncordon(b"a").unwrap().state, State::Ready);
}

#[test]
fn rule_10_replayed_batch_has_one_effect_and_one_answer() {
    let e = engine([w("a", 1000, 1000)]);
    let requests = [(&b"1"[..], r(400, 400)), (b"2", r(400, 400)), (b"3", r(400, 400))]
        .map(|(id, need)| Request::new(id, need));
    let run = |batch_id: &[u8]| {
        let mut results = Vec::new();
        let flag = e.reserve_batch_once(batch_id, &requests, BatchMode::Independent, &mut results);
        (results, flag.unwrap())
    };
    let (first, _) = run(b"batch");
    assert_eq!(first.iter().filter(|r| r.is_ok()).count(), 2);

    // Also after one of its reservations is gone, and its id free again.
    e.release_id(b"1").unwrap();
    let (again, _) = e.unchanged_but_counted(|_| run(b"batch"));
    assert_eq!(again, first);
    // Another batch id is another batch.
    let (other, _) = run(b"another");
    assert!(!other[0].unwrap().existing && other[1].unwrap().existing);
}

#[test]
fn rule_11_dry_run_answers_for_ids_that_are_held() {
    let e = engine([w("a", 1000, 1000)]);
    let held = e.reserve(&Request::new(b"held", r(900, 900))).unwrap();
    e.reserve(&Request::new(b"other", r(50, 50))).unwrap();
    let foresee = |requests: &[Request<'_>], credited: &[_]| {
        let mut results = Vec::new();
        e.unchanged(|e| e.dry_run(requests, credited, BatchMode::Independent, &mut results));
        results
    };
    // Held by this reservation, whatever else is asked for under its id; the worker as it is now.
    let again = Request::new(b"held", r(1000, 1000));
    let existing = foresee(&[again], &[])[0].unwrap();
    assert_eq!((existing.existing, existing.worker), (Some(held.ticket), held.worker));
    assert_eq!(existing.version, 2);
    // If that were gone, the id would be free, and the room too; which is less than the worker has.
    assert_eq!(refused(foresee(&[again], &[held.ticket])[0]), Verdict::Busy);
    let smaller = Request::new(b"held", r(950, 950));
    let new = foresee(&[smaller], &[held.ticket])[0].unwrap();
    assert_eq!((new.existing, new.worker, new.version), (None, held.worker, 2));
    // A ticket that holds nothing any more credits nothing.
    e.release(held.ticket).unwrap();
    let next = e.reserve(&Request::new(b"next", r(900, 900))).unwrap();
    let small = Request::new(b"1", r(100, 100));
    assert_eq!(refused(foresee(&[small], &[held.ticket])[0]), Verdict::Busy);
    assert!(foresee(&[small], &[next.ticket])[0].is_ok());
}

#[test]
fn rule_11_credit_is_for_the_registration_that_it_is_held_on() {
    let e = engine([w("a", 1000, 1000)]);
    let lost = e.reserve(&Request::new(b"lost", r(900, 900))).unwrap().ticket;
    e.remove_worker(b"a").unwrap();
    e.add_worker(w("a", 1000, 1000)).unwrap();
    e.reserve(&Request::new(b"new", r(900, 900))).unwrap();
    let mut results = Vec::new();
    let request = [Request::new(b"1", r(200, 200))];
    e.unchanged(|e| e.dry_run(&request, &[lost], BatchMode::Independent, &mut results));
    let Err(ReserveError::Refused(refusal)) = results[0] else { panic!("{results:?}") };
    assert_eq!((refusal.verdict, refusal.reasons.cpu), (Verdict::Busy, 1));
}

#[test]
fn rule_11_reasons_are_counted_with_credits_and_plans() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 100)]);
    let on = |id: &str, need| e.reserve_on(e.see(id).worker, &Request::anonymous(need), None);
    on("a", r(1000, 0)).unwrap();
    let credited = on("b", r(1000, 100)).unwrap().ticket;
    let short = |credited: &[_], first| {
        let requests = [first, r(500, 500)].map(Request::anonymous);
        let mut results = Vec::new();
        e.dry_run(&requests, credited, BatchMode::Independent, &mut results);
        let Err(ReserveError::Refused(refusal)) = results[1] else { panic!("{results:?}") };
        (refusal.reasons.cpu, refusal.reasons.memory)
    };
    assert_eq!(short(&[], r(1, 1)), (2, 0));
    assert_eq!(short(&[credited], r(1, 1)), (1, 1));
    // The first takes what is credited, so that the second finds no cpu there either.
    assert_eq!(short(&[credited], r(600, 1)), (2, 0));
}

#[test]
fn rule_12_holds_on_a_pending_worker_become_reservations_or_end_as_lost() {
    let e = engine([w("a", 1000, 1000).pending(true), w("b", 1000, 1000).pending(true)]);
    let hold = |worker: &str, id: &[u8]| {
        let request = Request::new(id, r(400, 400)).ahead(true);
        e.reserve_on(e.see(worker).worker, &request, None).unwrap()
    };
    let (comes, never_comes) = (hold("a", b"1"), hold("b", b"2"));

    let info = e.ready(b"a").unwrap();
    assert_eq!((info.state, info.free, info.version), (State::Ready, free(600, 600, 0), 2));
    assert_eq!(e.reservation(b"1").unwrap().ticket, comes.ticket);
    assert_eq!(e.release(comes.ticket).unwrap().version, Some(3));

    let lost = e.remove_worker(b"b").unwrap();
    assert_eq!(lost.iter().map(|l| l.ticket).collect::<Vec<_>>(), [never_comes.ticket]);
    assert_eq!(e.reservation(b"2"), None);
    assert_eq!(e.release(never_comes.ticket), Err(ReleaseError::NotHeld));
}

#[test]
fn rule_13_external_holds() {
    let e = engine([w("a", 1000, 1000).set_aside(r(400, 100))]);
    assert_eq!(e.see("a").free, free(600, 900, 0));
    e.reserve(&Request::new(b"1", r(600, 100))).unwrap();
    assert_eq!(refused(e.reserve(&Request::new(b"2", r(1, 1)))), Verdict::Busy);

    let info = e.update_worker(b"a", WorkerUpdate::new().set_aside(r(100, 0))).unwrap();
    assert_eq!((info.free, info.held()), (free(300, 900, 0), r(600, 100)));
    // Setting aside what is held takes nothing from anybody.
    let info = e.update_worker(b"a", WorkerUpdate::new().set_aside(r(500, 0))).unwrap();
    assert_eq!((info.over_committed(), info.held()), (r(100, 0), r(600, 100)));
    let too_much =
        e.unchanged(|e| e.update_worker(b"a", WorkerUpdate::new().set_aside(r(1001, 0))));
    assert_eq!(too_much, Err(WorkerError::SetAsideOverTotal { dimension: Dimension::Cpu }));
}

#[test]
fn rule_14_wrong_sizes_are_refused_one_by_one() {
    let e = engine([w("a", 1000, 1000)]);
    let long = [b'x'; slotwise::MAX_ID_LEN + 1];
    let requests = [
        Request::new(b"1", r(Resources::MAX.cpu + 1, 1)),
        Request::new(b"2", r(100, 100)),
        Request::new(&long, r(100, 100)),
        Request::new(b"2", r(100, 100)),
        Request::new(b"3", Resources::ZERO),
    ];
    let mut results = Vec::new();
    e.reserve_batch(&requests, BatchMode::Independent, &mut results);
    assert!(matches!(results[0], Err(ReserveError::TooLarge { dimension: Dimension::Cpu, .. })));
    assert!(results[1].is_ok());
    assert_eq!(results[2], Err(ReserveError::IdLength { length: long.len() }));
    assert_eq!(results[3], Err(ReserveError::DuplicateId));
    assert_eq!(results[4], Err(ReserveError::Empty));
    assert_eq!(e.see("a").version, 1);

    e.unchanged(|e| {
        assert_eq!(e.add_worker(w("", 1000, 1000)), Err(WorkerError::IdLength { length: 0 }));
    });
}
