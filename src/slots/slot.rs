//! One worker's slot, and every way in which it changes.
//!
//! # Protocol
//! 1. A change reads the word, then the stamp, decides, and swaps the word from exactly what it
//!    read. The version is part of the word, so success means that nothing happened to the slot
//!    since the word was read: no other taking or giving, no change of state, no removal.
//! 2. Whoever makes the slot mean something else (a registration, a move to another class) writes
//!    the stamp first and changes the word afterwards. A change that saw the old stamp had read
//!    the word before that, so its swap fails; one that reads the new word sees the new stamp.
//! 3. A failed swap means that another change was made: the loop reads anew and decides anew. It
//!    fails only when the decision does: the caller never hears of a change elsewhere on the slot
//!    that leaves room.
//!
//! # ABA
//! The version rises with each change and has 58 bits, so that a word never comes back. The
//! incarnation and the epoch have 32 bits each; a slot that has used either up is not used again
//! ([`Stamp::spent`]).
//!
//! # Orderings
//! The word is read with Acquire and changed with AcqRel; the stamp is written with Release
//! before the word's change and read with Acquire after the word's load. The pairs are: stamp
//! written in [`Slot::register`] and [`Slot::revise`], read in [`Slot::change`] and
//! [`Slot::give`].

use super::{Layout, State, Wide, Word, WordCell};
use crate::placement::{DeviceNeed, Dimension, Free, Prefer, Resources};
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, stop, store_load_fence_after_swap};

/// Swaps that one operation tries on one slot before it says that it is contended. Each failure
/// is another thread's success, so that this bounds one caller's wait, not the engine's progress.
pub(super) const MAX_RETRIES: u32 = 10_000;

/// Which registration of a slot, and which of its classes, a slot stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Rises with each registration: releases ask for it.
    pub(crate) incarnation: u32,
    /// Rises with each registration and each move to another class: probes ask for it.
    pub(crate) epoch: u32,
}

impl Stamp {
    const fn bits(self) -> u64 {
        (self.incarnation as u64) << 32 | self.epoch as u64
    }

    const fn from_bits(bits: u64) -> Stamp {
        Stamp { incarnation: (bits >> 32) as u32, epoch: bits as u32 }
    }

    /// No further registration or move can be told apart from an earlier one.
    pub(crate) const fn spent(self) -> bool {
        self.incarnation == u32::MAX || self.epoch == u32::MAX
    }
}

/// What the slot must still stand for when a change is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fence {
    /// As a probe found it among its class.
    Epoch(u32),
    /// As a reference or a record names it.
    Incarnation(u32),
}

impl Fence {
    fn holds(self, stamp: Stamp) -> bool {
        match self {
            Fence::Epoch(epoch) => stamp.epoch == epoch || bug(Bug::TakeIgnoresEpoch),
            Fence::Incarnation(incarnation) => stamp.incarnation == incarnation,
        }
    }
}

/// One change by reservations: what they give back and take, as one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) fence: Fence,
    /// Given back first.
    pub(crate) give: Resources,
    /// Taken then.
    pub(crate) take: Resources,
    /// By how many the version rises: the number of reservations.
    pub(crate) count: u64,
    /// Pending workers will do.
    pub(crate) ahead: bool,
    /// The version that the caller insists on.
    pub(crate) expected: Option<u64>,
    /// Devices that are taken with it, by [`Slot::change_with_devices`] alone.
    pub(crate) devices: Option<(DeviceNeed, Prefer)>,
}

impl Change {
    /// One reservation that takes.
    #[inline]
    pub(crate) fn take(fence: Fence, take: Resources, ahead: bool) -> Change {
        Change {
            fence,
            give: Resources::ZERO,
            take,
            count: 1,
            ahead,
            expected: None,
            devices: None,
        }
    }

    #[inline]
    fn counts_gpus(&self) -> bool {
        self.give.gpus | self.take.gpus != 0
    }
}

/// A change that was made: the word before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed<L> {
    pub(crate) before: Word<L>,
    pub(crate) after: Word<L>,
}

