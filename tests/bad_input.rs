//! Every size, name and combination that cannot be right is refused with an error that says what
//! was wrong, and nothing changes.

mod common;

use common::*;
use slotwise::{
    BatchMode, Config, ConfigError, Constraints, Dimension, Engine, Group, GroupError, GroupOp,
    MAX_ID_LEN, MAX_LIST_LEN, MAX_NAME_LEN, ReleaseError, Request, ReserveError, ResizeError,
    Resources, Selector, SelectorError, Ticket, Verdict, WorkerError, WorkerSpec, WorkerUpdate,
};

/// `MAX` with one more in one dimension, and what is to be said of it.
fn over_the_limit() -> [(Resources, Dimension, u64); 3] {
    let max = Resources::MAX;
    [
        (Resources { cpu: max.cpu + 1, ..max }, Dimension::Cpu, max.cpu),
        (Resources { memory: u64::MAX, ..max }, Dimension::Memory, max.memory),
        (Resources { gpus: max.gpus + 1, ..max }, Dimension::Gpus, max.gpus),
    ]
}

/// An engine with a worker `a` on which `held` holds 400, 400.
fn busy_engine() -> Audited {
    let e = engine([w("a", 1000, 1000)]);
    e.reserve(&Request::new(b"held", r(400, 400))).unwrap();
    e
}

#[test]
fn config_limits() {
    type Set = fn(&mut Config, usize);
    let set: [(&str, usize, Set); 4] = [
        ("max_workers", 1 << 24, |c, n| c.max_workers = n),
        ("max_reservations", 1 << 27, |c, n| c.max_reservations = n),
        ("max_selectors", 1 << 20, |c, n| c.max_selectors = n),
        ("max_batches", 1 << 20, |c, n| c.max_batches = n),
    ];
    for (field, limit, set) in set {
        for given in [0, limit + 1, usize::MAX] {
            let mut config = small();
            set(&mut config, given);
            let error = Engine::new(config).err();
            assert_eq!(error, Some(ConfigError { field, given, limit }));
        }
    }
}

#[test]
fn worker_over_a_fields_limit() {
    let e = busy_engine();
    for (total, dimension, limit) in over_the_limit() {
        let expected = WorkerError::TooLarge { dimension, given: total.get(dimension), limit };
        e.unchanged(|e| {
            assert_eq!(e.add_worker(WorkerSpec::new("b", total)), Err(expected));
            let update = WorkerUpdate::new().total(total);
            assert_eq!(e.update_worker(b"a", update), Err(expected));
        });
    }
    // The limit itself is one that a worker can have, and a request can take, without rounding.
    e.add_worker(WorkerSpec::new("max", Resources::MAX)).unwrap();
    let placed = e.reserve(&Request::new(b"all", Resources::MAX)).unwrap();
    assert_eq!(e.see("max").free, free(0, 0, 0));
    assert_eq!(e.release(placed.ticket).unwrap().amount, Resources::MAX);
    assert_eq!(e.see("max").free, Resources::MAX.into());
}

#[test]
fn worker_ids() {
    let e = busy_engine();
    for length in [0, MAX_ID_LEN + 1, 10_000] {
        e.unchanged(|e| {
            let spec = WorkerSpec::new(vec![b'x'; length], r(1, 1));
            assert_eq!(e.add_worker(spec), Err(WorkerError::IdLength { length }));
        });
    }
    // Any bytes will do, and as many as are allowed.
    let longest = vec![0xFF; MAX_ID_LEN];
    e.add_worker(WorkerSpec::new(longest.clone(), r(1, 1))).unwrap();
    assert_eq!(*e.worker(&longest).unwrap().id, longest);
}

