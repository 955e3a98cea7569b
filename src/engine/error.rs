//! Why something was not done. Small values; nothing is built on the hot path.

use core::fmt;

use crate::placement::{DeviceError, Dimension, Resources};
use crate::registry::SelectorError;
use crate::slots::State;

/// Whether waiting can help a request that was not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It would fit on a registered worker if others left or a state changed.
    Busy,
    /// No registered worker that it may use could ever hold it.
    Never,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Busy => "busy",
            Verdict::Never => "never",
        })
    }
}

/// Whether capacity that a refused request could use is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outlook {
    /// Nobody has looked: without [`Config::count_reasons`](crate::Config::count_reasons), or
    /// because the request names its worker.
    #[default]
    Unknown,
    /// A pending worker that the request may use has room for it now: wait until it is ready, or hold
    /// the capacity there at once by a request made [`ahead`](crate::Request::ahead).
    Wait,
    /// No worker that is on its way will take it: to start one, make room or change the request is
    /// all that helps.
    Start,
}

/// How many workers were out of the question for which reason; each worker counts once, under the
/// first reason in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Registered workers that the request's selector does not match.
    pub not_matching: u32,
    /// Matching, but not in a state that takes the request (pending, cordoned, draining).
    pub not_ready: u32,
    /// Ready, but short of CPU.
    pub cpu: u32,
    /// Ready with enough CPU, but short of memory.
    pub memory: u32,
    /// Ready with enough CPU and memory, but short of GPUs.
    pub gpus: u32,
    /// Ready with enough of everything, but in a place where as many of the request's group are as may
    /// be, or that is none for the group.
    pub spread: u32,
}

/// A request that no worker took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Is there a point in waiting?
    pub verdict: Verdict,
    /// For never: the dimension in which no matching worker is large enough, where one alone is
    /// to blame. For busy: the dimension that most ready workers are short of; none without
    /// [`Config::count_reasons`](crate::Config::count_reasons). None where the lack is of matching
    /// or ready workers.
    pub blocking: Option<Dimension>,
    /// Counts by reason; all zero without [`Config::count_reasons`](crate::Config::count_reasons).
    pub reasons: Reasons,
    /// Is something on its way that will take it?
    pub outlook: Outlook,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.reasons;
        write!(f, "{}", self.verdict)?;
        if let Some(d) = self.blocking {
            write!(f, " for {d}")?;
        }
        if *r == Reasons::default() {
            return Ok(());
        }
        write!(
            f,
            ": {} workers do not match, {} are not ready, short of cpu {}, memory {}, gpus {}, \
             {} at a limit of its group",
            r.not_matching, r.not_ready, r.cpu, r.memory, r.gpus, r.spread
        )
    }
}

/// Why a request was not placed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// No worker took it: wait, make room, or add a worker.
    Refused(Refusal),
    /// The id is longer than [`MAX_ID_LEN`](crate::MAX_ID_LEN) bytes.
    IdLength {
        /// Its length in bytes.
        length: usize,
    },
    /// It needs nothing in every dimension.
    Empty,
    /// More than any worker can have: over [`Resources::MAX`].
    TooLarge {
        /// The dimension.
        dimension: Dimension,
        /// What was asked for.
        given: u64,
        /// The most there can be.
        limit: u64,
    },
    /// The id stands twice in one batch; the first stands.
    DuplicateId,
    /// Another thread is reserving or changing this very id right now. Ask again: the answer is
    /// theirs to give.
    InFlight,
    /// The selector is not one of this engine's.
    UnknownSelector,
    /// The constraints could not be compiled.
    Constraints(SelectorError),
    /// The named worker is not registered, or not any more.
    UnknownWorker,
    /// The worker is not at the version that the caller expected.
    VersionConflict {
        /// Its version now.
        version: u64,
        /// What is free there now.
        free: Resources,
        /// Its state now.
        state: State,
    },
    /// As many reservations as the engine keeps. Raise
    /// [`Config::max_reservations`](crate::Config::max_reservations).
    LedgerFull {
        /// The limit that was reached.
        limit: usize,
    },
    /// The worker's state changed again and again under the commit; the bounded number of retries
    /// is used up. Ask again.
    Contended,
    /// The account is charged with as much as its quota allows, or nearly.
    QuotaExceeded {
        /// The dimension.
        dimension: Dimension,
        /// What it is charged with in that dimension.
        used: u64,
        /// The quota there.
        limit: u64,
    },
    /// The account is none of this engine's.
    UnknownAccount,
    /// A limit is on a group that is none of this engine's.
    UnknownGroup,
    /// More than [`MAX_LIMITS`](crate::MAX_LIMITS) limits.
    TooManyLimits {
        /// How many.
        given: usize,
    },
    /// It would end before it begins: the host's clock has come to its deadline.
    DeadlinePassed {
        /// The deadline.
        deadline: u64,
        /// The time that the last tick told.
        now: u64,
    },
    /// What it asks for of devices cannot be right, or cannot be had in this way.
    Devices(DeviceError),
    /// Another request of the same all-or-nothing batch or group could not be served.
    Peer {
        /// Its place in the batch or group.
        index: u32,
    },
}

