//! The churn: every thread does every kind of thing on a few workers, another audits, and in the
//! end each ticket that was given out has ended exactly once.

use std::collections::HashSet;

use slotwise::{
    BatchMode, Constraints, Engine, Group, GroupDone, GroupError, GroupOp, Policy, ReleaseError,
    Request, Reservation, ReserveError, ResizeError, Resources, Selector, Ticket, WorkerError,
    WorkerSpec, WorkerUpdate,
};

use crate::common::*;
use crate::{release, while_working};

const WORKERS: usize = 16;
/// A thread that holds this many gives some back.
const MOST_HELD: usize = 120;
/// Ids that all threads use.
const SHARED: usize = 8;

fn name(k: usize) -> String {
    format!("w{k}")
}

fn total(k: usize) -> Resources {
    r(2000, 2000).gpus(if k % 4 == 3 { 8 } else { 0 })
}

/// Workers of two classes without GPUs, and of one with them.
fn spec(k: usize) -> WorkerSpec {
    let spec = WorkerSpec::new(name(k), total(k));
    match k % 4 {
        3 => spec.gpu_type("T4"),
        1 => spec.pool("p"),
        _ => spec,
    }
}

/// One thread's books.
struct Thread<'a> {
    e: &'a Engine,
    rng: Rng,
    me: usize,
    pool: Selector,
    /// Named so far with an id of its own.
    named: usize,
    /// Held, as far as this thread knows: ticket and id. Its worker may have been removed.
    held: Vec<(Ticket, Vec<u8>)>,
    /// Every ticket that the engine gave to this thread as new.
    obtained: Vec<Ticket>,
    /// Every ticket that this thread gave back.
    released: Vec<Ticket>,
    /// Every ticket that a removal by this thread handed out as lost, or a resize found lost.
    lost: Vec<Ticket>,
    placed: Vec<Result<Reservation, ReserveError>>,
    gave: Vec<Result<slotwise::Released, ReleaseError>>,
}

/// Runs the churn and checks the books.
pub fn run(seed: u64, operations: usize, threads: usize) {
    let e = engine((0..WORKERS).map(spec));
    let pool = e.selector(&Constraints::new().pool("p")).unwrap();
    let work = |me: usize| {
        let mut thread = Thread {
            e: &e,
            rng: Rng::new(seed.wrapping_add(me as u64)),
            me,
            pool,
            named: 0,
            held: vec![],
            obtained: vec![],
            released: vec![],
            lost: vec![],
            placed: vec![],
            gave: vec![],
        };
        let mut done = 0;
        while done < operations / threads {
            done += thread.step();
        }
        thread
    };
    let mut audits = 0;
    let finished = while_working(threads, work, || {
        let audit = e.audit();
        assert!(audit.is_ok(), "{audit:?}");
        // No total is lowered here: less free than nothing would be oversold.
        assert_eq!(audit.over_committed, 0, "{audit:?}");
        audits += 1;
    });
    assert!(audits > 0);
    settle(&e, finished);
}

/// Every thread gives back what it holds; then every ticket has ended once, and all is free.
fn settle(e: &Audited, threads: Vec<Thread<'_>>) {
    let (mut obtained, mut ended) = (Vec::new(), Vec::new());
    for mut thread in threads {
        for (ticket, _) in std::mem::take(&mut thread.held) {
            match release(e, ticket) {
                Ok(_) => thread.released.push(ticket),
                Err(error) => assert_eq!(error, ReleaseError::NotHeld),
            }
        }
        obtained.append(&mut thread.obtained);
        ended.append(&mut thread.released);
        ended.append(&mut thread.lost);
    }
    obtained.sort_unstable();
    ended.sort_unstable();
    let unique = obtained.windows(2).all(|two| two[0] < two[1]);
    assert!(unique, "a ticket was given out twice");
    if obtained != ended {
        let unended = |a: &[Ticket], b: &[Ticket]| {
            let b: HashSet<_> = b.iter().collect();
            a.iter().filter(|t| !b.contains(t)).take(5).copied().collect::<Vec<_>>()
        };
        let twice: Vec<_> = ended.windows(2).filter(|two| two[0] == two[1]).take(5).collect();
        panic!(
            "of {} tickets, never ended: {:?}; ended twice: {twice:?}; never given out: {:?}",
            obtained.len(),
            unended(&obtained, &ended),
            unended(&ended, &obtained),
        );
    }
    assert!(obtained.len() > 100, "hardly anything was placed: {}", obtained.len());

    let audit = e.audit();
    assert!(audit.is_ok(), "{audit:?}");
    assert_eq!((audit.unsettled, audit.reservations, e.reservation_count()), (0, 0, 0));
    for info in e.workers() {
        assert_eq!(info.free, info.total.into(), "{}", info.id);
    }
    let stats = e.stats();
    assert!(stats.released <= stats.placed, "{stats:?}");
}

