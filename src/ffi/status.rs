//! The status codes. A number once given is never given to anything else.

use core::ffi::{CStr, c_char};

/// Done.
pub const SLOTWISE_OK: i32 = 0;

/// Refused: it would fit on a registered worker if others left or a state changed. Wait, or make
/// room.
pub const SLOTWISE_BUSY: i32 = 1;
/// Refused: no registered worker that it may use could ever hold it. Add a worker.
pub const SLOTWISE_NEVER: i32 = 2;

/// A pointer is NULL that must not be.
pub const SLOTWISE_NULL_POINTER: i32 = 10;
/// A pointer or a stride is not aligned to what it points to.
pub const SLOTWISE_MISALIGNED: i32 = 11;
/// A structure's `size` is none that this library knows.
pub const SLOTWISE_STRUCT_SIZE: i32 = 12;
/// A reserved field is not zero.
pub const SLOTWISE_RESERVED: i32 = 13;
/// A number stands for nothing: a flag, policy, mode, field or kind, or fields that exclude each
/// other.
pub const SLOTWISE_UNKNOWN_VALUE: i32 = 14;
/// A stride is smaller than what it steps over.
pub const SLOTWISE_STRIDE: i32 = 15;
/// An array that is read overlaps one that is written, or two that are written overlap.
pub const SLOTWISE_OVERLAP: i32 = 16;
/// More entries than a call takes (SLOTWISE_MAX_COUNT), or a length beyond any memory.
pub const SLOTWISE_COUNT: i32 = 17;
/// Offsets of packed ids fall.
pub const SLOTWISE_OFFSETS: i32 = 18;
/// An array for results is too small; the call says how many entries it needs.
pub const SLOTWISE_ARRAY_TOO_SMALL: i32 = 19;

/// No such engine: the handle was freed, or never given out.
pub const SLOTWISE_STALE_HANDLE: i32 = 20;
/// The engine is closed.
pub const SLOTWISE_CLOSED: i32 = 21;
/// As many engines as a process keeps (SLOTWISE_MAX_ENGINES). Free some.
pub const SLOTWISE_TOO_MANY_ENGINES: i32 = 22;

/// An id is too long (SLOTWISE_MAX_ID_LENGTH), or empty where it must not be.
pub const SLOTWISE_ID_LENGTH: i32 = 30;
/// The request needs nothing in every dimension.
pub const SLOTWISE_EMPTY: i32 = 31;
/// More than any worker can have.
pub const SLOTWISE_TOO_LARGE: i32 = 32;
/// The id stands twice in one batch; the first stands.
pub const SLOTWISE_DUPLICATE_ID: i32 = 33;
/// Another thread is at work on this very id, batch id or reservation. Ask again.
pub const SLOTWISE_IN_FLIGHT: i32 = 34;
/// The selector is not one of this engine's.
pub const SLOTWISE_UNKNOWN_SELECTOR: i32 = 35;
/// No such worker is registered, or not any more.
pub const SLOTWISE_UNKNOWN_WORKER: i32 = 36;
/// The worker is not at the version that the caller expected; slotwise_last_error says at which it
/// is and what is free there.
pub const SLOTWISE_VERSION_CONFLICT: i32 = 37;
/// As many reservations as the engine keeps. Raise max_reservations.
pub const SLOTWISE_LEDGER_FULL: i32 = 38;
/// Other changes came first too many times. Ask again.
pub const SLOTWISE_CONTENDED: i32 = 39;
/// Another entry of the same all-or-nothing batch or group could not be served.
pub const SLOTWISE_PEER: i32 = 40;
/// Nothing is held under this name: released already, lost with its worker, or never reserved.
pub const SLOTWISE_NOT_HELD: i32 = 41;
/// It is held on another worker than the one named.
pub const SLOTWISE_OTHER_WORKER: i32 = 42;
/// What a reservation should grow by is not free there; slotwise_last_error says what is missing.
pub const SLOTWISE_SHORT: i32 = 43;
/// The worker's state takes nothing more.
pub const SLOTWISE_STATE: i32 = 44;
/// The worker was removed during the call, and the reservation went with it.
pub const SLOTWISE_LOST: i32 = 45;
/// The batch id is that of a batch with another number of requests.
pub const SLOTWISE_OTHER_BATCH: i32 = 46;
/// The account is charged with as much as its quota allows, or nearly; slotwise_last_error says
/// with how much, and in which dimension.
pub const SLOTWISE_QUOTA_EXCEEDED: i32 = 47;
/// The account is not one of this engine's.
pub const SLOTWISE_UNKNOWN_ACCOUNT: i32 = 48;
/// The spread group is not one of this engine's.
pub const SLOTWISE_UNKNOWN_GROUP: i32 = 49;
/// More limits than a request can have (SLOTWISE_MAX_LIMITS).
pub const SLOTWISE_TOO_MANY_LIMITS: i32 = 50;
/// It would end before it begins: the host's clock has come to its deadline, or the end of its
/// lease.
pub const SLOTWISE_DEADLINE_PASSED: i32 = 51;
/// It is promised what others hold who have not left yet: release them once they have stopped.
pub const SLOTWISE_WAITING: i32 = 52;
/// The time is before that of the last tick.
pub const SLOTWISE_CLOCK_WENT_BACK: i32 = 53;

