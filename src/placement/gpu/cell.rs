//! What is kept for one kind of request and one node, and what it makes of the node's place among others.

use super::{DeviceSet, MAX_MODELS, prices::PLACES, ranking::UNFIT};

/// The middle of the keys: nothing destroyed, no price.
const MIDDLE: u32 = 1 << 20;

/// What a request of one kind would do to one node.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Destroyed thousandths of devices, times [`LANES`](super::LANES).
    pub base: i32,
    /// Low bits of the number of the node's change that this was computed after.
    pub change: u32,
    pub devices: DeviceSet,
    pub lost: Lost,
    /// The node's, so that many cells are gone through without their nodes.
    pub model: u8,
}

/// [`Cell::base`] of a node that does not fit, and of one that fits and was not looked at: the last resort.
pub const NO_FIT: i32 = i32::MAX;
pub const NO_LOOK: i32 = i32::MAX - 1;

pub const EMPTY: Cell =
    Cell { base: NO_FIT, change: u32::MAX, devices: DeviceSet::NONE, lost: Lost::NONE, model: 0 };

/// Places lost, a byte for each of [`PLACES`], in a register.
#[derive(Clone, Copy, Debug)]
pub struct Lost(u32);

impl Lost {
    pub const NONE: Lost = Lost(0);

    #[inline(always)]
    pub fn of(each: impl Fn(usize) -> u8) -> Lost {
        Lost((0..PLACES.len()).fold(0, |all, i| all | u32::from(each(i)) << (8 * i)))
    }

    #[inline(always)]
    fn priced(self, prices: &[i32; PLACES.len()]) -> i32 {
        (0..PLACES.len()).map(|i| (self.0 >> (8 * i) & 0xff) as i32 * prices[i]).sum()
    }
}

/// What cells are made keys by: the prices of models and of places lost, and how much nodes differ by that
/// are equal; all times [`LANES`](super::LANES).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    models: [i32; MAX_MODELS],
    places: [i32; PLACES.len()],
    /// [`MIDDLE`] in thousandths.
    middle: i32,
    /// 2^shift / step, and a little more.
    inverse: u64,
    shift: u32,
}

impl Scale {
    /// `step` is at least 2, and at most 1,600.
    pub fn new(models: [i32; MAX_MODELS], places: [i32; PLACES.len()], step: u32) -> Scale {
        // Exact for numbers below 2^31 (Granlund, Montgomery 1994).
        let shift = 31 + step.next_power_of_two().trailing_zeros();
        let inverse = (1 << shift) / u64::from(step) + 1;
        Scale { models, places, middle: (MIDDLE * step) as i32, inverse, shift }
    }

    /// A cell's place in the ranking.
    #[inline(always)]
    pub fn key(&self, cell: &Cell) -> u32 {
        if cell.base >= NO_LOOK {
            return UNFIT - (NO_FIT - cell.base) as u32;
        }
        let lost = if cell.lost.0 == 0 { 0 } else { cell.lost.priced(&self.places) };
        let all = cell.base + self.models[usize::from(cell.model) % MAX_MODELS] + lost;
        let all = u64::from(all.saturating_add(self.middle).max(0) as u32);
        ((all * self.inverse) >> self.shift) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_a_number_of_steps(
            base in -40_000_000i32..40_000_000,
            price in 0i32..40_000_000,
            lost in 0u8..9,
            step in 2u32..=1600,
        ) {
            let (mut models, mut places) = ([0; MAX_MODELS], [0; PLACES.len()]);
            (models[3], places[2]) = (price, price / 9);
            let cell = Cell { base, lost: Lost::of(|i| [0, 0, lost, 0][i]), model: 3, ..EMPTY };
            let all = base + price + i32::from(lost) * (price / 9);
            let steps = i64::from(all).div_euclid(step.into()) + MIDDLE as i64;
            prop_assume!(steps >= 0);
            let scale = Scale::new(models, places, step);
            prop_assert_eq!(i64::from(scale.key(&cell)), steps);
            prop_assert_eq!(scale.key(&Cell { base: NO_LOOK, ..cell }), UNFIT - 1);
            prop_assert_eq!(scale.key(&EMPTY), UNFIT);
        }
    }
}
