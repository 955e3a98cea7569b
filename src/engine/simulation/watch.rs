//! What must hold at any instant. At each injection point what has changed since the last one is
//! looked at, which is one step of one thread; each time the baton is handed on, the books are.

use std::collections::BTreeMap;

use super::choose::DEVICE_MEMORY;
use super::ops::{ACCOUNTS, LIMITS, WORKERS};
use super::world::{World, takes};
use crate::engine::reserve::worker_of;
use crate::engine::{Account, Engine};
use crate::ledger::{Key, Sighting, Ticket};
use crate::placement::gpu::MAX_DEVICES;
use crate::placement::{Dimension, Resources};
use crate::registry::WorkerRef;
use crate::slots::{State, Wide, Word};

/// What was seen last.
#[derive(Default)]
pub(super) struct Seen {
    slots: [Option<(Word<Wide>, Resources)>; WORKERS.len()],
    accounts: [[u64; 3]; ACCOUNTS],
    /// Slots of which the total was lowered, as bits: what is held there may be more.
    pub(super) lowered: u32,
    /// Places where more of a group are than may be since a hand-off.
    crowded: Vec<Key>,
}

fn any(holds: impl Fn(Dimension) -> bool) -> bool {
    Dimension::ALL.into_iter().any(holds)
}

impl World {
    /// Looks at what the thread has done since its last injection point.
    pub(super) fn watch(&mut self, engine: &Engine, me: usize) {
        for index in 0..WORKERS.len() {
            let Some(slot) = engine.registry.shared.table.get(index as u32) else { break };
            let now = (slot.word(), slot.capacity());
            if self.seen.slots[index] != Some(now) {
                let before = self.seen.slots[index].replace(now);
                if let Some(before) = before {
                    self.slot_changed(engine, me, index, before, now);
                }
            }
        }
        for n in 0..ACCOUNTS {
            let account = engine.account_of(Account(n as u32)).expect("opened");
            let (used, before) = (account.used(), self.seen.accounts[n]);
            if used == before {
                continue;
            }
            self.seen.accounts[n] = used;
            let Some(flight) = &self.flights[me] else { continue };
            let most = flight.quotas[n];
            if (0..3).any(|d| used[d] > before[d] && used[d] > most[d]) {
                self.fail(format!("charged with {used:?}, where {most:?} is the most"));
            }
        }
    }

    /// Takes what there is for what is known.
    pub(super) fn look_anew(&mut self, engine: &Engine) {
        for (index, seen) in self.seen.slots.iter_mut().enumerate() {
            let slot = engine.registry.shared.table.get(index as u32);
            *seen = slot.map(|slot| (slot.word(), slot.capacity()));
        }
        for (n, seen) in self.seen.accounts.iter_mut().enumerate() {
            *seen = engine.account_of(Account(n as u32)).expect("opened").used();
        }
    }

    fn slot_changed(
        &mut self,
        engine: &Engine,
        me: usize,
        index: usize,
        (before, old): (Word<Wide>, Resources),
        (after, capacity): (Word<Wide>, Resources),
    ) {
        if before == after {
            // The capacity alone is written just before the word.
            return;
        }
        let flight = self.flights[me].as_ref().expect("it does something");
        let rise = after.version().checked_sub(before.version());
        // The first registration of a slot is its version 0.
        let first = before.version() == 0 && before.state() == State::Removed;
        let least = if first { 0 } else { 1 };
        if !rise.is_some_and(|rise| rise >= least && rise <= flight.at_once) {
            let what = format!("slot {index}: {before:?} has become {after:?} in one step");
            return self.fail(what);
        }
        let (free, was) = (after.free(), before.free());
        let of_workers = flight.changes_workers && !flight.hands_off;
        if !flight.changes_workers && before.state() != after.state() {
            self.fail(format!("slot {index} is {} by a reservation", after.state()));
        } else if !of_workers && before.state() == after.state() && old == capacity {
            let took = any(|d| free.get(d) < was.get(d));
            let model = self.model.workers.values().find(|worker| worker.at.index == index as u32);
            let revising = self.flights.iter().flatten().any(|flight| flight.revises);
            if took && flight.pool_only && !revising && model.is_some_and(|worker| !worker.pool) {
                let what = format!("taken on slot {index}, which is out of the pool");
                return self.fail(what);
            }
            if took && !before.state().takes(flight.ahead) {
                let what = format!("taken on slot {index}, which is {}", before.state());
                return self.fail(what);
            }
        }
        let revising = self.flights.iter().flatten().any(|flight| flight.revises);
        if after.state() != State::Removed && !revising {
            if any(|d| free.get(d) > capacity.get(d) as i64) {
                self.fail(format!("slot {index} has {free:?} free of {capacity}"));
            }
            let short = any(|d| free.get(d) < 0) && self.seen.lowered & 1 << index == 0;
            if short && !is_claimed(engine, index as u32) {
                self.fail(format!("slot {index} has {free:?} free of {capacity}, and no claims"));
            }
        }
        let more = before.state() != after.state() || any(|d| free.get(d) > was.get(d));
        self.flights[me].as_mut().expect("as before").raised |= (more as u32) << index;
        for flight in self.flights.iter_mut().flatten() {
            if flight.ask.is_none_or(|ask| !takes(engine, index as u32, &ask)) {
                flight.could &= !(1 << index);
            }
        }
    }

