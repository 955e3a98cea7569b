//! Giving back, and making more or less of what is held.

use core::ffi::c_char;

use super::args::{self, Column, Output};
use super::failure::{Failure, call, slotwise_error_t};
use super::handle::{self, slotwise_engine_t};
use super::status::*;
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_number};
use crate::engine::Local;
use crate::{Engine, ReleaseError, Released, Resized, Resources, Ticket};

/// What a release did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_released_t {
    /// Where the reservation was.
    pub worker: slotwise_worker_t,
    /// The worker's version that the release made; 0 where nothing was credited.
    pub version: u64,
    /// What was held.
    pub amount: slotwise_resources_t,
    /// 1: credited to the worker. 0: the worker was removed meanwhile, and there was nothing left to
    /// credit.
    pub credited: u32,
    /// SLOTWISE_OK, or why nothing was released.
    pub status: i32,
}

impl slotwise_released_t {
    #[inline(always)]
    pub(super) fn of(released: &Released) -> Self {
        slotwise_released_t {
            worker: worker_number(released.worker),
            version: released.version.unwrap_or(0),
            amount: released.amount.into(),
            credited: released.version.is_some() as u32,
            status: SLOTWISE_OK,
        }
    }

    #[cold]
    fn failed(error: ReleaseError) -> Self {
        let status = slotwise_error_t::from(&Failure::Release(error)).status;
        slotwise_released_t { status, ..Self::default() }
    }
}

/// What a resize did.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_resized_t {
    /// The reservation.
    pub ticket: u64,
    /// Where it is.
    pub worker: slotwise_worker_t,
    /// The worker's version that the resize made; as it was where the amount did not change.
    pub version: u64,
    /// What was held before.
    pub before: slotwise_resources_t,
}

impl From<Resized> for slotwise_resized_t {
    fn from(r: Resized) -> Self {
        slotwise_resized_t {
            ticket: r.ticket.to_bits(),
            worker: worker_number(r.worker),
            version: r.version,
            before: r.before.into(),
        }
    }
}

/// Gives back what a ticket holds, exactly once: a second release, a late one, or one of a number
/// that was never a ticket finds nothing and changes nothing. `released` may be NULL. O(1), no
/// allocation.
///
/// Returns SLOTWISE_NOT_HELD, SLOTWISE_IN_FLIGHT, SLOTWISE_MISALIGNED, or what a handle can be wrong
/// of.
///
/// Threads: any. No lock, no system call.
/// Safety: `released` is NULL or points to a slotwise_released_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_release(
    engine: slotwise_engine_t,
    ticket: u64,
    released: *mut slotwise_released_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let ((host, local), output) = unsafe {
            (handle::host_and_local(engine)?, args::optional_output(released, "released")?)
        };
        release_into(&host.engine, local, Ticket::from_bits(ticket), output)
    })
}

/// Gives back what a ticket holds, and tells of it where that is wanted. Written out for either, or
/// what is told would be put together also for those who do not want it.
#[inline(always)]
fn release_into(
    engine: &Engine,
    local: &Local,
    ticket: Ticket,
    output: Option<Output<'_, slotwise_released_t>>,
) -> Result<(), Failure> {
    match output {
        None => {
            engine.release_with(local, ticket)?;
        }
        Some(output) => {
            output.write(slotwise_released_t::of(&engine.release_with(local, ticket)?));
        }
    }
    Ok(())
}

/// Gives back what an id holds; otherwise as slotwise_release.
///
/// Returns SLOTWISE_NOT_HELD, SLOTWISE_IN_FLIGHT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or
/// what a handle can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `id` has `id_length` bytes; `released` is NULL or points to a slotwise_released_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_release_id(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    released: *mut slotwise_released_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let ((host, local), id, output) = unsafe {
            let host = handle::host_and_local(engine)?;
            let id = args::bytes(id, id_length, "id")?;
            (host, id, args::optional_output(released, "released")?)
        };
        let ticket = host.engine.ticket_of(id)?;
        release_into(&host.engine, local, ticket, output)
    })
}