/// A name is too long (SLOTWISE_MAX_NAME_LENGTH), or empty where it must not be.
pub const SLOTWISE_NAME_LENGTH: i32 = 60;
/// More is set aside than the worker has.
pub const SLOTWISE_SET_ASIDE: i32 = 61;
/// A GPU type is given but no GPU.
pub const SLOTWISE_GPU_TYPE: i32 = 62;
/// A worker of this id is registered. Update it, or remove it first.
pub const SLOTWISE_DUPLICATE_WORKER: i32 = 63;
/// As many workers as the engine keeps. Raise max_workers.
pub const SLOTWISE_TABLE_FULL: i32 = 64;
/// A list of a constraint is too long (SLOTWISE_MAX_LIST_LENGTH), or a label has no value.
pub const SLOTWISE_LIST_LENGTH: i32 = 65;
/// As many selectors as the engine keeps. Reuse handles, or raise max_selectors.
pub const SLOTWISE_TOO_MANY_SELECTORS: i32 = 66;
/// A limit of the configuration is out of its range.
pub const SLOTWISE_CONFIG: i32 = 67;
/// The processor lacks an instruction that the engine needs.
pub const SLOTWISE_PROCESSOR: i32 = 68;
/// The signal or update is of a generation of the rollout that is over.
pub const SLOTWISE_OLD_GENERATION: i32 = 69;
/// Only a pending worker can be handed off.
pub const SLOTWISE_NOT_PENDING: i32 = 70;
/// A worker cannot be handed off to itself.
pub const SLOTWISE_HAND_OFF_TO_ITSELF: i32 = 71;
/// As many accounts or spread groups as the engine keeps. Raise max_accounts or max_groups.
pub const SLOTWISE_TOO_MANY_NAMES: i32 = 72;

/// More than 1,000 thousandths of a device are asked for.
pub const SLOTWISE_DEVICE_OVER_WHOLE: i32 = 80;
/// Devices are asked for, but nothing of them: device_milli is 0.
pub const SLOTWISE_DEVICE_EMPTY: i32 = 81;
/// A part of each of several devices is asked for: of several, each must be whole.
pub const SLOTWISE_DEVICE_PARTS: i32 = 82;
/// More devices than a worker can have (SLOTWISE_MAX_DEVICES).
pub const SLOTWISE_TOO_MANY_DEVICES: i32 = 83;
/// GPUs by number beside devices: a request asks for one of the two; a worker with devices has as
/// many GPUs as devices, none of them set aside.
pub const SLOTWISE_GPUS_BESIDE_DEVICES: i32 = 84;
/// Two devices of the worker have the same id; slotwise_last_error says which is the second.
pub const SLOTWISE_DUPLICATE_DEVICE: i32 = 85;
/// A device's island is too high (SLOTWISE_MAX_ISLAND).
pub const SLOTWISE_ISLAND_TOO_HIGH: i32 = 86;
/// The worker's GPUs are devices: a reservation can hold no number of GPUs there, and its devices stay
/// as they are.
pub const SLOTWISE_DEVICES_STAY: i32 = 87;
/// No request has come yet to a policy that learns, or other threads have its planners in hand.
pub const SLOTWISE_NOTHING_LEARNED: i32 = 88;

/// A fault in slotwise itself. Nothing was oversold; please report it with what it wrote to the
/// standard error stream.
pub const SLOTWISE_PANIC: i32 = 99;

/// What a status means, as a text that is never freed; never NULL, also for numbers that are no
/// status.
///
/// Threads: any. Safety: takes no pointer.
#[unsafe(no_mangle)]
pub extern "C" fn slotwise_status_text(status: i32) -> *const c_char {
    text(status).as_ptr()
}

