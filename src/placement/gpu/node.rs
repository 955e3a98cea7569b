//! What a node with devices has free, what a request asks of it, and how one is taken from the
//! other: plain data, a few dozen bytes, no names.

use core::{error::Error, fmt};

/// The most devices that a node has and a request may ask for.
pub const MAX_DEVICES: usize = 16;

/// The most models that [`ModelSet`] tells apart.
pub const MAX_MODELS: usize = 64;

/// A whole device, in thousandths of one.
pub const WHOLE: u16 = 1000;

/// The models that a request may use, as numbers that the caller gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelSet(u64);

impl ModelSet {
    /// Any model will do.
    pub const ANY: ModelSet = ModelSet(u64::MAX);

    /// No model at all: a request bound to models that nobody has.
    pub const NONE: ModelSet = ModelSet(0);

    /// These models; numbers from [`MAX_MODELS`] on belong to nobody.
    pub fn of(models: impl IntoIterator<Item = u8>) -> ModelSet {
        let bit = |model: u8| 1u64.checked_shl(u32::from(model)).unwrap_or(0);
        ModelSet(models.into_iter().fold(0, |set, model| set | bit(model)))
    }

    /// With one more.
    pub fn with(self, model: u8) -> ModelSet {
        ModelSet(self.0 | ModelSet::of([model]).0)
    }

    /// Are all of the others among them?
    pub const fn holds(self, others: ModelSet) -> bool {
        others.0 & !self.0 == 0
    }

    /// Is the model among them?
    #[inline]
    pub const fn contains(self, model: u8) -> bool {
        self.0 >> model & 1 == 1
    }

    /// Their numbers, rising.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let model = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(model)
        })
    }

    /// How many there are.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// None of them?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Devices of one node: bit i stands for device i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceSet(pub u16);

impl DeviceSet {
    /// No device.
    pub const NONE: DeviceSet = DeviceSet(0);

    /// Whether the device of this index is one of them.
    pub fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// The lowest index.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// Their indexes, rising.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_DEVICES).filter(move |&i| self.has(i))
    }
}

/// What is wrong with a request's amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// More than 1,000 thousandths of one device; the amount.
    OverWhole(u64),
    /// Nothing of each device, where devices are asked for.
    NoPart,
    /// A part of each of several devices; how many devices. Several are whole or none.
    SeveralParts(u64),
    /// More devices than any node has; how many.
    TooManyDevices(u64),
    /// An amount of CPU or memory over 2^32 - 1.
    TooLarge,
    /// Nothing of anything.
    Empty,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShapeError::OverWhole(milli) => {
                write!(f, "{milli} thousandths of a device; expected at most {WHOLE}")
            }
            ShapeError::NoPart => write!(f, "0 thousandths of a device; expected 1 to {WHOLE}"),
            ShapeError::SeveralParts(n) => {
                write!(f, "parts of {n} devices; expected {WHOLE} thousandths of each, or 1 device")
            }
            ShapeError::TooManyDevices(n) => {
                write!(f, "{n} devices; expected at most {MAX_DEVICES}")
            }
            ShapeError::TooLarge => f.write_str("more cpu or memory than any node has"),
            ShapeError::Empty => f.write_str("nothing is asked for"),
        }
    }
}

impl Error for ShapeError {}

/// What a request asks of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    cpu: u32,
    memory: u32,
    num_gpu: u8,
    milli: u16,
    models: ModelSet,
    /// How many whole devices a node has at least that it fits; beside a device with `milli` free, so that a
    /// look at a node is the same few steps for every request.
    whole: u8,
}

impl Shape {
    /// `cpu` millicores, `memory` MiB, and `gpu_milli` thousandths of each of `num_gpu` devices of
    /// one of `models`. What is said of a device is ignored where no device is asked for.
    pub fn new(
        cpu: u64,
        memory: u64,
        num_gpu: u64,
        gpu_milli: u64,
        models: ModelSet,
    ) -> Result<Shape, ShapeError> {
        if num_gpu > MAX_DEVICES as u64 {
            return Err(ShapeError::TooManyDevices(num_gpu));
        }
        if gpu_milli > u64::from(WHOLE) {
            return Err(ShapeError::OverWhole(gpu_milli));
        }
        if num_gpu > 0 && gpu_milli == 0 {
            return Err(ShapeError::NoPart);
        }
        if num_gpu > 1 && gpu_milli < u64::from(WHOLE) {
            return Err(ShapeError::SeveralParts(num_gpu));
        }
        if cpu == 0 && memory == 0 && num_gpu == 0 {
            return Err(ShapeError::Empty);
        }
        let amount = |n: u64| u32::try_from(n).map_err(|_| ShapeError::TooLarge);
        let (milli, models) =
            if num_gpu == 0 { (0, ModelSet::ANY) } else { (gpu_milli as u16, models) };
        Ok(Shape {
            cpu: amount(cpu)?,
            memory: amount(memory)?,
            num_gpu: num_gpu as u8,
            milli,
            models,
            whole: if num_gpu > 1 { num_gpu as u8 } else { 0 },
        })
    }

