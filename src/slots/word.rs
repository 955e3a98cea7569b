//! The slot word: free capacity, lifecycle state and version, changed together or not at all.
//!
//! ```text
//! bit   0        24           52       61      64           122    128
//!       | cpu 24 | memory 28  | gpus 9 | state | version 58 | page |     128-bit instance
//! ```
//!
//! The three amounts are what is *free*, and signed: a host may lower a worker's total under what
//! is held there, and then free is less than nothing until enough has been released. That keeps
//! `free + held = total` exact in every state, in one word. A field holds its value plus half its
//! range, so that a value in range never borrows from its neighbour and taking or giving is one
//! 64-bit subtraction or addition.
//!
//! The page says where the devices of the worker are written down, 0 for a worker whose GPUs are
//! only counted; of one that has devices, the field of GPUs holds a digest of what they have free
//! (see [`crate::placement::Devices`]). It is in the same word so that amounts and devices change
//! as one.
//!
//! The version is in the same word so that it rises by exactly one with each change, and because
//! it never repeats it also settles ABA: a compare-and-swap from a word that was read succeeds
//! only if nothing at all has happened to the slot in between.
//!
//! Everything is written once over [`Layout`]: the 128-bit instance is the product, a 64-bit one
//! with narrow fields is what loom, which has no 128-bit atomics, checks.

use core::marker::PhantomData;

use super::State;
use super::hints::Sizes;
use super::wide::WideCell;
use crate::placement::{Devices, Dimension, Free, Resources};
#[cfg(test)]
use crate::sync::{AtomicU64, Ordering};

/// Where a field lies in the low part of the word. Each is placed after the one before.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn first(bits: u32) -> Field {
        Field { shift: 0, bits }
    }

    const fn then(self, bits: u32) -> Field {
        Field { shift: self.shift + self.bits, bits }
    }

    const fn end(self) -> u32 {
        self.shift + self.bits
    }

    const fn raw(self, low: u64) -> u64 {
        low >> self.shift & ((1 << self.bits) - 1)
    }

    /// The value that is stored for zero: half the range.
    const fn bias(self) -> u64 {
        1 << (self.bits - 1)
    }

    const fn signed(self, low: u64) -> i64 {
        self.raw(low) as i64 - self.bias() as i64
    }

    const fn place(self, value: u64) -> u64 {
        value << self.shift
    }
}

/// Widths of a word's fields, and the atomic cell that holds such words.
pub(crate) trait Layout: Sized + Copy + 'static {
    const CPU: Field;
    const MEMORY: Field;
    const GPUS: Field;
    const STATE: Field;
    /// Bits of the version; the page is above them.
    const VERSION: u32;
    type Cell: WordCell<Self>;
}

/// An atomic cell for words of one layout.
pub(crate) trait WordCell<L: Layout>: Default + Send + Sync {
    fn load(&self) -> Word<L>;
    /// From exactly `current` to `new`; else what is there.
    fn compare_exchange(&self, current: Word<L>, new: Word<L>) -> Result<(), Word<L>>;
    /// Seeded bugs only.
    #[cfg(all(slotwise_loom, test))]
    fn store(&self, new: Word<L>);
}

/// The product's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide;

impl Layout for Wide {
    const CPU: Field = Field::first(24);
    const MEMORY: Field = Self::CPU.then(28);
    const GPUS: Field = Self::MEMORY.then(9);
    const STATE: Field = Self::GPUS.then(3);
    // At a hundred million changes a second, ninety years.
    const VERSION: u32 = 58;
    type Cell = WideCell;
}

// The low part is full to the bit, and holds what the public limits promise.
const _: () = assert!(Wide::STATE.end() == 64);
const _: () = assert!(Wide::CPU.bias() > Resources::MAX.cpu);
const _: () = assert!(Wide::MEMORY.bias() > Resources::MAX.memory);
const _: () = assert!(Wide::GPUS.bias() > Resources::MAX.gpus);
// A worker of 4,000 cores, 64 TiB and 255 GPUs registers without rounding.
const _: () = assert!(Resources::MAX.cpu >= 4_000_000 && Resources::MAX.memory >= 64 << 20);

/// The word that loom checks: the same fields, narrower, 31 bits of version and 4 of the page.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Narrow;

#[cfg(test)]
impl Layout for Narrow {
    const CPU: Field = Field::first(10);
    const MEMORY: Field = Self::CPU.then(10);
    // Two devices in eighths.
    const GPUS: Field = Self::MEMORY.then(6);
    const STATE: Field = Self::GPUS.then(3);
    const VERSION: u32 = 31;
    type Cell = NarrowCell;
}

#[cfg(test)]
#[derive(Default)]
pub(crate) struct NarrowCell(AtomicU64);

#[cfg(test)]
impl NarrowCell {
    const LOW: u32 = Narrow::STATE.end();

