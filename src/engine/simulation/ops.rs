//! What the threads of a simulation do: one call of the engine each, and what it has answered.

use crate::engine::*;
use crate::ledger::Ticket;
use crate::placement::{DeviceNeed, Policy, Resources};
use crate::registry::{Selector, WorkerError, WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate};

/// The ids of requests, by number; 0 is none.
pub(super) const IDS: [&[u8]; 11] =
    [b"", b"id-a", b"id-b", b"id-c", b"id-d", b"id-e", b"id-f", b"id-g", b"id-h", b"id-i", b"id-j"];

/// The ids of workers, by number.
pub(super) const WORKERS: [&str; 7] = ["w-0", "w-1", "w-2", "w-3", "w-4", "w-5", "w-6"];

/// Selectors, by number: any worker, and those of the one pool.
pub(super) const SELECTORS: [Selector; 2] = [Selector::ANY, Selector(1)];

/// Groups, by number, in the order in which they are named: of workers, machines and zones.
pub(super) const LIMITS: [Limit; 3] = [
    Limit { group: SpreadGroup(0), at_most: 1 },
    Limit { group: SpreadGroup(1), at_most: 2 },
    Limit { group: SpreadGroup(2), at_most: 2 },
];

pub(super) const ACCOUNTS: usize = 2;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) id: u8,
    pub(super) need: Resources,
    pub(super) hash: u64,
    pub(super) selector: u8,
    pub(super) ahead: bool,
    pub(super) policy: Option<Policy>,
    pub(super) terms: Option<On>,
}

/// Its terms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct On {
    pub(super) hold_until: Option<u64>,
    pub(super) priority: i32,
    pub(super) preemptable: bool,
    pub(super) account: Option<u8>,
    /// The groups that it is a member of, as bits.
    pub(super) groups: u8,
    pub(super) devices: Option<DeviceNeed>,
}

impl Ask {
    pub(super) fn devices(&self) -> Option<DeviceNeed> {
        self.terms?.devices
    }

    /// What its account is charged with.
    pub(super) fn charge(&self) -> Resources {
        charge(self.need, self.devices())
    }
}

/// A device counts as a GPU.
pub(super) fn charge(amount: Resources, devices: Option<DeviceNeed>) -> Resources {
    let devices = devices.map_or(0, |devices| devices.count as u64);
    Resources { gpus: amount.gpus + devices, ..amount }
}

impl On {
    pub(super) fn limits(&self) -> Vec<Limit> {
        let bit = |(n, _): &(usize, Limit)| self.groups & 1 << n != 0;
        LIMITS.into_iter().enumerate().filter(bit).map(|(_, limit)| limit).collect()
    }

    fn terms(self, limits: &[Limit]) -> Terms<'_> {
        let On { hold_until, priority, preemptable, account, devices, .. } = self;
        let account = account.map(|n| Account(n as u32));
        Terms { hold_until, priority, preemptable, account, devices, limits }
    }
}

