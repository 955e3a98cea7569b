//! The naive model: a vector of workers and a map of ids, every string compared as it is, every
//! worker looked at for every question. Slow and obviously right.

use std::cmp::Reverse;
use std::collections::HashMap;

use slotwise::{
    Dimension, Lost, Outlook, Policy, Reasons, Refusal, Released, Reservation, ReserveError,
    ResizeError, Resized, Resources, State, Ticket, Verdict, WorkerError, WorkerInfo, WorkerRef,
};

use crate::ops::{Ask, Change, Signal, Spec};

pub struct Worker {
    /// What the engine must show of it, to the last field.
    pub info: WorkerInfo,
    /// The last readiness signal, and what the operator wants: neither lifts the other.
    ready: bool,
    cordoned: bool,
    draining: bool,
}

impl Worker {
    /// What it could hold when empty.
    fn capacity(&self) -> Resources {
        let (total, aside) = (self.info.total, self.info.set_aside);
        r3(total.cpu - aside.cpu, total.memory - aside.memory, total.gpus - aside.gpus)
    }

    fn held(&self) -> Resources {
        self.info.held()
    }

    fn set_capacity(&mut self, total: Resources, set_aside: Resources) {
        let held = self.held();
        (self.info.total, self.info.set_aside) = (total, set_aside);
        self.info.free = slotwise::Free::from(self.capacity()).minus(&held);
    }
}

const fn r3(cpu: u64, memory: u64, gpus: u64) -> Resources {
    Resources::new(cpu, memory).gpus(gpus)
}

#[derive(Clone)]
pub struct Held {
    pub id: Vec<u8>,
    pub on: WorkerRef,
    pub amount: Resources,
    pub version: u64,
}

/// What the engine may answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// What the id holds already.
    Existing(Ticket),
    /// A new reservation on one of these.
    OneOf(Vec<WorkerRef>),
    No(ReserveError),
}

/// Where a request must go.
#[derive(Clone, Copy)]
pub enum Where {
    Anywhere,
    On(WorkerRef, Option<u64>),
}

#[derive(Default)]
pub struct Model {
    pub workers: Vec<Worker>,
    pub held: HashMap<Ticket, Held>,
    pub ids: HashMap<Vec<u8>, Ticket>,
    /// The version at which each slot was last given up.
    left_at: HashMap<u32, u64>,
    pub placed: u64,
    pub released: u64,
    pub resized: u64,
}

impl Model {
    pub fn infos(&self) -> Vec<WorkerInfo> {
        let mut infos: Vec<_> = self.workers.iter().map(|w| w.info.clone()).collect();
        infos.sort_by_key(|info| info.worker.index);
        infos
    }

