//! The names of the policies.

use core::{fmt, str::FromStr};

/// How a worker is chosen among those that match, fit and rank equally.
///
/// Every policy is exact: if one matching worker fits, it is found. Equal candidates are told
/// apart by the lower worker index, never by iteration order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Start at the place that the affinity key hashes to and go round until one fits: a key
    /// keeps landing on the same few workers while they have room, and a worker that joins or
    /// leaves moves only its neighbour's keys (linear hashing, Litwin 1980).
    #[default]
    Affinity,
    /// The fitting worker with the lowest index, which is the order of registration until an
    /// index is used again.
    FirstFit,
    /// The fitting worker that the request leaves with the least free share (also known as best
    /// fit or bin packing): keeps large places open.
    TightestFit,
    /// The fitting worker that the request leaves with the largest free share (also known as
    /// worst fit or least allocated): keeps load even.
    Spread,
    /// Two workers picked by two hashes of the affinity key, the emptier one wins (Mitzenmacher
    /// 1996); where neither fits, on from the first as [`Policy::Affinity`] does.
    PowerOfTwo,
}

impl Policy {
    /// Every policy there is.
    pub const ALL: [Policy; 5] = [
        Policy::Affinity,
        Policy::FirstFit,
        Policy::TightestFit,
        Policy::Spread,
        Policy::PowerOfTwo,
    ];

    /// The policy's name on the command line and in bindings.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Affinity => "affinity",
            Policy::FirstFit => "first-fit",
            Policy::TightestFit => "tightest-fit",
            Policy::Spread => "spread",
            Policy::PowerOfTwo => "power-of-two",
        }
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
        f.write_str("unknown policy; expected one of")?;
        for (i, policy) in Policy::ALL.into_iter().enumerate() {
            write!(f, "{} {policy}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownPolicy {}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(s: &str) -> Result<Self, UnknownPolicy> {
        Policy::ALL.into_iter().find(|p| p.name() == s).ok_or(UnknownPolicy)
    }
}
