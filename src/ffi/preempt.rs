//! Room for a request of higher priority where others have to leave first.

use core::ffi::c_char;

use super::args::{self, Argument, HasSize, Strided};
use super::failure::{Failure, call};
use super::handle::{self, slotwise_engine_t};
use super::life::padded;
use super::reserve::{slotwise_placement_t, slotwise_request_t};
use super::status::*;
use super::workers::{slotwise_resources_t, slotwise_worker_t, worker_number, worker_ref};
use crate::{Name, Preemption, Ticket, Victim};

/// Where a request would fit if others left. Good for one use at one version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_preemption_t {
    /// sizeof(slotwise_preemption_t), set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The worker.
    pub worker: slotwise_worker_t,
    /// The version at which this is true.
    pub version: u64,
    /// How many would have to leave; 0 if it fits without.
    pub victim_count: u64,
    /// How many victims of other claims the request has to wait for, too.
    pub leaving_count: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_preemption_t {}

/// It is a victim of another claim and about to leave already.
pub const SLOTWISE_LEAVING: u32 = 1;

/// A reservation that would have to leave, or is about to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct slotwise_victim_t {
    /// Its ticket.
    pub ticket: u64,
    /// What it holds, devices apart; 0 with SLOTWISE_LEAVING, as all that follows.
    pub amount: slotwise_resources_t,
    /// Its rank.
    pub priority: i32,
    /// SLOTWISE_LEAVING, or 0.
    pub flags: u32,
    /// Length of its id in bytes; 0 for an anonymous one.
    pub id_length: u32,
    /// 0.
    pub reserved: u32,
    /// Its id.
    pub id: [c_char; 64],
}

impl slotwise_victim_t {
    fn of(victim: &Victim) -> Self {
        let (id, id_length) = padded(&victim.id);
        slotwise_victim_t {
            ticket: victim.ticket.to_bits(),
            amount: victim.amount.into(),
            priority: victim.priority,
            flags: 0,
            id_length,
            reserved: 0,
            id,
        }
    }

    fn leaving(ticket: Ticket) -> Self {
        slotwise_victim_t {
            ticket: ticket.to_bits(),
            amount: slotwise_resources_t::default(),
            priority: 0,
            flags: SLOTWISE_LEAVING,
            id_length: 0,
            reserved: 0,
            id: [0; 64],
        }
    }
}

impl slotwise_preemption_t {
    /// The plan that it is with these victims; what is read of them is their tickets.
    fn get(&self, victims: &[slotwise_victim_t]) -> Result<Preemption, Failure> {
        args::reserved(self.reserved == 0)?;
        let mut plan = Preemption {
            worker: worker_ref(self.worker),
            version: self.version,
            victims: Vec::new(),
            leaving: Vec::new(),
        };
        for (index, victim) in victims.iter().enumerate() {
            args::reserved(victim.reserved == 0).map_err(|failure| failure.at(index))?;
            let ticket = Ticket::from_bits(victim.ticket);
            match victim.flags {
                SLOTWISE_LEAVING => plan.leaving.push(ticket),
                0 => plan.victims.push(Victim {
                    ticket,
                    id: Name::default(),
                    priority: victim.priority,
                    amount: victim.amount.into(),
                    granted: None,
                }),
                flags => return Err(args::unknown("flags", flags as u64).at(index).into()),
            }
        }
        let counts = (plan.victims.len() as u64, plan.leaving.len() as u64);
        if counts != (self.victim_count, self.leaving_count) {
            return Err(args::unknown("count", victims.len() as u64).into());
        }
        Ok(plan)
    }
}

