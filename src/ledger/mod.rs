//! The truth about who holds capacity: a record for each reservation, named by ticket and by id.
//!
//! A reservation is made in this order, so that each step is covered by the one before:
//! 1. [`Ledger::draft`]: a record from the thread's magazine, *pending*, carries the id.
//! 2. [`Ledger::claim`]: the id index makes it the one holder of the id, or names the holder.
//! 3. [`Draft::aim`] writes the slot into it, then the slot's word is swapped.
//! 4. [`Ledger::publish`] makes it *live*, unless the worker was removed in between.
//!
//! and given back in this order:
//! 1. [`Ledger::close`]: *live* to *closing*, which only one of any number of callers achieves; or
//!    [`Ledger::pledge`], where it is not certain yet that it will be given back.
//! 2. The slot is credited from the record.
//! 3. [`Ledger::finish`]: out of the id index, next generation, back to the magazine.
//!
//! What it holds is changed in this order:
//! 1. [`Ledger::pledge`]: it is its caller's alone, and keeps its id.
//! 2. The slot is changed by the difference.
//! 3. [`Ledger::unpledge_as`] writes down what it holds now; then it is *live* again.

mod account;
mod agenda;
mod batches;
mod free;
mod ids;
mod lease;
mod plate;
mod record;
mod rider;
mod tally;
mod ticket;
mod timed;
mod unmet;
mod wheel;

pub(crate) use account::{Account, OverLimit, UNLIMITED};
pub(crate) use agenda::{Agenda, Armed, Now};
pub(crate) use batches::{Batches, Start};
pub(crate) use free::Magazine;
use free::{FreeList, Records};
use ids::Spot;
pub(crate) use ids::{IdIndex, Insert};
pub(crate) use lease::{Lease, Over as LeaseOver};
pub use plate::MAX_ID_LEN;
pub(crate) use plate::{Header, Phase, Plate};
pub(crate) use record::Holding;
use record::Record;
pub use rider::MAX_LIMITS;
use rider::Rider;
pub(crate) use rider::{Accounts, Carried};
pub(crate) use tally::{Counted, Key, Tallies, Uncounted};
pub use ticket::Ticket;
pub(crate) use unmet::{Noted, Unmet, Want};

use crate::placement::Resources;
use crate::sync::{Bug, Chunked, Stop, bug, fetch, stop, store_load_fence};

/// A ledger of as many records is far: its table of ids takes a megabyte. See [`Ledger::is_far`].
const FAR: usize = 1 << 16;

/// Records, free list and id index.
pub(crate) struct Ledger {
    records: Records,
    riders: Chunked<Rider, 512>,
    armed: Armed,
    free: FreeList,
    ids: IdIndex,
    limit: usize,
}

/// A record that is being made; its maker's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    /// Number of the record, and flags above it, so that most pass them on for nothing.
    number: u32,
    generation: u64,
}

/// It has a rider.
const RIDES: u32 = 1 << 30;
/// It becomes provisional, not live.
const PROVISIONAL: u32 = 1 << 31;
const _: () = assert!(Ticket::MAX_RECORDS <= RIDES as usize);

impl Draft {
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.number & (RIDES - 1)
    }

    pub(crate) fn generation(self) -> u64 {
        self.generation
    }

    pub(crate) fn ticket(self) -> Ticket {
        Record::ticket(self.index(), self.generation)
    }

    #[inline]
    fn rides(self) -> bool {
        self.number & RIDES != 0
    }

    /// It is to be confirmed once it is made.
    #[inline]
    pub(crate) fn is_provisional(self) -> bool {
        self.number & PROVISIONAL != 0
    }

    fn riding(self, provisional: bool) -> Draft {
        let flags = if provisional { RIDES | PROVISIONAL } else { RIDES };
        Draft { number: self.index() | flags, ..self }
    }

    /// What it is when it is made.
    #[inline]
    fn target(self) -> Phase {
        if self.is_provisional() { Phase::Provisional } else { Phase::Live }
    }
}

/// Who holds an id after a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The draft does.
    Mine,
    /// This reservation does.
    Held(Ticket, Holding),
    /// A draft of this ticket does; whether it becomes a reservation is open.
    Draft(Ticket),
    /// Others are entering it, or may be giving it back, this moment.
    InFlight,
    /// The index has no cell left for it.
    Full,
}

