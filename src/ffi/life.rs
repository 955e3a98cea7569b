//! The life of a worker: readiness, cordon, drain, removal, and what was lost with it.

use core::ffi::c_char;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::args::{self, Strided};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::workers::{
    slotwise_resources_t, slotwise_worker_info_t, slotwise_worker_t, with_id, worker_number,
};
use crate::Engine;
use crate::engine::Lost;

/// A reservation that ended because its worker was removed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_lost_t {
    /// Its ticket, which is not valid any more.
    pub ticket: u64,
    /// The worker that it was on.
    pub worker: slotwise_worker_t,
    /// What it held.
    pub amount: slotwise_resources_t,
    /// Length of its id in bytes; 0 for an anonymous one.
    pub id_length: u32,
    /// 0.
    pub reserved: u32,
    /// Its id.
    pub id: [c_char; 64],
}

impl slotwise_lost_t {
    pub(super) fn of(worker: slotwise_worker_t, lost: &Lost) -> Self {
        let (id, id_length) = padded(&lost.id);
        slotwise_lost_t {
            ticket: lost.ticket.to_bits(),
            worker,
            amount: lost.amount.into(),
            id_length,
            reserved: 0,
            id,
        }
    }
}

/// An id as results have it, and its length.
pub(super) fn padded(id: &[u8]) -> ([c_char; 64], u32) {
    let mut padded = [0; 64];
    for (to, from) in padded.iter_mut().zip(id) {
        *to = *from as c_char;
    }
    (padded, id.len() as u32)
}

/// Writes of what has ended as much as there is room for, and keeps the rest.
pub(super) fn tell<T>(
    room: &Strided<T>,
    kept: &Mutex<VecDeque<T>>,
    mut ended: impl ExactSizeIterator<Item = T>,
) {
    for (index, one) in ended.by_ref().take(room.count()).enumerate() {
        // SAFETY: below the count of entries that there is room for.
        unsafe { room.write(index, one) };
    }
    if ended.len() > 0 {
        kept.lock().extend(ended);
    }
}

/// Writes of what was kept as much as there is room for, the oldest first, and says how many.
pub(super) fn take<T>(room: &Strided<T>, kept: &Mutex<VecDeque<T>>) -> usize {
    let mut kept = kept.lock();
    let taken = room.count().min(kept.len());
    for (index, one) in kept.drain(..taken).enumerate() {
        // SAFETY: below the count of entries that there is room for.
        unsafe { room.write(index, one) };
    }
    taken
}

/// Takes a worker out and ends what was held there, each reservation once. A release that comes
/// later finds nothing, also when the id has been registered again.
///
/// Writes the reservations that ended to `lost`, at most `capacity` of them, and sets `*count` to
/// how many ended. Those that there was no room for are kept: slotwise_lost_take tells of them.
/// `lost` NULL and `capacity` 0: all are kept. O(most reservations there ever were).
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
/// SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `id` has `id_length` bytes; `lost` has room for `capacity` entries; `count` points to a
/// size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_remove(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    lost: *mut slotwise_lost_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id, room, output) = unsafe {
            let host = handle::host(engine)?;
            let id = args::bytes(id, id_length, "id")?;
            let room = Strided::new(lost, 0, capacity, "lost")?;
            (host, id, room, args::output(count, "count")?)
        };
        args::apart(&[args::span(id.as_ptr(), id.len())], &[room.span(), args::span(count, 1)])?;
        let worker = host.engine.find_worker(id).map_or(0, worker_number);
        let ended = host.engine.remove_worker(id)?;
        output.write(ended.len());
        tell(&room, &host.lost, ended.iter().map(|one| slotwise_lost_t::of(worker, one)));
        Ok(())
    })
}

/// Tells of reservations that ended with their worker and that slotwise_worker_remove or
/// slotwise_hand_off had no room for, each once, the oldest first: writes at most `capacity` of
/// them to `lost` and sets `*count` to how many it wrote. Fewer than `capacity`: there are no more.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a
/// handle can be wrong of.
///
/// Threads: any; each reservation goes to one of them. Takes a lock.
/// Safety: `lost` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_lost_take(
    engine: slotwise_engine_t,
    lost: *mut slotwise_lost_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(lost, 0, capacity, "lost")?;
            (host, room, args::output(count, "count")?)
        };
        args::apart(&[], &[room.span(), args::span(count, 1)])?;
        output.write(take(&room, &host.lost));
        Ok(())
    })
}

/// The host's readiness signal: a pending worker becomes ready. Does not lift a cordon. `info`
/// (unless NULL) gets the worker as it then is.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: `id` has `id_length` bytes; `info` is NULL or points to a slotwise_worker_info_t whose
/// size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_ready(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, |engine, id| Ok(engine.ready(id)?)) }
}

/// The readiness signal of an agent of this generation of the rollout: refused if the worker is of
/// a later one by now, so that a message from before an upgrade makes nothing ready. One of a later
/// generation counts, and is the worker's from then on. Otherwise as slotwise_worker_ready.
///
/// Returns SLOTWISE_OLD_GENERATION (slotwise_last_error has both), SLOTWISE_UNKNOWN_WORKER,
/// SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: as slotwise_worker_ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_ready_generation(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    generation: u64,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    let ready = |engine: &Engine, id: &[u8]| -> Result<_, Failure> {
        Ok(engine.ready_generation(id, generation)?)
    };
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, ready) }
}

/// Takes the readiness back: the worker is pending again. What it holds stays. Otherwise as
/// slotwise_worker_ready.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: as slotwise_worker_ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_unready(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, |engine, id| Ok(engine.unready(id)?)) }
}

/// The operator's durable intent that nothing new lands here. Once this returns, nothing does; what
/// is held stays. Otherwise as slotwise_worker_ready.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: as slotwise_worker_ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_cordon(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, |engine, id| Ok(engine.cordon(id)?)) }
}

/// Lifts cordon and drain: the worker is as ready as its last readiness signal said. Otherwise as
/// slotwise_worker_ready.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: as slotwise_worker_ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_uncordon(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, |engine, id| Ok(engine.uncordon(id)?)) }
}

/// As slotwise_worker_cordon, to empty the worker: `held` of `info` says how much is still there.
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
/// can be wrong of.
///
/// Threads: any. Takes the registry's lock.
/// Safety: as slotwise_worker_ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_worker_drain(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    info: *mut slotwise_worker_info_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { with_id(engine, id, id_length, info, |engine, id| Ok(engine.drain(id)?)) }
}
