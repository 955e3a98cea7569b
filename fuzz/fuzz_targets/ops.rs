//! Lists of right calls through the C interface, against a model that knows what is held where.
//! Few workers and small amounts, so that full, empty and over-committed ones are met.

#![no_main]

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use slotwise::ffi::*;

type Amounts = [i64; 3];

const WORKERS: [&[u8]; 5] = [b"w0", b"w1", b"w2", b"w3", b"w4"];
const IDS: [&[u8]; 8] = [b"", b"r1", b"r2", b"r3", b"r4", b"r5", b"r6", b"r7"];
const BATCHES: [&[u8]; 3] = [b"b0", b"b1", b"b2"];
const POOLS: [&[u8]; 3] = [b"", b"red", b"blue"];
/// What each selector accepts: pools in order (none: every open one), and preemptable workers.
const SELECTORS: [(&[usize], bool); 5] =
    [(&[], false), (&[], true), (&[1], false), (&[2, 1], true), (&[1, 2], false)];

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Small {
    cpu: u8,
    memory: u8,
    gpus: u8,
}

impl Small {
    fn total(self) -> Amounts {
        [i64::from(self.cpu % 12), i64::from(self.memory % 12), i64::from(self.gpus / 160 * 2)]
    }

    fn need(self) -> Amounts {
        [i64::from(self.cpu % 5), i64::from(self.memory % 5), i64::from(self.gpus / 160)]
    }

