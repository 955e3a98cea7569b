//! A worker's life: leases, rollout generations, and capacity on its way.

use slotwise::{Limit, Request, Scope, State, Terms, WorkerError, WorkerUpdate};

use crate::common::*;

#[test]
fn a_worker_that_is_not_heard_of_ends_with_what_it_holds() {
    let e = engine([w("a", 1000, 1000).lease(10), w("b", 1000, 1000)]);
    let on = |id: &str, name: &'static [u8]| {
        e.reserve_on(e.see(id).worker, &Request::new(name, r(100, 100)), None).unwrap()
    };
    let (one, two) = (on("a", b"1"), on("a", b"2"));
    on("b", b"3");
    assert_eq!((e.see("a").lease, e.see("b").lease), (Some(10), None));
    e.heartbeat(b"a", 20).unwrap();
    e.heartbeat(b"b", 30).unwrap();
    assert!(e.tick(19).unwrap().workers.is_empty());
    let ticked = e.tick(20).unwrap();
    let [dead] = &ticked.workers[..] else { panic!("{ticked:?}") };
    assert_eq!((&dead.id[..], dead.worker), (&b"a"[..], one.worker));
    let mut lost: Vec<_> = dead.lost.iter().map(|lost| lost.ticket).collect();
    lost.sort();
    let mut held = [one.ticket, two.ticket];
    held.sort();
    assert_eq!(lost, held);
    // A late message is refused, and a late release credits nothing, also once it is registered again.
    assert_eq!(e.heartbeat(b"a", 40), Err(WorkerError::Unknown));
    e.add_worker(w("a", 1000, 1000)).unwrap();
    assert!(e.release(one.ticket).is_err());
    assert_eq!(e.see("a").free, free(1000, 1000, 0));
    assert!(e.tick(29).unwrap().workers.is_empty());
    assert_eq!(e.tick(30).unwrap().workers.len(), 1);
    assert_eq!(e.worker_count(), 1);
}

#[test]
fn leases_may_be_cut_short_and_bad_ones_are_refused() {
    let e = engine([w("a", 1000, 1000)]);
    e.tick(5).unwrap();
    assert_eq!(e.heartbeat(b"a", 5), Err(WorkerError::LeasePassed { until: 5, now: 5 }));
    assert_eq!(e.heartbeat(b"nobody", 50), Err(WorkerError::Unknown));
    assert_eq!(e.heartbeat(b"", 50), Err(WorkerError::Unknown));
    e.heartbeat(b"a", 1_000).unwrap();
    e.tick(6).unwrap();
    e.heartbeat(b"a", 10).unwrap();
    assert_eq!(e.tick(10).unwrap().workers.len(), 1);
}

/// Heartbeats against ticks: a worker that was told "heard" is there.
#[test]
fn of_a_heartbeat_and_an_expiry_one_is_first() {
    let e = engine([]);
    for round in 1..500u64 {
        e.add_worker(w("a", 1000, 1000).lease(round)).unwrap();
        let answers = together(2, |me| match me {
            0 => e.heartbeat(b"a", round + 1_000).is_ok(),
            _ => e.tick(round).unwrap().workers.is_empty(),
        });
        // Heard, and not removed; or removed, and refused (as passed, or as unknown).
        assert_eq!(answers[0], answers[1], "round {round}");
        let _ = e.remove_worker(b"a");
    }
}

#[test]
fn readiness_of_an_old_generation_is_refused() {
    let e = engine([w("a", 1000, 1000).generation(3).pending(true)]);
    let old = WorkerError::OldGeneration { given: 2, current: 3 };
    assert_eq!(e.unchanged(|e| e.ready_generation(b"a", 2)), Err(old));
    assert_eq!(e.ready_generation(b"a", 3).unwrap().state, State::Ready);
    // The next rollout: not ready until an agent of that generation says so.
    let next = WorkerUpdate::new().generation(4);
    assert_eq!(e.update_worker(b"a", next.clone()).unwrap().state, State::Pending);
    let old = WorkerError::OldGeneration { given: 3, current: 4 };
    assert_eq!(e.ready_generation(b"a", 3), Err(old));
    assert_eq!(e.update_worker(b"a", WorkerUpdate::new().generation(3)), Err(old));
    assert_eq!(e.update_worker(b"a", next).unwrap().state, State::Pending);
    // An agent that is ahead of the host's records counts.
    let ahead = e.ready_generation(b"a", 7).unwrap();
    assert_eq!((ahead.state, ahead.generation), (State::Ready, 7));
    // A cordon outlasts it.
    e.cordon(b"a").unwrap();
    assert_eq!(e.ready_generation(b"a", 8).unwrap().state, State::Cordoned);
    // Another registration starts anew.
    e.remove_worker(b"a").unwrap();
    e.add_worker(w("a", 1000, 1000)).unwrap();
    assert_eq!(e.see("a").generation, 0);
}

