//! What a replay came to, added up from the placements alone: plain sums over the input's own
//! numbers, in which the engine has no say.

use std::collections::BTreeMap;

use serde::Serialize;
use slotwise::{Dimension, Refusal, Resources, Verdict, placement::gpu::DeviceSet};

use super::{
    Gpu,
    input::{DEVICE, Pod, Trace},
};

/// Last bin of [`Books::allo`].
pub const LAST: usize = 130;

/// Where a pod went, or why it went nowhere.
pub type Placement = Result<Place, &'static str>;

/// A node by its index, and which of its devices; none where whole devices are only counted.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub node: usize,
    pub devices: DeviceSet,
}

/// The sums of one replay.
#[derive(Debug, Serialize)]
pub struct Books {
    pub placed: u64,
    pub dropped: u64,
    pub dropped_by_reason: BTreeMap<&'static str, u64>,
    pub capacity_gpu_milli: u64,
    /// 100 x arrived / capacity at the end; none in a cluster without GPUs.
    pub arrived_percent: Option<f64>,
    /// 100 x allocated / capacity at the end.
    pub allocated_percent: Option<f64>,
    /// Index k: mean of 100 x allocated / capacity over the pods at which arrived is k percent.
    pub allo: Vec<Option<f64>>,
    pub allo_100: Option<f64>,
    pub allo_130: Option<f64>,
    /// How often a node's CPU, memory, GPUs or one of its devices were given out beyond what there is,
    /// and how often a pod got other devices than it asks for.
    pub oversold: u64,
    /// How many pods are on a node whose model they may not use.
    pub misplaced: u64,
}

impl Books {
    /// Adds up the placements of a trace's pods, one for each.
    pub fn new(trace: &Trace, placements: &[Placement], gpu: Gpu) -> Books {
        let capacity = trace.capacity_milli();
        let percent = |milli: u64| (capacity > 0).then(|| 100.0 * milli as f64 / capacity as f64);
        let mut bins = Bins::new(capacity);
        let mut used = vec![Used::default(); trace.nodes.len()];
        let mut dropped_by_reason = BTreeMap::new();
        let (mut placed, mut misplaced, mut arrived, mut allocated) = (0, 0, 0, 0);
        for (pod, placement) in trace.pods.iter().zip(placements) {
            arrived += pod.asks_milli();
            match *placement {
                Ok(Place { node, devices }) => {
                    placed += 1;
                    allocated += pod.asks_milli();
                    misplaced += u64::from(!trace.allows(pod, &trace.nodes[node]));
                    used[node].add(pod, devices, gpu);
                }
                Err(reason) => *dropped_by_reason.entry(reason).or_insert(0) += 1,
            }
            bins.add(arrived, allocated);
        }
        let allo = bins.means();
        Books {
            placed,
            dropped: dropped_by_reason.values().sum(),
            dropped_by_reason,
            capacity_gpu_milli: capacity,
            arrived_percent: percent(arrived),
            allocated_percent: percent(allocated),
            allo_100: allo[100],
            allo_130: allo[LAST],
            allo,
            oversold: trace
                .nodes
                .iter()
                .zip(&used)
                .map(|(node, used)| used.over(&node.total))
                .sum(),
            misplaced,
        }
    }
}

/// What is used of one node.
#[derive(Clone, Default)]
pub struct Used {
    amounts: Resources,
    /// By device, where parts of devices are told apart.
    milli: Vec<u64>,
    /// Pods that got too few or too many devices.
    wrong: u64,
}

impl Used {
    pub fn add(&mut self, pod: &Pod, devices: DeviceSet, gpu: Gpu) {
        let whole = pod.whole_devices();
        if gpu == Gpu::Whole {
            self.amounts = plus(self.amounts, whole);
            return;
        }
        self.amounts = plus(self.amounts, Resources::new(whole.cpu, whole.memory));
        self.wrong += u64::from(devices.iter().count() as u64 != pod.num_gpu);
        for device in devices.iter() {
            if self.milli.len() <= device {
                self.milli.resize(device + 1, 0);
            }
            self.milli[device] += pod.gpu_milli;
        }
    }

    /// Gives back what was added.
    pub fn take_away(&mut self, pod: &Pod, devices: DeviceSet) {
        let Resources { cpu, memory, gpus } = self.amounts;
        self.amounts = Resources::new(cpu - pod.cpu, memory - pod.memory).gpus(gpus);
        devices.iter().for_each(|device| self.milli[device] -= pod.gpu_milli);
    }

