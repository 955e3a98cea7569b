//! What a thread keeps of an engine for itself, so that nothing of it is shared on the way to a
//! placement.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::counters::Counters;
use super::gang::Scratch;
use super::select::Planned;
use super::verdict::Largest;
use crate::ledger::Magazine;
use crate::registry::{Constraints, Directory, Selector, Shared, Tier};

/// Constraints that a thread remembers the handles of, and refusals that it remembers the reason of.
const REMEMBERED: usize = 1024;

/// The first tier of a selector, while the directory is the one that it was found in.
pub(super) struct Recent {
    /// How many directories had been shown.
    shown: u64,
    selector: Selector,
    gpus: bool,
    pub(super) tier: Tier,
    /// There is no other.
    pub(super) only: bool,
}

/// The largest workers of a selector, and how many changes of the registry there had been.
struct Kept {
    of: (Selector, bool),
    changes: u64,
    largest: Largest,
}

/// One thread's part of an engine. Outlives the thread: the next one takes it over, and with it
/// the records of the magazine.
pub(crate) struct Local {
    pub(super) magazine: Magazine,
    pub(super) counters: Arc<Counters>,
    /// The tier that a request of this thread last started at.
    recent: RefCell<Option<Recent>>,
    /// The directory as this thread last saw it.
    directory: RefCell<Cache<Arc<ArcSwap<Directory>>, Arc<Directory>>>,
    selectors: RefCell<HashMap<Constraints, Selector>>,
    /// Of selectors, with GPUs or without: the largest workers, each at a place by its number, so that
    /// nothing is searched.
    largest: RefCell<Vec<Option<Kept>>>,
    /// Room for batches, kept from one to the next.
    pub(super) scratch: Cell<Scratch>,
}

impl Local {
    pub(super) fn new(directory: &Arc<ArcSwap<Directory>>, counters: Arc<Counters>) -> Self {
        Local {
            magazine: Magazine::default(),
            counters,
            recent: RefCell::default(),
            directory: RefCell::new(Cache::new(Arc::clone(directory))),
            selectors: RefCell::default(),
            largest: RefCell::default(),
            scratch: Cell::default(),
        }
    }

    /// Counts the candidates that one request looked at, unless it only supposes.
    #[inline(always)]
    pub(super) fn note_probes<P: Planned>(&self, probes: u64) {
        if P::REAL {
            self.counters.note_probes(probes);
        }
    }

    /// The directory, to be loaded: a comparison of pointers while it has not changed.
    #[inline]
    pub(super) fn directory(&self) -> RefMut<'_, Cache<Arc<ArcSwap<Directory>>, Arc<Directory>>> {
        self.directory.borrow_mut()
    }

    /// A selector's first tier. `None` also where the way there is not plain: the selector names GPU
    /// types, has no tier, or is unknown.
    ///
    /// Most threads ask for one selector again and again, so the tier is kept while the count of
    /// directories that have been shown does not rise. The count is read before the directory, so
    /// that what is kept is at least as new as its count says.
    #[inline(always)]
    pub(super) fn first_tier(
        &self,
        shared: &Shared,
        selector: Selector,
        gpus: bool,
    ) -> Option<Ref<'_, Option<Recent>>> {
        let shown = shared.shown.get();
        let kept = self.recent.borrow();
        match &*kept {
            Some(r) if r.shown == shown && r.selector == selector && r.gpus == gpus => Some(kept),
            _ => {
                drop(kept);
                self.renew_first_tier(shown, selector, gpus)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn renew_first_tier(
        &self,
        shown: u64,
        selector: Selector,
        gpus: bool,
    ) -> Option<Ref<'_, Option<Recent>>> {
        let mut cache = self.directory.borrow_mut();
        let directory = cache.load();
        let tiers = directory.view(selector.0)?.plain_tiers(gpus);
        let (tier, only) = (tiers.first()?.clone(), tiers.len() == 1);
        *self.recent.borrow_mut() = Some(Recent { shown, selector, gpus, tier, only });
        Some(self.recent.borrow())
    }

    /// What the largest of a selector's workers are, looked up anew when the registry has changed.
    pub(super) fn with_largest<R>(
        &self,
        changes: u64,
        of: (Selector, bool),
        look_up: impl FnOnce() -> Largest,
        ask: impl FnOnce(&Largest) -> R,
    ) -> R {
        let mut largest = self.largest.borrow_mut();
        let at = (of.0.0 as usize * 2 + of.1 as usize) % REMEMBERED;
        if largest.len() <= at {
            largest.resize_with(at + 1, || None);
        }
        let kept = largest[at].take_if(|kept| kept.of == of && kept.changes == changes);
        let kept = kept.unwrap_or_else(|| Kept { of, changes, largest: look_up() });
        ask(&largest[at].insert(kept).largest)
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