    /// CPU in millicores.
    pub const fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Memory in MiB.
    pub const fn memory(&self) -> u32 {
        self.memory
    }

    /// How many devices.
    pub const fn num_gpu(&self) -> u8 {
        self.num_gpu
    }

    /// Thousandths of each device.
    pub const fn milli(&self) -> u16 {
        self.milli
    }

    /// The models that will do.
    pub const fn models(&self) -> ModelSet {
        self.models
    }

    /// Thousandths of devices in all.
    pub const fn asks(&self) -> u32 {
        self.num_gpu as u32 * self.milli as u32
    }

    /// The same with so much memory.
    pub const fn with_memory(mut self, memory: u32) -> Shape {
        self.memory = memory;
        self
    }

    /// The same for any model: what a request asks of a node of a model that will do.
    pub const fn without_models(mut self) -> Shape {
        self.models = ModelSet::ANY;
        self
    }

    /// The same without memory: what scores that do not look at memory depend on.
    pub const fn without_memory(self) -> Shape {
        self.with_memory(0)
    }
}

/// What a node has free: one cache line. Its number and its name are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub struct Node {
    /// CPU in millicores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    milli: [u16; MAX_DEVICES],
    count: u8,
    model: u8,
    /// Of `milli`, how many are whole, the most, and the sum: nodes are asked whether something fits more
    /// often than they change.
    whole: u8,
    most: u16,
    free: u16,
    /// And the sum of what stands for them in a [digest].
    mixed: u64,
}

impl Node {
    /// A node with all of `devices` devices of a model free; none where it would have more than
    /// [`MAX_DEVICES`] or a model from [`MAX_MODELS`] on.
    pub fn new(cpu: u32, memory: u32, devices: usize, model: u8) -> Option<Node> {
        if devices > MAX_DEVICES || usize::from(model) >= MAX_MODELS {
            return None;
        }
        let mut milli = [0; MAX_DEVICES];
        milli[..devices].fill(WHOLE);
        let mut node = Node { cpu, memory, milli, count: devices as u8, model, ..Node::ABSENT };
        node.mixed = mixed(WHOLE, 1).wrapping_mul(devices as u64);
        Some(node.added_up())
    }

    /// A node that is not there: nothing fits.
    pub const ABSENT: Node = Node {
        cpu: 0,
        memory: 0,
        milli: [0; MAX_DEVICES],
        count: 0,
        model: 0,
        whole: 0,
        most: 0,
        free: 0,
        mixed: 0,
    };

    /// After a change of what devices have free; those that are not there have nothing.
    #[inline]
    fn added_up(mut self) -> Node {
        // Numbers with a sign, and all of them each time: vector instructions that every processor has.
        let milli = self.milli.map(|free| free as i16);
        self.most = milli.iter().fold(0, |most, &free| free.max(most)) as u16;
        self.free = milli.iter().sum::<i16>() as u16;
        self.whole = milli.iter().map(|&free| i16::from(free == WHOLE as i16)).sum::<i16>() as u8;
        self
    }

    /// A node with this free, of each device in thousandths; none where [`Node::new`] gives none, or
    /// where a device has more than there is of one.
    pub fn with_free(cpu: u32, memory: u32, free: &[u16], model: u8) -> Option<Node> {
        let mut node = Node::new(cpu, memory, free.len(), model)?;
        node.milli[..free.len()].copy_from_slice(free);
        node.mixed = free.iter().fold(0, |sum, &free| sum.wrapping_add(mixed(free, 1)));
        free.iter().all(|&free| free <= WHOLE).then(|| node.added_up())
    }

    /// Free thousandths of each device.
    #[inline]
    pub fn devices(&self) -> &[u16] {
        &self.milli[..usize::from(self.count)]
    }

    /// The number of its devices' model.
    pub const fn model(&self) -> u8 {
        self.model
    }

    /// Free thousandths of all devices together.
    #[inline]
    pub fn free(&self) -> u32 {
        self.free.into()
    }

    /// The same with so much memory free.
    #[inline]
    pub const fn with_memory(mut self, memory: u32) -> Node {
        self.memory = memory;
        self
    }

    /// How many devices are free as a whole.
    #[inline]
    pub fn whole(&self) -> u32 {
        self.whole.into()
    }

    /// Whether the request fits now.
    #[inline]
    pub fn fits(&self, shape: &Shape) -> bool {
        // Without a way out half-way, here and below: among many nodes that is guessed wrong too often.
        (self.cpu >= shape.cpu) & (self.memory >= shape.memory) & self.devices_fit(shape)
    }

