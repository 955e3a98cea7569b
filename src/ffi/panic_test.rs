//! A fault to order, in builds for the test of what faults do: they stay inside, or end the process
//! where the library was built to abort. Not in the header.

use super::failure::call;

/// Panics inside of the interface.
///
/// Threads: any. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_panic_test() -> i32 {
    call(|| panic!("a fault to order"))
}
