//! Requests for devices: parts of one GPU, and several GPUs of which it is told which they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[path = "devices/demand.rs"]
mod demand;
#[path = "devices/dry_runs.rs"]
mod dry_runs;
#[path = "devices/explanations.rs"]
mod explanations;
#[path = "devices/gangs.rs"]
mod gangs;
#[path = "devices/preemption.rs"]
mod preemption;

use slotwise::{
    BatchMode, Config, Constraints, DeviceError, DeviceNeed, DeviceSet, DeviceSpec, Dimension,
    Engine, Group, GroupOp, Island, Mismatch, Policy, Quota, Request, Reservation, ReserveError,
    ResizeError, Resources, Terms, Ticket, Verdict, WorkerError, WorkerSpec, WorkerUpdate,
};

const ROOM: Resources = Resources::new(64_000, 262_144);
const NEED: Resources = Resources::new(1_000, 1_024);

/// A worker with so many devices of 80 GiB, the first half of them on island 0, the others on 1.
fn node(id: &str, devices: usize) -> WorkerSpec {
    let device = |i| {
        let island = (2 * i >= devices) as u8;
        DeviceSpec::new(format!("gpu-{i}").as_str()).memory(81_920).island(island)
    };
    WorkerSpec::new(id, ROOM).gpu_type("H100").devices((0..devices).map(device))
}

fn engine(workers: impl IntoIterator<Item = WorkerSpec>) -> Engine {
    let engine = Engine::new(Config::default()).unwrap();
    for result in engine.add_workers(workers) {
        result.unwrap();
    }
    engine
}

fn reserve(engine: &Engine, need: DeviceNeed) -> Result<Reservation, ReserveError> {
    engine.reserve(&Request::anonymous(NEED).terms(&Terms::new().devices(need)))
}

/// The devices of a reservation, as a mask.
fn mask(engine: &Engine, ticket: Ticket) -> u16 {
    engine.granted(ticket).expect("it holds devices").devices.0
}

/// What each device of a worker has free.
fn free(engine: &Engine, id: &str) -> Vec<(u16, u64)> {
    let info = engine.worker(id.as_bytes()).unwrap();
    info.devices.iter().map(|device| (device.free_milli, device.free_memory)).collect()
}

/// Numbers below the one that is asked with.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 1u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    }
}

/// What requests ask for: devices, or a number of GPUs, or none; their policy and their hash.
type Drawn = (Option<DeviceNeed>, u64, Policy, u64);

/// The policies whose answer follows from what is free alone. One that learns does so from the very request, and
/// from what has been placed, so that it may send it elsewhere than was foreseen.
const UNLEARNED: [Policy; 6] = [
    Policy::Affinity,
    Policy::FirstFit,
    Policy::TightestFit,
    Policy::Spread,
    Policy::PowerOfTwo,
    Policy::DotProduct,
];

/// One to six of them.
fn draw(random: &mut impl FnMut(u64) -> u64, policies: &[Policy]) -> Vec<Drawn> {
    let count = 1 + random(6);
    let one = |_| {
        let need = match random(6) {
            0 => Some(DeviceNeed::whole(1 + random(3) as u32)),
            1 | 2 => Some(DeviceNeed::part(1 + random(999) as u32)),
            3 => Some(DeviceNeed::part(250)),
            _ => None,
        };
        let island = [Island::Any, Island::Prefer, Island::Insist][random(3) as usize];
        let memory = 30_000 * random(3);
        let need = need.map(|need| need.island(island).memory(memory));
        let gpus = if need.is_none() { random(3) } else { 0 };
        (need, gpus, policies[random(policies.len() as u64) as usize], random(1 << 20))
    };
    (0..count).map(one).collect()
}

fn terms_of(drawn: &[Drawn]) -> Vec<Option<Terms<'static>>> {
    let terms = |need| Terms::new().devices(need);
    drawn.iter().map(|(need, ..)| need.map(terms)).collect()
}

