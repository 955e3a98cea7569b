//! What ends by itself, what is charged and what is counted.

use super::super::agenda::Note;
use super::*;
use crate::sync::{AtomicU64, Ordering};

/// A provisional reservation with this deadline, armed.
fn provisional(ledger: &Ledger, deadline: u64) -> Ticket {
    let draft = ledger.draft(&Magazine::default(), b"").expect("there is room");
    let carried = Carried { deadline: Some(deadline), ..Carried::default() };
    let draft = ledger.load(draft, &carried);
    ledger.aim(draft, 0, 1, &Resources::new(1, 1));
    ledger.arm(draft);
    assert!(ledger.publish(draft, 1, || false));
    draft.ticket()
}

/// Confirmed while its time comes: one of the two is first, and the other is told.
fn confirm_against_expiry() {
    loom::model(|| {
        let ledger = ledger(1);
        let ticket = provisional(&ledger, 5);
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.confirm(ticket).is_ok())
        };
        let (mut agenda, mut ended) = (Agenda::default(), 0);
        ledger.expire(&mut agenda, 5, |ticket, _, _| {
            ended += 1;
            ledger.finish(&Magazine::default(), ticket);
        });
        let confirmed = other.join().unwrap();
        assert_eq!(confirmed as u32 + ended, 1, "confirmed or expired, and not both");
        let live =
            matches!(ledger.look(ticket), Some(Sighting::Live(_, held)) if !held.provisional);
        assert_eq!(live, confirmed);
        ledger.expire(&mut agenda, 6, |_, _, _| panic!("it ends once, or not at all"));
    });
}

#[test]
fn loom_confirm_against_expiry() {
    confirm_against_expiry();
}

#[test]
fn loom_catches_confirm_without_cas() {
    assert!(catches(Bug::ConfirmWithoutCas, confirm_against_expiry));
}

/// Released while its time comes: it is given back once.
#[test]
fn loom_release_against_expiry() {
    loom::model(|| {
        let ledger = ledger(1);
        let ticket = provisional(&ledger, 5);
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || {
                let mine = ledger.close(ticket).is_ok();
                if mine {
                    ledger.finish(&Magazine::default(), ticket);
                }
                mine as u32
            })
        };
        let mut ended = 0;
        ledger.expire(&mut Agenda::default(), 5, |ticket, _, _| {
            ended += 1;
            ledger.finish(&Magazine::default(), ticket);
        });
        assert_eq!(other.join().unwrap() + ended, 1);
        assert_eq!(ledger.look(ticket), None);
    });
}

/// Released while it is confirmed: the release finds it, provisional or live.
#[test]
fn loom_release_against_confirm() {
    loom::model(|| {
        let ledger = ledger(1);
        let ticket = provisional(&ledger, 5);
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.confirm(ticket))
        };
        assert!(ledger.close(ticket).is_ok(), "it was there all the while");
        let _ = other.join().unwrap();
    });
}

/// A deadline that is set while a tick takes notes is seen by that tick or by the next.
fn arm_against_tick() {
    loom::model(|| {
        let shared = Arc::new((Armed::default(), Note::default(), AtomicU64::new(9)));
        shared.0.arm(0, &shared.1);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.2.store(5, Ordering::Relaxed);
                shared.0.arm(0, &shared.1);
            })
        };
        let mut seen = u64::MAX;
        let tick = |seen: &mut u64| {
            shared.0.take(|_| &shared.1, |_| *seen = shared.2.load(Ordering::Relaxed).min(*seen));
        };
        tick(&mut seen);
        other.join().unwrap();
        tick(&mut seen);
        assert_eq!(seen, 5, "a deadline was overlooked");
    });
}

#[test]
fn loom_arm_against_tick() {
    arm_against_tick();
}

#[test]
fn loom_catches_note_that_is_cleared_late() {
    assert!(catches(Bug::NoteClearedLate, arm_against_tick));
}

