//! A worker's lifecycle state, kept inside the slot word so that it fences capacity.

use core::fmt;

/// Where a worker stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Not registered: removed, or never there. No capacity.
    Removed = 0,
    /// Registered, on its way: takes only reservations made ahead.
    Pending = 1,
    /// Takes requests.
    Ready = 2,
    /// Takes nothing new, by the operator's durable intent; only uncordon lifts it.
    Cordoned = 3,
    /// Takes nothing new and is being emptied.
    Draining = 4,
}

impl State {
    pub(crate) const fn from_bits(bits: u64) -> State {
        match bits {
            1 => State::Pending,
            2 => State::Ready,
            3 => State::Cordoned,
            4 => State::Draining,
            _ => State::Removed,
        }
    }

    /// Whether a request is taken in this state; `ahead`: one that may be held on pending workers.
    pub const fn takes(self, ahead: bool) -> bool {
        matches!(self, State::Ready) || (ahead && matches!(self, State::Pending))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Removed => "removed",
            State::Pending => "pending",
            State::Ready => "ready",
            State::Cordoned => "cordoned",
            State::Draining => "draining",
        })
    }
}
