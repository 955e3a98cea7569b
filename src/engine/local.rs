//! What a thread keeps of an engine for itself, so that nothing of it is shared on the way to a
//! placement.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::batch::Scratch;
use super::counters::Counters;
use crate::ledger::Magazine;
use crate::registry::{Constraints, Directory, Selector};

/// Constraints that a thread remembers the handles of.
const REMEMBERED: usize = 1024;

/// One thread's part of an engine. Outlives the thread: the next one takes it over, and with it
/// the records of the magazine.
pub(super) struct Local {
    pub(super) magazine: Magazine,
    pub(super) counters: Arc<Counters>,
    /// The directory as this thread last saw it.
    directory: RefCell<Cache<Arc<ArcSwap<Directory>>, Arc<Directory>>>,
    selectors: RefCell<HashMap<Constraints, Selector>>,
    /// Room for batches, kept from one to the next.
    pub(super) scratch: Cell<Scratch>,
}

impl Local {
    pub(super) fn new(directory: &Arc<ArcSwap<Directory>>, counters: Arc<Counters>) -> Self {
        Local {
            magazine: Magazine::default(),
            counters,
            directory: RefCell::new(Cache::new(Arc::clone(directory))),
            selectors: RefCell::default(),
            scratch: Cell::default(),
        }
    }

    /// The directory, to be loaded: a comparison of pointers while it has not changed.
    #[inline]
    pub(super) fn directory(&self) -> RefMut<'_, Cache<Arc<ArcSwap<Directory>>, Arc<Directory>>> {
        self.directory.borrow_mut()
    }

    /// The handle of constraints that were seen before, or `compile`s them.
    pub(super) fn selector<E>(
        &self,
        constraints: &Constraints,
        compile: impl FnOnce() -> Result<Selector, E>,
    ) -> Result<Selector, E> {
        let mut selectors = self.selectors.borrow_mut();
        if let Some(&selector) = selectors.get(constraints) {
            return Ok(selector);
        }
        let selector = compile()?;
        if selectors.len() >= REMEMBERED {
            selectors.clear();
        }
        selectors.insert(constraints.clone(), selector);
        Ok(selector)
    }
}
