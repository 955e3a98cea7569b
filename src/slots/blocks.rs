//! Places: the order in which a probe meets the workers of a class.
//!
//! A class keeps its workers in blocks of [`BLOCK`] places; the tier of a selector is a ring of
//! blocks. Both only grow at the end and leave holes when something goes, so that a place stays
//! where it is and the keys that hash to it stay with it.
//!
//! A block has a hint for each of its places and sizes, see [`super::hints`]; the levels above are
//! numbered as blocks are, whichever class or ring these belong to, and a ring looks at them through
//! a mask of its own blocks.
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

use super::hints::{self, COLUMNS, Columns, FAN, Hint, Sizes};
use super::{Need, Slot, Table, Wide, Word};
use crate::placement::Resources;
use crate::sync::{AtomicU32, AtomicU64, Chunked, Ordering, Stop, stop, store_load_fence};

/// Places in a block.
pub(crate) const BLOCK: usize = 32;

/// Where a worker stands: a block and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: BlockRef,
    pub(crate) at: u32,
}

impl Place {
    /// The number of the place among all places of all blocks.
    pub(crate) const fn number(self) -> u32 {
        self.block.index * BLOCK as u32 + self.at
    }
}

/// A block, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockRef {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl BlockRef {
    // Indices are stored plus one: zero is a hole.
    pub(super) const fn bits(self) -> u64 {
        (self.index as u64 + 1) << 32 | self.generation as u64
    }

    pub(super) const fn from_bits(bits: u64) -> Option<BlockRef> {
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
    /// As one word, never 0.
    pub(crate) const fn bits(self) -> u64 {
        (self.slot as u64 + 1) << 32 | self.epoch as u64
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Option<Occupant> {
        match (bits >> 32) as u32 {
            0 => None,
            slot => Some(Occupant { slot: slot - 1, epoch: bits as u32 }),
        }
    }
}

#[repr(align(64))]
pub(super) struct Block {
    pub(super) generation: AtomicU32,
    /// Places used so far, holes included.
    pub(super) used: AtomicU32,
    places: [AtomicU64; BLOCK],
    hints: [Hint; COLUMNS],
}

impl Default for Block {
    fn default() -> Self {
        Block {
            generation: AtomicU32::new(0),
            used: AtomicU32::new(0),
            places: [const { 0 }; BLOCK].map(AtomicU64::new),
            hints: core::array::from_fn(|_| Hint::default()),
        }
    }
}

impl Block {
    #[inline(always)]
    pub(super) fn occupant(&self, at: u32) -> Option<Occupant> {
        Occupant::from_bits(self.places[at as usize].load(Ordering::Acquire))
    }

    /// The places where a request may fit.
    #[inline(always)]
    pub(super) fn candidates(&self, columns: Columns) -> u32 {
        columns.maybe(&self.hints)
    }
}

/// The hints above 32 blocks, or above 32 of these.
#[repr(align(64))]
struct Node([Hint; COLUMNS]);

impl Default for Node {
    fn default() -> Self {
        Node(core::array::from_fn(|_| Hint::default()))
    }
}

/// Levels of nodes above the blocks: a node of the last one stands for a million places.
pub(super) const LEVELS: usize = 3;

/// All blocks of an engine, and the hints above them.
pub(crate) struct Blocks {
    blocks: Chunked<Block, 16>,
    nodes: [Chunked<Node, 8>; LEVELS],
}

impl Blocks {
    pub(crate) fn new(capacity: usize) -> Self {
        let level = |k: u32| Chunked::new(capacity.div_ceil((FAN as usize).pow(k)));
        Blocks { blocks: Chunked::new(capacity), nodes: [level(1), level(2), level(3)] }
    }

    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Option<&Block> {
        self.blocks.get(index as usize)
    }

    /// Makes the block usable and names its present use. Under the registry's lock.
    pub(crate) fn open(&self, index: u32) -> BlockRef {
        let block = self.blocks.get_or_grow(index as usize);
        BlockRef { index, generation: block.generation.load(Ordering::Relaxed) }
    }

    /// Gives the block up. Under the registry's lock. Returns whether it can be used again.
    pub(crate) fn close(&self, block: BlockRef) -> bool {
        let b = self.blocks.get_or_grow(block.index as usize);
        let Some(next) = block.generation.checked_add(1) else { return false };
        // Release, before the places of the next use: see step 2.
        b.generation.store(next, Ordering::Release);
        b.used.store(0, Ordering::Release);
        for place in &b.places {
            place.store(0, Ordering::Release);
        }
        true
    }

    /// Puts a worker on a place, and raises the hints there. Under the registry's lock.
    pub(crate) fn put(&self, place: Place, occupant: Occupant, slot: &Slot) {
        let block = self.blocks.get_or_grow(place.block.index as usize);
        block.places[place.at as usize].store(occupant.bits(), Ordering::Release);
        if block.used.load(Ordering::Relaxed) <= place.at {
            block.used.store(place.at + 1, Ordering::Release);
        }
        stop(Stop::Swap);
        slot.sit(place.number());
        // Whoever frees something here either has done so before the look at the word, or sees the
        // place and raises the hints itself.
        store_load_fence();
        self.raise(place.number(), [0; 3], slot.word().sizes());
    }

    /// Leaves a hole. Under the registry's lock. The hints come down when somebody follows them.
    pub(crate) fn clear(&self, place: Place, slot: &Slot) {
        let block = self.blocks.get_or_grow(place.block.index as usize);
        stop(Stop::Swap);
        block.places[place.at as usize].store(0, Ordering::Release);
        stop(Stop::Swap);
        slot.rise(place.number());
    }

    /// Raises the hints of a slot after a change of its word that may have left more free.
    #[inline(always)]
    pub(crate) fn freed(&self, slot: &Slot, before: Word<Wide>, after: Word<Wide>) {
        if !after.as_large_as(before) {
            self.raise_both(slot, before, after);
        }
    }

    #[cold]
    #[inline(never)]
    fn raise_both(&self, slot: &Slot, before: Word<Wide>, after: Word<Wide>) {
        for place in slot.places() {
            self.raise(place, before.sizes(), after.sizes());
        }
    }

    /// Lowers the hints that led a request here if they would lead another like it in vain.
    #[inline(always)]
    pub(crate) fn taken(&self, table: &Table, slot: &Slot, after: Word<Wide>, need: Need<Wide>) {
        if !after.fits(need) {
            self.lower_both(table, slot, after, need.to_bits());
        }
    }

    #[cold]
    #[inline(never)]
    fn lower_both(&self, table: &Table, slot: &Slot, after: Word<Wide>, need: u64) {
        let columns = Columns::of(&Resources::from_bits(need));
        for place in slot.places() {
            self.lower(table, place, columns, after.sizes());
        }
    }

    /// Raises all hints of a slot, whatever its word was before. Under the registry's lock.
    pub(crate) fn raise_all(&self, slot: &Slot) {
        for place in slot.places() {
            self.raise(place, [0; 3], slot.word().sizes());
        }
    }

    fn raise(&self, place: u32, from: Sizes, to: Sizes) {
        let path = self.path(place);
        hints::columns_between(from, to, |column| hints::raise(&path, column));
    }

    /// Lowers the hints that led to a place where this much is free, and no more.
    #[cold]
    #[inline(never)]
    pub(crate) fn lower(&self, table: &Table, place: u32, columns: Columns, sizes: Sizes) {
        let path = self.path(place);
        for column in columns.beyond(sizes) {
            hints::lower(&path, column, || self.reaches(table, place, column));
        }
    }

    /// Whether as much as the column says is free at this place.
    fn reaches(&self, table: &Table, place: u32, column: usize) -> bool {
        let block = self.get(place / FAN);
        let occupant = block.and_then(|block| block.occupant(place % FAN));
        let slot = occupant.and_then(|occupant| table.get(occupant.slot));
        // Not asked for its epoch: one that is about to come counts already.
        slot.is_some_and(|slot| hints::reaches(slot.word().sizes(), column))
    }

    /// The hints of a place and those above it, from below, and where its own are among them.
    #[inline(always)]
    fn path(&self, place: u32) -> [(&[Hint; COLUMNS], u32); LEVELS + 1] {
        let [node1, node2, node3] = &self.nodes;
        let block = place / FAN;
        let (first, second, third) = (block / FAN, block / FAN / FAN, block / FAN / FAN / FAN);
        [
            (&self.blocks.get_or_grow(block as usize).hints, place % FAN),
            (&node1.get_or_grow(first as usize).0, block % FAN),
            (&node2.get_or_grow(second as usize).0, first % FAN),
            (&node3.get_or_grow(third as usize).0, second % FAN),
        ]
    }

    /// Whether the hints above a block lead to it.
    #[inline]
    pub(super) fn leads_to(&self, block: u32, columns: Columns) -> bool {
        self.candidates(1, block / FAN, columns) & 1 << (block % FAN) != 0
    }

    /// The children of a node under which a request may fit.
    #[inline]
    pub(super) fn candidates(&self, level: usize, node: u32, columns: Columns) -> u32 {
        let node = self.nodes[level - 1].get(node as usize);
        node.map_or(0, |node| columns.maybe(&node.0))
    }

    /// Lowers the hints above a block or node under which there is nothing: whoever emptied it was
    /// stopped on the way up, or left it to somebody who was.
    #[cold]
    pub(super) fn lower_above(&self, level: usize, index: u32, columns: Columns) {
        let below = match level {
            0 => self.get(index).map(|block| &block.hints),
            _ => self.nodes[level - 1].get(index as usize).map(|node| &node.0),
        };
        let above = self.nodes[level].get((index / FAN) as usize).map(|node| &node.0);
        let (Some(below), Some(above)) = (below, above) else { return };
        for column in columns.iter() {
            hints::lower_above(&below[column], &above[column], index % FAN);
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
        stop(Stop::Swap);
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn fall(&self) {
        stop(Stop::Swap);
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
