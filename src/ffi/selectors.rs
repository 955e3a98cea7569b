//! Constraints, compiled into selectors.

use super::args::{self, HasSize, slotwise_text_t};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use crate::Constraints;

/// No constraint: every open, shared, not preemptable worker.
pub const SLOTWISE_SELECTOR_ANY: u32 = 0;

/// Preemptable workers too.
pub const SLOTWISE_ACCEPT_PREEMPTABLE: u32 = 1;

/// A label that a worker must have, with one of these values.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_label_in_t {
    /// The label's key.
    pub key: slotwise_text_t,
    /// The values that will do.
    pub values: *const slotwise_text_t,
    /// How many: 1 to SLOTWISE_MAX_LIST_LENGTH.
    pub value_count: usize,
}

/// Which workers a request may use, and in what order. All zero but the size: any open, shared, not
/// preemptable worker.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_constraints_t {
    /// sizeof(slotwise_constraints_t).
    pub size: u32,
    /// SLOTWISE_ACCEPT_PREEMPTABLE, or 0.
    pub flags: u32,
    /// Only workers on this machine; the pool rule does not apply. NULL data: on any.
    pub machine: slotwise_text_t,
    /// Workers of this tenant beside the shared ones. NULL data: only shared ones.
    pub tenant: slotwise_text_t,
    /// Only workers of these pools: all of an earlier one come before any of a later one within a
    /// tier. At most SLOTWISE_MAX_LIST_LENGTH; one that stands twice counts where it stands first.
    pub pools: *const slotwise_text_t,
    /// How many; 0: no pool is named.
    pub pool_count: usize,
    /// Only workers with all of these labels. A key that stands twice keeps its last values.
    pub labels: *const slotwise_label_in_t,
    /// How many.
    pub label_count: usize,
    /// GPUs of these types, the preferred ones first. Naming a type makes a request for 0 GPUs one
    /// for 1.
    pub gpu_types: *const slotwise_text_t,
    /// How many; 0: any type.
    pub gpu_type_count: usize,
    /// 0.
    pub reserved: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_constraints_t {}

impl slotwise_constraints_t {
    /// # Safety
    /// As [`super::args`] says, of all that it points to.
    unsafe fn get(&self) -> Result<Constraints, Failure> {
        args::reserved(self.reserved == 0)?;
        if self.flags & !SLOTWISE_ACCEPT_PREEMPTABLE != 0 {
            return Err(args::unknown("flags", self.flags as u64).into());
        }
        let accept = self.flags & SLOTWISE_ACCEPT_PREEMPTABLE != 0;
        let mut constraints = Constraints::new().accept_preemptable(accept);
        // SAFETY: passed on, for each list and each text in it.
        unsafe {
            if let Some(machine) = self.machine.get("machine")? {
                constraints = constraints.machine(machine);
            }
            if let Some(tenant) = self.tenant.get("tenant")? {
                constraints = constraints.tenant(tenant);
            }
            for pool in args::array(self.pools, self.pool_count, "pools")? {
                constraints = constraints.pool(pool.get("pools")?.unwrap_or_default());
            }
            for label in args::array(self.labels, self.label_count, "labels")? {
                let values = args::array(label.values, label.value_count, "values")?;
                let values: Result<Vec<&[u8]>, _> = values
                    .iter()
                    .map(|value| Ok(value.get("values")?.unwrap_or_default()))
                    .collect::<Result<_, Failure>>();
                let key = label.key.get("labels")?.unwrap_or_default();
                constraints = constraints.label_in(key, values?);
            }
            for kind in args::array(self.gpu_types, self.gpu_type_count, "gpu_types")? {
                constraints = constraints.gpu_type(kind.get("gpu_types")?.unwrap_or_default());
            }
        }
        Ok(constraints)
    }
}

/// Compiles constraints into a selector: a number that is valid for the engine's life. The same
/// constraints always give the same one. Hosts intern what they use and pass the number with each
/// request.
///
/// Returns SLOTWISE_NAME_LENGTH, SLOTWISE_LIST_LENGTH, SLOTWISE_TOO_MANY_SELECTORS,
/// SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
/// SLOTWISE_COUNT, or what a handle can be wrong of.
///
/// Threads: any. Takes the registry's lock; O(classes) when the constraints are new.
/// Safety: `constraints` points to a slotwise_constraints_t, whose lists have as many entries as
/// it says; `selector` points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_selector(
    engine: slotwise_engine_t,
    constraints: *const slotwise_constraints_t,
    selector: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, constraints, output) = unsafe {
            let host = handle::host(engine)?;
            let constraints = args::input(constraints, "constraints")?.get()?;
            (host, constraints, args::output(selector, "selector")?)
        };
        output.write(host.engine.selector(&constraints)?.0);
        Ok(())
    })
}
