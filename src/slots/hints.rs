//! Hints: where something may be free, so that nobody looks at worker after worker.
//!
//! A hint is a bit for a place and a size: *a worker here may have this much free*. Sizes are the
//! powers of two in each dimension, one [column](Columns) each. 32 hints of a column are one word,
//! and 32 words are the children of a word above, whose bit says that the child is not zero; so a
//! few words say where to look among a million workers, or that there is nothing to look at.
//!
//! A hint may be too high, which costs whoever follows it one look in vain. It is never too low, not
//! even for a moment: if a worker has that much free throughout a call, the call finds the bit set.
//!
//! # Protocol
//! A word has 32 bits M, "may", and 32 bits D, "being lowered"; a finder takes M or D.
//! - *Raise*, after more has become free: fence; load; set M, unless M is set and D is not. Then the
//!   same for the word above, all the way up, also past words that say so already: whoever set them
//!   may have been stopped before the next.
//! - *Lower*, by a finder that came in vain, or by one that took what was left: set D; if it was set already, leave it to whoever set
//!   it. Fence; look; if there is not that much: clear M, fence, look again, and set M if there is
//!   now. Clear D. If the word is zero then, the same for its bit above.
//!
//! Whoever takes lowers only the hints that led there, and only if they would lead the same request
//! there in vain: of the others, most are right again before anybody follows them.
//!
//! # Why it is never too low
//! Raise and lower both pass a fence between their own write and their look at the other's. So if a
//! raise finds M set and D not, no lowering is under way that has not seen what was freed: one that
//! sets D later looks later. If it finds D, it sets M; the lowerer that clears M after that looks
//! once more after clearing, and sees what was freed before the raise. Meanwhile D stands for M.
//! Without D, a clear that comes late would hide what was freed in between; without the second
//! look, so would one that came after the first. Both are seeded bugs that the models must catch.
//!
//! # Orderings
//! The fences are [`store_load_fence_after_swap`]: a raise comes after the swap of a slot's word or of the hint below, or after a load that saw another's swap
//! (two loads, which x86-64 keeps in order); a lowering is a swap itself.

use crate::placement::Resources;
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, stop, store_load_fence_after_swap};

/// Hints in a word, and children of a word above.
pub(super) const FAN: u32 = 32;

/// Words of hints, 32 places or children each.
#[derive(Default)]
pub(crate) struct Hint(AtomicU64);

impl Hint {
    const fn may(at: u32) -> u64 {
        1 << at
    }

    const fn lowering(at: u32) -> u64 {
        1 << (FAN + at)
    }

    /// Where something may be.
    #[inline(always)]
    pub(crate) fn maybe(&self) -> u32 {
        let word = self.0.load(Ordering::Acquire);
        (word | word >> FAN) as u32
    }

    /// Whether it was set already.
    #[inline]
    fn raise(&self, at: u32) -> bool {
        store_load_fence_after_swap();
        let word = self.0.load(Ordering::Acquire);
        let set = word & Self::may(at) != 0 && word & Self::lowering(at) == 0;
        if !set {
            stop(Stop::Swap);
            self.0.fetch_or(Self::may(at), Ordering::AcqRel);
        }
        set
    }

    /// `high`: whether there is something, looked up anew.
    fn lower(&self, at: u32, high: impl Fn() -> bool) {
        if self.maybe() & 1 << at == 0 || high() {
            return;
        }
        stop(Stop::Swap);
        let mark = if bug(Bug::LowerWithoutMark) { 0 } else { Self::lowering(at) };
        if self.0.fetch_or(mark, Ordering::AcqRel) & mark != 0 {
            return;
        }
        stop(Stop::Marked);
        store_load_fence_after_swap();
        if !high() {
            stop(Stop::Swap);
            self.0.fetch_and(!Self::may(at), Ordering::AcqRel);
            stop(Stop::Lowered);
            store_load_fence_after_swap();
            if !bug(Bug::LowerWithoutSecondLook) && high() {
                stop(Stop::Swap);
                self.0.fetch_or(Self::may(at), Ordering::AcqRel);
            }
        }
        stop(Stop::Swap);
        self.0.fetch_and(!mark, Ordering::AcqRel);
    }
}

/// Raises a hint at each level, from the place's up.
#[inline]
pub(super) fn raise<const N: usize>(path: &[(&[Hint; N], u32)], column: usize) {
    for (hints, at) in path {
        if hints[column].raise(*at) && bug(Bug::RaiseStopsEarly) {
            return;
        }
        stop(Stop::Raised);
    }
}

/// Lowers a hint, and those above it as far as the words become zero.
pub(super) fn lower<const N: usize>(
    path: &[(&[Hint; N], u32)],
    column: usize,
    high: impl Fn() -> bool,
) {
    let Some(((first, at), above)) = path.split_first() else { return };
    let mut child = &first[column];
    child.lower(*at, high);
    for (hints, at) in above {
        if !lower_above(child, &hints[column], *at) {
            return;
        }
        child = &hints[column];
    }
}

