//! What a batch would do, if some reservations were gone, without doing it.
//!
//! 1. What is credited is looked up: what its reservations hold counts as free on their workers.
//! 2. Every request is checked, and its id looked up, as a batch does.
//! 3. Each is placed in order on the workers as they are, with what is credited and less what the
//!    requests before it would take: by the very search that a batch uses, which asks for what is
//!    free through [`Planned`].
//!
//! Hints do not know what is credited, and would hide a worker that has room only with it: where
//! anything is credited, the search goes by places alone, in the same order. What is planned leaves
//! hints as they are; one that led to a worker that is full indeed may be lowered, as by anybody.

use std::collections::{HashMap, HashSet};

use crossbeam_utils::Backoff;

use super::local::Local;
use super::plan::Plan;
use super::reserve::{Checked, LOOKS, worker_of};
use super::select::{Candidate, Planned};
use super::{BatchMode, Engine, Foreseen, Request, ReserveError};
use crate::ledger::{Ledger, Sighting, Ticket};
use crate::placement::{Dimension, Free, Resources};
use crate::registry::WorkerRef;
use crate::slots::{Columns, Slot};

/// How often a worker that is credited is read again because it has changed meanwhile.
const TRIES: u32 = 1_000;

/// What is supposed at a request: what is credited, and what those before it would take.
struct Supposed<'a> {
    credits: Credits<'a>,
    plan: Plan,
}

impl Planned for Supposed<'_> {
    const REAL: bool = false;

    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        self.credits.free(at, slot).minus(&self.plan.on(at.slot))
    }

    fn columns(&self, need: &Resources) -> Columns {
        if self.credits.on.is_empty() { Columns::of(need) } else { Columns::of(&Resources::ZERO) }
    }
}

/// What is held and supposed to be gone.
struct Credits<'a> {
    ledger: &'a Ledger,
    tickets: HashSet<Ticket>,
    on: HashMap<WorkerRef, Vec<Ticket>>,
}

impl<'a> Credits<'a> {
    /// A ticket that holds nothing adds nothing, nor does one that was there before.
    fn of(ledger: &'a Ledger, credited: &[Ticket]) -> Credits<'a> {
        let (tickets, on) = Default::default();
        let mut credits = Credits { ledger, tickets, on };
        for &ticket in credited {
            if let Some(Sighting::Live(_, held) | Sighting::Pledged(_, held)) = ledger.look(ticket)
                && credits.tickets.insert(ticket)
            {
                credits.on.entry(worker_of(&held)).or_default().push(ticket);
            }
        }
        credits
    }

    /// What would be free on a worker.
    ///
    /// Races with a release or a resize of what is credited: it must not count as free and as
    /// credited too, nor as neither. As in an audit, the word is read, then the records, then the
    /// word again; if it has not changed and no record was half-way, both are of one instant. A
    /// worker that does not come to rest is not waited for; no more is ever free than it can hold.
    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        let mut word = at.word;
        let Some(tickets) = self.on.get(&at.worker()) else { return word.free() };
        let mut free = word.free();
        for _ in 0..TRIES {
            let mut settled = true;
            free = word.free();
            for &ticket in tickets {
                match self.ledger.look(ticket) {
                    Some(Sighting::Live(_, held)) => free = free.plus(&held.amount),
                    Some(Sighting::Pledged(_, held)) => {
                        free = free.plus(&held.amount);
                        settled = false;
                    }
                    Some(Sighting::Between(..)) => settled = false,
                    // Given back: free already.
                    None => {}
                }
            }
            let now = slot.word();
            if settled && now == word {
                break;
            }
            word = now;
        }
        let most = Free::from(slot.capacity());
        let [cpu, memory, gpus] = Dimension::ALL.map(|d| free.get(d).min(most.get(d)));
        Free { cpu, memory, gpus }
    }
}

/// What a request that is right comes to.
#[derive(Clone, Copy)]
enum Due {
    Held(Foreseen),
    Place(Checked),
}

type Outcome = Result<Foreseen, ReserveError>;