/// The requests, made of what they are asked with.
pub(super) fn with<R>(asks: &[Ask], call: impl FnOnce(&[Request<'_>]) -> R) -> R {
    let on = |ask: &Ask| ask.terms.unwrap_or_default();
    let limits: Vec<Vec<Limit>> = asks.iter().map(|ask| on(ask).limits()).collect();
    let terms: Vec<Terms<'_>> = asks.iter().zip(&limits).map(|(ask, l)| on(ask).terms(l)).collect();
    let request = |(ask, terms): (&Ask, _)| Request {
        id: IDS[ask.id as usize],
        need: ask.need,
        eligible: Eligible::Selector(SELECTORS[ask.selector as usize]),
        affinity: Affinity::Hash(ask.hash),
        policy: ask.policy,
        ahead: ask.ahead,
        terms: ask.terms.is_some().then_some(terms),
    };
    let requests: Vec<Request<'_>> = asks.iter().zip(&terms).map(request).collect();
    call(&requests)
}

/// A step of a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Reserve(u8, Resources),
    ReleaseId(u8),
    Release(Ticket),
}

/// A change of state.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Ready,
    ReadyOf(u64),
    Unready,
    Cordon,
    Uncordon,
    Drain,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Reserve(Ask),
    ReserveOn(WorkerRef, Option<u64>, Ask),
    Release(Ticket),
    /// By id: which ticket that is, is looked up first, as the engine does.
    ReleaseId(u8),
    ReleaseMany(Vec<Ticket>),
    Confirm(Ticket),
    ConfirmId(u8),
    Resize(Ticket, Resources),
    ResizeId(u8, Resources),
    Batch(BatchMode, Vec<Ask>),
    Once(u8, BatchMode, Vec<Ask>),
    Group(u8, Vec<Step>),
    DryRun(Vec<Ask>, Vec<Ticket>),
    Plan(Ask),
    Preempt(Ask, Preemption),
    SetQuota(u8, Quota),
    Add(u8, WorkerSpec),
    Update(u8, WorkerUpdate),
    Remove(u8),
    Signal(u8, Word),
    Heartbeat(u8, u64),
    HandOff(u8, u8),
    Tick(u64),
    Audit,
}

/// What the engine has answered.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Reserved(Result<Reservation, ReserveError>),
    Released(Option<Ticket>, Result<Released, ReleaseError>),
    ReleasedMany(Vec<Result<Released, ReleaseError>>),
    Confirmed(Option<Ticket>, Result<Reservation, ConfirmError>),
    Resized(Option<Ticket>, Result<Resized, ResizeError>),
    Batch(Result<bool, ReserveError>, Vec<Result<Reservation, ReserveError>>),
    Group(Vec<Result<GroupDone, GroupError>>),
    Foreseen(Vec<Result<Foreseen, ReserveError>>),
    Planned(Result<Preemption, ReserveError>),
    QuotaSet(Result<(), TermsError>),
    Added(Result<WorkerRef, WorkerError>),
    Changed(Result<WorkerInfo, WorkerError>),
    Removed(Result<Vec<Lost>, WorkerError>),
    /// Which registrations the id named before and after.
    Beaten([Option<WorkerRef>; 2], Result<(), WorkerError>),
    HandedOff(Result<HandOff, WorkerError>),
    Ticked(Result<Ticked, ClockWentBack>),
    Audited(Audit),
}

/// A worker's id.
pub(super) fn worker(n: u8) -> &'static [u8] {
    WORKERS[n as usize].as_bytes()
}

