//! Who would have to leave for a request, when nothing is under way: as few as there can be.

use super::compare::Checked;
use super::model::Worker;
use super::ops::{Ask, with};
use super::world::World;
use crate::engine::{self, Engine};
use crate::placement::{Cost, Dimension, Resources, Victim, fewest_victims_naive};

/// Every set of so many is looked at.
const MOST: usize = 9;

impl World {
    /// The plan costs as little as the best of every set on every worker; where no set makes room, it is
    /// refused.
    pub(super) fn displacements(&self, engine: &Engine, ask: Ask) -> Checked {
        let mut best: Option<Cost> = None;
        for worker in self.model.workers.values() {
            let suits = worker.suits(&ask, self.gpu_separation) && worker.state().takes(ask.ahead);
            if suits && ask.need.fits_in(&worker.capacity()) {
                let Ok(cost) = self.least(engine, worker, &ask) else { return Ok(()) };
                best = best.into_iter().chain(cost).min();
            }
        }
        let planned = with(&[ask], |requests| engine.plan_preemption(&requests[0]));
        let cost = planned.as_ref().ok().map(|plan| {
            let slot = engine.registry.shared.table.get(plan.worker.index).expect("registered");
            plan.victims.iter().fold(Cost::NONE, |cost, victim| {
                let engine::Victim { priority, amount, granted, .. } = *victim;
                cost.with(&Victim { priority, amount, granted }, slot.weights())
            })
        });
        let refused = planned.as_ref().is_err_and(|error| error.verdict().is_some());
        match cost == best && (refused || cost.is_some()) {
            true => Ok(()),
            false => Err(format!("{ask:?} should cost {best:?}: {planned:?}")),
        }
    }

    /// What it would cost on one worker. `Err`: too many are there to look at every set.
    fn least(&self, engine: &Engine, worker: &Worker, ask: &Ask) -> Result<Option<Cost>, usize> {
        let shared = &engine.registry.shared;
        let slot = shared.table.get(worker.at.index).expect("registered");
        let pool = shared.pool(worker.at.index).filter(|_| worker.devices);
        let mut free = slot.word().free();
        let mut devices = pool.and_then(|pool| slot.devices(pool).1);
        let need = ask.devices();
        let fits = free.fits(&ask.need)
            && need.is_none_or(|need| devices.is_some_and(|devices| devices.fits(&need)));
        let mut may = Vec::new();
        for (&ticket, held) in &self.model.live {
            if self.model.now_at(held.at) != worker.at {
                continue;
            }
            let (priority, amount) = (held.on.priority, held.amount);
            let granted = engine.granted(ticket);
            if engine.ledger.is_displaced(ticket) {
                if !fits {
                    free = free.plus(&amount);
                    let more =
                        devices.zip(granted).map(|(devices, granted)| devices.plus(&granted));
                    devices = more.or(devices);
                }
            } else if held.on.preemptable && priority < ask.terms.expect("pressing").priority {
                may.push(Victim { priority, amount, granted });
            }
        }
        if may.len() > MOST {
            return Err(may.len());
        }
        let [cpu, memory, gpus] = Dimension::ALL.map(|d| match ask.need.get(d) {
            0 => 0,
            need => (need as i64 - free.get(d)).max(0) as u64,
        });
        let devices = need.as_ref().zip(devices.as_ref());
        let missing = Resources { cpu, memory, gpus };
        let fewest = fewest_victims_naive(&may, &missing, devices, slot.weights());
        Ok(fewest.map(|(cost, _)| cost))
    }
}
