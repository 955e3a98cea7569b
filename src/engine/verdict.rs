//! Why a request was not placed, and whether waiting helps.

use super::local::Local;
use super::reserve::Checked;
use super::select::{Candidate, Planned, Query, registered};
use super::{Engine, Outlook, Reasons, Refusal, Verdict};
use crate::placement::{Dimension, Free, Resources};
use crate::registry::{Shared, Tier};
use crate::slots::{Occupant, Refused, State, Wide};

/// The tally of matching workers that did not take a request.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) reasons: Reasons,
    matching: u32,
    /// Matching workers that are too small in each dimension, when empty.
    too_small: [u32; 3],
    /// One that could hold it when empty.
    pub(super) could: bool,
    /// One on its way has room for it.
    coming: bool,
}

impl Tally {
    fn add(
        &mut self,
        free: &Free,
        capacity: &Resources,
        need: &Resources,
        takes: bool,
        barred: bool,
    ) {
        self.matching += 1;
        for d in Dimension::ALL {
            self.too_small[d as usize] += (need.get(d) > capacity.get(d)) as u32;
        }
        match free.first_short(need) {
            _ if !takes => self.reasons.not_ready += 1,
            Some(Dimension::Cpu) => self.reasons.cpu += 1,
            Some(Dimension::Memory) => self.reasons.memory += 1,
            Some(Dimension::Gpus) => self.reasons.gpus += 1,
            None if barred => self.reasons.spread += 1,
            // It has been freed since the walk came by: the walk's answer stands.
            None => {}
        }
    }

    /// The same of a worker that was looked at in this state.
    pub(super) fn add_in(
        &mut self,
        state: State,
        free: &Free,
        capacity: &Resources,
        query: &Query,
        barred: bool,
    ) {
        self.add(free, capacity, &query.need, state.takes(query.ahead), barred);
        self.coming |= state == State::Pending && free.fits(&query.need) && !barred;
    }

    pub(super) fn refusal(self) -> Refusal {
        let r = self.reasons;
        let (verdict, blocking) = if self.could {
            let short = [r.cpu, r.memory, r.gpus];
            let most = Dimension::ALL.into_iter().max_by_key(|&d| (short[d as usize], 2 - d as u8));
            (Verdict::Busy, most.filter(|&d| short[d as usize] > 0))
        } else {
            let to_blame = |d: &Dimension| self.too_small[*d as usize] == self.matching;
            let mut to_blame = Dimension::ALL.into_iter().filter(to_blame);
            let first = to_blame.next();
            (Verdict::Never, first.filter(|_| self.matching > 0 && to_blame.next().is_none()))
        };
        let outlook = if self.coming { Outlook::Wait } else { Outlook::Start };
        Refusal { verdict, blocking, reasons: r, outlook }
    }
}

/// The capacities of a selector's workers, less those that are no larger than another in any
/// dimension: a few, as there are a few kinds of machines.
#[derive(Debug, Default)]
pub(super) struct Largest(Vec<Resources>);

impl Largest {
    fn of(shared: &Shared, tiers: &[Tier]) -> Largest {
        let mut largest = Largest::default();
        tiers.iter().for_each(|tier| tier.each(&shared.blocks, |o| largest.look(shared, o)));
        largest
    }

    fn look(&mut self, shared: &Shared, occupant: Occupant) {
        let Some(slot) = shared.table.get(occupant.slot) else { return };
        // Of a moving worker, either place counts: it could hold the request all the while.
        if registered(slot.word()) {
            let capacity = slot.capacity();
            if !self.0.iter().any(|other| capacity.fits_in(other)) {
                self.0.retain(|other| !other.fits_in(&capacity));
                self.0.push(capacity);
            }
        }
    }

