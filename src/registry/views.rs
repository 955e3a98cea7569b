//! Views: what a selector sees, tier by tier, ready for a probe.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classes::ClassTraits;
use super::{Constraints, Name};
use crate::placement::{Mismatch, Rank, Resources, Wanted, order};
use crate::slots::{Blocks, Columns, Find, Occupant, Ring, Stamp};

/// Workers of equal rank.
#[derive(Clone)]
pub(crate) enum Tier {
    /// Those of whole classes; grows in place.
    Ring(Arc<Ring>),
    /// A few, looked up by machine or label.
    List(Arc<[Occupant]>),
}

/// Where one stands who was looked up: in no block, so that no hint leads there.
pub(crate) const NOWHERE: u32 = u32::MAX;

impl Tier {
    /// Whoever may fit a request, in order from where `hash` points and round to there, until
    /// `visit` returns something.
    #[inline]
    pub(crate) fn search<R>(
        &self,
        blocks: &Blocks,
        columns: Columns,
        hash: u64,
        mut visit: impl FnMut(Find) -> Option<R>,
    ) -> Option<R> {
        match self {
            Tier::Ring(ring) => ring.search(blocks, columns, hash, visit),
            Tier::List(list) => {
                let from = order::start(order::second(hash), list.len() as u32) as usize;
                let all = list[from..].iter().chain(&list[..from]);
                all.copied().find_map(|occupant| visit(Find { occupant, place: NOWHERE }))
            }
        }
    }

    /// Every occupant once.
    pub(crate) fn each(&self, blocks: &Blocks, visit: impl FnMut(Occupant)) {
        match self {
            Tier::Ring(ring) => ring.each(blocks, visit),
            Tier::List(list) => list.iter().copied().for_each(visit),
        }
    }

    /// The occupant of the very place that `hash` points to; see [`Ring::at`].
    #[inline(always)]
    pub(crate) fn at(&self, blocks: &Blocks, hash: u64) -> Option<Occupant> {
        match self {
            Tier::Ring(ring) => ring.at(blocks, hash),
            Tier::List(list) => {
                list.get(order::start(order::second(hash), list.len() as u32) as usize).copied()
            }
        }
    }

    /// The first occupant from there on, whether the request fits or not.
    pub(crate) fn meet(&self, blocks: &Blocks, hash: u64) -> Option<Find> {
        match self {
            Tier::Ring(ring) => ring.meet(blocks, hash),
            Tier::List(list) => {
                let at = order::start(order::second(hash), list.len() as u32) as usize;
                list.get(at).map(|&occupant| Find { occupant, place: NOWHERE })
            }
        }
    }

    /// The blocks of places as they are.
    #[cfg(all(test, not(slotwise_loom)))]
    pub(crate) fn layout(&self, blocks: &Blocks) -> Vec<Option<(u32, Vec<Option<Occupant>>)>> {
        match self {
            Tier::Ring(ring) => ring.layout(blocks),
            Tier::List(list) => vec![Some((0, list.iter().copied().map(Some).collect()))],
        }
    }
}

/// What one selector sees.
#[derive(Clone)]
pub(crate) struct View {
    /// Its tiers in order of rank, for requests without and with GPUs.
    tiers: [Box<[Tier]>; 2],
    /// The ranks of these tiers.
    ranks: [Box<[Rank]>; 2],
    /// It names GPU types, so that a request for none means one for 1.
    pub(crate) names_gpus: bool,
    /// What it wants.
    wanted: [Arc<Wanted<Name>>; 2],
    /// The same for a worker that the request names itself.
    pinned: [Arc<Wanted<Name>>; 2],
    machine: Option<Name>,
}

impl View {
    /// The tiers for a request of this size.
    #[inline]
    pub(crate) fn tiers(&self, need: &Resources) -> &[Tier] {
        &self.tiers[(need.gpus > 0) as usize]
    }

    /// The same with their ranks.
    pub(crate) fn ranked_tiers(&self, need: &Resources) -> impl Iterator<Item = (Rank, &Tier)> {
        let gpus = (need.gpus > 0) as usize;
        self.ranks[gpus].iter().copied().zip(&self.tiers[gpus])
    }

    /// The tiers, none where the selector changes what a request asks for.
    pub(crate) fn plain_tiers(&self, gpus: bool) -> &[Tier] {
        if self.names_gpus { &[] } else { &self.tiers[gpus as usize] }
    }

    /// Whether this named worker will do. A request that names its worker skips the pool rule.
    pub(crate) fn takes(&self, worker: &Facts, gpus: bool) -> bool {
        self.rank_as(&self.pinned[gpus as usize], worker).is_ok()
    }

    /// The rank of a worker, or the first rule that keeps it from a request, with GPUs or without.
    pub(crate) fn rank(&self, worker: &Facts, gpus: bool) -> Result<Rank, Mismatch> {
        self.rank_as(&self.wanted[gpus as usize], worker)
    }

    fn rank_as(&self, wanted: &Wanted<Name>, worker: &Facts) -> Result<Rank, Mismatch> {
        if self.machine.is_some() && self.machine != worker.machine {
            return Err(Mismatch::Machine);
        }
        rank(wanted, &worker.traits, &worker.own_labels)
    }
}

