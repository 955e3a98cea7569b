//! Placement of requests for parts of a device, or for several whole ones, on nodes with devices.
//!
//! Plain data in, a proposal out: a [`Placer`] mirrors what nodes have free, [`Placer::choose`]
//! proposes a node and its devices for a request, and [`Placer::update`] tells it what a node has
//! now, after a placement, a release or anything else. Whoever owns the truth takes the devices,
//! and updates and asks again where they were gone.

mod adaptive;
mod among;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod board;
mod cell;
mod changes;
mod explain;
mod fgd;
mod fill;
mod kinds;
mod known;
mod lanes;
mod learned;
mod memo;
mod models;
pub mod naive;
mod node;
mod placer;
mod prices;
mod ranking;
mod repack;
mod round;
mod rules;
#[cfg(test)]
mod tests;
mod tuning;

pub use adaptive::{Adaptive, REPRICE};
pub use among::Among;
pub use changes::Changes;
pub use explain::{Refused, Short, explain};
pub use fgd::{Typical, fragmentation, typical, typical_of};
pub use fill::{LENGTH, SHORTEST, Sequences};
pub use kinds::{Kinds, MAX_KINDS};
pub use lanes::LANES;
pub use learned::{Learned, REDRAW};
pub use node::{DeviceSet, MAX_DEVICES, MAX_MODELS, ModelSet, Node, Shape, ShapeError, WHOLE};
pub use placer::{Choice, Method, Placer};
pub use prices::Supply;
pub use repack::{Held, Move, repack};
pub use tuning::Tuning;
