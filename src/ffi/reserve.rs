//! One request: onto whatever worker suits it, or onto a named one.

use core::ffi::c_char;

use super::args::{self, HasSize};
use super::engine::{LAST_POLICY, SLOTWISE_POLICY_DEFAULT, policy};
use super::failure::{Failure, SLOTWISE_NO_DIMENSION, call, slotwise_error_t};
use super::handle::{self, slotwise_engine_t};
use super::status::*;
use super::terms::{self, slotwise_terms_t};
use super::workers::{slotwise_worker_t, worker_number, worker_ref};
use crate::placement::Resources;
use crate::registry::Selector;
use crate::{Affinity, Eligible, ReleaseError, Request, Reservation, ReserveError};

/// May also be held on pending workers: a reservation made ahead.
pub const SLOTWISE_AHEAD: u32 = 1;
/// `hash` says where the probe starts, in place of `key` and of the id.
pub const SLOTWISE_HASH: u32 = 2;

/// What one container, job or call needs. Fill it in once and use it again: nothing is written to
/// it, and nothing of it is kept.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_request_t {
    /// sizeof(slotwise_request_t).
    pub size: u32,
    /// SLOTWISE_AHEAD, SLOTWISE_HASH, or both.
    pub flags: u32,
    /// The host's name of it: unique among live reservations. NULL: anonymous, known by its ticket
    /// alone.
    pub id: *const c_char,
    /// At most SLOTWISE_MAX_ID_LENGTH bytes; 0: anonymous.
    pub id_length: usize,
    /// How much CPU it needs, in millicores. At least one of the three is not 0.
    pub cpu: u64,
    /// How much memory, in MiB.
    pub memory: u64,
    /// How many whole GPUs, by number: 0 where its terms ask for devices. A selector that names GPU
    /// types makes 0 a 1.
    pub gpus: u64,
    /// Which workers it may use: from slotwise_selector, or SLOTWISE_SELECTOR_ANY.
    pub selector: u32,
    /// SLOTWISE_POLICY_....
    pub policy: u32,
    /// What decides where the probe starts, instead of the id: a function, an image, a model, a
    /// tenant. NULL: the id does.
    pub key: *const c_char,
    /// Its bytes.
    pub key_length: usize,
    /// With SLOTWISE_HASH: a hash of the host, used as it is; its bits should be well mixed.
    /// Otherwise 0.
    pub hash: u64,
    /// What it comes under beside: a time limit, a rank, a quota, limits on its group, devices. NULL:
    /// nothing.
    pub terms: *const slotwise_terms_t,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_request_t {}

impl slotwise_request_t {
    /// Whether it can be read, and its terms.
    ///
    /// # Safety
    /// As [`args`] says, of its terms and what they point to.
    #[inline(always)]
    pub(super) unsafe fn check(&self) -> Result<(), Failure> {
        if !self.terms.is_null() {
            // SAFETY: passed on.
            unsafe { terms::check(self.terms) }?;
        }
        if self.is_right() { Ok(()) } else { Err(self.what_is_wrong()) }
    }

    #[inline(always)]
    fn is_right(&self) -> bool {
        let hashed = self.flags & SLOTWISE_HASH != 0;
        args::check_bytes(self.id, self.id_length, "id").is_ok()
            && args::check_bytes(self.key, self.key_length, "key").is_ok()
            && self.flags & !(SLOTWISE_AHEAD | SLOTWISE_HASH) == 0
            // Of two affinities one would be silently left out.
            && if hashed { self.key_length == 0 } else { self.hash == 0 }
            && self.policy <= LAST_POLICY
    }

    // Apart: the way of a request that is right would prepare for it.
    #[cold]
    #[inline(never)]
    fn what_is_wrong(&self) -> Failure {
        let bytes = args::check_bytes(self.id, self.id_length, "id")
            .and_then(|()| args::check_bytes(self.key, self.key_length, "key"));
        let hashed = self.flags & SLOTWISE_HASH != 0;
        if let Err(argument) = bytes {
            argument.into()
        } else if self.flags & !(SLOTWISE_AHEAD | SLOTWISE_HASH) != 0 {
            args::unknown("flags", self.flags as u64).into()
        } else if (hashed && self.key_length > 0) || (!hashed && self.hash != 0) {
            args::unknown("hash", self.hash).into()
        } else {
            args::unknown("policy", self.policy as u64).into()
        }
    }

    /// Whether it asks for amounts by a hash and for nothing else: then nothing is wrong with it but
    /// what the engine says is.
    #[inline(always)]
    fn is_bare(&self) -> bool {
        let beside = self.id_length | self.key_length | self.terms.addr() | self.policy as usize;
        self.flags == SLOTWISE_HASH && beside == 0
    }

