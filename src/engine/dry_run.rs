//! What a batch would do, if some reservations were gone, without doing it.
//!
//! 1. What is credited is looked up: what its reservations hold counts as free on their workers.
//! 2. Every request is checked, and its id looked up, as a batch does.
//! 3. Each is placed in order on the workers as they are, with what is credited and less what the
//!    requests before it would take: by the very search that a batch uses, which asks for what is
//!    free through [`super::select::Planned`].
//!
//! Hints do not know what is credited, and would hide a worker that has room only with it: where
//! anything is credited, the search goes by places alone, in the same order. What is planned leaves
//! hints as they are; one that led to a worker that is full indeed may be lowered, as by anybody.

use std::collections::{HashMap, HashSet};

use crossbeam_utils::Backoff;

use super::branch::{Place, Supposed};
use super::local::Local;
use super::reserve::{Checked, LOOKS, worker_of};
use super::select::Candidate;
use super::{BatchMode, Engine, Foreseen, Request, ReserveError, SupposeError, Supposition, Terms};
use crate::ledger::{Ledger, Sighting, Ticket};
use crate::placement::{Devices, Dimension, Free};
use crate::registry::WorkerRef;
use crate::slots::{Pool, Slot, Wide, Word};

/// How often a worker that is credited is read again because it has changed meanwhile.
const TRIES: u32 = 1_000;

/// What is held and supposed to be gone.
pub(super) struct Credits<'a> {
    ledger: &'a Ledger,
    tickets: HashSet<Ticket>,
    on: HashMap<WorkerRef, Vec<Ticket>>,
}