/// Why a ticket could not be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLive {
    /// It stands for nothing any more, or not yet.
    Gone,
    /// Somebody is at work on it.
    Busy,
}

impl NotLive {
    fn why(now: Header, ticket: Ticket) -> NotLive {
        let busy = matches!(now.phase(), Phase::Closing | Phase::Pledged);
        if busy && now.generation() == ticket.generation() { NotLive::Busy } else { NotLive::Gone }
    }
}

/// What a record is to somebody who only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// Held, provisionally or not.
    Live(Ticket, Holding),
    /// Held, and part of a group that may give it back this moment, or being resized.
    Pledged(Ticket, Holding),
    /// Being made or given back.
    Between(Ticket, Holding),
}

impl Ledger {
    /// Room for `limit` reservations.
    pub(crate) fn new(limit: usize) -> Self {
        let free = FreeList::new(limit);
        debug_assert!(free.limit() <= Ticket::MAX_RECORDS);
        Ledger {
            records: Chunked::new(free.limit()),
            riders: Chunked::new(free.limit()),
            armed: Armed::default(),
            ids: IdIndex::new(free.limit()),
            free,
            limit,
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    fn record(&self, index: u32) -> &Record {
        self.records.get_or_grow(index as usize)
    }

    /// Whether there is room for so many reservations that where a new id is to be entered is in no near
    /// cache, as a rule.
    pub(crate) fn is_far(&self) -> bool {
        self.limit >= FAR
    }

    /// Asks for the record of a ticket, if it is one.
    #[inline(always)]
    pub(crate) fn fetch(&self, ticket: Ticket) {
        if let Some(record) = self.records.get(ticket.index() as usize) {
            fetch(record);
        }
    }

    /// Asks for where an id of this hash is entered.
    #[inline(always)]
    pub(crate) fn fetch_id(&self, hash: u64) {
        self.ids.fetch_home(hash);
    }

    /// Asks for where a record's id is entered.
    #[inline(always)]
    pub(crate) fn fetch_entry(&self, ticket: Ticket) {
        if let Some(spot) = self.entry(ticket) {
            self.ids.fetch(spot);
        }
    }

    /// Whether a record's id is entered.
    pub(crate) fn has_entry(&self, ticket: Ticket) -> bool {
        self.entry(ticket).is_some()
    }

    /// Where a record's id is entered, whatever the record is by now.
    #[inline(always)]
    fn entry(&self, ticket: Ticket) -> Option<Spot> {
        self.records.get(ticket.index() as usize)?.plate.spot()
    }

    /// A new record for `id` (empty: none). `None`: the ledger is full.
    #[inline(always)]
    pub(crate) fn draft(&self, magazine: &Magazine, id: &[u8]) -> Option<Draft> {
        self.draft_and_record(magazine, id).map(|(draft, _)| draft)
    }

    /// The same with the record at hand, for who makes all steps in one go.
    #[inline(always)]
    pub(crate) fn draft_and_record(
        &self,
        magazine: &Magazine,
        id: &[u8],
    ) -> Option<(Draft, &Record)> {
        let index = self.free.take(&self.records, magazine)?;
        let record = self.record(index);
        Some((Draft { number: index, generation: record.open(id) }, record))
    }

    /// Makes the draft the holder of its id, unless there is one. `given`: a record that the
    /// caller itself has pledged, and with it the id; nobody else enters the id before it is done
    /// with that record.
    #[inline]
    pub(crate) fn claim(
        &self,
        draft: Draft,
        id: &[u8],
        hash: u64,
        given: impl Fn(u32) -> bool,
    ) -> Claim {
        let same = |index: u32| {
            let own = index == draft.index() || given(index);
            let header = if own { None } else { self.record(index).plate.carries(id) };
            header.map(|h| (index, h))
        };
        match self.ids.insert(hash, draft.index(), same) {
            Insert::Mine(spot) => {
                self.record(draft.index()).plate.set_spot(spot);
                Claim::Mine
            }
            Insert::Held((index, header)) => match self.sight(index, header.generation()) {
                Some(Sighting::Live(ticket, holding)) => Claim::Held(ticket, holding),
                Some(Sighting::Pledged(..)) => Claim::InFlight,
                Some(Sighting::Between(ticket, _)) => Claim::Draft(ticket),
                None => Claim::InFlight,
            },
            Insert::InFlight => Claim::InFlight,
            Insert::Full => Claim::Full,
        }
    }

    /// Names where the reservation is about to be taken. Before the slot's swap.
    #[inline]
    pub(crate) fn aim(&self, draft: Draft, slot: u32, incarnation: u32, amount: &Resources) {
        let record = self.record(draft.index());
        match draft.rides() {
            false => record.aim(slot, incarnation, amount),
            true => record.aim_riding(slot, incarnation, amount),
        }
    }

    /// The slot has been swapped: the reservation exists from here on. False: its worker is `gone`,
    /// which [`Ledger::evict`] has noted; the capacity is gone with it, and the draft is pending
    /// again.
    ///
    /// Races with `evict` (one of the two moves the header first).
    #[inline]
    pub(crate) fn publish(&self, draft: Draft, version: u64, gone: impl Fn() -> bool) -> bool {
        self.record(draft.index()).publish_as(draft.target(), draft.generation, version, gone)
    }

    /// Gives up a draft.
    #[inline]
    pub(crate) fn discard(&self, magazine: &Magazine, draft: Draft) {
        self.end(magazine, draft.index(), draft.generation);
    }

    /// Takes a live reservation for its caller alone.
    ///
    /// Races with itself, with [`Ledger::evict`] and with the next use of the record: the header
    /// of exactly this generation is swapped once.
    #[inline]
    pub(crate) fn close(&self, ticket: Ticket) -> Result<Holding, NotLive> {
        self.close_record(ticket).map(Record::holding)
    }

    /// The same with the record at hand, for who goes on to [`Ledger::finish_record`].
    #[inline(always)]
    pub(crate) fn close_record(&self, ticket: Ticket) -> Result<&Record, NotLive> {
        let record = self.records.get(ticket.index() as usize).ok_or(NotLive::Gone)?;
        match record.plate.advance(ticket.generation(), Phase::Live, Phase::Closing) {
            Ok(()) => Ok(record),
            Err(now) => Self::seize(record, ticket, Phase::Closing, now).map(|_| record),
        }
    }

    /// Moves a reservation on that was not live when it was looked at: it may be provisional, and may
    /// be confirmed this moment. Whether it was provisional.
    #[cold]
    fn seize(record: &Record, ticket: Ticket, to: Phase, mut now: Header) -> Result<bool, NotLive> {
        loop {
            let phase = now.phase();
            if !phase.is_held() || now.generation() != ticket.generation() {
                return Err(NotLive::why(now, ticket));
            }
            match record.plate.advance(ticket.generation(), phase, to) {
                Ok(()) => return Ok(phase == Phase::Provisional),
                Err(other) => now = other,
            }
        }
    }

    /// Keeps a live reservation for its caller alone, who will either [`Ledger::finish`] it or
    /// [`Ledger::unpledge`] it, as it was or as something else. It holds its id meanwhile: what may yet stay as it is must not be
    /// reserved by somebody else a second time.
    pub(crate) fn pledge(&self, ticket: Ticket) -> Result<Holding, NotLive> {
        let record = self.records.get(ticket.index() as usize).ok_or(NotLive::Gone)?;
        let pledged = record.plate.advance(ticket.generation(), Phase::Live, Phase::Pledged);
        let provisional = match pledged {
            Ok(()) => false,
            Err(now) => Self::seize(record, ticket, Phase::Pledged, now)?,
        };
        Ok(Holding { provisional, ..record.holding() })
    }

    /// Binds drafts into a gang: none of them becomes a reservation before the first does. Before
    /// any of their slots is swapped.
    pub(crate) fn bind(&self, gang: impl IntoIterator<Item = Draft>) {
        let mut gang = gang.into_iter();
        let Some(leader) = gang.next() else { return };
        gang.for_each(|m| self.record(m.index()).follow(leader.ticket(), m.generation));
    }

    /// Undoes a [`Ledger::bind`] that led to nothing. Before the leader is used for anything else.
    pub(crate) fn unbind(&self, gang: impl IntoIterator<Item = Draft>) {
        gang.into_iter().for_each(|draft| self.record(draft.index()).unfollow());
    }

    /// Makes all of a gang live, or none: the leader's step decides for all. False: one of their
    /// workers is `gone`; they are drafts as before, bound.
    ///
    /// Races with [`Ledger::evict`], which dooms the leader in place of a member, and which helps
    /// a member over once the leader is live.
    pub(crate) fn publish_gang(
        &self,
        gang: impl IntoIterator<Item = (Draft, u64)> + Clone,
        gone: impl Fn() -> bool,
    ) -> bool {
        for (draft, version) in gang.clone() {
            self.record(draft.index()).set_version(version);
        }
        let mut members = gang.into_iter();
        let Some((leader, version)) = members.next() else { return true };
        if !self.publish(leader, version, gone) {
            return false;
        }
        for (member, _) in members {
            let plate = &self.record(member.index()).plate;
            // Failing means that an eviction has helped, and may have ended it since.
            let _ = plate.advance(member.generation, Phase::Pending, member.target());
        }
        true
    }

    /// Takes back a [`Ledger::pledge`]. Only by who made it. False: its worker is `gone`, and the
    /// reservation with it; it is closed, and the caller's to finish.
    ///
    /// Races with [`Ledger::evict`], which passes a pledged reservation by because whoever pledged
    /// it will notice: either it sees this one live, or this sees the worker gone.
    pub(crate) fn unpledge(
        &self,
        ticket: Ticket,
        provisional: bool,
        gone: impl FnOnce() -> bool,
    ) -> bool {
        let plate = &self.record(ticket.index()).plate;
        let phase = if provisional { Phase::Provisional } else { Phase::Live };
        let _ = plate.advance(ticket.generation(), Phase::Pledged, phase);
        store_load_fence();
        // Failing to close it: somebody else has ended it, and it is theirs.
        bug(Bug::UnpledgeWithoutLook) || !gone() || self.close(ticket).is_err()
    }

    /// As [`Ledger::unpledge`], of a reservation whose slot has been changed to hold this amount: it
    /// says so before it is live again, so that whoever ends it next gives back what it has taken.
    pub(crate) fn unpledge_as(
        &self,
        ticket: Ticket,
        provisional: bool,
        amount: &Resources,
        version: u64,
        gone: impl FnOnce() -> bool,
    ) -> bool {
        let record = self.record(ticket.index());
        if bug(Bug::AmountAfterUnpledge) {
            let kept = self.unpledge(ticket, provisional, gone);
            stop(Stop::Swap);
            record.rewrite(amount, version);
            return kept;
        }
        record.rewrite(amount, version);
        self.unpledge(ticket, provisional, gone)
    }

    /// Ends a closed or pledged reservation: its slot has been credited.
    #[inline]
    pub(crate) fn finish(&self, magazine: &Magazine, ticket: Ticket) {
        self.end(magazine, ticket.index(), ticket.generation());
    }

    /// The same with the record at hand.
    #[inline(always)]
    pub(crate) fn finish_record(&self, magazine: &Magazine, ticket: Ticket, record: &Record) {
        if let Some(spot) = record.plate.spot() {
            self.ids.remove(spot);
        }
        stop(Stop::Swap);
        if record.plate.end(ticket.generation()) {
            self.free.put(&self.records, magazine, ticket.index());
        }
    }

    fn end(&self, magazine: &Magazine, index: u32, generation: u64) {
        let ticket = Record::ticket(index, generation);
        self.finish_record(magazine, ticket, self.record(index));
    }

    /// The live reservation of an id, or that it is being made or given back.
    #[inline]
    pub(crate) fn find(&self, id: &[u8], hash: u64) -> Option<Sighting> {
        let same = |index: u32| self.record(index).plate.carries(id).map(|header| (index, header));
        let (index, header) = self.ids.find(hash, same)?;
        self.sight(index, header.generation())
    }

    /// The ticket of the reservation that an id holds, also while it is pledged. One that is being
    /// made is none yet.
    #[inline]
    pub(crate) fn ticket_of(&self, id: &[u8], hash: u64) -> Option<Ticket> {
        let same = |index: u32| self.record(index).plate.carries(id).map(|header| (index, header));
        let (index, header) = self.ids.find(hash, same)?;
        let held = header.phase().is_held() || header.phase() == Phase::Pledged;
        held.then(|| Record::ticket(index, header.generation()))
    }

    /// What a ticket stands for.
    pub(crate) fn look(&self, ticket: Ticket) -> Option<Sighting> {
        self.records.get(ticket.index() as usize)?;
        self.sight(ticket.index(), ticket.generation())
    }

    fn sight(&self, index: u32, generation: u64) -> Option<Sighting> {
        let (header, holding) = self.record(index).read();
        let ticket = Record::ticket(index, generation);
        match header.phase() {
            _ if header.generation() != generation => None,
            Phase::Free => None,
            Phase::Live | Phase::Provisional => Some(Sighting::Live(ticket, holding)),
            Phase::Pledged => Some(Sighting::Pledged(ticket, holding)),
            _ => Some(Sighting::Between(ticket, holding)),
        }
    }

    /// Everything there is, each record once.
    pub(crate) fn sightings(&self) -> impl Iterator<Item = Sighting> {
        (0..self.free.high_water()).filter_map(|index| {
            let header: Header = self.records.get(index as usize)?.plate.header();
            self.sight(index, header.generation())
        })
    }

    /// Ends every reservation on registrations that have been `removed`, told by slot and incarnation,
    /// and dooms those that are being made there. `lost` is told of each that was held, once, with its
    /// id, before its record is free again.
    ///
    /// Comes after the slots' words say removed. A reservation whose swap came before that has
    /// written its slot before the swap, so it is seen here; its maker either published before
    /// (held, ended here) or will find itself doomed.
    pub(crate) fn evict(
        &self,
        magazine: &Magazine,
        removed: impl Fn((u32, u32)) -> bool,
        mut lost: impl FnMut(Ticket, Vec<u8>, &Holding),
    ) {
        // Between the words that say removed and what the records say; see `unpledge`, `publish`.
        store_load_fence();
        for index in 0..self.free.high_water() {
            let Some(record) = self.records.get(index as usize) else { continue };
            loop {
                let header = record.plate.header();
                // The place may be that of a later use or of an earlier aim: the header is swapped
                // from just this one, and a draft that is doomed for nothing looks at its worker.
                if !removed(record.place()) {
                    break;
                }
                let generation = header.generation();
                match header.phase() {
                    Phase::Live | Phase::Provisional => {
                        let ticket = Record::ticket(index, generation);
                        if let Ok(holding) = self.close(ticket) {
                            lost(ticket, record.plate.id(), &holding);
                            self.finish(magazine, ticket);
                            break;
                        }
                    }
                    Phase::Pending => {
                        if self.doom(index, record, generation) {
                            break;
                        }
                    }
                    // Its releaser, its group or its maker finds the worker gone by itself.
                    Phase::Closing | Phase::Pledged | Phase::Doomed | Phase::Free => break,
                }
            }
        }
    }

    /// Keeps a draft from becoming a reservation. False: it has moved on, look again.
    ///
    /// A member of a gang is doomed through its leader. If the leader is live, or was and is gone,
    /// the member is as good as live and is helped there. If the leader is gone because the gang
    /// came to nothing, its maker has unbound the members before.
    fn doom(&self, index: u32, record: &Record, generation: u64) -> bool {
        let leader = record.leader(generation).filter(|_| !bug(Bug::DoomIgnoresLeader));
        let Some(leader) = leader else {
            return record.plate.advance(generation, Phase::Pending, Phase::Doomed).is_ok();
        };
        let plate = &self.record(leader.index()).plate;
        let doomed = plate.advance(leader.generation(), Phase::Pending, Phase::Doomed);
        match doomed {
            Ok(()) => true,
            Err(now) if now.generation() == leader.generation() && now.phase() == Phase::Doomed => {
                true
            }
            Err(_) if record.leader(generation) == Some(leader) => {
                let provisional = record.rides() && self.rider(index).is_provisional();
                let phase = if provisional { Phase::Provisional } else { Phase::Live };
                let _ = record.plate.advance(generation, Phase::Pending, phase);
                false
            }
            Err(_) => false,
        }
    }
}

#[cfg(all(slotwise_loom, test))]
mod loom_tests;