/// Lowers a hint if the word that it is for is zero; whether it was.
pub(super) fn lower_above(child: &Hint, hint: &Hint, at: u32) -> bool {
    let zero = child.maybe() == 0;
    if zero {
        hint.lower(at, || child.maybe() != 0);
    }
    zero
}

/// How many sizes there are in each dimension: 1, 2, 4, ... up to the most that is possible.
const SIZES: [u32; 3] = [
    u64::BITS - Resources::MAX.cpu.leading_zeros(),
    u64::BITS - Resources::MAX.memory.leading_zeros(),
    u64::BITS - Resources::MAX.gpus.leading_zeros(),
];

/// The first column of each dimension.
const FIRST: [u32; 3] = [0, SIZES[0], SIZES[0] + SIZES[1]];

/// Columns in all.
pub(super) const COLUMNS: usize = (SIZES[0] + SIZES[1] + SIZES[2]) as usize;

/// How large amounts are, by dimension: their bits, 0 for nothing.
pub(crate) type Sizes = [u32; 3];

/// Shows `each` the columns of the sizes above `from` and up to `to`.
#[inline(always)]
pub(super) fn columns_between(from: Sizes, to: Sizes, mut each: impl FnMut(usize)) {
    for d in 0..3 {
        for size in from[d]..to[d] {
            each((FIRST[d] + size) as usize);
        }
    }
}

/// The columns in which a request looks: in each dimension of which it needs something, that of
/// the largest size that is not more than it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns([u8; 3]);

impl Columns {
    /// Stands for a dimension of which nothing is needed.
    const NONE: u8 = u8::MAX;

    #[inline(always)]
    pub(crate) fn of(need: &Resources) -> Columns {
        let column = |amount: u64, first: u32| match u64::BITS - amount.leading_zeros() {
            0 => Self::NONE,
            bits => (first + bits - 1) as u8,
        };
        Columns([
            column(need.cpu, FIRST[0]),
            column(need.memory, FIRST[1]),
            column(need.gpus, FIRST[2]),
        ])
    }

    /// What all of its columns say of a block or node.
    #[inline(always)]
    pub(super) fn maybe(self, hints: &[Hint; COLUMNS]) -> u32 {
        let mut all = u32::MAX;
        for column in self.0 {
            if column != Self::NONE {
                all &= hints[column as usize].maybe();
            }
        }
        all
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().filter(|&column| column != Self::NONE).map(usize::from)
    }

    /// Those that sizes do not reach.
    pub(super) fn beyond(self, sizes: Sizes) -> impl Iterator<Item = usize> {
        self.iter().filter(move |&column| !reaches(sizes, column))
    }
}

/// Whether sizes reach a column.
pub(super) fn reaches(sizes: Sizes, column: usize) -> bool {
    let d = (1..3).rev().find(|&d| column as u32 >= FIRST[d]).unwrap_or(0);
    sizes[d] > column as u32 - FIRST[d]
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_request_looks_in_the_largest_size_that_it_exceeds() {
        let need = Resources::new(1000, 1024).gpus(3);
        let columns: Vec<usize> = Columns::of(&need).iter().collect();
        assert_eq!(columns, [9, FIRST[1] as usize + 10, FIRST[2] as usize + 1]);
        // 512 and more of cpu, 1,024 and more of memory, two GPUs and more.
        for (sizes, beyond) in [([10, 11, 2], 0), ([9, 11, 2], 1), ([10, 10, 2], 1), ([0; 3], 3)] {
            assert_eq!(Columns::of(&need).beyond(sizes).count(), beyond, "{sizes:?}");
        }
        assert_eq!(Columns::of(&Resources::ZERO).iter().count(), 0);
        let mut all = Vec::new();
        columns_between([0; 3], SIZES, |column| all.push(column));
        assert!(all.iter().all(|&column| reaches(SIZES, column)));
        assert_eq!(all, Vec::from_iter(0..COLUMNS));
    }

    #[test]
    fn a_word_is_lowered_up_to_where_something_is_left() {
        let [leaf, top] = [0, 1].map(|_| [Hint::default()]);
        let path = |at: u32| [(&leaf, at), (&top, 9)];
        let maybe = || (leaf[0].maybe(), top[0].maybe());
        raise(&path(5), 0);
        raise(&path(6), 0);
        assert_eq!(maybe(), (3 << 5, 1 << 9));
        lower(&path(5), 0, || true);
        assert_eq!(maybe(), (3 << 5, 1 << 9));
        lower(&path(5), 0, || false);
        assert_eq!(maybe(), (1 << 6, 1 << 9));
        lower(&path(6), 0, || false);
        assert_eq!(maybe(), (0, 0));
    }
}
