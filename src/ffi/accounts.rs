//! Accounts with quotas, and groups of which there may be so many in one place.

use core::ffi::c_char;

use super::args::{self, HasSize};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::status::*;
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_ref};
use crate::registry::WorkerError;
use crate::{Account, Name, Quota, Scope, SpreadGroup, Usage};

/// SLOTWISE_UNLIMITED, which the header defines by itself.
const UNLIMITED: u64 = u64::MAX;

/// How much one account may be charged with in all. SLOTWISE_UNLIMITED: as much as there is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_quota_t {
    /// CPU in millicores.
    pub cpu: u64,
    /// Memory in MiB.
    pub memory: u64,
    /// Whole GPUs.
    pub gpus: u64,
}

impl From<slotwise_quota_t> for Quota {
    fn from(quota: slotwise_quota_t) -> Quota {
        let limit = |n: u64| (n != UNLIMITED).then_some(n);
        Quota { cpu: limit(quota.cpu), memory: limit(quota.memory), gpus: limit(quota.gpus) }
    }
}

impl From<Quota> for slotwise_quota_t {
    fn from(quota: Quota) -> slotwise_quota_t {
        let limit = |n: Option<u64>| n.unwrap_or(UNLIMITED);
        let Quota { cpu, memory, gpus } = quota;
        slotwise_quota_t { cpu: limit(cpu), memory: limit(memory), gpus: limit(gpus) }
    }
}

/// What an account is charged with, and what it may be.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_usage_t {
    /// sizeof(slotwise_usage_t), set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// What its reservations hold in all, and what is being tried this moment.
    pub used: slotwise_resources_t,
    /// Its limits.
    pub quota: slotwise_quota_t,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_usage_t {}

impl From<Usage> for slotwise_usage_t {
    fn from(usage: Usage) -> Self {
        slotwise_usage_t {
            size: size_of::<Self>() as u32,
            reserved: 0,
            used: usage.used.into(),
            quota: usage.quota.into(),
        }
    }
}

/// Of a spread group, one place is a worker.
pub const SLOTWISE_SCOPE_WORKER: u32 = 0;
/// It is a machine; a worker that names none is one of its own.
pub const SLOTWISE_SCOPE_MACHINE: u32 = 1;
/// It is all workers with the same value of a label, as a zone. Workers without the label are out
/// of the question.
pub const SLOTWISE_SCOPE_LABEL: u32 = 2;

/// The account of this name: a number that is valid for the engine's life, the same one for the
/// same name. One that there was not is opened: unlimited, and nothing is charged to it. Ask once,
/// and name it in slotwise_terms_t.
///
/// Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_MANY_NAMES, SLOTWISE_NULL_POINTER,
/// SLOTWISE_MISALIGNED, SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes a lock.
/// Safety: `name` has `name_length` bytes; `account` points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_account(
    engine: slotwise_engine_t,
    name: *const c_char,
    name_length: usize,
    account: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, name, output) = unsafe {
            let host = handle::host(engine)?;
            let name = args::bytes(name, name_length, "name")?;
            (host, name, args::output(account, "account")?)
        };
        output.write(host.engine.account(name)?.0);
        Ok(())
    })
}

/// Limits what an account may be charged with from now on. What it is charged with already stays,
/// also if that is more.
///
/// Returns SLOTWISE_UNKNOWN_ACCOUNT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle
/// can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `quota` points to a slotwise_quota_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_quota_set(
    engine: slotwise_engine_t,
    account: u32,
    quota: *const slotwise_quota_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, quota) = unsafe { (handle::host(engine)?, args::value(quota, "quota")?) };
        Ok(host.engine.set_quota(Account(account), quota.into())?)
    })
}

/// What an account is charged with, and its quota.
///
/// Returns SLOTWISE_UNKNOWN_ACCOUNT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
/// SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `usage` points to a slotwise_usage_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_usage(
    engine: slotwise_engine_t,
    account: u32,
    usage: *mut slotwise_usage_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::sized_output(usage, "usage")?) };
        output.write(host.engine.usage(Account(account))?.into());
        Ok(())
    })
}

/// The group of this name and scope, of which there may be so many in one place: a number that is
/// valid for the engine's life, the same one for the same name and scope. `scope`:
/// SLOTWISE_SCOPE_...; `label`: for SLOTWISE_SCOPE_LABEL the label's key, otherwise empty. Ask
/// once, and name it in slotwise_limit_t.
///
/// Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_MANY_NAMES, SLOTWISE_UNKNOWN_VALUE,
/// SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes a lock.
/// Safety: `name` has `name_length` bytes, `label` has `label_length`; `group` points to a
/// uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_spread_group(
    engine: slotwise_engine_t,
    name: *const c_char,
    name_length: usize,
    scope: u32,
    label: *const c_char,
    label_length: usize,
    group: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, name, label, output) = unsafe {
            let host = handle::host(engine)?;
            let name = args::bytes(name, name_length, "name")?;
            let label = args::bytes(label, label_length, "label")?;
            (host, name, label, args::output(group, "group")?)
        };
        let scope = match scope {
            SLOTWISE_SCOPE_LABEL => Scope::Label(Name::from(label)),
            // A label that is of no use would be silently left out.
            _ if !label.is_empty() => return Err(args::unknown("label", scope as u64).into()),
            SLOTWISE_SCOPE_WORKER => Scope::Worker,
            SLOTWISE_SCOPE_MACHINE => Scope::Machine,
            _ => return Err(args::unknown("scope", scope as u64).into()),
        };
        output.write(host.engine.spread_group(name, scope)?.0);
        Ok(())
    })
}

/// How many of a group are in the place of this worker.
///
/// Returns SLOTWISE_UNKNOWN_WORKER; SLOTWISE_UNKNOWN_GROUP, also where the worker is out of the
/// question for the group, since it lacks its label; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or
/// what a handle can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `count` points to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_spread_count(
    engine: slotwise_engine_t,
    group: u32,
    worker: slotwise_worker_t,
    count: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) = unsafe { (handle::host(engine)?, args::output(count, "count")?) };
        let worker = worker_ref(worker);
        match host.engine.spread_count(SpreadGroup(group), worker) {
            Some(count) => output.write(count),
            None if host.engine.snapshot(worker).is_none() => {
                return Err(WorkerError::Unknown.into());
            }
            None => return Err(Failure::bare(SLOTWISE_UNKNOWN_GROUP)),
        }
        Ok(())
    })
}
