//! Workers: registered, changed, read.

use core::ffi::c_char;

use super::args::{self, HasSize, Strided, slotwise_text_t};
use super::devices::{self, slotwise_device_t};
use super::failure::{Failure, call, slotwise_error_t, state_number};
use super::handle::{self, slotwise_engine_t};
use super::status::*;
use crate::placement::{Free, Resources};
use crate::registry::WorkerError;
use crate::slots::State;
use crate::{Engine, Name, WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate};

/// The engine's name for one registration of a worker: the index of its slot (from 0) in the lower
/// 32 bits, which registration of that slot, from 1, in the upper ones. Never 0. Refused once the
/// worker has been removed, also when its id was registered again.
pub type slotwise_worker_t = u64;

pub(super) const fn worker_number(worker: WorkerRef) -> slotwise_worker_t {
    (worker.incarnation as u64) << 32 | worker.index as u64
}

pub(super) const fn worker_ref(worker: slotwise_worker_t) -> WorkerRef {
    WorkerRef { index: worker as u32, incarnation: (worker >> 32) as u32 }
}

/// Amounts in every dimension.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_resources_t {
    /// CPU in millicores; 1,000 is one core. At most 8,388,607.
    pub cpu: u64,
    /// Memory in MiB. At most 134,217,727.
    pub memory: u64,
    /// Whole GPUs. At most 255.
    pub gpus: u64,
}

impl From<slotwise_resources_t> for Resources {
    fn from(r: slotwise_resources_t) -> Resources {
        Resources { cpu: r.cpu, memory: r.memory, gpus: r.gpus }
    }
}

impl From<Resources> for slotwise_resources_t {
    fn from(r: Resources) -> slotwise_resources_t {
        slotwise_resources_t { cpu: r.cpu, memory: r.memory, gpus: r.gpus }
    }
}

/// What is free, signed: less than nothing where a worker's total was lowered under what is held.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_free_t {
    /// CPU in millicores.
    pub cpu: i64,
    /// Memory in MiB.
    pub memory: i64,
    /// Whole GPUs.
    pub gpus: i64,
}

impl From<Free> for slotwise_free_t {
    fn from(free: Free) -> Self {
        slotwise_free_t { cpu: free.cpu, memory: free.memory, gpus: free.gpus }
    }
}

/// Serves only requests that name its pool.
pub const SLOTWISE_REQUIRES_SELECTOR: u32 = 1;
/// Of a worker: may be taken away at short notice, and serves only requests that accept that. Of
/// terms: the reservation may be displaced by a request of higher priority (slotwise_preempt).
pub const SLOTWISE_PREEMPTABLE: u32 = 2;
/// Registered while still being started: holds only reservations made ahead until it is ready.
pub const SLOTWISE_PENDING: u32 = 4;

const FLAGS: u32 = SLOTWISE_REQUIRES_SELECTOR | SLOTWISE_PREEMPTABLE | SLOTWISE_PENDING;

/// Registered, on its way: takes only reservations made ahead.
pub const SLOTWISE_STATE_PENDING: u32 = 1;
/// Takes requests.
pub const SLOTWISE_STATE_READY: u32 = 2;
/// Takes nothing new, by the operator's intent.
pub const SLOTWISE_STATE_CORDONED: u32 = 3;
/// Takes nothing new and is being emptied.
pub const SLOTWISE_STATE_DRAINING: u32 = 4;

// Callers are compiled against these; the engine's own numbers must not drift from them.
const _: () = assert!(
    State::Pending as u32 == SLOTWISE_STATE_PENDING
        && State::Ready as u32 == SLOTWISE_STATE_READY
        && State::Cordoned as u32 == SLOTWISE_STATE_CORDONED
        && State::Draining as u32 == SLOTWISE_STATE_DRAINING
);

/// A label of a worker.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_label_t {
    /// Its key; not empty.
    pub key: slotwise_text_t,
    /// Its value.
    pub value: slotwise_text_t,
}

