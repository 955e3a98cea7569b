//! The races between slots and ledger, on the 64-bit word, every interleaving of them; each model
//! beside the seeded bug that it must catch. Run by `make loom`.
//!
//! The steps are those of `engine::reserve`, `engine::release`, `engine::batch` and
//! `engine::workers`, without the registry between them, which takes a lock that is not ours.

mod life;
mod resize;

use loom::sync::Arc;
use loom::thread;

use crate::ledger::{Ledger, Magazine, Ticket};
use crate::placement::{Free, Resources};
use crate::slots::{Change, Fence, Narrow, Refused, Slot, Stamp, State};
use crate::sync::{Bug, seeded::catches};

const ONE: Resources = Resources::new(1, 1);

struct World {
    slots: [Slot<Narrow>; 2],
    stamps: [Stamp; 2],
    ledger: Ledger,
}

/// Two workers with this much each, and room for two reservations.
fn world(capacity: u64) -> Arc<World> {
    world_of(capacity, 2)
}

fn world_of(capacity: u64, records: usize) -> Arc<World> {
    let slots = [Slot::default(), Slot::default()];
    let stamps = [0, 1].map(|i: usize| {
        let slot: &Slot<Narrow> = &slots[i];
        slot.register(Resources::new(capacity, capacity), State::Ready)
    });
    let ledger = Ledger::new(records);
    let magazine = Magazine::default();
    // All records are grown before the threads start.
    let drafts: Vec<_> = (0..records).map(|_| ledger.draft(&magazine, b"").unwrap()).collect();
    drafts.into_iter().for_each(|draft| ledger.discard(&magazine, draft));
    Arc::new(World { slots, stamps, ledger })
}

impl World {
    /// As `Engine::take`.
    fn reserve(&self, at: usize, fence: Fence) -> Result<Ticket, Refused<Narrow>> {
        let magazine = Magazine::default();
        let draft = self.ledger.draft(&magazine, b"").expect("there is room");
        let slot = &self.slots[at];
        self.ledger.aim(draft, at as u32, slot.stamp().incarnation, &ONE);
        match slot.change(&Change::take(fence, ONE, false), &mut 0) {
            Ok(changed) if self.ledger.publish(draft, changed.version(), || self.gone(at)) => {
                Ok(draft.ticket())
            }
            Ok(_) => {
                self.ledger.discard(&magazine, draft);
                Err(Refused::Stale)
            }
            Err(refused) => {
                self.ledger.discard(&magazine, draft);
                Err(refused)
            }
        }
    }

    fn fence(&self, at: usize) -> Fence {
        Fence::Epoch(self.stamps[at].epoch)
    }

    /// As `Engine::release`.
    fn release(&self, ticket: Ticket) -> bool {
        let Ok(holding) = self.ledger.close(ticket) else { return false };
        let slot = &self.slots[holding.slot as usize];
        slot.give(holding.incarnation, &holding.amount, 1, &mut 0);
        self.ledger.finish(&Magazine::default(), ticket);
        true
    }

    /// As `Engine::remove_worker`.
    fn remove(&self, at: usize, incarnation: u32) -> usize {
        self.slots[at].remove();
        let (mut lost, place) = (0, (at as u32, incarnation));
        self.ledger.evict(&Magazine::default(), |other| other == place, |_, _, _| lost += 1);
        lost
    }

    /// As `Engine::gone`.
    fn gone(&self, at: usize) -> bool {
        let word = self.slots[at].word();
        self.slots[at].stamp().incarnation != self.stamps[at].incarnation
            || word.state() == State::Removed
    }

    fn free(&self, at: usize) -> Free {
        self.slots[at].word().free()
    }

    fn version(&self, at: usize) -> u64 {
        self.slots[at].word().version()
    }
}

/// Two reservations and room for one: one is made, the version rises by one.
fn reserve_against_reserve() {
    loom::model(|| {
        let world = world(1);
        let reserve = |world: Arc<World>| move || world.reserve(0, world.fence(0)).is_ok();
        let other = thread::spawn(reserve(Arc::clone(&world)));
        let mine = reserve(Arc::clone(&world))();
        assert!(mine ^ other.join().unwrap(), "one of two is placed");
        assert_eq!((world.free(0).cpu, world.version(0)), (0, 1));
    });
}

