//! Rules 1 to 4: which workers a request may use, and in what order.

use std::collections::{BTreeMap, BTreeSet};

use slotwise::{Config, Constraints, Policy, Request, Verdict, WorkerSpec, WorkerUpdate};

use crate::common::*;

/// Where requests for one whole worker each land, one after the other until no more is to be had.
fn fill(e: &Audited, constraints: &Constraints, policy: Policy) -> Vec<String> {
    let request = Request::anonymous(r(1000, 1000)).constraints(constraints).policy(policy);
    let held: Vec<_> = std::iter::from_fn(|| e.reserve(&request).ok()).collect();
    for placed in &held {
        e.release(placed.ticket).unwrap();
    }
    held.iter().map(|placed| e.place(placed)).collect()
}

/// Asserts that requests of this kind can land on exactly these workers.
#[track_caller]
fn serve(e: &Audited, constraints: &Constraints, expected: &[&str]) {
    let expected = BTreeSet::from_iter(expected.iter().map(|id| id.to_string()));
    for policy in Policy::ALL {
        let used = BTreeSet::from_iter(fill(e, constraints, policy));
        assert_eq!(used, expected, "{policy}, {constraints:?}");
    }
}

fn any() -> Constraints {
    Constraints::new()
}

fn plain(id: &str) -> WorkerSpec {
    w(id, 1000, 1000)
}

#[test]
fn rule_01_pinned_request_sees_that_worker_alone_and_skips_the_pool_rule() {
    let e = engine([plain("a"), plain("b").pool("p").requires_selector(true)]);
    let request = Request::new(b"1", r(600, 600));
    let b = e.see("b").worker;
    assert_eq!(e.reserve_on(b, &request, None).unwrap().worker, b);
    // Full: the other worker is not in question.
    let second = Request::new(b"2", r(600, 600));
    assert_eq!(refused(e.reserve_on(b, &second, None)), Verdict::Busy);
    let larger = Request::new(b"3", r(1001, 600));
    assert_eq!(refused(e.reserve_on(b, &larger, None)), Verdict::Never);
    assert_eq!(e.see("a").version, 0);
}

#[test]
fn rule_01_pinned_machine_skips_the_pool_rule() {
    let e = engine([
        plain("a").machine("m"),
        plain("b").machine("m").pool("p").requires_selector(true),
        plain("c").machine("n"),
        plain("d"),
    ]);
    serve(&e, &any().machine("m"), &["a", "b"]);
    serve(&e, &any().machine("n"), &["c"]);
    serve(&e, &any().machine("nobody's"), &[]);
    // Moving to another machine shows at once.
    e.update_worker(b"d", WorkerUpdate::new().machine(Some("n".into()))).unwrap();
    serve(&e, &any().machine("n"), &["c", "d"]);
}

#[test]
fn rule_01_tenant_scope() {
    let e = engine([plain("shared"), plain("red").tenant("red"), plain("blue").tenant("blue")]);
    serve(&e, &any(), &["shared"]);
    serve(&e, &any().tenant("red"), &["red", "shared"]);
    serve(&e, &any().tenant("green"), &["shared"]);
    e.update_worker(b"blue", WorkerUpdate::new().tenant(None)).unwrap();
    serve(&e, &any(), &["blue", "shared"]);
}

#[test]
fn rule_01_pool() {
    let e = engine([
        plain("open"),
        plain("p open").pool("p"),
        plain("p closed").pool("p").requires_selector(true),
        plain("q closed").pool("q").requires_selector(true),
        plain("closed without a pool").requires_selector(true),
    ]);
    serve(&e, &any(), &["open", "p open"]);
    serve(&e, &any().pool("p"), &["p open", "p closed"]);
    serve(&e, &any().pool("q"), &["q closed"]);
    serve(&e, &any().pool("q").pool("p"), &["p open", "p closed", "q closed"]);
}

#[test]
fn rule_01_labels() {
    let e = engine([
        plain("none"),
        plain("east").label("zone", "east").label("disk", "ssd"),
        plain("west").label("zone", "west").label("disk", "ssd"),
        plain("north").label("zone", "north"),
    ]);
    serve(&e, &any().label("zone", "east"), &["east"]);
    serve(&e, &any().label_in("zone", ["east", "north"]), &["east", "north"]);
    serve(&e, &any().label("disk", "ssd"), &["east", "west"]);
    serve(&e, &any().label_in("zone", ["west", "north"]).label("disk", "ssd"), &["west"]);
    serve(&e, &any().label("zone", "ssd"), &[]);
    e.update_worker(b"none", WorkerUpdate::new().labels([("zone", "east")])).unwrap();
    serve(&e, &any().label("zone", "east"), &["east", "none"]);
}

