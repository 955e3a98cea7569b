//! Why requests for devices are refused, and what is missing.

use super::*;
use slotwise::{Explained, Explanation, NearMiss, Reason};

fn explain(engine: &Engine, need: DeviceNeed) -> Explanation {
    engine.explain(&Request::anonymous(NEED).terms(&Terms::new().devices(need)), true).unwrap()
}

fn missing(near: Option<NearMiss>) -> (u32, Resources) {
    let near = near.expect("there is one");
    (near.worker.index, near.missing)
}

const NONE: Resources = Resources::ZERO;

#[test]
fn what_is_missing_is_told_in_devices() {
    let counted = WorkerSpec::new("counted", ROOM.gpus(8)).gpu_type("H100");
    let engine = engine([node("two", 2), node("four", 4), counted]);
    let there = ["two", "four"].map(|id| engine.find_worker(id.as_bytes()).unwrap());
    let on = |worker, need| {
        let terms = Terms::new().devices(need);
        engine.reserve_on(there[worker], &Request::anonymous(NEED).terms(&terms), None).unwrap()
    };
    // Of two: 300 and 1,000 thousandths; of four: 400, 0, 0 and 0.
    let part = on(0, DeviceNeed::part(700).memory(50_000));
    on(1, DeviceNeed::part(600));
    on(1, DeviceNeed::whole(3));

    let fits = explain(&engine, DeviceNeed::part(400));
    assert_eq!(fits.answer.unwrap().worker, there[0]);
    assert_eq!((fits.fitting, fits.mismatches.by(Mismatch::Devices)), (2, 1));
    assert_eq!(fits.nearest, None);

    let pair = explain(&engine, DeviceNeed::whole(2));
    let refusal = pair.answer.unwrap_err();
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Busy, Some(Dimension::Gpus)));
    assert_eq!((pair.reasons.gpus, pair.reasons.not_matching), (2, 1));
    let short = |gpus| Reason::Short { missing: NONE.gpus(gpus) };
    let reasons = |why: &Explanation| why.workers.iter().map(|one| one.reason).collect::<Vec<_>>();
    let mismatch = Reason::Mismatch(Mismatch::Devices);
    assert_eq!(reasons(&pair), [short(1), short(2), mismatch]);
    // Half of what there is on either; of equals the first.
    assert_eq!(missing(pair.nearest), (0, NONE.gpus(1)));

    let three = explain(&engine, DeviceNeed::whole(3));
    let small = |gpus| Reason::TooSmall { missing: NONE.gpus(gpus) };
    assert_eq!(reasons(&three), [small(1), short(3), mismatch]);
    assert_eq!(missing(three.nearest), (1, NONE.gpus(3)));

    // On one island: of two, each is on its own.
    let near = explain(&engine, DeviceNeed::whole(2).island(Island::Insist));
    assert_eq!(reasons(&near), [small(1), short(2), mismatch]);

    // Thousandths enough, memory not; and more than any has.
    on(0, DeviceNeed::whole(1));
    let memory = explain(&engine, DeviceNeed::part(300).memory(50_000));
    assert_eq!(reasons(&memory), [short(1), Reason::Fits, mismatch]);
    let never = explain(&engine, DeviceNeed::part(300).memory(81_921));
    let refusal = never.answer.unwrap_err();
    assert_eq!((refusal.verdict, refusal.blocking), (Verdict::Never, Some(Dimension::Gpus)));
    assert_eq!(reasons(&never), [small(1), small(1), mismatch]);
    assert_eq!(never.nearest, None);

    // CPU is missing beside them.
    let terms = Terms::new().devices(DeviceNeed::whole(2));
    let large = Request::anonymous(Resources::new(63_000, 1)).terms(&terms);
    let large = engine.explain(&large, false).unwrap();
    assert_eq!(missing(large.nearest), (1, Resources::new(1_000, 0).gpus(2)));
    assert_eq!(large.reasons.cpu, 2);

    // An id that is held is answered with what it holds; an account without room is an error.
    let account = engine.account("acme").unwrap();
    engine.set_quota(account, Quota { gpus: Some(0), ..Quota::default() }).unwrap();
    let terms = Terms::new().devices(DeviceNeed::part(1)).account(account);
    let over = engine.explain(&Request::anonymous(NEED).terms(&terms), false).unwrap_err();
    assert!(matches!(over, ReserveError::QuotaExceeded { dimension: Dimension::Gpus, .. }));
    engine.release(part.ticket).unwrap();
    assert!(engine.audit().is_ok());
}