    /// In how many places more is used than there is.
    pub fn over(&self, total: &Resources) -> u64 {
        let there = |device: usize| if (device as u64) < total.gpus { DEVICE } else { 0 };
        let devices = self.milli.iter().enumerate().filter(|&(i, &used)| used > there(i)).count();
        oversold([(total, &self.amounts)].into_iter()) + devices as u64 + self.wrong
    }
}

/// What is used after one more request.
pub fn plus(used: Resources, need: Resources) -> Resources {
    Resources::new(used.cpu + need.cpu, used.memory + need.memory).gpus(used.gpus + need.gpus)
}

/// In how many places more is used than there is, over workers and dimensions.
pub fn oversold<'a>(totals_and_used: impl Iterator<Item = (&'a Resources, &'a Resources)>) -> u64 {
    totals_and_used
        .map(|(total, used)| {
            Dimension::ALL.into_iter().filter(|&d| used.get(d) > total.get(d)).count() as u64
        })
        .sum()
}

/// A refusal's stable name; they are listed in the command's help.
pub fn reason(refusal: &Refusal) -> &'static str {
    let (cpu, memory, gpus, neither) = match refusal.verdict {
        Verdict::Busy => ("busy_cpu", "busy_memory", "busy_gpus", "busy_not_ready"),
        Verdict::Never => {
            let r = &refusal.reasons;
            let any_matches = r.not_ready + r.cpu + r.memory + r.gpus > 0;
            let neither = if any_matches { "never_together" } else { "never_no_match" };
            ("never_cpu", "never_memory", "never_gpus", neither)
        }
    };
    match refusal.blocking {
        Some(Dimension::Cpu) => cpu,
        Some(Dimension::Memory) => memory,
        Some(Dimension::Gpus) => gpus,
        None => neither,
    }
}

/// Allocated against arrived, by whole percent of the capacity that has arrived.
struct Bins {
    capacity: u64,
    /// By bin: allocated milli over its events, and how many there were.
    sums: [(u128, u64); LAST + 1],
}

impl Bins {
    fn new(capacity: u64) -> Bins {
        Bins { capacity, sums: [(0, 0); LAST + 1] }
    }

    fn add(&mut self, arrived: u64, allocated: u64) {
        let Some(bin) = rounded_percent(arrived, self.capacity) else {
            return;
        };
        if let Some((sum, events)) = self.sums.get_mut(bin) {
            *sum += u128::from(allocated);
            *events += 1;
        }
    }

    /// The means; a bin without events has the mean of those of its two neighbours that have some.
    fn means(&self) -> Vec<Option<f64>> {
        let mean = |bin: usize| match self.sums.get(bin) {
            Some((sum, events)) if *events > 0 => {
                Some(100.0 * *sum as f64 / (*events as f64 * self.capacity as f64))
            }
            _ => None,
        };
        (0..=LAST)
            .map(|bin| {
                mean(bin).or_else(|| {
                    let (below, above) = (bin.checked_sub(1).and_then(mean), mean(bin + 1));
                    below.zip(above).map(|(a, b)| (a + b) / 2.0).or(below).or(above)
                })
            })
            .collect()
    }
}

/// 100 x part / whole, rounded half to even, in whole numbers so that no half is missed.
pub fn rounded_percent(part: u64, whole: u64) -> Option<usize> {
    let (part, whole) = (100 * u128::from(part), u128::from(whole));
    let (down, rest) = (part.checked_div(whole)?, part % whole);
    let up = match (2 * rest).cmp(&whole) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => down % 2,
        std::cmp::Ordering::Greater => 1,
    };
    usize::try_from(down + up).ok()
}

#[cfg(test)]
mod tests {
    use slotwise::{Outlook, Reasons};

    use super::{
        super::input::{Node, Pod},
        *,
    };

    #[test]
    fn percents_round_half_to_even() {
        let of_1000 = |part| rounded_percent(part, 1000);
        assert_eq!(of_1000(4), Some(0));
        assert_eq!(of_1000(5), Some(0));
        assert_eq!(of_1000(6), Some(1));
        assert_eq!(of_1000(15), Some(2));
        assert_eq!(of_1000(25), Some(2));
        assert_eq!(of_1000(995), Some(100));
        assert_eq!(rounded_percent(1, 0), None);
    }

    #[test]
    fn a_bin_is_the_mean_over_its_events() {
        let mut bins = Bins::new(1000);
        bins.add(10, 10);
        bins.add(10, 10);
        bins.add(14, 40);
        bins.add(1310, 1000); // beyond the last bin
        let means = bins.means();
        assert_eq!(means.len(), 131);
        assert_eq!(means[1], Some(2.0));
        assert_eq!(means[130], None);
    }

