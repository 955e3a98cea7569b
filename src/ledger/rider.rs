//! What a reservation carries beside an amount: terms that few reservations have, so that the others
//! pay nothing for them.
//!
//! Riders lie beside the records, one for each at the same index, in pieces that are there only where a
//! reservation has ever carried one. A record that carries says so in the word that holds its amount.
//!
//! A rider belongs to whoever owns its record, and is written before the record is *live* or
//! *provisional*. Others who look check the record's header again, as for the record itself.

use super::account::Account;
use super::agenda::Note;
use super::tally::Counted;
use crate::placement::Granted;
use crate::sync::{AtomicU64, Ordering, fence};

/// Most limits that one reservation is counted under.
pub const MAX_LIMITS: usize = 4;

/// What is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// When it ends unless it is confirmed.
    pub(crate) deadline: Option<u64>,
    pub(crate) priority: i32,
    pub(crate) preemptable: bool,
    /// It is promised what others hold who are to leave: it is provisional until they have left.
    pub(crate) claim: bool,
    /// The account that it is charged to.
    pub(crate) account: Option<u32>,
}

/// See the head of this file.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Rider {
    /// 0: none.
    deadline: AtomicU64,
    /// Priority, and flags above it.
    standing: AtomicU64,
    /// Its number plus one.
    account: AtomicU64,
    /// The generation that has been told to leave.
    displaced: AtomicU64,
    /// The devices that it holds; see [`Granted`]. 0: none.
    granted: AtomicU64,
    /// Numbers of tallies plus one.
    counted: [AtomicU64; MAX_LIMITS],
    pub(crate) note: Note,
}

const PREEMPTABLE: u64 = 1 << 32;
const CLAIM: u64 = 1 << 33;

impl Rider {
    pub(crate) fn write(&self, carried: &Carried) {
        // Between the header that ended the last use and the words of this one; see `super::plate`.
        fence(Ordering::Release);
        let flags = carried.preemptable as u64 * PREEMPTABLE + carried.claim as u64 * CLAIM;
        self.deadline.store(carried.deadline.unwrap_or(0), Ordering::Relaxed);
        self.standing.store(carried.priority as u32 as u64 | flags, Ordering::Relaxed);
        self.account.store(carried.account.map_or(0, |n| n as u64 + 1), Ordering::Relaxed);
        self.grant(None);
        self.count(&[]);
    }

    /// The devices that it holds.
    pub(crate) fn grant(&self, granted: Option<Granted>) {
        self.granted.store(granted.map_or(0, Granted::to_bits), Ordering::Relaxed);
    }

    pub(crate) fn granted(&self) -> Option<Granted> {
        Granted::from_bits(self.granted.load(Ordering::Relaxed))
    }

    pub(crate) fn read(&self) -> Carried {
        let standing = self.standing.load(Ordering::Relaxed);
        let deadline = self.deadline.load(Ordering::Relaxed);
        Carried {
            deadline: (deadline != 0).then_some(deadline),
            priority: standing as u32 as i32,
            preemptable: standing & PREEMPTABLE != 0,
            claim: standing & CLAIM != 0,
            account: self.account(),
        }
    }

    pub(crate) fn account(&self) -> Option<u32> {
        self.account.load(Ordering::Relaxed).checked_sub(1).map(|n| n as u32)
    }

    /// It becomes provisional, not live, when it is made.
    pub(crate) fn is_provisional(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != 0
            || self.standing.load(Ordering::Relaxed) & CLAIM != 0
    }

    /// Where it is counted.
    pub(crate) fn count(&self, counted: &[Counted]) {
        for (at, cell) in self.counted.iter().enumerate() {
            let number = counted.get(at).map_or(0, |counted| counted.0 as u64 + 1);
            cell.store(number, Ordering::Relaxed);
        }
    }

    pub(crate) fn counted(&self) -> impl Iterator<Item = Counted> + '_ {
        let number = |cell: &AtomicU64| cell.load(Ordering::Relaxed).checked_sub(1);
        self.counted.iter().filter_map(number).map(|n| Counted(n as u32))
    }

    /// The use of this generation is told to leave.
    pub(crate) fn displace(&self, generation: u64) {
        self.displaced.store(generation, Ordering::Release);
    }

    pub(crate) fn is_displaced(&self, generation: u64) -> bool {
        self.displaced.load(Ordering::Acquire) == generation
    }
}

/// Accounts, by number; none where none has been opened.
pub(crate) type Accounts = crate::sync::Chunked<once_cell::race::OnceBox<Account>, 64>;
