//! From the engine's typed errors to a status, and to what is told of the last failure of a thread.

use core::any::Any;
use core::cell::Cell;
use core::ffi::c_char;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::args::{self, Argument};
use super::status::*;
use crate::placement::gpu::WHOLE;
use crate::placement::{DeviceError, Dimension, Resources};
use crate::registry::{SelectorError, WorkerError};
use crate::slots::State;
use crate::{
    ClockWentBack, ConfigError, ConfirmError, GroupError, Outlook, Reasons, Refusal, ReleaseError,
    ReserveError, ResizeError, SupposeError, TermsError, Verdict,
};

/// No dimension.
pub const SLOTWISE_NO_DIMENSION: u32 = 0;
/// CPU, in millicores.
pub const SLOTWISE_CPU: u32 = 1;
/// Memory, in MiB.
pub const SLOTWISE_MEMORY: u32 = 2;
/// Whole GPUs.
pub const SLOTWISE_GPUS: u32 = 3;

pub(super) const fn dimension_number(dimension: Option<Dimension>) -> u32 {
    match dimension {
        None => SLOTWISE_NO_DIMENSION,
        Some(Dimension::Cpu) => SLOTWISE_CPU,
        Some(Dimension::Memory) => SLOTWISE_MEMORY,
        Some(Dimension::Gpus) => SLOTWISE_GPUS,
    }
}

/// Nobody has looked: the engine does not count reasons, or the request names its worker.
pub const SLOTWISE_OUTLOOK_UNKNOWN: u32 = 0;
/// A pending worker that the request may use has room for it now: wait until it is ready, or hold
/// the capacity there at once with SLOTWISE_AHEAD.
pub const SLOTWISE_OUTLOOK_WAIT: u32 = 1;
/// No worker that is on its way will take it: to start one, make room or change the request is all
/// that helps.
pub const SLOTWISE_OUTLOOK_START: u32 = 2;

pub(super) const fn outlook_number(outlook: Outlook) -> u32 {
    match outlook {
        Outlook::Unknown => SLOTWISE_OUTLOOK_UNKNOWN,
        Outlook::Wait => SLOTWISE_OUTLOOK_WAIT,
        Outlook::Start => SLOTWISE_OUTLOOK_START,
    }
}

/// How many workers were out of the question for which reason; each counts once, under the first
/// reason in this order. All zero where the engine does not count reasons.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_reasons_t {
    /// Registered workers that the request's selector does not match.
    pub not_matching: u32,
    /// Matching, but not in a state that takes the request.
    pub not_ready: u32,
    /// Ready, but short of CPU.
    pub cpu: u32,
    /// Ready with enough CPU, but short of memory.
    pub memory: u32,
    /// Ready with enough CPU and memory, but short of GPUs, or of devices.
    pub gpus: u32,
    /// Ready with enough of everything, but in a place where as many of the request's group are as
    /// may be, or that is none for the group.
    pub spread: u32,
}

impl From<Reasons> for slotwise_reasons_t {
    fn from(r: Reasons) -> Self {
        slotwise_reasons_t {
            not_matching: r.not_matching,
            not_ready: r.not_ready,
            cpu: r.cpu,
            memory: r.memory,
            gpus: r.gpus,
            spread: r.spread,
        }
    }
}

/// What is known of a failure. What a status has nothing to say of is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_error_t {
    /// sizeof(slotwise_error_t), set by the caller.
    pub size: u32,
    /// The status that the call returned; SLOTWISE_OK where none has failed yet.
    pub status: i32,
    /// The dimension that it is about: what is blocking, too large, or short.
    pub dimension: u32,
    /// SLOTWISE_VERSION_CONFLICT, SLOTWISE_STATE, SLOTWISE_NOT_PENDING: the worker's state.
    pub state: u32,
    /// What was given, where it is out of a range; a length in bytes, or a number of entries.
    /// SLOTWISE_QUOTA_EXCEEDED: what is in use. SLOTWISE_WAITING: how many have not left.
    pub given: u64,
    /// The limit that was passed or reached. SLOTWISE_DEADLINE_PASSED, SLOTWISE_CLOCK_WENT_BACK:
    /// the time that the last tick told. SLOTWISE_OLD_GENERATION: the worker's generation.
    pub limit: u64,
    /// The place in an array of the entry that is to blame.
    pub index: u64,
    /// SLOTWISE_VERSION_CONFLICT: the worker's version now.
    pub version: u64,
    /// SLOTWISE_VERSION_CONFLICT: what is free there now. SLOTWISE_SHORT: what is missing.
    pub cpu: u64,
    /// The same of memory.
    pub memory: u64,
    /// The same of GPUs.
    pub gpus: u64,
    /// SLOTWISE_BUSY, SLOTWISE_NEVER: why workers were out of the question.
    pub reasons: slotwise_reasons_t,
    /// SLOTWISE_BUSY, SLOTWISE_NEVER: whether something is on its way that will take it, as
    /// SLOTWISE_OUTLOOK_....
    pub outlook: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: `size` comes first.
