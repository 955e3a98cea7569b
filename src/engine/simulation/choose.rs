//! What happens next: chance, with a hand for what makes trouble.

use super::baton::Baton;
use super::model::Worker;
use super::ops::{Ask, IDS, On, Op, Step, WORKERS, Word};
use super::rng::Rng;
use super::world::World;
use crate::engine::{BatchMode, Engine, Quota};
use crate::ledger::Ticket;
use crate::placement::{DeviceNeed, Policy, Resources};
use crate::registry::{DeviceSpec, WorkerRef, WorkerSpec, WorkerUpdate};
use crate::slots::State;

/// Amounts on both sides of the sizes that hints are kept for.
const AMOUNTS: [u64; 8] = [1, 63, 64, 100, 256, 500, 512, 1000];
const TOTALS: [u64; 4] = [512, 1000, 1024, 2000];

/// The last worker has GPUs, ...
const GPUS: u8 = WORKERS.len() as u8 - 1;
/// ... and the one before it has devices: two of so much memory each.
const DEVICES: u8 = GPUS - 1;
pub(super) const DEVICE_MEMORY: u64 = 100;

impl World {
    /// What has been late for long enough, or something new.
    pub(super) fn next_op(&mut self, engine: &Engine, baton: &mut Baton) -> Op {
        let step = baton.step;
        let rng = &mut baton.rng;
        if let Some(due) = self.late.iter().position(|(when, _)| *when <= step)
            && rng.one_in(3)
        {
            return self.late.swap_remove(due).1;
        }
        let op = self.new_op(engine, rng);
        let message = matches!(
            op,
            Op::Release(_)
                | Op::ReleaseId(_)
                | Op::Confirm(_)
                | Op::ConfirmId(_)
                | Op::Resize(..)
                | Op::Heartbeat(..)
                | Op::Signal(..)
                | Op::Once(..)
                | Op::Preempt(..)
        );
        if message && self.late.len() < 40 {
            let when = step + rng.below(4_000) as u64;
            match rng.below(16) {
                // Delivered twice.
                0 => self.late.push((when, op.clone())),
                // Delivered late.
                1 => {
                    self.late.push((when, op));
                    return self.new_op(engine, rng);
                }
                _ => {}
            }
        }
        op
    }

    fn new_op(&mut self, engine: &Engine, rng: &mut Rng) -> Op {
        if self.model.workers.len() < 2 {
            return self.add(rng);
        }
        match rng.below(100) {
            0..16 => Op::Reserve(self.ask(rng, 5)),
            16..24 => Op::Reserve(self.ask(rng, 1)),
            24..29 => {
                let worker = self.a_ref(rng);
                let version = engine.snapshot(worker).map_or(0, |snapshot| snapshot.version);
                let expected = [None, None, Some(version), Some(version.wrapping_sub(1))];
                Op::ReserveOn(worker, rng.pick(&expected), self.ask(rng, 2))
            }
            29..39 => Op::Release(self.a_ticket(rng)),
            39..44 => Op::ReleaseId(an_id(rng)),
            44..46 => Op::ReleaseMany((0..3).map(|_| self.a_ticket(rng)).collect()),
            46..50 => Op::Confirm(self.a_ticket(rng)),
            50..52 => Op::ConfirmId(an_id(rng)),
            52..56 => Op::Resize(self.a_ticket(rng), need(rng)),
            56..58 => Op::ResizeId(an_id(rng), need(rng)),
            58..60 => Op::Batch(BatchMode::Independent, self.asks(rng)),
            60..65 => Op::Batch(BatchMode::AllOrNothing, self.asks(rng)),
            65..67 => {
                let mode = rng.pick(&[BatchMode::Independent, BatchMode::AllOrNothing]);
                Op::Once(rng.below(200) as u8, mode, self.asks(rng))
            }
            67..71 => {
                let on_its_way = rng.one_in(2);
                let n = if on_its_way { self.one_on_its_way(rng) } else { self.a_worker(rng) };
                Op::Group(n, (0..=rng.below(3)).map(|_| self.step(n, rng)).collect())
            }
            71 => Op::DryRun(self.asks(rng), vec![self.a_ticket(rng)]),
            72..74 => Op::Plan(self.pressing(rng)),
            74..76 => match self.plans.len() {
                0 => Op::Plan(self.pressing(rng)),
                n => {
                    let (ask, plan) = self.plans.swap_remove(rng.below(n));
                    Op::Preempt(ask, plan)
                }
            },
            76 => {
                let limit = |rng: &mut Rng| rng.pick(&[None, Some(0), Some(1000), Some(2500)]);
                let (cpu, memory, gpus) = (limit(rng), limit(rng), rng.pick(&[None, Some(1)]));
                Op::SetQuota(rng.below(2) as u8, Quota { cpu, memory, gpus })
            }
            77..80 => self.add(rng),
            80..82 => {
                let n = self.a_worker(rng);
                Op::Update(n, if rng.one_in(3) { resized(n, rng) } else { self.update(rng) })
            }
            82..84 => Op::Remove(self.a_worker(rng)),
            84..88 => {
                let generation = rng.below(4) as u64;
                let words = [
                    Word::Ready,
                    Word::Ready,
                    Word::ReadyOf(generation),
                    Word::Unready,
                    Word::Cordon,
                    Word::Uncordon,
                    Word::Uncordon,
                    Word::Drain,
                ];
                Op::Signal(self.a_worker(rng), rng.pick(&words))
            }
            88..91 => Op::Heartbeat(self.a_worker(rng), self.clock + 1 + rng.below(8) as u64),
            91..94 => Op::HandOff(self.one_on_its_way(rng), self.a_worker(rng)),
            94..99 => Op::Tick(match rng.below(30) {
                0 => self.clock + 100,
                1 | 2 => self.clock.saturating_sub(1 + rng.below(5) as u64),
                _ => self.clock + rng.below(3) as u64,
            }),
            _ => Op::Audit,
        }
    }

