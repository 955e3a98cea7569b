//! Places: the order in which a probe meets the workers of a class.
//!
//! A class keeps its workers in blocks of [`BLOCK`] places; the tier of a selector is a ring of
//! blocks. Both only grow at the end and leave holes when something goes, so that a place stays
//! where it is and the keys that hash to it stay with it.
//!
//! This is the seam for an index of what is free: a block belongs to one class and has as many
//! places as a word of hints has bits, a ring is what an upper level is masked with, and a slot's
//! way to its hint is the place that the registry keeps for it.
//!
//! # Protocol
//! 1. The registry, under its lock, writes a place (slot and epoch) with Release; a probe reads it
//!    with Acquire and asks the slot for the epoch when it takes. A place that the slot has left
//!    is therefore never used, however late the probe comes.
//! 2. A block that is given up gets a new generation before it is used again. A probe reads the
//!    generation after the place: if the place was written by the block's next owner, the
//!    generation is a new one, and the probe turns away.
//! 3. A worker that moves is entered at its new place with its next epoch, then the count of moves
//!    rises, then its epoch (see [`super::Slot::revise`]), then the count again, and then the old
//!    place is cleared. At every instant one of the two places is good. A probe that missed it at
//!    both passed the new one before the epoch rose and the old one after; it has then met a place
//!    of another epoch, or a cleared one and with it the new count, and looks again. If nothing
//!    moves on during that second look, it finds the worker, though the mover be stopped for ever.

use once_cell::race::OnceBox;

use crate::placement::order;
use crate::sync::{AtomicU32, AtomicU64, Chunked, Ordering};

/// Places in a block.
pub(crate) const BLOCK: usize = 32;

/// Where a worker stands: a block and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: BlockRef,
    pub(crate) at: u32,
}

/// A block, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockRef {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl BlockRef {
    // Indices are stored plus one: zero is a hole.
    const fn bits(self) -> u64 {
        (self.index as u64 + 1) << 32 | self.generation as u64
    }

    const fn from_bits(bits: u64) -> Option<BlockRef> {
        match (bits >> 32) as u32 {
            0 => None,
            index => Some(BlockRef { index: index - 1, generation: bits as u32 }),
        }
    }
}

/// A slot as a probe meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) slot: u32,
    pub(crate) epoch: u32,
}

impl Occupant {
    const fn bits(self) -> u64 {
        (self.slot as u64 + 1) << 32 | self.epoch as u64
    }

    #[inline]
    const fn from_bits(bits: u64) -> Option<Occupant> {
        match (bits >> 32) as u32 {
            0 => None,
            slot => Some(Occupant { slot: slot - 1, epoch: bits as u32 }),
        }
    }
}

#[repr(align(64))]
struct Block {
    generation: AtomicU32,
    /// Places used so far, holes included.
    used: AtomicU32,
    places: [AtomicU64; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        Block {
            generation: AtomicU32::new(0),
            used: AtomicU32::new(0),
            places: [const { 0 }; BLOCK].map(AtomicU64::new),
        }
    }
}

/// All blocks of an engine.
pub(crate) struct Blocks(Chunked<Block, 64>);

impl Blocks {
    pub(crate) fn new(capacity: usize) -> Self {
        Blocks(Chunked::new(capacity))
    }

    /// Makes the block usable and names its present use. Under the registry's lock.
    pub(crate) fn open(&self, index: u32) -> BlockRef {
        let block = self.0.get_or_grow(index as usize);
        BlockRef { index, generation: block.generation.load(Ordering::Relaxed) }
    }

    /// Gives the block up. Under the registry's lock. Returns whether it can be used again.
    pub(crate) fn close(&self, block: BlockRef) -> bool {
        let b = self.0.get_or_grow(block.index as usize);
        let Some(next) = block.generation.checked_add(1) else { return false };
        // Release, before the places of the next use: see step 2.
        b.generation.store(next, Ordering::Release);
        b.used.store(0, Ordering::Release);
        for place in &b.places {
            place.store(0, Ordering::Release);
        }
        true
    }

    /// Puts a worker on a place. Under the registry's lock.
    pub(crate) fn put(&self, place: Place, occupant: Occupant) {
        let block = self.0.get_or_grow(place.block.index as usize);
        block.places[place.at as usize].store(occupant.bits(), Ordering::Release);
        if block.used.load(Ordering::Relaxed) <= place.at {
            block.used.store(place.at + 1, Ordering::Release);
        }
    }

    /// Leaves a hole. Under the registry's lock.
    pub(crate) fn clear(&self, place: Place) {
        let block = self.0.get_or_grow(place.block.index as usize);
        block.places[place.at as usize].store(0, Ordering::Release);
    }
}

/// Blocks that a ring holds without a further array.
const INLINE: usize = 8;

/// The blocks of one tier, in the order in which they are met.
pub(crate) struct Ring {
    len: AtomicU32,
    inline: [AtomicU64; INLINE],
    /// Array k holds the `INLINE << k` blocks after those before it: a ring grows without moving
    /// and without a limit of its own.
    more: [OnceBox<Box<[AtomicU64]>>; 24],
}