fn requests_of<'a>(drawn: &[Drawn], terms: &'a [Option<Terms<'a>>]) -> Vec<Request<'a>> {
    let request = |((_, gpus, policy, hash), terms): (&Drawn, &'a Option<Terms<'a>>)| {
        let request = Request::anonymous(NEED.gpus(*gpus)).policy(*policy).hash(*hash);
        terms.as_ref().map_or(request, |terms| request.terms(terms))
    };
    drawn.iter().zip(terms).map(request).collect()
}

fn verdict(result: Result<Reservation, ReserveError>) -> Option<Verdict> {
    result.unwrap_err().verdict()
}

#[test]
fn parts_share_a_device_and_whole_ones_do_not() {
    let engine = engine([node("n", 2)]);
    let half = reserve(&engine, DeviceNeed::part(500).memory(40_960)).unwrap();
    assert_eq!(half.version, 1);
    let granted = engine.granted(half.ticket).unwrap();
    assert_eq!((granted.devices, granted.milli, granted.memory), (DeviceSet(1), 500, 40_960));
    // Where there is least, so that the other stays whole.
    let more = reserve(&engine, DeviceNeed::part(400)).unwrap();
    assert_eq!(mask(&engine, more.ticket), 1);
    let whole = reserve(&engine, DeviceNeed::whole(1)).unwrap();
    assert_eq!(mask(&engine, whole.ticket), 2);
    assert_eq!(free(&engine, "n"), [(100, 40_960), (0, 81_920)]);
    assert_eq!(verdict(reserve(&engine, DeviceNeed::part(101))), Some(Verdict::Busy));
    assert_eq!(verdict(reserve(&engine, DeviceNeed::whole(1))), Some(Verdict::Busy));
    assert_eq!(verdict(reserve(&engine, DeviceNeed::whole(3))), Some(Verdict::Never));
    // 100 thousandths are free, and not as much memory.
    assert_eq!(verdict(reserve(&engine, DeviceNeed::part(50).memory(40_961))), Some(Verdict::Busy));
    assert_eq!(
        verdict(reserve(&engine, DeviceNeed::part(50).memory(81_921))),
        Some(Verdict::Never)
    );
    let refused = reserve(&engine, DeviceNeed::part(200)).unwrap_err();
    let ReserveError::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!((refusal.blocking, refusal.reasons.gpus), (Some(Dimension::Gpus), 1));
    assert!(engine.audit().is_ok());

    let info = engine.worker(b"n").unwrap();
    assert_eq!((info.total.gpus, info.free.gpus, info.version), (2, 0, 3));
    let released = engine.release(half.ticket).unwrap();
    assert_eq!((released.version, released.amount), (Some(4), NEED));
    assert!(engine.release(half.ticket).is_err());
    assert_eq!(engine.granted(half.ticket), None);
    assert_eq!(free(&engine, "n"), [(600, 81_920), (0, 81_920)]);
    engine.release(more.ticket).unwrap();
    engine.release(whole.ticket).unwrap();
    let info = engine.worker(b"n").unwrap();
    assert_eq!((info.free.gpus, info.free.cpu), (2, 64_000));
    assert_eq!(engine.snapshot(info.worker).unwrap().free.gpus, 2);
    assert!(engine.audit().is_ok());
}

#[test]
fn several_devices_are_near_to_one_another_where_that_is_asked_for() {
    let engine = engine([node("n", 8)]);
    let of = |count, island| reserve(&engine, DeviceNeed::whole(count).island(island));
    // Three of the first island's four are left.
    let one = of(1, Island::Any).unwrap();
    assert_eq!(mask(&engine, one.ticket), 0b1);
    // The island with the fewest that are enough.
    let three = of(3, Island::Prefer).unwrap();
    assert_eq!(mask(&engine, three.ticket), 0b1110);
    engine.release(one.ticket).unwrap();
    let two = of(2, Island::Insist).unwrap();
    assert_eq!(mask(&engine, two.ticket), 0b11_0000);
    // One is free on the first island, two on the second.
    assert_eq!(verdict(of(3, Island::Insist)), Some(Verdict::Busy));
    assert_eq!(verdict(of(5, Island::Insist)), Some(Verdict::Never));
    let spread = of(3, Island::Prefer).unwrap();
    assert_eq!(mask(&engine, spread.ticket), 0b1100_0001);
    assert!(engine.audit().is_ok());
}

#[test]
fn policies_choose_the_worker_and_the_device() {
    let engine = engine([node("a", 2), node("b", 2)]);
    let by = |policy| {
        let terms = Terms::new().devices(DeviceNeed::part(300));
        let request = Request::anonymous(NEED).terms(&terms).policy(policy);
        let placed = engine.reserve(&request).unwrap();
        (placed.worker.index, mask(&engine, placed.ticket))
    };
    assert_eq!(by(Policy::FirstFit), (0, 1));
    assert_eq!(by(Policy::TightestFit), (0, 1));
    assert_eq!(by(Policy::TightestFit), (0, 1));
    // 100 thousandths are left on that device.
    assert_eq!(by(Policy::FirstFit), (0, 2));
    assert_eq!(by(Policy::Spread), (1, 1));
    assert_eq!(by(Policy::Spread), (1, 2));
    assert!(engine.audit().is_ok());
}

#[test]
fn numbers_of_gpus_and_devices_do_not_mix() {
    let counted = WorkerSpec::new("counted", ROOM.gpus(8)).gpu_type("H100");
    let engine = engine([counted, node("shared", 2)]);
    let a100 = engine.selector(&Constraints::new().gpu_type("A100")).unwrap();
    let h100 = engine.selector(&Constraints::new().gpu_type("H100")).unwrap();
    let terms = Terms::new().devices(DeviceNeed::whole(1));
    let request = Request::anonymous(NEED).terms(&terms);
    for selector in [slotwise::Selector::ANY, h100] {
        let placed = engine.reserve(&request.selector(selector)).unwrap();
        assert_eq!(placed.worker.index, 1);
        engine.release(placed.ticket).unwrap();
    }
    assert_eq!(verdict(engine.reserve(&request.selector(a100))), Some(Verdict::Never));
    let number = Request::anonymous(NEED.gpus(1));
    for _ in 0..8 {
        assert_eq!(engine.reserve(&number).unwrap().worker.index, 0);
    }
    assert_eq!(verdict(engine.reserve(&number)), Some(Verdict::Busy));

    // Nor on a worker that is named, in a group, or by a change of size.
    let shared = engine.find_worker(b"shared").unwrap();
    let version = || engine.snapshot(shared).unwrap().version;
    let before = version();
    assert_eq!(verdict(engine.reserve_on(shared, &number, None)), Some(Verdict::Never));
    let ops = [GroupOp::Reserve { id: b"", need: NEED.gpus(1) }];
    let done = engine.apply_groups(&[Group { worker: b"shared", ops: &ops }]);
    assert!(done[0][0].is_err(), "{done:?}");
    assert_eq!(version(), before);
    let held = engine.reserve(&request).unwrap();
    let more = engine.resize(held.ticket, NEED.gpus(1));
    assert_eq!(more, Err(ResizeError::Devices));
    engine.resize(held.ticket, Resources::new(2_000, 512)).unwrap();
    assert_eq!(mask(&engine, held.ticket), 1);
    let why = engine.explain(&number, false).unwrap();
    let mismatch = why.mismatches.by(Mismatch::Devices);
    assert_eq!(mismatch, 1, "{why:?}");
    assert!(engine.audit().is_ok());
    engine.release(held.ticket).unwrap();
    assert!(engine.audit().is_ok());
}

#[test]
fn what_cannot_be_right_is_refused_and_changes_nothing() {
    let engine = engine([node("n", 2)]);
    let bad = |spec: WorkerSpec| engine.add_worker(spec).unwrap_err();
    let device = |id: &str| DeviceSpec::new(id);
    let with = |devices: Vec<DeviceSpec>| WorkerSpec::new("bad", ROOM).devices(devices);
    let twice = with(vec![device("a"), device("b"), device("a")]);
    assert_eq!(bad(twice), WorkerError::DuplicateDevice { index: 2 });
    let seventeen = with((0..17).map(|i| device(&i.to_string())).collect());
    assert_eq!(bad(seventeen), WorkerError::TooManyDevices { given: 17 });
    let nameless = with(vec![device("")]);
    assert_eq!(bad(nameless), WorkerError::NameLength { field: "device id", length: 0 });
    let far = with(vec![device("a").island(255)]);
    assert_eq!(bad(far), WorkerError::Island { given: 255 });
    let huge = with(vec![device("a").memory(1 << 27)]);
    assert!(matches!(bad(huge), WorkerError::TooLarge { dimension: Dimension::Memory, .. }));
    let aside = node("bad", 2).set_aside(Resources::ZERO.gpus(1));
    assert_eq!(bad(aside), WorkerError::GpusBesideDevices);
    let more = WorkerUpdate::new().total(ROOM.gpus(3));
    assert_eq!(engine.update_worker(b"n", more), Err(WorkerError::GpusBesideDevices));
    assert_eq!(engine.worker_count(), 1);

    let before = engine.worker(b"n").unwrap();
    let devices = |need| reserve(&engine, need).unwrap_err();
    use DeviceError::*;
    assert_eq!(devices(DeviceNeed::part(1_001)), OverWhole { given: 1_001 }.into());
    assert_eq!(devices(DeviceNeed::part(0)), Empty.into());
    assert_eq!(devices(DeviceNeed::whole(0)), Empty.into());
    assert_eq!(devices(DeviceNeed::whole(17)), TooMany { given: 17 }.into());
    let parts = DeviceNeed { count: 2, ..DeviceNeed::part(500) };
    assert_eq!(devices(parts), SeveralParts { count: 2 }.into());
    let memory = DeviceNeed::part(1).memory(1 << 27);
    assert_eq!(devices(memory), TooMuchMemory { given: 1 << 27 }.into());
    let terms = Terms::new().devices(DeviceNeed::part(500));
    let both = Request::new(b"x", NEED.gpus(1)).terms(&terms);
    assert_eq!(engine.reserve(&both), Err(BesideGpus.into()));
    let request = Request::new(b"x", NEED).terms(&terms);
    let mut results = Vec::new();
    assert_eq!(engine.worker(b"n").unwrap(), before);
    assert_eq!(engine.reservation_count(), 0);

    engine.reserve_batch(&[request, request], BatchMode::Independent, &mut results);
    assert_eq!(results[1], Err(ReserveError::DuplicateId));
    assert_eq!(mask(&engine, results[0].unwrap().ticket), 1);
    assert_eq!(engine.reserve(&request).unwrap().ticket, results[0].unwrap().ticket);
}

#[test]
fn a_whole_life_gives_devices_back_once() {
    let engine = engine([node("n", 4)]);
    let account = engine.account("acme").unwrap();
    engine.set_quota(account, Quota { gpus: Some(3), ..Quota::default() }).unwrap();
    let terms = Terms::new().devices(DeviceNeed::part(250)).account(account);
    let part = |id: &'static [u8], deadline| {
        let terms = terms.hold_until(deadline);
        engine.reserve(&Request::new(id, NEED).terms(&terms)).unwrap()
    };
    let (kept, late) = (part(b"kept", 10), part(b"late", 10));
    let lost = engine.reserve(&Request::new(b"lost", NEED).terms(&terms)).unwrap();
    // A device counts as a GPU, also where only a part is asked for.
    assert_eq!(engine.usage(account).unwrap().used.gpus, 3);
    let over = engine.reserve(&Request::new(b"over", NEED).terms(&terms)).unwrap_err();
    assert!(matches!(over, ReserveError::QuotaExceeded { dimension: Dimension::Gpus, .. }));
    engine.confirm(kept.ticket).unwrap();
    let ended = engine.tick(10).unwrap().expired;
    assert_eq!(ended.iter().map(|one| one.ticket).collect::<Vec<_>>(), [late.ticket]);
    assert_eq!(free(&engine, "n")[0], (500, 81_920));
    assert_eq!(engine.usage(account).unwrap().used.gpus, 2);
    assert!(engine.audit().is_ok());

    // By a group on the worker, as one change and one for its devices.
    let ops = [GroupOp::ReleaseId(b"kept")];
    let done = engine.apply_groups(&[Group { worker: b"n", ops: &ops }]);
    assert!(done[0][0].is_ok(), "{done:?}");
    assert_eq!(free(&engine, "n")[0], (750, 81_920));
    assert!(engine.audit().is_ok());

    // With its worker; a late release gives nothing to the next of that name.
    let gone = engine.remove_worker(b"n").unwrap();
    assert_eq!(gone.iter().map(|one| one.ticket).collect::<Vec<_>>(), [lost.ticket]);
    assert_eq!(engine.usage(account).unwrap().used, Resources::ZERO);
    engine.add_worker(node("n", 1)).unwrap();
    assert!(engine.release(lost.ticket).is_err());
    assert_eq!(free(&engine, "n"), [(1000, 81_920)]);
    engine.remove_worker(b"n").unwrap();
    // And one without devices on the same slot.
    engine.add_worker(WorkerSpec::new("n", ROOM.gpus(2))).unwrap();
    assert_eq!(engine.worker(b"n").unwrap().devices, []);
    assert_eq!(engine.worker(b"n").unwrap().free.gpus, 2);
    assert!(engine.audit().is_ok());
}

