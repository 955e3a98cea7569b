//! Mechanism for the policies: walks the tiers of a view in the order that the policy wants and
//! offers what fits. The naive twin is `placement::naive`; a test holds the two together.

use parking_lot::MutexGuard;

use super::planner::{Eligible, Lane, Planners};
use crate::placement::gpu::DeviceSet;
use crate::placement::{
    DeviceNeed, Devices, Free, Policy, Prefer, Rank, Resources, free_share, order, score,
};
use crate::registry::{NOWHERE, Selector, Shared, Tier, View, WorkerRef};
use crate::slots::{
    Change, Columns, Fence, Find, Need, Occupant, Pool, Slot, Stamp, State, Wide, Word,
};
use crate::sync::{Stop, stop};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) policy: Policy,
    pub(super) need: Resources,
    pub(super) hash: u64,
    pub(super) ahead: bool,
    /// It asks for devices. Of GPUs, `need` has the digest then.
    pub(super) devices: Option<DeviceNeed>,
}

impl Query {
    /// What its record says that it holds, devices apart.
    pub(super) fn amount(&self) -> Resources {
        let gpus = if self.devices.is_some() { 0 } else { self.need.gpus };
        Resources { gpus, ..self.need }
    }

    /// What its account is charged with: a device counts as a GPU, also where only a part is asked for.
    pub(super) fn charge(&self) -> Resources {
        let gpus = self.devices.map_or(self.need.gpus, |devices| devices.count.into());
        Resources { gpus, ..self.need }
    }

    /// The devices that it asks for, and where parts of them come from.
    pub(super) fn devices_by_policy(&self) -> Option<(DeviceNeed, Prefer)> {
        let prefer = match self.policy {
            Policy::Spread | Policy::PowerOfTwo => Prefer::Emptiest,
            _ => Prefer::Fullest,
        };
        self.devices.map(|devices| (devices, prefer))
    }

    /// The change of a worker's slot that it asks for.
    pub(super) fn change(&self, fence: Fence) -> Change {
        let devices = self.devices_by_policy();
        Change { devices, ..Change::take(fence, self.amount(), self.ahead) }
    }

    /// The same of a candidate's slot, with the devices that the policy wants there.
    pub(super) fn change_at(&self, at: &Candidate) -> Change {
        let mut change = self.change(Fence::Epoch(at.stamp.epoch));
        if let Some((_, prefer)) = &mut change.devices
            && at.devices != DeviceSet::NONE
        {
            *prefer = Prefer::This(at.devices);
        }
        change
    }
}

/// A worker that fits, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) slot: u32,
    pub(super) stamp: Stamp,
    /// Its slot's word then: what a swap can start from.
    pub(super) word: Word<Wide>,
    /// The devices that a policy which learns wants there; none where it does not say.
    pub(super) devices: DeviceSet,
}

impl Candidate {
    #[inline(always)]
    pub(super) fn new(slot: u32, stamp: Stamp, word: Word<Wide>) -> Self {
        Candidate { slot, stamp, word, devices: DeviceSet::NONE }
    }

    pub(super) fn worker(&self) -> WorkerRef {
        WorkerRef { index: self.slot, incarnation: self.stamp.incarnation }
    }
}

/// What a walk supposes to have happened before it: what a batch has planned to take and not taken
/// yet, what a dry run asks about.
pub(super) trait Planned {
    /// What is found is going to be taken, and counts.
    const REAL: bool = true;

    /// What would be free there.
    fn free(&self, at: &Candidate, slot: &Slot) -> Free;

    /// Whether the request would fit there.
    #[inline(always)]
    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        self.free(at, slot).fits(&need.amount())
    }

    /// What the devices there would have free; none where it has none, or not as many as are planned
    /// to be taken.
    fn devices(&self, _: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        slot.devices(pool).1
    }

    /// Whether something beside capacity keeps the request from there.
    #[inline(always)]
    fn bars(&self, _: &Candidate) -> bool {
        false
    }

    /// Where hints lead to all that may fit.
    #[inline(always)]
    fn columns(&self, need: &Resources) -> Columns {
        Columns::of(need)
    }

    /// What a worker of this capacity could hold of the request if nothing else were there: less than its
    /// capacity where its devices would not do.
    fn most(&self, _slot: u32, capacity: Resources) -> Resources {
        capacity
    }

    /// Whether it takes more than a look at a capacity to tell.
    fn is_more_than_amounts(&self) -> bool {
        false
    }

    /// Whether other workers are supposed to be there than are registered. The rest of this is for
    /// who says why a request was refused.
    fn changes_workers(&self) -> bool {
        false
    }

    /// This registration is supposed to have ended.
    fn gone(&self, _: WorkerRef) -> bool {
        false
    }

    /// Shows state, what is free and what there is of each worker that matches and is not
    /// registered.
    fn beside(&self, _: &mut dyn FnMut(State, &Free, &Resources, bool)) {}

    /// How many workers there would be.
    fn workers(&self, registered: u32) -> u32 {
        registered
    }
}

