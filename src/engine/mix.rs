//! What the policies that learn know of the requests, and what follows from it: how much of what is free
//! is useless, and which moves would change that.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Engine;
use super::reserve::worker_of;
use crate::ledger::{Sighting, Ticket};
use crate::placement::gpu::{
    self, DeviceSet, Held, Kinds, ModelSet, Node, Shape, Typical, fragmentation, typical_of,
};
use crate::placement::{DeviceNeed, Devices, Granted, Prefer};
use crate::registry::{Name, WorkerRef};
use crate::slots::{Wide, Word};

/// A kind of requests that came, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind {
    /// CPU in millicores.
    pub cpu: u64,
    /// How many devices; whole GPUs that were asked for by number count as such.
    pub devices: u32,
    /// Thousandths of each; 0 where none is asked for.
    pub milli: u32,
    /// The types of GPUs that would do, as far as workers have them; empty: any.
    pub gpu_types: Vec<Name>,
    /// How often it came, counts of long ago halved: the mix is its share of the sum.
    pub count: u64,
}

/// The mix of requests that a policy which learns has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learned {
    /// Requests that came, and that some worker matched.
    pub arrived: u64,
    /// The 512 most frequent kinds, most frequent first.
    pub kinds: Vec<Kind>,
}

/// How much of what is free of GPUs is useless to the requests that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fragmentation {
    /// Thousandths of GPUs that workers which are ready have free.
    pub free_milli: u64,
    /// What a request drawn from the mix is expected to find useless of that: where it is too little of
    /// one GPU, or the worker has too little CPU left, or is of the wrong type; all, for a request
    /// that needs no GPU (Weng et al. 2023).
    pub unusable_milli: u64,
    /// Requests that the mix was learned from.
    pub arrived: u64,
}

/// A move that is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Move {
    /// What is to move.
    pub ticket: Ticket,
    /// The worker that it is on.
    pub from: WorkerRef,
    /// That worker's version when it is this move's turn.
    pub from_version: u64,
    /// The worker to go to.
    pub to: WorkerRef,
    /// That worker's version when it is this move's turn.
    pub to_version: u64,
    /// The devices that it will get there.
    pub devices: DeviceSet,
    /// Thousandths of GPUs that become useful by it.
    pub frees_milli: u64,
}

/// A plan of moves, and what it is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repack {
    /// As it is.
    pub before: Fragmentation,
    /// As it will be.
    pub after: Fragmentation,
    /// In this order.
    pub moves: Vec<Move>,
}

/// The workers at one time, as far as a policy that learns sees them.
struct Snapshot {
    kinds: Kinds,
    nodes: Vec<Node>,
    words: Vec<Word<Wide>>,
    /// The registrations of their slots.
    workers: Vec<WorkerRef>,
}

impl Engine {
    /// What the policies that learn ([`Policy::learns`](crate::Policy::learns)) have seen of the
    /// requests; of several planners, the one that has seen the most. None before the first request that
    /// came to one, and while other threads have all of them in hand.
    ///
    /// Waits for planners in others' hands for some milliseconds at most; O(kinds log kinds).
    pub fn learned(&self) -> Option<Learned> {
        let (kinds, types) =
            self.planners.with_most(|planner| (planner.kinds(), planner.types()))?;
        let kind = |(shape, count): (&Shape, u64)| {
            let models = shape.models();
            let will_do = |model: u8| models != ModelSet::ANY && models.contains(model);
            let named = types.iter().filter(|(_, model)| will_do(*model));
            let mut gpu_types: Vec<Name> = named.map(|(name, _)| name.clone()).collect();
            gpu_types.sort();
            Kind {
                cpu: shape.cpu().into(),
                devices: shape.num_gpu().into(),
                milli: shape.milli().into(),
                gpu_types,
                count,
            }
        };
        let mut all: Vec<Kind> = kinds.iter().map(kind).collect();
        all.sort_by_key(|kind| Reverse(kind.count));
        Some(Learned { arrived: kinds.arrived(), kinds: all })
    }

    /// How much of what is free of GPUs is useless to the mix that [`Engine::learned`] tells of. None
    /// where that gives none.
    ///
    /// Waits as [`Engine::learned`] does; O(workers x kinds that make up 95 % of the mix).
    pub fn fragmentation(&self) -> Option<Fragmentation> {
        let Snapshot { kinds, nodes, .. } = self.snapshot_of_planner()?;
        Some(figure(&nodes, &typical(&kinds), kinds.arrived()))
    }

