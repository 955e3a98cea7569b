//! What was refused lately: a bounded table of requests that nobody had room for.
//!
//! The table is sets of a few entries; an id leads to its set, and anonymous requests take the sets in
//! turn. Each entry is a plate, whose header decides every race, and what the request wants.
//!
//! # Protocol
//! 1. Whoever notes a request looks through its set for an entry of the same id, else for a free one,
//!    else for the oldest; and claims it by one swap of the header to *closing*. Who does not get an
//!    entry leaves it: of the same id, because somebody renews it this moment; else for the next.
//! 2. It writes what is wanted, then the id, and makes the entry *live*.
//! 3. Whoever reads an entry reads the header, the rest, and the header again.
//! 4. Whoever takes an entry out claims it by the same swap, from just the header that it read.
//!
//! Nobody waits: an entry whose writer is stopped half-way is passed by, and is one less to write
//! to. Two threads that note one id at once may enter it twice; readers take the newer.
//!
//! # Orderings
//! As for every plate, a sequence lock: the header is claimed, then a fence (Release) stands before
//! what is written; a reader that has read any of it and fences (Acquire) finds the header changed.

use once_cell::race::OnceBox;

use super::plate::{Header, Phase, Plate};
use crate::placement::{DeviceNeed, Resources};
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, fence, stop};

/// Entries in a set.
const WAYS: usize = 8;

/// What a refused request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) need: Resources,
    /// It asks for devices; then `need` has their digest of GPUs.
    pub(crate) devices: Option<DeviceNeed>,
    /// The number of the selector that it was asked with.
    pub(crate) selector: u32,
    pub(crate) ahead: bool,
}

/// A request as it was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Empty: anonymous.
    pub(crate) id: Vec<u8>,
    pub(crate) want: Want,
    /// The engine's time when it was refused.
    pub(crate) when: u64,
    /// Later than lower ones of its set.
    pub(crate) turn: u64,
    at: usize,
    header: Header,
}

/// An entry has its cache lines to itself.
#[derive(Default)]
#[repr(align(128))]
struct Entry {
    plate: Plate,
    need: AtomicU64,
    devices: AtomicU64,
    /// Selector and, in the lowest bit, whether it may be held ahead.
    whose: AtomicU64,
    when: AtomicU64,
    turn: AtomicU64,
}

impl Entry {
    /// Claims the entry, if its header is still this one.
    fn claim(&self, header: Header) -> bool {
        self.plate.advance(header.generation(), header.phase(), Phase::Closing).is_ok()
    }

    /// Only by who has claimed it.
    fn write(&self, id: &[u8], want: &Want, when: u64, turn: u64) {
        stop(Stop::Noting);
        // See "Orderings": the partner is `still` in `read`.
        if !bug(Bug::NoteUnordered) {
            fence(Ordering::Release);
        }
        self.need.store(want.need.to_bits(), Ordering::Relaxed);
        let devices = want.devices.map_or(0, DeviceNeed::to_bits);
        self.devices.store(devices, Ordering::Relaxed);
        self.whose.store((want.selector as u64) << 1 | want.ahead as u64, Ordering::Relaxed);
        self.when.store(when, Ordering::Relaxed);
        self.turn.store(turn, Ordering::Relaxed);
        let generation = self.plate.open_next(id);
        let _ = self.plate.advance(generation, Phase::Pending, Phase::Live);
    }

    /// Takes it out, if its header is still this one.
    fn clear(&self, header: Header) -> bool {
        let mine = self.claim(header);
        if mine {
            // A generation that is used up ends nothing here: no ticket names an entry.
            let _ = self.plate.end(header.generation());
        }
        mine
    }

    /// What it says; none if it says nothing, or is being written.
    fn read(&self, at: usize) -> Option<Noted> {
        loop {
            let header = self.plate.header();
            if header.phase() != Phase::Live {
                return None;
            }
            let whose = self.whose.load(Ordering::Relaxed);
            let want = Want {
                need: Resources::from_bits(self.need.load(Ordering::Relaxed)),
                devices: DeviceNeed::from_bits(self.devices.load(Ordering::Relaxed)),
                selector: (whose >> 1) as u32,
                ahead: whose & 1 != 0,
            };
            let when = self.when.load(Ordering::Relaxed);
            let turn = self.turn.load(Ordering::Relaxed);
            let id = self.plate.id();
            // If not, it has been written meanwhile, by somebody who was not stopped there.
            if self.plate.still(header) || bug(Bug::NoteReadOnce) {
                return Some(Noted { id, want, when, turn, at, header });
            }
        }
    }
}

/// The table.
pub(crate) struct Unmet {
    /// Made whole when something is first refused, so that no later refusal allocates.
    entries: OnceBox<Box<[Entry]>>,
    limit: usize,
    /// Anonymous requests that were noted.
    anonymous: AtomicU64,
}

