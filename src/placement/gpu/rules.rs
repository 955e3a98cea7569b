//! Scores that depend on a node, what it had when empty, and a request: lower is better.

use super::{DeviceSet, Node, Shape, WHOLE};

/// The device for a part that is filled up the most, or the lowest whole ones; the request fits.
pub fn tightest_devices(node: &Node, shape: &Shape) -> DeviceSet {
    let least = |set: &DeviceSet| set.iter().map(|i| node.devices()[i]).min();
    node.options(shape).min_by_key(least).unwrap_or_default()
}

/// The device for a part that has the most free, or the lowest whole ones; the request fits.
pub fn widest_devices(node: &Node, shape: &Shape) -> DeviceSet {
    let least = |set: &DeviceSet| set.iter().map(|i| u16::MAX - node.devices()[i]).min();
    node.options(shape).min_by_key(least).unwrap_or_default()
}

/// What a node has when empty: CPU, memory, and thousandths of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Whole([u32; 3]);

impl Whole {
    /// Of a node that is empty.
    pub fn of(node: &Node) -> Whole {
        Whole([node.cpu, node.memory, node.devices().len() as u32 * u32::from(WHOLE)])
    }

    /// The share of it that is free: those of CPU, memory and devices, each rounded down in units of
    /// 2^-28, summed; at most 3 x 2^28. What a request leaves of it is this less [`Whole::asked`], so that
    /// either is worked out once, and not for each of the two together.
    pub fn free(&self, node: &Node) -> u32 {
        self.share([node.cpu, node.memory, node.free()])
    }

    /// The share of it that a request asks for, no more than is free where the request fits.
    pub fn asked(&self, shape: &Shape) -> u32 {
        self.share([shape.cpu(), shape.memory(), shape.asks()])
    }

    fn share(&self, amounts: [u32; 3]) -> u32 {
        let share = |(amount, all): (u32, u32)| {
            let share = (u64::from(amount) << 28).checked_div(all.into()).unwrap_or(0);
            share.min(1 << 28) as u32
        };
        amounts.into_iter().zip(self.0).map(share).sum()
    }
}

/// The largest node in each dimension: what a dot product measures by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Largest {
    cpu: u32,
    memory: u32,
    devices: u32,
}

impl Largest {
    /// Of these nodes.
    pub fn of(nodes: &[Node]) -> Largest {
        nodes.iter().fold(Largest::default(), |most, node| Largest {
            cpu: most.cpu.max(node.cpu),
            memory: most.memory.max(node.memory),
            devices: most.devices.max(node.devices().len() as u32 * u32::from(WHOLE)),
        })
    }

    /// What is free times what is asked for, summed over CPU, memory and devices, each as a share
    /// of the largest node, in units of 2^-28: small where what is free is little or is not what
    /// the request asks much of (Grandl et al. 2014, made small as in Weng et al. 2023).
    pub fn dot(&self, node: &Node, shape: &Shape) -> u32 {
        let product = |free: u32, asked: u32, most: u32| {
            let square = u128::from(most) * u128::from(most);
            let product = u128::from(free) * u128::from(asked);
            (product << 28).checked_div(square).unwrap_or(0).min(1 << 28) as u32
        };
        product(node.cpu, shape.cpu(), self.cpu)
            + product(node.memory, shape.memory(), self.memory)
            + product(node.free(), shape.asks(), self.devices)
    }
}
