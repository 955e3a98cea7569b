//! Preemption: the smallest set of victims, one step, and nobody in between.

use slotwise::{
    ConfirmError, Limit, Preemption, Request, Reservation, ReserveError, Scope, Terms, Verdict,
    WorkerUpdate,
};

use crate::common::*;

const LOW: Terms<'static> = Terms::new().priority(-1).preemptable(true);
const HIGH: Terms<'static> = Terms::new().priority(10);

fn hold(e: &Audited, on: &str, id: &'static [u8], cpu: u64, terms: &Terms<'_>) -> Reservation {
    let request = Request::new(id, r(cpu, cpu)).terms(terms);
    e.reserve_on(e.see(on).worker, &request, None).unwrap()
}

fn victims(plan: &Preemption) -> Vec<String> {
    plan.victims.iter().map(|v| v.id.to_string()).collect()
}

#[test]
fn fewest_then_lowest_then_least() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000), w("c", 1000, 1000)]);
    // a: two would have to leave; b and c: one.
    hold(&e, "a", b"a1", 500, &LOW);
    hold(&e, "a", b"a2", 500, &LOW);
    hold(&e, "b", b"b1", 900, &LOW);
    hold(&e, "c", b"c1", 800, &Terms::new().priority(3).preemptable(true));
    let request = Request::new(b"r", r(700, 700)).terms(&HIGH);
    let plan = e.unchanged(|e| e.plan_preemption(&request)).unwrap();
    assert_eq!((victims(&plan), plan.worker), (vec!["b1".to_string()], e.see("b").worker));
    assert_eq!(plan.victims[0].amount, r(900, 900));
    // Of one priority, the one that holds less.
    e.release_id(b"c1").unwrap();
    hold(&e, "c", b"c2", 800, &LOW);
    assert_eq!(victims(&e.plan_preemption(&request).unwrap()), ["c2"]);
    // Neither equals nor those that did not agree to it.
    let equal = Request::new(b"r", r(700, 700)).terms(&LOW);
    let answer = e.unchanged(|e| e.plan_preemption(&equal));
    assert_eq!(refused(answer), Verdict::Busy);
    let impossible = Request::new(b"r", r(1001, 1)).terms(&HIGH);
    assert_eq!(refused(e.plan_preemption(&impossible)), Verdict::Never);
}

#[test]
fn victims_hold_what_they_hold_until_they_are_released() {
    let e = engine([w("a", 1000, 1000)]);
    let low = hold(&e, "a", b"low", 800, &LOW);
    let request = Request::new(b"r", r(700, 700)).terms(&HIGH);
    let plan = e.plan_preemption(&request).unwrap();
    let claim = e.preempt(&request, &plan).unwrap();
    assert!(claim.provisional && claim.version == plan.version + 1);
    // Claimed: nobody comes in between, not even when the victim has left.
    assert_eq!(refused(e.reserve(&Request::new(b"thief", r(1, 1)))), Verdict::Busy);
    assert_eq!(e.confirm(claim.ticket), Err(ConfirmError::Waiting { victims: 1 }));
    assert!(e.reservation(b"low").is_some());
    e.release(low.ticket).unwrap();
    assert_eq!(e.see("a").free, free(300, 300, 0));
    assert!(!e.confirm_id(b"r").unwrap().provisional);
    assert_eq!(e.stats().preempted, 1);
    // The plan was good for once.
    assert!(e.preempt(&request, &plan).unwrap().existing);
    let other = Request::new(b"other", r(700, 700)).terms(&HIGH);
    let again = e.preempt(&other, &plan);
    assert!(matches!(again, Err(ReserveError::VersionConflict { .. })), "{again:?}");
}

