//! `slotwise generate`: a made-up cluster and its requests, as input for `slotwise replay`.

use std::path::{Path, PathBuf};

use crate::{failure::Failure, replay::DEVICE, rng::Rng};

/// Writes a synthetic cluster and its requests as input for `slotwise replay`.
///
/// Nodes without GPUs and with 2, 4 or 8 of four models; pods that want no GPU, a part of one, one
/// or several, some bound to a model or two. The same seed gives the same files everywhere.
#[derive(clap::Args)]
pub struct Args {
    /// Where to write the nodes.
    #[arg(long, value_name = "NODES.csv")]
    nodes_out: PathBuf,
    /// Where to write the pods.
    #[arg(long, value_name = "PODS.csv")]
    pods_out: PathBuf,
    /// How many nodes.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    nodes: u64,
    /// How many pods [default: as many as ask for 131 % of the GPUs].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1 << 26))]
    pods: Option<u64>,
    /// Another seed, another cluster.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// A kind of machine and its share of the cluster.
struct Machine {
    weight: u64,
    cores: u64,
    memory_gib: u64,
    gpus: u64,
    model: &'static str,
}

const fn machine(
    weight: u64,
    cores: u64,
    memory_gib: u64,
    gpus: u64,
    model: &'static str,
) -> Machine {
    Machine { weight, cores, memory_gib, gpus, model }
}

/// The first has GPUs: the first node is always one of it, so that no cluster is without.
const MACHINES: [Machine; 5] = [
    machine(30, 64, 256, 2, "T4"),
    machine(25, 96, 384, 4, "A10"),
    machine(10, 80, 512, 4, "V100"),
    machine(20, 128, 1024, 8, "A100"),
    machine(15, 64, 256, 0, ""),
];

/// A kind of pod: its share, whole GPUs (0: a part of one, or none), cores it may want.
struct Kind {
    weight: u64,
    gpus: Gpus,
    cores: &'static [u64],
}

enum Gpus {
    None,
    Part,
    Whole(u64),
}

const KINDS: [Kind; 6] = [
    Kind { weight: 18, gpus: Gpus::None, cores: &[1, 2, 4, 8, 16] },
    Kind { weight: 45, gpus: Gpus::Part, cores: &[2, 4, 6, 8] },
    Kind { weight: 25, gpus: Gpus::Whole(1), cores: &[4, 6, 8, 12] },
    Kind { weight: 5, gpus: Gpus::Whole(2), cores: &[8, 16, 24] },
    Kind { weight: 3, gpus: Gpus::Whole(4), cores: &[24, 32, 48] },
    Kind { weight: 4, gpus: Gpus::Whole(8), cores: &[64, 88, 96] },
];

/// What the pods ask for together, in percent of the GPUs, so that the last bin of a replay is met.
const DEMAND_PERCENT: u64 = 131;

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.nodes_out == args.pods_out {
        let path = args.nodes_out.display();
        return Err(Failure::Unusable(format!(
            "--nodes-out and --pods-out are both {path}: expected two files"
        )));
    }
    let (nodes, capacity) = nodes(args.nodes, &mut Rng::new(args.seed, 0));
    write(&args.nodes_out, ["sn", "cpu_milli", "memory_mib", "gpu", "model"], nodes)?;
    let columns = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"];
    let demand = capacity * DEMAND_PERCENT / 100;
    write(&args.pods_out, columns, pods(args.pods, demand, &mut Rng::new(args.seed, 1)))
}

/// The rows, and the GPU milli there are in all.
fn nodes(count: u64, rng: &mut Rng) -> (Vec<[String; 5]>, u64) {
    let mut capacity = 0;
    let rows = (0..count)
        .map(|i| {
            let kind = if i == 0 { 0 } else { rng.pick(&MACHINES, |m| m.weight) };
            let Machine { cores, memory_gib, gpus, model, .. } = MACHINES[kind];
            capacity += gpus * DEVICE;
            [
                format!("node-{i:05}"),
                (cores * 1000).to_string(),
                (memory_gib * 1024).to_string(),
                gpus.to_string(),
                model.to_owned(),
            ]
        })
        .collect();
    (rows, capacity)
}

/// So many pods, or as many as ask for `demand` in all.
fn pods(count: Option<u64>, demand: u64, rng: &mut Rng) -> Vec<[String; 6]> {
    let mut rows = Vec::new();
    let mut asked = 0;
    while count.map_or(asked < demand, |count| (rows.len() as u64) < count) {
        let kind = &KINDS[rng.pick(&KINDS, |kind| kind.weight)];
        let cores = kind.cores[rng.below(kind.cores.len() as u64) as usize];
        let memory_gib = cores * (2 + rng.below(3));
        let (num_gpu, gpu_milli) = match kind.gpus {
            Gpus::None => (0, 0),
            Gpus::Part => (1, 100 + 10 * rng.below(81)),
            Gpus::Whole(n) => (n, DEVICE),
        };
        asked += num_gpu * gpu_milli;
        rows.push([
            format!("pod-{:06}", rows.len()),
            (cores * 1000).to_string(),
            (memory_gib * 1024).to_string(),
            num_gpu.to_string(),
            gpu_milli.to_string(),
            spec(num_gpu, rng),
        ]);
    }
    rows
}

/// A fifth of the pods with GPUs is bound to one or two models that have enough on one node.
fn spec(num_gpu: u64, rng: &mut Rng) -> String {
    if num_gpu == 0 || rng.below(5) > 0 {
        return String::new();
    }
    let mut models: Vec<&str> =
        MACHINES.iter().filter(|m| m.gpus >= num_gpu).map(|m| m.model).collect();
    let bound_to = 1 + rng.below(2) as usize;
    while models.len() > bound_to {
        models.remove(rng.below(models.len() as u64) as usize);
    }
    models.join("|")
}

fn write<const N: usize>(
    path: &Path,
    header: [&str; N],
    rows: Vec<[String; N]>,
) -> Result<(), Failure> {
    let written = || -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        Ok(writer.flush()?)
    };
    written().map_err(|e| Failure::file(path, "cannot write", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_is_met_and_not_much_more() {
        let (rows, capacity) = nodes(50, &mut Rng::new(7, 0));
        let gpus: u64 = rows.iter().map(|row| row[3].parse::<u64>().unwrap()).sum();
        assert_eq!(capacity, gpus * DEVICE);
        let demand = capacity * DEMAND_PERCENT / 100;
        let number = |text: &String| text.parse::<u64>().unwrap();
        let asked: u64 = pods(None, demand, &mut Rng::new(7, 1))
            .iter()
            .map(|row| number(&row[3]) * number(&row[4]))
            .sum();
        assert!((demand..demand + 8 * DEVICE).contains(&asked), "{asked} of {demand}");
    }

    #[test]
    fn every_kind_of_pod_comes_and_models_suit_its_size() {
        let rows = pods(Some(2000), 0, &mut Rng::new(7, 1));
        assert_eq!(rows.len(), 2000);
        for gpus in ["0", "1", "2", "4", "8"] {
            assert!(rows.iter().any(|row| row[3] == gpus), "no pod with {gpus} GPUs");
        }
        assert!(rows.iter().any(|row| row[5].contains('|')));
        assert!(rows.iter().all(|row| row[3] != "0" || row[5].is_empty()));
        assert!(rows.iter().all(|row| row[3] != "8" || ["", "A100"].contains(&&*row[5])));
    }

    #[test]
    fn even_one_node_has_gpus() {
        assert!(nodes(1, &mut Rng::new(3, 0)).1 > 0);
    }
}
