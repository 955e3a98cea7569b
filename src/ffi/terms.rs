//! What a request comes under beside what it needs: a time limit, a rank, a quota, limits on its
//! group; and the devices that it asks for.

use core::mem::offset_of;

use super::args::{self, HasSize};
use super::devices::island;
use super::failure::Failure;
use super::workers::SLOTWISE_PREEMPTABLE;
use crate::{Account, DeviceNeed, Island, Limit, Terms};

/// `hold_until` is set: the reservation is provisional.
pub const SLOTWISE_HOLD: u32 = 1;
/// `account` is set: the reservation is charged to it.
pub const SLOTWISE_ACCOUNT: u32 = 4;

const FLAGS: u32 = SLOTWISE_HOLD | SLOTWISE_PREEMPTABLE | SLOTWISE_ACCOUNT;

/// How many of a group may be in one place.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_limit_t {
    /// The group that the request is a member of, from slotwise_spread_group.
    pub group: u32,
    /// So many, this one included, at least 1; 1 is anti-affinity.
    pub at_most: u32,
}

// An array of the one is read as an array of the other.
const _: () = assert!(
    size_of::<slotwise_limit_t>() == size_of::<Limit>()
        && align_of::<slotwise_limit_t>() == align_of::<Limit>()
        && offset_of!(slotwise_limit_t, group) == offset_of!(Limit, group)
        && offset_of!(slotwise_limit_t, at_most) == offset_of!(Limit, at_most)
);

/// What a request comes under beside what it needs and where it may be. All zero but the size: none
/// of it. Requests point to it, many to one if they like; nothing is written to it, and nothing of
/// it is kept.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_terms_t {
    /// sizeof(slotwise_terms_t).
    pub size: u32,
    /// SLOTWISE_HOLD, SLOTWISE_PREEMPTABLE (a request of higher priority may displace it),
    /// SLOTWISE_ACCOUNT, or several.
    pub flags: u32,
    /// With SLOTWISE_HOLD: the reservation is provisional. Unless slotwise_confirm comes before,
    /// the first slotwise_tick at or after this time of the host's clock ends it, and its capacity
    /// returns. Otherwise 0.
    pub hold_until: u64,
    /// Its rank in a preemption: higher may displace lower.
    pub priority: i32,
    /// With SLOTWISE_ACCOUNT: whose quota it is charged to, from slotwise_account. Otherwise 0.
    pub account: u32,
    /// Groups that it is a member of. Where it cannot be counted without going over a limit, it is
    /// not placed. NULL where there are none.
    pub limits: *const slotwise_limit_t,
    /// How many: at most SLOTWISE_MAX_LIMITS.
    pub limit_count: usize,
    /// 0.
    pub reserved: u64,
    /// Asks for so many devices, all of them different, on one worker that was registered with
    /// devices: 1 to SLOTWISE_MAX_DEVICES. The request's `gpus` is 0 then, and slotwise_granted says
    /// which they are. Its account is charged with a GPU for each, also for a part. 0: asks for
    /// none, and what follows is 0 too.
    pub device_count: u32,
    /// Thousandths of each: 1 to 1,000; of several devices, 1,000.
    pub device_milli: u32,
    /// Memory of each, in MiB. 0 where it does not count. More than there can be is
    /// SLOTWISE_TOO_LARGE.
    pub device_memory: u64,
    /// SLOTWISE_ISLAND_...: of several devices, whether they are to be near to one another.
    pub island: u32,
    /// 0.
    pub reserved2: u32,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_terms_t {}

impl slotwise_terms_t {
    /// Whether it can be read.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to.
    unsafe fn check(&self) -> Result<(), Failure> {
        args::reserved(self.reserved == 0 && self.reserved2 == 0)?;
        if self.flags & !FLAGS != 0 {
            return Err(args::unknown("flags", self.flags as u64).into());
        }
        // What no flag names would be silently left out.
        if self.flags & SLOTWISE_HOLD == 0 && self.hold_until != 0 {
            return Err(args::unknown("hold_until", self.hold_until).into());
        }
        if self.flags & SLOTWISE_ACCOUNT == 0 && self.account != 0 {
            return Err(args::unknown("account", self.account as u64).into());
        }
        if self.device_count == 0 {
            for (name, given) in [
                ("device_milli", self.device_milli as u64),
                ("device_memory", self.device_memory),
                ("island", self.island as u64),
            ] {
                if given != 0 {
                    return Err(args::unknown(name, given).into());
                }
            }
        }
        if island(self.island).is_none() {
            return Err(args::unknown("island", self.island as u64).into());
        }
        // SAFETY: passed on.
        unsafe { args::array(self.limits, self.limit_count, "limits") }?;
        Ok(())
    }

    /// The terms, which have been checked.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to, for as long as the terms are used; `check` has
    /// passed.
    pub(super) unsafe fn get<'a>(&self) -> Terms<'a> {
        let set = |flag: u32| self.flags & flag != 0;
        let limits: &[Limit] = match self.limit_count {
            0 => &[],
            // SAFETY: not NULL, aligned and a possible count: it has been checked; the two
            // structures are laid out alike, and each value of the one is one of the other.
            count => unsafe { core::slice::from_raw_parts(self.limits.cast(), count) },
        };
        Terms {
            hold_until: set(SLOTWISE_HOLD).then_some(self.hold_until),
            priority: self.priority,
            preemptable: set(SLOTWISE_PREEMPTABLE),
            account: set(SLOTWISE_ACCOUNT).then_some(Account(self.account)),
            limits,
            devices: (self.device_count != 0).then(|| DeviceNeed {
                count: self.device_count,
                milli: self.device_milli,
                memory: self.device_memory,
                // One that is none has been refused.
                island: island(self.island).unwrap_or(Island::Any),
            }),
        }
    }
}

/// Whether the terms of a request that has some can be read. Few have.
///
/// # Safety
/// As [`args`] says, of all that it points to.
#[cold]
#[inline(never)]
pub(super) unsafe fn check(terms: *const slotwise_terms_t) -> Result<(), Failure> {
    // SAFETY: passed on.
    unsafe { args::input(terms, "terms")?.check() }
}