#[test]
fn rule_01_nearly_unique_label() {
    let e = engine((0..100).map(|k| plain(&format!("w{k}")).label("host", format!("host-{k}"))));
    for k in [0, 37, 99] {
        serve(&e, &any().label("host", format!("host-{k}")), &[&format!("w{k}")]);
    }
    let host = any().label_in("host", ["host-3", "host-99", "host-100"]);
    serve(&e, &host, &["w3", "w99"]);
    e.remove_worker(b"w3").unwrap();
    serve(&e, &host, &["w99"]);
}

#[test]
fn rule_01_resources_in_every_dimension() {
    let e = engine([
        gpu("no cpu", 99, 1000, "T4", 4),
        gpu("no memory", 1000, 99, "T4", 4),
        gpu("no gpu", 1000, 1000, "T4", 1),
    ]);
    let request = Request::new(b"1", r(100, 100).gpus(2));
    assert_eq!(refused(e.reserve(&request)), Verdict::Never);
    e.add_worker(gpu("just enough", 100, 100, "T4", 2)).unwrap();
    assert_eq!(e.lands(&request).unwrap(), "just enough");
    assert_eq!(refused(e.reserve(&Request::new(b"2", request.need))), Verdict::Busy);
}

#[test]
fn rule_01_gpu_separation_unless_configured_otherwise() {
    let workers = || [gpu("gpu", 1000, 1000, "T4", 1), w("cpu", 100, 100)];
    let (plain, with_gpu) = (Request::new(b"1", r(500, 500)), r(50, 50).gpus(1));

    let apart = engine(workers());
    assert_eq!(refused(apart.reserve(&plain)), Verdict::Never);
    assert_eq!(apart.lands(&Request::new(b"2", with_gpu)).unwrap(), "gpu");
    assert_eq!(refused(apart.reserve(&Request::new(b"3", with_gpu))), Verdict::Busy);

    let mixed = Audited::new(Config { gpu_separation: false, ..small() }, workers());
    assert_eq!(mixed.lands(&plain).unwrap(), "gpu");
    assert_eq!(mixed.lands(&Request::new(b"2", with_gpu)).unwrap(), "gpu");
}

#[test]
fn rule_01_preemptable_only_for_those_who_accept() {
    let e = engine([plain("spot").preemptable(true), plain("kept")]);
    serve(&e, &any(), &["kept"]);
    serve(&e, &any().accept_preemptable(true), &["kept", "spot"]);
    e.update_worker(b"spot", WorkerUpdate::new().preemptable(false)).unwrap();
    serve(&e, &any(), &["kept", "spot"]);
}

#[test]
fn rule_01_state() {
    let states = ["ready", "pending", "cordoned", "draining"];
    let e = engine(states.map(|id| plain(id).pending(id == "pending")));
    e.cordon(b"cordoned").unwrap();
    e.drain(b"draining").unwrap();
    serve(&e, &any(), &["ready"]);
    let ahead = |id| Request::new(id, r(1000, 1000)).ahead(true);
    let used = BTreeSet::from([&b"1"[..], b"2"].map(|id| e.lands(&ahead(id)).unwrap()));
    assert_eq!(used, BTreeSet::from(["pending", "ready"].map(String::from)));
    assert_eq!(refused(e.reserve(&ahead(b"3"))), Verdict::Busy);
}

#[test]
fn rule_02_types_are_a_preference_not_a_filter_among_the_listed() {
    let kinds = ["T4", "A10G", "H100", "A6000"];
    let e = engine(kinds.map(|kind| gpu(kind, 1000, 1000, kind, 1)));
    let list = any().gpu_type("A6000").gpu_type("T4").gpu_type("A10G");
    let need = r(100, 100).gpus(1);
    let order: Vec<String> =
        std::iter::from_fn(|| e.lands(&Request::anonymous(need).constraints(&list)).ok()).collect();
    assert_eq!(order, ["A6000", "T4", "A10G"]);
    // Any type at all serves a request that lists none.
    assert_eq!(e.lands(&Request::anonymous(need)).unwrap(), "H100");
}

#[test]
fn rule_02_count_of_none_means_one() {
    let e = engine([gpu("a", 1000, 1000, "T4", 2)]);
    let t4 = any().gpu_type("T4");
    let placed = e.reserve(&Request::new(b"1", r(100, 100)).constraints(&t4)).unwrap();
    assert_eq!(e.see("a").free, free(900, 900, 1));
    assert_eq!(e.release(placed.ticket).unwrap().amount, r(100, 100).gpus(1));
}

#[test]
fn rule_03_tier_before_priority() {
    let e = engine([
        plain("fallback, high").tier(1).priority(100),
        plain("native, low").priority(-100),
        plain("last resort").tier(255).priority(i32::MAX),
        plain("native, high").priority(7),
    ]);
    for policy in Policy::ALL {
        let expected = ["native, high", "native, low", "fallback, high", "last resort"];
        assert_eq!(fill(&e, &any(), policy), expected, "{policy}");
    }
}