impl From<Refusal> for ReserveError {
    fn from(refusal: Refusal) -> Self {
        ReserveError::Refused(refusal)
    }
}

impl ReserveError {
    /// The verdict, where this is a refusal.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            ReserveError::Refused(refusal) => Some(refusal.verdict),
            _ => None,
        }
    }
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReserveError::Refused(refusal) => refusal.fmt(f),
            ReserveError::IdLength { length } => {
                write!(f, "request id of {length} bytes; at most {} are allowed", crate::MAX_ID_LEN)
            }
            ReserveError::Empty => f.write_str("the request needs nothing in every dimension"),
            ReserveError::TooLarge { dimension, given, limit } => {
                write!(f, "{given} is over the limit of {limit} for {dimension}")
            }
            ReserveError::DuplicateId => f.write_str("the id stands twice in this batch"),
            ReserveError::InFlight => {
                f.write_str("another thread is at work on this id: ask again")
            }
            ReserveError::UnknownSelector => f.write_str("not a selector of this engine"),
            ReserveError::Constraints(e) => e.fmt(f),
            ReserveError::UnknownWorker => f.write_str("no such worker is registered"),
            ReserveError::VersionConflict { version, free, state } => {
                write!(f, "the worker is at version {version} ({state}, {free} free)")
            }
            ReserveError::LedgerFull { limit } => {
                write!(f, "all {limit} reservations are taken: raise Config::max_reservations")
            }
            ReserveError::Contended => f.write_str("too many changes in between: ask again"),
            ReserveError::QuotaExceeded { dimension, used, limit } => {
                write!(f, "the account's quota of {limit} for {dimension} has {used} in use")
            }
            ReserveError::UnknownAccount => f.write_str("not an account of this engine"),
            ReserveError::UnknownGroup => f.write_str("not a spread group of this engine"),
            ReserveError::TooManyLimits { given } => {
                write!(f, "{given} limits; at most {} are allowed", crate::MAX_LIMITS)
            }
            ReserveError::DeadlinePassed { deadline, now } => {
                write!(f, "the deadline {deadline} has passed: it is {now}")
            }
            ReserveError::Devices(e) => e.fmt(f),
            ReserveError::Peer { index } => {
                write!(f, "request {index} of the same batch or group could not be served")
            }
        }
    }
}

impl core::error::Error for ReserveError {}

impl From<DeviceError> for ReserveError {
    fn from(error: DeviceError) -> Self {
        ReserveError::Devices(error)
    }
}

/// Why a release did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Nothing is held under this name: released already, lost with its worker, or never reserved.
    NotHeld,
    /// Another thread is at work on this very reservation. Ask again.
    InFlight,
    /// It is held on another worker than the one named.
    OtherWorker,
    /// Another step of the same group could not be done.
    Peer {
        /// Its place in the group.
        index: u32,
    },
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReleaseError::NotHeld => f.write_str(
                "nothing is held under this name: released already, lost with its worker, or never reserved",
            ),
            ReleaseError::InFlight => {
                f.write_str("another thread is at work on this reservation: ask again")
            }
            ReleaseError::OtherWorker => f.write_str("it is held on another worker"),
            ReleaseError::Peer { index } => {
                write!(f, "step {index} of the same group could not be done")
            }
        }
    }
}

impl core::error::Error for ReleaseError {}