#[test]
fn loom_reserve_against_reserve() {
    reserve_against_reserve();
}

#[test]
fn loom_catches_take_without_cas() {
    assert!(catches(Bug::TakeWithoutCas, reserve_against_reserve));
}

/// Once a cordon has returned, nothing is taken.
fn reserve_against_cordon() {
    loom::model(|| {
        let world = world(1);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(0, world.fence(0)).is_ok())
        };
        let cordoned = world.slots[0].revise(Resources::new(1, 1), State::Cordoned, None);
        let placed = other.join().unwrap();
        let now = world.slots[0].word();
        assert_eq!(now.state(), State::Cordoned, "a cordon is not lost");
        assert_eq!(now.free(), cordoned.free(), "something landed behind a cordon");
        assert_eq!(now.version(), cordoned.version());
        assert_eq!(placed, now.free().cpu == 0);
    });
}

#[test]
fn loom_reserve_against_cordon() {
    reserve_against_cordon();
}

#[test]
fn loom_catches_take_that_ignores_the_state() {
    assert!(catches(Bug::TakeIgnoresState, reserve_against_cordon));
}

/// A release that comes while its worker is removed and registered again credits nothing to the
/// new one, and the reservation ends once: released, or lost with the worker.
fn release_against_reregistration() {
    loom::model(|| {
        let world = world(2);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.release(ticket))
        };
        let lost = world.remove(0, world.stamps[0].incarnation);
        world.slots[0].register(Resources::new(2, 2), State::Ready);
        let released = other.join().unwrap();
        assert!(released ^ (lost == 1), "a reservation ends once");
        assert_eq!(world.free(0).cpu, 2, "a late release credited a new incarnation");
    });
}

#[test]
fn loom_release_against_reregistration() {
    release_against_reregistration();
}

#[test]
fn loom_catches_give_that_ignores_the_incarnation() {
    assert!(catches(Bug::GiveIgnoresIncarnation, release_against_reregistration));
}

/// A reservation that is made while its worker is removed: made before and lost with it, or not
/// made. Nothing is left behind on a worker that is gone.
fn reserve_against_remove() {
    loom::model(|| {
        let world = world(1);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(0, world.fence(0)))
        };
        let lost = world.remove(0, world.stamps[0].incarnation);
        let placed = other.join().unwrap();
        if let Ok(ticket) = placed {
            assert!(!world.release(ticket), "a reservation outlived its worker");
        }
        assert_eq!(placed.is_ok(), lost == 1, "lost is what was placed");
    });
}

#[test]
fn loom_reserve_against_remove() {
    reserve_against_remove();
}

#[test]
fn loom_catches_publish_without_cas() {
    assert!(catches(Bug::PublishWithoutCas, reserve_against_remove));
}

/// A worker that has moved to another class is not taken by who found it in the old one, once the
/// move has returned.
fn reserve_against_move() {
    loom::model(|| {
        let world = world(1);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(0, world.fence(0)).is_ok())
        };
        let moved = Stamp { epoch: world.stamps[0].epoch + 1, ..world.stamps[0] };
        let word = world.slots[0].revise(Resources::new(1, 1), State::Ready, Some(moved));
        let placed = other.join().unwrap();
        assert_eq!(placed, word.free().cpu == 0, "placed by a stale place after the move");
        assert_eq!(world.version(0), word.version());
    });
}

#[test]
fn loom_reserve_against_move() {
    reserve_against_move();
}

#[test]
fn loom_catches_take_that_ignores_the_epoch() {
    assert!(catches(Bug::TakeIgnoresEpoch, reserve_against_move));
}

