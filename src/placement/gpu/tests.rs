//! Each policy against its naive twin, over random clusters, requests and departures.

use proptest::prelude::*;

use super::{naive::Naive, *};

fn shape() -> impl Strategy<Value = Shape> {
    let models = prop_oneof![
        4 => Just(ModelSet::ANY),
        1 => prop::collection::vec(0u8..4, 1..3).prop_map(ModelSet::of),
    ];
    let devices = prop_oneof![
        1 => Just((0, 0)),
        5 => (1u64..=10).prop_map(|part| (1, part * 100)),
        1 => prop_oneof![Just(2u64), Just(4), Just(8), Just(16)].prop_map(|n| (n, 1000)),
    ];
    (1u64..12, 1u64..8, devices, models).prop_map(|(cpu, memory, (n, milli), models)| {
        Shape::new(cpu * 990, memory * 10, n, milli, models).expect("it is one")
    })
}

fn node() -> impl Strategy<Value = Node> {
    let devices = prop_oneof![Just(0usize), Just(1), Just(2), Just(4), Just(8), Just(16)];
    (10u32..90, 5u32..50, devices, 0u8..3)
        .prop_map(|(cpu, memory, n, model)| Node::new(cpu * 1000, memory * 10, n, model).unwrap())
}

/// A kind of request, a key's hash, and whether something leaves first.
type Event = (usize, u64, bool);

fn events() -> impl Strategy<Value = (Vec<Node>, Vec<Shape>, Vec<Event>)> {
    (
        prop::collection::vec(node(), 1..40),
        prop::collection::vec(shape(), 1..8),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), any::<bool>()), 1..200),
    )
        .prop_map(|(nodes, shapes, events)| {
            let events = events.into_iter();
            let events = events.map(|(i, hash, leaves)| (i.index(shapes.len()), hash, leaves));
            let events = events.collect();
            (nodes, shapes, events)
        })
}

/// Runs both side by side. `churn`: the oldest leaves where an event says so.
fn same(method: Method, nodes: &[Node], shapes: &[Shape], events: &[Event], churn: bool) {
    let mut placer = Placer::new(nodes.to_vec(), method.clone());
    let mut naive = Naive::new(nodes.to_vec(), method);
    let mut held = std::collections::VecDeque::new();
    for (event, &(kind, hash, leaves)) in events.iter().enumerate() {
        let mut set = |placer: &mut Placer, node: usize, now: Node| {
            placer.update(node, now);
            naive.update(node, now);
        };
        if churn
            && leaves
            && let Some((Choice { node, devices }, shape)) = held.pop_front()
        {
            let now = placer.nodes()[node].give(&shape, devices).expect("it was taken");
            set(&mut placer, node, now);
        }
        let shape = shapes[kind];
        placer.arrive(&shape);
        naive.arrive(&shape);
        // A kind of its own for each number, since requests of one number have the same members.
        let number = kind as u32 % 4;
        let member = |node: usize| number == 0 || node % 4 != number as usize;
        let among =
            Among { number, member: Some(&member), accept: &|node| node as u64 % 7 != hash % 9 };
        let chosen = placer.choose_among(&shape, hash, &among);
        assert_eq!(chosen, naive.choose_among(&shape, hash, &among), "event {event}");
        if let Some(choice) = chosen {
            let left = placer.nodes()[choice.node].take(&shape, choice.devices);
            let left = left.expect("it fits");
            placer.update(choice.node, left);
            naive.update(choice.node, left);
            held.push_back((choice, shape));
        }
    }
}

