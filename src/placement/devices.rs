//! The devices of one worker: what each has free, which of them a request gets, and the digest by
//! which it is seen without a look at each that a request does not fit.

use core::{cmp::Reverse, error::Error, fmt};

use super::gpu::{DeviceSet, MAX_DEVICES, WHOLE};
use super::{Dimension, Resources};

/// Islands that devices can be in: 0 to 254.
pub const MAX_ISLAND: u8 = 254;

/// Whether several devices are to be near to one another: on one NUMA node, or joined by NVLink, or
/// whatever else the host calls an island when it registers a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Island {
    /// It does not matter.
    #[default]
    Any,
    /// On as few islands as the worker allows.
    Prefer,
    /// On one island, or not on this worker.
    Insist,
}

/// What a request asks of a worker's devices: a part of one, or several as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceNeed {
    /// How many devices, all of them different: 1 to [`MAX_DEVICES`].
    pub count: u32,
    /// Thousandths of each: 1 to 1,000; of several devices, 1,000.
    pub milli: u32,
    /// Memory of each, in MiB; 0 where the host does not count it.
    pub memory: u64,
    /// Of several: how near to one another.
    pub island: Island,
}

impl DeviceNeed {
    /// So many thousandths of one device.
    pub const fn part(milli: u32) -> DeviceNeed {
        DeviceNeed { count: 1, milli, memory: 0, island: Island::Any }
    }

    /// So many devices as a whole.
    pub const fn whole(count: u32) -> DeviceNeed {
        DeviceNeed { count, milli: WHOLE as u32, memory: 0, island: Island::Any }
    }

    /// So much memory of each, in MiB.
    pub const fn memory(mut self, memory: u64) -> DeviceNeed {
        self.memory = memory;
        self
    }

    /// How near to one another.
    pub const fn island(mut self, island: Island) -> DeviceNeed {
        self.island = island;
        self
    }

    /// The same, if it can be right.
    pub(crate) fn check(&self) -> Result<DeviceNeed, DeviceError> {
        let whole = u32::from(WHOLE);
        if self.count > MAX_DEVICES as u32 {
            return Err(DeviceError::TooMany { given: self.count });
        }
        if self.milli > whole {
            return Err(DeviceError::OverWhole { given: self.milli });
        }
        if self.count == 0 || self.milli == 0 {
            return Err(DeviceError::Empty);
        }
        if self.count > 1 && self.milli < whole {
            return Err(DeviceError::SeveralParts { count: self.count });
        }
        if self.memory > Resources::MAX.get(Dimension::Memory) {
            return Err(DeviceError::TooMuchMemory { given: self.memory });
        }
        Ok(*self)
    }

    /// As one number, for a note: 5 bits of the count, 11 of thousandths, 2 of the island, 27 of memory.
    /// Never 0, since there is a device.
    pub(crate) fn to_bits(self) -> u64 {
        let (count, milli) = (u64::from(self.count), u64::from(self.milli) << 5);
        count | milli | (self.island as u64) << 16 | self.memory << 18
    }

    pub(crate) fn from_bits(bits: u64) -> Option<DeviceNeed> {
        let (count, milli) = ((bits & 0x1f) as u32, (bits >> 5 & 0x7ff) as u32);
        let island = match bits >> 16 & 3 {
            0 => Island::Any,
            1 => Island::Prefer,
            _ => Island::Insist,
        };
        (bits != 0).then_some(DeviceNeed { count, milli, memory: bits >> 18, island })
    }

    /// It needs devices on which nobody else is.
    const fn is_whole(&self) -> bool {
        self.milli == WHOLE as u32
    }

    /// Whether it fits on a worker with this digest, whatever its devices are. False: a look at them
    /// must tell.
    pub(crate) fn surely_fits(&self, digest: u64) -> bool {
        let plain = self.memory == 0 && self.island != Island::Insist;
        // From two eighths on, so many are free of one device.
        let part = || digest > 1 && u64::from(self.milli) * EIGHTHS <= digest * u64::from(WHOLE);
        plain && if self.is_whole() { digest >= self.digest() } else { part() }
    }

    /// The least digest of a worker on which it could fit.
    pub(crate) fn digest(&self) -> u64 {
        if self.is_whole() { EIGHTHS * u64::from(self.count) } else { eighths(self.milli) }
    }

    /// What a digest comes to where the devices will not do, whatever it says: too little, so that they
    /// are what the worker is short of.
    pub(crate) fn too_little(&self, digest: i64) -> i64 {
        digest.min(self.digest() as i64 - 1)
    }
}