/// A worker as the host registers it. All zero but the size, id and total: a ready, open worker
/// without pool and labels.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_worker_spec_t {
    /// sizeof(slotwise_worker_spec_t).
    pub size: u32,
    /// SLOTWISE_REQUIRES_SELECTOR, SLOTWISE_PREEMPTABLE, SLOTWISE_PENDING, or several.
    pub flags: u32,
    /// The host's name of it: 1 to SLOTWISE_MAX_ID_LENGTH bytes, unique among registered workers.
    pub id: slotwise_text_t,
    /// What it has in all.
    pub total: slotwise_resources_t,
    /// Part of that which the host keeps for itself (rented out, kept for the system).
    pub set_aside: slotwise_resources_t,
    /// Higher is tried first within a tier.
    pub priority: i32,
    /// The host's own order, before priority: 0 to 255; every worker of tier 0 comes before any of
    /// tier 1.
    pub tier: u32,
    /// The pool it belongs to. NULL data or empty: none.
    pub pool: slotwise_text_t,
    /// The model of its GPUs. NULL data or empty: none.
    pub gpu_type: slotwise_text_t,
    /// Serves only this tenant. NULL data: shared, serves all.
    pub tenant: slotwise_text_t,
    /// The machine it runs on, when a machine carries several workers. NULL data: none.
    pub machine: slotwise_text_t,
    /// Its labels. A key that stands twice keeps its last value.
    pub labels: *const slotwise_label_t,
    /// How many.
    pub label_count: usize,
    /// 0.
    pub reserved: u64,
    /// The generation of the rollout that it belongs to. In an update: a later one; the worker is
    /// pending then until slotwise_worker_ready_generation of that generation.
    pub generation: u64,
    /// Ends with the first slotwise_tick at or after this time of the host's clock, unless
    /// slotwise_heartbeat puts that off; for a worker on its way, until when it is waited for. 0:
    /// it stays until it is removed. Not looked at in an update.
    pub lease: u64,
    /// Its GPUs one by one, so that requests can ask for parts of one, or are told which they got
    /// (slotwise_terms_t). `total.gpus` is 0 or as many, and none is set aside. Requests for a number
    /// of GPUs are not placed on such a worker; requests for devices are placed on no other. They stay
    /// as they are while it is registered: an update looks at their number alone, for `total`.
    pub devices: *const slotwise_device_t,
    /// How many: at most SLOTWISE_MAX_DEVICES.
    pub device_count: usize,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_worker_spec_t {}

/// What a slotwise_worker_spec_t says, with its texts.
struct Said<'a> {
    id: &'a [u8],
    pool: &'a [u8],
    gpu_type: &'a [u8],
    tenant: Option<&'a [u8]>,
    machine: Option<&'a [u8]>,
    labels: Vec<(&'a [u8], &'a [u8])>,
    tier: u8,
}

impl slotwise_worker_spec_t {
    /// # Safety
    /// As [`args`] says, of all that it points to.
    unsafe fn read<'a>(&self) -> Result<Said<'a>, Failure> {
        args::reserved(self.reserved == 0)?;
        if self.flags & !FLAGS != 0 {
            return Err(args::unknown("flags", self.flags as u64).into());
        }
        let tier = u8::try_from(self.tier).map_err(|_| args::unknown("tier", self.tier as u64))?;
        // SAFETY: passed on.
        unsafe {
            let mut labels = Vec::with_capacity(self.label_count.min(64));
            for label in args::array(self.labels, self.label_count, "labels")? {
                let key = label.key.get("labels")?.unwrap_or_default();
                labels.push((key, label.value.get("labels")?.unwrap_or_default()));
            }
            Ok(Said {
                id: self.id.get("id")?.unwrap_or_default(),
                pool: self.pool.get("pool")?.unwrap_or_default(),
                gpu_type: self.gpu_type.get("gpu_type")?.unwrap_or_default(),
                tenant: self.tenant.get("tenant")?,
                machine: self.machine.get("machine")?,
                labels,
                tier,
            })
        }
    }

    /// What it has in all: its devices are its GPUs, also where it does not say their number again.
    fn total(&self) -> Resources {
        let mut total: Resources = self.total.into();
        if total.gpus == 0 {
            total.gpus = self.device_count as u64;
        }
        total
    }

