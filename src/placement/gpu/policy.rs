//! The names of the policies.

use core::{fmt, str::FromStr};

/// How a node and its devices are chosen among those that a request fits. Every policy finds a node
/// if one fits; equal nodes are told apart by the lower number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// From the node that the key hashes to on and round, the first that fits.
    #[default]
    Affinity,
    /// The first node that fits.
    FirstFit,
    /// The node that is left with the least free share of CPU, memory and devices.
    TightestFit,
    /// The node that is left with the largest free share.
    Spread,
    /// The emptier of two nodes that the key hashes to; affinity where neither fits.
    PowerOfTwo,
    /// The node whose free amounts, weighed with what the request asks of each, are least.
    DotProduct,
    /// Fragmentation gradient descent, as published; reads the requests to come.
    Fgd,
    /// The engine's own: learns the mix of requests, and destroys the least of what it would place.
    Adaptive,
}

impl Policy {
    /// Every policy there is.
    pub const ALL: [Policy; 8] = [
        Policy::Affinity,
        Policy::FirstFit,
        Policy::TightestFit,
        Policy::Spread,
        Policy::PowerOfTwo,
        Policy::DotProduct,
        Policy::Fgd,
        Policy::Adaptive,
    ];

    /// The policy's name on the command line and in bindings.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Affinity => "affinity",
            Policy::FirstFit => "first-fit",
            Policy::TightestFit => "tightest-fit",
            Policy::Spread => "spread",
            Policy::PowerOfTwo => "power-of-two",
            Policy::DotProduct => "dot-product",
            Policy::Fgd => "fgd",
            Policy::Adaptive => "adaptive",
        }
    }

    /// Whether it has to read the requests beforehand.
    pub const fn knows_future(self) -> bool {
        matches!(self, Policy::Fgd)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy;

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Policy::ALL.map(Policy::name).join(", ");
        write!(f, "unknown policy; expected one of {names}")
    }
}

impl core::error::Error for UnknownPolicy {}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(s: &str) -> Result<Self, UnknownPolicy> {
        Policy::ALL.into_iter().find(|p| p.name() == s).ok_or(UnknownPolicy)
    }
}
