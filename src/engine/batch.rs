//! Many requests in one call: each is placed as if they came one by one.
//!
//! Independent requests do come one by one. All or nothing is planned first; see `super::gang`.

use core::borrow::Borrow;
use core::ops::Range;

use super::devices::WithDevices;
use super::local::Local;
use super::reserve::Checked;
use super::select::{Candidate, Planned};
use super::{BatchMode, Engine, Request, Reservation, ReserveError};
use crate::ledger::Start;
use crate::placement::Policy;
use crate::slots::Need;

pub(super) type Results = Vec<Result<Reservation, ReserveError>>;

impl Engine {
    /// Reserves for many requests in one call. `results` is cleared and gets one result a request,
    /// in the caller's order; the placements are those that the same requests one by one would
    /// get.
    ///
    /// A batch that is [`BatchMode::AllOrNothing`] and does not fit leaves every worker as it was:
    /// the request that failed says why, the others name it as their peer, also one whose id is
    /// held from before (and stays so).
    ///
    /// No lock; no allocation once the thread has done a batch of this size, but for limits on groups in
    /// an all-or-nothing one.
    pub fn reserve_batch(
        &self,
        requests: &[Request<'_>],
        mode: BatchMode,
        results: &mut Vec<Result<Reservation, ReserveError>>,
    ) {
        let local = self.local();
        results.clear();
        match mode {
            BatchMode::Independent => self.each(requests, results),
            BatchMode::AllOrNothing => {
                let mut scratch = local.scratch.take();
                self.gang(local, requests, &mut scratch, results);
                local.scratch.set(scratch);
                results.iter().for_each(|result| local.counters.note(result));
            }
        }
    }

    /// As [`Engine::reserve_batch`], once: a batch id that is known is answered with the results
    /// it had, also after some of its reservations were released, and changes nothing. Returns
    /// whether this call did the batch.
    ///
    /// The last [`Config::max_batches`](crate::Config::max_batches) ids are known. A batch that
    /// placed nothing had no effect and is not remembered, so that it can be tried again under its
    /// id. Allocates room for the answer.
    pub fn reserve_batch_once(
        &self,
        batch_id: &[u8],
        requests: &[Request<'_>],
        mode: BatchMode,
        results: &mut Vec<Result<Reservation, ReserveError>>,
    ) -> Result<bool, ReserveError> {
        results.clear();
        if batch_id.is_empty() || batch_id.len() > crate::MAX_ID_LEN {
            return Err(ReserveError::IdLength { length: batch_id.len() });
        }
        match self.batches.start(batch_id, seahash::hash(batch_id)) {
            Start::Done(answer) => {
                results.extend_from_slice(&answer);
                Ok(false)
            }
            Start::InFlight => Err(ReserveError::InFlight),
            Start::Mine(started) => {
                self.reserve_batch(requests, mode, results);
                if results.iter().any(Result::is_ok) {
                    self.batches.done(started, results.clone());
                } else {
                    self.batches.forget(started);
                }
                Ok(true)
            }
        }
    }

    fn each(&self, requests: &[Request<'_>], results: &mut Results) {
        self.reserve_each(requests.len(), |k| &requests[k], |_, result| results.push(result));
    }

    /// One after the other: so the batch is the sequence by itself. A plan for all of it, with one
    /// change a worker, was measured to cost twice as much as the changes that it saves.
    ///
    /// An id that stands twice is a fault of the second, whatever became of the first: one that was
    /// placed, or holds, is found held; the others are remembered.
    #[inline(always)]
    pub(crate) fn reserve_each<'a, R: Borrow<Request<'a>>>(
        &self,
        count: usize,
        request: impl Fn(usize) -> R,
        mut done: impl FnMut(usize, Result<Reservation, ReserveError>),
    ) {
        let local = self.local();
        let mut refused = Refused::default();
        // As the first one goes, so do the others, mostly.
        let far = self.ledger.is_far() && count > 0 && !request(0).borrow().id.is_empty();
        let mut hashes = [0; KEPT];
        for part in parts(count, far) {
            if far {
                // While these are placed, the memory that says who holds the next ones' ids is on its way.
                self.ask_for_ids(ahead(&part, count), &request, &mut hashes);
            }
            let hashes = far.then_some(&hashes);
            self.reserve_part(local, &mut refused, part, (&request, hashes), &mut done);
        }
    }

    /// Apart from what goes round it, so that the registers are its own. `hashes`: of the ids, if they are
    /// known.
    #[inline(never)]
    fn reserve_part<'a, R: Borrow<Request<'a>>>(
        &self,
        local: &Local,
        refused: &mut Refused,
        part: Range<usize>,
        (request, hashes): (&impl Fn(usize) -> R, Option<&[u64; KEPT]>),
        done: &mut impl FnMut(usize, Result<Reservation, ReserveError>),
    ) {
        for k in part {
            // An id lies outside of its request: looking at it does not need the whole in memory.
            let id = request(k).borrow().id;
            let twice = || !id.is_empty() && (0..k).any(|other| request(other).borrow().id == id);
            let result = if refused.may_have(id) && twice() {
                // What is wrong with it in itself comes first.
                let checked = self.check(local, request(k).borrow());
                checked.and(Err(ReserveError::DuplicateId))
            } else if let Some(placed) =
                self.reserve_in_first_tier(local, request(k).borrow(), || match hashes {
                    Some(hashes) => hashes[k % KEPT],
                    None => self.hash_new_id(id),
                })
            {
                // Told of here, not below: what several ways lead to is passed on in memory.
                done(k, Ok(placed));
                continue;
            } else {
                self.reserve_by_walk(local, request(k).borrow())
            };
            let result = match result {
                Ok(held) if held.existing && twice() => Err(ReserveError::DuplicateId),
                Err(error) => {
                    refused.add(id);
                    Err(error)
                }
                placed => placed,
            };
            done(k, result);
        }
    }

    /// Keeps the hashes of these requests' ids, unless they are too long to be entered.
    #[inline(never)]
    fn ask_for_ids<'a, R: Borrow<Request<'a>>>(
        &self,
        among: Range<usize>,
        request: &impl Fn(usize) -> R,
        hashes: &mut [u64; KEPT],
    ) {
        for k in among {
            let id = request(k).borrow().id;
            if (1..=crate::MAX_ID_LEN).contains(&id.len()) {
                hashes[k % KEPT] = self.hash_new_id(id);
            }
        }
    }

    /// The worker that the policy gives a request, beside what is planned.
    pub(super) fn choose<P: Planned>(
        &self,
        local: &Local,
        checked: &Checked,
        planned: &P,
    ) -> Result<Candidate, ReserveError> {
        let Checked { selector, query, .. } = checked;
        let shared = &self.registry.shared;
        let planned = &WithDevices { shared, need: query.devices, beside: planned };
        let first = if query.policy == Policy::Affinity {
            let place = (query.ahead, query.hash);
            self.first_candidate(local, *selector, Need::new(&query.need), place, planned)
        } else {
            None
        };
        match first {
            Some((_, candidate)) => Ok(candidate),
            None => Ok(self.walk(local, checked, planned, Some)?),
        }
    }
}

/// How many of a batch are done between two looks ahead.
const PART: usize = 8;

/// Hashes that are kept: of a part, and of what comes after it.
const KEPT: usize = 2 * PART;

/// A batch in parts, if there is something to look ahead for.
pub(super) fn parts(count: usize, far: bool) -> impl Iterator<Item = Range<usize>> {
    let part = if far { PART } else { count.max(1) };
    (0..count).step_by(part).map(move |start| start..(start + part).min(count))
}

/// What comes after a part, as much as the next one; with the first one, that one as well.
pub(super) fn ahead(part: &Range<usize>, count: usize) -> Range<usize> {
    let start = if part.start == 0 { 0 } else { part.end };
    start..(part.end + PART).min(count)
}

/// Which ids of a batch may have been refused, by a few bits of each.
#[derive(Default)]
struct Refused(u64);

impl Refused {
    fn bit(id: &[u8]) -> u64 {
        let last = id.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last));
        1 << (last.wrapping_mul(0x9e37_79b9) >> 26)
    }

    fn add(&mut self, id: &[u8]) {
        if !id.is_empty() {
            self.0 |= Self::bit(id);
        }
    }

    #[inline]
    fn may_have(&self, id: &[u8]) -> bool {
        self.0 != 0 && self.0 & Self::bit(id) != 0
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use crate::{Config, Resources, Ticket, WorkerSpec};

    #[test]
    fn parts_are_a_batch_in_order_and_each_is_asked_for_once_before_its_turn() {
        for count in 0..40 {
            let all: Vec<usize> = (0..count).collect();
            assert_eq!(parts(count, false).flatten().collect::<Vec<_>>(), all);
            assert_eq!(parts(count, true).flatten().collect::<Vec<_>>(), all);
            let mut asked = Vec::new();
            for part in parts(count, true) {
                asked.extend(ahead(&part, count));
                assert!(part.clone().all(|k| asked.contains(&k)), "{part:?} of {count}");
            }
            assert_eq!(asked, all);
        }
    }

    #[test]
    fn what_is_asked_for_ahead_changes_no_answer() {
        // With room for so many that ids are far, and for so few that they are not.
        let answers = [1 << 16, 1 << 10].map(|limit| {
            let engine = Engine::new(Config { max_reservations: limit, ..Config::default() });
            let engine = engine.unwrap();
            assert_eq!(engine.ledger.is_far(), limit == 1 << 16);
            engine.add_worker(WorkerSpec::new("one", Resources::new(30_000, 30_000))).unwrap();
            let ids: Vec<String> = (0..40).map(|n| format!("id-{}", n % 37)).collect();
            let too_long = "x".repeat(1 << 20);
            let need = Resources::new(1000, 1);
            let mut requests: Vec<_> =
                ids.iter().map(|id| Request::new(id.as_bytes(), need)).collect();
            (requests[9], requests[20]) =
                (Request::new(too_long.as_bytes(), need), Request::anonymous(need));
            let (mut placed, mut released) = (Vec::new(), Vec::new());
            engine.reserve_batch(&requests, BatchMode::Independent, &mut placed);
            let mut tickets: Vec<Ticket> =
                placed.iter().filter_map(|placed| Some(placed.as_ref().ok()?.ticket)).collect();
            assert_eq!(tickets.len(), 30);
            tickets.extend([tickets[0], Ticket::from_bits(u64::MAX)]);
            engine.release_batch(&tickets, &mut released);
            assert!(engine.audit().is_ok());
            (placed, released)
        });
        let told = |answer: &(Results, Vec<_>)| format!("{answer:?}");
        assert_eq!(told(&answers[0]), told(&answers[1]));
    }
}