    fn aside(self) -> Amounts {
        [i64::from(self.cpu / 86), i64::from(self.memory / 86), i64::from(self.gpus / 192)]
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Spec {
    id: u8,
    total: Small,
    aside: Option<Small>,
    /// 0 to 7: the flags; above: none.
    flags: u8,
    pool: u8,
    rank: u8,
}

impl Spec {
    fn flags(&self) -> u32 {
        if self.flags < 64 { u32::from(self.flags % 8) } else { 0 }
    }
    fn pool(&self) -> usize {
        if self.pool < 100 { usize::from(self.pool) % POOLS.len() } else { 0 }
    }
    fn tier(&self) -> u32 {
        u32::from(self.rank > 220)
    }
    fn priority(&self) -> i32 {
        if self.rank > 180 { i32::from(self.rank % 3) - 1 } else { 0 }
    }
    fn aside(&self) -> Amounts {
        self.aside.map_or([0; 3], Small::aside)
    }
    fn c(&self) -> slotwise_worker_spec_t {
        let pool = POOLS[self.pool()];
        let none = slotwise_text_t { data: core::ptr::null(), length: 0 };
        slotwise_worker_spec_t {
            size: size_of::<slotwise_worker_spec_t>() as u32,
            flags: self.flags(),
            id: text(WORKERS[usize::from(self.id) % WORKERS.len()]),
            total: resources(self.total.total()),
            set_aside: resources(self.aside()),
            priority: self.priority(),
            tier: self.tier(),
            pool: text(pool),
            gpu_type: none,
            tenant: none,
            machine: none,
            labels: core::ptr::null(),
            label_count: 0,
            reserved: 0,
            generation: 0,
            lease: 0,
            devices: core::ptr::null(),
            device_count: 0,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Ask {
    id: u8,
    need: Small,
    selector: u8,
    policy: u8,
    ahead: bool,
    hash: Option<u8>,
}

impl Ask {
    fn id(&self) -> &'static [u8] {
        IDS[usize::from(self.id) % IDS.len()]
    }
    fn need(&self) -> Amounts {
        self.need.need()
    }
    /// Most go anywhere.
    fn selector(&self) -> usize {
        usize::from(self.selector).checked_sub(150).map_or(0, |s| s % SELECTORS.len())
    }
    fn policy(&self) -> u32 {
        u32::from(self.policy % 9)
    }
    /// Whether where it goes is known from what is free alone.
    fn is_certain(&self) -> bool {
        (SLOTWISE_POLICY_FIRST_FIT..=SLOTWISE_POLICY_SPREAD).contains(&self.policy())
    }
    fn c(&self, selectors: &[u32]) -> slotwise_request_t {
        let need = resources(self.need());
        let id = text(self.id());
        slotwise_request_t {
            size: size_of::<slotwise_request_t>() as u32,
            flags: u32::from(self.ahead) | if self.hash.is_some() { SLOTWISE_HASH } else { 0 },
            id: id.data,
            id_length: id.length,
            cpu: need.cpu,
            memory: need.memory,
            gpus: need.gpus,
            selector: selectors[self.selector()],
            policy: self.policy(),
            key: core::ptr::null(),
            key_length: 0,
            hash: self.hash.map_or(0, spread),
            terms: core::ptr::null(),
        }
    }
}

/// A hash of few different values.
fn spread(seed: u8) -> u64 {
    u64::from(seed % 16).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Form {
    Structs,
    Offsets,
    Widths,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Reserve(u8, Small),
    ReleaseId(u8),
    Release(u8),
}

#[derive(Arbitrary, Clone, Debug)]
enum Op {
    Add(Spec),
    AddMany(Vec<Spec>),
    Update(Spec, u16),
    Remove(u8, u8),
    LostTake(u8),
    Signal(u8, u8),
    Reserve(Ask),
    ReserveAgain(Ask),
    ReserveOn(u8, Ask, Option<u8>),
    Release(u8),
    ReleaseId(u8),
    ReleaseMany(Vec<u8>),
    Resize(u8, Small),
    ResizeId(u8, Small),
    Batch(Vec<Ask>, bool, Form),
    Once(u8, Vec<Ask>, bool, Form),
    Foreseen(Vec<Ask>, bool, Form, Vec<u8>),
    Groups(Vec<(u8, Vec<Step>)>),
}

fn text(bytes: &[u8]) -> slotwise_text_t {
    slotwise_text_t { data: bytes.as_ptr().cast(), length: bytes.len() }
}

fn resources([cpu, memory, gpus]: Amounts) -> slotwise_resources_t {
    slotwise_resources_t { cpu: cpu as u64, memory: memory as u64, gpus: gpus as u64 }
}

fn amounts(r: slotwise_resources_t) -> Amounts {
    [r.cpu as i64, r.memory as i64, r.gpus as i64]
}

fn plus(a: Amounts, b: Amounts) -> Amounts {
    core::array::from_fn(|d| a[d] + b[d])
}

fn minus(a: Amounts, b: Amounts) -> Amounts {
    core::array::from_fn(|d| a[d] - b[d])
}

/// What is asked for in no dimension need not be free there.
fn fits(need: Amounts, free: Amounts) -> bool {
    (0..3).all(|d| need[d] == 0 || need[d] <= free[d])
}

#[derive(Clone, Debug)]
struct Worker {
    id: &'static [u8],
    name: slotwise_worker_t,
    version: u64,
    total: Amounts,
    aside: Amounts,
    held: Amounts,
    pool: usize,
    tier: u32,
    priority: i32,
    flags: u32,
    ready: bool,
    cordoned: bool,
    draining: bool,
}

impl Worker {
    fn state(&self) -> u32 {
        match (self.draining, self.cordoned, self.ready) {
            (true, ..) => SLOTWISE_STATE_DRAINING,
            (_, true, _) => SLOTWISE_STATE_CORDONED,
            (.., true) => SLOTWISE_STATE_READY,
            _ => SLOTWISE_STATE_PENDING,
        }
    }
    fn takes(&self, ahead: bool) -> bool {
        self.state() == SLOTWISE_STATE_READY || ahead && self.state() == SLOTWISE_STATE_PENDING
    }
    fn capacity(&self) -> Amounts {
        minus(self.total, self.aside)
    }
    fn free(&self) -> Amounts {
        minus(self.capacity(), self.held)
    }
    fn info(&self) -> slotwise_worker_info_t {
        let [cpu, memory, gpus] = self.free();
        slotwise_worker_info_t {
            size: size_of::<slotwise_worker_info_t>() as u32,
            state: self.state(),
            worker: self.name,
            version: self.version,
            total: resources(self.total),
            set_aside: resources(self.aside),
            held: resources(self.held),
            free: slotwise_free_t { cpu, memory, gpus },
            priority: self.priority,
            tier: self.tier,
            flags: self.flags,
            label_count: 0,
            generation: 0,
            lease: 0,
        }
    }
    /// Its place in a request's order; none: it is out of the question.
    fn rank(&self, ask: &Ask, pinned: bool, separate: bool) -> Option<(u32, usize, i32)> {
        let (pools, preemptable) = SELECTORS[ask.selector()];
        let pool = match (pinned, pools.is_empty()) {
            (true, _) => 0,
            (_, false) => pools.iter().position(|&pool| pool == self.pool)?,
            _ if self.flags & SLOTWISE_REQUIRES_SELECTOR != 0 => return None,
            _ => 0,
        };
        if self.flags & SLOTWISE_PREEMPTABLE != 0 && !preemptable {
            return None;
        }
        let (has, wants) = (self.total[2] > 0, ask.need()[2] > 0);
        if wants && !has || separate && has && !wants {
            return None;
        }
        Some((self.tier, pool, -self.priority))
    }
    fn share_left(&self, need: Amounts) -> i64 {
        let (left, all) = (minus(self.free(), need), self.capacity());
        (0..3).map(|d| if all[d] == 0 { 0 } else { left[d].max(0) * ((1 << 40) / all[d]) }).sum()
    }
}

#[derive(Clone, Debug)]
struct Held {
    id: &'static [u8],
    on: slotwise_worker_t,
    amount: Amounts,
    version: u64,
}

struct Lost {
    held: Held,
    /// Which removal it was.
    removal: usize,
}

struct World {
    engine: slotwise_engine_t,
    separate: bool,
    selectors: Vec<u32>,
    workers: Vec<Worker>,
    gone: Vec<slotwise_worker_t>,
    held: HashMap<u64, Held>,
    ids: HashMap<&'static [u8], u64>,
    /// All that were ever given out.
    tickets: Vec<u64>,
    names: Vec<slotwise_worker_t>,
    /// Ended with their worker, and not told of yet.
    untold: HashMap<u64, Lost>,
    removals: usize,
    batches: HashMap<usize, Vec<slotwise_placement_t>>,
    placed: u64,
    released: u64,
    resized: u64,
}

const NOWHERE: slotwise_placement_t = slotwise_placement_t {
    ticket: 77,
    worker: 77,
    version: 77,
    status: -77,
    existing: 77,
    provisional: 77,
    dimension: 77,
};

fn zeroed<T>() -> T {
    // SAFETY: used for structures of the interface alone, which hold integers and pointers.
    unsafe { core::mem::zeroed() }
}

impl World {
    fn new(setting: u8) -> World {
        let separate = setting & 1 == 0;
        let config = slotwise_config_t {
            size: size_of::<slotwise_config_t>() as u32,
            flags: if separate { 0 } else { SLOTWISE_NO_GPU_SEPARATION }
                | if setting & 2 == 0 { 0 } else { SLOTWISE_NO_REASONS },
            max_workers: 16,
            max_reservations: 1024,
            max_selectors: 16,
            max_batches: 8,
            policy: SLOTWISE_POLICY_DEFAULT,
            max_planners: 2,
            seed: 1,
            max_accounts: 4,
            max_groups: 4,
            max_unmet: 64,
        };
        let mut engine = 0;
        // SAFETY: our own structures, here and in all that follows: each pointer is to a value or
        // array on this side that is as long as it is said to be.
        assert_eq!(unsafe { slotwise_engine_new(&config, &mut engine) }, SLOTWISE_OK);
        let selectors = SELECTORS.map(|(pools, preemptable)| {
            let pools: Vec<_> = pools.iter().map(|&pool| text(POOLS[pool])).collect();
            let constraints = slotwise_constraints_t {
                size: size_of::<slotwise_constraints_t>() as u32,
                flags: u32::from(preemptable),
                pools: pools.as_ptr(),
                pool_count: pools.len(),
                ..zeroed()
            };
            let mut selector = 77;
            // SAFETY: as above.
            let status = unsafe { slotwise_selector(engine, &constraints, &mut selector) };
            assert_eq!(status, SLOTWISE_OK);
            selector
        });
        World {
            engine,
            separate,
            selectors: selectors.to_vec(),
            workers: vec![],
            gone: vec![],
            held: HashMap::new(),
            ids: HashMap::new(),
            tickets: vec![],
            names: vec![],
            untold: HashMap::new(),
            removals: 0,
            batches: HashMap::new(),
            placed: 0,
            released: 0,
            resized: 0,
        }
    }

    fn named(&mut self, id: &[u8]) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| w.id == id)
    }

    fn at(&mut self, name: slotwise_worker_t) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| w.name == name)
    }

    fn ticket(&self, at: u8) -> u64 {
        match self.tickets.len() {
            0 => u64::from(at),
            // The later ones are the more likely to be alive.
            n => self.tickets[n - 1 - usize::from(at) % n],
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Add(spec) => self.add(&[spec], false),
            Op::AddMany(specs) => self.add(&specs[..specs.len().min(4)], true),
            Op::Update(spec, fields) => self.update(&spec, fields),
            Op::Remove(id, room) => self.remove(WORKERS[usize::from(id) % WORKERS.len()], room % 4),
            Op::LostTake(room) => drop(self.take(usize::from(room % 4))),
            Op::Signal(id, signal) => self.signal(id, signal),
            Op::Reserve(ask) | Op::ReserveAgain(ask) => drop(self.reserve(&ask, None, None)),
            Op::ReserveOn(at, ask, ago) => {
                if self.names.is_empty() {
                    return;
                }
                let name = self.names[self.names.len() - 1 - usize::from(at) % self.names.len()];
                let version = self.at(name).map_or(3, |w| w.version);
                let expected = ago.map(|ago| version.wrapping_sub(u64::from(ago % 2)));
                self.reserve(&ask, Some(name), expected);
            }
            Op::Release(at) => self.release(self.ticket(at)),
            Op::ReleaseId(id) => {
                let id = IDS[usize::from(id) % IDS.len()];
                let mut done: slotwise_released_t = zeroed();
                let to = text(id);
                // SAFETY: as in `new`.
                let status =
                    unsafe { slotwise_release_id(self.engine, to.data, to.length, &mut done) };
                let ticket = self.ids.get(id).copied();
                self.given_back(ticket, status, done);
            }
            Op::ReleaseMany(at) => self.release_many(&at[..at.len().min(5)]),
            Op::Resize(at, need) => {
                let (ticket, need) = (self.ticket(at), need.need());
                let mut done: slotwise_resized_t = zeroed();
                // SAFETY: as in `new`.
                let status =
                    unsafe { slotwise_resize(self.engine, ticket, &resources(need), &mut done) };
                self.resized(Some(ticket), need, status, done);
            }
            Op::ResizeId(id, need) => {
                let (id, need) = (IDS[usize::from(id) % IDS.len()], need.need());
                let mut done: slotwise_resized_t = zeroed();
                let name = text(id);
                // SAFETY: as in `new`.
                let status = unsafe {
                    let need = &resources(need);
                    slotwise_resize_id(self.engine, name.data, name.length, need, &mut done)
                };
                let ticket = self.ids.get(id).copied();
                self.resized(ticket, need, status, done);
            }
            Op::Batch(mut asks, gang, form) => {
                uniform(&mut asks);
                let (status, results, done) = self.batch(None, &asks, gang, form);
                assert_eq!((status, done.replayed), (SLOTWISE_OK, 0));
                self.settle(&asks, gang, &results);
            }
            Op::Once(id, asks, gang, form) => self.once(id, asks, gang, form),
            Op::Foreseen(asks, gang, form, credited) => self.foreseen(asks, gang, form, &credited),
            Op::Groups(groups) => self.groups(&groups[..groups.len().min(3)]),
        }
    }

    /// All that a host can see of workers, and how many reservations there are.
    fn compare(&self) {
        for worker in &self.workers {
            let mut info: slotwise_worker_info_t = zeroed();
            info.size = size_of::<slotwise_worker_info_t>() as u32;
            // SAFETY: as in `new`.
            let status = unsafe { slotwise_worker_info(self.engine, worker.name, &mut info) };
            assert_eq!((status, info), (SLOTWISE_OK, worker.info()));
        }
        for &name in &self.gone {
            let mut snapshot: slotwise_snapshot_t = zeroed();
            // SAFETY: as in `new`.
            let status = unsafe { slotwise_worker_snapshot(self.engine, name, &mut snapshot) };
            assert_eq!(status, SLOTWISE_UNKNOWN_WORKER);
        }
        let (mut workers, mut reservations) = (77, 77);
        // SAFETY: as in `new`.
        let status = unsafe { slotwise_counts(self.engine, &mut workers, &mut reservations) };
        let expected = (SLOTWISE_OK, self.workers.len() as u64, self.held.len() as u64);
        assert_eq!((status, workers, reservations), expected);
    }

    fn refuses(&mut self, id: Option<&[u8]>, total: Amounts, aside: Amounts) -> Vec<i32> {
        let mut faults = vec![];
        if (0..3).any(|d| aside[d] > total[d]) {
            faults.push(SLOTWISE_SET_ASIDE);
        }
        if id.is_some_and(|id| self.named(id).is_some()) {
            faults.push(SLOTWISE_DUPLICATE_WORKER);
        }
        faults
    }

    fn add(&mut self, specs: &[Spec], many: bool) {
        let all: Vec<_> = specs.iter().map(Spec::c).collect();
        let mut added = vec![slotwise_added_t { worker: 0, status: -77, reserved: 0 }; all.len()];
        if many {
            let mut registered = 77;
            // SAFETY: as in `new`.
            let status = unsafe {
                let (specs, to) = (all.as_ptr(), added.as_mut_ptr());
                slotwise_workers_add(self.engine, specs, 0, all.len(), to, &mut registered)
            };
            assert_eq!(status, SLOTWISE_OK);
            assert_eq!(registered, added.iter().filter(|a| a.status == SLOTWISE_OK).count());
        } else {
            let to = &mut added[0];
            // SAFETY: as in `new`.
            to.status = unsafe { slotwise_worker_add(self.engine, &all[0], &mut to.worker) };
        }
        for (spec, added) in specs.iter().zip(added) {
            let id = WORKERS[usize::from(spec.id) % WORKERS.len()];
            let (total, aside) = (spec.total.total(), spec.aside());
            let faults = self.refuses(Some(id), total, aside);
            if added.status != SLOTWISE_OK {
                assert!(faults.contains(&added.status), "{added:?}, not {faults:?}");
                assert_eq!(added.worker, 0);
                continue;
            }
            assert!(faults.is_empty() && added.worker != 0, "{added:?}, not {faults:?}");
            assert!(!self.names.contains(&added.worker), "a name given out twice");
            self.names.push(added.worker);
            let mut snapshot: slotwise_snapshot_t = zeroed();
            // SAFETY: as in `new`.
            let status =
                unsafe { slotwise_worker_snapshot(self.engine, added.worker, &mut snapshot) };
            assert_eq!(status, SLOTWISE_OK);
            self.workers.push(Worker {
                id,
                name: added.worker,
                version: snapshot.version,
                total,
                aside,
                held: [0; 3],
                pool: spec.pool(),
                tier: spec.tier(),
                priority: spec.priority(),
                flags: spec.flags() & !SLOTWISE_PENDING,
                ready: spec.flags() & SLOTWISE_PENDING == 0,
                cordoned: false,
                draining: false,
            });
        }
    }

    fn update(&mut self, spec: &Spec, fields: u16) {
        let id = WORKERS[usize::from(spec.id) % WORKERS.len()];
        let fields = u32::from(fields)
            & (SLOTWISE_SET_TOTAL
                | SLOTWISE_SET_SET_ASIDE
                | SLOTWISE_SET_POOL
                | SLOTWISE_SET_PRIORITY
                | SLOTWISE_SET_TIER
                | SLOTWISE_SET_REQUIRES_SELECTOR
                | SLOTWISE_SET_PREEMPTABLE);
        let mut info: slotwise_worker_info_t = zeroed();
        info.size = size_of::<slotwise_worker_info_t>() as u32;
        let name = text(id);
        // SAFETY: as in `new`.
        let status = unsafe {
            let (engine, spec) = (self.engine, &spec.c());
            slotwise_worker_update(engine, name.data, name.length, spec, fields, &mut info)
        };
        let Some(old) = self.named(id).cloned() else {
            return assert_eq!(status, SLOTWISE_UNKNOWN_WORKER);
        };
        let set = |field: u32| fields & field != 0;
        let mut new = old.clone();
        if set(SLOTWISE_SET_TOTAL) {
            new.total = spec.total.total();
        }
        if set(SLOTWISE_SET_SET_ASIDE) {
            new.aside = spec.aside();
        }
        if set(SLOTWISE_SET_POOL) {
            new.pool = spec.pool();
        }
        if set(SLOTWISE_SET_PRIORITY) {
            new.priority = spec.priority();
        }
        if set(SLOTWISE_SET_TIER) {
            new.tier = spec.tier();
        }
        for (field, flag) in [
            (SLOTWISE_SET_REQUIRES_SELECTOR, SLOTWISE_REQUIRES_SELECTOR),
            (SLOTWISE_SET_PREEMPTABLE, SLOTWISE_PREEMPTABLE),
        ] {
            if set(field) {
                new.flags = new.flags & !flag | spec.flags() & flag;
            }
        }
        let faults = self.refuses(None, new.total, new.aside);
        if !faults.is_empty() {
            return assert!(faults.contains(&status), "{status}, not {faults:?}");
        }
        assert_eq!(status, SLOTWISE_OK);
        let same = new.info() == old.info() && new.pool == old.pool;
        new.version += u64::from(!same);
        assert_eq!(info, new.info());
        *self.named(id).unwrap() = new;
    }

    fn signal(&mut self, id: u8, signal: u8) {
        let id = WORKERS[usize::from(id) % WORKERS.len()];
        let signal = signal % 7;
        let call = [
            slotwise_worker_ready,
            slotwise_worker_unready,
            slotwise_worker_cordon,
            slotwise_worker_drain,
            slotwise_worker_uncordon,
            slotwise_worker_uncordon,
            slotwise_worker_ready,
        ][usize::from(signal)];
        let mut info: slotwise_worker_info_t = zeroed();
        info.size = size_of::<slotwise_worker_info_t>() as u32;
        let name = text(id);
        // SAFETY: as in `new`.
        let status = unsafe { call(self.engine, name.data, name.length, &mut info) };
        let Some(worker) = self.named(id) else {
            return assert_eq!(status, SLOTWISE_UNKNOWN_WORKER);
        };
        let before = worker.state();
        match signal {
            0 | 6 => worker.ready = true,
            1 => worker.ready = false,
            2 => worker.cordoned = true,
            3 => worker.draining = true,
            _ => (worker.cordoned, worker.draining) = (false, false),
        }
        worker.version += u64::from(worker.state() != before);
        assert_eq!((status, info), (SLOTWISE_OK, worker.info()));
    }

    fn remove(&mut self, id: &'static [u8], room: u8) {
        let room = usize::from(room);
        let mut lost: Vec<slotwise_lost_t> = (0..room).map(|_| zeroed()).collect();
        let mut count = 77;
        let name = text(id);
        // SAFETY: as in `new`.
        let status = unsafe {
            let to = lost.as_mut_ptr();
            slotwise_worker_remove(self.engine, name.data, name.length, to, room, &mut count)
        };
        let Some(at) = self.workers.iter().position(|w| w.id == id) else {
            return assert_eq!((status, count), (SLOTWISE_UNKNOWN_WORKER, 77));
        };
        let worker = self.workers.remove(at);
        self.gone.push(worker.name);
        self.removals += 1;
        let ended: Vec<u64> =
            self.held.iter().filter(|(_, h)| h.on == worker.name).map(|(t, _)| *t).collect();
        assert_eq!((status, count), (SLOTWISE_OK, ended.len()));
        for ticket in ended {
            let held = self.held.remove(&ticket).unwrap();
            self.ids.remove(held.id);
            self.untold.insert(ticket, Lost { held, removal: self.removals });
        }
        for lost in &lost[..room.min(count)] {
            assert_eq!(self.told(lost), self.removals);
        }
    }

    /// Each once, with what it held.
    fn told(&mut self, lost: &slotwise_lost_t) -> usize {
        let Lost { held, removal } =
            self.untold.remove(&lost.ticket).expect("told once, truly lost");
        assert_eq!((lost.worker, amounts(lost.amount)), (held.on, held.amount));
        let id: Vec<u8> = lost.id.iter().map(|&c| c as u8).collect();
        assert_eq!((&id[..lost.id_length as usize], lost.reserved), (held.id, 0));
        removal
    }

    fn take(&mut self, room: usize) -> usize {
        let mut lost: Vec<slotwise_lost_t> = (0..room).map(|_| zeroed()).collect();
        let mut count = 77;
        // SAFETY: as in `new`.
        let status =
            unsafe { slotwise_lost_take(self.engine, lost.as_mut_ptr(), room, &mut count) };
        assert_eq!((status, count), (SLOTWISE_OK, room.min(self.untold.len())));
        let mut last = 0;
        for lost in &lost[..count] {
            let removal = self.told(lost);
            assert!(removal >= last, "a later loss was told of first");
            last = removal;
        }
        assert!(self.untold.values().all(|lost| lost.removal >= last));
        count
    }

    fn reserve(
        &mut self,
        ask: &Ask,
        on: Option<slotwise_worker_t>,
        expected: Option<u64>,
    ) -> slotwise_placement_t {
        let (request, mut placed) = (ask.c(&self.selectors), NOWHERE);
        // SAFETY: as in `new`.
        let status = unsafe {
            match (on, expected) {
                (None, _) => slotwise_reserve(self.engine, &request, &mut placed),
                (Some(on), None) => {
                    let none = core::ptr::null();
                    slotwise_reserve_on(self.engine, on, &request, none, &mut placed)
                }
                (Some(on), Some(version)) => {
                    slotwise_reserve_on(self.engine, on, &request, &version, &mut placed)
                }
            }
        };
        if status != SLOTWISE_OK {
            assert_eq!(placed, NOWHERE);
            placed.status = status;
        }
        self.settle_one(ask, on, expected, &placed);
        placed
    }

    /// May that be the answer? Then it is so here, too.
    fn settle_one(
        &mut self,
        ask: &Ask,
        on: Option<slotwise_worker_t>,
        expected: Option<u64>,
        placed: &slotwise_placement_t,
    ) {
        let need = ask.need();
        if need == [0; 3] {
            return assert_eq!(placed.status, SLOTWISE_EMPTY);
        }
        if let Some(ticket) = self.ids.get(ask.id()) {
            let held = &self.held[ticket];
            let answer =
                (placed.status, placed.existing, placed.ticket, placed.worker, placed.version);
            return assert_eq!(answer, (SLOTWISE_OK, 1, *ticket, held.on, held.version));
        }
        let separate = self.separate;
        if let Some(name) = on {
            let Some(worker) = self.at(name) else {
                return assert_eq!(placed.status, SLOTWISE_UNKNOWN_WORKER);
            };
            let matches = worker.rank(ask, true, separate).is_some();
            if matches && expected.is_some_and(|version| version != worker.version) {
                return assert_eq!(
                    placed.status, SLOTWISE_VERSION_CONFLICT,
                    "{ask:?} on {worker:?}, expected {expected:?}"
                );
            }
        }
        let all = self.workers.iter().filter(|w| on.is_none_or(|name| name == w.name));
        let matching: Vec<_> =
            all.filter_map(|w| Some((w.rank(ask, on.is_some(), separate)?, w))).collect();
        let able: Vec<_> =
            matching.iter().filter(|(_, w)| w.takes(ask.ahead) && fits(need, w.free())).collect();
        let Some(best) = able.iter().map(|(rank, _)| *rank).min() else {
            let ever = matching.iter().any(|(_, w)| fits(need, w.capacity()));
            let status = if ever { SLOTWISE_BUSY } else { SLOTWISE_NEVER };
            return assert_eq!(placed.status, status, "{ask:?}");
        };
        let equals: Vec<&Worker> =
            able.iter().filter(|(rank, _)| *rank == best).map(|(_, w)| *w).collect();
        let index = |w: &&&Worker| w.name as u32;
        let one = match ask.policy() {
            SLOTWISE_POLICY_FIRST_FIT => equals.iter().min_by_key(index),
            SLOTWISE_POLICY_TIGHTEST_FIT => {
                equals.iter().min_by_key(|w| (w.share_left(need), index(w)))
            }
            SLOTWISE_POLICY_SPREAD => {
                equals.iter().min_by_key(|w| (Reverse(w.share_left(need)), index(w)))
            }
            // Which of them depends on hashes, or on what was learned.
            _ => equals.iter().find(|w| w.name == placed.worker),
        };
        let one = one.map(|w| w.name);
        let answer = (placed.status, placed.existing, Some(placed.worker));
        assert_eq!(answer, (SLOTWISE_OK, 0, one), "{ask:?}: {placed:?} among {equals:?}");
        self.hold(ask.id(), need, placed.ticket, placed.worker, placed.version);
    }

    fn hold(&mut self, id: &'static [u8], amount: Amounts, ticket: u64, on: u64, version: u64) {
        let worker = self.at(on).expect("a registered worker");
        worker.held = plus(worker.held, amount);
        worker.version += 1;
        assert_eq!(version, worker.version);
        assert!(ticket != 0 && !self.tickets.contains(&ticket), "a ticket given out twice");
        self.tickets.push(ticket);
        self.held.insert(ticket, Held { id, on, amount, version });
        if !id.is_empty() {
            assert!(self.ids.insert(id, ticket).is_none());
        }
        self.placed += 1;
    }

    fn release(&mut self, ticket: u64) {
        let mut done: slotwise_released_t = zeroed();
        // SAFETY: as in `new`.
        let status = unsafe { slotwise_release(self.engine, ticket, &mut done) };
        self.given_back(Some(ticket), status, done);
    }

    fn given_back(&mut self, ticket: Option<u64>, status: i32, done: slotwise_released_t) {
        let Some(held) = ticket.and_then(|ticket| self.held.remove(&ticket)) else {
            return assert_eq!(status, SLOTWISE_NOT_HELD);
        };
        self.ids.remove(held.id);
        let worker = self.at(held.on).expect("or it would have been lost");
        worker.held = minus(worker.held, held.amount);
        worker.version += 1;
        let expected = slotwise_released_t {
            worker: held.on,
            version: worker.version,
            amount: resources(held.amount),
            credited: 1,
            status: SLOTWISE_OK,
        };
        assert_eq!((status, done), (SLOTWISE_OK, expected));
        self.released += 1;
    }

    fn release_many(&mut self, at: &[u8]) {
        let tickets: Vec<u64> = at.iter().map(|&at| self.ticket(at)).collect();
        let mut statuses = vec![-77; tickets.len()];
        let mut done: Vec<slotwise_released_t> = vec![zeroed(); tickets.len()];
        let mut count = 77;
        // SAFETY: as in `new`.
        let status = unsafe {
            let (from, n) = (tickets.as_ptr(), tickets.len());
            let (to, details) = (statuses.as_mut_ptr(), done.as_mut_ptr());
            slotwise_release_batch(self.engine, from, n, to, details, &mut count)
        };
        assert_eq!(status, SLOTWISE_OK);
        assert_eq!(count, statuses.iter().filter(|&&status| status == SLOTWISE_OK).count());
        for ((ticket, status), done) in tickets.into_iter().zip(statuses).zip(done) {
            assert_eq!(status, done.status);
            self.given_back(Some(ticket), status, done);
        }
    }

    fn resized(
        &mut self,
        ticket: Option<u64>,
        need: Amounts,
        status: i32,
        done: slotwise_resized_t,
    ) {
        if need == [0; 3] {
            return assert_eq!(status, SLOTWISE_EMPTY);
        }
        let held = ticket.and_then(|ticket| Some((ticket, self.held.get(&ticket)?.clone())));
        let Some((ticket, held)) = held else { return assert_eq!(status, SLOTWISE_NOT_HELD) };
        let worker = self.at(held.on).expect("or it would have been lost");
        let mut version = held.version;
        if need != held.amount {
            let grows = |d: usize| need[d] > held.amount[d];
            if (0..3).any(grows) && !worker.takes(true) {
                return assert_eq!(status, SLOTWISE_STATE);
            }
            let after = plus(minus(worker.held, held.amount), need);
            let left = minus(worker.capacity(), after);
            if (0..3).any(|d| grows(d) && left[d] < 0) {
                return assert_eq!(status, SLOTWISE_SHORT);
            }
            worker.held = after;
            worker.version += 1;
            version = worker.version;
            self.resized += 1;
        }
        let (worker, before) = (held.on, resources(held.amount));
        let expected = slotwise_resized_t { ticket, worker, version, before };
        assert_eq!((status, done), (SLOTWISE_OK, expected));
        self.held.insert(ticket, Held { amount: need, version, ..held });
    }

    /// Asks the engine alone.
    fn batch(
        &self,
        id: Option<&[u8]>,
        asks: &[Ask],
        gang: bool,
        form: Form,
    ) -> (i32, Vec<slotwise_placement_t>, slotwise_batch_done_t) {
        let mode = u32::from(gang);
        let id = id.map_or(slotwise_text_t { data: core::ptr::null(), length: 0 }, text);
        let requests: Vec<_> = asks.iter().map(|ask| ask.c(&self.selectors)).collect();
        let mut results = vec![NOWHERE; asks.len()];
        let mut done: slotwise_batch_done_t = zeroed();
        if let Form::Structs = form {
            let mut reasons: Vec<slotwise_reasons_t> = vec![zeroed(); asks.len()];
            let batch = slotwise_batch_t {
                size: size_of::<slotwise_batch_t>() as u32,
                mode,
                requests: requests.as_ptr(),
                count: asks.len(),
                placements: results.as_mut_ptr(),
                reasons: reasons.as_mut_ptr(),
                id: id.data,
                id_length: id.length,
                ..zeroed()
            };
            // SAFETY: as in `new`.
            let status = unsafe { slotwise_reserve_batch(self.engine, &batch, &mut done) };
            return (status, results, done);
        }
        let mut common: slotwise_request_t = zeroed();
        common.size = size_of::<slotwise_request_t>() as u32;
        if let Some(first) = requests.first() {
            common.policy = first.policy;
            common.flags = first.flags & SLOTWISE_AHEAD;
        }
        let mut offsets = vec![0];
        for ask in asks {
            offsets.push(offsets[offsets.len() - 1] + ask.id().len() as u64);
        }
        let bytes: Vec<u8> = match form {
            Form::Widths => {
                let wide = |ask: &Ask| {
                    let mut id = ask.id().to_vec();
                    id.resize(3, 0);
                    id
                };
                asks.iter().flat_map(wide).collect()
            }
            _ => asks.iter().flat_map(|ask| ask.id().to_vec()).collect(),
        };
        let column =
            |of: fn(&slotwise_request_t) -> u64| requests.iter().map(of).collect::<Vec<_>>();
        let (cpu, memory, gpus) = (column(|r| r.cpu), column(|r| r.memory), column(|r| r.gpus));
        let (hashes, selectors) =
            (column(|r| r.hash), requests.iter().map(|r| r.selector).collect::<Vec<_>>());
        let hashed = asks.first().is_some_and(|ask| ask.hash.is_some());
        let n = asks.len();
        let (mut tickets, mut workers, mut versions) = (vec![77; n], vec![77; n], vec![77; n]);
        let mut statuses = vec![-77; n];
        let columns = slotwise_columns_t {
            size: size_of::<slotwise_columns_t>() as u32,
            mode,
            count: n,
            common: &common,
            ids: bytes.as_ptr().cast(),
            id_offsets: if let Form::Widths = form { core::ptr::null() } else { offsets.as_ptr() },
            id_width: 3,
            cpu: cpu.as_ptr(),
            memory: memory.as_ptr(),
            gpus: gpus.as_ptr(),
            selectors: selectors.as_ptr(),
            hashes: if hashed { hashes.as_ptr() } else { core::ptr::null() },
            tickets: tickets.as_mut_ptr(),
            workers: workers.as_mut_ptr(),
            versions: versions.as_mut_ptr(),
            statuses: statuses.as_mut_ptr(),
            batch_id: id.data,
            batch_id_length: id.length,
            reserved: 0,
        };
        // SAFETY: as in `new`.
        let status = unsafe { slotwise_reserve_columns(self.engine, &columns, &mut done) };
        for k in 0..n {
            // Columns do not tell what was there already; the model knows.
            let existing = self.held.contains_key(&tickets[k]);
            results[k] = slotwise_placement_t {
                ticket: tickets[k],
                worker: workers[k],
                version: versions[k],
                status: statuses[k],
                existing: u8::from(existing),
                provisional: 0,
                dimension: 0,
            };
        }
        (status, results, done)
    }

    fn settle(&mut self, asks: &[Ask], gang: bool, results: &[slotwise_placement_t]) {
        let twice =
            |k: usize| !asks[k].id().is_empty() && asks[..k].iter().any(|a| a.id() == asks[k].id());
        let fault = |k: usize| match asks[k].need() {
            [0, 0, 0] => Some(SLOTWISE_EMPTY),
            _ => twice(k).then_some(SLOTWISE_DUPLICATE_ID),
        };
        if gang && results.iter().any(|r| r.status != SLOTWISE_OK) {
            return self.failed_gang(asks, &fault, results);
        }
        for (k, (ask, result)) in asks.iter().zip(results).enumerate() {
            match fault(k) {
                Some(status) => assert_eq!(result.status, status),
                None => self.settle_one(ask, None, None, result),
            }
            if result.status != SLOTWISE_OK {
                assert_eq!((result.ticket, result.worker, result.version), (0, 0, 0));
            }
        }
    }

    /// Nothing of it was done, and the one that is to blame is refused as well when they are asked
    /// for one by one.
    fn failed_gang(
        &mut self,
        asks: &[Ask],
        fault: &dyn Fn(usize) -> Option<i32>,
        results: &[slotwise_placement_t],
    ) {
        let mut blamed = None;
        for (k, result) in results.iter().enumerate() {
            assert_eq!((result.ticket, result.worker, result.version), (0, 0, 0));
            match (result.status, fault(k)) {
                (SLOTWISE_OK, _) => panic!("part of a failed gang was placed: {results:?}"),
                // Of several at fault not all need be told so.
                (SLOTWISE_PEER, _) => {}
                (status, Some(fault)) => assert_eq!(status, fault),
                (status, None) => assert!(blamed.replace((k, status)).is_none(), "{results:?}"),
            }
        }
        let faulty = (0..asks.len()).any(|k| fault(k).is_some());
        assert!(faulty || blamed.is_some(), "all are peers: {results:?}");
        self.compare();
        let Some((k, status)) = blamed else { return };
        let before: Vec<_> =
            asks[..k].iter().enumerate().filter(|(k, _)| fault(*k).is_none()).collect();
        let placed: Vec<_> = before.iter().map(|(_, ask)| self.reserve(ask, None, None)).collect();
        assert!(placed.iter().all(|placed| placed.status == SLOTWISE_OK));
        assert_eq!(self.reserve(&asks[k], None, None).status, status);
        for placed in placed.iter().filter(|placed| placed.existing == 0) {
            self.release(placed.ticket);
        }
    }

    fn once(&mut self, id: u8, mut asks: Vec<Ask>, gang: bool, form: Form) {
        uniform(&mut asks);
        let at = usize::from(id) % BATCHES.len();
        let (status, results, done) = self.batch(Some(BATCHES[at]), &asks, gang, form);
        let Some(first) = self.batches.get(&at) else {
            assert_eq!((status, done.replayed), (SLOTWISE_OK, 0));
            self.settle(&asks, gang, &results);
            // One that placed nothing may be tried again.
            if results.iter().any(|r| r.status == SLOTWISE_OK) {
                self.batches.insert(at, results);
            }
            return;
        };
        if first.len() != results.len() {
            return assert_eq!(status, SLOTWISE_OTHER_BATCH);
        }
        assert_eq!((status, done.replayed), (SLOTWISE_OK, 1));
        for (now, then) in results.iter().zip(first) {
            let told = |p: &slotwise_placement_t| (p.ticket, p.worker, p.version, p.status);
            assert_eq!(told(now), told(then));
        }
    }

    /// A dry run with credits changes nothing; one without foretells the batch that follows.
    fn foreseen(&mut self, mut asks: Vec<Ask>, gang: bool, form: Form, credited: &[u8]) {
        uniform(&mut asks);
        let requests: Vec<_> = asks.iter().map(|ask| ask.c(&self.selectors)).collect();
        let credited: Vec<u64> = credited.iter().take(4).map(|&at| self.ticket(at)).collect();
        let mut results = vec![NOWHERE; asks.len()];
        let batch = slotwise_batch_t {
            size: size_of::<slotwise_batch_t>() as u32,
            mode: u32::from(gang),
            requests: requests.as_ptr(),
            count: asks.len(),
            placements: results.as_mut_ptr(),
            ..zeroed()
        };
        // SAFETY: as in `new`.
        let status = unsafe {
            let (from, n) = (credited.as_ptr(), credited.len());
            slotwise_dry_run(self.engine, &batch, from, n, core::ptr::null_mut())
        };
        assert_eq!(status, SLOTWISE_OK);
        self.compare();
        // What was credited must really be gone for the batch to find it so.
        for ticket in credited {
            self.release(ticket);
        }
        let (status, done, _) = self.batch(None, &asks, gang, form);
        assert_eq!(status, SLOTWISE_OK);
        let certain =
            asks.iter().all(|ask| ask.is_certain() || ask.hash.is_some() || !ask.id().is_empty());
        for (will, is) in results.iter().zip(&done).filter(|_| certain) {
            assert_eq!((will.status, will.worker), (is.status, is.worker), "{asks:?}");
            assert_eq!(will.ticket, if will.existing == 1 { is.ticket } else { 0 });
        }
        self.settle(&asks, gang, &done);
    }

    fn groups(&mut self, groups: &[(u8, Vec<Step>)]) {
        let all: Vec<(&'static [u8], Vec<slotwise_step_t>)> = groups
            .iter()
            .map(|(at, steps)| {
                let steps = &steps[..steps.len().min(5)];
                (WORKERS[usize::from(*at) % WORKERS.len()], self.steps(steps))
            })
            .collect();
        let mut done: Vec<Vec<slotwise_step_done_t>> =
            all.iter().map(|(_, steps)| vec![zeroed(); steps.len()]).collect();
        let asked: Vec<_> = all
            .iter()
            .zip(&mut done)
            .map(|((worker, steps), done)| slotwise_group_t {
                size: size_of::<slotwise_group_t>() as u32,
                reserved: 0,
                worker: text(worker),
                steps: steps.as_ptr(),
                step_count: steps.len(),
                done: done.as_mut_ptr(),
            })
            .collect();
        // SAFETY: as in `new`.
        let status = unsafe { slotwise_groups_apply(self.engine, asked.as_ptr(), 0, asked.len()) };
        assert_eq!(status, SLOTWISE_OK);
        for ((worker, steps), done) in all.iter().zip(&done) {
            self.settle_group(worker, steps, done);
        }
    }

    /// The steps, less those that give back what an earlier one gives back or takes.
    fn steps(&self, steps: &[Step]) -> Vec<slotwise_step_t> {
        let (mut ids, mut given, mut all) = (vec![], vec![], vec![]);
        for step in steps {
            let mut c: slotwise_step_t = zeroed();
            let gives = match *step {
                Step::Reserve(id, need) => {
                    let id = IDS[usize::from(id) % IDS.len()];
                    ids.push(id);
                    (c.kind, c.need) = (SLOTWISE_STEP_RESERVE, resources(need.need()));
                    (c.id, c.id_length) = (id.as_ptr().cast(), id.len());
                    None
                }
                Step::ReleaseId(id) => {
                    let id = IDS[usize::from(id) % IDS.len()];
                    if ids.contains(&id) {
                        continue;
                    }
                    ids.push(id);
                    c.kind = SLOTWISE_STEP_RELEASE_ID;
                    (c.id, c.id_length) = (id.as_ptr().cast(), id.len());
                    self.ids.get(id).copied()
                }
                Step::Release(at) => {
                    (c.kind, c.ticket) = (SLOTWISE_STEP_RELEASE, self.ticket(at));
                    Some(c.ticket)
                }
            };
            if gives.is_none_or(|ticket| !given.contains(&ticket)) {
                given.extend(gives);
                all.push(c);
            }
        }
        all
    }

    fn settle_group(
        &mut self,
        id: &[u8],
        steps: &[slotwise_step_t],
        done: &[slotwise_step_done_t],
    ) {
        enum Due {
            Fault(i32),
            Existing(u64),
            Take(&'static [u8], Amounts),
            Give(u64),
        }
        let worker = self.named(id).cloned();
        let on = worker.as_ref().map(|w| w.name);
        let (mut taken, mut given, mut due) = (vec![], vec![], vec![]);
        for step in steps {
            let at = |k: &&[u8]| k.as_ptr() == step.id.cast() && k.len() == step.id_length;
            let id = IDS.into_iter().find(at).unwrap_or_default();
            let mut give =
                |ticket: Option<u64>| match ticket.and_then(|t| Some((t, self.held.get(&t)?))) {
                    None => Due::Fault(SLOTWISE_NOT_HELD),
                    Some((ticket, held)) if on == Some(held.on) => {
                        given.push(ticket);
                        Due::Give(ticket)
                    }
                    Some(_) => Due::Fault(SLOTWISE_OTHER_WORKER),
                };
            due.push(match step.kind {
                SLOTWISE_STEP_RELEASE => give(Some(step.ticket)),
                SLOTWISE_STEP_RELEASE_ID => give(self.ids.get(id).copied()),
                _ if amounts(step.need) == [0; 3] => Due::Fault(SLOTWISE_EMPTY),
                _ if on.is_none() => Due::Fault(SLOTWISE_UNKNOWN_WORKER),
                _ if taken.contains(&id) => Due::Fault(SLOTWISE_DUPLICATE_ID),
                _ => {
                    taken.extend((!id.is_empty()).then_some(id));
                    match self.ids.get(id) {
                        Some(&ticket) if !given.contains(&ticket) => Due::Existing(ticket),
                        _ => Due::Take(id, amounts(step.need)),
                    }
                }
            });
        }
        let right = due.iter().all(|due| !matches!(due, Due::Fault(_)));
        let room = worker.as_ref().is_none_or(|worker| {
            let (mut free, mut sum) = (worker.free(), [0; 3]);
            for due in &due {
                match due {
                    Due::Give(ticket) => free = plus(free, self.held[ticket].amount),
                    Due::Take(_, need) => sum = plus(sum, *need),
                    _ => {}
                }
            }
            sum == [0; 3] || worker.state() == SLOTWISE_STATE_READY && fits(sum, free)
        });
        for (due, done) in due.into_iter().zip(done) {
            let status = done.status;
            match due {
                _ if !(right && room) => {
                    assert_eq!((done.ticket, done.worker, done.version), (0, 0, 0));
                    match due {
                        // Nothing is held on a worker that is not there, or it is held elsewhere.
                        Due::Fault(SLOTWISE_OTHER_WORKER) if status == SLOTWISE_NOT_HELD => {}
                        Due::Fault(fault) => assert!([fault, SLOTWISE_PEER].contains(&status)),
                        Due::Take(..)
                            if right && [SLOTWISE_BUSY, SLOTWISE_NEVER].contains(&status) => {}
                        _ => assert_eq!(status, SLOTWISE_PEER),
                    }
                }
                Due::Take(id, need) => {
                    assert_eq!((status, done.existing), (SLOTWISE_OK, 0));
                    self.hold(id, need, done.ticket, done.worker, done.version);
                }
                Due::Existing(ticket) => {
                    assert_eq!((status, done.existing, done.ticket), (SLOTWISE_OK, 1, ticket));
                }
                Due::Give(ticket) => {
                    let released = slotwise_released_t {
                        worker: done.worker,
                        version: done.version,
                        amount: done.amount,
                        credited: 1,
                        status,
                    };
                    self.given_back(Some(ticket), status, released);
                }
                Due::Fault(_) => unreachable!(),
            }
        }
    }

    /// Everything by name, the books, and nothing left when all has been given back.
    fn finish(mut self) {
        for (id, ticket) in &self.ids {
            let (mut placed, name) = (NOWHERE, text(id));
            // SAFETY: as in `new`.
            let status =
                unsafe { slotwise_reservation(self.engine, name.data, name.length, &mut placed) };
            let held = &self.held[ticket];
            let told = (status, placed.ticket, placed.worker, placed.version, placed.existing);
            assert_eq!(told, (SLOTWISE_OK, *ticket, held.on, held.version, 1));
        }
        self.books();
        let mut stats: slotwise_stats_t = zeroed();
        stats.size = size_of::<slotwise_stats_t>() as u32;
        // SAFETY: as in `new`.
        assert_eq!(unsafe { slotwise_stats(self.engine, &mut stats) }, SLOTWISE_OK);
        let done = (stats.placed, stats.released, stats.resized);
        assert_eq!(done, (self.placed, self.released, self.resized));
        while self.take(3) == 3 {}
        assert!(self.untold.is_empty());
        for ticket in VecDeque::from(self.tickets.clone()) {
            self.release(ticket);
        }
        self.compare();
        self.books();
        assert_eq!(slotwise_engine_free(self.engine), SLOTWISE_OK);
    }

    fn books(&self) {
        let mut audit: slotwise_audit_t = zeroed();
        audit.size = size_of::<slotwise_audit_t>() as u32;
        // SAFETY: as in `new`.
        let status = unsafe { slotwise_audit(self.engine, &mut audit, core::ptr::null_mut(), 0) };
        let over = |w: &&Worker| w.free().iter().any(|&free| free < 0);
        let expected = slotwise_audit_t {
            size: audit.size,
            ok: 1,
            workers: self.workers.len() as u64,
            reservations: self.held.len() as u64,
            over_committed: self.workers.iter().filter(over).count() as u64,
            unsettled: 0,
            imbalances: 0,
        };
        assert_eq!((status, audit), (SLOTWISE_OK, expected));
    }
}

/// Columns have one policy and the like for all; so have the structures, to be compared.
fn uniform(asks: &mut Vec<Ask>) {
    asks.truncate(6);
    if let Some(&Ask { policy, ahead, hash, .. }) = asks.first() {
        for ask in asks {
            (ask.policy, ask.ahead) = (policy, ahead);
            ask.hash = hash.map(|_| ask.hash.unwrap_or(ask.id));
        }
    }
}

fuzz_target!(|input: (u8, [Spec; 3], Vec<Op>)| {
    let (setting, specs, ops) = input;
    let mut world = World::new(setting);
    world.add(&specs, true);
    world.compare();
    for op in ops.into_iter().take(60) {
        world.apply(op);
        world.compare();
    }
    world.finish();
});
