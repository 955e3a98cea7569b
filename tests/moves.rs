//! Workers that change class while requests look for them (promise 4, no false "busy"), and classes
//! that do not explode.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::r;
use slotwise::{Config, Constraints, Engine, Request, Resources, WorkerSpec, WorkerUpdate};

/// One worker with room for all is moved between pools without a pause. Whoever may use it in
/// either pool finds it, whenever he looks.
#[test]
fn a_worker_that_moves_is_always_found() {
    let engine = Engine::new(Config::default()).unwrap();
    // Workers that match and never fit, so that a walk has a way to go.
    let full = |k: u32, pool: &str| WorkerSpec::new(format!("full-{k}"), r(1, 1)).pool(pool);
    for k in 0..80 {
        engine.add_worker(full(k, if k % 2 == 0 { "a" } else { "b" })).unwrap();
    }
    // More than 64 hostnames, so that the label is looked up.
    for k in 0..100 {
        let other = WorkerSpec::new(format!("other-{k}"), r(1, 1)).label("host", format!("h{k}"));
        engine.add_worker(other.pool("c")).unwrap();
    }
    let mover = WorkerSpec::new("mover", r(1_000_000, 1_000_000)).pool("a").label("host", "it");
    engine.add_worker(mover.machine("m")).unwrap();

    let views = [
        Constraints::new(),
        Constraints::new().pool("a").pool("b"),
        Constraints::new().label("host", "it"),
        Constraints::new().machine("m"),
    ];
    let selectors = views.each_ref().map(|c| engine.selector(c).unwrap());
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let readers: Vec<_> = selectors
            .into_iter()
            .map(|selector| {
                let (engine, running) = (&engine, &running);
                scope.spawn(move || {
                    let (mut hash, mut found) = (1u64, 0u64);
                    while running.load(Ordering::Relaxed) || found < 1000 {
                        hash = hash.wrapping_mul(6364136223846793005).wrapping_add(1);
                        let request = Request::anonymous(r(10, 10)).selector(selector);
                        let placed = engine.reserve(&request.hash(hash >> 7));
                        engine.release(placed.expect("it is there all the time").ticket).unwrap();
                        found += 1;
                    }
                })
            })
            .collect();
        for turn in 0..20_000 {
            let pool = if turn % 2 == 0 { "b" } else { "a" };
            engine.update_worker(b"mover", WorkerUpdate::new().pool(pool)).unwrap();
        }
        running.store(false, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(engine.audit().is_ok());
}

/// A label that is nearly unique is looked up: by it, also by a handle from before it turned, just
/// its worker is found; by other labels, everything else as before.
#[test]
fn nearly_unique_labels_are_looked_up() {
    let engine = Engine::new(Config::default()).unwrap();
    let by_host = |k: u32| Constraints::new().label("host", format!("h{k}"));
    let early = engine.selector(&by_host(7)).unwrap();
    let zone = engine.selector(&Constraints::new().label("zone", "z1")).unwrap();
    for k in 0..5_000u32 {
        let spec = WorkerSpec::new(format!("w{k}"), r(100, 100)).label("host", format!("h{k}"));
        engine.add_worker(spec.label("zone", format!("z{}", k % 4))).unwrap();
    }
    let place = |selector, need: Resources| {
        let placed = engine.reserve(&Request::anonymous(need).selector(selector)).unwrap();
        engine.worker_by_ref(placed.worker).unwrap()
    };
    assert_eq!(place(early, r(60, 60)).id.to_string(), "w7");
    for k in [0, 63, 64, 65, 4_999] {
        let selector = engine.selector(&by_host(k)).unwrap();
        assert_eq!(place(selector, r(60, 60)).id.to_string(), format!("w{k}"));
        let again = engine.reserve(&Request::anonymous(r(60, 60)).selector(selector));
        assert!(again.is_err(), "one worker has this name");
    }
    for _ in 0..100 {
        let worker = place(zone, r(1, 1));
        assert!(worker.labels.contains(&("zone".into(), "z1".into())));
    }
    // It comes and goes as the label does.
    engine.update_worker(b"w7", WorkerUpdate::new().labels([("host", "elsewhere")])).unwrap();
    assert!(engine.reserve(&Request::anonymous(r(1, 1)).selector(early)).is_err());
    let late = WorkerSpec::new("late", r(100, 100)).label("host", "h7");
    engine.add_worker(late).unwrap();
    assert_eq!(place(early, r(60, 60)).id.to_string(), "late");
}

/// Thousands of pools: each selector sees its own and nothing else, and all are seen by none.
#[test]
fn thousands_of_pools() {
    let engine = Engine::new(Config::default()).unwrap();
    let specs = (0..6_000)
        .map(|k| WorkerSpec::new(format!("w{k}"), r(100, 100)).pool(format!("p{}", k % 2_000)));
    assert!(engine.add_workers(specs).iter().all(Result::is_ok));
    for k in (0..2_000).step_by(97) {
        let selector = engine.selector(&Constraints::new().pool(format!("p{k}"))).unwrap();
        let request = Request::anonymous(r(100, 100)).selector(selector);
        let placed: Vec<_> = (0..3).map(|_| engine.reserve(&request).unwrap().worker).collect();
        for worker in placed {
            assert_eq!(engine.worker_by_ref(worker).unwrap().pool.to_string(), format!("p{k}"));
        }
        let refused = engine.reserve(&request).unwrap_err();
        let slotwise::ReserveError::Refused(refusal) = refused else { panic!("{refused}") };
        assert_eq!((refusal.reasons.cpu, refusal.reasons.not_matching), (3, 5_997));
    }
    assert_eq!(engine.workers_in_pool(b"p1").len(), 3);
}

/// Registered, removed and registered again beyond the table's size: slots are used again, under
/// new incarnations, and versions go on rising.
#[test]
fn slots_are_used_again() {
    let engine = Engine::new(Config { max_workers: 4, ..Config::default() }).unwrap();
    let mut last = None;
    for turn in 0..100 {
        let id = format!("w{turn}");
        let worker = engine.add_worker(WorkerSpec::new(id.as_str(), r(10, 10))).unwrap();
        let version = engine.snapshot(worker).unwrap().version;
        if let Some((before, earlier)) = last.replace((worker, version)) {
            assert_ne!(before, worker);
            assert!(engine.snapshot(before).is_none() && version > earlier);
        }
        engine.remove_worker(id.as_bytes()).unwrap();
    }
}