/// What a worker is to whoever names it: its class, and what the class does not say.
pub(crate) struct Facts {
    pub(crate) stamp: Stamp,
    pub(super) traits: Arc<ClassTraits>,
    pub(super) own_labels: Box<[(Name, Name)]>,
    pub(super) machine: Option<Name>,
}

impl Facts {
    /// The machine that it runs on.
    pub(crate) fn machine(&self) -> Option<&Name> {
        self.machine.as_ref()
    }

    /// The type of its GPUs, if it says one.
    pub(crate) fn gpu_type(&self) -> Option<&Name> {
        self.traits.gpu_type.as_ref()
    }

    /// Tells its class from others while the worker is of it.
    pub(crate) fn class(&self) -> usize {
        Arc::as_ptr(&self.traits).addr()
    }

    /// Whether it has GPUs, told apart or not.
    pub(crate) fn has_gpus(&self) -> bool {
        self.traits.gpus || self.traits.devices
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &Name) -> Option<&Name> {
        let labels = self.traits.labels.iter().chain(&self.own_labels);
        labels.into_iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }
}

/// A worker's rank, by its class and the labels that its class does not hold.
pub(super) fn rank(
    wanted: &Wanted<Name>,
    traits: &ClassTraits,
    own_labels: &[(Name, Name)],
) -> Result<Rank, Mismatch> {
    let labels = traits.labels.iter().chain(own_labels);
    wanted.rank(traits, |key| labels.clone().find(|(k, _)| k == key).map(|(_, v)| v))
}

/// Views in a page: a directory is copied by pages.
const PAGE: usize = 64;

/// All views at one time. A copy shares what has not changed.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    pages: Vec<Arc<Vec<Arc<View>>>>,
}

impl Directory {
    #[inline]
    pub(crate) fn view(&self, selector: u32) -> Option<&View> {
        let page = self.pages.get(selector as usize / PAGE)?;
        page.get(selector as usize % PAGE).map(|view| &**view)
    }

    pub(super) fn set(&mut self, selector: u32, view: View) {
        let (page, at) = (selector as usize / PAGE, selector as usize % PAGE);
        if page == self.pages.len() {
            self.pages.push(Arc::default());
        }
        let page = Arc::make_mut(&mut self.pages[page]);
        match page.get_mut(at) {
            Some(old) => *old = Arc::new(view),
            None => page.push(Arc::new(view)),
        }
    }
}

/// Where a selector's workers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// All classes that match.
    Classes,
    /// The workers on a machine.
    Machine(Name),
    /// The workers that have one of these values of a label that is looked up.
    Label(Name, Vec<Name>),
}

/// A selector as the writer keeps it.
pub(super) struct Selected {
    /// Without and with GPUs.
    pub(super) wanted: [Arc<Wanted<Name>>; 2],
    /// The same for a worker that the request names.
    pinned: [Arc<Wanted<Name>>; 2],
    pub(super) constraints: Arc<Constraints>,
    pub(super) source: Source,
    /// For [`Source::Classes`]: rank to ring, and how many holes the ring has.
    pub(super) rings: [BTreeMap<Rank, (Arc<Ring>, usize)>; 2],
}

impl Selected {
    pub(super) fn new(constraints: Arc<Constraints>, source: Source, gpu_separation: bool) -> Self {
        let c = &constraints;
        let wanted = [false, true].map(|gpus| Wanted {
            pinned: c.machine.is_some(),
            tenant: c.tenant.clone(),
            pools: c.pools.clone(),
            labels: c.labels.clone(),
            gpus,
            devices: c.devices,
            gpu_types: c.gpu_types.clone(),
            accept_preemptable: c.accept_preemptable,
            gpu_separation,
        });
        let pinned = wanted.clone().map(|w| Arc::new(Wanted { pinned: true, ..w }));
        let wanted = wanted.map(Arc::new);
        Selected { wanted, pinned, constraints, source, rings: Default::default() }
    }

    /// The view of a selector that sees whole classes.
    pub(super) fn ring_view(&self) -> View {
        self.view([0, 1].map(|gpus| {
            let tier = |(&rank, (ring, _)): (&Rank, &(Arc<Ring>, usize))| {
                (rank, Tier::Ring(Arc::clone(ring)))
            };
            self.rings[gpus].iter().map(tier).collect()
        }))
    }

    /// The view with these tiers, in the order of their ranks.
    pub(super) fn view(&self, ranked: [Vec<(Rank, Tier)>; 2]) -> View {
        let [plain, gpus] = ranked.map(|tiers| tiers.into_iter().unzip::<_, _, Vec<_>, Vec<_>>());
        View {
            ranks: [plain.0.into(), gpus.0.into()],
            tiers: [plain.1.into(), gpus.1.into()],
            names_gpus: !self.constraints.gpu_types.is_empty(),
            wanted: self.wanted.clone(),
            pinned: self.pinned.clone(),
            machine: self.constraints.machine.clone(),
        }
    }
}
