//! From an id to whatever carries it: a hash index of fixed size with one holder per id.
//!
//! A cell holds part of the id's hash and the number of an entry; the id itself is in the entry,
//! and the caller's `same` compares it. Cells lie in buckets of one cache line. An id may stand
//! in any cell of its bucket, or, once that bucket has ever been full, in the next, and so on for
//! a few.
//!
//! # Protocol
//! Two threads that enter one id must end with one holder. A cell is changed from empty by whoever
//! wins it, and after that by its owner alone.
//! 1. Look through the window. An entry of the same id that is *settled* holds it: done. So who asks for
//!    an id that is held enters nothing, and is in nobody's way.
//! 2. Swap an empty cell to a *tentative* entry.
//! 3. Fence, and look through the whole window again. A settled entry of the same id: withdraw, it
//!    holds. A tentative one in an earlier cell: withdraw and start again. A tentative one in a later
//!    cell: its owner withdraws, unless it has looked already and is about to settle; look at that cell
//!    until one or the other has come about, and after a few looks withdraw and start again.
//! 4. Store *settled*.
//! 5. Whoever holds a settled entry removes it with a store.
//!
//! Why two never settle: both passed the fence after their swap of step 2, so at least one, say B,
//! saw the other's entry in step 3, and goes on only once it sees that entry gone. An entry that
//! comes back after that comes by another swap, and its owner, whose fence is then the later one,
//! sees B's.
//!
//! Of those that enter one id at once, the one in the earliest cell waits for none but those that are
//! between two steps, and they withdraw. One that is stopped there leaves a tentative entry: after a
//! bounded number of tries others say that this id is in flight; no other id is touched.
//!
//! # Orderings
//! A cell is entered with AcqRel and read with Acquire, so that `same` sees the id written before.
//! Steps 2 and 3 are a store and a load of other cells: the store-load fence stands between them,
//! and its partner is the same fence in the other thread's insert. The mark that a bucket has
//! spilled is set before any entry goes beyond it, so it is covered by the same pair of fences.

use crate::sync::{
    AtomicU64, Bug, Ordering, Stop, bug, fetch, spin_loop, stop, store_load_fence_after_swap,
    zeroes,
};

#[cfg(not(all(slotwise_loom, test)))]
const CELLS: usize = 7;
#[cfg(all(slotwise_loom, test))]
const CELLS: usize = 2;

/// Buckets that one id may spread over: so many that a table which is as full as it may be has room
/// in every such stretch. With 8, one of a million ids found none.
#[cfg(not(all(slotwise_loom, test)))]
const REACH: u64 = 32;
#[cfg(all(slotwise_loom, test))]
const REACH: u64 = 2;

/// How often an insert starts again before it calls the id in flight.
#[cfg(not(all(slotwise_loom, test)))]
const TRIES: u32 = 64;
#[cfg(all(slotwise_loom, test))]
const TRIES: u32 = 3;

/// How often an insert looks at a rival in a later cell before it starts again.
#[cfg(not(all(slotwise_loom, test)))]
const WAITS: u32 = 4;
#[cfg(all(slotwise_loom, test))]
const WAITS: u32 = 1;

/// Words in a bucket: a cache line.
const LINE: usize = 8;

/// How far a cell is from the beginning of an id's window, in the order of step 3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    distance: u64,
    cell: usize,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u64);

impl Spot {
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Spot {
        Spot(bits)
    }
}

/// How an insert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insert<T> {
    /// The id is held by the entry that was given.
    Mine(Spot),
    /// It is held by another; what `same` said of it.
    Held(T),
    /// Others are entering it this moment.
    InFlight,
    /// No cell is free within reach.
    Full,
}

/// A cell's contents: settled?, 34 bits of the hash, entry number plus one (29 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    const EMPTY: u64 = 0;
    const SETTLED: u64 = 1 << 63;
    const NUMBER: u64 = (1 << 29) - 1;

    fn tentative(hash: u64, number: u32) -> Entry {
        Entry(((hash >> 1) & !(Self::NUMBER | Self::SETTLED)) | (number as u64 + 1))
    }

    fn number(self) -> u32 {
        (self.0 & Self::NUMBER) as u32 - 1
    }

    fn settled(self) -> bool {
        self.0 & Self::SETTLED != 0
    }

    fn may_be(self, hash: u64) -> bool {
        (self.0 ^ (hash >> 1)) & !(Self::NUMBER | Self::SETTLED) == 0
    }
}

