//! Steps for a named worker, done as one change or not at all: the form in which a host that keeps
//! its own order of work hands over what it has decided.

use super::local::Local;
use super::reserve::{Drafted, check_need, worker_of};
use super::{
    Engine, Group, GroupDone, GroupError, GroupOp, Refusal, ReleaseError, Released, Reservation,
    ReserveError,
};
use crate::ledger::{Draft, Holding, Sighting, Ticket};
use crate::placement::Resources;
use crate::registry::WorkerRef;
use crate::slots::{Change, Fence, Refused};
use crate::sync::{Bug, bug};

type Outcome = Result<GroupDone, GroupError>;

/// A step on its way.
enum Step {
    /// Decided: held already, or what is wrong with it.
    Settled(Outcome),
    Take(Draft, Resources),
    Give(Ticket, Holding),
}

impl Engine {
    /// Does each group's steps as one change of its worker, and each group by itself: either all
    /// of its steps are done and the worker's version has risen by their number, or none is and
    /// the worker is as it was. Releases count before reservations. One list of results a group,
    /// in order. No selector applies, only the worker's state and what is free. Allocates the
    /// results; no lock.
    ///
    /// A reservation that a group may give back is held until it has been; others who ask for it
    /// meanwhile are told `InFlight`. A group may give an id back and reserve it anew.
    ///
    /// A worker that is removed while its group is being done takes along what was held: releases
    /// are then done all the same, with no version, and reservations are not
    /// ([`ReserveError::UnknownWorker`]).
    pub fn apply_groups(&self, groups: &[Group<'_>]) -> Vec<Vec<Result<GroupDone, GroupError>>> {
        let local = self.local();
        groups.iter().map(|group| self.apply_group(local, group)).collect()
    }

    fn apply_group(&self, local: &Local, group: &Group<'_>) -> Vec<Outcome> {
        let worker = self.find_worker(group.worker);
        let mut steps = Vec::with_capacity(group.ops.len());
        while steps.len() < group.ops.len() {
            let step = self.prepare(local, worker, group.ops, &steps);
            steps.push(step.unwrap_or_else(|error| Step::Settled(Err(error))));
        }
        let wrong = steps.iter().position(|step| matches!(step, Step::Settled(Err(_))));
        let changed = match (wrong, worker) {
            (None, Some(worker)) => self.change_by(local, worker, &steps),
            (None, None) => Ok(0),
            (Some(at), _) => Err((at, None)),
        };
        match changed {
            Ok(version) => self.complete(local, worker, steps, version),
            Err((at, error)) => self.undo(local, worker, steps, at, error),
        }
    }

    /// Everything about the next step that can be refused before the worker is changed.
    fn prepare(
        &self,
        local: &Local,
        worker: Option<WorkerRef>,
        ops: &[GroupOp<'_>],
        before: &[Step],
    ) -> Result<Step, GroupError> {
        let given =
            |index| before.iter().any(|s| matches!(s, Step::Give(t, _) if t.index() == index));
        let release = |ticket: Ticket| {
            let worker = worker.ok_or(ReleaseError::NotHeld)?;
            if before.iter().any(|s| matches!(s, Step::Give(t, _) if *t == ticket)) {
                return Err(ReleaseError::NotHeld);
            }
            // Looked at first, so that one that is elsewhere is left alone.
            if let Some(Sighting::Live(_, holding)) = self.ledger.look(ticket)
                && (holding.slot, holding.incarnation) != (worker.index, worker.incarnation)
            {
                return Err(ReleaseError::OtherWorker);
            }
            let holding = self.ledger.pledge(ticket)?;
            // It was handed off in between, or another thread was at work on it when it was looked at.
            let there = worker_of(&holding);
            if there == worker || bug(Bug::GroupIgnoresHandOff) {
                return Ok(Step::Give(ticket, holding));
            }
            if self.ledger.unpledge(ticket, holding.provisional, || self.gone(there)) {
                return Err(ReleaseError::OtherWorker);
            }
            // Its worker was removed while it was pledged, and the removal has passed it by: it ends
            // here, and is told of here.
            Ok(Step::Settled(Ok(self.end_without_worker(local, there, ticket, &holding))))
        };
        match &ops[before.len()] {
            GroupOp::Release(ticket) => release(*ticket).map_err(GroupError::Release),
            GroupOp::ReleaseId(id) => {
                self.ticket_of(id).and_then(release).map_err(GroupError::Release)
            }
            GroupOp::Reserve { id, need } => {
                let twice = !id.is_empty()
                    && ops.iter().zip(before).any(|(op, step)| {
                        let named = matches!(op, GroupOp::Reserve { id: i, .. } if i == id);
                        named && !matches!(step, Step::Settled(Err(_)))
                    });
                let reserve = || {
                    if id.len() > crate::MAX_ID_LEN {
                        return Err(ReserveError::IdLength { length: id.len() });
                    }
                    let need = check_need(need)?;
                    if need.is_zero() {
                        return Err(ReserveError::Empty);
                    }
                    worker.ok_or(ReserveError::UnknownWorker)?;
                    let hash = if id.is_empty() { 0 } else { seahash::hash(id) };
                    if twice {
                        return Err(ReserveError::DuplicateId);
                    }
                    Ok(match self.draft(local, id, hash, |_| false, given)? {
                        Drafted::Mine(draft) => Step::Take(draft, need),
                        Drafted::Held(held) => Step::Settled(Ok(GroupDone::Reserved(held))),
                    })
                };
                reserve().map_err(GroupError::Reserve)
            }
        }
    }

    /// The one change. Returns the version before its first step, or which step is to blame.
    fn change_by(
        &self,
        local: &Local,
        worker: WorkerRef,
        steps: &[Step],
    ) -> Result<u64, (usize, Option<ReserveError>)> {
        let (mut give, mut take) = (Resources::ZERO, Resources::ZERO);
        let mut count = 0;
        let mut add = |sum: &mut Resources, amount: &Resources| {
            sum.cpu += amount.cpu;
            sum.memory += amount.memory;
            sum.gpus += amount.gpus;
            count += 1;
        };
        for step in steps {
            match step {
                Step::Settled(_) => {}
                Step::Take(draft, need) => {
                    self.ledger.aim(*draft, worker.index, worker.incarnation, need);
                    add(&mut take, need);
                }
                Step::Give(_, holding) => add(&mut give, &holding.amount),
            }
        }
        if count == 0 {
            return Ok(0);
        }
        let fence = Fence::Incarnation(worker.incarnation);
        let change =
            Change { fence, give, take, count, ahead: false, expected: None, devices: None };
        let slot = self.registry.shared.table.get(worker.index);
        let slot = slot.ok_or((0, Some(ReserveError::UnknownWorker)))?;
        let mut retries = 0;
        let changed = slot.change(&change, &mut retries);
        local.counters.cas_retries.add(retries);
        let refused = match changed {
            Ok(changed) => {
                self.registry.shared.blocks.freed(slot, changed.before, changed.after);
                return Ok(changed.version() - count);
            }
            Err(refused) => refused,
        };
        // The first reservation that has no room behind those before it is to blame.
        let word = slot.word();
        let mut free = word.free().plus(&give);
        let mut takes = steps.iter().enumerate().filter_map(|(at, step)| match step {
            Step::Take(_, need) => Some((at, *need)),
            _ => None,
        });
        let first = takes.clone().next();
        let short = takes.find(|(_, need)| {
            let fits = free.fits(need);
            free = free.minus(need);
            !fits
        });
        let (at, need) = match refused {
            Refused::Short => short.or(first),
            _ => first,
        }
        .unwrap_or((0, Resources::ZERO));
        let left = free.plus(&need);
        let error = match refused {
            Refused::Stale | Refused::Version(_) => ReserveError::UnknownWorker,
            Refused::Contended => ReserveError::Contended,
            Refused::Short if word.page() != 0 && need.gpus > 0 => {
                Refusal::of_one_not_matching().into()
            }
            Refused::State | Refused::Short => {
                Refusal::of_one(&left, &slot.capacity(), &need, refused).into()
            }
        };
        Err((at, Some(error)))
    }

    fn complete(
        &self,
        local: &Local,
        worker: Option<WorkerRef>,
        steps: Vec<Step>,
        mut version: u64,
    ) -> Vec<Outcome> {
        let finish = |step| {
            let Some(worker) = worker else { return settled(step) };
            match step {
                Step::Settled(outcome) => outcome,
                Step::Take(draft, _) => {
                    version += 1;
                    let result = if self.ledger.publish(draft, version, || self.gone(worker)) {
                        let ticket = draft.ticket();
                        let (existing, provisional) = (false, false);
                        Ok(Reservation { ticket, worker, version, existing, provisional })
                    } else {
                        // Removed in between; what was taken went with the worker.
                        self.ledger.discard(&local.magazine, draft);
                        Err(ReserveError::UnknownWorker)
                    };
                    local.counters.note(&result);
                    result.map(GroupDone::Reserved).map_err(GroupError::Reserve)
                }
                Step::Give(ticket, holding) => {
                    version += 1;
                    self.finish_with_devices(local, ticket, &holding);
                    let amount = holding.amount;
                    Ok(GroupDone::Released(Released { worker, amount, version: Some(version) }))
                }
            }
        };
        steps.into_iter().map(finish).collect()
    }

    /// Ends a pledged reservation whose worker is gone.
    fn end_without_worker(
        &self,
        local: &Local,
        worker: WorkerRef,
        ticket: Ticket,
        holding: &Holding,
    ) -> GroupDone {
        self.finish(local, ticket, holding);
        GroupDone::Released(Released { worker, amount: holding.amount, version: None })
    }

    /// Puts everything back. `error`: what step `at` failed of, where that is not said yet.
    fn undo(
        &self,
        local: &Local,
        worker: Option<WorkerRef>,
        steps: Vec<Step>,
        at: usize,
        error: Option<ReserveError>,
    ) -> Vec<Outcome> {
        let index = at as u32;
        let put_back = |(i, step)| match step {
            // It has ended, whatever becomes of the group.
            Step::Settled(Ok(done @ GroupDone::Released(_))) => Ok(done),
            // What the id held before the group came, it still holds.
            Step::Settled(Ok(_)) => Err(GroupError::Reserve(ReserveError::Peer { index })),
            Step::Settled(outcome) => outcome,
            Step::Take(draft, _) => {
                self.ledger.discard(&local.magazine, draft);
                let error = error.filter(|_| i == at).unwrap_or(ReserveError::Peer { index });
                let result = Err(error);
                local.counters.note(&result);
                result.map(GroupDone::Reserved).map_err(GroupError::Reserve)
            }
            Step::Give(ticket, holding) => {
                let worker = worker.expect("nothing is pledged without a worker");
                if self.ledger.unpledge(ticket, holding.provisional, || self.gone(worker)) {
                    return Err(GroupError::Release(ReleaseError::Peer { index }));
                }
                // The worker went away under the group while it was pledged: it ends here.
                Ok(self.end_without_worker(local, worker, ticket, &holding))
            }
        };
        steps.into_iter().enumerate().map(put_back).collect()
    }
}

fn settled(step: Step) -> Outcome {
    match step {
        Step::Settled(outcome) => outcome,
        Step::Take(..) | Step::Give(..) => unreachable!("no step is prepared without a worker"),
    }
}
