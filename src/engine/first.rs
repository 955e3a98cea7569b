//! The short ways of a request: to the first tier of the default policy's walk, and to its refusal.
//!
//! While there is room, nearly every request ends there, most often at the very place that its hash
//! points to, and what it costs is what the engine costs; so this way is written out straight. It
//! does what the walk would do, or nothing at all: whatever is out of the ordinary (a tier that is full
//! and not the only one, an id that is held, another thread that was faster) is left to the walk, which
//! starts from the beginning. A request that finds its only tier full is told so by a short way, too:
//! that is when many come at once.

use core::num::NonZeroU64;
use core::slice;

use super::local::Local;
use super::reserve::Checked;
use super::select::{Candidate, Nothing, Planned, Query, Walk};
use super::{Affinity, Eligible, Engine, Request, Reservation, ReserveError};
use crate::ledger::Claim;
use crate::placement::{Policy, Resources};
use crate::registry::{Selector, Tier};
use crate::slots::{Need, Occupant, Slot, Wide};
use crate::sync::{Bug, Stop, bug, stop};

impl Engine {
    /// `id_hash`: that of the request's id, if it has one.
    #[inline(always)]
    pub(super) fn reserve_in_first_tier(
        &self,
        local: &Local,
        request: &Request<'_>,
        id_hash: impl FnOnce() -> u64,
    ) -> Option<Reservation> {
        let Eligible::Selector(selector) = request.eligible else { return None };
        if !self.is_ordinary(request) {
            return None;
        }
        let need = Need::new(&request.need);
        let id_hash = if request.id.is_empty() { 0 } else { id_hash() };
        let hash = match request.affinity {
            Affinity::Id => id_hash,
            Affinity::Key(key) => seahash::hash(key),
            Affinity::Hash(hash) => hash,
        };

        let shared = &self.registry.shared;
        let place = (request.ahead, hash);
        let (slot, candidate) = self.first_candidate(local, selector, need, place, &Nothing)?;
        let less = candidate.word.less(need)?;
        let (draft, record) = self.ledger.draft_and_record(&local.magazine, request.id)?;
        if !request.id.is_empty()
            && self.ledger.claim(draft, request.id, id_hash, |_| false) != Claim::Mine
        {
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        let worker = candidate.worker();
        record.aim(worker.index, worker.incarnation, &need.amount());
        stop(Stop::Aimed);
        if !slot.swap_from(candidate.word, less) {
            local.counters.cas_retries.add(1);
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        stop(Stop::Taken);
        let version = less.version();
        if !record.publish(draft.generation(), version, || self.gone(worker)) {
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        shared.blocks.taken(&shared.table, slot, less, need);
        local.counters.placed.add(1);
        Some(Reservation {
            ticket: draft.ticket(),
            worker,
            version,
            existing: false,
            provisional: false,
        })
    }

    /// The hash of an id that is about to be entered, with its place there on its way.
    #[inline(always)]
    pub(super) fn hash_new_id(&self, id: &[u8]) -> u64 {
        let hash = seahash::hash(id);
        self.ledger.fetch_id(hash);
        hash
    }

    /// Whether the short ways are for it: the default policy, no terms, and nothing wrong in itself.
    #[inline(always)]
    fn is_ordinary(&self, request: &Request<'_>) -> bool {
        request.need.fits_in(&Resources::MAX)
            && !request.need.is_zero()
            && request.id.len() <= crate::MAX_ID_LEN
            && request.terms.is_none()
            && request.policy.unwrap_or(self.config.policy) == Policy::Affinity
    }

    /// The short way of a refusal: what the walk would come to if the first tier is the only one and has
    /// room nowhere, or nothing at all.
    ///
    /// Races with a worker that moves, as the walk does, which looks again then; and with whoever enters
    /// the id after it was not found: then what was taken for it was not free during all of this call.
    pub(super) fn refuse_at_once(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Option<ReserveError> {
        let Eligible::Selector(selector) = request.eligible else { return None };
        if !self.is_ordinary(request) {
            return None;
        }
        let shared = &self.registry.shared;
        let moves = shared.moves.get();
        let recent = local.first_tier(shared, selector, request.need.gpus > 0)?;
        let recent = recent.as_ref().filter(|recent| recent.only)?;
        let id_hash = if request.id.is_empty() { 0 } else { seahash::hash(request.id) };
        if !request.id.is_empty() && self.ledger.find(request.id, id_hash).is_some() {
            return None;
        }
        // Whether there is room does not depend on where the search starts.
        let query = Query {
            policy: Policy::Affinity,
            need: request.need,
            hash: 0,
            ahead: request.ahead,
            devices: None,
        };
        let mut walk = Walk::new(shared, query, &Nothing, None);
        let found = walk.first_place(&recent.tier).is_some();
        let moved = walk.stale || shared.moves.get() != moves;
        if found || moved && !bug(Bug::RefuseIgnoresMoves) {
            return None;
        }
        local.note_probes::<Nothing>(walk.probes);
        let checked = Checked { selector, asked: selector, id_hash, query };
        let tiers = slice::from_ref(&recent.tier);
        let error = self.refusal(local, tiers, &checked, &Nothing).into();
        self.note_unmet(request.id, &checked, &error);
        Some(error)
    }

    /// The first worker of the first tier that the request fits on, beside what is planned.
    #[inline(always)]
    pub(super) fn first_candidate<P: Planned>(
        &self,
        local: &Local,
        selector: Selector,
        need: Need<Wide>,
        (ahead, hash): (bool, u64),
        planned: &P,
    ) -> Option<(&Slot, Candidate)> {
        let shared = &self.registry.shared;
        let recent = local.first_tier(shared, selector, need.amount().gpus > 0)?;
        let tier = &recent.as_ref()?.tier;
        if let Some(occupant) = tier.at(&shared.blocks, hash)
            && let Some(found) = self.candidate(occupant, need, ahead, planned)
        {
            local.note_probes::<P>(1);
            return Some(found);
        }
        // As one number each: what is passed by reference would have to be in memory always, and what is
        // returned there in parts would be waited for.
        let found = self.search_first_tier(local, tier, need.to_bits(), (ahead, hash), planned)?;
        self.candidate(Occupant::from_bits(found.get())?, need, ahead, planned)
    }

    /// The worker that stands there, if the request fits on it.
    #[inline(always)]
    fn candidate<P: Planned>(
        &self,
        occupant: Occupant,
        need: Need<Wide>,
        ahead: bool,
        planned: &P,
    ) -> Option<(&Slot, Candidate)> {
        let slot = self.registry.shared.table.get(occupant.slot)?;
        // The word, then the stamp: see `slots::slot`.
        let word = slot.word();
        let stamp = slot.stamp();
        let candidate = Candidate::new(occupant.slot, stamp, word);
        let fits = stamp.epoch == occupant.epoch
            && word.state().takes(ahead)
            && planned.fits(&candidate, slot, need);
        fits.then_some((slot, candidate))
    }

    #[inline(never)]
    fn search_first_tier<P: Planned>(
        &self,
        local: &Local,
        tier: &Tier,
        need: u64,
        (ahead, hash): (bool, u64),
        planned: &P,
    ) -> Option<NonZeroU64> {
        let shared = &self.registry.shared;
        let query = Query {
            policy: Policy::Affinity,
            need: Resources::from_bits(need),
            hash,
            ahead,
            devices: None,
        };
        let mut walk = Walk::new(shared, query, planned, None);
        let found = walk.first_place(tier)?;
        local.note_probes::<P>(walk.probes);
        NonZeroU64::new(found.bits())
    }
}
