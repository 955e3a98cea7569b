//! A nameplate: an id beside a header that says which use of it this is and how far it has come.
//!
//! The header, generation and phase in one word, decides every race. The id belongs to whoever
//! moved the header last, and is kept in atomics only because others may look while it is written;
//! such a reader checks the header again afterwards.
//!
//! # Orderings
//! The header is changed with AcqRel (or stored with Release by its owner) and read with Acquire.
//! Reading the rest beside a writer is a sequence lock: the reader loads the header (Acquire), the
//! words (Relaxed), then fences (Acquire) and loads the header again ([`Plate::still`]); the
//! writer fences (Release) between the header that ended the last use and the words of the next
//! ([`Plate::open`], and [`Plate::scratch`] for what the free list keeps there in between).

use super::ids::Spot;
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, fence, stop};

/// Longest id of a request or a worker, in bytes: a UUID has 36, a SHA-256 in hex 64.
pub const MAX_ID_LEN: usize = 64;

const ID_WORDS: usize = MAX_ID_LEN / 8;

#[cfg(not(all(slotwise_loom, test)))]
const LAST_GENERATION: u64 = (1 << 36) - 1;
#[cfg(all(slotwise_loom, test))]
const LAST_GENERATION: u64 = 4;

/// How far a use has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Free = 0,
    /// Being made.
    Pending = 1,
    Live = 2,
    /// Being given back: it holds its id no more.
    Closing = 3,
    /// Being made on a worker that has been removed.
    Doomed = 4,
    /// Part of a group that may give it back, and holds its id until it has; or being resized.
    Pledged = 5,
    /// As live, but it ends by itself unless it is confirmed in time; or it is a claim to what others
    /// hold who have yet to leave.
    Provisional = 6,
}

impl Phase {
    /// Capacity is held, and nobody is at work on it.
    #[inline]
    pub(crate) const fn is_held(self) -> bool {
        matches!(self, Phase::Live | Phase::Provisional)
    }
}

/// Generation and phase, in one word also here: handed about in parts, it costs a stall each time
/// the parts are put together in memory and read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u64);

impl Header {
    #[inline]
    const fn new(generation: u64, phase: Phase) -> Header {
        Header(generation << 3 | phase as u64)
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> 3
    }

    #[inline]
    pub(crate) const fn phase(self) -> Phase {
        match self.0 & 7 {
            1 => Phase::Pending,
            2 => Phase::Live,
            3 => Phase::Closing,
            4 => Phase::Doomed,
            5 => Phase::Pledged,
            6 => Phase::Provisional,
            _ => Phase::Free,
        }
    }
}

/// Header first, so that it shares a cache line with what its owner keeps before it.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Plate {
    header: AtomicU64,
    /// Where the id is indexed plus one, shifted by eight; the id's length below.
    indexed: AtomicU64,
    id: [AtomicU64; ID_WORDS],
}

impl Plate {
    #[inline]
    pub(crate) fn header(&self) -> Header {
        Header(self.header.load(Ordering::Acquire))
    }

