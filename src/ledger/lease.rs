//! Until when a worker counts as alive.
//!
//! A lease is one word: which registration it is of, and its deadline. A heartbeat swaps the deadline, an
//! expiry swaps it to *over*: one of them is first, and a heartbeat that finds it over is refused. A
//! lease of another registration is nobody's.

use super::agenda::Note;
use crate::sync::{Bug, Ordering, Stop, WideBits, WideCell, bug, stop};

/// No lease: it stays until it is removed.
const NONE: u64 = 0;

#[cfg(not(all(slotwise_loom, test)))]
const WIDTH: u32 = 64;
#[cfg(all(slotwise_loom, test))]
const WIDTH: u32 = 32;

/// The registration has expired.
const OVER: u64 = u64::MAX >> (64 - WIDTH);

/// One worker's.
#[derive(Default)]
pub(crate) struct Lease {
    word: WideCell,
    pub(crate) note: Note,
}

/// The lease is over, or the registration is not the last one on its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over;

fn word(incarnation: u32, until: u64) -> WideBits {
    (incarnation as WideBits) << WIDTH | until as WideBits
}

#[allow(clippy::unnecessary_cast, reason = "the word is narrower under loom")]
fn parts(word: WideBits) -> (u32, u64) {
    ((word >> WIDTH) as u32, word as u64 & OVER)
}

impl Lease {
    /// Runs until then, from now on. Whether it must be armed: it ran longer before, or not at all.
    ///
    /// Races with [`Lease::expire`]: see the head of this file. Release: who expires a later word comes
    /// after whatever the heartbeat stands for.
    pub(crate) fn renew(&self, incarnation: u32, until: u64) -> Result<bool, Over> {
        let mut now = self.word.load(Ordering::Acquire);
        loop {
            let (whose, before) = parts(now);
            if whose > incarnation || (whose == incarnation && before == OVER) {
                return Err(Over);
            }
            let runs = whose == incarnation && before != NONE;
            let new = word(incarnation, until.min(OVER - 1));
            stop(Stop::Swap);
            match self.word.compare_exchange(now, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(!runs || until < before),
                Err(other) => now = other,
            }
        }
    }

    /// Which registration it is of, and until when it runs; none if it does not.
    pub(crate) fn running(&self) -> Option<(u32, u64)> {
        let (whose, until) = parts(self.word.load(Ordering::Acquire));
        (until != NONE && until != OVER).then_some((whose, until))
    }

    /// Ends it, if it still is what was read. The registration is its caller's to remove.
    pub(crate) fn expire(&self, (incarnation, until): (u32, u64)) -> bool {
        let over = word(incarnation, OVER);
        stop(Stop::Swap);
        if bug(Bug::ExpireWithoutCas) {
            self.word.store(over, Ordering::Release);
            return true;
        }
        let from = word(incarnation, until);
        self.word.compare_exchange(from, over, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_comes_in_time_or_is_told_that_it_did_not() {
        let lease = Lease::default();
        assert_eq!(lease.running(), None);
        assert_eq!(lease.renew(1, 10), Ok(true));
        assert_eq!(lease.renew(1, 20), Ok(false));
        assert_eq!(lease.renew(1, 15), Ok(true), "an earlier end must be looked at");
        assert!(!lease.expire((1, 20)), "renewed meanwhile");
        assert!(lease.expire((1, 15)));
        assert_eq!(lease.renew(1, 30), Err(Over));
        assert_eq!(lease.running(), None);
        // The next registration has a lease of its own, and none of the one before counts.
        assert_eq!(lease.renew(2, u64::MAX), Ok(true));
        assert_eq!(lease.running(), Some((2, OVER - 1)));
        assert_eq!(lease.renew(1, 30), Err(Over));
    }
}
