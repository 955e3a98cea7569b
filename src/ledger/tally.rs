//! How many of a group are where: a count for each group and domain (a worker, a machine, a zone) in
//! which it has members, and nothing for the others.
//!
//! # Protocol
//! 1. A tally has a plate that carries group and domain, found through an id index, and a word with
//!    its generation and its count.
//! 2. To count one more: find the tally and swap its word to one more, if that is not over the limit.
//!    If there is none: take a free one, count one, enter it. If somebody else was faster, give it back
//!    and find theirs.
//! 3. To count one less: swap the word to one less. Whoever makes it none *seals* it by that very swap:
//!    nobody counts it up again, and whoever finds it sealed takes it for gone and enters another.
//!    Then it is taken out of the index and given back.
//!
//! So a count is never over its limit: there is one tally at a time for a group and domain that is not
//! sealed, since the index has one holder of a key, and a sealed one counts nobody.
//!
//! # ABA
//! The word carries the generation of its plate: a tally that was given back and used for something
//! else is never counted up by who has found it before.
//!
//! # Orderings
//! The word is swapped with AcqRel: who counts a tally down to none comes after all who counted it.
//! The free list is a stack (Treiber 1986) whose head carries a tag; see `super::free`.

use super::ids::{IdIndex, Insert};
use super::plate::Plate;
use crate::sync::{AtomicU64, Bug, Chunked, Ordering, Stop, bug, spin_loop, stop};

/// How often somebody who meets another one entering the very same key looks again.
#[cfg(not(all(slotwise_loom, test)))]
const LOOKS: u32 = 128;
#[cfg(all(slotwise_loom, test))]
const LOOKS: u32 = 3;

/// Group and domain.
pub(crate) type Key = [u8; 24];

#[derive(Default)]
struct Tally {
    plate: Plate,
    /// Generation above, count below; all ones below: sealed.
    word: AtomicU64,
    /// While free: the next free one, plus one.
    next: AtomicU64,
}

const COUNT: u64 = (1 << 28) - 1;
const SEALED: u64 = COUNT;

fn word(generation: u64, count: u64) -> u64 {
    generation << 28 | count
}

/// A member that is counted: which tally it is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted(pub(crate) u32);

/// Why one more was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncounted {
    /// As many as may be.
    AtLimit,
    /// Somebody is entering the first one this moment.
    InFlight,
    /// No tally is left.
    Full,
}

/// All tallies.
pub(crate) struct Tallies {
    tallies: Chunked<Tally, 128>,
    ids: IdIndex,
    /// First free one plus one, tag above.
    free: AtomicU64,
    fresh: AtomicU64,
    limit: u64,
}

const INDEX: u64 = (1 << 29) - 1;

impl Tallies {
    /// For so many groups and domains at once.
    pub(crate) fn new(limit: usize) -> Self {
        Tallies {
            tallies: Chunked::new(limit),
            ids: IdIndex::new(limit),
            free: AtomicU64::new(0),
            fresh: AtomicU64::new(0),
            limit: limit as u64,
        }
    }

    fn tally(&self, index: u32) -> &Tally {
        self.tallies.get_or_grow(index as usize)
    }

    /// What carries the key and is not sealed, and its word.
    fn carrier(&self, index: u32, key: &Key) -> Option<(u32, u64)> {
        let tally = self.tally(index);
        loop {
            let header = tally.plate.carries(key)?;
            let now = tally.word.load(Ordering::Acquire);
            stop(Stop::Read);
            if !tally.plate.still(header) {
                continue;
            }
            let counts = now & COUNT != SEALED && now >> 28 == header.generation();
            return counts.then_some((index, now));
        }
    }

    /// Group and domain of a member that is counted. By who has it counted.
    pub(crate) fn key(&self, counted: Counted) -> Key {
        self.tally(counted.0).plate.id().try_into().unwrap_or_default()
    }

    /// How many are counted now.
    pub(crate) fn count(&self, key: &Key, hash: u64) -> u64 {
        self.ids.find(hash, |n| self.carrier(n, key)).map_or(0, |(_, now)| now & COUNT)
    }

    /// Counts one more, unless that is over the limit.
    ///
    /// Races with other counts, up and down, of the same key: see the protocol.
    pub(crate) fn take(&self, key: &Key, hash: u64, at_most: u64) -> Result<Counted, Uncounted> {
        if at_most == 0 {
            return Err(Uncounted::AtLimit);
        }
        for _ in 0..LOOKS {
            match self.ids.find(hash, |n| self.carrier(n, key)) {
                Some((index, mut now)) => {
                    let tally = self.tally(index);
                    let generation = now >> 28;
                    while now & COUNT != SEALED && now >> 28 == generation {
                        if now & COUNT >= at_most.min(SEALED - 1) {
                            return Err(Uncounted::AtLimit);
                        }
                        stop(Stop::Swap);
                        if bug(Bug::CountWithoutCas) {
                            tally.word.store(now + 1, Ordering::Release);
                            return Ok(Counted(index));
                        }
                        let swap = tally.word.compare_exchange(
                            now,
                            now + 1,
                            Ordering::AcqRel,
                            Ordering::Acquire,
                        );
                        match swap {
                            Ok(_) => return Ok(Counted(index)),
                            Err(other) => now = other,
                        }
                    }
                }
                None => match self.enter(key, hash) {
                    Ok(Some(counted)) => return Ok(counted),
                    Ok(None) => spin_loop(),
                    Err(full) => return Err(full),
                },
            }
        }
        Err(Uncounted::InFlight)
    }