impl Engine {
    /// What [`Engine::reserve_batch`] would do now if the reservations of these tickets were gone.
    /// Changes nothing: no version, no count, no id. `results` is cleared and gets one result a
    /// request, in order; while nothing else changes, releasing those tickets and making the batch
    /// gives the same workers, and the same refusals.
    ///
    /// A ticket that is not held credits nothing, and one that is named twice credits once. An id
    /// that is held is answered with its reservation, unless that is credited. Whether the ledger has
    /// room for the reservations is not foreseen.
    ///
    /// While other threads change things, it answers for workers as they were when it came by. If what
    /// is credited is itself changed without a pause, it may be taken for what it held just before.
    ///
    /// No lock, but for constraints that are new; allocates. Without credits, as cheap as the search
    /// of a batch; with them, hints are of no use, and a request may look at every matching worker.
    pub fn dry_run(
        &self,
        requests: &[Request<'_>],
        credited: &[Ticket],
        mode: BatchMode,
        results: &mut Vec<Result<Foreseen, ReserveError>>,
    ) {
        let local = self.local();
        let credits = Credits::of(&self.ledger, credited);
        let mut supposed = Supposed { credits, plan: Plan::default() };
        supposed.plan.reset(requests.len());
        let due = self.check_all(local, requests, &supposed.credits, mode);
        results.clear();
        match mode {
            BatchMode::Independent => {
                let due = due.into_iter();
                results.extend(due.map(|one| self.foresee(local, &one?, &mut supposed)));
            }
            BatchMode::AllOrNothing => self.foresee_gang(local, due, &mut supposed, results),
        }
    }

    /// Step 2. An id that stands twice is a fault of the second. In a gang it is one only if the
    /// first was right: if not, the gang is refused anyway, and the second is its peer.
    fn check_all<'a>(
        &self,
        local: &Local,
        requests: &[Request<'a>],
        credits: &Credits<'_>,
        mode: BatchMode,
    ) -> Vec<Result<Due, ReserveError>> {
        let mut ids: HashSet<&'a [u8]> = HashSet::new();
        let all = requests.iter().map(|request| {
            let due = self.check_one(local, request, &ids, credits);
            if !request.id.is_empty() && (due.is_ok() || mode == BatchMode::Independent) {
                ids.insert(request.id);
            }
            due
        });
        all.collect()
    }

    fn check_one(
        &self,
        local: &Local,
        request: &Request<'_>,
        ids: &HashSet<&[u8]>,
        credits: &Credits<'_>,
    ) -> Result<Due, ReserveError> {
        let checked = self.check(local, request)?;
        if ids.contains(request.id) {
            return Err(ReserveError::DuplicateId);
        }
        let held = self.held_by(request.id, checked.id_hash, credits)?;
        Ok(held.map_or(Due::Place(checked), Due::Held))
    }

    /// What an id holds now, for who only looks.
    pub(super) fn held_now(
        &self,
        id: &[u8],
        id_hash: u64,
    ) -> Result<Option<Foreseen>, ReserveError> {
        self.held_by(id, id_hash, &Credits::of(&self.ledger, &[]))
    }

    /// What an id holds, but for what is credited.
    fn held_by(
        &self,
        id: &[u8],
        id_hash: u64,
        credits: &Credits<'_>,
    ) -> Result<Option<Foreseen>, ReserveError> {
        if id.is_empty() {
            return Ok(None);
        }
        let backoff = Backoff::new();
        for _ in 0..LOOKS {
            match self.ledger.find(id, id_hash) {
                None => return Ok(None),
                Some(
                    Sighting::Live(ticket, _)
                    | Sighting::Pledged(ticket, _)
                    | Sighting::Between(ticket, _),
                ) if credits.tickets.contains(&ticket) => return Ok(None),
                Some(Sighting::Live(ticket, holding)) => {
                    let worker = worker_of(&holding);
                    // If the worker is gone, so is the reservation, this moment.
                    let version = self.snapshot(worker).map_or(holding.version, |now| now.version);
                    return Ok(Some(Foreseen { worker, version, existing: Some(ticket) }));
                }
                // About to be decided, as for a request.
                Some(Sighting::Pledged(..) | Sighting::Between(..)) => backoff.spin(),
            }
        }
        Err(ReserveError::InFlight)
    }

    /// Step 3 for one request.
    fn foresee(&self, local: &Local, due: &Due, supposed: &mut Supposed<'_>) -> Outcome {
        let checked = match due {
            Due::Held(held) => return Ok(*held),
            Due::Place(checked) => checked,
        };
        let found = self.choose(local, checked, supposed)?;
        supposed.plan.add(found, &checked.query.need, checked.query.ahead);
        Ok(Foreseen { worker: found.worker(), version: found.word.version(), existing: None })
    }

    /// All or none: the first that fails says why, the others name it as their peer.
    fn foresee_gang(
        &self,
        local: &Local,
        due: Vec<Result<Due, ReserveError>>,
        supposed: &mut Supposed<'_>,
        results: &mut Vec<Outcome>,
    ) {
        let mut failed = due.iter().position(Result::is_err);
        let peer = |at: usize| Err(ReserveError::Peer { index: at as u32 });
        for (at, one) in due.into_iter().enumerate() {
            results.push(match (one, failed) {
                (Err(error), _) => Err(error),
                (Ok(_), Some(failed)) => peer(failed),
                (Ok(one), None) => {
                    let found = self.foresee(local, &one, supposed);
                    failed = found.is_err().then_some(at);
                    found
                }
            });
        }
        if let Some(failed) = failed {
            results.iter_mut().filter(|result| result.is_ok()).for_each(|r| *r = peer(failed));
        }
    }
}
