//! What is kept for one kind of request and one node, and what it makes of the node's place among others.

use super::{DeviceSet, MAX_MODELS, prices::PLACES, ranking::UNFIT};

/// Key of a node that takes the request but could not be looked at yet: the last resort.
const UNKNOWN: u32 = UNFIT - 1;

/// The middle of the keys: nothing destroyed, no price.
const MIDDLE: u64 = 1 << 20;

/// What a request of one kind would do to one node.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Destroyed thousandths of devices, times [`LANES`](super::LANES).
    pub base: i32,
    /// Low bits of the number of the node's change that this was computed after.
    pub change: u32,
    pub devices: DeviceSet,
    /// Places lost.
    pub lost: [u8; PLACES.len()],
}

/// [`Cell::base`] of a node that does not fit, and of one that fits and was not looked at.
pub const NO_FIT: i32 = i32::MAX;
pub const NO_LOOK: i32 = i32::MAX - 1;

pub const EMPTY: Cell =
    Cell { base: NO_FIT, change: u32::MAX, devices: DeviceSet::NONE, lost: [0; 4] };

/// What cells are made keys by: the prices of models and of places lost, and how much nodes differ by that
/// are equal; all times [`LANES`](super::LANES).
#[derive(Clone, Debug)]
pub struct Scale {
    models: [i32; MAX_MODELS],
    places: [i32; PLACES.len()],
    step: u64,
    /// 2^64 / step, and a little more.
    inverse: u64,
}

impl Scale {
    /// `step` is at least 2.
    pub fn new(models: [i32; MAX_MODELS], places: [i32; PLACES.len()], step: u32) -> Scale {
        let step = u64::from(step);
        Scale { models, places, step, inverse: u64::MAX / step + 1 }
    }

    /// A cell's place in the ranking.
    #[inline]
    pub fn key(&self, cell: &Cell, model: u8) -> u32 {
        match cell.base {
            NO_FIT => UNFIT,
            NO_LOOK => UNKNOWN,
            base => {
                let lost = cell.lost.iter().zip(&self.places);
                let lost: i32 = lost.map(|(&n, price)| i32::from(n) * price).sum();
                let all = i64::from(base + self.models[usize::from(model)] + lost);
                // A multiplication in place of a division, exact where the product of both is below 2^64
                // (Granlund, Montgomery 1994).
                let all = (MIDDLE * self.step).saturating_add_signed(all);
                ((u128::from(all) * u128::from(self.inverse)) >> 64) as u32
            }
        }
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
            let cell = Cell { base, lost: [0, 0, lost, 0], ..EMPTY };
            let all = base + price + i32::from(lost) * (price / 9);
            let steps = i64::from(all).div_euclid(step.into()) + MIDDLE as i64;
            prop_assume!(steps >= 0);
            prop_assert_eq!(i64::from(Scale::new(models, places, step).key(&cell, 3)), steps);
        }
    }
}