impl<L: Layout> Changed<L> {
    /// The version that it made.
    pub(crate) fn version(self) -> u64 {
        self.after.version()
    }
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused<L> {
    /// The slot stands for something else by now.
    Stale,
    /// It is at another version than the caller insists on.
    Version(Word<L>),
    /// Its state does not take this.
    State,
    /// Not enough free.
    Short,
    /// Other changes came first too many times.
    Contended,
}

/// One worker's slot: a cache line of its own.
#[repr(align(64))]
pub(crate) struct Slot<L: Layout = Wide> {
    word: L::Cell,
    stamp: AtomicU64,
    /// Total less what the host set aside; a packed [`Resources`]. Written under the registry's
    /// lock only.
    capacity: AtomicU64,
    /// 2^40 / capacity, by dimension: shares without dividing on the way to a placement.
    weights: [AtomicU64; 3],
    /// The numbers of the places where it stands, plus one: one place, or two while it moves.
    /// Written under the registry's lock.
    places: AtomicU64,
}

impl<L: Layout> Default for Slot<L> {
    fn default() -> Self {
        Slot {
            word: L::Cell::default(),
            stamp: AtomicU64::new(0),
            capacity: AtomicU64::new(0),
            weights: [const { 0 }; 3].map(AtomicU64::new),
            places: AtomicU64::new(0),
        }
    }
}

impl<L: Layout> Slot<L> {
    #[inline]
    pub(crate) fn word(&self) -> Word<L> {
        self.word.load()
    }

    /// Read after the word that it is to belong to.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::from_bits(self.stamp.load(Ordering::Acquire))
    }

    /// What it could hold when empty.
    pub(crate) fn capacity(&self) -> Resources {
        Resources::from_bits(self.capacity.load(Ordering::Relaxed))
    }

    /// The weight of each dimension in a score; see [`crate::placement::weights`]. Relaxed: a
    /// score is a preference, the word alone decides what fits.
    #[inline]
    pub(crate) fn weights(&self) -> [u64; 3] {
        [0, 1, 2].map(|d| self.weights[d].load(Ordering::Relaxed))
    }

