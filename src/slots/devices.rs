//! The devices of workers: pages beside the slots, of which a slot's word names the one that counts.
//!
//! # Protocol
//! A worker that has devices has a pool of pages. What its devices have free is written on one of
//! them, and the slot's word says on which; so amounts and devices change by one swap of that word,
//! and there is no moment at which a request has taken the one and not the other, nothing to roll
//! back, and nothing that looks taken and is given back.
//! 1. A change reads the word, then its page, then the word again: if it is the same, the page was
//!    its page all the while.
//! 2. It takes a page that nobody has, writes on it what the devices have free afterwards, and swaps
//!    the word to one that names this page.
//! 3. The page that the old word named is nobody's then, and is given to whoever comes next. If the
//!    swap fails, the new page is kept for the next try, or given back.
//!
//! # Races
//! A page may be written on anew while somebody still reads it. Whoever writes has taken the page
//! (Acquire) after it was given back (Release), which came after the swap that took it out of the
//! word; and each cell is written with Release and read with Acquire. So a reader that meets one
//! new cell sees another word when it looks again, and a swap from the old word fails, since its
//! version is gone for good.
//!
//! Nobody waits: a thread that is stopped holds one page. As many threads as a pool has pages but
//! one may be amid a change of one worker; a request that comes then is contended, and a release
//! waits.
//!
//! The design asks for a word for each device, taken before the slot's word and rolled back where
//! that fails. Then what is about to be rolled back would keep others out for a moment, and a
//! worker would be called busy that is not.

use super::slot::MAX_RETRIES;
use super::{Change, Changed, Layout, Refused, Slot, Word};
use crate::placement::gpu::MAX_DEVICES;
use crate::placement::{Device, DeviceNeed, Devices, Granted, Prefer, Resources};
use crate::sync::{AtomicU64, Bug, Chunked, Ordering, Stop, bug, spin_loop, stop};

/// Pages of a pool. Page 0 is none.
const PAGES: u32 = 64;

/// What the devices of a worker have free. In models, fewer cells.
struct Page<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Page<N> {
    fn default() -> Self {
        Page([const { 0 }; N].map(AtomicU64::new))
    }
}

impl<const N: usize> Page<N> {
    fn read(&self) -> Devices {
        let mut devices = Devices::default();
        for (device, cell) in devices.0.iter_mut().zip(&self.0) {
            *device = Device::from_bits(cell.load(Ordering::Acquire));
            if device.is_there() {
                stop(Stop::Read);
            }
        }
        devices
    }

    fn write(&self, devices: &Devices) {
        for (device, cell) in devices.0.iter().zip(&self.0) {
            if device.is_there() {
                stop(Stop::Swap);
            }
            cell.store(device.to_bits(), Ordering::Release);
        }
    }
}

/// The pages of the workers of one slot, one after the other.
pub(crate) struct Pool<const N: usize = MAX_DEVICES> {
    pages: Chunked<Page<N>, 8>,
    /// Those that somebody has.
    taken: AtomicU64,
    /// The devices of the last registration, all free: for those who ask what it could ever hold.
    all: Page<N>,
}

impl<const N: usize> Default for Pool<N> {
    fn default() -> Self {
        Pool { pages: Chunked::new(PAGES as usize), taken: AtomicU64::new(1), all: Page::default() }
    }
}

impl<const N: usize> Pool<N> {
    fn take(&self) -> Option<u32> {
        loop {
            let taken = self.taken.load(Ordering::Relaxed);
            let free = taken.trailing_ones();
            if free >= PAGES {
                return None;
            }
            stop(Stop::Swap);
            // Acquire: after the swap that took the page out of the word, and the `give` that followed. The
            // load above is a guess that this swap checks.
            if self.taken.fetch_or(1 << free, Ordering::AcqRel) & 1 << free == 0 {
                return Some(free);
            }
        }
    }

    /// Nobody needs it any more.
    pub(crate) fn give(&self, page: u32) {
        stop(Stop::Swap);
        // Release: whoever takes the page, and writes on it, comes after the swap that took it out of
        // the word. Its partner is the fetch in `take`; see the races above.
        self.taken.fetch_and(!(1 << page), Ordering::AcqRel);
    }

    /// Whether so many pages are taken, not counting page 0.
    #[cfg(all(slotwise_loom, test))]
    pub(crate) fn in_use(&self) -> u32 {
        self.taken.load(Ordering::Relaxed).count_ones() - 1
    }

    fn read(&self, page: u32) -> Devices {
        self.pages.get_or_grow(page as usize).read()
    }

    fn write(&self, page: u32, devices: &Devices) {
        self.pages.get_or_grow(page as usize).write(devices);
    }

    /// The devices, all free. Of a worker that comes or goes this very moment, they may be those of the one
    /// before it.
    pub(crate) fn all(&self) -> Devices {
        self.all.read()
    }

    /// How many devices do not have free what they have in all less what is held of them; one more
    /// where the digest is another one. The word is what it was, before and after.
    pub(crate) fn astray<L: Layout>(&self, word: Word<L>, held: &[Granted]) -> i64 {
        let there = self.read(word.page());
        let expected = held.iter().fold(self.all(), |left, granted| left.minus(granted));
        let astray = there.0.iter().zip(&expected.0).filter(|(a, b)| a != b).count();
        let digest = word.free().gpus != there.digest() as i64;
        astray as i64 + digest as i64
    }