/// The first cell of a bucket, from `from` on, whose entry is wanted.
#[inline(always)]
fn find_cell(
    line: &[AtomicU64; LINE],
    from: usize,
    wanted: impl Fn(Entry) -> bool,
) -> Option<usize> {
    (from..=CELLS).find(|&cell| wanted(Entry(line[cell].load(Ordering::Acquire))))
}

/// The index. `same(number)` says whether the entry of that number carries the id in question and
/// is alive, and what the caller wants to know of it.
pub(crate) struct IdIndex {
    /// Bucket by bucket: the mark that it has spilled (it has been full, and what did not fit is in
    /// the next), then its cells. All of it is there from the start, so that entering an id never
    /// allocates, and costs memory only where it is used.
    words: Box<[AtomicU64]>,
    /// The first word that starts a cache line.
    first: usize,
    mask: u64,
    /// Buckets that one id may spread over.
    reach: u64,
}

impl IdIndex {
    /// For up to `capacity` ids: at most four in a bucket of seven cells on average.
    pub(crate) fn new(capacity: usize) -> Self {
        let buckets = capacity.div_ceil(4).next_power_of_two();
        let words = zeroes((buckets + 1) * LINE);
        let first = words.as_ptr().addr().wrapping_neg() / 8 % LINE;
        IdIndex { words, first, mask: buckets as u64 - 1, reach: REACH.min(buckets as u64) }
    }

    /// A bucket: its mark, then its cells.
    #[inline(always)]
    fn line(&self, index: u64) -> &[AtomicU64; LINE] {
        let from = self.first + index as usize * LINE;
        self.words[from..from + LINE].try_into().expect("a line long")
    }

    /// The `distance`-th bucket of this hash.
    fn nth(&self, hash: u64, distance: u64) -> u64 {
        hash.wrapping_add(distance) & self.mask
    }

    fn spot(&self, hash: u64, step: Step) -> Spot {
        Spot(self.nth(hash, step.distance) * LINE as u64 + step.cell as u64)
    }

    fn cell(&self, spot: Spot) -> &AtomicU64 {
        &self.words[self.first + spot.0 as usize]
    }

    /// Asks for the first bucket of this hash.
    #[inline(always)]
    pub(crate) fn fetch_home(&self, hash: u64) {
        fetch(self.line(self.nth(hash, 0)));
    }

    /// Asks for the bucket of a spot.
    #[inline(always)]
    pub(crate) fn fetch(&self, spot: Spot) {
        if let Some(cell) = self.words.get(self.first + spot.0 as usize) {
            fetch(cell);
        }
    }

    /// Looks at every cell in which the hash's id can stand, in order: `hit` is told of entries
    /// that may be of this id (where, and what). Without a result, the first empty cell.
    #[inline(always)]
    fn walk<R>(
        &self,
        hash: u64,
        mut hit: impl FnMut(Step, Entry) -> Option<R>,
    ) -> Result<R, Option<Step>> {
        let mut hole = None;
        for distance in 0..self.reach {
            let line = self.line(self.nth(hash, distance));
            let mut from = 1;
            while let Some(cell) = find_cell(line, from, |entry| entry.may_be(hash)) {
                let entry = Entry(line[cell].load(Ordering::Acquire));
                if entry.may_be(hash)
                    && entry.0 != Entry::EMPTY
                    && let Some(found) = hit(Step { distance, cell }, entry)
                {
                    return Ok(found);
                }
                from = cell + 1;
            }
            if hole.is_none() {
                let empty = find_cell(line, 1, |entry| entry.0 == Entry::EMPTY);
                hole = empty.map(|cell| Step { distance, cell });
            }
            if line[0].load(Ordering::Acquire) == 0 {
                break;
            }
        }
        Err(hole)
    }

