//! The mix of requests as it was met, and the sequences drawn from it.

use super::{
    Kinds, Shape,
    fill::{LENGTH, SHORTEST, Sequences},
    lanes::LANES,
    node::mix,
    prices::{self, Needs, Supply},
};

/// Requests after which sequences are drawn anew; the first times after 8, 16, 32 and so on.
pub const REDRAW: u64 = 600;

/// Thousandths of a device that two nodes may differ by and still be equal, where sequences are longest: the
/// less is drawn, the less is it that tells nodes apart.
const STEP: usize = 50;

/// The mix, and what was drawn from it: a function of the requests that came, the seed, and
/// whether CPU was tight.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Kinds and counts.
    pub kinds: Kinds,
    /// The sequences drawn last.
    pub sequences: Sequences,
    length: usize,
    /// What requests for several devices need of CPU.
    pub needs: Needs,
    /// Requests without devices were drawn, too.
    pub cpu_tight: bool,
    /// Releases since sequences were drawn last, and when that was.
    released: u64,
    drawn_at: u64,
    redraw_at: u64,
}

impl Learned {
    /// A request that was placed left.
    pub fn release(&mut self) {
        self.released += 1;
    }

    /// One more request. Says whether sequences were drawn anew.
    pub fn arrive(&mut self, shape: &Shape, seed: u64, supply: &Supply) -> bool {
        self.kinds.count(&shape.without_memory());
        let arrived = self.kinds.arrived();
        if arrived < self.redraw_at.max(8) {
            return false;
        }
        let since = core::mem::replace(&mut self.drawn_at, arrived);
        self.length = length(core::mem::take(&mut self.released), arrived - since);
        self.redraw_at = arrived + arrived.min(REDRAW);
        self.cpu_tight = prices::cpu_is_tight(&self.kinds, supply);
        prices::follow(&mut self.needs, prices::needs(&self.kinds));
        let wanted = |(s, _): &(&Shape, u64)| self.cpu_tight || s.num_gpu() > 0;
        let weights: Vec<(Shape, u64)> =
            self.kinds.iter().filter(wanted).map(|(shape, count)| (*shape, count)).collect();
        self.sequences = Sequences::draw(&weights, self.length, mix(seed) ^ arrived);
        true
    }

    /// Thousandths of devices, times [`LANES`], that nodes which are equal may differ by.
    pub fn step(&self) -> u32 {
        let length = if self.length == 0 { LENGTH } else { self.length };
        (STEP * LANES * length / LENGTH) as u32
    }
}

/// Sequences are the shorter the more leaves for each request that comes; shortest where three leave
/// for four that come, since some that come are refused.
fn length(released: u64, arrived: u64) -> usize {
    let leaves = (released * 4 / 3).min(arrived) as usize * (LENGTH - SHORTEST);
    LENGTH - leaves / (arrived as usize).max(1)
}
