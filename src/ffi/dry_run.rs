//! What a batch would do.

use super::args::{self, Span};
use super::batch::{slotwise_batch_done_t, slotwise_batch_t};
use super::failure::{Failure, SLOTWISE_NO_DIMENSION, call};
use super::handle::{self, slotwise_engine_t};
use super::reserve::slotwise_placement_t;
use super::status::*;
use super::suppose::supposed_number;
use super::workers::worker_number;
use crate::{Engine, Foreseen, Supposition, Ticket};

/// What slotwise_reserve_batch would do now, if the reservations of `credited` were gone; changes
/// nothing. Of a request that would be placed, `worker` and `version` say where it would go and at
/// which version that worker was looked at; `ticket` is 0 unless its id is held already. A credited
/// ticket that is not held credits nothing. The batch must have no id. Allocates.
///
/// Returns as slotwise_reserve_batch; SLOTWISE_UNKNOWN_VALUE where the batch has an id.
///
/// Threads: any. No lock.
/// Safety: as slotwise_reserve_batch; `credited` has `credited_count` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_dry_run(
    engine: slotwise_engine_t,
    batch: *const slotwise_batch_t,
    credited: *const u64,
    credited_count: usize,
    done: *mut slotwise_batch_done_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        unsafe {
            let host = handle::host(engine)?;
            let batch = args::input(batch, "batch")?;
            let credited = args::array(credited, credited_count, "credited")?;
            let read = args::span(credited.as_ptr(), credited.len());
            let credited = credited.iter().map(|&bits| Ticket::from_bits(bits)).collect::<Vec<_>>();
            let supposing = Supposition { credited: &credited, ..Supposition::default() };
            foresee(&host.engine, batch, &supposing, &[read], done)
        }
    })
}

/// What a batch would do on that branch of the state. `read`: what the branch was read from.
///
/// # Safety
/// As [`args`] says, of `done` and of all that the batch points to.
pub(super) unsafe fn foresee(
    engine: &Engine,
    batch: &slotwise_batch_t,
    supposing: &Supposition<'_>,
    read: &[Span],
    done: *mut slotwise_batch_done_t,
) -> Result<(), Failure> {
    // SAFETY: passed on from the caller.
    let (mut arrays, output) =
        unsafe { (batch.arrays(done, read)?, args::optional_output(done, "done")?) };
    if !batch.id.is_null() {
        return Err(args::unknown("id", batch.id_length as u64).into());
    }
    // SAFETY: below the count; passed on from the caller, and used within this call.
    let requests: Vec<_> = unsafe {
        arrays.check()?;
        (0..batch.count).map(|index| arrays.request(index)).collect()
    };
    let mut results = Vec::new();
    engine.dry_run_with(&requests, supposing, arrays.mode, &mut results)?;
    for (index, result) in results.iter().enumerate() {
        // SAFETY: as many results as requests.
        unsafe { arrays.write(index, result, foreseen) };
    }
    if let Some(output) = output {
        let placed = results.iter().filter(|result| result.is_ok()).count() as u64;
        let failed = results.len() as u64 - placed;
        output.write(slotwise_batch_done_t { placed, failed, replayed: 0, reserved: 0 });
    }
    Ok(())
}

fn foreseen(foreseen: &Foreseen) -> slotwise_placement_t {
    slotwise_placement_t {
        ticket: foreseen.existing.map_or(0, Ticket::to_bits),
        worker: match foreseen.added {
            None => worker_number(foreseen.worker),
            Some(index) => supposed_number(index),
        },
        version: foreseen.version,
        status: SLOTWISE_OK,
        existing: foreseen.existing.is_some() as u8,
        provisional: 0,
        dimension: SLOTWISE_NO_DIMENSION as u16,
    }
}