#[test]
fn worker_names() {
    let e = busy_engine();
    let long = || vec![b'x'; MAX_NAME_LEN + 1];
    let length = MAX_NAME_LEN + 1;
    let b = || w("b", 1, 1);
    let update = WorkerUpdate::new;
    let refused = |length, spec: Option<WorkerSpec>, update: Option<WorkerUpdate>| {
        e.unchanged(|e| {
            let added = spec.map(|spec| e.add_worker(spec).unwrap_err());
            let updated = update.map(|update| e.update_worker(b"a", update).unwrap_err());
            for error in added.into_iter().chain(updated) {
                let WorkerError::NameLength { length: told, .. } = error else {
                    panic!("{error:?}")
                };
                assert_eq!(told, length);
            }
        });
    };
    let a_gpu = WorkerSpec::new("b", r(1, 1).gpus(1));
    refused(length, Some(a_gpu.gpu_type(long())), None);
    refused(length, Some(b().pool(long())), Some(update().pool(long())));
    refused(length, Some(b().tenant(long())), Some(update().tenant(Some(long().into()))));
    refused(length, Some(b().machine(long())), Some(update().machine(Some(long().into()))));
    refused(length, Some(b().label(long(), "v")), Some(update().labels([(long(), "v")])));
    refused(length, Some(b().label("k", long())), Some(update().labels([("k", long())])));
    refused(0, Some(b().tenant("")), Some(update().tenant(Some("".into()))));
    refused(0, Some(b().machine("")), Some(update().machine(Some("".into()))));
    refused(0, Some(b().label("", "v")), Some(update().labels([("", "v")])));

    let longest = vec![b'x'; MAX_NAME_LEN];
    e.add_worker(b().pool(longest.clone()).label(longest.clone(), longest.clone())).unwrap();
    assert_eq!(e.workers_in_pool(&longest).len(), 1);
}

#[test]
fn worker_combinations() {
    let e = busy_engine();
    let aside = |dimension| Err(WorkerError::SetAsideOverTotal { dimension });
    e.unchanged(|e| {
        let b = |amount| e.add_worker(w("b", 100, 100).set_aside(amount)).map(drop);
        assert_eq!(b(r(101, 100)), aside(Dimension::Cpu));
        assert_eq!(b(r(100, 101)), aside(Dimension::Memory));
        assert_eq!(b(r(100, 100).gpus(1)), aside(Dimension::Gpus));
        let without = w("b", 100, 100).gpu_type("T4");
        assert_eq!(e.add_worker(without), Err(WorkerError::GpuTypeWithoutGpu));

        let a = |update| e.update_worker(b"a", update).map(drop);
        let update = WorkerUpdate::new;
        assert_eq!(a(update().set_aside(r(1, 1001))), aside(Dimension::Memory));
        assert_eq!(a(update().total(r(99, 1000)).set_aside(r(100, 0))), aside(Dimension::Cpu));
        assert_eq!(a(update().gpu_type("T4")), Err(WorkerError::GpuTypeWithoutGpu));
    });
    // What is set aside counts against a total that is lowered afterwards, and a type stays.
    e.add_worker(gpu("g", 100, 100, "T4", 1).set_aside(r(50, 0))).unwrap();
    e.unchanged(|e| {
        let g = |total| e.update_worker(b"g", WorkerUpdate::new().total(total)).map(drop);
        assert_eq!(g(r(49, 100).gpus(1)), aside(Dimension::Cpu));
        assert_eq!(g(r(100, 100)), Err(WorkerError::GpuTypeWithoutGpu));
    });
}

#[test]
fn duplicate_worker() {
    let e = busy_engine();
    let duplicate = Err(WorkerError::Duplicate);
    assert_eq!(e.unchanged(|e| e.add_worker(w("a", 2000, 2000))), duplicate);
    // Among many, only those that are wrong are refused.
    let answers = e.add_workers(["b", "a", "b", "", "c"].map(|id| w(id, 1, 1)));
    assert!(answers[0].is_ok() && answers[4].is_ok(), "{answers:?}");
    assert_eq!(answers[1..3], [duplicate, duplicate]);
    assert_eq!(answers[3], Err(WorkerError::IdLength { length: 0 }));
    assert_eq!(e.worker_count(), 3);
}

