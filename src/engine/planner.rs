//! Policies that learn: a mirror of the workers for the pure policies of `placement::gpu`, and what
//! they have learned.
//!
//! A planner only proposes. Whatever it says is looked at again in the worker's slot before it counts,
//! and whoever finds no planner free, or gets no proposal, looks at the workers themselves; so what is
//! not up to date here costs quality and never a promise. Nobody who places waits for a planner, and who
//! does not ask for these policies never sees one: nothing tells a planner of a change. It reads the slots'
//! words instead, a bounded number for each request, and looks at those that have changed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::select::{Candidate, Query};
use crate::placement::gpu::{
    Among, Kinds, MAX_DEVICES, MAX_MODELS, Method, ModelSet, Node, Placer, Shape, Tuning, WHOLE,
};
use crate::placement::{Free, Policy, Rank};
use crate::registry::{Name, Selector, Shared, View, WorkerRef};
use crate::slots::{Stamp, State, Wide, Word};

/// Words that are read for one request, round and round.
const SWEEP: usize = 512;

/// Candidates that one request may turn down before the workers themselves are looked at.
const LOOKS: u32 = 64;

/// Proposals for one request, where others are faster.
const PROPOSALS: u32 = 16;

/// How long who reads what a planner knows waits for one: as long as some hundred placements take.
const PATIENCE: Duration = Duration::from_millis(2);

/// Selectors that a planner tells apart at once.
const SCOPES: usize = 64;

/// Ranks of one selector's workers that are told apart, ever; workers of others are not proposed.
const RANKS: usize = 1024;

/// [`Scope::of`] of a worker that does not match, and of one of which that has to be looked up.
const NO_RANK: u16 = u16::MAX;
const UNKNOWN: u16 = u16::MAX - 1;

/// The planners of an engine: each in the hands of one thread at most.
pub(super) struct Planners {
    lanes: Box<[Mutex<Lane>]>,
    seed: u64,
}

/// A planner for each policy that learns, made when it is first asked for.
#[derive(Default)]
pub(super) struct Lane {
    fgd: Option<Box<Planner>>,
    adaptive: Option<Box<Planner>>,
}

impl Planners {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        Planners { lanes: (0..count).map(|_| Mutex::default()).collect(), seed }
    }

    /// One that nobody has in hand; none if others have them all. The first ones first, so that where
    /// one thread places, one planner sees all that comes.
    pub(super) fn take(&self) -> Option<MutexGuard<'_, Lane>> {
        self.lanes.iter().find_map(Mutex::try_lock)
    }

    /// Asks the planner that has seen the most requests; none where none has seen any, or all that have
    /// are in the hands of others who do not put them down. Whoever asks can wait a moment, and the planner
    /// that is in use most is the one to ask.
    pub(super) fn with_most<R>(&self, ask: impl FnOnce(&mut Planner) -> R) -> Option<R> {
        let arrived = |planner: &Option<Box<Planner>>| {
            let kinds = planner.as_ref().and_then(|planner| planner.placer.kinds());
            kinds.map_or(0, Kinds::arrived)
        };
        let lanes = self.lanes.iter().filter_map(|lane| lane.try_lock_for(PATIENCE));
        let most = |lane: &MutexGuard<'_, Lane>| arrived(&lane.fgd).max(arrived(&lane.adaptive));
        let mut lane = lanes.max_by_key(most).filter(|lane| most(lane) > 0)?;
        let Lane { fgd, adaptive } = &mut *lane;
        let planner = if arrived(fgd) > arrived(adaptive) { fgd } else { adaptive };
        planner.as_mut().map(|planner| ask(planner))
    }

    /// The lane's planner for a policy that learns.
    pub(super) fn of<'a>(&self, lane: &'a mut Lane, policy: Policy) -> &'a mut Planner {
        let (planner, method) = match policy {
            Policy::Fgd => (&mut lane.fgd, Method::FgdSoFar),
            _ => {
                let tuning = Tuning { seed: self.seed, ..Tuning::default() };
                (&mut lane.adaptive, Method::Adaptive(tuning))
            }
        };
        planner.get_or_insert_with(|| Box::new(Planner::new(method)))
    }
}

