//! All lanes at once, in two registers of 256 bits, on processors that have such. Intrinsics, since what
//! the compiler makes of arrays as long is slower than what it makes of short ones.

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
}

/// All lanes.
#[derive(Clone, Copy)]
pub struct Wide(__m256i, __m256i);

/// An operation on both registers. Each instruction is in AVX2, and a `Wide` is made only by who shows an
/// [`Avx2`].
macro_rules! both {
    ($name:ident($one:ident, $other:ident) $do:expr) => {
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            let each = |$one: __m256i, $other: __m256i| {
                // SAFETY: the processor has AVX2, see above.
                unsafe { $do }
            };
            Wide(each(self.0, other.0), each(self.1, other.1))
        }
    };
}

impl Lanes for Wide {
    type Shown = Avx2;

    const WIDTH: usize = LANES;

    #[inline(always)]
    fn all(_: Avx2, n: i16) -> Self {
        // SAFETY: the processor has AVX2, as is shown.
        let all = unsafe { _mm256_set1_epi16(n) };
        Wide(all, all)
    }

    #[inline(always)]
    fn of(_: Avx2, each: &Each, _: usize) -> Self {
        let at = each.0.as_ptr().cast::<__m256i>();
        // SAFETY: the processor has AVX2, as is shown; 32 numbers of 16 bits, on a multiple of 64 bytes, are
        // two aligned registers.
        unsafe { Wide(_mm256_load_si256(at), _mm256_load_si256(at.add(1))) }
    }

    both!(less(a, b) _mm256_sub_epi16(a, b));
    both!(min(a, b) _mm256_min_epi16(a, b));
    both!(max(a, b) _mm256_max_epi16(a, b));
    both!(and(a, b) _mm256_and_si256(a, b));
    both!(and_not(a, b) _mm256_andnot_si256(b, a));
    both!(equals(a, b) _mm256_cmpeq_epi16(a, b));
    both!(above(a, b) _mm256_cmpgt_epi16(a, b));

    #[inline(always)]
    fn is_zero(self) -> bool {
        // SAFETY: the processor has AVX2, see above.
        unsafe {
            let any = _mm256_or_si256(self.0, self.1);
            _mm256_testz_si256(any, any) == 1
        }
    }

    #[inline(always)]
    fn sum(self) -> i32 {
        let mut each = Each([0; LANES]);
        let at = each.0.as_mut_ptr().cast::<__m256i>();
        // SAFETY: the processor has AVX2, see above; the place is as large as both, and aligned.
        unsafe {
            _mm256_store_si256(at, self.0);
            _mm256_store_si256(at.add(1), self.1);
        }
        each.0.iter().map(|&n| i32::from(n)).sum()
    }
}