/// The policies that only compare.
const RULES: [Method; 6] = [
    Method::Affinity,
    Method::FirstFit,
    Method::TightestFit,
    Method::Spread,
    Method::PowerOfTwo,
    Method::DotProduct,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rules_are_their_naive_twins((nodes, shapes, events) in events(), churn: bool) {
        for method in RULES {
            same(method, &nodes, &shapes, &events, churn);
        }
    }

    #[test]
    fn fgd_is_its_naive_twin((nodes, shapes, events) in events(), churn: bool) {
        let typical = typical(events.iter().map(|&(kind, ..)| shapes[kind]));
        same(Method::Fgd(typical), &nodes, &shapes, &events, churn);
        same(Method::FgdSoFar, &nodes, &shapes, &events, churn);
    }

    #[test]
    fn adaptive_is_its_naive_twin((nodes, shapes, events) in events(), churn: bool, seed: u64) {
        let tuning = Tuning { seed, ..Tuning::EXACT };
        same(Method::Adaptive(tuning), &nodes, &shapes, &events, churn);
    }

    /// However little it may do for a request, it places what fits, and the same again.
    #[test]
    fn adaptive_never_refuses_what_fits(
        (nodes, shapes, events) in events(),
        churn: bool,
        values in 0u32..3,
        sweep in 0usize..3,
    ) {
        let tuning = Tuning {
            values,
            older: 1,
            looks: values,
            sweep,
            renewals: sweep,
            survey: 1 + sweep,
            seed: 1,
        };
        let mut placers = [(); 2].map(|()| Placer::new(nodes.clone(), Method::Adaptive(tuning)));
        let mut held = Vec::new();
        for (kind, _, leaves) in events {
            if churn && leaves && !held.is_empty() {
                let (Choice { node, devices }, shape) = held.remove(0);
                for placer in &mut placers {
                    let now = placer.nodes()[node].give(&shape, devices).expect("it was taken");
                    placer.update(node, now);
                }
            }
            let shape = shapes[kind];
            let chosen = placers.each_mut().map(|placer| {
                placer.arrive(&shape);
                placer.choose(&shape, 0)
            });
            prop_assert_eq!(chosen[0], chosen[1]);
            let fits = placers[0].nodes().iter().any(|node| node.fits(&shape));
            prop_assert_eq!(chosen[0].is_some(), fits);
            if let Some(choice) = chosen[0] {
                for placer in &mut placers {
                    let left = placer.nodes()[choice.node].take(&shape, choice.devices);
                    placer.update(choice.node, left.expect("it fits"));
                }
                held.push((choice, shape));
            }
        }
    }
}

#[test]
fn a_kind_that_many_others_pushed_out_is_placed_all_the_same() {
    let node = Node::new(8_000_000, 1_000_000, 8, 0).unwrap();
    let mut placer = Placer::new(vec![node; 3], Method::Adaptive(Tuning::default()));
    for cpu in (0..3 * MAX_KINDS as u64).chain(0..9) {
        let shape = Shape::new(cpu + 1, 1, 1, 1 + cpu % 3, ModelSet::ANY).unwrap();
        placer.arrive(&shape);
        let Choice { node, devices } = placer.choose(&shape, 0).expect("there is room");
        let left = placer.nodes()[node].take(&shape, devices).unwrap();
        placer.update(node, left);
    }
    let learned = placer.adaptive().unwrap().learned();
    assert_eq!(learned.kinds.iter().count(), MAX_KINDS);
}

/// Whatever was kept of it while it had another model, and however little may be looked at anew.
#[test]
fn a_node_that_becomes_one_of_another_model_is_found_by_that() {
    let little = Tuning { values: 0, older: 0, looks: 0, sweep: 0, renewals: 0, ..Tuning::EXACT };
    let learning = [Method::FgdSoFar, Method::Adaptive(little), Method::Adaptive(Tuning::EXACT)];
    for method in RULES.into_iter().chain(learning) {
        let node = |model| Node::new(9000, 100, 2, model).unwrap();
        let mut placer = Placer::new((0..40).map(|n| node(n % 2)).collect(), method);
        let bound = |model| Shape::new(1000, 1, 1, 500, ModelSet::of([model])).unwrap();
        let chosen = |placer: &mut Placer, model| {
            let found = placer.choose(&bound(model), 5)?;
            assert_eq!(placer.nodes()[found.node].model(), model, "{:?}", found.node);
            Some(found.node)
        };
        (0..2).for_each(|model| assert!(chosen(&mut placer, model).is_some()));
        assert_eq!(chosen(&mut placer, 2), None);
        placer.touch(17, node(2));
        assert_eq!(chosen(&mut placer, 2), Some(17));
        placer.touch(17, node(3));
        assert_eq!((chosen(&mut placer, 2), chosen(&mut placer, 3)), (None, Some(17)));
        (0..40).filter(|n| n % 2 == 0).for_each(|n| placer.touch(n, node(1)));
        assert_eq!(chosen(&mut placer, 0), None);
        assert!(chosen(&mut placer, 1).is_some());
    }
}

#[test]
fn few_and_no_nodes_are_fine() {
    let shape = Shape::new(1, 1, 1, 1, ModelSet::ANY).unwrap();
    let adaptive = Method::Adaptive(Tuning::default());
    for method in [Method::Affinity, Method::Spread, Method::PowerOfTwo, Method::FgdSoFar, adaptive]
    {
        let mut placer = Placer::new(vec![], method);
        placer.arrive(&shape);
        assert_eq!(placer.choose(&shape, 7), None);
        placer.update(3, Node::new(1, 1, 1, 0).unwrap());
        // There are some later, of which one is told of.
        placer.grow(3);
        assert_eq!(placer.choose(&shape, 7), None);
        placer.update(2, Node::new(1, 1, 1, 0).unwrap());
        assert_eq!(placer.choose(&shape, 7).map(|choice| choice.node), Some(2));
    }
}
