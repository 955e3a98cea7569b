//! Policies that learn, in the engine: they place as the pure ones do, and keep every promise.

use std::collections::HashMap;
use std::thread;

use slotwise::placement::gpu::{Among, Choice, Method, ModelSet, Node, Placer, Shape, Tuning};
use slotwise::{
    BatchMode, Config, ConfigError, Constraints, DeviceNeed, DeviceSpec, Engine, Policy, Request,
    Reservation, ReserveError, Resources, Selector, Terms, Ticket, Verdict, WorkerSpec,
    WorkerUpdate,
};

const TYPES: [&str; 3] = ["T4", "V100", "A100"];

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A worker with so many devices of a type.
fn worker(id: impl Into<slotwise::Name>, cpu: u64, devices: u64, gpu_type: &str) -> WorkerSpec {
    let spec = WorkerSpec::new(id, Resources::new(cpu, 500_000));
    if devices == 0 {
        return spec;
    }
    let devices = (0..devices).map(|i| DeviceSpec::new(format!("gpu-{i}").as_str()));
    spec.gpu_type(gpu_type).devices(devices)
}

fn engine(policy: Policy) -> Engine {
    let config = Config { policy, gpu_separation: false, ..Config::default() };
    Engine::new(config).expect("a good configuration")
}

fn verdict<T: std::fmt::Debug>(result: Result<T, ReserveError>) -> Option<Verdict> {
    result.expect_err("refused").verdict()
}