    /// The request, if it is bare.
    #[inline(always)]
    fn bare(&self) -> Request<'static> {
        Request {
            id: &[],
            need: Resources { cpu: self.cpu, memory: self.memory, gpus: self.gpus },
            eligible: Eligible::Selector(Selector(self.selector)),
            affinity: Affinity::Hash(self.hash),
            policy: None,
            ahead: false,
            terms: None,
        }
    }

    /// The request, which has been checked, without its terms.
    ///
    /// # Safety
    /// As [`args`] says, of what it points to, for as long as the request is used; `check` has
    /// passed.
    #[inline(always)]
    pub(super) unsafe fn get<'a>(&self) -> Request<'a> {
        // SAFETY: passed on; the lengths have been checked.
        let (id, key) = unsafe {
            let id = args::checked_bytes(self.id, self.id_length);
            (id, args::checked_bytes(self.key, self.key_length))
        };
        Request {
            id,
            affinity: if self.flags & SLOTWISE_HASH != 0 {
                Affinity::Hash(self.hash)
            } else if self.key.is_null() {
                Affinity::Id
            } else {
                Affinity::Key(key)
            },
            policy: match self.policy {
                SLOTWISE_POLICY_DEFAULT => None,
                named => policy(named).flatten(),
            },
            ahead: self.flags & SLOTWISE_AHEAD != 0,
            ..self.bare()
        }
    }

    /// Does something with the request, which has been checked, and its terms.
    ///
    /// # Safety
    /// As [`args`] says, of all that it points to; `check` has passed.
    #[inline(always)]
    pub(super) unsafe fn with<R>(&self, body: impl FnOnce(&Request<'_>) -> R) -> R {
        match self.terms.is_null() {
            // SAFETY: passed on.
            true => body(&unsafe { self.get() }),
            // SAFETY: passed on; not NULL.
            false => unsafe { self.with_terms(body) },
        }
    }

    /// The same of one that has terms, as few have.
    ///
    /// # Safety
    /// As [`slotwise_request_t::with`] says; its terms are not NULL.
    #[cold]
    #[inline(never)]
    unsafe fn with_terms<R>(&self, body: impl FnOnce(&Request<'_>) -> R) -> R {
        // SAFETY: passed on.
        let (request, terms) = unsafe { (self.get(), (*self.terms).get()) };
        body(&request.terms(&terms))
    }
}

/// Where a request was placed, or why not.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_placement_t {
    /// Names the reservation from now on; never 0, never used again for another. 0 where there is
    /// none.
    pub ticket: u64,
    /// Where it is; 0 where it was not placed.
    pub worker: slotwise_worker_t,
    /// The worker's version that the reservation made.
    pub version: u64,
    /// SLOTWISE_OK, or why it was not placed.
    pub status: i32,
    /// 1: the id was held already; this is that reservation, and nothing was changed.
    pub existing: u8,
    /// 1: it is yet to be confirmed (SLOTWISE_HOLD, slotwise_preempt).
    pub provisional: u8,
    /// SLOTWISE_BUSY, SLOTWISE_NEVER, SLOTWISE_TOO_LARGE: the dimension that it is for, or
    /// SLOTWISE_NO_DIMENSION.
    pub dimension: u16,
}

impl slotwise_placement_t {
    #[inline(always)]
    pub(super) const fn of(placed: &Reservation) -> Self {
        slotwise_placement_t {
            ticket: placed.ticket.to_bits(),
            worker: worker_number(placed.worker),
            version: placed.version,
            status: SLOTWISE_OK,
            existing: placed.existing as u8,
            provisional: placed.provisional as u8,
            dimension: SLOTWISE_NO_DIMENSION as u16,
        }
    }

    #[cold]
    pub(super) fn failed(error: ReserveError) -> Self {
        let error = slotwise_error_t::from(&Failure::Reserve(error));
        slotwise_placement_t {
            ticket: 0,
            worker: 0,
            version: 0,
            status: error.status,
            existing: 0,
            provisional: 0,
            dimension: error.dimension as u16,
        }
    }
}

