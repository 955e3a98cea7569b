//! Rings: the blocks of one tier, and the search through them.
//!
//! A hash points to a block of the ring and to a place in it, by linear hashing. The search takes
//! what hints say may fit: first in that block, from that place and round to it; then in the
//! ring's other blocks, by their numbers from that block's on and round to it, each from the place
//! that the hash points to there. It comes to the other blocks from above, by the levels of hints that the ring's mask
//! leaves, so that its length is that of the tree and not that of the ring.
//!
//! # Protocol
//! A block that the search comes upon by its number, not by a reference, may be another class's by
//! the time. The search reads the block's generation, then the mask, then the place, then the
//! generation again ([`super::blocks`], step 2). The registry takes a block out of the mask before
//! it gives the block its next generation: if the mask still has the block after the generation
//! was read, it has it for this generation or for one before, in which case the generation that
//! is read again is another.

use once_cell::race::OnceBox;

use super::blocks::{Block, BlockRef, Blocks, LEVELS, Occupant};
use super::hints::{Columns, FAN};
use crate::placement::order;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Blocks that a ring holds without a further array.
const INLINE: usize = 8;

/// The blocks of one tier.
pub(crate) struct Ring {
    len: AtomicU32,
    inline: [AtomicU64; INLINE],
    /// Array k holds the `INLINE << k` blocks after those before it: a ring grows without moving
    /// and without a limit of its own.
    more: [OnceBox<Box<[AtomicU64]>>; 24],
    mask: Mask,
}

/// What a search comes upon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Find {
    pub(crate) occupant: Occupant,
    /// The number of its place.
    pub(crate) place: u32,
}

impl Ring {
    /// For blocks numbered below this.
    pub(crate) fn new(blocks: usize) -> Self {
        Ring {
            len: AtomicU32::new(0),
            inline: [const { 0 }; INLINE].map(AtomicU64::new),
            more: [const { OnceBox::new() }; 24],
            mask: Mask::new(blocks),
        }
    }

