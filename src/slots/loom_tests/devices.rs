//! The races of devices: pages that change hands, and one swap for amounts and devices.

use loom::sync::Arc;
use loom::thread;

use super::explore;
use crate::placement::{DeviceNeed, Devices, Granted, Prefer, Resources, gpu::DeviceSet};
use crate::slots::{Change, Changed, Fence, Narrow, Pool, Refused, Slot, Stamp, State};
use crate::sync::{Bug, seeded::catches};

const ROOM: Resources = Resources::new(8, 8);
const ONE: Resources = Resources::new(1, 1);

/// A worker with `N` devices.
struct World<const N: usize> {
    slot: Slot<Narrow>,
    pool: Pool<N>,
    stamp: Stamp,
}

type Taken = Result<(Changed<Narrow>, Granted), Refused<Narrow>>;

impl<const N: usize> World<N> {
    fn new() -> World<N> {
        let (slot, pool) = (Slot::default(), Pool::default());
        let stamp = register(&slot, &pool);
        World { slot, pool, stamp }
    }

    fn take(&self, need: DeviceNeed) -> Taken {
        let change = Change::take(Fence::Epoch(self.stamp.epoch), ONE, false);
        self.slot.change_with_devices(&self.pool, &change, (&need, Prefer::Fullest), &mut 0)
    }

    fn give(&self, granted: &Granted) -> Option<Changed<Narrow>> {
        let incarnation = self.stamp.incarnation;
        let granted = std::iter::once(*granted);
        self.slot.give_with_devices(&self.pool, incarnation, (&ONE, 1), granted, &mut 0)
    }

    /// Two requests' devices as one change, as a share of a batch takes them.
    fn take_both(&self, needs: [DeviceNeed; 2]) -> Option<[Granted; 2]> {
        let change = Change::take(Fence::Epoch(self.stamp.epoch), Resources::new(2, 2), false);
        let grant = |free: &Devices| {
            let first = free.grant(&needs[0], Prefer::Fullest)?;
            let left = free.minus(&first);
            let second = left.grant(&needs[1], Prefer::Fullest)?;
            Some((left.minus(&second), [first, second]))
        };
        let change = Change { count: 2, ..change };
        self.slot.change_devices(&self.pool, &change, grant, &mut 0).ok().map(|(_, both)| both)
    }

    fn give_both(&self, granted: [Granted; 2]) -> Option<Changed<Narrow>> {
        let (incarnation, both) = (self.stamp.incarnation, (&Resources::new(2, 2), 2));
        let granted = granted.into_iter();
        self.slot.give_with_devices(&self.pool, incarnation, both, granted, &mut 0)
    }

    /// Thousandths free of each device, and CPU; all pages but the word's are nobody's.
    fn rest(&self) -> ([u32; N], i64) {
        let (word, devices) = self.slot.devices(&self.pool);
        let devices = devices.expect("it has devices");
        assert_eq!(self.pool.in_use(), 1, "pages are lost");
        assert_eq!(word.free().gpus, devices.digest() as i64);
        (std::array::from_fn(|i| devices.0[i].milli()), word.free().cpu)
    }
}

fn register<const N: usize>(slot: &Slot<Narrow>, pool: &Pool<N>) -> Stamp {
    let devices = pool.enter(&Devices::all_free([(0, 0); N].into_iter()));
    let gpus = Devices::digest_of(N as u64);
    slot.register_with(ROOM.gpus(gpus), State::Ready, Some(devices))
}

fn part(milli: u32) -> DeviceNeed {
    DeviceNeed::part(milli)
}

/// Two that need the same device: one of them gets it.
fn two_takes(needs: [DeviceNeed; 2]) {
    explore(3, move || {
        let world = Arc::new(World::<1>::new());
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || other.take(needs[0]).is_ok());
        let here = world.take(needs[1]).is_ok();
        let there = beside.join().unwrap();
        assert!(here != there, "one of them gets it: {here}, {there}");
        let milli = if there { needs[0].milli } else { needs[1].milli };
        assert_eq!(world.rest(), ([1_000 - milli], 7));
    });
}

#[test]
fn loom_two_parts_of_one_device() {
    two_takes([part(600), part(500)]);
}

