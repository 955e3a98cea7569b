//! The verdict on a request in full, as of one look at every worker.
//!
//! 1. The request is checked and its id looked up, as for a reservation.
//! 2. Under the registry's lock each worker's word is read once. Reservations go on beside it, so that
//!    the picture is of no one instant; but all that is said is said of it, and each worker is named
//!    with the version that its word had.
//! 3. The engine's own walk is made over that picture (it asks for what is free through
//!    [`Planned`]), by places alone, since hints are about workers as they are now.
//! 4. The workers are counted by reason in the same picture.

use std::collections::HashMap;

use super::devices::WithDevices;
use super::limits::Limited;
use super::local::Local;
use super::reserve::Checked;
use super::select::{Candidate, Learning, Planned, Walk};
use super::terms::Limit;
use super::verdict::Tally;
use super::{Engine, Foreseen, Reasons, Refusal, Request, ReserveError};
use crate::placement::{Devices, Dimension, Free, Mismatch, Resources, Room, share_of};
use crate::registry::{Facts, View, WorkerRef};
use crate::slots::{Columns, Pool, Slot, State, Wide, Word};

/// How many workers do not match a request, by the first rule that keeps them from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mismatches([u32; Mismatch::ALL.len()]);

impl Mismatches {
    /// How many fail this rule, and none before it.
    pub fn by(&self, rule: Mismatch) -> u32 {
        self.0[rule as usize]
    }

    /// How many there are in all.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

/// What one worker is to a request: the first of these that is true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It takes the request.
    Fits,
    /// It does not match.
    Mismatch(Mismatch),
    /// It takes nothing of the kind in this state.
    State(State),
    /// Not enough is free.
    Short {
        /// How much more would have to be free. Where devices are asked for, its GPUs are how many more of
        /// them would have to have room for what is asked of each; where they are to be on one island, on
        /// the one where the fewest are missing.
        missing: Resources,
    },
    /// It could not hold the request when empty.
    TooSmall {
        /// By how much its capacity is too small; of devices, how many more it would have to have.
        missing: Resources,
    },
    /// As many of a group of the request's are in its place as may be, or it is in none.
    Spread,
}

/// One worker, and what it is to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The worker.
    pub worker: WorkerRef,
    /// Its version when it was looked at: while it stands there, what is said of it is true.
    pub version: u64,
    /// Why it would take the request, or would not.
    pub reason: Reason,
}

/// Where least would have to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The worker.
    pub worker: WorkerRef,
    /// Its version when it was looked at.
    pub version: u64,
    /// What would have to be freed there for the request to fit; of devices, as in [`Reason::Short`].
    pub missing: Resources,
}

/// What [`Engine::explain`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What [`Engine::reserve`] would say: where the request fits and at which version of that worker,
    /// the reservation that its id holds, or a refusal with its verdict, its blocking dimension, and
    /// what its outlook is.
    pub answer: Result<Foreseen, Refusal>,
    /// Registered workers that would take it.
    pub fitting: u32,
    /// The others, by reason.
    pub reasons: Reasons,
    /// Those that do not match, by rule.
    pub mismatches: Mismatches,
    /// Of the matching workers in a state that takes it and too full by now, the one of which the
    /// smallest share is missing, summed over dimensions; of equals the one with the lower index.
    pub nearest: Option<NearMiss>,
    /// Every registered worker, by index, if that was asked for.
    pub workers: Vec<Explained>,
}

/// Every worker's word, by slot; and what its devices have free, where that matters.
struct Picture(HashMap<u32, (Word<Wide>, Option<Devices>)>);

impl Planned for Picture {
    const REAL: bool = false;

    fn free(&self, at: &Candidate, _: &Slot) -> Free {
        // Nothing else is in any ring while the registry is held still.
        self.0.get(&at.slot).map_or_else(Free::default, |(word, _)| word.free())
    }

    fn devices(&self, at: &Candidate, _: &Slot, _: &Pool) -> Option<Devices> {
        self.0.get(&at.slot)?.1
    }

    fn columns(&self, _: &Resources) -> Columns {
        Columns::of(&Resources::ZERO)
    }
}

impl Engine {
    /// What [`Engine::reserve`] would say of this request right now, and why: counts by reason and by
    /// rule, the nearest miss and, with `each_worker`, every worker's own reason. Changes nothing, and
    /// counts also without [`Config::count_reasons`](crate::Config::count_reasons).
    ///
    /// Every worker is looked at once. What is said of one that is named is true as of the version
    /// that stands beside it, and the verdict and the counts are those of exactly these versions, so
    /// that a request which is said to fit fits as long as that worker is at that version. Whether the
    /// ledger has room is not foreseen.
    ///
    /// A request that cannot be right, or whose account has no room for it, is an error, as for
    /// `reserve`; being refused is none.
    ///
    /// Takes the registry's lock, under which placements go on; allocates; O(workers).
    pub fn explain(
        &self,
        request: &Request<'_>,
        each_worker: bool,
    ) -> Result<Explanation, ReserveError> {
        let local = self.local();
        let checked = self.check(local, request)?;
        let held = self.held_now(request.id, checked.id_hash)?;
        let terms = request.terms.copied().unwrap_or_default();
        let charge = checked.query.charge();
        if held.is_none()
            && let Some(over) = self.over_quota(terms.account, [0; 3], &charge)
        {
            return Err(over.into());
        }
        self.registry.hold_still(|workers| {
            let workers: Vec<WorkerRef> = workers.collect();
            self.explain_to(local, (&checked, terms.limits), held, &workers, each_worker)
        })
    }