    const fn join(word: Word<Narrow>) -> u64 {
        word.high << Self::LOW | word.low
    }

    const fn split(bits: u64) -> Word<Narrow> {
        Word { low: bits & ((1 << Self::LOW) - 1), high: bits >> Self::LOW, layout: PhantomData }
    }
}

#[cfg(test)]
impl WordCell<Narrow> for NarrowCell {
    fn load(&self) -> Word<Narrow> {
        Self::split(self.0.load(Ordering::Acquire))
    }

    fn compare_exchange(&self, cur: Word<Narrow>, new: Word<Narrow>) -> Result<(), Word<Narrow>> {
        let (current, new) = (Self::join(cur), Self::join(new));
        match self.0.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Self::split(now)),
        }
    }

    #[cfg(all(slotwise_loom, test))]
    fn store(&self, new: Word<Narrow>) {
        self.0.store(Self::join(new), Ordering::Release);
    }
}

/// What a request needs, laid out as a word's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need<L> {
    bits: u64,
    /// The highest bit of each field of which something is needed.
    asked: u64,
    layout: PhantomData<L>,
}

impl<L: Layout> Need<L> {
    /// The highest bit of each amount's field.
    const TOPS: u64 = L::CPU.place(L::CPU.bias())
        | L::MEMORY.place(L::MEMORY.bias())
        | L::GPUS.place(L::GPUS.bias());

    /// All bits below those.
    const BELOW: u64 = L::CPU.place(L::CPU.bias() - 1)
        | L::MEMORY.place(L::MEMORY.bias() - 1)
        | L::GPUS.place(L::GPUS.bias() - 1);

    /// `amount` is within [`Resources::MAX`], so that a field's highest bit is not its own.
    #[inline(always)]
    pub(crate) fn new(amount: &Resources) -> Self {
        let bits = Word::<L>::amount(amount);
        // Whatever is not zero reaches the highest bit of its field, and no further.
        Need { bits, asked: (bits + Self::BELOW) & Self::TOPS, layout: PhantomData }
    }
}

impl Need<Wide> {
    /// What it was made of.
    #[inline(always)]
    pub(crate) fn amount(self) -> Resources {
        Resources::from_bits(self.bits)
    }

    /// The same as one number.
    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.bits
    }
}

// An amount as one number is laid out as a word's fields are.
const _: () = {
    let shifts = (Wide::CPU.shift, Wide::MEMORY.shift, Wide::GPUS.shift);
    assert!(Resources { cpu: 1, memory: 0, gpus: 0 }.to_bits() == 1 << shifts.0);
    assert!(Resources { cpu: 0, memory: 1, gpus: 0 }.to_bits() == 1 << shifts.1);
    assert!(Resources { cpu: 0, memory: 0, gpus: 1 }.to_bits() == 1 << shifts.2);
};

/// What a slot's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<L> {
    low: u64,
    /// The version, and the page above it.
    high: u64,
    layout: PhantomData<L>,
}

impl<L: Layout> Word<L> {
    #[inline(always)]
    pub(super) const fn from_parts(low: u64, high: u64) -> Self {
        Word { low, high, layout: PhantomData }
    }

    #[inline(always)]
    pub(super) const fn parts(self) -> (u64, u64) {
        (self.low, self.high)
    }

    /// Without devices.
    pub(crate) fn new(free: Free, state: State, version: u64) -> Self {
        let biased = |field: Field, value: i64| field.place((value + field.bias() as i64) as u64);
        let low = biased(L::CPU, free.cpu)
            | biased(L::MEMORY, free.memory)
            | biased(L::GPUS, free.gpus)
            | L::STATE.place(state as u64);
        Word { low, high: version, layout: PhantomData }
    }

    /// With the devices on this page, and their digest.
    pub(crate) fn with_devices(self, page: u32, digest: u64) -> Self {
        let others = !L::GPUS.place((1 << L::GPUS.bits) - 1);
        let low = self.low & others | L::GPUS.place(digest + L::GPUS.bias());
        let high = self.version() | (page as u64) << L::VERSION;
        Word { low, high, layout: PhantomData }
    }

    /// Where its devices are written down; 0: it has none, or only a number of GPUs.
    #[inline]
    pub(crate) fn page(self) -> u32 {
        (self.high >> L::VERSION) as u32
    }

    /// What is free, with the number of devices that are free as a whole where there are devices.
    pub(crate) fn shown_free(self) -> Free {
        let free = self.free();
        let gpus = if self.page() == 0 { free.gpus } else { Devices::whole_of(free.gpus) };
        Free { gpus, ..free }
    }

