//! What a batch means to take, worker by worker.

use super::select::{Candidate, Planned};
use crate::placement::{Free, Resources, order};
use crate::slots::{Need, Slot};

/// The part of a batch that goes to one worker, committed as one change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) candidate: Candidate,
    pub(super) take: Resources,
    pub(super) count: u64,
    /// Pending workers will do: only if they do for every request of the share.
    pub(super) ahead: bool,
    /// While the batch is committed: the version of the next reservation, or that it failed.
    pub(super) next_version: Option<u64>,
}

/// All shares of a batch, found by worker through a table twice their number.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) shares: Vec<Share>,
    /// Share number plus one; 0 is empty.
    table: Vec<u32>,
}

impl Plan {
    /// Empties the plan and makes room for `requests`.
    pub(super) fn reset(&mut self, requests: usize) {
        self.shares.clear();
        self.table.clear();
        self.table.resize((requests * 2).next_power_of_two(), 0);
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
    pub(super) fn on(&self, slot: u32) -> Resources {
        let share = self.table[self.cell(slot)].checked_sub(1);
        share.map_or(Resources::ZERO, |number| self.shares[number as usize].take)
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

    /// Adds a request to a worker's share; returns the share's number.
    pub(super) fn add(&mut self, candidate: Candidate, need: &Resources, ahead: bool) -> u32 {
        let cell = self.cell(candidate.slot);
        if let Some(number) = self.table[cell].checked_sub(1) {
            let share = &mut self.shares[number as usize];
            share.take.cpu += need.cpu;
            share.take.memory += need.memory;
            share.take.gpus += need.gpus;
            share.count += 1;
            share.ahead &= ahead;
            return number;
        }
        let take = *need;
        let share = Share { candidate, take, count: 1, ahead, next_version: None };
        self.shares.push(share);
        self.table[cell] = self.shares.len() as u32;
        self.shares.len() as u32 - 1
    }
}

impl Planned for Plan {
    #[inline]
    fn free(&self, at: &Candidate, _: &Slot) -> Free {
        at.word.free().minus(&self.on(at.slot))
    }

    #[inline(always)]
    fn fits(&self, at: &Candidate, _: &Slot, need: &Resources) -> bool {
        let planned = self.on(at.slot);
        if planned.is_zero() {
            at.word.fits(Need::new(need))
        } else {
            at.word.free().minus(&planned).fits(need)
        }
    }
}
