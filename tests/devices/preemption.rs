//! Devices that others have to leave first.

use super::*;
use slotwise::{ConfirmError, Preemption};

const LOW: Terms<'static> = Terms::new().priority(-1).preemptable(true);
const HIGH: Terms<'static> = Terms::new().priority(10);

/// Holds devices on a worker under the terms of those that may be displaced.
fn hold(
    engine: &Engine,
    on: &str,
    id: &'static [u8],
    need: DeviceNeed,
    terms: Terms<'_>,
) -> Ticket {
    let terms = terms.devices(need);
    let worker = engine.worker(on.as_bytes()).unwrap().worker;
    let request = Request::new(id, NEED).policy(Policy::Spread).terms(&terms);
    engine.reserve_on(worker, &request, None).unwrap().ticket
}

fn plan(engine: &Engine, need: DeviceNeed) -> Result<Preemption, ReserveError> {
    let before = (engine.workers(), engine.audit());
    let planned = engine.plan_preemption(&Request::new(b"r", NEED).terms(&HIGH.devices(need)));
    assert_eq!((engine.workers(), engine.audit()), before);
    planned
}

fn victims(plan: &Preemption) -> Vec<String> {
    plan.victims.iter().map(|victim| victim.id.to_string()).collect()
}

fn claim(engine: &Engine, need: DeviceNeed) -> (Reservation, Preemption) {
    let terms = HIGH.devices(need);
    let request = Request::new(b"r", NEED).terms(&terms);
    let plan = engine.plan_preemption(&request).unwrap();
    (engine.preempt(&request, &plan).unwrap(), plan)
}

#[test]
fn the_device_is_taken_where_the_fewest_are() {
    let engine = engine([node("a", 2), node("b", 2)]);
    // On a: one of each device. On b: two of the first, and one that stays.
    hold(&engine, "a", b"a1", DeviceNeed::part(900), LOW);
    hold(&engine, "a", b"a2", DeviceNeed::part(800).memory(81_000), LOW);
    hold(&engine, "b", b"b1", DeviceNeed::whole(1), Terms::new());
    hold(&engine, "b", b"b2", DeviceNeed::part(400), LOW);
    hold(&engine, "b", b"b3", DeviceNeed::part(500), LOW);
    // The one that holds less of those that one is enough of.
    assert_eq!(victims(&plan(&engine, DeviceNeed::part(600)).unwrap()), ["b3"]);
    assert_eq!(victims(&plan(&engine, DeviceNeed::part(700)).unwrap()), ["a2"]);
    // What fits displaces nobody; where only the memory is missing, somebody has to leave.
    let memory = DeviceNeed::part(200).memory(900);
    assert_eq!(victims(&plan(&engine, memory).unwrap()), Vec::<String>::new());
    let memory = DeviceNeed::part(200).memory(1_000);
    assert_eq!(victims(&plan(&engine, memory).unwrap()), ["b2"]);
    // Whole, where all that are on them leave; and with what they hold beside.
    let whole = plan(&engine, DeviceNeed::whole(2)).unwrap();
    assert_eq!(victims(&whole), ["a1", "a2"]);
    let granted = whole.victims[1].granted.unwrap();
    assert_eq!((granted.devices.0, granted.milli, granted.memory), (2, 800, 81_000));
    // Nobody has three; and where somebody stays, there is no room.
    let Err(ReserveError::Refused(refusal)) = plan(&engine, DeviceNeed::whole(3)) else { panic!() };
    assert_eq!(refusal.verdict, Verdict::Never);
    engine.remove_worker(b"a").unwrap();
    let Err(ReserveError::Refused(refusal)) = plan(&engine, DeviceNeed::whole(2)) else { panic!() };
    assert_eq!(refusal.verdict, Verdict::Busy);
}

#[test]
fn amounts_are_made_room_for_beside_devices() {
    let config = Config { gpu_separation: false, ..Config::default() };
    let engine = Engine::new(config).unwrap();
    engine.add_worker(node("a", 1)).unwrap();
    let all = Resources::new(63_500, 1_024);
    engine.reserve(&Request::new(b"cpu", all).terms(&LOW)).unwrap();
    let terms = HIGH.devices(DeviceNeed::part(500));
    let request = Request::new(b"r", NEED).terms(&terms);
    let plan = engine.plan_preemption(&request).unwrap();
    assert_eq!((victims(&plan), plan.victims[0].granted), (vec!["cpu".to_string()], None));
    // And a request for amounts displaces one that holds devices.
    engine.release_id(b"cpu").unwrap();
    engine.reserve(&Request::new(b"dev", all).terms(&LOW.devices(DeviceNeed::whole(1)))).unwrap();
    let request = Request::new(b"r", NEED).terms(&HIGH);
    let plan = engine.plan_preemption(&request).unwrap();
    let claim = engine.preempt(&request, &plan).unwrap();
    assert_eq!(engine.granted(claim.ticket), None);
    engine.release_id(b"dev").unwrap();
    engine.confirm(claim.ticket).unwrap();
    assert_eq!(free(&engine, "a"), [(1000, 81_920)]);
    assert!(engine.audit().is_ok());
}