/// Two gangs of two workers each, in opposite order, and room for one: at most one is placed, and
/// what a gang that failed had taken is back. As `Engine::place_gang`, one plan.
fn gang_roll_back() {
    loom::model(|| {
        let world = world(1);
        let gang = |world: Arc<World>, order: [usize; 2]| {
            move || {
                let take = |at: usize| {
                    let change = Change::take(world.fence(at), ONE, false);
                    world.slots[at].change(&change, &mut 0).is_ok()
                };
                let taken = order.iter().take_while(|&&at| take(at)).count();
                if taken == 2 {
                    return true;
                }
                let forget = crate::sync::bug(Bug::RollBackForgetsOne) as usize;
                for &at in &order[..taken.saturating_sub(forget)] {
                    world.slots[at].give(world.stamps[at].incarnation, &ONE, 1, &mut 0);
                }
                false
            }
        };
        let other = thread::spawn(gang(Arc::clone(&world), [1, 0]));
        let mine = gang(Arc::clone(&world), [0, 1])();
        let theirs = other.join().unwrap();
        assert!(!(mine && theirs), "room for one");
        let left = if mine || theirs { 0 } else { 1 };
        assert_eq!([0, 1].map(|at| world.free(at).cpu), [left; 2], "a gang left something behind");
    });
}

#[test]
fn loom_gang_roll_back() {
    gang_roll_back();
}

/// A gang of two on two workers, one of which is removed meanwhile: the gang is placed and its
/// member there is lost, or it is not placed, nothing is lost, and the other worker has back what
/// was taken.
fn gang_against_remove() {
    loom::model(|| {
        let world = world(1);
        let magazine = Magazine::default();
        let gang = [0, 1].map(|_| world.ledger.draft(&magazine, b"").expect("there is room"));
        world.ledger.bind(gang);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.remove(1, world.stamps[1].incarnation))
        };
        let take = |at: usize| {
            world.ledger.aim(gang[at], at as u32, world.stamps[at].incarnation, &ONE);
            let change = Change::take(world.fence(at), ONE, false);
            world.slots[at].change(&change, &mut 0).ok().map(|c| (gang[at], c.version()))
        };
        let placed = match [take(0), take(1)] {
            [Some(leader), Some(member)] => {
                let gone = || [0, 1].into_iter().any(|at| world.gone(at));
                world.ledger.publish_gang([leader, member], gone)
            }
            _ => false,
        };
        if !placed {
            for at in [0, 1] {
                // What was not taken on the worker that is gone is not credited there either.
                world.slots[at].give(world.stamps[at].incarnation, &ONE, 1, &mut 0);
            }
            world.ledger.unbind(gang);
            gang.into_iter().for_each(|draft| world.ledger.discard(&magazine, draft));
        }
        let lost = other.join().unwrap();
        assert_eq!(lost, placed as usize, "lost is what was placed");
        assert_eq!(world.free(0).cpu, !placed as i64, "a gang left something behind");
        assert_eq!(world.release(gang[0].ticket()), placed);
        assert!(!world.release(gang[1].ticket()), "a member outlived its worker");
    });
}

#[test]
fn loom_gang_against_remove() {
    gang_against_remove();
}

/// A reservation by a record that was in a gang before, while its worker is removed: the gang is
/// over and does not make it live early.
fn reserve_with_a_former_member() {
    loom::model(|| {
        let world = world(1);
        let magazine = Magazine::default();
        let gang = [0, 1].map(|_| world.ledger.draft(&magazine, b"").expect("there is room"));
        world.ledger.bind(gang);
        for (at, draft) in gang.into_iter().enumerate() {
            world.ledger.aim(draft, at as u32, world.stamps[at].incarnation, &ONE);
        }
        assert!(world.ledger.publish_gang(gang.map(|draft| (draft, 1)), || false));
        // The member's record goes back last and is the next to be taken.
        for draft in gang {
            world.ledger.close(draft.ticket()).unwrap();
            world.ledger.finish(&magazine, draft.ticket());
        }
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reserve(1, world.fence(1)))
        };
        let lost = world.remove(1, world.stamps[1].incarnation);
        assert_eq!(other.join().unwrap().is_ok(), lost == 1, "lost is what was placed");
    });
}

#[test]
fn loom_reserve_with_a_former_member() {
    reserve_with_a_former_member();
}

#[test]
fn loom_catches_member_that_follows_for_ever() {
    assert!(catches(Bug::MemberFollowsForEver, reserve_with_a_former_member));
}