#[test]
fn a_world_that_has_moved_is_left_alone() {
    let e = engine([w("a", 1000, 1000)]);
    let low = hold(&e, "a", b"low", 800, &LOW);
    let request = Request::new(b"r", r(700, 700)).terms(&HIGH);
    let plan = e.plan_preemption(&request).unwrap();
    hold(&e, "a", b"more", 1, &LOW);
    let answer = e.unchanged_but_counted(|e| e.preempt(&request, &plan));
    assert!(matches!(answer, Err(ReserveError::VersionConflict { .. })));
    // A plan that is made up is looked up, and nothing is believed.
    let mut forged = e.plan_preemption(&request).unwrap();
    forged.victims.clear();
    let answer = e.unchanged_but_counted(|e| e.preempt(&request, &forged));
    assert!(matches!(answer, Err(ReserveError::VersionConflict { .. })));
    let mut twice = e.plan_preemption(&Request::new(b"r", r(1000, 1000)).terms(&HIGH)).unwrap();
    twice.victims[1] = twice.victims[0].clone();
    let all = Request::new(b"r", r(1000, 1000)).terms(&HIGH);
    assert!(e.unchanged_but_counted(|e| e.preempt(&all, &twice)).is_err());
    // Cordoned in between, or gone.
    let plan = e.plan_preemption(&request).unwrap();
    e.cordon(b"a").unwrap();
    assert!(e.unchanged_but_counted(|e| e.preempt(&request, &plan)).is_err());
    e.remove_worker(b"a").unwrap();
    assert_eq!(e.preempt(&request, &plan), Err(ReserveError::UnknownWorker));
    assert!(e.release(low.ticket).is_err());
}

#[test]
fn a_second_claim_waits_for_those_that_leave_already() {
    let e = engine([w("a", 1000, 1000)]);
    hold(&e, "a", b"1", 500, &LOW);
    hold(&e, "a", b"2", 500, &LOW);
    let first = Request::new(b"f", r(300, 300)).terms(&HIGH);
    let plan = e.plan_preemption(&first).unwrap();
    let gone = victims(&plan);
    let claim = e.preempt(&first, &plan).unwrap();
    // 200 of what the victim holds is nobody's yet.
    let second = Request::new(b"s", r(200, 200)).terms(&HIGH);
    let plan = e.plan_preemption(&second).unwrap();
    assert!(plan.victims.is_empty() && plan.leaving.len() == 1);
    let other = e.preempt(&second, &plan).unwrap();
    assert_eq!(e.confirm(other.ticket), Err(ConfirmError::Waiting { victims: 1 }));
    let third = Request::new(b"t", r(100, 100)).terms(&HIGH);
    let plan = e.plan_preemption(&third).unwrap();
    assert_eq!((plan.victims.len(), plan.leaving.len()), (1, 1));
    assert_ne!(victims(&plan), gone);
    e.release_id(gone[0].as_bytes()).unwrap();
    e.confirm(claim.ticket).unwrap();
    e.confirm(other.ticket).unwrap();
    assert_eq!(e.see("a").free, free(0, 0, 0));
}

#[test]
fn a_claim_that_is_given_up_gives_back_what_it_claimed() {
    let e = engine([w("a", 1000, 1000)]);
    hold(&e, "a", b"low", 800, &LOW);
    let terms = HIGH.hold_until(5);
    let request = Request::new(b"r", r(700, 700)).terms(&terms);
    let claim = e.preempt(&request, &e.plan_preemption(&request).unwrap()).unwrap();
    assert_eq!(e.see("a").free, free(-500, -500, 0));
    assert_eq!(e.tick(5).unwrap().expired[0].ticket, claim.ticket);
    assert_eq!(e.see("a").free, free(200, 200, 0));
    let claim = e.preempt(&request_at(&HIGH), &e.plan_preemption(&request_at(&HIGH)).unwrap());
    e.release(claim.unwrap().ticket).unwrap();
    assert_eq!(e.see("a").free, free(200, 200, 0));
}

fn request_at<'a>(terms: &'a Terms<'a>) -> Request<'a> {
    Request::new(b"r", r(700, 700)).terms(terms)
}