    /// A request; one in so many on terms.
    fn ask(&self, rng: &mut Rng, on_terms: usize) -> Ask {
        let policies = [
            Policy::FirstFit,
            Policy::TightestFit,
            Policy::Spread,
            Policy::DotProduct,
            Policy::Fgd,
            Policy::Adaptive,
        ];
        let terms = rng.one_in(on_terms).then(|| self.terms(rng));
        let devices = terms.is_some_and(|on| on.devices.is_some());
        let need = if devices { Resources { gpus: 0, ..need(rng) } } else { need(rng) };
        Ask {
            id: if rng.one_in(3) { 0 } else { an_id(rng) },
            need,
            hash: rng.next(),
            selector: rng.one_in(3) as u8,
            ahead: rng.one_in(2),
            policy: rng.one_in(6).then(|| rng.pick(&policies)),
            terms,
        }
    }

    fn asks(&self, rng: &mut Rng) -> Vec<Ask> {
        (0..=rng.below(3)).map(|_| self.ask(rng, 3)).collect()
    }

    fn terms(&self, rng: &mut Rng) -> On {
        let until = self.clock + 1 + rng.below(12) as u64;
        On {
            hold_until: rng.one_in(2).then_some(until),
            priority: rng.below(3) as i32,
            preemptable: rng.one_in(2),
            account: rng.one_in(2).then(|| rng.below(2) as u8),
            groups: if rng.one_in(2) { rng.below(8) as u8 } else { 0 },
            devices: rng.one_in(2).then(|| devices(rng)),
        }
    }

    /// One that others may have to leave for.
    fn pressing(&self, rng: &mut Rng) -> Ask {
        let mut ask = self.ask(rng, 1);
        if let Some(on) = &mut ask.terms {
            on.priority = 3 + rng.below(3) as i32;
        }
        ask
    }

    /// The same without anything that keeps it from a worker but what is free there.
    pub(super) fn alone(&self, rng: &mut Rng) -> Ask {
        let mut ask = self.pressing(rng);
        if let Some(on) = &mut ask.terms {
            (on.groups, on.priority) = (0, rng.below(7) as i32);
        }
        Ask { id: 0, ..ask }
    }

    /// Most often one that is held.
    fn a_ticket(&self, rng: &mut Rng) -> Ticket {
        let (live, recent) = (self.model.live.len(), self.recent.len());
        if recent > 0 && (live == 0 || rng.one_in(8)) {
            return self.recent[rng.below(recent)];
        }
        let nth = rng.below(live.max(1));
        self.model.live.keys().nth(nth).copied().unwrap_or(Ticket::from_bits(rng.next() >> 20))
    }

    fn a_ref(&self, rng: &mut Rng) -> WorkerRef {
        let nth = rng.below(self.model.workers.len());
        let mut at = self.model.workers.values().nth(nth).expect("one of them").at;
        if rng.one_in(10) {
            // One of before.
            at.incarnation = at.incarnation.saturating_sub(1).max(1);
        }
        at
    }