    fn explain_to(
        &self,
        local: &Local,
        (checked, limits): (&Checked, &[Limit]),
        held: Option<Foreseen>,
        workers: &[WorkerRef],
        each_worker: bool,
    ) -> Result<Explanation, ReserveError> {
        let shared = &self.registry.shared;
        let query = &checked.query;
        let mut directory = local.directory();
        let view = directory.load().view(checked.selector.0);
        let view = view.ok_or(ReserveError::UnknownSelector)?;

        let mut picture = Picture(HashMap::with_capacity(workers.len()));
        let mut tally = Tally::default();
        let (mut fitting, mut mismatches) = (0, Mismatches::default());
        let mut nearest: Option<(u128, NearMiss)> = None;
        let mut explained = Vec::new();
        for &worker in workers {
            let Some(slot) = shared.table.get(worker.index) else { continue };
            let Some(facts) = shared.facts(worker.index) else { continue };
            let Some(facts) = facts.as_ref() else { continue };
            let pool = query.devices.and_then(|_| shared.pool(worker.index));
            let (word, devices) =
                pool.map_or_else(|| (slot.word(), None), |pool| slot.devices(pool));
            picture.0.insert(worker.index, (word, devices));
            let version = word.version();
            let at = Candidate::new(worker.index, slot.stamp(), word);
            let limited = Limited::of(self, limits, &picture);
            let planned = WithDevices { shared, need: query.devices, beside: &limited };
            let barred = planned.bars(&at);
            let there = Room::of(&query.amount(), &word.free(), &slot.capacity());
            let room = match (&query.devices, pool) {
                (Some(need), Some(pool)) => {
                    there.with_devices(need, &devices.unwrap_or_default(), &pool.all())
                }
                _ => there,
            };
            let reason = match reason(view, facts, word, room, checked) {
                Reason::Fits if barred => Reason::Spread,
                other => other,
            };
            match reason {
                Reason::Mismatch(rule) => mismatches.0[rule as usize] += 1,
                _ => {
                    let most = planned.most(worker.index, slot.capacity());
                    tally.could |= query.need.fits_in(&most);
                    tally.add_in(word.state(), &planned.free(&at, slot), &most, query, barred);
                }
            }
            fitting += (reason == Reason::Fits) as u32;
            if let Reason::Short { missing } = reason {
                // A capacity counts devices by their digest.
                let gpus = match query.devices {
                    Some(_) => Devices::digest_of(missing.gpus),
                    None => missing.gpus,
                };
                let share = share_of(&Resources { gpus, ..missing }, slot.weights());
                // By index, so that of equals the first stands.
                if nearest.is_none_or(|(least, _)| share < least) {
                    nearest = Some((share, NearMiss { worker, version, missing }));
                }
            }
            if each_worker {
                explained.push(Explained { worker, version, reason });
            }
        }
        tally.reasons.not_matching = mismatches.total();

        let reasons = tally.reasons;
        let answer = match held {
            Some(held) => Ok(held),
            None => {
                let limited = Limited::of(self, limits, &picture);
                let planned = &WithDevices { shared, need: query.devices, beside: &limited };
                let learning = Learning::new(&self.planners, checked.selector);
                let mut walk = Walk::new(shared, *query, planned, Some(learning));
                let found = walk.run(view, Some);
                found.map(|found| picture.foreseen(found)).ok_or_else(|| tally.refusal())
            }
        };
        let nearest = nearest.map(|(_, miss)| miss);
        Ok(Explanation { answer, fitting, reasons, mismatches, nearest, workers: explained })
    }
}

impl Picture {
    fn foreseen(&self, found: Candidate) -> Foreseen {
        let version = self.0.get(&found.slot).map_or(found.word, |(word, _)| *word).version();
        Foreseen { worker: found.worker(), version, existing: None, added: None }
    }
}

/// The first rule, state or lack that keeps a worker from the request.
fn reason(view: &View, facts: &Facts, word: Word<Wide>, room: Room, checked: &Checked) -> Reason {
    let query = &checked.query;
    if let Err(rule) = view.rank(facts, query.need.get(Dimension::Gpus) > 0) {
        return Reason::Mismatch(rule);
    }
    if !word.state().takes(query.ahead) {
        return Reason::State(word.state());
    }
    match room {
        Room::Fits => Reason::Fits,
        Room::Short { missing } => Reason::Short { missing },
        Room::TooSmall { missing } => Reason::TooSmall { missing },
    }
}
