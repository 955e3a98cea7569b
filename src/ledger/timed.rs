//! Provisional reservations: confirmed in time, or ended by a tick.
//!
//! The header decides. A confirmation moves it from *provisional* to *live*, an expiry from
//! *provisional* to *closing*, a release likewise: one of them is first. What else a tick sees (a
//! record that is still being made, or one that somebody is at work on) it looks at again next time.
//!
//! Deadlines are entered into a wheel by ticks alone, from the notes that whoever makes a provisional
//! reservation leaves; see [`super::agenda`].

use super::agenda::Agenda;
use super::record::Record;
use super::rider::Rider;
use super::tally::Counted;
use super::{Carried, Draft, Header, Holding, Ledger, NotLive, Phase, Ticket};
use crate::placement::Granted;
use crate::sync::{Bug, Stop, bug, stop};

impl Ledger {
    #[inline]
    pub(super) fn rider(&self, index: u32) -> &Rider {
        self.riders.get_or_grow(index as usize)
    }

    /// Gives a draft a rider. Before it aims anywhere.
    pub(crate) fn load(&self, draft: Draft, carried: &Carried) -> Draft {
        let rider = self.rider(draft.index());
        rider.write(carried);
        draft.riding(rider.is_provisional())
    }

    /// Writes down where a draft is counted. Before its slot's swap.
    pub(crate) fn set_counted(&self, draft: Draft, counted: &[Counted]) {
        self.rider(draft.index()).count(counted);
    }

    /// Writes down the devices that a draft has taken, before it is published; or those of a
    /// reservation that the caller has pledged.
    pub(crate) fn grant(&self, index: u32, granted: Granted) {
        self.rider(index).grant(Some(granted));
    }

    /// The devices that a reservation holds, which carries something. By who owns its record.
    pub(crate) fn granted(&self, ticket: Ticket) -> Option<Granted> {
        self.riders.get(ticket.index() as usize)?.granted()
    }

    /// The same, if it is still held. By who only looks.
    pub(crate) fn look_granted(&self, ticket: Ticket) -> Option<Option<Granted>> {
        self.look_rider(ticket, Rider::granted)
    }

    /// The same of a reservation that its caller has pledged.
    pub(crate) fn recount(&self, ticket: Ticket, counted: &[Counted]) {
        self.rider(ticket.index()).count(counted);
    }

    /// As [`Ledger::unpledge`], of a reservation that is on another worker by now: taken there, given
    /// back here. It says so before it is held again, so that whoever ends it next gives back there.
    pub(crate) fn unpledge_at(
        &self,
        ticket: Ticket,
        provisional: bool,
        (slot, incarnation, version): (u32, u32, u64),
        gone: impl FnOnce() -> bool,
    ) -> bool {
        let record = self.record(ticket.index());
        if bug(Bug::PlaceAfterUnpledge) {
            let kept = self.unpledge(ticket, provisional, gone);
            record.relocate(slot, incarnation, version);
            return kept;
        }
        record.relocate(slot, incarnation, version);
        self.unpledge(ticket, provisional, gone)
    }

    /// The id of a reservation, if it is there; empty for an anonymous one.
    pub(crate) fn id_of(&self, ticket: Ticket) -> Option<Vec<u8>> {
        let plate = &self.records.get(ticket.index() as usize)?.plate;
        let header = plate.header();
        let id = plate.id();
        (header.generation() == ticket.generation() && plate.still(header)).then_some(id)
    }

    /// Notes a draft with a deadline for the next tick. Before its slot's swap, so that what is taken
    /// ends in time whatever becomes of its maker once it is published.
    pub(crate) fn arm(&self, draft: Draft) {
        self.armed.arm(draft.index(), &self.rider(draft.index()).note);
    }

    /// What a reservation carries. By who owns its record.
    pub(crate) fn carried(&self, ticket: Ticket) -> (Carried, impl Iterator<Item = Counted> + '_) {
        let rider = self.rider(ticket.index());
        (rider.read(), rider.counted())
    }

    /// What a reservation carries, if it is still held. By who only looks.
    pub(crate) fn look_carried(&self, ticket: Ticket) -> Option<Carried> {
        self.look_rider(ticket, Rider::read)
    }

