//! What a request may come under beside capacity: a time limit, a rank among others, its tenant's
//! quota, and limits on how many of a group are where.
//!
//! Few requests have any, and those that have none pay nothing: terms are looked at on the long way
//! only, and a record says in a word that is read anyway whether there is more to give back.
//!
//! A request on terms goes in these steps, and back through them where it fails:
//! 1. Its account is charged, as one change.
//! 2. For each worker that it is offered, it is counted under its limits.
//! 3. The slot is taken, as for any other.
//!
//! It is given back in the order 3, 1, 2. Between two steps of a request that fails in the end, what it
//! has been charged and counted may keep another one out: a refusal by quota or limit is true of what is
//! held and of what is being tried.

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use std::collections::HashMap;

use super::devices::WithDevices;
use super::limits::Limited;
use super::local::Local;
use super::reserve::Checked;
use super::select::{Nothing, Query};
use super::{Engine, Refusal, Reservation, ReserveError, TermsError};
use crate::ledger::{
    Accounts, Carried, Counted, Draft, OverLimit, Tallies, Ticket, UNLIMITED, Uncounted,
};
use crate::placement::{DeviceNeed, Resources};
use crate::registry::{MAX_NAME_LEN, Name, WorkerRef};
use crate::slots::{Change, Refused};
use crate::sync::{Chunked, Stop, lock, stop};

pub use crate::ledger::MAX_LIMITS;

/// What a request comes under beside what it needs and where. The default is none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The reservation is provisional: unless it is confirmed ([`Engine::confirm`]) before the host's
    /// clock comes here, the next [`Engine::tick`] ends it and its capacity returns.
    pub hold_until: Option<u64>,
    /// Its rank in a preemption: higher may displace lower. Default 0.
    pub priority: i32,
    /// May be displaced by a request of higher priority. Default false.
    pub preemptable: bool,
    /// Whose quota it is charged to. None: nobody's.
    pub account: Option<Account>,
    /// Devices that it asks for: parts of a GPU, or GPUs of which it is told which they are
    /// ([`Engine::granted`]). Then `need` asks for no number of GPUs, and workers without
    /// [devices](crate::WorkerSpec::devices) are out of the question.
    pub devices: Option<DeviceNeed>,
    /// Groups that it is a member of, and how many of each may be in one place, this one included. At
    /// most [`MAX_LIMITS`]. Where it cannot be counted without going over, it is not placed.
    pub limits: &'a [Limit],
}

impl<'a> Terms<'a> {
    /// No terms.
    pub const fn new() -> Self {
        Terms {
            hold_until: None,
            priority: 0,
            preemptable: false,
            account: None,
            devices: None,
            limits: &[],
        }
    }

    /// Provisional until this time of the host's clock.
    pub const fn hold_until(mut self, deadline: u64) -> Self {
        self.hold_until = Some(deadline);
        self
    }

    /// Its rank in a preemption.
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// May be displaced.
    pub const fn preemptable(mut self, yes: bool) -> Self {
        self.preemptable = yes;
        self
    }

    /// Charged to this account.
    pub const fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Asks for devices.
    pub const fn devices(mut self, need: DeviceNeed) -> Self {
        self.devices = Some(need);
        self
    }

    /// Counted under these limits.
    pub const fn limits(mut self, limits: &'a [Limit]) -> Self {
        self.limits = limits;
        self
    }

    fn carried(&self) -> Carried {
        Carried {
            deadline: self.hold_until,
            priority: self.priority,
            preemptable: self.preemptable,
            claim: false,
            account: self.account.map(|account| account.0),
        }
    }
}

/// A tenant's account: a number that stays valid for the engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account(pub(crate) u32);

/// A group of which there may be so many in one place: a number that stays valid for the engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct SpreadGroup(pub(crate) u32);

/// How many of a group may be in one place.
// Laid out as C has it: an array of limits is read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// The group that the request is a member of.
    pub group: SpreadGroup,
    /// So many, at least 1; 1 is anti-affinity.
    pub at_most: u32,
}

/// What "one place" means for a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A worker.
    Worker,
    /// A machine; a worker that names none is one of its own.
    Machine,
    /// All workers with the same value of this label, as a zone. Workers without it are out of the
    /// question.
    Label(Name),
}

