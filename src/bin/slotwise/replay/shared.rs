//! Parts of devices: every pod goes through a policy that knows devices, on plain data.

use std::{collections::HashSet, path::Path, time::Instant};

use slotwise::{
    Policy,
    placement::gpu::{
        Choice, MAX_DEVICES, MAX_MODELS, Method, ModelSet, Node, Placer, Refused, Shape, Short,
        Tuning, Typical, explain, fragmentation, typical,
    },
};

use super::{
    Gpu, Replay,
    books::{self, Books, Place, Placement},
    input::{Pod, Trace},
};
use crate::{
    failure::Failure,
    report::{latencies, nanos, progress},
};

/// A trace as policies see it.
pub struct Shared<'a> {
    pub trace: &'a Trace,
    nodes: Vec<Node>,
    /// None: more devices than any node has.
    pub shapes: Vec<Option<Shape>>,
    typical: Vec<Typical>,
}

impl<'a> Shared<'a> {
    /// Models become numbers, pods become shapes. `path` names the nodes in what is refused.
    pub fn new(trace: &'a Trace, path: &Path) -> Result<Shared<'a>, Failure> {
        let refuse = |expected: String| {
            Err(Failure::Unusable(format!("{}: --gpu shared: expected {expected}", path.display())))
        };
        let mut models: Vec<&str> = Vec::new();
        let mut nodes = Vec::with_capacity(trace.nodes.len());
        for node in &trace.nodes {
            let model = models.iter().position(|m| *m == node.model).unwrap_or_else(|| {
                models.push(&node.model);
                models.len() - 1
            });
            let total = node.total;
            // Amounts are limited where they are read.
            let state = u8::try_from(model).ok().and_then(|model| {
                Node::new(total.cpu as u32, total.memory as u32, total.gpus as usize, model)
            });
            let Some(state) = state else {
                let many = format!("at most {MAX_DEVICES} GPUs a node and {MAX_MODELS} models");
                return refuse(format!("{many}, got node '{}'", node.name));
            };
            nodes.push(state);
        }
        let number = |name: &String| models.iter().position(|m| m == name).map(|m| m as u8);
        let set = |models: &Vec<String>| match &models[..] {
            [] => ModelSet::ANY,
            models => ModelSet::of(models.iter().filter_map(number)),
        };
        let sets: Vec<ModelSet> = trace.model_sets.iter().map(set).collect();
        let shape = |pod: &Pod| {
            Shape::new(pod.cpu, pod.memory, pod.num_gpu, pod.gpu_milli, sets[pod.models]).ok()
        };
        let shapes: Vec<Option<Shape>> = trace.pods.iter().map(shape).collect();
        // Published runs fill a trace up with pods drawn from it again; the list that the published
        // policy reads has each pod once.
        let mut names = HashSet::new();
        let once = trace.pods.iter().zip(&shapes).filter(|(pod, _)| names.insert(&pod.name));
        let typical = typical(once.filter_map(|(_, shape)| *shape));
        Ok(Shared { trace, nodes, shapes, typical })
    }

    pub fn replay(&self, policy: Policy) -> Replay {
        let mut placer = self.placer(policy);
        let mut latency = latencies();
        let mut placements: Vec<Placement> = Vec::with_capacity(self.shapes.len());
        let bar = progress(self.shapes.len() as u64, policy.name());
        for (pod, shape) in self.trace.pods.iter().zip(&self.shapes) {
            bar.inc(1);
            let Some(shape) = shape else {
                // More devices than any node has; all else is refused where it is read.
                placements.push(Err("never_gpus"));
                continue;
            };
            let start = Instant::now();
            let placed = place(&mut placer, shape, seahash::hash(pod.name.as_bytes()));
            latency.saturating_record(nanos(start.elapsed()));
            let why = || reason(&explain(placer.nodes(), &self.nodes, shape));
            placements.push(placed.ok_or_else(why));
        }
        bar.finish_and_clear();
        Replay {
            policy: policy.name(),
            knows_future: knows_future(policy),
            books: Books::new(self.trace, &placements, Gpu::Shared),
            fragmentation: Some(self.fragmentation(&placements)),
            latency,
            audit: None,
        }
    }

    /// All the GPUs there are, in thousandths.
    pub fn capacity(&self) -> u64 {
        self.trace.capacity_milli()
    }

    /// A policy on empty nodes.
    pub fn placer(&self, policy: Policy) -> Placer {
        let method = match policy {
            Policy::FirstFit => Method::FirstFit,
            Policy::TightestFit => Method::TightestFit,
            Policy::Spread => Method::Spread,
            Policy::PowerOfTwo => Method::PowerOfTwo,
            Policy::DotProduct => Method::DotProduct,
            Policy::Fgd => Method::Fgd(self.typical.clone()),
            Policy::Adaptive => Method::Adaptive(Tuning::default()),
            _ => Method::Affinity,
        };
        Placer::new(self.nodes.clone(), method)
    }

    /// For each percent arrived, what of the free GPU is useless to the trace's typical pods then,
    /// in percent of the capacity.
    fn fragmentation(&self, placements: &[Placement]) -> Vec<Option<f64>> {
        let capacity = self.trace.capacity_milli();
        let mut nodes = self.nodes.clone();
        let mut of_node: Vec<f64> =
            nodes.iter().map(|node| fragmentation(node, &self.typical)).collect();
        let mut bins = vec![None; books::LAST + 1];
        let mut arrived = 0;
        for ((pod, shape), placement) in self.trace.pods.iter().zip(&self.shapes).zip(placements) {
            arrived += pod.asks_milli();
            if let (Ok(Place { node, devices }), Some(shape)) = (placement, shape)
                && let Some(left) = nodes[*node].take(shape, *devices)
            {
                nodes[*node] = left;
                of_node[*node] = fragmentation(&left, &self.typical);
            }
            if let Some(bin) = books::rounded_percent(arrived, capacity) {
                // As the first pod of a bin leaves it.
                if let Some(bin @ None) = bins.get_mut(bin) {
                    *bin = Some(of_node.iter().sum::<f64>() * 100.0 / capacity as f64);
                }
            }
        }
        bins
    }
}

/// Whether a policy reads the requests beforehand here, as the published one did.
pub const fn knows_future(policy: Policy) -> bool {
    matches!(policy, Policy::Fgd)
}

/// What a host does with a policy: asks, takes, and tells.
pub fn place(placer: &mut Placer, shape: &Shape, hash: u64) -> Option<Place> {
    placer.arrive(shape);
    let Choice { node, devices } = placer.choose(shape, hash)?;
    let left = placer.nodes()[node].take(shape, devices)?;
    placer.update(node, left);
    Some(Place { node, devices })
}

/// A refusal's name, as the engine's are named.
fn reason(refused: &Refused) -> &'static str {
    match (refused.busy, refused.short) {
        (true, Short::Cpu) => "busy_cpu",
        (true, Short::Memory) => "busy_memory",
        (true, _) => "busy_gpus",
        (false, Short::Cpu) => "never_cpu",
        (false, Short::Memory) => "never_memory",
        (false, Short::Devices) => "never_gpus",
        (false, Short::Together) => "never_together",
        (false, Short::Model) => "never_no_match",
    }
}