impl Thread<'_> {
    /// One call; how many operations it was.
    fn step(&mut self) -> usize {
        if self.held.len() >= MOST_HELD {
            return self.release_many();
        }
        match self.rng.below(1000) {
            0..360 => self.reserve(),
            360..395 => self.resize(),
            395..400 => self.dry_run(),
            400..680 => self.release_one(),
            680..740 => self.batch(BatchMode::Independent),
            740..820 => self.batch(BatchMode::AllOrNothing),
            820..880 => self.release_many(),
            880..940 => self.group(),
            940..960 => self.shared_ids(),
            _ => self.operate(),
        }
    }

    fn need(&mut self) -> Resources {
        let (cpu, memory) = (self.rng.below(500), self.rng.below(500));
        let gpus = if self.rng.below(4) == 0 { 1 + self.rng.below(4) } else { 0 };
        Resources::new(1 + cpu as u64, 1 + memory as u64).gpus(gpus as u64)
    }

    /// No id, or one that no other thread uses and that was not used before.
    fn new_id(&mut self) -> Vec<u8> {
        self.named += 1;
        match self.rng.below(2) {
            0 => vec![],
            _ => format!("thread {}, number {}", self.me, self.named).into_bytes(),
        }
    }

    fn request<'r>(&mut self, id: &'r [u8]) -> Request<'r> {
        let policy = Policy::ALL[self.rng.below(Policy::ALL.len())];
        let request = Request::new(id, self.need()).policy(policy).hash(self.rng.next());
        match self.rng.below(4) {
            0 => request.selector(self.pool).ahead(true),
            1 => request.ahead(true),
            _ => request,
        }
    }

    /// Enters a new reservation into the books.
    fn got(&mut self, placed: Reservation, id: &[u8]) {
        assert!(!placed.existing, "{placed:?} under an id that was never used before");
        self.obtained.push(placed.ticket);
        self.held.push((placed.ticket, id.to_vec()));
    }

    /// An answer that is no placement: is it one that may be given here?
    fn not_placed(error: ReserveError) {
        match error {
            ReserveError::Refused(_) | ReserveError::Peer { .. } | ReserveError::Contended => {}
            // By reference or by name, to a worker that is away.
            ReserveError::UnknownWorker | ReserveError::VersionConflict { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn reserve(&mut self) -> usize {
        let id = self.new_id();
        let request = self.request(&id);
        let answer = match self.rng.below(4) {
            0 => match self.e.worker(name(self.rng.below(WORKERS)).as_bytes()) {
                Some(info) => {
                    let expected = (self.rng.below(2) == 0).then_some(info.version);
                    self.e.reserve_on(info.worker, &request, expected)
                }
                None => return 1,
            },
            _ => self.e.reserve(&request),
        };
        match answer {
            Ok(placed) => self.got(placed, &id),
            Err(error) => Self::not_placed(error),
        }
        1
    }

    fn batch(&mut self, mode: BatchMode) -> usize {
        let ids: Vec<Vec<u8>> = (0..2 + self.rng.below(5)).map(|_| self.new_id()).collect();
        let requests: Vec<Request<'_>> = ids.iter().map(|id| self.request(id)).collect();
        let mut answers = std::mem::take(&mut self.placed);
        self.e.reserve_batch(&requests, mode, &mut answers);
        assert_eq!(answers.len(), requests.len());
        if mode == BatchMode::AllOrNothing {
            let placed = answers.iter().filter(|answer| answer.is_ok()).count();
            assert!(placed == 0 || placed == answers.len(), "{answers:?}");
        }
        for (answer, id) in answers.iter().zip(&ids) {
            match *answer {
                Ok(placed) => self.got(placed, id),
                Err(error) => Self::not_placed(error),
            }
        }
        self.placed = answers;
        ids.len()
    }

    /// Asks what would be, were some of what it holds gone. Nothing comes of it: the books say so.
    fn dry_run(&mut self) -> usize {
        let ids: Vec<Vec<u8>> = (0..4).map(|_| self.new_id()).collect();
        let requests: Vec<Request<'_>> = ids.iter().map(|id| self.request(id)).collect();
        let credited: Vec<Ticket> = self.held.iter().take(3).map(|(ticket, _)| *ticket).collect();
        let mut foreseen = Vec::new();
        for mode in [BatchMode::Independent, BatchMode::AllOrNothing] {
            self.e.dry_run(&requests, &credited, mode, &mut foreseen);
            for one in &foreseen {
                match *one {
                    Ok(one) => assert_eq!(one.existing, None),
                    Err(error) => Self::not_placed(error),
                }
            }
        }
        let fit = foreseen.iter().filter(|one| one.is_ok()).count();
        assert!(fit == 0 || fit == foreseen.len(), "{foreseen:?}");
        1
    }

    /// What a release of something in the books said.
    fn gave(&mut self, ticket: Ticket, id: Vec<u8>, answer: Result<(), ReleaseError>) {
        match answer {
            Ok(()) => self.released.push(ticket),
            // Whoever removed its worker has it among the lost.
            Err(ReleaseError::NotHeld) => {}
            // Its worker is being removed; a group may also say that another step failed.
            Err(ReleaseError::InFlight | ReleaseError::Peer { .. } | ReleaseError::OtherWorker) => {
                self.held.push((ticket, id));
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn take_one(&mut self) -> Option<(Ticket, Vec<u8>)> {
        let at = (!self.held.is_empty()).then(|| self.rng.below(self.held.len()))?;
        Some(self.held.swap_remove(at))
    }

    fn release_one(&mut self) -> usize {
        if let Some((ticket, id)) = self.take_one() {
            let by_id = !id.is_empty() && self.rng.below(2) == 0;
            let answer = if by_id { self.e.release_id(&id) } else { self.e.release(ticket) };
            self.gave(ticket, id, answer.map(drop));
        }
        1
    }

    /// More or less of something that it holds.
    fn resize(&mut self) -> usize {
        let Some((ticket, id)) = self.take_one() else { return 1 };
        let need = self.need();
        let by_id = !id.is_empty() && self.rng.below(2) == 0;
        let answer = if by_id { self.e.resize_id(&id, need) } else { self.e.resize(ticket, need) };
        match answer {
            Ok(resized) => assert_eq!(resized.ticket, ticket),
            Err(ResizeError::Lost) => {
                self.lost.push(ticket);
                return 1;
            }
            // Whoever removed its worker has it among the lost, or is about to.
            Err(ResizeError::NotHeld | ResizeError::InFlight) => {}
            Err(ResizeError::Short { missing }) => assert!(!missing.is_zero()),
            Err(ResizeError::State { state }) => assert!(!state.takes(true), "{state}"),
            Err(other) => panic!("{other:?}"),
        }
        self.held.push((ticket, id));
        1
    }

    fn release_many(&mut self) -> usize {
        let some: Vec<_> = (0..8).map_while(|_| self.take_one()).collect();
        let tickets: Vec<Ticket> = some.iter().map(|(ticket, _)| *ticket).collect();
        let mut answers = std::mem::take(&mut self.gave);
        self.e.release_batch(&tickets, &mut answers);
        let count = some.len();
        for ((ticket, id), answer) in some.into_iter().zip(&answers) {
            self.gave(ticket, id, answer.map(drop));
        }
        self.gave = answers;
        count.max(1)
    }

    /// Gives back what it holds on one worker, or some of it, and takes something new there.
    fn group(&mut self) -> usize {
        let worker = name(self.rng.below(WORKERS));
        let Some(info) = self.e.worker(worker.as_bytes()) else { return 1 };
        let mut back = Vec::new();
        for _ in 0..8 {
            let Some((ticket, id)) = self.take_one() else { break };
            let there = self.e.reservation(&id).is_some_and(|r| r.worker == info.worker);
            // One that is elsewhere fails the whole group: seldom wanted.
            if there || self.rng.below(50) == 0 {
                back.push((ticket, id));
            } else {
                self.held.push((ticket, id));
            }
        }
        let mut ids: Vec<Vec<u8>> = (0..1 + self.rng.below(2)).map(|_| self.new_id()).collect();
        if self.rng.below(4) == 0 {
            ids.clear();
        }
        let gives = back.iter().map(|(ticket, _)| GroupOp::Release(*ticket));
        let mut ops: Vec<GroupOp<'_>> = gives.collect();
        let gpus = info.total.gpus.min(1);
        ops.extend(ids.iter().map(|id| {
            let need = self.need().gpus(gpus);
            GroupOp::Reserve { id, need }
        }));
        let groups = [Group { worker: worker.as_bytes(), ops: &ops }];
        let answers = self.e.apply_groups(&groups).remove(0);
        assert_eq!(answers.len(), ops.len());
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        // A worker that is removed under a group takes with it what was held.
        let gone = answers.iter().any(|answer| match answer {
            Ok(GroupDone::Released(released)) => released.version.is_none(),
            Err(GroupError::Reserve(error)) => *error == ReserveError::UnknownWorker,
            _ => false,
        });
        assert!(done == 0 || done == ops.len() || gone, "{answers:?}");
        let count = ops.len();
        let mut ids = ids.iter();
        let mut back = back.into_iter();
        for answer in answers {
            match answer {
                Ok(GroupDone::Reserved(placed)) => {
                    let id = ids.next().expect("a step that reserves");
                    self.got(placed, id);
                }
                Err(GroupError::Reserve(error)) => Self::not_placed(error),
                released => {
                    let (ticket, id) = back.next().expect("a step that releases");
                    let answer = match released {
                        Err(GroupError::Release(error)) => Err(error),
                        _ => Ok(()),
                    };
                    self.gave(ticket, id, answer);
                }
            }
        }
        count.max(1)
    }

    /// Reserves two ids that the others reserve too, in one of the ways there are. Who made a
    /// reservation owns it.
    fn shared_ids(&mut self) -> usize {
        let [a, b] = [0, 1].map(|_| format!("shared {}", self.rng.below(SHARED)).into_bytes());
        let requests = [self.request(&a), self.request(&b)];
        let mut answers = std::mem::take(&mut self.placed);
        match self.rng.below(4) {
            0 => {
                answers.clear();
                answers.extend(requests.iter().map(|request| self.e.reserve(request)));
            }
            1 => self.e.reserve_batch(&requests, BatchMode::Independent, &mut answers),
            2 => self.e.reserve_batch(&requests, BatchMode::AllOrNothing, &mut answers),
            _ => {
                let worker = name(self.rng.below(WORKERS));
                let need = requests[0].need;
                let ops = [&a, &b].map(|id| GroupOp::Reserve { id, need });
                let group = Group { worker: worker.as_bytes(), ops: &ops };
                let outcome = |outcome| match outcome {
                    Ok(GroupDone::Reserved(placed)) => Ok(placed),
                    Err(GroupError::Reserve(error)) => Err(error),
                    other => panic!("{other:?} of steps that reserve"),
                };
                answers.clear();
                answers.extend(self.e.apply_groups(&[group]).remove(0).into_iter().map(outcome));
            }
        }
        for answer in &answers {
            match *answer {
                // Released by ticket only: the id may be another's by then.
                Ok(placed) if !placed.existing => self.got(placed, b""),
                Ok(_) | Err(ReserveError::InFlight) => {}
                Err(ReserveError::DuplicateId) => assert_eq!(a, b),
                Err(error) => Self::not_placed(error),
            }
        }
        self.placed = answers;
        2
    }

    /// What an operator does to a worker.
    fn operate(&mut self) -> usize {
        let k = self.rng.below(WORKERS);
        let worker = name(k);
        let id = worker.as_bytes();
        let answer = match self.rng.below(16) {
            0..=1 => self.e.remove_worker(id).map(|lost| {
                self.lost.extend(lost.into_iter().map(|lost| lost.ticket));
            }),
            2..=5 => self.e.add_worker(spec(k)).map(drop),
            6 => self.e.cordon(id).map(drop),
            7..=8 => self.e.uncordon(id).map(drop),
            9 => self.e.drain(id).map(drop),
            10 => self.e.unready(id).map(drop),
            11..=12 => self.e.ready(id).map(drop),
            _ => {
                let update = match self.rng.below(3) {
                    0 => WorkerUpdate::new().priority(self.rng.below(3) as i32),
                    1 => WorkerUpdate::new().pool(["", "p", "q"][self.rng.below(3)]),
                    // The same total again, from the host's old copy: gives nothing back.
                    _ => WorkerUpdate::new().total(total(k)),
                };
                self.e.update_worker(id, update).map(drop)
            }
        };
        // Another thread removed it, or registered it again.
        if let Err(error) = answer {
            assert!(matches!(error, WorkerError::Unknown | WorkerError::Duplicate), "{error:?}");
        }
        1
    }
}