impl Unmet {
    /// Room for `limit` requests, rounded down to whole sets of 8 if it is more; 0: nothing is noted.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = if limit > WAYS { limit / WAYS * WAYS } else { limit };
        Unmet { entries: OnceBox::new(), limit, anonymous: AtomicU64::new(0) }
    }

    /// The set of a hash, and where it starts.
    fn set<'a>(&self, entries: &'a [Entry], hash: u64) -> &'a [Entry] {
        let ways = self.limit.min(WAYS);
        let sets = (self.limit / ways) as u64;
        let start = (hash % sets) as usize * ways;
        &entries[start..start + ways]
    }

    /// Notes a request that was refused. Without a lock, a wait or, but for the first time, an
    /// allocation.
    #[cold]
    pub(crate) fn note(&self, id: &[u8], hash: u64, want: &Want, when: u64) {
        if self.limit == 0 {
            return;
        }
        let make = || Box::new((0..self.limit).map(|_| Entry::default()).collect());
        let entries = self.entries.get_or_init(make);
        let named = !id.is_empty();
        let hash = if named { hash } else { self.anonymous.fetch_add(1, Ordering::Relaxed) };
        let set = self.set(entries, hash);
        // Two that find the same turn are of one time.
        let turn = set.iter().map(|e| e.turn.load(Ordering::Relaxed)).max().unwrap_or(0) + 1;
        let live = |header: &Header| header.phase() == Phase::Live;
        for entry in set.iter().filter(|_| named) {
            if let Some(header) = entry.plate.carries(id).filter(live) {
                if entry.claim(header) {
                    entry.write(id, want, when, turn);
                }
                return;
            }
        }
        for _ in 0..set.len() {
            let idle = set.iter().filter_map(|entry| {
                let header = entry.plate.header();
                match header.phase() {
                    Phase::Free => Some((0, entry, header)),
                    Phase::Live => Some((entry.turn.load(Ordering::Relaxed), entry, header)),
                    _ => None,
                }
            });
            let Some((_, entry, header)) = idle.min_by_key(|(turn, ..)| *turn) else { return };
            if entry.claim(header) {
                entry.write(id, want, when, turn);
                return;
            }
        }
    }

    /// Forgets what was noted of an id. Whether anything was.
    pub(crate) fn forget(&self, id: &[u8], hash: u64) -> bool {
        let Some(entries) = self.entries.get() else { return false };
        let mut forgotten = false;
        for entry in self.set(entries, hash) {
            if let Some(header) = entry.plate.carries(id)
                && header.phase() == Phase::Live
            {
                forgotten |= entry.clear(header);
            }
        }
        forgotten
    }

    /// Forgets what was read, unless it has been noted anew since.
    pub(crate) fn forget_read(&self, noted: &Noted) {
        let entry = self.entries.get().and_then(|entries| entries.get(noted.at));
        entry.map(|entry| entry.clear(noted.header));
    }

    /// Everything that is noted. What is being written this moment is not seen.
    pub(crate) fn noted(&self) -> impl Iterator<Item = Noted> + '_ {
        let entries = self.entries.get().map_or(&[][..], |entries| &entries[..]);
        entries.iter().enumerate().filter_map(|(at, entry)| entry.read(at))
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    const WANT: Want =
        Want { need: Resources::new(1, 1), devices: None, selector: 0, ahead: false };

    fn ids(unmet: &Unmet) -> Vec<Vec<u8>> {
        let mut noted: Vec<Noted> = unmet.noted().collect();
        noted.sort_by_key(|noted| noted.turn);
        noted.into_iter().map(|noted| noted.id).collect()
    }

    #[test]
    fn the_oldest_makes_room_and_the_same_id_is_renewed() {
        let unmet = Unmet::new(3);
        for id in [b"a", b"b", b"c"] {
            unmet.note(id, 0, &WANT, 0);
        }
        let devices = Some(DeviceNeed::part(7).memory(9));
        let more = Want { need: Resources::new(7, 7), devices, selector: 9, ahead: true };
        unmet.note(b"a", 0, &more, 5);
        assert_eq!(ids(&unmet), [b"b", b"c", b"a"]);
        let renewed = unmet.noted().find(|noted| noted.id == b"a").unwrap();
        assert_eq!((renewed.want, renewed.when), (more, 5));
        unmet.note(b"d", 0, &WANT, 0);
        assert_eq!(ids(&unmet), [b"c", b"a", b"d"]);
        assert!(unmet.forget(b"a", 0) && !unmet.forget(b"a", 0));
        unmet.note(b"e", 0, &WANT, 0);
        assert_eq!(ids(&unmet), [b"c", b"d", b"e"]);
        // What was read before it was noted anew is not forgotten.
        let read: Vec<Noted> = unmet.noted().collect();
        unmet.note(b"d", 0, &WANT, 0);
        read.iter().for_each(|noted| unmet.forget_read(noted));
        assert_eq!(ids(&unmet), [b"d"]);
    }

    #[test]
    fn as_many_are_kept_as_there_is_room_for_and_none_without_any() {
        for (limit, kept) in [(0, 0), (1, 1), (7, 7), (8, 8), (9, 8), (4096, 4096)] {
            let unmet = Unmet::new(limit);
            (0..5000).for_each(|_| unmet.note(b"", 0, &WANT, 0));
            assert_eq!(unmet.noted().count(), kept, "{limit}");
        }
    }

    /// Threads note, renew, forget and read at once: what is read is what one of them wrote.
    #[test]
    fn what_is_read_is_of_one_piece() {
        let unmet = Unmet::new(16);
        let note = |k: u64| {
            let id = k.to_le_bytes();
            let need = Resources::new(k + 1, 1);
            let devices = k.is_multiple_of(3).then_some(DeviceNeed::part(k as u32 + 1));
            let want = Want { need, devices, selector: k as u32, ahead: k % 2 == 1 };
            unmet.note(&id, k, &want, k);
        };
        std::thread::scope(|scope| {
            for me in 0..3u64 {
                let (unmet, note) = (&unmet, &note);
                scope.spawn(move || {
                    for round in 0..30_000u64 {
                        let k = crate::placement::order::other(round * 3 + me) % 64;
                        if round % 5 == 0 {
                            unmet.forget(&k.to_le_bytes(), k);
                        } else {
                            note(k);
                        }
                    }
                });
            }
            for _ in 0..5_000 {
                for noted in unmet.noted() {
                    let k = u64::from_le_bytes(noted.id.as_slice().try_into().expect("8 bytes"));
                    assert_eq!((noted.want.selector as u64, noted.when), (k, k));
                    assert_eq!((noted.want.need.cpu, noted.want.ahead), (k + 1, k % 2 == 1));
                    let milli = noted.want.devices.map(|need| need.milli as u64);
                    assert_eq!(milli, k.is_multiple_of(3).then_some(k + 1));
                }
            }
        });
    }
}

