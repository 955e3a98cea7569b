//! Limits on how many of a group are in one place, exact whoever asks at once.

use std::collections::HashMap;

use slotwise::{
    BatchMode, Limit, Policy, Request, ReserveError, Scope, SpreadGroup, Terms, TermsError,
    Verdict, WorkerUpdate,
};

use crate::common::*;

#[test]
fn anti_affinity_puts_one_on_each_worker() {
    for policy in Policy::ALL {
        let e = engine((0..5).map(|n| w(&format!("w{n}"), 1000, 1000)));
        let group = e.spread_group("db", Scope::Worker).unwrap();
        let limits = [Limit { group, at_most: 1 }];
        let terms = Terms::new().limits(&limits);
        let request = |id: &'static [u8]| Request::new(id, r(10, 10)).terms(&terms).policy(policy);
        let ids: [&[u8]; 5] = [b"1", b"2", b"3", b"4", b"5"];
        let mut places: Vec<_> = ids.iter().map(|&id| e.lands(&request(id)).unwrap()).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 5, "{policy}");
        let answer = e.unchanged_but_counted(|e| e.reserve(&request(b"6")));
        let Err(ReserveError::Refused(refusal)) = answer else { panic!("{answer:?}") };
        assert_eq!((refusal.verdict, refusal.reasons.spread), (Verdict::Busy, 5));
        // Others are not concerned, and who leaves makes room.
        e.reserve(&Request::new(b"other", r(10, 10))).unwrap();
        e.release_id(b"3").unwrap();
        e.reserve(&request(b"6")).unwrap();
    }
}

#[test]
fn zones_and_machines_are_places_too() {
    let worker = |n: u32| {
        let worker = w(&format!("w{n}"), 1000, 1000).machine(format!("m{}", n / 2));
        worker.label("zone", ["north", "south"][(n / 4) as usize])
    };
    let e = engine((0..8).map(worker).chain([w("nowhere", 1000, 1000)]));
    let zone = e.spread_group("app", Scope::Label("zone".into())).unwrap();
    let machine = e.spread_group("app", Scope::Machine).unwrap();
    assert_ne!(zone, machine);
    let limits = [Limit { group: zone, at_most: 3 }, Limit { group: machine, at_most: 2 }];
    let terms = Terms::new().limits(&limits);
    let mut by_zone = HashMap::<String, u32>::new();
    let mut by_machine = HashMap::<String, u32>::new();
    for n in 0..6 {
        let id = format!("{n}");
        let place = e.lands(&Request::new(id.as_bytes(), r(10, 10)).terms(&terms)).unwrap();
        let seen = e.see(&place);
        *by_zone.entry(seen.labels[0].1.to_string()).or_default() += 1;
        *by_machine.entry(seen.machine.unwrap().to_string()).or_default() += 1;
    }
    assert!(by_zone.values().all(|&n| n == 3) && by_zone.len() == 2, "{by_zone:?}");
    assert!(by_machine.values().all(|&n| n <= 2), "{by_machine:?}");
    refused(e.reserve(&Request::new(b"7", r(10, 10)).terms(&terms)));
    assert_eq!(e.spread_count(zone, e.see("w0").worker), Some(3));
    assert_eq!(e.spread_count(zone, e.see("nowhere").worker), None);
    assert_eq!(e.spread_count(machine, e.see("nowhere").worker), Some(0));
    // A named worker is no way round.
    refused(e.reserve_on(e.see("w7").worker, &Request::new(b"7", r(1, 1)).terms(&terms), None));
}

#[test]
fn a_gang_is_spread_as_a_whole_or_not_at_all() {
    let e = engine((0..3).map(|n| w(&format!("w{n}"), 1000, 1000)));
    let group = e.spread_group("db", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let terms = Terms::new().limits(&limits);
    let ids: [&[u8]; 4] = [b"1", b"2", b"3", b"4"];
    let gang = ids.map(|id| Request::new(id, r(10, 10)).terms(&terms));
    let mut results = Vec::new();
    e.unchanged_but_counted(|e| e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results));
    assert!(results.iter().all(Result::is_err));
    e.reserve_batch(&gang[..3], BatchMode::AllOrNothing, &mut results);
    let mut on: Vec<_> = results.iter().map(|placed| placed.unwrap().worker).collect();
    on.sort();
    on.dedup();
    assert_eq!(on.len(), 3);
    for id in &ids[..3] {
        e.release_id(id).unwrap();
    }
    // One by one, a batch is the same sequence.
    e.reserve_batch(&gang, BatchMode::Independent, &mut results);
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3);
}