impl<'a> Credits<'a> {
    /// A ticket that holds nothing adds nothing, nor does one that was there before.
    pub(super) fn of(ledger: &'a Ledger, credited: &[Ticket]) -> Credits<'a> {
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

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.tickets.contains(&ticket)
    }

    /// Nothing is credited.
    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    /// What would be free on a worker; with its pool, also of devices, as of a version.
    ///
    /// Races with a release or a resize of what is credited: it must not count as free and as
    /// credited too, nor as neither. As in an audit, the word is read, then the records, then the
    /// word again; if it has not changed and no record was half-way, both are of one instant. A
    /// worker that does not come to rest is not waited for; no more is ever free than it can hold.
    pub(super) fn free(
        &self,
        at: &Candidate,
        slot: &Slot,
        pool: Option<&Pool>,
    ) -> (Free, Option<(u64, Devices)>) {
        let look = |word| match pool {
            Some(pool) => slot.devices(pool),
            None => (word, None),
        };
        let (mut word, mut devices) = look(at.word);
        let as_of = |word: Word<Wide>, devices: Option<_>| devices.map(|d| (word.version(), d));
        let Some(tickets) = self.on.get(&at.worker()) else {
            return (word.free(), as_of(word, devices));
        };
        let mut free = word.free();
        for _ in 0..TRIES {
            free = word.free();
            let mut settled = true;
            for &ticket in tickets {
                let held = match self.ledger.look(ticket) {
                    Some(Sighting::Live(_, held)) => held,
                    Some(Sighting::Pledged(_, held)) => {
                        settled = false;
                        held
                    }
                    Some(Sighting::Between(..)) => {
                        settled = false;
                        continue;
                    }
                    // Given back: free already.
                    None => continue,
                };
                free = free.plus(&held.amount);
                if let Some((pool, devices)) = pool.zip(devices.as_mut()).filter(|_| held.rides) {
                    match self.ledger.look_granted(ticket) {
                        Some(Some(held)) => *devices = devices.plus_within(&held, &pool.all()),
                        Some(None) => {}
                        None => settled = false,
                    }
                }
            }
            let now = slot.word();
            if settled && now == word {
                break;
            }
            (word, devices) = look(now);
        }
        let most = Free::from(slot.capacity());
        let [cpu, memory, mut gpus] = Dimension::ALL.map(|d| free.get(d).min(most.get(d)));
        if let Some(devices) = &devices {
            gpus = devices.digest() as i64;
        }
        (Free { cpu, memory, gpus }, as_of(word, devices))
    }
}

/// What a request that is right comes to.
#[derive(Clone, Copy)]
enum Due<'a> {
    Held(Foreseen),
    Place(Checked, Option<&'a Terms<'a>>),
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
        let supposing = Supposition { credited, ..Supposition::default() };
        let done = self.dry_run_with(requests, &supposing, mode, results);
        debug_assert_eq!(done, Ok(()), "no worker is supposed that could be wrong");
    }

    /// As [`Engine::dry_run`], on another branch of the state: with reservations given back, workers
    /// removed and workers registered. Changes nothing.
    ///
    /// The requests are placed as if the workers of [`Supposition::with`] had been registered after all
    /// others. Rank decides first, as for registered ones. Among equals, first fit takes a registered
    /// worker first; tightest fit and spread go by score, and where that is equal, a registered worker
    /// is first; then the order of the list decides. Where an affinity key or power of two choices
    /// would lead once they were registered is not foreseen: registered workers of equal rank come
    /// first, in the order in which they stand today. Whether there is room in the table of workers is
    /// not foreseen either.
    ///
    /// Refusals count the workers that are supposed to be there, and no others.
    ///
    /// # Errors
    /// A worker of `with` that could not be registered: `results` is empty then, and nothing was
    /// looked at. Its id may be that of a worker in `without`.
    ///
    /// No lock, but for constraints that are new; allocates. For each request also O(with).
    pub fn dry_run_with(
        &self,
        requests: &[Request<'_>],
        supposing: &Supposition<'_>,
        mode: BatchMode,
        results: &mut Vec<Result<Foreseen, ReserveError>>,
    ) -> Result<(), SupposeError> {
        results.clear();
        let local = self.local();
        let mut supposed = self.suppose(supposing)?;
        let due = self.check_all(local, requests, &supposed, mode);
        match mode {
            BatchMode::Independent => {
                let due = due.into_iter();
                results.extend(due.map(|one| self.foresee(local, &one?, &mut supposed)));
            }
            BatchMode::AllOrNothing => self.foresee_gang(local, due, &mut supposed, results),
        }
        Ok(())
    }

    /// How many of `n` copies of this request would be placed one after another, each anonymous, on
    /// that branch of the state. Changes nothing.
    ///
    /// # Errors
    /// A worker that could not be registered, or a request that cannot be right; being refused is
    /// none.
    ///
    /// As expensive as a dry run of the copies that are placed, and one more.
    pub fn replicas(
        &self,
        request: &Request<'_>,
        n: u32,
        supposing: &Supposition<'_>,
    ) -> Result<u32, SupposeError> {
        let local = self.local();
        let mut supposed = self.suppose(supposing)?;
        let copy = Request { id: b"", ..*request };
        let checked = self.check(local, &copy).map_err(SupposeError::Request)?;
        let due = Due::Place(checked, copy.terms);
        // The first that is refused says how it goes for the others.
        let placed = (0..n).take_while(|_| self.foresee(local, &due, &mut supposed).is_ok());
        Ok(placed.count() as u32)
    }

    /// Step 2. An id that stands twice is a fault of the second. In a gang it is one only if the
    /// first was right: if not, the gang is refused anyway, and the second is its peer.
    fn check_all<'a>(
        &self,
        local: &Local,
        requests: &[Request<'a>],
        supposed: &Supposed<'_>,
        mode: BatchMode,
    ) -> Vec<Result<Due<'a>, ReserveError>> {
        let mut ids: HashSet<&'a [u8]> = HashSet::new();
        let all = requests.iter().map(|request| {
            let due = self.check_one(local, request, &ids, supposed);
            if !request.id.is_empty() && (due.is_ok() || mode == BatchMode::Independent) {
                ids.insert(request.id);
            }
            due
        });
        all.collect()
    }

    fn check_one<'a>(
        &self,
        local: &Local,
        request: &Request<'a>,
        ids: &HashSet<&[u8]>,
        supposed: &Supposed<'_>,
    ) -> Result<Due<'a>, ReserveError> {
        let checked = self.check(local, request)?;
        if ids.contains(request.id) {
            return Err(ReserveError::DuplicateId);
        }
        let held = self.held_by(request.id, checked.id_hash, supposed)?;
        Ok(held.map_or(Due::Place(checked, request.terms), Due::Held))
    }

    /// What an id holds now, for who only looks.
    pub(super) fn held_now(
        &self,
        id: &[u8],
        id_hash: u64,
    ) -> Result<Option<Foreseen>, ReserveError> {
        self.held_by(id, id_hash, &Supposed::nothing(self))
    }

    /// What an id holds, but for what is supposed to be gone.
    fn held_by(
        &self,
        id: &[u8],
        id_hash: u64,
        supposed: &Supposed<'_>,
    ) -> Result<Option<Foreseen>, ReserveError> {
        if id.is_empty() {
            return Ok(None);
        }
        let backoff = Backoff::new();
        for _ in 0..LOOKS {
            match self.ledger.find(id, id_hash) {
                None => return Ok(None),
                Some(
                    Sighting::Live(ticket, held)
                    | Sighting::Pledged(ticket, held)
                    | Sighting::Between(ticket, held),
                ) if supposed.credits.tickets.contains(&ticket)
                    || supposed.is_without(worker_of(&held)) =>
                {
                    return Ok(None);
                }
                Some(Sighting::Live(ticket, holding)) => {
                    let worker = worker_of(&holding);
                    // If the worker is gone, so is the reservation, this moment.
                    let version = self.snapshot(worker).map_or(holding.version, |now| now.version);
                    return Ok(Some(Foreseen {
                        worker,
                        version,
                        existing: Some(ticket),
                        added: None,
                    }));
                }
                // About to be decided, as for a request.
                Some(Sighting::Pledged(..) | Sighting::Between(..)) => backoff.spin(),
            }
        }
        Err(ReserveError::InFlight)
    }

    /// Step 3 for one request.
    fn foresee(&self, local: &Local, due: &Due<'_>, supposed: &mut Supposed<'_>) -> Outcome {
        let (checked, terms) = match due {
            Due::Held(held) => return Ok(*held),
            Due::Place(checked, terms) => (checked, terms.copied().unwrap_or_default()),
        };
        supposed.come_under(&terms, &checked.query)?;
        let found = self.choose_on(local, checked, supposed)?;
        supposed.take(found, &checked.query);
        supposed.note_terms(&terms, &checked.query.charge(), found);
        let (worker, version, added) = match found {
            Place::Registered(found) => (found.worker(), found.word.version(), None),
            Place::Added(index) => (WorkerRef { index: u32::MAX, incarnation: 0 }, 0, Some(index)),
        };
        Ok(Foreseen { worker, version, existing: None, added })
    }

    /// All or none: the first that fails says why, the others name it as their peer.
    fn foresee_gang(
        &self,
        local: &Local,
        due: Vec<Result<Due<'_>, ReserveError>>,
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
