//! When nothing is under way, everything must be as the answers say, to the last unit; and what is free
//! must be found.

use std::collections::BTreeMap;

use super::baton::Baton;
use super::choose::DEVICE_MEMORY;
use super::model::{End, Held};
use super::ops::{ACCOUNTS, Ask, LIMITS, On, Op, Outcome, charge, with, worker};
use super::rng::Rng;
use super::world::{World, takes};
use crate::engine::reserve::worker_of;
use crate::engine::terms::resources;
use crate::engine::{Account, Engine, Verdict};
use crate::ledger::{Key, Sighting};
use crate::placement::{DeviceNeed, Dimension, Resources};
use crate::registry::WorkerRef;

/// `Err`: what is wrong.
pub(super) type Checked = Result<(), String>;

/// What a device has, all of it free.
const ALL: (i64, i64) = (1000, DEVICE_MEMORY as i64);

fn add(sum: &mut Resources, amount: &Resources) {
    sum.cpu += amount.cpu;
    sum.memory += amount.memory;
    sum.gpus += amount.gpus;
}

impl World {
    pub(super) fn compare(&mut self, engine: &Engine, baton: &mut Baton) {
        if self.failure.is_some() {
            return;
        }
        // Whatever was half-way when its time came ends now.
        let (step, tick) = (baton.step, Op::Tick(self.model.now));
        let outcome = tick.perform(engine);
        self.note(|| format!("{step} all at rest: {outcome:?}"));
        if let Outcome::Ticked(result) = outcome {
            self.ticked(step, self.model.now, result);
        }
        self.settle(engine);
        let compared = self
            .reservations(engine)
            .and_then(|()| self.workers(engine))
            .and_then(|()| self.counts(engine))
            .and_then(|()| self.searches(engine, &mut baton.rng))
            .and_then(|()| self.displacements(engine, self.alone(&mut baton.rng)));
        if let Err(what) = compared {
            self.fail(format!("at rest: {what}"));
        }
        self.look_anew(engine);
        self.look_through(engine);
    }

    /// What ended under an id alone is one of those that the engine does not know any more.
    fn settle(&mut self, engine: &Engine) {
        for id in std::mem::take(&mut self.model.ended_by_id) {
            let gone = self
                .model
                .live
                .iter()
                .find(|(ticket, held)| held.id == id && engine.ledger.look(**ticket).is_none());
            match gone.map(|(&ticket, _)| ticket) {
                Some(ticket) => {
                    self.model.live.remove(&ticket);
                    self.model.ended.insert(ticket, (0, End::Released));
                }
                None => self.fail(format!("id {id} was given back, and nothing has ended")),
            }
        }
    }

    fn reservations(&mut self, engine: &Engine) -> Checked {
        if let Some(ticket) = self.model.unborn() {
            return Err(format!("{ticket:?} has ended, and nobody has made it"));
        }
        for ticket in std::mem::take(&mut self.model.must_end) {
            if self.model.live.contains_key(&ticket) {
                return Err(format!("{ticket:?} was said to be held no more, and is"));
            }
        }
        for (ticket, id) in std::mem::take(&mut self.model.met) {
            match self.model.live.get(&ticket).map(|held| held.id) {
                Some(held) if held != id => return Err(format!("{ticket:?} is not id {id}'s")),
                None if !self.model.ended.contains_key(&ticket) => {
                    return Err(format!("{ticket:?} was said to hold id {id}; nobody made it"));
                }
                _ => {}
            }
        }
        let mut there = BTreeMap::new();
        for sighting in engine.ledger.sightings() {
            let Sighting::Live(ticket, held) = sighting else {
                return Err(format!("left half-way: {sighting:?}"));
            };
            there.insert(ticket, held);
        }
        for (ticket, held) in &self.model.live {
            let Some(real) = there.remove(ticket) else {
                return Err(format!("{ticket:?} has ended, and nobody was told: {held:?}"));
            };
            let at = self.model.now_at(held.at);
            let id = engine.ledger.id_of(*ticket);
            if worker_of(&real) != at
                || (real.amount, real.provisional) != (held.amount, held.provisional)
                || id.as_deref() != Some(super::ops::IDS[held.id as usize])
            {
                return Err(format!("{ticket:?} should be {held:?} at {at}, and is {real:?}"));
            }
            let due = held.on.hold_until.is_some_and(|deadline| deadline <= self.model.now);
            if held.provisional && due {
                return Err(format!("{ticket:?} should have expired: {held:?}"));
            }
            let named = engine.reservation(super::ops::IDS[held.id as usize]);
            if held.id != 0 && named.map(|held| held.ticket) != Some(*ticket) {
                return Err(format!("{ticket:?} is not found by its id: {named:?}"));
            }
        }
        match there.first_key_value() {
            Some((ticket, real)) => Err(format!("nobody knows of {ticket:?}: {real:?}")),
            None => Ok(()),
        }
    }

