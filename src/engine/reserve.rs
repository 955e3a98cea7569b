//! One request: onto whatever worker suits it, or onto a named one.

use crossbeam_utils::Backoff;

use super::devices::WithDevices;
use super::local::Local;
use super::select::{Candidate, Learning, Nothing, Planned, Query, Walk};
use super::{Affinity, Eligible, Engine, Refusal, Request, Reservation, ReserveError};
use crate::ledger::{Claim, Draft, Holding, Sighting, Ticket};
use crate::placement::{DeviceError, Dimension, Resources};
use crate::registry::{Selector, Shared, View, WorkerRef};
use crate::slots::{Change, Fence, Need, Refused, Wide, Word};
use crate::sync::{Stop, stop};

/// How often a request whose id another thread is entering looks again before it says so.
pub(super) const LOOKS: u32 = 128;

/// A request that has passed its checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) selector: Selector,
    /// The one that it was asked with, whose twin `selector` is where it asks for devices.
    pub(super) asked: Selector,
    pub(super) id_hash: u64,
    pub(super) query: Query,
}

impl Engine {
    /// Holds capacity for a request on the worker that the policy gives it. An id that is held
    /// already is answered with that reservation, and nothing changes.
    ///
    /// No lock, no system call, no allocation once the thread has made its first calls. O(1) while
    /// the first candidates fit; at worst every matching worker is looked at.
    #[inline]
    pub fn reserve(&self, request: &Request<'_>) -> Result<Reservation, ReserveError> {
        let local = self.local();
        match self.reserve_in_first_tier(local, request, || self.hash_new_id(request.id)) {
            Some(reservation) => Ok(reservation),
            None => self.reserve_by_walk(local, request),
        }
    }

