//! The best of many keys, one for each node, with the lowest node first among equals: a tree of
//! minima, so that a changed key costs a few blocks and the best needs no scan.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;

/// A node that cannot take the request.
pub const UNFIT: u32 = u32::MAX;

/// Children of a node of the tree.
pub const FAN: usize = 16;

/// Levels of a tree of more nodes than a `u32` numbers.
const MOST_LEVELS: usize = 9;

/// A cache line of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Block([u32; FAN]);

impl Block {
    const UNFIT: Block = Block([UNFIT; FAN]);

    #[inline(always)]
    fn least(&self) -> u32 {
        self.0.iter().fold(UNFIT, |least, &key| least.min(key))
    }

    /// Where a key is less, as bits.
    #[inline(always)]
    fn less(&self, than: u32) -> u16 {
        (0..FAN).fold(0, |bits, at| bits | u16::from(self.0[at] < than) << at)
    }

    /// The first place from `from` on where a key is such.
    #[inline]
    fn position(&self, from: usize, such: impl Fn(u32) -> bool) -> Option<usize> {
        (from..FAN).find(|&at| such(self.0[at]))
    }
}

/// Keys by node, lower is better, [`UNFIT`] is none. Holds 4.3 bytes a node.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// The keys, then the minima of blocks of them, and so on to one block; each level padded with
    /// [`UNFIT`] to whole blocks.
    levels: Vec<Vec<Block>>,
    /// Blocks of which the minimum is to be looked for again, as bits; by level.
    dirty: Vec<Vec<u64>>,
}

impl Ranking {
    /// For `nodes` nodes, all [`UNFIT`].
    pub fn new(nodes: usize) -> Ranking {
        let (mut levels, mut dirty) = (Vec::new(), Vec::new());
        let mut len = nodes.max(1);
        loop {
            let blocks = len.div_ceil(FAN);
            levels.push(vec![Block::UNFIT; blocks]);
            dirty.push(vec![0; blocks.div_ceil(64)]);
            if blocks == 1 {
                return Ranking { levels, dirty };
            }
            len = blocks;
        }
    }

    /// A node's key.
    pub fn key(&self, node: usize) -> u32 {
        self.levels[0][node / FAN].0[node % FAN]
    }

    /// Sets a node's key. Cost: a block a level, as far up as minima change.
    #[inline]
    pub fn set(&mut self, node: usize, key: u32) {
        self.set_at(0, node, key);
    }

    /// Sets a node's key, one of many: nothing else is asked before [`Ranking::settle`].
    #[inline]
    pub fn put(&mut self, node: usize, key: u32) {
        // Whether it is another one is not asked: the answer would be waited for, since rankings of many
        // kinds are in no near cache.
        let block = node / FAN;
        self.levels[0][block].0[node % FAN] = key;
        self.dirty[0][block / 64] |= 1 << (block % 64);
    }

    /// Looks for the minima anew after some have been [put](Ranking::put). Cost: a block for each block of
    /// them and of what is above those.
    pub fn settle(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::shown() {
            return avx2.run(|avx2| self.settle_by(|block| avx2.least(&block.0)));
        }
        self.settle_by(Block::least);
    }

    #[inline(always)]
    fn settle_by(&mut self, least: impl Fn(&Block) -> u32) {
        for below in 0..self.levels.len() - 1 {
            let [from, to] = &mut self.levels[below..below + 2] else { return };
            let [from_dirty, to_dirty] = &mut self.dirty[below..below + 2] else { return };
            for (word, bits) in from_dirty.iter_mut().enumerate() {
                let mut bits = core::mem::take(bits);
                let mut changed = 0;
                while bits != 0 {
                    let block = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let (above, key) = (block / FAN, least(&from[block]));
                    let before = core::mem::replace(&mut to[above].0[block % FAN], key);
                    // By arithmetic: whether the least is another one is guessed wrong too often.
                    changed |= u64::from(before != key) << (above % 64);
                }
                // What is above 64 blocks is in one word.
                to_dirty[word / FAN] |= changed;
            }
        }
        if let Some(top) = self.dirty.last_mut() {
            top[0] = 0;
        }
    }

    /// Sets the keys of nodes that are side by side. Cost: linear in them, and a block a level for each
    /// block of them.
    pub fn set_run(&mut self, nodes: Range<usize>, mut key: impl FnMut(usize) -> u32) {
        let blocks = nodes.start / FAN..nodes.end.div_ceil(FAN);
        for node in nodes {
            self.levels[0][node / FAN].0[node % FAN] = key(node);
        }
        for block in blocks {
            self.dirty[0][block / 64] |= 1 << (block % 64);
        }
        self.settle();
    }

    /// The keys of [`FAN`] nodes from a multiple of that on; [`UNFIT`] past the last.
    pub fn block(&self, block: usize) -> &[u32; FAN] {
        &self.levels[0][block].0
    }

