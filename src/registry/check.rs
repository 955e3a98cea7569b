//! What cannot be right is refused before anything changes.

use super::{
    Constraints, MAX_LIST_LEN, MAX_NAME_LEN, Name, SelectorError, WorkerError, WorkerSpec,
};
use crate::ledger::MAX_ID_LEN;
use crate::placement::gpu::MAX_DEVICES;
use crate::placement::{Dimension, MAX_ISLAND, Resources};

/// The id alone.
pub(super) fn id(id: &[u8]) -> Result<(), WorkerError> {
    match id.len() {
        1..=MAX_ID_LEN => Ok(()),
        length => Err(WorkerError::IdLength { length }),
    }
}

/// A whole worker.
pub(super) fn worker(spec: &WorkerSpec) -> Result<(), WorkerError> {
    id(&spec.id)?;
    attributes(spec)
}

/// All but its id.
pub(super) fn attributes(spec: &WorkerSpec) -> Result<(), WorkerError> {
    let name = |field, name: &Name, least: usize| match name.len() {
        length if (least..=MAX_NAME_LEN).contains(&length) => Ok(()),
        length => Err(WorkerError::NameLength { field, length }),
    };
    name("pool", &spec.pool, 0)?;
    name("gpu_type", &spec.gpu_type, 0)?;
    for (key, value) in &spec.labels {
        name("label key", key, 1)?;
        name("label value", value, 0)?;
    }
    if let Some(tenant) = &spec.tenant {
        name("tenant", tenant, 1)?;
    }
    if let Some(machine) = &spec.machine {
        name("machine", machine, 1)?;
    }
    if let Some(dimension) = spec.total.first_over(&Resources::MAX) {
        let (given, limit) = (spec.total.get(dimension), Resources::MAX.get(dimension));
        return Err(WorkerError::TooLarge { dimension, given, limit });
    }
    if let Some(dimension) = spec.set_aside.first_over(&spec.total) {
        return Err(WorkerError::SetAsideOverTotal { dimension });
    }
    if spec.total.get(Dimension::Gpus) == 0 && !spec.gpu_type.is_empty() {
        return Err(WorkerError::GpuTypeWithoutGpu);
    }
    devices(spec)
}

fn devices(spec: &WorkerSpec) -> Result<(), WorkerError> {
    let devices = &spec.devices;
    if devices.len() > MAX_DEVICES {
        return Err(WorkerError::TooManyDevices { given: devices.len() });
    }
    for (index, device) in devices.iter().enumerate() {
        let length = device.id.len();
        if length == 0 || length > MAX_NAME_LEN {
            return Err(WorkerError::NameLength { field: "device id", length });
        }
        if devices[..index].iter().any(|other| other.id == device.id) {
            return Err(WorkerError::DuplicateDevice { index });
        }
        let (given, limit) = (device.memory, Resources::MAX.memory);
        if given > limit {
            let dimension = Dimension::Memory;
            return Err(WorkerError::TooLarge { dimension, given, limit });
        }
        if device.island > MAX_ISLAND {
            return Err(WorkerError::Island { given: device.island });
        }
    }
    let gpus = spec.total.gpus;
    if !devices.is_empty() && (gpus != devices.len() as u64 || spec.set_aside.gpus > 0) {
        return Err(WorkerError::GpusBesideDevices);
    }
    Ok(())
}

/// Constraints.
pub(super) fn constraints(constraints: &Constraints) -> Result<(), SelectorError> {
    let name = |field, name: &Name, least: usize| match name.len() {
        length if (least..=MAX_NAME_LEN).contains(&length) => Ok(()),
        length => Err(SelectorError::NameLength { field, length }),
    };
    let list = |field, length: usize, least: usize| match length {
        length if (least..=MAX_LIST_LEN).contains(&length) => Ok(()),
        length => Err(SelectorError::ListLength { field, length }),
    };
    let c = constraints;
    c.machine.iter().try_for_each(|n| name("machine", n, 1))?;
    c.tenant.iter().try_for_each(|n| name("tenant", n, 1))?;
    list("pools", c.pools.len(), 0)?;
    c.pools.iter().try_for_each(|n| name("pool", n, 1))?;
    list("gpu_types", c.gpu_types.len(), 0)?;
    c.gpu_types.iter().try_for_each(|n| name("gpu_type", n, 1))?;
    list("labels", c.labels.len(), 0)?;
    for (key, values) in &c.labels {
        name("label key", key, 1)?;
        list("label values", values.len(), 1)?;
        values.iter().try_for_each(|n| name("label value", n, 0))?;
    }
    Ok(())
}