/// Nothing.
pub(super) struct Nothing;

impl Planned for Nothing {
    #[inline(always)]
    fn free(&self, at: &Candidate, _: &Slot) -> Free {
        at.word.free()
    }

    #[inline(always)]
    fn fits(&self, at: &Candidate, _: &Slot, need: Need<Wide>) -> bool {
        at.word.fits(need)
    }
}

/// Where the policies that learn come from, for one request.
pub(super) struct Learning<'a> {
    planners: &'a Planners,
    selector: Selector,
    /// A planner in hand, once one has been asked for; none if others have them all.
    lane: Option<Option<MutexGuard<'a, Lane>>>,
    /// Workers that were proposed in vain.
    barred: Vec<u32>,
}

impl<'a> Learning<'a> {
    #[inline]
    pub(super) fn new(planners: &'a Planners, selector: Selector) -> Self {
        Learning { planners, selector, lane: None, barred: Vec::new() }
    }
}

/// One walk.
pub(super) struct Walk<'a, P> {
    pub(super) shared: &'a Shared,
    pub(super) query: Query,
    pub(super) planned: &'a P,
    /// Workers looked at.
    pub(super) probes: u64,
    /// A place was met whose worker has moved on, or is about to come: see `slots::blocks`.
    pub(super) stale: bool,
    /// Without, policies that learn give way to tightest fit.
    learning: Option<Learning<'a>>,
}

impl<'a, P: Planned> Walk<'a, P> {
    #[inline]
    pub(super) fn new(
        shared: &'a Shared,
        query: Query,
        planned: &'a P,
        learning: Option<Learning<'a>>,
    ) -> Self {
        Walk { shared, query, planned, probes: 0, stale: false, learning }
    }

    /// Lets other threads have the planner, if there is one in hand.
    pub(super) fn put_planner_down(&mut self) {
        self.learning = None;
    }

    /// Offers candidates in order until one is accepted: `offer` returns what came of it, or
    /// nothing if the candidate is gone. `None`: no worker fits.
    #[inline]
    pub(super) fn run<R>(
        &mut self,
        view: &View,
        mut offer: impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let need = self.query.need;
        view.ranked_tiers(&need).find_map(|tier| self.run_tier(view, tier, &mut offer))
    }

    /// The same in one tier.
    #[inline]
    pub(super) fn run_tier<R>(
        &mut self,
        view: &View,
        (rank, tier): (Rank, &Tier),
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        // The default is apart from the others, so that it is short.
        if self.query.policy == Policy::Affinity {
            self.first(tier, offer)
        } else {
            self.by_policy(view, (rank, tier), offer)
        }
    }

    #[inline(never)]
    fn by_policy<R>(
        &mut self,
        view: &View,
        (rank, tier): (Rank, &Tier),
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let need = self.query.need;
        let need = &need;
        match self.query.policy {
            Policy::Affinity => self.first(tier, offer),
            // Each with a score of its own, so that no candidate asks for the policy.
            Policy::FirstFit => self.best(tier, offer, |l, w| score(Policy::FirstFit, l, need, w)),
            Policy::TightestFit => self.tightest(tier, offer),
            Policy::Spread => self.best(tier, offer, |l, w| score(Policy::Spread, l, need, w)),
            Policy::PowerOfTwo => self.of_two(tier, offer).or_else(|| self.first(tier, offer)),
            Policy::DotProduct => {
                self.best(tier, offer, |l, w| score(Policy::DotProduct, l, need, w))
            }
            Policy::Fgd | Policy::Adaptive => {
                let learned = self.learned(view, (rank, tier), offer);
                learned.or_else(|| self.tightest(tier, offer))
            }
        }
    }

    fn tightest<R>(
        &mut self,
        tier: &Tier,
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let need = self.query.need;
        self.best(tier, offer, |l, w| score(Policy::TightestFit, l, &need, w))
    }

    /// What a planner proposes. None where there is no planner, or nothing that it knows of.
    fn learned<R>(
        &mut self,
        view: &View,
        (rank, tier): (Rank, &Tier),
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let Walk { shared, query, planned, probes, learning, .. } = self;
        let Learning { planners, selector, lane, barred } = learning.as_mut()?;
        // A few that are looked up by name are not worth a table.
        let Tier::Ring(_) = tier else { return None };
        let eligible = Eligible { selector: *selector, view, rank };
        let first = lane.is_none();
        let lane = lane.get_or_insert_with(|| planners.take()).as_mut()?;
        let planner = planners.of(lane, query.policy);
        if first {
            planner.catch_up(shared);
        }
        let shape = planner.shape(shared, query, &eligible)?;
        if first && P::REAL {
            planner.arrive(&shape);
        }
        loop {
            let fits = |at: &Candidate| {
                let slot = shared.table.get(at.slot).filter(|_| !barred.contains(&at.slot));
                slot.is_some_and(|slot| planned.fits(at, slot, Need::new(&query.need)))
            };
            let found = planner.propose(shared, (query, &shape), &eligible, &fits)?;
            *probes += 1;
            let result = offer(found);
            planner.look(shared, found.slot);
            if result.is_some() {
                return result;
            }
            barred.push(found.slot);
        }
    }