/// Against `reserve`, `reserve_on` and a count of what each device has free.
#[test]
fn an_explanation_is_what_reserving_says() {
    let mut random = random();
    let counted = |id: &str| WorkerSpec::new(id, ROOM.gpus(4)).gpu_type("H100");
    let (mut fits, mut short, mut small) = (0, 0, 0);
    for _ in 0..60 {
        let engine = engine([node("a", 1), counted("b"), node("c", 4), node("d", 2), node("e", 8)]);
        for _ in 0..random(12) {
            let drawn = draw(&mut random, &UNLEARNED);
            let terms = terms_of(&drawn);
            for request in requests_of(&drawn, &terms) {
                let _ = engine.reserve(&request);
            }
        }
        let drawn = draw(&mut random, &UNLEARNED);
        let terms = terms_of(&drawn);
        for (request, (need, ..)) in requests_of(&drawn, &terms).iter().zip(&drawn) {
            let why = engine.explain(request, true).unwrap();
            let naive: Vec<Explained> = why.workers.clone();
            for one in &naive {
                assert_eq!(engine.snapshot(one.worker).unwrap().version, one.version);
                let Some(need) = need else { continue };
                let info =
                    engine.workers().into_iter().find(|info| info.worker == one.worker).unwrap();
                // How many more devices it takes, with these free.
                let missing = |free: &dyn Fn(usize) -> (u64, u64)| {
                    let fitting = |island: Option<bool>| {
                        let count = info.devices.len();
                        let fit = |&i: &usize| {
                            let (milli, memory) = free(i);
                            let near = island.is_none_or(|island| (2 * i >= count) == island);
                            near && milli >= need.milli.into() && memory >= need.memory
                        };
                        (0..count).filter(fit).count() as u64
                    };
                    let most = match need.island {
                        Island::Insist if need.count > 1 => [false, true]
                            .map(|island| fitting(Some(island)))
                            .into_iter()
                            .max()
                            .unwrap(),
                        _ => fitting(None),
                    };
                    u64::from(need.count).saturating_sub(most)
                };
                let now =
                    missing(&|i| (info.devices[i].free_milli.into(), info.devices[i].free_memory));
                let ever = missing(&|_| (1_000, 81_920));
                match one.reason {
                    Reason::Fits => assert_eq!((now, ever), (0, 0)),
                    Reason::Short { missing } => assert_eq!((now, 0), (missing.gpus, ever)),
                    Reason::TooSmall { missing } => assert_eq!(ever, missing.gpus),
                    Reason::Mismatch(rule) => {
                        assert_eq!((rule, info.devices.len()), (Mismatch::Devices, 0))
                    }
                    other => panic!("{other:?}"),
                }
                fits += (one.reason == Reason::Fits) as u32;
                short += matches!(one.reason, Reason::Short { .. }) as u32;
                small += matches!(one.reason, Reason::TooSmall { .. }) as u32;
            }
            match engine.reserve(request) {
                Ok(made) => {
                    let foreseen = why.answer.unwrap();
                    assert_eq!(
                        (foreseen.worker, foreseen.version + 1),
                        (made.worker, made.version)
                    );
                    engine.release(made.ticket).unwrap();
                }
                Err(ReserveError::Refused(refusal)) => {
                    assert_eq!(why.answer, Err(refusal));
                    assert_eq!(why.reasons, refusal.reasons);
                }
                Err(error) => panic!("{error}"),
            }
            for one in &naive {
                let made = engine.reserve_on(one.worker, request, None);
                assert_eq!(made.is_ok(), one.reason == Reason::Fits);
                if let Ok(made) = made {
                    engine.release(made.ticket).unwrap();
                }
            }
        }
    }
    assert!(fits > 50 && short > 50 && small > 20, "{fits} {short} {small}");
}
