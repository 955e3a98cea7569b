//! What the steps of the table do on the crate, and what came of them by name.

mod devices;
mod foresight;
#[path = "../common/start_line.rs"]
mod start_line;
mod terms;

use std::collections::{BTreeMap, HashMap};
use std::thread;

use slotwise::{
    Account, BatchMode, Config, Constraints, Engine, Group, GroupDone, GroupError, GroupOp,
    Preemption, ReleaseError, Request, Reservation, ReserveError, ResizeError, Resources, Selector,
    SpreadGroup, Terms, Ticket, Verdict, WorkerError, WorkerInfo, WorkerRef, WorkerSpec,
    WorkerUpdate,
};

use start_line::StartLine;

/// What came of a step.
pub type Got = BTreeMap<&'static str, String>;

/// `key=value` after `key=value`.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|pair| pair.split_once('=').expect("key=value"))
}

/// One line, left of the arrow.
pub struct Step<'a> {
    op: &'a str,
    args: HashMap<&'a str, &'a str>,
}

impl<'a> Step<'a> {
    pub fn of(text: &'a str) -> Step<'a> {
        let (op, args) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Step { op, args: pairs(args).collect() }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.args.get(key).copied()
    }

    fn text(&self, key: &str) -> &'a str {
        self.get(key).unwrap_or_else(|| panic!("{} needs {key}", self.op))
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        self.get(key).map(|list| list.split(',').collect()).unwrap_or_default()
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).map_or(0, |number| number.parse().expect("a number"))
    }

    fn flag(&self, name: &str) -> bool {
        self.list("flags").contains(&name)
    }

    /// The amounts of entry `k`: one for all, or a list.
    fn amounts(&self, k: usize) -> Resources {
        let amount = |key: &str| {
            let list = self.list(key);
            let one = list.get(k).or(list.first());
            one.map_or(0, |number| number.parse().expect("a number"))
        };
        Resources::new(amount("cpu"), amount("memory")).gpus(amount("gpus"))
    }

    fn labels(&self) -> Vec<(&'a str, &'a str)> {
        let labels = self.list("labels");
        labels.into_iter().map(|label| label.split_once(':').expect("key:value")).collect()
    }

    fn mode(&self) -> BatchMode {
        match self.get("mode") {
            Some("all_or_nothing") => BatchMode::AllOrNothing,
            _ => BatchMode::Independent,
        }
    }
}

/// An engine, and what the table's names stand for.
pub struct Host {
    engine: Engine,
    selectors: HashMap<String, Selector>,
    tickets: HashMap<String, Ticket>,
    accounts: HashMap<String, Account>,
    groups: HashMap<String, SpreadGroup>,
    plans: HashMap<String, Preemption>,
}

impl Default for Host {
    fn default() -> Self {
        Host::with(Config::default())
    }
}

fn worker_status(error: &WorkerError) -> &'static str {
    match error {
        WorkerError::Duplicate => "duplicate_worker",
        WorkerError::Unknown => "unknown_worker",
        WorkerError::TooLarge { .. } => "too_large",
        WorkerError::TableFull { .. } => "table_full",
        WorkerError::SetAsideOverTotal { .. } => "set_aside",
        WorkerError::OldGeneration { .. } => "old_generation",
        WorkerError::LeasePassed { .. } => "deadline_passed",
        WorkerError::NotPending { .. } => "not_pending",
        WorkerError::HandOffToItself => "hand_off_to_itself",
        WorkerError::TooManyDevices { .. } => "too_many_devices",
        WorkerError::DuplicateDevice { .. } => "duplicate_device",
        WorkerError::Island { .. } => "island_too_high",
        WorkerError::GpusBesideDevices => "gpus_beside_devices",
        other => panic!("the table names no {other:?}"),
    }
}

fn reserve_status(error: &ReserveError) -> &'static str {
    match error {
        ReserveError::Refused(refusal) => match refusal.verdict {
            Verdict::Busy => "busy",
            Verdict::Never => "never",
        },
        ReserveError::IdLength { .. } => "id_length",
        ReserveError::Empty => "empty",
        ReserveError::TooLarge { .. } => "too_large",
        ReserveError::DuplicateId => "duplicate_id",
        ReserveError::UnknownWorker => "unknown_worker",
        ReserveError::VersionConflict { .. } => "version_conflict",
        ReserveError::QuotaExceeded { .. } => "quota_exceeded",
        ReserveError::DeadlinePassed { .. } => "deadline_passed",
        ReserveError::Peer { .. } => "peer",
        ReserveError::Devices(error) => devices::device_status(error),
        other => panic!("the table names no {other:?}"),
    }
}