/// Which device a part comes from, where several will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefer {
    /// The one with the least free, so that others stay whole.
    Fullest,
    /// The one with the most free.
    Emptiest,
    /// This one, or else the one with the least free.
    This(DeviceSet),
}

/// What is wrong with what a request asks of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// More than 1,000 thousandths of a device.
    OverWhole {
        /// The thousandths.
        given: u32,
    },
    /// No device, or nothing of one.
    Empty,
    /// A part of each of several devices: several are whole or none is.
    SeveralParts {
        /// How many devices.
        count: u32,
    },
    /// More devices than any worker has.
    TooMany {
        /// How many.
        given: u32,
    },
    /// More memory of a device than there can be.
    TooMuchMemory {
        /// The memory in MiB.
        given: u64,
    },
    /// GPUs are asked for by number beside devices.
    BesideGpus,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::OverWhole { given } => {
                write!(f, "{given} thousandths of a device; at most {WHOLE} can be asked for")
            }
            DeviceError::Empty => f.write_str("no device, or nothing of one, is asked for"),
            DeviceError::SeveralParts { count } => {
                write!(f, "parts of {count} devices; of several, each must be whole")
            }
            DeviceError::TooMany { given } => {
                write!(f, "{given} devices; a worker has at most {MAX_DEVICES}")
            }
            DeviceError::TooMuchMemory { given } => {
                write!(f, "{given} MiB of a device; no device has as much")
            }
            DeviceError::BesideGpus => {
                f.write_str("GPUs are asked for by number and as devices; one of the two will do")
            }
        }
    }
}

impl Error for DeviceError {}

/// What a reservation holds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Which devices, by their place in the worker's list.
    pub devices: DeviceSet,
    /// Thousandths of each.
    pub milli: u16,
    /// Memory of each, in MiB.
    pub memory: u64,
}

/// What would be asked for to hold as much elsewhere.
impl From<Granted> for DeviceNeed {
    fn from(granted: Granted) -> DeviceNeed {
        DeviceNeed {
            count: granted.devices.0.count_ones(),
            milli: granted.milli.into(),
            memory: granted.memory,
            island: Island::Prefer,
        }
    }
}

/// As one number, for a record: 16 bits of devices, 11 of thousandths, 27 of memory. Never 0, since
/// there is a device.
impl Granted {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.devices.0) | u64::from(self.milli) << 16 | self.memory << 27
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Granted> {
        let (milli, memory) = ((bits >> 16 & 0x7ff) as u16, bits >> 27);
        (bits != 0).then_some(Granted { devices: DeviceSet(bits as u16), milli, memory })
    }

    /// How many devices.
    pub(crate) fn count(&self) -> u64 {
        self.devices.0.count_ones().into()
    }
}

const _: () = assert!(Resources::MAX.memory < 1 << 27);

/// A digest counts devices that are free as a whole in eighths.
const EIGHTHS: u64 = 8;

/// Of a part: at least one eighth, so that whatever is free can be seen.
const fn eighths(milli: u32) -> u64 {
    match milli as u64 * EIGHTHS / WHOLE as u64 {
        0 if milli > 0 => 1,
        eighths => eighths,
    }
}

/// What one device has free: less than nothing where more is promised than those have left who are to
/// leave (see `engine::preempt`). As one number: 16 bits of thousandths and 32 of memory, each plus half
/// its range, so that a value in range never borrows from its neighbour; 8 of the island, and one that
/// says that the device is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Device(u64);

impl Device {
    const MEMORY: u32 = 16;
    const ISLAND: u32 = 48;
    const THERE: u64 = 1 << 63;
    const HALF_MILLI: i64 = 1 << 15;
    const HALF_MEMORY: i64 = 1 << 31;

