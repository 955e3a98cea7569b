//! Many requests in one call, as an array of structures.

use core::cell::Cell;
use core::ffi::c_char;

use super::args::{self, HasSize, Span, Strided};
use super::failure::{Failure, call, slotwise_reasons_t};
use super::handle::{self, slotwise_engine_t};
use super::reserve::{slotwise_placement_t, slotwise_request_t};
use super::status::*;
use crate::{BatchMode, Engine, Request, Reservation, ReserveError, Terms};

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

/// A thread's room for a batch whose results are not known one by one; kept from one to the next
/// while it is small.
#[derive(Default)]
struct Room {
    requests: Vec<Request<'static>>,
    results: Vec<Result<Reservation, ReserveError>>,
}

/// Requests that a thread keeps room for between batches.
const KEPT: usize = 16_384;

thread_local! {
    static ROOM: Cell<Room> = const { Cell::new(Room { requests: Vec::new(), results: Vec::new() }) };
}

impl Room {
    /// Lends the thread's room, and takes it back empty.
    fn with<R>(body: impl FnOnce(&mut Room) -> R) -> R {
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

/// Reserves for `count` requests, once if the batch has an id, and writes the result of each. The
/// requests have been checked.
#[inline(always)]
pub(super) fn reserve_all(
    engine: &Engine,
    (count, mode, id): (usize, BatchMode, Option<&[u8]>),
    request: impl Fn(usize) -> Request<'static>,
    mut write: impl FnMut(usize, &Result<Reservation, ReserveError>),
) -> Result<slotwise_batch_done_t, Failure> {
    let (mut placed, mut fresh) = (0, true);
    let mut tell = |k, result: &Result<Reservation, ReserveError>| {
        placed += result.is_ok() as u64;
        write(k, result);
    };
    if id.is_none() && mode == BatchMode::Independent {
        // Straight from the caller's arrays into them.
        engine.reserve_each(count, request, |k, result| tell(k, &result));
    } else {
        Room::with(|Room { requests, results }| {
            requests.extend((0..count).map(request));
            match id {
                None => engine.reserve_batch(requests, mode, results),
                Some(id) => fresh = engine.reserve_batch_once(id, requests, mode, results)?,
            }
            if results.len() != count {
                return Err(Failure::bare(SLOTWISE_OTHER_BATCH));
            }
            results.iter().enumerate().for_each(|(k, result)| tell(k, result));
            Ok(())
        })?;
    }
    let failed = count as u64 - placed;
    Ok(slotwise_batch_done_t { placed, failed, replayed: !fresh as u32, reserved: 0 })
}

/// What a slotwise_batch_t says, checked but for its requests.
pub(super) struct Arrays {
    pub(super) mode: BatchMode,
    requests: Strided<slotwise_request_t>,
    placements: Strided<slotwise_placement_t>,
    reasons: Option<Strided<slotwise_reasons_t>>,
    /// The terms of each, if any has some.
    terms: Vec<Terms<'static>>,
}

impl slotwise_batch_t {
    /// `also`: what else the call reads.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to.
    pub(super) unsafe fn arrays(
        &self,
        done: *mut slotwise_batch_done_t,
        also: &[Span],
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
        let written = [placements.span(), reasons.span(), args::span(done, 1)];
        args::apart(&[requests.span(), args::span(self, 1)], &written)?;
        args::apart(also, &written)?;
        let reasons = (!self.reasons.is_null()).then_some(reasons);
        Ok(Arrays { mode, requests, placements, reasons, terms: Vec::new() })
    }
}

impl Arrays {
    /// Whether all requests can be read. Reads their terms.
    ///
    /// # Safety
    /// As [`args`] says, of the requests and their terms, for as long as this is used.
    pub(super) unsafe fn check(&mut self) -> Result<(), Failure> {
        for index in 0..self.requests.count() {
            // SAFETY: below the count; passed on.
            let request = unsafe { self.requests.get(index, "requests") }?;
            // SAFETY: passed on.
            unsafe { request.check() }.map_err(|failure| failure.at(index))?;
            if !request.terms.is_null() {
                self.terms.resize(self.requests.count(), Terms::new());
                // SAFETY: not NULL, and it has been checked; passed on.
                self.terms[index] = unsafe { (*request.terms).get() };
            }
        }
        Ok(())
    }

    /// A request.
    ///
    /// # Safety
    /// `index` is below the count; as [`args`] says, of what it points to, for as long as the
    /// request is used; so long this lives, too; [`Arrays::check`] has passed.
    #[inline(always)]
    pub(super) unsafe fn request(&self, index: usize) -> Request<'static> {
        // SAFETY: passed on.
        let (request, has_terms) = unsafe {
            let request = self.requests.checked(index);
            (request.get(), !request.terms.is_null())
        };
        if !has_terms {
            return request;
        }
        // SAFETY: `check` has read as many terms as there are requests; they live while this does.
        Request { terms: Some(unsafe { &*self.terms.as_ptr().add(index) }), ..request }
    }

    /// # Safety
    /// `index` is below the count.
    #[inline(always)]
    pub(super) unsafe fn write<T>(
        &self,
        index: usize,
        result: &Result<T, ReserveError>,
        placement: impl Fn(&T) -> slotwise_placement_t,
    ) {
        let entry = match result {
            Ok(placed) => placement(placed),
            Err(error) => slotwise_placement_t::failed(*error),
        };
        // SAFETY: passed on.
        unsafe { self.placements.write(index, entry) };
        if let Some(to) = &self.reasons {
            let reasons = match result {
                Err(ReserveError::Refused(refusal)) => refusal.reasons.into(),
                _ => slotwise_reasons_t::default(),
            };
            // SAFETY: passed on.
            unsafe { to.write(index, reasons) };
        }
    }
}

/// Reserves for many requests in one call. Writes one result a request, in the caller's order.
/// `done` may be NULL. No allocation once the thread has done a batch of this size, of up to 16,384
/// requests, but for requests on terms.
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
        let (host, batch, mut arrays, id, output) = unsafe {
            let host = handle::host(engine)?;
            let batch = args::input(batch, "batch")?;
            let output = args::optional_output(done, "done")?;
            let arrays = batch.arrays(done, &[])?;
            let id = args::bytes(batch.id, batch.id_length, "id")?;
            (host, batch, arrays, (!batch.id.is_null()).then_some(id), output)
        };
        // SAFETY: passed on from the caller.
        unsafe { arrays.check() }?;
        let summary = reserve_all(
            &host.engine,
            (batch.count, arrays.mode, id),
            // SAFETY: below the count; passed on from the caller, and used within this call.
            |index| unsafe { arrays.request(index) },
            // SAFETY: below the count.
            |index, result| unsafe { arrays.write(index, result, slotwise_placement_t::of) },
        )?;
        if let Some(output) = output {
            output.write(summary);
        }
        Ok(())
    })
}