unsafe impl args::HasSize for slotwise_error_t {}

/// Why a call failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Argument(Argument),
    Config(ConfigError),
    Selector(SelectorError),
    Worker(WorkerError),
    Reserve(ReserveError),
    Release(ReleaseError),
    Resize(ResizeError),
    Terms(TermsError),
    Confirm(ConfirmError),
    Clock(ClockWentBack),
    Suppose(SupposeError),
    /// By status alone.
    Bare(i32),
}

impl Failure {
    pub(super) const fn bare(status: i32) -> Failure {
        Failure::Bare(status)
    }

    /// Of this entry of an array.
    #[cold]
    pub(super) fn at(self, index: usize) -> Failure {
        match self {
            Failure::Argument(argument) => Failure::Argument(argument.at(index)),
            other => other,
        }
    }
}

macro_rules! from {
    ($($error:ty => $kind:ident),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::$kind(error)
            }
        })*
    };
}
from!(Argument => Argument, ConfigError => Config, SelectorError => Selector, WorkerError => Worker,
      ReserveError => Reserve, ReleaseError => Release, ResizeError => Resize, TermsError => Terms,
      ConfirmError => Confirm, ClockWentBack => Clock, SupposeError => Suppose);

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Failure {
        match error {
            GroupError::Reserve(error) => Failure::Reserve(error),
            GroupError::Release(error) => Failure::Release(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Argument(e) => e.fmt(f),
            Failure::Config(e) => e.fmt(f),
            Failure::Selector(e) => e.fmt(f),
            Failure::Worker(e) => e.fmt(f),
            Failure::Reserve(e) => e.fmt(f),
            Failure::Release(e) => e.fmt(f),
            Failure::Resize(e) => e.fmt(f),
            Failure::Terms(e) => e.fmt(f),
            Failure::Confirm(e) => e.fmt(f),
            Failure::Clock(e) => e.fmt(f),
            Failure::Suppose(e) => e.fmt(f),
            Failure::Bare(status) => f.write_str(text(*status).to_str().unwrap_or_default()),
        }
    }
}

/// What is told of a failure before anything is known of it.
const NOTHING: slotwise_error_t = slotwise_error_t {
    size: size_of::<slotwise_error_t>() as u32,
    status: SLOTWISE_OK,
    dimension: SLOTWISE_NO_DIMENSION,
    state: 0,
    given: 0,
    limit: 0,
    index: 0,
    version: 0,
    cpu: 0,
    memory: 0,
    gpus: 0,
    reasons: slotwise_reasons_t {
        not_matching: 0,
        not_ready: 0,
        cpu: 0,
        memory: 0,
        gpus: 0,
        spread: 0,
    },
    outlook: SLOTWISE_OUTLOOK_UNKNOWN,
    reserved: 0,
};

const fn status(status: i32) -> slotwise_error_t {
    slotwise_error_t { status, ..NOTHING }
}

const fn out_of_range(status: i32, given: u64, limit: u64) -> slotwise_error_t {
    slotwise_error_t { status, given, limit, ..NOTHING }
}

fn too_large(dimension: Dimension, given: u64, limit: u64) -> slotwise_error_t {
    let dimension = dimension_number(Some(dimension));
    slotwise_error_t { dimension, ..out_of_range(SLOTWISE_TOO_LARGE, given, limit) }
}

fn with_amounts(error: slotwise_error_t, amounts: Resources) -> slotwise_error_t {
    let Resources { cpu, memory, gpus } = amounts;
    slotwise_error_t { cpu, memory, gpus, ..error }
}

