//! The engine's walk against the naive policies, worker for worker, and its views against a plain
//! look at every worker.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ledger::Sighting;
use crate::placement::{Free, Policy, Resources, naive};
use crate::registry::{WorkerInfo, WorkerRef, WorkerSpec, WorkerUpdate};
use crate::slots::Occupant;

/// Few attributes, so that many workers share them.
#[derive(Clone, Debug)]
struct Spec {
    size: (u64, u64, u64),
    pool: u8,
    priority: i32,
    machine: Option<u8>,
    host: bool,
    pending: bool,
}

fn spec() -> impl Strategy<Value = Spec> {
    let size = (1u64..5, 1u64..5, prop_oneof![3 => Just(0u64), 1 => 1u64..3]);
    (
        size,
        0u8..3,
        0i32..2,
        prop::option::weighted(0.3, 0u8..3),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(size, pool, priority, machine, host, pending)| Spec {
            size: (size.0 * 100, size.1 * 100, size.2),
            pool,
            priority,
            machine,
            host,
            pending,
        })
}

#[derive(Clone, Debug)]
enum Op {
    Add(Spec, u8),
    Remove(usize),
    Move(usize, u8),
    Cordon(usize, bool),
    Ask { policy: usize, need: (u64, u64, u64), hash: u64, wants: u8, ahead: bool },
    Release(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        // Many of one kind at a time: a class then fills more than one block.
        2 => (spec(), 1u8..50).prop_map(|(spec, n)| Op::Add(spec, n)),
        1 => any::<usize>().prop_map(Op::Remove),
        1 => (any::<usize>(), 0u8..3).prop_map(|(at, pool)| Op::Move(at, pool)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, on)| Op::Cordon(at, on)),
        12 => (0..compared().len(), (0u64..300, 0u64..300, 0u64..2), any::<u64>(), 0u8..6, any::<bool>())
            .prop_map(|(policy, need, hash, wants, ahead)| Op::Ask { policy, need, hash, wants, ahead }),
        3 => any::<usize>().prop_map(Op::Release),
    ]
}

/// The policies whose answer follows from what is free alone.
fn compared() -> Vec<Policy> {
    Policy::ALL.into_iter().filter(|policy| !policy.learns()).collect()
}

const POOLS: [&str; 3] = ["", "a", "b"];

fn constraints(wants: u8, known_host: &[u8]) -> Constraints {
    match wants {
        0 | 1 => Constraints::new(),
        2 => Constraints::new().pool("a"),
        3 => Constraints::new().pool("b").pool("a"),
        4 => Constraints::new().machine("m1"),
        _ => Constraints::new().label("host", known_host),
    }
}

/// By strings alone: the worker's rank for these constraints, lower first.
fn rank(wants: u8, known_host: &[u8], w: &WorkerInfo, gpus: bool) -> Option<(usize, i64)> {
    let host = w.labels.iter().any(|(k, v)| &**k == b"host" && **v == *known_host);
    let pool = match (wants, &*w.pool) {
        (2, b"a") | (3, b"b") => 0,
        (3, b"a") => 1,
        (2 | 3, _) => return None,
        (4, _) if w.machine.as_deref() != Some(b"m1") => return None,
        (5.., _) if !host => return None,
        _ => 0,
    };
    (gpus == (w.total.gpus > 0)).then_some((pool, -(w.priority as i64)))
}

/// The blocks of a tier, by their numbers.
type Layout = Vec<Option<(u32, Vec<Option<Occupant>>)>>;

struct World {
    engine: Engine,
    ids: Vec<String>,
    tickets: Vec<crate::Ticket>,
    named: usize,
}

impl World {
    fn tiers(&self, selector: Selector, need: &Resources) -> Vec<Layout> {
        let mut directory = self.engine.local().directory();
        let view = directory.load().view(selector.0).expect("a selector of this engine");
        view.tiers(need).iter().map(|t| t.layout(&self.engine.registry.shared.blocks)).collect()
    }

    fn ask(&mut self, policy: Policy, need: Resources, hash: u64, wants: u8, ahead: bool) {
        let host = self.ids.get(hash as usize % self.ids.len().max(1)).cloned().unwrap_or_default();
        let constraints = constraints(wants, host.as_bytes());
        let selector = self.engine.selector(&constraints).unwrap();
        let tiers = self.tiers(selector, &need);

        // The view lists whom it must, each once, in the order of rank.
        let gpus = need.gpus > 0;
        let mut expected: Vec<_> = (self.engine.workers().iter())
            .filter_map(|w| Some((rank(wants, host.as_bytes(), w, gpus)?, w.worker.index)))
            .collect();
        expected.sort();
        let listed: Vec<Vec<u32>> = tiers
            .iter()
            .map(|tier| {
                let places = tier.iter().flatten().flat_map(|(_, places)| places);
                let mut slots: Vec<u32> = places.flatten().map(|o| o.slot).collect();
                slots.sort();
                slots
            })
            .collect();
        let by_rank: Vec<Vec<u32>> = expected
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tier| tier.iter().map(|(_, slot)| *slot).collect())
            .collect();
        assert_eq!(listed, by_rank, "{constraints:?}");

