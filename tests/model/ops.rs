//! What the model test does: operations over few names and small amounts, so that they meet.

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use slotwise::{
    BatchMode, Constraints, Mismatch, Name, Policy, Request, Resources, Selector, WorkerInfo,
    WorkerRef, WorkerSpec, WorkerUpdate,
};

pub type Text = &'static str;

pub const WORKERS: [Text; 8] = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"];
pub const POOLS: [Text; 3] = ["red", "green", "blue"];
pub const MACHINES: [Text; 2] = ["m0", "m1"];
const TENANTS: [Text; 2] = ["t0", "t1"];
const GPU_TYPES: [Text; 3] = ["T4", "A10G", "H100"];
const KEYS: [Text; 2] = ["zone", "disk"];
const VALUES: [Text; 3] = ["a", "b", "c"];

/// A worker to register.
#[derive(Clone, Debug)]
pub struct Spec {
    pub id: Text,
    pub total: Resources,
    pub set_aside: Resources,
    pub gpu_type: Text,
    pub pool: Text,
    pub priority: i32,
    pub tier: u8,
    pub labels: Vec<(Text, Text)>,
    pub tenant: Option<Text>,
    pub machine: Option<Text>,
    pub requires_selector: bool,
    pub preemptable: bool,
    pub pending: bool,
}

