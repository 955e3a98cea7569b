//! What a request demands of a worker beside capacity, and the handle it is compiled into.

use core::fmt;

use super::Name;

/// Which workers a request may use, and in what order. Compiled once by
/// [`Engine::selector`](crate::Engine::selector) into a [`Selector`].
///
/// Filters, in this order: machine, tenant, pool, labels, GPU type, preemptable. A machine skips
/// the pool rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Constraints {
    pub(crate) machine: Option<Name>,
    pub(crate) tenant: Option<Name>,
    pub(crate) pools: Vec<Name>,
    pub(crate) labels: Vec<(Name, Vec<Name>)>,
    pub(crate) gpu_types: Vec<Name>,
    pub(crate) accept_preemptable: bool,
    /// GPUs as devices, not by number: the engine's own, for requests that ask for devices.
    pub(crate) devices: bool,
}

impl Constraints {
    /// Any open, shared, not preemptable worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only workers on this machine; the pool rule does not apply.
    pub fn machine(mut self, name: impl Into<Name>) -> Self {
        self.machine = Some(name.into());
        self
    }

    /// Workers of this tenant beside the shared ones. Without it, only shared ones.
    pub fn tenant(mut self, name: impl Into<Name>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// Only workers of this pool. Called again, it adds a pool to fall back to: all workers of an
    /// earlier pool come before any of a later one within a tier.
    pub fn pool(mut self, name: impl Into<Name>) -> Self {
        let name = name.into();
        if !self.pools.contains(&name) {
            self.pools.push(name);
        }
        self
    }

    /// Only workers whose label `key` is `value`.
    pub fn label(self, key: impl Into<Name>, value: impl Into<Name>) -> Self {
        self.label_in(key, [value])
    }

    /// Only workers whose label `key` has one of `values`. A key given twice keeps the last list.
    pub fn label_in<V: Into<Name>>(
        mut self,
        key: impl Into<Name>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let key = key.into();
        let mut values: Vec<Name> = values.into_iter().map(Into::into).collect();
        values.sort();
        values.dedup();
        self.labels.retain(|(k, _)| *k != key);
        self.labels.push((key, values));
        self.labels.sort();
        self
    }

    /// GPUs of this type; called again, adds a less preferred one. Naming a type makes a request
    /// for 0 GPUs one for 1. Without it, a GPU request takes any type.
    pub fn gpu_type(mut self, name: impl Into<Name>) -> Self {
        let name = name.into();
        if !self.gpu_types.contains(&name) {
            self.gpu_types.push(name);
        }
        self
    }

    /// Preemptable workers too.
    pub fn accept_preemptable(mut self, yes: bool) -> Self {
        self.accept_preemptable = yes;
        self
    }
}

/// A compiled set of [`Constraints`]: a number that stays valid for the engine's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector(pub(crate) u32);

impl Selector {
    /// No constraint: every open, shared, not preemptable worker.
    pub const ANY: Selector = Selector(0);
}

/// Why constraints could not be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorError {
    /// A name is longer than [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes, or a label key, tenant,
    /// machine, pool or GPU type is empty.
    NameLength {
        /// Which part of the constraints.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// More than [`MAX_LIST_LEN`](crate::MAX_LIST_LEN) pools, GPU types, labels or values of one
    /// label; or a label with no value at all.
    ListLength {
        /// Which part of the constraints.
        field: &'static str,
        /// How many there are.
        length: usize,
    },
    /// As many selectors as the engine keeps. Reuse handles, or raise
    /// [`Config::max_selectors`](crate::Config::max_selectors).
    TooMany {
        /// The limit that was reached.
        limit: usize,
    },
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectorError::NameLength { field, length } => write!(
                f,
                "{field} of {length} bytes; it must have 1 to {} bytes",
                crate::MAX_NAME_LEN
            ),
            SelectorError::ListLength { field, length } => {
                write!(f, "{length} entries in {field}; it must have 1 to {}", crate::MAX_LIST_LEN)
            }
            SelectorError::TooMany { limit } => write!(
                f,
                "all {limit} selectors are taken: reuse handles, or raise Config::max_selectors"
            ),
        }
    }
}

impl core::error::Error for SelectorError {}
