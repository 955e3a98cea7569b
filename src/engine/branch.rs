//! The state that a dry run supposes: some reservations gone, some workers removed, others there.
//!
//! A worker that is supposed to be removed has no room, counts for nothing, and what is held on it is
//! gone with it. One that is supposed to be registered stands in no ring: it is put beside the tier of
//! its rank, and the policy chooses between what the search finds there and the best of those beside
//! it. What it would have been asked by a selector is asked of its specification, by the same rules.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::devices::WithDevices;
use super::dry_run::Credits;
use super::limits::PlannedMembers;
use super::local::Local;
use super::plan::Plan;
use super::reserve::{Checked, worker_of};
use super::select::{Candidate, Planned, Query, Walk};
use super::{Account, Engine, Limit, ReserveError, SpreadGroup, Terms};
use crate::ledger::{Sighting, Ticket};
use crate::placement::{DeviceNeed, Devices, Dimension, Free, Rank, Resources, score, weights};
use crate::registry::{Supposed as Worker, View, WorkerError, WorkerRef, WorkerSpec};
use crate::slots::{Columns, Need, Pool, Slot, State, Wide};

/// The place of a group that an added worker is in.
fn place_of(
    engine: &Engine,
    with: &[Added],
    group: SpreadGroup,
    index: u32,
) -> Option<(crate::ledger::Key, u64)> {
    // No registered worker has this index.
    let itself = (u32::MAX as u64) << 32 | index as u64;
    engine.place_of_facts(group, itself, &with[index as usize].worker.facts)
}

/// What a dry run supposes to have happened before it. By default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supposition<'a> {
    /// These reservations are given back. What is not held credits nothing; named twice, it credits
    /// once.
    pub credited: &'a [Ticket],
    /// These workers are removed, and what they hold is gone with them. One that is not registered, or
    /// not any more, is passed by.
    pub without: &'a [WorkerRef],
    /// These workers are registered, in this order, after all that are; ready, or pending where
    /// their specification says so.
    pub with: &'a [WorkerSpec],
}

/// Why a supposition or its request cannot be right. Nothing was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupposeError {
    /// A worker of [`Supposition::with`] could not be registered.
    Worker {
        /// Its place in the list.
        index: u32,
        /// Why.
        error: WorkerError,
    },
    /// The request to be copied cannot be right.
    Request(ReserveError),
}

impl fmt::Display for SupposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupposeError::Worker { index, error } => write!(f, "supposed worker {index}: {error}"),
            SupposeError::Request(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SupposeError {}

/// A worker that is supposed to be registered, with what the requests so far would leave there.
struct Added {
    worker: Worker,
    free: Free,
    devices: Option<Devices>,
}

impl Added {
    /// What is free there and what there is in all, for a request that needs so much. Where devices would
    /// not do, they are what it is short of.
    fn room(&self, need: &Option<DeviceNeed>) -> (Free, Resources) {
        let (mut free, mut capacity) = (self.free, self.worker.capacity);
        if let Some(need) = need {
            let fits = |devices: &Option<Devices>| devices.is_some_and(|all| all.fits(need));
            if !fits(&self.devices) {
                free.gpus = need.too_little(free.gpus);
            }
            if !fits(&self.worker.devices) {
                capacity.gpus = need.too_little(capacity.gpus as i64) as u64;
            }
        }
        (free, capacity)
    }

    fn take(&mut self, query: &Query) {
        self.free = self.free.minus(&query.amount());
        let Some((need, spread)) = query.devices_by_policy() else { return };
        let granted = |free: &Devices| Some(free.minus(&free.grant(&need, spread)?));
        if let Some(left) = self.devices.as_ref().and_then(granted) {
            self.free.gpus = left.digest() as i64;
            self.devices = Some(left);
        }
    }
}

/// What is supposed at a request: the branch, and what the requests before it would take.
pub(super) struct Supposed<'a> {
    pub(super) credits: Credits<'a>,
    /// Registered ones.
    without: HashSet<WorkerRef>,
    with: Vec<Added>,
    /// Those of `with` that match the request at hand, in order of rank.
    matching: Vec<(Rank, u32)>,
    plan: Plan,
    engine: &'a Engine,
    /// The limits of the request at hand, and the devices that it asks for.
    limits: Vec<Limit>,
    need: Option<DeviceNeed>,
    /// Members of groups, and charges of accounts, that come or go with the branch.
    members: PlannedMembers,
    charged: HashMap<Account, [i64; 3]>,
}

impl<'a> Supposed<'a> {
    pub(super) fn nothing(engine: &'a Engine) -> Self {
        let mut plan = Plan::default();
        plan.reset(0);
        Supposed {
            credits: Credits::of(&engine.ledger, &[]),
            without: HashSet::new(),
            with: Vec::new(),
            matching: Vec::new(),
            plan,
            engine,
            limits: Vec::new(),
            need: None,
            members: PlannedMembers::default(),
            charged: HashMap::new(),
        }
    }

