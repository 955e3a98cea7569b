//! What a user would write instead of an engine: plain structs behind one lock, first fit.
//!
//! Written to be fast, because a comparison with a straw man shows nothing: the scan reads plain
//! integers and builds nothing, eligibility is one compare, strings are allocated before the lock
//! is taken and freed after it has been dropped, and a batch takes the lock once.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

use parking_lot::Mutex;
use slotwise::{Resources, State};

/// One worker: what the scan reads, and the version that a journal would be ordered by.
pub struct Worker {
    free: Resources,
    pool: u32,
    state: State,
    version: u64,
}

pub fn workers(free: &[Resources], pool: u32) -> Vec<Worker> {
    free.iter().map(|&free| Worker { free, pool, state: State::Ready, version: 0 }).collect()
}

/// First fit: the first worker that has `need`.
pub fn find(workers: &[Worker], pool: u32, need: &Resources) -> Option<usize> {
    let fits = |w: &Worker| w.state == State::Ready && w.pool == pool && need.fits_in(&w.free);
    workers.iter().position(fits)
}

/// Takes `need` from the first worker that has it and says which it was.
pub fn take(workers: &mut [Worker], pool: u32, need: &Resources) -> Option<u32> {
    let index = find(workers, pool, need)?;
    let worker = &mut workers[index];
    worker.free.cpu -= need.cpu;
    worker.free.memory -= need.memory;
    worker.free.gpus -= need.gpus;
    worker.version += 1;
    Some(index as u32)
}

pub fn give(workers: &mut [Worker], index: u32, amount: &Resources) {
    let worker = &mut workers[index as usize];
    worker.free.cpu += amount.cpu;
    worker.free.memory += amount.memory;
    worker.free.gpus += amount.gpus;
    worker.version += 1;
}

/// Capacity alone: whoever reserves remembers where and how much, and is trusted with it.
pub struct MutexVec(Mutex<Vec<Worker>>);

impl MutexVec {
    pub fn new(free: &[Resources], pool: u32) -> Self {
        MutexVec(Mutex::new(workers(free, pool)))
    }

    pub fn reserve(&self, pool: u32, need: &Resources) -> Option<u32> {
        take(&mut self.0.lock(), pool, need)
    }

    pub fn release(&self, worker: u32, amount: &Resources) {
        give(&mut self.0.lock(), worker, amount);
    }

    pub fn reserve_all<'a>(
        &self,
        pool: u32,
        needs: impl IntoIterator<Item = &'a Resources>,
        placed: &mut Vec<Option<u32>>,
    ) {
        let mut workers = self.0.lock();
        placed.clear();
        placed.extend(needs.into_iter().map(|need| take(&mut workers, pool, need)));
    }

    pub fn release_all<'a>(&self, held: impl IntoIterator<Item = (u32, &'a Resources)>) {
        let mut workers = self.0.lock();
        held.into_iter().for_each(|(worker, amount)| give(&mut workers, worker, amount));
    }
}

/// What an id holds.
struct Held {
    worker: u32,
    amount: Resources,
}

/// Capacity, and who holds it: an id is reserved once and released once.
pub struct MutexVecMap<S = RandomState>(Mutex<(Vec<Worker>, HashMap<String, Held, S>)>);

impl<S: BuildHasher + Default> MutexVecMap<S> {
    pub fn new(free: &[Resources], pool: u32) -> Self {
        MutexVecMap(Mutex::new((workers(free, pool), HashMap::default())))
    }

    /// The worker that holds the id, whether it was placed now or before.
    pub fn reserve(&self, id: &str, pool: u32, need: &Resources) -> Option<u32> {
        let id = id.to_owned();
        let (workers, held) = &mut *self.0.lock();
        Self::reserve_locked(workers, held, id, pool, need)
    }

    /// Whether the id held anything.
    pub fn release(&self, id: &str) -> bool {
        let removed = {
            let (workers, held) = &mut *self.0.lock();
            Self::release_locked(workers, held, id)
        };
        removed.is_some()
    }

    pub fn reserve_all<'a>(
        &self,
        pool: u32,
        asked: impl IntoIterator<Item = (&'a str, &'a Resources)>,
        placed: &mut Vec<Option<u32>>,
    ) {
        let (workers, held) = &mut *self.0.lock();
        placed.clear();
        placed.extend(
            asked
                .into_iter()
                .map(|(id, need)| Self::reserve_locked(workers, held, id.to_owned(), pool, need)),
        );
    }

    pub fn release_all<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let (workers, held) = &mut *self.0.lock();
        ids.into_iter().for_each(|id| drop(Self::release_locked(workers, held, id)));
    }

    fn reserve_locked(
        workers: &mut [Worker],
        held: &mut HashMap<String, Held, S>,
        id: String,
        pool: u32,
        need: &Resources,
    ) -> Option<u32> {
        match held.entry(id) {
            Entry::Occupied(entry) => Some(entry.get().worker),
            Entry::Vacant(entry) => {
                let worker = take(workers, pool, need)?;
                entry.insert(Held { worker, amount: *need });
                Some(worker)
            }
        }
    }

    /// Returns the removed key, for the caller to free it where no lock is held.
    fn release_locked(
        workers: &mut [Worker],
        held: &mut HashMap<String, Held, S>,
        id: &str,
    ) -> Option<String> {
        let (id, Held { worker, amount }) = held.remove_entry(id)?;
        give(workers, worker, &amount);
        Some(id)
    }
}
