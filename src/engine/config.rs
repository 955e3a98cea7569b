//! An engine's limits and rules.

use core::fmt;

use crate::placement::Policy;

/// Limits and rules of one engine, fixed when it is built.
///
/// Memory is reserved as address space and touched as it is used: a limit that is never reached
/// costs next to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most workers registered at once: 1 to 16,777,216. Default 1,048,576.
    pub max_workers: usize,
    /// Most reservations alive at once: 1 to 134,217,728. Default 1,048,576.
    pub max_reservations: usize,
    /// Most compiled selectors: 1 to 1,048,576. Default 65,536. One by which devices are asked for
    /// ([`Terms::devices`](crate::Terms::devices)) counts twice.
    pub max_selectors: usize,
    /// How many of the last batch ids are remembered for replay: 1 to 1,048,576. Default 4,096.
    pub max_batches: usize,
    /// Most accounts: 1 to 16,777,216. Default 65,536.
    pub max_accounts: usize,
    /// Most spread groups: 1 to 16,777,216. Default 65,536.
    pub max_groups: usize,
    /// How many refused requests are kept as unmet demand: up to 1,048,576, and 0 for none; above 8,
    /// rounded down to a multiple of 8. The room for them, 128 bytes each, is taken when the first
    /// request is refused. Default 4,096.
    pub max_unmet: usize,
    /// Used where a request names no policy. Default [`Policy::Affinity`].
    pub policy: Policy,
    /// How many threads may place at once by a policy that [learns](Policy::learns): 1 to 64. Each such
    /// planner knows the requests that came to it, and has up to 20 bytes for each worker and each of
    /// up to 512 kinds of requests; the first ones are used first, and none costs anything before it
    /// is used. A thread that finds all of them in others' hands places by tightest fit. Default 4.
    pub max_planners: usize,
    /// Where the random numbers of [`Policy::Adaptive`] start: the same requests, releases and seed give
    /// the same placements, as long as one thread places. Default 1.
    pub seed: u64,
    /// Keep requests without GPUs off GPU workers. Default true.
    pub gpu_separation: bool,
    /// Count for a refusal why each matching worker was out of the question: one look at each, so
    /// that a refusal among a million workers takes milliseconds. Without, it takes about as long as
    /// a placement, and [`Refusal`](crate::Refusal) says whether to wait, and neither counts nor
    /// an outlook. Default true.
    pub count_reasons: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_workers: 1 << 20,
            max_reservations: 1 << 20,
            max_selectors: 1 << 16,
            max_batches: 1 << 12,
            max_accounts: 1 << 16,
            max_groups: 1 << 16,
            max_unmet: 1 << 12,
            policy: Policy::Affinity,
            max_planners: 4,
            seed: 1,
            gpu_separation: true,
            count_reasons: true,
        }
    }
}

/// A limit of a [`Config`] is out of its range, or the processor will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field, or the instruction that the processor lacks.
    pub field: &'static str,
    /// What it was set to.
    pub given: usize,
    /// The most it can be; the least is 1, of [`Config::max_unmet`] 0. 0 where an instruction is
    /// lacking.
    pub limit: usize,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.limit == 0 {
            return write!(f, "this processor lacks the instruction {}", self.field);
        }
        let least = (self.field != "max_unmet") as usize;
        write!(
            f,
            "Config::{} is {}; it must be from {least} to {}",
            self.field, self.given, self.limit
        )
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (field, given, limit) in [
            ("max_workers", self.max_workers, 1 << 24),
            ("max_reservations", self.max_reservations, 1 << 27),
            ("max_selectors", self.max_selectors, 1 << 20),
            ("max_batches", self.max_batches, 1 << 20),
            ("max_accounts", self.max_accounts, 1 << 24),
            ("max_groups", self.max_groups, 1 << 24),
            ("max_planners", self.max_planners, 64),
            // None is a number, too.
            ("max_unmet", self.max_unmet.max(1), 1 << 20),
        ] {
            if given == 0 || given > limit {
                return Err(ConfigError { field, given, limit });
            }
        }
        if !crate::slots::supported() {
            return Err(ConfigError { field: "cmpxchg16b", given: 0, limit: 0 });
        }
        Ok(())
    }
}
