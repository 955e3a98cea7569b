//! Unmet demand: what counts, what it takes to serve it, and that noting it delays nobody.

use std::sync::mpsc::channel;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::placement::{Resources, least_workers};
use crate::registry::{WorkerError, WorkerSpec};
use crate::sync::{Stop, parking::park_at};

fn engine(max_unmet: usize) -> Engine {
    Engine::new(Config { max_unmet, ..Config::default() }).unwrap()
}

fn r(cpu: u64, memory: u64) -> Resources {
    Resources::new(cpu, memory)
}

fn shape(cpu: u64, memory: u64) -> WorkerSpec {
    WorkerSpec::new("", r(cpu, memory))
}

fn refuse(engine: &Engine, id: &[u8], need: Resources) {
    assert!(engine.reserve(&Request::new(id, need)).unwrap_err().verdict().is_some());
}

/// Requests, joining, packed, workers, unservable of the one selector that there is demand for.
fn only(demand: &[Demand]) -> [u32; 5] {
    let [d] = demand else { panic!("one selector, not {demand:?}") };
    [d.requests, d.joining, d.packed, d.workers, d.unservable]
}

#[test]
fn burst_starts_as_many_workers_as_it_needs_and_once() {
    let e = engine(4096);
    let ids: Vec<String> = (0..10).map(|k| format!("r{k}")).collect();
    // Again and again, as callers do.
    for _ in 0..3 {
        ids.iter().for_each(|id| refuse(&e, id.as_bytes(), r(300, 100)));
    }
    let ask = || e.unmet_demand(&shape(1000, 1000), 0).unwrap();
    assert_eq!(only(&ask()), [10, 0, 10, 4, 0]);
    assert_eq!(ask()[0].need, r(3000, 1000));
    for k in 0..4 {
        let spec = WorkerSpec::new(format!("w{k}"), r(1000, 1000)).pending(true);
        e.add_worker(spec).unwrap();
        assert_eq!(only(&ask())[3], 3 - k);
    }
    assert_eq!(only(&ask()), [10, 10, 0, 0, 0]);
    // Another one comes meanwhile: there is room for two more of its size.
    refuse(&e, b"late", r(400, 100));
    assert_eq!(only(&ask()), [11, 11, 0, 0, 0]);
    // A machine that never comes is needed once more.
    e.remove_worker(b"w3").unwrap();
    assert_eq!(only(&ask()), [11, 9, 2, 1, 0]);

    (0..3).for_each(|k| drop(e.ready(format!("w{k}").as_bytes()).unwrap()));
    for id in &ids[..8] {
        e.reserve(&Request::new(id.as_bytes(), r(300, 100))).unwrap();
    }
    assert_eq!(only(&ask())[0], 3);
    // What was served does not come back when it is given back.
    for id in &ids[..8] {
        e.release_id(id.as_bytes()).unwrap();
    }
    assert_eq!(only(&ask()), [3, 3, 0, 0, 0]);
    assert!(e.forget_unmet(b"late") && !e.forget_unmet(b"late") && !e.forget_unmet(b""));
    assert_eq!(only(&ask())[0], 2);
}

#[test]
fn what_counts_was_refused_since_then() {
    let e = engine(4096);
    for (now, id) in [(10, b"a"), (20, b"b"), (30, b"c")] {
        e.tick(now).unwrap();
        refuse(&e, id, r(1, 1));
    }
    let since = |since| e.unmet_demand(&shape(10, 10), since).unwrap();
    assert_eq!([0, 10, 11, 30].map(|t| only(&since(t))[0]), [3, 3, 2, 1]);
    assert_eq!(since(31), []);
    // The last refusal counts, with what was asked for then.
    e.tick(40).unwrap();
    refuse(&e, b"a", r(9, 9));
    assert_eq!(only(&since(31)), [1, 0, 1, 1, 0]);
    assert_eq!(since(31)[0].need, r(9, 9));
    // Each anonymous one is one more.
    (0..3).for_each(|_| refuse(&e, b"", r(1, 1)));
    assert_eq!(only(&since(0))[0], 6);
}

