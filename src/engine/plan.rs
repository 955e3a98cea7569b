//! What a batch means to take, worker by worker.
//!
//! Devices are planned beside amounts: a share keeps what its requests want of its worker's devices,
//! in order, and what is left once they have it. That is known as of one version of the worker; at
//! another one, they are served anew from what is free there, as they are when the share is taken.

use core::cell::Cell;
use core::iter;

use super::select::{Candidate, Planned};
use crate::placement::{DeviceNeed, Devices, Free, Granted, Prefer, Resources, order};
use crate::registry::Shared;
use crate::slots::{Change, Need, Pool, Slot, Wide};

/// The part of a batch that goes to one worker, committed as one change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) candidate: Candidate,
    pub(super) take: Resources,
    pub(super) count: u64,
    /// Pending workers will do: only if they do for every request of the share.
    pub(super) ahead: bool,
    /// What it takes of devices, by number among those of the plan.
    devices: Option<u32>,
    /// While the batch is committed: the version of the next reservation, or that it failed.
    pub(super) next_version: Option<u64>,
}

/// What the requests of one share want of devices.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// The first and the last of them that wants any.
    first: u32,
    last: u32,
    /// What is left of the devices at this version; none where they have not as much.
    version: u64,
    left: Option<Devices>,
}

/// What one request wants of devices.
#[derive(Clone, Debug)]
struct Want {
    need: DeviceNeed,
    prefer: Prefer,
    /// What it has got when it was last served.
    granted: Cell<Option<Granted>>,
    /// The next one of the same share.
    next: Option<u32>,
}

/// All shares of a batch, found by worker through a table twice their number.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) shares: Vec<Share>,
    /// Share number plus one; 0 is empty.
    table: Vec<u32>,
    devices: Vec<Wanted>,
    /// Of all shares, in the order in which they were added.
    wants: Vec<Want>,
}

impl Plan {
    /// Empties the plan and makes room for `requests`.
    pub(super) fn reset(&mut self, requests: usize) {
        self.shares.clear();
        self.table.clear();
        self.table.resize((requests * 2).next_power_of_two(), 0);
        self.devices.clear();
        self.wants.clear();
    }

