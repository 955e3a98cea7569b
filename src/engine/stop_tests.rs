//! A thread that is parked in the middle of a reservation, a resize or a release, at each step of
//! the protocols, while others go on: they wait for nothing, find what is free, and the books are right
//! when it has gone on.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;

use super::*;
use crate::placement::{Resources, order};
use crate::registry::{WorkerSpec, WorkerUpdate};
use crate::sync::{Bug, Stop, parking, parking::park_at, seeded::switch_on};

const STOPS: [Stop; 11] = [
    Stop::Entered,
    Stop::Aimed,
    Stop::Taken,
    Stop::Marked,
    Stop::Lowered,
    Stop::Closed,
    Stop::Credited,
    Stop::Raised,
    Stop::Given,
    Stop::Pledged,
    Stop::Resized,
];

/// All of a worker, so that hints are lowered and raised.
const ALL: Resources = Resources::new(100, 100);

const HALF: Resources = Resources::new(50, 50);

/// Runs `meanwhile` while a thread is parked there, in a pair of its own, with a resize between the
/// two.
fn while_parked(engine: &Engine, at: Stop, meanwhile: impl FnOnce()) {
    thread::scope(|scope| {
        let (parked, wait) = channel();
        let (let_go, go_on) = channel();
        let one = scope.spawn(move || {
            park_at(at, parked, go_on);
            let placed = engine.reserve(&Request::new(b"parked", ALL).hash(0));
            let resized = placed.map(|placed| engine.resize(placed.ticket, HALF));
            let released = placed.map(|placed| engine.release(placed.ticket));
            (placed, resized, released)
        });
        wait.recv().unwrap_or_else(|_| panic!("a pair does not come by {at:?}"));
        meanwhile();
        let_go.send(()).expect("it is parked");
        let _ = one.join().expect("it goes on");
    });
}

fn three_workers() -> Engine {
    let engine = Engine::new(Config::default()).unwrap();
    for id in ["a", "b", "c"] {
        engine.add_worker(WorkerSpec::new(id, ALL)).unwrap();
    }
    engine
}

fn all_is_free(engine: &Engine) {
    let audit = engine.audit();
    assert!(audit.is_ok() && audit.unsettled == 0 && audit.reservations == 0, "{audit:?}");
    assert!(engine.workers().iter().all(|worker| worker.free == worker.total.into()));
}

/// Takes all of a worker and gives it back, again and again. `tries`: how often in a row it may be
/// refused, the last time included.
fn pairs(engine: &Engine, me: u64, tries: u32) {
    for round in 0..2_000u64 {
        let id = format!("{me}, {round}");
        let request = Request::new(id.as_bytes(), ALL).hash(round << 32);
        let mut answers = (0..tries).map(|_| engine.reserve(&request));
        let held = answers.find_map(Result::ok).expect("a free worker is found");
        match round % 2 {
            0 => engine.release(held.ticket).expect("held"),
            _ => engine.release_id(id.as_bytes()).expect("held"),
        };
    }
}

#[test]
fn a_parked_thread_delays_nobody() {
    for at in STOPS {
        let engine = three_workers();
        while_parked(&engine, at, || {
            // Two workers are nobody's: who is alone with them finds one, wherever he looks first. Of two
            // who are, one may go to and fro before the other's eyes, but not time after time.
            for (threads, tries) in [(1, 1), (2, 100)] {
                thread::scope(|scope| {
                    for me in 0..threads {
                        let engine = &engine;
                        scope.spawn(move || pairs(engine, me, tries));
                    }
                });
            }
            // Of the parked one's own id, whatever it holds by then, or that it is in flight.
            match engine.reserve(&Request::new(b"parked", ALL)) {
                Ok(held) if held.existing => {}
                Ok(held) => drop(engine.release(held.ticket).expect("its own")),
                Err(error) => assert_eq!(error, ReserveError::InFlight, "{at:?}"),
            }
            // What would be without it: nobody waits to see what becomes of it.
            let its = engine.reservation(b"parked").map(|held| held.ticket);
            let (two, mut foreseen) = ([Request::anonymous(ALL); 2], Vec::new());
            engine.dry_run(&two, its.as_slice(), BatchMode::AllOrNothing, &mut foreseen);
            assert!(foreseen.iter().all(Result::is_ok), "{at:?}: {foreseen:?}");
            // Both at once, and the registry.
            let both = [Request::anonymous(ALL), Request::anonymous(ALL)];
            let mut results = Vec::new();
            engine.reserve_batch(&both, BatchMode::AllOrNothing, &mut results);
            for result in &results {
                engine.release(result.expect("two are free").ticket).expect("held");
            }
            engine.cordon(b"b").unwrap();
            engine.uncordon(b"b").unwrap();
            engine.add_worker(WorkerSpec::new("d", ALL)).unwrap();
            engine.remove_worker(b"d").unwrap();
            assert!(engine.audit().is_ok(), "{at:?}");
        });
        all_is_free(&engine);
    }
}

