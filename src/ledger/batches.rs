//! The answers to the last batches that came with an id, for replay.
//!
//! A fixed number of entries, taken in turn: a new batch takes the place of the oldest. Looking an
//! id up and entering one take no lock; an answer is kept behind an arc-swap, because it has no
//! fixed size.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::ids::{IdIndex, Insert};
use super::plate::{Header, Phase, Plate};
use crate::sync::{AtomicU64, Chunked, Ordering, Stop, stop};

struct Remembered<T> {
    plate: Plate,
    answer: ArcSwapOption<T>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered { plate: Plate::default(), answer: ArcSwapOption::empty() }
    }
}

/// The last batches.
pub(crate) struct Batches<T> {
    entries: Chunked<Remembered<T>, 64>,
    ids: IdIndex,
    turn: AtomicU64,
    limit: u64,
}

/// A batch that is being done; its doer's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    entry: u32,
    generation: u64,
}

/// What is known of a batch id.
pub(crate) enum Start<T> {
    /// Nothing: it is the caller's to do.
    Mine(Started),
    /// It was done; this is the answer.
    Done(Arc<T>),
    /// Somebody is doing it.
    InFlight,
}

impl<T> Batches<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Batches {
            entries: Chunked::new(limit),
            ids: IdIndex::new(limit),
            turn: AtomicU64::new(0),
            limit: limit as u64,
        }
    }

    fn entry(&self, entry: u32) -> &Remembered<T> {
        self.entries.get_or_grow(entry as usize)
    }

    /// Starts a batch, unless its id is known.
    pub(crate) fn start(&self, id: &[u8], hash: u64) -> Start<T> {
        let carries = |entry: u32| Some((entry, self.entry(entry).plate.carries(id)?));
        if let Some((entry, header)) = self.ids.find(hash, carries) {
            return self.known(entry, header);
        }
        let Some((entry, generation)) = self.seize(id) else { return Start::InFlight };
        let plate = &self.entry(entry).plate;
        match self.ids.insert(hash, entry, |n| if n == entry { None } else { carries(n) }) {
            Insert::Mine(spot) => {
                plate.set_spot(spot);
                Start::Mine(Started { entry, generation })
            }
            Insert::Held((other, header)) => {
                plate.end(generation);
                self.known(other, header)
            }
            Insert::InFlight | Insert::Full => {
                plate.end(generation);
                Start::InFlight
            }
        }
    }

    fn known(&self, entry: u32, header: Header) -> Start<T> {
        let remembered = self.entry(entry);
        let answer = remembered.answer.load_full();
        match answer {
            Some(answer) if header.phase() == Phase::Live && remembered.plate.still(header) => {
                Start::Done(answer)
            }
            _ => Start::InFlight,
        }
    }

    /// The next entry that nobody is at work on, now the caller's and pending.
    fn seize(&self, id: &[u8]) -> Option<(u32, u64)> {
        for _ in 0..self.limit {
            let entry = (self.turn.fetch_add(1, Ordering::Relaxed) % self.limit) as u32;
            let plate = &self.entry(entry).plate;
            let header = plate.header();
            let idle = matches!(header.phase(), Phase::Free | Phase::Live);
            if !idle || plate.advance(header.generation(), header.phase(), Phase::Closing).is_err()
            {
                continue;
            }
            if header.phase() == Phase::Live
                && let Some(spot) = plate.spot()
            {
                self.ids.remove(spot);
            }
            return Some((entry, plate.open_next(id)));
        }
        None
    }

    /// Keeps the answer.
    pub(crate) fn done(&self, started: Started, answer: T) {
        let remembered = self.entry(started.entry);
        stop(Stop::Swap);
        remembered.answer.store(Some(Arc::new(answer)));
        let _ = remembered.plate.advance(started.generation, Phase::Pending, Phase::Live);
    }

    /// It had no effect, and may be done again.
    pub(crate) fn forget(&self, started: Started) {
        let plate = &self.entry(started.entry).plate;
        if let Some(spot) = plate.spot() {
            self.ids.remove(spot);
        }
        plate.end(started.generation);
    }
}