#[cfg(all(slotwise_loom, test))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::sync::seeded::catches;

    fn want(k: u64) -> Want {
        let devices = Some(DeviceNeed::part(k as u32));
        Want { need: Resources::new(k, k), devices, selector: k as u32, ahead: false }
    }

    fn whole(noted: &Noted) {
        let k = noted.when;
        assert_eq!((noted.id.as_slice(), noted.want), (&[k as u8][..], want(k)), "torn");
    }

    /// A table with one entry, in use: two threads note requests of their own, and one of them reads
    /// then. Whatever is read was written by one of them, and one of the two is there in the end.
    fn two_notes_and_a_look() {
        loom::model(|| {
            let unmet = Arc::new(Unmet::new(1));
            unmet.note(&[1], 0, &want(1), 1);
            let other = {
                let unmet = Arc::clone(&unmet);
                thread::spawn(move || unmet.note(&[2], 0, &want(2), 2))
            };
            unmet.note(&[3], 0, &want(3), 3);
            unmet.noted().for_each(|noted| whole(&noted));
            other.join().unwrap();
            let noted: Vec<Noted> = unmet.noted().collect();
            noted.iter().for_each(whole);
            assert!(noted.len() == 1 && noted[0].when > 1, "lost: {noted:?}");
        });
    }

    /// An anonymous entry has no id whose writing would be fenced.
    fn an_anonymous_note_and_a_reader() {
        loom::model(|| {
            let unmet = Arc::new(Unmet::new(1));
            unmet.note(b"", 0, &want(1), 1);
            let other = {
                let unmet = Arc::clone(&unmet);
                thread::spawn(move || unmet.note(b"", 0, &want(2), 2))
            };
            unmet.noted().for_each(|noted| assert_eq!(noted.want, want(noted.when), "torn"));
            other.join().unwrap();
            assert!(unmet.noted().map(|noted| noted.when).eq([2]));
        });
    }

    #[test]
    fn loom_two_notes_and_a_look() {
        two_notes_and_a_look();
    }

    #[test]
    fn loom_an_anonymous_note_and_a_reader() {
        an_anonymous_note_and_a_reader();
    }

    #[test]
    fn loom_catches_note_without_cas() {
        assert!(catches(Bug::ReleaseWithoutCas, two_notes_and_a_look));
    }

    #[test]
    fn loom_catches_note_that_is_read_once() {
        assert!(catches(Bug::NoteReadOnce, two_notes_and_a_look));
    }

    #[test]
    fn loom_catches_note_without_order() {
        assert!(catches(Bug::NoteUnordered, an_anonymous_note_and_a_reader));
    }
}