    /// As [`Tally::refusal`], of a request that was refused.
    fn refusal(&self, need: &Resources) -> Refusal {
        let refusal = |verdict, blocking| {
            let (reasons, outlook) = (Reasons::default(), Outlook::Unknown);
            Refusal { verdict, blocking, reasons, outlook }
        };
        if self.0.iter().any(|capacity| need.fits_in(capacity)) {
            return refusal(Verdict::Busy, None);
        }
        let too_large = |d: &Dimension| self.0.iter().all(|c| need.get(*d) > c.get(*d));
        let mut to_blame = Dimension::ALL.into_iter().filter(too_large);
        let first = to_blame.next().filter(|_| !self.0.is_empty() && to_blame.next().is_none());
        refusal(Verdict::Never, first)
    }
}

impl Engine {
    /// What to say of a request that no worker of these tiers took, beside what is planned.
    #[cold]
    pub(super) fn refusal<P: Planned>(
        &self,
        local: &Local,
        tiers: &[Tier],
        checked: &Checked,
        planned: &P,
    ) -> Refusal {
        let shared = &self.registry.shared;
        if self.config.count_reasons {
            return count(shared, tiers, &checked.query, planned);
        }
        if planned.changes_workers() || planned.is_more_than_amounts() {
            // What is kept is the capacities of the workers that there are.
            return count(shared, tiers, &checked.query, planned).without_counts();
        }
        // Read first: what is kept is at least as new.
        let changes = shared.changes.get();
        let of = (checked.selector, checked.query.need.gpus > 0);
        let look_up = || Largest::of(shared, tiers);
        local.with_largest(changes, of, look_up, |largest| largest.refusal(&checked.query.need))
    }
}

/// Looks at each worker of these tiers once.
fn count<P: Planned>(shared: &Shared, tiers: &[Tier], query: &Query, planned: &P) -> Refusal {
    let mut tally = Tally::default();
    for tier in tiers {
        tier.each(&shared.blocks, |occupant| {
            if let Some(slot) = shared.table.get(occupant.slot) {
                let word = slot.word();
                let stamp = slot.stamp();
                let candidate = Candidate::new(occupant.slot, stamp, word);
                if !registered(word) || planned.gone(candidate.worker()) {
                    return;
                }
                // Of a moving worker, either place says that it could hold the request.
                let capacity = planned.most(occupant.slot, slot.capacity());
                tally.could |= query.need.fits_in(&capacity);
                if stamp.epoch == occupant.epoch {
                    let (free, barred) = (planned.free(&candidate, slot), planned.bars(&candidate));
                    tally.add_in(word.state(), &free, &capacity, query, barred);
                }
            }
        });
    }
    planned.beside(&mut |state, free, capacity, barred| {
        tally.could |= query.need.fits_in(capacity);
        tally.add_in(state, free, capacity, query, barred);
    });
    let all = planned.workers(shared.workers.get() as u32);
    tally.reasons.not_matching = all.saturating_sub(tally.matching);
    tally.refusal()
}

impl Refusal {
    /// As it is told without counts.
    fn without_counts(self) -> Refusal {
        let blocking = self.blocking.filter(|_| self.verdict == Verdict::Never);
        let (reasons, outlook) = (Reasons::default(), Outlook::Unknown);
        Refusal { verdict: self.verdict, blocking, reasons, outlook }
    }

    /// A named worker that does not suit the request.
    pub(super) fn of_one_not_matching() -> Refusal {
        let reasons = Reasons { not_matching: 1, ..Reasons::default() };
        let (verdict, outlook) = (Verdict::Never, Outlook::Unknown);
        Refusal { verdict, blocking: None, reasons, outlook }
    }

    /// A named worker that suits the request and did not take it.
    pub(super) fn of_one(
        free: &Free,
        capacity: &Resources,
        need: &Resources,
        refused: Refused<Wide>,
    ) -> Refusal {
        let mut tally = Tally { could: need.fits_in(capacity), ..Tally::default() };
        tally.add(free, capacity, need, refused != Refused::State, false);
        Refusal { outlook: Outlook::Unknown, ..tally.refusal() }
    }

    /// A named worker where as many of the request's group are as may be.
    pub(super) fn of_one_at_its_limit() -> Refusal {
        let reasons = Reasons { spread: 1, ..Reasons::default() };
        Refusal { verdict: Verdict::Busy, blocking: None, reasons, outlook: Outlook::Unknown }
    }
}
