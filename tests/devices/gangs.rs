//! All-or-nothing batches whose members ask for devices.

use super::*;
use slotwise::{Limit, Scope, Selector};

type Results = Vec<Result<Reservation, ReserveError>>;

fn gang(engine: &Engine, requests: &[Request<'_>]) -> Results {
    let mut results = Vec::new();
    engine.reserve_batch(requests, BatchMode::AllOrNothing, &mut results);
    results
}

/// One request for each of these.
fn gang_of(engine: &Engine, needs: &[DeviceNeed]) -> Results {
    let terms: Vec<Terms<'_>> = needs.iter().map(|&need| Terms::new().devices(need)).collect();
    let request = |terms| Request::anonymous(NEED).policy(Policy::FirstFit).terms(terms);
    let requests: Vec<Request<'_>> = terms.iter().map(request).collect();
    gang(engine, &requests)
}

fn versions(engine: &Engine) -> Vec<u64> {
    let workers = engine.workers();
    workers.iter().map(|worker| engine.snapshot(worker.worker).unwrap().version).collect()
}

#[test]
fn members_share_a_worker_and_a_device() {
    let engine = engine([node("a", 2), node("b", 2)]);
    let half = DeviceNeed::part(500).memory(1_024);
    let needs = [half, DeviceNeed::whole(2), half, DeviceNeed::whole(1)];
    let placed: Vec<Reservation> =
        gang_of(&engine, &needs).into_iter().map(Result::unwrap).collect();
    // In the caller's order; of each worker the versions rise by one.
    let told = |one: &Reservation| (one.worker.index, one.version, mask(&engine, one.ticket));
    let told: Vec<_> = placed.iter().map(told).collect();
    assert_eq!(told, [(0, 1, 1), (1, 1, 3), (0, 2, 1), (0, 3, 2)]);
    let granted = engine.granted(placed[2].ticket).unwrap();
    assert_eq!((granted.milli, granted.memory), (500, 1_024));
    assert_eq!(free(&engine, "a"), [(0, 79_872), (0, 81_920)]);
    assert!(engine.audit().is_ok());
    for one in &placed {
        engine.release(one.ticket).unwrap();
    }
    assert_eq!(free(&engine, "a"), [(1_000, 81_920); 2]);
    assert_eq!(free(&engine, "b"), [(1_000, 81_920); 2]);
    assert!(engine.audit().is_ok());
}

#[test]
fn one_that_does_not_fit_leaves_all_as_it_was() {
    let engine = engine([node("a", 2), node("b", 1)]);
    let before = versions(&engine);
    // Each fits by itself.
    let needs = [DeviceNeed::part(600), DeviceNeed::part(600), DeviceNeed::whole(2)];
    let results = gang_of(&engine, &needs);
    let refused = results[2].unwrap_err();
    let ReserveError::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, Some(Dimension::Gpus)));
    assert_eq!(refusal.reasons.gpus, 2);
    assert_eq!(results[0], Err(ReserveError::Peer { index: 2 }));
    // One that could never be, and one that cannot be right.
    let never = gang_of(&engine, &[DeviceNeed::part(1), DeviceNeed::whole(3)]);
    assert_eq!(never[1].unwrap_err().verdict(), Some(Verdict::Never));
    let wrong = gang_of(&engine, &[DeviceNeed::part(1), DeviceNeed::part(1_001)]);
    let over = DeviceError::OverWhole { given: 1_001 };
    assert_eq!(wrong, [Err(ReserveError::Peer { index: 1 }), Err(over.into())]);
    assert_eq!(versions(&engine), before);
    assert_eq!(engine.reservation_count(), 0);
    assert!(engine.audit().is_ok());
}

/// Members that ask for devices, for numbers of GPUs, and for neither; by every policy.
#[test]
fn a_gang_is_placed_as_its_members_one_by_one() {
    let mut random = random();
    let counted = |id: &str| WorkerSpec::new(id, ROOM.gpus(4)).gpu_type("H100");
    let all =
        || [node("a", 1), counted("b"), node("c", 4), node("d", 2), counted("e"), node("f", 6)];
    let (mut whole, mut refused, mut shared) = (0, 0, 0);
    for _ in 0..60 {
        let (one, other) = (engine(all()), engine(all()));
        let mut held = Vec::new();
        for _ in 0..12 {
            let drawn = draw(&mut random, &UNLEARNED);
            let terms = terms_of(&drawn);
            let requests = requests_of(&drawn, &terms);
            let together = gang(&one, &requests);
            let singly: Results = requests.iter().map(|request| other.reserve(request)).collect();
            match singly.iter().position(Result::is_err) {
                None => {
                    whole += 1;
                    for (a, b) in together.iter().zip(&singly) {
                        let (a, b) = (a.unwrap(), b.unwrap());
                        assert_eq!(a.worker, b.worker);
                        assert_eq!(one.granted(a.ticket), other.granted(b.ticket));
                        shared += (a.version > 1) as u32;
                        held.push((a.ticket, b.ticket));
                    }
                }
                Some(first) => {
                    refused += 1;
                    assert_eq!(together[first], singly[first]);
                    singly.iter().flatten().for_each(|made| {
                        other.release(made.ticket).unwrap();
                    });
                }
            }
            while !held.is_empty() && random(3) == 0 {
                let (a, b) = held.swap_remove(random(held.len() as u64) as usize);
                one.release(a).unwrap();
                other.release(b).unwrap();
            }
            for id in ["a", "c", "d", "f"] {
                assert_eq!(free(&one, id), free(&other, id));
            }
            assert!(one.audit().is_ok());
        }
    }
    assert!(whole > 100 && refused > 100 && shared > 100, "{whole} {refused} {shared}");
}