    /// Most often one that can be handed off.
    fn one_on_its_way(&self, rng: &mut Rng) -> u8 {
        let pending = |worker: &Worker| worker.state() == State::Pending;
        let on_its_way = self.model.workers.iter().find(|(_, worker)| pending(worker));
        let any = self.a_worker(rng);
        on_its_way.filter(|_| !rng.one_in(4)).map_or(any, |(&n, _)| n)
    }

    /// A step on this worker.
    fn step(&self, n: u8, rng: &mut Rng) -> Step {
        let at = self.model.workers.get(&n).map(|worker| worker.at);
        let mut there = self.model.live.iter().filter(|(_, held)| Some(held.at) == at);
        match rng.below(6) {
            4 | 5 => match there.next() {
                Some((&ticket, _)) => Step::Release(ticket),
                None => Step::Release(self.a_ticket(rng)),
            },
            0 | 1 => Step::Reserve(if rng.one_in(3) { 0 } else { an_id(rng) }, need(rng)),
            2 => Step::ReleaseId(an_id(rng)),
            _ => Step::Release(self.a_ticket(rng)),
        }
    }

    /// The last workers, so that there are some with GPUs in every world; often one that is being changed.
    fn a_worker(&self, rng: &mut Rng) -> u8 {
        let mut changing = self.flights.iter().flatten().filter_map(|flight| flight.target);
        if rng.one_in(3)
            && let Some(n) = changing.next()
        {
            return n;
        }
        WORKERS.len() as u8 - 1 - rng.below(self.crowd as usize) as u8
    }

    fn add(&self, rng: &mut Rng) -> Op {
        let n = self.a_worker(rng);
        let spec = WorkerSpec::new(WORKERS[n as usize], total(n, rng))
            .pending(rng.one_in(3))
            .generation(rng.below(3) as u64);
        let devices = ["d-0", "d-1"].map(|id| DeviceSpec::new(id).memory(DEVICE_MEMORY));
        let spec = if n == DEVICES { spec.devices(devices) } else { spec };
        let spec = if rng.one_in(2) { spec.pool("p") } else { spec };
        let spec = match rng.below(3) {
            0 => spec,
            zone => spec.label("zone", format!("z{zone}")),
        };
        let spec = if rng.one_in(2) { spec.machine(machine(rng)) } else { spec };
        let until = self.clock + 3 + rng.below(20) as u64;
        Op::Add(n, if rng.one_in(2) { spec.lease(until) } else { spec })
    }

    fn update(&self, rng: &mut Rng) -> WorkerUpdate {
        let update = WorkerUpdate::new();
        match rng.below(8) {
            0 => update.set_aside(Resources::new(rng.pick(&[0, 100, 300]), 100)),
            1..4 => update.pool(rng.pick(&["p", ""])),
            4 => update.labels([("zone", rng.pick(&["z1", "z2"]))]),
            5 => update.machine(rng.one_in(2).then(|| machine(rng).into())),
            6 => update.generation(rng.below(4) as u64),
            _ => update.priority(rng.below(2) as i32),
        }
    }
}

fn resized(n: u8, rng: &mut Rng) -> WorkerUpdate {
    WorkerUpdate::new().total(total(n, rng))
}

/// Some are asked for again and again.
fn an_id(rng: &mut Rng) -> u8 {
    1 + if rng.one_in(2) { rng.below(2) } else { rng.below(IDS.len() - 1) } as u8
}

fn machine(rng: &mut Rng) -> &'static str {
    rng.pick(&["m-1", "m-2"])
}

fn need(rng: &mut Rng) -> Resources {
    let gpus = if rng.one_in(6) { 1 } else { 0 };
    let memory = if rng.one_in(8) { 0 } else { rng.pick(&AMOUNTS) };
    Resources::new(rng.pick(&AMOUNTS), memory).gpus(gpus)
}

fn devices(rng: &mut Rng) -> DeviceNeed {
    let need = match rng.below(4) {
        0 => DeviceNeed::whole(1 + rng.below(2) as u32),
        _ => DeviceNeed::part(rng.pick(&[1, 124, 126, 300, 500, 600, 999])),
    };
    need.memory(rng.pick(&[0, 0, 40, DEVICE_MEMORY]))
}

fn total(n: u8, rng: &mut Rng) -> Resources {
    Resources::new(rng.pick(&TOTALS), rng.pick(&TOTALS)).gpus(if n >= DEVICES { 2 } else { 0 })
}
