//! What a container platform asks of the engine: its rules and its cases, by number, each a test.
//!
//! The rest of rules 9 and 12 (a worker that is not heard of, holds that are handed off) and what tenants may
//! use are in `tests/life`; all of it once more, for every language, in `tests/cases.txt`.

mod common;

#[path = "scenarios/cases.rs"]
mod cases;
#[path = "scenarios/demand.rs"]
mod demand;
#[path = "scenarios/eligibility.rs"]
mod eligibility;
#[path = "scenarios/rules.rs"]
mod rules;