fn names(labels: &[(Text, Text)]) -> Vec<(Name, Name)> {
    labels.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

impl Spec {
    pub fn build(&self) -> WorkerSpec {
        let mut spec = WorkerSpec::new(self.id, self.total)
            .set_aside(self.set_aside)
            .gpu_type(self.gpu_type)
            .pool(self.pool)
            .priority(self.priority)
            .tier(self.tier)
            .requires_selector(self.requires_selector)
            .preemptable(self.preemptable)
            .pending(self.pending);
        spec = self.labels.iter().fold(spec, |spec, &(key, value)| spec.label(key, value));
        spec = self.tenant.into_iter().fold(spec, |spec, name| spec.tenant(name));
        self.machine.into_iter().fold(spec, |spec, name| spec.machine(name))
    }

    /// As the engine must show it.
    pub fn info(&self, worker: WorkerRef, version: u64) -> WorkerInfo {
        let mut labels = names(&self.labels);
        labels.sort();
        let left = |d| self.total.get(d) as i64 - self.set_aside.get(d) as i64;
        let [cpu, memory, gpus] = slotwise::Dimension::ALL.map(left);
        WorkerInfo {
            id: self.id.into(),
            worker,
            version,
            state: if self.pending { slotwise::State::Pending } else { slotwise::State::Ready },
            total: self.total,
            set_aside: self.set_aside,
            free: slotwise::Free { cpu, memory, gpus },
            gpu_type: self.gpu_type.into(),
            pool: self.pool.into(),
            priority: self.priority,
            tier: self.tier,
            labels,
            tenant: self.tenant.map(Name::from),
            machine: self.machine.map(Name::from),
            requires_selector: self.requires_selector,
            preemptable: self.preemptable,
            generation: 0,
            lease: None,
            devices: Vec::new(),
        }
    }
}

/// What to change of a worker.
#[derive(Clone, Debug)]
pub struct Change {
    pub total: Option<Resources>,
    pub set_aside: Option<Resources>,
    pub gpu_type: Option<Text>,
    pub pool: Option<Text>,
    pub priority: Option<i32>,
    pub tier: Option<u8>,
    pub labels: Option<Vec<(Text, Text)>>,
    pub tenant: Option<Option<Text>>,
    pub machine: Option<Option<Text>>,
    pub requires_selector: Option<bool>,
    pub preemptable: Option<bool>,
}

impl Change {
    pub fn build(&self) -> WorkerUpdate {
        fn set<T: Clone>(
            update: WorkerUpdate,
            value: &Option<T>,
            with: fn(WorkerUpdate, T) -> WorkerUpdate,
        ) -> WorkerUpdate {
            value.iter().cloned().fold(update, with)
        }
        let mut update = WorkerUpdate::new();
        update = set(update, &self.total, WorkerUpdate::total);
        update = set(update, &self.set_aside, WorkerUpdate::set_aside);
        update = set(update, &self.gpu_type, WorkerUpdate::gpu_type);
        update = set(update, &self.pool, WorkerUpdate::pool);
        update = set(update, &self.priority, WorkerUpdate::priority);
        update = set(update, &self.tier, WorkerUpdate::tier);
        update = set(update, &self.labels, |update, labels| update.labels(labels));
        update = set(update, &self.tenant, |update, name| update.tenant(name.map(Name::from)));
        update = set(update, &self.machine, |update, name| update.machine(name.map(Name::from)));
        update = set(update, &self.requires_selector, WorkerUpdate::requires_selector);
        set(update, &self.preemptable, WorkerUpdate::preemptable)
    }

    /// All but the amounts, which the model has to work out.
    pub fn apply(&self, info: &mut WorkerInfo) {
        fn set<T: Clone, U>(field: &mut U, value: &Option<T>, as_kept: impl Fn(T) -> U) {
            if let Some(value) = value {
                *field = as_kept(value.clone());
            }
        }
        set(&mut info.gpu_type, &self.gpu_type, Name::from);
        set(&mut info.pool, &self.pool, Name::from);
        set(&mut info.priority, &self.priority, |x| x);
        set(&mut info.tier, &self.tier, |x| x);
        set(&mut info.labels, &self.labels, |labels| names(&labels));
        info.labels.sort();
        set(&mut info.tenant, &self.tenant, |name| name.map(Name::from));
        set(&mut info.machine, &self.machine, |name| name.map(Name::from));
        set(&mut info.requires_selector, &self.requires_selector, |x| x);
        set(&mut info.preemptable, &self.preemptable, |x| x);
    }
}

/// Constraints, as the model compares them.
#[derive(Clone, Debug, Default)]
pub struct Want {
    machine: Option<Text>,
    tenant: Option<Text>,
    pools: Vec<Text>,
    labels: Vec<(Text, Vec<Text>)>,
    gpu_types: Vec<Text>,
    accept_preemptable: bool,
}

impl Want {
    pub fn build(&self) -> Constraints {
        let mut c = Constraints::new().accept_preemptable(self.accept_preemptable);
        c = self.machine.into_iter().fold(c, Constraints::machine);
        c = self.tenant.into_iter().fold(c, Constraints::tenant);
        c = self.pools.iter().copied().fold(c, Constraints::pool);
        c = self.gpu_types.iter().copied().fold(c, Constraints::gpu_type);
        self.labels.iter().fold(c, |c, (key, values)| c.label_in(*key, values.iter().copied()))
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: Vec<u8>,
    need: Resources,
    pub want: Want,
    pub policy: Policy,
    pub ahead: bool,
    hash: u64,
    /// How the constraints are passed.
    pub by_handle: bool,
}

impl Ask {
    /// What it needs in all: naming a type means at least one GPU.
    pub fn need(&self) -> Resources {
        match self.need.gpus {
            0 if !self.want.gpu_types.is_empty() => self.need.gpus(1),
            _ => self.need,
        }
    }

    /// The request; `constraints` and `selector` are those that `want` builds.
    pub fn request<'a>(
        &'a self,
        constraints: &'a Constraints,
        selector: Option<Selector>,
    ) -> Request<'a> {
        let request = Request::new(&self.id, self.need).policy(self.policy).ahead(self.ahead);
        // Even hashes start by the id, for the lack of a better coin.
        let request = if self.hash.is_multiple_of(2) { request } else { request.hash(self.hash) };
        match selector {
            Some(selector) => request.selector(selector),
            None => request.constraints(constraints),
        }
    }

    /// The order in which the worker comes, or none if it is out of the question.
    pub fn rank(&self, worker: &WorkerInfo, pinned: bool) -> Option<(u8, usize, i64)> {
        self.place(worker, pinned).ok()
    }

    /// The same, rule by rule.
    pub fn place(&self, worker: &WorkerInfo, pinned: bool) -> Result<(u8, usize, i64), Mismatch> {
        let want = &self.want;
        let is = |name: &[u8], text: Text| *name == *text.as_bytes();
        let at = |list: &[Text], name: &[u8]| list.iter().position(|text| is(name, text));
        if let Some(machine) = want.machine {
            worker.machine.as_ref().filter(|name| is(name, machine)).ok_or(Mismatch::Machine)?;
        }
        if let Some(only) = &worker.tenant {
            want.tenant.filter(|tenant| is(only, tenant)).ok_or(Mismatch::Tenant)?;
        }
        let pool = match (pinned || want.machine.is_some(), want.pools.is_empty()) {
            (true, _) => 0,
            (false, false) => at(&want.pools, &worker.pool).ok_or(Mismatch::Pool)?,
            (false, true) if worker.requires_selector => return Err(Mismatch::Pool),
            (false, true) => 0,
        };
        for (key, values) in &want.labels {
            let value = worker.labels.iter().find(|(k, _)| is(k, key)).map(|(_, v)| v);
            value.and_then(|value| at(values, value)).ok_or(Mismatch::Labels)?;
        }
        // GPUs on both sides, or on neither.
        if (worker.total.gpus > 0) != (self.need().gpus > 0) {
            return Err(Mismatch::GpuSeparation);
        }
        let kind = match want.gpu_types.is_empty() {
            true => 0,
            false => at(&want.gpu_types, &worker.gpu_type).ok_or(Mismatch::GpuType)?,
        };
        if worker.preemptable && !want.accept_preemptable {
            return Err(Mismatch::Preemptable);
        }
        Ok((worker.tier, pool, kind as i64 - i64::from(worker.priority)))
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Ready,
    Unready,
    Cordon,
    Uncordon,
    Drain,
}

/// A step of a group.
#[derive(Clone, Debug)]
pub enum Step {
    Reserve(Vec<u8>, Resources),
    ReleaseId(Vec<u8>),
    Release(Index),
}

/// Tickets and worker references are chosen among all that were ever given out.
#[derive(Clone, Debug)]
pub enum Op {
    Add(Vec<Spec>),
    Remove(Text),
    Update(Text, Change),
    Signal(Text, Signal),
    Reserve(Ask),
    /// With the version that the worker had that many versions ago.
    ReserveOn(Index, Ask, Option<u64>),
    Release(Index),
    ReleaseId(Vec<u8>),
    ReleaseMany(Vec<Index>),
    Resize(Index, Resources),
    ResizeId(Vec<u8>, Resources),
    Batch(Vec<Ask>, BatchMode),
    Once(Text, Vec<Ask>, BatchMode),
    Groups(Vec<(Text, Vec<Step>)>),
}

fn rarely<T: std::fmt::Debug + Clone>(
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.1, some)
}

