//! Threads that do everything at once, and what must hold all the while and at the end.
//!
//! `SLOTWISE_STRESS_OPS` is the number of operations of the churn (default 400,000; the long run
//! is 10,000,000), `SLOTWISE_STRESS_SEED` repeats what a run asked for, though not its
//! interleaving; each run prints its seed.

#[path = "stress/churn.rs"]
mod churn;
mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use slotwise::{
    Config, Engine, Policy, ReleaseError, Request, Reservation, ReserveError, Resources, State,
    Ticket, Verdict, WorkerUpdate,
};

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number"))
    })
}

/// The seed of this run. A test that fails shows what it printed.
fn seed() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    let seed = from_env("SLOTWISE_STRESS_SEED").unwrap_or(now.as_nanos() as u64);
    println!("SLOTWISE_STRESS_SEED={seed}");
    seed
}

fn operations() -> usize {
    from_env("SLOTWISE_STRESS_OPS").unwrap_or(400_000) as usize
}

/// A part of the operations for each of the smaller tests.
fn rounds() -> usize {
    (operations() / 400).max(100)
}

/// Does it when a thread ends, however it ends, so that nobody waits for one that panicked.
struct OnExit<F: Fn()>(F);

impl<F: Fn()> Drop for OnExit<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Runs `work` on each of the threads and `meanwhile` on this one until the last has left.
fn while_working<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
    mut meanwhile: impl FnMut(),
) -> Vec<T> {
    let running = AtomicUsize::new(threads);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|me| {
                let (running, work) = (&running, &work);
                scope.spawn(move || {
                    let _leave = OnExit(|| {
                        running.fetch_sub(1, Ordering::Release);
                    });
                    work(me)
                })
            })
            .collect();
        while running.load(Ordering::Acquire) > 0 {
            meanwhile();
        }
        handles.into_iter().map(|h| h.join().expect("a thread that does not panic")).collect()
    })
}

/// A release that waits for whoever else is at work on it.
fn release(e: &Engine, ticket: Ticket) -> Result<slotwise::Released, ReleaseError> {
    patiently(|error| error == ReleaseError::InFlight, || e.release(ticket))
}

#[test]
fn everything_at_once() {
    churn::run(seed(), operations(), 4);
}

#[test]
fn eight_threads_at_once() {
    churn::run(seed(), operations() / 4, 8);
}

#[test]
fn two_threads_race_for_the_last_gpu() {
    let e = engine([gpu("a", 1000, 1000, "T4", 2)]);
    e.reserve(&Request::anonymous(r(1, 1).gpus(1))).unwrap();
    let ids = [b"left", b"rite"];
    for round in 0..rounds() {
        let before = e.see("a").version;
        let answers = together(2, |me| e.reserve(&Request::new(ids[me], r(1, 1).gpus(1))));
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1), "round {round}");
        assert_eq!(refused(lost[0]), Verdict::Busy);
        assert_eq!(e.see("a").version, before + 1, "round {round}");
        e.release(won[0].unwrap().ticket).unwrap();
    }
}

#[test]
fn one_id_reserved_by_all_at_once_is_one_reservation() {
    let e = engine((0..4).map(|k| w(&format!("w{k}"), 1000, 1000)));
    for round in 0..rounds() {
        let id = format!("round {round}");
        // Different keys, so that each would go elsewhere.
        let answers: Vec<Reservation> = together(4, |me| {
            let request = Request::new(id.as_bytes(), r(10, 10)).hash(me as u64);
            patiently(|e| e == ReserveError::InFlight, || e.reserve(&request)).expect("room")
        });
        assert!(answers.iter().all(|a| a.ticket == answers[0].ticket), "{id}: {answers:?}");
        assert_eq!(answers.iter().filter(|a| !a.existing).count(), 1, "{id}: {answers:?}");
        assert_eq!(e.reservation_count(), 1);

        // Some by its id and some by its ticket: one of them gives it back.
        let released = together(4, |me| {
            let in_flight = |error| error == ReleaseError::InFlight;
            patiently(in_flight, || match me % 2 {
                0 => e.release_id(id.as_bytes()),
                _ => e.release(answers[0].ticket),
            })
        });
        assert_eq!(released.iter().filter(|a| a.is_ok()).count(), 1, "{id}: {released:?}");
        assert_eq!(e.reservation_count(), 0);
    }
}

