//! Deadlines of what others make and renew, looked at by one ticking thread.
//!
//! # Protocol
//! 1. Whoever sets a deadline writes it, then *arms* the thing that has it: notes it in a stack,
//!    unless it is noted there already. A deadline that is only put off need not be noted.
//! 2. A tick takes the whole stack, clears each note, and then reads the deadlines: each is entered
//!    into a wheel, unless it has an entry there that is no later.
//! 3. When an entry's time has come, the deadline is read again, and what is due is ended by whoever
//!    knows how; what has been put off is entered anew.
//!
//! If the note was there already, the tick has not cleared it yet, so it reads the deadline afterwards:
//! both swap the note, and the one that comes second sees what came before the first. So a deadline is
//! never overlooked; an entry that is no longer true costs a look. A thing stands in the stack once, and
//! nobody takes single ones out, so there is no ABA.

use super::wheel::Wheel;
use crate::sync::{AtomicU64, Bug, Ordering, Stop, bug, stop};

/// What the stack and the wheel need of each thing.
#[derive(Default)]
pub(crate) struct Note {
    /// In the stack: the next one's index plus one.
    next: AtomicU64,
    /// 1: noted in the stack.
    noted: AtomicU64,
    /// The time of its entry in the wheel plus one; 0: none. The ticking thread's own.
    entered: AtomicU64,
}

impl Note {
    fn entered(&self) -> Option<u64> {
        self.entered.load(Ordering::Relaxed).checked_sub(1)
    }

    fn enter(&self, when: Option<u64>) {
        self.entered.store(when.map_or(0, |when| when.saturating_add(1)), Ordering::Relaxed);
    }
}

/// What has been armed since the last tick.
#[derive(Default)]
pub(crate) struct Armed(AtomicU64);

impl Armed {
    /// Notes something whose deadline has been written. Lock-free.
    pub(crate) fn arm(&self, index: u32, note: &Note) {
        stop(Stop::Swap);
        if note.noted.swap(1, Ordering::AcqRel) != 0 {
            return;
        }
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            note.next.store(head, Ordering::Relaxed);
            let new = index as u64 + 1;
            stop(Stop::Swap);
            // Release: who takes the stack sees the links.
            match self.0.compare_exchange(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all that are noted, each to be looked at from scratch.
    pub(crate) fn take<'a>(&self, note: impl Fn(u32) -> &'a Note, mut each: impl FnMut(u32)) {
        stop(Stop::Swap);
        let mut head = self.0.swap(0, Ordering::AcqRel);
        while let Some(index) = head.checked_sub(1) {
            let note = note(index as u32);
            head = note.next.load(Ordering::Relaxed);
            if bug(Bug::NoteClearedLate) {
                each(index as u32);
                stop(Stop::Swap);
                note.noted.swap(0, Ordering::AcqRel);
                continue;
            }
            // First: whoever arms it from here on notes it again.
            stop(Stop::Swap);
            note.noted.swap(0, Ordering::AcqRel);
            each(index as u32);
        }
    }
}

/// The ticking thread's part.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    wheel: Wheel<u32>,
    /// Room for what is to be looked at, kept from one tick to the next.
    looks: Vec<u32>,
    /// What was due and somebody else's this moment: to be looked at by the next tick, also if that
    /// is of the same time. Entered as of [`AGAIN`].
    again: Vec<u32>,
}

/// Before any deadline.
const AGAIN: u64 = 0;

impl Agenda {
    /// Looks at what has been armed, and at what may be due by `now`. `due` ends what is, and says
    /// when what is not should be looked at again; what should have been looked at by now is looked at
    /// with the next advance.
    pub(crate) fn advance<'a>(
        &mut self,
        armed: &Armed,
        now: u64,
        note: impl Fn(u32) -> &'a Note,
        mut due: impl FnMut(u32) -> Option<u64>,
    ) {
        let mut looks = core::mem::take(&mut self.looks);
        armed.take(&note, |index| looks.push(index));
        for index in self.again.drain(..) {
            if note(index).entered() == Some(AGAIN) {
                note(index).enter(None);
                looks.push(index);
            }
        }
        self.wheel.advance(now, |when, index| {
            // Not if an earlier one has come in between.
            if note(index).entered() == Some(when) {
                note(index).enter(None);
                looks.push(index);
            }
        });
        for index in looks.drain(..) {
            let Some(when) = due(index) else { continue };
            let when = if when <= now { AGAIN } else { when.min(u64::MAX - 1) };
            if note(index).entered().is_none_or(|entered| when < entered) {
                note(index).enter(Some(when));
                match when {
                    AGAIN => self.again.push(index),
                    _ => self.wheel.insert(when, index),
                }
            }
        }
        self.looks = looks;
    }
}

/// The time that the last tick told.
#[derive(Default)]
pub(crate) struct Now(AtomicU64);

impl Now {
    /// Relaxed: a deadline that has just passed is refused now or ends with the next tick.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}
