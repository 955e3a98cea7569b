//! The truth about capacity: a slot for each worker, changed by compare-and-swap, and the places
//! at which probes meet them.

mod blocks;
mod devices;
mod hints;
mod ring;
mod slot;
mod state;
mod wide;
mod word;

pub(crate) use blocks::{BLOCK, BlockRef, Blocks, Count, Occupant, Place};
pub(crate) use devices::Pool;
pub(crate) use hints::Columns;
pub(crate) use ring::{Find, Ring};
pub(crate) use slot::{Change, Changed, Fence, Refused, Slot, Stamp};
pub use state::State;
pub(crate) use wide::supported;
#[cfg(all(slotwise_loom, test))]
pub(crate) use word::Narrow;
pub(crate) use word::{Layout, Need, Wide, Word, WordCell};

#[cfg(all(slotwise_loom, test))]
mod loom_tests;

use crate::sync::Chunked;

/// All slots of an engine. They never move; the table grows by chunks up to its limit.
pub(crate) struct Table<L: Layout = Wide>(Chunked<Slot<L>, 512>);

impl<L: Layout> Table<L> {
    pub(crate) fn new(capacity: usize) -> Self {
        Table(Chunked::new(capacity))
    }

    /// The slot, if it has ever been used.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Slot<L>> {
        self.0.get(index as usize)
    }

    /// The slot, growing the table. `index` is below the capacity.
    pub(crate) fn open(&self, index: u32) -> &Slot<L> {
        self.0.get_or_grow(index as usize)
    }
}
