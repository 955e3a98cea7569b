//! Many requests in one call, as an array of structures.

use core::cell::Cell;
use core::ffi::c_char;

use super::args::{self, HasSize, Strided};
use super::failure::{Failure, call, slotwise_reasons_t};
use super::handle::{self, slotwise_engine_t};
use super::reserve::{slotwise_placement_t, slotwise_request_t};
use super::status::*;
use crate::{BatchMode, Engine, Request, Reservation, ReserveError};

/// Each request for itself; the placements are those that the same requests one by one would get.
pub const SLOTWISE_INDEPENDENT: u32 = 0;
/// All or none, across workers: a gang. One that does not fit leaves every worker as it was.
pub const SLOTWISE_ALL_OR_NOTHING: u32 = 1;

pub(super) fn mode(mode: u32) -> Result<BatchMode, Failure> {
    match mode {
        SLOTWISE_INDEPENDENT => Ok(BatchMode::Independent),
        SLOTWISE_ALL_OR_NOTHING => Ok(BatchMode::AllOrNothing),
        _ => Err(args::unknown("mode", mode as u64).into()),
    }
}

/// An array of requests, and where their results go.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_batch_t {
    /// sizeof(slotwise_batch_t).
    pub size: u32,
    /// SLOTWISE_INDEPENDENT or SLOTWISE_ALL_OR_NOTHING.
    pub mode: u32,
    /// The requests.
    pub requests: *const slotwise_request_t,
    /// Bytes from one request to the next, a multiple of 8; 0: side by side.
    pub request_stride: usize,
    /// How many: 0 to SLOTWISE_MAX_COUNT.
    pub count: usize,
    /// Room for as many results; each is written, in the order of the requests.
    pub placements: *mut slotwise_placement_t,
    /// Bytes from one result to the next, a multiple of 8; 0: side by side.
    pub placement_stride: usize,
    /// Room for as many counts of reasons, side by side; written for requests that were refused
    /// and zeroed for others. NULL: not wanted.
    pub reasons: *mut slotwise_reasons_t,
    /// The batch's own id: the same id again has no effect and gets the same answer. NULL: none.
    pub id: *const c_char,
    /// Its bytes: 1 to SLOTWISE_MAX_ID_LENGTH.
    pub id_length: usize,
    /// 0.
    pub reserved: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_batch_t {}

/// What a batch did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_batch_done_t {
    /// Requests that hold something now, existing ones included.
    pub placed: u64,
    /// Requests that do not.
    pub failed: u64,
    /// 1: the batch id was known; the answer is that of then, and nothing was changed.
    pub replayed: u32,
    /// 0.
    pub reserved: u32,
}

/// A thread's room for a batch, kept from one to the next while it is small.
#[derive(Default)]
pub(super) struct Room {
    pub(super) requests: Vec<Request<'static>>,
    pub(super) results: Vec<Result<Reservation, ReserveError>>,
}

/// Requests that a thread keeps room for between batches.
const KEPT: usize = 16_384;

thread_local! {
    static ROOM: Cell<Room> = const { Cell::new(Room { requests: Vec::new(), results: Vec::new() }) };
}

impl Room {
    /// Lends the thread's room, and takes it back empty.
    pub(super) fn with<R>(body: impl FnOnce(&mut Room) -> R) -> R {
        let mut room = ROOM.try_with(Cell::take).unwrap_or_default();
        let result = body(&mut room);
        room.requests.clear();
        room.results.clear();
        if room.requests.capacity() <= KEPT && room.results.capacity() <= KEPT {
            let _ = ROOM.try_with(|kept| kept.set(room));
        }
        result
    }
}

/// Reserves for all of a room's requests, once if the batch has an id.
pub(super) fn reserve_all(
    engine: &Engine,
    room: &mut Room,
    mode: BatchMode,
    id: Option<&[u8]>,
) -> Result<slotwise_batch_done_t, Failure> {
    let Room { requests, results } = room;
    let fresh = match id {
        None => {
            engine.reserve_batch(requests, mode, results);
            true
        }
        Some(id) => engine.reserve_batch_once(id, requests, mode, results)?,
    };
    if results.len() != requests.len() {
        return Err(Failure::bare(SLOTWISE_OTHER_BATCH));
    }
    let placed = results.iter().filter(|result| result.is_ok()).count() as u64;
    let failed = requests.len() as u64 - placed;
    Ok(slotwise_batch_done_t { placed, failed, replayed: !fresh as u32, reserved: 0 })
}

