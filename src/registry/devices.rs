//! The devices of registered workers: what the host said of them, and the pools in which is written
//! what they have free.

use std::sync::Arc;

use once_cell::race::OnceBox;

use super::writer::Writer;
use super::{DeviceInfo, DeviceSpec, Shared};
use crate::placement::Devices;
use crate::slots::{Pool, Wide, Word};
use crate::sync::Chunked;

/// By slot; only where a worker has ever had devices.
pub(super) type Pools = Chunked<OnceBox<Pool>, 512>;

impl Shared {
    /// The pages of a slot's devices.
    pub(crate) fn pool(&self, slot: u32) -> Option<&Pool> {
        self.pools.get(slot as usize)?.get()
    }

    /// What the devices of a slot have free, and at which version.
    pub(crate) fn devices(&self, slot: u32) -> Option<(u64, Devices)> {
        let (word, devices) = self.table.get(slot)?.devices(self.pool(slot)?);
        Some((word.version(), devices?))
    }
}

/// What devices have free that nobody is on.
pub(super) fn all_free(devices: &[DeviceSpec]) -> Devices {
    Devices::all_free(devices.iter().map(|device| (device.memory, device.island)))
}

impl Writer {
    /// Writes down what the devices of a worker that is being registered have free: the page and the
    /// digest for its word.
    pub(super) fn enter_devices(
        &mut self,
        shared: &Shared,
        slot: u32,
        devices: &[DeviceSpec],
    ) -> Option<(u32, u64)> {
        if devices.is_empty() {
            return None;
        }
        let pool = shared.pools.get_or_grow(slot as usize).get_or_init(Box::default);
        self.devices.insert(slot, devices.into());
        Some(pool.enter(&all_free(devices)))
    }

    /// The worker that had this word is gone.
    pub(super) fn leave_devices(&mut self, shared: &Shared, slot: u32, word: Word<Wide>) {
        if word.page() != 0
            && let Some(pool) = shared.pool(slot)
        {
            pool.give(word.page());
            self.devices.remove(&slot);
        }
    }

    pub(super) fn devices_of(&self, slot: u32) -> Vec<DeviceSpec> {
        self.devices.get(&slot).map_or(Vec::new(), |devices| devices.to_vec())
    }

    /// The devices at a word that is at least as new as this one, and that word.
    pub(super) fn devices_at(
        &self,
        shared: &Shared,
        slot: u32,
        word: Word<Wide>,
    ) -> (Word<Wide>, Vec<DeviceInfo>) {
        let Some((specs, pool)) = self.devices.get(&slot).zip(shared.pool(slot)) else {
            return (word, Vec::new());
        };
        let (word, devices) = shared.table.open(slot).devices(pool);
        let info = |(spec, device): (&DeviceSpec, crate::placement::Device)| DeviceInfo {
            spec: spec.clone(),
            free_milli: device.milli() as u16,
            free_memory: device.memory(),
        };
        let devices = devices.unwrap_or_default().0;
        (word, specs.iter().zip(devices).map(info).collect())
    }
}

/// What the host said of a worker's devices, by slot.
pub(super) type Specs = std::collections::BTreeMap<u32, Arc<[DeviceSpec]>>;