/// What a planner last saw of a slot.
#[derive(Clone, Copy)]
struct Seen {
    word: Word<Wide>,
    /// None: whatever is there has to be looked at as if it were new.
    stamp: Option<Stamp>,
    /// The number of its GPUs' type.
    model: u8,
}

impl Seen {
    fn never() -> Seen {
        let word = Word::new(Free::default(), State::Removed, 0);
        Seen { word, stamp: None, model: 0 }
    }
}

/// The workers as one selector sees them.
struct Scope {
    /// By slot: its rank's place in `ranks`, or one of those above.
    of: Vec<u16>,
    ranks: Vec<Ranked>,
    /// The slots whose rank has to be looked up, each once.
    unknown: Vec<u32>,
    /// The GPU types of those that match.
    models: ModelSet,
}

struct Ranked {
    rank: Rank,
    /// What the pure policy knows the workers of this rank by.
    number: u32,
}

/// A pure policy and its mirror.
pub(super) struct Planner {
    placer: Placer,
    seen: Vec<Seen>,
    /// Where to read on.
    sweep: usize,
    /// GPU types, none included; all above the limit share the last number.
    models: HashMap<Option<Name>, u8>,
    /// Those that some worker with GPUs has.
    with_gpus: ModelSet,
    /// By selector, without and with GPUs.
    scopes: HashMap<(Selector, bool), Scope>,
    numbers: u32,
}

/// Which workers are in question for a request, beside capacity.
pub(super) struct Eligible<'a> {
    pub(super) selector: Selector,
    pub(super) view: &'a View,
    pub(super) rank: Rank,
}

impl Planner {
    fn new(method: Method) -> Self {
        Planner {
            placer: Placer::new(Vec::new(), method),
            seen: Vec::new(),
            sweep: 0,
            models: HashMap::new(),
            with_gpus: ModelSet::NONE,
            scopes: HashMap::new(),
            numbers: 0,
        }
    }

    /// The mix, as far as it has come here.
    pub(super) fn kinds(&self) -> Kinds {
        self.placer.kinds().cloned().unwrap_or_default()
    }

    /// GPU types and their numbers.
    pub(super) fn types(&self) -> Vec<(Name, u8)> {
        let named = |(name, model): (&Option<Name>, &u8)| Some((name.clone()?, *model));
        self.models.iter().filter_map(named).collect()
    }

    /// What slots had free when they were seen last; those at the end may be missing where nobody is.
    pub(super) fn nodes(&self) -> &[Node] {
        self.placer.nodes()
    }

    /// Their words then, and whose they were.
    pub(super) fn seen(&self) -> impl Iterator<Item = (Word<Wide>, WorkerRef)> {
        self.seen.iter().zip(0..).map(|(seen, index)| {
            let incarnation = seen.stamp.map_or(0, |stamp| stamp.incarnation);
            (seen.word, WorkerRef { index, incarnation })
        })
    }

    /// Looks at every slot.
    pub(super) fn look_at_all(&mut self, shared: &Shared) {
        self.catch_up(shared);
        (0..self.seen.len()).for_each(|slot| self.look(shared, slot as u32));
    }

    /// Looks at slots that are new, and at some of the others.
    pub(super) fn catch_up(&mut self, shared: &Shared) {
        let known = self.seen.len();
        let mut slots = known;
        while shared.table.get(slots as u32).is_some() {
            slots += 1;
        }
        if slots > known {
            self.seen.resize(slots, Seen::never());
            for scope in self.scopes.values_mut() {
                scope.of.resize(slots, NO_RANK);
            }
            let is_new = |slot: &usize| {
                let there = shared.table.get(*slot as u32);
                there.is_some_and(|there| there.word().state() != State::Removed)
            };
            if let Some(last) = (known..slots).rev().find(is_new) {
                self.make_room(last);
            }
            (known..slots).for_each(|slot| self.look(shared, slot as u32));
            self.placer.survey();
        }
        for _ in 0..SWEEP.min(known) {
            self.sweep = if self.sweep + 1 < known { self.sweep + 1 } else { 0 };
            self.look(shared, self.sweep as u32);
        }
    }

