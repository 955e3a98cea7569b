//! Large pages of the system: what is looked at here and there in much memory waits less for the tables of
//! pages, which are read from memory themselves, if the pages are large.

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

#[cfg(all(target_os = "linux", not(miri)))]
fn advise(start: usize, len: usize) {
    // SAFETY: whatever is there, this changes nothing of it but the size of its pages.
    unsafe { libc::madvise(start as *mut _, len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise(_: usize, _: usize) {}