    /// Whether its devices alone would take the request now.
    #[inline]
    pub fn devices_fit(&self, shape: &Shape) -> bool {
        (self.most >= shape.milli) & (self.whole >= shape.whole) & shape.models.contains(self.model)
    }

    /// The choices of devices that differ for a request that fits: of devices with equal amounts
    /// free the lowest stands for all.
    #[inline]
    pub fn options(&self, shape: &Shape) -> impl Iterator<Item = DeviceSet> + use<'_> {
        let (part, single) = (shape.milli, shape.num_gpu == 1);
        let all = if single { DeviceSet::NONE } else { self.lowest_whole(shape.num_gpu) };
        (0..if single { usize::from(self.count) } else { 1 }).filter_map(move |i| {
            if !single {
                return Some(all);
            }
            let free = self.milli[i];
            let new = free >= part && !self.milli[..i].contains(&free);
            new.then_some(DeviceSet(1 << i))
        })
    }

    fn lowest_whole(&self, n: u8) -> DeviceSet {
        let whole = (0..usize::from(self.count)).filter(|&i| self.milli[i] == WHOLE);
        DeviceSet(whole.take(usize::from(n)).fold(0, |set, i| set | 1 << i))
    }

    /// What is left after the request took these devices; nothing where it does not fit so.
    #[inline]
    pub fn take(&self, shape: &Shape, devices: DeviceSet) -> Option<Node> {
        let right = devices.0.count_ones() == u32::from(shape.num_gpu)
            && u32::from(devices.0) >> self.count == 0
            && (shape.num_gpu == 0 || shape.models.contains(self.model));
        if !right {
            return None;
        }
        let mut left = *self;
        left.cpu = left.cpu.checked_sub(shape.cpu)?;
        left.memory = left.memory.checked_sub(shape.memory)?;
        let mut rest = devices.0;
        while rest != 0 {
            let device = rest.trailing_zeros() as usize;
            let free = left.milli[device].checked_sub(shape.milli)?;
            left.becomes(device, free);
            rest &= rest - 1;
        }
        Some(left.added_up())
    }

    /// What is there after the request gave these devices back; nothing where that is more than a
    /// device is.
    pub fn give(&self, shape: &Shape, devices: DeviceSet) -> Option<Node> {
        let mut now = *self;
        now.cpu = now.cpu.checked_add(shape.cpu)?;
        now.memory = now.memory.checked_add(shape.memory)?;
        for device in devices.iter() {
            let free = now.milli[..usize::from(now.count)].get(device)?;
            let free = free.checked_add(shape.milli).filter(|&free| free <= WHOLE)?;
            now.becomes(device, free);
        }
        Some(now.added_up())
    }

    /// A number that like ones share.
    #[inline]
    pub(super) fn digest(&self) -> u64 {
        digest(self.mixed, self.cpu, self.model)
    }

    /// Whether another node has the same, memory apart.
    #[inline]
    pub(super) fn is_like(&self, other: &Node) -> bool {
        (self.cpu, self.count, self.model) == (other.cpu, other.count, other.model)
            && self.milli == other.milli
    }

    /// Whether more is free than in another state of the same node, in any respect.
    pub fn has_more_than(&self, before: &Node) -> bool {
        self.cpu > before.cpu || self.memory > before.memory || self.free() > before.free()
    }

    /// Whether it may take what it did not take before.
    pub fn may_take_more(&self, before: &Node) -> bool {
        let alike = (self.model, self.count) == (before.model, before.count);
        let more = self.milli.iter().zip(&before.milli).any(|(now, was)| now > was);
        !alike || more || self.cpu > before.cpu || self.memory > before.memory
    }

    /// A device has this much free now; the sums are made later.
    #[inline]
    fn becomes(&mut self, device: usize, free: u16) {
        let before = core::mem::replace(&mut self.milli[device], free);
        self.mixed = self.mixed.wrapping_sub(mixed(before, 1)).wrapping_add(mixed(free, 1));
    }

    /// What stands for its devices in a [digest], but for those with less than `least` free.
    #[inline]
    pub(super) fn mixed(&self, least: u16) -> u64 {
        // Numbers with a sign, and all of them, as in `added_up`.
        let little = |free: &&u16| (**free as i16 > 0) & ((**free as i16) < least as i16);
        if self.milli.iter().fold(false, |any, free| any | little(&free)) {
            let all = self.milli.iter().filter(little);
            return all.fold(self.mixed, |sum, &free| sum.wrapping_sub(mixed(free, 1)));
        }
        self.mixed
    }
}

