//! The C interface: handles, status codes, one file for each group of functions. Translation only;
//! what is decided is decided by the engine. `include/slotwise.h` is generated from here and is the
//! manual: comments on what is exported are written for C.
//!
//! # Safety
//! Each function leans on what the header asks of its callers: a pointer that is not NULL points to
//! what its type says, for as many entries as the count beside it says; what is read is not written
//! by others during the call; the last reference to an engine is freed only when no call with it is
//! under way. `args` checks what can be checked.

#![allow(unsafe_code, reason = "a C interface")]
#![allow(non_camel_case_types, reason = "types are named as C names them")]
#![allow(clippy::missing_safety_doc, reason = "the Safety line of each is written for the header")]

mod accounts;
mod args;
mod batch;
mod clock;
mod columns;
mod devices;
mod dry_run;
mod engine;
mod explain;
mod failure;
mod group;
mod hand_off;
mod handle;
mod life;
mod limits;
mod listing;
mod mix;
#[cfg(slotwise_panic_test)]
mod panic_test;
mod preempt;
mod release;
mod report;
mod reserve;
mod selectors;
mod status;
mod suppose;
mod terms;
mod thread;
mod unmet;
mod workers;

pub use accounts::*;
pub use args::slotwise_text_t;
pub use batch::*;
pub use clock::*;
pub use columns::*;
pub use devices::*;
pub use dry_run::*;
pub use engine::*;
pub use explain::*;
pub use failure::{
    SLOTWISE_CPU, SLOTWISE_GPUS, SLOTWISE_MEMORY, SLOTWISE_NO_DIMENSION, SLOTWISE_OUTLOOK_START,
    SLOTWISE_OUTLOOK_UNKNOWN, SLOTWISE_OUTLOOK_WAIT, slotwise_error_t, slotwise_last_error,
    slotwise_last_error_text, slotwise_reasons_t,
};
pub use group::*;
pub use hand_off::*;
pub use handle::slotwise_engine_t;
pub use life::*;
pub use limits::*;
pub use listing::*;
pub use mix::*;
#[cfg(slotwise_panic_test)]
pub use panic_test::*;
pub use preempt::*;
pub use release::*;
pub use report::*;
pub use reserve::*;
pub use selectors::*;
pub use status::*;
pub use suppose::*;
pub use terms::{SLOTWISE_ACCOUNT, SLOTWISE_HOLD, slotwise_limit_t, slotwise_terms_t};
pub use unmet::*;
pub use workers::*;
