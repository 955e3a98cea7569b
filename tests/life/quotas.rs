//! Quotas: exact to the last unit, whoever asks at once.

use slotwise::{
    Account, BatchMode, Dimension, Limit, Quota, Request, ReserveError, ResizeError, Scope,
    Supposition, Terms, TermsError,
};

use crate::common::*;

fn over(dimension: Dimension, used: u64, limit: u64) -> ReserveError {
    ReserveError::QuotaExceeded { dimension, used, limit }
}

#[test]
fn rule_quota_of_a_tenant_is_kept_exactly_by_parallel_requests() {
    let e = engine((0..20).map(|n| w(&format!("w{n}"), 10_000, 10_000)));
    let account = e.account("acme").unwrap();
    e.set_quota(account, Quota { cpu: Some(10_000), ..Quota::default() }).unwrap();
    let terms = Terms::new().account(account);
    let answers = together(8, |me| {
        let mine = (0..15).map(|n| format!("{me}-{n}"));
        mine.map(|id| e.reserve(&Request::new(id.as_bytes(), r(100, 10)).terms(&terms)))
            .collect::<Vec<_>>()
    });
    let (placed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().flatten().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (100, 20));
    assert!(refused.into_iter().all(|x| x == Err(over(Dimension::Cpu, 10_000, 10_000))));
    assert_eq!(e.usage(account).unwrap().used, r(10_000, 1_000));
    for placed in placed {
        e.release(placed.unwrap().ticket).unwrap();
    }
    assert_eq!(e.usage(account).unwrap().used, r(0, 0));
}

#[test]
fn what_is_refused_or_held_already_is_not_charged() {
    let e = engine([w("a", 1000, 1000)]);
    let account = e.account("acme").unwrap();
    let terms = Terms::new().account(account);
    let request = Request::new(b"r", r(600, 600)).terms(&terms);
    let placed = e.reserve(&request).unwrap();
    assert!(e.reserve(&request).unwrap().existing);
    refused(e.reserve(&Request::new(b"s", r(600, 600)).terms(&terms)));
    refused(e.reserve_on(placed.worker, &Request::new(b"s", r(600, 600)).terms(&terms), None));
    let mut results = Vec::new();
    let gang = [b"1", b"2"].map(|id| Request::new(id, r(300, 300)).terms(&terms));
    e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results);
    assert!(results.iter().all(Result::is_err));
    assert_eq!(e.usage(account).unwrap().used, r(600, 600));
    // A gang is charged as a whole, or not at all.
    e.set_quota(account, Quota { memory: Some(900), ..Quota::default() }).unwrap();
    e.release(placed.ticket).unwrap();
    let gang = [b"1", b"2", b"3", b"4"].map(|id| Request::new(id, r(100, 250)).terms(&terms));
    e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results);
    assert_eq!(results[3], Err(over(Dimension::Memory, 750, 900)));
    assert_eq!(results[0], Err(ReserveError::Peer { index: 3 }));
    assert_eq!(e.usage(account).unwrap().used, r(0, 0));
    e.reserve_batch(&gang[..3], BatchMode::AllOrNothing, &mut results);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(e.usage(account).unwrap().used, r(300, 750));
}

#[test]
fn every_end_of_a_reservation_is_credited_once() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let account = e.account("acme").unwrap();
    e.set_quota(account, Quota::of(r(1500, 1500))).unwrap();
    let used = || e.usage(account).unwrap().used;
    let terms = Terms::new().account(account).hold_until(10);
    let on = |id: &str, name: &'static [u8], need| {
        let request = Request::new(name, need).terms(&terms);
        e.reserve_on(e.see(id).worker, &request, None).unwrap()
    };
    // By resizing, also one that is refused.
    let one = on("a", b"1", r(500, 500));
    e.resize(one.ticket, r(900, 100)).unwrap();
    assert_eq!(used(), r(900, 100));
    let quota = ResizeError::QuotaExceeded { dimension: Dimension::Memory, used: 100, limit: 1500 };
    assert_eq!(e.resize(one.ticket, r(900, 1501)), Err(quota));
    assert!(matches!(e.resize(one.ticket, r(1001, 100)), Err(ResizeError::Short { .. })));
    assert_eq!(used(), r(900, 100));
    // By expiry, by a group, by removal.
    e.tick(10).unwrap();
    assert_eq!(used(), r(0, 0));
    let terms = Terms::new().account(account);
    let two = Request::new(b"2", r(500, 500)).terms(&terms);
    let two = e.reserve_on(e.see("a").worker, &two, None).unwrap();
    let ops = [slotwise::GroupOp::Release(two.ticket)];
    e.apply_groups(&[slotwise::Group { worker: b"a", ops: &ops }]);
    assert_eq!(used(), r(0, 0));
    let three = Request::new(b"3", r(500, 500)).terms(&terms);
    e.reserve_on(e.see("b").worker, &three, None).unwrap();
    assert_eq!(used(), r(500, 500));
    e.remove_worker(b"b").unwrap();
    assert_eq!(used(), r(0, 0));
}

