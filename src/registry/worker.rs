//! What a host says of a worker, and what it can read back.

use core::fmt;

use super::Name;
use crate::placement::{Free, Resources};
use crate::slots::State;

/// The engine's short name of one registration of a worker: index of its slot, and which
/// registration of that slot it is. Stays valid while the worker is registered; afterwards it is
/// refused, also when the same id has been registered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerRef {
    /// Index of the worker's slot, from 0. The tie-break between equal candidates.
    pub index: u32,
    /// Which registration of that slot this is.
    pub incarnation: u32,
}

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker #{}.{}", self.index, self.incarnation)
    }
}

/// A worker as the host registers it. Built with [`WorkerSpec::new`] and the methods that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSpec {
    pub(crate) id: Name,
    pub(crate) total: Resources,
    pub(crate) set_aside: Resources,
    pub(crate) gpu_type: Name,
    pub(crate) pool: Name,
    pub(crate) priority: i32,
    pub(crate) tier: u8,
    pub(crate) labels: Vec<(Name, Name)>,
    pub(crate) tenant: Option<Name>,
    pub(crate) machine: Option<Name>,
    pub(crate) requires_selector: bool,
    pub(crate) preemptable: bool,
    pub(crate) pending: bool,
    pub(crate) generation: u64,
    pub(crate) lease: Option<u64>,
    pub(crate) devices: Vec<DeviceSpec>,
}

/// A GPU that can be shared, as the host registers it with its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// The host's name of it, one of a kind among the worker's: 1 to
    /// [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    pub id: Name,
    /// Its memory in MiB; 0 where the host does not count it.
    pub memory: u64,
    /// Devices with the same number are near to one another: on one NUMA node, or joined by
    /// NVLink. 0 to [`MAX_ISLAND`](crate::MAX_ISLAND).
    pub island: u8,
}

impl DeviceSpec {
    /// A device without memory that counts, on island 0.
    pub fn new(id: impl Into<Name>) -> DeviceSpec {
        DeviceSpec { id: id.into(), memory: 0, island: 0 }
    }

    /// With so much memory, in MiB.
    pub fn memory(mut self, memory: u64) -> DeviceSpec {
        self.memory = memory;
        self
    }

    /// On this island.
    pub fn island(mut self, island: u8) -> DeviceSpec {
        self.island = island;
        self
    }
}

/// A device as it is at one version of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What the host said of it.
    pub spec: DeviceSpec,
    /// Thousandths that are free.
    pub free_milli: u16,
    /// Memory that is free, in MiB.
    pub free_memory: u64,
}

impl WorkerSpec {
    /// A ready, open worker: no pool, priority 0, no labels. `id` has 1 to
    /// [`MAX_ID_LEN`](crate::MAX_ID_LEN) bytes and is unique among registered workers.
    pub fn new(id: impl Into<Name>, total: Resources) -> Self {
        WorkerSpec {
            id: id.into(),
            total,
            set_aside: Resources::ZERO,
            gpu_type: Name::default(),
            pool: Name::default(),
            priority: 0,
            tier: 0,
            labels: Vec::new(),
            tenant: None,
            machine: None,
            requires_selector: false,
            preemptable: false,
            pending: false,
            generation: 0,
            lease: None,
            devices: Vec::new(),
        }
    }

    /// Its GPUs one by one, so that requests can ask for parts of one ([`DeviceNeed`](crate::DeviceNeed)) and are told
    /// which they got: at most [`MAX_DEVICES`](crate::MAX_DEVICES). They are the worker's GPUs, so that its total
    /// names as many or none, and stay as they are while it is registered. Requests for a number of GPUs
    /// are not placed on such a worker; requests for devices are placed on no other.
    pub fn devices(mut self, devices: impl IntoIterator<Item = DeviceSpec>) -> Self {
        self.devices = devices.into_iter().collect();
        if self.total.gpus == 0 {
            self.total.gpus = self.devices.len() as u64;
        }
        self
    }

    /// Part of the worker that the host keeps for itself (rented out, kept for the system); at
    /// most the total. An external hold.
    pub fn set_aside(mut self, amount: Resources) -> Self {
        self.set_aside = amount;
        self
    }

    /// The model of its GPUs, for workers that have any.
    pub fn gpu_type(mut self, name: impl Into<Name>) -> Self {
        self.gpu_type = name.into();
        self
    }

    /// The pool it belongs to; empty (the default) for none.
    pub fn pool(mut self, name: impl Into<Name>) -> Self {
        self.pool = name.into();
        self
    }

    /// Higher is tried first within a tier. Default 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The host's own order, before priority: every worker of tier 0 (native capacity, the
    /// default) is tried before any of tier 1 (a fallback), whatever their priorities.
    pub fn tier(mut self, tier: u8) -> Self {
        self.tier = tier;
        self
    }

    /// Adds a label. A key given twice keeps the last value.
    pub fn label(mut self, key: impl Into<Name>, value: impl Into<Name>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.labels.retain(|(k, _)| *k != key);
        self.labels.push((key, value));
        self
    }

