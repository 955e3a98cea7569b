//! Which of the requests that run would make most room if they ran elsewhere.
//!
//! Fragmentation is what a request drawn from a mix is expected to find useless of what is free (see
//! [`fragmentation`]). A move takes what one request holds to other devices, and is worth how much less
//! useless that leaves. The best move is planned, supposed to be done, and the next one looked for: greedy,
//! as descheduling is in practice, since the best set of moves is NP-hard already for two kinds.

use std::collections::HashMap;

use super::{
    DeviceSet, Node, Shape, Typical, fragmentation, ranking::UNFIT, rules::tightest_devices,
};

/// What one request holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// On which node.
    pub node: usize,
    /// What it asked for.
    pub shape: Shape,
    /// Which devices it has.
    pub devices: DeviceSet,
}

/// A move of the plan, to be done after those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// The place in the list of what is held.
    pub held: usize,
    /// The node to go to.
    pub to: usize,
    /// The devices there.
    pub devices: DeviceSet,
    /// Thousandths of devices that are expected to be useful again.
    pub frees: f64,
}

/// Thousandths of a device below which a move is not worth planning.
const LEAST: f64 = 1.0;

/// Where a request of one shape would do the least harm: by node, the growth of fragmentation and the
/// devices.
type Costs = Vec<Option<(f64, DeviceSet)>>;

