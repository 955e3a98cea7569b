//! What is asked for: machines, and an endless stream of requests for each thread. All of it
//! follows from the mix and the seed, whatever the threads do to one another.

use std::array;

use slotwise::{Constraints, Engine, Request, Resources, Selector, SelectorError, WorkerSpec};

use crate::rng::Rng;

const fn cores(cores: u64, gib: u64) -> Resources {
    Resources::new(cores * 1000, gib * 1024)
}

/// One kind of machine: what it has, and the model of its GPUs.
type Machine = (Resources, &'static str);

/// One kind of request: its weight, what it needs, and which GPU models it accepts (none: any).
type Shape = (u64, Resources, &'static [&'static str]);

/// A kind of cluster and what is asked of it. Workers take the machines in turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Mix {
    pub name: &'static str,
    machines: &'static [Machine],
    shapes: &'static [Shape],
}

/// The kinds of clusters. In each, what the requests need together has about the proportions of
/// what the machines have, CPU a little tighter than the rest, because the fill is one of CPU.
pub const MIXES: [Mix; 3] = [
    Mix {
        name: "uniform",
        machines: &[(cores(64, 256), "")],
        shapes: &[
            (30, cores(1, 3), &[]),
            (30, cores(2, 6), &[]),
            (20, cores(4, 12), &[]),
            (15, cores(8, 24), &[]),
            (5, cores(16, 48), &[]),
        ],
    },
    Mix {
        name: "shapes",
        machines: &[
            (cores(16, 64), ""),
            (cores(32, 128), ""),
            (cores(64, 256), ""),
            (cores(64, 512), ""),
            (cores(96, 192), ""),
            (cores(128, 512), ""),
        ],
        shapes: &[
            (30, cores(1, 2), &[]),
            (25, cores(2, 4), &[]),
            (10, cores(2, 12), &[]),
            (15, cores(4, 8), &[]),
            (5, cores(4, 24), &[]),
            (10, cores(8, 16), &[]),
            (4, cores(16, 32), &[]),
            (1, cores(16, 96), &[]),
        ],
    },
    Mix {
        name: "gpu",
        machines: &[
            (cores(64, 256), ""),
            (cores(64, 512).gpus(8), "T4"),
            (cores(64, 512).gpus(8), "A10G"),
        ],
        shapes: &[
            (20, cores(1, 2), &[]),
            (20, cores(2, 4), &[]),
            (12, cores(4, 8), &[]),
            (8, cores(8, 16), &[]),
            (2, cores(16, 32), &[]),
            (14, cores(8, 32).gpus(1), &[]),
            (6, cores(8, 32).gpus(1), &["T4"]),
            (7, cores(8, 32).gpus(1), &["A10G", "T4"]),
            (7, cores(16, 64).gpus(2), &[]),
            (4, cores(32, 128).gpus(4), &["A10G", "T4"]),
        ],
    },
];

impl Mix {
    pub fn named(name: &str) -> Result<&'static Mix, String> {
        MIXES.iter().find(|mix| mix.name == name).ok_or_else(|| {
            format!("unknown mix; expected one of {}", MIXES.each_ref().map(|m| m.name).join(", "))
        })
    }

    fn machine(&self, worker: usize) -> &'static Machine {
        &self.machines[worker % self.machines.len()]
    }

    /// What a worker has.
    pub fn total(&self, worker: usize) -> &'static Resources {
        &self.machine(worker).0
    }

    /// A worker as it is registered.
    pub fn spec(&self, worker: usize) -> WorkerSpec {
        let (total, model) = self.machine(worker);
        WorkerSpec::new(format!("worker-{worker}"), *total).gpu_type(*model)
    }

    /// CPU of all workers, in millicores.
    pub fn cpu(&self, workers: usize) -> u64 {
        (0..workers).map(|worker| self.total(worker).cpu).sum()
    }

    /// What a request of this shape needs.
    pub fn need(&self, shape: u8) -> Resources {
        self.shapes[shape as usize].1
    }

    /// CPU of the smallest request.
    pub fn smallest_cpu(&self) -> u64 {
        self.shapes.iter().map(|shape| shape.1.cpu).min().expect("every mix has requests")
    }

    /// CPU of a request on average.
    pub fn mean_cpu(&self) -> u64 {
        let weighted: u64 = self.shapes.iter().map(|(weight, need, _)| weight * need.cpu).sum();
        weighted / self.shapes.iter().map(|shape| shape.0).sum::<u64>()
    }

    /// The selector of each shape.
    pub fn selectors(&self, engine: &Engine) -> Result<Vec<Selector>, SelectorError> {
        self.shapes
            .iter()
            .map(|(.., models)| {
                let any = Constraints::new();
                engine.selector(&models.iter().fold(any, |c, model| c.gpu_type(*model)))
            })
            .collect()
    }
}