/// How much one account may be charged with in all, by dimension; none: unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// CPU in millicores.
    pub cpu: Option<u64>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Whole GPUs.
    pub gpus: Option<u64>,
}

impl Quota {
    /// So much in every dimension.
    pub const fn of(amount: Resources) -> Quota {
        Quota { cpu: Some(amount.cpu), memory: Some(amount.memory), gpus: Some(amount.gpus) }
    }
}

/// What an account is charged with, and what it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What its reservations hold in all, and what is being tried this moment.
    pub used: Resources,
    /// Its limits.
    pub quota: Quota,
}

/// Accounts and groups by name, and what is counted of them.
pub(super) struct Ranks {
    names: Mutex<Names>,
    accounts: Accounts,
    pub(super) scopes: Chunked<OnceBox<Scope>, 64>,
    pub(super) tallies: Tallies,
    limits: [usize; 2],
}

#[derive(Default)]
struct Names {
    accounts: HashMap<Name, u32>,
    groups: HashMap<(Name, Scope), u32>,
}

impl Ranks {
    pub(super) fn new(accounts: usize, groups: usize, tallies: usize) -> Ranks {
        Ranks {
            names: Mutex::default(),
            accounts: Chunked::new(accounts),
            scopes: Chunked::new(groups),
            tallies: Tallies::new(tallies),
            limits: [accounts, groups],
        }
    }
}

fn check_name(name: &Name) -> Result<(), TermsError> {
    let length = name.len();
    if length == 0 || length > MAX_NAME_LEN {
        return Err(TermsError::NameLength { length });
    }
    Ok(())
}

impl Engine {
    /// The account of this name, opened if there is none: unlimited, and nothing charged to it. Takes a
    /// lock; ask once and keep it.
    pub fn account(&self, name: impl Into<Name>) -> Result<Account, TermsError> {
        let name = name.into();
        check_name(&name)?;
        let mut names = lock(&self.ranks.names);
        let next = names.accounts.len();
        if let Some(&known) = names.accounts.get(&name) {
            return Ok(Account(known));
        }
        let limit = self.ranks.limits[0];
        if next >= limit {
            return Err(TermsError::TooMany { limit });
        }
        let _ = self.ranks.accounts.get_or_grow(next).set(Box::default());
        names.accounts.insert(name, next as u32);
        Ok(Account(next as u32))
    }

    /// The group of this name and scope. Takes a lock; ask once and keep it.
    pub fn spread_group(
        &self,
        name: impl Into<Name>,
        scope: Scope,
    ) -> Result<SpreadGroup, TermsError> {
        let name = name.into();
        check_name(&name)?;
        if let Scope::Label(key) = &scope {
            check_name(key)?;
        }
        let mut names = lock(&self.ranks.names);
        let next = names.groups.len();
        let limit = self.ranks.limits[1];
        let key = (name, scope);
        if let Some(&known) = names.groups.get(&key) {
            return Ok(SpreadGroup(known));
        }
        if next >= limit {
            return Err(TermsError::TooMany { limit });
        }
        let cell = self.ranks.scopes.get_or_grow(next);
        let _ = cell.set(Box::new(key.1.clone()));
        names.groups.insert(key, next as u32);
        Ok(SpreadGroup(next as u32))
    }

    /// Limits what an account may be charged with from now on. What it is charged with already stays,
    /// also if it is more. No lock.
    pub fn set_quota(&self, account: Account, quota: Quota) -> Result<(), TermsError> {
        let account = self.account_of(account).ok_or(TermsError::Unknown)?;
        let limits = [quota.cpu, quota.memory, quota.gpus];
        account.set_limits(limits.map(|limit| limit.unwrap_or(UNLIMITED)));
        Ok(())
    }

    /// What an account is charged with. No lock.
    pub fn usage(&self, account: Account) -> Result<Usage, TermsError> {
        let account = self.account_of(account).ok_or(TermsError::Unknown)?;
        let limit = |n: u64| (n != UNLIMITED).then_some(n);
        let [cpu, memory, gpus] = account.limits().map(limit);
        let used = resources(account.used());
        Ok(Usage { used, quota: Quota { cpu, memory, gpus } })
    }