    /// What is held by this reservation under terms is gone with it.
    fn lose(&mut self, ticket: Ticket, amount: &Resources) {
        let Some((account, counted)) = self.engine.look_terms(ticket) else { return };
        if let Some(account) = account {
            let granted = self.engine.ledger.look_granted(ticket).flatten();
            let gpus = amount.gpus + granted.map_or(0, |granted| granted.count());
            self.charge(account, &Resources { gpus, ..*amount }, -1);
        }
        counted.into_iter().for_each(|counted| self.members.lose(self.engine, counted));
    }

    fn charge(&mut self, account: Account, amount: &Resources, sign: i64) {
        let charged = self.charged.entry(account).or_default();
        for d in Dimension::ALL {
            charged[d as usize] += sign * amount.get(d) as i64;
        }
    }

    /// The request at hand comes under these terms; refused if its account has no room.
    pub(super) fn come_under(
        &mut self,
        terms: &Terms<'_>,
        query: &Query,
    ) -> Result<(), ReserveError> {
        self.need = query.devices;
        self.limits.clear();
        self.limits.extend_from_slice(terms.limits);
        let charged = terms.account.and_then(|account| self.charged.get(&account));
        let charged = charged.copied().unwrap_or_default();
        let over = self.engine.over_quota(terms.account, charged, &query.charge());
        over.map_or(Ok(()), |over| Err(over.into()))
    }

    /// It has been placed, and its account is charged.
    pub(super) fn note_terms(&mut self, terms: &Terms<'_>, charge: &Resources, found: Place) {
        if let Some(account) = terms.account {
            self.charge(account, charge, 1);
        }
        match found {
            Place::Registered(at) => self.members.add(self.engine, terms.limits, at.worker()),
            Place::Added(index) => {
                let (engine, with) = (self.engine, &self.with);
                self.members.add_at(terms.limits, |group| place_of(engine, with, group, index));
            }
        }
    }

    fn bars_added(&self, index: u32) -> bool {
        let place = |group| place_of(self.engine, &self.with, group, index);
        self.members.bar(self.engine, &self.limits, place)
    }

    /// Whether this worker is supposed to be removed.
    pub(super) fn is_without(&self, worker: WorkerRef) -> bool {
        !self.without.is_empty() && self.without.contains(&worker)
    }

    /// Takes this much where it was found.
    pub(super) fn take(&mut self, found: Place, query: &Query) {
        match found {
            Place::Registered(found) => {
                self.plan.make_room();
                let shared = &self.engine.registry.shared;
                let slot = shared.table.get(found.slot).zip(shared.pool(found.slot));
                let credits = &self.credits;
                let devices =
                    || slot.and_then(|(slot, pool)| credits.free(&found, slot, Some(pool)).1);
                let change = query.change_at(&found);
                self.plan.add(found, &change, devices);
            }
            Place::Added(index) => self.with[index as usize].take(query),
        }
    }

    /// The best place, rank by rank.
    fn best<P: Planned>(&self, walk: &mut Walk<'_, P>, view: &View) -> Option<Place> {
        let query = walk.query;
        let mut tiers = view.ranked_tiers(&query.need).peekable();
        let mut added = self.matching.chunk_by(|a, b| a.0 == b.0).peekable();
        loop {
            let ranks = [tiers.peek().map(|tier| tier.0), added.peek().map(|chunk| chunk[0].0)];
            let rank = ranks.into_iter().flatten().min()?;
            let tier = tiers.next_if(|tier| tier.0 == rank);
            let found = tier.and_then(|(_, tier)| walk.run_tier(view, (rank, tier), &mut Some));
            let beside = added.next_if(|chunk| chunk[0].0 == rank);
            let beside = beside.and_then(|chunk| self.best_added(&query, chunk));
            let place = match (found, beside) {
                (Some(found), Some((theirs, index))) => {
                    let ours =
                        score(query.policy, walk.left(found), &query.need, walk.weights(found));
                    // Of equals the registered one, which comes first.
                    Some(if theirs < ours { Place::Added(index) } else { Place::Registered(found) })
                }
                (Some(found), None) => Some(Place::Registered(found)),
                (None, beside) => beside.map(|(_, index)| Place::Added(index)),
            };
            if place.is_some() {
                return place;
            }
        }
    }

    /// The best of those beside a tier, with its score: lower is better, then the first in the list.
    fn best_added(&self, query: &Query, beside: &[(Rank, u32)]) -> Option<(u64, u32)> {
        let fitting = beside.iter().filter_map(|&(_, index)| {
            let added = &self.with[index as usize];
            let (free, capacity) = added.room(&self.need);
            let fits = added.worker.state.takes(query.ahead)
                && free.fits(&query.need)
                && !self.bars_added(index);
            let left = free.minus(&query.need);
            fits.then(|| (score(query.policy, left, &query.need, weights(&capacity)), index))
        });
        fitting.min()
    }
}