pub(super) const fn text(status: i32) -> &'static CStr {
    match status {
        SLOTWISE_OK => c"done",
        SLOTWISE_BUSY => c"busy: nothing that suits it is free now",
        SLOTWISE_NEVER => c"never: no registered worker could ever hold it",
        SLOTWISE_NULL_POINTER => c"a pointer is NULL that must not be",
        SLOTWISE_MISALIGNED => c"a pointer or a stride is not aligned",
        SLOTWISE_STRUCT_SIZE => c"a structure's size is unknown to this library",
        SLOTWISE_RESERVED => c"a reserved field is not zero",
        SLOTWISE_UNKNOWN_VALUE => c"a number stands for nothing, or fields exclude each other",
        SLOTWISE_STRIDE => c"a stride is smaller than what it steps over",
        SLOTWISE_OVERLAP => c"arrays overlap",
        SLOTWISE_COUNT => c"more entries than a call takes",
        SLOTWISE_OFFSETS => c"offsets of packed ids fall",
        SLOTWISE_ARRAY_TOO_SMALL => c"an array for results is too small",
        SLOTWISE_STALE_HANDLE => c"no such engine: freed, or never given out",
        SLOTWISE_CLOSED => c"the engine is closed",
        SLOTWISE_TOO_MANY_ENGINES => c"as many engines as a process keeps: free some",
        SLOTWISE_ID_LENGTH => c"an id is too long, or empty where it must not be",
        SLOTWISE_EMPTY => c"the request needs nothing in every dimension",
        SLOTWISE_TOO_LARGE => c"more than any worker can have",
        SLOTWISE_DUPLICATE_ID => c"the id stands twice in this batch",
        SLOTWISE_IN_FLIGHT => c"another thread is at work on this: ask again",
        SLOTWISE_UNKNOWN_SELECTOR => c"the selector is not one of this engine's",
        SLOTWISE_UNKNOWN_WORKER => c"no such worker is registered",
        SLOTWISE_VERSION_CONFLICT => c"the worker is not at the expected version",
        SLOTWISE_LEDGER_FULL => c"as many reservations as the engine keeps: raise max_reservations",
        SLOTWISE_CONTENDED => c"other changes came first too many times: ask again",
        SLOTWISE_PEER => c"another entry of the same batch or group could not be served",
        SLOTWISE_NOT_HELD => c"nothing is held under this name",
        SLOTWISE_OTHER_WORKER => c"it is held on another worker",
        SLOTWISE_SHORT => c"what the reservation should grow by is not free there",
        SLOTWISE_STATE => c"the worker's state takes nothing more",
        SLOTWISE_LOST => c"the worker was removed, and the reservation with it",
        SLOTWISE_OTHER_BATCH => c"the batch id is that of a batch with another number of requests",
        SLOTWISE_QUOTA_EXCEEDED => c"the account is charged with as much as its quota allows",
        SLOTWISE_UNKNOWN_ACCOUNT => c"the account is not one of this engine's",
        SLOTWISE_UNKNOWN_GROUP => c"the spread group is not one of this engine's",
        SLOTWISE_TOO_MANY_LIMITS => c"more limits than a request can have",
        SLOTWISE_DEADLINE_PASSED => c"the deadline, or the end of the lease, has passed",
        SLOTWISE_WAITING => c"reservations that it displaces have not been released",
        SLOTWISE_CLOCK_WENT_BACK => c"the time is before that of the last tick",
        SLOTWISE_NAME_LENGTH => c"a name is too long, or empty where it must not be",
        SLOTWISE_SET_ASIDE => c"more is set aside than the worker has",
        SLOTWISE_GPU_TYPE => c"a GPU type is given but no GPU",
        SLOTWISE_DUPLICATE_WORKER => c"a worker of this id is registered",
        SLOTWISE_TABLE_FULL => c"as many workers as the engine keeps: raise max_workers",
        SLOTWISE_LIST_LENGTH => c"a list is too long, or a label has no value",
        SLOTWISE_TOO_MANY_SELECTORS => c"as many selectors as the engine keeps: reuse handles",
        SLOTWISE_CONFIG => c"a limit of the configuration is out of its range",
        SLOTWISE_PROCESSOR => c"the processor lacks an instruction that the engine needs",
        SLOTWISE_OLD_GENERATION => c"of a generation of the rollout that is over",
        SLOTWISE_NOT_PENDING => c"only a pending worker can be handed off",
        SLOTWISE_HAND_OFF_TO_ITSELF => c"a worker cannot be handed off to itself",
        SLOTWISE_TOO_MANY_NAMES => c"as many accounts or spread groups as the engine keeps",
        SLOTWISE_DEVICE_OVER_WHOLE => c"more than 1000 thousandths of a device are asked for",
        SLOTWISE_DEVICE_EMPTY => c"no device, or nothing of one, is asked for",
        SLOTWISE_DEVICE_PARTS => c"of several devices, each must be whole",
        SLOTWISE_TOO_MANY_DEVICES => c"more devices than a worker can have",
        SLOTWISE_GPUS_BESIDE_DEVICES => c"GPUs are given by number beside devices",
        SLOTWISE_DUPLICATE_DEVICE => c"two devices of the worker have the same id",
        SLOTWISE_ISLAND_TOO_HIGH => c"a device's island is too high",
        SLOTWISE_DEVICES_STAY => c"the worker's GPUs are devices, whose number cannot be changed",
        SLOTWISE_NOTHING_LEARNED => c"no policy that learns has seen a request yet",
        SLOTWISE_PANIC => c"a fault in slotwise itself: please report it",
        _ => c"unknown status",
    }
}