    /// Serves only this tenant. By default a worker is shared and serves all.
    pub fn tenant(mut self, name: impl Into<Name>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// The machine it runs on, when a machine carries several workers.
    pub fn machine(mut self, name: impl Into<Name>) -> Self {
        self.machine = Some(name.into());
        self
    }

    /// Serves only requests that name its pool.
    pub fn requires_selector(mut self, yes: bool) -> Self {
        self.requires_selector = yes;
        self
    }

    /// May be taken away at short notice: serves only requests that accept that.
    pub fn preemptable(mut self, yes: bool) -> Self {
        self.preemptable = yes;
        self
    }

    /// The generation of the rollout that it belongs to. Default 0. See
    /// [`Engine::ready_generation`](crate::Engine::ready_generation).
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Ends with the first tick at or after this time of the host's clock, unless a
    /// [heartbeat](crate::Engine::heartbeat) puts that off. By default a worker stays until it is
    /// removed. For a worker on its way: until when it is waited for.
    pub fn lease(mut self, until: u64) -> Self {
        self.lease = Some(until);
        self
    }

    /// Registered while still being started: holds only reservations made ahead until
    /// [`Engine::ready`](crate::Engine::ready) is called.
    pub fn pending(mut self, yes: bool) -> Self {
        self.pending = yes;
        self
    }
}

/// What to change about a registered worker; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerUpdate {
    pub(crate) total: Option<Resources>,
    pub(crate) set_aside: Option<Resources>,
    pub(crate) gpu_type: Option<Name>,
    pub(crate) pool: Option<Name>,
    pub(crate) priority: Option<i32>,
    pub(crate) tier: Option<u8>,
    pub(crate) labels: Option<Vec<(Name, Name)>>,
    pub(crate) tenant: Option<Option<Name>>,
    pub(crate) machine: Option<Option<Name>>,
    pub(crate) requires_selector: Option<bool>,
    pub(crate) preemptable: Option<bool>,
    pub(crate) generation: Option<u64>,
}

impl WorkerUpdate {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new total. Lowering it under what is held is accepted and reported as over-committed:
    /// nothing is taken from anybody, and nothing new is placed until enough has been released.
    pub fn total(mut self, total: Resources) -> Self {
        self.total = Some(total);
        self
    }

    /// A new external hold, in place of the old one.
    pub fn set_aside(mut self, amount: Resources) -> Self {
        self.set_aside = Some(amount);
        self
    }

    /// A new GPU type.
    pub fn gpu_type(mut self, name: impl Into<Name>) -> Self {
        self.gpu_type = Some(name.into());
        self
    }

    /// Moves it to another pool; shows at once.
    pub fn pool(mut self, name: impl Into<Name>) -> Self {
        self.pool = Some(name.into());
        self
    }

    /// A new priority.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// A new tier.
    pub fn tier(mut self, tier: u8) -> Self {
        self.tier = Some(tier);
        self
    }

    /// All labels anew.
    pub fn labels<K: Into<Name>, V: Into<Name>>(
        mut self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.labels = Some(labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// Another tenant, or none.
    pub fn tenant(mut self, tenant: Option<Name>) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// A later generation of the rollout: the worker is as ready as a readiness signal of that
    /// generation says, so it is pending until one comes.
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Another machine, or none.
    pub fn machine(mut self, machine: Option<Name>) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Whether it serves only requests that name its pool.
    pub fn requires_selector(mut self, yes: bool) -> Self {
        self.requires_selector = Some(yes);
        self
    }

    /// Whether it serves only requests that accept preemptable workers.
    pub fn preemptable(mut self, yes: bool) -> Self {
        self.preemptable = Some(yes);
        self
    }
}

/// A worker as it is at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The host's name of it.
    pub id: Name,
    /// The engine's name of it.
    pub worker: WorkerRef,
    /// Version of its slot when it was read.
    pub version: u64,
    /// Where it stands in its life.
    pub state: State,
    /// What it has in all.
    pub total: Resources,
    /// The external hold.
    pub set_aside: Resources,
    /// Total less external hold less what reservations hold; negative where over-committed.
    pub free: Free,
    /// The model of its GPUs.
    pub gpu_type: Name,
    /// Its pool; empty for none.
    pub pool: Name,
    /// Its priority.
    pub priority: i32,
    /// Its tier.
    pub tier: u8,
    /// Its labels, sorted by key.
    pub labels: Vec<(Name, Name)>,
    /// The tenant that it serves alone.
    pub tenant: Option<Name>,
    /// The machine that it runs on.
    pub machine: Option<Name>,
    /// Serves only requests that name its pool.
    pub requires_selector: bool,
    /// Serves only requests that accept preemptable workers.
    pub preemptable: bool,
    /// The generation of the rollout that it belongs to.
    pub generation: u64,
    /// When it ends unless it is heard of before; none: it stays until it is removed.
    pub lease: Option<u64>,
    /// Its devices, if it was registered with any; [`Free::gpus`] counts those that are free as a
    /// whole.
    pub devices: Vec<DeviceInfo>,
}

impl WorkerInfo {
    /// What reservations hold of it.
    pub fn held(&self) -> Resources {
        let held = |total: u64, aside: u64, free: i64| (total as i64 - aside as i64 - free) as u64;
        Resources {
            cpu: held(self.total.cpu, self.set_aside.cpu, self.free.cpu),
            memory: held(self.total.memory, self.set_aside.memory, self.free.memory),
            gpus: held(self.total.gpus, self.set_aside.gpus, self.free.gpus),
        }
    }