#[test]
fn a_hand_off_takes_devices_along() {
    let engine = engine([node("expected", 2).pending(true), node("real", 2)]);
    let terms = Terms::new().devices(DeviceNeed::part(600));
    let real = engine.find_worker(b"real").unwrap();
    let request = Request::anonymous(NEED).terms(&terms);
    let there = engine.reserve_on(real, &request, None).unwrap();
    assert_eq!(mask(&engine, there.ticket), 1);
    let expected = engine.find_worker(b"expected").unwrap();
    let ahead = request.ahead(true);
    let held = [(); 2].map(|()| engine.reserve_on(expected, &ahead, None).unwrap());
    assert_eq!(mask(&engine, held[1].ticket), 2);
    let done = engine.hand_off(b"expected", b"real").unwrap();
    // One finds a device there, the other does not.
    assert_eq!((done.moved, done.lost.len()), (1, 1));
    let kept = held.iter().find(|one| one.ticket != done.lost[0].ticket).unwrap();
    assert_eq!(mask(&engine, kept.ticket), 2);
    assert_eq!(free(&engine, "real"), [(400, 81_920), (400, 81_920)]);
    assert!(engine.audit().is_ok());
    engine.release(kept.ticket).unwrap();
    assert_eq!(free(&engine, "real"), [(400, 81_920), (1000, 81_920)]);
    assert!(engine.audit().is_ok());
}