    /// A page with these devices, for a registration: with their digest, as a word has it. Under the
    /// registry's lock.
    pub(crate) fn enter(&self, devices: &Devices) -> (u32, u64) {
        let page = self.take_waiting();
        self.write(page, devices);
        self.all.write(devices);
        (page, devices.digest())
    }

    /// Waits while all pages are others'.
    fn take_waiting(&self) -> u32 {
        loop {
            match self.take() {
                Some(page) => return page,
                None => spin_loop(),
            }
        }
    }
}

/// A page of the caller's own, given back unless it has become the word's.
struct Own<'a, const N: usize> {
    pool: &'a Pool<N>,
    page: Option<u32>,
}

impl<const N: usize> Drop for Own<'_, N> {
    fn drop(&mut self) {
        if let Some(page) = self.page {
            self.pool.give(page);
        }
    }
}

impl<L: Layout> Slot<L> {
    /// The word, and what its devices have free; none where it has none.
    pub(crate) fn devices<const N: usize>(&self, pool: &Pool<N>) -> (Word<L>, Option<Devices>) {
        let mut word = self.word();
        loop {
            if word.page() == 0 {
                return (word, None);
            }
            let devices = pool.read(word.page());
            let now = self.word();
            if now.parts() == word.parts() || bug(Bug::PageReadOnce) {
                return (word, Some(devices));
            }
            word = now;
        }
    }

    /// As [`Slot::change`], and takes devices for the request, as [`Devices::choose`] says.
    pub(crate) fn change_with_devices<const N: usize>(
        &self,
        pool: &Pool<N>,
        change: &Change,
        (need, prefer): (&DeviceNeed, Prefer),
        retries: &mut u64,
    ) -> Result<(Changed<L>, Granted), Refused<L>> {
        let grant = |free: &Devices| {
            let granted = free.grant(need, prefer)?;
            Some((free.minus(&granted), granted))
        };
        self.change_devices(pool, change, grant, retries)
    }

    /// As [`Slot::change`], and takes devices: `grant` is asked what is left of those that are free, and
    /// what has been granted; none where they do not do. Asked again if another change came first.
    pub(crate) fn change_devices<const N: usize, G>(
        &self,
        pool: &Pool<N>,
        change: &Change,
        grant: impl Fn(&Devices) -> Option<(Devices, G)>,
        retries: &mut u64,
    ) -> Result<(Changed<L>, G), Refused<L>> {
        let mut own = Own { pool, page: None };
        for _ in 0..MAX_RETRIES {
            let (word, devices) = self.devices(pool);
            self.check(word, change)?;
            if !word.state().takes(change.ahead) {
                return Err(Refused::State);
            }
            if !word.free().fits(&change.take) {
                return Err(Refused::Short);
            }
            let granted = devices.and_then(|devices| grant(&devices));
            let Some((devices, granted)) = granted else { return Err(Refused::Short) };
            let Some(page) = own.page.or_else(|| pool.take()) else {
                return Err(Refused::Contended);
            };
            own.page = Some(page);
            let left = word.minus(&change.take, change.count);
            if let Some(changed) = self.turn(pool, word, left, page, devices) {
                own.page = None;
                return Ok((changed, granted));
            }
            *retries += 1;
        }
        Err(Refused::Contended)
    }

    /// As [`Slot::swap_from`], and says what the devices have free then. The word that it made; none
    /// where the slot has changed since.
    pub(crate) fn swap_with_devices<const N: usize>(
        &self,
        pool: &Pool<N>,
        (word, new): (Word<L>, Word<L>),
        devices: Devices,
    ) -> Result<Option<Word<L>>, Refused<L>> {
        let page = pool.take().ok_or(Refused::Contended)?;
        let mut own = Own { pool, page: Some(page) };
        let changed = self.turn(pool, word, new, page, devices);
        if changed.is_some() {
            own.page = None;
        }
        Ok(changed.map(|changed| changed.after))
    }

    /// As [`Slot::give`], and gives these devices back.
    pub(crate) fn give_with_devices<const N: usize>(
        &self,
        pool: &Pool<N>,
        incarnation: u32,
        (amount, count): (&Resources, u64),
        granted: impl Iterator<Item = Granted> + Clone,
        retries: &mut u64,
    ) -> Option<Changed<L>> {
        let mut own = Own { pool, page: None };
        loop {
            let (word, devices) = self.devices(pool);
            // After the word, as everywhere.
            let gone = self.stamp().incarnation != incarnation;
            if gone && !bug(Bug::GiveIgnoresIncarnation) {
                return None;
            }
            // Removed.
            let devices = devices?;
            let page = own.page.unwrap_or_else(|| pool.take_waiting());
            own.page = Some(page);
            let more = word.plus(amount, count);
            let devices = granted.clone().fold(devices, |free, granted| free.plus(&granted));
            if let Some(changed) = self.turn(pool, word, more, page, devices) {
                own.page = None;
                return Some(changed);
            }
            *retries += 1;
        }
    }

    /// Swaps the word to one with these devices, written on this page.
    fn turn<const N: usize>(
        &self,
        pool: &Pool<N>,
        word: Word<L>,
        new: Word<L>,
        page: u32,
        devices: Devices,
    ) -> Option<Changed<L>> {
        pool.write(page, &devices);
        let new = new.with_devices(page, devices.digest());
        if bug(Bug::PageGivenEarly) {
            pool.give(word.page());
        }
        if !self.swap_from(word, new) {
            return None;
        }
        if !bug(Bug::PageGivenEarly) {
            pool.give(word.page());
        }
        Some(Changed { before: word, after: new })
    }
}
