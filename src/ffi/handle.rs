//! Handles of engines: numbers, counted, and never dereferenced by a host.
//!
//! A handle is an index into a fixed table and which use of that entry it is, so that one that was
//! freed is told from every later one. Looking one up is two loads; making, retaining and freeing
//! take a lock. An engine lives until its last reference is freed, also when it has been closed:
//! threads that each keep a reference may call while another closes.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::clock::slotwise_expired_t;
use super::failure::Failure;
use super::life::slotwise_lost_t;
use super::limits::SLOTWISE_MAX_ENGINES;
use super::status::{
    SLOTWISE_CLOSED, SLOTWISE_STALE_HANDLE, SLOTWISE_TOO_MANY_ENGINES, SLOTWISE_UNKNOWN_VALUE,
};
use super::thread;
use crate::Engine;
use crate::engine::Local;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};

/// A counted reference to an engine. 0 is never one.
pub type slotwise_engine_t = u64;

const INDEX_BITS: u32 = SLOTWISE_MAX_ENGINES.trailing_zeros();
/// In an entry's word beside the handle: closed.
const CLOSED: u64 = 1 << 63;

/// An engine, and what the interface keeps for its host.
pub(super) struct Host {
    pub(super) engine: Engine,
    /// Reservations that ended with their worker and that there was no room to tell of yet.
    pub(super) lost: Mutex<VecDeque<slotwise_lost_t>>,
    /// What ticks have ended and had no room to tell of yet.
    pub(super) ended: Mutex<VecDeque<slotwise_expired_t>>,
}

/// What a look-up reads.
struct Entry {
    /// The handle, with [`CLOSED`] or without; 0 while the entry is free.
    word: AtomicU64,
    host: AtomicPtr<Host>,
}

static ENTRIES: [Entry; SLOTWISE_MAX_ENGINES as usize] =
    [const { Entry { word: AtomicU64::new(0), host: AtomicPtr::new(core::ptr::null_mut()) } };
        SLOTWISE_MAX_ENGINES as usize];

/// What making and freeing read: of each entry that was ever used, which use it is in and how many
/// references there are; and the entries that are free again.
struct Table {
    used: Vec<(u64, u64)>,
    free: Vec<usize>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { used: Vec::new(), free: Vec::new() });

fn entry(engine: slotwise_engine_t) -> &'static Entry {
    &ENTRIES[engine as usize & (SLOTWISE_MAX_ENGINES as usize - 1)]
}

/// The engine of a handle, for the length of one call.
///
/// # Safety
/// The host frees the handle's last reference only when no call with it is under way.
#[inline(always)]
pub(super) unsafe fn host<'a>(engine: slotwise_engine_t) -> Result<&'a Host, Failure> {
    let entry = entry(engine);
    // Acquire: who sees the handle sees the engine that belongs to it; stored in `keep`.
    // 0 is that of a free entry, and a number with the upper bit that of a closed one.
    if entry.word.load(Ordering::Acquire) != engine || engine as i64 <= 0 {
        return Err(missing(engine));
    }
    // SAFETY: while the word is the handle, the pointer is that of a live `Host`; it lives until
    // the last reference is freed, which the caller promises not to do meanwhile.
    Ok(unsafe { &*entry.host.load(Ordering::Relaxed) })
}

/// The same, and what the calling thread keeps of it.
///
/// # Safety
/// As of [`host`].
#[inline(always)]
pub(super) unsafe fn host_and_local<'a>(
    engine: slotwise_engine_t,
) -> Result<(&'a Host, &'a Local), Failure> {
    // SAFETY: passed on; the handle has been looked up.
    unsafe {
        let host = host(engine)?;
        Ok((host, thread::local(engine, &host.engine)))
    }
}

#[cold]
fn missing(engine: slotwise_engine_t) -> Failure {
    let closed = engine as i64 > 0 && entry(engine).word.load(Ordering::Acquire) == engine | CLOSED;
    Failure::bare(if closed { SLOTWISE_CLOSED } else { SLOTWISE_STALE_HANDLE })
}

/// Gives an engine its handle, with one reference.
pub(super) fn keep(engine: Engine) -> Result<slotwise_engine_t, Failure> {
    let host = Box::new(Host { engine, lost: Mutex::default(), ended: Mutex::default() });
    let mut table = TABLE.lock();
    let index = match table.free.pop() {
        Some(index) => index,
        None if table.used.len() < ENTRIES.len() => {
            table.used.push((0, 0));
            table.used.len() - 1
        }
        None => return Err(Failure::bare(SLOTWISE_TOO_MANY_ENGINES)),
    };
    let (uses, references) = &mut table.used[index];
    *uses += 1;
    *references = 1;
    let handle = *uses << INDEX_BITS | index as u64;
    ENTRIES[index].host.store(Box::into_raw(host), Ordering::Relaxed);
    ENTRIES[index].word.store(handle, Ordering::Release);
    Ok(handle)
}

/// The entry that a handle names, if it does, open or closed. Under the lock.
fn named(engine: slotwise_engine_t) -> Result<usize, Failure> {
    let known = engine != 0 && entry(engine).word.load(Ordering::Relaxed) & !CLOSED == engine;
    let index = engine as usize & (ENTRIES.len() - 1);
    known.then_some(index).ok_or(Failure::bare(SLOTWISE_STALE_HANDLE))
}

/// One reference more.
pub(super) fn retain(engine: slotwise_engine_t) -> Result<(), Failure> {
    let mut table = TABLE.lock();
    let references = &mut table.used[named(engine)?].1;
    *references = references.checked_add(1).ok_or(Failure::bare(SLOTWISE_UNKNOWN_VALUE))?;
    Ok(())
}

/// No call that begins from now on uses the engine.
pub(super) fn close(engine: slotwise_engine_t) -> Result<(), Failure> {
    let _table = TABLE.lock();
    ENTRIES[named(engine)?].word.store(engine | CLOSED, Ordering::Release);
    Ok(())
}

/// One reference less; the engine goes with the last.
pub(super) fn free(engine: slotwise_engine_t) -> Result<(), Failure> {
    let host = {
        let mut table = TABLE.lock();
        let index = named(engine)?;
        table.used[index].1 -= 1;
        if table.used[index].1 > 0 {
            return Ok(());
        }
        ENTRIES[index].word.store(0, Ordering::Release);
        table.free.push(index);
        ENTRIES[index].host.swap(core::ptr::null_mut(), Ordering::Relaxed)
    };
    // SAFETY: made by `Box::into_raw` in `keep`; the word said so, it says so no more, and the lock
    // made this caller the only one to see that. No call is under way: see `host`.
    drop(unsafe { Box::from_raw(host) });
    Ok(())
}
