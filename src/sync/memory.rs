//! Memory before it is looked at: large pages for what is large, since what is looked at here and there in it
//! waits for the tables of pages as well, and lines that are asked for before they are needed.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// A large page on x86-64 and AArch64.
pub(crate) const HUGE: usize = 2 << 20;

/// Asks the system for large pages between these addresses, as far as there are whole ones. Where it has
/// none, or does not want to, nothing is lost.
pub(crate) fn prefer_large(address: usize, len: usize) {
    let (start, end) = (address.next_multiple_of(HUGE), (address + len) / HUGE * HUGE);
    if start < end {
        advise(start, end - start);
    }
}

/// Asks for the cache line that this begins in, and does not wait for it.
#[inline(always)]
pub(crate) fn fetch<T>(what: &T) {
    // SAFETY: this is in every x86-64, and reads nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

#[cfg(all(target_os = "linux", not(miri)))]
fn advise(start: usize, len: usize) {
    // SAFETY: whatever is there, this changes nothing of it but the size of its pages.
    unsafe { libc::madvise(start as *mut _, len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise(_: usize, _: usize) {}