    /// How many of a group are in the place of this worker. None: the worker is not registered, or is
    /// out of the question for the group. No lock.
    pub fn spread_count(&self, group: SpreadGroup, worker: WorkerRef) -> Option<u64> {
        self.snapshot(worker)?;
        let (key, hash) = self.place_of(group, worker)?;
        Some(self.ranks.tallies.count(&key, hash))
    }

    pub(super) fn account_of(&self, account: Account) -> Option<&crate::ledger::Account> {
        self.ranks.accounts.get(account.0 as usize)?.get()
    }

    /// What can be wrong with terms.
    pub(super) fn check_terms(&self, terms: &Terms<'_>) -> Result<(), ReserveError> {
        if terms.limits.len() > MAX_LIMITS {
            return Err(ReserveError::TooManyLimits { given: terms.limits.len() });
        }
        let scope = |limit: &Limit| self.ranks.scopes.get(limit.group.0 as usize)?.get();
        if terms.limits.iter().any(|limit| scope(limit).is_none()) {
            return Err(ReserveError::UnknownGroup);
        }
        if terms.account.is_some_and(|account| self.account_of(account).is_none()) {
            return Err(ReserveError::UnknownAccount);
        }
        match terms.hold_until {
            Some(deadline) if deadline <= self.now() => {
                Err(ReserveError::DeadlinePassed { deadline, now: self.now() })
            }
            _ => Ok(()),
        }
    }

    /// A draft that carries the terms of its request.
    pub(super) fn on_terms(&self, draft: Draft, terms: &Terms<'_>) -> Draft {
        self.ledger.load(draft, &terms.carried())
    }

    /// Step 1.
    pub(super) fn charge(&self, terms: &Terms<'_>, amount: &Resources) -> Result<(), OverLimit> {
        if let Some(account) = terms.account.and_then(|account| self.account_of(account)) {
            account.charge(amount)?;
            stop(Stop::Charged);
        }
        Ok(())
    }

    pub(super) fn credit(&self, terms: &Terms<'_>, amount: &Resources) {
        if let Some(account) = terms.account.and_then(|account| self.account_of(account)) {
            account.credit(amount);
        }
    }

    /// The account that a reservation is charged to. By who owns it.
    fn account_of_ticket(&self, ticket: Ticket) -> Option<&crate::ledger::Account> {
        self.account_of(Account(self.ledger.carried(ticket).0.account?))
    }

    /// As [`Engine::charge`] and [`Engine::credit`] for a reservation that is there, by who owns it.
    pub(super) fn charge_more(&self, ticket: Ticket, more: &Resources) -> Result<(), OverLimit> {
        self.account_of_ticket(ticket).map_or(Ok(()), |account| account.charge(more))
    }

    pub(super) fn credit_some(&self, ticket: Ticket, some: &Resources) {
        if let Some(account) = self.account_of_ticket(ticket) {
            account.credit(some);
        }
    }

    /// Whether the account would be over its quota with this, and what is planned beside: more, or less.
    pub(super) fn over_quota(
        &self,
        account: Option<Account>,
        planned: [i64; 3],
        amount: &Resources,
    ) -> Option<OverLimit> {
        let account = self.account_of(account?)?;
        let used = account.used();
        let with = |d: usize| used[d].saturating_add_signed(planned[d]);
        account.over([0, 1, 2].map(with), amount)
    }

    /// The account and the counts of a reservation, by who only looks.
    pub(super) fn look_terms(&self, ticket: Ticket) -> Option<(Option<Account>, Vec<Counted>)> {
        let (carried, counted) = self.ledger.look_all_carried(ticket)?;
        Some((carried.account.map(Account), counted))
    }

    /// Gives back what a reservation has beside capacity. By who has closed it, and has credited its
    /// slot; once.
    #[cold]
    pub(super) fn settle(&self, ticket: Ticket, amount: &Resources) {
        stop(Stop::Settling);
        let devices = self.ledger.granted(ticket).map_or(0, |granted| granted.count());
        self.credit_some(ticket, &Resources { gpus: amount.gpus + devices, ..*amount });
        let (_, counted) = self.ledger.carried(ticket);
        counted.for_each(|counted| self.ranks.tallies.give(counted));
    }

