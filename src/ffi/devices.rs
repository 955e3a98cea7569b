//! Devices: GPUs told apart, of which requests ask for a part, or for several.

use super::args::{self, Argument, Strided, slotwise_text_t};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::limits::SLOTWISE_MAX_ISLAND;
use super::status::*;
use super::workers::{slotwise_worker_t, worker_ref};
use crate::registry::WorkerError;
use crate::{DeviceInfo, DeviceSpec, Granted, Island, ReleaseError, Ticket};

/// Several devices may be anywhere on their worker.
pub const SLOTWISE_ISLAND_ANY: u32 = 0;
/// They are on as few islands as the worker allows.
pub const SLOTWISE_ISLAND_PREFER: u32 = 1;
/// They are on one island, or not on this worker.
pub const SLOTWISE_ISLAND_INSIST: u32 = 2;

pub(super) const fn island(number: u32) -> Option<Island> {
    match number {
        SLOTWISE_ISLAND_ANY => Some(Island::Any),
        SLOTWISE_ISLAND_PREFER => Some(Island::Prefer),
        SLOTWISE_ISLAND_INSIST => Some(Island::Insist),
        _ => None,
    }
}

/// A GPU that can be shared, as the host registers it with its worker.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_device_t {
    /// The host's name of it, one of a kind among the worker's: 1 to SLOTWISE_MAX_NAME_LENGTH bytes.
    pub id: slotwise_text_t,
    /// Its memory in MiB. 0 where the host does not count it: then nothing but 0 can be asked for.
    pub memory: u64,
    /// Devices with the same number are near to one another: on one NUMA node, or joined by NVLink.
    /// 0 to SLOTWISE_MAX_ISLAND.
    pub island: u32,
    /// 0.
    pub reserved: u32,
}

/// # Safety
/// As [`args`] says, of all that they point to.
pub(super) unsafe fn read(
    devices: *const slotwise_device_t,
    count: usize,
) -> Result<Vec<DeviceSpec>, Failure> {
    let mut specs = Vec::new();
    // SAFETY: passed on.
    for (index, device) in unsafe { args::array(devices, count, "devices") }?.iter().enumerate() {
        let wrong = |argument: Argument| Failure::from(argument).at(index);
        args::reserved(device.reserved == 0).map_err(|failure| failure.at(index))?;
        // SAFETY: passed on.
        let id = unsafe { device.id.get("devices") }.map_err(wrong)?.unwrap_or_default();
        // The engine's own check would come too late: it knows no number that is over 255.
        if device.island > SLOTWISE_MAX_ISLAND {
            let argument = Argument::new(SLOTWISE_ISLAND_TOO_HIGH, "island");
            return Err(wrong(argument.given(device.island.into(), SLOTWISE_MAX_ISLAND.into())));
        }
        specs.push(DeviceSpec::new(id).memory(device.memory).island(device.island as u8));
    }
    Ok(specs)
}

/// What a device has free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_device_state_t {
    /// Thousandths of it that are free; 1,000: it is free as a whole.
    pub free_milli: u32,
    /// Its island.
    pub island: u32,
    /// Memory that is free, in MiB.
    pub free_memory: u64,
    /// Its memory in MiB.
    pub memory: u64,
}

impl From<&DeviceInfo> for slotwise_device_state_t {
    fn from(device: &DeviceInfo) -> Self {
        slotwise_device_state_t {
            free_milli: device.free_milli.into(),
            island: device.spec.island.into(),
            free_memory: device.free_memory,
            memory: device.spec.memory,
        }
    }
}

/// What a reservation holds of its worker's devices.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_granted_t {
    /// Bit i: the device at place i of those that the worker was registered with. 0: none.
    pub devices: u64,
    /// Thousandths of each.
    pub milli: u32,
    /// 0.
    pub reserved: u32,
    /// Memory of each, in MiB.
    pub memory: u64,
}

impl From<Granted> for slotwise_granted_t {
    fn from(granted: Granted) -> Self {
        slotwise_granted_t {
            devices: granted.devices.0.into(),
            milli: granted.milli.into(),
            reserved: 0,
            memory: granted.memory,
        }
    }
}

/// What each device of a worker has free, in the order in which they were registered. Writes at most
/// `capacity` entries to `states` and sets `*count` to how many there are, at most
/// SLOTWISE_MAX_DEVICES; 0 where the worker was registered without.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
/// SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock, under which placements go on; what is told is of one
/// instant.
/// Safety: `states` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_devices(
    engine: slotwise_engine_t,
    worker: slotwise_worker_t,
    states: *mut slotwise_device_state_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(states, 0, capacity, "states")?;
            (host, room, args::output(count, "count")?)
        };
        args::apart(&[], &[room.span(), args::span(count, 1)])?;
        let now = host.engine.worker_by_ref(worker_ref(worker)).ok_or(WorkerError::Unknown)?;
        for (index, device) in now.devices.iter().enumerate().take(capacity) {
            // SAFETY: below the capacity.
            unsafe { room.write(index, device.into()) };
        }
        output.write(now.devices.len());
        Ok(())
    })
}

/// Which devices a reservation holds, and how much of each. All 0 where it asked for none.
///
/// Returns SLOTWISE_NOT_HELD, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
/// wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `granted` points to a slotwise_granted_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_granted(
    engine: slotwise_engine_t,
    ticket: u64,
    granted: *mut slotwise_granted_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) = unsafe { (handle::host(engine)?, args::output(granted, "granted")?) };
        let held = host.engine.granted_if_held(Ticket::from_bits(ticket));
        output.write(held.ok_or(ReleaseError::NotHeld)?.map_or_else(Default::default, Into::into));
        Ok(())
    })
}
