//! What was refused lately, and how many workers of a shape would serve it.

use core::ffi::c_char;

use super::args::{self, Strided};
use super::failure::call;
use super::handle::{self, slotwise_engine_t};
use super::workers::{slotwise_resources_t, slotwise_worker_spec_t};
use crate::Demand;

/// What was refused lately of the requests with one selector.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_demand_t {
    /// Their selector.
    pub selector: u32,
    /// How many there are: `joining`, `packed` and `unservable` together.
    pub requests: u32,
    /// What they need in all. A device counts as a GPU, also where only a part of it is asked for.
    pub need: slotwise_resources_t,
    /// How many of them fit on workers that are ready, or pending, as they are now.
    pub joining: u32,
    /// How many of the others are packed onto new workers of the shape.
    pub packed: u32,
    /// The new workers that these make necessary. Requests of several selectors may share one; it is
    /// counted where its largest request is, so that the sum is the number to start.
    pub workers: u32,
    /// How many cannot be served by a worker of the shape: too large for it, or their selector does
    /// not match it.
    pub unservable: u32,
}

impl From<&Demand> for slotwise_demand_t {
    fn from(demand: &Demand) -> Self {
        slotwise_demand_t {
            selector: demand.selector.0,
            requests: demand.requests,
            need: demand.need.into(),
            joining: demand.joining,
            packed: demand.packed,
            workers: demand.workers,
            unservable: demand.unservable,
        }
    }
}

/// What was refused at `since` or later, by the clock that slotwise_tick tells, and is not held by now,
/// by selector, and what it would take to serve it: how many of the requests fit on workers that are
/// there or on their way, and how many workers of `shape` would serve the others. The shape's id may be
/// empty.
/// Writes at most `capacity` entries to `demand`, by selector, and sets `*count` to how many there
/// are: where that is more, ask again with more room.
///
/// Requests that were refused as busy or never are noted, those of a refused all-or-nothing batch all
/// together; not those that name their worker, and no dry runs. The same id refused again is the same
/// request; anonymous ones are one each time. Of each the last refusal counts. The last max_unmet are
/// kept. One that is found held is forgotten, as if by slotwise_forget_unmet. Workers that are
/// registered as pending count at once, and are not asked for again; cordoned and draining ones take
/// none. O(requests x (requests + workers)) at worst. Allocates.
///
/// Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE, SLOTWISE_SET_ASIDE or SLOTWISE_GPU_TYPE for a
/// shape that could not be registered under any id; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
/// SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, SLOTWISE_OVERLAP,
/// or what a handle can be wrong of.
///
/// Threads: any. No lock.
/// Safety: `shape` points to a slotwise_worker_spec_t, whose texts and labels are as long as it says;
/// `demand` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_unmet_demand(
    engine: slotwise_engine_t,
    shape: *const slotwise_worker_spec_t,
    since: u64,
    demand: *mut slotwise_demand_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, spec, room, output) = unsafe {
            let host = handle::host(engine)?;
            let spec = args::input(shape, "shape")?.get()?;
            let room = Strided::new(demand, 0, capacity, "demand")?;
            (host, spec, room, args::output(count, "count")?)
        };
        args::apart(&[args::span(shape, 1)], &[room.span(), args::span(count, 1)])?;
        let found = host.engine.unmet_demand(&spec, since)?;
        for (index, one) in found.iter().enumerate().take(capacity) {
            // SAFETY: below the capacity.
            unsafe { room.write(index, one.into()) };
        }
        output.write(found.len());
        Ok(())
    })
}

/// Forgets that this id was refused: its request was withdrawn, or met elsewhere. `*forgotten`
/// (optional) is 1 where anything was noted, otherwise 0, also for an id that can be no request's.
/// O(1).
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, or what a handle can be wrong
/// of.
///
/// Threads: any. No lock.
/// Safety: `id` has `id_length` bytes; `forgotten` is NULL or points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_forget_unmet(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    forgotten: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id, output) = unsafe {
            let host = handle::host(engine)?;
            let id = args::bytes(id, id_length, "id")?;
            (host, id, args::optional_output(forgotten, "forgotten")?)
        };
        args::apart(&[args::span(id.as_ptr(), id.len())], &[args::span(forgotten, 1)])?;
        let noted = host.engine.forget_unmet(id);
        if let Some(output) = output {
            output.write(noted as u32);
        }
        Ok(())
    })
}