/// Places, releases and checks by its own books that no device is ever held by more than there is.
#[test]
fn nothing_is_oversold_under_threads() {
    const THREADS: u64 = 4;
    let rounds = std::env::var("SLOTWISE_STRESS_OPS").map_or(100_000, |ops| ops.parse().unwrap());
    let engine = engine((0..3).map(|i| node(&format!("n{i}"), 2 + 2 * i)));
    // What each device has been granted, by worker and device: added after a reservation, taken
    // off before its release, so never more than what is held.
    let held: HashMap<u32, [AtomicU64; 16]> =
        (0..3).map(|i| (i, [const { 0 }; 16].map(AtomicU64::new))).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, held) = (&engine, &held);
            scope.spawn(move || {
                let mut state = thread + 1;
                let mut random = |below: u64| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 33) % below
                };
                let mut mine: Vec<Reservation> = Vec::new();
                let add = |one: &Reservation, sign: i64| {
                    let granted = engine.granted(one.ticket).expect("it is mine");
                    for i in granted.devices.iter() {
                        let cell = &held[&one.worker.index][i];
                        let part = (granted.milli as i64 * sign) as u64;
                        let now = cell.fetch_add(part, Ordering::AcqRel).wrapping_add(part);
                        assert!(now <= 1_000, "device {i} of {} holds {now}", one.worker);
                    }
                };
                for round in 0..rounds / THREADS {
                    if random(16) < mine.len() as u64 {
                        let one = mine.swap_remove(random(mine.len() as u64) as usize);
                        add(&one, -1);
                        engine.release(one.ticket).expect("it is mine");
                    } else {
                        // One, or several together.
                        let count = if random(3) == 0 { 1 + random(4) } else { 1 };
                        let needs = (0..count).map(|_| match random(4) {
                            0 => DeviceNeed::whole(1 + random(3) as u32),
                            _ => DeviceNeed::part(1 + random(999) as u32).memory(random(20_000)),
                        });
                        let terms: Vec<_> = needs.map(|need| Terms::new().devices(need)).collect();
                        let policy = Policy::ALL[random(Policy::ALL.len() as u64) as usize];
                        let request = |terms| {
                            Request::anonymous(NEED).terms(terms).policy(policy).hash(round)
                        };
                        let requests: Vec<_> = terms.iter().map(request).collect();
                        let mut results = Vec::new();
                        match requests[..] {
                            [one] => results.push(engine.reserve(&one)),
                            _ => engine.reserve_batch(
                                &requests,
                                BatchMode::AllOrNothing,
                                &mut results,
                            ),
                        }
                        let placed = results.iter().flatten().count();
                        assert!(placed == 0 || placed == results.len(), "{results:?}");
                        let refused = results.iter().find_map(|result| match result {
                            Err(ReserveError::Peer { .. }) => None,
                            result => result.err(),
                        });
                        let busy = Some(Verdict::Busy);
                        assert!(refused.is_none_or(|error| error.verdict() == busy), "{refused:?}");
                        results.iter().flatten().for_each(|one| add(one, 1));
                        mine.extend(results.into_iter().flatten());
                    }
                    if round % 4_096 == 0 {
                        assert!(engine.audit().is_ok());
                    }
                }
                for one in mine {
                    add(&one, -1);
                    engine.release(one.ticket).expect("it is mine");
                }
            });
        }
    });
    let audit = engine.audit();
    assert!(audit.is_ok() && audit.unsettled == 0, "{audit:?}");
    println!("{} roll-backs", engine.stats().gang_rollbacks);
    for i in 0..3 {
        assert!(free(&engine, &format!("n{i}")).iter().all(|&one| one == (1_000, 81_920)));
    }
}

