//! The verdict on a request in full.

use super::args::{self, Argument, HasSize, Strided};
use super::failure::{
    Failure, SLOTWISE_NO_DIMENSION, SLOTWISE_OUTLOOK_UNKNOWN, call, slotwise_error_t,
    slotwise_reasons_t, state_number,
};
use super::handle::{self, slotwise_engine_t};
use super::reserve::slotwise_request_t;
use super::status::*;
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_number};
use crate::placement::Mismatch;
use crate::{Explained, Explanation, Mismatches, NearMiss, Reason, Ticket};

/// It takes the request.
pub const SLOTWISE_REASON_FITS: u32 = 0;
/// It does not match; `detail` is the rule, SLOTWISE_MISMATCH_....
pub const SLOTWISE_REASON_MISMATCH: u32 = 1;
/// It takes nothing of the kind in its state; `detail` is the state, SLOTWISE_STATE_....
pub const SLOTWISE_REASON_STATE: u32 = 2;
/// Not enough is free; `missing` is how much more would have to be. Where devices are asked for, its
/// `gpus` are how many more of them would have to have room for what is asked of each; where they are
/// to be on one island, on the one where the fewest are missing.
pub const SLOTWISE_REASON_SHORT: u32 = 3;
/// It could not hold the request when empty; `missing` is by how much its capacity is too small; of
/// devices, how many more it would have to have.
pub const SLOTWISE_REASON_TOO_SMALL: u32 = 4;
/// As many of a group of the request's are in its place as may be, or it is in none.
pub const SLOTWISE_REASON_SPREAD: u32 = 5;

/// The request names another machine.
pub const SLOTWISE_MISMATCH_MACHINE: u32 = 1;
/// The worker serves another tenant alone.
pub const SLOTWISE_MISMATCH_TENANT: u32 = 2;
/// It is in another pool, or serves only requests that name its own.
pub const SLOTWISE_MISMATCH_POOL: u32 = 3;
/// A label is missing or has another value.
pub const SLOTWISE_MISMATCH_LABELS: u32 = 4;
/// GPUs on one side only.
pub const SLOTWISE_MISMATCH_GPU_SEPARATION: u32 = 5;
/// Its GPUs are of another type.
pub const SLOTWISE_MISMATCH_GPU_TYPE: u32 = 6;
/// It is preemptable and the request does not accept that.
pub const SLOTWISE_MISMATCH_PREEMPTABLE: u32 = 7;
/// Its GPUs are told apart as devices, and the request asks for a number of them; or the other way
/// round. Looked at before SLOTWISE_MISMATCH_GPU_TYPE.
pub const SLOTWISE_MISMATCH_DEVICES: u32 = 8;

const fn mismatch_number(rule: Mismatch) -> u32 {
    match rule {
        Mismatch::Machine => SLOTWISE_MISMATCH_MACHINE,
        Mismatch::Tenant => SLOTWISE_MISMATCH_TENANT,
        Mismatch::Pool => SLOTWISE_MISMATCH_POOL,
        Mismatch::Labels => SLOTWISE_MISMATCH_LABELS,
        Mismatch::GpuSeparation => SLOTWISE_MISMATCH_GPU_SEPARATION,
        Mismatch::Devices => SLOTWISE_MISMATCH_DEVICES,
        Mismatch::GpuType => SLOTWISE_MISMATCH_GPU_TYPE,
        Mismatch::Preemptable => SLOTWISE_MISMATCH_PREEMPTABLE,
    }
}

/// How many workers do not match a request, by the first rule that keeps them from it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_mismatches_t {
    /// SLOTWISE_MISMATCH_MACHINE.
    pub machine: u32,
    /// SLOTWISE_MISMATCH_TENANT.
    pub tenant: u32,
    /// SLOTWISE_MISMATCH_POOL.
    pub pool: u32,
    /// SLOTWISE_MISMATCH_LABELS.
    pub labels: u32,
    /// SLOTWISE_MISMATCH_GPU_SEPARATION.
    pub gpu_separation: u32,
    /// SLOTWISE_MISMATCH_GPU_TYPE.
    pub gpu_type: u32,
    /// SLOTWISE_MISMATCH_PREEMPTABLE.
    pub preemptable: u32,
    /// SLOTWISE_MISMATCH_DEVICES.
    pub devices: u32,
}

