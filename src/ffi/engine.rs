//! Engines: made from a configuration, retained, closed, freed.

use core::ffi::{CStr, c_char};

use super::args::{self, HasSize};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::limits::SLOTWISE_ABI_VERSION;
use crate::{Config, Engine, Policy};

/// The engine's own policy, where a request names none. In a configuration: affinity.
pub const SLOTWISE_POLICY_DEFAULT: u32 = 0;
/// Start at the place that the affinity key hashes to and go round until one fits.
pub const SLOTWISE_POLICY_AFFINITY: u32 = 1;
/// The fitting worker with the lowest index.
pub const SLOTWISE_POLICY_FIRST_FIT: u32 = 2;
/// The fitting worker that is left with the least free share (best fit).
pub const SLOTWISE_POLICY_TIGHTEST_FIT: u32 = 3;
/// The fitting worker that is left with the largest free share (worst fit).
pub const SLOTWISE_POLICY_SPREAD: u32 = 4;
/// Two workers by two hashes; the emptier one wins.
pub const SLOTWISE_POLICY_POWER_OF_TWO: u32 = 5;
/// The fitting worker whose free amounts, weighed with what the request asks of each, are least.
pub const SLOTWISE_POLICY_DOT_PRODUCT: u32 = 6;
/// The fitting worker where the least free GPU becomes useless to the requests that are typical so far
/// (fragmentation gradient descent).
pub const SLOTWISE_POLICY_FGD: u32 = 7;
/// The fitting worker where the least is destroyed of what the mix of requests so far would still place.
pub const SLOTWISE_POLICY_ADAPTIVE: u32 = 8;

/// No policy has a higher number.
pub(super) const LAST_POLICY: u32 = SLOTWISE_POLICY_ADAPTIVE;

/// The policy of a number; none for the default. Few requests name one.
#[cold]
#[inline(never)]
pub(super) fn policy(number: u32) -> Option<Option<Policy>> {
    Some(match number {
        SLOTWISE_POLICY_DEFAULT => None,
        SLOTWISE_POLICY_AFFINITY => Some(Policy::Affinity),
        SLOTWISE_POLICY_FIRST_FIT => Some(Policy::FirstFit),
        SLOTWISE_POLICY_TIGHTEST_FIT => Some(Policy::TightestFit),
        SLOTWISE_POLICY_SPREAD => Some(Policy::Spread),
        SLOTWISE_POLICY_POWER_OF_TWO => Some(Policy::PowerOfTwo),
        SLOTWISE_POLICY_DOT_PRODUCT => Some(Policy::DotProduct),
        SLOTWISE_POLICY_FGD => Some(Policy::Fgd),
        SLOTWISE_POLICY_ADAPTIVE => Some(Policy::Adaptive),
        _ => return None,
    })
}

const fn policy_number(policy: Policy) -> u32 {
    match policy {
        Policy::Affinity => SLOTWISE_POLICY_AFFINITY,
        Policy::FirstFit => SLOTWISE_POLICY_FIRST_FIT,
        Policy::TightestFit => SLOTWISE_POLICY_TIGHTEST_FIT,
        Policy::Spread => SLOTWISE_POLICY_SPREAD,
        Policy::PowerOfTwo => SLOTWISE_POLICY_POWER_OF_TWO,
        Policy::DotProduct => SLOTWISE_POLICY_DOT_PRODUCT,
        Policy::Fgd => SLOTWISE_POLICY_FGD,
        Policy::Adaptive => SLOTWISE_POLICY_ADAPTIVE,
    }
}

/// Let requests without GPUs onto GPU workers.
pub const SLOTWISE_NO_GPU_SEPARATION: u32 = 1;
/// Do not count reasons of refusals: a refusal then costs about as much as a placement, also among
/// a million workers.
pub const SLOTWISE_NO_REASONS: u32 = 2;

/// Limits and rules of an engine, fixed when it is made. slotwise_config_default fills one in.
/// Memory is reserved as address space and touched as it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_config_t {
    /// sizeof(slotwise_config_t).
    pub size: u32,
    /// SLOTWISE_NO_GPU_SEPARATION, SLOTWISE_NO_REASONS, or both. Default 0.
    pub flags: u32,
    /// Most workers registered at once: 1 to 16,777,216. Default 1,048,576.
    pub max_workers: u64,
    /// Most reservations alive at once: 1 to 134,217,728. Default 1,048,576.
    pub max_reservations: u64,
    /// Most compiled selectors: 1 to 1,048,576. Default 65,536.
    pub max_selectors: u64,
    /// How many of the last batch ids are remembered for replay: 1 to 1,048,576. Default 4,096.
    pub max_batches: u64,
    /// SLOTWISE_POLICY_..., used where a request names none.
    pub policy: u32,
    /// How many threads may place at once by a policy that learns, fgd or adaptive: 1 to 64. Each such
    /// planner knows the requests that came to it, and has up to 20 bytes for each worker and each of up
    /// to 512 kinds of requests; none costs anything before it is used. A thread that finds all of them
    /// in others' hands places by tightest fit. Default 4.
    pub max_planners: u32,
    /// Most accounts: 1 to 16,777,216. Default 65,536.
    pub max_accounts: u64,
    /// Most spread groups: 1 to 16,777,216. Default 65,536.
    pub max_groups: u64,
    /// How many refused requests are kept for slotwise_unmet_demand: up to 1,048,576, and 0 for none;
    /// above 8, rounded down to a multiple of 8. The room for them, 128 bytes each, is taken when the
    /// first request is refused. Default 4,096.
    pub max_unmet: u64,
    /// Where the random numbers of the adaptive policy start. Default 1.
    pub seed: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_config_t {}

