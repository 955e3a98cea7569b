//! What the engine has done so far: "conflicts or capacity?" answered in numbers.

/// Buckets of [`Stats::probes`].
pub const PROBE_BUCKETS: usize = 24;

/// Counters since the engine was built, summed over threads. Each is exact; together they are not
/// one instant's picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
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
    /// Reservations that were made to hold another amount.
    pub resized: u64,
    /// Provisional reservations that were confirmed.
    pub confirmed: u64,
    /// Provisional reservations that were not, and have ended.
    pub expired: u64,
    /// Reservations that were told to leave by preemptions.
    pub preempted: u64,
    /// Compare-and-swaps that another change of the same slot came before and that were done
    /// again inside: contention, which no caller sees.
    pub cas_retries: u64,
    /// Version conflicts returned to callers who asked for a version.
    pub version_conflicts: u64,
    /// All-or-nothing batches undone and planned anew because another change took their place.
    pub gang_rollbacks: u64,
    /// Candidates looked at per request that was decided: bucket k counts requests that looked at
    /// fewer than 2^k and at least 2^(k-1).
    pub probes: [u64; PROBE_BUCKETS],
}

impl Stats {
    /// Upper bound of the number of candidates looked at by the fraction `q` (0 to 1) of
    /// requests.
    pub fn probes_at(&self, q: f64) -> u64 {
        let all: u64 = self.probes.iter().sum();
        let want = (q.clamp(0.0, 1.0) * all as f64).ceil() as u64;
        let mut seen = 0;
        for (k, n) in self.probes.iter().enumerate() {
            seen += n;
            if seen >= want && *n > 0 {
                return (1u64 << k) - 1;
            }
        }
        0
    }
}
