//! Counters, one set per thread: only its thread writes, by plain loads and stores, so that
//! counting costs no locked instruction; anybody may read.

use super::stats::{PROBE_BUCKETS, Stats};
use super::{Reservation, ReserveError, Verdict};
use crate::sync::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Only by the owning thread. Relaxed: each count stands for itself.
    #[inline]
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counters {
    pub(super) placed: Counter,
    pub(super) existing: Counter,
    pub(super) busy: Counter,
    pub(super) never: Counter,
    pub(super) released: Counter,
    pub(super) resized: Counter,
    pub(super) confirmed: Counter,
    pub(super) expired: Counter,
    pub(super) preempted: Counter,
    pub(super) cas_retries: Counter,
    pub(super) version_conflicts: Counter,
    pub(super) gang_rollbacks: Counter,
    probes: [Counter; PROBE_BUCKETS],
}

impl Counters {
    /// Counts how a request ended.
    #[inline]
    pub(super) fn note(&self, result: &Result<Reservation, ReserveError>) {
        match result {
            Ok(r) if r.existing => self.existing.add(1),
            Ok(_) => self.placed.add(1),
            Err(ReserveError::Refused(r)) if r.verdict == Verdict::Busy => self.busy.add(1),
            Err(ReserveError::Refused(_)) => self.never.add(1),
            Err(ReserveError::VersionConflict { .. }) => self.version_conflicts.add(1),
            Err(_) => {}
        }
    }

    /// Counts the candidates that one request looked at.
    #[inline]
    pub(super) fn note_probes(&self, probes: u64) {
        let bucket = (u64::BITS - probes.leading_zeros()) as usize;
        self.probes[bucket.min(PROBE_BUCKETS - 1)].add(1);
    }

    pub(super) fn add_to(&self, sum: &mut Stats) {
        sum.placed += self.placed.get();
        sum.existing += self.existing.get();
        sum.busy += self.busy.get();
        sum.never += self.never.get();
        sum.released += self.released.get();
        sum.resized += self.resized.get();
        sum.confirmed += self.confirmed.get();
        sum.expired += self.expired.get();
        sum.preempted += self.preempted.get();
        sum.cas_retries += self.cas_retries.get();
        sum.version_conflicts += self.version_conflicts.get();
        sum.gang_rollbacks += self.gang_rollbacks.get();
        for (bucket, counter) in sum.probes.iter_mut().zip(&self.probes) {
            *bucket += counter.get();
        }
    }
}