/// Every change of the one worker tells the version that it made, so that the versions of all
/// threads together must be 1, 2, 3, ... without a gap; and none that a reservation made may lie
/// between the versions of a cordon and of the uncordon after it.
#[test]
fn nothing_lands_behind_a_cordon_and_versions_have_no_gap() {
    let e = engine([w("a", 1000, 1000)]);
    let done = AtomicBool::new(false);
    let mut fences = Vec::new();
    let mut operator = || {
        let cordoned = e.cordon(b"a").expect("registered");
        assert_eq!(cordoned.state, State::Cordoned);
        std::thread::yield_now();
        let lifted = e.uncordon(b"a").expect("registered");
        assert_eq!(lifted.state, State::Ready);
        fences.push((cordoned.version, lifted.version));
        // Let something land in between.
        let before = e.stats().placed;
        while e.stats().placed == before && !done.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    };
    let churner = |_| {
        let _done = OnExit(|| done.store(true, Ordering::Relaxed));
        let (mut made, mut released) = (Vec::new(), Vec::new());
        while made.len() < rounds() {
            match e.reserve(&Request::anonymous(r(100, 100))) {
                Ok(placed) => {
                    made.push(placed.version);
                    let gave = e.release(placed.ticket).expect("mine alone");
                    released.push(gave.version.expect("a registered worker"));
                }
                Err(error) => assert_eq!(error.verdict(), Some(Verdict::Busy), "{error:?}"),
            }
        }
        (made, released)
    };
    let versions = while_working(3, churner, &mut operator);

    let mut all: Vec<u64> = fences.iter().flat_map(|&(from, to)| [from, to]).collect();
    for (made, released) in versions {
        for version in &made {
            let after = fences.partition_point(|&(cordoned, _)| cordoned < *version);
            let behind = after > 0 && *version <= fences[after - 1].1;
            assert!(!behind, "version {version} behind the fence {:?}", fences[after - 1]);
        }
        all.extend(made.into_iter().chain(released));
    }
    all.sort_unstable();
    assert!(all.iter().copied().eq(1..=e.see("a").version), "gaps or repeats in {all:?}");
}

/// The owner's place is the only one that no other thread can take. The owner takes it and gives
/// it back, again and again: while it is free, no hint may hide it, whatever others do to the
/// workers around it.
#[test]
fn owner_always_finds_its_place() {
    let seed = seed();
    for policy in Policy::ALL {
        // Others ask for 2 of memory at least: what the owner's place lacks.
        let e = Audited::new(Config { policy, ..small() }, [w("own", 100, 1)]);
        for k in 0..12 {
            e.add_worker(w(&format!("w{k}"), 400, 400)).unwrap();
        }
        let running = AtomicBool::new(true);
        let owner = || {
            let _stop = OnExit(|| running.store(false, Ordering::Relaxed));
            for round in 0..rounds() {
                // Lands on its own place or on another; the own one is free in either case.
                let request = Request::anonymous(r(100, 1)).hash(round as u64);
                let placed = e.reserve(&request);
                let placed = placed.unwrap_or_else(|error| panic!("{policy}: {error:?}"));
                release(&e, placed.ticket).ok();
            }
        };
        let others = |me: usize| {
            let mut rng = Rng::new(seed ^ me as u64);
            let mut held = Vec::new();
            while running.load(Ordering::Relaxed) {
                around_the_owner(&e, &mut rng, &mut held);
            }
        };
        let work = |me| if me == 0 { owner() } else { others(me) };
        while_working(4, work, std::thread::yield_now);
    }
}

/// Something that another thread does on the workers around the owner's place.
fn around_the_owner(e: &Engine, rng: &mut Rng, held: &mut Vec<Ticket>) {
    let name = format!("w{}", rng.below(12));
    let id = name.as_bytes();
    match rng.below(40) {
        0 => drop(e.remove_worker(id)),
        1..=3 => drop(e.add_worker(w(&name, 400, 400))),
        4 => drop(e.cordon(id)),
        5..=6 => drop(e.uncordon(id)),
        // To another class, and back.
        7 => drop(e.update_worker(id, WorkerUpdate::new().priority(rng.below(3) as i32 - 1))),
        8 => drop(e.update_worker(id, WorkerUpdate::new().pool(["", "p"][rng.below(2)]))),
        9..=24 => {
            let need = Resources::new(100 * (1 + rng.below(4) as u64), 2 + rng.below(200) as u64);
            held.extend(e.reserve(&Request::anonymous(need).hash(rng.next())).map(|p| p.ticket));
        }
        _ if held.is_empty() => {}
        _ => drop(release(e, held.swap_remove(rng.below(held.len())))),
    }
}