#[test]
fn unknown_worker() {
    let e = busy_engine();
    let long = vec![b'x'; MAX_ID_LEN + 1];
    e.unchanged(|e| {
        for id in [&b"nobody"[..], b"", b"a\0", &long] {
            let update = WorkerUpdate::new().priority(1);
            let answers = [
                e.update_worker(id, update).map(drop),
                e.remove_worker(id).map(drop),
                e.ready(id).map(drop),
                e.unready(id).map(drop),
                e.cordon(id).map(drop),
                e.uncordon(id).map(drop),
                e.drain(id).map(drop),
            ];
            assert_eq!(answers, [Err(WorkerError::Unknown); 7]);
            assert_eq!(e.worker(id), None);
            let ops = [GroupOp::Reserve { id: b"1", need: r(1, 1) }];
            let unknown = GroupError::Reserve(ReserveError::UnknownWorker);
            assert_eq!(e.apply_groups(&[Group { worker: id, ops: &ops }]), [[Err(unknown)]]);
        }
        assert!(e.workers_in_pool(b"nobody's").is_empty());
        assert!(e.workers_on_machine(&long).is_empty());
    });
}

#[test]
fn stale_worker_reference() {
    let e = busy_engine();
    let old = e.see("a").worker;
    let mut beyond = old;
    beyond.index = u32::MAX;
    e.remove_worker(b"a").unwrap();
    let request = Request::new(b"1", r(1, 1));
    let refuses_both = |e: &Engine| {
        for (worker, version) in [(old, None), (old, Some(0)), (beyond, None)] {
            let answer = e.reserve_on(worker, &request, version);
            assert_eq!(answer, Err(ReserveError::UnknownWorker));
            assert_eq!(e.worker_by_ref(worker), None);
        }
    };
    e.unchanged(refuses_both);
    e.add_worker(w("a", 1000, 1000)).unwrap();
    e.unchanged(refuses_both);
}

#[test]
fn request_sizes() {
    let e = busy_engine();
    let worker = e.see("a").worker;
    let all_ways = |request: Request<'_>, expected: ReserveError| {
        e.unchanged(|e| {
            assert_eq!(e.reserve(&request), Err(expected));
            assert_eq!(e.reserve_on(worker, &request, None), Err(expected));
            let mut results = vec![];
            for mode in [BatchMode::Independent, BatchMode::AllOrNothing] {
                e.reserve_batch(&[request], mode, &mut results);
                assert_eq!(results, [Err(expected)]);
            }
            let ops = [GroupOp::Reserve { id: request.id, need: request.need }];
            let answers = e.apply_groups(&[Group { worker: b"a", ops: &ops }]);
            assert_eq!(answers, [[Err(GroupError::Reserve(expected))]]);
        });
    };
    for (need, dimension, limit) in over_the_limit() {
        let given = need.get(dimension);
        let expected = ReserveError::TooLarge { dimension, given, limit };
        all_ways(Request::new(b"1", need), expected);
    }
    all_ways(Request::new(b"1", Resources::ZERO), ReserveError::Empty);
    for length in [MAX_ID_LEN + 1, 10_000] {
        let id = vec![b'x'; length];
        all_ways(Request::new(&id, r(1, 1)), ReserveError::IdLength { length });
    }
    // An id of any bytes, as long as may be.
    let longest = [0x80; MAX_ID_LEN];
    let placed = e.reserve(&Request::new(&longest, r(1, 1))).unwrap();
    assert_eq!(e.reservation(&longest).unwrap().ticket, placed.ticket);
    e.release_id(&longest).unwrap();
}

#[test]
fn duplicate_id_in_an_independent_batch() {
    let e = busy_engine();
    let ids: [&[u8]; 5] = [b"1", b"2", b"1", b"", b""];
    let mut results = vec![];
    let requests = ids.map(|id| Request::new(id, r(10, 10)));
    e.reserve_batch(&requests, BatchMode::Independent, &mut results);
    assert_eq!(results[2], Err(ReserveError::DuplicateId));
    // The first stands; and requests without an id are never duplicates.
    for k in [0, 1, 3, 4] {
        assert!(results[k].is_ok(), "{results:?}");
    }
    assert_eq!(e.reservation(b"1").unwrap().ticket, results[0].unwrap().ticket);
    assert_eq!(e.see("a").free, free(560, 560, 0));
}

