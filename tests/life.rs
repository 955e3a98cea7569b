//! The whole life of a reservation and of a worker: time limits, leases, quotas, spread, preemption,
//! capacity on its way.

mod common;

#[path = "life/preemption.rs"]
mod preemption;
#[path = "life/quotas.rs"]
mod quotas;
#[path = "life/spread.rs"]
mod spread;
#[path = "life/two_phase.rs"]
mod two_phase;
#[path = "life/workers.rs"]
mod workers;
