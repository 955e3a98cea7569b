//! Provisional reservations: confirmed, released or expired, and of these just one.

use slotwise::{
    BatchMode, ClockWentBack, ConfirmError, ReleaseError, Request, ReserveError, Terms,
};

use crate::common::*;

#[test]
fn confirmed_in_time_it_stays() {
    let e = engine([w("a", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let placed = e.reserve(&Request::new(b"r", r(400, 400)).terms(&terms)).unwrap();
    assert!(placed.provisional && !placed.existing);
    assert_eq!(e.deadline(placed.ticket), Some(10));
    assert!(e.tick(9).unwrap().expired.is_empty());
    let confirmed = e.confirm(placed.ticket).unwrap();
    assert!(!confirmed.provisional && !confirmed.existing);
    assert_eq!((confirmed.worker, confirmed.version), (placed.worker, placed.version));
    // Again: nothing changes, and the answer says that it had been confirmed.
    assert!(e.confirm_id(b"r").unwrap().existing);
    assert_eq!(e.deadline(placed.ticket), None);
    assert!(e.tick(1_000).unwrap().expired.is_empty());
    assert!(!e.reservation(b"r").unwrap().provisional);
    e.release_id(b"r").unwrap();
    assert_eq!(e.stats().confirmed, 1);
}

#[test]
fn not_confirmed_it_ends_once_and_its_capacity_returns() {
    let e = engine([w("a", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let placed = e.reserve(&Request::new(b"r", r(400, 400)).terms(&terms)).unwrap();
    // The id is held, and the answer says that it is so only for now.
    let again = e.reserve(&Request::new(b"r", r(400, 400))).unwrap();
    assert!(again.existing && again.provisional);
    let ticked = e.tick(10).unwrap();
    let [expired] = &ticked.expired[..] else { panic!("{ticked:?}") };
    assert_eq!((&expired.id[..], expired.ticket), (&b"r"[..], placed.ticket));
    assert_eq!((expired.worker, expired.amount), (placed.worker, r(400, 400)));
    assert_eq!(e.see("a").free, free(1000, 1000, 0));
    assert_eq!(e.confirm(placed.ticket), Err(ConfirmError::NotHeld));
    assert_eq!(e.confirm_id(b"r"), Err(ConfirmError::NotHeld));
    assert_eq!(e.release(placed.ticket), Err(ReleaseError::NotHeld));
    assert!(e.tick(11).unwrap().expired.is_empty());
    assert_eq!((e.stats().expired, e.see("a").version), (1, 2));
}

#[test]
fn released_before_it_does_not_expire_after() {
    let e = engine([w("a", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let request = Request::new(b"r", r(400, 400)).terms(&terms);
    for _ in 0..3 {
        let placed = e.reserve(&request).unwrap();
        e.release(placed.ticket).unwrap();
    }
    // The record may be used again, by one that has another deadline, or none.
    let later = Terms::new().hold_until(20);
    e.reserve(&Request::new(b"later", r(1, 1)).terms(&later)).unwrap();
    e.reserve(&Request::new(b"plain", r(1, 1))).unwrap();
    assert!(e.tick(19).unwrap().expired.is_empty());
    assert_eq!(e.tick(20).unwrap().expired.len(), 1);
    assert_eq!(e.reservation_count(), 1);
}

#[test]
fn an_earlier_deadline_of_the_next_use_is_not_overlooked() {
    let e = engine([w("a", 1000, 1000)]);
    let long = Terms::new().hold_until(1_000_000);
    let placed = e.reserve(&Request::anonymous(r(1, 1)).terms(&long)).unwrap();
    e.tick(1).unwrap();
    e.release(placed.ticket).unwrap();
    let short = Terms::new().hold_until(5);
    for _ in 0..100 {
        e.reserve(&Request::anonymous(r(1, 1)).terms(&short)).unwrap();
    }
    e.tick(2).unwrap();
    assert_eq!(e.tick(5).unwrap().expired.len(), 100);
}

#[test]
fn time_does_not_go_back_and_a_deadline_is_ahead() {
    let e = engine([w("a", 1000, 1000)]);
    e.tick(100).unwrap();
    assert_eq!(e.tick(99), Err(ClockWentBack { given: 99, now: 100 }));
    assert_eq!(e.now(), 100);
    e.tick(100).unwrap();
    for deadline in [0, 99, 100] {
        let terms = Terms::new().hold_until(deadline);
        let answer = e.unchanged(|e| e.reserve(&Request::new(b"r", r(1, 1)).terms(&terms)));
        assert_eq!(answer, Err(ReserveError::DeadlinePassed { deadline, now: 100 }));
    }
    let terms = Terms::new().hold_until(u64::MAX);
    e.reserve(&Request::new(b"r", r(1, 1)).terms(&terms)).unwrap();
    e.tick(u64::MAX - 1).unwrap();
    assert_eq!(e.reservation_count(), 1);
}

#[test]
fn resized_it_is_as_provisional_as_before() {
    let e = engine([w("a", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let placed = e.reserve(&Request::new(b"r", r(400, 400)).terms(&terms)).unwrap();
    e.resize(placed.ticket, r(600, 100)).unwrap();
    assert!(e.resize(placed.ticket, r(6000, 100)).is_err());
    assert!(e.reservation(b"r").unwrap().provisional);
    let expired = e.tick(10).unwrap().expired;
    assert_eq!(expired[0].amount, r(600, 100));
    assert_eq!(e.see("a").free, free(1000, 1000, 0));
}

#[test]
fn a_gang_is_provisional_member_by_member() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let requests = [b"1", b"2", b"3"].map(|id| Request::new(id, r(600, 100)).terms(&terms));
    let mut results = Vec::new();
    e.reserve_batch(&requests, BatchMode::AllOrNothing, &mut results);
    assert!(results.iter().all(Result::is_err));
    assert!(e.tick(1).unwrap().expired.is_empty());
    e.reserve_batch(&requests[..2], BatchMode::AllOrNothing, &mut results);
    let placed: Vec<_> = results.iter().map(|r| r.unwrap()).collect();
    assert!(placed.iter().all(|p| p.provisional));
    e.confirm(placed[0].ticket).unwrap();
    let expired = e.tick(10).unwrap().expired;
    assert_eq!(expired.iter().map(|x| x.ticket).collect::<Vec<_>>(), [placed[1].ticket]);
}

#[test]
fn a_removed_worker_takes_its_provisional_ones_along() {
    let e = engine([w("a", 1000, 1000)]);
    let terms = Terms::new().hold_until(10);
    let placed = e.reserve(&Request::new(b"r", r(400, 400)).terms(&terms)).unwrap();
    assert_eq!(e.remove_worker(b"a").unwrap().len(), 1);
    assert_eq!(e.confirm(placed.ticket), Err(ConfirmError::NotHeld));
    assert!(e.tick(10).unwrap().expired.is_empty());
}

/// Confirmations, releases and ticks at once: each reservation ends in one way.
#[test]
fn of_confirm_release_and_expiry_one_is_first() {
    let e = engine([w("a", 1_000_000, 1_000_000)]);
    let mut ends = [0; 3];
    for round in 0..300u64 {
        let terms = Terms::new().hold_until(round + 1);
        let placed: Vec<_> = (0..8)
            .map(|_| e.reserve(&Request::anonymous(r(10, 10)).terms(&terms)).unwrap().ticket)
            .collect();
        let answers = together(3, |me| match me {
            0 => placed.iter().filter(|&&t| e.confirm(t).is_ok()).count(),
            1 => placed.iter().rev().filter(|&&t| e.release(t).is_ok()).count(),
            _ => e.tick(round + 1).unwrap().expired.len(),
        });
        // Confirmed ones may have been released after it.
        let left = placed.iter().filter(|&&t| e.release(t).is_ok()).count();
        assert_eq!(answers[1] + answers[2] + left, 8, "{answers:?}, {left} left");
        assert!(left <= answers[0]);
        ends[0] += left;
        ends[1] += answers[1];
        ends[2] += answers[2];
        assert_eq!(e.see("a").free, free(1_000_000, 1_000_000, 0));
    }
    assert!(ends[1] > 0 && ends[2] > 0, "{ends:?}");
}
