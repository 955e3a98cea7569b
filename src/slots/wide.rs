//! The 128-bit cell.
//!
//! On x86-64 it is written out: `cmpxchg16b` in place, without a call through a table, and a load
//! of two halves in place of one of sixteen bytes. The latter is what pays: right after a
//! `cmpxchg16b` a sixteen-byte load waits for the store to drain, an eight-byte one does not.
//! Everywhere else, portable-atomic. An engine is not built on the few x86-64 processors without the
//! instruction (before 2006), see [`supported`].
#![allow(unsafe_code)]

use super::{Wide, Word, WordCell};
use crate::sync::AtomicU128;

#[derive(Default)]
pub(crate) struct WideCell(AtomicU128);

/// Whether this processor has what the cell needs. Asked once, before the first cell is used.
pub(crate) fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("cmpxchg16b");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

// Orderings, for every cell: a load acquires what the last change released, so that whoever sees
// a word sees the stamp, the totals and the records that were written before it. A change is
// AcqRel: it publishes its own writes to whoever changes the word next and sees all that came
// before. (On x86-64 a load is an acquire and a locked instruction is a full fence.)
impl WordCell<Wide> for WideCell {
    #[inline(always)]
    fn load(&self) -> Word<Wide> {
        let (low, version) = native::load(&self.0);
        Word::from_parts(low, version)
    }

    #[inline(always)]
    fn compare_exchange(&self, current: Word<Wide>, new: Word<Wide>) -> Result<(), Word<Wide>> {
        let swapped = native::compare_exchange(&self.0, current.parts(), new.parts());
        swapped.map_err(|(low, version)| Word::from_parts(low, version))
    }

    #[cfg(all(slotwise_loom, test))]
    fn store(&self, new: Word<Wide>) {
        let (low, version) = new.parts();
        self.0.store((version as u128) << 64 | low as u128, crate::sync::Ordering::Release);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    use crate::sync::{AtomicU128, Ordering};

    const fn join((low, version): (u64, u64)) -> u128 {
        (version as u128) << 64 | low as u128
    }

    const fn split(bits: u128) -> (u64, u64) {
        (bits as u64, (bits >> 64) as u64)
    }

    pub(super) fn load(cell: &AtomicU128) -> (u64, u64) {
        split(cell.load(Ordering::Acquire))
    }

    pub(super) fn compare_exchange(
        cell: &AtomicU128,
        current: (u64, u64),
        new: (u64, u64),
    ) -> Result<(), (u64, u64)> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        cell.compare_exchange(join(current), join(new), success, failure).map(|_| ()).map_err(split)
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use core::arch::asm;

    use crate::sync::AtomicU128;

    /// Both halves as they were at one instant: the version is read before and after the rest, and
    /// every change raises it.
    #[inline(always)]
    pub(super) fn load(cell: &AtomicU128) -> (u64, u64) {
        let at: *const u64 = cell.as_ptr().cast();
        loop {
            let (low, before, after): (u64, u64, u64);
            // SAFETY: leans on `cell` being alive, sixteen bytes long and aligned to them. Aligned
            // eight-byte loads are single-copy atomic and not reordered with one another on
            // x86-64, and all access to the cell is by these two blocks, so that no access of the
            // language is mixed in.
            unsafe {
                asm!(
                    "mov {before}, [{at} + 8]",
                    "mov {low}, [{at}]",
                    "mov {after}, [{at} + 8]",
                    at = in(reg) at,
                    before = out(reg) before,
                    low = out(reg) low,
                    after = out(reg) after,
                    options(nostack, preserves_flags, readonly),
                );
            }
            if before == after {
                return (low, after);
            }
        }
    }

    #[inline(always)]
    pub(super) fn compare_exchange(
        cell: &AtomicU128,
        current: (u64, u64),
        new: (u64, u64),
    ) -> Result<(), (u64, u64)> {
        let swapped: u8;
        let (low, high): (u64, u64);
        // SAFETY: as above; the instruction is there, or no engine would have been built. rbx,
        // which the instruction wants and the compiler keeps for itself, is put back.
        unsafe {
            asm!(
                "xchg rbx, rsi",
                "lock cmpxchg16b [rdi]",
                "mov rbx, rsi",
                "sete r8b",
                in("rdi") cell.as_ptr(),
                inout("rsi") new.0 => _,
                in("rcx") new.1,
                inout("rax") current.0 => low,
                inout("rdx") current.1 => high,
                out("r8b") swapped,
                options(nostack),
            );
        }
        if swapped != 0 { Ok(()) } else { Err((low, high)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Free;
    use crate::slots::State;

    #[test]
    fn swaps_from_what_is_there_and_says_what_is() {
        let cell = WideCell::default();
        let word =
            |n| Word::<Wide>::new(Free { cpu: n, memory: -n, gpus: n }, State::Ready, n as u64);
        let zero = cell.load();
        assert_eq!(cell.compare_exchange(zero, word(1)), Ok(()));
        assert_eq!(cell.load(), word(1));
        assert_eq!(cell.compare_exchange(zero, word(2)), Err(word(1)));
        assert_eq!(cell.compare_exchange(word(1), word(2)), Ok(()));
        assert_eq!(cell.load(), word(2));
    }

    /// Both halves carry the same count; a load that mixed two changes would show it.
    #[test]
    fn a_load_is_never_torn() {
        let cell = WideCell::default();
        let word = |n: u64| {
            let free = Free { cpu: (n & 0xffff) as i64, memory: 0, gpus: 0 };
            Word::<Wide>::new(free, State::Ready, n)
        };
        cell.compare_exchange(cell.load(), word(0)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut now = cell.load();
                    while now.version() < 300_000 {
                        now = match cell.compare_exchange(now, word(now.version() + 1)) {
                            Ok(()) => cell.load(),
                            Err(there) => there,
                        };
                    }
                });
            }
            let mut last = 0;
            while last < 300_000 {
                let seen = cell.load();
                assert_eq!(seen, word(seen.version()));
                assert!(seen.version() >= last, "versions went back");
                last = seen.version();
            }
        });
    }
}