impl From<&Failure> for slotwise_error_t {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Argument(e) => {
                slotwise_error_t { index: e.index, ..out_of_range(e.status, e.given, e.limit) }
            }
            Failure::Config(e) if e.limit == 0 => status(SLOTWISE_PROCESSOR),
            Failure::Config(e) => out_of_range(SLOTWISE_CONFIG, e.given as u64, e.limit as u64),
            Failure::Selector(e) => selector(e),
            Failure::Worker(e) => worker(e),
            Failure::Reserve(e) => reserve(e),
            Failure::Release(e) => release(e),
            Failure::Resize(e) => resize(e),
            Failure::Terms(e) => terms(e),
            Failure::Confirm(e) => confirm(e),
            Failure::Clock(e) => out_of_range(SLOTWISE_CLOCK_WENT_BACK, e.given, e.now),
            Failure::Suppose(SupposeError::Request(e)) => reserve(e),
            Failure::Suppose(SupposeError::Worker { index, error }) => {
                slotwise_error_t { index: *index as u64, ..worker(error) }
            }
            Failure::Bare(s) => status(*s),
        }
    }
}

fn refusal(r: &Refusal) -> slotwise_error_t {
    slotwise_error_t {
        status: match r.verdict {
            Verdict::Busy => SLOTWISE_BUSY,
            Verdict::Never => SLOTWISE_NEVER,
        },
        dimension: dimension_number(r.blocking),
        reasons: r.reasons.into(),
        outlook: outlook_number(r.outlook),
        ..NOTHING
    }
}

fn reserve(error: &ReserveError) -> slotwise_error_t {
    match *error {
        ReserveError::Refused(ref r) => refusal(r),
        ReserveError::IdLength { length } => {
            out_of_range(SLOTWISE_ID_LENGTH, length as u64, crate::MAX_ID_LEN as u64)
        }
        ReserveError::Empty => status(SLOTWISE_EMPTY),
        ReserveError::TooLarge { dimension, given, limit } => too_large(dimension, given, limit),
        ReserveError::DuplicateId => status(SLOTWISE_DUPLICATE_ID),
        ReserveError::InFlight => status(SLOTWISE_IN_FLIGHT),
        ReserveError::UnknownSelector => status(SLOTWISE_UNKNOWN_SELECTOR),
        ReserveError::Constraints(ref e) => selector(e),
        ReserveError::UnknownWorker => status(SLOTWISE_UNKNOWN_WORKER),
        ReserveError::VersionConflict { version, free, state } => {
            let error = status(SLOTWISE_VERSION_CONFLICT);
            with_amounts(slotwise_error_t { version, state: state_number(state), ..error }, free)
        }
        ReserveError::LedgerFull { limit } => out_of_range(SLOTWISE_LEDGER_FULL, 0, limit as u64),
        ReserveError::Contended => status(SLOTWISE_CONTENDED),
        ReserveError::QuotaExceeded { dimension, used, limit } => quota(dimension, used, limit),
        ReserveError::UnknownAccount => status(SLOTWISE_UNKNOWN_ACCOUNT),
        ReserveError::UnknownGroup => status(SLOTWISE_UNKNOWN_GROUP),
        ReserveError::TooManyLimits { given } => {
            out_of_range(SLOTWISE_TOO_MANY_LIMITS, given as u64, crate::MAX_LIMITS as u64)
        }
        ReserveError::DeadlinePassed { deadline, now } => {
            out_of_range(SLOTWISE_DEADLINE_PASSED, deadline, now)
        }
        ReserveError::Devices(e) => devices(e),
        ReserveError::Peer { index } => peer(index),
    }
}

fn devices(error: DeviceError) -> slotwise_error_t {
    match error {
        DeviceError::OverWhole { given } => {
            out_of_range(SLOTWISE_DEVICE_OVER_WHOLE, given.into(), WHOLE.into())
        }
        DeviceError::Empty => status(SLOTWISE_DEVICE_EMPTY),
        DeviceError::SeveralParts { count } => out_of_range(SLOTWISE_DEVICE_PARTS, count.into(), 1),
        DeviceError::TooMany { given } => too_many_devices(given.into()),
        DeviceError::TooMuchMemory { given } => {
            too_large(Dimension::Memory, given, Resources::MAX.memory)
        }
        DeviceError::BesideGpus => status(SLOTWISE_GPUS_BESIDE_DEVICES),
    }
}

