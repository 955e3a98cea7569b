//! What was refused of requests for devices, and how many workers would serve it.

use super::*;
use slotwise::{Demand, Selector};

/// Requests, joining, packed, workers, unservable of the one selector that there is demand for.
fn only(demand: &[Demand]) -> [u32; 5] {
    let [d] = demand else { panic!("one selector, not {demand:?}") };
    [d.requests, d.joining, d.packed, d.workers, d.unservable]
}

fn refuse(engine: &Engine, id: &str, need: DeviceNeed, selector: Selector) {
    let terms = Terms::new().devices(need);
    let request = Request::new(id.as_bytes(), NEED).terms(&terms).selector(selector);
    assert!(engine.reserve(&request).unwrap_err().verdict().is_some());
}

#[test]
fn a_burst_starts_as_many_workers_as_its_devices_need() {
    let engine = engine([WorkerSpec::new("none", ROOM.gpus(8))]);
    let h100 = engine.selector(&Constraints::new().gpu_type("H100")).unwrap();
    // Five of 600 take a device each, the others stand beside them.
    let needs = [600, 600, 600, 600, 600, 400, 400, 400, 400, 300].map(DeviceNeed::part);
    for _ in 0..2 {
        for (k, need) in needs.iter().enumerate() {
            refuse(&engine, &k.to_string(), *need, h100);
        }
    }
    let ask = || engine.unmet_demand(&node("", 2), 0).unwrap();
    assert_eq!(only(&ask()), [10, 0, 10, 3, 0]);
    // By the selector that they were asked with, a device each.
    assert_eq!((ask()[0].selector, ask()[0].need), (h100, Resources::new(10_000, 10_240).gpus(10)));
    // A worker without devices serves none of them, one with less memory those that need no more.
    let without = WorkerSpec::new("", ROOM.gpus(8)).gpu_type("H100");
    assert_eq!(only(&engine.unmet_demand(&without, 0).unwrap()), [10, 0, 0, 0, 10]);
    refuse(&engine, "large", DeviceNeed::part(1).memory(81_921), h100);
    refuse(&engine, "apart", DeviceNeed::whole(2).island(Island::Insist), h100);
    assert_eq!(only(&ask()), [12, 0, 10, 3, 2]);
    assert_eq!(only(&engine.unmet_demand(&node("", 4), 0).unwrap()), [12, 0, 11, 2, 1]);
    assert!(engine.forget_unmet(b"large") && engine.forget_unmet(b"apart"));

    engine.add_worker(node("first", 2).pending(true)).unwrap();
    assert_eq!(only(&ask()), [10, 4, 6, 2, 0]);
    engine.ready(b"first").unwrap();
    let terms = Terms::new().devices(DeviceNeed::part(600));
    engine.reserve(&Request::new(b"0", NEED).terms(&terms)).unwrap();
    assert_eq!(only(&ask())[0], 9);
}

/// As many as it says are started; then all of them join.
#[test]
fn as_many_workers_as_it_takes() {
    let mut random = random();
    let mut parts = 0;
    for _ in 0..60 {
        let engine = engine([node("full", 1)]);
        reserve(&engine, DeviceNeed::whole(1)).unwrap();
        let mut names = 0;
        for _ in 0..random(8) {
            for (need, ..) in draw(&mut random, &Policy::ALL) {
                let Some(need) = need else { continue };
                refuse(&engine, &names.to_string(), need, Selector::ANY);
                names += 1;
            }
        }
        let shape = |id: String| node(&id, 4);
        let demand = engine.unmet_demand(&shape(String::new()), 0).unwrap();
        let sum = |demand: &[Demand], of: fn(&Demand) -> u32| demand.iter().map(of).sum::<u32>();
        let [packed, workers] =
            [|d: &Demand| d.packed, |d: &Demand| d.workers].map(|of| sum(&demand, of));
        assert_eq!(sum(&demand, |d| d.requests), names);
        assert!(workers <= packed);
        let gone = sum(&demand, |d| d.unservable);
        assert_eq!((gone + packed, sum(&demand, |d| d.joining)), (names, 0));
        for k in 0..workers {
            engine.add_worker(shape(format!("new {k}")).pending(k % 2 == 0)).unwrap();
        }
        let demand = engine.unmet_demand(&shape(String::new()), 0).unwrap();
        assert_eq!((sum(&demand, |d| d.joining), sum(&demand, |d| d.unservable)), (packed, gone));
        parts += packed;
    }
    assert!(parts > 200, "{parts}");
}