/// At most `most` moves, each between nodes of the same group, by which the least of what is free is useless
/// to the typical requests. Nothing is moved twice, and each is one that holds devices. `may_go` has the last
/// word on a move, given those that it allowed before. Leaves `nodes` as they are after the moves.
///
/// Cost: linear in nodes for each shape that is held, in what is held, and in both once more a move.
pub fn repack(
    nodes: &mut [Node],
    groups: &[u32],
    held: &[Held],
    typical: &[Typical],
    most: usize,
    mut may_go: impl FnMut(&Move) -> bool,
) -> Vec<Move> {
    let mut now: Vec<f64> = nodes.iter().map(|node| fragmentation(node, typical)).collect();
    // What a node would gain if one of its requests left; none where that is out of the question.
    let gain = |nodes: &[Node], now: &[f64], one: &Held| {
        let without = nodes[one.node].give(&one.shape, one.devices)?;
        (one.devices != DeviceSet::NONE).then(|| now[one.node] - fragmentation(&without, typical))
    };
    let cost = |nodes: &[Node], now: &[f64], node: usize, shape: &Shape| {
        if !nodes[node].fits(shape) {
            return None;
        }
        // Those that a request gets which is not particular.
        let devices = tightest_devices(&nodes[node], shape);
        let left = nodes[node].take(shape, devices)?;
        Some((fragmentation(&left, typical) - now[node], devices))
    };
    let mut gains: Vec<Option<f64>> = held.iter().map(|one| gain(nodes, &now, one)).collect();
    let mut costs: HashMap<Shape, Costs> = HashMap::new();
    for one in held.iter().filter(|one| one.devices != DeviceSet::NONE) {
        costs.entry(one.shape).or_insert_with(|| {
            (0..nodes.len()).map(|node| cost(nodes, &now, node, &one.shape)).collect()
        });
    }
    let mut moves: Vec<Move> = Vec::new();
    while moves.len() < most {
        // The two best nodes of each shape and group: one of them is not where the request is.
        let mut best: HashMap<(Shape, u32), [(f64, u32); 2]> = HashMap::new();
        for (shape, costs) in &costs {
            for (node, found) in costs.iter().enumerate() {
                let Some((cost, _)) = found else { continue };
                let two = best.entry((*shape, groups[node])).or_insert([(f64::INFINITY, UNFIT); 2]);
                let at = (*cost, node as u32);
                if at < two[0] {
                    *two = [at, two[0]];
                } else if at < two[1] {
                    two[1] = at;
                }
            }
        }
        let mut found: Option<Move> = None;
        for (number, one) in held.iter().enumerate() {
            let Some(gain) = gains[number] else { continue };
            let Some(two) = best.get(&(one.shape, groups[one.node])) else { continue };
            let Some(&(cost, to)) = two.iter().find(|at| at.1 != one.node as u32) else { continue };
            let frees = gain - cost;
            if frees >= LEAST && found.is_none_or(|found| frees > found.frees) {
                let devices = costs[&one.shape][to as usize].map_or(DeviceSet::NONE, |at| at.1);
                found = Some(Move { held: number, to: to as usize, devices, frees });
            }
        }
        let Some(found) = found else { break };
        let one = held[found.held];
        if !may_go(&found) {
            // For this shape, that node is out of the question.
            if let Some(costs) = costs.get_mut(&one.shape) {
                costs[found.to] = None;
            }
            continue;
        }
        gains[found.held] = None;
        let without = nodes[one.node].give(&one.shape, one.devices);
        let with = nodes[found.to].take(&one.shape, found.devices);
        let (Some(without), Some(with)) = (without, with) else { break };
        (nodes[one.node], nodes[found.to]) = (without, with);
        for node in [one.node, found.to] {
            now[node] = fragmentation(&nodes[node], typical);
            for (shape, costs) in &mut costs {
                costs[node] = cost(nodes, &now, node, shape);
            }
            for (number, other) in held.iter().enumerate().filter(|(_, other)| other.node == node) {
                gains[number] = gains[number].and_then(|_| gain(nodes, &now, other));
            }
        }
        moves.push(found);
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::super::{ModelSet, typical};
    use super::*;
    use proptest::prelude::*;

    fn part(milli: u64) -> Shape {
        Shape::new(1000, 10, 1, milli, ModelSet::ANY).unwrap()
    }

    /// Two half-used nodes: the one request that keeps a device from being whole goes to the other.
    #[test]
    fn one_move_makes_a_device_whole() {
        let full = Node::new(9_000, 100, 1, 0).unwrap();
        let held = [0, 1].map(|node| Held { node, shape: part(400), devices: DeviceSet(1) });
        let mut nodes = [full.take(&part(400), DeviceSet(1)).unwrap(); 2];
        let whole = Shape::new(1000, 10, 1, 1000, ModelSet::ANY).unwrap();
        let mix = typical([whole]);
        let moves = repack(&mut nodes, &[0, 0], &held, &mix, 9, |_| true);
        assert_eq!(moves, [Move { held: 0, to: 1, devices: DeviceSet(1), frees: 1_000.0 }]);
        assert_eq!(nodes.map(|node| node.free()), [1_000, 200]);
        let mut apart = [full.take(&part(400), DeviceSet(1)).unwrap(); 2];
        assert_eq!(
            repack(&mut apart, &[0, 1], &held, &mix, 9, |_| true),
            [],
            "not to another group"
        );
        assert_eq!(repack(&mut apart, &[0, 0], &held, &mix, 9, |_| false), [], "nor if it may not");
    }

    proptest! {
        /// The first move is the best that there is, each is possible after those before it, and what they
        /// free is what the sum says.
        #[test]
        fn moves_are_right(
            placed in prop::collection::vec((0usize..6, prop_oneof![Just(1_000u64), 100u64..900], 0u16..4), 1..20),
            mix in prop::collection::vec(prop_oneof![Just(1_000u64), 100u64..900], 1..5),
        ) {
            let mut nodes: Vec<Node> = (0..6).map(|k| Node::new(20_000 - 3_000 * k, 100, 4, 0).unwrap()).collect();
            let groups = [0, 0, 0, 0, 1, 1];
            let mut held = Vec::new();
            for (node, milli, device) in placed {
                let devices = DeviceSet(1 << device);
                if let Some(left) = nodes[node].take(&part(milli), devices) {
                    nodes[node] = left;
                    held.push(Held { node, shape: part(milli), devices });
                }
            }
            let mix = typical(mix.into_iter().map(part));
            let all = |nodes: &[Node]| -> f64 { nodes.iter().map(|node| fragmentation(node, &mix)).sum() };
            let before = all(&nodes);
            // Every single move.
            let mut best = 0.0f64;
            for one in &held {
                for to in (0..6).filter(|&to| to != one.node && groups[to] == groups[one.node]) {
                    if !nodes[to].fits(&one.shape) {
                        continue;
                    }
                    let mut after = nodes.clone();
                    let devices = tightest_devices(&after[to], &one.shape);
                    after[to] = after[to].take(&one.shape, devices).unwrap();
                    after[one.node] = after[one.node].give(&one.shape, one.devices).unwrap();
                    best = best.max(before - all(&after));
                }
            }
            let mut after = nodes.clone();
            let moves = repack(&mut after, &groups, &held, &mix, 50, |_| true);
            match moves.first() {
                Some(first) => prop_assert!((first.frees - best).abs() < 1e-6, "{first:?}, best {best}"),
                None => prop_assert!(best < LEAST + 1e-6, "none, best {best}"),
            }
            let mut step = nodes.clone();
            for one in &moves {
                let Held { node, shape, devices } = held[one.held];
                step[one.to] = step[one.to].take(&shape, one.devices).expect("it fits there");
                step[node] = step[node].give(&shape, devices).expect("it was there");
            }
            prop_assert_eq!(&step, &after);
            let freed: f64 = moves.iter().map(|one| one.frees).sum();
            prop_assert!((before - all(&after) - freed).abs() < 1e-6);
        }
    }
}