fn worker_id() -> impl Strategy<Value = Text> {
    select(&WORKERS[..])
}

fn request_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => Just(Vec::new()), 3 => (0..10u8).prop_map(|k| format!("r{k}").into_bytes())]
}

fn gpus() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => 1..4u64]
}

/// Amounts of few values, so that equal workers and exact fits are common, and odd ones.
fn amounts(
    round: impl Strategy<Value = (u64, u64)>,
    odd: std::ops::RangeInclusive<u64>,
) -> impl Strategy<Value = Resources> {
    let pair = prop_oneof![3 => round, 1 => (odd.clone(), odd)];
    (pair, gpus()).prop_map(|((cpu, memory), n)| Resources::new(cpu, memory).gpus(n))
}

fn total() -> impl Strategy<Value = Resources> {
    amounts(select(vec![(500, 500), (500, 500), (1000, 500), (1000, 1000)]), 1..=1000)
}

fn need() -> impl Strategy<Value = Resources> {
    amounts((0..=3u64, 0..=3u64).prop_map(|(cpu, memory)| (cpu * 125, memory * 125)), 0..=400)
}

fn labels() -> impl Strategy<Value = Vec<(Text, Text)>> {
    (subsequence(&KEYS[..], 0..=2), select(&VALUES[..]), select(&VALUES[..]))
        .prop_map(|(keys, a, b)| keys.into_iter().zip([a, b]).collect())
}

