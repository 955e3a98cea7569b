//! The races of the hints, every interleaving of them; each model beside the seeded bug that it must
//! catch. Run by `make loom`.
//!
//! The steps are those of `slots::blocks` on one place of one column, with one word above it.

mod devices;
mod promises;

use loom::sync::Arc;
use loom::thread;

use super::hints::{self, Hint};
use super::{Change, Fence, Narrow, Slot, Stamp, State};
use crate::placement::Resources;
use crate::sync::{Bug, seeded::catches, store_load_fence};

const ONE: Resources = Resources::new(1, 1);

/// A worker with room for one, which is taken, at a place whose hint is still up; and a second place.
struct World {
    slot: Slot<Narrow>,
    stamp: Stamp,
    places: [[Hint; 1]; 2],
    top: [Hint; 1],
}

impl World {
    fn new() -> Arc<World> {
        let slot: Slot<Narrow> = Slot::default();
        let stamp = slot.register(ONE, State::Ready);
        slot.sit(0);
        let world = World { slot, stamp, places: Default::default(), top: Default::default() };
        world.raise(0);
        assert!(world.take());
        Arc::new(world)
    }

    fn path(&self, place: usize) -> [(&[Hint; 1], u32); 2] {
        [(&self.places[place], 0), (&self.top, place as u32)]
    }

    fn raise(&self, place: usize) {
        hints::raise(&self.path(place), 0);
    }

    fn fits(&self) -> bool {
        self.slot.word().free().fits(&ONE)
    }

    fn take(&self) -> bool {
        let fence = Fence::Epoch(self.stamp.epoch);
        self.slot.change(&Change::take(fence, ONE, false), &mut 0).is_ok()
    }

    /// As `Engine::give`.
    fn give(&self) {
        self.slot.give(self.stamp.incarnation, &ONE, 1, &mut 0).expect("registered");
        self.slot.places().for_each(|place| self.raise(place as usize));
    }

    /// As a search that comes to the place in vain.
    fn lower(&self, place: usize) {
        hints::lower(&self.path(place), 0, || self.fits());
    }

    /// Whether hints lead to the place.
    fn leads_to(&self, place: usize) -> bool {
        self.path(place).iter().all(|(hint, at)| hint[0].maybe() & 1 << at != 0)
    }
}

/// Every interleaving with up to so many preemptions, whatever else runs with.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A release while a search that came in vain lowers the hint: once the release has returned, hints
/// lead to the place, however far the search has come.
fn release_against_lower() {
    explore(4, || {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.lower(0))
        };
        world.give();
        assert!(world.leads_to(0), "a free place is hidden");
        other.join().unwrap();
        assert!(world.leads_to(0), "a free place is hidden for good");
    });
}

#[test]
fn loom_release_against_lower() {
    release_against_lower();
}

#[test]
fn loom_catches_lower_without_mark() {
    assert!(catches(Bug::LowerWithoutMark, release_against_lower));
}

#[test]
fn loom_catches_lower_without_second_look() {
    assert!(catches(Bug::LowerWithoutSecondLook, release_against_lower));
}

/// Two searches in vain, and a release.
#[test]
fn loom_release_against_two_lowers() {
    explore(2, || {
        let world = World::new();
        let others = [0; 2].map(|place| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.lower(place))
        });
        world.give();
        assert!(world.leads_to(0), "a free place is hidden");
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(world.leads_to(0), "a free place is hidden for good");
    });
}

/// A release that was stopped on its way up, after which the place was taken and released again:
/// the second release does not rely on the first to go on.
fn release_against_release() {
    explore(3, || {
        let world = World::new();
        world.lower(0);
        assert!(!world.leads_to(0));
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                if world.take() {
                    world.give();
                    assert!(world.leads_to(0), "a free place is hidden");
                }
            })
        };
        world.give();
        other.join().unwrap();
        assert!(world.leads_to(0), "a free place is hidden for good");
    });
}

#[test]
fn loom_release_against_release() {
    release_against_release();
}

#[test]
fn loom_catches_raise_that_stops_early() {
    assert!(catches(Bug::RaiseStopsEarly, release_against_release));
}

/// A release while the worker is entered at a second place, from which it is searched from then on.
fn release_against_move() {
    explore(3, || {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.give())
        };
        // As `Blocks::put`.
        let early = crate::sync::bug(Bug::LookBeforeSitting) && !world.fits();
        world.slot.sit(1);
        store_load_fence();
        if world.fits() && !early {
            world.raise(1);
        }
        other.join().unwrap();
        assert!(world.leads_to(0) && world.leads_to(1), "a free place is hidden for good");
    });
}

#[test]
fn loom_release_against_move() {
    release_against_move();
}

#[test]
fn loom_catches_look_before_sitting() {
    assert!(catches(Bug::LookBeforeSitting, release_against_move));
}