    /// Lets the window reach one bucket further. False if it is at its end.
    fn spill(&self, hash: u64) -> bool {
        (0..self.reach - 1).any(|distance| {
            let spilled = &self.line(self.nth(hash, distance))[0];
            spilled.load(Ordering::Acquire) == 0 && {
                spilled.store(1, Ordering::Release);
                true
            }
        })
    }

    /// The holder of an id, if there is one.
    #[inline]
    pub(crate) fn find<T>(&self, hash: u64, same: impl Fn(u32) -> Option<T>) -> Option<T> {
        let settled = |_, entry: Entry| if entry.settled() { same(entry.number()) } else { None };
        self.walk(hash, settled).ok()
    }

    /// Makes the entry `number` the holder of its id, unless there is one.
    #[inline(always)]
    pub(crate) fn insert<T>(
        &self,
        hash: u64,
        number: u32,
        same: impl Fn(u32) -> Option<T>,
    ) -> Insert<T> {
        let tentative = Entry::tentative(hash, number);
        for _ in 0..TRIES {
            let step = match self.plain_hole(hash) {
                Some(step) => step,
                None => match self.first_look(hash, &same) {
                    FirstLook::Hole(step) => step,
                    FirstLook::Held(held) => return Insert::Held(held),
                    FirstLook::Full => return Insert::Full,
                    FirstLook::Again => continue,
                },
            };
            let spot = self.spot(hash, step);
            let cell = self.cell(spot);
            stop(Stop::Swap);
            let (ok, err) = (Ordering::AcqRel, Ordering::Relaxed);
            if cell.compare_exchange(Entry::EMPTY, tentative.0, ok, err).is_err() {
                continue;
            }
            stop(Stop::Entered);
            store_load_fence_after_swap();
            match self.second_look(hash, step, &same) {
                SecondLook::Alone => {
                    stop(Stop::Swap);
                    cell.store(tentative.0 | Entry::SETTLED, Ordering::Release);
                    return Insert::Mine(spot);
                }
                SecondLook::Held(held) => {
                    cell.store(Entry::EMPTY, Ordering::Release);
                    return Insert::Held(held);
                }
                SecondLook::Again => {
                    stop(Stop::Swap);
                    cell.store(Entry::EMPTY, Ordering::Release);
                    spin_loop();
                }
            }
        }
        Insert::InFlight
    }

    /// The first look of most: the first empty cell of the hash's first bucket, if that is all of the
    /// window and nothing there may be of the same id.
    #[inline(always)]
    fn plain_hole(&self, hash: u64) -> Option<Step> {
        let line = self.line(self.nth(hash, 0));
        if line[0].load(Ordering::Acquire) != 0
            || find_cell(line, 1, |entry| entry.may_be(hash)).is_some()
        {
            return None;
        }
        let empty = find_cell(line, 1, |entry| entry.0 == Entry::EMPTY);
        empty.map(|cell| Step { distance: 0, cell })
    }

    /// What the whole window has.
    #[cold]
    #[inline(never)]
    fn first_look<T>(&self, hash: u64, same: &impl Fn(u32) -> Option<T>) -> FirstLook<T> {
        let rival = |_, entry: Entry| Some((entry.settled(), same(entry.number())?));
        match self.walk(hash, rival) {
            Ok((true, held)) => FirstLook::Held(held),
            Ok((false, _)) => {
                spin_loop();
                FirstLook::Again
            }
            Err(Some(step)) => FirstLook::Hole(step),
            Err(None) if self.spill(hash) => FirstLook::Again,
            Err(None) => FirstLook::Full,
        }
    }

    #[inline(always)]
    fn second_look<T>(
        &self,
        hash: u64,
        mine: Step,
        same: &impl Fn(u32) -> Option<T>,
    ) -> SecondLook<T> {
        if bug(Bug::InsertWithoutSecondLook) {
            return SecondLook::Alone;
        }
        let look = |step, entry| {
            if step == mine { None } else { self.meet(hash, mine, step, entry, same) }
        };
        self.walk(hash, look).unwrap_or(SecondLook::Alone)
    }