    /// Adds a block, in a hole or at the end. Under the registry's lock.
    pub(crate) fn push(&self, block: BlockRef, holes: bool) {
        self.mask.add(block.index);
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
        self.mask.remove(block.index);
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

    /// Takes all blocks out of the mask: no view has this ring any more, and who still searches it
    /// must not come upon what a block is next. Under the registry's lock, once that is shown.
    pub(crate) fn retire(&self) {
        for at in 0..self.len.load(Ordering::Relaxed) {
            if let Some(block) = self.block(at) {
                self.mask.remove(block.index);
            }
        }
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
    fn block(&self, at: u32) -> Option<BlockRef> {
        BlockRef::from_bits(self.cell(at).load(Ordering::Acquire))
    }

    /// The occupant of the very place that `hash` points to. `None` also if the ring has more than a
    /// few blocks, whose slots are not at hand: asking the hints first is quicker then.
    #[inline(always)]
    pub(crate) fn at(&self, blocks: &Blocks, hash: u64) -> Option<Occupant> {
        let len = self.len.load(Ordering::Acquire);
        if len > INLINE as u32 {
            return None;
        }
        let home = self.block(order::start(hash, len))?;
        let block = blocks.get(home.index)?;
        let occupant = block.occupant(block.start(hash))?;
        // After the place: see step 2 in `blocks`.
        block.is(home.generation).then_some(occupant)
    }

    /// The block that `hash` points to; past a hole, the next.
    #[inline(always)]
    fn home(&self, hash: u64) -> Option<BlockRef> {
        let len = self.len.load(Ordering::Acquire);
        let first = order::start(hash, len);
        match self.block(first) {
            Some(home) => Some(home),
            None => self.past_hole(first, len),
        }
    }

    #[cold]
    #[inline(never)]
    fn past_hole(&self, hole: u32, len: u32) -> Option<BlockRef> {
        (hole..len).chain(0..hole).find_map(|at| self.block(at))
    }

    /// The first occupant from the place that `hash` points to and round in its block.
    pub(crate) fn meet(&self, blocks: &Blocks, hash: u64) -> Option<Find> {
        let home = self.home(hash)?;
        let block = blocks.get(home.index)?;
        let from = block.start(hash);
        block.search(home, u32::MAX, from, Some)
    }

    /// All occupants, once each.
    pub(crate) fn each(&self, blocks: &Blocks, mut visit: impl FnMut(Occupant)) {
        for at in 0..self.len.load(Ordering::Acquire) {
            let Some(block) = self.block(at) else { continue };
            let Some(b) = blocks.get(block.index) else { continue };
            b.search(block, u32::MAX, 0, |find| {
                visit(find.occupant);
                None::<()>
            });
        }
    }

    /// Whoever stands where hints say that a request may fit, in the search's order, until `visit`
    /// returns something.
    #[inline]
    pub(crate) fn search<R>(
        &self,
        blocks: &Blocks,
        columns: Columns,
        hash: u64,
        mut visit: impl FnMut(Find) -> Option<R>,
    ) -> Option<R> {
        let home = self.home(hash)?;
        let block = blocks.get(home.index)?;
        let len = self.len.load(Ordering::Acquire);
        // Of many blocks this one is seldom at hand; the word above it is, and says whether to look.
        if len <= INLINE as u32 || blocks.leads_to(home.index, columns) {
            let from = block.start(hash);
            let found = block.search(home, block.candidates(columns), from, &mut visit);
            if found.is_some() {
                return found;
            }
        }
        if len <= 1 {
            return None;
        }
        Search { ring: self, blocks, columns, hash }.others(home.index, &mut visit)
    }

    /// The blocks as they are, by their numbers: the places used so far of each, holes included.
    /// `None`: a hole in the ring.
    #[cfg(all(test, not(slotwise_loom)))]
    pub(crate) fn layout(&self, blocks: &Blocks) -> Vec<Option<(u32, Vec<Option<Occupant>>)>> {
        let of = |block: BlockRef| {
            let b = blocks.get(block.index).expect("a block of a ring is open");
            let used = b.used.load(Ordering::Acquire);
            (block.index, (0..used).map(|at| b.occupant(at)).collect())
        };
        (0..self.len.load(Ordering::Acquire)).map(|at| self.block(at).map(of)).collect()
    }
}

impl Block {
    /// The place that a hash points to.
    #[inline(always)]
    fn start(&self, hash: u64) -> u32 {
        order::start(order::second(hash), self.used.load(Ordering::Acquire))
    }

    #[inline(always)]
    fn is(&self, generation: u32) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// Whoever stands at these places, from one of them on and round to it.
    #[inline]
    fn search<R>(
        &self,
        this: BlockRef,
        places: u32,
        from: u32,
        mut visit: impl FnMut(Find) -> Option<R>,
    ) -> Option<R> {
        let mut ahead = places.rotate_right(from);
        while ahead != 0 {
            let at = (ahead.trailing_zeros() + from) % FAN;
            ahead &= ahead - 1;
            let Some(occupant) = self.occupant(at) else { continue };
            // After the place: see step 2 in `blocks`.
            if !self.is(this.generation) {
                return None;
            }
            if let Some(result) = visit(Find { occupant, place: this.index * FAN + at }) {
                return Some(result);
            }
        }
        None
    }
}

/// A search through the blocks of a ring other than the first.
struct Search<'a> {
    ring: &'a Ring,
    blocks: &'a Blocks,
    columns: Columns,
    hash: u64,
}

impl Search<'_> {
    #[cold]
    #[inline(never)]
    fn others<R>(&self, home: u32, visit: &mut impl FnMut(Find) -> Option<R>) -> Option<R> {
        let tops = self.ring.mask.reach.load(Ordering::Acquire);
        let top = (home + 1) / FAN.pow(LEVELS as u32);
        let after =
            (top..tops).find_map(|node| self.below(LEVELS, node, home + 1, u32::MAX, visit));
        after.or_else(|| {
            (0..tops.min(top + 1)).find_map(|node| self.below(LEVELS, node, 0, home, visit))
        })
    }

    /// The blocks under a node, from one number up to another.
    fn below<R>(
        &self,
        level: usize,
        node: u32,
        from: u32,
        to: u32,
        visit: &mut impl FnMut(Find) -> Option<R>,
    ) -> Option<R> {
        let ours = self.ring.mask.children(level, node);
        if ours == 0 {
            return None;
        }
        let mut children = ours & self.blocks.candidates(level, node, self.columns);
        // A child is so many blocks wide.
        let width = FAN.pow(level as u32 - 1);
        if node == from / (width * FAN) {
            children &= u32::MAX << (from / width % FAN);
        }
        while children != 0 {
            let child = node * FAN + children.trailing_zeros();
            children &= children - 1;
            if child.saturating_mul(width) >= to {
                return None;
            }
            let found = if level == 1 {
                self.block(child, visit)
            } else {
                self.below(level - 1, child, from, to, visit)
            };
            if found.is_some() {
                return found;
            }
            self.blocks.lower_above(level - 1, child, self.columns);
        }
        None
    }

