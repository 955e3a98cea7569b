//! The benchmarks of the system whose hot path this engine replaces (it published 290 ms for 100
//! containers on 20 workers, 3.07 ms for one), each beside what a user would write with a mutex.

mod baseline;
mod common;

use std::hash::RandomState;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};
use slotwise::Resources;

use baseline::{MutexVec, MutexVecMap};
use common::{
    ById, ByTicket, CLUSTER, Embedded, HEAVY, Job, LIGHT, TOTAL, jobs, jobs_per_thread, steady,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Short runs of few samples: what is compared here differs by more than what that leaves unsure.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(30)
        .nresamples(10_000)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    group
}

/// One container: select a worker, reserve on it, release.
fn worker_selection(criterion: &mut Criterion) {
    fn bench<S: Embedded>(group: &mut Group, fill: &str, free: &[Resources]) {
        let scheduler = S::cluster(free);
        let work = jobs(1, 256, &HEAVY);
        // An id is never the one of the last call, as it would not be in a host.
        let mut next = (0..work.len()).cycle();
        group.bench_function(BenchmarkId::new(S::NAME, fill), |b| {
            b.iter(|| {
                let job = &work[next.next().expect("a cycle has no end")];
                let held = scheduler.reserve(job).expect("one worker at least has room");
                scheduler.release(job, held);
            });
        });
        scheduler.check_idle();
    }

    let fifth = Resources::new(TOTAL.cpu / 5, TOTAL.memory / 5);
    let mut one_open = [Resources::ZERO; CLUSTER.len()];
    // In the middle, so that neither end of a scan is favoured.
    one_open[CLUSTER.len() / 2] = TOTAL;

    let mut group = group(criterion, "worker_selection");
    for (fill, free) in [("empty", &CLUSTER), ("80% full", &[fifth; 20]), ("one open", &one_open)] {
        bench::<ByTicket>(&mut group, fill, free);
        bench::<ById>(&mut group, fill, free);
        bench::<MutexVec>(&mut group, fill, free);
        bench::<MutexVecMap<RandomState>>(&mut group, fill, free);
    }
    group.finish();
}

/// 100 containers of mixed sizes are placed, then all released.
fn schedule_container_requests(criterion: &mut Criterion) {
    fn bench<S: Embedded>(group: &mut Group, containers: &[Job]) {
        let scheduler = S::cluster(&CLUSTER);
        let mut held = Vec::with_capacity(containers.len());
        group.bench_function(BenchmarkId::new(S::NAME, "one by one"), |b| {
            b.iter(|| {
                for job in containers {
                    held.push(scheduler.reserve(job).expect("there is room for all"));
                }
                for (job, held) in containers.iter().zip(held.drain(..)) {
                    scheduler.release(job, held);
                }
            });
        });
        let mut batches = scheduler.batches(containers);
        group.bench_function(BenchmarkId::new(S::NAME, "batch"), |b| b.iter(&mut batches));
        drop(batches);
        scheduler.check_idle();
    }

    const SIZES: [Resources; 5] = [
        Resources::new(500, 1_024),
        Resources::new(1_000, 4_096),
        Resources::new(4_000, 8_192),
        Resources::new(8_000, 32_768),
        Resources::new(16_000, 65_536),
    ];
    let containers = jobs(1, 100, &SIZES);
    let mut group = group(criterion, "schedule_container_requests");
    group.throughput(Throughput::Elements(containers.len() as u64));
    bench::<ByTicket>(&mut group, &containers);
    bench::<ById>(&mut group, &containers);
    bench::<MutexVec>(&mut group, &containers);
    bench::<MutexVecMap<RandomState>>(&mut group, &containers);
    group.finish();
}

/// Threads that release and reserve at once on the same 20 workers. The time is that of one pair,
/// over all threads: half of it means twice the throughput.
fn lock_contention(criterion: &mut Criterion) {
    const LIVE: usize = 16;

    fn bench<S: Embedded>(group: &mut Group, work: &[Vec<Job>]) {
        let threads = work.len() as u64;
        let scheduler = S::cluster(&CLUSTER);
        group.bench_function(BenchmarkId::new(S::NAME, threads), |b| {
            b.iter_custom(|iterations| {
                let pairs = iterations.div_ceil(threads);
                let took = steady(&scheduler, work, LIVE, pairs as usize);
                took.mul_f64(iterations as f64 / (pairs * threads) as f64)
            });
        });
    }

    let mut group = group(criterion, "lock_contention");
    for threads in [1, 2, 4, 8] {
        let work = jobs_per_thread(threads, LIVE, &LIGHT);
        bench::<ByTicket>(&mut group, &work);
        bench::<ById>(&mut group, &work);
        bench::<MutexVec>(&mut group, &work);
        bench::<MutexVecMap<RandomState>>(&mut group, &work);
    }
    group.finish();
}

criterion_group!(benches, worker_selection, schedule_container_requests, lock_contention);
criterion_main!(benches);
