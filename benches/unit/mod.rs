//! The unit that costs are counted in.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const BARE: &str = "bare pair";

/// Load and CAS down, load and CAS up, on a word that nobody else touches.
pub fn bare_pairs(pairs: usize) -> Duration {
    let word = AtomicU64::new(u64::MAX);
    let word = black_box(&word);
    let step = |change: fn(u64) -> u64| {
        let seen = word.load(Ordering::Acquire);
        let swap = word.compare_exchange(seen, change(seen), Ordering::AcqRel, Ordering::Relaxed);
        swap.expect("nobody else is here");
    };
    let start = Instant::now();
    for _ in 0..pairs {
        step(|free| free - 1);
        step(|free| free + 1);
    }
    start.elapsed()
}
