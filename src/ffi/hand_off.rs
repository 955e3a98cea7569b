//! A worker that was expected under one id and has come under another.

use core::ffi::c_char;

use super::args::{self, Strided};
use super::failure::call;
use super::handle::{self, slotwise_engine_t};
use super::life::{slotwise_lost_t, tell};
use super::workers::{slotwise_worker_t, worker_number};

/// What a hand-off did.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_handed_t {
    /// The worker that holds it all now.
    pub worker: slotwise_worker_t,
    /// Reservations that it took over from another registration; 0 where that has only got another
    /// id.
    pub moved: u64,
}

/// A pending worker that was registered under the id `expected` while it was on its way is here,
/// and its id is `real`. What is held on it is held on that worker from now on, under the same ids
/// and tickets.
///
/// If no worker of the real id is registered, the expected one gets that id and is the same
/// registration otherwise: pending until slotwise_worker_ready. If one is, as when the agent was
/// faster than the message that says who it is, it takes over what it has room for (unless it is
/// cordoned or draining); the expected one is removed, and what is left there ends: it is written
/// to `lost`, at most `capacity` entries, `*count` says how many there are, and slotwise_lost_take
/// tells of those that there was no room for. `handed` may be NULL. Where the real id is
/// registered, O(most reservations there ever were).
///
/// Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NOT_PENDING where the expected worker is past that,
/// SLOTWISE_HAND_OFF_TO_ITSELF, SLOTWISE_ID_LENGTH, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
/// SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock. A reservation that is being taken over is
/// SLOTWISE_IN_FLIGHT to others for a moment.
/// Safety: `expected` has `expected_length` bytes, `real` has `real_length`; `handed` is NULL or
/// points to a slotwise_handed_t; `lost` has room for `capacity` entries; `count` points to a
/// size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_hand_off(
    engine: slotwise_engine_t,
    expected: *const c_char,
    expected_length: usize,
    real: *const c_char,
    real_length: usize,
    handed: *mut slotwise_handed_t,
    lost: *mut slotwise_lost_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, expected, real, to_handed, room, output) = unsafe {
            let host = handle::host(engine)?;
            let expected = args::bytes(expected, expected_length, "expected")?;
            let real = args::bytes(real, real_length, "real")?;
            let to_handed = args::optional_output(handed, "handed")?;
            let room = Strided::new(lost, 0, capacity, "lost")?;
            (host, expected, real, to_handed, room, args::output(count, "count")?)
        };
        let read = [expected, real].map(|id| args::span(id.as_ptr(), id.len()));
        args::apart(&read, &[room.span(), args::span(handed, 1), args::span(count, 1)])?;
        let from = host.engine.find_worker(expected).map_or(0, worker_number);
        let done = host.engine.hand_off(expected, real)?;
        output.write(done.lost.len());
        if let Some(output) = to_handed {
            let (worker, moved) = (worker_number(done.worker), done.moved as u64);
            output.write(slotwise_handed_t { worker, moved });
        }
        tell(&room, &host.lost, done.lost.iter().map(|one| slotwise_lost_t::of(from, one)));
        Ok(())
    })
}
