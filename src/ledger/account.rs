//! What a tenant's reservations hold in all, and how much that may be.
//!
//! # Protocol
//! What is used is one word, all dimensions together: a charge that would go over the limit in one of
//! them changes nothing, and of charges that race for what is left just those succeed that it is
//! enough for, without any being put back. Whoever is charged and then finds no worker is credited
//! again, as a step of its own: until then it counts.
//!
//! # Orderings
//! The word stands for itself: nothing else is read by what it says. Relaxed.

use crate::placement::{Dimension, Resources};
use crate::sync::{AtomicU64, Bug, Ordering, Stop, WideBits, WideCell, bug, stop};

#[cfg(not(all(slotwise_loom, test)))]
const WIDTHS: [u32; 3] = [48, 48, 32];
#[cfg(all(slotwise_loom, test))]
const WIDTHS: [u32; 3] = [24, 24, 16];

/// How much may be used in a dimension when nobody has said.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// One tenant's account.
pub(crate) struct Account {
    used: WideCell,
    limits: [AtomicU64; 3],
}

impl Default for Account {
    fn default() -> Self {
        Account { used: WideCell::new(0), limits: [UNLIMITED; 3].map(AtomicU64::new) }
    }
}

/// A charge would go over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverLimit {
    pub(crate) dimension: Dimension,
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

fn pack(amounts: [u64; 3]) -> WideBits {
    let [cpu, memory, gpus] = amounts.map(|n| n as WideBits);
    cpu | memory << WIDTHS[0] | gpus << (WIDTHS[0] + WIDTHS[1])
}

fn unpack(bits: WideBits) -> [u64; 3] {
    #[allow(clippy::unnecessary_cast, reason = "the word is narrower under loom")]
    let field = |shift: u32, width: u32| (bits >> shift) as u64 & ((1 << width) - 1);
    [field(0, WIDTHS[0]), field(WIDTHS[0], WIDTHS[1]), field(WIDTHS[0] + WIDTHS[1], WIDTHS[2])]
}

impl Account {
    /// What is used, by dimension.
    pub(crate) fn used(&self) -> [u64; 3] {
        unpack(self.used.load(Ordering::Relaxed))
    }

    pub(crate) fn limits(&self) -> [u64; 3] {
        [0, 1, 2].map(|d: usize| self.limits[d].load(Ordering::Relaxed))
    }

    /// Applies to what is charged from now on; what is used already may be more, and stays.
    pub(crate) fn set_limits(&self, limits: [u64; 3]) {
        for (cell, limit) in self.limits.iter().zip(limits) {
            cell.store(limit, Ordering::Relaxed);
        }
    }

    /// What is first over the limit if this is added to what is used.
    pub(crate) fn over(&self, used: [u64; 3], amount: &Resources) -> Option<OverLimit> {
        let limits = self.limits();
        Dimension::ALL.into_iter().find_map(|dimension| {
            let (used, limit) = (used[dimension as usize], limits[dimension as usize]);
            let more = amount.get(dimension);
            let over = more > 0 && used + more > limit;
            over.then_some(OverLimit { dimension, used, limit })
        })
    }

    /// Adds to what is used, or changes nothing. A field has room for what all reservations there can
    /// be may hold, in any but a contrived cluster: if not, that is a limit, too.
    ///
    /// Races with other charges and credits: the word is swapped from just the one that was judged.
    pub(crate) fn charge(&self, amount: &Resources) -> Result<(), OverLimit> {
        let mut bits = self.used.load(Ordering::Relaxed);
        loop {
            let used = unpack(bits);
            if let Some(over) = self.over(used, amount) {
                return Err(over);
            }
            let new = Dimension::ALL.map(|d| used[d as usize] + amount.get(d));
            if let Some(full) =
                Dimension::ALL.into_iter().find(|&d| new[d as usize] >> WIDTHS[d as usize] != 0)
            {
                let d = full as usize;
                return Err(OverLimit {
                    dimension: full,
                    used: used[d],
                    limit: (1 << WIDTHS[d]) - 1,
                });
            }
            stop(Stop::Swap);
            if bug(Bug::ChargeWithoutCas) {
                self.used.store(pack(new), Ordering::Relaxed);
                return Ok(());
            }
            match self.used.compare_exchange(bits, pack(new), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => bits = now,
            }
        }
    }

    /// Takes back what was charged.
    pub(crate) fn credit(&self, amount: &Resources) {
        // No field borrows from the next: what is credited was charged.
        let amount = pack([amount.cpu, amount.memory, amount.gpus]);
        stop(Stop::Swap);
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_to_the_last_unit_and_in_each_dimension() {
        let account = Account::default();
        account.set_limits([1000, UNLIMITED, 2]);
        let amount = Resources::new(500, 7).gpus(1);
        assert_eq!(account.charge(&amount), Ok(()));
        assert_eq!(account.charge(&amount), Ok(()));
        let over = OverLimit { dimension: Dimension::Cpu, used: 1000, limit: 1000 };
        assert_eq!(account.charge(&amount), Err(over));
        // What needs nothing of a dimension is not kept back by it.
        assert_eq!(account.charge(&Resources::new(0, 7)), Ok(()));
        let over = OverLimit { dimension: Dimension::Gpus, used: 2, limit: 2 };
        assert_eq!(account.charge(&Resources::ZERO.gpus(1)), Err(over));
        assert_eq!(account.used(), [1000, 21, 2]);
        account.credit(&amount);
        account.set_limits([100; 3]);
        assert_eq!(account.used(), [500, 14, 1]);
        assert!(account.charge(&Resources::new(1, 0)).is_err());
    }

    #[test]
    fn a_field_never_spills_into_the_next() {
        let account = Account::default();
        let most = Resources { cpu: (1 << 48) - 1, ..Resources::ZERO };
        assert_eq!(account.charge(&most), Ok(()));
        assert!(account.charge(&Resources::new(1, 0)).is_err());
        assert_eq!(account.used(), [(1 << 48) - 1, 0, 0]);
    }
}