prop_compose! {
    pub fn spec()(
        (id, total, aside) in (worker_id(), total(), rarely(need())),
        gpu_type in select(&GPU_TYPES[..]),
        typed in any::<bool>(),
        pool in rarely(select(&POOLS[..])),
        (priority, tier) in (rarely(-1..=2), rarely(0..=1u8)),
        labels in rarely(labels()),
        (tenant, machine) in (rarely(select(&TENANTS[..])), rarely(select(&MACHINES[..]))),
        (closed, preemptable, pending) in (rarely(Just(())), rarely(Just(())), rarely(Just(()))),
    ) -> Spec {
        Spec {
            id,
            total,
            set_aside: aside.unwrap_or_default(),
            gpu_type: if typed && total.gpus > 0 { gpu_type } else { "" },
            pool: pool.unwrap_or_default(),
            priority: priority.unwrap_or_default(),
            tier: tier.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            tenant,
            machine,
            requires_selector: closed.is_some(),
            preemptable: preemptable.is_some(),
            pending: pending.is_some(),
        }
    }
}

prop_compose! {
    fn change()(
        spec in spec(),
        names in any::<[bool; 11]>(),
    ) -> Change {
        let [total, set_aside, gpu_type, pool, priority, tier, labels, tenant, machine, closed, spot]
            = names;
        Change {
            total: total.then_some(spec.total),
            set_aside: set_aside.then_some(spec.set_aside),
            gpu_type: gpu_type.then_some(spec.gpu_type),
            pool: pool.then_some(spec.pool),
            priority: priority.then_some(spec.priority),
            tier: tier.then_some(spec.tier),
            labels: labels.then_some(spec.labels),
            tenant: tenant.then_some(spec.tenant),
            machine: machine.then_some(spec.machine),
            requires_selector: closed.then_some(spec.requires_selector),
            preemptable: spot.then_some(spec.preemptable),
        }
    }
}

prop_compose! {
    fn want()(
        machine in rarely(select(&MACHINES[..])),
        tenant in rarely(select(&TENANTS[..])),
        pools in rarely(subsequence(&POOLS[..], 1..=3).prop_shuffle()),
        label in rarely((select(&KEYS[..]), subsequence(&VALUES[..], 1..=2))),
        gpu_types in rarely(subsequence(&GPU_TYPES[..], 1..=3).prop_shuffle()),
        accept_preemptable in any::<bool>(),
    ) -> Want {
        let pools = pools.unwrap_or_default();
        let labels = label.into_iter().collect();
        Want { machine, tenant, pools, labels, gpu_types: gpu_types.unwrap_or_default(), accept_preemptable }
    }
}

fn right_ask() -> impl Strategy<Value = Ask> {
    let want = prop_oneof![1 => Just(Want::default()), 1 => want()];
    let policy = select(&Policy::ALL[..]);
    (request_id(), need(), want, policy, any::<(bool, u64, bool)>()).prop_map(
        |(id, need, want, policy, (ahead, hash, by_handle))| Ask {
            id,
            // One that needs nothing is wrong, and made below.
            need: if need.is_zero() { Resources::new(1, 1) } else { need },
            want,
            policy,
            ahead,
            hash,
            by_handle,
        },
    )
}