    /// The places where it stands. Read after a change of the word, to raise the hints there: who
    /// enters it at a place does so before reading the word for the hints of that place.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        store_load_fence_after_swap();
        let places = self.places.load(Ordering::Acquire);
        [places as u32, (places >> 32) as u32].into_iter().filter_map(|place| place.checked_sub(1))
    }

    /// Stands at this place, too. Under the registry's lock.
    pub(crate) fn sit(&self, place: u32) {
        let places = self.places.load(Ordering::Relaxed);
        let place = (place as u64 + 1) << if places == 0 { 0 } else { 32 };
        self.places.store(places | place, Ordering::Release);
    }

    /// Stands there no more. Under the registry's lock.
    pub(crate) fn rise(&self, place: u32) {
        let places = self.places.load(Ordering::Relaxed);
        let others = [places & u32::MAX as u64, places >> 32];
        let left = others.into_iter().filter(|&other| other != place as u64 + 1);
        self.places.store(left.fold(0, |all, other| all | other), Ordering::Release);
    }

    /// Makes the change, or says why not. Counts the swaps that other changes came before.
    ///
    /// Races with: any other change (one swap fails and decides anew on what the other left);
    /// a cordon in [`Slot::revise`] (the state is in the word: after it, the swap fails and the
    /// new state refuses); a removal or a move (by the stamp, see the protocol).
    #[inline]
    pub(crate) fn change(
        &self,
        change: &Change,
        retries: &mut u64,
    ) -> Result<Changed<L>, Refused<L>> {
        self.change_from(self.word.load(), change, retries)
    }

    /// The same from a word that has been read before. If the slot has changed since, the swap
    /// says so.
    #[inline]
    pub(crate) fn change_from(
        &self,
        mut word: Word<L>,
        change: &Change,
        retries: &mut u64,
    ) -> Result<Changed<L>, Refused<L>> {
        for _ in 0..MAX_RETRIES {
            self.check(word, change)?;
            if change.counts_gpus() && word.page() != 0 {
                // Its GPUs are devices, which are asked for as such.
                return Err(Refused::Short);
            }
            if !change.take.is_zero() {
                if !word.state().takes(change.ahead) && !bug(Bug::TakeIgnoresState) {
                    return Err(Refused::State);
                }
                if !word.free().plus(&change.give).fits(&change.take) {
                    return Err(Refused::Short);
                }
            }
            let new = word.plus(&change.give, 0).minus(&change.take, change.count);
            #[cfg(all(slotwise_loom, test))]
            if bug(Bug::TakeWithoutCas) {
                self.word.store(new);
                return Ok(Changed { before: word, after: new });
            }
            stop(Stop::Swap);
            match self.word.compare_exchange(word, new) {
                Ok(()) => return Ok(Changed { before: word, after: new }),
                Err(now) => word = now,
            }
            *retries += 1;
        }
        Err(Refused::Contended)
    }

    /// Whether the slot stands for what the change is meant for, at the version that it insists on.
    /// Reads the stamp, after the word.
    #[inline(always)]
    pub(super) fn check(&self, word: Word<L>, change: &Change) -> Result<(), Refused<L>> {
        if !change.fence.holds(self.stamp()) || word.state() == State::Removed {
            return Err(Refused::Stale);
        }
        if change.expected.is_some_and(|expected| expected != word.version()) {
            return Err(Refused::Version(word));
        }
        Ok(())
    }

    /// One swap, from a word that has been read and found to do: state, room and, read after it, the
    /// stamp. False: the slot has changed since. Races as [`Slot::change`].
    #[inline(always)]
    pub(crate) fn swap_from(&self, word: Word<L>, new: Word<L>) -> bool {
        #[cfg(all(slotwise_loom, test))]
        if bug(Bug::ClaimWithoutCas) {
            self.word.store(new);
            return true;
        }
        stop(Stop::Swap);
        self.word.compare_exchange(word, new).is_ok()
    }

    /// Gives back what was taken on this incarnation. `None`: that incarnation is gone, and there
    /// is nothing to credit. Never refused otherwise, whatever the state.
    ///
    /// Races with [`Slot::remove`] and [`Slot::register`]: either the credit comes first and goes
    /// with the worker, or the word has changed and the stamp that is read then is a new one, or
    /// the state says that nobody is there.
    #[inline(always)]
    pub(crate) fn give(
        &self,
        incarnation: u32,
        amount: &Resources,
        count: u64,
        retries: &mut u64,
    ) -> Option<Changed<L>> {
        let mut word = self.word.load();
        loop {
            let gone = self.stamp().incarnation != incarnation || word.state() == State::Removed;
            if gone && !bug(Bug::GiveIgnoresIncarnation) {
                return None;
            }
            let new = word.plus(amount, count);
            stop(Stop::Swap);
            match self.word.compare_exchange(word, new) {
                Ok(()) => return Some(Changed { before: word, after: new }),
                Err(now) => word = now,
            }
            *retries += 1;
        }
    }

    /// Puts a new registration on an empty slot. Under the registry's lock.
    #[cfg(test)]
    pub(crate) fn register(&self, capacity: Resources, state: State) -> Stamp {
        self.register_with(capacity, state, None)
    }

    /// The same with the page and the digest of its devices, if it has any.
    pub(crate) fn register_with(
        &self,
        capacity: Resources,
        state: State,
        devices: Option<(u32, u64)>,
    ) -> Stamp {
        let old = self.stamp();
        let stamp = Stamp { incarnation: old.incarnation + 1, epoch: old.epoch + 1 };
        // Release, before the word: a late release that reads the new word sees the new stamp.
        self.stamp.store(stamp.bits(), Ordering::Release);
        self.set_capacity(capacity);
        // The first registration of a slot is its version 0; a later one is one more change.
        let rise = if old.incarnation == 0 { 0 } else { 1 };
        self.swap(|word| {
            let new = Word::new(capacity.into(), state, word.version() + rise);
            devices.map_or(new, |(page, digest)| new.with_devices(page, digest))
        });
        stamp
    }

    /// Ends the registration, and returns the word that it had. Under the registry's lock. What was
    /// held ends with it.
    pub(crate) fn remove(&self) -> Word<L> {
        self.swap(|word| Word::new(Free::default(), State::Removed, word.version() + 1)).before
    }

    /// Changes what the slot can hold, its state, or what it stands for, as one change. Under the
    /// registry's lock; returns the word that it made.
    ///
    /// Races with a promise ([`Word::promise`]), which reads the capacity after the word that it swaps
    /// from: it must never meet less than that word counts with, so a capacity is lowered after the word.
    pub(crate) fn revise(
        &self,
        capacity: Resources,
        state: State,
        moved: Option<Stamp>,
    ) -> Word<L> {
        if let Some(stamp) = moved {
            self.stamp.store(stamp.bits(), Ordering::Release);
        }
        let old = self.capacity();
        let most = if bug(Bug::CapacityLoweredFirst) { capacity } else { old.most(&capacity) };
        if old != most {
            self.set_capacity(most);
        }
        let changed = self.swap(|word| {
            let free = word.free().minus(&old).plus(&capacity);
            let new = Word::new(free, state, word.version() + 1);
            match word.page() {
                0 => new,
                page => new.with_devices(page, free.gpus as u64),
            }
        });
        if most != capacity {
            stop(Stop::Swap);
            self.set_capacity(capacity);
        }
        changed.after
    }

    fn swap(&self, new: impl Fn(Word<L>) -> Word<L>) -> Changed<L> {
        let mut word = self.word.load();
        loop {
            let next = new(word);
            stop(Stop::Swap);
            match self.word.compare_exchange(word, next) {
                Ok(()) => return Changed { before: word, after: next },
                Err(now) => word = now,
            }
        }
    }

    fn set_capacity(&self, capacity: Resources) {
        // Relaxed: readers outside the registry's lock use it for scores and for "could this ever
        // fit", which a change under way may answer either way; a promise, whose swap is the order
        // (its partner is `revise`: a store that is seen before the swap comes after the word's).
        self.capacity.store(capacity.to_bits(), Ordering::Relaxed);
        let weights = crate::placement::weights(&capacity);
        for (d, cell) in Dimension::ALL.into_iter().zip(&self.weights) {
            cell.store(weights[d as usize], Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    #[test]
    fn over_commitment_is_repaid_before_anything_new_is_taken() {
        let slot = Slot::<Wide>::default();
        let stamp = slot.register(Resources::new(1000, 1000), State::Ready);
        let fence = Fence::Incarnation(stamp.incarnation);
        let take = |n| slot.change(&Change::take(fence, Resources::new(n, n), false), &mut 0);
        assert_eq!(take(800).map(Changed::version), Ok(1));
        assert_eq!(slot.revise(Resources::new(500, 500), State::Ready, None).free().cpu, -300);
        assert_eq!(take(1), Err(Refused::Short));
        slot.give(stamp.incarnation, &Resources::new(800, 800), 1, &mut 0);
        assert_eq!(take(500).map(Changed::version), Ok(4));
    }

    #[test]
    fn a_stopped_callers_old_fence_is_stale() {
        let slot = Slot::<Wide>::default();
        let first = slot.register(Resources::new(10, 10), State::Ready);
        slot.remove();
        let second = slot.register(Resources::new(10, 10), State::Ready);
        let take = |f| slot.change(&Change::take(f, Resources::new(1, 1), false), &mut 0);
        assert_eq!(take(Fence::Epoch(first.epoch)), Err(Refused::Stale));
        assert_eq!(take(Fence::Incarnation(first.incarnation)), Err(Refused::Stale));
        assert_eq!(slot.give(first.incarnation, &Resources::new(1, 1), 1, &mut 0), None);
        assert_eq!(take(Fence::Epoch(second.epoch)).map(Changed::version), Ok(3));
    }
}
