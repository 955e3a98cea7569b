//! What would become of requests for devices, without making them.

use super::*;
use slotwise::{Foreseen, Supposition, WorkerRef};

const MODES: [BatchMode; 2] = [BatchMode::Independent, BatchMode::AllOrNothing];

fn dry_run(
    engine: &Engine,
    requests: &[Request<'_>],
    supposing: &Supposition<'_>,
    mode: BatchMode,
) -> Vec<Result<Foreseen, ReserveError>> {
    let mut results = Vec::new();
    engine.dry_run_with(requests, supposing, mode, &mut results).unwrap();
    results
}

/// Its id, whether it is there or supposed to be, as one of these.
fn at(engine: &Engine, added: [&str; 3], found: &Foreseen) -> String {
    match found.added {
        Some(index) => added[index as usize].to_string(),
        None => id_of(engine, found.worker),
    }
}

fn id_of(engine: &Engine, worker: WorkerRef) -> String {
    let found = engine.workers().into_iter().find(|info| info.worker == worker);
    String::from_utf8(found.expect("registered").id.to_vec()).unwrap()
}

#[test]
fn what_is_credited_counts_as_free() {
    let engine = engine([node("n", 2)]);
    let held = [(); 2].map(|()| reserve(&engine, DeviceNeed::part(700).memory(50_000)).unwrap());
    let terms = Terms::new().devices(DeviceNeed::whole(1).memory(81_920));
    let request = Request::anonymous(NEED).terms(&terms);
    let credit = |tickets: &[Ticket]| {
        let supposing = Supposition { credited: tickets, ..Supposition::default() };
        let found = dry_run(&engine, &[request, request], &supposing, BatchMode::Independent);
        assert_eq!(engine.replicas(&request, 9, &supposing).unwrap() as usize, tickets.len());
        [0, 1].map(|k| found[k].map(|found| found.version).map_err(|error| error.verdict()))
    };
    assert_eq!(credit(&[]), [Err(Some(Verdict::Busy)); 2]);
    assert_eq!(credit(&[held[1].ticket]), [Ok(2), Err(Some(Verdict::Busy))]);
    assert_eq!(credit(&[held[0].ticket, held[1].ticket]), [Ok(2); 2]);
    // Nothing has changed, and none of it was held.
    assert_eq!(free(&engine, "n"), [(300, 31_920); 2]);
    assert_eq!(
        (engine.reservation_count(), engine.snapshot(held[0].worker).unwrap().version),
        (2, 2)
    );
    assert!(engine.audit().is_ok());
}

#[test]
fn quotas_are_foreseen_by_devices() {
    let engine = engine([node("n", 4)]);
    let account = engine.account("acme").unwrap();
    engine.set_quota(account, Quota { gpus: Some(2), ..Quota::default() }).unwrap();
    let terms = Terms::new().devices(DeviceNeed::part(100)).account(account);
    let request = Request::anonymous(NEED).terms(&terms);
    assert_eq!(engine.replicas(&request, 9, &Supposition::default()), Ok(2));
    let held = engine.reserve(&request).unwrap();
    assert_eq!(engine.replicas(&request, 9, &Supposition::default()), Ok(1));
    let credited = &[held.ticket][..];
    let supposing = Supposition { credited, ..Supposition::default() };
    assert_eq!(engine.replicas(&request, 9, &supposing), Ok(2));
}

/// A dry run, then the same in earnest: reservations given back, workers removed and registered.
#[test]
fn a_dry_run_is_the_batch() {
    let mut random = random();
    let counted = |id: &str| WorkerSpec::new(id, ROOM.gpus(4)).gpu_type("H100");
    // Where a hash leads among added workers is not foreseen.
    let by_score = [Policy::FirstFit, Policy::TightestFit, Policy::Spread];
    let (mut placed, mut refused, mut on_added) = (0, 0, 0);
    for round in 0..300 {
        let engine = engine([node("a", 1), counted("b"), node("c", 4), node("d", 2)]);
        let mut held: Vec<Ticket> = Vec::new();
        for _ in 0..random(8) {
            let drawn = draw(&mut random, &UNLEARNED);
            let terms = terms_of(&drawn);
            let requests = requests_of(&drawn, &terms);
            let made = requests.iter().filter_map(|request| engine.reserve(request).ok());
            held.extend(made.map(|made| made.ticket));
        }
        let credited: Vec<Ticket> = held.into_iter().filter(|_| random(3) == 0).collect();
        let branch = round % 2 == 1;
        let with = [node("x", 2), counted("y"), node("z", 3)];
        let with = if branch { &with[..random(4) as usize] } else { &[] };
        let gone = branch && random(2) == 0;
        let without: Vec<WorkerRef> =
            gone.then(|| engine.find_worker(b"c")).flatten().into_iter().collect();
        let drawn = draw(&mut random, if branch { &by_score } else { &UNLEARNED });
        let terms = terms_of(&drawn);
        let requests = requests_of(&drawn, &terms);
        let mode = MODES[random(2) as usize];
        let supposing = Supposition { credited: &credited, without: &without, with };

        let foreseen = dry_run(&engine, &requests, &supposing, mode);
        let copies = engine.replicas(&requests[0], 9, &supposing).unwrap();
        let foreseen: Vec<_> = foreseen
            .iter()
            .map(|one| one.map(|found| at(&engine, ["x", "y", "z"], &found)))
            .collect();
        assert!(engine.audit().is_ok());

        for &ticket in &credited {
            engine.release(ticket).unwrap();
        }
        for spec in with {
            engine.add_worker(spec.clone()).unwrap();
        }
        // Last, so that they do not take its place.
        if gone {
            engine.remove_worker(b"c").unwrap();
        }
        let mut made = Vec::new();
        engine.reserve_batch(&requests, mode, &mut made);
        let came: Vec<_> =
            made.iter().map(|one| one.map(|made| id_of(&engine, made.worker))).collect();
        assert_eq!(foreseen, came, "{requests:?}");
        placed += came.iter().flatten().count();
        refused += came.iter().filter(|one| one.is_err()).count();
        on_added += came.iter().flatten().filter(|id| id.as_str() >= "x").count();

        for made in made.iter().flatten() {
            engine.release(made.ticket).unwrap();
        }
        let one_by_one = (0..9).take_while(|_| engine.reserve(&requests[0]).is_ok()).count();
        assert_eq!(copies as usize, one_by_one);
    }
    assert!(placed > 300 && refused > 100 && on_added > 20, "{placed} {refused} {on_added}");
}
