//! What is kept for one kind of request and one node, and what it makes of the node's place among others.

use super::{DeviceSet, lanes::LANES, prices::PLACES, ranking::UNFIT};

/// Thousandths of a device that two nodes may differ by and still be equal.
const STEP: i32 = 50 * LANES as i32;

/// Key of a node that takes the request but could not be looked at yet: the last resort.
const UNKNOWN: u32 = UNFIT - 1;

/// The middle of the keys: nothing destroyed, no price.
const MIDDLE: i32 = 1 << 20;

/// What a request of one kind would do to one node.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Destroyed thousandths of devices, times [`LANES`].
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

/// A cell's place in the ranking.
#[inline]
pub fn key(cell: &Cell, model: u8, models: &[i32], places: &[i32; PLACES.len()]) -> u32 {
    match cell.base {
        NO_FIT => UNFIT,
        NO_LOOK => UNKNOWN,
        base => {
            let lost = cell.lost.iter().zip(places).map(|(&n, price)| i32::from(n) * price);
            let all = base + models[usize::from(model)] + lost.sum::<i32>();
            (all.div_euclid(STEP) + MIDDLE) as u32
        }
    }
}