fn too_many_devices(given: u64) -> slotwise_error_t {
    out_of_range(SLOTWISE_TOO_MANY_DEVICES, given, crate::MAX_DEVICES as u64)
}

fn quota(dimension: Dimension, used: u64, limit: u64) -> slotwise_error_t {
    let dimension = dimension_number(Some(dimension));
    slotwise_error_t { dimension, ..out_of_range(SLOTWISE_QUOTA_EXCEEDED, used, limit) }
}

fn peer(index: u32) -> slotwise_error_t {
    slotwise_error_t { index: index as u64, ..status(SLOTWISE_PEER) }
}

fn release(error: &ReleaseError) -> slotwise_error_t {
    match *error {
        ReleaseError::NotHeld => status(SLOTWISE_NOT_HELD),
        ReleaseError::InFlight => status(SLOTWISE_IN_FLIGHT),
        ReleaseError::OtherWorker => status(SLOTWISE_OTHER_WORKER),
        ReleaseError::Peer { index } => peer(index),
    }
}

fn resize(error: &ResizeError) -> slotwise_error_t {
    match *error {
        ResizeError::NotHeld => status(SLOTWISE_NOT_HELD),
        ResizeError::InFlight => status(SLOTWISE_IN_FLIGHT),
        ResizeError::Empty => status(SLOTWISE_EMPTY),
        ResizeError::TooLarge { dimension, given, limit } => too_large(dimension, given, limit),
        ResizeError::Short { missing } => {
            let short = Dimension::ALL.into_iter().find(|&d| missing.get(d) > 0);
            let dimension = dimension_number(short);
            with_amounts(slotwise_error_t { dimension, ..status(SLOTWISE_SHORT) }, missing)
        }
        ResizeError::State { state } => {
            slotwise_error_t { state: state_number(state), ..status(SLOTWISE_STATE) }
        }
        ResizeError::QuotaExceeded { dimension, used, limit } => quota(dimension, used, limit),
        ResizeError::Devices => status(SLOTWISE_DEVICES_STAY),
        ResizeError::Lost => status(SLOTWISE_LOST),
        ResizeError::Contended => status(SLOTWISE_CONTENDED),
    }
}

fn worker(error: &WorkerError) -> slotwise_error_t {
    match *error {
        WorkerError::IdLength { length } => {
            out_of_range(SLOTWISE_ID_LENGTH, length as u64, crate::MAX_ID_LEN as u64)
        }
        WorkerError::NameLength { length, .. } => {
            out_of_range(SLOTWISE_NAME_LENGTH, length as u64, crate::MAX_NAME_LEN as u64)
        }
        WorkerError::TooLarge { dimension, given, limit } => too_large(dimension, given, limit),
        WorkerError::SetAsideOverTotal { dimension } => {
            let dimension = dimension_number(Some(dimension));
            slotwise_error_t { dimension, ..status(SLOTWISE_SET_ASIDE) }
        }
        WorkerError::GpuTypeWithoutGpu => status(SLOTWISE_GPU_TYPE),
        WorkerError::Duplicate => status(SLOTWISE_DUPLICATE_WORKER),
        WorkerError::Unknown => status(SLOTWISE_UNKNOWN_WORKER),
        WorkerError::OldGeneration { given, current } => {
            out_of_range(SLOTWISE_OLD_GENERATION, given, current)
        }
        WorkerError::LeasePassed { until, now } => {
            out_of_range(SLOTWISE_DEADLINE_PASSED, until, now)
        }
        WorkerError::NotPending { state } => {
            slotwise_error_t { state: state_number(state), ..status(SLOTWISE_NOT_PENDING) }
        }
        WorkerError::HandOffToItself => status(SLOTWISE_HAND_OFF_TO_ITSELF),
        WorkerError::TooManyDevices { given } => too_many_devices(given as u64),
        WorkerError::DuplicateDevice { index } => {
            slotwise_error_t { index: index as u64, ..status(SLOTWISE_DUPLICATE_DEVICE) }
        }
        WorkerError::Island { given } => {
            out_of_range(SLOTWISE_ISLAND_TOO_HIGH, given.into(), crate::MAX_ISLAND.into())
        }
        WorkerError::GpusBesideDevices => status(SLOTWISE_GPUS_BESIDE_DEVICES),
        WorkerError::TableFull { limit } => out_of_range(SLOTWISE_TABLE_FULL, 0, limit as u64),
    }
}