    #[inline]
    pub(crate) fn free(self) -> Free {
        Free {
            cpu: L::CPU.signed(self.low),
            memory: L::MEMORY.signed(self.low),
            gpus: L::GPUS.signed(self.low),
        }
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        State::from_bits(L::STATE.raw(self.low))
    }

    #[inline]
    pub(crate) fn version(self) -> u64 {
        self.high & ((1 << L::VERSION) - 1)
    }

    /// How much is free for requests, in powers of two; nothing in a state that takes none.
    pub(crate) fn sizes(self) -> Sizes {
        if !self.state().takes(true) {
            return [0; 3];
        }
        // Less than nothing is nothing.
        [L::CPU, L::MEMORY, L::GPUS].map(|field| {
            let free = field.raw(self.low).saturating_sub(field.bias());
            u64::BITS - free.leading_zeros()
        })
    }

    /// Whether there is no size that this one reaches and `before` did not, as far as can be said
    /// quickly: all fields keep their highest bit, and their sign.
    #[inline(always)]
    pub(crate) fn as_large_as(self, before: Self) -> bool {
        let (tops, below) = (Need::<L>::TOPS, Need::<L>::BELOW);
        let (differ, both) = (self.low ^ before.low, self.low & before.low);
        // Two numbers have the same highest bit if what they share is not less than what they do
        // not; compared in all fields at once, the sign's bit as the guard between them.
        let compared = (both | tops) - (differ & below);
        compared & !differ & tops == tops
    }

    #[inline]
    fn amount(amount: &Resources) -> u64 {
        L::CPU.place(amount.cpu) | L::MEMORY.place(amount.memory) | L::GPUS.place(amount.gpus)
    }

    /// With `amount` taken by `changes` reservations. The caller has seen that it fits.
    #[inline]
    pub(crate) fn minus(self, amount: &Resources, changes: u64) -> Self {
        debug_assert!(self.free().fits(amount));
        let low = self.low - Self::amount(amount);
        Word { low, high: self.high + changes, layout: PhantomData }
    }

    /// With `amount` promised to one reservation, also where that leaves less than nothing: others who
    /// hold as much are to leave. The caller has seen that they do. None where what is held and what is
    /// promised, of a worker of this capacity, would come to more than can be written down however
    /// small the worker becomes.
    pub(crate) fn promise(self, amount: &Resources, capacity: &Resources) -> Option<Self> {
        let left = self.free().minus(amount);
        let fields = [L::CPU, L::MEMORY, L::GPUS].into_iter().zip(Dimension::ALL);
        let room = fields.into_iter().all(|(field, d)| {
            amount.get(d) == 0 || capacity.get(d) as i64 - left.get(d) <= field.bias() as i64
        });
        room.then(|| Word {
            low: self.low - Self::amount(amount),
            high: self.high + 1,
            layout: PhantomData,
        })
    }

    /// With `need` taken by one reservation, if it fits, as [`Free::fits`] says: all fields at once,
    /// by one subtraction.
    ///
    /// A field holds its value plus half its range, so its highest bit says that it is not less
    /// than nothing, before and after. A field can borrow from the next only if it is short itself,
    /// and then the answer is no whatever the next one says.
    #[inline(always)]
    pub(crate) fn less(self, need: Need<L>) -> Option<Self> {
        let low = self.low.wrapping_sub(need.bits);
        let word = Word { low, high: self.high.wrapping_add(1), layout: PhantomData };
        self.fits(need).then_some(word)
    }

    /// Whether `need` fits.
    #[inline(always)]
    pub(crate) fn fits(self, need: Need<L>) -> bool {
        self.low & self.low.wrapping_sub(need.bits) & need.asked == need.asked
    }

