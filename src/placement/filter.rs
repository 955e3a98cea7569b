//! Which workers a request may use, and which of them are tried first.
//!
//! Generic over what names are compared as: the registry interns them to numbers.

use core::fmt;

/// What selectors can tell workers apart by: attributes of few values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traits<S> {
    /// The tenant that it serves alone.
    pub tenant: Option<S>,
    /// Its pool.
    pub pool: Option<S>,
    /// Its labels, sorted by key.
    pub labels: Vec<(S, S)>,
    /// Whether it has GPUs.
    pub gpus: bool,
    /// Whether these are told apart as devices.
    pub devices: bool,
    /// Their type.
    pub gpu_type: Option<S>,
    /// The host's own order, before priority.
    pub tier: u8,
    /// Higher first.
    pub priority: i32,
    /// Serves only requests that name its pool.
    pub requires_selector: bool,
    /// Serves only requests that accept preemptable workers.
    pub preemptable: bool,
}

/// What a request wants of a worker beside capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<S> {
    /// It names a machine, so that the pool rule does not apply.
    pub pinned: bool,
    /// On whose behalf.
    pub tenant: Option<S>,
    /// The pools that will do, best first; empty: no pool is named.
    pub pools: Vec<S>,
    /// For each label, the values that will do.
    pub labels: Vec<(S, Vec<S>)>,
    /// It needs GPUs.
    pub gpus: bool,
    /// It asks for GPUs as devices, not by number.
    pub devices: bool,
    /// The types that will do, best first; empty: any.
    pub gpu_types: Vec<S>,
    /// Preemptable workers will do.
    pub accept_preemptable: bool,
    /// Requests without GPUs stay off GPU workers.
    pub gpu_separation: bool,
}

/// The first rule that keeps a worker from a request, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mismatch {
    /// The request names another machine.
    Machine,
    /// It serves another tenant alone.
    Tenant,
    /// It is in another pool, or serves only requests that name its own.
    Pool,
    /// A label is missing or has another value.
    Labels,
    /// GPUs on one side only.
    GpuSeparation,
    /// Its GPUs are told apart as devices, and the request asks for a number of them; or the other
    /// way round.
    Devices,
    /// Its GPUs are of another type.
    GpuType,
    /// It is preemptable and the request does not accept that.
    Preemptable,
}

/// Order of workers before any policy: lower first. Equal ranks are the policy's to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The worker's tier.
    pub tier: u8,
    /// Place of its pool in the request's list.
    pub pool: u8,
    /// Place of its GPU type in the request's list, less its priority.
    pub order: i64,
}

impl<S: PartialEq> Wanted<S> {
    /// The worker's rank for this request, or the first rule that excludes it. `label` looks a
    /// label's value up.
    pub fn rank<'a>(
        &self,
        worker: &Traits<S>,
        label: impl Fn(&S) -> Option<&'a S>,
    ) -> Result<Rank, Mismatch>
    where
        S: 'a,
    {
        if worker.tenant.is_some() && worker.tenant != self.tenant {
            return Err(Mismatch::Tenant);
        }
        let place = |list: &[S], item: &Option<S>| {
            list.iter().position(|x| item.as_ref() == Some(x)).map(|at| at as u8)
        };
        let pool = match (self.pinned, self.pools.is_empty()) {
            (true, _) => 0,
            (false, true) if worker.requires_selector => return Err(Mismatch::Pool),
            (false, true) => 0,
            (false, false) => place(&self.pools, &worker.pool).ok_or(Mismatch::Pool)?,
        };
        if !self.labels.iter().all(|(k, values)| label(k).is_some_and(|v| values.contains(v))) {
            return Err(Mismatch::Labels);
        }
        if self.gpus != worker.gpus && (self.gpus || self.gpu_separation) {
            return Err(Mismatch::GpuSeparation);
        }
        if self.gpus && self.devices != worker.devices {
            return Err(Mismatch::Devices);
        }
        let gpu_type = match self.gpus && !self.gpu_types.is_empty() {
            true => place(&self.gpu_types, &worker.gpu_type).ok_or(Mismatch::GpuType)?,
            false => 0,
        };
        if worker.preemptable && !self.accept_preemptable {
            return Err(Mismatch::Preemptable);
        }
        let order = gpu_type as i64 - worker.priority as i64;
        Ok(Rank { tier: worker.tier, pool, order })
    }
}

impl Mismatch {
    /// Every rule, in the order in which they are asked.
    pub const ALL: [Mismatch; 8] = [
        Mismatch::Machine,
        Mismatch::Tenant,
        Mismatch::Pool,
        Mismatch::Labels,
        Mismatch::GpuSeparation,
        Mismatch::Devices,
        Mismatch::GpuType,
        Mismatch::Preemptable,
    ];
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::Machine => "on another machine",
            Mismatch::Tenant => "another tenant's",
            Mismatch::Pool => "in another pool, or only for requests that name its own",
            Mismatch::Labels => "with other labels",
            Mismatch::GpuSeparation => "with GPUs where none are asked for, or the other way round",
            Mismatch::Devices => {
                "with GPUs as devices where a number is asked for, or the other way round"
            }
            Mismatch::GpuType => "with GPUs of another type",
            Mismatch::Preemptable => "preemptable, which the request does not accept",
        })
    }
}