/// A request's id as hosts write them, a UUID's 36 characters: the thread, and which of the
/// thread's requests it is. Written by hand into its place; nothing is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id([u8; 36]);

impl Id {
    pub fn new(thread: u32, serial: u64) -> Id {
        let mut id = *b"00000000-0000-4000-8000-000000000000";
        id[..8].copy_from_slice(&hex::<8>(thread.into()));
        id[24..].copy_from_slice(&hex::<12>(serial));
        Id(id)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The lowest `N` hexadecimal digits.
fn hex<const N: usize>(number: u64) -> [u8; N] {
    array::from_fn(|i| b"0123456789abcdef"[(number >> (4 * (N - 1 - i)) & 15) as usize])
}

/// One request to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub serial: u64,
    pub shape: u8,
    id: Id,
    /// Where the probe of a request without an id starts.
    hash: u64,
}

impl Planned {
    pub fn request(&self, mix: &Mix, selectors: &[Selector], by_id: bool) -> Request<'_> {
        let need = mix.need(self.shape);
        let request = if by_id {
            Request::new(self.id.as_bytes(), need)
        } else {
            Request::anonymous(need).hash(self.hash)
        };
        request.selector(selectors[self.shape as usize])
    }
}

/// What a thread does with its requests.
#[derive(Clone, Copy)]
pub enum Phase {
    Fill,
    Churn,
}

/// A thread's endless stream of requests for one phase.
pub struct Stream {
    mix: &'static Mix,
    rng: Rng,
    thread: u32,
    serial: u64,
}

impl Stream {
    /// How long the fill goes on depends on the other threads, so that it must not decide what
    /// the churn asks for: each phase has its own numbers and serials.
    pub fn new(mix: &'static Mix, seed: u64, thread: u32, phase: Phase) -> Stream {
        let stream = u64::from(thread) << 1 | phase as u64;
        Stream { mix, rng: Rng::new(seed, stream), thread, serial: (phase as u64) << 47 }
    }

    /// Replaces `block` by the next `count` requests.
    pub fn draw(&mut self, count: usize, block: &mut Vec<Planned>) {
        block.clear();
        block.extend((0..count).map(|_| {
            self.serial += 1;
            Planned {
                serial: self.serial,
                shape: self.rng.pick(self.mix.shapes, |shape| shape.0) as u8,
                id: Id::new(self.thread, self.serial),
                hash: self.rng.next(),
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, thread: u32, phase: Phase) -> Vec<Planned> {
        let mut block = Vec::new();
        Stream::new(&MIXES[0], seed, thread, phase).draw(100, &mut block);
        block
    }

    #[test]
    fn requests_follow_from_seed_thread_and_phase() {
        let some = drawn(1, 0, Phase::Churn);
        assert_eq!(some, drawn(1, 0, Phase::Churn));
        let others =
            [drawn(2, 0, Phase::Churn), drawn(1, 1, Phase::Churn), drawn(1, 0, Phase::Fill)];
        for other in others {
            assert!(some.iter().zip(&other).any(|(a, b)| a.shape != b.shape));
        }
    }

    #[test]
    fn no_id_comes_twice() {
        let mut ids: Vec<_> = [(0, Phase::Fill), (0, Phase::Churn), (1, Phase::Fill)]
            .into_iter()
            .flat_map(|(thread, phase)| drawn(1, thread, phase))
            .map(|planned| planned.id.0)
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn ids_look_like_uuids() {
        assert_eq!(
            std::str::from_utf8(Id::new(0x1f, 0xabc).as_bytes()),
            Ok("0000001f-0000-4000-8000-000000000abc")
        );
    }

    #[test]
    fn every_request_fits_on_a_machine_of_its_mix() {
        for mix in &MIXES {
            for (_, need, models) in mix.shapes {
                let fits = mix.machines.iter().any(|(total, model)| {
                    need.fits_in(total) && (models.is_empty() || models.contains(model))
                });
                assert!(fits, "{need} {models:?} in {}", mix.name);
            }
        }
    }
}
