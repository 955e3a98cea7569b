//! Rule 12 as a fleet sees it: is capacity on its way?

use slotwise::{BatchMode, Config, Constraints, Outlook, Refusal, Request, ReserveError, Verdict};

use crate::common::*;

/// The refusal of a request that must have been refused.
#[track_caller]
fn refusal<T: std::fmt::Debug>(answer: Result<T, ReserveError>) -> Refusal {
    match answer {
        Err(ReserveError::Refused(refusal)) => refusal,
        other => panic!("a refusal, not {other:?}"),
    }
}

#[test]
fn rule_12_refusal_says_whether_to_wait_or_to_start_something() {
    let e = engine([w("coming", 1000, 1000).pending(true), w("full", 100, 100)]);
    e.reserve_on(e.see("full").worker, &Request::anonymous(r(100, 100)), None).unwrap();
    let outlook = |request: &Request<'_>| {
        let refusal = refusal(e.reserve(request));
        (refusal.verdict, refusal.outlook)
    };
    let (small, large) = (Request::anonymous(r(600, 100)), Request::anonymous(r(1001, 1)));
    assert_eq!(outlook(&small), (Verdict::Busy, Outlook::Wait));
    assert_eq!(outlook(&large), (Verdict::Never, Outlook::Start));
    // What the request may not use is not on its way for it.
    let pool = Constraints::new().pool("p");
    assert_eq!(outlook(&small.constraints(&pool)), (Verdict::Never, Outlook::Start));
    // Once somebody has joined it, there is no room for the next, also among the members of a gang.
    let mut results = Vec::new();
    let gang = [Request::anonymous(r(300, 1)).ahead(true), Request::anonymous(r(800, 1))];
    e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results);
    assert_eq!(refusal(results[1]).outlook, Outlook::Start);
    e.reserve(&Request::new(b"first", r(600, 100)).ahead(true)).unwrap();
    assert_eq!(outlook(&small), (Verdict::Busy, Outlook::Start));
    e.release_id(b"first").unwrap();
    assert_eq!(outlook(&small), (Verdict::Busy, Outlook::Wait));
    // A worker that the operator has cordoned is not on its way.
    e.cordon(b"coming").unwrap();
    assert_eq!(outlook(&small), (Verdict::Busy, Outlook::Start));
}

#[test]
fn rule_12_outlook_is_unknown_where_nobody_looks() {
    let quick = Config { count_reasons: false, ..small() };
    let e = Audited::new(quick, [w("coming", 1000, 1000).pending(true)]);
    let request = Request::anonymous(r(600, 100));
    assert_eq!(refusal(e.reserve(&request)).outlook, Outlook::Unknown);
    let named = e.reserve_on(e.see("coming").worker, &request, None);
    assert_eq!(refusal(named).outlook, Outlook::Unknown);
}
