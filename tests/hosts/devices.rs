//! Steps of devices.

use slotwise::{DeviceError, DeviceNeed, DeviceSpec, Island};

use super::*;

pub(super) fn device_status(error: &DeviceError) -> &'static str {
    match error {
        DeviceError::OverWhole { .. } => "device_over_whole",
        DeviceError::Empty => "device_empty",
        DeviceError::SeveralParts { .. } => "device_parts",
        DeviceError::TooMany { .. } => "too_many_devices",
        DeviceError::TooMuchMemory { .. } => "too_large",
        DeviceError::BesideGpus => "gpus_beside_devices",
        other => panic!("the table names no {other:?}"),
    }
}

/// The devices that a worker is registered with.
pub(super) fn specs(step: &Step<'_>) -> Vec<DeviceSpec> {
    let spec = |text: &str| {
        let [id, memory, island] = text.split(':').collect::<Vec<_>>()[..] else {
            panic!("id:memory:island, not {text}")
        };
        let (memory, island) = (memory.parse().expect("MiB"), island.parse().expect("0 to 255"));
        DeviceSpec::new(id).memory(memory).island(island)
    };
    step.list("devices").into_iter().map(spec).collect()
}

/// The devices that a request asks for.
pub(super) fn need(step: &Step<'_>) -> Option<DeviceNeed> {
    let number = |key: &str, default: u64| step.get(key).map_or(default, |_| step.number(key));
    step.get("device_count").map(|_| DeviceNeed {
        count: number("device_count", 0) as u32,
        milli: number("device_milli", 1_000) as u32,
        memory: number("device_memory", 0),
        island: match step.get("island").unwrap_or("any") {
            "any" => Island::Any,
            "prefer" => Island::Prefer,
            "insist" => Island::Insist,
            other => panic!("no island is called {other}"),
        },
    })
}

fn listed(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    if all.is_empty() { "-".to_string() } else { all.join(",") }
}

impl Host {
    pub(super) fn granted(&self, step: &Step<'_>) -> Got {
        let id = step.text("of");
        let held = self.engine.reservation(id.as_bytes()).map(|held| held.ticket);
        let ticket = self.tickets.get(id).copied();
        let granted = ticket.and_then(|ticket| self.engine.granted(ticket));
        if ticket.is_none() || ticket != held {
            assert_eq!(granted, None);
            return status("not_held");
        }
        let devices =
            granted.into_iter().flat_map(|granted| granted.devices.iter().collect::<Vec<_>>());
        got([
            ("status", "ok".to_string()),
            ("devices", listed(devices.map(|device| device.to_string()))),
            ("milli", granted.map_or(0, |granted| granted.milli).to_string()),
            ("memory", granted.map_or(0, |granted| granted.memory).to_string()),
        ])
    }

    pub(super) fn devices(&self, step: &Step<'_>) -> Got {
        let Some(info) = self.engine.worker(step.text("id").as_bytes()) else {
            return status("unknown_worker");
        };
        let free = info.devices.iter().map(|one| format!("{}:{}", one.free_milli, one.free_memory));
        got([("status", "ok".to_string()), ("free", listed(free))])
    }
}