    /// The candidate at this place, if it fits. If it does not, the hints that led here are lowered.
    #[inline(always)]
    fn look(&mut self, find: Find) -> Option<Candidate> {
        self.probes += 1;
        let Find { occupant, place } = find;
        let slot = self.shared.table.get(occupant.slot)?;
        let word = slot.word();
        stop(Stop::Read);
        let stamp = slot.stamp();
        if stamp.epoch != occupant.epoch {
            self.stale = true;
            return None;
        }
        let candidate = Candidate::new(occupant.slot, stamp, word);
        if word.state().takes(self.query.ahead)
            && self.planned.fits(&candidate, slot, Need::new(&self.query.need))
        {
            return Some(candidate);
        }
        self.turn_away(place, word);
        None
    }

    #[cold]
    #[inline(never)]
    fn turn_away(&self, place: u32, word: Word<Wide>) {
        if place != NOWHERE {
            self.shared.blocks.lower(&self.shared.table, place, self.columns(), word.sizes());
        }
    }

    fn columns(&self) -> Columns {
        self.planned.columns(&self.query.need)
    }

    /// The first that fits, from the hash's place.
    #[inline]
    pub(super) fn first<R>(
        &mut self,
        tier: &Tier,
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let (blocks, hash) = (&self.shared.blocks, self.query.hash);
        tier.search(blocks, self.columns(), hash, |find| offer(self.look(find)?))
    }

    /// Where that stands.
    #[inline]
    pub(super) fn first_place(&mut self, tier: &Tier) -> Option<Occupant> {
        let (blocks, columns, hash) = (&self.shared.blocks, self.columns(), self.query.hash);
        tier.search(blocks, columns, hash, |find| self.look(find).map(|_| find.occupant))
    }

    /// The one with the lowest score of what is left, then the lowest index. Again from the start
    /// whenever the best one was taken by somebody else before it could be offered.
    fn best<R>(
        &mut self,
        tier: &Tier,
        offer: &mut impl FnMut(Candidate) -> Option<R>,
        score: impl Fn(Free, [u64; 3]) -> u64,
    ) -> Option<R> {
        let shared = self.shared;
        loop {
            let mut best: Option<((u64, u32), Candidate)> = None;
            tier.search(&shared.blocks, self.columns(), 0, |find| {
                if let Some(candidate) = self.look(find) {
                    let left = self.left(candidate);
                    let key = (score(left, self.weights(candidate)), candidate.slot);
                    if best.is_none_or(|(lowest, _)| key < lowest) {
                        best = Some((key, candidate));
                    }
                }
                None::<()>
            });
            if let Some(result) = offer(best?.1) {
                return Some(result);
            }
        }
    }

    /// The emptier of the two at two places.
    fn of_two<R>(
        &mut self,
        tier: &Tier,
        offer: &mut impl FnMut(Candidate) -> Option<R>,
    ) -> Option<R> {
        let shared = self.shared;
        let hashes = [self.query.hash, order::other(self.query.hash)];
        let [one, other] = hashes.map(|hash| {
            let candidate = self.look(tier.meet(&shared.blocks, hash)?)?;
            let share = free_share(self.left(candidate), self.weights(candidate));
            Some(((u64::MAX - share, candidate.slot), candidate))
        });
        let emptier = match (one, other) {
            (Some(a), Some(b)) => {
                if b.0 < a.0 {
                    b
                } else {
                    a
                }
            }
            (one, other) => one.or(other)?,
        };
        offer(emptier.1)
    }

    /// What the request would leave there, beside what is planned.
    pub(super) fn left(&self, candidate: Candidate) -> Free {
        let slot = self.shared.table.get(candidate.slot);
        let free = slot.map_or_else(Free::default, |slot| self.planned.free(&candidate, slot));
        free.minus(&self.query.need)
    }

    pub(super) fn weights(&self, candidate: Candidate) -> [u64; 3] {
        self.shared.table.get(candidate.slot).map_or([0; 3], |slot| slot.weights())
    }
}

/// Whether anybody is there at all.
pub(super) fn registered(word: Word<Wide>) -> bool {
    word.state() != State::Removed
}