/// Why a reservation was not resized. It holds what it held, unless it is [`ResizeError::Lost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// Nothing is held under this name: released, lost with its worker, or never reserved.
    NotHeld,
    /// Another thread is at work on this very reservation. Ask again.
    InFlight,
    /// It would hold nothing in every dimension: release it instead.
    Empty,
    /// More than any worker can have: over [`Resources::MAX`].
    TooLarge {
        /// The dimension.
        dimension: Dimension,
        /// What was asked for.
        given: u64,
        /// The most there can be.
        limit: u64,
    },
    /// It cannot grow where it is: not enough is free there.
    Short {
        /// How much more would have to be free in each dimension.
        missing: Resources,
    },
    /// It cannot grow where it is: its worker takes nothing more. It can shrink in any state.
    State {
        /// The worker's state.
        state: State,
    },
    /// Its account is charged with as much as its quota allows, or nearly.
    QuotaExceeded {
        /// The dimension.
        dimension: Dimension,
        /// What the account is charged with in that dimension.
        used: u64,
        /// The quota there.
        limit: u64,
    },
    /// It is on a worker whose GPUs are devices: it can hold no number of GPUs there, and its devices
    /// stay as they are.
    Devices,
    /// The worker was removed during the call and the reservation with it. It ends with this answer,
    /// and is not among what the removal returns.
    Lost,
    /// Other changes of the worker came first again and again; the bounded number of retries is
    /// used up. Ask again.
    Contended,
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResizeError::NotHeld => ReleaseError::NotHeld.fmt(f),
            ResizeError::InFlight => ReleaseError::InFlight.fmt(f),
            ResizeError::Empty => {
                f.write_str("it would hold nothing in every dimension: release it")
            }
            ResizeError::TooLarge { dimension, given, limit } => {
                write!(f, "{given} is over the limit of {limit} for {dimension}")
            }
            ResizeError::Short { missing } => write!(f, "its worker is short of {missing}"),
            ResizeError::State { state } => {
                write!(f, "its worker takes nothing more, it is {state}")
            }
            ResizeError::QuotaExceeded { dimension, used, limit } => {
                ReserveError::QuotaExceeded { dimension: *dimension, used: *used, limit: *limit }
                    .fmt(f)
            }
            ResizeError::Devices => {
                f.write_str("its worker's GPUs are devices: their number cannot be changed")
            }
            ResizeError::Lost => f.write_str("its worker was removed, and the reservation with it"),
            ResizeError::Contended => f.write_str("too many changes in between: ask again"),
        }
    }
}

impl core::error::Error for ResizeError {}

/// Why an account or a group could not be named, or a quota not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TermsError {
    /// A name or label key must have 1 to [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    NameLength {
        /// Its length in bytes.
        length: usize,
    },
    /// As many as the engine keeps. Raise [`Config::max_accounts`](crate::Config::max_accounts) or
    /// [`Config::max_groups`](crate::Config::max_groups).
    TooMany {
        /// The limit that was reached.
        limit: usize,
    },
    /// The number is none of this engine's.
    Unknown,
}

impl fmt::Display for TermsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TermsError::NameLength { length } => {
                write!(f, "a name of {length} bytes; it must have 1 to {}", crate::MAX_NAME_LEN)
            }
            TermsError::TooMany { limit } => write!(f, "all {limit} are taken: raise the limit"),
            TermsError::Unknown => f.write_str("not an account of this engine"),
        }
    }
}

impl core::error::Error for TermsError {}

/// Why a reservation was not confirmed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfirmError {
    /// Nothing is held under this name: it was not confirmed in time and has expired, or was released,
    /// lost with its worker, or never made.
    NotHeld,
    /// Another thread is at work on this very reservation. Ask again.
    InFlight,
    /// It is promised what others hold who have not left yet: release them once they have stopped.
    Waiting {
        /// How many are still there.
        victims: usize,
    },
}

impl fmt::Display for ConfirmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfirmError::NotHeld => f.write_str(
                "nothing is held under this name: expired, released, lost with its worker, or never made",
            ),
            ConfirmError::InFlight => ReleaseError::InFlight.fmt(f),
            ConfirmError::Waiting { victims } => {
                write!(f, "{victims} reservations that it displaces have not been released")
            }
        }
    }
}

impl core::error::Error for ConfirmError {}

/// The host's clock cannot have gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockWentBack {
    /// What the host says.
    pub given: u64,
    /// What it said before.
    pub now: u64,
}

impl fmt::Display for ClockWentBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the clock went back from {} to {}", self.now, self.given)
    }
}

impl core::error::Error for ClockWentBack {}

/// Why a step of a per-worker group was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// A reserve step failed.
    Reserve(ReserveError),
    /// A release step failed.
    Release(ReleaseError),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::Reserve(e) => e.fmt(f),
            GroupError::Release(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for GroupError {}