    /// # Safety
    /// As [`args`] says, of all that it points to.
    pub(super) unsafe fn get(&self) -> Result<WorkerSpec, Failure> {
        // SAFETY: passed on.
        let (said, devices) =
            unsafe { (self.read()?, devices::read(self.devices, self.device_count)?) };
        let mut spec = WorkerSpec::new(said.id, self.total())
            .set_aside(self.set_aside.into())
            .pool(said.pool)
            .gpu_type(said.gpu_type)
            .priority(self.priority)
            .tier(said.tier)
            .requires_selector(self.flags & SLOTWISE_REQUIRES_SELECTOR != 0)
            .preemptable(self.flags & SLOTWISE_PREEMPTABLE != 0)
            .pending(self.flags & SLOTWISE_PENDING != 0)
            .generation(self.generation);
        if self.lease != 0 {
            spec = spec.lease(self.lease);
        }
        for (key, value) in said.labels {
            spec = spec.label(key, value);
        }
        if let Some(tenant) = said.tenant {
            spec = spec.tenant(tenant);
        }
        if let Some(machine) = said.machine {
            spec = spec.machine(machine);
        }
        if !devices.is_empty() {
            spec = spec.devices(devices);
            // Another number is the engine's to refuse.
            spec.total = self.total();
        }
        Ok(spec)
    }

    /// What `fields` name of it, as a change.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to.
    unsafe fn update(&self, fields: u32) -> Result<WorkerUpdate, Failure> {
        // SAFETY: passed on.
        let said = unsafe { self.read() }?;
        let mut update = WorkerUpdate::new();
        let set = |field: u32| fields & field != 0;
        let flag = |flag: u32| self.flags & flag != 0;
        if set(SLOTWISE_SET_TOTAL) {
            update = update.total(self.total());
        }
        if set(SLOTWISE_SET_SET_ASIDE) {
            update = update.set_aside(self.set_aside.into());
        }
        if set(SLOTWISE_SET_GPU_TYPE) {
            update = update.gpu_type(said.gpu_type);
        }
        if set(SLOTWISE_SET_POOL) {
            update = update.pool(said.pool);
        }
        if set(SLOTWISE_SET_PRIORITY) {
            update = update.priority(self.priority);
        }
        if set(SLOTWISE_SET_TIER) {
            update = update.tier(said.tier);
        }
        if set(SLOTWISE_SET_LABELS) {
            update = update.labels(said.labels);
        }
        if set(SLOTWISE_SET_TENANT) {
            update = update.tenant(said.tenant.map(Name::from));
        }
        if set(SLOTWISE_SET_MACHINE) {
            update = update.machine(said.machine.map(Name::from));
        }
        if set(SLOTWISE_SET_REQUIRES_SELECTOR) {
            update = update.requires_selector(flag(SLOTWISE_REQUIRES_SELECTOR));
        }
        if set(SLOTWISE_SET_PREEMPTABLE) {
            update = update.preemptable(flag(SLOTWISE_PREEMPTABLE));
        }
        if set(SLOTWISE_SET_GENERATION) {
            update = update.generation(self.generation);
        }
        Ok(update)
    }
}

/// slotwise_worker_update changes the total.
pub const SLOTWISE_SET_TOTAL: u32 = 1;
/// It changes what is set aside.
pub const SLOTWISE_SET_SET_ASIDE: u32 = 2;
/// It changes the GPU type.
pub const SLOTWISE_SET_GPU_TYPE: u32 = 4;
/// It changes the pool.
pub const SLOTWISE_SET_POOL: u32 = 8;
/// It changes the priority.
pub const SLOTWISE_SET_PRIORITY: u32 = 16;
/// It changes the tier.
pub const SLOTWISE_SET_TIER: u32 = 32;
/// It puts new labels in place of all there are.
pub const SLOTWISE_SET_LABELS: u32 = 64;
/// It changes the tenant.
pub const SLOTWISE_SET_TENANT: u32 = 128;
/// It changes the machine.
pub const SLOTWISE_SET_MACHINE: u32 = 256;
/// It changes whether SLOTWISE_REQUIRES_SELECTOR is set.
pub const SLOTWISE_SET_REQUIRES_SELECTOR: u32 = 512;
/// It changes whether SLOTWISE_PREEMPTABLE is set.
pub const SLOTWISE_SET_PREEMPTABLE: u32 = 1024;
/// It changes the generation of the rollout.
pub const SLOTWISE_SET_GENERATION: u32 = 2048;