/// Holds capacity for a request on the worker that the policy gives it. An id that is held already
/// is answered with that reservation, and nothing changes. O(1) while the first candidates fit; no
/// allocation once the thread has made its first calls.
///
/// Returns SLOTWISE_BUSY or SLOTWISE_NEVER where no worker took it (slotwise_last_error has the
/// reasons); SLOTWISE_ID_LENGTH, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_UNKNOWN_SELECTOR,
/// SLOTWISE_IN_FLIGHT, SLOTWISE_CONTENDED, SLOTWISE_LEDGER_FULL, SLOTWISE_NULL_POINTER,
/// SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, or what a
/// handle can be wrong of. Of its terms: SLOTWISE_QUOTA_EXCEEDED, SLOTWISE_UNKNOWN_ACCOUNT,
/// SLOTWISE_UNKNOWN_GROUP, SLOTWISE_TOO_MANY_LIMITS, SLOTWISE_DEADLINE_PASSED, SLOTWISE_COUNT; of the
/// devices that they ask for: SLOTWISE_DEVICE_OVER_WHOLE, SLOTWISE_DEVICE_EMPTY,
/// SLOTWISE_DEVICE_PARTS, SLOTWISE_TOO_MANY_DEVICES, SLOTWISE_GPUS_BESIDE_DEVICES.
///
/// Threads: any. No lock, no system call.
/// Safety: `request` points to a slotwise_request_t; `placement` points to a slotwise_placement_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_reserve(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    placement: *mut slotwise_placement_t,
) -> i32 {
    // SAFETY: passed on from the caller; read once it is known to be there.
    let request = match unsafe { args::is_whole(request) && (*request).is_bare() } {
        // SAFETY: it is there.
        true => unsafe { &*request },
        // SAFETY: passed on from the caller.
        false => return unsafe { reserve_any(engine, request, placement) },
    };
    call(|| {
        // SAFETY: passed on from the caller.
        let ((host, local), output) =
            unsafe { (handle::host_and_local(engine)?, args::output(placement, "placement")?) };
        let tell = |placed: &_| output.write(slotwise_placement_t::of(placed));
        Ok(host.engine.reserve_made(local, || request.bare(), tell)?)
    })
}

/// The same of any request, with all that can be wrong with one. Apart, because an id to be hashed
/// and entered takes the registers that the way of a bare request keeps everything in.
///
/// # Safety
/// As of [`slotwise_reserve`].
#[inline(never)]
unsafe fn reserve_any(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    placement: *mut slotwise_placement_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let ((host, local), request, output) = unsafe {
            let host = handle::host_and_local(engine)?;
            let request = args::input(request, "request")?;
            request.check()?;
            (host, request, args::output(placement, "placement")?)
        };
        let tell = |placed: &_| output.write(slotwise_placement_t::of(placed));
        if request.terms.is_null() {
            // SAFETY: passed on from the caller, and used within this call.
            host.engine.reserve_made(local, || unsafe { request.get() }, tell)?;
        } else {
            // SAFETY: it has been checked; passed on from the caller.
            tell(&unsafe { request.with_terms(|request| host.engine.reserve(request)) }?);
        }
        Ok(())
    })
}

/// Holds capacity on one named worker, if its other attributes suit the request (the pool apart,
/// which a request that names its worker skips). With `expected`, any change of the worker since
/// that version is a conflict; NULL: a change that leaves room is none.
///
/// Returns SLOTWISE_VERSION_CONFLICT (slotwise_last_error has the version and what is free now),
/// SLOTWISE_UNKNOWN_WORKER, or as slotwise_reserve.
///
/// Threads: any. No lock, no system call.
/// Safety: as slotwise_reserve; `expected` is NULL or points to a uint64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_reserve_on(
    engine: slotwise_engine_t,
    worker: slotwise_worker_t,
    request: *const slotwise_request_t,
    expected: *const u64,
    placement: *mut slotwise_placement_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, request, expected, output) = unsafe {
            let host = handle::host(engine)?;
            let request = args::input(request, "request")?;
            request.check()?;
            let expected = args::optional_value(expected, "expected")?;
            (host, request, expected, args::output(placement, "placement")?)
        };
        let reserve =
            |request: &Request<'_>| host.engine.reserve_on(worker_ref(worker), request, expected);
        // SAFETY: it has been checked; passed on from the caller.
        let placed = unsafe { request.with(reserve) }?;
        output.write(slotwise_placement_t::of(&placed));
        Ok(())
    })
}

/// The reservation that an id holds; `existing` is 1.
///
/// Returns SLOTWISE_NOT_HELD, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
/// wrong of.
///
/// Threads: any. No lock.
/// Safety: `id` has `id_length` bytes; `placement` points to a slotwise_placement_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_reservation(
    engine: slotwise_engine_t,
    id: *const c_char,
    id_length: usize,
    placement: *mut slotwise_placement_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, id, output) = unsafe {
            let host = handle::host(engine)?;
            (host, args::bytes(id, id_length, "id")?, args::output(placement, "placement")?)
        };
        let held = host.engine.reservation(id).ok_or(ReleaseError::NotHeld)?;
        output.write(slotwise_placement_t::of(&held));
        Ok(())
    })
}