    pub fn worker(&mut self, id: &str) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| *w.info.id == *id.as_bytes())
    }

    pub fn at(&mut self, worker: WorkerRef) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| w.info.worker == worker)
    }

    /// What is wrong with a worker of these attributes, whichever the engine names first.
    fn faults(total: Resources, aside: Resources, gpu_type: &[u8]) -> Vec<WorkerError> {
        let over = aside.first_over(&total);
        let mut faults: Vec<_> = over
            .map(|dimension| WorkerError::SetAsideOverTotal { dimension })
            .into_iter()
            .collect();
        if total.gpus == 0 && !gpu_type.is_empty() {
            faults.push(WorkerError::GpuTypeWithoutGpu);
        }
        faults
    }

    /// Why it cannot be registered; empty: it can.
    pub fn refuses_to_add(&mut self, spec: &Spec) -> Vec<WorkerError> {
        let mut faults = Self::faults(spec.total, spec.set_aside, spec.gpu_type.as_bytes());
        faults.extend(self.worker(spec.id).map(|_| WorkerError::Duplicate));
        faults
    }

    /// The engine says that it registered the worker under this reference.
    pub fn add(&mut self, spec: &Spec, worker: WorkerRef, version: u64) {
        assert!(self.workers.iter().all(|w| w.info.worker.index != worker.index));
        match self.left_at.get(&worker.index) {
            None => assert_eq!(version, 0),
            Some(&left_at) => assert!(version > left_at, "{version} after {left_at}"),
        }
        self.workers.push(Worker {
            info: spec.info(worker, version),
            ready: !spec.pending,
            cordoned: false,
            draining: false,
        });
    }

    pub fn update(&mut self, id: &str, change: &Change) -> Result<(), Vec<WorkerError>> {
        let Some(worker) = self.worker(id) else { return Err(vec![WorkerError::Unknown]) };
        let total = change.total.unwrap_or(worker.info.total);
        let set_aside = change.set_aside.unwrap_or(worker.info.set_aside);
        let gpu_type = change.gpu_type.map_or(&worker.info.gpu_type[..], str::as_bytes);
        let faults = Self::faults(total, set_aside, gpu_type);
        if !faults.is_empty() {
            return Err(faults);
        }
        let before = worker.info.clone();
        worker.set_capacity(total, set_aside);
        change.apply(&mut worker.info);
        worker.info.version += u64::from(worker.info != before);
        Ok(())
    }

    pub fn signal(&mut self, id: &str, signal: Signal) -> Result<(), WorkerError> {
        let worker = self.worker(id).ok_or(WorkerError::Unknown)?;
        match signal {
            Signal::Ready => worker.ready = true,
            Signal::Unready => worker.ready = false,
            Signal::Cordon => worker.cordoned = true,
            Signal::Drain => worker.draining = true,
            Signal::Uncordon => (worker.cordoned, worker.draining) = (false, false),
        }
        let state = match (worker.draining, worker.cordoned, worker.ready) {
            (true, _, _) => State::Draining,
            (_, true, _) => State::Cordoned,
            (_, _, true) => State::Ready,
            _ => State::Pending,
        };
        worker.info.version += u64::from(state != worker.info.state);
        worker.info.state = state;
        Ok(())
    }

    pub fn remove(&mut self, id: &str) -> Result<Vec<Lost>, WorkerError> {
        let at = self.workers.iter().position(|w| *w.info.id == *id.as_bytes());
        let info = self.workers.remove(at.ok_or(WorkerError::Unknown)?).info;
        self.left_at.insert(info.worker.index, info.version);
        let gone: Vec<Ticket> =
            self.held.iter().filter(|(_, h)| h.on == info.worker).map(|(t, _)| *t).collect();
        let lost = |ticket| {
            let Held { id, amount, .. } = self.held.remove(&ticket).expect("just found");
            self.ids.remove(&id);
            Lost { id: id.into(), ticket, amount }
        };
        Ok(gone.into_iter().map(lost).collect())
    }

    /// What cannot be right in any state of the engine.
    pub fn wrong(ask: &Ask) -> Option<ReserveError> {
        if ask.id.len() > slotwise::MAX_ID_LEN {
            return Some(ReserveError::IdLength { length: ask.id.len() });
        }
        let limit = Resources::MAX;
        match ask.need().first_over(&limit) {
            _ if ask.need().is_zero() => Some(ReserveError::Empty),
            Some(dimension) => Some(ReserveError::TooLarge {
                dimension,
                given: ask.need().get(dimension),
                limit: limit.get(dimension),
            }),
            None => None,
        }
    }

    pub fn answer(&mut self, ask: &Ask, place: Where) -> Answer {
        if let Some(error) = Self::wrong(ask) {
            return Answer::No(error);
        }
        if let Some(&ticket) = self.ids.get(&ask.id) {
            return Answer::Existing(ticket);
        }
        if let Where::On(worker, expected) = place {
            let Some(worker) = self.at(worker) else {
                return Answer::No(ReserveError::UnknownWorker);
            };
            let info = &worker.info;
            if ask.rank(info, true).is_some() && expected.is_some_and(|v| v != info.version) {
                return Answer::No(ReserveError::VersionConflict {
                    version: info.version,
                    free: info.free.available(),
                    state: info.state,
                });
            }
        }
        match self.choose(ask, place) {
            Ok(workers) => Answer::OneOf(workers),
            Err(refusal) => Answer::No(refusal.into()),
        }
    }

    fn choose(&self, ask: &Ask, place: Where) -> Result<Vec<WorkerRef>, Refusal> {
        let need = ask.need();
        let mut reasons = Reasons::default();
        let (mut matching, mut fitting) = (vec![], vec![]);
        let mut outlook = Outlook::Start;
        for worker in &self.workers {
            let info = &worker.info;
            let pinned = match place {
                Where::Anywhere => false,
                Where::On(named, _) if named == info.worker => true,
                Where::On(..) => continue,
            };
            let Some(rank) = ask.rank(info, pinned) else {
                reasons.not_matching += 1;
                continue;
            };
            matching.push(worker.capacity());
            if info.state == State::Pending && info.free.fits(&need) {
                outlook = Outlook::Wait;
            }
            if !info.state.takes(ask.ahead) {
                reasons.not_ready += 1;
                continue;
            }
            match info.free.first_short(&need) {
                None => fitting.push((rank, worker)),
                Some(Dimension::Cpu) => reasons.cpu += 1,
                Some(Dimension::Memory) => reasons.memory += 1,
                Some(Dimension::Gpus) => reasons.gpus += 1,
            }
        }
        let Some(best) = fitting.iter().map(|(rank, _)| *rank).min() else {
            let outlook = match place {
                Where::Anywhere => outlook,
                Where::On(..) => Outlook::Unknown,
            };
            return Err(refusal(&need, &matching, reasons, outlook));
        };
        let equals = fitting.iter().filter(|(rank, _)| *rank == best).map(|(_, worker)| *worker);
        let index = |w: &&Worker| w.info.worker.index;
        let one = match ask.policy {
            Policy::FirstFit => equals.min_by_key(index),
            Policy::TightestFit => equals.min_by_key(|w| (share_left(w, &need), index(w))),
            Policy::Spread => equals.min_by_key(|w| (Reverse(share_left(w, &need)), index(w))),
            Policy::DotProduct => equals.min_by_key(|w| (dot(w, &need), index(w))),
            // Which of them depends on hashes or on what was learned: the crate's own tests check that.
            _ => return Ok(equals.map(|w| w.info.worker).collect()),
        };
        Ok(one.map(|w| w.info.worker).into_iter().collect())
    }

    /// The engine answered: is that an answer it may give? Then it is done here too. `told` says
    /// how much of a refusal must agree.
    pub fn settle(
        &mut self,
        ask: &Ask,
        place: Where,
        answer: Result<Reservation, ReserveError>,
        told: fn(ReserveError) -> ReserveError,
    ) {
        match (self.answer(ask, place), answer) {
            (Answer::OneOf(workers), Ok(placed)) => {
                assert!(
                    !placed.existing && workers.contains(&placed.worker),
                    "{ask:?}: {placed:?}"
                );
                self.hold(&ask.id, ask.need(), placed);
            }
            (Answer::Existing(ticket), Ok(placed)) => {
                let Held { on: worker, version, .. } = self.held[&ticket];
                assert_eq!(
                    placed,
                    Reservation { ticket, worker, version, existing: true, provisional: false }
                );
            }
            (Answer::No(expected), Err(error)) => {
                assert_eq!(told(error), told(expected), "{ask:?}");
            }
            (expected, answer) => panic!("{ask:?}: {answer:?}, not {expected:?}"),
        }
    }

    /// The engine made a new reservation.
    pub fn hold(&mut self, id: &[u8], amount: Resources, placed: Reservation) {
        let worker = self.at(placed.worker).expect("a registered worker");
        worker.info.free = worker.info.free.minus(&amount);
        worker.info.version += 1;
        assert_eq!(placed.version, worker.info.version);
        let (on, version) = (placed.worker, placed.version);
        let held = Held { id: id.to_vec(), on, amount, version };
        assert!(self.held.insert(placed.ticket, held).is_none(), "a ticket given out twice");
        if !id.is_empty() {
            assert!(self.ids.insert(id.to_vec(), placed.ticket).is_none());
        }
        self.placed += 1;
    }

    pub fn release(&mut self, ticket: Ticket) -> Option<Released> {
        let Held { id, on, amount, .. } = self.held.remove(&ticket)?;
        self.ids.remove(&id);
        let worker = self.at(on).expect("it would have been lost with its worker");
        worker.info.free = worker.info.free.plus(&amount);
        worker.info.version += 1;
        let version = Some(worker.info.version);
        self.released += 1;
        Some(Released { worker: on, amount, version })
    }
}