    /// Makes the first count of a key; nothing if somebody else was faster.
    fn enter(&self, key: &Key, hash: u64) -> Result<Option<Counted>, Uncounted> {
        let index = self.pop().ok_or(Uncounted::Full)?;
        let tally = self.tally(index);
        // Before the plate carries the key: who finds it finds it counted.
        let generation = tally.plate.header().generation().max(1);
        tally.word.store(word(generation, 1), Ordering::Release);
        let opened = tally.plate.open(key);
        debug_assert_eq!(opened, generation);
        let same = |n: u32| if n == index { None } else { self.carrier(n, key) };
        let entered = self.ids.insert(hash, index, same);
        match entered {
            Insert::Mine(spot) => {
                // Before this one is given back, and so before anybody can be the last.
                tally.plate.set_spot(spot);
                Ok(Some(Counted(index)))
            }
            Insert::Held(_) | Insert::InFlight | Insert::Full => {
                self.end(index, generation);
                if matches!(entered, Insert::Full) { Err(Uncounted::Full) } else { Ok(None) }
            }
        }
    }

    /// Counts one less. Once for each [`Tallies::take`].
    pub(crate) fn give(&self, counted: Counted) {
        let tally = self.tally(counted.0);
        let mut now = tally.word.load(Ordering::Acquire);
        loop {
            let generation = now >> 28;
            let last = now & COUNT == 1;
            let unsealed = bug(Bug::LastOneDoesNotSeal);
            let new = if last && !unsealed { word(generation, SEALED) } else { now - 1 };
            stop(Stop::Swap);
            match tally.word.compare_exchange(now, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if last => {
                    stop(Stop::Swap);
                    if let Some(spot) = tally.plate.spot() {
                        self.ids.remove(spot);
                    }
                    return self.end(counted.0, generation);
                }
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    fn end(&self, index: u32, generation: u64) {
        stop(Stop::Swap);
        if self.tally(index).plate.end(generation) {
            self.push(index);
        }
    }

    fn pop(&self) -> Option<u32> {
        let mut head = self.free.load(Ordering::Acquire);
        while head & INDEX != 0 {
            let index = (head & INDEX) as u32 - 1;
            let next = self.tally(index).next.load(Ordering::Relaxed);
            let new = (head & !INDEX).wrapping_add(INDEX + 1) | next;
            stop(Stop::Swap);
            match self.free.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
        let fresh = self.fresh.fetch_add(1, Ordering::Relaxed);
        if fresh < self.limit {
            return Some(fresh as u32);
        }
        self.fresh.fetch_sub(1, Ordering::Relaxed);
        None
    }

    fn push(&self, index: u32) {
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            self.tally(index).next.store(head & INDEX, Ordering::Relaxed);
            let new = (head & !INDEX).wrapping_add(INDEX + 1) | (index as u64 + 1);
            stop(Stop::Swap);
            match self.free.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    fn key(n: u8) -> (Key, u64) {
        let key = [n; 24];
        (key, seahash::hash(&key))
    }

    #[test]
    fn counts_up_to_the_limit_and_forgets_what_is_none() {
        let tallies = Tallies::new(4);
        let (a, hash) = key(1);
        let taken: Vec<_> = (0..3).map(|_| tallies.take(&a, hash, 3).unwrap()).collect();
        assert_eq!(tallies.take(&a, hash, 3), Err(Uncounted::AtLimit));
        assert_eq!(tallies.count(&a, hash), 3);
        taken.into_iter().for_each(|counted| tallies.give(counted));
        assert_eq!(tallies.count(&a, hash), 0);
        // There is room for four keys at once, and for any number one after the other.
        for n in 0..200 {
            let (key, hash) = key(n);
            let counted = tallies.take(&key, hash, 1).unwrap();
            assert_eq!(tallies.take(&key, hash, 1), Err(Uncounted::AtLimit));
            tallies.give(counted);
        }
        let held: Vec<_> = (0..4).map(|n| tallies.take(&key(n).0, key(n).1, 1)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(tallies.take(&key(9).0, key(9).1, 1), Err(Uncounted::Full));
    }

    #[test]
    fn threads_never_count_past_the_limit() {
        let tallies = Tallies::new(64);
        let inside: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for me in 0..4u64 {
                let (tallies, inside) = (&tallies, &inside);
                scope.spawn(move || {
                    for round in 0..50_000u64 {
                        let n = (round.wrapping_mul(me + 3) >> 2) % 4;
                        let (key, hash) = key(n as u8);
                        if let Ok(counted) = tallies.take(&key, hash, 2) {
                            assert!(inside[n as usize].fetch_add(1, Ordering::AcqRel) < 2);
                            inside[n as usize].fetch_sub(1, Ordering::AcqRel);
                            tallies.give(counted);
                        }
                    }
                });
            }
        });
        assert!((0..4).all(|n| tallies.count(&key(n).0, key(n).1) == 0));
    }
}
