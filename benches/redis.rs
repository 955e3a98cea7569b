//! The hot path that this engine replaces, at its best: Redis on the same machine, no persistence,
//! one client with nobody in its way, on the same core, as few round trips as the steps allow.
//!
//! `cargo bench --bench redis -- [--rounds N] [--json]`; needs `redis-server` on the PATH.

#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod baseline;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod common;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod report;

use std::hash::RandomState;
use std::io;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{Connection, FromRedisValue, ParsingError, RedisResult, Script, Value};
#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use slotwise::{Resources, State};
use tempfile::TempDir;

use baseline::MutexVecMap;
use common::{ById, CLUSTER, Embedded, Job, LIGHT, Scheduler, TOTAL, jobs_per_thread, steady};
use report::{Options, Row, Unit};

const LIVE: usize = 16;
const SCENARIO: &str = "20 workers, 1 client";
const ANSWERS: &str = "the server answers";

/// A server of our own; killed, by its process id, when this is dropped, and so on a panic too.
struct Server {
    child: Child,
    client: redis::Client,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// None where there is no `redis-server`.
    fn start() -> io::Result<Option<Server>> {
        let dir = tempfile::tempdir()?;
        // Another process could take the port before the server does: it would end, and say so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let spawned = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let child = match spawned {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))
            .expect("the address is well formed");
        let mut server = Server { child, client, _dir: dir };
        let give_up = Instant::now() + Duration::from_secs(10);
        while server.client.get_connection().is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("redis-server ended at once: {status}")));
            }
            if Instant::now() > give_up {
                return Err(io::Error::other("redis-server does not answer"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    fn connect(&self) -> Connection {
        self.client.get_connection().expect(ANSWERS)
    }
}

/// Keeps this process, and the server that it will start, on the core that it runs on: to switch
/// between two processes is cheaper than to wake a core that sleeps, so this is Redis at its best.
#[cfg(target_os = "linux")]
fn share_one_core() {
    let mut cores = CpuSet::new();
    cores.set(sched_getcpu());
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("redis: client and server on several cores ({error}): slower than it could be");
    }
}

#[cfg(not(target_os = "linux"))]
fn share_one_core() {}

fn worker_key(prefix: &str, index: usize) -> String {
    format!("{prefix}:worker:{index}")
}

/// Registers the cluster under keys that start with `prefix`.
fn register(connection: &mut Connection, prefix: &str) {
    let mut pipeline = redis::pipe();
    for (index, free) in CLUSTER.iter().enumerate() {
        let fields = [
            ("cpu", free.cpu),
            ("memory", free.memory),
            ("gpus", free.gpus),
            ("state", State::Ready as u64),
            ("version", 0),
        ];
        pipeline.hset_multiple(worker_key(prefix, index), &fields).ignore();
    }
    pipeline.exec(connection).expect(ANSWERS);
}

fn read_workers(connection: &mut Connection, prefix: &str) -> RedisResult<Vec<Worker>> {
    let mut pipeline = redis::pipe();
    for index in 0..CLUSTER.len() {
        pipeline.hgetall(worker_key(prefix, index));
    }
    pipeline.query(connection)
}

fn check_idle(connection: &mut Connection, prefix: &str) {
    let workers = read_workers(connection, prefix).expect(ANSWERS);
    assert!(workers.iter().all(|worker| worker.free == TOTAL), "the books do not add up");
}

/// A worker as its hash says.
#[derive(Default)]
struct Worker {
    free: Resources,
    state: u64,
    version: u64,
}

impl FromRedisValue for Worker {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut worker = Worker::default();
        for (field, number) in Vec::<(String, u64)>::from_redis_value(value)? {
            match field.as_str() {
                "cpu" => worker.free.cpu = number,
                "memory" => worker.free.memory = number,
                "gpus" => worker.free.gpus = number,
                "state" => worker.state = number,
                "version" => worker.version = number,
                _ => return Err(format!("unknown field {field}").into()),
            }
        }
        Ok(worker)
    }
}