fn release_status(error: &ReleaseError) -> &'static str {
    match error {
        ReleaseError::NotHeld => "not_held",
        ReleaseError::Peer { .. } => "peer",
        ReleaseError::OtherWorker => "other_worker",
        other => panic!("the table names no {other:?}"),
    }
}

fn got<const N: usize>(entries: [(&'static str, String); N]) -> Got {
    entries.into_iter().collect()
}

fn status(status: &str) -> Got {
    got([("status", status.to_string())])
}

impl Host {
    fn with(config: Config) -> Host {
        let engine = Engine::new(config).expect("a configuration");
        Host {
            engine,
            selectors: HashMap::new(),
            tickets: HashMap::new(),
            accounts: HashMap::new(),
            groups: HashMap::new(),
            plans: HashMap::new(),
        }
    }

    pub fn audit(&self) {
        let audit = self.engine.audit();
        assert!(audit.is_ok(), "{audit:?}");
    }

    pub fn run(&mut self, step: &Step<'_>) -> Got {
        let id = step.get("id").unwrap_or_default().as_bytes();
        match step.op {
            "engine" => {
                *self = Host::with(Config {
                    policy: step.get("policy").map_or(Default::default(), policy),
                    gpu_separation: !step.flag("no_gpu_separation"),
                    count_reasons: !step.flag("no_reasons"),
                    ..Config::default()
                });
                Got::new()
            }
            "worker" => match self.engine.add_worker(spec(step, step.text("id"))) {
                Ok(_) => status("ok"),
                Err(error) => status(worker_status(&error)),
            },
            "workers" => {
                let prefix = step.text("prefix");
                let ids = (0..step.number("count")).map(|k| format!("{prefix}{k}"));
                let added = self.engine.add_workers(ids.map(|id| spec(step, &id)));
                let registered = added.iter().filter(|result| result.is_ok()).count();
                got([("registered", registered.to_string())])
            }
            "update" => self.life(self.engine.update_worker(id, update(step))),
            "ready" => self.life(match step.get("generation") {
                None => self.engine.ready(id),
                Some(_) => self.engine.ready_generation(id, step.number("generation")),
            }),
            "unready" => self.life(self.engine.unready(id)),
            "cordon" => self.life(self.engine.cordon(id)),
            "uncordon" => self.life(self.engine.uncordon(id)),
            "drain" => self.life(self.engine.drain(id)),
            "remove" => match self.engine.remove_worker(id) {
                Ok(lost) => {
                    let lost = sorted(lost.iter().map(|l| l.id.to_string()));
                    got([("status", "ok".to_string()), ("lost", lost)])
                }
                Err(error) => status(worker_status(&error)),
            },
            "selector" => {
                let selector = self.engine.selector(&constraints(step)).expect("constraints");
                self.selectors.insert(step.text("name").to_string(), selector);
                Got::new()
            }
            "reserve" => {
                let limits = self.limits(step);
                let terms = self.terms(step, &limits);
                let request = self.request(step, step.text("id"), 0, terms.as_ref());
                let placed = self.engine.reserve(&request);
                self.placed(step.text("id"), placed)
            }
            "reserve_on" => {
                let limits = self.limits(step);
                let terms = self.terms(step, &limits);
                let request = self.request(step, step.text("id"), 0, terms.as_ref());
                let worker = self.engine.find_worker(step.text("worker").as_bytes());
                let expected = step.get("expected").map(|version| version.parse().expect("one"));
                let placed = self.engine.reserve_on(worker.expect("it"), &request, expected);
                let now = match placed {
                    Err(ReserveError::VersionConflict { version, .. }) => Some(version),
                    _ => None,
                };
                let mut got = self.placed(step.text("id"), placed);
                got.extend(now.map(|version| ("now_version", version.to_string())));
                got
            }
            "release" => self.released(self.engine.release_id(id)),
            "release_ticket" => self.released(self.engine.release(self.tickets[step.text("of")])),
            "resize" => match self.engine.resize_id(id, step.amounts(0)) {
                Ok(_) => status("ok"),
                Err(ResizeError::NotHeld) => status("not_held"),
                Err(ResizeError::Devices) => status("devices_stay"),
                Err(ResizeError::State { .. }) => status("state"),
                Err(ResizeError::QuotaExceeded { .. }) => status("quota_exceeded"),
                Err(ResizeError::Short { missing }) => got([
                    ("status", "short".to_string()),
                    ("missing_cpu", missing.cpu.to_string()),
                    ("missing_memory", missing.memory.to_string()),
                    ("missing_gpus", missing.gpus.to_string()),
                ]),
                Err(other) => panic!("the table names no {other:?}"),
            },
            "batch" => self.batch(step),
            "dry_run" => self.dry_run(step),
            "explain" => self.explain(step),
            "replicas" => self.replicas(step),
            "demand" => self.demand(step),
            "forget" => {
                let forgotten = self.engine.forget_unmet(id);
                got([("forgotten", (forgotten as u8).to_string())])
            }
            "group" => self.group(step),
            "granted" => self.granted(step),
            "devices" => self.devices(step),
            "race" => self.race(step),
            "info" => match self.engine.worker(id) {
                None => status("unknown_worker"),
                Some(info) => facts(&info),
            },
            "list" => {
                let name = step.get("name").unwrap_or_default().as_bytes();
                let listed = match step.text("by") {
                    "all" => self.engine.workers(),
                    "pool" => self.engine.workers_in_pool(name),
                    "machine" => self.engine.workers_on_machine(name),
                    other => panic!("no list by {other}"),
                };
                got([("count", listed.len().to_string())])
            }
            "counts" => got([
                ("workers", self.engine.worker_count().to_string()),
                ("reservations", self.engine.reservation_count().to_string()),
            ]),
            _ => self.run_on_terms(step),
        }
    }

    fn life(&self, result: Result<WorkerInfo, WorkerError>) -> Got {
        match result {
            Ok(info) => facts(&info),
            Err(error) => status(worker_status(&error)),
        }
    }

    fn name(&self, worker: WorkerRef) -> String {
        self.engine.worker_by_ref(worker).map_or("-".to_string(), |info| info.id.to_string())
    }

    fn request<'a>(
        &self,
        step: &Step<'a>,
        id: &'a str,
        k: usize,
        terms: Option<&'a Terms<'a>>,
    ) -> Request<'a> {
        let mut request = Request { terms, ..Request::new(id.as_bytes(), step.amounts(k)) };
        if let Some(name) = step.get("selector") {
            request = request.selector(self.selectors[name]);
        }
        if let Some(name) = step.get("policy") {
            request = request.policy(policy(name));
        }
        if let Some(key) = step.get("key") {
            request = request.key(key.as_bytes());
        }
        request.ahead(step.number("ahead") == 1)
    }

    fn placed(&mut self, id: &str, placed: Result<Reservation, ReserveError>) -> Got {
        match placed {
            Ok(placed) => {
                self.tickets.insert(id.to_string(), placed.ticket);
                got([
                    ("status", "ok".to_string()),
                    ("worker", self.name(placed.worker)),
                    ("existing", (placed.existing as u8).to_string()),
                    ("provisional", (placed.provisional as u8).to_string()),
                    ("version", placed.version.to_string()),
                ])
            }
            Err(error) => {
                let mut got = status(reserve_status(&error));
                let dimension = match error {
                    ReserveError::Refused(refusal) => refusal.blocking,
                    ReserveError::TooLarge { dimension, .. } => Some(dimension),
                    ReserveError::QuotaExceeded { dimension, used, limit } => {
                        got.extend([("used", used.to_string()), ("limit", limit.to_string())]);
                        Some(dimension)
                    }
                    _ => None,
                };
                let name = dimension.map(|d| ["cpu", "memory", "gpus"][d as usize]);
                got.extend(name.map(|name| ("dimension", name.to_string())));
                got
            }
        }
    }

    fn released(&self, released: Result<slotwise::Released, ReleaseError>) -> Got {
        match released {
            Ok(released) => got([
                ("status", "ok".to_string()),
                ("credited", (released.version.is_some() as u8).to_string()),
            ]),
            Err(error) => status(release_status(&error)),
        }
    }

    fn requests<'a>(&self, step: &Step<'a>, terms: Option<&'a Terms<'a>>) -> Vec<Request<'a>> {
        let ids = step.list("ids").into_iter().enumerate();
        ids.map(|(k, id)| self.request(step, id, k, terms)).collect()
    }

    fn batch(&mut self, step: &Step<'_>) -> Got {
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let requests = self.requests(step, terms.as_ref());
        let mut results = Vec::new();
        let fresh = match step.get("batch_id") {
            None => {
                self.engine.reserve_batch(&requests, step.mode(), &mut results);
                true
            }
            Some(id) => {
                let id = id.as_bytes();
                let once = self.engine.reserve_batch_once(id, &requests, step.mode(), &mut results);
                once.expect("nobody else is at it")
            }
        };
        // The crate hands out the answer of then; who has an array of another size refuses it.
        if results.len() != requests.len() {
            return status("other_batch");
        }
        let statuses = results.iter().map(|r| r.as_ref().err().map_or("ok", reserve_status));
        let statuses: Vec<&str> = statuses.collect();
        let mut workers = Vec::new();
        for (request, result) in requests.iter().zip(&results) {
            workers.push(result.map_or("-".to_string(), |placed| self.name(placed.worker)));
            if let Ok(placed) = result {
                let id = String::from_utf8_lossy(request.id).into_owned();
                self.tickets.insert(id, placed.ticket);
            }
        }
        got([
            ("status", "ok".to_string()),
            ("statuses", statuses.join(",")),
            ("workers", workers.join(",")),
            ("replayed", (!fresh as u8).to_string()),
        ])
    }

    fn dry_run(&self, step: &Step<'_>) -> Got {
        let credited: Vec<Ticket> =
            step.list("credit").into_iter().map(|id| self.tickets[id]).collect();
        let mut results = Vec::new();
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let requests = self.requests(step, terms.as_ref());
        self.engine.dry_run(&requests, &credited, step.mode(), &mut results);
        let statuses: Vec<&str> =
            results.iter().map(|r| r.as_ref().err().map_or("ok", reserve_status)).collect();
        let worker =
            |r: &Result<slotwise::Foreseen, _>| r.map_or("-".to_string(), |f| self.name(f.worker));
        let workers: Vec<String> = results.iter().map(worker).collect();
        got([("statuses", statuses.join(",")), ("workers", workers.join(","))])
    }

    fn group(&mut self, step: &Step<'_>) -> Got {
        let ops = step.list("steps").into_iter().map(|op| {
            let parts: Vec<&str> = op.split(':').collect();
            let number = |k: usize| parts[k].parse().expect("a number");
            match parts[0] {
                "reserve" => {
                    let need = Resources::new(number(2), number(3)).gpus(number(4));
                    GroupOp::Reserve { id: parts[1].as_bytes(), need }
                }
                _ => GroupOp::ReleaseId(parts[1].as_bytes()),
            }
        });
        let ops: Vec<GroupOp<'_>> = ops.collect();
        let group = Group { worker: step.text("worker").as_bytes(), ops: &ops };
        let results = self.engine.apply_groups(&[group]).remove(0);
        for (op, result) in ops.iter().zip(&results) {
            if let (GroupOp::Reserve { id, .. }, Ok(GroupDone::Reserved(placed))) = (op, result) {
                self.tickets.insert(String::from_utf8_lossy(id).into_owned(), placed.ticket);
            }
        }
        let statuses: Vec<&str> = results
            .iter()
            .map(|result| match result {
                Ok(_) => "ok",
                Err(GroupError::Reserve(error)) => reserve_status(error),
                Err(GroupError::Release(error)) => release_status(error),
                Err(other) => panic!("the table names no {other:?}"),
            })
            .collect();
        got([("statuses", statuses.join(","))])
    }

    fn race(&self, step: &Step<'_>) -> Got {
        let limits = self.limits(step);
        let terms = self.terms(step, &limits);
        let prefix = step.get("prefix").unwrap_or_default();
        let mut ids: Vec<String> =
            (0..step.number("count")).map(|k| format!("{prefix}{k}")).collect();
        ids.extend(step.list("ids").into_iter().map(String::from));
        let made = ids.iter().enumerate().map(|(k, id)| {
            let need = step.amounts(k);
            Request { id: id.as_bytes(), need, ..self.request(step, "", k, terms.as_ref()) }
        });
        let requests: Vec<Request<'_>> = made.collect();
        let start = StartLine::new(requests.len());
        let results: Vec<_> = thread::scope(|scope| {
            let run = |request| {
                start.wait();
                self.engine.reserve(request)
            };
            let threads: Vec<_> =
                requests.iter().map(|request| scope.spawn(move || run(request))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        let count = |status: &str| {
            let statuses = results.iter().map(|r| r.as_ref().err().map_or("ok", reserve_status));
            statuses.filter(|one| *one == status).count().to_string()
        };
        got(["ok", "busy", "quota_exceeded"].map(|status| (status, count(status))))
    }
}

/// Ids as the table has them.
fn sorted(ids: impl Iterator<Item = String>) -> String {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    if ids.is_empty() { "-".to_string() } else { ids.join(",") }
}

fn policy(name: &str) -> slotwise::Policy {
    name.replace('_', "-").parse().expect("a policy")
}

fn facts(info: &WorkerInfo) -> Got {
    let held = info.held();
    got([
        ("status", "ok".to_string()),
        ("state", info.state.to_string()),
        ("version", info.version.to_string()),
        ("free_cpu", info.free.cpu.to_string()),
        ("free_memory", info.free.memory.to_string()),
        ("free_gpus", info.free.gpus.to_string()),
        ("held_cpu", held.cpu.to_string()),
        ("held_memory", held.memory.to_string()),
        ("held_gpus", held.gpus.to_string()),
        ("generation", info.generation.to_string()),
        ("lease", info.lease.unwrap_or(0).to_string()),
    ])
}

fn set_aside(step: &Step<'_>) -> Resources {
    let amount = |key| step.number(key);
    Resources::new(amount("set_aside_cpu"), amount("set_aside_memory"))
        .gpus(amount("set_aside_gpus"))
}

fn spec(step: &Step<'_>, id: &str) -> WorkerSpec {
    let mut spec = WorkerSpec::new(id, step.amounts(0))
        .devices(devices::specs(step))
        .set_aside(set_aside(step))
        .gpu_type(step.get("type").unwrap_or_default())
        .pool(step.get("pool").unwrap_or_default())
        .priority(step.get("priority").map_or(0, |p| p.parse().expect("a number")))
        .tier(step.number("tier") as u8)
        .requires_selector(step.flag("requires_selector"))
        .preemptable(step.flag("preemptable"))
        .pending(step.flag("pending"))
        .generation(step.number("generation"));
    if step.get("lease").is_some() {
        spec = spec.lease(step.number("lease"));
    }
    for (key, value) in step.labels() {
        spec = spec.label(key, value);
    }
    if let Some(tenant) = step.get("tenant") {
        spec = spec.tenant(tenant);
    }
    if let Some(machine) = step.get("machine") {
        spec = spec.machine(machine);
    }
    spec
}

fn update(step: &Step<'_>) -> WorkerUpdate {
    let mut update = WorkerUpdate::new();
    if step.get("cpu").is_some() {
        update = update.total(step.amounts(0));
    }
    if ["cpu", "memory", "gpus"].iter().any(|d| step.get(&format!("set_aside_{d}")).is_some()) {
        update = update.set_aside(set_aside(step));
    }
    if step.get("generation").is_some() {
        update = update.generation(step.number("generation"));
    }
    if let Some(pool) = step.get("pool") {
        update = update.pool(pool);
    }
    if let Some(priority) = step.get("priority") {
        update = update.priority(priority.parse().expect("a number"));
    }
    update
}

fn constraints(step: &Step<'_>) -> Constraints {
    let accept = step.flag("accept_preemptable");
    let mut constraints = Constraints::new().accept_preemptable(accept);
    for pool in step.list("pools") {
        constraints = constraints.pool(pool);
    }
    for kind in step.list("types") {
        constraints = constraints.gpu_type(kind);
    }
    for (key, values) in step.labels() {
        constraints = constraints.label_in(key, values.split('|'));
    }
    if let Some(machine) = step.get("machine") {
        constraints = constraints.machine(machine);
    }
    if let Some(tenant) = step.get("tenant") {
        constraints = constraints.tenant(tenant);
    }
    constraints
}