    /// Moves the header on, if it is what the caller thinks.
    #[inline(always)]
    pub(crate) fn advance(&self, generation: u64, from: Phase, to: Phase) -> Result<(), Header> {
        let (old, new) = (Header::new(generation, from), Header::new(generation, to));
        stop(Stop::Swap);
        #[cfg(test)]
        if (bug(Bug::ReleaseWithoutCas) && to == Phase::Closing)
            || (bug(Bug::PublishWithoutCas) && to == Phase::Live)
        {
            let now = self.header();
            if to == Phase::Closing && now != old {
                return Err(now);
            }
            stop(Stop::Swap);
            self.header.store(new.0, Ordering::Release);
            return Ok(());
        }
        self.header
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Header)
    }

    /// A seeded bug's way to move the header.
    #[cfg(test)]
    pub(crate) fn overwrite(&self, generation: u64, phase: Phase) {
        self.header.store(Header::new(generation, phase).0, Ordering::Release);
    }

    /// Starts a new use and returns its generation. Only by who owns the free plate. The first
    /// generation is 1, so that no ticket is zero.
    #[inline(always)]
    pub(crate) fn open(&self, id: &[u8]) -> u64 {
        let generation = self.header().generation().max(1);
        self.start(id, generation)
    }

    /// The same for a plate that its new owner has moved to *closing*, straight from one use to
    /// the next.
    pub(crate) fn open_next(&self, id: &[u8]) -> u64 {
        self.start(id, self.header().generation() + 1)
    }

    #[inline(always)]
    fn start(&self, id: &[u8], generation: u64) -> u64 {
        if !id.is_empty() {
            // See "Orderings": the partner is `still`.
            fence(Ordering::Release);
            each_word(id, |i, word| {
                self.id[i].store(word, Ordering::Relaxed);
                true
            });
        }
        self.indexed.store(id.len() as u64, Ordering::Relaxed);
        let header = Header::new(generation, Phase::Pending);
        self.header.store(header.0, Ordering::Release);
        generation
    }

    /// Ends the use. Only by who closed it or opened it. False: no generation is left, and the
    /// plate must not be used again.
    #[inline]
    pub(crate) fn end(&self, generation: u64) -> bool {
        let next = if bug(Bug::TicketKeepsGeneration) { generation } else { generation + 1 };
        let header = Header::new(next, Phase::Free);
        self.header.store(header.0, Ordering::Release);
        next < LAST_GENERATION
    }

    /// Nothing has been written for a later header before what was just read.
    #[inline]
    pub(crate) fn still(&self, header: Header) -> bool {
        fence(Ordering::Acquire);
        self.header.load(Ordering::Relaxed) == header.0
    }

    /// Whether the plate carries this id and stands for something that is made or being made;
    /// with the header at which that was so.
    #[inline(always)]
    pub(crate) fn carries(&self, id: &[u8]) -> Option<Header> {
        loop {
            let header = self.header();
            // What is being given back holds its id no more.
            let given_up = bug(Bug::PledgeGivesUpId) && header.phase() == Phase::Pledged;
            if matches!(header.phase(), Phase::Free | Phase::Closing) || given_up {
                return None;
            }
            let same = self.indexed.load(Ordering::Relaxed) & 0xff == id.len() as u64
                && each_word(id, |i, word| self.id[i].load(Ordering::Relaxed) == word);
            // A header that has moved says nothing yet: it may have become live with this very id,
            // and an insert that overlooked it would enter the id twice.
            stop(Stop::Read);
            let still = self.still(header);
            if still || bug(Bug::LookOnlyOnce) {
                return (same && still).then_some(header);
            }
        }
    }

    #[inline]
    pub(crate) fn set_spot(&self, spot: Spot) {
        let len = self.indexed.load(Ordering::Relaxed) & 0xff;
        self.indexed.store((spot.bits() + 1) << 8 | len, Ordering::Relaxed);
    }

    /// Where the id is indexed, if it is. Only by the owner.
    #[inline]
    pub(crate) fn spot(&self) -> Option<Spot> {
        (self.indexed.load(Ordering::Relaxed) >> 8).checked_sub(1).map(Spot::from_bits)
    }

    /// The id. By the owner; by others only beside [`Plate::still`].
    pub(crate) fn id(&self) -> Vec<u8> {
        let len = (self.indexed.load(Ordering::Relaxed) & 0xff) as usize;
        let bytes = self.id.iter().flat_map(|cell| cell.load(Ordering::Relaxed).to_le_bytes());
        bytes.take(len.min(MAX_ID_LEN)).collect()
    }

    /// While free: the id's words, for its owner to keep something in.
    pub(crate) fn scratch(&self) -> &[AtomicU64; ID_WORDS] {
        fence(Ordering::Release);
        &self.id
    }
}

/// Shows an id's words, the last one filled up with zeros, until one is refused. Says whether none
/// was.
#[inline(always)]
fn each_word(id: &[u8], mut show: impl FnMut(usize, u64) -> bool) -> bool {
    let (whole, rest) = id.as_chunks::<8>();
    for (i, &word) in whole.iter().enumerate() {
        if !show(i, u64::from_le_bytes(word)) {
            return false;
        }
    }
    if rest.is_empty() {
        return true;
    }
    let last = match id.last_chunk::<8>() {
        // The last eight bytes, less those that were in the word before.
        Some(&tail) => u64::from_le_bytes(tail) >> (8 * (8 - rest.len())),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | byte as u64),
    };
    show(whole.len(), last)
}