impl From<&Mismatches> for slotwise_mismatches_t {
    fn from(mismatches: &Mismatches) -> Self {
        slotwise_mismatches_t {
            machine: mismatches.by(Mismatch::Machine),
            tenant: mismatches.by(Mismatch::Tenant),
            pool: mismatches.by(Mismatch::Pool),
            labels: mismatches.by(Mismatch::Labels),
            gpu_separation: mismatches.by(Mismatch::GpuSeparation),
            gpu_type: mismatches.by(Mismatch::GpuType),
            preemptable: mismatches.by(Mismatch::Preemptable),
            devices: mismatches.by(Mismatch::Devices),
        }
    }
}

/// Where least would have to be freed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_near_miss_t {
    /// The worker; 0 where there is none.
    pub worker: slotwise_worker_t,
    /// Its version when it was looked at.
    pub version: u64,
    /// What would have to be freed there for the request to fit.
    pub missing: slotwise_resources_t,
}

impl From<&NearMiss> for slotwise_near_miss_t {
    fn from(miss: &NearMiss) -> Self {
        slotwise_near_miss_t {
            worker: worker_number(miss.worker),
            version: miss.version,
            missing: miss.missing.into(),
        }
    }
}

/// What slotwise_reserve would say of a request, and why.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_explanation_t {
    /// sizeof(slotwise_explanation_t), set by the caller.
    pub size: u32,
    /// SLOTWISE_OK: it would be placed, or its id is held; SLOTWISE_BUSY or SLOTWISE_NEVER.
    pub status: i32,
    /// SLOTWISE_OK: where it fits, or is held; otherwise 0.
    pub worker: slotwise_worker_t,
    /// The version at which that worker was looked at.
    pub version: u64,
    /// The reservation that its id holds; 0: none.
    pub ticket: u64,
    /// SLOTWISE_BUSY: the dimension that most ready workers are short of. SLOTWISE_NEVER: the one in
    /// which no matching worker is large enough, where one alone is to blame. SLOTWISE_NO_DIMENSION
    /// where the lack is of matching or ready workers.
    pub dimension: u32,
    /// SLOTWISE_BUSY, SLOTWISE_NEVER: whether something is on its way that will take it, as
    /// SLOTWISE_OUTLOOK_....
    pub outlook: u32,
    /// Registered workers that would take it.
    pub fitting: u32,
    /// The others, by reason; counted also where the engine does not count reasons.
    pub reasons: slotwise_reasons_t,
    /// Those that do not match, by rule.
    pub mismatches: slotwise_mismatches_t,
    /// 0.
    pub reserved: u32,
    /// Of the matching workers in a state that takes it and too full by now, the one of which the
    /// smallest share is missing, summed over dimensions; of equals the one with the lower index.
    pub nearest: slotwise_near_miss_t,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_explanation_t {}

impl From<&Explanation> for slotwise_explanation_t {
    fn from(explained: &Explanation) -> Self {
        let nothing = slotwise_explanation_t {
            size: size_of::<Self>() as u32,
            status: SLOTWISE_OK,
            worker: 0,
            version: 0,
            ticket: 0,
            dimension: SLOTWISE_NO_DIMENSION,
            outlook: SLOTWISE_OUTLOOK_UNKNOWN,
            fitting: explained.fitting,
            reasons: explained.reasons.into(),
            mismatches: (&explained.mismatches).into(),
            reserved: 0,
            nearest: explained.nearest.as_ref().map(Into::into).unwrap_or_default(),
        };
        match explained.answer {
            Ok(place) => slotwise_explanation_t {
                worker: worker_number(place.worker),
                version: place.version,
                ticket: place.existing.map_or(0, Ticket::to_bits),
                ..nothing
            },
            Err(refusal) => {
                let error = slotwise_error_t::from(&Failure::Reserve(refusal.into()));
                let slotwise_error_t { status, dimension, outlook, .. } = error;
                slotwise_explanation_t { status, dimension, outlook, ..nothing }
            }
        }
    }
}