    fn workers(&mut self, engine: &Engine) -> Checked {
        let audit = engine.audit();
        if !audit.is_ok() || audit.unsettled > 0 || audit.reservations != self.model.live.len() {
            return Err(format!("{audit:?}, and {} reservations", self.model.live.len()));
        }
        if engine.worker_count() != self.model.workers.len() {
            return Err(format!("{} workers are registered", engine.worker_count()));
        }
        let mut held = BTreeMap::<WorkerRef, Resources>::new();
        let mut devices = BTreeMap::<(WorkerRef, usize), (i64, i64)>::new();
        for (&ticket, one) in &self.model.live {
            let at = self.model.now_at(one.at);
            add(held.entry(at).or_default(), &one.amount);
            let granted = engine.granted(ticket);
            let as_asked = match (granted, one.on.devices) {
                (None, None) => true,
                (Some(granted), Some(need)) => {
                    DeviceNeed { island: need.island, ..granted.into() } == need
                }
                _ => false,
            };
            if !as_asked {
                return Err(format!("{ticket:?} has been granted {granted:?}: {one:?}"));
            }
            // A claim that waits for others may leave less than nothing; see `watch` for what is held.
            for i in granted.iter().flat_map(|granted| granted.devices.iter()) {
                let granted = granted.expect("as before");
                let free = devices.entry((at, i)).or_insert(ALL);
                *free = (free.0 - i64::from(granted.milli), free.1 - granted.memory as i64);
            }
        }
        self.model.early_beats.clear();
        let now = self.model.now;
        for (&n, expected) in &mut self.model.workers {
            let Some(info) = engine.worker(worker(n)) else {
                return Err(format!("{expected:?} is gone, and nobody was told"));
            };
            if let Some(what) = expected.differs(&info) {
                return Err(format!("{what}: {info:?}, and {expected:?}"));
            }
            let held = held.remove(&info.worker).unwrap_or_default();
            let mut free = crate::placement::Free::from(expected.capacity()).minus(&held);
            if expected.devices {
                let left = |i| devices.remove(&(info.worker, i)).unwrap_or(ALL);
                let left = [0, 1].map(left);
                let there =
                    info.devices.iter().map(|d| (d.free_milli.into(), d.free_memory as i64));
                if !there.eq(left.map(|one| (one.0.max(0), one.1.max(0)))) {
                    return Err(format!("{left:?} should be free of devices: {info:?}"));
                }
                free.gpus = left.iter().filter(|one| one.0 == 1000).count() as i64;
            }
            if info.free != free {
                return Err(format!("{free:?} should be free: {info:?}"));
            }
            let known = info
                .lease
                .is_none_or(|until| expected.leases.iter().any(|(lease, _)| *lease == until));
            if !expected.lease_unsure && (!known || info.lease.is_some_and(|until| until <= now)) {
                return Err(format!("the lease is another one: {info:?}, and {expected:?}"));
            }
            if free.deficit().is_zero() {
                self.seen.lowered &= !(1 << info.worker.index);
            }
            expected.leases.retain(|(until, _)| info.lease == Some(*until));
            expected.leases.truncate(1);
            if expected.lease_unsure {
                expected.leases = info.lease.map(|until| (until, 0)).into_iter().collect();
                expected.lease_unsure = false;
            }
        }
        match held.first_key_value() {
            Some((at, amount)) => Err(format!("{amount} held on {at}, which is gone")),
            None => Ok(()),
        }
    }

    /// Accounts, members of groups, claims.
    fn counts(&self, engine: &Engine) -> Checked {
        let mut used = [Resources::ZERO; ACCOUNTS];
        let mut members = BTreeMap::<Key, u64>::new();
        for (&ticket, held) in &self.model.live {
            if let Some(n) = held.on.account {
                add(&mut used[n as usize], &charge(held.amount, held.on.devices));
            }
            let mut counted = 0;
            if engine.ledger.look(ticket).is_some_and(rides) {
                for one in engine.ledger.carried(ticket).1 {
                    counted += 1;
                    *members.entry(engine.ranks.tallies.key(one)).or_default() += 1;
                }
            }
            if counted != held.on.groups.count_ones() {
                return Err(format!("{ticket:?} is counted {counted} times: {held:?}"));
            }
            let waits = |held: &Held| {
                held.waits.iter().filter(|&&v| engine.ledger.look(v).is_some()).count()
            };
            if held.provisional && engine.victims_left(ticket).unwrap_or(0) != waits(held) {
                return Err(format!("{ticket:?} should wait for {}: {held:?}", waits(held)));
            }
        }
        for (n, used) in used.into_iter().enumerate() {
            let account = engine.account_of(Account(n as u32)).expect("opened");
            let limits = self.model.quota_limits()[n];
            if resources(account.used()) != used || account.limits() != limits {
                return Err(format!("account {n} should be charged with {used}"));
            }
        }
        for (key, count) in &members {
            let counted = engine.ranks.tallies.count(key, seahash::hash(key));
            if counted != *count {
                return Err(format!("{counted} are counted, and {count} are there: {key:?}"));
            }
        }
        for (worker, limit) in self.model.workers.values().flat_map(|w| LIMITS.map(|l| (w, l))) {
            let Some((key, hash)) = engine.place_of(limit.group, worker.at) else { continue };
            let counted = engine.ranks.tallies.count(&key, hash);
            if counted != members.get(&key).copied().unwrap_or(0) {
                return Err(format!("{counted} are counted, and none is there: {key:?}"));
            }
        }
        Ok(())
    }