#[test]
fn one_wrong_request_refuses_a_gang() {
    let e = busy_engine();
    let good = |id| Request::new(id, r(10, 10));
    let long = [b'x'; MAX_ID_LEN + 1];
    let wrong = [
        (good(b"1"), ReserveError::DuplicateId),
        (Request::new(b"3", Resources::ZERO), ReserveError::Empty),
        (good(&long), ReserveError::IdLength { length: long.len() }),
    ];
    let mut results = vec![];
    for (request, expected) in wrong {
        let gang = [good(b"1"), good(b"2"), request, good(b"4")];
        e.unchanged(|e| e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results));
        let peer = Err(ReserveError::Peer { index: 2 });
        assert_eq!(results, [peer, peer, Err(expected), peer]);
    }
}

#[test]
fn empty_batches() {
    let e = busy_engine();
    let (mut results, mut released) = (vec![Err(ReserveError::Empty)], vec![]);
    e.unchanged(|e| {
        for mode in [BatchMode::Independent, BatchMode::AllOrNothing] {
            results.push(Err(ReserveError::Empty));
            e.reserve_batch(&[], mode, &mut results);
            assert!(results.is_empty());
        }
        e.release_batch(&[], &mut released);
        assert!(released.is_empty() && e.apply_groups(&[]).is_empty());
        assert_eq!(e.apply_groups(&[Group { worker: b"a", ops: &[] }]), [[]]);
    });
}

#[test]
fn batch_ids() {
    let e = busy_engine();
    let requests = [Request::new(b"1", r(1, 1))];
    let mut results = vec![];
    for length in [0, MAX_ID_LEN + 1] {
        let id = vec![b'x'; length];
        let mode = BatchMode::Independent;
        let answer = e.unchanged(|e| e.reserve_batch_once(&id, &requests, mode, &mut results));
        assert_eq!(answer, Err(ReserveError::IdLength { length }));
    }
}

#[test]
fn foreign_selector() {
    let (e, other) = (busy_engine(), engine([]));
    let pool = |name: &str| Constraints::new().pool(name);
    let foreign = ["p", "q", "r"].map(|name| other.selector(&pool(name)).unwrap());
    let request = Request::new(b"1", r(1, 1)).selector(foreign[2]);
    e.unchanged(|e| {
        assert_eq!(e.reserve(&request), Err(ReserveError::UnknownSelector));
        let worker = e.workers()[0].worker;
        assert_eq!(e.reserve_on(worker, &request, None), Err(ReserveError::UnknownSelector));
    });
}

#[test]
fn constraints_that_cannot_be_compiled() {
    let e = busy_engine();
    let long = || vec![b'x'; MAX_NAME_LEN + 1];
    let c = Constraints::new;
    let too_long = [
        c().machine(long()),
        c().tenant(long()),
        c().pool("p").pool(long()),
        c().label(long(), "v"),
        c().label("k", long()),
        c().gpu_type(long()),
    ];
    let empty =
        [c().machine(""), c().tenant(""), c().pool(""), c().label("", "v"), c().gpu_type("")];
    let names = 0..=MAX_LIST_LEN;
    let too_many = [
        names.clone().fold(c(), |c, k| c.pool(format!("{k}"))),
        names.clone().fold(c(), |c, k| c.gpu_type(format!("{k}"))),
        names.clone().fold(c(), |c, k| c.label(format!("{k}"), "v")),
        c().label_in("k", names.map(|k| format!("{k}"))),
    ];
    let no_value = [c().label_in::<&str>("k", [])];

    let refused = |constraints: &Constraints| {
        let error = e.selector(constraints).unwrap_err();
        let request = Request::new(b"1", r(1, 1)).constraints(constraints);
        assert_eq!(e.reserve(&request), Err(ReserveError::Constraints(error)));
        error
    };
    e.unchanged(|_| {
        let lengths = |error| match error {
            SelectorError::NameLength { length, .. } => (length, 0),
            SelectorError::ListLength { length, .. } => (0, length),
            other => panic!("{other:?}"),
        };
        for (wrong, expected) in [
            (&too_long[..], (MAX_NAME_LEN + 1, 0)),
            (&empty, (0, 0)),
            (&too_many, (0, MAX_LIST_LEN + 1)),
            (&no_value, (0, 0)),
        ] {
            for constraints in wrong {
                assert_eq!(lengths(refused(constraints)), expected, "{constraints:?}");
            }
        }
        assert!(empty.iter().all(|c| matches!(refused(c), SelectorError::NameLength { .. })));
        assert!(matches!(refused(&no_value[0]), SelectorError::ListLength { .. }));
    });
}

