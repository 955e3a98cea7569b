//! The races of the ledger, every interleaving of them; each model beside the seeded bug that it
//! must catch. Run by `make loom`.

mod life;

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::placement::Resources;
use crate::sync::{Bug, seeded::catches};

fn ledger(limit: usize) -> Arc<Ledger> {
    let ledger = Ledger::new(limit);
    // Chunks are grown before the threads start: that is once_cell's race, not ours.
    for index in 0..limit as u32 {
        ledger.record(index);
        ledger.rider(index);
    }
    Arc::new(ledger)
}

/// A live reservation under this id.
fn make(ledger: &Ledger, magazine: &Magazine, id: &[u8], hash: u64) -> Option<Ticket> {
    let draft = ledger.draft(magazine, id)?;
    match ledger.claim(draft, id, hash, |_| false) {
        Claim::Mine => {}
        _ => {
            ledger.discard(magazine, draft);
            return None;
        }
    }
    ledger.aim(draft, 0, 1, &Resources::new(1, 1));
    assert!(ledger.publish(draft, 1, || false));
    Some(draft.ticket())
}

/// Two threads enter one id, each with a draft that it has already, while the main thread first
/// ends `before`, which frees a cell in front of the one that the other thread may have chosen. At
/// most one holds the id, everybody is told of that one, and the index names it.
fn two_inserts(ledger: Arc<Ledger>, before: Option<Ticket>) {
    let magazine = Magazine::default();
    let [mine, theirs] = [(); 2].map(|()| ledger.draft(&magazine, b"id").expect("there is room"));
    let enter = |ledger: &Ledger, draft: Draft| {
        let claim = ledger.claim(draft, b"id", 7, |_| false);
        if claim == Claim::Mine {
            assert!(ledger.publish(draft, 1, || false));
        }
        claim
    };
    let other = {
        let ledger = Arc::clone(&ledger);
        thread::spawn(move || enter(&ledger, theirs))
    };
    if let Some(before) = before {
        assert!(ledger.close(before).is_ok());
        ledger.finish(&magazine, before);
    }
    let claims = [(enter(&ledger, mine), mine), (other.join().unwrap(), theirs)];
    let holders: Vec<Ticket> = claims
        .iter()
        .filter_map(|(claim, draft)| (*claim == Claim::Mine).then_some(draft.ticket()))
        .collect();
    assert!(holders.len() <= 1, "two hold one id");
    for (claim, _) in claims {
        match claim {
            Claim::Held(ticket, _) | Claim::Draft(ticket) => {
                assert!(holders == [ticket] || Some(ticket) == before);
            }
            Claim::Mine | Claim::InFlight => {}
            Claim::Full => panic!("full"),
        }
    }
    let found = ledger.find(b"id", 7).map(|sighting| match sighting {
        Sighting::Live(ticket, _) => ticket,
        Sighting::Pledged(..) | Sighting::Between(..) => panic!("nobody is at work"),
    });
    assert_eq!(found.as_ref(), holders.first());
}

#[test]
fn loom_two_inserts_of_one_id() {
    loom::model(|| two_inserts(ledger(2), None));
}

/// Another id of the same bucket is released meanwhile.
fn two_inserts_and_a_free_cell() {
    loom::model(|| {
        let ledger = ledger(3);
        let before = make(&ledger, &Magazine::default(), b"else", 1 << 40);
        two_inserts(ledger, before);
    });
}

#[test]
fn loom_two_inserts_and_a_free_cell() {
    two_inserts_and_a_free_cell();
}

#[test]
fn loom_catches_insert_without_second_look() {
    assert!(catches(Bug::InsertWithoutSecondLook, two_inserts_and_a_free_cell));
}

#[test]
fn loom_catches_insert_that_passes_a_rival_in_a_later_cell() {
    assert!(catches(Bug::InsertPassesLater, two_inserts_and_a_free_cell));
}

/// The id itself is released meanwhile.
fn two_inserts_against_release() {
    loom::model(|| {
        let ledger = ledger(3);
        let before = make(&ledger, &Magazine::default(), b"id", 7);
        two_inserts(ledger, before);
    });
}

#[test]
fn loom_two_inserts_against_release() {
    two_inserts_against_release();
}

#[test]
fn loom_catches_look_that_takes_a_moving_record_for_another() {
    assert!(catches(Bug::LookOnlyOnce, two_inserts_against_release));
}

/// Two releases of one ticket: one credits.
fn two_releases() {
    loom::model(|| {
        let ledger = ledger(2);
        let magazine = Magazine::default();
        let ticket = make(&ledger, &magazine, b"", 0).expect("there is room");
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.close(ticket).is_ok())
        };
        let mine = ledger.close(ticket).is_ok();
        assert!(mine ^ other.join().unwrap(), "one of two releases credits");
    });
}

#[test]
fn loom_two_releases() {
    two_releases();
}

#[test]
fn loom_catches_release_without_cas() {
    assert!(catches(Bug::ReleaseWithoutCas, two_releases));
}