/// A number that states of the same model with as much free, whichever device has it, and with `cpu` as the
/// amount of CPU that counts, share; others do not, but for one chance in 2^64. `devices` is the sum of
/// what stands for each device, which is [`mixed`].
#[inline]
pub(super) fn digest(devices: u64, cpu: u32, model: u8) -> u64 {
    devices.wrapping_add(mix(u64::from(cpu) << 8 | u64::from(model) | 1 << 63))
}

/// What stands for a device in a digest: nothing for one with less than `least` free, or nothing.
#[inline]
pub(super) const fn mixed(free: u16, least: u16) -> u64 {
    if free < least || free == 0 { 0 } else { mix(free as u64) }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
#[inline]
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(milli: u64) -> Shape {
        Shape::new(1000, 10, 1, milli, ModelSet::ANY).unwrap()
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let shape = |num_gpu, milli| Shape::new(1, 1, num_gpu, milli, ModelSet::ANY).map(|_| ());
        assert_eq!(shape(1, 1001), Err(ShapeError::OverWhole(1001)));
        assert_eq!(shape(1, 0), Err(ShapeError::NoPart));
        assert_eq!(shape(2, 500), Err(ShapeError::SeveralParts(2)));
        assert_eq!(shape(17, 1000), Err(ShapeError::TooManyDevices(17)));
        assert_eq!(shape(16, 1000), Ok(()));
        assert_eq!(Shape::new(0, 0, 0, 0, ModelSet::ANY), Err(ShapeError::Empty));
        assert_eq!(Shape::new(1 << 32, 0, 0, 0, ModelSet::ANY), Err(ShapeError::TooLarge));
        assert_eq!(Node::new(1, 1, 17, 0), None);
        assert_eq!(Node::new(1, 1, 1, 64), None);
    }

    #[test]
    fn a_model_that_nobody_has_fits_nowhere() {
        let node = Node::new(9000, 100, 2, 3).unwrap();
        let bound = |models| Shape::new(1, 1, 1, 500, models).unwrap();
        assert!(node.fits(&bound(ModelSet::of([3]))));
        assert!(!node.fits(&bound(ModelSet::of([2]))));
        assert!(!node.fits(&bound(ModelSet::of([200]))));
        assert_eq!(node.take(&bound(ModelSet::NONE), DeviceSet(1)), None);
    }

    #[test]
    fn what_is_taken_is_given_back() {
        let node = Node::new(9000, 100, 16, 0).unwrap();
        let once = node.take(&part(400), DeviceSet(1 << 15)).unwrap();
        assert_eq!((once.free(), once.whole(), once.cpu, once.memory), (15_600, 15, 8000, 90));
        assert_eq!(once.options(&part(700)).collect::<Vec<_>>(), [DeviceSet(1)]);
        assert_eq!(once.options(&part(600)).count(), 2);
        assert_eq!(once.take(&part(700), DeviceSet(1 << 15)), None);
        assert_eq!(once.give(&part(400), DeviceSet(1 << 15)), Some(node));
        assert_eq!(node.give(&part(1), DeviceSet(1)), None, "more than a device is");
        let four = Shape::new(0, 0, 4, 1000, ModelSet::ANY).unwrap();
        assert_eq!(once.options(&four).collect::<Vec<_>>(), [DeviceSet(0b1111)]);
        assert_eq!(node.take(&four, DeviceSet(0b111)), None, "too few devices");
        let small = Node::new(9000, 100, 2, 0).unwrap();
        assert_eq!(small.take(&part(1), DeviceSet(4)), None, "a device that is not there");
        assert_eq!(small.give(&part(1), DeviceSet(4)), None);
    }

    #[test]
    fn the_digest_does_not_tell_devices_apart() {
        let node = Node::new(9000, 100, 4, 1).unwrap();
        let [a, b] = [1, 2].map(|device| node.take(&part(300), DeviceSet(device)).unwrap());
        let digest = |node: &Node, cpu, least| digest(node.mixed(least), cpu, 1);
        assert_eq!(digest(&a, 8, 1), digest(&b, 8, 1));
        assert_ne!(digest(&a, 8, 1), digest(&a, 7, 1));
        assert_ne!(digest(&a, 8, 1), digest(&node, 8, 1));
        let small = node.take(&part(990), DeviceSet(1)).unwrap();
        let none = node.take(&part(1000), DeviceSet(1)).unwrap();
        assert_eq!(digest(&small, 8, 11), digest(&none, 8, 11));
        assert_ne!(digest(&small, 8, 1), digest(&none, 8, 1));
        assert_eq!(none.give(&part(1000), DeviceSet(1)).unwrap().mixed(1), node.mixed(1));
        let free = [1000, 10, 1000, 1000];
        assert_eq!(Node::with_free(9000, 100, &free, 1).unwrap().mixed(1), small.mixed(1));
    }
}