#[test]
fn too_many_selectors() {
    let limit = 3;
    let e = Audited::new(Config { max_selectors: limit, ..small() }, [w("a", 1, 1)]);
    let pools: Vec<_> = (0..=limit).map(|k| Constraints::new().pool(format!("{k}"))).collect();
    let compiled: Vec<Selector> = pools.iter().map_while(|c| e.selector(c).ok()).collect();
    assert!(!compiled.is_empty() && compiled.len() <= limit, "{compiled:?}");

    let (last, full) = (pools.last().unwrap(), SelectorError::TooMany { limit });
    assert_eq!(e.selector(last), Err(full));
    let request = Request::new(b"1", r(1, 1)).constraints(last);
    assert_eq!(e.unchanged(|e| e.reserve(&request)), Err(ReserveError::Constraints(full)));
    // What is compiled stays, under the same handle.
    for (constraints, selector) in pools.iter().zip(compiled) {
        assert_eq!(e.selector(constraints), Ok(selector));
    }
    assert_eq!(e.selector(&Constraints::new()), Ok(Selector::ANY));
}

#[test]
fn capacity_lowered_under_what_is_held() {
    let e = busy_engine();
    let held = e.reservation(b"held").unwrap();
    let info = e.update_worker(b"a", WorkerUpdate::new().total(r(300, 1000))).unwrap();
    assert_eq!((info.free, info.over_committed()), (free(-100, 600, 0), r(100, 0)));
    assert_eq!((info.held(), e.audit().over_committed), (r(400, 400), 1));

    let request = Request::new(b"1", r(1, 1));
    let worker = info.worker;
    e.unchanged_but_counted(|e| {
        assert_eq!(refused(e.reserve(&request)), Verdict::Busy);
        assert_eq!(refused(e.reserve_on(worker, &request, None)), Verdict::Busy);
    });
    // Repaid.
    e.release(held.ticket).unwrap();
    assert_eq!((e.see("a").free, e.audit().over_committed), (free(300, 1000, 0), 0));
    e.reserve(&request).unwrap();
}

#[test]
fn full_ledger() {
    let limit = 4;
    let e = Audited::new(Config { max_reservations: limit, ..small() }, [w("a", 1000, 1000)]);
    let request = |k: usize| Request::anonymous(r(1, 1)).hash(k as u64);
    let held: Vec<_> = (0..limit).map(|k| e.reserve(&request(k)).unwrap()).collect();
    let full = Err(ReserveError::LedgerFull { limit });
    let worker = e.see("a").worker;
    e.unchanged_but_counted(|e| {
        assert_eq!(e.reserve(&request(0)), full);
        assert_eq!(e.reserve(&Request::new(b"1", r(1, 1))), full);
        assert_eq!(e.reserve_on(worker, &request(0), None), full);
        let mut results = vec![];
        e.reserve_batch(&[request(0)], BatchMode::AllOrNothing, &mut results);
        assert_eq!(results, [full]);
    });
    e.release(held[2].ticket).unwrap();
    let again = e.reserve(&Request::new(b"1", r(1, 1))).unwrap();
    assert!(held.iter().all(|old| old.ticket != again.ticket));
    assert_eq!(e.reserve(&request(0)), full);
    assert_eq!(e.reservation_count(), limit);
}