impl Op {
    /// The call.
    pub(super) fn perform(&self, engine: &Engine) -> Outcome {
        let ticket_of = |id: u8| engine.ticket_of(IDS[id as usize]);
        match self {
            Op::Reserve(ask) => {
                with(&[*ask], |requests| Outcome::Reserved(engine.reserve(&requests[0])))
            }
            Op::ReserveOn(worker, expected, ask) => with(&[*ask], |requests| {
                Outcome::Reserved(engine.reserve_on(*worker, &requests[0], *expected))
            }),
            Op::Release(ticket) => Outcome::Released(Some(*ticket), engine.release(*ticket)),
            Op::ReleaseId(id) => match ticket_of(*id) {
                Ok(ticket) => Outcome::Released(Some(ticket), engine.release(ticket)),
                Err(error) => Outcome::Released(None, Err(error)),
            },
            Op::ReleaseMany(tickets) => {
                let mut results = Vec::new();
                engine.release_batch(tickets, &mut results);
                Outcome::ReleasedMany(results)
            }
            Op::Confirm(ticket) => Outcome::Confirmed(Some(*ticket), engine.confirm(*ticket)),
            Op::ConfirmId(id) => match ticket_of(*id) {
                Ok(ticket) => Outcome::Confirmed(Some(ticket), engine.confirm(ticket)),
                Err(error) => Outcome::Confirmed(None, Err(error.into())),
            },
            Op::Resize(ticket, need) => {
                Outcome::Resized(Some(*ticket), engine.resize(*ticket, *need))
            }
            Op::ResizeId(id, need) => match ticket_of(*id) {
                Ok(ticket) => Outcome::Resized(Some(ticket), engine.resize(ticket, *need)),
                Err(error) => Outcome::Resized(None, Err(error.into())),
            },
            Op::Batch(mode, asks) => with(asks, |requests| {
                let mut results = Vec::new();
                engine.reserve_batch(requests, *mode, &mut results);
                Outcome::Batch(Ok(true), results)
            }),
            Op::Once(id, mode, asks) => with(asks, |requests| {
                let mut results = Vec::new();
                let batch = [b'b', *id];
                let done = engine.reserve_batch_once(&batch, requests, *mode, &mut results);
                Outcome::Batch(done, results)
            }),
            Op::Group(on, steps) => {
                let op = |step: &Step| match *step {
                    Step::Reserve(id, need) => GroupOp::Reserve { id: IDS[id as usize], need },
                    Step::ReleaseId(id) => GroupOp::ReleaseId(IDS[id as usize]),
                    Step::Release(ticket) => GroupOp::Release(ticket),
                };
                let ops: Vec<GroupOp<'_>> = steps.iter().map(op).collect();
                let group = Group { worker: worker(*on), ops: &ops };
                Outcome::Group(engine.apply_groups(&[group]).pop().expect("one group"))
            }
            Op::DryRun(asks, credits) => with(asks, |requests| {
                let mut foreseen = Vec::new();
                engine.dry_run(requests, credits, BatchMode::AllOrNothing, &mut foreseen);
                Outcome::Foreseen(foreseen)
            }),
            Op::Plan(ask) => {
                with(&[*ask], |requests| Outcome::Planned(engine.plan_preemption(&requests[0])))
            }
            Op::Preempt(ask, plan) => {
                with(&[*ask], |requests| Outcome::Reserved(engine.preempt(&requests[0], plan)))
            }
            Op::SetQuota(n, quota) => {
                Outcome::QuotaSet(engine.set_quota(Account(*n as u32), *quota))
            }
            Op::Add(_, spec) => Outcome::Added(engine.add_worker(spec.clone())),
            Op::Update(n, update) => {
                Outcome::Changed(engine.update_worker(worker(*n), update.clone()))
            }
            Op::Remove(n) => Outcome::Removed(engine.remove_worker(worker(*n))),
            Op::Signal(n, word) => {
                let id = worker(*n);
                Outcome::Changed(match *word {
                    Word::Ready => engine.ready(id),
                    Word::ReadyOf(generation) => engine.ready_generation(id, generation),
                    Word::Unready => engine.unready(id),
                    Word::Cordon => engine.cordon(id),
                    Word::Uncordon => engine.uncordon(id),
                    Word::Drain => engine.drain(id),
                })
            }
            Op::Heartbeat(n, until) => {
                let named = || engine.find_worker(worker(*n));
                let before = named();
                let beaten = engine.heartbeat(worker(*n), *until);
                Outcome::Beaten([before, named()], beaten)
            }
            Op::HandOff(expected, real) => {
                Outcome::HandedOff(engine.hand_off(worker(*expected), worker(*real)))
            }
            Op::Tick(now) => Outcome::Ticked(engine.tick(*now)),
            Op::Audit => Outcome::Audited(engine.audit()),
        }
    }

    /// The requests that it makes.
    pub(super) fn asks(&self) -> &[Ask] {
        match self {
            Op::Reserve(ask) | Op::ReserveOn(_, _, ask) | Op::Preempt(ask, _) => {
                std::slice::from_ref(ask)
            }
            Op::Batch(_, asks) | Op::Once(_, _, asks) => asks,
            _ => &[],
        }
    }

    /// Whether it comes under the registry's lock and changes workers.
    pub(super) fn changes_workers(&self) -> bool {
        let signals = matches!(self, Op::Add(..) | Op::Update(..) | Op::Signal(..));
        signals || matches!(self, Op::Remove(_) | Op::HandOff(..) | Op::Tick(_))
    }
}
