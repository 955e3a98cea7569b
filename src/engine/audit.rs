//! The proof of conservation: free + set aside + live reservations = total, for every slot.

use std::collections::HashMap;

use super::Engine;
use super::reserve::worker_of;
use crate::ledger::Sighting;
use crate::placement::{Dimension, Granted, Resources};
use crate::registry::WorkerRef;

/// One slot whose books do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The slot's worker.
    pub worker: WorkerRef,
    /// What live reservations hold, by the ledger.
    pub held: Resources,
    /// Total less set aside less free less held, by dimension; all zero when the books agree. Where
    /// GPUs are devices: how many of them do not add up.
    pub missing: [i64; 3],
}

/// What [`Engine::audit`](crate::Engine::audit) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Registered workers looked at.
    pub workers: usize,
    /// Live reservations counted.
    pub reservations: usize,
    /// Workers with less free than nothing, because their totals were lowered, or because of claims that
    /// wait for victims to leave.
    pub over_committed: usize,
    /// Workers that other threads kept changing through every pass, so that only bounds could be
    /// checked; 0 when nothing else runs.
    pub unsettled: usize,
    /// Slots whose books do not add up. Empty, or the engine is broken.
    pub imbalances: Vec<Imbalance>,
}

impl Audit {
    /// Do the books add up?
    pub fn is_ok(&self) -> bool {
        self.imbalances.is_empty()
    }
}

/// Passes over workers that keep changing.
const PASSES: usize = 16;

/// What the ledger says of one registration: what is still there of a former one on its slot, and
/// about to end, is none of its.
#[derive(Clone, Default)]
struct Books {
    held: [i64; 3],
    devices: Vec<Granted>,
    reservations: usize,
    /// A reservation is being made or given back here.
    moving: bool,
}

impl Engine {
    /// Proves for every registered worker that free + set aside + live reservations = total, while
    /// other threads go on.
    ///
    /// A worker's word is read, then all records, then the word again. If its version is the same
    /// both times and no record of it was half-way, the books must agree exactly: a reservation is
    /// announced in its record before the word changes, and a release after the record says so.
    /// Workers that did change are read again, up to 16 times; then they are reported as unsettled,
    /// with bounds checked only.
    ///
    /// Takes the registry's lock; O(workers + most reservations there ever were) a pass.
    pub fn audit(&self) -> Audit {
        self.registry.hold_still(|workers| {
            let mut audit = Audit::default();
            let mut open: Vec<WorkerRef> = workers.collect();
            audit.workers = open.len();
            for pass in 1..=PASSES {
                open = self.audit_pass(open, pass == PASSES, &mut audit);
                if open.is_empty() {
                    break;
                }
            }
            audit.unsettled = open.len();
            audit
        })
    }

    /// Looks at the workers once and returns those that could not be decided.
    fn audit_pass(&self, workers: Vec<WorkerRef>, last: bool, audit: &mut Audit) -> Vec<WorkerRef> {
        let table = &self.registry.shared.table;
        let word = |w: &WorkerRef| table.get(w.index).map(|slot| slot.word());
        let before: Vec<_> = workers.iter().map(word).collect();
        let mut books = HashMap::<WorkerRef, Books>::new();
        for sighting in self.ledger.sightings() {
            match sighting {
                Sighting::Live(ticket, h) => {
                    let books = books.entry(worker_of(&h)).or_default();
                    for d in Dimension::ALL {
                        books.held[d as usize] += h.amount.get(d) as i64;
                    }
                    books.reservations += 1;
                    if h.rides {
                        match self.ledger.look_granted(ticket) {
                            Some(granted) => books.devices.extend(granted),
                            // It has ended meanwhile.
                            None => books.moving = true,
                        }
                    }
                }
                Sighting::Pledged(_, h) | Sighting::Between(_, h) => {
                    books.entry(worker_of(&h)).or_default().moving = true;
                }
            }
        }
        let mut open = Vec::new();
        for (worker, before) in workers.into_iter().zip(before) {
            let (Some(slot), Some(before)) = (table.get(worker.index), before) else { continue };
            let books = books.remove(&worker).unwrap_or_default();
            let (free, capacity) = (before.free(), slot.capacity());
            let gap = |d: Dimension| capacity.get(d) as i64 - free.get(d) - books.held[d as usize];
            let mut missing = Dimension::ALL.map(gap);
            if let Some(pool) =
                self.registry.shared.pool(worker.index).filter(|_| before.page() != 0)
            {
                missing[Dimension::Gpus as usize] = pool.astray(before, &books.devices);
            }
            let settled = before == slot.word() && !books.moving;
            let over_credited =
                Dimension::ALL.into_iter().any(|d| free.get(d) > capacity.get(d) as i64);
            if !settled && !over_credited && !last {
                open.push(worker);
                continue;
            }
            audit.reservations += books.reservations;
            audit.over_committed += !free.deficit().is_zero() as usize;
            if over_credited || (settled && missing != [0; 3]) {
                let held = books.held.map(|n| n as u64);
                let held = Resources { cpu: held[0], memory: held[1], gpus: held[2] };
                audit.imbalances.push(Imbalance { worker, held, missing });
            } else if !settled {
                open.push(worker);
            }
        }
        open
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::super::{Config, Request};
    use super::*;
    use crate::registry::WorkerSpec;

    /// A pledged reservation whose worker is removed, and registered again, is live for the moment
    /// between its way back and the look at its worker; the new registration holds nothing of it.
    #[test]
    fn what_a_former_registration_held_is_not_held_by_the_next() {
        let engine = Engine::new(Config::default()).unwrap();
        let all = Resources::new(100, 100);
        engine.add_worker(WorkerSpec::new("a", all)).unwrap();
        let placed = engine.reserve(&Request::new(b"1", all)).unwrap();
        engine.ledger.pledge(placed.ticket).unwrap();
        assert_eq!(engine.remove_worker(b"a").unwrap(), []);
        engine.add_worker(WorkerSpec::new("a", all)).unwrap();
        let kept = engine.ledger.unpledge(placed.ticket, false, || {
            let audit = engine.audit();
            assert!(audit.is_ok() && audit.unsettled == 0, "{audit:?}");
            engine.gone(placed.worker)
        });
        assert!(!kept);
        engine.ledger.finish(&engine.local().magazine, placed.ticket);
        assert_eq!(engine.reservation_count(), 0);
    }
}
