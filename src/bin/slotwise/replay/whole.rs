//! Whole devices: every pod is a request to the engine, which rounds a part up to a device.

use std::time::Instant;

use slotwise::{
    Config, Constraints, Engine, Policy, Request, ReserveError, Selector, WorkerSpec,
    placement::gpu::DeviceSet,
};

use super::{
    Gpu, Replay,
    books::{self, Books, Place, Placement},
    input::Trace,
};
use crate::{
    failure::Failure,
    report::{audit_text, latencies, nanos, progress, register},
};

/// Label under which a node's GPU model is registered: unlike a list of GPU types, the values of
/// a label are a set without an order of preference, which is what `A|B` means in a trace.
const MODEL: &str = "gpu-model";

pub fn replay(trace: &Trace, policy: Policy) -> Result<Replay, Failure> {
    let engine = engine(trace, policy)?;
    let selectors = selectors(trace, &engine)?;
    let mut latency = latencies();
    let mut placements: Vec<Placement> = Vec::with_capacity(trace.pods.len());
    let bar = progress(trace.pods.len() as u64, policy.name());
    for (row, pod) in trace.pods.iter().enumerate() {
        // A pod's name may come again, so it is the affinity key and not the id.
        let id = format!("row-{row}");
        let request = Request::new(id.as_bytes(), pod.whole_devices())
            .key(pod.name.as_bytes())
            .selector(selectors[pod.models]);
        let start = Instant::now();
        let result = engine.reserve(&request);
        latency.saturating_record(nanos(start.elapsed()));
        placements.push(match result {
            Ok(placed) => {
                Ok(Place { node: placed.worker.index as usize, devices: DeviceSet::NONE })
            }
            Err(ReserveError::Refused(refusal)) => Err(books::reason(&refusal)),
            Err(e) => return Err(Failure::Check(format!("{policy}: pod {}: {e}", pod.name))),
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let books = Books::new(trace, &placements, Gpu::Whole);
    let audit = audit_text(&engine.audit(), books.placed as usize);
    Ok(Replay {
        policy: policy.name(),
        knows_future: false,
        books,
        fragmentation: None,
        latency,
        audit: Some(audit),
    })
}

/// An engine with the trace's nodes as workers, in file order.
fn engine(trace: &Trace, policy: Policy) -> Result<Engine, Failure> {
    let default = Config::default();
    let engine = Engine::new(Config {
        // No more than there are: the first use of each page of a table is a page fault.
        max_workers: trace.nodes.len().max(1),
        max_reservations: trace.pods.len().max(1),
        max_selectors: (trace.model_sets.len() + 1).max(default.max_selectors),
        policy,
        // In the protocol a pod without GPUs may run on any node.
        gpu_separation: false,
        ..default
    })
    .map_err(|e| Failure::Unusable(format!("the trace is too large: {e}")))?;
    let specs = trace.nodes.iter().map(|node| {
        let spec = WorkerSpec::new(node.name.as_bytes(), node.total);
        if node.total.gpus == 0 {
            return spec;
        }
        spec.gpu_type(node.model.as_bytes()).label(MODEL, node.model.as_bytes())
    });
    register(&engine, specs).map_err(|(at, result)| {
        Failure::Check(format!("node {} was registered as {result:?}", trace.nodes[at].name))
    })?;
    Ok(engine)
}

/// A compiled selector for each set of allowed models.
fn selectors(trace: &Trace, engine: &Engine) -> Result<Vec<Selector>, Failure> {
    let selector = |models: &Vec<String>| {
        if models.is_empty() {
            return Ok(Selector::ANY);
        }
        let allowed = models.iter().map(|model| model.as_bytes());
        engine
            .selector(&Constraints::new().label_in(MODEL, allowed))
            .map_err(|e| Failure::Check(format!("models {}: {e}", models.join("|"))))
    };
    trace.model_sets.iter().map(selector).collect()
}
