//! The host's clock: what ends by itself, and what keeps it from ending.

use core::ffi::c_char;

use super::args::{self, Strided};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::life::{padded, take, tell};
use super::reserve::slotwise_placement_t;
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_number};
use crate::engine::Lost;
use crate::{Engine, Expired, LostWorker, ReleaseError, Reservation, Ticked, Ticket};

/// A reservation that was not confirmed in time.
pub const SLOTWISE_EXPIRED: u32 = 1;
/// A reservation that ended with its worker, whose lease was over.
pub const SLOTWISE_LOST_WITH_WORKER: u32 = 2;
/// A worker whose lease was over; what was held there comes right after it.
pub const SLOTWISE_WORKER_EXPIRED: u32 = 3;

/// What a tick has ended: a reservation or a worker.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_expired_t {
    /// Its ticket, which is not valid any more; 0 of a worker.
    pub ticket: u64,
    /// The worker that it was on, or that it was.
    pub worker: slotwise_worker_t,
    /// What it held; 0 of a worker.
    pub amount: slotwise_resources_t,
    /// Length of its id in bytes; 0 for an anonymous reservation.
    pub id_length: u32,
    /// SLOTWISE_EXPIRED, SLOTWISE_LOST_WITH_WORKER or SLOTWISE_WORKER_EXPIRED.
    pub kind: u32,
    /// Its id, the worker's where it is one.
    pub id: [c_char; 64],
}

impl slotwise_expired_t {
    fn of(expired: &Expired) -> Self {
        let (id, id_length) = padded(&expired.id);
        slotwise_expired_t {
            ticket: expired.ticket.to_bits(),
            worker: worker_number(expired.worker),
            amount: expired.amount.into(),
            id_length,
            kind: SLOTWISE_EXPIRED,
            id,
        }
    }

    fn of_worker(worker: &LostWorker) -> Self {
        let (id, id_length) = padded(&worker.id);
        slotwise_expired_t {
            ticket: 0,
            worker: worker_number(worker.worker),
            amount: slotwise_resources_t::default(),
            id_length,
            kind: SLOTWISE_WORKER_EXPIRED,
            id,
        }
    }

    fn of_lost(worker: slotwise_worker_t, lost: &Lost) -> Self {
        let (id, id_length) = padded(&lost.id);
        slotwise_expired_t {
            ticket: lost.ticket.to_bits(),
            worker,
            amount: lost.amount.into(),
            id_length,
            kind: SLOTWISE_LOST_WITH_WORKER,
            id,
        }
    }

    fn all(ticked: &Ticked) -> Vec<Self> {
        let mut all: Vec<Self> = ticked.expired.iter().map(Self::of).collect();
        for worker in &ticked.workers {
            all.push(Self::of_worker(worker));
            let lost = worker.lost.iter();
            all.extend(lost.map(|one| Self::of_lost(worker_number(worker.worker), one)));
        }
        all
    }
}

/// Tells the engine the time and ends what is due: provisional reservations whose `hold_until` is
/// `now` or before, and workers whose lease is, with all that they hold. Times are numbers of the
/// host's in whatever unit it counts, say milliseconds since it started; they do not go back. The
/// library reads no clock: nothing ends before a tick says that its time has come.
///
/// Writes what has ended to `expired`, each once, at most `capacity` entries, and sets `*count` to
/// how many have ended. Those that there was no room for are kept: slotwise_ended_take tells of
/// them. `expired` NULL and `capacity` 0: all are kept. A confirmation or a heartbeat that comes
/// before the tick counts, however late it is; one that comes after is refused. Amortised O(1) for
/// each deadline that was ever set; with workers that are due, O(most reservations there ever
/// were). Allocates.
///
/// Returns SLOTWISE_CLOCK_WENT_BACK where `now` is before the last one, and nothing has changed;
/// SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a handle
/// can be wrong of.
///
/// Threads: any; ticks take turns, by a lock, and everything else goes on. With workers that are
/// due, takes the registry's lock.
/// Safety: `expired` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_tick(
    engine: slotwise_engine_t,
    now: u64,
    expired: *mut slotwise_expired_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(expired, 0, capacity, "expired")?;
            (host, room, args::output(count, "count")?)
        };
        args::apart(&[], &[room.span(), args::span(count, 1)])?;
        let ended = slotwise_expired_t::all(&host.engine.tick(now)?);
        output.write(ended.len());
        tell(&room, &host.ended, ended.into_iter());
        Ok(())
    })
}

