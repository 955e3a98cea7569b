//! The name that the engine gives a reservation.

use core::fmt;

/// Names one reservation for ever: the index of its record, and which use of that record it is.
/// A record whose generations are used up is retired, so a ticket never comes to mean another
/// reservation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    const INDEX_BITS: u32 = 28;

    /// Most records that tickets can name.
    pub(crate) const MAX_RECORDS: usize = 1 << Self::INDEX_BITS;

    pub(crate) const fn new(index: u32, generation: u64) -> Ticket {
        Ticket(generation << Self::INDEX_BITS | index as u64)
    }

    pub(crate) const fn index(self) -> u32 {
        (self.0 & ((1 << Self::INDEX_BITS) - 1)) as u32
    }

    pub(crate) const fn generation(self) -> u64 {
        self.0 >> Self::INDEX_BITS
    }

    /// The ticket as a number, for hosts that keep it outside Rust. Never 0.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The ticket with this number. Any number is safe: one that was never given out is answered
    /// with "not held".
    pub const fn from_bits(bits: u64) -> Ticket {
        Ticket(bits)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}.{})", self.index(), self.generation())
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
