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
    /// The fitting worker whose free amounts, weighed with what the request asks of each, are
    /// least: little is free, or not what the request asks much of (Grandl et al. 2014, made small
    /// as in Weng et al. 2023).
    DotProduct,
    /// The fitting worker where the least free GPU becomes useless to the requests that are typical
    /// (fragmentation gradient descent, Weng et al. 2023). The engine [learns](Policy::learns) which
    /// are typical; where GPUs are not asked for, the fitting worker with the lowest index.
    Fgd,
    /// The fitting worker where the least is destroyed of what the mix of requests so far would
    /// still place, and what is scarce is kept: the engine's own, which [learns](Policy::learns) the
    /// mix as it goes. Where GPUs are not asked for, and until some requests have come, close to the
    /// fitting worker with the lowest index.
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

    /// Whether it goes by the requests that came before: then a thread that places by it has
    /// something of its own in hand while it does, and takes it from
    /// [`Config::max_planners`](crate::Config::max_planners). One that finds all in others' hands does
    /// not wait: it places by tightest fit.
    ///
    /// What is only supposed (a dry run, an explanation) is not learned from: it tells exactly whether a
    /// request would be placed, and on which worker as of what was learned before it.
    pub const fn learns(self) -> bool {
        matches!(self, Policy::Fgd | Policy::Adaptive)
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