    fn set_at(&mut self, level: usize, mut at: usize, mut key: u32) {
        for level in &mut self.levels[level..] {
            let block = &mut level[at / FAN];
            if core::mem::replace(&mut block.0[at % FAN], key) == key {
                return;
            }
            key = block.least();
            at /= FAN;
        }
    }

    /// The lowest node among those with the least key, and the key. Cost: a block a level.
    #[inline]
    pub fn best(&self) -> Option<(usize, u32)> {
        let key = self.levels.last()?[0].least();
        if key == UNFIT {
            return None;
        }
        let at = self
            .levels
            .iter()
            .rev()
            .fold(0, |at, level| at * FAN + level[at].position(0, |k| k == key).unwrap_or(0));
        Some((at, key))
    }

    /// The same of those nodes that `members` has bits for, by number of a block. Cost: a block for each block, at
    /// each level, with a key less than the best of those before it.
    pub fn best_of(&self, members: impl Fn(usize) -> u16) -> Option<(usize, u32)> {
        let (mut least, mut best) = (UNFIT, None);
        let ahead = |level: usize, block: usize, least| match level {
            0 => members(block) & self.levels[0][block].less(least),
            _ => self.levels[level][block].less(least),
        };
        // The blocks on the way down, and which of their places are ahead.
        let mut path = [(0, 0); MOST_LEVELS];
        let mut level = self.levels.len() - 1;
        path[level].1 = ahead(level, 0, least);
        while level < self.levels.len() {
            let (block, places) = &mut path[level];
            if *places == 0 {
                level += 1;
                continue;
            }
            let at = places.trailing_zeros() as usize;
            *places &= *places - 1;
            let (next, key) = (*block * FAN + at, self.levels[level][*block].0[at]);
            if key >= least {
                // One that was found since is as good.
                continue;
            }
            if level == 0 {
                (least, best) = (key, Some((next, key)));
            } else {
                level -= 1;
                path[level] = (next, ahead(level, next, least));
            }
        }
        best
    }

    /// The first node from `from` on that is not [`UNFIT`]. Cost: two blocks a level.
    pub fn first_from(&self, from: usize) -> Option<usize> {
        let (mut level, mut at) = (0, from);
        loop {
            let found = self.levels.get(level)?.get(at / FAN)?.position(at % FAN, |k| k != UNFIT);
            match found {
                Some(found) => {
                    let at = at / FAN * FAN + found;
                    return Some((0..level).rev().fold(at, |at, below| {
                        at * FAN + self.levels[below][at].position(0, |k| k != UNFIT).unwrap_or(0)
                    }));
                }
                None => (level, at) = (level + 1, at / FAN + 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_what_a_scan_finds(
            nodes in 1usize..700,
            sets in prop::collection::vec((0usize..700, prop_oneof![0u32..4, Just(UNFIT)]), 0..200),
            from in 0usize..700,
        ) {
            let mut keys = vec![UNFIT; nodes];
            let mut ranking = Ranking::new(nodes);
            for (node, key) in sets {
                let node = node % nodes;
                keys[node] = key;
                ranking.set(node, key);
            }
            let all = || keys.iter().copied().enumerate().filter(|&(_, key)| key != UNFIT);
            let best = all().min_by_key(|&(node, key)| (key, node));
            prop_assert_eq!(ranking.best(), best);
            prop_assert_eq!(ranking.first_from(from), all().map(|(i, _)| i).find(|&i| i >= from));
            for members in [0, 1, 0b101_0000_0000_0001, u16::MAX] {
                let is_member = |node: usize| members.rotate_left((node / FAN) as u32) >> (node % FAN) & 1 == 1;
                let some = all().filter(|&(node, _)| is_member(node));
                let members = |block| members.rotate_left(block as u32);
                let best = some.min_by_key(|&(node, key)| (key, node));
                prop_assert_eq!(ranking.best_of(members), best);
            }
            let mut put = Ranking::new(nodes);
            keys.iter().enumerate().for_each(|(node, &key)| put.put(node, key));
            let mut plain = put.clone();
            put.settle();
            plain.settle_by(Block::least);
            prop_assert_eq!(&put.levels, &ranking.levels);
            prop_assert_eq!(&plain.levels, &ranking.levels);
            let mut filled = Ranking::new(nodes);
            filled.set_run(0..nodes, |node| keys[node]);
            let mut run = Ranking::new(nodes);
            let (start, end) = (from.min(nodes), (from + 100).min(nodes));
            (0..nodes).filter(|n| !(start..end).contains(n)).for_each(|n| run.set(n, keys[n]));
            run.set_run(start..end, |node| keys[node]);
            prop_assert_eq!(run.best(), best);
            prop_assert_eq!(filled.best(), best);
            prop_assert_eq!(filled.key(from % nodes), keys[from % nodes]);
        }
    }
}
