//! Steps for named workers, each group done as one change of its worker or not at all.

use core::ffi::c_char;

use super::args::{self, HasSize, Strided, slotwise_text_t};
use super::failure::{Failure, SLOTWISE_NO_DIMENSION, call, slotwise_error_t};
use super::handle::{self, slotwise_engine_t};
use super::release::slotwise_released_t;
use super::reserve::slotwise_placement_t;
use super::status::*;
use super::workers::{slotwise_resources_t, slotwise_worker_t};
use crate::{Group, GroupDone, GroupError, GroupOp, Ticket};

/// Hold `need` under `id` (empty: anonymous).
pub const SLOTWISE_STEP_RESERVE: u32 = 1;
/// Give back what `id` holds on this worker.
pub const SLOTWISE_STEP_RELEASE_ID: u32 = 2;
/// Give back what `ticket` holds on this worker.
pub const SLOTWISE_STEP_RELEASE: u32 = 3;

/// One step of a group.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_step_t {
    /// SLOTWISE_STEP_....
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// For the kinds that name an id.
    pub id: *const c_char,
    /// Its bytes.
    pub id_length: usize,
    /// For SLOTWISE_STEP_RELEASE.
    pub ticket: u64,
    /// For SLOTWISE_STEP_RESERVE.
    pub need: slotwise_resources_t,
}

/// What became of one step.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_step_done_t {
    /// SLOTWISE_OK, or why it was not done.
    pub status: i32,
    /// 1: the id was held already; nothing was changed for it.
    pub existing: u8,
    /// 1: the reservation is yet to be confirmed.
    pub provisional: u8,
    /// SLOTWISE_BUSY, SLOTWISE_NEVER, SLOTWISE_TOO_LARGE: the dimension that it is for.
    pub dimension: u16,
    /// Of a reserve: the reservation's ticket. Otherwise 0.
    pub ticket: u64,
    /// The worker; 0 where the step was not done.
    pub worker: slotwise_worker_t,
    /// The worker's version that the step made; 0 where the worker was removed meanwhile and a
    /// release had nothing left to credit.
    pub version: u64,
    /// Of a release: what was held.
    pub amount: slotwise_resources_t,
}

impl slotwise_step_done_t {
    fn of(result: &Result<GroupDone, GroupError>) -> Self {
        let nothing = slotwise_step_done_t {
            status: SLOTWISE_OK,
            existing: 0,
            provisional: 0,
            dimension: SLOTWISE_NO_DIMENSION as u16,
            ticket: 0,
            worker: 0,
            version: 0,
            amount: slotwise_resources_t::default(),
        };
        match result {
            Ok(GroupDone::Reserved(reservation)) => {
                let placed = slotwise_placement_t::of(reservation);
                let slotwise_placement_t { ticket, worker, version, .. } = placed;
                let slotwise_placement_t { existing, provisional, .. } = placed;
                slotwise_step_done_t { ticket, worker, version, existing, provisional, ..nothing }
            }
            Ok(GroupDone::Released(released)) => {
                let released = slotwise_released_t::of(released);
                let slotwise_released_t { worker, version, amount, .. } = released;
                slotwise_step_done_t { worker, version, amount, ..nothing }
            }
            Err(error) => {
                let error = slotwise_error_t::from(&Failure::from(*error));
                let (status, dimension) = (error.status, error.dimension as u16);
                slotwise_step_done_t { status, dimension, ..nothing }
            }
        }
    }
}

/// The steps for one worker.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_group_t {
    /// sizeof(slotwise_group_t).
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The worker's id.
    pub worker: slotwise_text_t,
    /// What to do there.
    pub steps: *const slotwise_step_t,
    /// How many.
    pub step_count: usize,
    /// Room for as many results; each is written.
    pub done: *mut slotwise_step_done_t,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_group_t {}

impl slotwise_step_t {
    /// # Safety
    /// As [`args`] says, of what it points to.
    unsafe fn get<'a>(&self) -> Result<GroupOp<'a>, Failure> {
        args::reserved(self.reserved == 0)?;
        // SAFETY: passed on.
        let id = unsafe { args::bytes(self.id, self.id_length, "id") }?;
        Ok(match self.kind {
            SLOTWISE_STEP_RESERVE => GroupOp::Reserve { id, need: self.need.into() },
            SLOTWISE_STEP_RELEASE_ID => GroupOp::ReleaseId(id),
            SLOTWISE_STEP_RELEASE => GroupOp::Release(Ticket::from_bits(self.ticket)),
            kind => return Err(args::unknown("kind", kind as u64).into()),
        })
    }
}

/// Does each group's steps as one change of its worker, and each group by itself: either all of its
/// steps are done and the worker's version has risen by their number, or none is and the worker is
/// as it was. Releases count before reservations. No selector applies, only the worker's state and
/// what is free. A reservation that a group may give back is held until it has been; others who ask
/// for it meanwhile are told SLOTWISE_IN_FLIGHT. `stride`: bytes from one group to the next; 0: side
/// by side. Allocates.
///
/// Returns SLOTWISE_OK also where groups were not done; each step has its own status. Where the call
/// itself is wrong, nothing was done and nothing was written: SLOTWISE_NULL_POINTER,
/// SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
/// SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of.
///
/// Threads: any. No lock.
/// Safety: `groups` has `count` entries, whose arrays have as many entries as they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_groups_apply(
    engine: slotwise_engine_t,
    groups: *const slotwise_group_t,
    stride: usize,
    count: usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, groups) =
            unsafe { (handle::host(engine)?, Strided::new(groups, stride, count, "groups")?) };
        let mut all = Vec::with_capacity(count);
        let (mut read, mut written) = (vec![groups.span()], Vec::with_capacity(count));
        for index in 0..count {
            // SAFETY: below the count; what it points to is passed on.
            unsafe {
                let group = groups.get(index, "groups")?;
                args::reserved(group.reserved == 0).map_err(|failure| failure.at(index))?;
                let worker = group.worker.get("worker")?.unwrap_or_default();
                let steps = args::array(group.steps, group.step_count, "steps")?;
                let done = Strided::new(group.done, 0, group.step_count, "done")?;
                read.push(args::span(group.steps, group.step_count));
                written.push(done.span());
                let ops = steps
                    .iter()
                    .enumerate()
                    .map(|(k, step)| step.get().map_err(|failure| failure.at(k)));
                all.push((worker, ops.collect::<Result<Vec<_>, Failure>>()?, done));
            }
        }
        args::apart(&read, &written)?;
        let each: Vec<Group<'_>> =
            all.iter().map(|(worker, ops, _)| Group { worker, ops }).collect();
        let results = host.engine.apply_groups(&each);
        for ((_, _, done), results) in all.iter().zip(&results) {
            for (index, result) in results.iter().enumerate() {
                // SAFETY: as many results as steps.
                unsafe { done.write(index, slotwise_step_done_t::of(result)) };
            }
        }
        Ok(())
    })
}