/// One worker, and what it is to the request: the first reason that is true of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_explained_t {
    /// The worker.
    pub worker: slotwise_worker_t,
    /// Its version when it was looked at: while it stands there, what is said of it is true.
    pub version: u64,
    /// SLOTWISE_REASON_....
    pub reason: u32,
    /// The rule or the state, where the reason has one; otherwise 0.
    pub detail: u32,
    /// What is missing, where the reason has it; otherwise 0.
    pub missing: slotwise_resources_t,
}

impl From<&Explained> for slotwise_explained_t {
    fn from(one: &Explained) -> Self {
        let none = slotwise_resources_t::default();
        let (reason, detail, missing) = match one.reason {
            Reason::Fits => (SLOTWISE_REASON_FITS, 0, none),
            Reason::Mismatch(rule) => (SLOTWISE_REASON_MISMATCH, mismatch_number(rule), none),
            Reason::State(state) => (SLOTWISE_REASON_STATE, state_number(state), none),
            Reason::Short { missing } => (SLOTWISE_REASON_SHORT, 0, missing.into()),
            Reason::TooSmall { missing } => (SLOTWISE_REASON_TOO_SMALL, 0, missing.into()),
            Reason::Spread => (SLOTWISE_REASON_SPREAD, 0, none),
        };
        let worker = worker_number(one.worker);
        slotwise_explained_t { worker, version: one.version, reason, detail, missing }
    }
}

/// What slotwise_reserve would say of this request right now, and why: counts by reason and by rule,
/// the nearest miss and, where it is wanted, every registered worker's own reason. Changes nothing.
///
/// Writes at most `capacity` workers to `workers`, by index, and sets `*count` to how many there are.
/// `workers` NULL, `capacity` 0 and `count` NULL: none are wanted, which is cheaper.
///
/// Every worker is looked at once. What is said of one that is named is true as of the version that
/// stands beside it, so that a request which is said to fit fits as long as that worker is at that
/// version. Whether there is room for one more reservation is not foreseen. O(workers). Allocates.
///
/// Returns SLOTWISE_OK also where the request would be refused (`status` of the explanation says so);
/// SLOTWISE_ID_LENGTH, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_UNKNOWN_SELECTOR,
/// SLOTWISE_IN_FLIGHT, what can be wrong with its terms, SLOTWISE_NULL_POINTER (also of `count` where
/// `capacity` is not 0), SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED,
/// SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock, under which placements go on.
/// Safety: `request` points to a slotwise_request_t; `explanation` points to a slotwise_explanation_t
/// whose size is set; `workers` has room for `capacity` entries; `count` is NULL or points to a
/// size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_explain(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    explanation: *mut slotwise_explanation_t,
    workers: *mut slotwise_explained_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller, and used within this call.
        let (host, asked, output, room, counted) = unsafe {
            let host = handle::host(engine)?;
            let asked = args::input(request, "request")?;
            asked.check()?;
            let output = args::sized_output(explanation, "explanation")?;
            let room = Strided::new(workers, 0, capacity, "workers")?;
            (host, asked, output, room, args::optional_output(count, "count")?)
        };
        if capacity > 0 && counted.is_none() {
            return Err(Argument::new(SLOTWISE_NULL_POINTER, "count").into());
        }
        let written = [args::span(explanation, 1), room.span(), args::span(count, 1)];
        args::apart(&[args::span(request, 1)], &written)?;
        // SAFETY: it has been checked; passed on from the caller, and used within this call.
        let explained =
            unsafe { asked.with(|request| host.engine.explain(request, counted.is_some())) }?;
        output.write((&explained).into());
        for (index, one) in explained.workers.iter().enumerate().take(capacity) {
            // SAFETY: below the capacity.
            unsafe { room.write(index, one.into()) };
        }
        if let Some(counted) = counted {
            counted.write(explained.workers.len());
        }
        Ok(())
    })
}
