//! What the policies that learn know of the requests, and what follows from it.

use super::args::{self, Strided};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::status::SLOTWISE_NOTHING_LEARNED;
use super::workers::{slotwise_worker_t, worker_number};
use crate::{Fragmentation, Kind, Move};

/// A kind of requests that came, and how often.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_kind_t {
    /// CPU in millicores.
    pub cpu: u64,
    /// How often it came, counts of long ago halved: the mix is its share of the sum.
    pub count: u64,
    /// How many devices; whole GPUs that were asked for by number count as such.
    pub devices: u32,
    /// Thousandths of each; 0 where none is asked for.
    pub milli: u32,
    /// How many of the types of GPUs that workers have would do; 0: any.
    pub gpu_types: u32,
    /// 0.
    pub reserved: u32,
}

impl From<&Kind> for slotwise_kind_t {
    fn from(kind: &Kind) -> Self {
        slotwise_kind_t {
            cpu: kind.cpu,
            count: kind.count,
            devices: kind.devices,
            milli: kind.milli,
            gpu_types: kind.gpu_types.len() as u32,
            reserved: 0,
        }
    }
}

/// How much of what is free of GPUs is useless to the requests that come.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_fragmentation_t {
    /// Thousandths of GPUs that workers which are ready have free.
    pub free_milli: u64,
    /// What a request drawn from the mix is expected to find useless of that: where it is too little of
    /// one GPU, or the worker has too little CPU left, or is of the wrong type; all, for a request that
    /// needs no GPU.
    pub unusable_milli: u64,
    /// Requests that the mix was learned from.
    pub arrived: u64,
}

impl From<Fragmentation> for slotwise_fragmentation_t {
    fn from(figure: Fragmentation) -> Self {
        let Fragmentation { free_milli, unusable_milli, arrived } = figure;
        slotwise_fragmentation_t { free_milli, unusable_milli, arrived }
    }
}

/// A move that is proposed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct slotwise_move_t {
    /// The reservation that is to move.
    pub ticket: u64,
    /// The worker that it is on.
    pub from: slotwise_worker_t,
    /// The worker to go to.
    pub to: slotwise_worker_t,
    /// The version of `from` when it is this move's turn.
    pub from_version: u64,
    /// The version of `to` when it is this move's turn.
    pub to_version: u64,
    /// The devices that it will get there: bit i is the one at place i of those that the worker was
    /// registered with.
    pub devices: u64,
    /// Thousandths of GPUs that become useful by it.
    pub frees_milli: u64,
}

impl From<&Move> for slotwise_move_t {
    fn from(one: &Move) -> Self {
        slotwise_move_t {
            ticket: one.ticket.to_bits(),
            from: worker_number(one.from),
            to: worker_number(one.to),
            from_version: one.from_version,
            to_version: one.to_version,
            devices: one.devices.0.into(),
            frees_milli: one.frees_milli,
        }
    }
}

fn learned<T>(answer: Option<T>) -> Result<T, Failure> {
    answer.ok_or_else(|| Failure::from(args::Argument::new(SLOTWISE_NOTHING_LEARNED, "engine")))
}

/// The kinds of requests that came to a policy that learns (SLOTWISE_POLICY_FGD,
/// SLOTWISE_POLICY_ADAPTIVE), most frequent first. Writes at most `capacity` entries to `kinds` and sets
/// `*count` to how many there are, at most SLOTWISE_MAX_KINDS, and `*arrived` (optional) to the number of
/// requests. Of several planners, the one is asked that has seen the most. O(kinds log kinds). Allocates.
///
/// Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT,
/// SLOTWISE_OVERLAP, or what a handle can be wrong of.
///
/// Threads: any. Waits for others who place by such a policy for some milliseconds at most.
/// Safety: `kinds` has room for `capacity` entries; `count` points to a size_t; `arrived` is NULL or points
/// to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_learned(
    engine: slotwise_engine_t,
    kinds: *mut slotwise_kind_t,
    capacity: usize,
    count: *mut usize,
    arrived: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output, number) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(kinds, 0, capacity, "kinds")?;
            let number = args::optional_output(arrived, "arrived")?;
            (host, room, args::output(count, "count")?, number)
        };
        args::apart(&[], &[room.span(), args::span(count, 1), args::span(arrived, 1)])?;
        let mix = learned(host.engine.learned())?;
        for (index, kind) in mix.kinds.iter().enumerate().take(capacity) {
            // SAFETY: below the capacity.
            unsafe { room.write(index, kind.into()) };
        }
        output.write(mix.kinds.len());
        if let Some(number) = number {
            number.write(mix.arrived);
        }
        Ok(())
    })
}

/// How much of what is free of GPUs is useless to the mix that slotwise_learned tells of.
/// O(workers x kinds that make up 95 % of the mix). Allocates.
///
/// Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
/// wrong of.
///
/// Threads: any. Waits for others who place by such a policy for some milliseconds at most.
/// Safety: `fragmentation` points to a slotwise_fragmentation_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_fragmentation(
    engine: slotwise_engine_t,
    fragmentation: *mut slotwise_fragmentation_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::output(fragmentation, "fragmentation")?) };
        output.write(learned(host.engine.fragmentation())?.into());
        Ok(())
    })
}

/// Proposes at most `capacity` moves of reservations that hold devices, each to a worker that no selector
/// tells apart from the one that it is on but by a label or a machine of its own, such that the least of
/// what is free is useless to the mix that slotwise_learned tells of. Greedy: each move is the one that
/// frees the most after those before it. Sets `*count` to how many there are, and `*before` and `*after`
/// (optional) to how it is and how it will be.
///
/// Nothing is changed. For each move in turn, reserve what the reservation asked for on the worker to go
/// to, with its version expected (slotwise_reserve_on), by a policy that fills devices up; move the
/// work; and release the old reservation, which holds its id until then: the new one needs another, or none,
/// and is charged to its account beside the old one. A version that is another one says that somebody else was
/// there, and that it is time for another plan.
///
/// O((workers x kinds of what is held + reservations) x kinds of the mix), and a small part of that for
/// each move. Allocates.
///
/// Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT,
/// SLOTWISE_OVERLAP, or what a handle can be wrong of.
///
/// Threads: any. Waits for others who place by such a policy for some milliseconds at most.
/// Safety: `moves` has room for `capacity` entries; `count` points to a size_t; `before` and `after` are
/// NULL or point to a slotwise_fragmentation_t each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_repack(
    engine: slotwise_engine_t,
    moves: *mut slotwise_move_t,
    capacity: usize,
    count: *mut usize,
    before: *mut slotwise_fragmentation_t,
    after: *mut slotwise_fragmentation_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, room, output, figures) = unsafe {
            let host = handle::host(engine)?;
            let room = Strided::new(moves, 0, capacity, "moves")?;
            let output = args::output(count, "count")?;
            let before = args::optional_output(before, "before")?;
            (host, room, output, [before, args::optional_output(after, "after")?])
        };
        let outputs =
            [room.span(), args::span(count, 1), args::span(before, 1), args::span(after, 1)];
        args::apart(&[], &outputs)?;
        let plan = learned(host.engine.repack(capacity))?;
        for (index, one) in plan.moves.iter().enumerate() {
            // SAFETY: there are no more than the capacity.
            unsafe { room.write(index, one.into()) };
        }
        output.write(plan.moves.len());
        for (figure, now) in figures.into_iter().zip([plan.before, plan.after]) {
            if let Some(figure) = figure {
                figure.write(now.into());
            }
        }
        Ok(())
    })
}