    /// What fits is found, what does not is refused for the right reason, and a dry run says where.
    fn searches(&self, engine: &Engine, rng: &mut Rng) -> Checked {
        if self.model.live.len() >= self.room {
            return Ok(());
        }
        let mut needs: Vec<(Resources, Option<DeviceNeed>)> = Vec::new();
        for worker in self.model.workers.values() {
            let slot = engine.registry.shared.table.get(worker.at.index).expect("registered");
            // All that is free there, and one more than there is.
            let free = slot.word().free().available();
            let free = if worker.devices { Resources { gpus: 0, ..free } } else { free };
            needs.push((free, None));
            needs.push((Resources { cpu: worker.capacity().cpu + 1, ..free }, None));
            let pool = engine.registry.shared.pool(worker.at.index).filter(|_| worker.devices);
            if let Some(devices) = pool.and_then(|pool| slot.devices(pool).1) {
                let largest = devices.0.iter().map(|d| (d.milli(), d.memory())).max();
                let (milli, memory) = largest.expect("two devices");
                // The larger of the two, all of it and a little more; and both.
                needs.push((free, Some(DeviceNeed::part(milli.max(1)).memory(memory))));
                needs.push((free, Some(DeviceNeed::part(milli.max(1)).memory(memory + 1))));
                needs.push((free, Some(DeviceNeed::whole(2))));
            }
        }
        for (need, devices) in needs {
            if need.is_zero() {
                continue;
            }
            let selector = rng.below(2) as u8;
            let ahead = rng.one_in(2);
            let hash = rng.next();
            let terms = devices.map(|_| On { devices, ..On::default() });
            let ask = Ask { id: 0, need, hash, selector, ahead, policy: None, terms };
            self.search(engine, &ask)?;
        }
        Ok(())
    }

    fn search(&self, engine: &Engine, ask: &Ask) -> Checked {
        let suits = |ask: &Ask| {
            let workers = self.model.workers.values();
            let (ask, apart) = (*ask, self.gpu_separation);
            workers.filter(move |worker| worker.suits(&ask, apart))
        };
        let fits = suits(ask).any(|worker| takes(engine, worker.at.index, ask));
        let ever = suits(ask).any(|worker| {
            let memory = |need: DeviceNeed| need.memory <= DEVICE_MEMORY;
            ask.need.fits_in(&worker.capacity()) && ask.devices().is_none_or(memory)
        });
        let mut foreseen = Vec::new();
        let mode = crate::engine::BatchMode::Independent;
        let placed = with(&[*ask], |requests| {
            engine.dry_run(requests, &[], mode, &mut foreseen);
            engine.reserve(&requests[0])
        });
        let foreseen = foreseen.pop().expect("one request").map(|seen| seen.worker);
        if ask.devices().is_none() && placed.map(|placed| placed.worker) != foreseen {
            return Err(format!("{ask:?}: foreseen {foreseen:?}, and then {placed:?}"));
        }
        let right = match placed {
            Ok(placed) => engine.release(placed.ticket).is_ok() && fits,
            Err(error) => {
                let verdict = if ever { Verdict::Busy } else { Verdict::Never };
                !fits && error.verdict() == Some(verdict)
            }
        };
        if right {
            return Ok(());
        }
        let free = |d: Dimension| suits(ask).map(|w| w.capacity().get(d)).max();
        let most = Dimension::ALL.map(free);
        Err(format!("{ask:?} fits: {fits}, ever: {ever} (of {most:?}), and is told {placed:?}"))
    }
}

fn rides(sighting: Sighting) -> bool {
    match sighting {
        Sighting::Live(_, h) | Sighting::Pledged(_, h) | Sighting::Between(_, h) => h.rides,
    }
}