#[test]
fn rule_03_priority_less_rank_of_the_gpu_type() {
    let whole = |id: &str, kind: &str, priority| gpu(id, 1000, 1000, kind, 1).priority(priority);
    let e = engine([
        whole("second type, 5", "T4", 5),
        whole("first type, 3", "A10G", 3),
        whole("third type, 9", "A6000", 9),
        whole("first type, i32::MIN", "A10G", i32::MIN),
    ]);
    let list = any().gpu_type("A10G").gpu_type("T4").gpu_type("A6000");
    for policy in Policy::ALL {
        // 9 - 2, 5 - 1, 3 - 0.
        let expected = ["third type, 9", "second type, 5", "first type, 3", "first type, i32::MIN"];
        assert_eq!(fill(&e, &list, policy), expected, "{policy}");
    }
}

#[test]
fn rule_03_pools_in_the_order_in_which_they_are_named() {
    let e = engine([
        plain("p").pool("p").priority(9),
        plain("q").pool("q"),
        plain("q, fallback").pool("q").tier(1),
    ]);
    for policy in Policy::ALL {
        let named = any().pool("q").pool("p");
        assert_eq!(fill(&e, &named, policy), ["q", "p", "q, fallback"], "{policy}");
    }
}

#[test]
fn rule_03_equal_candidates_are_told_apart_by_index() {
    for policy in [Policy::FirstFit, Policy::TightestFit, Policy::Spread] {
        let e = engine((0..40).map(|k| plain(&format!("w{k:02}"))));
        let by_index: Vec<String> = e.workers().iter().map(|info| info.id.to_string()).collect();
        assert_eq!(fill(&e, &any(), policy), by_index, "{policy}");
    }
}

#[test]
fn rule_03_policy_decides_among_equals() {
    let e = engine([plain("first"), w("tight", 700, 700), w("roomy", 4000, 4000)]);
    let request = Request::new(b"1", r(500, 500));
    let by = |policy| e.would_land(&request.policy(policy)).unwrap();
    assert_eq!(by(Policy::FirstFit), "first");
    assert_eq!(by(Policy::TightestFit), "tight");
    assert_eq!(by(Policy::Spread), "roomy");
}

/// Where each of a thousand keys lands in an empty engine.
fn homes(e: &Audited) -> BTreeMap<u32, String> {
    (0..1000u32)
        .map(|key| {
            let name = key.to_be_bytes();
            (key, e.would_land(&Request::anonymous(r(1, 1)).key(&name)).unwrap())
        })
        .collect()
}

#[test]
fn rule_04_key_keeps_its_worker_while_there_is_room() {
    let e = engine((0..20).map(|k| plain(&format!("w{k}"))));
    let request = Request::anonymous(r(250, 250)).key(b"image");
    let held: Vec<_> = (0..8).map(|_| e.reserve(&request).unwrap()).collect();
    let (home, next) = (held[0].worker, held[4].worker);
    assert!(held[..4].iter().all(|placed| placed.worker == home), "{held:?}");
    assert!(held[4..].iter().all(|placed| placed.worker == next && next != home), "{held:?}");
    e.release(held[2].ticket).unwrap();
    assert_eq!(e.reserve(&request).unwrap().worker, home);
}

#[test]
fn rule_04_key_is_the_id_unless_one_is_given() {
    let e = engine((0..20).map(|k| plain(&format!("w{k}"))));
    let land = |request: Request<'_>| e.would_land(&request).unwrap();
    let mut by_id = BTreeSet::new();
    for key in 0..50u32 {
        let name = key.to_be_bytes();
        let home = land(Request::new(&name, r(1, 1)));
        assert_eq!(land(Request::anonymous(r(1, 1)).key(&name)), home);
        let hash = seahash::hash(&name);
        assert_eq!(land(Request::new(b"other", r(1, 1)).hash(hash)), home);
        by_id.insert(home);
    }
    // Fifty ids do not all meet on a few of twenty workers.
    assert!(by_id.len() >= 10, "{by_id:?}");
}

#[test]
fn rule_04_few_keys_move_when_workers_come_and_go() {
    for workers in [20, 63, 64] {
        let e = engine((0..workers).map(|k| plain(&format!("w{k}"))));
        let before = homes(&e);

        e.add_worker(plain("new")).unwrap();
        let joined = homes(&e);
        let moved = before.iter().filter(|&(key, home)| joined[key] != *home).count();
        // Rehashing modulo the number of workers would move nearly every key.
        assert!(moved <= 250, "{moved} of 1000 keys moved as one joined {workers} workers");
        for (key, home) in &before {
            assert!(joined[key] == *home || joined[key] == "new", "{key} moved among the old");
        }

        // Of those that leave, nobody else's keys move: one at the end, one in the middle.
        for leaver in ["new", "w7"] {
            let before = homes(&e);
            e.remove_worker(leaver.as_bytes()).unwrap();
            let left = homes(&e);
            for (key, home) in &before {
                assert!(left[key] == *home || home == leaver, "{key} moved from {home}");
            }
        }
    }
}