impl Model {
    /// Dimension by dimension: what grows must be free there, in a state that takes something.
    pub fn resize(
        &mut self,
        ticket: Option<Ticket>,
        need: Resources,
    ) -> Result<Resized, ResizeError> {
        if need.is_zero() {
            return Err(ResizeError::Empty);
        }
        if let Some(dimension) = need.first_over(&Resources::MAX) {
            let (given, limit) = (need.get(dimension), Resources::MAX.get(dimension));
            return Err(ResizeError::TooLarge { dimension, given, limit });
        }
        let held = ticket.and_then(|ticket| Some((ticket, self.held.get(&ticket)?.clone())));
        let (ticket, Held { on, amount: before, version, .. }) =
            held.ok_or(ResizeError::NotHeld)?;
        if need == before {
            return Ok(Resized { ticket, worker: on, before, version });
        }
        let info = &mut self.at(on).expect("it would have been lost with its worker").info;
        let grows = |d: Dimension| need.get(d) > before.get(d);
        if Dimension::ALL.into_iter().any(grows) && !info.state.takes(true) {
            return Err(ResizeError::State { state: info.state });
        }
        let after = info.free.plus(&before).minus(&need);
        let short = |d| if grows(d) { (-after.get(d)).max(0) as u64 } else { 0 };
        let [cpu, memory, gpus] = Dimension::ALL.map(short);
        let missing = r3(cpu, memory, gpus);
        if !missing.is_zero() {
            return Err(ResizeError::Short { missing });
        }
        info.free = after;
        info.version += 1;
        let version = info.version;
        let held = self.held.get_mut(&ticket).expect("just found");
        (held.amount, held.version) = (need, version);
        self.resized += 1;
        Ok(Resized { ticket, worker: on, before, version })
    }
}