    pub(crate) fn new(milli: i64, memory: i64, island: u8) -> Device {
        let there = Self::THERE | u64::from(island) << Self::ISLAND;
        let [milli, memory] = [milli + Self::HALF_MILLI, memory + Self::HALF_MEMORY];
        Device(there | (memory as u64) << Self::MEMORY | milli as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Device {
        Device(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn is_there(self) -> bool {
        self.0 & Self::THERE != 0
    }

    /// Thousandths free; nothing where it is less.
    pub(crate) const fn milli(self) -> u32 {
        let left = self.left_milli();
        if left > 0 { left as u32 } else { 0 }
    }

    /// Memory free in MiB; nothing where it is less.
    pub(crate) const fn memory(self) -> u64 {
        let left = self.left_memory();
        if left > 0 { left as u64 } else { 0 }
    }

    /// What would be free if nobody who is to leave were waited for.
    pub(crate) const fn left_milli(self) -> i64 {
        (self.0 & 0xffff) as i64 - Self::HALF_MILLI
    }

    pub(crate) const fn left_memory(self) -> i64 {
        (self.0 >> Self::MEMORY & 0xffff_ffff) as i64 - Self::HALF_MEMORY
    }

    pub(crate) const fn island(self) -> u8 {
        (self.0 >> Self::ISLAND) as u8
    }

    pub(crate) const fn fits(self, need: &DeviceNeed) -> bool {
        self.is_there() && self.milli() >= need.milli && self.memory() >= need.memory
    }
}

/// What all devices of a worker have free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Devices(pub(crate) [Device; MAX_DEVICES]);

impl Devices {
    /// All free, with so much memory and on such an island each.
    pub(crate) fn all_free(devices: impl Iterator<Item = (u64, u8)>) -> Devices {
        let mut all = Devices::default();
        for (device, (memory, island)) in all.0.iter_mut().zip(devices) {
            *device = Device::new(WHOLE.into(), memory as i64, island);
        }
        all
    }

    /// The digest of a worker with so many devices, all free.
    pub(crate) const fn digest_of(count: u64) -> u64 {
        EIGHTHS * count
    }

    /// How many devices are free as a whole, by the digest.
    pub(crate) const fn whole_of(digest: i64) -> i64 {
        digest / EIGHTHS as i64
    }

    /// What is free in one number, such that a request does not fit where its own is more: the
    /// devices that are free as a whole, in eighths; where none is, the largest part.
    pub(crate) fn digest(&self) -> u64 {
        let whole = self.0.iter().filter(|device| device.milli() == u32::from(WHOLE)).count();
        match whole as u64 {
            0 => eighths(self.0.iter().map(|device| device.milli()).max().unwrap_or(0)),
            whole => EIGHTHS * whole,
        }
    }

    pub(crate) fn fits(&self, need: &DeviceNeed) -> bool {
        if need.count == 1 {
            return self.0.iter().any(|device| device.fits(need));
        }
        let fitting = self.0.iter().filter(|device| device.fits(need)).count();
        // Where it is to be one island, some may be on others.
        fitting >= need.count as usize
            && (need.island != Island::Insist || self.choose(need, Prefer::Fullest).is_some())
    }

    /// How many more would have to have room for a request that does not fit; where they are to be on
    /// one island, on the best one.
    pub(crate) fn missing(&self, need: &DeviceNeed) -> u64 {
        let fitting = self.of(|device| device.fits(need));
        let most = if need.count > 1 && need.island == Island::Insist {
            let islands = DeviceSet(fitting).iter().map(|first| fitting & self.beside(first));
            islands.map(u16::count_ones).max().unwrap_or(0)
        } else {
            fitting.count_ones()
        };
        need.count.saturating_sub(most).into()
    }

    /// Those on the island of this one.
    fn beside(&self, one: usize) -> u16 {
        self.of(|device| device.island() == self.0[one].island())
    }

    /// The devices that a request gets. A part comes from the device that is preferred, of equals from
    /// the lowest. Several are taken from the island with the fewest free devices that has enough; where
    /// none has, from as few islands as will do, or just the lowest where it does not matter.
    pub(crate) fn choose(&self, need: &DeviceNeed, prefer: Prefer) -> Option<DeviceSet> {
        let fitting = DeviceSet(self.of(|device| device.fits(need)));
        if !need.is_whole() {
            let free = |&i: &usize| (self.0[i].milli(), self.0[i].memory());
            let one = match prefer {
                Prefer::Emptiest => fitting.iter().min_by_key(|i| Reverse(free(i))),
                Prefer::This(one) if fitting.0 & one.0 != 0 => {
                    Some(one.0.trailing_zeros() as usize)
                }
                Prefer::Fullest | Prefer::This(_) => fitting.iter().min_by_key(free),
            };
            return one.map(|i| DeviceSet(1 << i));
        }
        let (count, mut left) = (need.count, fitting.0);
        if left.count_ones() < count {
            return None;
        }
        if count == 1 || need.island == Island::Any {
            return Some(lowest(left, count));
        }
        let islands = |left: u16| DeviceSet(left).iter().map(move |one| left & self.beside(one));
        let enough = islands(left).filter(|island| island.count_ones() >= count);
        if let Some(island) = enough.min_by_key(|island| island.count_ones()) {
            return Some(lowest(island, count));
        }
        if need.island == Island::Insist {
            return None;
        }
        let mut chosen = 0;
        while chosen_is_short(chosen, count) {
            let largest = islands(left).min_by_key(|island| Reverse(island.count_ones()))?;
            let wanted = count - u16::count_ones(chosen);
            let some = lowest(largest, wanted.min(largest.count_ones()));
            (chosen, left) = (chosen | some.0, left & !largest);
        }
        Some(DeviceSet(chosen))
    }

    /// What a request gets of them.
    pub(crate) fn grant(&self, need: &DeviceNeed, prefer: Prefer) -> Option<Granted> {
        let devices = self.choose(need, prefer)?;
        Some(Granted { devices, milli: need.milli as u16, memory: need.memory })
    }

    fn of(&self, which: impl Fn(Device) -> bool) -> u16 {
        let bit = |(i, &device)| (which(device) as u16) << i;
        self.0.iter().enumerate().map(bit).fold(0, |set, bit| set | bit)
    }

    /// With these taken. The caller has chosen them from this very state.
    pub(crate) fn minus(&self, granted: &Granted) -> Devices {
        self.changed(granted, |free, part| free.wrapping_sub(part))
    }

    /// With these promised to somebody whom others are to make room for; none where so much is promised
    /// already that it could not be written down.
    pub(crate) fn promise(&self, granted: &Granted) -> Option<Devices> {
        let room = granted.devices.iter().map(|i| self.0[i]).all(|device| {
            device.left_milli() >= i64::from(granted.milli) - Device::HALF_MILLI
                && device.left_memory() >= granted.memory as i64 - Device::HALF_MEMORY
        });
        room.then(|| self.minus(granted))
    }

    /// With these given back.
    pub(crate) fn plus(&self, granted: &Granted) -> Devices {
        self.changed(granted, |free, part| free.wrapping_add(part))
    }

    /// The same, where they may be free already: no more than all.
    pub(crate) fn plus_within(&self, granted: &Granted, all: &Devices) -> Devices {
        let mut now = *self;
        for i in granted.devices.iter().filter(|&i| all.0[i].is_there()) {
            let (free, most) = (self.0[i], all.0[i]);
            let milli = (free.left_milli() + i64::from(granted.milli)).min(most.left_milli());
            let memory = (free.left_memory() + granted.memory as i64).min(most.left_memory());
            now.0[i] = Device::new(milli, memory, most.island());
        }
        now
    }

    fn changed(&self, granted: &Granted, change: impl Fn(u64, u64) -> u64) -> Devices {
        let part = granted.memory << Device::MEMORY | u64::from(granted.milli);
        let mut now = *self;
        for i in granted.devices.iter() {
            now.0[i] = Device(change(now.0[i].0, part));
        }
        now
    }
}

fn lowest(set: u16, count: u32) -> DeviceSet {
    DeviceSet(DeviceSet(set).iter().take(count as usize).fold(0, |set, i| set | 1 << i))
}

const fn chosen_is_short(chosen: u16, count: u32) -> bool {
    chosen.count_ones() < count
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn devices() -> impl Strategy<Value = Devices> {
        let milli = prop_oneof![Just(1000u32), Just(0), 0u32..=1000];
        let device =
            (milli, 0i64..=4, 0u8..4).prop_map(|(m, memory, i)| Device::new(m.into(), memory, i));
        prop::collection::vec(device, 0..=MAX_DEVICES).prop_map(|some| {
            let mut all = Devices::default();
            all.0[..some.len()].copy_from_slice(&some);
            all
        })
    }

    fn need() -> impl Strategy<Value = DeviceNeed> {
        let island = prop_oneof![Just(Island::Any), Just(Island::Prefer), Just(Island::Insist)];
        let part = (1u32..1000).prop_map(|milli| (1, milli));
        let whole = (1u32..=8).prop_map(|count| (count, 1000));
        (prop_oneof![part, whole], 0u64..=4, island).prop_map(|((count, milli), memory, island)| {
            DeviceNeed { count, milli, memory, island }.check().expect("right")
        })
    }

    /// How many islands a set is on.
    fn islands(devices: &Devices, set: DeviceSet) -> usize {
        let on: std::collections::BTreeSet<u8> =
            set.iter().map(|i| devices.0[i].island()).collect();
        on.len()
    }

    proptest! {
        /// Against every set of devices that there is.
        #[test]
        fn the_choice_is_as_good_as_any(devices in devices(), need in need(), spread: bool, wish in 0u16..8) {
            let fine = |set: DeviceSet| {
                set.0.count_ones() == need.count
                    && set.iter().all(|i| devices.0[i].fits(&need))
                    && (need.island != Island::Insist || islands(&devices, set) == 1)
            };
            let all: Vec<DeviceSet> = (1..=u16::MAX).map(DeviceSet).filter(|&set| fine(set)).collect();
            let prefer = if spread { Prefer::Emptiest } else { Prefer::Fullest };
            let chosen = devices.choose(&need, prefer);
            // One that is wished for is got where it will do, and changes nothing otherwise.
            let wished = DeviceSet(1 << wish);
            let part = need.milli < 1_000 && fine(wished);
            let otherwise = devices.choose(&need, Prefer::Fullest);
            prop_assert_eq!(
                devices.choose(&need, Prefer::This(wished)),
                if part { Some(wished) } else { otherwise }
            );
            prop_assert_eq!(chosen.is_some(), !all.is_empty());
            // ... nor promises what does not.
            prop_assert!(chosen.is_some() || !need.surely_fits(devices.digest()));
            prop_assert_eq!(devices.fits(&need), !all.is_empty());
            let some = |count: &u32| *count == 0 || devices.fits(&DeviceNeed { count: *count, ..need });
            let most = (0..=need.count).rev().find(some).unwrap_or(0);
            prop_assert_eq!(devices.missing(&need), u64::from(need.count - most));
            let Some(chosen) = chosen else { return Ok(()) };
            prop_assert!(fine(chosen));
            if need.island != Island::Any {
                let least = all.iter().map(|&set| islands(&devices, set)).min();
                prop_assert_eq!(Some(islands(&devices, chosen)), least);
            }
            if !need.is_whole() {
                let milli = |set: DeviceSet| set.iter().map(|i| devices.0[i].milli()).sum::<u32>();
                let mut parts = all.iter().map(|&set| milli(set));
                let best = if spread { parts.max() } else { parts.by_ref().min() };
                prop_assert_eq!(Some(milli(chosen)), best);
            }
            prop_assert_eq!(DeviceNeed::from_bits(need.to_bits()), Some(need));
            // The digest never hides what fits, ...
            prop_assert!(need.digest() <= devices.digest());
            let memory = need.memory;
            let granted = Granted { devices: chosen, milli: need.milli as u16, memory };
            prop_assert_eq!(Granted::from_bits(granted.to_bits()), Some(granted));
            let less = devices.minus(&granted);
            for (i, (now, before)) in less.0.iter().zip(&devices.0).enumerate() {
                let taken = (chosen.0 >> i & 1) as u32;
                prop_assert_eq!(now.milli(), before.milli() - taken * need.milli);
                prop_assert_eq!(now.memory(), before.memory() - u64::from(taken) * memory);
                prop_assert_eq!(now.island(), before.island());
            }
            prop_assert_eq!(less.plus(&granted), devices);
        }
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let check = |count, milli, memory| {
            DeviceNeed { count, milli, memory, island: Island::Any }.check().map(|_| ())
        };
        assert_eq!(check(1, 1001, 0), Err(DeviceError::OverWhole { given: 1001 }));
        assert_eq!(check(0, 1000, 0), Err(DeviceError::Empty));
        assert_eq!(check(1, 0, 0), Err(DeviceError::Empty));
        assert_eq!(check(2, 500, 0), Err(DeviceError::SeveralParts { count: 2 }));
        assert_eq!(check(17, 1000, 0), Err(DeviceError::TooMany { given: 17 }));
        let over = Resources::MAX.memory + 1;
        assert_eq!(check(1, 1, over), Err(DeviceError::TooMuchMemory { given: over }));
        assert_eq!(check(16, 1000, Resources::MAX.memory), Ok(()));
    }

    #[test]
    fn a_whole_device_is_one_that_nobody_is_on() {
        let all = Devices::all_free([(80, 0), (80, 0)].into_iter());
        assert_eq!((all.digest(), Devices::digest_of(2)), (16, 16));
        let part = Granted { devices: DeviceSet(1), milli: 1, memory: 80 };
        let one = all.minus(&part);
        assert_eq!((one.digest(), Devices::whole_of(8)), (8, 1));
        assert_eq!(one.choose(&DeviceNeed::whole(1), Prefer::Fullest), Some(DeviceSet(2)));
        assert_eq!(one.choose(&DeviceNeed::whole(2), Prefer::Fullest), None);
        // The rest of the first has no memory left.
        let need = DeviceNeed::part(500).memory(1);
        assert_eq!(one.choose(&need, Prefer::Fullest), Some(DeviceSet(2)));
    }
}