    /// An entry that may be a rival's, met at a step of the second look.
    #[cold]
    #[inline(never)]
    fn meet<T>(
        &self,
        hash: u64,
        mine: Step,
        step: Step,
        mut entry: Entry,
        same: &impl Fn(u32) -> Option<T>,
    ) -> Option<SecondLook<T>> {
        for _ in 0..=WAITS {
            let held = same(entry.number())?;
            if entry.settled() {
                return Some(SecondLook::Held(held));
            }
            if step < mine {
                return Some(SecondLook::Again);
            }
            if bug(Bug::InsertPassesLater) {
                return None;
            }
            spin_loop();
            entry = Entry(self.cell(self.spot(hash, step)).load(Ordering::Acquire));
            if entry.0 == Entry::EMPTY || !entry.may_be(hash) {
                return None;
            }
        }
        Some(SecondLook::Again)
    }

    /// Takes a settled entry out. Only its holder may.
    #[inline]
    pub(crate) fn remove(&self, spot: Spot) {
        stop(Stop::Swap);
        // Release: whoever finds the cell empty comes after all that the holder did.
        self.cell(spot).store(Entry::EMPTY, Ordering::Release);
    }
}

enum FirstLook<T> {
    Hole(Step),
    Held(T),
    /// No cell is empty within reach.
    Full,
    /// A rival is under way, or the window has just grown.
    Again,
}

enum SecondLook<T> {
    Alone,
    Held(T),
    /// A rival goes first, or cannot be waited for any longer.
    Again,
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::HashMap;

    #[test]
    fn ids_that_share_a_bucket_spill_and_are_found() {
        let index = IdIndex::new(4 * REACH as usize);
        // Entry n carries "id" n; all with the same hash.
        let same = |wanted: u32| move |n: u32| (n == wanted).then_some(n);
        let spots: Vec<Spot> = (0..CELLS as u32 * REACH as u32)
            .map(|n| match index.insert(5, n, same(n)) {
                Insert::Mine(spot) => spot,
                other => panic!("{n}: {other:?}"),
            })
            .collect();
        assert_eq!(index.insert(5, 1000, same(1000)), Insert::Full);
        for n in 0..spots.len() as u32 {
            assert_eq!(index.find(5, same(n)), Some(n));
            assert_eq!(index.insert(5, 1000, same(n)), Insert::Held(n));
        }
        index.remove(spots[20]);
        assert_eq!(index.find(5, same(20)), None);
        assert!(matches!(index.insert(5, 1000, same(1000)), Insert::Mine(_)));
    }

    /// Just below a power of two the buckets are as full as they get.
    #[test]
    fn as_many_ids_as_it_is_for() {
        for capacity in [1, 3, 4, 5, 31, 1000, 65_000, 1_000_000] {
            let index = IdIndex::new(capacity);
            for n in 0..capacity as u32 {
                let hash = seahash::hash(format!("{n:036x}").as_bytes());
                let entered = index.insert(hash, n, |_| None::<()>);
                assert!(matches!(entered, Insert::Mine(_)), "{n} of {capacity}: {entered:?}");
            }
        }
    }

    #[test]
    fn agrees_with_a_map() {
        let index = IdIndex::new(256);
        let ids = RefCell::new(HashMap::<u32, u64>::new());
        let mut held = HashMap::<u64, (u32, Spot)>::new();
        let mut seed = 7u64;
        for number in 0..100_000u32 {
            seed = crate::placement::order::other(seed);
            let id = seed % 300;
            let hash = crate::placement::order::other(id);
            let number = number % (1 << 20);
            let same = |n: u32| (ids.borrow().get(&n) == Some(&id)).then_some(n);
            assert_eq!(index.find(hash, same), held.get(&id).map(|h| h.0));
            if let Some((n, spot)) = held.get(&id).copied().filter(|_| seed & 1024 == 0) {
                index.remove(spot);
                held.remove(&id);
                ids.borrow_mut().remove(&n);
                continue;
            }
            let expected = held.get(&id).map(|h| h.0);
            match index.insert(hash, number, same) {
                Insert::Mine(spot) => {
                    assert_eq!(expected, None);
                    ids.borrow_mut().insert(number, id);
                    held.insert(id, (number, spot));
                }
                Insert::Held(n) => assert_eq!(expected, Some(n)),
                other => panic!("{other:?}"),
            }
        }
    }
}