#[test]
fn nobody_is_displaced_where_a_limit_stands_in_the_way() {
    let e = engine([w("a", 1000, 1000)]);
    let group = e.spread_group("g", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 1 }];
    let member = HIGH.limits(&limits);
    e.reserve(&Request::new(b"1", r(100, 100)).terms(&member)).unwrap();
    hold(&e, "a", b"low", 800, &LOW);
    let request = Request::new(b"2", r(500, 500)).terms(&member);
    let answer = e.unchanged(|e| e.plan_preemption(&request));
    let Err(ReserveError::Refused(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.verdict, Verdict::Busy);
}

#[test]
fn what_fits_displaces_nobody() {
    let e = engine([w("a", 1000, 1000)]);
    hold(&e, "a", b"low", 200, &LOW);
    let request = Request::new(b"r", r(700, 700)).terms(&HIGH);
    let plan = e.plan_preemption(&request).unwrap();
    assert!(plan.victims.is_empty() && plan.leaving.is_empty());
    let placed = e.preempt(&request, &plan).unwrap();
    assert!(!placed.provisional);
    assert_eq!(e.see("a").free, free(100, 100, 0));
}

/// Plans against releases and requests on other threads: what is held and not promised never exceeds
/// what there is, and every claim that can be confirmed has its room.
#[test]
fn preemption_among_others_never_oversells() {
    let e = engine([w("a", 1000, 1000), w("b", 1000, 1000)]);
    together(4, |me| {
        for n in 0..400 {
            let id = format!("{me}-{n}");
            let low = Request::new(id.as_bytes(), r(300, 300)).terms(&LOW);
            let _ = e.reserve(&low);
            let name = format!("high-{me}-{n}");
            let request = Request::new(name.as_bytes(), r(500, 500)).terms(&HIGH);
            if let Ok(plan) = e.plan_preemption(&request)
                && let Ok(claim) = e.preempt(&request, &plan)
            {
                for victim in &plan.victims {
                    let _ = e.release(victim.ticket);
                }
                for ticket in &plan.leaving {
                    let _ = e.release(*ticket);
                }
                let confirmed = e.confirm(claim.ticket);
                // A victim may be in another thread's hands this moment.
                assert!(!matches!(confirmed, Err(ConfirmError::NotHeld)), "{confirmed:?}");
                e.release(claim.ticket).unwrap();
            }
            let _ = e.release_id(id.as_bytes());
        }
    });
    assert_eq!(e.reservation_count(), 0);
    assert_eq!(e.see("a").free, free(1000, 1000, 0));
}

/// Each claim displaces the one before it, which has not left yet: what is claimed of a worker ends where it
/// could not be written down, and runs into no other amount.
#[test]
fn claims_on_claims_never_reach_another_amount() {
    let e = engine([w("large", 8_000_000, 1000), gpu("small", 1000, 1000, "t", 8)]);
    let large = Request::new(b"large", r(8_000_000, 1)).terms(&LOW);
    e.reserve(&large).unwrap();
    let next = Terms::new().priority(1).preemptable(true);
    let request = Request::new(b"more", r(8_000_000, 1)).terms(&next);
    let answer = e.unchanged(|e| e.plan_preemption(&request));
    assert_eq!(refused(answer), Verdict::Busy);
    let mut held = Vec::new();
    for priority in 0.. {
        let terms = Terms::new().priority(priority).preemptable(true);
        let request = Request::anonymous(r(1, 1).gpus(8)).terms(&terms);
        let Ok(plan) = e.plan_preemption(&request) else { break };
        held.push(e.preempt(&request, &plan).unwrap().ticket);
        let gpus = held.len() as i64;
        assert_eq!(e.see("small").free, free(1000 - gpus, 1000 - gpus, 8 - 8 * gpus));
        assert!(e.audit().is_ok());
    }
    assert_eq!(held.len(), 32);
    // However small it becomes, it is written down.
    e.update_worker(b"small", WorkerUpdate::new().total(r(1, 1).gpus(1))).unwrap();
    assert_eq!(e.see("small").free, free(-31, -31, -255));
    held.into_iter().for_each(|ticket| _ = e.release(ticket).unwrap());
    assert_eq!(e.see("small").free, free(1, 1, 1));
}
