//! The short way of a request: to the first place of the default policy's walk.
//!
//! While there is room, nearly every request ends there, and what it costs is what the engine
//! costs; so this way is written out straight. It does what the walk's first step would do, or
//! nothing at all: whatever is out of the ordinary (a refusal, a full worker, an id that is held,
//! another thread that was faster) is left to the walk, which starts from the beginning.

use super::local::Local;
use super::select::{Candidate, Nothing, Planned, fits_beside};
use super::{Affinity, Eligible, Engine, Request, Reservation};
use crate::ledger::Claim;
use crate::placement::{Policy, Resources};
use crate::registry::Selector;
use crate::slots::{Need, Occupant, Slot};

impl Engine {
    #[inline(always)]
    pub(super) fn reserve_at_first_place(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Option<Reservation> {
        // A copy, so that it stays in registers across the atomics.
        let need = request.need;
        let Eligible::Selector(selector) = request.eligible else { return None };
        let ordinary = need.fits_in(&Resources::MAX)
            && !need.is_zero()
            && request.id.len() <= crate::MAX_ID_LEN
            && request.policy.unwrap_or(self.config.policy) == Policy::Affinity;
        if !ordinary {
            return None;
        }
        let id_hash = if request.id.is_empty() { 0 } else { seahash::hash(request.id) };
        let hash = match request.affinity {
            Affinity::Id => id_hash,
            Affinity::Key(key) => seahash::hash(key),
            Affinity::Hash(hash) => hash,
        };

        let place = (request.ahead, hash);
        let (slot, candidate) = self.at_first_place(local, selector, &need, place, &Nothing)?;
        let less = candidate.word.less(Need::new(&need))?;
        let (draft, record) = self.ledger.draft_and_record(&local.magazine, request.id)?;
        if !request.id.is_empty()
            && self.ledger.claim(draft, request.id, id_hash, |_| false) != Claim::Mine
        {
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        let worker = candidate.worker();
        record.aim(worker.index, worker.incarnation, &need);
        if !slot.swap_from(candidate.word, less) {
            local.counters.cas_retries.add(1);
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        let version = less.version();
        if !record.publish(draft.generation(), version, || self.gone(worker)) {
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        local.counters.placed.add(1);
        local.counters.note_probes(1);
        Some(Reservation { ticket: draft.ticket(), worker, version, existing: false })
    }

    /// Who stands at the first place, if the request fits there beside what is planned.
    #[inline(always)]
    pub(super) fn at_first_place<P: Planned>(
        &self,
        local: &Local,
        selector: Selector,
        need: &Resources,
        (ahead, hash): (bool, u64),
        planned: &P,
    ) -> Option<(&Slot, Candidate)> {
        let shared = &self.registry.shared;
        let Occupant { slot: index, epoch } = local.first_place(shared, selector, need, hash)?;
        let slot = shared.table.get(index)?;
        // The word, then the stamp: see `slots::slot`.
        let word = slot.word();
        let stamp = slot.stamp();
        let fits = stamp.epoch == epoch
            && word.state().takes(ahead)
            && fits_beside(word, need, planned.on(index));
        fits.then_some((slot, Candidate { slot: index, stamp, word }))
    }
}
