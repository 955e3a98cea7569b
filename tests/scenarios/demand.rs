//! What a host that runs a fleet asks: why is a request refused, is capacity on its way?

use slotwise::{
    BatchMode, Config, Constraints, Dimension, Mismatch, Outlook, Policy, Reason, Refusal, Request,
    ReserveError, State, SupposeError, Supposition, Verdict, WorkerError, WorkerRef, WorkerSpec,
};

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

#[test]
fn explanation_names_the_rules_and_what_would_have_to_be_freed() {
    let e = engine([
        w("small", 400, 400),
        w("half", 1000, 1000),
        w("most", 1000, 1000),
        w("off", 1000, 1000).pool("p").requires_selector(true),
        w("theirs", 1000, 1000).tenant("t"),
        gpu("gpu", 1000, 1000, "T4", 1),
        w("coming", 1000, 1000).pending(true),
    ]);
    let hold = |worker: &str, id: &[u8], need| {
        e.reserve_on(e.see(worker).worker, &Request::new(id, need), None).unwrap()
    };
    hold("half", b"h", r(500, 500));
    hold("most", b"m", r(700, 100));
    let request = Request::new(b"1", r(600, 300));
    let explained = e.unchanged(|e| e.explain(&request, true).unwrap());

    let refusal = explained.answer.unwrap_err();
    assert_eq!(refusal.verdict, Verdict::Busy);
    assert_eq!((refusal.blocking, refusal.outlook), (Some(Dimension::Cpu), Outlook::Wait));
    assert_eq!(Err(ReserveError::Refused(refusal)), e.reserve(&request));
    let by = |rule| explained.mismatches.by(rule);
    assert_eq!([Mismatch::Pool, Mismatch::Tenant, Mismatch::GpuSeparation].map(by), [1; 3]);
    assert_eq!((explained.mismatches.total(), explained.reasons.not_ready), (3, 1));
    let reason_of = |id: &str| {
        let worker = e.see(id).worker;
        explained.workers.iter().find(|one| one.worker == worker).unwrap().reason
    };
    assert_eq!(reason_of("small"), Reason::TooSmall { missing: r(200, 0) });
    assert_eq!(reason_of("half"), Reason::Short { missing: r(100, 0) });
    assert_eq!(reason_of("off"), Reason::Mismatch(Mismatch::Pool));
    assert_eq!(reason_of("coming"), Reason::State(State::Pending));

    // What would have to be freed is enough when it is freed.
    let nearest = explained.nearest.unwrap();
    let half = e.see("half");
    let told = (nearest.worker, nearest.version, nearest.missing);
    assert_eq!(told, (half.worker, half.version, r(100, 0)));
    e.resize_id(b"h", r(400, 500)).unwrap();
    let explained = e.explain(&request, false).unwrap();
    let fits = explained.answer.unwrap();
    assert_eq!((fits.worker, fits.version, explained.fitting), (half.worker, 2, 1));
    assert!(explained.workers.is_empty());
    let placed = e.reserve(&request).unwrap();
    assert_eq!((placed.worker, placed.version), (half.worker, 3));
    let held = e.explain(&request, false).unwrap().answer.unwrap();
    assert_eq!(held.existing, Some(placed.ticket));
    let wrong = e.explain(&Request::anonymous(r(0, 0)), false);
    assert_eq!(wrong.unwrap_err(), ReserveError::Empty);
}

#[test]
fn rule_11_replicas_with_workers_gone_and_workers_there() {
    for count_reasons in [true, false] {
        let config = Config { count_reasons, ..small() };
        let e = Audited::new(config, [w("a", 1000, 1000), w("b", 1000, 1000)]);
        let old =
            e.reserve_on(e.see("a").worker, &Request::new(b"old", r(800, 800)), None).unwrap();
        let (copy, a) = (Request::new(b"copy", r(400, 400)), e.see("a").worker);
        let new = [w("new", 1000, 1000), w("coming", 1000, 1000).pending(true)];
        let fit = |supposing: Supposition<'_>| {
            e.unchanged(|e| e.replicas(&copy, u32::MAX, &supposing).unwrap())
        };
        let nothing = Supposition::default();
        assert_eq!(fit(nothing), 2);
        assert_eq!(fit(Supposition { credited: &[old.ticket], ..nothing }), 4);
        assert_eq!(fit(Supposition { without: &[a], ..nothing }), 2);
        assert_eq!(fit(Supposition { without: &[a, e.see("b").worker], ..nothing }), 0);
        assert_eq!(fit(Supposition { with: &new, ..nothing }), 4);
        assert_eq!(e.replicas(&copy, 3, &Supposition { with: &new, ..nothing }), Ok(3));
        assert_eq!(
            e.replicas(&copy.ahead(true), 99, &Supposition { with: &new, ..nothing }),
            Ok(6)
        );

        // What is held on a worker that is gone is to be placed again; where, is told by place.
        let mut results = Vec::new();
        let gone = Supposition { without: &[a], with: &new, ..nothing };
        let request = [Request::new(b"old", r(800, 800)).policy(Policy::FirstFit), copy];
        e.dry_run_with(&request, &gone, BatchMode::Independent, &mut results).unwrap();
        let (first, second) = (results[0].unwrap(), results[1].unwrap());
        assert_eq!((first.worker, first.existing), (e.see("b").worker, None));
        assert_eq!((second.added, second.worker.index, second.version), (Some(0), u32::MAX, 0));

        // A refusal is about the workers that are supposed to be there.
        let large = [Request::new(b"1", r(1500, 1))];
        let refused = |supposing: &Supposition<'_>| {
            let mut results = Vec::new();
            e.dry_run_with(&large, supposing, BatchMode::Independent, &mut results).unwrap();
            refusal(results[0])
        };
        let never = refused(&nothing);
        assert_eq!((never.verdict, never.blocking), (Verdict::Never, Some(Dimension::Cpu)));
        let larger = [w("larger", 2000, 2000).pending(true)];
        let busy = refused(&Supposition { without: &[a], with: &larger, ..nothing });
        assert_eq!(
            (busy.verdict, busy.blocking),
            (Verdict::Busy, count_reasons.then_some(Dimension::Cpu))
        );
        let counted = (busy.reasons.not_ready, busy.reasons.cpu, busy.outlook);
        let told = (1, 1, Outlook::Wait);
        assert_eq!(counted, if count_reasons { told } else { (0, 0, Outlook::Unknown) });

        // What could not be registered is refused before anything else, unless its namesake is gone.
        let wrong = |with: &[WorkerSpec], without: &[WorkerRef]| {
            e.replicas(&copy, 1, &Supposition { with, without, ..nothing }).err()
        };
        let duplicate = |index| SupposeError::Worker { index, error: WorkerError::Duplicate };
        assert_eq!(wrong(&[w("new", 1, 1), w("new", 1, 1)], &[]), Some(duplicate(1)));
        assert_eq!(wrong(&[w("a", 1, 1)], &[]), Some(duplicate(0)));
        assert_eq!(wrong(&[w("a", 1, 1)], &[a]), None);
        let aside = [w("new", 1, 1).set_aside(r(2, 0))];
        let error = WorkerError::SetAsideOverTotal { dimension: Dimension::Cpu };
        assert_eq!(wrong(&aside, &[]), Some(SupposeError::Worker { index: 0, error }));
        let empty = e.replicas(&Request::anonymous(r(0, 0)), 1, &nothing);
        assert_eq!(empty, Err(SupposeError::Request(ReserveError::Empty)));
    }
}
