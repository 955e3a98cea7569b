//! What was refused lately, and how many workers of a shape would serve it.
//!
//! 1. A request that is refused is noted ([`crate::ledger::Unmet`]), beside what it costs anyway to
//!    say why. One that is placed meets none of this.
//! 2. Asked for the demand, the engine leaves out what is held by now, and supposes that the rest is
//!    placed on the workers that are there or on their way, by its own search.
//! 3. What is left is packed onto workers of the shape, all selectors together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::devices::WithDevices;
use super::local::Local;
use super::plan::{Less, Plan};
use super::reserve::Checked;
use super::select::{Candidate, Planned, Query};
use super::{Engine, ReserveError};
use crate::ledger::{Noted, Want};
use crate::placement::{Devices, Free, Policy, Prefer, Resources, pack, share_of, weights};
use crate::registry::{Selector, Supposed, WorkerError, WorkerSpec};
use crate::slots::{Fence, Need, Pool, Slot, Wide};

/// What was refused lately of the requests with one selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Their selector.
    pub selector: Selector,
    /// How many there are: `joining`, `packed` and `unservable` together.
    pub requests: u32,
    /// What they need in all. A device counts as a GPU, also where only a part of it is asked for.
    pub need: Resources,
    /// How many of them fit on workers that are ready, or pending, as they are now.
    pub joining: u32,
    /// How many of the others are packed onto new workers of the shape.
    pub packed: u32,
    /// The new workers that these make necessary. Requests of several selectors may share one; it is
    /// counted where its largest request is, so that the sum is the number to start.
    pub workers: u32,
    /// How many cannot be served by a worker of the shape: too large for it, or their selector does not
    /// match it.
    pub unservable: u32,
}

impl Demand {
    fn of(selector: Selector) -> Demand {
        let (requests, need) = (0, Resources::ZERO);
        Demand { selector, requests, need, joining: 0, packed: 0, workers: 0, unservable: 0 }
    }
}

/// Less a plan that is not going to be carried out.
struct Joining<'a>(Less<'a>);

impl Planned for Joining<'_> {
    const REAL: bool = false;

    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        self.0.free(at, slot)
    }

    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        self.0.fits(at, slot, need)
    }

    fn devices(&self, at: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        self.0.devices(at, slot, pool)
    }
}

/// What a worker of the shape has left.
struct Bare {
    room: Resources,
    devices: Option<Devices>,
}

impl Bare {
    /// With this request on it, if there is room.
    fn with(&self, want: &Want) -> Option<Bare> {
        let Some(need) = &want.devices else {
            let room = want.need.fits_in(&self.room).then(|| self.room.beyond(&want.need))?;
            return Some(Bare { room, devices: self.devices });
        };
        let amount = Resources { gpus: 0, ..want.need };
        let room = amount.fits_in(&self.room).then(|| self.room.beyond(&amount))?;
        let free = self.devices.as_ref()?;
        let devices = Some(free.minus(&free.grant(need, Prefer::Fullest)?));
        Some(Bare { room, devices })
    }
}

impl Engine {
    /// Notes a request that was refused.
    #[cold]
    #[inline(never)]
    pub(super) fn note_unmet(&self, id: &[u8], checked: &Checked, error: &ReserveError) {
        let ReserveError::Refused(_) = error else { return };
        let Query { need, ahead, devices, .. } = checked.query;
        let want = Want { need, devices, selector: checked.asked.0, ahead };
        self.unmet.note(id, checked.id_hash, &want, self.now());
    }

    /// What was refused at `since` or later ([`Engine::now`]) and is not held by now, by selector, and
    /// what it would take to serve it: how many of the requests fit on workers that are there or on
    /// their way, and how many workers of `shape` would serve the others. So a burst starts as many
    /// machines as it needs; machines that are registered as pending count at once, and are not
    /// started again.
    ///
    /// Requests that were refused as busy or never are noted, those of a refused all-or-nothing batch
    /// all together; not those that name their worker, and no dry runs. The same id refused again is the
    /// same request; anonymous ones are one each time. Of each the last refusal counts. At most
    /// [`Config::max_unmet`](crate::Config::max_unmet) are kept: the oldest make room. One that is
    /// found held is forgotten, as if by [`Engine::forget_unmet`].
    ///
    /// The requests are placed in order of their size, the largest first, on what is free and not on
    /// what others may release; cordoned and draining workers take none. The number of workers is
    /// that of first fit decreasing: near the least possible, and never more than requests. The shape's
    /// id and whether it is pending do not matter.
    ///
    /// While requests are refused, placed and released meanwhile, each counts as when it was come by.
    ///
    /// # Errors
    /// As for [`Engine::add_worker`], for a shape that could not be registered under any id.
    ///
    /// Takes no lock; allocates. O(requests x (requests + workers)) at worst, near O(requests) while
    /// hints lead to what is free.
    pub fn unmet_demand(&self, shape: &WorkerSpec, since: u64) -> Result<Vec<Demand>, WorkerError> {
        let local = self.local();
        let shape = Supposed::shape(shape)?;
        let weights = weights(&shape.capacity);
        let mut wants: Vec<Want> = self.unmet_since(since).into_values().collect();
        wants.sort_by_key(|want| {
            let Resources { cpu, memory, gpus } = want.need;
            let devices = want.devices.map(|d| (d.count, d.milli, d.memory, d.island as u8));
            // All that tells requests apart, so that they come in the same order each time.
            let size = (share_of(&want.need, weights), gpus, memory, cpu, devices);
            (Reverse(size), want.selector, want.ahead)
        });

        let mut demand = BTreeMap::<u32, Demand>::new();
        let mut left = self.joining(local, wants, &mut demand);
        left.retain(|want| {
            let may = self.shape_serves(local, &shape, want);
            let of = demand.get_mut(&want.selector).expect("counted before");
            of.packed += may as u32;
            of.unservable += !may as u32;
            may
        });
        let sizes: Vec<u128> = left.iter().map(|want| share_of(&want.need, weights)).collect();
        let empty = Bare { room: shape.capacity, devices: shape.devices };
        for first in pack(&sizes, &empty, |k, there| there.with(&left[k])).opened_by {
            demand.get_mut(&left[first].selector).expect("counted before").workers += 1;
        }
        Ok(demand.into_values().collect())
    }