#[test]
fn loom_catches_two_parts_without_cas() {
    assert!(catches(Bug::ClaimWithoutCas, || two_takes([part(600), part(500)])));
}

#[test]
fn loom_part_against_whole() {
    two_takes([part(1), DeviceNeed::whole(1)]);
}

/// A share of two, given back as one, beside a request that fits without it: what it meets is both of
/// them or none, and in the end all is there again.
#[test]
fn loom_a_share_comes_and_goes_as_one() {
    explore(3, || {
        let world = Arc::new(World::<1>::new());
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || {
            let both = other.take_both([part(600), part(300)])?;
            other.give_both(both)
        });
        // Fits beside one of the two as well: where it fits, there are both, or none.
        let taken = world.take(part(400)).map(|(changed, _)| changed.before.version());
        let gone = beside.join().unwrap();
        assert!(taken.is_ok() || gone.is_some(), "one of the two fits");
        assert!(taken.is_err() || matches!(taken, Ok(0 | 4)), "between the two: {taken:?}");
        let milli = if taken.is_ok() { 600 } else { 1_000 };
        assert_eq!(world.rest(), ([milli], if taken.is_ok() { 7 } else { 8 }));
    });
}

/// Two that both fit: both get theirs, on whatever pages.
fn two_that_fit() {
    explore(3, || {
        let world = Arc::new(World::<1>::new());
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || other.take(part(300)).map(|_| ()));
        assert!(world.take(part(400)).is_ok(), "it fits whatever the other does");
        assert_eq!(beside.join().unwrap(), Ok(()));
        assert_eq!(world.rest(), ([300], 6));
    });
}

#[test]
fn loom_two_parts_that_fit() {
    two_that_fit();
}

#[test]
fn loom_catches_page_given_early() {
    assert!(catches(Bug::PageGivenEarly, two_that_fit));
}

/// A device with enough is free at every moment, though not the same one: it is found.
fn one_is_always_free() {
    explore(3, || {
        let world = Arc::new(World::<2>::new());
        // All of the first is free, and 400 of the second.
        let first = world.take(DeviceNeed::whole(1)).unwrap().1;
        let second = world.take(part(600)).unwrap().1;
        assert_eq!((first.devices, second.devices), (DeviceSet(1), DeviceSet(2)));
        world.give(&first).expect("registered");
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || other.take(part(600)).is_ok());
        world.give(&second).expect("registered");
        // The first, on the page that it was on before.
        let _ = world.take(DeviceNeed::whole(1));
        assert!(beside.join().unwrap(), "one is free all the while");
        world.rest();
    });
}

#[test]
fn loom_take_while_devices_change_places() {
    one_is_always_free();
}

#[test]
fn loom_catches_page_read_once() {
    assert!(catches(Bug::PageReadOnce, one_is_always_free));
}

/// A release while the worker is removed and registered anew, on whatever pages are free by then.
fn give_against_remove_and_register() {
    explore(3, || {
        let world = Arc::new(World::<1>::new());
        let granted = world.take(part(600)).unwrap().1;
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || other.give(&granted).is_some());
        let removed = world.slot.remove();
        world.pool.give(removed.page());
        register(&world.slot, &world.pool);
        beside.join().unwrap();
        assert_eq!(world.rest(), ([1_000], 8));
    });
}

#[test]
fn loom_devices_given_back_against_remove_and_register() {
    give_against_remove_and_register();
}

#[test]
fn loom_catches_devices_given_to_another_registration() {
    assert!(catches(Bug::GiveIgnoresIncarnation, give_against_remove_and_register));
}

/// Requests for amounts alone go by devices, and leave them as they are.
#[test]
fn loom_amounts_against_devices() {
    explore(3, || {
        let world = Arc::new(World::<1>::new());
        let other = Arc::clone(&world);
        let beside = thread::spawn(move || {
            let change = Change::take(Fence::Epoch(other.stamp.epoch), ONE, false);
            other.slot.change(&change, &mut 0).is_ok()
        });
        assert!(world.take(part(600)).is_ok());
        assert!(beside.join().unwrap());
        assert_eq!(world.rest(), ([400], 6));
    });
}
