//! What the C interface adds: the same work through the Rust crate and through the functions of the
//! shared library that `make lib` builds, loaded at run time as any other language loads it.
//!
//! `make bench-c`, or `SLOTWISE_LIBRARY=path cargo bench --features capi --bench capi`; without the
//! variable, the C functions are those that this program was linked with.

#![allow(unsafe_code, reason = "calls through the C interface")]

#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod baseline;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod common;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod report;
mod unit;

use std::env;
use std::ffi::c_char;
use std::hint::black_box;
use std::mem::{MaybeUninit, zeroed};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;
use std::time::Instant;

use libloading::Library;
use slotwise::ffi::*;
use slotwise::{Engine, Request, Resources, Ticket};

use common::{
    ById, ByTicket, CLUSTER, Embedded, Job, LIGHT, Scheduler, TOTAL, jobs, jobs_per_thread, steady,
};
use report::{Options, Row, Unit};
use unit::{BARE, bare_pairs};

const BATCH: usize = 100;

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*);)*) => {
        /// The C functions that are measured.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> i32,)*
        }

        impl Functions {
            fn linked() -> Functions {
                Functions { $($name,)* }
            }

            fn load(path: &str) -> Functions {
                // SAFETY: the library starts no code of its own when it is loaded.
                let library = unsafe { Library::new(path) }.expect("SLOTWISE_LIBRARY");
                // The library stays for as long as the program.
                let library = Box::leak(Box::new(library));
                // SAFETY: the header that these types are made for is this library's, of the same
                // commit.
                unsafe {
                    Functions { $($name: *library.get(stringify!($name).as_bytes()).expect("a function"),)* }
                }
            }
        }
    };
}

functions! {
    slotwise_engine_new: fn(*const slotwise_config_t, *mut slotwise_engine_t);
    slotwise_worker_add: fn(slotwise_engine_t, *const slotwise_worker_spec_t, *mut slotwise_worker_t);
    slotwise_reserve: fn(slotwise_engine_t, *const slotwise_request_t, *mut slotwise_placement_t);
    slotwise_release: fn(slotwise_engine_t, u64, *mut slotwise_released_t);
    slotwise_release_id: fn(slotwise_engine_t, *const c_char, usize, *mut slotwise_released_t);
    slotwise_reserve_batch: fn(slotwise_engine_t, *const slotwise_batch_t, *mut slotwise_batch_done_t);
    slotwise_reserve_columns: fn(slotwise_engine_t, *const slotwise_columns_t, *mut slotwise_batch_done_t);
    slotwise_release_batch: fn(slotwise_engine_t, *const u64, usize, *mut i32, *mut slotwise_released_t, *mut usize);
    slotwise_audit: fn(slotwise_engine_t, *mut slotwise_audit_t, *mut slotwise_imbalance_t, usize);
}

static C: LazyLock<Functions> = LazyLock::new(|| match env::var("SLOTWISE_LIBRARY") {
    Ok(path) => Functions::load(&path),
    Err(_) => Functions::linked(),
});

/// An engine, and the functions as a C program has them: at addresses that are known.
#[derive(Clone, Copy)]
struct Host {
    engine: slotwise_engine_t,
    c: &'static Functions,
}

fn ok(status: i32) {
    assert_eq!(status, SLOTWISE_OK, "a C function failed");
}

/// A structure of the interface, all zero but for its size.
fn sized<T>() -> T {
    // SAFETY: the structures of the interface hold integers and pointers.
    let mut value: T = unsafe { zeroed() };
    // SAFETY: they begin with their size.
    unsafe { (&raw mut value).cast::<u32>().write(size_of::<T>() as u32) };
    value
}

fn engine(free: &[Resources]) -> Host {
    let c = &*C;
    let mut engine = 0;
    // SAFETY: as the header asks.
    unsafe { ok((c.slotwise_engine_new)(null(), &mut engine)) };
    for (k, free) in free.iter().enumerate() {
        let id = format!("worker-{k}");
        let mut spec: slotwise_worker_spec_t = sized();
        spec.id = slotwise_text_t { data: id.as_ptr().cast(), length: id.len() };
        spec.total = TOTAL.into();
        let aside = Resources::new(TOTAL.cpu - free.cpu, TOTAL.memory - free.memory);
        spec.set_aside = aside.into();
        // SAFETY: as the header asks.
        unsafe { ok((c.slotwise_worker_add)(engine, &spec, null_mut())) };
    }
    Host { engine, c }
}

