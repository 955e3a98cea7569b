//! A reservation's record.
//!
//! ```text
//!           +-----> provisional -----+
//!           |          |  ^  |         v
//! free -> pending -----|--|--+-> live -> closing -> free, next generation
//!           |  ^       v  |      |  ^                 ^
//!           v  |     pledged <---+  |                 |
//!          doomed      |  +---------+                 |
//!                      +------------------------------+
//! ```
//! *Doomed*: a worker was removed, maybe the one that it was about to be live on. *Pledged*: part of
//! a group that gives it back or, if the group cannot be done, lets it be as it was; or being resized,
//! after which it holds another amount; then it is again what it was, live or provisional. *Provisional*:
//! live but for ending by itself, unless it is confirmed before.
//!
//! The header of its [`Plate`] decides who of two releases closes it, and whether a removal comes
//! before or after it was made. All else belongs to whoever moved the header last.

use super::plate::{Header, Phase, Plate};
use super::ticket::Ticket;
use crate::placement::Resources;
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, stop, store_load_fence};

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
    /// The leader's ticket, for a member of a gang, ...
    leader: AtomicU64,
    /// ... in this generation only.
    follows: AtomicU64,
    pub(crate) plate: Plate,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) slot: u32,
    pub(crate) incarnation: u32,
    pub(crate) amount: Resources,
    pub(crate) version: u64,
    /// It has a rider: see [`super::rider`].
    pub(crate) rides: bool,
    /// It was provisional, not live, when it was looked at or pledged.
    pub(crate) provisional: bool,
}

/// In the word of the amount, above all that an amount takes.
const RIDES: u64 = 1 << 63;
const _: () = assert!(Resources::MAX.to_bits() < RIDES);

impl Record {
    /// Starts a new use and returns its generation. Only by who owns the free record.
    #[inline(always)]
    pub(crate) fn open(&self, id: &[u8]) -> u64 {
        // No incarnation is 0: until it aims, the record is nobody's, least of all that worker's
        // that its last use was on. Published with the header.
        if !bug(Bug::StaleAim) {
            self.place.store(0, Ordering::Relaxed);
        }
        self.plate.open(id)
    }

    /// Where the reservation is about to be taken, written before the slot's swap publishes it:
    /// an audit or a removal that sees the swap sees this.
    #[inline(always)]
    pub(crate) fn aim(&self, slot: u32, incarnation: u32, amount: &Resources) {
        // Release: an eviction that reads this aim sees the gang that was joined before.
        self.place.store((slot as u64) << 32 | incarnation as u64, Ordering::Release);
        self.amount.store(amount.to_bits(), Ordering::Relaxed);
    }

    /// The same for one that has a rider.
    pub(crate) fn aim_riding(&self, slot: u32, incarnation: u32, amount: &Resources) {
        self.aim(slot, incarnation, amount);
        self.amount.store(amount.to_bits() | RIDES, Ordering::Relaxed);
    }

    /// It is held there from now on, by a change of that slot that made this version. Only by who has
    /// pledged the record.
    pub(crate) fn relocate(&self, slot: u32, incarnation: u32, version: u64) {
        self.set_version(version);
        self.place.store((slot as u64) << 32 | incarnation as u64, Ordering::Release);
    }

    #[inline]
    pub(crate) fn rides(&self) -> bool {
        self.amount.load(Ordering::Relaxed) & RIDES != 0
    }

    /// See [`super::Ledger::publish`].
    #[inline(always)]
    pub(crate) fn publish(&self, generation: u64, version: u64, gone: impl Fn() -> bool) -> bool {
        self.publish_as(Phase::Live, generation, version, gone)
    }

    #[inline(always)]
    pub(crate) fn publish_as(
        &self,
        phase: Phase,
        generation: u64,
        version: u64,
        gone: impl Fn() -> bool,
    ) -> bool {
        self.set_version(version);
        loop {
            if self.plate.advance(generation, Phase::Pending, phase).is_ok() {
                return true;
            }
            if self.reprieve(generation, &gone) {
                return false;
            }
        }
    }