/// Gives back many, each for itself. Of ticket k, `statuses[k]` says what became of it and
/// `released[k]` what it held; either array may be NULL. `*count_released` (unless NULL): how many
/// were. No allocation.
///
/// Returns SLOTWISE_OK also where some were not held; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
/// SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of, with nothing released and
/// nothing written.
///
/// Threads: any. No lock, no system call.
/// Safety: `tickets` has `count` entries; `statuses` and `released` are NULL or have room for as
/// many; `count_released` is NULL or points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_release_batch(
    engine: slotwise_engine_t,
    tickets: *const u64,
    count: usize,
    statuses: *mut i32,
    released: *mut slotwise_released_t,
    count_released: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, tickets, output) = unsafe {
            let host = handle::host(engine)?;
            let tickets = args::array(tickets, count, "tickets")?;
            (host, tickets, args::optional_output(count_released, "count_released")?)
        };
        let to_statuses = Column::new(statuses, "statuses")?;
        let to_released = Column::new(released, "released")?;
        let read = args::span(tickets.as_ptr(), tickets.len());
        let written = [
            args::span(statuses, count),
            args::span(released, count),
            args::span(count_released, 1),
        ];
        args::apart(&[read], &written)?;
        let (mut done, mut index) = (0, 0);
        host.engine.release_each(
            count,
            |k| Ticket::from_bits(tickets[k]),
            |result| {
                let result = match result {
                    Ok(released) => slotwise_released_t::of(&released),
                    Err(error) => slotwise_released_t::failed(error),
                };
                done += (result.status == SLOTWISE_OK) as usize;
                // SAFETY: below the count of tickets, which is that of each array that is wanted.
                unsafe {
                    to_statuses.write(index, result.status);
                    to_released.write(index, result);
                }
                index += 1;
            },
        );
        if let Some(output) = output {
            output.write(done);
        }
        Ok(())
    })
}

/// Makes a live reservation hold `need` instead of what it holds, as one change of its worker. A
/// dimension that does not grow never stands in the way. `resized` may be NULL. O(1), no
/// allocation.
///
/// Returns SLOTWISE_SHORT where it would grow and there is no room (slotwise_last_error says what is
/// missing), SLOTWISE_STATE where it would grow and the worker takes nothing more; nothing has
/// changed then. SLOTWISE_LOST: the worker was removed during the call, and the reservation has
/// ended, which is told here and not by slotwise_worker_remove. SLOTWISE_NOT_HELD,
/// SLOTWISE_IN_FLIGHT, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_DEVICES_STAY, SLOTWISE_CONTENDED,
/// SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
///
/// Threads: any. No lock, no system call. Others who name the reservation meanwhile are told
/// SLOTWISE_IN_FLIGHT.
/// Safety: `need` points to a slotwise_resources_t; `resized` is NULL or points to a
/// slotwise_resized_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_resize(
    engine: slotwise_engine_t,
    ticket: u64,
    need: *const slotwise_resources_t,
    resized: *mut slotwise_resized_t,
) -> i32 {
    let ticket = Ticket::from_bits(ticket);
    // SAFETY: passed on from the caller.
    unsafe { resize(engine, need, resized, |engine, need| Ok(engine.resize(ticket, need)?)) }
}

/// Makes what an id holds another amount; otherwise as slotwise_resize.
///
/// Returns as slotwise_resize.
///
/// Threads: any. No lock, no system call.
/// Safety: as slotwise_resize; `id` has `id_length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_resize_id(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    need: *const slotwise_resources_t,
    resized: *mut slotwise_resized_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    let id = unsafe { args::bytes(id, id_length, "id") };
    // SAFETY: passed on from the caller.
    unsafe { resize(engine, need, resized, |engine, need| Ok(engine.resize_id(id?, need)?)) }
}

/// # Safety
/// As [`args`] says.
unsafe fn resize(
    engine: slotwise_engine_t,
    need: *const slotwise_resources_t,
    resized: *mut slotwise_resized_t,
    change: impl FnOnce(&Engine, Resources) -> Result<Resized, Failure>,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, need, output) = unsafe {
            let host = handle::host(engine)?;
            let need = args::value(need, "need")?;
            (host, need, args::optional_output(resized, "resized")?)
        };
        let done = change(&host.engine, need.into())?;
        if let Some(output) = output {
            output.write(done.into());
        }
        Ok(())
    })
}