    /// With `amount` given back by `changes` reservations. It was taken before, so that it fits.
    #[inline]
    pub(crate) fn plus(self, amount: &Resources, changes: u64) -> Self {
        let low = self.low + Self::amount(amount);
        Word { low, high: self.high + changes, layout: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn free(cpu: u64, memory: u64, gpus: u64) -> impl Strategy<Value = Free> {
        let signed = |max: u64| -(max as i64)..=max as i64;
        (signed(cpu), signed(memory), signed(gpus)).prop_map(|(cpu, memory, gpus)| Free {
            cpu,
            memory,
            gpus,
        })
    }

    fn state() -> impl Strategy<Value = State> {
        (0u64..5).prop_map(State::from_bits)
    }

    fn round_trip<L: Layout>(f: Free, s: State, v: u64) -> (Free, State, u64) {
        let word = Word::<L>::new(f, s, v);
        (word.free(), word.state(), word.version())
    }

    proptest! {
        #[test]
        fn wide_round_trips(
            f in free(Resources::MAX.cpu, Resources::MAX.memory, Resources::MAX.gpus),
            s in state(),
            v in 0u64..1 << 58,
            page in 1u32..64,
            digest in 0u64..256,
        ) {
            prop_assert_eq!(round_trip::<Wide>(f, s, v), (f, s, v));
            let word = Word::<Wide>::new(f, s, v);
            let (low, version) = word.parts();
            prop_assert_eq!(Word::from_parts(low, version), word);
            let devices = word.with_devices(page, digest);
            prop_assert_eq!((devices.page(), devices.version(), devices.state()), (page, v, s));
            prop_assert_eq!(devices.free(), Free { gpus: digest as i64, ..f });
        }

        #[test]
        fn narrow_round_trips(f in free(511, 511, 31), s in state(), v in 0u64..1 << 31) {
            prop_assert_eq!(round_trip::<Narrow>(f, s, v), (f, s, v));
            let word = Word::<Narrow>::new(f, s, v);
            prop_assert_eq!(NarrowCell::split(NarrowCell::join(word)), word);
        }

        #[test]
        fn taking_and_giving_touch_no_other_field(
            cpu in 0..=Resources::MAX.cpu,
            memory in 0..=Resources::MAX.memory,
            gpus in 0..=Resources::MAX.gpus,
            parts in (0.0..=1.0, 0.0..=1.0, 0.0..=1.0),
            s in state(),
        ) {
            let all = Resources { cpu, memory, gpus };
            let part = |n: u64, p: f64| (n as f64 * p) as u64;
            let need = Resources {
                cpu: part(cpu, parts.0),
                memory: part(memory, parts.1),
                gpus: part(gpus, parts.2),
            };
            let word = Word::<Wide>::new(all.into(), s, 7);
            let taken = word.minus(&need, 1);
            prop_assert_eq!(taken.free(), Free::from(all).minus(&need));
            prop_assert_eq!((taken.state(), taken.version()), (s, 8));
            prop_assert_eq!(taken.plus(&need, 1).free(), Free::from(all));
        }
    }

    proptest! {
        #[test]
        fn all_fields_at_once_are_each_by_itself(
            f in free(Resources::MAX.cpu, Resources::MAX.memory, Resources::MAX.gpus),
            near in (-1i64..=1, -1i64..=1, -1i64..=1),
            asked in (any::<bool>(), any::<bool>(), any::<bool>()),
            far in (0..=Resources::MAX.cpu, 0..=Resources::MAX.memory, 0..=Resources::MAX.gpus),
            at_the_edge: bool,
            s in state(),
        ) {
            let max = Resources::MAX;
            let one = |free: i64, near: i64, far: u64, asked: bool, max: u64| {
                let n = if at_the_edge { (free + near).clamp(0, max as i64) as u64 } else { far };
                n * asked as u64
            };
            let need = Resources {
                cpu: one(f.cpu, near.0, far.0, asked.0, max.cpu),
                memory: one(f.memory, near.1, far.1, asked.1, max.memory),
                gpus: one(f.gpus, near.2, far.2, asked.2, max.gpus),
            };
            let word = Word::<Wide>::new(f, s, 7);
            let expected = f.fits(&need).then(|| Word::new(f.minus(&need), s, 8));
            prop_assert_eq!(word.less(Need::new(&need)), expected);
        }
    }

    proptest! {
        /// No size is reached that was not, or it is said that there may be one.
        #[test]
        fn sizes_that_are_reached_are_noticed(
            f in free(Resources::MAX.cpu, Resources::MAX.memory, Resources::MAX.gpus),
            shift in 0u32..24,
            amount in (0..=Resources::MAX.cpu, 0..=Resources::MAX.memory, 0..=Resources::MAX.gpus),
        ) {
            let small = Resources {
                cpu: amount.0 >> shift,
                memory: amount.1 >> shift,
                gpus: amount.2 >> shift.min(7),
            };
            let after = Word::<Wide>::new(f, State::Ready, 1);
            let less = f.minus(&small);
            let least = [Resources::MAX.cpu, Resources::MAX.memory, Resources::MAX.gpus];
            prop_assume!(Dimension::ALL.iter().zip(least).all(|(&d, m)| less.get(d) >= -(m as i64)));
            let before = Word::<Wide>::new(less, State::Ready, 0);
            if f.deficit().is_zero() && less.deficit().is_zero() {
                prop_assert_eq!(after.as_large_as(before), after.sizes() == before.sizes());
            } else if after.as_large_as(before) {
                prop_assert!((0..3).all(|d| after.sizes()[d] <= before.sizes()[d]));
            }
        }
    }

    #[test]
    fn an_over_committed_field_does_not_borrow_from_its_neighbour() {
        let word = Word::<Wide>::new(Free { cpu: -5, memory: 10, gpus: -255 }, State::Ready, 0);
        let taken = word.minus(&Resources::new(0, 10), 1);
        assert_eq!(taken.free(), Free { cpu: -5, memory: 0, gpus: -255 });
    }
}
