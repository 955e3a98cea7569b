//! Amounts of what a worker has and a request needs.

use core::fmt;

/// One of the quantities that capacity is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// CPU, in millicores.
    Cpu,
    /// Memory, in MiB.
    Memory,
    /// Whole GPUs.
    Gpus,
}

impl Dimension {
    /// Every dimension, in the order in which they are checked.
    pub const ALL: [Dimension; 3] = [Dimension::Cpu, Dimension::Memory, Dimension::Gpus];
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dimension::Cpu => "cpu (millicores)",
            Dimension::Memory => "memory (MiB)",
            Dimension::Gpus => "gpus",
        })
    }
}

/// An amount in every dimension: what a worker has in all, what of it is free, what a request
/// needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// CPU in millicores; 1,000 is one core. At most [`Resources::MAX`]`.cpu`.
    pub cpu: u64,
    /// Memory in MiB. At most [`Resources::MAX`]`.memory`.
    pub memory: u64,
    /// Whole GPUs. At most [`Resources::MAX`]`.gpus`.
    pub gpus: u64,
}

impl Resources {
    /// Nothing in every dimension.
    pub const ZERO: Resources = Resources::new(0, 0);

    /// The most that one worker can have and one request can ask for, exactly: 8,388 cores,
    /// 128 TiB and 255 GPUs. More is refused, never rounded.
    pub const MAX: Resources = Resources { cpu: (1 << 23) - 1, memory: (1 << 27) - 1, gpus: 255 };

    /// `cpu` millicores and `memory` MiB, no GPU.
    pub const fn new(cpu: u64, memory: u64) -> Self {
        Resources { cpu, memory, gpus: 0 }
    }

    /// The same with `gpus` whole GPUs.
    pub const fn gpus(mut self, gpus: u64) -> Self {
        self.gpus = gpus;
        self
    }

    /// The amount in one dimension.
    pub const fn get(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Cpu => self.cpu,
            Dimension::Memory => self.memory,
            Dimension::Gpus => self.gpus,
        }
    }

    /// The first dimension in which this is more than `limit`, if there is one.
    pub fn first_over(&self, limit: &Resources) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|&d| self.get(d) > limit.get(d))
    }

    /// Whether this fits into `room` in every dimension.
    pub const fn fits_in(&self, room: &Resources) -> bool {
        self.cpu <= room.cpu && self.memory <= room.memory && self.gpus <= room.gpus
    }

    /// How much more this is than `other` in each dimension; nothing where it is not more.
    pub const fn beyond(&self, other: &Resources) -> Resources {
        Resources {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }

    /// The larger of the two in each dimension.
    pub(crate) fn most(&self, other: &Resources) -> Resources {
        Resources {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            gpus: self.gpus.max(other.gpus),
        }
    }

    /// Nothing in any dimension?
    pub const fn is_zero(&self) -> bool {
        self.cpu == 0 && self.memory == 0 && self.gpus == 0
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m cpu, {} MiB, {} gpu", self.cpu, self.memory, self.gpus)
    }
}

/// What is free, signed: less than nothing where a worker's total was lowered under what is held
/// on it. `free + held + set aside = total` holds exactly, over-committed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Free {
    /// Free CPU in millicores.
    pub cpu: i64,
    /// Free memory in MiB.
    pub memory: i64,
    /// Free whole GPUs.
    pub gpus: i64,
}

impl Free {
    /// The free amount in one dimension.
    pub const fn get(&self, dimension: Dimension) -> i64 {
        match dimension {
            Dimension::Cpu => self.cpu,
            Dimension::Memory => self.memory,
            Dimension::Gpus => self.gpus,
        }
    }

    /// Whether `need` fits: in every dimension of which something is needed, enough is free. A
    /// dimension of which nothing is needed never blocks, even when it is over-committed.
    pub const fn fits(&self, need: &Resources) -> bool {
        (need.cpu == 0 || self.cpu >= need.cpu as i64)
            && (need.memory == 0 || self.memory >= need.memory as i64)
            && (need.gpus == 0 || self.gpus >= need.gpus as i64)
    }

    /// The first dimension that is short of `need`.
    pub fn first_short(&self, need: &Resources) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|&d| need.get(d) > 0 && self.get(d) < need.get(d) as i64)
    }

    /// What is left after taking `need`.
    pub const fn minus(&self, need: &Resources) -> Free {
        Free {
            cpu: self.cpu - need.cpu as i64,
            memory: self.memory - need.memory as i64,
            gpus: self.gpus - need.gpus as i64,
        }
    }

    /// What is there after giving back `amount`.
    pub const fn plus(&self, amount: &Resources) -> Free {
        Free {
            cpu: self.cpu + amount.cpu as i64,
            memory: self.memory + amount.memory as i64,
            gpus: self.gpus + amount.gpus as i64,
        }
    }

    /// As a host sees it: never less than nothing.
    pub const fn available(&self) -> Resources {
        const fn clamp(n: i64) -> u64 {
            if n < 0 { 0 } else { n as u64 }
        }
        Resources { cpu: clamp(self.cpu), memory: clamp(self.memory), gpus: clamp(self.gpus) }
    }

    /// How much is missing to zero in each dimension: all zero unless over-committed.
    pub const fn deficit(&self) -> Resources {
        Free { cpu: -self.cpu, memory: -self.memory, gpus: -self.gpus }.available()
    }
}

impl From<Resources> for Free {
    fn from(r: Resources) -> Free {
        Free { cpu: r.cpu as i64, memory: r.memory as i64, gpus: r.gpus as i64 }
    }
}

impl Resources {
    // One word for a record: the fields of a slot's word, unsigned.
    const SHIFT: [u32; 2] = [24, 52];

    #[inline]
    pub(crate) const fn to_bits(self) -> u64 {
        self.cpu | self.memory << Self::SHIFT[0] | self.gpus << Self::SHIFT[1]
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Resources {
            cpu: bits & ((1 << Self::SHIFT[0]) - 1),
            memory: bits >> Self::SHIFT[0] & ((1 << (Self::SHIFT[1] - Self::SHIFT[0])) - 1),
            gpus: bits >> Self::SHIFT[1],
        }
    }
}