    /// The same, and where it is counted.
    pub(crate) fn look_all_carried(&self, ticket: Ticket) -> Option<(Carried, Vec<Counted>)> {
        self.look_rider(ticket, |rider| (rider.read(), rider.counted().collect()))
    }

    fn look_rider<R>(&self, ticket: Ticket, look: impl FnOnce(&Rider) -> R) -> Option<R> {
        let rider = self.riders.get(ticket.index() as usize)?;
        let plate = &self.record(ticket.index()).plate;
        let header = plate.header();
        let seen = look(rider);
        (header.generation() == ticket.generation() && plate.still(header)).then_some(seen)
    }

    /// Tells a reservation to leave: it is not asked again.
    pub(crate) fn displace(&self, ticket: Ticket) {
        self.rider(ticket.index()).displace(ticket.generation());
    }

    pub(crate) fn is_displaced(&self, ticket: Ticket) -> bool {
        let rider = self.riders.get(ticket.index() as usize);
        rider.is_some_and(|rider| rider.is_displaced(ticket.generation()))
    }

    /// Makes a provisional reservation a live one; one that is live already stays so.
    ///
    /// Races with its expiry and with a release: see the head of this file. With a removal of its
    /// worker, which ends it either way.
    pub(crate) fn confirm(&self, ticket: Ticket) -> Result<Holding, NotLive> {
        let record = self.records.get(ticket.index() as usize).ok_or(NotLive::Gone)?;
        #[cfg(test)]
        if bug(Bug::ConfirmWithoutCas) && record.plate.header().phase() == Phase::Provisional {
            stop(Stop::Swap);
            record.plate.overwrite(ticket.generation(), Phase::Live);
            return Ok(record.read().1);
        }
        let (_, before) = record.read();
        let moved = record.plate.advance(ticket.generation(), Phase::Provisional, Phase::Live);
        stop(Stop::Confirmed);
        let (header, after) = record.read();
        // What was read last is of this reservation, if it is still there.
        let same = header.generation() == ticket.generation();
        match moved {
            // If not, it was there before: it has been confirmed here since.
            Ok(()) => Ok(Holding { provisional: true, ..if same { after } else { before } }),
            Err(now) if now.phase() == Phase::Live && now.generation() == ticket.generation() => {
                if same {
                    Ok(after)
                } else {
                    Err(NotLive::Gone)
                }
            }
            Err(now) => Err(NotLive::why(now, ticket)),
        }
    }

    /// Header and deadline of a record, as they were at one instant.
    fn due(&self, index: u32) -> (Header, Option<u64>) {
        let plate = &self.record(index).plate;
        let rider = self.rider(index);
        loop {
            let header = plate.header();
            let deadline = rider.read().deadline;
            stop(Stop::Read);
            if plate.still(header) {
                return (header, deadline);
            }
        }
    }

    /// Ends each provisional reservation whose deadline has come by `now`: `end` owns it, closed, and
    /// has its slot credited before it finishes it. Amortised O(1) for each that was ever armed.
    pub(crate) fn expire(
        &self,
        agenda: &mut Agenda,
        now: u64,
        mut end: impl FnMut(Ticket, Holding, Vec<u8>),
    ) {
        let note = |index: u32| &self.rider(index).note;
        agenda.advance(&self.armed, now, note, |index| {
            loop {
                let (header, deadline) = self.due(index);
                let deadline = deadline?;
                match header.phase() {
                    Phase::Provisional if deadline <= now => {
                        stop(Stop::Due);
                        let generation = header.generation();
                        let plate = &self.record(index).plate;
                        let first = plate.advance(generation, Phase::Provisional, Phase::Closing);
                        if first.is_ok() {
                            let ticket = Record::ticket(index, generation);
                            let holding = self.record(index).holding();
                            end(ticket, Holding { provisional: true, ..holding }, plate.id());
                            return None;
                        }
                        // Confirmed or released, or being resized: look again.
                    }
                    Phase::Provisional | Phase::Pending | Phase::Doomed | Phase::Pledged => {
                        return Some(deadline);
                    }
                    Phase::Free | Phase::Live | Phase::Closing => return None,
                }
            }
        });
    }
}
