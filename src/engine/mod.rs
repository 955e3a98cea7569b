//! Mechanism and policy together: select, probe, compare-and-swap, ledger.

mod audit;
mod batch;
mod branch;
mod config;
mod counters;
mod devices;
mod dry_run;
mod error;
mod explain;
mod first;
mod gang;
mod group;
mod hand_off;
mod limits;
mod local;
mod mix;
mod plan;
mod planner;
mod preempt;
mod release;
mod request;
mod reserve;
mod resize;
mod select;
mod stats;
mod terms;
mod tick;
mod unmet;
mod verdict;
mod workers;

#[cfg(all(slotwise_loom, test))]
mod loom_tests;
#[cfg(all(test, not(slotwise_loom)))]
mod policy_tests;
#[cfg(all(test, not(slotwise_loom)))]
mod simulation;
#[cfg(all(test, not(slotwise_loom)))]
mod stop_tests;
#[cfg(all(test, not(slotwise_loom)))]
mod unmet_tests;

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use thread_local::ThreadLocal;

pub use audit::{Audit, Imbalance};
pub use branch::{SupposeError, Supposition};
pub use config::{Config, ConfigError};
pub use error::{
    ClockWentBack, ConfirmError, GroupError, Outlook, Reasons, Refusal, ReleaseError, ReserveError,
    ResizeError, TermsError, Verdict,
};
pub use explain::{Explained, Explanation, Mismatches, NearMiss, Reason};
pub use hand_off::HandOff;
pub use mix::{Fragmentation, Kind, Learned, Move, Repack};
pub use preempt::{Preemption, Victim};
pub use request::{
    Affinity, BatchMode, Eligible, Foreseen, Group, GroupDone, GroupOp, Released, Request,
    Reservation, Resized,
};
pub use stats::{PROBE_BUCKETS, Stats};
pub use terms::{Account, Limit, MAX_LIMITS, Quota, Scope, SpreadGroup, Terms, Usage};
pub use tick::{Expired, LostWorker, Ticked};
pub use unmet::Demand;
pub use workers::{Lost, Snapshot};

use crate::ledger::{Batches, Ledger, Unmet};
use crate::registry::{Constraints, Limits, Registry, Selector, SelectorError};
use crate::sync::lock;
use counters::Counters;
#[cfg(feature = "capi")]
pub(crate) use local::Local;
#[cfg(not(feature = "capi"))]
use local::Local;
use planner::Planners;
use preempt::Claims;
use terms::Ranks;
use tick::Clock;

/// A scheduling engine: workers, selectors and reservations of one host. See the crate's
/// documentation.
///
/// Share it by reference or in an `Arc`. A thread's first call allocates what the thread keeps for
/// itself; a thread that ends leaves that to the next one.
pub struct Engine {
    config: Config,
    registry: Registry,
    ledger: Ledger,
    batches: Batches<Vec<Result<Reservation, ReserveError>>>,
    unmet: Unmet,
    /// The host's time, in its own unit; 0 until it tells.
    /// Padded: a thread writes to its own with every call, and they lie side by side.
    locals: ThreadLocal<CachePadded<Local>>,
    counters: Mutex<Vec<Arc<Counters>>>,
    ranks: Ranks,
    clock: Clock,
    claims: Claims,
    planners: Planners,
}

impl Engine {
    /// An engine without workers. Allocates little: tables grow as they are used.
    pub fn new(config: Config) -> Result<Engine, ConfigError> {
        config.check()?;
        let limits = Limits {
            workers: config.max_workers,
            selectors: config.max_selectors,
            gpu_separation: config.gpu_separation,
        };
        Ok(Engine {
            registry: Registry::new(limits),
            ledger: Ledger::new(config.max_reservations),
            batches: Batches::new(config.max_batches),
            unmet: Unmet::new(config.max_unmet),
            locals: ThreadLocal::new(),
            counters: Mutex::default(),
            ranks: Ranks::new(config.max_accounts, config.max_groups, config.max_reservations),
            clock: Clock::default(),
            claims: Claims::default(),
            planners: Planners::new(config.max_planners, config.seed),
            config,
        })
    }

    /// The configuration that it was built with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Compiles constraints into a handle; the same constraints always give the same one. Takes
    /// the registry's lock, and walks all classes when the constraints are new.
    pub fn selector(&self, constraints: &Constraints) -> Result<Selector, SelectorError> {
        self.registry.select(constraints)
    }

    /// What has been done so far, summed over threads.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for counters in lock(&self.counters).iter() {
            counters.add_to(&mut sum);
        }
        sum
    }

    /// What this thread keeps for itself.
    #[inline]
    pub(crate) fn local(&self) -> &Local {
        match self.locals.get() {
            Some(local) => local,
            None => self.first_local(),
        }
    }

    #[cold]
    fn first_local(&self) -> &Local {
        self.locals.get_or(|| {
            let counters = Arc::new(Counters::default());
            lock(&self.counters).push(Arc::clone(&counters));
            CachePadded::new(Local::new(&self.registry.shared.directory, counters))
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("workers", &self.worker_count())
            .finish_non_exhaustive()
    }
}