    /// The draft is doomed. Makes it pending again, and says whether its worker is `gone`: the
    /// removal that doomed it may have been of a worker that it had aimed at before.
    ///
    /// Races with [`super::Ledger::evict`], which passes a doomed record by: either it sees this one
    /// pending and dooms it once more, or this sees the worker gone.
    #[cold]
    #[inline(never)]
    fn reprieve(&self, generation: u64, gone: &impl Fn() -> bool) -> bool {
        // Only the maker moves a doomed record.
        let _ = self.plate.advance(generation, Phase::Doomed, Phase::Pending);
        store_load_fence();
        bug(Bug::DoomedForGood) || gone()
    }

    #[inline]
    pub(crate) fn set_version(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// Holds another amount from now on, by a change of its slot that made this version. Only by who
    /// has pledged the record, after the slot's swap.
    pub(crate) fn rewrite(&self, amount: &Resources, version: u64) {
        self.set_version(version);
        // Release, after the swap: an audit that reads this amount (and then fences, see
        // `Plate::still`) finds the slot changed when it looks there again, so that it does not set
        // the new amount against the old word. The other way round, who reads the new word finds the
        // record pledged or, live again, with this amount.
        let order = if bug(Bug::AmountUnordered) { Ordering::Relaxed } else { Ordering::Release };
        let rides = self.amount.load(Ordering::Relaxed) & RIDES;
        self.amount.store(amount.to_bits() | rides, order);
    }

    /// Becomes a member of a gang in this generation. Only by its maker, before the member's slot
    /// is swapped: an eviction that sees the swap sees this.
    pub(crate) fn follow(&self, leader: Ticket, generation: u64) {
        self.leader.store(leader.to_bits(), Ordering::Relaxed);
        // Release: who sees the generation sees the leader that belongs to it.
        self.follows.store(generation, Ordering::Release);
    }

    /// Follows nobody any more. Only by its maker.
    pub(crate) fn unfollow(&self) {
        self.follows.store(0, Ordering::Release);
    }

    /// The leader that it follows in this generation. What an earlier use of the record followed
    /// is nobody's concern.
    pub(crate) fn leader(&self, generation: u64) -> Option<Ticket> {
        let follows =
            self.follows.load(Ordering::Acquire) == generation || bug(Bug::MemberFollowsForEver);
        let bits = self.leader.load(Ordering::Relaxed);
        (follows && bits != 0).then(|| Ticket::from_bits(bits))
    }

    /// Slot and incarnation; (0, 0) before it has aimed.
    #[inline]
    pub(crate) fn place(&self) -> (u32, u32) {
        let place = self.place.load(Ordering::Acquire);
        ((place >> 32) as u32, place as u32)
    }

    /// What it says, unless it has a rider. By who owns the record: the way of most, on which the word of
    /// the amount is taken as it is.
    #[inline(always)]
    pub(crate) fn plain_holding(&self) -> Option<Holding> {
        let (slot, incarnation) = self.place();
        let amount = self.amount.load(Ordering::Relaxed);
        (amount & RIDES == 0).then(|| Holding {
            slot,
            incarnation,
            amount: Resources::from_bits(amount),
            version: self.version.load(Ordering::Relaxed),
            rides: false,
            provisional: false,
        })
    }

    /// Consistent for who owns the record; for others, see [`Record::read`].
    #[inline]
    pub(crate) fn holding(&self) -> Holding {
        let (slot, incarnation) = self.place();
        let amount = self.amount.load(Ordering::Relaxed);
        Holding {
            slot,
            incarnation,
            amount: Resources::from_bits(amount & !RIDES),
            version: self.version.load(Ordering::Relaxed),
            rides: amount & RIDES != 0,
            provisional: false,
        }
    }

    /// The header, and what the record said while it had that header. What it says of a pending
    /// one may be half of one aim and half of the next. A live one may have been resized meanwhile,
    /// and have its header back: the place is the same then, and of amount and version one may be
    /// older than the other. Nobody needs the two to match: a version is told by itself, whoever
    /// closes or pledges the record reads what it says by then, and the audit, which counts amounts,
    /// sees that the slot has changed.
    pub(crate) fn read(&self) -> (Header, Holding) {
        loop {
            let header = self.plate.header();
            let provisional = header.phase() == Phase::Provisional;
            let holding = Holding { provisional, ..self.holding() };
            stop(Stop::Read);
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