/// What the replaced system does: read every worker, filter, commit to the one chosen if its
/// version is still the one that was read; again from the start if not. The workers come in one
/// round trip instead of three each, and nobody takes a lock.
struct ReadAll(Mutex<Connection>);

impl ReadAll {
    const PREFIX: &'static str = "read-all";

    fn new(mut connection: Connection) -> Self {
        register(&mut connection, Self::PREFIX);
        ReadAll(Mutex::new(connection))
    }

    fn container_key(job: &Job) -> String {
        format!("{}:container:{}", Self::PREFIX, job.id)
    }

    fn try_reserve(&self, job: &Job) -> RedisResult<Option<()>> {
        let connection = &mut *self.0.lock();
        let Resources { cpu, memory, gpus } = job.need;
        loop {
            let workers = read_workers(connection, Self::PREFIX)?;
            let fits = |w: &Worker| w.state == State::Ready as u64 && job.need.fits_in(&w.free);
            let Some(index) = workers.iter().position(fits) else { return Ok(None) };
            let Worker { free, version, .. } = workers[index];
            let key = worker_key(Self::PREFIX, index);
            let (now,): (u64,) = redis::pipe()
                .cmd("WATCH")
                .arg(&key)
                .ignore()
                .hget(&key, "version")
                .query(connection)?;
            if now != version {
                redis::cmd("UNWATCH").exec(connection)?;
                continue;
            }
            let left = [
                ("cpu", free.cpu - cpu),
                ("memory", free.memory - memory),
                ("gpus", free.gpus - gpus),
                ("version", version + 1),
            ];
            let held = [("worker", index as u64), ("cpu", cpu), ("memory", memory), ("gpus", gpus)];
            let done: Option<()> = redis::pipe()
                .atomic()
                .hset_multiple(&key, &left)
                .ignore()
                .hset_multiple(Self::container_key(job), &held)
                .ignore()
                .query(connection)?;
            if done.is_some() {
                return Ok(done);
            }
        }
    }

    /// Whether the container was still held.
    fn try_release(&self, job: &Job) -> RedisResult<bool> {
        let connection = &mut *self.0.lock();
        let container = Self::container_key(job);
        loop {
            let (held,): (Vec<Option<u64>>,) = redis::pipe()
                .cmd("WATCH")
                .arg(&container)
                .ignore()
                .hmget(&container, &["worker", "cpu", "memory", "gpus"])
                .query(connection)?;
            let &[Some(index), Some(cpu), Some(memory), Some(gpus)] = held.as_slice() else {
                redis::cmd("UNWATCH").exec(connection)?;
                return Ok(false);
            };
            let key = worker_key(Self::PREFIX, index as usize);
            let done: Option<()> = redis::pipe()
                .atomic()
                .hincr(&key, "cpu", cpu)
                .ignore()
                .hincr(&key, "memory", memory)
                .ignore()
                .hincr(&key, "gpus", gpus)
                .ignore()
                .hincr(&key, "version", 1)
                .ignore()
                .del(&container)
                .ignore()
                .query(connection)?;
            if done.is_some() {
                return Ok(true);
            }
        }
    }
}

impl Scheduler for ReadAll {
    const NAME: &'static str = "Redis: read all, WATCH, MULTI, EXEC";
    type Held = ();

    fn reserve(&self, job: &Job) -> Option<()> {
        self.try_reserve(job).expect(ANSWERS)
    }

    fn release(&self, job: &Job, (): ()) {
        assert!(self.try_release(job).expect(ANSWERS), "it is held");
    }

    fn check_idle(&self) {
        check_idle(&mut self.0.lock(), Self::PREFIX);
    }
}

/// The same in one round trip each: a script on the server picks the worker and reserves.
struct Lua {
    connection: Mutex<Connection>,
    reserve: Script,
    release: Script,
}

impl Lua {
    const PREFIX: &'static str = "lua";

