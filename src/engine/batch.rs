//! Many requests in one call: each is placed as if they came one by one.
//!
//! Independent requests do come one by one. All or nothing goes in steps:
//! 1. Every request gets its record and its id; what cannot be right is refused here.
//! 2. Each is placed in order on the workers as they are, less what the requests before it are
//!    going to take. Nothing has changed yet: a batch that does not fit ends here and leaves every
//!    worker, its version included, as it was.
//! 3. Each worker's share is taken as one change. Where another thread was faster and the share
//!    does not fit any more, the shares that were taken are given back and all is planned again, a
//!    bounded number of times. Between taking and giving back, those shares may be seen as held.
//! 4. The records are published by one step for all.

use core::borrow::Borrow;

use crossbeam_utils::Backoff;

use super::local::Local;
use super::plan::Plan;
use super::reserve::{Checked, Drafted};
use super::select::{Candidate, Planned};
use super::{BatchMode, Engine, Request, Reservation, ReserveError};
use crate::ledger::{Draft, Start};
use crate::placement::Policy;
use crate::slots::{Change, Fence};

/// Plans that an all-or-nothing batch makes before it says that it is contended.
const PLANS: u32 = 256;

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Item {
    draft: Draft,
    checked: Checked,
    /// Its place in the batch.
    index: u32,
    /// Its worker's share of the plan.
    share: Option<u32>,
    /// The version that it made, once its share is taken.
    version: u64,
}

/// Room for a batch, kept by the thread from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    items: Vec<Item>,
    plan: Plan,
}

type Results = Vec<Result<Reservation, ReserveError>>;

