//! Once a thread has warmed up, reserving, resizing and releasing allocate nothing.

// A global allocator is an unsafe trait; the library itself needs none of this.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use slotwise::{
    BatchMode, Constraints, DeviceNeed, DeviceSpec, Engine, Limit, Policy, Quota, Request, Scope,
    Terms, Ticket,
};

thread_local! {
    /// How often this thread has asked for memory: tests run on threads of their own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nobody to ask for it.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

struct Counting;

// SAFETY: every call goes to `System` with the arguments as they came, so that `System`'s promises
// hold for this allocator because the caller keeps the trait's. The counter has no destructor and
// is initialised at compile time, so that touching it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises a layout of non-zero size.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises a layout of non-zero size.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller promises that the block came from here, that is from `System`, with
        // this layout, and that the new size is valid.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the block came from here, that is from `System`, with
        // this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `work` asked for memory on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Runs the round a hundred times to warm up, then a thousand times more without an allocation.
#[track_caller]
fn allocates_nothing(mut round: impl FnMut(usize)) {
    (0..100).for_each(&mut round);
    let counted = allocations(|| (100..1100).for_each(&mut round));
    assert_eq!(counted, 0, "allocations in 1,000 rounds");
}

fn cluster() -> Audited {
    let cpu = (0..20).map(|k| w(&format!("w{k}"), 16_000, 65_536));
    let gpus = (0..4).map(|k| gpu(&format!("g{k}"), 16_000, 65_536, "T4", 8).pool("gpu"));
    engine(cpu.chain(gpus))
}

/// A 36-byte id, as a UUID has, without allocating.
fn id(k: usize) -> [u8; 36] {
    let mut id = *b"3f2b8c1a-0000-4000-8000-000000000000";
    for (digit, place) in id[28..].iter_mut().zip((0..8).rev()) {
        *digit = b'0' + (k / 10usize.pow(place) % 10) as u8;
    }
    id
}

#[test]
fn the_counter_counts() {
    let counted = allocations(|| {
        let mut numbers = vec![1u64];
        numbers.reserve_exact(100);
        std::hint::black_box(numbers);
    });
    assert_eq!(counted, 2);
    assert_ne!(id(1), id(10));
}

#[test]
fn reserve_and_release_by_ticket() {
    let e = cluster();
    // Those that learn have something to write down now and then.
    for policy in Policy::ALL.into_iter().filter(|policy| !policy.learns()) {
        allocates_nothing(|k| {
            let request = Request::anonymous(r(100, 100)).policy(policy).hash(k as u64);
            let placed = e.reserve(&request).expect("room");
            e.release(placed.ticket).expect("held");
        });
    }
}

#[test]
fn reserve_and_release_by_id() {
    let e = cluster();
    // Many live at once, so that ids are looked up among others.
    let hold = |k: usize| e.reserve(&Request::new(&id(k), r(10, 10))).expect("room");
    for k in 1_000_000..1_000_500 {
        hold(k);
    }
    allocates_nothing(|k| {
        let placed = hold(k);
        assert!(hold(k).existing);
        assert_eq!(e.reservation(&id(k)).map(|held| held.ticket), Some(placed.ticket));
        e.release_id(&id(k)).expect("held");
        assert!(e.release_id(&id(k)).is_err());
    });
}

#[test]
fn resizes() {
    let e = cluster();
    let held = e.reserve(&Request::new(b"held", r(100, 100))).expect("room").ticket;
    allocates_nothing(|k| {
        e.resize(held, r(1 + k as u64, 8_000)).expect("room");
        e.resize_id(b"held", r(16_000, 1 + k as u64)).expect("room");
        e.resize_id(b"held", r(16_000, 1 + k as u64)).expect("as it is");
        assert!(e.resize(held, r(16_001, 1)).is_err());
        assert!(e.resize_id(b"nobody", r(1, 1)).is_err());
    });
}

/// On terms of every kind, confirmed and released, with a tick now and then that ends nothing.
#[test]
fn reservations_on_terms() {
    let e = cluster();
    let account = e.account("acme").unwrap();
    e.set_quota(account, Quota { cpu: Some(1_000), ..Quota::default() }).unwrap();
    let group = e.spread_group("g", Scope::Worker).unwrap();
    let limits = [Limit { group, at_most: 2 }];
    let mut now = 0;
    allocates_nothing(|k| {
        let terms = Terms::new().hold_until(now + 50).account(account).limits(&limits);
        let terms = terms.priority(1).preemptable(true);
        let id = id(k);
        let held = e.reserve(&Request::new(&id, r(250, 512)).terms(&terms)).unwrap();
        e.confirm(held.ticket).unwrap();
        e.resize(held.ticket, r(500, 512)).unwrap();
        if k % 8 == 0 {
            now += 1;
            assert!(e.tick(now).unwrap().expired.is_empty());
        }
        e.heartbeat(b"w3", now + 1_000).unwrap();
        e.release(held.ticket).unwrap();
    });
}

#[test]
fn selectors_and_constraints_that_were_used_before() {
    let e = cluster();
    let constraints = Constraints::new().pool("gpu").gpu_type("T4").gpu_type("A10G");
    let selector = e.selector(&constraints).unwrap();
    allocates_nothing(|k| {
        let id = id(k);
        let request = Request::new(&id, r(10, 10));
        for request in [request.selector(selector), request.constraints(&constraints)] {
            let placed = e.reserve(&request).expect("room");
            e.release(placed.ticket).expect("held");
        }
    });
}

#[test]
fn refusals() {
    let e = cluster();
    let full = e.reserve(&Request::new(b"all of one", r(16_000, 1))).unwrap().worker;
    allocates_nothing(|k| {
        assert!(e.reserve(&Request::anonymous(r(16_001, 1))).is_err());
        // Noted as unmet demand, more of them than the table has room for in one set.
        assert!(e.reserve(&Request::new(&id(k), r(16_001, 1))).is_err());
        assert!(e.forget_unmet(&id(k)));
        assert!(e.reserve_on(full, &Request::anonymous(r(1, 1)), None).is_err());
    });
}

#[test]
fn reserve_on_a_named_worker() {
    let e = cluster();
    let worker = e.see("w7").worker;
    allocates_nothing(|k| {
        let id = id(k);
        let request = Request::new(&id, r(100, 100));
        let placed = e.reserve_on(worker, &request, None).expect("room");
        let released = e.release(placed.ticket).expect("held");
        let placed = e.reserve_on(worker, &request, released.version).expect("as expected");
        assert!(e.reserve_on(worker, &Request::anonymous(r(1, 1)), Some(0)).is_err());
        e.release(placed.ticket).expect("held");
    });
}

/// Batches of 16 into vectors that are used again, some with ids and some without.
fn batches(e: &Engine, mode: BatchMode, terms: Option<&Terms<'_>>) {
    let ids: Vec<[u8; 36]> = (0..16).map(id).collect();
    let requests: Vec<Request<'_>> = ids
        .iter()
        .enumerate()
        .map(|(k, id)| Request::new(if k % 2 == 0 { id } else { b"" }, r(100, 100)))
        .map(|request| Request { terms, ..request })
        .collect();
    let (mut placed, mut released) = (vec![], vec![]);
    let mut tickets: Vec<Ticket> = Vec::with_capacity(16);
    allocates_nothing(|_| {
        e.reserve_batch(&requests, mode, &mut placed);
        tickets.clear();
        tickets.extend(placed.iter().map(|placed| placed.expect("room").ticket));
        e.release_batch(&tickets, &mut released);
        assert!(released.iter().all(Result::is_ok));
    });
}

#[test]
fn independent_batches() {
    batches(&cluster(), BatchMode::Independent, None);
}

#[test]
fn all_or_nothing_batches() {
    batches(&cluster(), BatchMode::AllOrNothing, None);
}

#[test]
fn batches_for_devices() {
    let devices = || (0..8).map(|k| DeviceSpec::new(format!("{k}")));
    let e = engine((0..4).map(|k| w(&format!("w{k}"), 16_000, 65_536).devices(devices())));
    let terms = Terms::new().devices(DeviceNeed::part(300));
    for mode in [BatchMode::Independent, BatchMode::AllOrNothing] {
        batches(&e, mode, Some(&terms));
    }
}

/// Through the C functions.
#[cfg(feature = "capi")]
mod capi {
    use std::mem::zeroed;
    use std::ptr::{null, null_mut};

    use slotwise::ffi::*;

    use super::{allocates_nothing, id};

    const BATCH: usize = 64;

    fn ok(status: i32) {
        assert_eq!(status, SLOTWISE_OK);
    }

    fn engine() -> slotwise_engine_t {
        let (mut engine, name) = (0, "w");
        // SAFETY: integers and pointers; then as the header asks.
        unsafe {
            ok(slotwise_engine_new(null(), &mut engine));
            let mut spec: slotwise_worker_spec_t = zeroed();
            spec.size = size_of_val(&spec) as u32;
            spec.id = slotwise_text_t { data: name.as_ptr().cast(), length: name.len() };
            spec.total = slotwise_resources_t { cpu: 100_000, memory: 100_000, gpus: 0 };
            ok(slotwise_worker_add(engine, &spec, null_mut()));
        }
        engine
    }

    fn request(id: &[u8]) -> slotwise_request_t {
        // SAFETY: integers and pointers.
        let mut request: slotwise_request_t = unsafe { zeroed() };
        request.size = size_of_val(&request) as u32;
        (request.id, request.id_length) = (id.as_ptr().cast(), id.len());
        (request.cpu, request.memory) = (100, 100);
        request
    }

    #[test]
    fn one_by_one() {
        let engine = engine();
        allocates_nothing(|k| {
            let id = id(k);
            let wanted = request(&id);
            // SAFETY: as the header asks.
            unsafe {
                let mut placed = zeroed();
                ok(slotwise_reserve(engine, &wanted, &mut placed));
                let need = slotwise_resources_t { cpu: 50, memory: 200, gpus: 0 };
                ok(slotwise_resize(engine, placed.ticket, &need, null_mut()));
                ok(slotwise_release_id(engine, wanted.id, wanted.id_length, null_mut()));
                // A failure neither, details of it included.
                let status = slotwise_release(engine, placed.ticket, null_mut());
                assert_eq!(status, SLOTWISE_NOT_HELD);
            }
        });
        ok(slotwise_engine_free(engine));
    }

    #[test]
    fn batches_of_structures_and_of_columns() {
        let engine = engine();
        for mode in [SLOTWISE_INDEPENDENT, SLOTWISE_ALL_OR_NOTHING] {
            allocates_nothing(|_| {
                let requests = [request(b""); BATCH];
                let (mut tickets, mut statuses) = ([0; BATCH], [0; BATCH]);
                // SAFETY: integers and pointers; then as the header asks.
                unsafe {
                    let mut placements: [slotwise_placement_t; BATCH] = zeroed();
                    let mut batch: slotwise_batch_t = zeroed();
                    batch.size = size_of_val(&batch) as u32;
                    batch.mode = mode;
                    (batch.requests, batch.count) = (requests.as_ptr(), BATCH);
                    batch.placements = placements.as_mut_ptr();
                    ok(slotwise_reserve_batch(engine, &batch, null_mut()));
                    for (ticket, placed) in tickets.iter_mut().zip(&placements) {
                        *ticket = placed.ticket;
                    }
                    release(engine, &tickets, &mut statuses);

                    let mut columns: slotwise_columns_t = zeroed();
                    columns.size = size_of_val(&columns) as u32;
                    columns.mode = mode;
                    (columns.common, columns.count) = (&requests[0], BATCH);
                    columns.tickets = tickets.as_mut_ptr();
                    columns.statuses = statuses.as_mut_ptr();
                    ok(slotwise_reserve_columns(engine, &columns, null_mut()));
                    release(engine, &tickets, &mut statuses);
                }
            });
        }
        ok(slotwise_engine_free(engine));
    }

    fn release(engine: slotwise_engine_t, tickets: &[u64; BATCH], statuses: &mut [i32; BATCH]) {
        let (to, done) = (statuses.as_mut_ptr(), (null_mut(), null_mut()));
        // SAFETY: as the header asks.
        unsafe {
            ok(slotwise_release_batch(engine, tickets.as_ptr(), BATCH, to, done.0, done.1));
        }
        statuses.iter().copied().for_each(ok);
    }
}
