//! A reservation that is resized while others release it, take from its worker, remove the worker,
//! or look through the books.

use super::*;
use crate::ledger::Sighting;

const TWO: Resources = Resources::new(2, 2);

/// How a resize ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Resized,
    /// Not held, in flight, or no room: as it was, or another's to say.
    Refused,
    Lost,
}

impl World {
    /// As `Engine::resize`.
    fn resize(&self, ticket: Ticket, need: Resources) -> Ended {
        let Ok(held) = self.ledger.pledge(ticket) else { return Ended::Refused };
        let at = held.slot as usize;
        let change = Change {
            give: held.amount.beyond(&need),
            ..Change::take(Fence::Incarnation(held.incarnation), need.beyond(&held.amount), true)
        };
        let changed = self.slots[at].change(&change, &mut 0);
        let gone = || self.gone(at);
        let kept = match changed {
            Ok(changed) => {
                self.ledger.unpledge_as(ticket, held.provisional, &need, changed.version(), gone)
            }
            Err(_) => self.ledger.unpledge(ticket, held.provisional, gone),
        };
        match (kept, changed) {
            (false, _) => {
                self.ledger.finish(&Magazine::default(), ticket);
                Ended::Lost
            }
            (true, Ok(_)) => Ended::Resized,
            (true, Err(_)) => Ended::Refused,
        }
    }

    /// What a live reservation holds, by its record.
    fn held(&self, ticket: Ticket) -> Option<Resources> {
        match self.ledger.look(ticket)? {
            Sighting::Live(_, holding) => Some(holding.amount),
            Sighting::Pledged(..) | Sighting::Between(..) => None,
        }
    }
}

/// Grown or shrunk while it is released: it is given back once, and just what it held.
fn resize_against_release() {
    for (before, after) in [(ONE, TWO), (TWO, ONE)] {
        loom::model(move || {
            let world = world(2);
            let ticket = world.reserve(0, world.fence(0)).expect("there is room");
            if before != ONE {
                assert_eq!(world.resize(ticket, before), Ended::Resized);
            }
            let other = {
                let world = Arc::clone(&world);
                thread::spawn(move || world.release(ticket))
            };
            let resized = world.resize(ticket, after);
            let released = other.join().unwrap();
            assert!(released || resized == Ended::Resized, "each was in the way of the other");
            assert!(world.release(ticket) ^ released, "given back once");
            assert_eq!(world.free(0).cpu, 2, "given back is what was held");
        });
    }
}

#[test]
fn loom_resize_against_release() {
    resize_against_release();
}

#[test]
fn loom_catches_amount_after_unpledge() {
    assert!(catches(Bug::AmountAfterUnpledge, resize_against_release));
}

/// Resized while its worker is removed: it ends once, as lost to the one or to the other, and a new
/// registration has all that it registered.
fn resize_against_remove() {
    loom::model(|| {
        let world = world(2);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let lost = world.remove(0, world.stamps[0].incarnation);
                world.slots[0].register(TWO, State::Ready);
                lost
            })
        };
        let lost_here = (world.resize(ticket, TWO) == Ended::Lost) as usize;
        assert_eq!(lost_here + other.join().unwrap(), 1, "a reservation ends once");
        assert!(!world.release(ticket), "a reservation outlived its worker");
        assert_eq!(world.resize(ticket, ONE), Ended::Refused);
        assert_eq!(world.free(0).cpu, 2, "a new incarnation was taken from, or credited");
    });
}

#[test]
fn loom_resize_against_remove() {
    resize_against_remove();
}

#[test]
fn loom_catches_resize_without_look() {
    assert!(catches(Bug::UnpledgeWithoutLook, resize_against_remove));
}

/// Grown while another takes what is left there: one of them has it.
fn resize_against_reserve() {
    loom::model(|| {
        let world = world(2);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(0, world.fence(0)).is_ok())
        };
        let grown = world.resize(ticket, TWO) == Ended::Resized;
        assert!(grown ^ other.join().unwrap(), "there is room for one");
        assert_eq!((world.free(0).cpu, world.version(0)), (0, 2));
        assert_eq!(world.held(ticket), Some(if grown { TWO } else { ONE }));
        assert!(world.release(ticket));
        assert_eq!(world.free(0).cpu, if grown { 2 } else { 1 });
    });
}

#[test]
fn loom_resize_against_reserve() {
    resize_against_reserve();
}

#[test]
fn loom_catches_resize_without_cas() {
    assert!(catches(Bug::TakeWithoutCas, resize_against_reserve));
}

/// Shrunk while another wants just what becomes free: whatever the other gets, the books are right.
#[test]
fn loom_shrink_against_reserve() {
    loom::model(|| {
        let world = world(2);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        assert_eq!(world.resize(ticket, TWO), Ended::Resized);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(0, world.fence(0)).is_ok())
        };
        assert_eq!(world.resize(ticket, ONE), Ended::Resized, "nothing blocks who shrinks");
        let placed = other.join().unwrap();
        assert_eq!(world.free(0).cpu, if placed { 0 } else { 1 });
    });
}

/// Two resize one reservation: it holds what the last one said, or one was told to ask again.
#[test]
fn loom_resize_against_resize() {
    loom::model(|| {
        let world = world(4);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let three = Resources::new(3, 3);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.resize(ticket, three))
        };
        let mine = world.resize(ticket, TWO);
        let theirs = other.join().unwrap();
        let held = world.held(ticket).expect("nobody is at work").cpu;
        match (mine, theirs) {
            (Ended::Resized, Ended::Resized) => assert!(held == 2 || held == 3),
            (Ended::Resized, Ended::Refused) => assert_eq!(held, 2),
            (Ended::Refused, Ended::Resized) => assert_eq!(held, 3),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.free(0).cpu, 4 - held as i64);
    });
}

/// Resized while the books are looked through: as `Engine::audit`, if the slot was the same before
/// and after and no record of it was half-way, what is free and what is held is all there is.
fn resize_against_audit() {
    loom::model(|| {
        let world = world(2);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.resize(ticket, TWO))
        };
        let before = world.slots[0].word();
        let held = world.held(ticket);
        if let Some(held) = held
            && world.slots[0].word() == before
        {
            assert_eq!(before.free().cpu + held.cpu as i64, 2, "the books do not add up");
        }
        assert_eq!(other.join().unwrap(), Ended::Resized);
    });
}

#[test]
fn loom_resize_against_audit() {
    resize_against_audit();
}

#[test]
fn loom_catches_amount_that_is_unordered() {
    assert!(catches(Bug::AmountUnordered, resize_against_audit));
}
