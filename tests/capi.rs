//! The C functions from eight threads at once: everything that a host's threads do to one engine,
//! while others change its workers and one closes it. Run under ThreadSanitizer and
//! AddressSanitizer by `make sanitize`, which is why it is written against the C functions and in
//! Rust: both sides of the interface are instrumented.

#![cfg(feature = "capi")]
#![allow(unsafe_code, reason = "calls through the C interface")]

use std::mem::{MaybeUninit, zeroed};
use std::ptr::{null, null_mut};
use std::thread;

use slotwise::ffi::*;

const THREADS: u64 = 8;
const WORKERS: u64 = 40;
const CAPACITY: u64 = 100;

fn rounds() -> u64 {
    std::env::var("SLOTWISE_CAPI_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

/// A structure of the interface, all zero but for its size.
fn sized<T>() -> T {
    // SAFETY: the structures of the interface hold integers and pointers, and begin with their
    // size.
    unsafe {
        let mut value = MaybeUninit::<T>::zeroed();
        value.as_mut_ptr().cast::<u32>().write(size_of::<T>() as u32);
        value.assume_init()
    }
}

fn text(s: &str) -> slotwise_text_t {
    slotwise_text_t { data: s.as_ptr().cast(), length: s.len() }
}

fn ok(status: i32) {
    assert_eq!(status, SLOTWISE_OK);
}

/// One of the statuses that a race may have.
fn one_of(status: i32, expected: &[i32]) -> bool {
    assert!(status == SLOTWISE_OK || expected.contains(&status), "status {status}");
    status == SLOTWISE_OK
}

fn add(engine: slotwise_engine_t, id: &str) -> i32 {
    let mut spec: slotwise_worker_spec_t = sized();
    spec.id = text(id);
    spec.total = slotwise_resources_t { cpu: CAPACITY, memory: CAPACITY, gpus: 0 };
    // SAFETY: as the header asks.
    unsafe { slotwise_worker_add(engine, &spec, null_mut()) }
}

fn request(id: &str, amount: u64) -> slotwise_request_t {
    let mut request: slotwise_request_t = sized();
    (request.cpu, request.memory) = (amount, amount);
    if !id.is_empty() {
        (request.id, request.id_length) = (id.as_ptr().cast(), id.len());
    }
    request
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What one thread does; it gives back all that it holds in the end.
fn client(engine: slotwise_engine_t, thread: u64) {
    let mut random = Random(thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut held: Vec<u64> = Vec::new();
    let refused = [SLOTWISE_BUSY, SLOTWISE_NEVER, SLOTWISE_IN_FLIGHT, SLOTWISE_CONTENDED];
    // Of what a removal may have taken along.
    let lost = [SLOTWISE_NOT_HELD, SLOTWISE_LOST, SLOTWISE_IN_FLIGHT];
    for round in 0..rounds() {
        let amount = 1 + random.below(9);
        match random.below(10) {
            0..=2 => {
                let id = format!("{thread}-{round}");
                let mut placed = MaybeUninit::uninit();
                // SAFETY: as the header asks.
                let status =
                    unsafe { slotwise_reserve(engine, &request(&id, amount), placed.as_mut_ptr()) };
                if one_of(status, &refused) {
                    // SAFETY: written on success.
                    held.push(unsafe { placed.assume_init() }.ticket);
                }
            }
            3 => {
                // An id that all threads want: one of them has it.
                let id = format!("shared-{}", random.below(4));
                // SAFETY: as the header asks.
                unsafe {
                    let mut placed = zeroed();
                    let wanted = request(&id, amount);
                    if one_of(slotwise_reserve(engine, &wanted, &mut placed), &refused) {
                        let released =
                            slotwise_release_id(engine, wanted.id, wanted.id_length, null_mut());
                        one_of(released, &lost);
                    }
                }
            }
            4 => {
                let requests: Vec<_> = (0..6).map(|_| request("", amount)).collect();
                // SAFETY: integers; then as the header asks.
                unsafe {
                    let mut placements: [slotwise_placement_t; 6] = zeroed();
                    let mut batch: slotwise_batch_t = sized();
                    (batch.requests, batch.count) = (requests.as_ptr(), 6);
                    batch.placements = placements.as_mut_ptr();
                    batch.mode = random.below(2) as u32;
                    ok(slotwise_reserve_batch(engine, &batch, null_mut()));
                    held.extend(placements.iter().map(|p| p.ticket).filter(|&ticket| ticket != 0));
                }
            }
            5 => {
                let cpu = [amount; 5];
                let (mut tickets, mut statuses) = ([0; 5], [0; 5]);
                let common = request("", amount);
                let mut columns: slotwise_columns_t = sized();
                (columns.count, columns.common, columns.cpu) = (5, &common, cpu.as_ptr());
                columns.tickets = tickets.as_mut_ptr();
                columns.statuses = statuses.as_mut_ptr();
                // SAFETY: as the header asks.
                unsafe { ok(slotwise_reserve_columns(engine, &columns, null_mut())) };
                held.extend(tickets.into_iter().filter(|&ticket| ticket != 0));
            }
            6 if !held.is_empty() => {
                let ticket = held[random.below(held.len() as u64) as usize];
                let need = slotwise_resources_t { cpu: amount, memory: 1, gpus: 0 };
                // SAFETY: as the header asks.
                let status = unsafe { slotwise_resize(engine, ticket, &need, null_mut()) };
                let short = [SLOTWISE_SHORT, SLOTWISE_STATE, SLOTWISE_CONTENDED];
                one_of(status, &[&lost[..], &short].concat());
            }
            7 => {
                let kept = held.len() / 2;
                let mut statuses = vec![0; held.len() - kept];
                // SAFETY: as the header asks.
                unsafe {
                    let (tickets, to) = (held[kept..].as_ptr(), statuses.as_mut_ptr());
                    let count = statuses.len();
                    ok(slotwise_release_batch(engine, tickets, count, to, null_mut(), null_mut()));
                }
                for status in statuses {
                    one_of(status, &lost);
                }
                held.truncate(kept);
            }
            _ => {
                if let Some(ticket) = held.pop() {
                    // SAFETY: as the header asks.
                    one_of(unsafe { slotwise_release(engine, ticket, null_mut()) }, &lost);
                }
            }
        }
    }
    for ticket in held {
        // SAFETY: as the header asks.
        one_of(unsafe { slotwise_release(engine, ticket, null_mut()) }, &lost);
    }
}

/// Who changes the workers meanwhile, and audits.
fn operator(engine: slotwise_engine_t) {
    let mut random = Random(7);
    for round in 0..rounds() / 20 {
        let id = format!("w-{}", random.below(WORKERS));
        let (name, length) = (id.as_ptr().cast(), id.len());
        // SAFETY: as the header asks.
        unsafe {
            match round % 4 {
                0 => ok(slotwise_worker_cordon(engine, name, length, null_mut())),
                1 => {
                    for n in 0..WORKERS {
                        let id = format!("w-{n}");
                        let (name, length) = (id.as_ptr().cast(), id.len());
                        ok(slotwise_worker_uncordon(engine, name, length, null_mut()));
                    }
                }
                2 => {
                    let mut lost: [slotwise_lost_t; 4] = zeroed();
                    let mut count = 0;
                    let to = lost.as_mut_ptr();
                    ok(slotwise_worker_remove(engine, name, length, to, 4, &mut count));
                    let mut told = count.min(4);
                    while told < count {
                        let mut more = 0;
                        ok(slotwise_lost_take(engine, to, 4, &mut more));
                        told += more;
                    }
                    assert_eq!(told, count);
                    ok(add(engine, &id));
                }
                _ => {
                    let mut audit: slotwise_audit_t = sized();
                    ok(slotwise_audit(engine, &mut audit, null_mut(), 0));
                    assert_eq!(audit.ok, 1, "{audit:?}");
                }
            }
        }
    }
}

#[test]
fn eight_threads_share_an_engine() {
    let mut engine = 0;
    // SAFETY: as the header asks.
    unsafe { ok(slotwise_engine_new(null(), &mut engine)) };
    (0..WORKERS).for_each(|n| ok(add(engine, &format!("w-{n}"))));
    thread::scope(|scope| {
        let spawn = |thread| scope.spawn(move || client(engine, thread));
        let mut threads: Vec<_> = (0..THREADS).map(spawn).collect();
        threads.push(scope.spawn(move || operator(engine)));
        join(threads);
    });
    let mut audit: slotwise_audit_t = sized();
    // SAFETY: as the header asks.
    unsafe { ok(slotwise_audit(engine, &mut audit, null_mut(), 0)) };
    assert_eq!((audit.ok, audit.reservations, audit.unsettled), (1, 0, 0), "{audit:?}");
    ok(slotwise_engine_free(engine));
}

/// One by one: ThreadSanitizer sees that, and not how a scope waits for its threads.
fn join(threads: Vec<thread::ScopedJoinHandle<'_, ()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("it has not failed"));
}

/// Provisional reservations on an account, confirmed or not, while the clock goes on.
fn holder(engine: slotwise_engine_t, account: u32, thread: u64) {
    let mut random = Random(thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let refused =
        [SLOTWISE_BUSY, SLOTWISE_CONTENDED, SLOTWISE_QUOTA_EXCEEDED, SLOTWISE_DEADLINE_PASSED];
    for _ in 0..rounds() {
        let mut terms: slotwise_terms_t = sized();
        let mut wanted = request("", 1 + random.below(9));
        (terms.flags, terms.account) = (SLOTWISE_HOLD | SLOTWISE_ACCOUNT, account);
        wanted.terms = &terms;
        // SAFETY: as the header asks.
        unsafe {
            let mut placed: slotwise_placement_t = zeroed();
            ok(slotwise_now(engine, &mut terms.hold_until));
            terms.hold_until += random.below(3);
            if !one_of(slotwise_reserve(engine, &wanted, &mut placed), &refused) {
                continue;
            }
            assert_eq!((placed.existing, placed.provisional), (0, 1));
            let lost = [SLOTWISE_NOT_HELD, SLOTWISE_IN_FLIGHT];
            let confirmed = random.below(2) == 0
                && one_of(slotwise_confirm(engine, placed.ticket, &mut placed), &lost);
            let released = slotwise_release(engine, placed.ticket, null_mut());
            // What is confirmed does not end by itself.
            assert!(one_of(released, &lost) || !confirmed);
        }
    }
}

#[test]
fn the_clock_goes_on_while_others_hold_and_confirm() {
    let (mut engine, mut account) = (0, 0);
    let quota = slotwise_quota_t { cpu: CAPACITY * WORKERS / 2, memory: u64::MAX, gpus: 0 };
    // SAFETY: as the header asks.
    unsafe {
        ok(slotwise_engine_new(null(), &mut engine));
        ok(slotwise_account(engine, "a".as_ptr().cast(), 1, &mut account));
        ok(slotwise_quota_set(engine, account, &quota));
    }
    (0..WORKERS).for_each(|n| ok(add(engine, &format!("w-{n}"))));
    let mut told = 0;
    let mut tick = |now: u64| {
        // SAFETY: integers; then as the header asks.
        unsafe {
            let mut ended: [slotwise_expired_t; 4] = zeroed();
            let (mut count, mut more) = (0, 4);
            ok(slotwise_tick(engine, now, ended.as_mut_ptr(), 4, &mut count));
            told += count as u64;
            while more == 4 {
                ok(slotwise_ended_take(engine, ended.as_mut_ptr(), 4, &mut more));
            }
        }
    };
    thread::scope(|scope| {
        let spawn = |thread| scope.spawn(move || holder(engine, account, thread));
        let threads: Vec<_> = (1..THREADS).map(spawn).collect();
        (1..rounds() / 4).for_each(&mut tick);
        join(threads);
    });
    tick(u64::MAX);
    let (mut audit, mut usage): (slotwise_audit_t, slotwise_usage_t) = (sized(), sized());
    let mut stats: slotwise_stats_t = sized();
    // SAFETY: as the header asks.
    unsafe {
        ok(slotwise_audit(engine, &mut audit, null_mut(), 0));
        ok(slotwise_usage(engine, account, &mut usage));
        ok(slotwise_stats(engine, &mut stats));
    }
    assert_eq!((audit.ok, audit.reservations, audit.unsettled), (1, 0, 0), "{audit:?}");
    assert_eq!((usage.used.cpu, usage.used.memory), (0, 0));
    assert_eq!((stats.expired, stats.placed), (told, told + stats.released));
    ok(slotwise_engine_free(engine));
}

/// Parts of devices and whole ones, each looked at while it is held.
fn sharer(engine: slotwise_engine_t, thread: u64) {
    let mut random = Random(thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut held: Vec<(u64, slotwise_terms_t)> = Vec::new();
    for _ in 0..rounds() {
        if random.below(8) < held.len() as u64 {
            let (ticket, terms) = held.swap_remove(random.below(held.len() as u64) as usize);
            // SAFETY: integers; then as the header asks.
            unsafe {
                let mut granted: slotwise_granted_t = zeroed();
                ok(slotwise_granted(engine, ticket, &mut granted));
                assert_eq!(granted.devices.count_ones(), terms.device_count);
                assert_eq!(
                    (granted.milli, granted.memory),
                    (terms.device_milli, terms.device_memory)
                );
                ok(slotwise_release(engine, ticket, null_mut()));
                let late = slotwise_granted(engine, ticket, &mut granted);
                assert_eq!(late, SLOTWISE_NOT_HELD);
            }
            continue;
        }
        let mut terms: slotwise_terms_t = sized();
        (terms.device_count, terms.device_milli) = match random.below(4) {
            0 => (2, 1_000),
            _ => (1, 1 + random.below(999) as u32),
        };
        terms.device_memory = random.below(20);
        let mut wanted = request("", 1);
        wanted.terms = &terms;
        // SAFETY: integers; then as the header asks.
        unsafe {
            let mut placed: slotwise_placement_t = zeroed();
            let status = slotwise_reserve(engine, &wanted, &mut placed);
            if one_of(status, &[SLOTWISE_BUSY, SLOTWISE_CONTENDED]) {
                held.push((placed.ticket, terms));
            }
        }
    }
    for (ticket, _) in held {
        // SAFETY: as the header asks.
        ok(unsafe { slotwise_release(engine, ticket, null_mut()) });
    }
}

#[test]
fn eight_threads_share_devices() {
    let (mut engine, mut worker) = (0, 0);
    let ids = ["0", "1", "2", "3"];
    let device = |id| slotwise_device_t { id: text(id), memory: 100, island: 0, reserved: 0 };
    let devices = ids.map(device);
    let mut spec: slotwise_worker_spec_t = sized();
    spec.id = text("w");
    spec.total = slotwise_resources_t { cpu: CAPACITY, memory: CAPACITY, gpus: 0 };
    (spec.devices, spec.device_count) = (devices.as_ptr(), devices.len());
    // SAFETY: as the header asks.
    unsafe {
        ok(slotwise_engine_new(null(), &mut engine));
        ok(slotwise_worker_add(engine, &spec, &mut worker));
    }
    // SAFETY: integers.
    let mut states: [slotwise_device_state_t; 4] = unsafe { zeroed() };
    let mut look = || {
        let mut count = 0;
        let to = states.as_mut_ptr();
        // SAFETY: as the header asks.
        ok(unsafe { slotwise_worker_devices(engine, worker, to, 4, &mut count) });
        assert!(count == 4 && states.iter().all(|one| one.free_milli <= 1_000), "{states:?}");
        states
    };
    thread::scope(|scope| {
        let spawn = |thread| scope.spawn(move || sharer(engine, thread));
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        (0..rounds()).for_each(|_| _ = look());
        join(threads);
    });
    assert!(look().iter().all(|one| (one.free_milli, one.free_memory) == (1_000, 100)));
    let mut audit: slotwise_audit_t = sized();
    // SAFETY: as the header asks.
    unsafe { ok(slotwise_audit(engine, &mut audit, null_mut(), 0)) };
    assert_eq!((audit.ok, audit.reservations, audit.unsettled), (1, 0, 0), "{audit:?}");
    ok(slotwise_engine_free(engine));
}

/// Each thread has a reference of its own; the engine is closed under all of them and goes with the
/// last. The threads live through all rounds: ThreadSanitizer knows nothing of the lock in the
/// standard library by which an ended thread hands on what it kept.
#[test]
fn engine_is_closed_while_others_call() {
    let engines: Vec<slotwise_engine_t> = (0..rounds() / 50).map(|_| shared_engine()).collect();
    thread::scope(|scope| {
        let engines = &engines;
        let spawn = |thread| {
            scope.spawn(move || {
                for (round, &engine) in engines.iter().enumerate() {
                    call_until_closed(engine, round as u64 % THREADS == thread);
                    ok(slotwise_engine_free(engine));
                }
            })
        };
        join((0..THREADS).map(spawn).collect());
    });
    for engine in engines {
        assert_eq!(slotwise_engine_free(engine), SLOTWISE_STALE_HANDLE);
    }
}

/// An engine with a reference for each thread.
fn shared_engine() -> slotwise_engine_t {
    let mut config = MaybeUninit::uninit();
    let mut engine = 0;
    // SAFETY: as the header asks.
    unsafe {
        ok(slotwise_config_default(config.as_mut_ptr()));
        let mut config = config.assume_init();
        (config.max_workers, config.max_reservations) = (16, 1_024);
        ok(slotwise_engine_new(&config, &mut engine));
    }
    (1..THREADS).for_each(|_| ok(slotwise_engine_retain(engine)));
    ok(add(engine, "w"));
    engine
}

fn call_until_closed(engine: slotwise_engine_t, closes: bool) {
    for call in 0u64.. {
        if closes && call == 30 {
            ok(slotwise_engine_close(engine));
        }
        // SAFETY: as the header asks.
        unsafe {
            let mut placed: slotwise_placement_t = zeroed();
            match slotwise_reserve(engine, &request("", 1), &mut placed) {
                SLOTWISE_OK => {
                    let status = slotwise_release(engine, placed.ticket, null_mut());
                    assert!([SLOTWISE_OK, SLOTWISE_CLOSED].contains(&status), "status {status}");
                }
                SLOTWISE_CLOSED => return,
                status => assert_eq!(status, SLOTWISE_BUSY),
            }
        }
    }
}

/// Pairs, of which the first may fail: see the test that calls it.
fn pairs(engine: slotwise_engine_t, count: u64) {
    let request = request("", 1);
    for k in 0..count {
        let mut placed = MaybeUninit::<slotwise_placement_t>::uninit();
        // SAFETY: as the header asks; written on success.
        let status = unsafe { slotwise_reserve(engine, &request, placed.as_mut_ptr()) };
        if one_of(status, if k == 0 { &[SLOTWISE_PANIC] } else { &[] }) {
            // SAFETY: written; as the header asks.
            ok(unsafe { slotwise_release(engine, placed.assume_init().ticket, null_mut()) });
        }
    }
}

/// A thread-local value of the host whose destructor calls, after those of the library have run:
/// what the thread kept of the engine may be another thread's by then, and is not used.
#[test]
fn a_thread_that_calls_while_it_ends_shares_nothing() {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    const PAIRS: u64 = 100_000;
    static ENDING: AtomicU32 = AtomicU32::new(0);

    struct Late(Cell<slotwise_engine_t>);
    impl Drop for Late {
        fn drop(&mut self) {
            ENDING.store(1, Ordering::Release);
            // The next thread has begun, with what this one has handed on.
            while ENDING.load(Ordering::Acquire) < 2 {
                thread::yield_now();
            }
            pairs(self.0.get(), PAIRS);
        }
    }
    thread_local! {
        static LATE: Late = const { Late(Cell::new(0)) };
    }

    let mut engine = 0;
    // SAFETY: as the header asks.
    ok(unsafe { slotwise_engine_new(null(), &mut engine) });
    ok(add(engine, "w"));
    // Joined, not in a scope, which does not wait for destructors.
    let threads = [
        thread::spawn(move || {
            // Registered first, so that it runs last.
            LATE.with(|late| late.0.set(engine));
            pairs(engine, 10);
        }),
        thread::spawn(move || {
            while ENDING.load(Ordering::Acquire) < 1 {
                thread::yield_now();
            }
            pairs(engine, 10);
            ENDING.store(2, Ordering::Release);
            pairs(engine, PAIRS);
        }),
    ];
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
    let mut audit: slotwise_audit_t = sized();
    // SAFETY: as the header asks.
    unsafe {
        ok(slotwise_audit(engine, &mut audit, null_mut(), 0));
        ok(slotwise_engine_free(engine));
    }
    assert_eq!((audit.ok, audit.reservations), (1, 0), "{audit:?}");
}