/// A late release of an old ticket while its record is used again: it never ends the new one.
fn ticket_reuse() {
    loom::model(|| {
        let ledger = ledger(1);
        let magazine = Magazine::default();
        let old = make(&ledger, &magazine, b"", 0).expect("there is room");
        let late = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.close(old).is_ok())
        };
        if ledger.close(old).is_ok() {
            ledger.finish(&magazine, old);
            let new = make(&ledger, &magazine, b"", 0).expect("the record is free again");
            assert!(!late.join().unwrap(), "an old ticket ended a new reservation");
            assert!(matches!(ledger.look(new), Some(Sighting::Live(..))));
            assert!(ledger.close(new).is_ok());
        } else {
            assert!(late.join().unwrap());
        }
    });
}

#[test]
fn loom_ticket_reuse() {
    ticket_reuse();
}

#[test]
fn loom_catches_ticket_that_keeps_its_generation() {
    assert!(catches(Bug::TicketKeepsGeneration, ticket_reuse));
}

/// A record whose generations are used up is retired, and the ledger is one smaller.
#[test]
fn loom_retires_a_record_without_generations() {
    loom::model(|| {
        let ledger = ledger(1);
        let magazine = Magazine::default();
        let mut tickets = Vec::new();
        while let Some(ticket) = make(&ledger, &magazine, b"", 0) {
            assert!(!tickets.contains(&ticket));
            tickets.push(ticket);
            ledger.close(ticket).unwrap();
            ledger.finish(&magazine, ticket);
        }
        assert!(tickets.len() > 1);
    });
}

/// A thread pops a record while another pops two and pushes the first back: no record is handed
/// out twice.
fn free_list() {
    loom::model(|| {
        let ledger = ledger(3);
        let magazine = Magazine::default();
        // Below 1,024 records a magazine keeps nothing, so that each use goes to the shared list.
        let drafts: Vec<Draft> =
            (0..3).map(|_| ledger.draft(&magazine, b"").expect("room for three")).collect();
        for draft in drafts {
            ledger.discard(&magazine, draft);
        }
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.draft(&Magazine::default(), b"").map(|d| d.index()))
        };
        let one = ledger.draft(&magazine, b"").expect("three for three");
        let two = ledger.draft(&magazine, b"").map(|d| d.index());
        ledger.discard(&magazine, one);
        let theirs = other.join().unwrap();
        let rest = ledger.draft(&magazine, b"").map(|d| d.index());
        let mut taken: Vec<u32> = [two, theirs, rest].into_iter().flatten().collect();
        taken.sort();
        assert_eq!(taken, [0, 1, 2], "every record once");
    });
}

#[test]
fn loom_free_list() {
    free_list();
}

#[test]
fn loom_catches_free_list_without_tag() {
    assert!(catches(Bug::FreeListWithoutTag, free_list));
}

/// A group that pledges a reservation and cannot be done, while another thread asks for its id: who
/// asks is told of the one that stands, or that it is being worked on; never does it get a second.
fn claim_against_pledge() {
    loom::model(|| {
        let ledger = ledger(2);
        let magazine = Magazine::default();
        let held = make(&ledger, &magazine, b"id", 7).expect("there is room");
        let draft = ledger.draft(&magazine, b"id").expect("there is room");
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.claim(draft, b"id", 7, |_| false))
        };
        assert!(ledger.pledge(held).is_ok());
        assert!(ledger.unpledge(held, false, || false));
        match other.join().unwrap() {
            Claim::Held(ticket, _) | Claim::Draft(ticket) => assert_eq!(ticket, held),
            Claim::InFlight => {}
            other => panic!("a second holder of one id: {other:?}"),
        }
    });
}

#[test]
fn loom_claim_against_pledge() {
    claim_against_pledge();
}

#[test]
fn loom_catches_pledge_that_gives_up_its_id() {
    assert!(catches(Bug::PledgeGivesUpId, claim_against_pledge));
}

/// A group that gives an id back and reserves it anew, while another thread asks for the id: there
/// is one holder at the end, the group's.
#[test]
fn loom_claim_against_renewal() {
    loom::model(|| {
        let ledger = ledger(3);
        let magazine = Magazine::default();
        let old = make(&ledger, &magazine, b"id", 7).expect("there is room");
        let [new, draft] = [(); 2].map(|()| ledger.draft(&magazine, b"id").expect("there is room"));
        let other = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.claim(draft, b"id", 7, |_| false))
        };
        assert!(ledger.pledge(old).is_ok());
        let claim = ledger.claim(new, b"id", 7, |index| index == old.index());
        assert_eq!(claim, Claim::Mine);
        ledger.finish(&magazine, old);
        assert!(ledger.publish(new, 1, || false));
        match other.join().unwrap() {
            Claim::Held(ticket, _) => assert!(ticket == old || ticket == new.ticket()),
            Claim::Draft(ticket) => assert_eq!(ticket, new.ticket()),
            Claim::InFlight => {}
            other => panic!("a second holder of one id: {other:?}"),
        }
    });
}