fn terms(error: &TermsError) -> slotwise_error_t {
    match *error {
        TermsError::NameLength { length } => {
            out_of_range(SLOTWISE_NAME_LENGTH, length as u64, crate::MAX_NAME_LEN as u64)
        }
        TermsError::TooMany { limit } => out_of_range(SLOTWISE_TOO_MANY_NAMES, 0, limit as u64),
        TermsError::Unknown => status(SLOTWISE_UNKNOWN_ACCOUNT),
    }
}

fn confirm(error: &ConfirmError) -> slotwise_error_t {
    match *error {
        ConfirmError::NotHeld => status(SLOTWISE_NOT_HELD),
        ConfirmError::InFlight => status(SLOTWISE_IN_FLIGHT),
        ConfirmError::Waiting { victims } => out_of_range(SLOTWISE_WAITING, victims as u64, 0),
    }
}

fn selector(error: &SelectorError) -> slotwise_error_t {
    match *error {
        SelectorError::NameLength { length, .. } => {
            out_of_range(SLOTWISE_NAME_LENGTH, length as u64, crate::MAX_NAME_LEN as u64)
        }
        SelectorError::ListLength { length, .. } => {
            out_of_range(SLOTWISE_LIST_LENGTH, length as u64, crate::MAX_LIST_LEN as u64)
        }
        SelectorError::TooMany { limit } => {
            out_of_range(SLOTWISE_TOO_MANY_SELECTORS, 0, limit as u64)
        }
    }
}

thread_local! {
    static LAST: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// Every function of the interface that can fail goes through here: what the body returns becomes
/// a status, what it panics with becomes one too and goes no further.
#[inline(always)]
pub(super) fn call(body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => SLOTWISE_OK,
        Ok(Err(failure)) => note(failure),
        Err(payload) => panicked(payload),
    }
}

#[cold]
#[inline(never)]
fn panicked(payload: Box<dyn Any + Send>) -> i32 {
    // What it carries may panic in its turn when it is dropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(again);
    }
    note(Failure::bare(SLOTWISE_PANIC))
}

#[cold]
#[inline(never)]
fn note(failure: Failure) -> i32 {
    // Where the thread is about to end, there is nobody left to ask.
    let _ = LAST.try_with(|last| last.set(Some(failure)));
    slotwise_error_t::from(&failure).status
}

/// What is known of the last failure of a call on this thread. Calls that succeed leave it as it
/// is; so does this one.
///
/// Returns SLOTWISE_NULL_POINTER or SLOTWISE_STRUCT_SIZE and writes nothing where `error` is wrong.
///
/// Threads: each has its own.
/// Safety: `error` points to a slotwise_error_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_last_error(error: *mut slotwise_error_t) -> i32 {
    // SAFETY: passed on from the caller.
    let error = match unsafe { args::sized_output(error, "error") } {
        Ok(error) => error,
        Err(argument) => return argument.status,
    };
    let last = LAST.try_with(Cell::get).ok().flatten();
    error.write(last.as_ref().map_or(NOTHING, Into::into));
    SLOTWISE_OK
}

/// The last failure of a call on this thread, as a sentence with its numbers. Writes at most
/// `capacity` bytes, a final NUL among them, and sets `*length` (unless NULL) to the sentence's own
/// length without it: if that is `capacity` or more, it was cut. Empty where none has failed.
///
/// Returns SLOTWISE_NULL_POINTER where `buffer` is NULL and `capacity` is not 0.
///
/// Threads: each has its own.
/// Safety: `buffer` has room for `capacity` bytes; `length` is NULL or points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_last_error_text(
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    let last = LAST.try_with(Cell::get).ok().flatten();
    let sentence = last.map_or_else(String::new, |failure| failure.to_string());
    // SAFETY: passed on from the caller.
    match unsafe { args::put_text(sentence.as_bytes(), buffer, capacity, length) } {
        Ok(()) => SLOTWISE_OK,
        Err(argument) => argument.status,
    }
}

pub(super) const fn state_number(state: State) -> u32 {
    state as u32
}