/// What a request asks for: CPU, devices and thousandths of each, and the types that will do.
type Pod = (u64, u64, u64, &'static [u8]);

fn pod(random: &mut Random) -> Pod {
    let part = random.below(10);
    let (devices, milli) = match part {
        0 => (0, 0),
        1..=6 => (1, random.of(&[200, 250, 300, 500, 650, 810])),
        7 | 8 => (1, 1_000),
        _ => (random.of(&[2, 4, 8]), 1_000),
    };
    let types: &[u8] = if devices == 0 { &[] } else { random.of(&[&[], &[], &[1][..], &[0, 2]]) };
    (1_000 * (1 + random.below(12)), devices, milli, types)
}

fn reserve(
    engine: &Engine,
    (cpu, devices, milli, types): Pod,
    selectors: &HashMap<&[u8], Selector>,
) -> Result<Reservation, ReserveError> {
    let need = DeviceNeed { milli: milli as u32, ..DeviceNeed::whole(devices as u32) };
    let terms = Terms::new().devices(need);
    let request = Request::anonymous(Resources::new(cpu, 1_000)).selector(selectors[types]);
    engine.reserve(&if devices == 0 { request } else { request.terms(&terms) })
}

#[test]
fn the_engine_places_as_the_pure_policies_do() {
    for (policy, method) in
        [(Policy::Fgd, Method::FgdSoFar), (Policy::Adaptive, Method::Adaptive(Tuning::default()))]
    {
        let mut random = Random(7);
        let engine = engine(policy);
        let mut nodes = Vec::new();
        // Numbered as they come, as planners do.
        let mut models: Vec<Option<usize>> = Vec::new();
        for k in 0..700 {
            let (cpu, devices) = random.of(&[(96_000, 8), (64_000, 2), (32_000, 0), (128_000, 4)]);
            let gpu_type = random.below(3) as usize;
            let model = (devices > 0).then_some(gpu_type);
            let gpu_type = TYPES[gpu_type];
            let spec = worker(format!("n{k}"), cpu, devices, gpu_type).label("type", gpu_type);
            engine.add_worker(spec).expect("a good worker");
            if !models.contains(&model) {
                models.push(model);
            }
            let model = models.iter().position(|known| *known == model).expect("pushed") as u8;
            nodes.push(Node::new(cpu as u32, 500_000, devices as usize, model).expect("right"));
        }
        let any = |types: &[u8]| types.iter().map(|&t| TYPES[usize::from(t)].as_bytes()).collect();
        let selectors: HashMap<&[u8], Selector> = [&[][..], &[1], &[0, 2]]
            .map(|types| {
                let names: Vec<&[u8]> = any(types);
                let constraints = match &names[..] {
                    [] => return (types, Selector::ANY),
                    names => Constraints::new().label_in("type", names.iter().copied()),
                };
                (types, engine.selector(&constraints).expect("good constraints"))
            })
            .into();
        let mut placer = Placer::new(nodes, method);
        let (mut placed, mut refused) = (0, 0);
        for number in 0..6_000 {
            let pod = pod(&mut random);
            let (cpu, devices, milli, types) = pod;
            let models = match types {
                [] => ModelSet::ANY,
                types => {
                    let will_do = |m: Option<usize>| m.is_some_and(|m| types.contains(&(m as u8)));
                    let numbers = models.iter().zip(0..).filter(|(model, _)| will_do(**model));
                    ModelSet::of(numbers.map(|(_, number)| number))
                }
            };
            let shape = Shape::new(cpu, 1_000, devices, milli, models).expect("right");
            placer.arrive(&shape);
            // What a policy may do for a request is bounded, so that whom it has to look at counts, too:
            // those that the selector sees.
            let nodes = placer.nodes().to_vec();
            let sees = |node: usize| {
                devices == 0
                    || !nodes[node].devices().is_empty() && models.contains(nodes[node].model())
            };
            let group = match devices {
                0 => 0,
                _ => 1 + types.first().map_or(0, |&first| 1 + u32::from(first)),
            };
            let among = Among { number: group, member: Some(&sees), accept: &|_| true };
            let expected = placer.choose_among(&shape, 0, &among);
            match (reserve(&engine, pod, &selectors), expected) {
                (Ok(got), Some(Choice { node, devices })) => {
                    let granted = engine.granted(got.ticket).map_or(0, |granted| granted.devices.0);
                    assert_eq!(
                        (got.worker.index as usize, granted),
                        (node, devices.0),
                        "{policy}: {number}: {pod:?}"
                    );
                    let left = placer.nodes()[node].take(&shape, devices).expect("it fits");
                    placer.update(node, left);
                    placed += 1;
                }
                (Err(error), None) => {
                    assert_eq!(error.verdict(), Some(Verdict::Busy), "{number}: {pod:?}");
                    refused += 1;
                }
                (got, expected) => panic!("{policy}: {number}: {pod:?}: {got:?}, not {expected:?}"),
            }
        }
        assert!(placed > 1_000 && refused > 100, "{policy}: {placed} placed, {refused} refused");
        assert!(engine.audit().is_ok());
    }
}

/// What is free elsewhere, of another rank or pool, or gone, is none of a planner's business; and what
/// comes is seen.
#[test]
fn ranks_moves_and_removals_are_respected() {
    for policy in [Policy::Fgd, Policy::Adaptive] {
        let engine = engine(policy);
        let add = |id: &str, priority, pool: &str| {
            engine.add_worker(worker(id, 64_000, 2, "T4").priority(priority).pool(pool)).unwrap()
        };
        let pool = |name: &str| engine.selector(&Constraints::new().pool(name)).unwrap();
        let (p, q) = (pool("p"), pool("q"));
        let low = add("low", 0, "p");
        let high = add("high", 5, "p");
        let other = add("other", 9, "q");
        let half = Terms::new().devices(DeviceNeed::part(500));
        let go = |selector| {
            let request = Request::anonymous(Resources::new(1_000, 1)).selector(selector);
            engine.reserve(&request.terms(&half))
        };
        let where_to = |selector| go(selector).map(|placed| placed.worker);
        assert_eq!(
            [(); 4].map(|()| where_to(p).unwrap()),
            [high; 4],
            "the higher one until it is full"
        );
        assert_eq!(where_to(p).unwrap(), low);
        assert_eq!(where_to(q).unwrap(), other);
        // It changes its pool, and is the others' now.
        engine.update_worker(b"low", WorkerUpdate::new().pool("q")).unwrap();
        assert_eq!(verdict(where_to(p)), Some(Verdict::Busy));
        assert_eq!([(); 3].map(|()| where_to(q).unwrap()), [other; 3]);
        assert_eq!(where_to(q).unwrap(), low);
        engine.remove_worker(b"low").unwrap();
        assert_eq!(verdict(where_to(q)), Some(Verdict::Busy));
        // Another one on the same slot, that a cordon keeps for itself for a while.
        let fresh = add("fresh", 1, "p");
        engine.cordon(b"fresh").unwrap();
        assert_eq!(verdict(where_to(p)), Some(Verdict::Busy));
        engine.uncordon(b"fresh").unwrap();
        assert_eq!(where_to(p).unwrap(), fresh);
        assert!(engine.audit().is_ok());
    }
}

#[test]
fn where_gpus_are_not_asked_for_they_fill_one_worker_after_the_other() {
    for policy in [Policy::Fgd, Policy::Adaptive] {
        let engine = engine(policy);
        for k in 0..20 {
            engine.add_worker(worker(format!("n{k}"), 10_000, 0, "")).unwrap();
        }
        for k in 0..200u64 {
            let request = Request::anonymous(Resources::new(1_000, 1)).hash(k * 77);
            assert_eq!(u64::from(engine.reserve(&request).unwrap().worker.index), k / 10);
        }
        let one_more = engine.reserve(&Request::anonymous(Resources::new(1, 1)));
        assert_eq!(verdict(one_more), Some(Verdict::Busy));
    }
}

/// A named worker, a number of whole GPUs, and more of them than a planner knows of.
#[test]
fn what_a_planner_does_not_know_is_placed_all_the_same() {
    let engine = engine(Policy::Adaptive);
    let total = Resources::new(64_000, 1_000).gpus(40);
    engine.add_worker(WorkerSpec::new("big", total).gpu_type("T4")).unwrap();
    let ask = |gpus| engine.reserve(&Request::anonymous(Resources::new(1, 1).gpus(gpus)));
    assert!(ask(20).is_ok());
    assert!(ask(16).is_ok());
    assert!(ask(4).is_ok());
    assert_eq!(verdict(ask(1)), Some(Verdict::Busy));
}

/// What is useless for the mix is told, and the moves that would make it useful are right: carried out as
/// proposed, with the versions expected, they give what was promised.
#[test]
fn the_plan_of_moves_keeps_what_it_promises() {
    let engine = engine(Policy::Adaptive);
    assert_eq!((engine.learned(), engine.fragmentation(), engine.repack(9)), (None, None, None));
    let memory = |spec: WorkerSpec, of: u64| {
        let devices = (0..4).map(|i| DeviceSpec::new(format!("gpu-{i}").as_str()).memory(of));
        spec.devices(devices)
    };
    for k in 0..12 {
        let spec = worker(format!("n{k}"), 64_000, 4, TYPES[k % 2]);
        engine.add_worker(memory(spec, 1_000 * (k as u64 / 6 + 1))).unwrap();
    }
    let mut random = Random(3);
    let mut held: Vec<(Ticket, Resources, DeviceNeed)> = Vec::new();
    for round in 0..600 {
        if held.len() > 60 {
            let gone = held.swap_remove(random.below(held.len() as u64) as usize);
            engine.release(gone.0).unwrap();
        }
        let milli = random.of(&[300, 400, 650, 1_000, 1_000]);
        let need = DeviceNeed { milli, ..DeviceNeed::whole(1) }.memory(u64::from(milli));
        let amount = Resources::new(1_000 + random.below(3_000), 10);
        let terms = Terms::new().devices(need);
        // Half of them are spread, and none of a planner's business.
        let policy = if round % 2 == 0 { Policy::Adaptive } else { Policy::Spread };
        let request = Request::anonymous(amount).terms(&terms).policy(policy);
        if let Ok(placed) = engine.reserve(&request) {
            held.push((placed.ticket, amount, need));
        }
    }
    // Many leave at once, so that what is left lies about.
    for k in (0..held.len()).rev().filter(|k| k % 3 > 0) {
        engine.release(held.swap_remove(k).0).unwrap();
    }
    let learned = engine.learned().expect("requests came");
    assert_eq!(learned.arrived, 300);
    assert_eq!(learned.kinds.iter().map(|kind| kind.count).sum::<u64>(), 300);
    assert!(learned.kinds.iter().all(|kind| kind.devices == 1 && kind.gpu_types.is_empty()));
    assert!(learned.kinds.is_sorted_by_key(|kind| std::cmp::Reverse(kind.count)));

    let figure = engine.fragmentation().expect("requests came");
    let infos = engine.workers();
    let devices = infos.iter().flat_map(|info| &info.devices);
    let free: u64 = devices.map(|device| u64::from(device.free_milli)).sum();
    assert_eq!((figure.free_milli, figure.arrived), (free, 300));
    assert!(figure.unusable_milli > 0 && figure.unusable_milli <= free, "{figure:?}");

    let plan = engine.repack(1_000).expect("requests came");
    assert_eq!(plan.before, figure);
    assert!(plan.moves.len() > 3, "{plan:?}");
    assert_eq!(engine.repack(2).unwrap().moves, plan.moves[..2], "the best come first");
    for one in &plan.moves {
        let (_, amount, need) = held.iter().find(|held| held.0 == one.ticket).expect("it is held");
        let infos = engine.workers();
        let [from, to] = [one.from, one.to].map(|worker| &infos[worker.index as usize]);
        assert_eq!((from.version, to.version), (one.from_version, one.to_version));
        assert_eq!(from.gpu_type, to.gpu_type);
        let terms = Terms::new().devices(*need);
        let request = Request::anonymous(*amount).terms(&terms);
        let placed = engine.reserve_on(one.to, &request, Some(one.to_version)).expect("as planned");
        assert_eq!(engine.granted(placed.ticket).map(|granted| granted.devices), Some(one.devices));
        engine.release(one.ticket).expect("it is still there");
    }
    let after = engine.fragmentation().expect("requests came");
    assert_eq!((after.free_milli, after.unusable_milli), (free, plan.after.unusable_milli));
    let freed: u64 = plan.moves.iter().map(|one| one.frees_milli).sum();
    let figures = figure.unusable_milli - after.unusable_milli;
    assert!(figures.abs_diff(freed) <= plan.moves.len() as u64, "{figures}, not {freed}");
    assert!(engine.audit().is_ok());
}

/// A dry run and an explanation change nothing, the mix included.
#[test]
fn what_is_only_supposed_is_not_learned_from() {
    for policy in [Policy::Fgd, Policy::Adaptive] {
        let engine = engine(policy);
        engine.add_worker(worker("n", 64_000, 4, "T4")).unwrap();
        let terms = [500, 300].map(|milli| Terms::new().devices(DeviceNeed::part(milli)));
        let [came, other] =
            [0, 1].map(|k| Request::anonymous(Resources::new(1_000, 1)).terms(&terms[k]));
        engine.reserve(&came).unwrap();
        let before = engine.learned().expect("a request came");
        let mut foreseen = Vec::new();
        engine.dry_run(&[other, came], &[], BatchMode::Independent, &mut foreseen);
        assert!(foreseen.len() == 2 && foreseen.iter().all(Result::is_ok));
        assert!(engine.explain(&other, false).unwrap().answer.is_ok());
        assert_eq!(engine.learned(), Some(before), "{policy}");
    }
}

#[test]
fn the_number_of_planners_has_limits() {
    for given in [0, 65] {
        let config = Config { max_planners: given, ..Config::default() };
        let error = ConfigError { field: "max_planners", given, limit: 64 };
        assert_eq!(Engine::new(config).err(), Some(error));
    }
}

/// More threads than planners; what one thread has alone it always finds.
#[test]
fn threads_place_at_once_and_nothing_is_oversold() {
    for (policy, planners) in [(Policy::Adaptive, 2), (Policy::Fgd, 1)] {
        let config =
            Config { policy, max_planners: planners, gpu_separation: false, ..Config::default() };
        let engine = Engine::new(config).unwrap();
        for k in 0..40 {
            engine.add_worker(worker(format!("n{k}"), 64_000, 4, TYPES[k % 3])).unwrap();
        }
        let selectors = HashMap::from([(&[][..], Selector::ANY)]);
        thread::scope(|scope| {
            for seed in 1..=4 {
                let (engine, selectors) = (&engine, &selectors);
                scope.spawn(move || {
                    let mut random = Random(seed);
                    let mut mine = Vec::new();
                    for round in 0..6_000 {
                        let (cpu, devices, milli, _) = pod(&mut random);
                        // Half of all that there is, so that there is always room for one device.
                        if mine.len() >= 10 {
                            let at = random.below(mine.len() as u64) as usize;
                            engine.release(mine.swap_remove(at)).expect("it is mine");
                        }
                        let pod = (cpu.min(2_000), devices.min(1), milli, &[][..]);
                        mine.push(reserve(engine, pod, selectors).expect("there is room").ticket);
                        if round % 1_000 == 0 {
                            assert!(engine.audit().is_ok());
                        }
                    }
                    mine.into_iter().for_each(|ticket| {
                        engine.release(ticket).expect("it is mine");
                    });
                });
            }
        });
        let audit = engine.audit();
        assert!(audit.is_ok() && audit.reservations == 0, "{audit:?}");
    }
}
