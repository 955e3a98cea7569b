//! Eight numbers side by side, by arithmetic that compiles to one vector instruction each; the
//! portable way to say so without unsafe code.

/// How many.
pub const WIDTH: usize = 8;

/// One number in each lane. A condition is a mask: all ones or zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes(pub [i16; WIDTH]);

impl Lanes {
    /// The same number in each lane.
    #[inline(always)]
    pub fn all(n: i16) -> Lanes {
        Lanes([n; WIDTH])
    }

    #[inline(always)]
    fn zip(self, other: Lanes, f: impl Fn(i16, i16) -> i16) -> Lanes {
        Lanes(core::array::from_fn(|l| f(self.0[l], other.0[l])))
    }

    /// Difference, wrapping.
    #[inline(always)]
    pub fn less(self, other: Lanes) -> Lanes {
        self.zip(other, i16::wrapping_sub)
    }

    /// The smaller ones.
    #[inline(always)]
    pub fn min(self, other: Lanes) -> Lanes {
        self.zip(other, i16::min)
    }

    /// The larger ones.
    #[inline(always)]
    pub fn max(self, other: Lanes) -> Lanes {
        self.zip(other, i16::max)
    }

    /// Where both bits are set.
    #[inline(always)]
    pub fn and(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| a & b)
    }

    /// Where this one's bits are set and the other's are not.
    #[inline(always)]
    pub fn and_not(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| a & !b)
    }

    /// Mask of where the numbers are equal.
    #[inline(always)]
    pub fn equals(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| -i16::from(a == b))
    }

    /// Mask of where this one is larger.
    #[inline(always)]
    pub fn above(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| -i16::from(a > b))
    }

    /// Whether all bits are zero.
    #[inline(always)]
    pub fn is_zero(self) -> bool {
        self.0.iter().fold(0, |any, n| any | n) == 0
    }

    /// All lanes together.
    #[inline(always)]
    pub fn sum(self) -> i32 {
        self.0.iter().map(|&n| i32::from(n)).sum()
    }
}