#[test]
fn full_table() {
    let limit = 3;
    let config = Config { max_workers: limit, ..small() };
    let e = Audited::new(config, ["a", "b", "c"].map(|id| w(id, 10, 10)));
    let full = Err(WorkerError::TableFull { limit });
    e.unchanged(|e| {
        assert_eq!(e.add_worker(w("d", 10, 10)), full);
        assert_eq!(e.add_workers([w("d", 10, 10), w("e", 10, 10)]), [full, full]);
    });
    // A place that is given up can be taken, again and again.
    for round in 0..10 {
        e.remove_worker(b"b").unwrap();
        let again = e.add_worker(w("b", 10, 10)).unwrap();
        assert!((again.index as usize) < limit, "round {round}: {again}");
        assert_eq!(e.add_worker(w("d", 10, 10)), full);
    }
}

#[test]
fn tickets_that_were_never_given_out() {
    let e = busy_engine();
    let mine = e.reservation(b"held").unwrap().ticket.to_bits();
    e.unchanged(|e| {
        for bits in (0..64).map(|k| mine ^ (1 << k)).chain([0, u64::MAX, mine + 1]) {
            let ticket = Ticket::from_bits(bits);
            assert_eq!(e.release(ticket), Err(ReleaseError::NotHeld), "{ticket:?}");
        }
    });
    assert_eq!(Ticket::from_bits(mine), e.reservation(b"held").unwrap().ticket);
}

#[test]
fn release_twice_or_of_nothing() {
    let e = busy_engine();
    let ticket = e.reservation(b"held").unwrap().ticket;
    let long = vec![b'x'; MAX_ID_LEN + 1];
    let nothing = Err(ReleaseError::NotHeld);
    e.unchanged(|e| {
        for id in [&b"nobody"[..], b"", &long] {
            assert_eq!(e.release_id(id), nothing);
            assert_eq!(e.reservation(id), None);
        }
    });
    // Twice in one group is a fault of the second step; twice in one batch counts once.
    let ops = [GroupOp::Release(ticket), GroupOp::Release(ticket)];
    let answers = e.unchanged(|e| e.apply_groups(&[Group { worker: b"a", ops: &ops }]));
    let peer = ReleaseError::Peer { index: 1 };
    assert_eq!(answers, [[peer, ReleaseError::NotHeld].map(|e| Err(GroupError::Release(e)))]);
    let mut results = vec![];
    e.release_batch(&[ticket, ticket], &mut results);
    assert_eq!((results[0].map(|done| done.amount), results[1]), (Ok(r(400, 400)), nothing));
    e.unchanged(|e| {
        assert_eq!(e.release(ticket), nothing);
        assert_eq!(e.release_id(b"held"), nothing);
        e.release_batch(&[ticket], &mut results);
        assert_eq!(results, [nothing]);
    });
    assert_eq!(e.see("a").version, 2);
}

#[test]
fn release_on_another_worker() {
    let e = busy_engine();
    e.add_worker(w("b", 1000, 1000)).unwrap();
    let ticket = e.reservation(b"held").unwrap().ticket;
    for op in [GroupOp::Release(ticket), GroupOp::ReleaseId(b"held")] {
        let answers = e.unchanged(|e| e.apply_groups(&[Group { worker: b"b", ops: &[op] }]));
        assert_eq!(answers, [[Err(GroupError::Release(ReleaseError::OtherWorker))]]);
    }
}

#[test]
fn resize_sizes() {
    let e = busy_engine();
    let ticket = e.reservation(b"held").unwrap().ticket;
    e.unchanged(|e| {
        for (need, dimension, limit) in over_the_limit() {
            let error = ResizeError::TooLarge { dimension, given: need.get(dimension), limit };
            assert_eq!(e.resize(ticket, need), Err(error));
            assert_eq!(e.resize_id(b"held", need), Err(error));
        }
        assert_eq!(e.resize(ticket, Resources::ZERO), Err(ResizeError::Empty));
        // The limit itself is a size like any other: there is only no such worker here.
        let max = Resources::MAX;
        let missing = Resources { cpu: max.cpu - 1000, memory: max.memory - 1000, gpus: max.gpus };
        assert_eq!(e.resize(ticket, max), Err(ResizeError::Short { missing }));
    });
}