#[test]
fn several_are_on_one_island_where_it_is_insisted() {
    let engine = engine([node("a", 4)]);
    // One on each device of the first island and on one of the second; two on the other.
    let ids: [(&[u8], u32); 5] = [(b"0", 500), (b"2", 500), (b"1", 500), (b"3", 500), (b"4", 400)];
    for (id, milli) in ids {
        hold(&engine, "a", id, DeviceNeed::part(milli), LOW);
    }
    let on = |id: &[u8]| mask(&engine, engine.reservation(id).unwrap().ticket);
    assert_eq!([on(b"0"), on(b"2"), on(b"1"), on(b"3"), on(b"4")], [1, 2, 4, 8, 1]);
    let any = plan(&engine, DeviceNeed::whole(2)).unwrap();
    assert_eq!(victims(&any), ["2", "1"]);
    let one = plan(&engine, DeviceNeed::whole(2).island(Island::Insist)).unwrap();
    assert_eq!(victims(&one), ["1", "3"]);
    let (claim, _) = claim(&engine, DeviceNeed::whole(2).island(Island::Insist));
    assert_eq!(mask(&engine, claim.ticket), 0b1100);
}

#[test]
fn nobody_gets_a_device_in_between() {
    let engine = engine([node("a", 1)]);
    let low = hold(&engine, "a", b"low", DeviceNeed::part(800).memory(80_000), LOW);
    let (claimed, plan) = claim(&engine, DeviceNeed::part(700).memory(40_000));
    assert!(claimed.provisional && claimed.version == plan.version + 1);
    assert_eq!(engine.granted(claimed.ticket).unwrap().milli, 700);
    assert_eq!(engine.granted(low).unwrap().milli, 800);
    // Less than nothing is shown as nothing, and is no room for anybody.
    assert_eq!(free(&engine, "a"), [(0, 0)]);
    assert!(reserve(&engine, DeviceNeed::part(1)).is_err());
    assert_eq!(engine.confirm(claimed.ticket), Err(ConfirmError::Waiting { victims: 1 }));
    assert!(engine.audit().is_ok());
    engine.release(low).unwrap();
    assert_eq!(free(&engine, "a"), [(300, 41_920)]);
    assert!(!engine.confirm(claimed.ticket).unwrap().provisional);
    assert!(reserve(&engine, DeviceNeed::part(301)).is_err());
    engine.release(claimed.ticket).unwrap();
    assert_eq!(free(&engine, "a"), [(1000, 81_920)]);
    assert!(engine.audit().is_ok());
}

#[test]
fn a_claim_on_devices_that_is_given_up_gives_them_back() {
    let engine = engine([node("a", 2)]);
    let low = hold(&engine, "a", b"low", DeviceNeed::whole(2), LOW);
    let (first, _) = claim(&engine, DeviceNeed::part(600));
    assert_eq!(mask(&engine, first.ticket), 1);
    // A second waits for the same victim: what is claimed already is not there for it.
    let terms = HIGH.devices(DeviceNeed::part(600));
    let second = Request::new(b"second", NEED).terms(&terms);
    let plan = engine.plan_preemption(&second).unwrap();
    assert_eq!((plan.victims.len(), &plan.leaving), (0, &vec![low]));
    let second = engine.preempt(&second, &plan).unwrap();
    assert_eq!(mask(&engine, second.ticket), 2);
    assert!(super::preemption::plan(&engine, DeviceNeed::part(600)).is_err());
    engine.release(first.ticket).unwrap();
    assert!(engine.audit().is_ok());
    engine.release(low).unwrap();
    assert_eq!(free(&engine, "a"), [(1000, 81_920), (400, 81_920)]);
    engine.confirm(second.ticket).unwrap();
    assert!(engine.audit().is_ok());
}