/// The best place for a request if others may be displaced for it: those that are under
/// SLOTWISE_PREEMPTABLE and whose priority is lower than that of the request's terms. On the worker
/// where the fewest have to leave, then with the lowest priorities, then with the least capacity.
/// Changes nothing; slotwise_preempt does what the plan says. The account's quota is not asked for
/// here.
///
/// Devices are asked for as in slotwise_reserve: for a part of one, some of those on it leave; for
/// several as a whole, all that are on them.
///
/// Writes those that would have to leave to `victims`, and after them those that are about to leave
/// for others and that it has to wait for (SLOTWISE_LEAVING); `*count`: how many in all. Looks at
/// every matching worker, and at all reservations there ever were at once. Allocates.
///
/// Returns SLOTWISE_ARRAY_TOO_SMALL where there are more than `capacity`: `*count` says how many,
/// and nothing else is written. Where no set of victims would make room: as slotwise_reserve.
/// SLOTWISE_OVERLAP, SLOTWISE_COUNT.
///
/// Threads: any. No lock.
/// Safety: `request` points to a slotwise_request_t; `preemption` points to a slotwise_preemption_t
/// whose size is set; `victims` has room for `capacity` entries; `count` points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_preemption_plan(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    preemption: *mut slotwise_preemption_t,
    victims: *mut slotwise_victim_t,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, wanted, to_plan, room, output) = unsafe {
            let host = handle::host(engine)?;
            let wanted = args::input(request, "request")?;
            wanted.check()?;
            let to_plan = args::sized_output(preemption, "preemption")?;
            let room = Strided::new(victims, 0, capacity, "victims")?;
            (host, wanted, to_plan, room, args::output(count, "count")?)
        };
        let written = [room.span(), args::span(preemption, 1), args::span(count, 1)];
        args::apart(&[args::span(request, 1)], &written)?;
        // SAFETY: it has been checked; passed on from the caller.
        let plan = unsafe { wanted.with(|request| host.engine.plan_preemption(request)) }?;
        let (victim_count, leaving_count) = (plan.victims.len(), plan.leaving.len());
        let all = victim_count + leaving_count;
        output.write(all);
        if all > capacity {
            let argument = Argument::new(SLOTWISE_ARRAY_TOO_SMALL, "victims");
            return Err(argument.given(capacity as u64, all as u64).into());
        }
        to_plan.write(slotwise_preemption_t {
            size: size_of::<slotwise_preemption_t>() as u32,
            reserved: 0,
            worker: worker_number(plan.worker),
            version: plan.version,
            victim_count: victim_count as u64,
            leaving_count: leaving_count as u64,
        });
        let leaving = plan.leaving.iter().map(|&ticket| slotwise_victim_t::leaving(ticket));
        let told = plan.victims.iter().map(slotwise_victim_t::of).chain(leaving);
        for (index, one) in told.enumerate() {
            // SAFETY: below the capacity.
            unsafe { room.write(index, one) };
        }
        Ok(())
    })
}

/// Does what a plan says, as one change of its worker from exactly the plan's version, or nothing.
/// `victims`: the `count` entries that slotwise_preemption_plan wrote; of each, the ticket and the
/// flags are read. An id that is held already is answered with that reservation.
///
/// As long as anybody has to leave, the reservation is a claim, `provisional` is 1: the host stops
/// the victims and gives each back once it really has stopped, and then slotwise_confirm makes the
/// claim a reservation like any other. Until then the victims hold what they hold, and nobody else
/// gets what they give back. A claim that is released, or that expires, gives back what it claimed.
/// Allocates.
///
/// Returns SLOTWISE_VERSION_CONFLICT where the worker has changed since, or a victim is not what
/// the plan takes it for: make another plan. SLOTWISE_UNKNOWN_VALUE where the counts of
/// `preemption` are not those of `victims`. Otherwise as slotwise_reserve; SLOTWISE_COUNT.
///
/// Threads: any. Takes a lock for a short time if anybody has to leave.
/// Safety: `request` points to a slotwise_request_t, `preemption` to a slotwise_preemption_t;
/// `victims` has `count` entries; `placement` points to a slotwise_placement_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_preempt(
    engine: slotwise_engine_t,
    request: *const slotwise_request_t,
    preemption: *const slotwise_preemption_t,
    victims: *const slotwise_victim_t,
    count: usize,
    placement: *mut slotwise_placement_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, wanted, plan, output) = unsafe {
            let host = handle::host(engine)?;
            let wanted = args::input(request, "request")?;
            wanted.check()?;
            let victims = args::array(victims, count, "victims")?;
            let plan = args::input(preemption, "preemption")?.get(victims)?;
            (host, wanted, plan, args::output(placement, "placement")?)
        };
        // SAFETY: it has been checked; passed on from the caller.
        let claim = unsafe { wanted.with(|request| host.engine.preempt(request, &plan)) }?;
        output.write(slotwise_placement_t::of(&claim));
        Ok(())
    })
}