impl Engine {
    /// Reserves for many requests in one call. `results` is cleared and gets one result a request,
    /// in the caller's order; the placements are those that the same requests one by one would
    /// get.
    ///
    /// A batch that is [`BatchMode::AllOrNothing`] and does not fit leaves every worker as it was:
    /// the request that failed says why, the others name it as their peer, also one whose id is
    /// held from before (and stays so).
    ///
    /// No lock; no allocation once the thread has done a batch of this size.
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
        for k in 0..count {
            // An id lies outside of its request: looking at it does not need the whole in memory.
            let id = request(k).borrow().id;
            let twice = || !id.is_empty() && (0..k).any(|other| request(other).borrow().id == id);
            let result = if refused.may_have(id) && twice() {
                // What is wrong with it in itself comes first.
                let checked = self.check(local, request(k).borrow());
                checked.and(Err(ReserveError::DuplicateId))
            } else {
                self.reserve_with(local, || request(k))
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

    fn gang(
        &self,
        local: &Local,
        requests: &[Request<'_>],
        scratch: &mut Scratch,
        results: &mut Results,
    ) {
        let Scratch { items, plan } = scratch;
        self.draft_all(local, requests, items, results);
        let refused = results.iter().position(|r| matches!(r, Err(e) if *e != UNDECIDED));
        let failed = match refused {
            Some(index) => Some((index, *results[index].as_ref().expect_err("just found"))),
            None => self.place_gang(local, items, plan, results).err(),
        };
        let Some((index, error)) = failed else { return };
        for item in items.iter() {
            self.ledger.discard(&local.magazine, item.draft);
        }
        let peer = ReserveError::Peer { index: index as u32 };
        for (i, result) in results.iter_mut().enumerate() {
            match result {
                _ if i == index => *result = Err(error),
                Err(e) if *e != UNDECIDED => {}
                // What its id held before the batch came, it still holds.
                Ok(_) | Err(_) => *result = Err(peer),
            }
        }
    }

    /// Places all items or none; on failure, which one and why.
    fn place_gang(
        &self,
        local: &Local,
        items: &mut [Item],
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<(), (usize, ReserveError)> {
        self.ledger.bind(items.iter().map(|item| item.draft));
        let placed = self.place_bound(local, items, plan, results);
        if placed.is_err() {
            self.ledger.unbind(items.iter().map(|item| item.draft));
        }
        placed
    }

    fn place_bound(
        &self,
        local: &Local,
        items: &mut [Item],
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<(), (usize, ReserveError)> {
        let backoff = Backoff::new();
        for _ in 0..PLANS {
            plan.reset(items.len());
            for item in items.iter_mut() {
                let planned = self.plan_one(local, item, plan);
                item.share = Some(planned.map_err(|error| (item.index as usize, error))?);
            }
            let shares = plan.shares.len();
            let taken = (0..shares).take_while(|&n| self.take_share(local, plan, n)).count();
            if taken == shares && self.publish_gang(items, plan, results) {
                return Ok(());
            }
            for share in &plan.shares[..taken] {
                self.give(local, share.candidate.worker(), &share.take, share.count);
            }
            local.counters.gang_rollbacks.add(1);
            backoff.spin();
        }
        Err((items.first().map_or(0, |item| item.index as usize), ReserveError::Contended))
    }

    /// Step 4 for a gang. False: a worker was removed after its share was taken.
    fn publish_gang(&self, items: &mut [Item], plan: &mut Plan, results: &mut Results) -> bool {
        for item in items.iter_mut() {
            let share = &mut plan.shares[item.share.expect("planned") as usize];
            let version = share.next_version.expect("taken");
            share.next_version = Some(version + 1);
            item.version = version;
        }
        let gone = || plan.shares.iter().any(|share| self.gone(share.candidate.worker()));
        if !self.ledger.publish_gang(items.iter().map(|item| (item.draft, item.version)), gone) {
            return false;
        }
        for item in items.iter() {
            let share = &plan.shares[item.share.expect("planned") as usize];
            results[item.index as usize] = Ok(Reservation {
                ticket: item.draft.ticket(),
                worker: share.candidate.worker(),
                version: item.version,
                existing: false,
            });
        }
        true
    }

    /// Step 1. Results hold what is decided already; the rest is in `items`.
    fn draft_all(
        &self,
        local: &Local,
        requests: &[Request<'_>],
        items: &mut Vec<Item>,
        results: &mut Results,
    ) {
        items.clear();
        for (index, request) in requests.iter().enumerate() {
            let drafted = self.check(local, request).and_then(|checked| {
                let own = |t| items.iter().any(|item: &Item| item.draft.ticket() == t);
                Ok((checked, self.draft(local, request.id, checked.id_hash, own, |_| false)?))
            });
            results.push(match drafted {
                Ok((checked, Drafted::Mine(draft))) => {
                    items.push(Item {
                        draft,
                        checked,
                        index: index as u32,
                        share: None,
                        version: 0,
                    });
                    Err(UNDECIDED)
                }
                Ok((_, Drafted::Held(held))) => {
                    let twice = results.iter().flatten().any(|r| r.ticket == held.ticket);
                    if twice { Err(ReserveError::DuplicateId) } else { Ok(held) }
                }
                Err(error) => Err(error),
            });
        }
    }

    /// Step 2 for one request: where it goes.
    fn plan_one(&self, local: &Local, item: &Item, plan: &mut Plan) -> Result<u32, ReserveError> {
        let query = &item.checked.query;
        let candidate = self.choose(local, &item.checked, plan)?;
        let share = plan.add(candidate, &query.need, query.ahead);
        let incarnation = candidate.stamp.incarnation;
        self.ledger.aim(item.draft, candidate.slot, incarnation, &query.need);
        Ok(share)
    }

    /// The worker that the policy gives a request, beside what is planned.
    pub(super) fn choose<P: Planned>(
        &self,
        local: &Local,
        checked: &Checked,
        planned: &P,
    ) -> Result<Candidate, ReserveError> {
        let Checked { selector, query, .. } = checked;
        let first = if query.policy == Policy::Affinity {
            let place = (query.ahead, query.hash);
            self.first_candidate(local, *selector, &query.need, place, planned)
        } else {
            None
        };
        match first {
            Some((_, candidate)) => Ok(candidate),
            None => Ok(self.walk(local, checked, planned, Some)?),
        }
    }

    /// Step 3 for one worker.
    fn take_share(&self, local: &Local, plan: &mut Plan, number: usize) -> bool {
        let share = &mut plan.shares[number];
        let fence = Fence::Epoch(share.candidate.stamp.epoch);
        let change = Change { count: share.count, ..Change::take(fence, share.take, share.ahead) };
        let Some(slot) = self.registry.shared.table.get(share.candidate.slot) else { return false };
        let mut retries = 0;
        let changed = slot.change(&change, &mut retries);
        local.counters.cas_retries.add(retries);
        share.next_version = changed.ok().map(|c| c.version() - (share.count - 1));
        share.next_version.is_some()
    }
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

/// Stands in a result until it is decided.
const UNDECIDED: ReserveError = ReserveError::Contended;