    /// Looks at a slot.
    #[inline]
    pub(super) fn look(&mut self, shared: &Shared, slot: u32) {
        if let Some(there) = shared.table.get(slot)
            && self.seen.get(slot as usize).is_some_and(|seen| seen.word != there.word())
        {
            self.renew(shared, slot);
        }
    }

    #[inline(never)]
    fn renew(&mut self, shared: &Shared, slot: u32) {
        let Some(there) = shared.table.get(slot) else { return };
        let (word, devices) = match shared.pool(slot) {
            Some(pool) => there.devices(pool),
            None => (there.word(), None),
        };
        // After the word, as everywhere.
        let stamp = there.stamp();
        let moved = self.seen[slot as usize].stamp != Some(stamp);
        if moved {
            self.seen[slot as usize].model = self.model_of(shared, slot);
            self.scopes.values_mut().for_each(|scope| scope.forget(slot));
        }
        let seen = &mut self.seen[slot as usize];
        (seen.word, seen.stamp) = (word, Some(stamp));
        let free = word.free().available();
        let (cpu, memory) = (free.cpu as u32, free.memory as u32);
        let node = match (word.state(), devices) {
            (State::Ready, Some(devices)) => {
                let there = devices.0.iter().filter(|device| device.is_there());
                let mut milli = [0; MAX_DEVICES];
                let mut count = 0;
                for device in there {
                    milli[count] = device.milli() as u16;
                    count += 1;
                }
                Node::with_free(cpu, memory, &milli[..count], seen.model)
            }
            // A number of GPUs is so many whole devices.
            (State::Ready, None) => {
                let gpus = (free.gpus as usize).min(MAX_DEVICES);
                Node::with_free(cpu, memory, &[WHOLE; MAX_DEVICES][..gpus], seen.model)
            }
            _ => None,
        };
        let node = node.unwrap_or(Node::ABSENT);
        if node != Node::ABSENT {
            self.make_room(slot as usize);
        }
        match moved {
            true => self.placer.touch(slot as usize, node),
            false => self.placer.update(slot as usize, node),
        }
    }

    /// Room for this slot in the mirror, and for more than one, since what is kept of each is made anew.
    fn make_room(&mut self, slot: usize) {
        let known = self.placer.nodes().len();
        if slot >= known {
            self.placer.grow((slot + 1).max(known * 5 / 4));
        }
    }

    fn model_of(&mut self, shared: &Shared, slot: u32) -> u8 {
        let facts = shared.facts(slot);
        let Some(facts) = facts.as_ref().and_then(|facts| facts.as_ref()) else { return 0 };
        let (gpu_type, next) = (facts.gpu_type(), self.models.len());
        let model = match self.models.get(&gpu_type.cloned()) {
            Some(&model) => model,
            None if next < MAX_MODELS => {
                self.models.insert(gpu_type.cloned(), next as u8);
                next as u8
            }
            None => MAX_MODELS as u8 - 1,
        };
        if facts.has_gpus() {
            self.with_gpus = self.with_gpus.with(model);
        }
        model
    }

    /// The scope of a selector, with what it does not know yet looked up.
    fn scope(&mut self, shared: &Shared, eligible: &Eligible<'_>, gpus: bool) -> &mut Scope {
        let key = (eligible.selector, gpus);
        if self.scopes.len() >= SCOPES && !self.scopes.contains_key(&key) {
            // Any will do: they come back at the cost of one look at all workers.
            self.scopes.clear();
        }
        let slots = self.seen.len();
        let scope = self.scopes.entry(key).or_insert_with(|| Scope {
            of: vec![UNKNOWN; slots],
            ranks: Vec::new(),
            unknown: (0..slots as u32).collect(),
            models: ModelSet::NONE,
        });
        let mut later = Vec::new();
        for slot in scope.unknown.drain(..) {
            scope.of[slot as usize] = NO_RANK;
            let facts = shared.facts(slot);
            let Some(facts) = facts.as_ref().and_then(|facts| facts.as_ref()) else { continue };
            let seen = &self.seen[slot as usize];
            if Some(facts.stamp) != seen.stamp {
                // On its way to another class.
                later.push(slot);
                continue;
            }
            let Ok(rank) = eligible.view.rank(facts, gpus) else { continue };
            scope.models = scope.models.with(seen.model);
            let known = scope.ranks.iter().position(|ranked| ranked.rank == rank);
            let at = known.unwrap_or(scope.ranks.len());
            if at == RANKS {
                continue;
            }
            if known.is_none() {
                self.numbers += 1;
                scope.ranks.push(Ranked { rank, number: self.numbers });
            }
            scope.of[slot as usize] = at as u16;
        }
        for slot in later {
            self.seen[slot as usize] = Seen::never();
        }
        scope
    }