    /// KEYS: the container. ARGV: the prefix, how many workers, the state that takes requests, cpu,
    /// memory, gpus. Answers whether it is held.
    const RESERVE: &'static str = r"
        if redis.call('EXISTS', KEYS[1]) == 1 then return true end
        local cpu, memory, gpus = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
        for index = 0, ARGV[2] - 1 do
            local key = ARGV[1] .. ':worker:' .. index
            local w = redis.call('HMGET', key, 'state', 'cpu', 'memory', 'gpus', 'version')
            if w[1] == ARGV[3] and tonumber(w[2]) >= cpu and tonumber(w[3]) >= memory
                and tonumber(w[4]) >= gpus then
                redis.call('HSET', key, 'cpu', w[2] - cpu, 'memory', w[3] - memory,
                    'gpus', w[4] - gpus, 'version', w[5] + 1)
                redis.call('HSET', KEYS[1], 'worker', index, 'cpu', cpu, 'memory', memory,
                    'gpus', gpus)
                return true
            end
        end
        return false";

    /// KEYS: the container. ARGV: the prefix. Answers whether it was still held.
    const RELEASE: &'static str = r"
        local held = redis.call('HMGET', KEYS[1], 'worker', 'cpu', 'memory', 'gpus')
        if not held[1] then return false end
        local key = ARGV[1] .. ':worker:' .. held[1]
        local w = redis.call('HMGET', key, 'cpu', 'memory', 'gpus', 'version')
        redis.call('HSET', key, 'cpu', w[1] + held[2], 'memory', w[2] + held[3],
            'gpus', w[3] + held[4], 'version', w[4] + 1)
        redis.call('DEL', KEYS[1])
        return true";

    fn new(mut connection: Connection) -> Self {
        register(&mut connection, Self::PREFIX);
        Lua {
            connection: Mutex::new(connection),
            reserve: Script::new(Self::RESERVE),
            release: Script::new(Self::RELEASE),
        }
    }

    fn container_key(job: &Job) -> String {
        format!("{}:container:{}", Self::PREFIX, job.id)
    }
}

impl Scheduler for Lua {
    const NAME: &'static str = "Redis: one Lua script";
    type Held = ();

    fn reserve(&self, job: &Job) -> Option<()> {
        let held: bool = self
            .reserve
            .key(Self::container_key(job))
            .arg(Self::PREFIX)
            .arg(CLUSTER.len())
            .arg(State::Ready as u8)
            .arg(&[job.need.cpu, job.need.memory, job.need.gpus])
            .invoke(&mut self.connection.lock())
            .expect(ANSWERS);
        held.then_some(())
    }

    fn release(&self, job: &Job, (): ()) {
        let held: bool = self
            .release
            .key(Self::container_key(job))
            .arg(Self::PREFIX)
            .invoke(&mut self.connection.lock())
            .expect(ANSWERS);
        assert!(held, "it is held");
    }

    fn check_idle(&self) {
        check_idle(&mut self.connection.lock(), Self::PREFIX);
    }
}

fn row<S: Scheduler + 'static>(scheduler: S) -> Row<'static> {
    let work = jobs_per_thread(1, LIVE, &LIGHT);
    Row::new(SCENARIO, S::NAME, move |pairs| steady(&scheduler, &work, LIVE, pairs))
}

fn ping_row(mut connection: Connection) -> Row<'static> {
    Row::new(SCENARIO, "Redis: one PING, for scale", move |times| {
        let start = Instant::now();
        for _ in 0..times {
            redis::cmd("PING").exec(&mut connection).expect(ANSWERS);
        }
        start.elapsed()
    })
}

fn main() -> io::Result<()> {
    let options = Options::get();
    share_one_core();
    let Some(server) = Server::start()? else {
        eprintln!("redis: skipped, there is no redis-server on the PATH");
        return Ok(());
    };
    let mut rows = [
        row(ById::cluster(&CLUSTER)),
        row(MutexVecMap::<RandomState>::cluster(&CLUSTER)),
        ping_row(server.connect()),
        row(Lua::new(server.connect())),
        row(ReadAll::new(server.connect())),
    ];
    report::interleave(&mut rows, &options);
    let units = [Unit::cost(ById::NAME)];
    report::table("Reserve and release beside Redis", &rows, &units, &options).print(&options);
    Ok(())
}
