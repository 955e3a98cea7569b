//! Free records: a magazine per thread over a shared list of chunks.
//!
//! A shared list alone would have every thread swap one word for every reservation, which costs
//! two threads more than it gives; a thread therefore takes and returns records from a magazine of
//! its own, without any atomic change, and goes to the shared list once a chunk.
//!
//! # Protocol (Treiber 1986)
//! 1. A chunk is a record that names the others of its chunk in its own unused id field, and the
//!    next chunk in its link.
//! 2. Push: write the chunk, then swap the head to it. Pop: read the head, its link, and swap the
//!    head to the link.
//! 3. Records that were never used come from a counter.
//!
//! # ABA
//! A record popped and pushed again between another's read of the link and its swap would make the
//! head point into a chunk in use: the head carries a tag that rises with every push and pop (36
//! bits: a thread would have to be stopped for exactly 2^36 exchanges).
//!
//! # Orderings
//! The head is swapped with AcqRel and read with Acquire: who pops a chunk sees what was written
//! into it, and all that its last owners did to the records.

use core::cell::Cell;

use super::record::Record;
use crate::sync::{AtomicU32, AtomicU64, Bug, Chunked, Ordering, Stop, bug, stop};

/// Records in a chunk: as many as an id field names, and the one that carries it.
const CHUNK: usize = 16;

/// Threads for whose full magazines there is room beyond the limit.
const THREADS: usize = 64;

/// Below this limit a thread keeps no records to itself, so that the limit is exact.
const EXACT_BELOW: usize = 1024;

pub(crate) type Records = Chunked<Record, 512>;

/// A thread's own free records. Not shared.
#[derive(Debug)]
pub(crate) struct Magazine {
    len: Cell<usize>,
    items: [Cell<u32>; 2 * CHUNK],
}

impl Default for Magazine {
    fn default() -> Self {
        Magazine { len: Cell::new(0), items: [const { Cell::new(0) }; 2 * CHUNK] }
    }
}

pub(crate) struct FreeList {
    /// First record of the first chunk plus one (28 bits and one), tag above.
    head: AtomicU64,
    /// Records from here on were never used.
    fresh: AtomicU32,
    /// Records there are.
    limit: u32,
    /// Records exchanged at a time; a magazine holds up to twice as many. 0: none is kept.
    chunk: usize,
}

const INDEX: u64 = (1 << 29) - 1;

impl FreeList {
    /// For at least `limit` records. Exactly so many below 1,024; above, up to 2,048 more, so
    /// that what 64 threads keep to themselves is missing to nobody.
    pub(crate) fn new(limit: usize) -> Self {
        let exact = limit < EXACT_BELOW;
        let chunk = if exact { 0 } else { CHUNK };
        let limit = if exact { limit } else { limit + THREADS * 2 * CHUNK };
        FreeList { head: AtomicU64::new(0), fresh: AtomicU32::new(0), limit: limit as u32, chunk }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Records that have ever been used are below this.
    pub(crate) fn high_water(&self) -> u32 {
        self.fresh.load(Ordering::Acquire)
    }

    /// A free record, now the caller's own.
    #[inline(always)]
    pub(crate) fn take(&self, records: &Records, magazine: &Magazine) -> Option<u32> {
        let len = magazine.len.get();
        if len > 0 {
            magazine.len.set(len - 1);
            return Some(magazine.items[len - 1].get());
        }
        self.refill(records, magazine)
    }

    /// Gives a record back.
    #[inline(always)]
    pub(crate) fn put(&self, records: &Records, magazine: &Magazine, index: u32) {
        let len = magazine.len.get();
        if len < 2 * self.chunk {
            magazine.items[len].set(index);
            magazine.len.set(len + 1);
            return;
        }
        self.flush(records, magazine, index);
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, records: &Records, magazine: &Magazine) -> Option<u32> {
        let (first, rest) = match self.pop(records) {
            Some(popped) => popped,
            None => return self.take_fresh(magazine),
        };
        let record = records.get_or_grow(first as usize);
        for i in 0..rest {
            magazine.items[i].set(record.kept(i));
        }
        magazine.len.set(rest);
        Some(first)
    }

    fn take_fresh(&self, magazine: &Magazine) -> Option<u32> {
        let want = self.chunk.max(1) as u32;
        let mut from = self.fresh.load(Ordering::Relaxed);
        let got = loop {
            let got = want.min(self.limit - from);
            if got == 0 {
                return None;
            }
            let (ok, err) = (Ordering::AcqRel, Ordering::Relaxed);
            stop(Stop::Swap);
            match self.fresh.compare_exchange(from, from + got, ok, err) {
                Ok(_) => break got,
                Err(now) => from = now,
            }
        };
        // Lowest first out.
        for i in 1..got {
            magazine.items[(got - 1 - i) as usize].set(from + i);
        }
        magazine.len.set(got as usize - 1);
        Some(from)
    }

    /// The magazine is full: its older half goes to the shared list.
    #[cold]
    #[inline(never)]
    fn flush(&self, records: &Records, magazine: &Magazine, index: u32) {
        if self.chunk == 0 {
            return self.push(records, index, &[]);
        }
        let items: [u32; 2 * CHUNK] = core::array::from_fn(|i| magazine.items[i].get());
        let (old, young) = items.split_at(CHUNK);
        self.push(records, old[0], &old[1..]);
        for (cell, &item) in magazine.items.iter().zip(young) {
            cell.set(item);
        }
        magazine.items[CHUNK].set(index);
        magazine.len.set(CHUNK + 1);
    }

    fn push(&self, records: &Records, first: u32, rest: &[u32]) {
        let record = records.get_or_grow(first as usize);
        record.keep(rest);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            record.link.store((rest.len() as u64) << 32 | head & INDEX, Ordering::Relaxed);
            let new = Self::tagged(head, first as u64 + 1);
            stop(Stop::Swap);
            match self.head.compare_exchange(head, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn pop(&self, records: &Records) -> Option<(u32, usize)> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let first = (head & INDEX).checked_sub(1)? as u32;
            let link = records.get_or_grow(first as usize).link.load(Ordering::Relaxed);
            let new = Self::tagged(head, link & INDEX);
            stop(Stop::Swap);
            match self.head.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((first, (link >> 32) as usize)),
                Err(now) => head = now,
            }
        }
    }

    fn tagged(head: u64, index: u64) -> u64 {
        let rise = if bug(Bug::FreeListWithoutTag) { 0 } else { INDEX + 1 };
        ((head & !INDEX).wrapping_add(rise)) | index
    }
}