#[test]
fn resize_of_nothing() {
    let e = busy_engine();
    let ticket = e.reservation(b"held").unwrap().ticket;
    let long = vec![b'x'; MAX_ID_LEN + 1];
    let nothing = Err(ResizeError::NotHeld);
    e.unchanged(|e| {
        for id in [&b"nobody"[..], b"", &long] {
            assert_eq!(e.resize_id(id, r(1, 1)), nothing);
        }
        let mine = ticket.to_bits();
        for bits in (0..64).map(|k| mine ^ (1 << k)).chain([0, u64::MAX, mine + 1]) {
            assert_eq!(e.resize(Ticket::from_bits(bits), r(1, 1)), nothing);
        }
    });
    // Released, or lost with its worker, and the worker registered again.
    e.release(ticket).unwrap();
    assert_eq!(e.unchanged(|e| e.resize(ticket, r(1, 1))), nothing);
    let lost = e.reserve(&Request::new(b"lost", r(400, 400))).unwrap().ticket;
    e.remove_worker(b"a").unwrap();
    e.add_worker(w("a", 1000, 1000)).unwrap();
    assert_eq!(e.unchanged(|e| e.resize(lost, r(1, 1))), nothing);
    assert_eq!(e.unchanged(|e| e.resize_id(b"lost", r(1, 1))), nothing);
}

#[test]
fn dry_runs() {
    let e = busy_engine();
    let other = engine([]);
    let selector = other.selector(&Constraints::new().pool("other")).unwrap();
    let long = vec![b'x'; MAX_ID_LEN + 1];
    let (over, dimension, limit) = over_the_limit()[0];
    let ok = Request::new(b"1", r(1, 1));
    let requests = [
        Request::new(b"1", over),
        Request::new(&long, r(1, 1)),
        Request::anonymous(Resources::ZERO),
        Request::new(b"1", r(1, 1)),
        Request::new(b"2", r(1, 1)).selector(selector),
        Request::new(b"3", r(1, 1)),
        Request::new(b"3", r(1, 1)),
        Request::new(b"held", r(1, 1)),
        Request::new(b"held", r(1, 1)),
    ];
    let unknown = [Ticket::from_bits(0), Ticket::from_bits(u64::MAX)];
    for mode in [BatchMode::Independent, BatchMode::AllOrNothing] {
        let (mut foreseen, mut done) = (vec![], vec![]);
        e.unchanged(|e| e.dry_run(&requests, &unknown, mode, &mut foreseen));
        assert_eq!(foreseen[0], Err(ReserveError::TooLarge { dimension, given: over.cpu, limit }));
        assert_eq!(foreseen[1], Err(ReserveError::IdLength { length: long.len() }));
        assert_eq!(foreseen[2], Err(ReserveError::Empty));
        assert_eq!(foreseen[4], Err(ReserveError::UnknownSelector));
        for twice in [6, 8] {
            assert_eq!(foreseen[twice], Err(ReserveError::DuplicateId));
        }
        // Just as the batch itself.
        let again = Audited::new(small(), [w("a", 1000, 1000)]);
        again.reserve(&Request::new(b"held", r(400, 400))).unwrap();
        again.reserve_batch(&requests, mode, &mut done);
        for (k, (foreseen, done)) in foreseen.iter().zip(&done).enumerate() {
            assert_eq!(foreseen.err(), done.err(), "{k}");
        }
        // And nothing at all.
        e.unchanged(|e| e.dry_run(&[], &unknown, mode, &mut foreseen));
        assert!(foreseen.is_empty());
        e.unchanged(|e| e.dry_run(&[ok, ok], &[], mode, &mut foreseen));
        assert_eq!(foreseen[1], Err(ReserveError::DuplicateId));
    }
}
