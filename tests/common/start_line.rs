//! Where threads of tests and benchmarks start together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Where threads wait until all of them are there, awake. Whoever sleeps until the last one comes,
/// as at a barrier of the standard library, is woken milliseconds later and beside it on its core:
/// short work would then be done one thread after another, and meet nobody.
pub struct StartLine(AtomicUsize);

impl StartLine {
    pub fn new(threads: usize) -> StartLine {
        StartLine(AtomicUsize::new(threads))
    }

    pub fn wait(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        while self.0.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
    }
}
