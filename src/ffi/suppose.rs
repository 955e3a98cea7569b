//! What a batch would do on another branch of the state, and how many copies of a request.

use super::args::{self, HasSize, Span, Strided};
use super::batch::{slotwise_batch_done_t, slotwise_batch_t};
use super::dry_run::foresee;
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::reserve::slotwise_request_t;
use super::workers::{slotwise_worker_spec_t, slotwise_worker_t, worker_ref};
use crate::{Supposition, Ticket, WorkerRef, WorkerSpec};

/// What is supposed to have happened before. All zero but the size: nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_supposition_t {
    /// sizeof(slotwise_supposition_t).
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Tickets of reservations that are given back. One that is not held credits nothing; named
    /// twice, it credits once.
    pub credited: *const u64,
    /// How many.
    pub credited_count: usize,
    /// Workers that are removed, and what they hold with them. One that is not registered, or not
    /// any more, is passed by.
    pub without: *const slotwise_worker_t,
    /// How many.
    pub without_count: usize,
    /// Workers that are registered, in this order, after all that are; ready, or pending with
    /// SLOTWISE_PENDING.
    pub added: *const slotwise_worker_spec_t,
    /// How many.
    pub added_count: usize,
    /// Bytes from one of them to the next, a multiple of 8; 0: side by side.
    pub added_stride: usize,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_supposition_t {}

/// In place of a worker's name: the place in `added` plus one. The upper 32 bits are 0, which those
/// of no registered worker are.
pub(super) const fn supposed_number(index: u32) -> slotwise_worker_t {
    index as u64 + 1
}

/// A slotwise_supposition_t that has been read.
#[derive(Default)]
struct Supposed {
    credited: Vec<Ticket>,
    without: Vec<WorkerRef>,
    with: Vec<WorkerSpec>,
    /// Where it was read.
    read: Vec<Span>,
}

impl Supposed {
    /// NULL: nothing is supposed.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to.
    unsafe fn read(pointer: *const slotwise_supposition_t) -> Result<Supposed, Failure> {
        if pointer.is_null() {
            return Ok(Supposed::default());
        }
        // SAFETY: passed on.
        let (given, credited, without, added) = unsafe {
            let given = args::input(pointer, "supposition")?;
            args::reserved(given.reserved == 0)?;
            (
                given,
                args::array(given.credited, given.credited_count, "credited")?,
                args::array(given.without, given.without_count, "without")?,
                Strided::new(given.added, given.added_stride, given.added_count, "added")?,
            )
        };
        let one = |index| {
            // SAFETY: below the count; passed on.
            let spec = unsafe { added.get(index, "added")?.get() };
            spec.map_err(|failure| failure.at(index))
        };
        Ok(Supposed {
            credited: credited.iter().map(|&bits| Ticket::from_bits(bits)).collect(),
            without: without.iter().map(|&worker| worker_ref(worker)).collect(),
            with: (0..added.count()).map(one).collect::<Result<_, Failure>>()?,
            read: vec![
                args::span(given, 1),
                args::span(credited.as_ptr(), credited.len()),
                args::span(without.as_ptr(), without.len()),
                added.span(),
            ],
        })
    }

    fn get(&self) -> Supposition<'_> {
        let Supposed { credited, without, with, .. } = self;
        Supposition { credited, without, with }
    }
}

/// As slotwise_dry_run, on another branch of the state: with reservations given back, workers
/// removed and workers registered. `supposition` NULL: nothing is supposed. Changes nothing.
///
/// The requests are placed as if the workers of `added` had been registered after all others. Of a
/// request that would go to one of them, `worker` is its place in `added` plus one, `version` is 0:
/// SLOTWISE_WORKER_ADDED tells these from names of registered workers, of which it makes 0. Where an
/// affinity key or power of two choices would lead once they were registered, and whether there is
/// room in the table of workers, is not foreseen. Refusals count the workers that are supposed to be
/// there, and no others. For each request also O(added_count). Allocates.
///
/// Returns as slotwise_dry_run and, for a worker of `added` that could not be registered, as
/// slotwise_worker_add, with nothing written (slotwise_last_error says at which place it stands);
/// SLOTWISE_DUPLICATE_WORKER unless the worker of its id is in `without`.
///
/// Threads: any. No lock.
/// Safety: as slotwise_reserve_batch; `supposition` is NULL or points to a slotwise_supposition_t,
/// whose arrays have as many entries as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_dry_run_with(
    engine: slotwise_engine_t,
    batch: *const slotwise_batch_t,
    supposition: *const slotwise_supposition_t,
    done: *mut slotwise_batch_done_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        unsafe {
            let host = handle::host(engine)?;
            let batch = args::input(batch, "batch")?;
            let supposed = Supposed::read(supposition)?;
            foresee(&host.engine, batch, &supposed.get(), &supposed.read, done)
        }
    })
}

/// How many of `n` copies of this request would be placed one after another, each anonymous, on that
/// branch of the state. `supposition` NULL: as things are. Changes nothing. As expensive as a dry run
/// of the copies that are placed, and one more. Allocates.
///
/// Returns SLOTWISE_OK also where none would be; SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE,
/// SLOTWISE_UNKNOWN_SELECTOR, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE,
/// SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP;
/// what can be wrong with its terms; for a worker of `added` as slotwise_dry_run_with; or what a handle
/// can be wrong of.
///
/// Threads: any. No lock.
/// Safety: `request` points to a slotwise_request_t; `supposition` as of slotwise_dry_run_with; `fit`
/// points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_replicas(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    n: u32,
    supposition: *const slotwise_supposition_t,
    fit: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller, and used within this call.
        let (host, request, supposed, output) = unsafe {
            let host = handle::host(engine)?;
            let read = args::input(request, "request")?;
            read.check()?;
            let supposed = Supposed::read(supposition)?;
            let output = args::output(fit, "fit")?;
            args::apart(&[args::span(request, 1)], &[args::span(fit, 1)])?;
            (host, read, supposed, output)
        };
        args::apart(&supposed.read, &[args::span(fit, 1)])?;
        // SAFETY: it has been checked; passed on from the caller, and used within this call.
        let placed =
            unsafe { request.with(|request| host.engine.replicas(request, n, &supposed.get())) }?;
        output.write(placed);
        Ok(())
    })
}
