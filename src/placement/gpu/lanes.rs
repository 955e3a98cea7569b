//! Numbers side by side, so that one step is the same few instructions for many sequences.

use wide::i16x8;

/// How many sequences there are: as many as bits of a number that says which.
pub const LANES: usize = u32::BITS as usize;

/// One number for each sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Each(pub [i16; LANES]);

/// Some of [`LANES`] numbers, as many as a processor takes at a time. A condition is a mask: all ones or
/// zeroes. Differences wrap.
pub trait Lanes: Copy {
    /// Shows that the processor has the instructions.
    type Shown: Copy;

    /// How many numbers it is.
    const WIDTH: usize;

    /// The same number in each lane.
    fn all(shown: Self::Shown, n: i16) -> Self;

    /// The `part`-th of them.
    fn of(shown: Self::Shown, each: &Each, part: usize) -> Self;

    /// Difference.
    fn less(self, other: Self) -> Self;

    /// The smaller ones.
    fn min(self, other: Self) -> Self;

    /// The larger ones.
    fn max(self, other: Self) -> Self;

    /// Where both bits are set.
    fn and(self, other: Self) -> Self;

    /// Where this one's bits are set and the other's are not.
    fn and_not(self, other: Self) -> Self;

    /// Where either's bits are set.
    fn or(self, other: Self) -> Self;

    /// The others where a mask says so.
    fn or_where(self, mask: Self, other: Self) -> Self;

    /// Mask of where the numbers are equal.
    fn equals(self, other: Self) -> Self;

    /// Mask of where this one is larger.
    fn above(self, other: Self) -> Self;

    /// Whether a mask is set in no lane.
    fn is_nowhere(self) -> bool;

    /// All lanes together.
    fn sum(self) -> i32;
}

/// Eight of them, as many as any processor has vectors for, by a crate that knows their names: what compiles to
/// vectors by itself today is numbers one by one after the next change.
#[derive(Clone, Copy)]
pub struct Eight(i16x8);

impl Lanes for Eight {
    type Shown = ();

    const WIDTH: usize = 8;

    #[inline(always)]
    fn all((): (), n: i16) -> Self {
        Eight(i16x8::splat(n))
    }

    #[inline(always)]
    fn of((): (), each: &Each, part: usize) -> Self {
        Eight(i16x8::new(*each.0[part * 8..].first_chunk().expect("a part of them")))
    }

    #[inline(always)]
    fn less(self, other: Self) -> Self {
        Eight(self.0 - other.0)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Eight(self.0.min(other.0))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Eight(self.0.max(other.0))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Eight(self.0 & other.0)
    }

    #[inline(always)]
    fn and_not(self, other: Self) -> Self {
        Eight(self.0 & !other.0)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Eight(self.0 | other.0)
    }

    #[inline(always)]
    fn or_where(self, mask: Self, other: Self) -> Self {
        Eight(mask.0.bitselect(other.0, self.0))
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self {
        Eight(self.0.simd_eq(other.0))
    }

    #[inline(always)]
    fn above(self, other: Self) -> Self {
        Eight(self.0.simd_gt(other.0))
    }

    #[inline(always)]
    fn is_nowhere(self) -> bool {
        self.0.none()
    }

    #[inline(always)]
    fn sum(self) -> i32 {
        self.0.to_array().iter().map(|&n| i32::from(n)).sum()
    }
}
