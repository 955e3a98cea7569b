//! Workers read: by id, by name, one instant of a slot, lists, texts.

use core::ffi::c_char;

use super::args::{self, Strided};
use super::failure::{Failure, call, state_number};
use super::handle::{self, slotwise_engine_t};
use super::workers::{
    slotwise_snapshot_t, slotwise_worker_info_t, slotwise_worker_t, worker_number, worker_ref,
};
use crate::WorkerInfo;
use crate::registry::WorkerError;

/// slotwise_workers_list lists all workers.
pub const SLOTWISE_LIST_ALL: u32 = 0;
/// It lists those of a pool; of none, with the empty name.
pub const SLOTWISE_LIST_POOL: u32 = 1;
/// It lists those on a machine.
pub const SLOTWISE_LIST_MACHINE: u32 = 2;

/// slotwise_worker_text gives the worker's id.
pub const SLOTWISE_TEXT_ID: u32 = 0;
/// It gives its pool; empty for none.
pub const SLOTWISE_TEXT_POOL: u32 = 1;
/// It gives the model of its GPUs; empty for none.
pub const SLOTWISE_TEXT_GPU_TYPE: u32 = 2;
/// It gives the tenant that it serves alone; empty for none.
pub const SLOTWISE_TEXT_TENANT: u32 = 3;
/// It gives the machine that it runs on; empty for none.
pub const SLOTWISE_TEXT_MACHINE: u32 = 4;
/// It gives the key of a label, by its place among the worker's labels, which are sorted by key.
pub const SLOTWISE_TEXT_LABEL_KEY: u32 = 5;
/// It gives the value of a label, by the same place.
pub const SLOTWISE_TEXT_LABEL_VALUE: u32 = 6;

/// The engine's name for the worker of this id.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can
/// be wrong of.
///
/// Threads: any. No lock.
/// Safety: `id` has `id_length` bytes; `worker` points to a slotwise_worker_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_find(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    worker: *mut slotwise_worker_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id, output) = unsafe {
            let host = handle::host(engine)?;
            (host, args::bytes(id, id_length, "id")?, args::output(worker, "worker")?)
        };
        output.write(worker_number(host.engine.find_worker(id).ok_or(WorkerError::Unknown)?));
        Ok(())
    })
}

/// A worker in full.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `info` points to a slotwise_worker_info_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_info(
    engine: slotwise_engine_t,
    worker: slotwise_worker_t,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) = unsafe { (handle::host(engine)?, args::sized_output(info, "info")?) };
        let now = host.engine.worker_by_ref(worker_ref(worker)).ok_or(WorkerError::Unknown)?;
        output.write((&now).into());
        Ok(())
    })
}

/// A worker's slot as it is this instant.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can
/// be wrong of.
///
/// Threads: any. No lock.
/// Safety: `snapshot` points to a slotwise_snapshot_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_snapshot(
    engine: slotwise_engine_t,
    worker: slotwise_worker_t,
    snapshot: *mut slotwise_snapshot_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::output(snapshot, "snapshot")?) };
        let now = host.engine.snapshot(worker_ref(worker)).ok_or(WorkerError::Unknown)?;
        output.write(slotwise_snapshot_t {
            version: now.version,
            free: now.free.into(),
            state: state_number(now.state),
            reserved: 0,
        });
        Ok(())
    })
}

/// A text of a worker. `field`: SLOTWISE_TEXT_...; `index`: which label, 0 for the other fields.
/// Writes at most `capacity` bytes, a final NUL among them, and sets `*length` (unless NULL) to the
/// text's own length without it: if that is `capacity` or more, it was cut. Texts may hold any
/// bytes, NUL too.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_UNKNOWN_VALUE (no such field or label),
/// SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `buffer` has room for `capacity` bytes; `length` is NULL or points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_text(
    engine: slotwise_engine_t,
    worker: slotwise_worker_t,
    field: u32,
    index: u32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let host = unsafe { handle::host(engine) }?;
        let info = host.engine.worker_by_ref(worker_ref(worker)).ok_or(WorkerError::Unknown)?;
        let text = text_of(&info, field, index)?;
        args::apart(&[], &[args::span(buffer, capacity), args::span(length, 1)])?;
        // SAFETY: passed on from the caller.
        unsafe { args::put_text(text, buffer, capacity, length) }?;
        Ok(())
    })
}

fn text_of(info: &WorkerInfo, field: u32, index: u32) -> Result<&[u8], Failure> {
    let label = info.labels.get(index as usize);
    let text: Option<&[u8]> = match field {
        SLOTWISE_TEXT_LABEL_KEY => label.map(|(key, _)| key.as_bytes()),
        SLOTWISE_TEXT_LABEL_VALUE => label.map(|(_, value)| value.as_bytes()),
        _ if index > 0 => None,
        SLOTWISE_TEXT_ID => Some(&info.id),
        SLOTWISE_TEXT_POOL => Some(&info.pool),
        SLOTWISE_TEXT_GPU_TYPE => Some(&info.gpu_type),
        SLOTWISE_TEXT_TENANT => Some(info.tenant.as_deref().unwrap_or_default()),
        SLOTWISE_TEXT_MACHINE => Some(info.machine.as_deref().unwrap_or_default()),
        _ => return Err(args::unknown("field", field as u64).into()),
    };
    Ok(text.ok_or(args::unknown("index", index as u64))?)
}

/// Lists workers in full, by index. `by`: SLOTWISE_LIST_...; the name is the pool's or machine's,
/// and not looked at for SLOTWISE_LIST_ALL. Writes at most `capacity` entries to `infos` (their size
/// need not be set) and sets `*count` to how many there are. O(workers).
///
/// Returns SLOTWISE_UNKNOWN_VALUE, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
/// SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock; the list is that of one instant.
/// Safety: `name` has `name_length` bytes; `infos` has room for `capacity` entries; `count` points
/// to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_workers_list(
    engine: slotwise_engine_t,
    by: u32,
    name: *const c_char,
    name_length: usize,
    infos: *mut slotwise_worker_info_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, name, room, output) = unsafe {
            let host = handle::host(engine)?;
            let name = args::bytes(name, name_length, "name")?;
            let room = Strided::new(infos, 0, capacity, "infos")?;
            (host, name, room, args::output(count, "count")?)
        };
        let read = args::span(name.as_ptr(), name.len());
        args::apart(&[read], &[room.span(), args::span(count, 1)])?;
        let listed = match by {
            SLOTWISE_LIST_ALL => host.engine.workers(),
            SLOTWISE_LIST_POOL => host.engine.workers_in_pool(name),
            SLOTWISE_LIST_MACHINE => host.engine.workers_on_machine(name),
            _ => return Err(args::unknown("by", by as u64).into()),
        };
        for (index, info) in listed.iter().enumerate().take(capacity) {
            // SAFETY: below the capacity.
            unsafe { room.write(index, info.into()) };
        }
        output.write(listed.len());
        Ok(())
    })
}