#[test]
fn shape_serves_whom_a_worker_like_it_would_serve() {
    let e = engine(4096);
    let select = |c: &Constraints| e.selector(c).unwrap();
    let (p, q) = (Constraints::new().pool("p"), Constraints::new().pool("q").pool("p"));
    for (id, c) in [(b"1", &p), (b"2", &p), (b"3", &q)] {
        e.reserve(&Request::new(id, r(300, 1)).constraints(c)).unwrap_err();
    }
    let t4 = Constraints::new().pool("p").gpu_type("T4");
    e.reserve(&Request::new(b"4", r(300, 1)).constraints(&t4)).unwrap_err();
    e.reserve(&Request::new(b"5", r(2000, 1)).constraints(&p)).unwrap_err();

    let told = |spec: &WorkerSpec| -> Vec<(Selector, [u32; 5])> {
        let demand = e.unmet_demand(spec, 0).unwrap();
        demand.iter().map(|d| (d.selector, only(&[*d]))).collect()
    };
    // One worker serves both pools' requests.
    let (p, q, t4) = (select(&p), select(&q), select(&t4));
    let plain = [(p, [3, 0, 2, 1, 1]), (q, [1, 0, 1, 0, 0]), (t4, [1, 0, 0, 0, 1])];
    assert_eq!(told(&shape(1000, 10).pool("p")), plain);
    let elsewhere = [(p, [3, 0, 0, 0, 3]), (q, [1, 0, 0, 0, 1]), (t4, [1, 0, 0, 0, 1])];
    assert_eq!(told(&shape(1000, 10)), elsewhere);
    // Naming a type means one of them.
    let gpu = WorkerSpec::new("", r(1000, 10).gpus(1)).gpu_type("T4").pool("p");
    assert_eq!(told(&gpu)[2], (t4, [1, 0, 1, 1, 0]));
    let aside = shape(1000, 10).pool("p").set_aside(r(500, 0));
    assert_eq!(told(&aside)[..2], [(p, [3, 0, 2, 2, 1]), (q, [1, 0, 1, 1, 0])]);
}

#[test]
fn refused_gang_is_unmet_as_a_whole() {
    let e = engine(4096);
    e.add_worker(WorkerSpec::new("w", r(1000, 1000))).unwrap();
    let gang = [b"1", b"2", b"3"].map(|id| Request::new(id, r(600, 1)));
    let mut results = Vec::new();
    e.dry_run(&gang, &[], BatchMode::AllOrNothing, &mut Vec::new());
    assert_eq!(e.unmet_demand(&shape(600, 1), 0).unwrap(), []);
    e.reserve_batch(&gang, BatchMode::AllOrNothing, &mut results);
    assert_eq!(only(&e.unmet_demand(&shape(600, 1), 0).unwrap()), [3, 1, 2, 2, 0]);
}

#[test]
fn what_is_wrong_or_named_is_no_demand() {
    let e = engine(4096);
    let worker = e.add_worker(WorkerSpec::new("w", r(10, 10))).unwrap();
    e.reserve_on(worker, &Request::new(b"1", r(11, 1)), None).unwrap_err();
    e.reserve(&Request::new(b"2", r(0, 0))).unwrap_err();
    e.explain(&Request::new(b"3", r(11, 1)), false).unwrap();
    assert_eq!(e.unmet_demand(&shape(1, 1), 0).unwrap(), []);
    let wrong = e.unmet_demand(&shape(1, 1).set_aside(r(2, 0)), 0);
    assert!(matches!(wrong, Err(WorkerError::SetAsideOverTotal { .. })));

    let off = engine(0);
    refuse(&off, b"1", r(1, 1));
    assert_eq!(off.unmet_demand(&shape(1, 1), 0).unwrap(), []);
    assert!(!off.forget_unmet(b"1"));
    let over = Config { max_unmet: (1 << 20) + 1, ..Config::default() };
    assert_eq!(Engine::new(over).unwrap_err().field, "max_unmet");
}

