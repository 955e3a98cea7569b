//! The short way of a request: to the first place of the default policy's walk.
//!
//! While there is room, nearly every request ends there, and what it costs is what the engine
//! costs; so this way is written out straight. It does what the walk's first step would do, or
//! nothing at all: whatever is out of the ordinary (a refusal, a full worker, an id that is held,
//! another thread that was faster) is left to the walk, which starts from the beginning.

use super::local::Local;
use super::{Affinity, Eligible, Engine, Request, Reservation};
use crate::ledger::Claim;
use crate::placement::{Policy, Resources};
use crate::registry::WorkerRef;

impl Engine {
    #[inline(always)]
    pub(super) fn reserve_at_first_place(
        &self,
        local: &Local,
        request: &Request<'_>,
    ) -> Option<Reservation> {
        let need = &request.need;
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

        let shared = &self.registry.shared;
        let occupant = local.first_place(shared, selector, need.gpus > 0, hash)?;
        let slot = shared.table.get(occupant.slot)?;
        // The word, then the stamp: see `slots::slot`.
        let word = slot.word();
        let stamp = slot.stamp();
        let fits = stamp.epoch == occupant.epoch
            && word.state().takes(request.ahead)
            && word.free().fits(need);
        if !fits {
            return None;
        }

        let (draft, record) = self.ledger.draft_and_record(&local.magazine, request.id)?;
        if !request.id.is_empty() && self.ledger.claim(draft, request.id, id_hash) != Claim::Mine {
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        let worker = WorkerRef { index: occupant.slot, incarnation: stamp.incarnation };
        record.aim(worker.index, worker.incarnation, need);
        let Some(version) = slot.take_from(word, need) else {
            local.counters.cas_retries.add(1);
            self.ledger.discard(&local.magazine, draft);
            return None;
        };
        if !record.publish(draft.generation(), version) {
            self.give(local, worker, need, 1);
            self.ledger.discard(&local.magazine, draft);
            return None;
        }
        local.counters.placed.add(1);
        local.counters.note_probes(1);
        Some(Reservation { ticket: draft.ticket(), worker, version, existing: false })
    }
}
