//! Steps of what requests may come under, of the clock, of preemption and of hand-offs.

use slotwise::{ConfirmError, Limit, Quota, Reservation, Scope, Terms, TermsError, WorkerError};

use super::*;

fn terms_status(error: &TermsError) -> &'static str {
    match error {
        TermsError::NameLength { .. } => "name_length",
        other => panic!("the table names no {other:?}"),
    }
}

fn done<T>(result: Result<T, &'static str>) -> Got {
    status(result.err().unwrap_or("ok"))
}

impl Host {
    pub(super) fn limits(&self, step: &Step<'_>) -> Vec<Limit> {
        let limit = |limit: &str| {
            let (name, at_most) = limit.split_once(':').expect("group:number");
            Limit { group: self.groups[name], at_most: at_most.parse().expect("a number") }
        };
        step.list("limits").into_iter().map(limit).collect()
    }

    /// None where the step names none of it.
    pub(super) fn terms<'a>(&self, step: &Step<'_>, limits: &'a [Limit]) -> Option<Terms<'a>> {
        let terms = Terms {
            hold_until: step.get("hold").map(|_| step.number("hold")),
            priority: step.get("priority").map_or(0, |n| n.parse().expect("a number")),
            preemptable: step.number("preemptable") == 1,
            account: step.get("account").map(|name| self.accounts[name]),
            devices: devices::need(step),
            limits,
        };
        (terms != Terms::new()).then_some(terms)
    }

    pub(super) fn run_on_terms(&mut self, step: &Step<'_>) -> Got {
        let id = step.get("id").unwrap_or_default();
        match step.op {
            "tick" => self.tick(step),
            "confirm" => {
                let confirmed = self.engine.confirm_id(id.as_bytes());
                self.confirmed(id, confirmed)
            }
            "confirm_ticket" => {
                let of = step.text("of");
                let confirmed = self.engine.confirm(self.tickets[of]);
                self.confirmed(of, confirmed)
            }
            "deadline" => match self.engine.deadline(self.tickets[step.text("of")]) {
                None => status("not_held"),
                Some(deadline) => {
                    got([("status", "ok".to_string()), ("deadline", deadline.to_string())])
                }
            },
            "heartbeat" => {
                let heard = self.engine.heartbeat(id.as_bytes(), step.number("until"));
                done(heard.map_err(|error: WorkerError| worker_status(&error)))
            }
            "hand_off" => self.hand_off(step),
            "account" => self.account(step),
            "usage" => {
                let used = self.engine.usage(self.accounts[step.text("name")]).expect("it").used;
                got([
                    ("status", "ok".to_string()),
                    ("cpu", used.cpu.to_string()),
                    ("memory", used.memory.to_string()),
                    ("gpus", used.gpus.to_string()),
                ])
            }
            "spread" => {
                let scope = match step.text("scope") {
                    "worker" => Scope::Worker,
                    "machine" => Scope::Machine,
                    "label" => Scope::Label(step.text("label").into()),
                    other => panic!("no scope is called {other}"),
                };
                let name = step.text("name");
                let group = self.engine.spread_group(name, scope);
                done(
                    group
                        .map(|group| self.groups.insert(name.to_string(), group))
                        .map_err(|error: TermsError| terms_status(&error)),
                )
            }
            "spread_count" => {
                let worker = self.engine.find_worker(step.text("worker").as_bytes()).expect("it");
                match self.engine.spread_count(self.groups[step.text("name")], worker) {
                    None => status("unknown_group"),
                    Some(count) => {
                        got([("status", "ok".to_string()), ("count", count.to_string())])
                    }
                }
            }
            "plan" | "preempt" => self.preemption(step),
            other => panic!("no step is called {other}"),
        }
    }

    fn tick(&self, step: &Step<'_>) -> Got {
        let ticked = match self.engine.tick(step.number("now")) {
            Ok(ticked) => ticked,
            Err(_) => {
                let now = self.engine.now().to_string();
                return got([("status", "clock_went_back".to_string()), ("now", now)]);
            }
        };
        let lost = ticked.workers.iter().flat_map(|worker| &worker.lost);
        got([
            ("status", "ok".to_string()),
            ("now", self.engine.now().to_string()),
            ("expired", sorted(ticked.expired.iter().map(|one| one.id.to_string()))),
            ("workers", sorted(ticked.workers.iter().map(|one| one.id.to_string()))),
            ("lost", sorted(lost.map(|one| one.id.to_string()))),
        ])
    }

    fn confirmed(&mut self, id: &str, confirmed: Result<Reservation, ConfirmError>) -> Got {
        match confirmed {
            Ok(reservation) => self.placed(id, Ok(reservation)),
            Err(ConfirmError::NotHeld) => status("not_held"),
            Err(ConfirmError::Waiting { victims }) => {
                got([("status", "waiting".to_string()), ("left", victims.to_string())])
            }
            Err(other) => panic!("the table names no {other:?}"),
        }
    }

    fn hand_off(&self, step: &Step<'_>) -> Got {
        let (expected, real) = (step.text("expected"), step.text("real"));
        match self.engine.hand_off(expected.as_bytes(), real.as_bytes()) {
            Ok(handed) => got([
                ("status", "ok".to_string()),
                ("worker", self.name(handed.worker)),
                ("moved", handed.moved.to_string()),
                ("lost", sorted(handed.lost.iter().map(|one| one.id.to_string()))),
            ]),
            Err(error) => status(worker_status(&error)),
        }
    }

    fn account(&mut self, step: &Step<'_>) -> Got {
        let name = step.text("name");
        let limit = |key: &str| step.get(key).map(|_| step.number(key));
        let quota = Quota { cpu: limit("cpu"), memory: limit("memory"), gpus: limit("gpus") };
        let opened = self.engine.account(name).map(|account| {
            self.accounts.insert(name.to_string(), account);
            self.engine.set_quota(account, quota).expect("its own account");
        });
        done(opened.map_err(|error| terms_status(&error)))
    }

    fn preemption(&mut self, step: &Step<'_>) -> Got {
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let request = self.request(step, step.text("id"), 0, terms.as_ref());
        if step.op == "preempt" {
            let claim = self.engine.preempt(&request, &self.plans[step.text("plan")]);
            return self.placed(step.text("id"), claim);
        }
        let plan = match self.engine.plan_preemption(&request) {
            Ok(plan) => plan,
            Err(error) => return status(reserve_status(&error)),
        };
        let told = got([
            ("status", "ok".to_string()),
            ("worker", self.name(plan.worker)),
            ("version", plan.version.to_string()),
            ("victims", sorted(plan.victims.iter().map(|one| one.id.to_string()))),
            ("leaving", plan.leaving.len().to_string()),
        ]);
        self.plans.insert(step.text("name").to_string(), plan);
        told
    }
}