/// Anonymous or with an id of its own, so that it stands in nobody's way.
fn wrong_ask() -> impl Strategy<Value = Ask> {
    let max = Resources::MAX;
    let need = select(vec![
        Resources::ZERO,
        Resources { cpu: max.cpu + 1, ..max },
        Resources { memory: u64::MAX, ..Resources::ZERO },
        Resources { gpus: 256, ..Resources::ZERO },
    ]);
    let sizes = need.prop_map(|need| (Vec::new(), need));
    let long = prop::collection::vec(any::<u8>(), slotwise::MAX_ID_LEN + 1..100);
    let ids = long.prop_map(|id| (id, Resources::new(1, 1)));
    (right_ask(), prop_oneof![sizes, ids]).prop_map(|(ask, (id, need))| Ask {
        id,
        need,
        want: Want::default(),
        ..ask
    })
}

pub fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![30 => right_ask(), 1 => wrong_ask()]
}

pub fn asks() -> impl Strategy<Value = Vec<Ask>> {
    prop::collection::vec(ask(), 0..6)
}

pub fn mode() -> impl Strategy<Value = BatchMode> {
    select(vec![BatchMode::Independent, BatchMode::AllOrNothing])
}

/// Now and then one that nothing can be made to hold.
fn resized() -> impl Strategy<Value = Resources> {
    let over = Just(Resources { memory: Resources::MAX.memory + 1, ..Resources::MAX });
    prop_oneof![20 => need(), 1 => over]
}

fn groups() -> impl Strategy<Value = Vec<(Text, Vec<Step>)>> {
    let step = prop_oneof![
        3 => (request_id(), need()).prop_map(|(id, need)| Step::Reserve(id, need)),
        1 => request_id().prop_map(Step::ReleaseId),
        2 => any::<Index>().prop_map(Step::Release),
    ];
    prop::collection::vec((worker_id(), prop::collection::vec(step, 0..5)), 0..3)
}

/// Something that happens to workers.
fn registry_op() -> impl Strategy<Value = Op> {
    use Signal::*;
    let signal = select(vec![Ready, Ready, Unready, Cordon, Uncordon, Uncordon, Drain]);
    prop_oneof![
        4 => prop::collection::vec(spec(), 1..4).prop_map(Op::Add),
        1 => worker_id().prop_map(Op::Remove),
        2 => (worker_id(), change()).prop_map(|(id, change)| Op::Update(id, change)),
        2 => (worker_id(), signal).prop_map(|(id, signal)| Op::Signal(id, signal)),
    ]
}

/// Something that happens to reservations.
fn request_op() -> impl Strategy<Value = Op> {
    let once = (select(vec!["b0", "b1"]), asks(), mode());
    prop_oneof![
        6 => ask().prop_map(Op::Reserve),
        2 => (any::<Index>(), ask(), prop::option::of(0..2u64))
            .prop_map(|(worker, ask, ago)| Op::ReserveOn(worker, ask, ago)),
        3 => any::<Index>().prop_map(Op::Release),
        1 => request_id().prop_map(Op::ReleaseId),
        1 => prop::collection::vec(any::<Index>(), 0..5).prop_map(Op::ReleaseMany),
        2 => (any::<Index>(), resized()).prop_map(|(at, need)| Op::Resize(at, need)),
        1 => (request_id(), resized()).prop_map(|(id, need)| Op::ResizeId(id, need)),
        3 => (asks(), mode()).prop_map(|(asks, mode)| Op::Batch(asks, mode)),
        1 => once.prop_map(|(id, asks, mode)| Op::Once(id, asks, mode)),
        2 => groups().prop_map(Op::Groups),
    ]
}

/// A list of operations that starts with some workers.
pub fn ops(length: usize) -> impl Strategy<Value = Vec<Op>> {
    let first = prop::collection::vec(spec(), 1..10).prop_map(Op::Add);
    let rest = prop_oneof![1 => registry_op(), 3 => request_op()];
    (first, prop::collection::vec(rest, 0..length)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}