/// The free share that placing `need` leaves, over all dimensions that the worker has, in units of
/// 2^-40; a dimension that is over-committed has nothing free.
fn dot(worker: &Worker, need: &Resources) -> u64 {
    let (free, capacity) = (worker.info.free.available(), worker.capacity());
    let share = |d: Dimension, amount: u64| match capacity.get(d) {
        0 => 0,
        all => (amount * ((1 << 40) / all)) >> 20,
    };
    Dimension::ALL.into_iter().map(|d| share(d, free.get(d)) * share(d, need.get(d))).sum()
}

fn share_left(worker: &Worker, need: &Resources) -> u64 {
    let (left, capacity) = (worker.info.free.minus(need).available(), worker.capacity());
    let share = |d: Dimension| match capacity.get(d) {
        0 => 0,
        all => left.get(d) * ((1 << 40) / all),
    };
    Dimension::ALL.into_iter().map(share).sum()
}

fn refusal(
    need: &Resources,
    matching: &[Resources],
    reasons: Reasons,
    outlook: Outlook,
) -> Refusal {
    let large_enough = |has: &Resources, d| has.get(d) >= need.get(d);
    if matching.iter().any(|has| need.fits_in(has)) {
        let short = [reasons.cpu, reasons.memory, reasons.gpus];
        let most = Dimension::ALL.into_iter().zip(short).max_by_key(|&(d, n)| (n, Reverse(d)));
        let blocking = most.filter(|&(_, n)| n > 0).map(|(d, _)| d);
        return Refusal { verdict: Verdict::Busy, blocking, reasons, outlook };
    }
    let too_small = |d: &Dimension| matching.iter().all(|has| !large_enough(has, *d));
    let to_blame: Vec<Dimension> = Dimension::ALL.into_iter().filter(too_small).collect();
    let blocking = (!matching.is_empty() && to_blame.len() == 1).then(|| to_blame[0]);
    Refusal { verdict: Verdict::Never, blocking, reasons, outlook }
}