    /// What the pure policy sees of a request; none where it asks for more than that knows.
    pub(super) fn shape(
        &mut self,
        shared: &Shared,
        query: &Query,
        eligible: &Eligible<'_>,
    ) -> Option<Shape> {
        let with_gpus = self.with_gpus;
        let scope = self.scope(shared, eligible, query.need.gpus > 0);
        let models = if scope.models.holds(with_gpus) { ModelSet::ANY } else { scope.models };
        let (gpus, milli) = match &query.devices {
            Some(devices) => (devices.count.into(), devices.milli.into()),
            None => (query.need.gpus, WHOLE.into()),
        };
        Shape::new(query.need.cpu, query.need.memory, gpus, milli, models).ok()
    }

    /// A request came.
    pub(super) fn arrive(&mut self, shape: &Shape) {
        self.placer.arrive(shape);
    }

    /// The worker, and the devices, for a request among those of a rank: one that has room for it now, as
    /// `fits` says of what is in its slot.
    pub(super) fn propose(
        &mut self,
        shared: &Shared,
        (query, shape): (&Query, &Shape),
        eligible: &Eligible<'_>,
        fits: &dyn Fn(&Candidate) -> bool,
    ) -> Option<Candidate> {
        for _ in 0..PROPOSALS {
            let gpus = query.need.gpus > 0;
            let scope = self.scope(shared, eligible, gpus);
            let at = scope.ranks.iter().position(|ranked| ranked.rank == eligible.rank)?;
            let number = scope.ranks[at].number;
            let Planner { placer, seen, scopes, .. } = self;
            let of = &scopes[&(eligible.selector, gpus)].of;
            let (looks, found) = (Cell::new(0), Cell::new(None));
            let changed: RefCell<Vec<u32>> = RefCell::default();
            let accept = |slot: usize| {
                looks.set(looks.get() + 1);
                if looks.get() > LOOKS {
                    return true;
                }
                let Some(there) = shared.table.get(slot as u32) else { return false };
                let word = there.word();
                let stamp = there.stamp();
                if (word, Some(stamp)) != (seen[slot].word, seen[slot].stamp) {
                    changed.borrow_mut().push(slot as u32);
                    return false;
                }
                let candidate = Candidate::new(slot as u32, stamp, word);
                let good = word.state().takes(query.ahead) && fits(&candidate);
                if good {
                    found.set(Some(candidate));
                }
                good
            };
            let member = |slot: usize| of.get(slot) == Some(&(at as u16));
            let among = Among { number, member: Some(&member), accept: &accept };
            let choice = placer.choose_among(shape, query.hash, &among);
            let changed = changed.into_inner();
            if changed.is_empty() || looks.get() > LOOKS {
                let choice = choice.filter(|_| looks.get() <= LOOKS)?;
                return Some(Candidate { devices: choice.devices, ..found.get()? });
            }
            // Somebody else was there meanwhile.
            changed.into_iter().for_each(|slot| self.look(shared, slot));
        }
        None
    }
}

impl Scope {
    /// A slot is another worker, or of another class.
    fn forget(&mut self, slot: u32) {
        // Once, also where the selector is not asked for again.
        if core::mem::replace(&mut self.of[slot as usize], UNKNOWN) != UNKNOWN {
            self.unknown.push(slot);
        }
    }
}
