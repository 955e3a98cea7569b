//! A worker that was expected under one id and has come under another.

use super::limits::CountedAt;
use super::local::Local;
use super::reserve::worker_of;
use super::{Engine, Lost};
use crate::ledger::{Sighting, Ticket};
use crate::placement::{DeviceNeed, Prefer};
use crate::registry::{WorkerError, WorkerRef};
use crate::slots::{Change, Fence};
use crate::sync::{Stop, stop};

/// What a hand-off did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOff {
    /// The worker that holds it all now.
    pub worker: WorkerRef,
    /// Reservations that it took over from another registration; 0 where that has only got another id.
    pub moved: usize,
    /// What it had no room for, or what was being changed that very moment: ended, each once.
    pub lost: Vec<Lost>,
}

impl Engine {
    /// A pending worker, registered under the id `expected` while it was on its way, is here, and its
    /// id is `real`. What is held on it, is held on that worker from now on, under the same ids and
    /// tickets.
    ///
    /// If no worker of that id is registered, the expected one gets the id and is the same registration
    /// otherwise: pending until [`Engine::ready`], with the expected total until
    /// [`Engine::update_worker`]. If one is, as when the agent was faster than the message that says who
    /// it is, it takes over what it has room for, whatever its state but cordoned, draining and removed;
    /// the expected one is removed, and what is left there ends, as in [`Engine::remove_worker`]. Limits
    /// of groups are not asked again, and members are counted where they are then.
    ///
    /// A worker that never comes is removed, by the host or by its lease. Takes the registry's lock. A
    /// reservation that is being taken over is `InFlight` to others for a moment. Where the id is
    /// registered, O(most reservations there ever were).
    pub fn hand_off(&self, expected: &[u8], real: &[u8]) -> Result<HandOff, WorkerError> {
        let local = self.local();
        let mut moved = 0;
        let take_over = |from, to| moved = self.take_over(local, from, to);
        let end = |from: WorkerRef| {
            let mut lost = Vec::new();
            let place = (from.index, from.incarnation);
            self.evict(local, |other| other == place, |_, one| lost.push(one));
            lost
        };
        let (worker, lost) = self.registry.hand_off(expected, real, take_over, end)?;
        Ok(HandOff { worker, moved, lost: lost.unwrap_or_default() })
    }

    /// Moves what is held on one worker to another, as far as there is room. Under the registry's lock,
    /// so that no audit comes in between and neither worker goes away.
    fn take_over(&self, local: &Local, from: WorkerRef, to: WorkerRef) -> usize {
        let held = self.ledger.sightings().filter_map(|sighting| match sighting {
            Sighting::Live(ticket, held) if worker_of(&held) == from => Some(ticket),
            _ => None,
        });
        held.filter(|&ticket| self.take_over_one(local, ticket, from, to)).count()
    }

    /// Pledged, so that nobody gives it back half-way; taken there, written down, given back here.
    ///
    /// Races with a release (one of the two moves the header first) and with whatever else changes the
    /// two slots (each is changed by a swap of its own; in between it is held twice).
    fn take_over_one(&self, local: &Local, ticket: Ticket, from: WorkerRef, to: WorkerRef) -> bool {
        let Ok(held) = self.ledger.pledge(ticket) else { return false };
        stop(Stop::Pledged);
        let shared = &self.registry.shared;
        let fence = Fence::Incarnation(to.incarnation);
        let change = Change::take(fence, held.amount, true);
        let granted = self.ledger.granted(ticket).filter(|_| held.rides);
        let taken = match shared.table.get(to.index) {
            Some(slot) if worker_of(&held) == from => {
                let taken = match granted.map(DeviceNeed::from) {
                    None => slot.change(&change, &mut 0).map(|changed| (changed, None)),
                    Some(need) => self
                        .change_with_devices(
                            slot,
                            to.index,
                            (&change, &need, Prefer::Fullest),
                            &mut 0,
                        )
                        .map(|(changed, granted)| (changed, Some(granted))),
                };
                taken.inspect(|(c, _)| shared.blocks.freed(slot, c.before, c.after)).ok()
            }
            _ => None,
        };
        // Neither worker goes away while the lock is held.
        let Some((taken, granted_there)) = taken else {
            self.ledger.unpledge(ticket, held.provisional, || false);
            return false;
        };
        if held.rides {
            self.recount(ticket, to);
        }
        self.give_held(local, ticket, &held);
        if let Some(granted) = granted_there {
            self.ledger.grant(ticket.index(), granted);
        }
        let there = (to.index, to.incarnation, taken.version());
        self.ledger.unpledge_at(ticket, held.provisional, there, || false)
    }

    /// Counts a member of groups where it is now. By who owns its record.
    fn recount(&self, ticket: Ticket, to: WorkerRef) {
        let mut counted = CountedAt::default();
        for old in self.ledger.carried(ticket).1 {
            // A place that is none for the group, or no tally left: it stays counted where it was.
            let new = self.count_again(old, to);
            // Also if it is the same place, where it has just been counted twice.
            if new.is_some() {
                self.ranks.tallies.give(old);
            }
            counted.add(new.unwrap_or(old));
        }
        self.ledger.recount(ticket, counted.as_slice());
    }
}