    /// Proposes at most `most` moves of reservations that hold devices, each to a worker that no selector
    /// tells apart from the one that it is on but by a label or a machine of its own, such that the least of
    /// what is free is useless to the mix that [`Engine::learned`] tells of. Greedy: each move is the one
    /// that frees the most after those before it, and none frees nothing. None where
    /// [`Engine::learned`] gives none.
    ///
    /// Nothing is changed. For each move in turn, [reserve](Engine::reserve_on) what the reservation asked
    /// for on the worker to go to, with its version expected, by a policy that fills devices up; move the work; and
    /// [release](Engine::release) the old reservation, which holds its id until then: the new one needs another,
    /// or none, and is charged to its account beside the old one. A version that is another one says that
    /// somebody else was there, and that it is time for another plan.
    ///
    /// Waits as [`Engine::learned`] does; O((workers x kinds of what is held + reservations) x kinds of the mix), and a
    /// small part of that for each move.
    pub fn repack(&self, most: usize) -> Option<Repack> {
        let Snapshot { kinds, mut nodes, words, workers, .. } = self.snapshot_of_planner()?;
        let shared = &self.registry.shared;
        let typical = typical(&kinds);
        let before = figure(&nodes, &typical, kinds.arrived());
        let groups: Vec<u32> = {
            let mut classes = HashMap::new();
            let class =
                |worker: &WorkerRef| shared.facts(worker.index)?.as_ref().map(|f| f.class());
            let mut number = |worker| {
                let next = classes.len() as u32;
                class(worker).map_or(u32::MAX, |class| *classes.entry(class).or_insert(next))
            };
            workers.iter().map(&mut number).collect()
        };
        // Whatever is not on the worker as it was seen is none of the plan's.
        let devices = |slot: usize| {
            let (word, devices) = shared.table.get(slot as u32)?.devices(shared.pool(slot as u32)?);
            devices.filter(|_| word == words[slot])
        };
        let mut devices: Vec<Option<Devices>> = (0..nodes.len()).map(devices).collect();
        let (mut held, mut tickets) = (Vec::new(), Vec::new());
        for sighting in self.ledger.sightings() {
            let Sighting::Live(ticket, holding) = sighting else { continue };
            let worker = worker_of(&holding);
            let node = worker.index as usize;
            let there = workers.get(node) == Some(&worker) && devices[node].is_some();
            let granted = self.granted(ticket).filter(|_| there && holding.rides);
            let Some(granted) = granted else { continue };
            let (count, milli) = (granted.count(), granted.milli.into());
            let (cpu, memory) = (holding.amount.cpu, holding.amount.memory);
            if let Ok(shape) = Shape::new(cpu, memory, count, milli, ModelSet::ANY) {
                held.push(Held { node, shape, devices: granted.devices });
                tickets.push((ticket, granted));
            }
        }
        // What a worker would give there is what it has to be: memory and all.
        let may_go = |one: &gpu::Move| {
            let (_, granted) = tickets[one.held];
            let need = DeviceNeed { island: Default::default(), ..granted.into() };
            let Some(there) = &devices[one.to] else { return false };
            if there.choose(&need, Prefer::Fullest) != Some(one.devices) {
                return false;
            }
            let there = there.minus(&Granted { devices: one.devices, ..granted });
            let from = held[one.held].node;
            let here = devices[from].as_ref().map(|here| here.plus(&granted));
            (devices[one.to], devices[from]) = (Some(there), here);
            true
        };
        let plan = gpu::repack(&mut nodes, &groups, &held, &typical, most, may_go);
        let mut versions: Vec<u64> = words.iter().map(|word| word.version()).collect();
        let moves = plan.into_iter().map(|one| {
            let from = held[one.held].node;
            let (from_version, to_version) = (versions[from], versions[one.to]);
            // One reservation there, one release here.
            versions[from] += 1;
            versions[one.to] += 1;
            Move {
                ticket: tickets[one.held].0,
                from: workers[from],
                from_version,
                to: workers[one.to],
                to_version,
                devices: one.devices,
                frees_milli: one.frees.round() as u64,
            }
        });
        let moves = moves.collect();
        Some(Repack { before, after: figure(&nodes, &typical, kinds.arrived()), moves })
    }

    fn snapshot_of_planner(&self) -> Option<Snapshot> {
        let shared = &self.registry.shared;
        self.planners.with_most(|planner| {
            planner.look_at_all(shared);
            let nodes = planner.nodes().to_vec();
            let (words, workers) = planner.seen().take(nodes.len()).unzip();
            Snapshot { kinds: planner.kinds(), nodes, words, workers }
        })
    }
}

fn typical(kinds: &Kinds) -> Vec<Typical> {
    typical_of(kinds.iter().map(|(shape, count)| (*shape, count)))
}

fn figure(nodes: &[Node], typical: &[Typical], arrived: u64) -> Fragmentation {
    let unusable: f64 = nodes.iter().map(|node| fragmentation(node, typical)).sum();
    Fragmentation {
        free_milli: nodes.iter().map(|node| u64::from(node.free())).sum(),
        unusable_milli: unusable.round() as u64,
        arrived,
    }
}
