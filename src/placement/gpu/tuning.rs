//! How much of its work the adaptive policy does for one request.

/// How much is done for one request, and where the random numbers start. The values are the same
/// for every cluster and mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Node states that are valued for one request, about.
    pub values: u32,
    /// Of them, at most so many for what was computed with older sequences.
    pub older: u32,
    /// Winners that are looked at again, where what is kept of them is older or the node changed.
    pub looks: u32,
    /// Nodes that are looked through for what is older, and that keys are made for by new prices.
    pub sweep: usize,
    /// Of them, nodes at most that are computed with new sequences, values that are known included.
    pub renewals: usize,
    /// Nodes that are added up for the next prices.
    pub survey: usize,
    /// Other seeds, other sequences.
    pub seed: u64,
}

impl Tuning {
    /// Nothing is put off, at any cost: what the naive twin does.
    pub const EXACT: Tuning = Tuning {
        values: u32::MAX,
        older: u32::MAX,
        looks: u32::MAX,
        sweep: usize::MAX,
        renewals: usize::MAX,
        survey: usize::MAX,
        seed: 1,
    };
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { values: 40, older: 10, looks: 20, sweep: 2048, renewals: 64, survey: 64, seed: 1 }
    }
}