#[test]
fn terms_of_members_count_devices() {
    let engine = engine([node("a", 2), node("b", 2)]);
    let account = engine.account("acme").unwrap();
    engine.set_quota(account, Quota { gpus: Some(3), ..Quota::default() }).unwrap();
    let group = engine.spread_group("job", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let terms = Terms::new().account(account).hold_until(10);
    let part = terms.devices(DeviceNeed::part(500));
    let apart = part.limits(&limits);
    let request = |id: &'static [u8], terms| Request::new(id, NEED).terms(terms);
    // On a worker each, since they are of one group.
    let requests = [request(b"1", &apart), request(b"2", &apart), request(b"3", &part)];
    let mut results = Vec::new();
    let mode = BatchMode::AllOrNothing;
    assert!(engine.reserve_batch_once(b"job", &requests, mode, &mut results).unwrap());
    let placed: Vec<Reservation> = results.iter().map(|one| one.unwrap()).collect();
    assert_ne!(placed[0].worker, placed[1].worker);
    assert!(placed.iter().all(|one| one.provisional));
    assert_eq!(engine.usage(account).unwrap().used.gpus, 3);
    // Once.
    assert!(!engine.reserve_batch_once(b"job", &requests, mode, &mut results).unwrap());
    assert_eq!(engine.reservation_count(), 3);
    // A third of the group has no worker, a fourth device no quota.
    let one_more = Terms::new().devices(DeviceNeed::part(1));
    let third = one_more.limits(&limits);
    let refused = gang(&engine, &[Request::anonymous(NEED).terms(&third)]);
    assert_eq!(refused[0].unwrap_err().verdict(), Some(Verdict::Busy));
    let fourth = one_more.account(account);
    let over = gang(&engine, &[Request::anonymous(NEED).terms(&fourth)])[0].unwrap_err();
    assert!(matches!(over, ReserveError::QuotaExceeded { dimension: Dimension::Gpus, .. }));
    assert_eq!(engine.usage(account).unwrap().used.gpus, 3);

    engine.confirm(placed[0].ticket).unwrap();
    assert_eq!(engine.tick(10).unwrap().expired.len(), 2);
    assert_eq!(engine.usage(account).unwrap().used.gpus, 1);
    assert!(engine.audit().is_ok());
    engine.release(placed[0].ticket).unwrap();
    for id in ["a", "b"] {
        assert_eq!(free(&engine, id), [(1_000, 81_920); 2]);
    }
    // A member whose id is held keeps what it has; the others are placed.
    let held = engine.reserve(&request(b"1", &one_more)).unwrap();
    let results = gang(&engine, &[request(b"1", &one_more), request(b"2", &one_more)]);
    assert_eq!(results[0].map(|one| (one.ticket, one.existing)), Ok((held.ticket, true)));
    assert_eq!(mask(&engine, results[1].unwrap().ticket), 1);
    assert!(engine.audit().is_ok());
    let any = engine.reserve(&request(b"4", &one_more).selector(Selector::ANY)).unwrap();
    assert!(engine.granted(any.ticket).is_some());
}

/// There is room for each gang at every instant, though not always on the same devices.
#[test]
fn a_gang_that_always_fits_is_placed() {
    let rounds = std::env::var("SLOTWISE_STRESS_OPS").map_or(100_000, |ops| ops.parse().unwrap());
    // Two threads have a device each, two gangs halves of three: of six, one is free at any time.
    let engine = engine([node("n", 6)]);
    let stop = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                let whole = Terms::new().devices(DeviceNeed::whole(1));
                while stop.load(Ordering::Relaxed) == 0 {
                    let request = Request::anonymous(NEED).terms(&whole);
                    if let Ok(one) = engine.reserve(&request) {
                        engine.release(one.ticket).expect("it is mine");
                    }
                }
            });
        }
        let gangs: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..rounds / 20 {
                        let needs = [DeviceNeed::part(500); 3];
                        for one in gang_of(&engine, &needs) {
                            let one = one.expect("there is room all the while");
                            engine.release(one.ticket).expect("it is mine");
                        }
                    }
                })
            })
            .collect();
        gangs.into_iter().for_each(|gang| gang.join().expect("it is placed"));
        stop.store(1, Ordering::Relaxed);
    });
    let audit = engine.audit();
    assert!(audit.is_ok() && audit.unsettled == 0, "{audit:?}");
    assert_eq!(free(&engine, "n"), [(1_000, 81_920); 6]);
}