/// Its worker is removed, and registered again, while it is parked: nobody waits, nothing is lost
/// twice, and what it does late credits nothing to the new one.
#[test]
fn a_parked_threads_worker_is_removed() {
    for at in STOPS {
        let engine = three_workers();
        while_parked(&engine, at, || {
            for id in ["a", "b", "c"] {
                engine.remove_worker(id.as_bytes()).unwrap();
                engine.add_worker(WorkerSpec::new(id, ALL)).unwrap();
            }
            assert!(engine.audit().is_ok(), "{at:?}");
        });
        all_is_free(&engine);
    }
}

/// Makes the call, and does something in the midst of it: at the first stop, counted from 0, at or after
/// `from` where `when` is true. Whether it came to that.
fn amid<R>(
    from: usize,
    when: impl Fn(&Engine, Stop) -> bool + 'static,
    engine: &Arc<Engine>,
    something: impl Fn(&Engine) + 'static,
    call: impl FnOnce(&Engine) -> R,
) -> (R, bool) {
    let (passed, done) = (Cell::new(0), Rc::new(Cell::new(false)));
    let (its, told) = (Arc::clone(engine), Rc::clone(&done));
    parking::simulate(Some(Rc::new(move |at| {
        passed.set(passed.get() + 1);
        if passed.get() > from && !told.get() && when(&its, at) {
            told.set(true);
            something(&its);
        }
    })));
    let result = call(engine);
    parking::simulate(None);
    (result, done.get())
}

