//! What the engine has done, and the proof that its books add up.

use super::args::{self, HasSize, Strided};
use super::failure::call;
use super::handle::{self, slotwise_engine_t};
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_number};

/// Counters since the engine was made, summed over threads. Each is exact; together they are not one
/// instant's picture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_stats_t {
    /// sizeof(slotwise_stats_t), set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Reservations made.
    pub placed: u64,
    /// Requests answered with the reservation that their id held already.
    pub existing: u64,
    /// Requests refused because nothing is free now: the want of capacity.
    pub busy: u64,
    /// Requests refused because nothing registered could ever hold them.
    pub never: u64,
    /// Reservations given back.
    pub released: u64,
    /// Reservations made larger or smaller.
    pub resized: u64,
    /// Compare-and-swaps that another change of the same slot came before and that were done again
    /// inside: contention, which no caller sees.
    pub cas_retries: u64,
    /// Version conflicts returned to callers who asked for a version.
    pub version_conflicts: u64,
    /// All-or-nothing batches undone and planned anew because another change took their place.
    pub gang_rollbacks: u64,
    /// Candidates looked at per request that was decided: entry k counts requests that looked at
    /// fewer than 2^k and at least 2^(k-1).
    pub probes: [u64; 24],
    /// Provisional reservations that were confirmed.
    pub confirmed: u64,
    /// Provisional reservations that were not, and have ended.
    pub expired: u64,
    /// Reservations that were told to leave by preemptions.
    pub preempted: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_stats_t {}

/// What an audit found.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_audit_t {
    /// sizeof(slotwise_audit_t), set by the caller.
    pub size: u32,
    /// 1: the books add up. 0: slotwise is broken; see the imbalances.
    pub ok: u32,
    /// Registered workers looked at.
    pub workers: u64,
    /// Live reservations counted.
    pub reservations: u64,
    /// Workers with less free than nothing, because their totals were lowered.
    pub over_committed: u64,
    /// Workers that other threads kept changing all the while, so that only bounds could be checked;
    /// 0 when nothing else runs.
    pub unsettled: u64,
    /// Slots whose books do not add up.
    pub imbalances: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_audit_t {}

/// One slot whose books do not add up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_imbalance_t {
    /// The slot's worker.
    pub worker: slotwise_worker_t,
    /// What live reservations hold, by the ledger.
    pub held: slotwise_resources_t,
    /// total - set_aside - free - held: CPU, memory, GPUs.
    pub missing: [i64; 3],
}

/// What has been done so far: "conflicts or capacity?" answered in numbers.
///
/// Returns SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
///
/// Threads: any. Takes a lock for a short time; O(threads).
/// Safety: `stats` points to a slotwise_stats_t whose size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_stats(
    engine: slotwise_engine_t,
    stats: *mut slotwise_stats_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output) =
            unsafe { (handle::host(engine)?, args::sized_output(stats, "stats")?) };
        let now = host.engine.stats();
        output.write(slotwise_stats_t {
            size: size_of::<slotwise_stats_t>() as u32,
            reserved: 0,
            placed: now.placed,
            existing: now.existing,
            busy: now.busy,
            never: now.never,
            released: now.released,
            resized: now.resized,
            cas_retries: now.cas_retries,
            version_conflicts: now.version_conflicts,
            gang_rollbacks: now.gang_rollbacks,
            probes: now.probes,
            confirmed: now.confirmed,
            expired: now.expired,
            preempted: now.preempted,
        });
        Ok(())
    })
}

/// How many workers are registered, and how many reservations are alive. Either may be NULL.
/// Reservations are counted: O(most there ever were).
///
/// Returns SLOTWISE_MISALIGNED, or what a handle can be wrong of.
///
/// Threads: any. No lock.
/// Safety: `workers` and `reservations` are NULL or point to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_counts(
    engine: slotwise_engine_t,
    workers: *mut u64,
    reservations: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let host = unsafe { handle::host(engine) }?;
        args::apart(&[], &[args::span(workers, 1), args::span(reservations, 1)])?;
        // SAFETY: passed on from the caller.
        let (to_workers, to_reservations) = unsafe {
            let workers = args::optional_output(workers, "workers")?;
            (workers, args::optional_output(reservations, "reservations")?)
        };
        if let Some(output) = to_workers {
            output.write(host.engine.worker_count() as u64);
        }
        if let Some(output) = to_reservations {
            output.write(host.engine.reservation_count() as u64);
        }
        Ok(())
    })
}

/// Proves for every registered worker that free + set aside + live reservations = total, while other
/// threads go on. Writes slots whose books do not add up to `imbalances`, at most `capacity` of
/// them; `audit` says how many there are.
///
/// Returns SLOTWISE_OK also where the books do not add up (`ok` is 0); SLOTWISE_NULL_POINTER,
/// SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can
/// be wrong of.
///
/// Threads: any. Takes the registry's lock; O(workers + most reservations there ever were).
/// Safety: `audit` points to a slotwise_audit_t whose size is set; `imbalances` has room for
/// `capacity` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_audit(
    engine: slotwise_engine_t,
    audit: *mut slotwise_audit_t,
    imbalances: *mut slotwise_imbalance_t,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, output, room) = unsafe {
            let host = handle::host(engine)?;
            let output = args::sized_output(audit, "audit")?;
            (host, output, Strided::new(imbalances, 0, capacity, "imbalances")?)
        };
        args::apart(&[], &[room.span(), args::span(audit, 1)])?;
        let found = host.engine.audit();
        output.write(slotwise_audit_t {
            size: size_of::<slotwise_audit_t>() as u32,
            ok: found.is_ok() as u32,
            workers: found.workers as u64,
            reservations: found.reservations as u64,
            over_committed: found.over_committed as u64,
            unsettled: found.unsettled as u64,
            imbalances: found.imbalances.len() as u64,
        });
        for (index, imbalance) in found.imbalances.iter().enumerate().take(capacity) {
            let entry = slotwise_imbalance_t {
                worker: worker_number(imbalance.worker),
                held: imbalance.held.into(),
                missing: imbalance.missing,
            };
            // SAFETY: below the capacity.
            unsafe { room.write(index, entry) };
        }
        Ok(())
    })
}