/// Heard of while its lease runs out: told so, and not removed; or removed, and told that.
fn heartbeat_against_expiry() {
    loom::model(|| {
        let lease = Arc::new(Lease::default());
        lease.renew(1, 10).expect("it has just begun");
        let other = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.renew(1, 20).is_ok())
        };
        let running = lease.running().expect("it runs");
        let expired = running.1 <= 10 && lease.expire(running);
        assert_ne!(other.join().unwrap(), expired, "heard of or expired, and not both");
        assert_eq!(lease.running(), (!expired).then_some((1, 20)));
    });
}

#[test]
fn loom_heartbeat_against_expiry() {
    heartbeat_against_expiry();
}

#[test]
fn loom_catches_expire_without_cas() {
    assert!(catches(Bug::ExpireWithoutCas, heartbeat_against_expiry));
}

/// Two charges of which the quota has room for one, while another is credited.
fn charge_against_charge() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        account.set_limits([100, UNLIMITED, UNLIMITED]);
        let charge = |account: &Account| account.charge(&Resources::new(60, 1)).is_ok();
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || charge(&account))
        };
        let mine = charge(&account);
        assert!(mine ^ other.join().unwrap(), "there is room for one");
        assert_eq!(account.used(), [60, 1, 0]);
        account.credit(&Resources::new(60, 1));
        assert_eq!(account.used(), [0; 3]);
    });
}

#[test]
fn loom_charge_against_charge() {
    charge_against_charge();
}

#[test]
fn loom_catches_charge_without_cas() {
    assert!(catches(Bug::ChargeWithoutCas, charge_against_charge));
}

const KEY: Key = [7; 24];

fn tallies() -> Arc<Tallies> {
    let tallies = Tallies::new(2);
    // Its chunk is grown before the threads start.
    let counted = tallies.take(&KEY, 5, 1).expect("there is room");
    tallies.give(counted);
    Arc::new(tallies)
}

/// Two members of which there may be one more.
fn count_against_count() {
    loom::model(|| {
        let tallies = tallies();
        tallies.take(&KEY, 5, 2).expect("there is room");
        let take = |tallies: &Tallies| tallies.take(&KEY, 5, 2).is_ok();
        let other = {
            let tallies = Arc::clone(&tallies);
            thread::spawn(move || take(&tallies))
        };
        let mine = take(&tallies);
        assert!(mine ^ other.join().unwrap(), "there may be two");
        assert_eq!(tallies.count(&KEY, 5), 2);
    });
}

#[test]
fn loom_count_against_count() {
    count_against_count();
}

#[test]
fn loom_catches_count_without_cas() {
    assert!(catches(Bug::CountWithoutCas, count_against_count));
}

/// The first two members of a place: there is one count, and it counts them.
#[test]
fn loom_first_count_against_first_count() {
    loom::model(|| {
        let tallies = tallies();
        let other = {
            let tallies = Arc::clone(&tallies);
            thread::spawn(move || tallies.take(&KEY, 5, 1).is_ok())
        };
        let mine = tallies.take(&KEY, 5, 1).is_ok();
        let theirs = other.join().unwrap();
        assert!(!(mine && theirs), "there may be one");
        assert_eq!(tallies.count(&KEY, 5), (mine || theirs) as u64);
        assert!(mine || theirs || tallies.take(&KEY, 5, 1).is_ok());
    });
}

/// The last member leaves while another comes: whoever is counted is counted for all to see.
fn count_against_last_one() {
    loom::model(|| {
        let tallies = tallies();
        let last = tallies.take(&KEY, 5, 1).expect("there is room");
        let other = {
            let tallies = Arc::clone(&tallies);
            thread::spawn(move || tallies.give(last))
        };
        let mine = tallies.take(&KEY, 5, 1);
        other.join().unwrap();
        assert_eq!(tallies.count(&KEY, 5), mine.is_ok() as u64, "one who is there is not counted");
        if let Ok(mine) = mine {
            assert_eq!(tallies.take(&KEY, 5, 1), Err(Uncounted::AtLimit));
            tallies.give(mine);
        }
        assert!(tallies.take(&KEY, 5, 1).is_ok());
    });
}

#[test]
fn loom_count_against_last_one() {
    count_against_last_one();
}

#[test]
fn loom_catches_last_one_that_does_not_seal() {
    assert!(catches(Bug::LastOneDoesNotSeal, count_against_last_one));
}