/// A device whose owner alone may use it is found by its owner each time, however the others churn.
#[test]
fn a_device_that_is_free_is_found() {
    let rounds = std::env::var("SLOTWISE_STRESS_OPS").map_or(100_000, |ops| ops.parse().unwrap());
    // The other threads hold at most 3 of 4 devices' worth between them, in parts of at most 500, so
    // that some device has 500 free at any time.
    let engine = engine([node("n", 4)]);
    let part = Terms::new().devices(DeviceNeed::part(500));
    let stop = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (engine, part, stop) = (&engine, &part, &stop);
            scope.spawn(move || {
                while stop.load(Ordering::Relaxed) == 0 {
                    let two = [(); 2].map(|()| {
                        engine
                            .reserve(&Request::anonymous(NEED).terms(part))
                            .expect("there is room")
                    });
                    two.into_iter().for_each(|one| {
                        engine.release(one.ticket).expect("it is mine");
                    });
                }
            });
        }
        for _ in 0..rounds / 10 {
            let request = Request::anonymous(NEED).terms(&part);
            let placed = engine.reserve(&request).expect("two halves are free all the while");
            engine.release(placed.ticket).unwrap();
        }
        stop.store(1, Ordering::Relaxed);
    });
    assert!(engine.audit().is_ok());
}