const FIELDS: u32 = 4095;

/// A worker as it is at one version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_worker_info_t {
    /// sizeof(slotwise_worker_info_t), set by the caller.
    pub size: u32,
    /// SLOTWISE_STATE_....
    pub state: u32,
    /// The engine's name of it.
    pub worker: slotwise_worker_t,
    /// Version of its slot when it was read.
    pub version: u64,
    /// What it has in all.
    pub total: slotwise_resources_t,
    /// What the host keeps for itself.
    pub set_aside: slotwise_resources_t,
    /// What reservations hold.
    pub held: slotwise_resources_t,
    /// total - set_aside - held. Where its GPUs are devices, those that are free as a whole.
    pub free: slotwise_free_t,
    /// Its priority.
    pub priority: i32,
    /// Its tier.
    pub tier: u32,
    /// SLOTWISE_REQUIRES_SELECTOR, SLOTWISE_PREEMPTABLE, or both.
    pub flags: u32,
    /// How many labels it has.
    pub label_count: u32,
    /// The generation of the rollout that it belongs to.
    pub generation: u64,
    /// When it ends unless it is heard of before; 0: it stays until it is removed.
    pub lease: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_worker_info_t {}

impl From<&WorkerInfo> for slotwise_worker_info_t {
    fn from(info: &WorkerInfo) -> Self {
        slotwise_worker_info_t {
            size: size_of::<Self>() as u32,
            state: state_number(info.state),
            worker: worker_number(info.worker),
            version: info.version,
            total: info.total.into(),
            set_aside: info.set_aside.into(),
            held: info.held().into(),
            free: info.free.into(),
            priority: info.priority,
            tier: info.tier as u32,
            flags: if info.requires_selector { SLOTWISE_REQUIRES_SELECTOR } else { 0 }
                | if info.preemptable { SLOTWISE_PREEMPTABLE } else { 0 },
            label_count: info.labels.len() as u32,
            generation: info.generation,
            lease: info.lease.unwrap_or(0),
        }
    }
}

/// A worker's slot at one instant.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_snapshot_t {
    /// The slot's version.
    pub version: u64,
    /// What is free.
    pub free: slotwise_free_t,
    /// SLOTWISE_STATE_....
    pub state: u32,
    /// 0.
    pub reserved: u32,
}

/// What became of one worker of slotwise_workers_add.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_added_t {
    /// The engine's name of it; 0 where it was not registered.
    pub worker: slotwise_worker_t,
    /// SLOTWISE_OK, or why not.
    pub status: i32,
    /// 0.
    pub reserved: u32,
}

/// Registers a worker. O(log workers); placements go on meanwhile.
///
/// Returns SLOTWISE_DUPLICATE_WORKER, SLOTWISE_ID_LENGTH, SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE,
/// SLOTWISE_SET_ASIDE, SLOTWISE_GPU_TYPE, SLOTWISE_TABLE_FULL, SLOTWISE_NULL_POINTER,
/// SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, or what a
/// handle can be wrong of. Of its devices: SLOTWISE_TOO_MANY_DEVICES, SLOTWISE_DUPLICATE_DEVICE,
/// SLOTWISE_ISLAND_TOO_HIGH, SLOTWISE_GPUS_BESIDE_DEVICES, SLOTWISE_MISALIGNED.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `spec` points to a slotwise_worker_spec_t; `worker` is NULL or points to a
/// slotwise_worker_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_add(
    engine: slotwise_engine_t,
    spec: *const slotwise_worker_spec_t,
    worker: *mut slotwise_worker_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, spec, output) = unsafe {
            let host = handle::host(engine)?;
            let output = args::optional_output(worker, "worker")?;
            (host, args::input(spec, "spec")?.get()?, output)
        };
        let worker = host.engine.add_worker(spec)?;
        if let Some(output) = output {
            output.write(worker_number(worker));
        }
        Ok(())
    })
}

