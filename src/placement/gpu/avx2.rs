//! Sixteen lanes at a time, in registers of 256 bits, on processors that have such. Intrinsics, since what
//! the compiler makes of arrays as long is slower than what it makes of short ones; not all lanes at once in
//! two registers each, since eight devices then have more registers than there are.

#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::lanes::{Each, LANES, Lanes};

/// The processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// If it has. The answer is the same each time.
    #[inline]
    pub fn shown() -> Option<Avx2> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// Runs `work`, compiled for such a processor as far as it is inlined.
    #[inline]
    pub fn run<R>(self, work: impl FnOnce(Avx2) -> R) -> R {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(shown: Avx2, work: impl FnOnce(Avx2) -> R) -> R {
            work(shown)
        }
        // SAFETY: there is an `Avx2` only where the processor has it.
        unsafe { with_avx2(self, work) }
    }

    /// The least of sixteen.
    #[inline(always)]
    pub fn least(self, keys: &[u32; 16]) -> u32 {
        let at = keys.as_ptr().cast::<__m256i>();
        // SAFETY: the processor has AVX2, as is shown; two times eight numbers of 32 bits are there to be read,
        // and need not be on a multiple of anything.
        unsafe {
            let eight = _mm256_min_epu32(_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1)));
            let (low, high) = (_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
            let four = _mm_min_epu32(low, high);
            let two = _mm_min_epu32(four, _mm_shuffle_epi32::<0b1110>(four));
            let one = _mm_min_epu32(two, _mm_shuffle_epi32::<0b01>(two));
            _mm_cvtsi128_si32(one) as u32
        }
    }
}

/// Sixteen lanes.
#[derive(Clone, Copy)]
pub struct Wide(__m256i);

/// An operation of one instruction. Each instruction is in AVX2, and a `Wide` is made only by who shows an
/// [`Avx2`].
macro_rules! one {
    ($name:ident($one:ident, $other:ident) $do:expr) => {
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            let ($one, $other) = (self.0, other.0);
            // SAFETY: the processor has AVX2, see above.
            Wide(unsafe { $do })
        }
    };
}

impl Lanes for Wide {
    type Shown = Avx2;

    const WIDTH: usize = 16;

    #[inline(always)]
    fn all(_: Avx2, n: i16) -> Self {
        // SAFETY: the processor has AVX2, as is shown.
        let all = unsafe { _mm256_set1_epi16(n) };
        Wide(all)
    }

    #[inline(always)]
    fn of(_: Avx2, each: &Each, part: usize) -> Self {
        let at = each.0[part * 16..][..16].as_ptr().cast::<__m256i>();
        // SAFETY: the processor has AVX2, as is shown; 16 numbers of 16 bits, on a multiple of 32 bytes, are
        // an aligned register.
        unsafe { Wide(_mm256_load_si256(at)) }
    }

    one!(less(a, b) _mm256_sub_epi16(a, b));
    one!(min(a, b) _mm256_min_epi16(a, b));
    one!(max(a, b) _mm256_max_epi16(a, b));
    one!(and(a, b) _mm256_and_si256(a, b));
    one!(and_not(a, b) _mm256_andnot_si256(b, a));
    one!(or(a, b) _mm256_or_si256(a, b));
    one!(equals(a, b) _mm256_cmpeq_epi16(a, b));
    one!(above(a, b) _mm256_cmpgt_epi16(a, b));

    #[inline(always)]
    fn or_where(self, mask: Self, other: Self) -> Self {
        // SAFETY: the processor has AVX2, see above.
        Wide(unsafe { _mm256_blendv_epi8(self.0, other.0, mask.0) })
    }

    #[inline(always)]
    fn is_nowhere(self) -> bool {
        // SAFETY: the processor has AVX2, see above.
        unsafe { _mm256_testz_si256(self.0, self.0) == 1 }
    }

    #[inline(always)]
    fn sum(self) -> i32 {
        let mut each = Each([0; LANES]);
        let at = each.0.as_mut_ptr().cast::<__m256i>();
        // SAFETY: the processor has AVX2, see above; the place is as large as both, and aligned.
        unsafe {
            _mm256_store_si256(at, self.0);
        }
        each.0.iter().map(|&n| i32::from(n)).sum()
    }
}
