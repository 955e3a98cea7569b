//! All or nothing: a batch whose requests stand or fall together, in steps:
//! 1. Every request gets its record and its id; what cannot be right is refused here.
//! 2. Accounts are charged, for those that have any.
//! 3. Each is placed in order on the workers as they are, less what the requests before it are
//!    going to take. Nothing has changed yet: a batch that does not fit ends here and leaves every
//!    worker, its version included, as it was.
//! 4. Members of groups are counted, then each worker's share is taken as one change, with the devices of
//!    all its requests, which are chosen from what is free at that moment. Where another
//!    thread was faster and the share does not fit any more, what was counted and taken is given back
//!    and all is planned again, a bounded number of times. Between taking and giving back, those shares
//!    may be seen as held.
//! 5. The records are published by one step for all.

use crossbeam_utils::Backoff;

use super::batch::Results;
use super::limits::{CountedAt, Limited, PlannedMembers};
use super::local::Local;
use super::plan::{Less, Plan, Share};
use super::reserve::{Checked, Drafted};
use super::{Engine, Request, Reservation, ReserveError};
use crate::ledger::{Draft, Uncounted};
use crate::placement::Devices;
use crate::slots::{Change, Fence};
use crate::sync::{Stop, stop};

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

impl Engine {
    pub(super) fn gang(
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
            None => self.place_gang(local, requests, items, plan, results).err(),
        };
        let Some((index, error)) = failed else { return };
        for item in items.iter() {
            self.ledger.discard(&local.magazine, item.draft);
            // Where one finds no place, none is served.
            let id = requests[item.index as usize].id;
            self.note_unmet(id, &item.checked, &error);
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
        requests: &[Request<'_>],
        items: &mut [Item],
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<(), (usize, ReserveError)> {
        self.charge_all(requests, items)?;
        self.ledger.bind(items.iter().map(|item| item.draft));
        let placed = self.place_bound(local, requests, items, plan, results);
        if placed.is_err() {
            self.ledger.unbind(items.iter().map(|item| item.draft));
            self.credit_all(requests, items);
        }
        placed
    }

    /// Step 2.
    fn charge_all(
        &self,
        requests: &[Request<'_>],
        items: &[Item],
    ) -> Result<(), (usize, ReserveError)> {
        for (n, item) in items.iter().enumerate() {
            let index = item.index as usize;
            if let Some(terms) = requests[index].terms
                && let Err(over) = self.charge(terms, &item.checked.query.charge())
            {
                self.credit_all(requests, &items[..n]);
                return Err((index, over.into()));
            }
        }
        Ok(())
    }

    fn credit_all(&self, requests: &[Request<'_>], items: &[Item]) {
        for item in items {
            if let Some(terms) = requests[item.index as usize].terms {
                self.credit(terms, &item.checked.query.charge());
            }
        }
    }

    /// Counts the members of groups where they are planned to be; what has been counted, also if that is
    /// not all. False: somebody else has been counted there meanwhile.
    fn count_all(
        &self,
        requests: &[Request<'_>],
        items: &[Item],
        plan: &Plan,
        counted: &mut Vec<CountedAt>,
    ) -> Result<bool, (usize, ReserveError)> {
        for item in items {
            let Some(terms) = requests[item.index as usize].terms else { continue };
            let worker = plan.shares[item.share.expect("planned") as usize].candidate.worker();
            match self.count_at(terms.limits, worker) {
                Ok(one) => {
                    self.ledger.set_counted(item.draft, one.as_slice());
                    // Without limits there is nothing to give back, and no room for it is needed.
                    if !terms.limits.is_empty() {
                        counted.push(one);
                    }
                }
                Err(Uncounted::AtLimit | Uncounted::InFlight) => return Ok(false),
                Err(Uncounted::Full) => {
                    let full = ReserveError::LedgerFull { limit: self.ledger.limit() };
                    return Err((item.index as usize, full));
                }
            }
            if terms.hold_until.is_some() {
                self.ledger.arm(item.draft);
            }
        }
        Ok(true)
    }

    fn place_bound(
        &self,
        local: &Local,
        requests: &[Request<'_>],
        items: &mut [Item],
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<(), (usize, ReserveError)> {
        let backoff = Backoff::new();
        for _ in 0..PLANS {
            plan.reset(items.len());
            let mut members = PlannedMembers::default();
            for item in items.iter_mut() {
                let request = &requests[item.index as usize];
                let planned = self.plan_one(local, item, request, plan, &mut members);
                item.share = Some(planned.map_err(|error| (item.index as usize, error))?);
            }
            let mut counted = Vec::new();
            let all = self.count_all(requests, items, plan, &mut counted);
            let shares = if all == Ok(true) { plan.shares.len() } else { 0 };
            let taken = (0..shares).take_while(|&n| self.take_share(local, plan, n)).count();
            let shares = plan.shares.len();
            if taken == shares && self.publish_gang(items, plan, results) {
                return Ok(());
            }
            plan.shares[..taken].iter().for_each(|share| self.give_share(local, plan, share));
            counted.iter().for_each(|one| self.uncount(one));
            all?;
            local.counters.gang_rollbacks.add(1);
            stop(Stop::Spin);
            backoff.spin();
        }
        Err((items.first().map_or(0, |item| item.index as usize), ReserveError::Contended))
    }

    /// Step 5. False: a worker was removed after its share was taken.
    fn publish_gang(&self, items: &mut [Item], plan: &mut Plan, results: &mut Results) -> bool {
        let with_devices = items.iter().filter(|item| item.checked.query.devices.is_some());
        for (item, granted) in with_devices.zip(plan.all_granted()) {
            self.ledger.grant(item.draft.index(), granted.expect("its share is taken"));
        }
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
                provisional: item.draft.is_provisional(),
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
                    let draft = request.terms.map_or(draft, |terms| self.on_terms(draft, terms));
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

    /// Step 3 for one request: where it goes.
    fn plan_one(
        &self,
        local: &Local,
        item: &Item,
        request: &Request<'_>,
        plan: &mut Plan,
        members: &mut PlannedMembers,
    ) -> Result<u32, ReserveError> {
        let (shared, query) = (&self.registry.shared, &item.checked.query);
        let limits = request.terms.map_or(&[][..], |terms| terms.limits);
        let less = Less { shared, plan };
        let candidate = if limits.is_empty() {
            self.choose(local, &item.checked, &less)?
        } else {
            let planned = Some(&*members);
            let beside = Limited { planned, ..Limited::of(self, limits, &less) };
            let candidate = self.choose(local, &item.checked, &beside)?;
            members.add(self, limits, candidate.worker());
            candidate
        };
        let change = query.change_at(&candidate);
        let share = plan.add(candidate, &change, || shared.devices(candidate.slot));
        let incarnation = candidate.stamp.incarnation;
        self.ledger.aim(item.draft, candidate.slot, incarnation, &change.take);
        Ok(share)
    }

    /// Step 4 for one worker.
    fn take_share(&self, local: &Local, plan: &mut Plan, number: usize) -> bool {
        let share = &plan.shares[number];
        let index = share.candidate.slot;
        let fence = Fence::Epoch(share.candidate.stamp.epoch);
        let change = Change { count: share.count, ..Change::take(fence, share.take, share.ahead) };
        let shared = &self.registry.shared;
        let Some(slot) = shared.table.get(index) else { return false };
        let mut retries = 0;
        let changed = if plan.takes_devices(share) {
            let grant = |free: &Devices| Some((plan.grant(share, free)?, ()));
            let changed = shared
                .pool(index)
                .and_then(|pool| slot.change_devices(pool, &change, grant, &mut retries).ok());
            changed.map(|(changed, ())| changed)
        } else {
            slot.change(&change, &mut retries).ok()
        };
        local.counters.cas_retries.add(retries);
        let first = changed.map(|changed| changed.version() - (share.count - 1));
        plan.shares[number].next_version = first;
        first.is_some()
    }

    /// Gives back what [`Engine::take_share`] has taken.
    fn give_share(&self, local: &Local, plan: &Plan, share: &Share) {
        let (worker, given) = (share.candidate.worker(), (&share.take, share.count));
        match plan.takes_devices(share) {
            false => self.give(local, worker, given.0, given.1),
            true => self.give_devices(local, worker, given, plan.granted(share)),
        };
    }
}

/// Stands in a result until it is decided.
const UNDECIDED: ReserveError = ReserveError::Contended;
