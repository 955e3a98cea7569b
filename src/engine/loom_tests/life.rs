//! Claims against those that they displace, hand-offs against releases.

use super::*;

impl World {
    /// As `Engine::claim_at`, of all that there is, where the victim has to leave.
    fn claim(&self, at: usize, victim: Ticket, version: u64) -> Option<Ticket> {
        let magazine = Magazine::default();
        let draft = self.ledger.draft(&magazine, b"").expect("there is room");
        let slot = &self.slots[at];
        let word = slot.word();
        let held = match self.ledger.look(victim) {
            Some(crate::ledger::Sighting::Live(_, held)) => Some(held.amount),
            _ => None,
        };
        let fits = held.is_some_and(|held| word.free().plus(&held).fits(&ONE));
        self.ledger.aim(draft, at as u32, self.stamps[at].incarnation, &ONE);
        let less = word.promise(&ONE, &slot.capacity()).expect("not so much");
        if word.version() == version && fits && slot.swap_from(word, less) {
            assert!(self.ledger.publish(draft, less.version(), || self.gone(at)));
            return Some(draft.ticket());
        }
        self.ledger.discard(&magazine, draft);
        None
    }

    /// As `Engine::take_over_one`.
    fn take_over(&self, ticket: Ticket, to: usize) -> bool {
        let Ok(held) = self.ledger.pledge(ticket) else { return false };
        let fence = Fence::Incarnation(self.stamps[to].incarnation);
        match self.slots[to].change(&Change::take(fence, held.amount, true), &mut 0) {
            Ok(taken) => {
                let from = &self.slots[held.slot as usize];
                from.give(held.incarnation, &held.amount, 1, &mut 0);
                let there = (to as u32, self.stamps[to].incarnation, taken.version());
                self.ledger.unpledge_at(ticket, false, there, || false)
            }
            Err(_) => {
                self.ledger.unpledge(ticket, false, || false);
                false
            }
        }
    }
}

/// A plan is carried out while its victim is released and somebody else asks: the claim has its room
/// once the victim has left, or nothing has changed; and nobody has what is claimed.
fn claim_against_release() {
    loom::model(|| {
        let world = world(1);
        let victim = world.reserve(0, world.fence(0)).expect("there is room");
        let version = world.version(0);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || assert!(world.release(victim)))
        };
        let claim = world.claim(0, victim, version);
        other.join().unwrap();
        assert_eq!(world.free(0).cpu, if claim.is_some() { 0 } else { 1 });
        assert_eq!(world.version(0), if claim.is_some() { 3 } else { 2 });
        assert_eq!(world.reserve(0, world.fence(0)).is_ok(), claim.is_none());
    });
}

#[test]
fn loom_claim_against_release() {
    claim_against_release();
}

#[test]
fn loom_catches_claim_without_cas() {
    assert!(catches(Bug::ClaimWithoutCas, claim_against_release));
}

/// Two claims by one plan: one is made.
#[test]
fn loom_claim_against_claim() {
    loom::model(|| {
        let world = world_of(1, 3);
        let victim = world.reserve(0, world.fence(0)).expect("there is room");
        let version = world.version(0);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.claim(0, victim, version).is_some())
        };
        let mine = world.claim(0, victim, version).is_some();
        assert!(mine ^ other.join().unwrap(), "a plan is good for one use");
        assert_eq!((world.free(0).cpu, world.version(0)), (-1, version + 1));
    });
}

/// Handed off while it is released: given back once, where it is by then.
fn hand_off_against_release() {
    loom::model(|| {
        let world = world(1);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.release(ticket))
        };
        let moved = world.take_over(ticket, 1);
        let released = other.join().unwrap();
        assert!(moved || released, "each was in the way of the other");
        assert_eq!(world.release(ticket), !released, "given back once");
        assert_eq!((world.free(0).cpu, world.free(1).cpu), (1, 1), "given back where it was");
    });
}

#[test]
fn loom_hand_off_against_release() {
    hand_off_against_release();
}

#[test]
fn loom_catches_place_after_unpledge() {
    assert!(catches(Bug::PlaceAfterUnpledge, hand_off_against_release));
}

/// Handed off while another takes the room there: one of them has it, and the books are right.
#[test]
fn loom_hand_off_against_reserve() {
    loom::model(|| {
        let world = world(1);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(1, world.fence(1)).is_ok())
        };
        let moved = world.take_over(ticket, 1);
        assert!(moved ^ other.join().unwrap(), "there is room for one");
        assert_eq!((world.free(0).cpu, world.free(1).cpu), (moved as i64, 0));
        assert!(world.release(ticket));
    });
}
