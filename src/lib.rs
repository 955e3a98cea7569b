//! **slotwise** answers one question inside your process: on which worker should this container,
//! job or request run? Free capacity lives in atomically versioned slots that are changed by
//! compare-and-swap, so that the answer comes in nanoseconds, exact and explained.
//!
//! ```
//! use slotwise::{Config, Constraints, Engine, Request, Resources, WorkerSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(Config::default())?;
//! engine.add_worker(WorkerSpec::new("node-a", Resources::new(16_000, 65_536)).pool("web"))?;
//! engine.add_worker(
//!     WorkerSpec::new("node-b", Resources::new(32_000, 131_072).gpus(4)).gpu_type("A10G"),
//! )?;
//!
//! // Constraints are compiled once and passed by handle.
//! let a10g = engine.selector(&Constraints::new().gpu_type("A10G"))?;
//! let request = Request::new(b"job-1", Resources::new(2_000, 8_192).gpus(1)).selector(a10g);
//! let placed = engine.reserve(&request)?;
//! assert_eq!(engine.worker(b"node-b").unwrap().worker, placed.worker);
//!
//! // The same id again is the same reservation; releasing it twice credits once.
//! assert_eq!(engine.reserve(&request)?.ticket, placed.ticket);
//! engine.release(placed.ticket)?;
//! assert!(engine.release(placed.ticket).is_err());
//! assert!(engine.audit().is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! Threads: an [`Engine`] is shared by reference; every method may be called from any thread at
//! any time. `reserve`, `resize`, `release` and reads of a worker take no lock, make no
//! system call and, once a thread has warmed up, allocate nothing; calls that register or change
//! workers take the registry's lock. The library starts no thread and reads no clock.

// The README's example is compiled and run as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// So are those of the page on lives.
#[cfg(doctest)]
#[doc = include_str!("../docs/LIFE.md")]
struct Life;

// And of the page on placement.
#[cfg(doctest)]
#[doc = include_str!("../PLACEMENT.md")]
struct Placement;

mod engine;
// The C interface; Rust hosts have no use for it.
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
mod ledger;
#[doc(hidden)]
pub mod placement;
mod registry;
mod slots;
mod sync;

pub use engine::{
    Account, Affinity, Audit, BatchMode, ClockWentBack, Config, ConfigError, ConfirmError, Demand,
    Eligible, Engine, Expired, Explained, Explanation, Foreseen, Fragmentation, Group, GroupDone,
    GroupError, GroupOp, HandOff, Imbalance, Kind, Learned, Limit, Lost, LostWorker, MAX_LIMITS,
    Mismatches, Move, NearMiss, Outlook, PROBE_BUCKETS, Preemption, Quota, Reason, Reasons,
    Refusal, ReleaseError, Released, Repack, Request, Reservation, ReserveError, ResizeError,
    Resized, Scope, Snapshot, SpreadGroup, Stats, SupposeError, Supposition, Terms, TermsError,
    Ticked, Usage, Verdict, Victim,
};
pub use ledger::{MAX_ID_LEN, Ticket};
pub use placement::gpu::{DeviceSet, MAX_DEVICES};
pub use placement::{
    DeviceError, DeviceNeed, Dimension, Free, Granted, Island, MAX_ISLAND, Mismatch, Policy,
    Resources, UnknownPolicy,
};
pub use registry::{
    Constraints, DeviceInfo, DeviceSpec, MAX_LIST_LEN, MAX_NAME_LEN, Name, Selector, SelectorError,
    WorkerError, WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate,
};
pub use slots::State;
