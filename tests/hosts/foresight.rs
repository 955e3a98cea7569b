//! Steps that ask what would be, and why.

use slotwise::{Outlook, Supposition, WorkerRef, WorkerSpec};

use super::*;

impl Host {
    pub(super) fn explain(&self, step: &Step<'_>) -> Got {
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let request = self.request(step, step.text("id"), 0, terms.as_ref());
        let explained = match self.engine.explain(&request, false) {
            Ok(explained) => explained,
            Err(error) => return status(reserve_status(&error)),
        };
        let (answer, worker, outlook) = match explained.answer {
            Ok(found) => ("ok", self.name(found.worker), Outlook::Unknown),
            Err(refusal) => {
                let answer = reserve_status(&ReserveError::Refused(refusal));
                (answer, "-".to_string(), refusal.outlook)
            }
        };
        let outlook = match outlook {
            Outlook::Unknown => "unknown",
            Outlook::Wait => "wait",
            Outlook::Start => "start",
        };
        let missing = explained.nearest.map_or(Resources::ZERO, |miss| miss.missing);
        let nearest = explained.nearest.map_or("-".to_string(), |miss| self.name(miss.worker));
        got([
            ("status", answer.to_string()),
            ("worker", worker),
            ("outlook", outlook.to_string()),
            ("fitting", explained.fitting.to_string()),
            ("not_matching", explained.reasons.not_matching.to_string()),
            ("nearest", nearest),
            ("missing_cpu", missing.cpu.to_string()),
            ("missing_memory", missing.memory.to_string()),
            ("missing_gpus", missing.gpus.to_string()),
        ])
    }

    pub(super) fn replicas(&self, step: &Step<'_>) -> Got {
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let request = self.request(step, "", 0, terms.as_ref());
        let credited: Vec<Ticket> =
            step.list("credit").into_iter().map(|id| self.tickets[id]).collect();
        let worker = |id: &str| self.engine.find_worker(id.as_bytes()).expect("it is registered");
        let without: Vec<WorkerRef> = step.list("without").into_iter().map(worker).collect();
        let size = Resources::new(step.number("added_cpu"), step.number("added_memory"));
        let with: Vec<WorkerSpec> = (0..step.number("added"))
            .map(|k| WorkerSpec::new(format!("added-{k}"), size))
            .collect();
        let supposing = Supposition { credited: &credited, without: &without, with: &with };
        let fit = self.engine.replicas(&request, step.number("n") as u32, &supposing);
        got([("fit", fit.expect("nothing is wrong with it").to_string())])
    }

    pub(super) fn demand(&self, step: &Step<'_>) -> Got {
        let shape = WorkerSpec::new("shape", step.amounts(0));
        let demand = self.engine.unmet_demand(&shape, step.number("since")).expect("a shape");
        let sum = |of: fn(&slotwise::Demand) -> u32| demand.iter().map(of).sum::<u32>().to_string();
        got([
            ("requests", sum(|of| of.requests)),
            ("joining", sum(|of| of.joining)),
            ("packed", sum(|of| of.packed)),
            ("workers", sum(|of| of.workers)),
            ("unservable", sum(|of| of.unservable)),
        ])
    }
}
