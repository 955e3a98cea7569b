//! What a container platform asks of the engine: its rules and its cases, by number, each a test.
//!
//! What is still to come has no test here: expiry by heartbeat (the end of rule 9) and the hand-off of
//! a pending worker's holds to another id (rule 12).

mod common;

#[path = "scenarios/cases.rs"]
mod cases;
#[path = "scenarios/demand.rs"]
mod demand;
#[path = "scenarios/eligibility.rs"]
mod eligibility;
#[path = "scenarios/rules.rs"]
mod rules;