    /// By how much more is held than there is; zero in the ordinary case.
    pub fn over_committed(&self) -> Resources {
        self.free.deficit()
    }
}

/// Why a registration, an update or a look-up of a worker was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerError {
    /// The id is empty or longer than [`MAX_ID_LEN`](crate::MAX_ID_LEN) bytes.
    IdLength {
        /// Its length in bytes.
        length: usize,
    },
    /// A pool, type, tenant, machine, label key or value is longer than
    /// [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes, or a label key, tenant or machine is empty.
    NameLength {
        /// Which attribute.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// More than [`Resources::MAX`] in this dimension.
    TooLarge {
        /// The dimension.
        dimension: crate::Dimension,
        /// What was asked for.
        given: u64,
        /// The most there can be.
        limit: u64,
    },
    /// The external hold is larger than the total.
    SetAsideOverTotal {
        /// The dimension.
        dimension: crate::Dimension,
    },
    /// A GPU type without a GPU.
    GpuTypeWithoutGpu,
    /// A worker of this id is registered. Update it, or remove it first.
    Duplicate,
    /// No worker of this id, or not this registration of it, is registered.
    Unknown,
    /// The signal or update is of a generation of the rollout that is over.
    OldGeneration {
        /// The generation that it is of.
        given: u64,
        /// The worker's.
        current: u64,
    },
    /// The lease would be over already.
    LeasePassed {
        /// Until when it would run.
        until: u64,
        /// The time that the last tick told.
        now: u64,
    },
    /// Only a pending worker can be handed off.
    NotPending {
        /// Its state.
        state: State,
    },
    /// A worker cannot be handed off to itself.
    HandOffToItself,
    /// More devices than a worker can have.
    TooManyDevices {
        /// How many.
        given: usize,
    },
    /// Two devices of the worker have the same id.
    DuplicateDevice {
        /// The place of the second one.
        index: usize,
    },
    /// The device's island is over [`MAX_ISLAND`](crate::MAX_ISLAND).
    Island {
        /// The island.
        given: u8,
    },
    /// The worker has devices, and its total or its external hold says otherwise of its GPUs: the
    /// total has as many GPUs as there are devices, none of them set aside.
    GpusBesideDevices,
    /// The table is full. Raise [`Config::max_workers`](crate::Config::max_workers).
    TableFull {
        /// The limit that was reached.
        limit: usize,
    },
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerError::IdLength { length } => {
                write!(f, "worker id of {length} bytes; it must have 1 to {}", crate::MAX_ID_LEN)
            }
            WorkerError::NameLength { field, length } => write!(
                f,
                "{field} of {length} bytes; at most {} are allowed, and keys, tenants and machines must not be empty",
                crate::MAX_NAME_LEN
            ),
            WorkerError::TooLarge { dimension, given, limit } => {
                write!(f, "{given} is over the limit of {limit} for {dimension}")
            }
            WorkerError::SetAsideOverTotal { dimension } => {
                write!(f, "more {dimension} set aside than the worker has")
            }
            WorkerError::GpuTypeWithoutGpu => f.write_str("a GPU type is given but no GPU"),
            WorkerError::Duplicate => {
                f.write_str("a worker of this id is registered: update it, or remove it first")
            }
            WorkerError::Unknown => f.write_str("no such worker is registered"),
            WorkerError::OldGeneration { given, current } => {
                write!(f, "of generation {given}, which is over: it is {current}")
            }
            WorkerError::LeasePassed { until, now } => {
                write!(f, "a lease until {until} is over: it is {now}")
            }
            WorkerError::NotPending { state } => {
                write!(f, "only a pending worker can be handed off; it is {state}")
            }
            WorkerError::HandOffToItself => f.write_str("a worker cannot be handed off to itself"),
            WorkerError::TooManyDevices { given } => {
                write!(f, "{given} devices; a worker has at most {}", crate::MAX_DEVICES)
            }
            WorkerError::DuplicateDevice { index } => {
                write!(f, "device {index} of the worker has the id of one before it")
            }
            WorkerError::Island { given } => {
                write!(f, "island {given}; the highest is {}", crate::MAX_ISLAND)
            }
            WorkerError::GpusBesideDevices => f.write_str(
                "the worker's GPUs are its devices: no other number, and none set aside",
            ),
            WorkerError::TableFull { limit } => {
                write!(f, "all {limit} worker slots are taken: raise Config::max_workers")
            }
        }
    }
}

impl core::error::Error for WorkerError {}