/// Written field by field, as C does it.
#[inline(always)]
fn request(job: &Job, flags: u32, id: &str) -> slotwise_request_t {
    slotwise_request_t {
        size: size_of::<slotwise_request_t>() as u32,
        flags,
        id: if id.is_empty() { null() } else { id.as_ptr().cast() },
        id_length: id.len(),
        cpu: job.need.cpu,
        memory: job.need.memory,
        gpus: 0,
        selector: SLOTWISE_SELECTOR_ANY,
        policy: SLOTWISE_POLICY_DEFAULT,
        key: null(),
        key_length: 0,
        hash: if flags == SLOTWISE_HASH { job.hash } else { 0 },
        terms: std::ptr::null(),
    }
}

#[inline(always)]
fn by_ticket(job: &Job) -> slotwise_request_t {
    request(job, SLOTWISE_HASH, "")
}

#[inline(always)]
fn by_id(job: &Job) -> slotwise_request_t {
    request(job, 0, &job.id)
}

#[inline(always)]
fn reserve(Host { engine, c }: Host, request: &slotwise_request_t) -> Option<u64> {
    let mut placed = MaybeUninit::<slotwise_placement_t>::uninit();
    // SAFETY: as the header asks; written on success.
    unsafe {
        let status = (c.slotwise_reserve)(engine, request, placed.as_mut_ptr());
        (status == SLOTWISE_OK).then(|| placed.assume_init().ticket)
    }
}

fn check_idle(Host { engine, c }: Host) {
    let mut audit: slotwise_audit_t = sized();
    // SAFETY: as the header asks.
    unsafe { ok((c.slotwise_audit)(engine, &mut audit, null_mut(), 0)) };
    assert_eq!((audit.ok, audit.reservations), (1, 0), "{audit:?}");
}

/// The same array of requests, results and tickets from call to call, as a host would keep them.
fn batches(host: Host, requests: Vec<slotwise_request_t>) -> impl FnMut() {
    // SAFETY: integers.
    let mut placements: Vec<slotwise_placement_t> = vec![unsafe { zeroed() }; requests.len()];
    let mut tickets = vec![0; requests.len()];
    let mut statuses = vec![0; requests.len()];
    move || {
        let mut batch: slotwise_batch_t = sized();
        (batch.requests, batch.count) = (requests.as_ptr(), requests.len());
        batch.placements = placements.as_mut_ptr();
        // SAFETY: as the header asks.
        unsafe { ok((host.c.slotwise_reserve_batch)(host.engine, &batch, null_mut())) };
        for (ticket, placed) in tickets.iter_mut().zip(&placements) {
            ok(placed.status);
            *ticket = placed.ticket;
        }
        release(host, &tickets, &mut statuses);
    }
}

fn release(Host { engine, c }: Host, tickets: &[u64], statuses: &mut [i32]) {
    // SAFETY: as the header asks.
    unsafe {
        let (count, statuses) = (tickets.len(), statuses.as_mut_ptr());
        let done = (null_mut(), null_mut());
        ok((c.slotwise_release_batch)(engine, tickets.as_ptr(), count, statuses, done.0, done.1));
    }
}

/// The crate, with requests that the compiler cannot see into, as it cannot through C.
struct Opaque(Engine);

impl Scheduler for Opaque {
    const NAME: &'static str = "slotwise by ticket, opaque";
    type Held = Ticket;

    fn reserve(&self, job: &Job) -> Option<Ticket> {
        let request = Request::anonymous(job.need).hash(job.hash);
        self.0.reserve(black_box(&request)).ok().map(|placed| placed.ticket)
    }

    fn release(&self, _: &Job, ticket: Ticket) {
        self.0.release(ticket).expect("it is held");
    }
}

impl Embedded for Opaque {
    fn cluster(free: &[Resources]) -> Self {
        Opaque(ByTicket::cluster(free).0)
    }

    fn batches<'a>(&'a self, _: &'a [Job]) -> impl FnMut() + 'a {
        || unreachable!("a batch has its requests in memory anyway")
    }
}

struct CByTicket(Host);

impl Scheduler for CByTicket {
    const NAME: &'static str = "C, by ticket";
    type Held = u64;

    fn reserve(&self, job: &Job) -> Option<u64> {
        reserve(self.0, &by_ticket(job))
    }

    fn release(&self, _: &Job, ticket: u64) {
        // SAFETY: as the header asks.
        unsafe { ok((self.0.c.slotwise_release)(self.0.engine, ticket, null_mut())) };
    }

    fn check_idle(&self) {
        check_idle(self.0);
    }
}