/// A gang on one worker, made of records that were on another one before, while that other one is
/// removed: it is none of the gang's concern.
fn gang_of_used_records() {
    loom::model(|| {
        let world = world(2);
        let magazine = Magazine::default();
        let before = [0, 1].map(|_| world.reserve(1, world.fence(1)).expect("there is room"));
        before.into_iter().for_each(|ticket| assert!(world.release(ticket)));
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.remove(1, world.stamps[1].incarnation))
        };
        let gang = [0, 1].map(|_| world.ledger.draft(&magazine, b"").expect("there is room"));
        world.ledger.bind(gang);
        for draft in gang {
            world.ledger.aim(draft, 0, world.stamps[0].incarnation, &ONE);
        }
        let change =
            Change { count: 2, ..Change::take(world.fence(0), Resources::new(2, 2), false) };
        let changed = world.slots[0].change(&change, &mut 0);
        assert_eq!(changed.map(|c| c.version()), Ok(2));
        assert!(world.ledger.publish_gang([(gang[0], 1), (gang[1], 2)], || world.gone(0)));
        assert_eq!(other.join().unwrap(), 0);
        assert!(gang.iter().all(|draft| world.release(draft.ticket())), "a member is not live");
    });
}

#[test]
fn loom_gang_of_used_records() {
    gang_of_used_records();
}

/// A group that pledged a reservation and could not be done, while its worker is removed: the
/// reservation ends once, and not never.
fn unpledge_against_remove() {
    loom::model(|| {
        let world = world(1);
        let ticket = world.reserve(0, world.fence(0)).expect("there is room");
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.remove(0, world.stamps[0].incarnation))
        };
        let mut ended = 0;
        if world.ledger.pledge(ticket).is_ok()
            && !world.ledger.unpledge(ticket, false, || world.gone(0))
        {
            world.ledger.finish(&Magazine::default(), ticket);
            ended += 1;
        }
        ended += other.join().unwrap();
        assert_eq!(ended, 1, "a reservation ends once");
        assert!(!world.release(ticket));
    });
}

#[test]
fn loom_unpledge_against_remove() {
    unpledge_against_remove();
}

#[test]
fn loom_catches_unpledge_without_look() {
    assert!(catches(Bug::UnpledgeWithoutLook, unpledge_against_remove));
}

/// A reservation that finds its first worker gone and takes the next, while that first one is being
/// removed: the removal may take it for one of its own, which is in nobody's way. Nor is anything
/// left behind if the second one is removed as well.
fn reserve_elsewhere_against_remove(both: bool) {
    loom::model(move || {
        let world = world(1);
        let magazine = Magazine::default();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let lost = world.remove(0, world.stamps[0].incarnation);
                lost + if both { world.remove(1, world.stamps[1].incarnation) } else { 0 }
            })
        };
        let draft = world.ledger.draft(&magazine, b"").expect("there is room");
        world.ledger.aim(draft, 0, world.stamps[0].incarnation, &ONE);
        world.ledger.aim(draft, 1, world.stamps[1].incarnation, &ONE);
        let taken = world.slots[1].change(&Change::take(world.fence(1), ONE, false), &mut 0);
        let placed =
            taken.is_ok_and(|c| world.ledger.publish(draft, c.version(), || world.gone(1)));
        let lost = other.join().unwrap();
        assert_eq!(lost > 0, placed && both, "lost is what was placed on the second");
        assert!(placed || both, "a worker that stays refused");
        assert_eq!(world.release(draft.ticket()), placed && !both);
    });
}

fn reserve_elsewhere() {
    reserve_elsewhere_against_remove(false);
}

#[test]
fn loom_reserve_elsewhere_against_remove() {
    reserve_elsewhere();
    reserve_elsewhere_against_remove(true);
}

#[test]
fn loom_catches_draft_doomed_for_good() {
    assert!(catches(Bug::DoomedForGood, reserve_elsewhere));
}

#[test]
fn loom_catches_stale_aim() {
    assert!(catches(Bug::StaleAim, gang_of_used_records));
}

#[test]
fn loom_catches_doom_that_ignores_the_leader() {
    assert!(catches(Bug::DoomIgnoresLeader, gang_against_remove));
}

#[test]
fn loom_catches_roll_back_that_forgets() {
    assert!(catches(Bug::RollBackForgetsOne, gang_roll_back));
}
