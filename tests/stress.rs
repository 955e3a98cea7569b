//! Threads that do everything at once, and what must hold all the while and at the end.
//!
//! `SLOTWISE_STRESS_OPS` is the number of operations of the churn (default 400,000; the long run
//! is 20,000,000), `SLOTWISE_STRESS_SEED` repeats what a run asked for, though not its
//! interleaving; each run prints its seed.

#[path = "stress/churn.rs"]
mod churn;
mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use slotwise::{
    BatchMode, Config, Constraints, Engine, Group, GroupDone, GroupOp, Policy, ReleaseError,
    Request, Reservation, ReserveError, ResizeError, Resources, State, Ticket, Verdict,
    WorkerUpdate,
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

#[test]
fn one_batch_id_by_all_at_once_is_one_batch() {
    let e = engine((0..4).map(|k| w(&format!("w{k}"), 1000, 1000)));
    for round in 0..rounds() {
        let id = format!("batch {round}");
        let requests = [Request::anonymous(r(10, 10)); 3];
        let mode = [BatchMode::Independent, BatchMode::AllOrNothing][round % 2];
        let answers = together(4, |_| {
            let mut results = vec![];
            let in_flight = |error| error == ReserveError::InFlight;
            let ask = || e.reserve_batch_once(id.as_bytes(), &requests, mode, &mut results);
            let did = patiently(in_flight, ask).expect("a batch id");
            (did, results)
        });
        assert_eq!(answers.iter().filter(|(did, _)| *did).count(), 1, "{id}: {answers:?}");
        assert!(answers.iter().all(|(_, results)| *results == answers[0].1), "{id}: {answers:?}");
        assert_eq!(e.reservation_count(), 3);
        for placed in &answers[0].1 {
            e.release(placed.expect("room").ticket).unwrap();
        }
    }
}

/// Of all who ask for one version of a worker, one gets it.
#[test]
fn expected_version_commits_once() {
    let e = engine([gpu("a", 1000, 1000, "T4", 4)]);
    let worker = e.see("a").worker;
    let request = Request::anonymous(r(1, 1).gpus(1));
    for round in 0..rounds() {
        let version = e.see("a").version;
        let answers = together(3, |_| e.reserve_on(worker, &request, Some(version)));
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        for answer in lost {
            let Err(ReserveError::VersionConflict { version: now, free, .. }) = answer else {
                panic!("round {round}: {answer:?}")
            };
            assert_eq!((now, free), (version + 1, r(999, 999).gpus(3)));
        }
        e.release(won[0].unwrap().ticket).unwrap();
    }
}

/// A group that cannot be done gives nothing back, not for a moment: whoever asks for an id that
/// it names is told of the reservation that stands, and nobody gets a second one.
#[test]
fn failed_group_keeps_the_id_that_it_would_have_given_back() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    let request = Request::new(b"kept", r(10, 10));
    let kept = e.reserve_on(e.see("a").worker, &request, None).unwrap();
    let too_much = GroupOp::Reserve { id: b"", need: r(2000, 2000) };
    let ops = [GroupOp::Release(kept.ticket), too_much];
    together(2, |me| {
        for round in 0..10 * rounds() {
            if me == 0 {
                let answers = e.apply_groups(&[Group { worker: b"a", ops: &ops }]);
                assert!(answers[0].iter().all(Result::is_err), "{answers:?}");
                continue;
            }
            match e.reserve(&request) {
                Ok(held) => assert_eq!(held.ticket, kept.ticket, "round {round}: {held:?}"),
                Err(error) => assert_eq!(error, ReserveError::InFlight),
            }
        }
    });
    assert_eq!(e.reservation_count(), 1);
    assert_eq!(e.reservation(b"kept").map(|held| held.ticket), Some(kept.ticket));
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
                // There is room for all three: only the cordon can be what is in the way.
                Err(ReserveError::Refused(refusal)) => {
                    let short = (refusal.reasons.cpu, refusal.reasons.memory);
                    assert_eq!((refusal.verdict, short), (Verdict::Busy, (0, 0)), "{refusal:?}");
                }
                Err(error) => panic!("{error:?}"),
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
/// workers around it, and however the place itself moves between classes that the owner may use.
#[test]
fn owner_always_finds_its_place() {
    let seed = seed();
    for policy in Policy::ALL {
        // Others ask for 2 of memory at least: what the owner's place lacks.
        let e = Audited::new(Config { policy, ..small() }, [w("own", 100, 1).machine("m")]);
        let by_machine = Constraints::new().machine("m");
        let own = e.see("own").worker;
        for k in 0..12 {
            e.add_worker(w(&format!("w{k}"), 400, 400)).unwrap();
        }
        let running = AtomicBool::new(true);
        let owner = || {
            let _stop = OnExit(|| running.store(false, Ordering::Relaxed));
            let mut rng = Rng::new(!seed);
            for round in 0..20 * rounds() {
                // Lands on its own place or on another; the own one is free in either case.
                let request = Request::anonymous(r(100, 1)).hash(rng.next());
                let batch = |mode| {
                    let mut results = vec![];
                    e.reserve_batch(&[request], mode, &mut results);
                    results.remove(0)
                };
                let placed = match round % 8 {
                    0 => e.reserve_on(own, &request, None),
                    1 => batch(BatchMode::Independent),
                    2 => batch(BatchMode::AllOrNothing),
                    3 | 4 => e.reserve(&request.constraints(&by_machine)),
                    _ => e.reserve(&request),
                };
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

/// The same among many: all other places are taken but for those that are given back and taken again
/// this moment, so that what leads to the owner's place are hints alone. Others come to it by the
/// same hints, in vain, and lower them while the owner is there.
#[test]
fn owner_finds_its_place_among_many() {
    let seed = seed();
    let spec = |k: usize| {
        let priority = (k % 3) as i32;
        // Too little for others, of a size with what they ask for.
        let cpu = if k == OWN { 100 } else { 120 };
        w(&format!("w{k}"), cpu, 1).priority(priority)
    };
    const WORKERS: usize = 3_300;
    const OWN: usize = 1_700;
    let e = Engine::new(Config::default()).unwrap();
    for added in e.add_workers((0..WORKERS).map(spec)) {
        added.unwrap();
    }
    let theirs = Request::anonymous(r(120, 1));
    let tickets: Vec<Ticket> =
        (1..WORKERS).map(|k| e.reserve(&theirs.hash(k as u64)).expect("room").ticket).collect();
    let running = AtomicBool::new(true);
    let owner = || {
        let _stop = OnExit(|| running.store(false, Ordering::Relaxed));
        let mut rng = Rng::new(seed);
        for round in 0..20 * rounds() {
            let request = Request::anonymous(r(100, 1)).hash(rng.next());
            let placed = e.reserve(&request).unwrap_or_else(|e| panic!("{round}: {e:?}"));
            e.release(placed.ticket).expect("held");
        }
    };
    let others = |me: usize| {
        let mut rng = Rng::new(seed ^ me as u64);
        let mut mine: Vec<Ticket> = tickets.iter().skip(me - 1).step_by(3).copied().collect();
        while running.load(Ordering::Relaxed) {
            let at = rng.below(mine.len());
            e.release(mine.swap_remove(at)).expect("held");
            // Its place or another's that is free, or the owner is on the only one left.
            loop {
                match e.reserve(&theirs.hash(rng.next())) {
                    Ok(placed) => break mine.push(placed.ticket),
                    Err(_) if !running.load(Ordering::Relaxed) => return,
                    Err(_) => std::thread::yield_now(),
                }
            }
        }
    };
    let work = |me| if me == 0 { owner() } else { others(me) };
    while_working(4, work, std::thread::yield_now);
    let audit = e.audit();
    assert!(audit.is_ok(), "{audit:?}");
}

/// Something that another thread does on the workers around the owner's place.
fn around_the_owner(e: &Engine, rng: &mut Rng, held: &mut Vec<Ticket>) {
    let name = format!("w{}", rng.below(12));
    let id = name.as_bytes();
    match rng.below(40) {
        0 => drop(e.remove_worker(id)),
        1..=3 => {
            let spec = w(&name, 400, 400);
            let spec = if rng.below(2) == 0 { spec.machine("m") } else { spec };
            let _ = e.add_worker(spec);
        }
        4 => drop(e.cordon(id)),
        5..=6 => drop(e.uncordon(id)),
        7 => drop(e.update_worker(id, another_class(rng))),
        8 => {
            // Larger, too; but no room for anybody else.
            let update = another_class(rng).total(r(100 + rng.below(2) as u64, 1));
            e.update_worker(b"own", update).expect("always registered");
        }
        9..=24 => {
            let need = Resources::new(100 * (1 + rng.below(4) as u64), 2 + rng.below(200) as u64);
            held.extend(e.reserve(&Request::anonymous(need).hash(rng.next())).map(|p| p.ticket));
        }
        _ if held.is_empty() => {}
        _ => drop(release(e, held.swap_remove(rng.below(held.len())))),
    }
}

/// One thread resizes what another releases and reserves anew, under one id, while a third removes
/// the worker and registers it again: each ends once, and whatever was held last is given back.
#[test]
fn resizes_against_releases_and_removals() {
    let seed = seed();
    let e = engine([w("a", 100, 100)]);
    let running = AtomicBool::new(true);
    let holder = || {
        let _stop = OnExit(|| running.store(false, Ordering::Relaxed));
        let (mut placed, mut released) = (0, 0);
        for _ in 0..100 * rounds() {
            let asked = patiently(
                |error| error == ReserveError::InFlight,
                || e.reserve(&Request::new(b"id", r(10, 10))),
            );
            placed += asked.is_ok_and(|asked| !asked.existing) as usize;
            let back = patiently(|error| error == ReleaseError::InFlight, || e.release_id(b"id"));
            released += back.is_ok() as usize;
        }
        [placed, released, 0, 0]
    };
    let resizer = || {
        let (mut rng, mut lost, mut resized) = (Rng::new(seed), 0, 0);
        while running.load(Ordering::Relaxed) {
            let need = r(1 + rng.below(120) as u64, 1 + rng.below(120) as u64);
            match e.resize_id(b"id", need) {
                Ok(done) => resized += (done.before != need) as usize,
                Err(ResizeError::Lost) => lost += 1,
                Err(ResizeError::NotHeld | ResizeError::InFlight) => {}
                Err(ResizeError::Short { missing }) => assert!(!missing.is_zero()),
                Err(other) => panic!("{other:?}"),
            }
        }
        [0, 0, lost, resized]
    };
    let remover = || {
        let mut lost = 0;
        while running.load(Ordering::Relaxed) {
            lost += e.remove_worker(b"a").unwrap().len();
            e.add_worker(w("a", 100, 100)).unwrap();
            std::thread::yield_now();
        }
        [0, 0, lost, 0]
    };
    let work = |me| match me {
        0 => holder(),
        1 => resizer(),
        _ => remover(),
    };
    let ended = while_working(3, work, || {
        let audit = e.audit();
        assert!(audit.is_ok() && audit.over_committed == 0, "{audit:?}");
    });
    let sum = |k: usize| ended.iter().map(|counts| counts[k]).sum::<usize>();
    assert_eq!(sum(0), sum(1) + sum(2), "each reservation ends once");
    assert_eq!(e.stats().resized, sum(3) as u64);
    assert_eq!(e.see("a").free, e.see("a").total.into());
}

/// One worker stays; another, which would do as well, comes and goes. Nobody but the owner reserves
/// anything, so that there is always room, and the worker that stays is at the version where the
/// owner left it.
#[test]
fn removal_elsewhere_is_in_nobodys_way() {
    let seed = seed();
    let e = engine([w("own", 100, 100)]);
    let own = e.see("own").worker;
    let ops = [GroupOp::Reserve { id: b"", need: r(100, 100) }];
    let group = Group { worker: b"own", ops: &ops };
    let owner = || {
        let (mut rng, mut version) = (Rng::new(seed), 0);
        for round in 0..100 * rounds() {
            let policy = Policy::ALL[rng.below(Policy::ALL.len())];
            let request = Request::anonymous(r(100, 100)).policy(policy).hash(rng.next());
            let placed = match round % 8 {
                0 => e.reserve_on(own, &request, Some(version)),
                1 => match e.apply_groups(&[group]).remove(0)[0] {
                    Ok(GroupDone::Reserved(placed)) => Ok(placed),
                    other => panic!("{other:?}"),
                },
                _ => e.reserve(&request),
            };
            let placed = placed.unwrap_or_else(|error| panic!("{policy}, {round}: {error:?}"));
            match release(&e, placed.ticket) {
                Ok(released) if placed.worker == own => version = released.version.unwrap(),
                Err(error) if placed.worker == own => panic!("{error:?}"),
                // The other may be gone by now, and the reservation with it.
                _ => {}
            }
        }
    };
    let running = AtomicBool::new(true);
    let work = |me: usize| {
        let _stop = OnExit(|| running.store(false, Ordering::Relaxed));
        if me == 0 {
            return owner();
        }
        while running.load(Ordering::Relaxed) {
            e.add_worker(w("other", 100, 100)).unwrap();
            e.remove_worker(b"other").unwrap();
        }
    };
    while_working(2, work, std::thread::yield_now);
}

/// To a class that requests without constraints may use, or from one to another.
fn another_class(rng: &mut Rng) -> WorkerUpdate {
    let update = WorkerUpdate::new();
    match rng.below(4) {
        0 => update.priority(rng.below(3) as i32 - 1),
        1 => update.tier(rng.below(2) as u8),
        2 => update.pool(["", "p"][rng.below(2)]),
        _ => update.labels([("zone", ["a", "b"][rng.below(2)])]),
    }
}

/// A label that more and more workers have, each with its own value, is looked up from some point
/// on instead of being part of classes. Who has it is found all the while, by it and without it.
#[test]
fn owner_is_found_while_its_label_becomes_nearly_unique() {
    for _ in 0..rounds() / 50 {
        let e = engine([w("own", 100, 100).label("host", "own")]);
        let by_label = Constraints::new().label("host", "own");
        let registered = AtomicBool::new(false);
        together(2, |me| {
            if me == 0 {
                let _done = OnExit(|| registered.store(true, Ordering::Relaxed));
                for k in 0..100 {
                    // Too small for what the owner asks.
                    let other = w(&format!("w{k}"), 1, 1).label("host", format!("{k}"));
                    e.add_worker(other).unwrap();
                }
                return;
            }
            let request = Request::anonymous(r(100, 100));
            while !registered.load(Ordering::Relaxed) {
                for request in [request, request.constraints(&by_label)] {
                    let placed = e.reserve(&request).expect("a place of its own");
                    e.release(placed.ticket).expect("held");
                }
            }
        });
    }
}