/// What a slotwise_batch_t says, checked but for its requests.
pub(super) struct Arrays {
    pub(super) mode: BatchMode,
    requests: Strided<slotwise_request_t>,
    pub(super) placements: Strided<slotwise_placement_t>,
    reasons: Option<Strided<slotwise_reasons_t>>,
}

impl slotwise_batch_t {
    /// # Safety
    /// As [`args`] says, of all that it points to.
    pub(super) unsafe fn arrays(
        &self,
        done: *mut slotwise_batch_done_t,
    ) -> Result<Arrays, Failure> {
        args::reserved(self.reserved == 0)?;
        let mode = mode(self.mode)?;
        // SAFETY: passed on.
        let (requests, placements, reasons) = unsafe {
            let wanted = if self.reasons.is_null() { 0 } else { self.count };
            (
                Strided::new(self.requests, self.request_stride, self.count, "requests")?,
                Strided::new(self.placements, self.placement_stride, self.count, "placements")?,
                Strided::new(self.reasons, 0, wanted, "reasons")?,
            )
        };
        let done = args::span(done, 1);
        let own = args::span(self, 1);
        args::apart(&[requests.span(), own], &[placements.span(), reasons.span(), done])?;
        let reasons = (!self.reasons.is_null()).then_some(reasons);
        Ok(Arrays { mode, requests, placements, reasons })
    }

    /// # Safety
    /// As [`args`] says, of all that it points to, for as long as the requests are used.
    pub(super) unsafe fn requests(
        &self,
        arrays: &Arrays,
        into: &mut Vec<Request<'static>>,
    ) -> Result<(), Failure> {
        into.reserve(self.count);
        for index in 0..self.count {
            // SAFETY: below the count; passed on.
            let request = unsafe {
                let request = arrays.requests.get(index, "requests")?;
                request.get().map_err(|failure| failure.at(index))?
            };
            into.push(request);
        }
        Ok(())
    }
}

impl Arrays {
    /// # Safety
    /// `results` are no more than the arrays have entries.
    pub(super) unsafe fn write<T>(
        &self,
        results: &[Result<T, ReserveError>],
        placement: impl Fn(&T) -> slotwise_placement_t,
    ) {
        for (index, result) in results.iter().enumerate() {
            let entry = match result {
                Ok(placed) => placement(placed),
                Err(error) => slotwise_placement_t::failed(*error),
            };
            // SAFETY: below the count.
            unsafe { self.placements.write(index, entry) };
        }
        let Some(to) = &self.reasons else { return };
        for (index, result) in results.iter().enumerate() {
            let reasons = match result {
                Err(ReserveError::Refused(refusal)) => refusal.reasons.into(),
                _ => slotwise_reasons_t::default(),
            };
            // SAFETY: below the count.
            unsafe { to.write(index, reasons) };
        }
    }
}

/// Reserves for many requests in one call. Writes one result a request, in the caller's order.
/// `done` may be NULL. No allocation once the thread has done a batch of this size, of up to 16,384
/// requests.
///
/// Returns SLOTWISE_OK also where requests were refused; each result has its own status. Where the
/// call itself is wrong, nothing was placed and nothing was written: SLOTWISE_NULL_POINTER,
/// SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
/// SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP (slotwise_last_error says at which request), or
/// what a handle can be wrong of. With a batch id: SLOTWISE_ID_LENGTH, SLOTWISE_IN_FLIGHT while
/// another thread is doing it, SLOTWISE_OTHER_BATCH.
///
/// Threads: any. No lock, no system call.
/// Safety: `batch` points to a slotwise_batch_t, whose arrays have as many entries as it says;
/// `done` is NULL or points to a slotwise_batch_done_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_reserve_batch(
    engine: slotwise_engine_t,
    batch: *const slotwise_batch_t,
    done: *mut slotwise_batch_done_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, batch, arrays, id, output) = unsafe {
            let host = handle::host(engine)?;
            let batch = args::input(batch, "batch")?;
            let output = args::optional_output(done, "done")?;
            let arrays = batch.arrays(done)?;
            let id = args::bytes(batch.id, batch.id_length, "id")?;
            (host, batch, arrays, (!batch.id.is_null()).then_some(id), output)
        };
        Room::with(|room| {
            // SAFETY: passed on from the caller; they are used within this call.
            unsafe { batch.requests(&arrays, &mut room.requests) }?;
            let summary = reserve_all(&host.engine, room, arrays.mode, id)?;
            // SAFETY: as many results as requests.
            unsafe { arrays.write(&room.results, slotwise_placement_t::of) };
            if let Some(output) = output {
                output.write(summary);
            }
            Ok(())
        })
    })
}