    /// Places a draft of a request on terms on the worker that the policy gives it.
    #[inline(never)]
    pub(super) fn place_on_terms(
        &self,
        local: &Local,
        draft: Draft,
        checked: &Checked,
        terms: &Terms<'_>,
    ) -> Result<Reservation, ReserveError> {
        let query = &checked.query;
        let draft = self.on_terms(draft, terms);
        self.charge(terms, &query.charge())?;
        let shared = &self.registry.shared;
        let devices = WithDevices { shared, need: query.devices, beside: &Nothing };
        let planned = Limited::of(self, terms.limits, &devices);
        let placed = self.walk(local, checked, &planned, |candidate| {
            let change = query.change_at(&candidate);
            let worker = candidate.worker();
            match self.take_on_terms(local, (draft, terms), worker, &change, Some(candidate.word)) {
                Ok(reservation) => Some(Ok(reservation)),
                Err(NotTaken::Refused(Refused::Contended)) => Some(Err(ReserveError::Contended)),
                Err(NotTaken::Uncounted(error)) => self.uncounted(error).map(Err),
                Err(NotTaken::Refused(_)) => None,
            }
        });
        let placed = placed.map_err(ReserveError::from).and_then(|placed| placed);
        if placed.is_err() {
            self.credit(terms, &query.charge());
        }
        placed
    }

    /// The same on a named worker; `take` tries it. `claim`: it is to wait for others to leave.
    pub(super) fn place_there_on_terms(
        &self,
        draft: Draft,
        query: &Query,
        worker: WorkerRef,
        (terms, claim): (&Terms<'_>, bool),
        take: impl FnOnce(Draft) -> Result<Reservation, ReserveError>,
    ) -> Result<Reservation, ReserveError> {
        let draft = self.ledger.load(draft, &Carried { claim, ..terms.carried() });
        self.charge(terms, &query.charge())?;
        let counted = self.count_at(terms.limits, worker).map_err(|error| {
            self.uncounted(error).unwrap_or_else(|| Refusal::of_one_at_its_limit().into())
        });
        let placed = counted.and_then(|counted| {
            self.ledger.set_counted(draft, counted.as_slice());
            if terms.hold_until.is_some() {
                self.ledger.arm(draft);
            }
            take(draft).inspect_err(|_| self.uncount(&counted))
        });
        if placed.is_err() {
            self.credit(terms, &query.charge());
        }
        placed
    }

    /// What to say of one that could not be counted; nothing if that speaks against this worker alone.
    fn uncounted(&self, error: Uncounted) -> Option<ReserveError> {
        match error {
            Uncounted::AtLimit => None,
            Uncounted::InFlight => Some(ReserveError::Contended),
            Uncounted::Full => Some(ReserveError::LedgerFull { limit: self.ledger.limit() }),
        }
    }

    /// Steps 2 and 3.
    fn take_on_terms(
        &self,
        local: &Local,
        (draft, terms): (Draft, &Terms<'_>),
        worker: WorkerRef,
        change: &Change,
        seen: Option<crate::slots::Word<crate::slots::Wide>>,
    ) -> Result<Reservation, NotTaken> {
        let counted = self.count_at(terms.limits, worker).map_err(NotTaken::Uncounted)?;
        self.ledger.set_counted(draft, counted.as_slice());
        if terms.hold_until.is_some() {
            self.ledger.arm(draft);
        }
        let taken = self.take(local, draft, worker, change, seen);
        taken.map_err(|refused| {
            self.uncount(&counted);
            NotTaken::Refused(refused)
        })
    }
}

enum NotTaken {
    Uncounted(Uncounted),
    Refused(Refused<crate::slots::Wide>),
}

impl From<OverLimit> for ReserveError {
    fn from(over: OverLimit) -> Self {
        let OverLimit { dimension, used, limit } = over;
        ReserveError::QuotaExceeded { dimension, used, limit }
    }
}

pub(super) fn resources([cpu, memory, gpus]: [u64; 3]) -> Resources {
    Resources { cpu, memory, gpus }
}