/// Tells of what slotwise_tick has ended and had no room for, each once, the oldest first: writes
/// at most `capacity` entries to `expired` and sets `*count` to how many it wrote. Fewer than
/// `capacity`: there are no more.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a
/// handle can be wrong of.
///
/// Threads: any; each entry goes to one of them. Takes a lock.
/// Safety: `expired` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_ended_take(
    engine: slotwise_engine_t,
    expired: *mut slotwise_expired_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(expired, 0, capacity, "expired")?;
            (host, room, args::output(count, "count")?)
        };
        args::apart(&[], &[room.span(), args::span(count, 1)])?;
        output.write(take(&room, &host.ended));
        Ok(())
    })
}

/// The time that the last tick told; 0 before the first.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `now` points to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_now(engine: slotwise_engine_t, now: *mut u64) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) = unsafe { (handle::host(engine)?, args::output(now, "now")?) };
        output.write(host.engine.now());
        Ok(())
    })
}

/// Makes a provisional reservation a lasting one. One that is lasting already stays so; `existing`
/// of `placement` (unless NULL) is 1 then, and `version` is that of the reservation. O(1) but for
/// claims (slotwise_preempt), no allocation.
///
/// Returns SLOTWISE_NOT_HELD, also where it has expired; SLOTWISE_IN_FLIGHT; SLOTWISE_WAITING for a
/// claim while reservations that it displaces have not been released (`given` of slotwise_error_t:
/// how many); SLOTWISE_MISALIGNED, or what a handle can be wrong of. Nothing has changed then.
///
/// Threads: any. No lock, but for claims; no system call.
/// Safety: `placement` is NULL or points to a slotwise_placement_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_confirm(
    engine: slotwise_engine_t,
    ticket: u64,
    placement: *mut slotwise_placement_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { confirm(engine, placement, |engine| Ok(engine.confirm(Ticket::from_bits(ticket))?)) }
}

/// Confirms what an id holds; otherwise as slotwise_confirm.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_COUNT, or as slotwise_confirm.
///
/// Threads: any. No lock, but for claims; no system call.
/// Safety: as slotwise_confirm; `id` has `id_length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_confirm_id(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    placement: *mut slotwise_placement_t,
) -> i32 {
    // SAFETY: passed on from the caller.
    let id = unsafe { args::bytes(id, id_length, "id") };
    let by_id = |engine: &Engine| -> Result<Reservation, Failure> { Ok(engine.confirm_id(id?)?) };
    // SAFETY: passed on from the caller.
    unsafe { confirm(engine, placement, by_id) }
}

/// # Safety
/// As [`args`] says.
unsafe fn confirm(
    engine: slotwise_engine_t,
    placement: *mut slotwise_placement_t,
    change: impl FnOnce(&Engine) -> Result<Reservation, Failure>,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::optional_output(placement, "placement")?) };
        let confirmed = change(&host.engine)?;
        if let Some(output) = output {
            output.write(slotwise_placement_t::of(&confirmed));
        }
        Ok(())
    })
}

/// When a provisional reservation ends unless it is confirmed.
///
/// Returns SLOTWISE_NOT_HELD, also where it does not end by itself: it is confirmed, or never was
/// under SLOTWISE_HOLD; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong
/// of.
///
/// Threads: any. No lock, no system call.
/// Safety: `deadline` points to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_deadline(
    engine: slotwise_engine_t,
    ticket: u64,
    deadline: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::output(deadline, "deadline")?) };
        let ends = host.engine.deadline(Ticket::from_bits(ticket));
        output.write(ends.ok_or(ReleaseError::NotHeld)?);
        Ok(())
    })
}

/// A sign of life: the worker's lease runs until then. From its first heartbeat, or the `lease`
/// that it was registered with, a worker that is not heard of in time ends with the next
/// slotwise_tick, which tells of it; one that has no lease never does. A lease may be cut short.
/// O(1).
///
/// Returns SLOTWISE_UNKNOWN_WORKER, also once it has expired, whatever messages say (it may
/// register anew); SLOTWISE_DEADLINE_PASSED where the lease would be over already;
/// SLOTWISE_NULL_POINTER, SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. No lock, no system call.
/// Safety: `id` has `id_length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_heartbeat(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    until: u64,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id) = unsafe { (handle::host(engine)?, args::bytes(id, id_length, "id")?) };
        Ok(host.engine.heartbeat(id, until)?)
    })
}