impl Ring {
    pub(crate) fn new() -> Self {
        Ring {
            len: AtomicU32::new(0),
            inline: [const { 0 }; INLINE].map(AtomicU64::new),
            more: [const { OnceBox::new() }; 24],
        }
    }

    /// Adds a block, in a hole or at the end. Under the registry's lock.
    pub(crate) fn push(&self, block: BlockRef, holes: bool) {
        let len = self.len.load(Ordering::Relaxed);
        let hole = (0..len).find(|&i| holes && self.cell(i).load(Ordering::Relaxed) == 0);
        let at = hole.unwrap_or(len);
        self.cell(at).store(block.bits(), Ordering::Release);
        if at == len {
            self.len.store(len + 1, Ordering::Release);
        }
    }

    /// Takes a block out and leaves a hole. Under the registry's lock. Returns whether any block
    /// is left.
    pub(crate) fn pull(&self, block: BlockRef) -> bool {
        let mut left = false;
        for i in 0..self.len.load(Ordering::Relaxed) {
            match self.cell(i).load(Ordering::Relaxed) {
                0 => {}
                bits if bits == block.bits() => self.cell(i).store(0, Ordering::Release),
                _ => left = true,
            }
        }
        left
    }

    #[inline(always)]
    fn cell(&self, at: u32) -> &AtomicU64 {
        let at = at as usize;
        if at < INLINE { &self.inline[at] } else { self.cell_beyond(at) }
    }

    fn cell_beyond(&self, at: usize) -> &AtomicU64 {
        let k = (at / INLINE).ilog2() as usize;
        let first = INLINE << k;
        let array =
            self.more[k].get_or_init(|| Box::new((0..first).map(|_| AtomicU64::new(0)).collect()));
        &array[at - first]
    }

    #[inline(always)]
    fn block<'b>(&self, at: u32, blocks: &'b Blocks) -> Option<(&'b Block, u32)> {
        let block = BlockRef::from_bits(self.cell(at).load(Ordering::Acquire))?;
        Some((blocks.0.get(block.index as usize)?, block.generation))
    }

    /// The blocks as they are: the places used so far of each, holes included.
    #[cfg(all(test, not(slotwise_loom)))]
    pub(crate) fn layout(&self, blocks: &Blocks) -> Vec<Vec<Option<Occupant>>> {
        let of = |(block, _): (&Block, u32)| {
            let used = block.used.load(Ordering::Acquire) as usize;
            let read = |p: &AtomicU64| Occupant::from_bits(p.load(Ordering::Acquire));
            block.places[..used].iter().map(read).collect()
        };
        let len = self.len.load(Ordering::Acquire);
        (0..len).map(|at| self.block(at, blocks).map_or(Vec::new(), of)).collect()
    }

    /// The occupant of the very place that `hash` points to.
    #[inline(always)]
    pub(crate) fn at(&self, blocks: &Blocks, hash: u64) -> Option<Occupant> {
        let first = order::start(hash, self.len.load(Ordering::Acquire));
        let (block, generation) = self.block(first, blocks)?;
        let used = block.used.load(Ordering::Acquire);
        let at = order::start(order::second(hash), used) as usize;
        let occupant = Occupant::from_bits(block.places[at].load(Ordering::Acquire))?;
        // After the place: see step 2.
        (block.generation.load(Ordering::Acquire) == generation).then_some(occupant)
    }

    /// Every occupant once, in order, from where `hash` points and round to there. `visit` says
    /// whether to stop, and with what.
    #[inline]
    pub(crate) fn probe<R>(
        &self,
        blocks: &Blocks,
        hash: u64,
        mut visit: impl FnMut(Occupant) -> Option<R>,
    ) -> Option<R> {
        let len = self.len.load(Ordering::Acquire);
        let first = order::start(hash, len);
        let mut block = self.block(first, blocks);
        let used = block.map_or(0, |(b, _)| b.used.load(Ordering::Acquire));
        let from = order::start(order::second(hash), used) as usize;
        // The first block from where the hash points, the others, the first one's beginning. One
        // loop, so that `visit` stands in the code once.
        let (mut at, mut place, mut end) = (first, from, BLOCK);
        let mut blocks_left = len;
        loop {
            if let Some((b, generation)) = block {
                while place < end {
                    let bits = b.places[place].load(Ordering::Acquire);
                    place += 1;
                    let Some(occupant) = Occupant::from_bits(bits) else { continue };
                    // After the place: see step 2.
                    if b.generation.load(Ordering::Acquire) != generation {
                        break;
                    }
                    if let Some(result) = visit(occupant) {
                        return Some(result);
                    }
                }
            }
            if blocks_left == 0 {
                return None;
            }
            blocks_left -= 1;
            at = if at + 1 < len { at + 1 } else { 0 };
            block = self.block(at, blocks);
            place = 0;
            end = if blocks_left == 0 { from } else { BLOCK };
        }
    }
}

/// A count that readers compare or report.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // Acquire: what a probe reads afterwards is at least as new as this count.
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn rise(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn fall(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