    /// The table's cell for a worker: its share's, or the empty one where it belongs.
    #[inline]
    fn cell(&self, slot: u32) -> usize {
        let mask = self.table.len() - 1;
        let mut at = order::other(slot as u64) as usize & mask;
        while let Some(share) = self.table[at].checked_sub(1) {
            if self.shares[share as usize].candidate.slot == slot {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    /// What is planned to be taken from this worker.
    #[inline]
    pub(super) fn on(&self, slot: u32) -> Option<&Share> {
        let number = self.table[self.cell(slot)].checked_sub(1)?;
        Some(&self.shares[number as usize])
    }

    /// Makes room for one more worker, for who does not know how many there will be.
    pub(super) fn make_room(&mut self) {
        let least = (self.shares.len() + 1) * 2;
        if least <= self.table.len() {
            return;
        }
        self.table.clear();
        self.table.resize(least.next_power_of_two() * 2, 0);
        for number in 0..self.shares.len() {
            let cell = self.cell(self.shares[number].candidate.slot);
            self.table[cell] = number as u32 + 1;
        }
    }

    /// Adds a request's change to a worker's share; returns the share's number. `devices`: what the
    /// worker's devices have free, and at which version; asked where the change is of devices.
    pub(super) fn add(
        &mut self,
        candidate: Candidate,
        change: &Change,
        devices: impl FnOnce() -> Option<(u64, Devices)>,
    ) -> u32 {
        let cell = self.cell(candidate.slot);
        let Change { take, ahead, .. } = *change;
        let number = if let Some(number) = self.table[cell].checked_sub(1) {
            let share = &mut self.shares[number as usize];
            share.take.cpu += take.cpu;
            share.take.memory += take.memory;
            share.take.gpus += take.gpus;
            share.count += 1;
            share.ahead &= ahead;
            number
        } else {
            let (devices, next_version) = (None, None);
            self.shares.push(Share { candidate, take, count: 1, ahead, devices, next_version });
            self.table[cell] = self.shares.len() as u32;
            self.shares.len() as u32 - 1
        };
        if let Some(need) = change.devices {
            self.want(number, need, devices());
        }
        number
    }

    /// Adds what a request wants of devices to a share.
    fn want(
        &mut self,
        number: u32,
        (need, prefer): (DeviceNeed, Prefer),
        free: Option<(u64, Devices)>,
    ) {
        let last = self.wants.len() as u32;
        self.wants.push(Want { need, prefer, granted: Cell::new(None), next: None });
        let version = free.map_or(0, |(version, _)| version);
        let before = self.shares[number as usize].devices;
        let Some(wanted) = before.map(|at| &mut self.devices[at as usize]) else {
            let left = free.and_then(|(_, free)| self.serve(last, &free));
            self.shares[number as usize].devices = Some(self.devices.len() as u32);
            self.devices.push(Wanted { first: last, last, version, left });
            return;
        };
        self.wants[wanted.last as usize].next = Some(last);
        wanted.last = last;
        // As it was when the ones before were served: one more of what they left.
        let known = (wanted.version == version).then_some(wanted.left);
        let first = wanted.first;
        let left = match known {
            Some(left) => left.and_then(|left| self.serve(last, &left)),
            None => free.and_then(|(_, free)| self.serve(first, &free)),
        };
        let wanted = &mut self.devices[before.expect("just found") as usize];
        (wanted.version, wanted.left) = (version, left);
    }

    /// The wants of one share, from this one on.
    fn chain(&self, first: u32) -> impl Iterator<Item = &Want> + Clone {
        let want = |at: u32| &self.wants[at as usize];
        iter::successors(Some(want(first)), move |one| one.next.map(want))
    }

    /// Grants these what they want, in order, and says what is left; none where that is not free.
    fn serve(&self, first: u32, free: &Devices) -> Option<Devices> {
        self.chain(first).try_fold(*free, |free, want| {
            let granted = free.grant(&want.need, want.prefer)?;
            want.granted.set(Some(granted));
            Some(free.minus(&granted))
        })
    }

    /// What a worker's devices would have free beside what is planned.
    pub(super) fn left(&self, slot: u32, (version, free): (u64, Devices)) -> Option<Devices> {
        match self.on(slot).and_then(|share| share.devices) {
            None => Some(free),
            Some(at) => {
                let wanted = &self.devices[at as usize];
                if wanted.version == version {
                    wanted.left
                } else {
                    self.serve(wanted.first, &free)
                }
            }
        }
    }

    /// Whether a share takes devices.
    pub(super) fn takes_devices(&self, share: &Share) -> bool {
        share.devices.is_some()
    }

    /// Grants a share what it takes of these; what is left.
    pub(super) fn grant(&self, share: &Share, free: &Devices) -> Option<Devices> {
        self.serve(self.devices[share.devices? as usize].first, free)
    }

    /// What a share has been granted.
    pub(super) fn granted(&self, share: &Share) -> impl Iterator<Item = Granted> + Clone {
        let wanted = share.devices.map(|at| &self.devices[at as usize]);
        let wants = wanted.into_iter().flat_map(|wanted| self.chain(wanted.first));
        wants.filter_map(|want| want.granted.get())
    }

    /// What each request that wants devices has been granted, in the order in which they were added.
    pub(super) fn all_granted(&self) -> impl Iterator<Item = Option<Granted>> {
        self.wants.iter().map(|want| want.granted.get())
    }
}

/// The workers as they are, less what is planned.
pub(super) struct Less<'a> {
    pub(super) shared: &'a Shared,
    pub(super) plan: &'a Plan,
}

impl Planned for Less<'_> {
    #[inline]
    fn free(&self, at: &Candidate, slot: &Slot) -> Free {
        let Some(share) = self.plan.on(at.slot) else { return at.word.free() };
        let mut free = at.word.free().minus(&share.take);
        if self.plan.takes_devices(share)
            && let Some(pool) = self.shared.pool(at.slot)
        {
            free.gpus = self.devices(at, slot, pool).map_or(0, |left| left.digest() as i64);
        }
        free
    }

    #[inline(always)]
    fn fits(&self, at: &Candidate, slot: &Slot, need: Need<Wide>) -> bool {
        match self.plan.on(at.slot) {
            None => at.word.fits(need),
            Some(_) => self.free(at, slot).fits(&need.amount()),
        }
    }

    fn devices(&self, at: &Candidate, slot: &Slot, pool: &Pool) -> Option<Devices> {
        let (word, free) = slot.devices(pool);
        self.plan.left(at.slot, (word.version(), free?))
    }
}