    #[test]
    fn an_empty_bin_asks_its_neighbours_once() {
        let mut bins = Bins::new(1000);
        bins.add(100, 100);
        bins.add(120, 110);
        let means = bins.means();
        assert_eq!(means[8], None);
        assert_eq!(means[9], Some(10.0));
        assert_eq!(means[11], Some(10.5));
        assert_eq!(means[13], Some(11.0));
        assert_eq!(means[14], None);
    }

    fn pod(name: &str, num_gpu: u64, gpu_milli: u64, models: usize) -> Pod {
        Pod { name: name.into(), cpu: 1000, memory: 10, num_gpu, gpu_milli, models }
    }

    fn at(node: usize) -> Placement {
        Ok(Place { node, devices: DeviceSet::NONE })
    }

    fn trace(pods: Vec<Pod>) -> Trace {
        let node = |name: &str, gpus, model: &str| Node {
            name: name.into(),
            total: Resources::new(2000, 100).gpus(gpus),
            model: model.into(),
        };
        Trace {
            nodes: vec![node("a", 2, "T4"), node("b", 0, "")],
            pods,
            model_sets: vec![vec![], vec!["T4".into()]],
        }
    }

    #[test]
    fn sums_count_what_was_asked_for_and_devices_that_were_taken() {
        let trace = trace(vec![pod("p", 1, 500, 1), pod("q", 1, 500, 0), pod("r", 0, 0, 0)]);
        let books = Books::new(&trace, &[at(0), Err("busy_gpus"), at(1)], Gpu::Whole);
        assert_eq!((books.placed, books.dropped, books.capacity_gpu_milli), (2, 1, 2000));
        assert_eq!((books.arrived_percent, books.allocated_percent), (Some(50.0), Some(25.0)));
        assert_eq!((books.allo[25], books.allo[50]), (Some(25.0), Some(25.0)));
        assert_eq!(books.dropped_by_reason, BTreeMap::from([("busy_gpus", 1)]));
        assert_eq!((books.oversold, books.misplaced), (0, 0));
    }

    #[test]
    fn finds_an_oversold_node_and_a_forbidden_model() {
        let parts = (0..3).map(|i| pod(&format!("p{i}"), 1, 100, 0)).collect();
        // Three parts of devices as three whole devices, and 3,000m of CPU, where 2 and 2,000m are.
        assert_eq!(Books::new(&trace(parts), &[at(0), at(0), at(0)], Gpu::Whole).oversold, 2);
        let books = Books::new(&trace(vec![pod("p", 1, 1000, 1)]), &[at(1)], Gpu::Whole);
        assert_eq!((books.oversold, books.misplaced), (1, 1));
    }

    #[test]
    fn finds_an_oversold_device_and_a_wrong_number_of_them() {
        let parts = || trace((0..2).map(|i| pod(&format!("p{i}"), 1, 600, 0)).collect());
        let on = |devices| Ok(Place { node: 0, devices: DeviceSet(devices) });
        let oversold =
            |devices: [u16; 2]| Books::new(&parts(), &devices.map(on), Gpu::Shared).oversold;
        assert_eq!(oversold([1, 2]), 0);
        assert_eq!(oversold([1, 1]), 1, "one device for both");
        assert_eq!(oversold([1, 4]), 1, "a device that is not there");
        assert_eq!(oversold([1, 0]), 1, "no device");
        let mut used = Used::default();
        let pod = pod("p", 1, 600, 0);
        used.add(&pod, DeviceSet(1), Gpu::Shared);
        used.take_away(&pod, DeviceSet(1));
        used.add(&pod, DeviceSet(1), Gpu::Shared);
        assert_eq!(used.over(&Resources::new(2000, 100).gpus(2)), 0);
    }

    #[test]
    fn a_cluster_without_gpus_has_no_percentages() {
        let mut trace = trace(vec![pod("p", 0, 0, 0)]);
        trace.nodes.remove(0);
        let books = Books::new(&trace, &[at(0)], Gpu::Whole);
        assert_eq!((books.arrived_percent, books.allo_100, books.placed), (None, None, 1));
    }

    #[test]
    fn reasons_have_names() {
        let named = |verdict, blocking, reasons| {
            reason(&Refusal { verdict, blocking, reasons, outlook: Outlook::Start })
        };
        let some = Reasons { cpu: 1, ..Reasons::default() };
        let none = Reasons { not_matching: 9, ..Reasons::default() };
        assert_eq!(named(Verdict::Busy, Some(Dimension::Gpus), some), "busy_gpus");
        assert_eq!(named(Verdict::Busy, None, some), "busy_not_ready");
        assert_eq!(named(Verdict::Never, Some(Dimension::Memory), some), "never_memory");
        assert_eq!(named(Verdict::Never, None, some), "never_together");
        assert_eq!(named(Verdict::Never, None, none), "never_no_match");
    }
}