/// With room for two, one of them being written by a thread that does not go on.
#[test]
fn parked_writer_delays_nobody() {
    let e = engine(2);
    thread::scope(|scope| {
        let (parked, wait) = channel();
        let (let_go, go_on) = channel();
        let one = scope.spawn(|| {
            park_at(Stop::Noting, parked, go_on);
            refuse(&e, b"parked", r(1, 1));
        });
        wait.recv().unwrap();
        for id in [b"a", b"b", b"a"] {
            refuse(&e, id, r(1, 1));
            assert_eq!(only(&e.unmet_demand(&shape(1, 1), 0).unwrap())[0], 1);
        }
        refuse(&e, b"parked", r(1, 1));
        assert!(e.forget_unmet(b"parked"));
        assert_eq!(e.unmet_demand(&shape(1, 1), 0).unwrap(), []);
        let_go.send(()).unwrap();
        one.join().unwrap();
    });
    assert_eq!(only(&e.unmet_demand(&shape(1, 1), 0).unwrap())[0], 1);
}

fn amount() -> impl Strategy<Value = Resources> {
    (1u64..8, 1u64..8).prop_map(|(cpu, memory)| r(cpu, memory))
}

proptest! {
    /// Every request is counted once; the workers are enough, and no fewer than could do.
    #[test]
    fn as_many_workers_as_it_takes(
        needs in prop::collection::vec((amount(), 0u8..3), 0..60),
        size in amount(),
        there in prop::collection::vec(amount(), 0..4),
    ) {
        let e = engine(1 << 10);
        let full = e.add_workers(there.iter().enumerate().map(|(k, total)| {
            WorkerSpec::new(format!("full {k}"), *total)
        }));
        for (worker, total) in full.into_iter().zip(&there) {
            e.reserve_on(worker.unwrap(), &Request::anonymous(*total), None).unwrap();
        }
        let constraints = |k| match k {
            0 => Constraints::new(),
            1 => Constraints::new().pool("p"),
            _ => Constraints::new().pool("q"),
        };
        for (k, (need, which)) in needs.iter().enumerate() {
            let (id, c) = (k.to_string(), constraints(*which));
            e.reserve(&Request::new(id.as_bytes(), *need).constraints(&c)).unwrap_err();
        }
        let spec = |id: String| WorkerSpec::new(id, size).pool("p");
        let demand = e.unmet_demand(&spec(String::new()), 0).unwrap();
        let sum = |of: fn(&Demand) -> u32| demand.iter().map(of).sum::<u32>();
        let served: Vec<Resources> =
            needs.iter().filter(|(n, which)| *which < 2 && n.fits_in(&size)).map(|(n, _)| *n).collect();
        prop_assert_eq!(sum(|d| d.requests) as usize, needs.len());
        prop_assert_eq!((sum(|d| d.joining), sum(|d| d.packed) as usize), (0, served.len()));
        prop_assert_eq!(sum(|d| d.unservable) as usize, needs.len() - served.len());
        let workers = sum(|d| d.workers);
        prop_assert!(workers as usize <= served.len());
        prop_assert!(workers as u64 >= least_workers(&served, &size));

        // They are started: now all of them join, and nothing more is to be started.
        let started = (0..workers).map(|k| spec(format!("new {k}")).pending(k % 2 == 0));
        e.add_workers(started).into_iter().for_each(|added| assert!(added.is_ok()));
        let demand = e.unmet_demand(&spec(String::new()), 0).unwrap();
        prop_assert_eq!(demand.iter().map(|d| d.joining).sum::<u32>() as usize, served.len());
        prop_assert!(demand.iter().all(|d| (d.packed, d.workers) == (0, 0)));
    }
}