    /// Forgets that this id was refused: its request was withdrawn, or met elsewhere. Whether anything
    /// was noted. No lock, O(1).
    pub fn forget_unmet(&self, id: &[u8]) -> bool {
        let named = !id.is_empty() && id.len() <= crate::MAX_ID_LEN;
        named && self.unmet.forget(id, seahash::hash(id))
    }

    /// What is noted and not held, by id; anonymous ones by where they stand. What is held by now is
    /// forgotten.
    fn unmet_since(&self, since: u64) -> HashMap<(Vec<u8>, usize), Want> {
        let mut newest = HashMap::<(Vec<u8>, usize), Noted>::new();
        for (k, noted) in self.unmet.noted().enumerate() {
            if !noted.id.is_empty()
                && self.ledger.ticket_of(&noted.id, seahash::hash(&noted.id)).is_some()
            {
                self.unmet.forget_read(&noted);
                continue;
            }
            if noted.when < since {
                continue;
            }
            let key = (noted.id.clone(), if noted.id.is_empty() { k } else { 0 });
            match newest.get(&key) {
                Some(other) if (other.when, other.turn) >= (noted.when, noted.turn) => {}
                _ => drop(newest.insert(key, noted)),
            }
        }
        newest.into_iter().map(|(key, noted)| (key, noted.want)).collect()
    }

    /// Counts all, supposes that they are placed in this order, and returns those that do not fit.
    fn joining(
        &self,
        local: &Local,
        wants: Vec<Want>,
        demand: &mut BTreeMap<u32, Demand>,
    ) -> Vec<Want> {
        let shared = &self.registry.shared;
        let mut plan = Plan::default();
        plan.reset(wants.len());
        // What did not fit does not fit later: nothing is given back.
        let mut refused = HashSet::new();
        let mut left = Vec::new();
        for want in wants {
            let of =
                demand.entry(want.selector).or_insert_with(|| Demand::of(Selector(want.selector)));
            of.requests += 1;
            // All from one place: as densely as first fit packs.
            let Want { need, devices, selector, .. } = want;
            let query = Query { policy: Policy::Affinity, need, hash: 0, ahead: true, devices };
            let charge = query.charge();
            of.need.cpu += charge.cpu;
            of.need.memory += charge.memory;
            of.need.gpus += charge.gpus;
            let asked = Selector(selector);
            let checked = Checked { selector: self.looks_by(&want), asked, id_hash: 0, query };
            let found = if refused.contains(&(selector, need, devices)) {
                None
            } else {
                let less = Joining(Less { shared, plan: &plan });
                let planned = WithDevices { shared, need: devices, beside: &less };
                self.seek(local, &checked, &planned, |walk, view| walk.run(view, Some))
            };
            match found {
                Some(found) => {
                    let change = query.change(Fence::Epoch(found.stamp.epoch));
                    plan.add(found, &change, || shared.devices(found.slot));
                    of.joining += 1;
                }
                None => {
                    refused.insert((selector, need, devices));
                    left.push(want);
                }
            }
        }
        left
    }

    fn shape_serves(&self, local: &Local, shape: &Supposed, want: &Want) -> bool {
        let mut directory = local.directory();
        let view = directory.load().view(self.looks_by(want).0);
        let matches = view.is_some_and(|view| view.rank(&shape.facts, want.need.gpus > 0).is_ok());
        matches && Bare { room: shape.capacity, devices: shape.devices }.with(want).is_some()
    }

    /// The selector by which a request looks for workers.
    fn looks_by(&self, want: &Want) -> Selector {
        let asked = Selector(want.selector);
        // It has had a twin since it was refused.
        let twin = want.devices.and_then(|_| self.registry.for_devices(asked).ok());
        twin.unwrap_or(asked)
    }
}
