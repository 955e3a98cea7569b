//! The races of what is promised before others have left.

use loom::sync::Arc;
use loom::thread;

use super::explore;
use crate::placement::{DeviceNeed, Devices, Granted, Prefer, Resources};
use crate::slots::{Change, Fence, Narrow, Pool, Slot, State};
use crate::sync::{Bug, seeded::catches};

const ONE: Resources = Resources::new(1, 1);

/// Promises what is held on a worker while the worker becomes smaller: together they would come to more
/// than can be written down, and so whatever is read when, they never do.
fn promise_against_less_capacity() {
    explore(3, || {
        let slot = Arc::new(Slot::<Narrow>::default());
        let stamp = slot.register(Resources::new(400, 400), State::Ready);
        let take = Change::take(Fence::Epoch(stamp.epoch), Resources::new(400, 1), false);
        slot.change(&take, &mut 0).expect("it fits");
        let other = Arc::clone(&slot);
        // The one that reads is the other thread: loom goes back to a store for a later load, not to a
        // load before which its own thread has looked at what it stores.
        let beside = thread::spawn(move || {
            let word = other.word();
            let less = word.promise(&Resources::new(300, 1), &other.capacity());
            less.is_some_and(|less| other.swap_from(word, less))
        });
        slot.revise(Resources::ZERO, State::Ready, None);
        assert!(!beside.join().unwrap(), "700 of 512 are written down");
        assert_eq!((slot.word().free().cpu, slot.capacity()), (-400, Resources::ZERO));
    });
}

#[test]
fn loom_promise_against_less_capacity() {
    promise_against_less_capacity();
}

#[test]
fn loom_catches_capacity_lowered_first() {
    assert!(catches(Bug::CapacityLoweredFirst, promise_against_less_capacity));
}

/// A device is claimed while who holds it leaves, and while somebody asks for what that leaves: nobody
/// comes in between.
fn claim_of_a_device_against_release_and_request() {
    explore(3, || {
        let world = Arc::new((Slot::<Narrow>::default(), Pool::<1>::default()));
        let (slot, pool) = &*world;
        let devices = pool.enter(&Devices::all_free([(0, 0)].into_iter()));
        let room = Resources::new(8, 8).gpus(Devices::digest_of(1));
        let stamp = slot.register_with(room, State::Ready, Some(devices));
        let take = move |world: &(Slot<Narrow>, Pool<1>), milli| {
            let change = Change::take(Fence::Epoch(stamp.epoch), ONE, false);
            let need = DeviceNeed::part(milli);
            world.0.change_with_devices(&world.1, &change, (&need, Prefer::Fullest), &mut 0)
        };
        let victim = take(&world, 800).expect("it fits").1;
        let other = Arc::clone(&world);
        let leaves = thread::spawn(move || {
            let granted = std::iter::once(victim);
            let given = (&ONE, 1);
            other.0.give_with_devices(&other.1, stamp.incarnation, given, granted, &mut 0)
        });
        let other = Arc::clone(&world);
        let asks = thread::spawn(move || take(&other, 400).is_ok());
        let (word, free) = slot.devices(pool);
        let free = free.expect("it has devices");
        let claim = Granted { milli: 700, ..victim };
        // Its plan was made where the victim was there.
        let claimed = word.version() == 1 && {
            let promised = word.promise(&ONE, &slot.capacity()).zip(free.promise(&claim));
            let (less, left) = promised.expect("not so much");
            matches!(slot.swap_with_devices(pool, (word, less), left), Ok(Some(_)))
        };
        let (left, taken) = (leaves.join().unwrap(), asks.join().unwrap());
        assert!(left.is_some(), "a release is never refused");
        assert!(!(claimed && taken), "somebody came in between");
        let (word, free) = slot.devices(pool);
        let milli = 1_000 - if claimed { 700 } else { 0 } - if taken { 400 } else { 0 };
        assert_eq!(free.map(|free| free.0[0].left_milli()), Some(milli));
        assert_eq!(word.free().cpu, 8 - i64::from(claimed) - i64::from(taken));
        assert_eq!(pool.in_use(), 1, "pages are lost");
    });
}

#[test]
fn loom_claim_of_a_device_against_release_and_request() {
    claim_of_a_device_against_release_and_request();
}

#[test]
fn loom_catches_claim_of_a_device_without_cas() {
    assert!(catches(Bug::ClaimWithoutCas, claim_of_a_device_against_release_and_request));
}