impl Planned for Supposed<'_> {
    const REAL: bool = false;

    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        if self.is_without(at.worker()) {
            return Free::default();
        }
        let share = self.plan.on(at.slot);
        if self.credits.is_empty() && share.is_none() {
            return at.word.free();
        }
        let pool = self.engine.registry.shared.pool(at.slot).filter(|_| at.word.page() != 0);
        let (mut free, devices) = self.credits.free(at, slot, pool);
        if let Some(share) = share {
            free = free.minus(&share.take);
            if pool.is_some() {
                let left = devices.and_then(|devices| self.plan.left(at.slot, devices));
                free.gpus = left.map_or(0, |left| left.digest() as i64);
            }
        }
        free
    }

    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        self.free(at, slot).fits(&need.amount()) && !self.bars(at)
    }

    fn devices(&self, at: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        if self.is_without(at.worker()) {
            return None;
        }
        let (_, devices) = self.credits.free(at, slot, Some(pool));
        self.plan.left(at.slot, devices?)
    }

    fn bars(&self, at: &Candidate) -> bool {
        self.members.bar_at(self.engine, &self.limits, at)
    }

    fn columns(&self, need: &Resources) -> Columns {
        // Hints do not know of credits.
        if self.credits.is_empty() { Columns::of(need) } else { Columns::of(&Resources::ZERO) }
    }

    fn changes_workers(&self) -> bool {
        !(self.without.is_empty() && self.with.is_empty())
    }

    fn gone(&self, worker: WorkerRef) -> bool {
        self.is_without(worker)
    }

    fn beside(&self, each: &mut dyn FnMut(State, &Free, &Resources, bool)) {
        for &(_, index) in &self.matching {
            let added = &self.with[index as usize];
            let (free, capacity) = added.room(&self.need);
            each(added.worker.state, &free, &capacity, self.bars_added(index));
        }
    }

    fn workers(&self, registered: u32) -> u32 {
        registered.saturating_sub(self.without.len() as u32) + self.with.len() as u32
    }
}

/// Where a request would go.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Registered(Candidate),
    Added(u32),
}

impl Engine {
    /// The branch of the state that this supposes.
    pub(super) fn suppose(
        &self,
        supposing: &Supposition<'_>,
    ) -> Result<Supposed<'_>, SupposeError> {
        let mut supposed = Supposed::nothing(self);
        let without = supposing.without.iter().copied();
        supposed.without = without.filter(|&worker| !self.gone(worker)).collect();
        let mut ids = HashSet::new();
        for (index, spec) in (0..).zip(supposing.with) {
            let registered = |worker: WorkerRef| !supposed.is_without(worker);
            let twice = !ids.insert(&spec.id) || self.find_worker(&spec.id).is_some_and(registered);
            let worker = match Worker::of(spec) {
                Ok(_) if twice => Err(WorkerError::Duplicate),
                checked => checked,
            };
            let worker = worker.map_err(|error| SupposeError::Worker { index, error })?;
            let (free, devices) = (worker.capacity.into(), worker.devices);
            supposed.with.push(Added { worker, free, devices });
        }
        supposed.credits = Credits::of(&self.ledger, supposing.credited);
        self.lose_terms(&mut supposed);
        Ok(supposed)
    }

    /// What is credited, and what goes with the workers that are supposed to be removed, is neither
    /// counted nor charged any more.
    fn lose_terms(&self, supposed: &mut Supposed<'_>) {
        if supposed.credits.is_empty() && supposed.without.is_empty() {
            return;
        }
        let gone: Vec<(Ticket, Resources)> = self
            .ledger
            .sightings()
            .filter_map(|sighting| match sighting {
                Sighting::Live(ticket, held) | Sighting::Pledged(ticket, held) if held.rides => {
                    let gone =
                        supposed.credits.has(ticket) || supposed.is_without(worker_of(&held));
                    gone.then_some((ticket, held.amount))
                }
                _ => None,
            })
            .collect();
        gone.iter().for_each(|(ticket, amount)| supposed.lose(*ticket, amount));
    }

    /// The place that the policy gives a request on this branch.
    pub(super) fn choose_on(
        &self,
        local: &Local,
        checked: &Checked,
        supposed: &mut Supposed<'_>,
    ) -> Result<Place, ReserveError> {
        if supposed.with.is_empty() {
            return Ok(Place::Registered(self.choose(local, checked, supposed)?));
        }
        self.match_added(local, checked, supposed);
        let shared = &self.registry.shared;
        let supposed = &*supposed;
        let planned = WithDevices { shared, need: checked.query.devices, beside: supposed };
        let found = self.seek(local, checked, &planned, |walk, view| supposed.best(walk, view));
        found.ok_or_else(|| {
            let mut directory = local.directory();
            let view = directory.load().view(checked.selector.0);
            let tiers = view.map_or(&[][..], |view| view.tiers(&checked.query.need));
            self.refusal(local, tiers, checked, &planned).into()
        })
    }

    /// Which of the added workers the request may use, and in what order.
    fn match_added(&self, local: &Local, checked: &Checked, supposed: &mut Supposed<'_>) {
        let Supposed { with, matching, .. } = supposed;
        matching.clear();
        let mut directory = local.directory();
        let Some(view) = directory.load().view(checked.selector.0) else { return };
        let gpus = checked.query.need.gpus > 0;
        let ranks = (0..)
            .zip(with)
            .filter_map(|(index, added)| Some((view.rank(&added.worker.facts, gpus).ok()?, index)));
        matching.extend(ranks);
        matching.sort_unstable();
    }
}
