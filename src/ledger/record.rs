//! A reservation's record.
//!
//! ```text
//! free -> pending -> live -> closing -> free, next generation
//!            |  ^       ^------|           (a group that could not be done reopens)
//!            v  |
//!          doomed                          (its worker was removed before it was live)
//! ```
//! The header of its [`Plate`] decides who of two releases closes it, and whether a removal comes
//! before or after it was made. All else belongs to whoever moved the header last.

use super::plate::{Header, Plate};
use super::ticket::Ticket;
use crate::placement::Resources;
use crate::sync::{AtomicU64, Ordering};

/// Two cache lines: what every operation needs, and the id.
#[derive(Default)]
#[repr(C, align(128))]
pub(crate) struct Record {
    /// Slot and incarnation.
    place: AtomicU64,
    amount: AtomicU64,
    version: AtomicU64,
    /// While free: the next chunk of the free list, and this chunk's size.
    pub(crate) link: AtomicU64,
    reserved: [AtomicU64; 2],
    pub(crate) plate: Plate,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) slot: u32,
    pub(crate) incarnation: u32,
    pub(crate) amount: Resources,
    pub(crate) version: u64,
}

impl Record {
    /// Where the reservation is about to be taken, written before the slot's swap publishes it:
    /// an audit or a removal that sees the swap sees this.
    #[inline]
    pub(crate) fn aim(&self, slot: u32, incarnation: u32, amount: &Resources) {
        self.place.store((slot as u64) << 32 | incarnation as u64, Ordering::Relaxed);
        self.amount.store(amount.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set_version(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// Consistent for who owns the record; for others, see [`Record::read`].
    #[inline]
    pub(crate) fn holding(&self) -> Holding {
        let place = self.place.load(Ordering::Relaxed);
        Holding {
            slot: (place >> 32) as u32,
            incarnation: place as u32,
            amount: Resources::from_bits(self.amount.load(Ordering::Relaxed)),
            version: self.version.load(Ordering::Relaxed),
        }
    }

    /// The header, and what the record said while it had that header. What it says of a pending
    /// one may be half of one aim and half of the next.
    pub(crate) fn read(&self) -> (Header, Holding) {
        loop {
            let header = self.plate.header();
            let holding = self.holding();
            if self.plate.still(header) {
                return (header, holding);
            }
        }
    }

    /// While free: keeps the numbers of the chunk's other records in the id's place.
    pub(crate) fn keep(&self, others: &[u32]) {
        for (pair, cell) in others.chunks(2).zip(self.plate.scratch()) {
            let high = pair.get(1).copied().unwrap_or(0);
            cell.store((high as u64) << 32 | pair[0] as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn kept(&self, at: usize) -> u32 {
        (self.plate.scratch()[at / 2].load(Ordering::Relaxed) >> (at % 2 * 32)) as u32
    }

    pub(crate) fn ticket(index: u32, generation: u64) -> Ticket {
        Ticket::new(index, generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_ticket_one_cache_line_is_touched() {
        assert_eq!(size_of::<Record>(), 128);
        assert_eq!(core::mem::offset_of!(Record, plate), 48);
    }
}
