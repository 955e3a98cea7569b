//! An explanation, read off the list of all workers.

use slotwise::{
    Dimension, Explanation, Free, Mismatch, Reason, Reasons, ReserveError, Resources, WorkerInfo,
};

use crate::ops::Ask;

type Answer = Result<Explanation, ReserveError>;

/// Compares an explanation with what the workers, as they are, make of the request.
pub fn check(ask: &Ask, workers: &[WorkerInfo], explained: &Answer, brief: Answer) {
    let Ok(explained) = explained else { return assert_eq!(*explained, brief) };
    let brief = brief.expect("the same request");
    assert_eq!(brief, Explanation { workers: vec![], ..explained.clone() });

    let expected: Vec<_> = workers.iter().map(|info| reason(ask, info)).collect();
    assert_eq!(explained.workers.len(), workers.len());
    for ((one, info), expected) in explained.workers.iter().zip(workers).zip(&expected) {
        assert_eq!((one.worker, one.version, one.reason), (info.worker, info.version, *expected));
    }

    let count = |is: &dyn Fn(&Reason) -> bool| expected.iter().filter(|r| is(r)).count() as u32;
    for rule in Mismatch::ALL {
        assert_eq!(explained.mismatches.by(rule), count(&|r| *r == Reason::Mismatch(rule)));
    }
    let short_of = |d: Dimension| {
        let short = |(r, info): (&Reason, &WorkerInfo)| {
            matches!(r, Reason::Short { .. } | Reason::TooSmall { .. })
                && info.free.first_short(&ask.need()) == Some(d)
        };
        expected.iter().zip(workers).filter(|&pair| short(pair)).count() as u32
    };
    assert_eq!(
        explained.reasons,
        Reasons {
            not_matching: count(&|r| matches!(r, Reason::Mismatch(_))),
            not_ready: count(&|r| matches!(r, Reason::State(_))),
            cpu: short_of(Dimension::Cpu),
            memory: short_of(Dimension::Memory),
            gpus: short_of(Dimension::Gpus),
            spread: count(&|r| *r == Reason::Spread),
        }
    );
    assert_eq!(explained.mismatches.total(), explained.reasons.not_matching);
    assert_eq!(explained.fitting, count(&|r| *r == Reason::Fits));
    if let Ok(found) = explained.answer
        && found.existing.is_none()
    {
        let at = explained.workers.iter().find(|one| one.worker == found.worker);
        let at = at.expect("a registered worker");
        assert_eq!((at.reason, at.version), (Reason::Fits, found.version));
    }

    let misses = expected.iter().zip(workers).filter_map(|(reason, info)| match reason {
        Reason::Short { missing } => Some((share(missing, info), info, *missing)),
        _ => None,
    });
    let nearest = misses.min_by_key(|(share, info, _)| (*share, info.worker.index));
    let nearest = nearest.map(|(_, info, missing)| (info.worker, info.version, missing));
    let told = explained.nearest.map(|miss| (miss.worker, miss.version, miss.missing));
    assert_eq!(told, nearest);
}

fn capacity(info: &WorkerInfo) -> Resources {
    Resources {
        cpu: info.total.cpu - info.set_aside.cpu,
        memory: info.total.memory - info.set_aside.memory,
        gpus: info.total.gpus - info.set_aside.gpus,
    }
}

fn reason(ask: &Ask, info: &WorkerInfo) -> Reason {
    let (need, empty) = (ask.need(), Free::from(capacity(info)));
    let lack = |of: &Free| {
        let lack = |d: Dimension| (need.get(d) as i64 - of.get(d)).max(0) as u64;
        let [cpu, memory, gpus] = Dimension::ALL.map(|d| if need.get(d) > 0 { lack(d) } else { 0 });
        Resources { cpu, memory, gpus }
    };
    match ask.place(info, false) {
        Err(rule) => Reason::Mismatch(rule),
        Ok(_) if !info.state.takes(ask.ahead) => Reason::State(info.state),
        Ok(_) if info.free.fits(&need) => Reason::Fits,
        Ok(_) if empty.fits(&need) => Reason::Short { missing: lack(&info.free) },
        Ok(_) => Reason::TooSmall { missing: lack(&empty) },
    }
}

/// In units of 2^-40 of the worker.
fn share(missing: &Resources, info: &WorkerInfo) -> u128 {
    let all = capacity(info);
    let share = |d: Dimension| match all.get(d) {
        0 => 0,
        n => missing.get(d) as u128 * ((1u128 << 40) / n as u128),
    };
    Dimension::ALL.into_iter().map(share).sum()
}