fn held_ahead(e: &Audited, on: &str, id: &'static [u8], cpu: u64) -> slotwise::Reservation {
    let request = Request::new(id, r(cpu, cpu)).ahead(true);
    e.reserve_on(e.see(on).worker, &request, None).unwrap()
}

#[test]
fn an_expected_worker_comes_under_another_id() {
    let e = engine([w("expected-1", 1000, 1000).pending(true)]);
    let held = held_ahead(&e, "expected-1", b"r", 400);
    let done = e.hand_off(b"expected-1", b"i-0abc").unwrap();
    assert_eq!((done.worker, done.moved, done.lost.len()), (held.worker, 0, 0));
    assert!(e.worker(b"expected-1").is_none());
    assert_eq!(e.reservation(b"r").unwrap().ticket, held.ticket);
    e.update_worker(b"i-0abc", WorkerUpdate::new().total(r(2000, 2000))).unwrap();
    e.ready(b"i-0abc").unwrap();
    assert_eq!(e.see("i-0abc").free, free(1600, 1600, 0));
    // The expected id may be used again.
    e.add_worker(w("expected-1", 1, 1)).unwrap();
}

#[test]
fn an_agent_that_was_faster_takes_over_what_it_has_room_for() {
    let e = engine([w("expected", 1000, 1000).pending(true), w("real", 800, 800)]);
    let group = e.spread_group("g", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let account = e.account("acme").unwrap();
    let terms = Terms::new().limits(&limits).account(account);
    let request = Request::new(b"first", r(400, 400)).ahead(true).terms(&terms);
    let first = e.reserve_on(e.see("expected").worker, &request, None).unwrap();
    held_ahead(&e, "expected", b"second", 600);
    let done = e.hand_off(b"expected", b"real").unwrap();
    let real = e.see("real");
    assert_eq!((done.worker, done.moved), (real.worker, 1));
    assert_eq!(done.lost.iter().map(|l| l.id.to_string()).collect::<Vec<_>>(), ["second"]);
    assert!(e.worker(b"expected").is_none());
    let there = e.reservation(b"first").unwrap();
    assert_eq!((there.ticket, there.worker), (first.ticket, real.worker));
    assert_eq!(real.free, free(400, 400, 0));
    assert_eq!(e.spread_count(group, real.worker), Some(1));
    assert_eq!(e.usage(account).unwrap().used, r(400, 400));
    e.release_id(b"first").unwrap();
    assert_eq!(e.see("real").free, free(800, 800, 0));
    assert_eq!(e.spread_count(group, real.worker), Some(0));
    assert!(e.release_id(b"second").is_err());
}

/// Taken over within its zone, a member was counted there once more.
#[test]
fn a_hand_off_within_a_zone_counts_its_members_once() {
    let zoned = |id| w(id, 1000, 1000).label("zone", "z");
    let e = engine([zoned("expected").pending(true), zoned("real")]);
    let group = e.spread_group("g", Scope::Label("zone".into())).unwrap();
    let limits = [Limit { group, at_most: 2 }];
    let terms = Terms::new().limits(&limits);
    let request = Request::new(b"first", r(400, 400)).ahead(true).terms(&terms);
    e.reserve_on(e.see("expected").worker, &request, None).unwrap();
    let done = e.hand_off(b"expected", b"real").unwrap();
    assert_eq!((done.moved, e.spread_count(group, done.worker)), (1, Some(1)));
    e.reserve(&Request::new(b"second", r(400, 400)).terms(&terms)).unwrap();
    e.release_id(b"first").unwrap();
    e.release_id(b"second").unwrap();
    assert_eq!(e.spread_count(group, done.worker), Some(0));
}

#[test]
fn one_that_never_comes_ends_and_bad_hand_offs_are_refused() {
    let e = engine([w("expected", 1000, 1000).pending(true).lease(30), w("there", 10, 10)]);
    held_ahead(&e, "expected", b"r", 400);
    let refuse = |from: &[u8], to: &[u8]| e.unchanged(|e| e.hand_off(from, to)).unwrap_err();
    assert_eq!(refuse(b"expected", b"expected"), WorkerError::HandOffToItself);
    assert_eq!(refuse(b"nobody", b"expected"), WorkerError::Unknown);
    let ready = WorkerError::NotPending { state: State::Ready };
    assert_eq!(refuse(b"there", b"expected"), ready);
    assert_eq!(refuse(b"expected", b""), WorkerError::IdLength { length: 0 });
    // In a circle: each is told what is there by then.
    e.add_worker(w("other", 10, 10).pending(true)).unwrap();
    assert_eq!(e.hand_off(b"other", b"expected").unwrap().moved, 0);
    assert_eq!(refuse(b"other", b"expected"), WorkerError::Unknown);
    e.hand_off(b"expected", b"other").unwrap();
    let ticked = e.tick(30).unwrap();
    assert_eq!((&ticked.workers[0].id[..], ticked.workers[0].lost.len()), (&b"other"[..], 1));
}