impl slotwise_config_t {
    fn of(config: &Config) -> Self {
        slotwise_config_t {
            size: size_of::<Self>() as u32,
            flags: if config.gpu_separation { 0 } else { SLOTWISE_NO_GPU_SEPARATION }
                | if config.count_reasons { 0 } else { SLOTWISE_NO_REASONS },
            max_workers: config.max_workers as u64,
            max_reservations: config.max_reservations as u64,
            max_selectors: config.max_selectors as u64,
            max_batches: config.max_batches as u64,
            policy: policy_number(config.policy),
            max_planners: config.max_planners as u32,
            max_accounts: config.max_accounts as u64,
            max_groups: config.max_groups as u64,
            max_unmet: config.max_unmet as u64,
            seed: config.seed,
        }
    }

    fn get(&self) -> Result<Config, Failure> {
        if self.flags & !(SLOTWISE_NO_GPU_SEPARATION | SLOTWISE_NO_REASONS) != 0 {
            return Err(args::unknown("flags", self.flags as u64).into());
        }
        let policy = policy(self.policy).ok_or(args::unknown("policy", self.policy as u64))?;
        let limit = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Ok(Config {
            max_workers: limit(self.max_workers),
            max_reservations: limit(self.max_reservations),
            max_selectors: limit(self.max_selectors),
            max_batches: limit(self.max_batches),
            max_accounts: limit(self.max_accounts),
            max_groups: limit(self.max_groups),
            max_unmet: limit(self.max_unmet),
            max_planners: limit(self.max_planners.into()),
            seed: self.seed,
            policy: policy.unwrap_or_default(),
            gpu_separation: self.flags & SLOTWISE_NO_GPU_SEPARATION == 0,
            count_reasons: self.flags & SLOTWISE_NO_REASONS == 0,
        })
    }
}

/// The version of the library that runs, as "major.minor.patch"; never freed. SLOTWISE_VERSION is
/// that of the header.
///
/// Threads: any. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version without NUL"),
        };
    VERSION.as_ptr()
}

/// The number of the interface of the library that runs. A caller that was compiled against another
/// SLOTWISE_ABI_VERSION must not go on.
///
/// Threads: any. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_abi_version() -> u32 {
    SLOTWISE_ABI_VERSION
}

/// Fills in the defaults, the size included.
///
/// Returns SLOTWISE_NULL_POINTER.
///
/// Threads: any. Safety: `config` points to a slotwise_config_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_config_default(config: *mut slotwise_config_t) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let output = unsafe { args::output(config, "config") }?;
        output.write(slotwise_config_t::of(&Config::default()));
        Ok(())
    })
}

/// Makes an engine without workers and gives the caller one reference to it. `config` NULL: the
/// defaults.
///
/// Returns SLOTWISE_CONFIG where a limit is out of its range (slotwise_last_error says what was
/// given and what the limit is), SLOTWISE_PROCESSOR, SLOTWISE_TOO_MANY_ENGINES,
/// SLOTWISE_UNKNOWN_VALUE, SLOTWISE_RESERVED, SLOTWISE_STRUCT_SIZE, SLOTWISE_NULL_POINTER.
///
/// Threads: any. Takes a lock.
/// Safety: `config` is NULL or points to a slotwise_config_t; `engine` points to a
/// slotwise_engine_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_engine_new(
    config: *const slotwise_config_t,
    engine: *mut slotwise_engine_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let output = unsafe { args::output(engine, "engine") }?;
        let config = match config.is_null() {
            true => Config::default(),
            // SAFETY: passed on from the caller.
            false => unsafe { args::input(config, "config") }?.get()?,
        };
        output.write(handle::keep(Engine::new(config)?)?);
        Ok(())
    })
}

/// The configuration that an engine was made with.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
///
/// Threads: any. No lock.
/// Safety: `config` points to a slotwise_config_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_engine_config(
    engine: slotwise_engine_t,
    config: *mut slotwise_config_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::sized_output(config, "config")?) };
        output.write(slotwise_config_t::of(host.engine.config()));
        Ok(())
    })
}

/// One reference more: the engine lives until each has been freed. The handle is the same number.
/// Also of an engine that is closed.
///
/// Returns SLOTWISE_STALE_HANDLE.
///
/// Threads: any. Takes a lock. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_engine_retain(engine: slotwise_engine_t) -> i32 {
    call(|| handle::retain(engine))
}

/// From now on every call with this engine returns SLOTWISE_CLOSED, save retain, close and free.
/// Calls that are under way end as they would have. Closing again does nothing.
///
/// Returns SLOTWISE_STALE_HANDLE.
///
/// Threads: any. Takes a lock. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_engine_close(engine: slotwise_engine_t) -> i32 {
    call(|| handle::close(engine))
}

/// One reference less. With the last, the engine is gone, and the handle is stale for ever: it is
/// told from every engine that comes after it.
///
/// Returns SLOTWISE_STALE_HANDLE where there is none left to free.
///
/// Threads: any. Takes a lock. Freeing the last reference while another thread is in a call with
/// it is an error that cannot be told from here: let each thread that calls keep a reference.
/// Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_engine_free(engine: slotwise_engine_t) -> i32 {
    call(|| handle::free(engine))
}