#[test]
fn a_lowered_quota_takes_nothing_back() {
    let e = engine([w("a", 1000, 1000)]);
    let account = e.account("acme").unwrap();
    let terms = Terms::new().account(account);
    let placed = e.reserve(&Request::new(b"r", r(600, 600)).terms(&terms)).unwrap();
    e.set_quota(account, Quota::of(r(500, 5000))).unwrap();
    let more = e.reserve(&Request::new(b"s", r(1, 1)).terms(&terms));
    assert_eq!(more, Err(over(Dimension::Cpu, 600, 500)));
    // A dimension of which nothing is asked does not stand in the way.
    e.reserve(&Request::new(b"t", r(0, 1)).terms(&terms)).unwrap();
    // Shrinking never is.
    e.resize(placed.ticket, r(550, 550)).unwrap();
}

#[test]
fn accounts_are_named_once_and_bad_ones_are_refused() {
    let e = engine([w("a", 1000, 1000)]);
    assert_eq!(e.account("x").unwrap(), e.account("x").unwrap());
    assert_ne!(e.account("x").unwrap(), e.account("y").unwrap());
    assert_eq!(e.account(""), Err(TermsError::NameLength { length: 0 }));
    let long = "x".repeat(256);
    assert_eq!(e.account(long.as_str()), Err(TermsError::NameLength { length: 256 }));
    // Of another engine.
    let other = engine([]);
    (0..9).for_each(|n| _ = other.account(format!("{n}").as_str()));
    let foreign: Account = other.account("8").unwrap();
    assert_eq!(e.usage(foreign), Err(TermsError::Unknown));
    assert_eq!(e.set_quota(foreign, Quota::default()), Err(TermsError::Unknown));
    let terms = Terms::new().account(foreign);
    let answer = e.unchanged(|e| e.reserve(&Request::new(b"r", r(1, 1)).terms(&terms)));
    assert_eq!(answer, Err(ReserveError::UnknownAccount));
}

#[test]
fn a_dry_run_keeps_quotas_and_limits_on_its_branch() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let account = e.account("acme").unwrap();
    e.set_quota(account, Quota { cpu: Some(500), ..Quota::default() }).unwrap();
    let group = e.spread_group("g", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let terms = Terms::new().account(account).limits(&limits);
    let request = Request::anonymous(r(200, 200)).terms(&terms);
    let held = e.reserve(&request).unwrap();
    let fits = |supposing: &Supposition<'_>| e.unchanged(|e| e.replicas(&request, 9, supposing));
    // One worker is left, and room in the quota for one.
    assert_eq!(fits(&Supposition::default()), Ok(1));
    // Two workers more, and still 300 left.
    let more = [w("c", 1000, 1000), w("d", 1000, 1000)];
    let with = Supposition { with: &more, ..Supposition::default() };
    assert_eq!(fits(&with), Ok(1));
    e.set_quota(account, Quota::default()).unwrap();
    assert_eq!(fits(&with), Ok(3));
    // What is credited, or goes with its worker, makes room for one more.
    let gone = [held.ticket];
    assert_eq!(fits(&Supposition { credited: &gone, ..Supposition::default() }), Ok(2));
    e.set_quota(account, Quota { cpu: Some(500), ..Quota::default() }).unwrap();
    let without = [held.worker];
    assert_eq!(fits(&Supposition { without: &without, ..with }), Ok(2));
    // In order, as the batch then does.
    let ids: [&[u8]; 3] = [b"1", b"2", b"3"];
    let requests = ids.map(|id| Request::new(id, r(200, 200)).terms(&terms));
    let mut foreseen = Vec::new();
    e.unchanged(|e| e.dry_run(&requests, &gone, BatchMode::Independent, &mut foreseen));
    e.release(held.ticket).unwrap();
    let mut placed = Vec::new();
    e.reserve_batch(&requests, BatchMode::Independent, &mut placed);
    let workers = |ok: Vec<Result<slotwise::WorkerRef, ReserveError>>| ok;
    assert_eq!(
        workers(foreseen.iter().map(|f| f.map(|f| f.worker)).collect()),
        workers(placed.iter().map(|p| p.map(|p| p.worker)).collect())
    );
    assert_eq!(placed[2], Err(over(Dimension::Cpu, 400, 500)));
}
