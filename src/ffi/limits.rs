//! The limits that C hosts may want at compile time.

/// Changes with every change of this interface that an older caller could notice.
pub const SLOTWISE_ABI_VERSION: u32 = 1;
/// Most engines that a process keeps at once.
pub const SLOTWISE_MAX_ENGINES: u32 = 4096;
/// Most entries in an array that one call takes.
pub const SLOTWISE_MAX_COUNT: u64 = 16_777_216;
/// Longest id of a request, worker or batch, in bytes.
pub const SLOTWISE_MAX_ID_LENGTH: u32 = 64;
/// Longest pool, GPU type, tenant, machine, label key, label value, account or spread group, in
/// bytes.
pub const SLOTWISE_MAX_NAME_LENGTH: u32 = 255;
/// Most spread groups that one request can be a member of.
pub const SLOTWISE_MAX_LIMITS: u32 = 4;
/// Most devices of one worker, and most that one request can ask for.
pub const SLOTWISE_MAX_DEVICES: u32 = 16;
/// Highest island of a device.
pub const SLOTWISE_MAX_ISLAND: u32 = 254;
/// Most kinds of requests that a policy which learns tells apart.
pub const SLOTWISE_MAX_KINDS: u32 = 512;
/// Most pools, GPU types, labels or values of one label in a constraint.
pub const SLOTWISE_MAX_LIST_LENGTH: u32 = 64;

// The generator of the header reads numbers, not names.
const _: () = assert!(SLOTWISE_MAX_ID_LENGTH as usize == crate::MAX_ID_LEN);
const _: () = assert!(SLOTWISE_MAX_NAME_LENGTH as usize == crate::MAX_NAME_LEN);
const _: () = assert!(SLOTWISE_MAX_LIST_LENGTH as usize == crate::MAX_LIST_LEN);
const _: () = assert!(SLOTWISE_MAX_LIMITS as usize == crate::MAX_LIMITS);
const _: () = assert!(SLOTWISE_MAX_DEVICES as usize == crate::MAX_DEVICES);
const _: () = assert!(SLOTWISE_MAX_ISLAND == crate::MAX_ISLAND as u32);
const _: () = assert!(SLOTWISE_MAX_KINDS as usize == crate::placement::gpu::MAX_KINDS);
const _: () = assert!(crate::PROBE_BUCKETS == 24);