    /// Looks through the books.
    pub(super) fn look_through(&mut self, engine: &Engine) {
        let table = &engine.registry.shared.table;
        let mut held = [[0u64; 3]; WORKERS.len()];
        let mut devices = [[(0u32, 0u64); MAX_DEVICES]; WORKERS.len()];
        let mut ids: Vec<(Vec<u8>, Ticket)> = Vec::new();
        let mut members = BTreeMap::<Key, u64>::new();
        for sighting in engine.ledger.sightings() {
            // A pledged one may hold less already, or be on its way out; if it comes back, it is seen
            // then.
            let Sighting::Live(ticket, h) = sighting else { continue };
            let id = engine.ledger.id_of(ticket).unwrap_or_default();
            if !id.is_empty() {
                ids.push((id, ticket));
            }
            let mut counts = true;
            if h.rides {
                let (carried, counted) = engine.ledger.carried(ticket);
                counts = !(carried.claim && h.provisional);
                for counted in counted {
                    *members.entry(engine.ranks.tallies.key(counted)).or_default() += 1;
                }
            }
            let slot = table.get(h.slot).expect("aimed at");
            let there =
                slot.stamp().incarnation == h.incarnation && slot.word().state() != State::Removed;
            if counts && there {
                let sum = &mut held[h.slot as usize];
                for d in Dimension::ALL {
                    sum[d as usize] += h.amount.get(d);
                }
                if let Some(granted) = engine.ledger.granted(ticket).filter(|_| h.rides) {
                    for i in granted.devices.iter() {
                        let one = &mut devices[h.slot as usize][i];
                        *one = (one.0 + granted.milli as u32, one.1 + granted.memory);
                    }
                }
            }
        }
        ids.sort();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            self.fail(format!("two reservations hold one id: {pair:?}"));
        }
        self.nothing_oversold(engine, &held);
        if let Some(device) =
            devices.iter().flatten().find(|one| one.0 > 1000 || one.1 > DEVICE_MEMORY)
        {
            self.fail(format!("a device is oversold: {device:?}"));
        }
        self.nowhere_too_many(&members);
    }

    fn nothing_oversold(&mut self, engine: &Engine, held: &[[u64; 3]; WORKERS.len()]) {
        if self.flights.iter().flatten().any(|flight| flight.revises) {
            return;
        }
        for (index, held) in held.iter().enumerate() {
            let Some(slot) = engine.registry.shared.table.get(index as u32) else { break };
            let capacity = slot.capacity();
            let over = any(|d| held[d as usize] > capacity.get(d));
            if over && self.seen.lowered & 1 << index == 0 {
                self.fail(format!("slot {index} is oversold: {held:?} held of {capacity}"));
            }
        }
    }

    /// A worker has taken over what another held: a group may have more there than it may, also once a
    /// request that was counted before has found its place.
    pub(super) fn crowd(&mut self, engine: &Engine, at: WorkerRef) {
        for limit in LIMITS {
            let Some((key, hash)) = engine.place_of(limit.group, at) else { continue };
            if engine.ranks.tallies.count(&key, hash) > limit.at_most as u64 {
                self.seen.crowded.push(key);
            }
        }
    }

    fn nowhere_too_many(&mut self, members: &BTreeMap<Key, u64>) {
        let over = |key: &Key, count: u64| {
            let group = u64::from_le_bytes(key[..8].try_into().expect("eight bytes"));
            count > LIMITS[group as usize].at_most as u64
        };
        // One of them may be pledged this moment, and come back.
        let at_rest = self.flights.iter().all(Option::is_none);
        self.seen
            .crowded
            .retain(|key| !at_rest || over(key, members.get(key).copied().unwrap_or(0)));
        let handing_off = self.flights.iter().flatten().any(|flight| flight.hands_off);
        for (key, &count) in members {
            if over(key, count) && !self.seen.crowded.contains(key) {
                if handing_off {
                    self.seen.crowded.push(*key);
                } else {
                    self.fail(format!("{count} of a group in one place: {key:?}"));
                }
            }
        }
    }
}

/// Whether somebody has been promised what others hold there.
fn is_claimed(engine: &Engine, index: u32) -> bool {
    engine.ledger.sightings().any(|sighting| match sighting {
        Sighting::Live(ticket, h) | Sighting::Pledged(ticket, h) | Sighting::Between(ticket, h) => {
            let at: WorkerRef = worker_of(&h);
            at.index == index && h.rides && engine.ledger.carried(ticket).0.claim
        }
    })
}