impl Embedded for CByTicket {
    fn cluster(free: &[Resources]) -> Self {
        CByTicket(engine(free))
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        batches(self.0, jobs.iter().map(by_ticket).collect())
    }
}

struct CById(Host);

impl Scheduler for CById {
    const NAME: &'static str = "C, by id";
    type Held = ();

    fn reserve(&self, job: &Job) -> Option<()> {
        reserve(self.0, &by_id(job)).map(|_| ())
    }

    fn release(&self, job: &Job, (): ()) {
        let id = job.id.as_ptr().cast();
        // SAFETY: as the header asks.
        unsafe { ok((self.0.c.slotwise_release_id)(self.0.engine, id, job.id.len(), null_mut())) };
    }

    fn check_idle(&self) {
        check_idle(self.0);
    }
}

impl Embedded for CById {
    fn cluster(free: &[Resources]) -> Self {
        CById(engine(free))
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        batches(self.0, jobs.iter().map(by_id).collect())
    }
}

/// Requests without ids, as columns.
struct CColumns(Host);

impl Scheduler for CColumns {
    const NAME: &'static str = "C, columns";
    type Held = u64;

    fn reserve(&self, job: &Job) -> Option<u64> {
        reserve(self.0, &by_ticket(job))
    }

    fn release(&self, job: &Job, ticket: u64) {
        CByTicket(self.0).release(job, ticket);
    }

    fn check_idle(&self) {
        check_idle(self.0);
    }
}

impl Embedded for CColumns {
    fn cluster(free: &[Resources]) -> Self {
        CColumns(engine(free))
    }

    fn batches<'a>(&'a self, jobs: &'a [Job]) -> impl FnMut() + 'a {
        let column = |of: fn(&Job) -> u64| jobs.iter().map(of).collect::<Vec<u64>>();
        let (cpu, memory) = (column(|job| job.need.cpu), column(|job| job.need.memory));
        let hashes = column(|job| job.hash);
        let (mut tickets, mut statuses) = (vec![0; jobs.len()], vec![0; jobs.len()]);
        let common: slotwise_request_t = sized();
        move || {
            let mut columns: slotwise_columns_t = sized();
            (columns.count, columns.common) = (cpu.len(), &common);
            (columns.cpu, columns.memory) = (cpu.as_ptr(), memory.as_ptr());
            columns.hashes = hashes.as_ptr();
            columns.tickets = tickets.as_mut_ptr();
            columns.statuses = statuses.as_mut_ptr();
            // SAFETY: as the header asks.
            unsafe { ok((self.0.c.slotwise_reserve_columns)(self.0.engine, &columns, null_mut())) };
            statuses.iter().copied().for_each(ok);
            release(self.0, &tickets, &mut statuses);
        }
    }
}

fn pair_row<S: Embedded>() -> Row<'static> {
    let work = jobs_per_thread(1, 32, &LIGHT);
    let scheduler = S::cluster(&CLUSTER);
    Row::new("one at a time", S::NAME, move |pairs| steady(&scheduler, &work, 32, pairs))
}

fn batch_row<S: Embedded>() -> Row<'static> {
    let work = jobs(1, BATCH, &LIGHT);
    let scheduler = S::cluster(&CLUSTER);
    Row::new(format!("batches of {BATCH}"), S::NAME, move |pairs| {
        let mut batches = scheduler.batches(&work);
        let start = Instant::now();
        (0..pairs / BATCH).for_each(|_| batches());
        let took = start.elapsed();
        drop(batches);
        scheduler.check_idle();
        took
    })
}

fn main() {
    let options = Options::get();
    match env::var("SLOTWISE_LIBRARY") {
        Ok(path) => println!("C functions of {path}"),
        Err(_) => println!("C functions linked in; SLOTWISE_LIBRARY names a shared library"),
    }
    let mut rows = vec![
        Row::new("one at a time", BARE, bare_pairs),
        pair_row::<ByTicket>(),
        pair_row::<Opaque>(),
        pair_row::<CByTicket>(),
        pair_row::<ById>(),
        pair_row::<CById>(),
        batch_row::<ByTicket>(),
        batch_row::<CByTicket>(),
        batch_row::<CColumns>(),
        batch_row::<ById>(),
        batch_row::<CById>(),
    ];
    report::interleave(&mut rows, &options);
    let units = [BARE, ByTicket::NAME, ById::NAME].map(Unit::cost);
    report::table("Through C, 20 workers, one thread", &rows, &units, &options).print(&options);
}