    fn block<R>(&self, index: u32, visit: &mut impl FnMut(Find) -> Option<R>) -> Option<R> {
        let block = self.blocks.get(index)?;
        // In this order: see the protocol.
        let generation = block.generation.load(Ordering::Acquire);
        if self.ring.mask.children(1, index / FAN) & 1 << (index % FAN) == 0 {
            return None;
        }
        let this = BlockRef { index, generation };
        block.search(this, block.candidates(self.columns), block.start(self.hash), visit)
    }
}

/// Which blocks are a ring's: bits in the shape of the tree of hints, where there are any. Written
/// under the registry's lock.
struct Mask {
    tops: Box<[OnceBox<Top>]>,
    /// Tops from here on never had any. Rises before a bit is set there.
    reach: AtomicU32,
}

/// Level 3: which of the 32 below have any.
#[derive(Default)]
struct Top {
    bits: AtomicU32,
    children: [OnceBox<Middle>; FAN as usize],
}

/// Level 2, and level 1 below it: the blocks themselves.
#[derive(Default)]
struct Middle {
    bits: AtomicU32,
    words: [AtomicU32; FAN as usize],
}

impl Mask {
    fn new(blocks: usize) -> Mask {
        let tops = blocks.div_ceil((FAN as usize).pow(LEVELS as u32));
        let tops = (0..tops).map(|_| OnceBox::new()).collect();
        Mask { tops, reach: AtomicU32::new(0) }
    }

    /// The words for a block, from level 1 up, and its bit in each.
    fn path(&self, block: u32) -> [(&AtomicU32, u32); LEVELS] {
        let bit = |level: u32| 1 << (block / FAN.pow(level) % FAN);
        let top = self.tops[(block / FAN.pow(3)) as usize].get_or_init(Box::default);
        let middle = top.children[(block / FAN.pow(2) % FAN) as usize].get_or_init(Box::default);
        let word = &middle.words[(block / FAN % FAN) as usize];
        [(word, bit(0)), (&middle.bits, bit(1)), (&top.bits, bit(2))]
    }

    fn add(&self, block: u32) {
        let top = block / FAN.pow(LEVELS as u32);
        if self.reach.load(Ordering::Relaxed) <= top {
            self.reach.store(top + 1, Ordering::Release);
        }
        for (word, bit) in self.path(block) {
            word.fetch_or(bit, Ordering::AcqRel);
        }
    }

    fn remove(&self, block: u32) {
        for (word, bit) in self.path(block) {
            if word.fetch_and(!bit, Ordering::AcqRel) != bit {
                return;
            }
        }
    }

    /// The children of a node that have blocks of the ring.
    #[inline]
    fn children(&self, level: usize, node: u32) -> u32 {
        let word = || {
            let top = |index: u32| self.tops.get(index as usize)?.get();
            let middle = |node: u32| top(node / FAN)?.children[(node % FAN) as usize].get();
            Some(match level {
                3 => &top(node)?.bits,
                2 => &middle(node)?.bits,
                _ => &middle(node / FAN)?.words[(node % FAN) as usize],
            })
        };
        word().map_or(0, |word: &AtomicU32| word.load(Ordering::Acquire))
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use crate::placement::Resources;
    use crate::slots::{Place, Slot, State};

    /// Wherever the search starts, and however many tops of the tree lie between.
    #[test]
    fn a_block_under_any_top_is_found() {
        const BLOCKS: u32 = 100_000;
        let need = Resources::new(10, 10);
        for far in [6, 32_767, 32_768, 70_000, BLOCKS - 1] {
            let (blocks, ring) = (Blocks::new(BLOCKS as usize), Ring::new(BLOCKS as usize));
            let [near, far] = [5, far].map(|index| blocks.open(index));
            let slot = Slot::default();
            let stamp = slot.register(need, State::Ready);
            let occupant = Occupant { slot: 0, epoch: stamp.epoch };
            blocks.put(Place { block: far, at: 3 }, occupant, &slot);
            ring.push(near, false);
            ring.push(far, false);
            for hash in (0..16).map(order::other) {
                let found = ring.search(&blocks, Columns::of(&need), hash, Some);
                assert_eq!(found.map(|find| find.occupant), Some(occupant), "{far:?}, {hash:x}");
            }
        }
    }
}
