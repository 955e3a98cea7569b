//! Pure policy over plain data: who may take a request, in what order, and who is best. No
//! atomics, no clock, no allocation on the way to a placement; every function here has a slow,
//! obviously right twin in [`naive`] or in the model test. In [`gpu`], what is learned and kept
//! grows up to its bounds, and allocates while it does.

mod devices;
mod filter;
pub mod gpu;
mod miss;
pub mod naive;
pub mod order;
mod pack;
mod policy;
mod resources;
mod score;
mod victims;

pub(crate) use devices::{Device, Devices, Prefer};
pub use devices::{DeviceError, DeviceNeed, Granted, Island, MAX_ISLAND};
pub use filter::{Mismatch, Rank, Traits, Wanted};
pub use miss::{Room, missing, share_of};
pub use pack::{Packing, least_workers, pack};
pub use policy::{Policy, UnknownPolicy};
pub use resources::{Dimension, Free, Resources};
pub use score::{free_share, score, weights};
#[cfg(all(test, not(slotwise_loom)))]
pub(crate) use victims::naive as fewest_victims_naive;
pub(crate) use victims::{Cost, Held as Victim, fewest as fewest_victims};
