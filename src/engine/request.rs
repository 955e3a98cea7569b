//! What a host asks for and what it gets.

use super::Terms;
use crate::ledger::Ticket;
use crate::placement::{Policy, Resources};
use crate::registry::{Constraints, Selector, WorkerRef};

/// What decides where the probe for a request starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity<'a> {
    /// The request's id (an anonymous request starts at the first place).
    #[default]
    Id,
    /// A key of the host: a function, an image, a model, a tenant. Hashed with SeaHash.
    Key(&'a [u8]),
    /// A hash that the host has computed; used as it is, so its bits should be well mixed.
    Hash(u64),
}

/// How a request names the workers it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligible<'a> {
    /// A compiled handle.
    Selector(Selector),
    /// Constraints, compiled on first use and looked up afterwards.
    Constraints(&'a Constraints),
}

/// What one container, job or call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The host's name of it: up to [`MAX_ID_LEN`](crate::MAX_ID_LEN) bytes, unique among live
    /// reservations. Empty: anonymous, known by its ticket alone.
    pub id: &'a [u8],
    /// How much it needs. At least something.
    pub need: Resources,
    /// Which workers it may use.
    pub eligible: Eligible<'a>,
    /// Where its probe starts.
    pub affinity: Affinity<'a>,
    /// The policy, when it is not the engine's own.
    pub policy: Option<Policy>,
    /// May also be held on pending workers: a reservation made ahead.
    pub ahead: bool,
    /// What it comes under beside: a time limit, a quota, limits on its group, a rank. None: nothing.
    pub terms: Option<&'a Terms<'a>>,
}

impl<'a> Request<'a> {
    /// A request for `need` on any open worker.
    pub const fn new(id: &'a [u8], need: Resources) -> Self {
        Request {
            id,
            need,
            eligible: Eligible::Selector(Selector::ANY),
            affinity: Affinity::Id,
            policy: None,
            ahead: false,
            terms: None,
        }
    }

    /// A request known by its ticket alone.
    pub const fn anonymous(need: Resources) -> Self {
        Request::new(b"", need)
    }

    /// Restricts it to what a compiled handle matches.
    pub const fn selector(mut self, selector: Selector) -> Self {
        self.eligible = Eligible::Selector(selector);
        self
    }

    /// Restricts it to what the constraints match; they are compiled on first use.
    pub const fn constraints(mut self, constraints: &'a Constraints) -> Self {
        self.eligible = Eligible::Constraints(constraints);
        self
    }

    /// Starts the probe where this key hashes to.
    pub const fn key(mut self, key: &'a [u8]) -> Self {
        self.affinity = Affinity::Key(key);
        self
    }

    /// Starts the probe where this hash points to.
    pub const fn hash(mut self, hash: u64) -> Self {
        self.affinity = Affinity::Hash(hash);
        self
    }

    /// Chooses by this policy.
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// On these terms.
    pub const fn terms(mut self, terms: &'a Terms<'a>) -> Self {
        self.terms = Some(terms);
        self
    }

    /// May be held on pending workers too.
    pub const fn ahead(mut self, yes: bool) -> Self {
        self.ahead = yes;
        self
    }
}

/// Capacity held for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Names it from now on; never used again for another.
    pub ticket: Ticket,
    /// Where it is.
    pub worker: WorkerRef,
    /// The worker's version that this reservation made.
    pub version: u64,
    /// The id was held already: this is that reservation, and nothing was changed.
    pub existing: bool,
    /// It is yet to be confirmed; see [`Terms::hold_until`] and [`Engine::preempt`](crate::Engine::preempt).
    pub provisional: bool,
}

/// What a release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Where the reservation was.
    pub worker: WorkerRef,
    /// What it held.
    pub amount: Resources,
    /// The worker's version that the release made; none if the worker was removed meanwhile and
    /// there was nothing left to credit.
    pub version: Option<u64>,
}

/// What a resize did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resized {
    /// The reservation's name, which stays.
    pub ticket: Ticket,
    /// Where it is, which stays too.
    pub worker: WorkerRef,
    /// What it held before.
    pub before: Resources,
    /// The worker's version that the change made; if nothing had to change, that of the
    /// reservation's last change.
    pub version: u64,
}

/// Where a request of a dry run would be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// On this worker; on none that is registered (index `u32::MAX`, incarnation 0) where it is
    /// `added`.
    pub worker: WorkerRef,
    /// The version at which the worker was read; 0 of one that is added.
    pub version: u64,
    /// The id holds this reservation already, and would be answered with it.
    pub existing: Option<Ticket>,
    /// On a worker that is supposed to be registered: its place in
    /// [`Supposition::with`](crate::Supposition::with).
    pub added: Option<u32>,
}

/// Whether the requests of a batch stand or fall together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchMode {
    /// Each for itself.
    #[default]
    Independent,
    /// All or none, across workers: a gang.
    AllOrNothing,
}

/// One step of a per-worker group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOp<'a> {
    /// Hold this much under this id (empty: anonymous).
    Reserve {
        /// The request's id.
        id: &'a [u8],
        /// How much it needs.
        need: Resources,
    },
    /// Give back what this id holds on this worker.
    ReleaseId(&'a [u8]),
    /// Give back what this ticket holds on this worker.
    Release(Ticket),
}

/// The steps for one worker, done as one change or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The worker's id.
    pub worker: &'a [u8],
    /// What to do there.
    pub ops: &'a [GroupOp<'a>],
}

/// What one step of a group did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupDone {
    /// Held, or held already.
    Reserved(Reservation),
    /// Given back.
    Released(Released),
}