    /// The same, for the C interface, of a request that is made where it is looked at: `request`
    /// gives the same one each time. The short way then need not have it in memory, since it is
    /// not the one that is passed on to the long way; nor has it the reservation in memory, since
    /// either way tells of its own.
    #[cfg(feature = "capi")]
    #[inline(always)]
    pub(crate) fn reserve_made<'a>(
        &self,
        local: &Local,
        request: impl Fn() -> Request<'a>,
        tell: impl FnOnce(&Reservation),
    ) -> Result<(), ReserveError> {
        let id_hash = || self.hash_new_id(request().id);
        match self.reserve_in_first_tier(local, &request(), id_hash) {
            Some(reservation) => tell(&reservation),
            None => tell(&self.reserve_by_walk(local, &request())?),
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn reserve_by_walk(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Result<Reservation, ReserveError> {
        let result = match self.refuse_at_once(local, request) {
            Some(refusal) => Err(refusal),
            None => self.try_reserve(local, request),
        };
        local.counters.note(&result);
        result
    }

    fn try_reserve(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Result<Reservation, ReserveError> {
        let checked = self.check(local, request)?;
        let draft = match self.draft(local, request.id, checked.id_hash, |_| false, |_| false)? {
            Drafted::Mine(draft) => draft,
            Drafted::Held(reservation) => return Ok(reservation),
        };
        let placed = match request.terms {
            None => self.place(local, draft, &checked),
            Some(terms) => self.place_on_terms(local, draft, &checked, terms),
        };
        if let Err(error) = &placed {
            self.ledger.discard(&local.magazine, draft);
            self.note_unmet(request.id, &checked, error);
        }
        placed
    }

    /// Holds capacity on one named worker, if its other attributes suit the request (the pool
    /// apart, which a request that names its worker skips).
    ///
    /// With `expected`, any change of the worker since that version is a conflict, which returns
    /// the version and what is free now. Without, a change that leaves room is none. No lock.
    pub fn reserve_on(
        &self,
        worker: WorkerRef,
        request: &Request<'_>,
        expected: Option<u64>,
    ) -> Result<Reservation, ReserveError> {
        let local = self.local();
        let result = self.try_reserve_on(local, worker, request, expected);
        local.counters.note(&result);
        result
    }

    fn try_reserve_on(
        &self,
        local: &Local,
        worker: WorkerRef,
        request: &Request<'_>,
        expected: Option<u64>,
    ) -> Result<Reservation, ReserveError> {
        let checked = self.check(local, request)?;
        let draft = match self.draft(local, request.id, checked.id_hash, |_| false, |_| false)? {
            Drafted::Mine(draft) => draft,
            Drafted::Held(reservation) => return Ok(reservation),
        };
        let place = |draft| self.place_on(local, draft, &checked, worker, expected);
        let placed = match request.terms {
            None => place(draft),
            Some(terms) => {
                self.place_there_on_terms(draft, &checked.query, worker, (terms, false), place)
            }
        };
        if placed.is_err() {
            self.ledger.discard(&local.magazine, draft);
        }
        placed
    }

    /// The reservation that an id holds. No lock.
    pub fn reservation(&self, id: &[u8]) -> Option<Reservation> {
        if id.is_empty() || id.len() > crate::MAX_ID_LEN {
            return None;
        }
        match self.ledger.find(id, seahash::hash(id))? {
            Sighting::Live(ticket, holding) | Sighting::Pledged(ticket, holding) => {
                Some(existing(ticket, holding))
            }
            Sighting::Between(..) => None,
        }
    }

    /// Everything about a request that can be refused without looking at a worker.
    #[inline(always)]
    pub(super) fn check(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Result<Checked, ReserveError> {
        if request.id.len() > crate::MAX_ID_LEN {
            return Err(ReserveError::IdLength { length: request.id.len() });
        }
        let mut need = check_need(&request.need)?;
        let devices = match request.terms.and_then(|terms| terms.devices) {
            Some(_) if need.gpus > 0 => return Err(DeviceError::BesideGpus.into()),
            Some(devices) => Some(devices.check()?),
            None => None,
        };
        let mut selector = match request.eligible {
            Eligible::Selector(selector) => selector,
            Eligible::Constraints(constraints) => local
                .selector(constraints, || self.selector(constraints))
                .map_err(ReserveError::Constraints)?,
        };
        let asked = selector;
        let mut directory = local.directory();
        let view = directory.load().view(selector.0).ok_or(ReserveError::UnknownSelector)?;
        if let Some(devices) = &devices {
            need.gpus = devices.digest();
            selector = self.registry.for_devices(selector).map_err(ReserveError::Constraints)?;
        }
        if view.names_gpus && need.gpus == 0 {
            need.gpus = 1;
        }
        if need.is_zero() {
            return Err(ReserveError::Empty);
        }
        if let Some(terms) = request.terms {
            self.check_terms(terms)?;
        }
        let id_hash = if request.id.is_empty() { 0 } else { seahash::hash(request.id) };
        let hash = match request.affinity {
            Affinity::Id => id_hash,
            Affinity::Key(key) => seahash::hash(key),
            Affinity::Hash(hash) => hash,
        };
        let policy = request.policy.unwrap_or(self.config.policy);
        let query = Query { policy, need, hash, ahead: request.ahead, devices };
        Ok(Checked { selector, asked, id_hash, query })
    }

    /// A record that holds the id, or what holds it already. `own`: a draft that the caller
    /// itself is making, for the same batch. `given`: a record that it has pledged, see
    /// [`crate::ledger::Ledger::claim`].
    #[inline(always)]
    pub(super) fn draft(
        &self,
        local: &Local,
        id: &[u8],
        id_hash: u64,
        own: impl Fn(Ticket) -> bool,
        given: impl Fn(u32) -> bool,
    ) -> Result<Drafted, ReserveError> {
        let full = ReserveError::LedgerFull { limit: self.ledger.limit() };
        let Some(draft) = self.ledger.draft(&local.magazine, id) else { return Err(full) };
        if id.is_empty() {
            return Ok(Drafted::Mine(draft));
        }
        self.claim(local, draft, (id, id_hash), own, given)
    }

    /// Makes the draft hold its id, or gives it up.
    #[inline(never)]
    fn claim(
        &self,
        local: &Local,
        draft: Draft,
        (id, id_hash): (&[u8], u64),
        own: impl Fn(Ticket) -> bool,
        given: impl Fn(u32) -> bool,
    ) -> Result<Drafted, ReserveError> {
        let full = ReserveError::LedgerFull { limit: self.ledger.limit() };
        let refuse = |error| {
            self.ledger.discard(&local.magazine, draft);
            Err(error)
        };
        let backoff = Backoff::new();
        for _ in 0..LOOKS {
            match self.ledger.claim(draft, id, id_hash, &given) {
                Claim::Mine => return Ok(Drafted::Mine(draft)),
                Claim::Held(ticket, holding) => {
                    self.ledger.discard(&local.magazine, draft);
                    return Ok(Drafted::Held(existing(ticket, holding)));
                }
                Claim::Draft(ticket) if own(ticket) => return refuse(ReserveError::DuplicateId),
                // Another thread's, and about to be decided: a short wait, without giving the
                // processor away, beats a refusal.
                Claim::Draft(_) | Claim::InFlight => {
                    stop(Stop::Spin);
                    backoff.spin();
                }
                Claim::Full => return refuse(full),
            }
        }
        refuse(ReserveError::InFlight)
    }

    /// Walks the selector's tiers as they are now.
    pub(super) fn walk<P: Planned, R>(
        &self,
        local: &Local,
        checked: &Checked,
        planned: &P,
        mut offer: impl FnMut(Candidate) -> Option<R>,
    ) -> Result<R, Refusal> {
        let shared = &self.registry.shared;
        let moves = shared.moves.get();
        let learning = Learning::new(&self.planners, checked.selector);
        let mut walk = Walk::new(shared, checked.query, planned, Some(learning));
        let found = {
            let mut directory = local.directory();
            let view = directory.load().view(checked.selector.0);
            view.and_then(|view| walk.run(view, &mut offer))
        };
        match found {
            Some(found) => {
                local.note_probes::<P>(walk.probes);
                Ok(found)
            }
            None => self.walk_again(local, checked, moves, walk, offer),
        }
    }

    /// As [`Engine::walk`], for who wants another walk, or no reason why nothing was found.
    pub(super) fn seek<P: Planned, R>(
        &self,
        local: &Local,
        checked: &Checked,
        planned: &P,
        mut attempt: impl FnMut(&mut Walk<'_, P>, &View) -> Option<R>,
    ) -> Option<R> {
        let shared = &self.registry.shared;
        let moves = shared.moves.get();
        let learning = Learning::new(&self.planners, checked.selector);
        let mut walk = Walk::new(shared, checked.query, planned, Some(learning));
        let found = {
            let mut directory = local.directory();
            let view = directory.load().view(checked.selector.0);
            view.and_then(|view| attempt(&mut walk, view))
        };
        found.or_else(|| self.again(local, checked, moves, &mut walk, attempt))
    }

    /// Nothing was found: looks again if workers were moving meanwhile, so that a worker that fits
    /// all the while is found (see `slots::blocks`), and says why there is none.
    #[cold]
    #[inline(never)]
    fn walk_again<P: Planned, R>(
        &self,
        local: &Local,
        checked: &Checked,
        moves: u64,
        mut walk: Walk<'_, P>,
        mut offer: impl FnMut(Candidate) -> Option<R>,
    ) -> Result<R, Refusal> {
        let found =
            self.again(local, checked, moves, &mut walk, |walk, view| walk.run(view, &mut offer));
        local.note_probes::<P>(walk.probes);
        // To say why may take a look at every worker.
        walk.put_planner_down();
        found.ok_or_else(|| {
            let mut directory = local.directory();
            let view = directory.load().view(checked.selector.0);
            let tiers = view.map_or(&[][..], |view| view.tiers(&checked.query.need));
            self.refusal(local, tiers, checked, walk.planned)
        })
    }

    fn again<P: Planned, R>(
        &self,
        local: &Local,
        checked: &Checked,
        mut moves: u64,
        walk: &mut Walk<'_, P>,
        mut attempt: impl FnMut(&mut Walk<'_, P>, &View) -> Option<R>,
    ) -> Option<R> {
        let mut directory = local.directory();
        let mut again = true;
        loop {
            let now = self.registry.shared.moves.get();
            if now != moves {
                (moves, again) = (now, true);
            } else if walk.stale && again {
                again = false;
            } else {
                return None;
            }
            walk.stale = false;
            let view = directory.load().view(checked.selector.0)?;
            if let Some(found) = attempt(walk, view) {
                return Some(found);
            }
        }
    }

    /// Places a draft on the worker that the policy gives it.
    pub(super) fn place(
        &self,
        local: &Local,
        draft: Draft,
        checked: &Checked,
    ) -> Result<Reservation, ReserveError> {
        self.walk(local, checked, &Nothing, |candidate| {
            let change = checked.query.change_at(&candidate);
            match self.take(local, draft, candidate.worker(), &change, Some(candidate.word)) {
                Ok(reservation) => Some(Ok(reservation)),
                Err(Refused::Contended) => Some(Err(ReserveError::Contended)),
                Err(_) => None,
            }
        })?
    }

    fn place_on(
        &self,
        local: &Local,
        draft: Draft,
        checked: &Checked,
        worker: WorkerRef,
        expected: Option<u64>,
    ) -> Result<Reservation, ReserveError> {
        let shared = &self.registry.shared;
        let Query { need, .. } = checked.query;
        loop {
            let facts = shared.facts(worker.index).ok_or(ReserveError::UnknownWorker)?;
            let facts = facts.as_ref().filter(|f| f.stamp.incarnation == worker.incarnation);
            let facts = facts.ok_or(ReserveError::UnknownWorker)?;
            let slot = shared.table.get(worker.index).ok_or(ReserveError::UnknownWorker)?;
            let mut directory = local.directory();
            let view = directory.load().view(checked.selector.0);
            if !view.is_some_and(|view| view.takes(facts, need.gpus > 0)) {
                return Err(Refusal::of_one_not_matching().into());
            }
            let fence = Fence::Epoch(facts.stamp.epoch);
            let change = Change { expected, ..checked.query.change(fence) };
            match self.take(local, draft, worker, &change, None) {
                Ok(reservation) => return Ok(reservation),
                // Moved to another class, or removed: look at what it is now.
                Err(Refused::Stale) if slot.stamp() != facts.stamp => stop(Stop::Spin),
                Err(Refused::Stale) if self.snapshot(worker).is_none() => {
                    return Err(ReserveError::UnknownWorker);
                }
                // Its new attributes are shown just before they count.
                Err(Refused::Stale) => crate::sync::spin_loop(),
                Err(Refused::Version(word)) => {
                    return Err(ReserveError::VersionConflict {
                        version: word.version(),
                        free: word.shown_free().available(),
                        state: word.state(),
                    });
                }
                Err(refused @ (Refused::State | Refused::Short)) => {
                    let word = slot.word();
                    let at = Candidate::new(worker.index, slot.stamp(), word);
                    let beside =
                        WithDevices { shared, need: checked.query.devices, beside: &Nothing };
                    let free = beside.free(&at, slot);
                    let most = beside.most(worker.index, slot.capacity());
                    return Err(Refusal::of_one(&free, &most, &need, refused).into());
                }
                Err(Refused::Contended) => return Err(ReserveError::Contended),
            }
        }
    }

    /// Whether a named worker will do for a request, capacity apart.
    pub(super) fn suits(&self, local: &Local, checked: &Checked, worker: WorkerRef) -> bool {
        let facts = self.registry.shared.facts(worker.index);
        let facts = facts.as_ref().and_then(|facts| facts.as_ref());
        let mut directory = local.directory();
        let view = directory.load().view(checked.selector.0);
        facts.zip(view).is_some_and(|(facts, view)| {
            facts.stamp.incarnation == worker.incarnation
                && view.takes(facts, checked.query.need.gpus > 0)
        })
    }

    /// Takes capacity for a draft and makes it a reservation.
    pub(super) fn take(
        &self,
        local: &Local,
        draft: Draft,
        worker: WorkerRef,
        change: &Change,
        seen: Option<Word<Wide>>,
    ) -> Result<Reservation, Refused<Wide>> {
        let slot = self.registry.shared.table.get(worker.index).ok_or(Refused::Stale)?;
        self.ledger.aim(draft, worker.index, worker.incarnation, &change.take);
        let mut retries = 0;
        let changed = match (&change.devices, seen) {
            (Some((need, prefer)), _) => self
                .change_with_devices(slot, worker.index, (change, need, *prefer), &mut retries)
                .map(|(changed, granted)| {
                    self.ledger.grant(draft.index(), granted);
                    changed
                }),
            (None, Some(word)) => slot.change_from(word, change, &mut retries),
            (None, None) => slot.change(change, &mut retries),
        };
        if retries > 0 {
            local.counters.cas_retries.add(retries);
        }
        let changed = changed?;
        let version = changed.version();
        if self.ledger.publish(draft, version, || self.gone(worker)) {
            let Shared { blocks, table, .. } = &self.registry.shared;
            blocks.taken(table, slot, changed.after, Need::new(&change.take));
            let (ticket, provisional) = (draft.ticket(), draft.is_provisional());
            return Ok(Reservation { ticket, worker, version, existing: false, provisional });
        }
        // The worker was removed after the swap, and what was taken went with it.
        Err(Refused::Stale)
    }

    /// Gives capacity back to a registration, if it is still there. The version that this made.
    #[inline(always)]
    pub(super) fn give(
        &self,
        local: &Local,
        worker: WorkerRef,
        amount: &Resources,
        count: u64,
    ) -> Option<u64> {
        let slot = self.registry.shared.table.get(worker.index)?;
        let mut retries = 0;
        let changed = slot.give(worker.incarnation, amount, count, &mut retries);
        if retries > 0 {
            local.counters.cas_retries.add(retries);
        }
        let changed = changed?;
        stop(Stop::Credited);
        self.registry.shared.blocks.freed(slot, changed.before, changed.after);
        Some(changed.version())
    }
}

/// Who holds an id.
pub(super) enum Drafted {
    Mine(Draft),
    Held(Reservation),
}

pub(super) fn existing(ticket: Ticket, holding: Holding) -> Reservation {
    let (worker, version) = (worker_of(&holding), holding.version);
    Reservation { ticket, worker, version, existing: true, provisional: holding.provisional }
}

/// Where a reservation is.
pub(super) fn worker_of(holding: &Holding) -> WorkerRef {
    WorkerRef { index: holding.slot, incarnation: holding.incarnation }
}

/// Refuses what no worker can have.
#[inline]
pub(super) fn check_need(need: &Resources) -> Result<Resources, ReserveError> {
    if need.fits_in(&Resources::MAX) { Ok(*need) } else { Err(too_large(need)) }
}

#[cold]
fn too_large(need: &Resources) -> ReserveError {
    let dimension = need.first_over(&Resources::MAX).unwrap_or(Dimension::Cpu);
    let (given, limit) = (need.get(dimension), Resources::MAX.get(dimension));
    ReserveError::TooLarge { dimension, given, limit }
}