        let worker = |occupant: Occupant| {
            let slot = self.engine.registry.shared.table.get(occupant.slot).expect("listed");
            let (word, capacity) = (slot.word(), slot.capacity());
            assert_eq!(slot.stamp().epoch, occupant.epoch, "nothing moves here");
            let (free, takes): (Free, bool) = (word.free(), word.state().takes(ahead));
            naive::Worker { index: occupant.slot, free, capacity, takes }
        };
        let block = |(number, places): &(u32, Vec<Option<Occupant>>)| {
            (*number, places.iter().map(|p| p.map(worker)).collect())
        };
        let naive_tiers: Vec<naive::Tier> = (tiers.iter())
            .map(|tier| tier.iter().map(|b| b.as_ref().map(block)).collect())
            .collect();
        let chosen = naive::choose(policy, &naive_tiers, &need, hash);
        let request = Request::anonymous(need).policy(policy).hash(hash).ahead(ahead);
        let request = request.selector(selector);
        self.foresee(&request, naive_tiers.clone(), hash);
        match self.engine.reserve(&request) {
            Ok(placed) => {
                assert_eq!(Some(placed.worker.index), chosen, "{policy}");
                self.tickets.push(placed.ticket);
            }
            Err(error) => {
                assert_eq!(chosen, None, "{policy}: {error}");
                let all = naive_tiers.iter().flatten().flatten().flat_map(|(_, places)| places);
                let could = all.flatten().any(|w| need.fits_in(&w.capacity));
                let verdict = if could { Verdict::Busy } else { Verdict::Never };
                assert_eq!(error.verdict(), Some(verdict), "{error}");
            }
        }
    }

    /// What a dry run says, without credits and with some, against the naive policy on workers that
    /// have so much more free.
    fn foresee(&self, request: &Request<'_>, mut tiers: Vec<naive::Tier>, hash: u64) {
        let some = crate::placement::order::other(hash) as usize;
        let pick = |k: usize| self.tickets.get((some >> (8 * k)) % self.tickets.len().max(1));
        let credited: Vec<crate::Ticket> = (0..some % 4).filter_map(pick).copied().collect();
        let policy = request.policy.expect("chosen here");
        let mut given = Vec::new();
        for credited in [&[][..], &credited] {
            for ticket in credited {
                let Some(Sighting::Live(_, held)) = self.engine.ledger.look(*ticket) else {
                    panic!("released or lost, and still in the books")
                };
                let workers = tiers.iter_mut().flatten().flatten().flat_map(|(_, places)| places);
                let on = workers.flatten().find(|worker| worker.index == held.slot);
                if let Some(worker) = on.filter(|_| !given.contains(ticket)) {
                    worker.free = worker.free.plus(&held.amount);
                }
                given.push(*ticket);
            }
            let chosen = naive::choose(policy, &tiers, &request.need, hash);
            let mut foreseen = Vec::new();
            self.engine.dry_run(&[*request], credited, BatchMode::Independent, &mut foreseen);
            let foreseen = foreseen[0].ok().map(|foreseen| foreseen.worker.index);
            assert_eq!(foreseen, chosen, "{policy}, with {} credited", credited.len());
        }
    }

    fn apply(&mut self, op: &Op) {
        let pick = |ids: &[String], at: usize| ids.get(at % ids.len().max(1)).cloned();
        match op {
            Op::Add(spec, count) => {
                for _ in 0..*count {
                    self.named += 1;
                    let id = format!("w{}", self.named);
                    let total = Resources::new(spec.size.0, spec.size.1).gpus(spec.size.2);
                    let mut w = WorkerSpec::new(id.as_str(), total)
                        .pool(POOLS[spec.pool as usize])
                        .priority(spec.priority)
                        .pending(spec.pending);
                    if let Some(machine) = spec.machine {
                        w = w.machine(format!("m{machine}"));
                    }
                    if spec.host {
                        w = w.label("host", id.as_str());
                    }
                    let _: WorkerRef = self.engine.add_worker(w).unwrap();
                    self.ids.push(id);
                }
            }
            Op::Remove(at) => {
                if let Some(id) = pick(&self.ids, *at) {
                    self.ids.retain(|other| *other != id);
                    let lost = self.engine.remove_worker(id.as_bytes()).unwrap();
                    self.tickets.retain(|t| lost.iter().all(|l| l.ticket != *t));
                }
            }
            Op::Move(at, pool) => {
                if let Some(id) = pick(&self.ids, *at) {
                    let update = WorkerUpdate::new().pool(POOLS[*pool as usize]);
                    self.engine.update_worker(id.as_bytes(), update).unwrap();
                }
            }
            Op::Cordon(at, on) => {
                if let Some(id) = pick(&self.ids, *at) {
                    let id = id.as_bytes();
                    if *on { self.engine.cordon(id) } else { self.engine.uncordon(id) }.unwrap();
                }
            }
            Op::Ask { policy, need, hash, wants, ahead } => {
                let need = Resources::new(need.0.max(1), need.1).gpus(need.2);
                self.ask(compared()[*policy], need, *hash, *wants, *ahead);
            }
            Op::Release(at) => {
                if !self.tickets.is_empty() {
                    let ticket = self.tickets.swap_remove(at % self.tickets.len());
                    self.engine.release(ticket).unwrap();
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_walk_is_the_naive_policy(ops in vec(op(), 1..60), count_reasons: bool) {
        let engine = Engine::new(Config { count_reasons, ..Config::default() }).unwrap();
        let mut world = World { engine, ids: Vec::new(), tickets: Vec::new(), named: 0 };
        ops.iter().for_each(|op| world.apply(op));
        prop_assert!(world.engine.audit().is_ok());
    }
}

/// So many workers that hints have two levels above the blocks, in classes that take their blocks in
/// turn; nearly all of them full.
#[test]
fn the_search_among_many_is_the_naive_policy() {
    const WORKERS: usize = 40_000;
    let config = Config { max_workers: WORKERS, count_reasons: false, ..Config::default() };
    let engine = Engine::new(config).unwrap();
    let mut world = World { engine, ids: Vec::new(), tickets: Vec::new(), named: 0 };
    let spec = |k: usize| {
        let total = Resources::new(100 + k as u64 % 7 * 50, 100 + k as u64 % 5 * 100);
        WorkerSpec::new(format!("w{k}"), total).pool(POOLS[k / 40 % 3]).priority((k % 2) as i32)
    };
    let workers = world.engine.add_workers((0..WORKERS).map(spec));
    let mut full: Vec<crate::Ticket> = Vec::new();
    for (worker, k) in workers.into_iter().zip(0..) {
        let all = Request::anonymous(spec(k).total);
        full.push(world.engine.reserve_on(worker.unwrap(), &all, None).unwrap().ticket);
    }
    let mut hash = 7u64;
    for round in 0..400 {
        hash = crate::placement::order::other(hash);
        let policy = compared()[hash as usize % compared().len()];
        let need = Resources::new(100 + (hash >> 8) % 300, 1 + (hash >> 16) % 500);
        world.ask(policy, need, hash, (hash >> 32) as u8 % 4, false);
        if round % 2 == 0 {
            let at = (hash >> 40) as usize % full.len();
            world.engine.release(full.swap_remove(at)).unwrap();
        }
    }
    assert!(world.engine.audit().is_ok());
    assert!(world.tickets.len() > 50, "hardly anything was placed");
}

/// A search that is still under way in the ring of a selector whose label is looked up by now does
/// not come upon the workers that stand in the ring's former blocks.
#[test]
fn a_ring_that_is_left_leads_nowhere() {
    let engine = Engine::new(Config::default()).unwrap();
    let worker = |id: String| WorkerSpec::new(id, Resources::new(100, 100));
    let add = |spec| {
        engine.add_worker(spec).unwrap();
    };
    // Two blocks.
    (0..40).for_each(|k| add(worker(format!("same {k}")).label("host", "same")));
    let selector = engine.selector(&Constraints::new().label("host", "same")).unwrap();
    let need = Resources::new(1, 1);
    let old = {
        let mut directory = engine.local().directory();
        directory.load().view(selector.0).unwrap().tiers(&need)[0].clone()
    };
    let met = || {
        let blocks = &engine.registry.shared.blocks;
        let columns = crate::slots::Columns::of(&need);
        (0..64).any(|hash| old.search(blocks, columns, hash, Some).is_some())
    };
    assert!(met());
    // The label turns, and other classes take the blocks that its own have left.
    (0..70).for_each(|k| add(worker(format!("own {k}")).label("host", format!("own {k}"))));
    (0..200).for_each(|k| add(worker(format!("pool {k}")).pool(format!("pool {k}"))));
    assert!(!met(), "another class is met by a ring that was left");
}