#[test]
fn limits_are_kept_by_parallel_requests() {
    let e = engine((0..4).map(|n| w(&format!("w{n}"), 1_000, 1_000)));
    let group = e.spread_group("db", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 3 }];
    let terms = Terms::new().limits(&limits);
    for round in 0..50 {
        let placed = together(4, |me| {
            let ids = (0..6).map(|n| format!("{round}-{me}-{n}"));
            ids.filter_map(|id| {
                e.reserve(&Request::new(id.as_bytes(), r(10, 10)).terms(&terms)).ok()
            })
            .collect::<Vec<_>>()
        })
        .concat();
        let mut on = HashMap::new();
        placed.iter().for_each(|p| *on.entry(p.worker).or_insert(0) += 1);
        assert!(on.values().all(|&n| n <= 3), "{on:?}");
        // A request that gave way to another one may have been refused, but none stays out for good.
        let more = (0..12).filter_map(|n| {
            let id = format!("{round}-more-{n}");
            e.reserve(&Request::new(id.as_bytes(), r(10, 10)).terms(&terms)).ok()
        });
        let more: Vec<_> = more.collect();
        assert_eq!(placed.len() + more.len(), 12);
        placed.iter().chain(&more).for_each(|p| _ = e.release(p.ticket).unwrap());
        assert_eq!(e.spread_count(group, e.see("w0").worker), Some(0));
    }
}

#[test]
fn a_member_is_counted_where_it_was_placed() {
    let e = engine([w("a", 1000, 1000).label("zone", "n"), w("b", 1000, 1000).label("zone", "s")]);
    let group = e.spread_group("app", Scope::Label("zone".into())).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let terms = Terms::new().limits(&limits);
    let a = e.see("a").worker;
    e.reserve_on(a, &Request::new(b"1", r(1, 1)).terms(&terms), None).unwrap();
    e.update_worker(b"a", WorkerUpdate::new().labels([("zone", "s")])).unwrap();
    assert_eq!(e.spread_count(group, a), Some(0));
    e.release_id(b"1").unwrap();
    e.update_worker(b"a", WorkerUpdate::new().labels([("zone", "n")])).unwrap();
    assert_eq!(e.spread_count(group, a), Some(0));
    // Removed, all its members are gone.
    e.reserve_on(a, &Request::new(b"1", r(1, 1)).terms(&terms), None).unwrap();
    e.remove_worker(b"a").unwrap();
    e.add_worker(w("a", 1000, 1000).label("zone", "n")).unwrap();
    assert_eq!(e.spread_count(group, e.see("a").worker), Some(0));
}

#[test]
fn bad_limits_are_refused() {
    let e = engine([w("a", 1000, 1000)]);
    let group = e.spread_group("g", Scope::Worker).unwrap();
    assert_eq!(e.spread_group("g", Scope::Worker).unwrap(), group);
    assert_eq!(e.spread_group("", Scope::Worker), Err(TermsError::NameLength { length: 0 }));
    let empty = Scope::Label("".into());
    assert_eq!(e.spread_group("g", empty), Err(TermsError::NameLength { length: 0 }));
    let other = engine([]);
    let mut foreign: SpreadGroup = group;
    (0..9).for_each(|n| foreign = other.spread_group(format!("{n}"), Scope::Worker).unwrap());
    let ask = |limits: &[Limit]| {
        let terms = Terms::new().limits(limits);
        e.unchanged_but_counted(|e| e.reserve(&Request::new(b"r", r(1, 1)).terms(&terms)))
    };
    assert_eq!(ask(&[Limit { group: foreign, at_most: 1 }]), Err(ReserveError::UnknownGroup));
    let many = [Limit { group, at_most: 1 }; 5];
    assert_eq!(ask(&many), Err(ReserveError::TooManyLimits { given: 5 }));
    // None at all may be anywhere.
    refused(ask(&[Limit { group, at_most: 0 }]));
}
