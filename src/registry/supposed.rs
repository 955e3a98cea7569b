//! Workers that are not registered, and are asked about as if they were.

use std::sync::Arc;

use super::classes::ClassTraits;
use super::devices::all_free;
use super::entries::capacity;
use super::views::Facts;
use super::{Name, WorkerError, WorkerSpec, check};
use crate::placement::{Devices, Resources};
use crate::slots::{Stamp, State};

/// What a worker of a specification would be.
pub(crate) struct Supposed {
    /// Selectors tell it apart by this, as they do registered ones.
    pub(crate) facts: Facts,
    pub(crate) capacity: Resources,
    /// All free, if it has any.
    pub(crate) devices: Option<Devices>,
    pub(crate) state: State,
}

impl Supposed {
    /// The worker.
    pub(crate) fn of(spec: &WorkerSpec) -> Result<Supposed, WorkerError> {
        check::id(&spec.id)?;
        Self::shape(spec)
    }

    /// A worker of this shape, whatever its id.
    pub(crate) fn shape(spec: &WorkerSpec) -> Result<Supposed, WorkerError> {
        check::attributes(spec)?;
        let mut labels = spec.labels.clone();
        labels.sort();
        Ok(Supposed {
            facts: Facts {
                stamp: Stamp::default(),
                traits: Arc::new(traits(spec, labels)),
                own_labels: Box::default(),
                machine: spec.machine.clone(),
            },
            capacity: capacity(spec.total, spec.set_aside, !spec.devices.is_empty()),
            devices: (!spec.devices.is_empty()).then(|| all_free(&spec.devices)),
            state: state(spec),
        })
    }
}

/// What selectors tell a worker apart by, if these of its labels are its class's.
pub(super) fn traits(spec: &WorkerSpec, labels: Vec<(Name, Name)>) -> ClassTraits {
    let name = |name: &Name| (!name.is_empty()).then(|| name.clone());
    ClassTraits {
        tenant: spec.tenant.clone(),
        pool: name(&spec.pool),
        labels,
        gpus: spec.total.gpus > 0,
        devices: !spec.devices.is_empty(),
        gpu_type: name(&spec.gpu_type),
        tier: spec.tier,
        priority: spec.priority,
        requires_selector: spec.requires_selector,
        preemptable: spec.preemptable,
    }
}

/// The state in which a worker of this specification is registered.
pub(super) fn state(spec: &WorkerSpec) -> State {
    if spec.pending { State::Pending } else { State::Ready }
}
