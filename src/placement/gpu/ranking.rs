//! The best of many keys, one for each node, with the lowest node first among equals: a tree of
//! minima, so that a changed key costs a few blocks and the best needs no scan.

/// A node that cannot take the request.
pub const UNFIT: u32 = u32::MAX;

/// Children of a node of the tree: a block of them is a cache line.
const FAN: usize = 16;

/// Keys by node, lower is better, [`UNFIT`] is none. Holds 4.3 bytes a node.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// The keys, then the minima of blocks of them, and so on to one block; each level padded with
    /// [`UNFIT`] to whole blocks.
    levels: Vec<Vec<u32>>,
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
            levels.push(vec![UNFIT; blocks * FAN]);
            dirty.push(vec![0; blocks.div_ceil(64)]);
            if blocks == 1 {
                return Ranking { levels, dirty };
            }
            len = blocks;
        }
    }

    /// A node's key.
    pub fn key(&self, node: usize) -> u32 {
        self.levels[0][node]
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
        self.levels[0][node] = key;
        let block = node / FAN;
        self.dirty[0][block / 64] |= 1 << (block % 64);
    }

    /// Looks for the minima anew after some have been [put](Ranking::put). Cost: a block for each block of
    /// them and of what is above those.
    pub fn settle(&mut self) {
        for below in 0..self.levels.len() - 1 {
            for word in 0..self.dirty[below].len() {
                let mut bits = core::mem::take(&mut self.dirty[below][word]);
                while bits != 0 {
                    let block = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let key = least(&self.levels[below][block * FAN..(block + 1) * FAN]);
                    if self.levels[below + 1][block] != key {
                        self.levels[below + 1][block] = key;
                        let above = block / FAN;
                        self.dirty[below + 1][above / 64] |= 1 << (above % 64);
                    }
                }
            }
        }
        if let Some(top) = self.dirty.last_mut() {
            top[0] = 0;
        }
    }

    /// Sets the keys of nodes that are side by side. Cost: linear in them, and a block a level for each
    /// block of them.
    pub fn set_run(&mut self, first: usize, keys: impl ExactSizeIterator<Item = u32>) {
        if keys.len() == 0 {
            return;
        }
        let (start, end) = (first / FAN, (first + keys.len()).div_ceil(FAN));
        self.levels[0][first..first + keys.len()]
            .iter_mut()
            .zip(keys)
            .for_each(|(k, key)| *k = key);
        for block in start..end {
            let key = least(&self.levels[0][block * FAN..(block + 1) * FAN]);
            self.set_at(1, block, key);
        }
    }

    fn set_at(&mut self, level: usize, mut at: usize, mut key: u32) {
        for level in &mut self.levels[level..] {
            if level[at] == key {
                return;
            }
            level[at] = key;
            at /= FAN;
            key = least(&level[at * FAN..(at + 1) * FAN]);
        }
    }

    /// Sets all keys anew. Cost: linear.
    pub fn fill(&mut self, keys: impl Iterator<Item = u32>) {
        self.levels[0].iter_mut().zip(keys).for_each(|(slot, key)| *slot = key);
        for above in 1..self.levels.len() {
            let (below, rest) = self.levels.split_at_mut(above);
            let minima = below[above - 1].chunks_exact(FAN).map(least);
            rest[0].iter_mut().zip(minima).for_each(|(slot, key)| *slot = key);
        }
    }

    /// The lowest node among those with the least key, and the key. Cost: a block a level.
    #[inline]
    pub fn best(&self) -> Option<(usize, u32)> {
        let key = least(self.levels.last()?);
        if key == UNFIT {
            return None;
        }
        let at = self.levels.iter().rev().fold(0, |at, level| {
            let block = &level[at * FAN..(at + 1) * FAN];
            at * FAN + block.iter().position(|&k| k == key).unwrap_or(0)
        });
        Some((at, key))
    }

    /// The first node from `from` on that is not [`UNFIT`]. Cost: two blocks a level.
    pub fn first_from(&self, from: usize) -> Option<usize> {
        let (mut level, mut at) = (0, from);
        loop {
            let keys = self.levels.get(level)?;
            let end = (at / FAN + 1) * FAN;
            let found = keys.get(at..end.min(keys.len()))?.iter().position(|&k| k != UNFIT);
            match found {
                Some(found) => {
                    let at = at + found;
                    return Some((0..level).rev().fold(at, |at, below| {
                        let block = &self.levels[below][at * FAN..(at + 1) * FAN];
                        at * FAN + block.iter().position(|&k| k != UNFIT).unwrap_or(0)
                    }));
                }
                None => (level, at) = (level + 1, end / FAN),
            }
        }
    }
}

#[inline]
fn least(keys: &[u32]) -> u32 {
    keys.iter().fold(UNFIT, |least, &key| least.min(key))
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
            let mut put = Ranking::new(nodes);
            keys.iter().enumerate().for_each(|(node, &key)| put.put(node, key));
            put.settle();
            prop_assert_eq!(&put.levels, &ranking.levels);
            let mut filled = Ranking::new(nodes);
            filled.fill(keys.iter().copied());
            let mut run = Ranking::new(nodes);
            let (start, end) = (from.min(nodes), (from + 100).min(nodes));
            (0..nodes).filter(|n| !(start..end).contains(n)).for_each(|n| run.set(n, keys[n]));
            run.set_run(start, keys[start..end].iter().copied());
            prop_assert_eq!(run.best(), best);
            prop_assert_eq!(filled.best(), best);
            prop_assert_eq!(filled.key(from % nodes), keys[from % nodes]);
        }
    }
}