#[test]
fn a_plan_for_devices_that_is_old_or_made_up_changes_nothing() {
    let engine = engine([node("a", 2)]);
    hold(&engine, "a", b"1", DeviceNeed::part(900), LOW);
    hold(&engine, "a", b"2", DeviceNeed::part(900), LOW);
    let terms = HIGH.devices(DeviceNeed::whole(2));
    let request = Request::new(b"r", NEED).terms(&terms);
    let plan = engine.plan_preemption(&request).unwrap();
    let unchanged = |plan: &Preemption| {
        let before = (engine.workers(), engine.audit());
        let answer = engine.preempt(&request, plan);
        assert!(matches!(answer, Err(ReserveError::VersionConflict { .. })), "{answer:?}");
        assert_eq!((engine.workers(), engine.audit()), before);
    };
    let mut short = plan.clone();
    short.victims.pop();
    unchanged(&short);
    let mut twice = plan.clone();
    twice.victims[1] = twice.victims[0].clone();
    unchanged(&twice);
    hold(&engine, "a", b"3", DeviceNeed::part(100), LOW);
    unchanged(&plan);
}

/// Claims of claims: each displaces the one before it, which has not left yet.
#[test]
fn claims_on_claims_end_where_they_cannot_be_written_down() {
    let engine = engine([node("a", 1)]);
    let mut waiting = vec![hold(&engine, "a", b"low", DeviceNeed::whole(1), LOW)];
    let need = Resources::new(1, 1);
    for priority in 0.. {
        let terms = Terms::new().priority(priority).preemptable(true);
        let terms = terms.devices(DeviceNeed::whole(1));
        let request = Request::anonymous(need).terms(&terms);
        match engine.plan_preemption(&request) {
            Ok(plan) => waiting.push(engine.preempt(&request, &plan).unwrap().ticket),
            Err(ReserveError::Refused(refusal)) => {
                assert_eq!(refusal.verdict, Verdict::Busy);
                break;
            }
            Err(error) => panic!("{error:?}"),
        }
        assert!(engine.audit().is_ok() && free(&engine, "a")[0].0 == 0);
    }
    assert_eq!(waiting.len(), 33);
    for ticket in waiting {
        engine.release(ticket).unwrap();
        assert!(engine.audit().is_ok());
    }
    assert_eq!(free(&engine, "a"), [(1000, 81_920)]);
}

/// Claims, releases and requests of four threads: no device is ever held beyond what it has by those
/// that are not claims, and all is there again in the end.
#[test]
fn claims_among_others_never_oversell_a_device() {
    let engine = engine([node("a", 2), node("b", 2)]);
    let claimed = AtomicU64::new(0);
    thread::scope(|scope| {
        for me in 0..4u64 {
            let (engine, claimed) = (&engine, &claimed);
            scope.spawn(move || {
                let mut below = random();
                (0..me).for_each(|_| _ = below(2));
                let mut lows = std::collections::VecDeque::new();
                for n in 0..400 {
                    let part = DeviceNeed::part(200 + 100 * below(5) as u32);
                    let low = engine.reserve(&Request::anonymous(NEED).terms(&LOW.devices(part)));
                    lows.extend(low);
                    let wanted = match below(3) {
                        0 => DeviceNeed::whole(1 + below(2) as u32),
                        _ => DeviceNeed::part(500 + 100 * below(5) as u32),
                    };
                    let name = format!("high-{me}-{n}");
                    let terms = HIGH.devices(wanted);
                    let request = Request::new(name.as_bytes(), NEED).terms(&terms);
                    if let Ok(plan) = engine.plan_preemption(&request)
                        && let Ok(claim) = engine.preempt(&request, &plan)
                    {
                        claimed.fetch_add(claim.provisional as u64, Ordering::Relaxed);
                        let tickets = plan.victims.iter().map(|victim| victim.ticket);
                        for ticket in tickets.chain(plan.leaving.iter().copied()) {
                            let _ = engine.release(ticket);
                        }
                        let _ = engine.confirm(claim.ticket);
                        engine.release(claim.ticket).unwrap();
                    }
                    if lows.len() > 4
                        && let Some(low) = lows.pop_front()
                    {
                        let _ = engine.release(low.ticket);
                    }
                }
                lows.into_iter().for_each(|low| _ = engine.release(low.ticket));
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                let audit = engine.audit();
                assert!(audit.is_ok(), "{audit:?}");
            }
        });
    });
    assert!(claimed.into_inner() > 0);
    assert_eq!(engine.reservation_count(), 0);
    for id in ["a", "b"] {
        assert_eq!(free(&engine, id), [(1000, 81_920); 2]);
    }
    assert!(engine.audit().is_ok());
}
