//! A branch that is only supposed, beside an engine where it has been made.

use proptest::sample::Index;
use slotwise::{
    BatchMode, Engine, Foreseen, Policy, Reservation, ReserveError, Resources, SupposeError,
    Supposition, Ticket, WorkerRef, WorkerSpec,
};

use crate::common::small;
use crate::ops::{Ask, Spec, WORKERS};
use crate::world::World;

/// The policies that say exactly which worker.
pub const EXACT: [Policy; 3] = [Policy::FirstFit, Policy::TightestFit, Policy::Spread];

#[derive(Debug)]
pub struct Branch {
    pub credited: Vec<Index>,
    pub without: Vec<Index>,
    pub with: Vec<Spec>,
}

/// Where a request went or would go: on a registered worker or on one of those that were added; and
/// whether its id was held.
pub type Went = Result<(Result<WorkerRef, usize>, bool), ReserveError>;

/// Asks `world` for the branch, makes it in `twin`, which is equal, and returns what both say.
pub fn both(
    world: &World,
    twin: &World,
    branch: &Branch,
    asks: &[Ask],
    mode: BatchMode,
) -> Option<(Vec<Went>, Vec<Went>)> {
    // Places of workers that have left are taken, so that those that are added come last.
    for engine in [&world.engine, &twin.engine] {
        for k in 0..WORKERS.len() {
            let filler = WorkerSpec::new(format!("filler {k}"), Resources::ZERO);
            engine.add_worker(filler.pool("filler").requires_selector(true)).unwrap();
        }
    }
    let specs: Vec<WorkerSpec> = branch.with.iter().map(Spec::build).collect();
    let credited = |world: &World| -> Vec<Ticket> {
        let all = &world.tickets;
        branch.credited.iter().filter(|_| !all.is_empty()).map(|at| *at.get(all)).collect()
    };
    let workers = world.engine.workers();
    let without: Vec<WorkerRef> = branch.without.iter().map(|at| at.get(&workers).worker).collect();
    let supposing = Supposition { credited: &credited(world), without: &without, with: &specs };

    let now = (workers.clone(), world.engine.stats(), world.engine.audit());
    let (done, foreseen) = world.dry_run_with(asks, &supposing, mode);
    assert_eq!((world.engine.workers(), world.engine.stats(), world.engine.audit()), now);

    // One that could not be registered is refused for the reason that registering it would have.
    let scratch = Engine::new(small()).unwrap();
    let added = scratch.add_workers(specs.iter().cloned());
    if let Some((index, Err(error))) = (0..).zip(added).find(|(_, added)| added.is_err()) {
        assert_eq!(done, Err(SupposeError::Worker { index, error }));
        assert_eq!(foreseen, []);
        return None;
    }
    assert_eq!(done, Ok(()));

    let e = &twin.engine;
    e.release_batch(&credited(twin), &mut vec![]);
    let added: Vec<WorkerRef> =
        specs.iter().map(|spec| e.add_worker(spec.clone()).unwrap()).collect();
    for worker in &without {
        let there = workers.iter().find(|info| info.worker == *worker).expect("chosen among them");
        let _ = e.remove_worker(&there.id);
    }
    let (placed, _) = twin.engine_batch(None, asks, mode);
    let place = |worker: WorkerRef| match added.iter().position(|other| *other == worker) {
        Some(index) => Err(index),
        None => Ok(worker),
    };
    let foreseen_at = |f: Foreseen| {
        let at = f.added.map_or(Ok(f.worker), |index| Err(index as usize));
        assert_eq!(f.worker.index == u32::MAX, f.added.is_some());
        // What its id holds is on a worker that is there.
        (at, f.existing.is_some())
    };
    let placed_at = |r: Reservation| (place(r.worker), r.existing);
    Some((
        foreseen.into_iter().map(|result| result.map(foreseen_at)).collect(),
        placed.into_iter().map(|result| result.map(placed_at)).collect(),
    ))
}