/// Registers many under one lock, each for itself: one entry of `added` each, in order. `stride`:
/// bytes from one spec to the next; 0: side by side. `*registered` (unless NULL): how many were.
///
/// Returns SLOTWISE_OK also where some were refused; the entry says why. Where a structure cannot
/// be read (SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
/// SLOTWISE_ISLAND_TOO_HIGH, SLOTWISE_STRIDE, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or
/// what a handle can be wrong of), none is registered and nothing is written.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `specs` has `count` entries, `added` is NULL or has room for as many; `registered` is
/// NULL or points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_workers_add(
    engine: slotwise_engine_t,
    specs: *const slotwise_worker_spec_t,
    stride: usize,
    count: usize,
    added: *mut slotwise_added_t,
    registered: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, specs, output) = unsafe {
            let host = handle::host(engine)?;
            let specs = Strided::new(specs, stride, count, "specs")?;
            (host, specs, args::optional_output(registered, "registered")?)
        };
        let wanted = if added.is_null() { 0 } else { count };
        // SAFETY: passed on from the caller.
        let results = unsafe { Strided::new(added, 0, wanted, "added") }?;
        args::apart(&[specs.span()], &[results.span(), args::span(registered, 1)])?;
        let read = |index| {
            // SAFETY: below the count; all that it points to is passed on.
            unsafe { specs.get(index, "specs").map_err(Failure::from)?.get() }
        };
        let specs: Vec<WorkerSpec> = (0..count).map(read).collect::<Result<_, Failure>>()?;
        let done = host.engine.add_workers(specs);
        if let Some(output) = output {
            output.write(done.iter().filter(|result| result.is_ok()).count());
        }
        for (index, result) in done.iter().enumerate().take(wanted) {
            let status = |e: &WorkerError| slotwise_error_t::from(&Failure::from(*e)).status;
            let added = slotwise_added_t {
                worker: result.as_ref().map_or(0, |&worker| worker_number(worker)),
                status: result.as_ref().err().map_or(SLOTWISE_OK, status),
                reserved: 0,
            };
            // SAFETY: below the count of results.
            unsafe { results.write(index, added) };
        }
        Ok(())
    })
}

/// Looks an id up and does something with the worker of that id.
///
/// # Safety
/// As [`args`] says.
pub(super) unsafe fn with_id(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
    change: impl FnOnce(&Engine, &[u8]) -> Result<WorkerInfo, Failure>,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id, output) = unsafe {
            let host = handle::host(engine)?;
            let id = args::bytes(id, id_length, "id")?;
            (host, id, args::optional_sized_output(info, "info")?)
        };
        let now = change(&host.engine, id)?;
        if let Some(output) = output {
            output.write((&now).into());
        }
        Ok(())
    })
}

/// Changes a worker as one step. `fields`: SLOTWISE_SET_..., what of `spec` is to be taken over;
/// the rest of it, its id too, is not looked at. `info` (unless NULL) gets the worker as it then
/// is. A total may be lowered under what is held: nothing is taken from anybody, and nothing new is
/// placed until enough has been released.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE, SLOTWISE_SET_ASIDE,
/// SLOTWISE_GPU_TYPE, SLOTWISE_GPUS_BESIDE_DEVICES, SLOTWISE_OLD_GENERATION, SLOTWISE_NULL_POINTER,
/// SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `id` has `id_length` bytes; `spec` points to a slotwise_worker_spec_t; `info` is NULL or
/// points to a slotwise_worker_info_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_update(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    spec: *const slotwise_worker_spec_t,
    fields: u32,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    let change = |engine: &Engine, id: &[u8]| {
        if fields & !FIELDS != 0 {
            return Err(args::unknown("fields", fields as u64).into());
        }
        // SAFETY: passed on from the caller.
        let update = unsafe { args::input(spec, "spec")?.update(fields) }?;
        Ok(engine.update_worker(id, update)?)
    };
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, change) }
}
