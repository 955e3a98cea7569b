//! Groups and their limits: where members are counted, and where one more would be too many.
//!
//! A place is what a group's scope makes of a worker: the worker itself, its machine, or the value of a
//! label. Members are counted by group and place in the ledger's tallies.

use std::collections::HashMap;

use super::Engine;
use super::select::{Candidate, Planned};
use super::terms::{Limit, MAX_LIMITS, Scope, SpreadGroup};
use crate::ledger::{Counted, Key, Uncounted};
use crate::placement::{Devices, Free, Resources};
use crate::registry::{Facts, MAX_NAME_LEN, Name, WorkerRef};
use crate::slots::{Columns, Need, Pool, Slot, Wide};
use crate::sync::{Stop, stop};

impl Engine {
    /// Group and place, as the key of a tally.
    pub(super) fn place_of(&self, group: SpreadGroup, worker: WorkerRef) -> Option<(Key, u64)> {
        let itself = (worker.index as u64) << 32 | worker.incarnation as u64;
        let scope = self.ranks.scopes.get(group.0 as usize)?.get()?;
        if *scope == Scope::Worker {
            return Some(key_of(group, [itself, 0]));
        }
        let facts = self.registry.shared.facts(worker.index)?;
        self.place_of_facts(group, itself, facts.as_ref()?)
    }

    /// The same of a worker of which this is known; `itself` stands for it alone.
    pub(super) fn place_of_facts(
        &self,
        group: SpreadGroup,
        itself: u64,
        facts: &Facts,
    ) -> Option<(Key, u64)> {
        let place = match self.ranks.scopes.get(group.0 as usize)?.get()? {
            Scope::Worker => [itself, 0],
            Scope::Machine => facts.machine().map_or([itself, 0], place_of_name),
            Scope::Label(key) => place_of_name(facts.label(key)?),
        };
        Some(key_of(group, place))
    }

    /// Step 2.
    pub(super) fn count_at(
        &self,
        limits: &[Limit],
        worker: WorkerRef,
    ) -> Result<CountedAt, Uncounted> {
        let mut counted = CountedAt::default();
        for limit in limits {
            let one = match self.place_of(limit.group, worker) {
                Some((key, hash)) => self.ranks.tallies.take(&key, hash, limit.at_most as u64),
                None => Err(Uncounted::AtLimit),
            };
            match one {
                Ok(one) => counted.add(one),
                Err(error) => {
                    self.uncount(&counted);
                    return Err(error);
                }
            }
        }
        if !limits.is_empty() {
            stop(Stop::Counted);
        }
        Ok(counted)
    }

    /// Counts a member of a group where it is by now, whatever the limit.
    pub(super) fn count_again(&self, old: Counted, worker: WorkerRef) -> Option<Counted> {
        let group = self.ranks.tallies.key(old)[..8].try_into().expect("eight bytes");
        let group = SpreadGroup(u64::from_le_bytes(group) as u32);
        let (key, hash) = self.place_of(group, worker)?;
        self.ranks.tallies.take(&key, hash, u64::MAX).ok()
    }

    pub(super) fn uncount(&self, counted: &CountedAt) {
        counted.as_slice().iter().for_each(|&one| self.ranks.tallies.give(one));
    }
}

/// Where a request has been counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedAt {
    len: usize,
    tallies: [Counted; MAX_LIMITS],
}

impl Default for CountedAt {
    fn default() -> Self {
        CountedAt { len: 0, tallies: [Counted(0); MAX_LIMITS] }
    }
}

impl CountedAt {
    pub(super) fn add(&mut self, counted: Counted) {
        self.tallies[self.len] = counted;
        self.len += 1;
    }

    pub(super) fn as_slice(&self) -> &[Counted] {
        &self.tallies[..self.len]
    }
}

/// A place by its name.
fn place_of_name(name: &Name) -> [u64; 2] {
    // 128 bits, of the name and of the name with its length before it: that two names of one group share
    // them is out of the question. Not 0, which stands for a worker itself.
    let mut marked = [0; MAX_NAME_LEN + 1];
    marked[0] = name.len() as u8;
    marked[1..=name.len()].copy_from_slice(name);
    [seahash::hash(name), seahash::hash(&marked[..=name.len()]) | 1]
}

fn key_of(group: SpreadGroup, place: [u64; 2]) -> (Key, u64) {
    let mut key = Key::default();
    key[..8].copy_from_slice(&(group.0 as u64).to_le_bytes());
    key[8..16].copy_from_slice(&place[0].to_le_bytes());
    key[16..].copy_from_slice(&place[1].to_le_bytes());
    (key, seahash::hash(&key))
}

/// Members of groups that are planned and not counted yet, or counted and supposed to be gone.
#[derive(Debug, Default)]
pub(super) struct PlannedMembers(HashMap<Key, i64>);

impl PlannedMembers {
    pub(super) fn add(&mut self, engine: &Engine, limits: &[Limit], worker: WorkerRef) {
        self.add_at(limits, |group| engine.place_of(group, worker));
    }

    pub(super) fn add_at(
        &mut self,
        limits: &[Limit],
        place: impl Fn(SpreadGroup) -> Option<(Key, u64)>,
    ) {
        for limit in limits {
            if let Some((key, _)) = place(limit.group) {
                *self.0.entry(key).or_default() += 1;
            }
        }
    }

    /// One that is counted is gone.
    pub(super) fn lose(&mut self, engine: &Engine, counted: Counted) {
        *self.0.entry(engine.ranks.tallies.key(counted)).or_default() -= 1;
    }

    /// Whether one more, there, would be over a limit.
    pub(super) fn bar(
        &self,
        engine: &Engine,
        limits: &[Limit],
        place: impl Fn(SpreadGroup) -> Option<(Key, u64)>,
    ) -> bool {
        limits.iter().any(|limit| {
            let Some((key, hash)) = place(limit.group) else { return true };
            let planned = self.0.get(&key).copied().unwrap_or(0);
            let count = engine.ranks.tallies.count(&key, hash) as i64 + planned;
            count >= limit.at_most as i64
        })
    }

    pub(super) fn bar_at(&self, engine: &Engine, limits: &[Limit], at: &Candidate) -> bool {
        self.bar(engine, limits, |group| engine.place_of(group, at.worker()))
    }
}

/// What is planned, and beside it the limits of one request.
pub(super) struct Limited<'a, P> {
    pub(super) engine: &'a Engine,
    pub(super) limits: &'a [Limit],
    pub(super) beside: &'a P,
    pub(super) planned: Option<&'a PlannedMembers>,
}

impl<'a, P> Limited<'a, P> {
    pub(super) fn of(engine: &'a Engine, limits: &'a [Limit], beside: &'a P) -> Self {
        Limited { engine, limits, beside, planned: None }
    }
}

impl<P: Planned> Planned for Limited<'_, P> {
    const REAL: bool = P::REAL;

    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        self.beside.free(at, slot)
    }

    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        self.beside.fits(at, slot, need) && !self.bars(at)
    }

    fn devices(&self, at: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        self.beside.devices(at, slot, pool)
    }

    fn bars(&self, at: &Candidate) -> bool {
        let none = PlannedMembers::default();
        let planned = self.planned.unwrap_or(&none);
        self.beside.bars(at) || planned.bar_at(self.engine, self.limits, at)
    }

    fn columns(&self, need: &Resources) -> Columns {
        self.beside.columns(need)
    }

    fn most(&self, slot: u32, capacity: Resources) -> Resources {
        self.beside.most(slot, capacity)
    }

    fn is_more_than_amounts(&self) -> bool {
        self.beside.is_more_than_amounts()
    }
}