/// A worker that fits all the while goes from one pool to the other and back amid a request that may use
/// both, at any two steps of its searches, past workers that it looks at in vain. How often it was
/// refused.
fn refused_amid_moves() -> usize {
    let engine = Arc::new(Engine::new(Config::default()).unwrap());
    engine.add_worker(WorkerSpec::new("mover", ALL).pool("a")).unwrap();
    for (id, pool) in [("pending-a", "a"), ("pending-b", "b")] {
        engine.add_worker(WorkerSpec::new(id, ALL).pool(pool).pending(true)).unwrap();
    }
    let (mut refused, moves) = (0, Rc::new(Cell::new(0)));
    for hash in (0..8u64).map(order::other) {
        for (first, second) in (0..8).flat_map(|first| (first + 1..8).map(move |s| (first, s))) {
            let (passed, its, moved) = (Cell::new(0), Arc::clone(&engine), Rc::clone(&moves));
            parking::simulate(Some(Rc::new(move |_| {
                if passed.get() == first || passed.get() == second {
                    let pool = if moved.replace(moved.get() + 1) % 2 == 0 { "b" } else { "a" };
                    its.update_worker(b"mover", WorkerUpdate::new().pool(pool)).unwrap();
                }
                passed.set(passed.get() + 1);
            })));
            let placed = engine.reserve(&Request::anonymous(HALF).hash(hash));
            parking::simulate(None);
            match placed {
                Ok(placed) => drop(engine.release(placed.ticket).expect("held")),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(moves.get() > 100, "{}", moves.get());
    refused
}

#[test]
fn a_worker_that_moves_amid_a_search_is_found() {
    assert_eq!(refused_amid_moves(), 0);
    switch_on(Some(Bug::RefuseIgnoresMoves));
    let refused = refused_amid_moves();
    switch_on(None);
    assert!(refused > 0, "the seeded bug is not caught");
}

/// A request under an id that is held once entered it for a moment: stopped there, it was in the way of
/// whoever holds the id and gives it anew.
#[test]
fn who_asks_for_an_id_that_is_held_enters_nothing() {
    let engine = three_workers();
    let entered = Rc::new(Cell::new(0));
    let counted = Rc::clone(&entered);
    parking::simulate(Some(Rc::new(move |at| {
        counted.set(counted.get() + (at == Stop::Entered) as u32);
    })));
    let [first, again] = [(); 2].map(|()| engine.reserve(&Request::new(b"id", HALF)).unwrap());
    parking::simulate(None);
    assert_eq!((again.ticket, again.existing, entered.get()), (first.ticket, true, 1));
}

/// The lease that a worker is registered with was set after its id could be found.
#[test]
fn a_heartbeat_amid_its_workers_registration_is_not_cut_short() {
    let engine = Arc::new(Engine::new(Config::default()).unwrap());
    let mut beaten = 0;
    for from in 0.. {
        let spec = WorkerSpec::new("a", ALL).lease(10);
        let known = |engine: &Engine, _| engine.find_worker(b"a").is_some();
        let beat = |engine: &Engine| engine.heartbeat(b"a", 20).unwrap();
        let (added, amid) = amid(from, known, &engine, beat, |engine| engine.add_worker(spec));
        added.unwrap();
        if !amid {
            break;
        }
        beaten += 1;
        assert_eq!(engine.worker(b"a").unwrap().lease, Some(20));
        engine.remove_worker(b"a").unwrap();
    }
    assert!(beaten > 0);
}

/// What a tick finds half-way was put off to a later time than the tick's own.
#[test]
fn what_a_tick_finds_half_way_ends_with_the_next_tick_of_the_same_time() {
    let engine = Arc::new(three_workers());
    let terms = Terms::new().hold_until(u64::MAX - 1);
    for now in 1.. {
        let terms = Terms { hold_until: Some(now), ..terms };
        let request = Request::new(b"r", ALL).terms(&terms);
        let tick = move |engine: &Engine| drop(engine.tick(now).unwrap());
        let reserve = |engine: &Engine| engine.reserve(&request);
        let (placed, amid) = amid(now as usize - 1, |_, _| true, &engine, tick, reserve);
        if placed.is_ok() {
            engine.tick(now).unwrap();
            assert_eq!(engine.reservation_count(), 0, "amid stop {now}");
        }
        if !amid {
            break;
        }
    }
    all_is_free(&engine);
}

/// What was told of it was read after it had been confirmed, and was of the record's next use.
#[test]
fn a_confirmation_tells_of_its_own_reservation() {
    let engine = Arc::new(three_workers());
    let terms = Terms::new().hold_until(10);
    let first = engine.reserve(&Request::new(b"1", ALL).terms(&terms)).unwrap();
    let ticket = first.ticket;
    let again = move |engine: &Engine| {
        engine.release(ticket).unwrap();
        let elsewhere = engine.workers().into_iter().find(|w| w.worker != first.worker).unwrap();
        let next = engine.reserve_on(elsewhere.worker, &Request::new(b"2", ALL), None).unwrap();
        assert_eq!(next.ticket.index(), ticket.index());
    };
    let confirmed = |_: &Engine, at| at == Stop::Confirmed;
    let (told, amid) = amid(0, confirmed, &engine, again, |engine| engine.confirm(ticket));
    let told = told.unwrap();
    assert!(amid);
    assert_eq!((told.ticket, told.worker, told.version), (ticket, first.worker, first.version));
}

/// A group that had pledged it for a moment ended it without a word, and the removal of its worker had
/// passed it by.
#[test]
fn what_is_lost_while_a_group_of_another_worker_looks_at_it_is_told() {
    for from in 0..20 {
        let engine = Arc::new(three_workers());
        let worker = |id: &[u8]| engine.find_worker(id).unwrap();
        let held = engine.reserve_on(worker(b"b"), &Request::new(b"r", ALL), None).unwrap();
        engine.ledger.pledge(held.ticket).unwrap();
        let (passed, lost) = (Cell::new(0), Rc::new(Cell::new(0)));
        let (its, told) = (Arc::clone(&engine), Rc::clone(&lost));
        parking::simulate(Some(Rc::new(move |_| {
            passed.set(passed.get() + 1);
            if passed.get() == from {
                its.ledger.unpledge(held.ticket, false, || false);
            } else if passed.get() == from + 1 {
                told.set(its.remove_worker(b"b").unwrap().len());
            }
        })));
        let ops = [GroupOp::Release(held.ticket)];
        let mut done = engine.apply_groups(&[Group { worker: b"a", ops: &ops }]);
        parking::simulate(None);
        let told = lost.get() + done.remove(0).iter().filter(|done| done.is_ok()).count();
        assert_eq!(told, 1 - engine.reservation_count(), "amid stop {from}");
    }
}
