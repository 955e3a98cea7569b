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

/// What a node has when empty, so that a share of it takes no division: CPU, memory, and thousandths of
/// devices.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    all: [u32; 3],
    /// 2^60 / all.
    inverse: [u64; 3],
}

impl Whole {
    /// Of a node that is empty.
    pub fn of(node: &Node) -> Whole {
        let all = [node.cpu, node.memory, node.devices().len() as u32 * u32::from(WHOLE)];
        let inverse = all.map(|all| (1u64 << 60).checked_div(all.into()).unwrap_or(0));
        Whole { all, inverse }
    }

    /// The free share of a node that a request leaves: the shares of CPU, memory and devices of what
    /// the node has when empty, each in units of 2^-28, summed; at most 3 x 2^28. The request fits.
    #[inline]
    pub fn left(&self, node: &Node, shape: &Shape) -> u32 {
        self.share(0, node.cpu - shape.cpu())
            + self.share(1, node.memory - shape.memory())
            + self.share(2, node.free() - shape.asks())
    }

    /// `left` of all, rounded down, in units of 2^-28; at most 1.
    #[inline]
    fn share(&self, d: usize, left: u32) -> u32 {
        let (left, all) = (u64::from(left), u64::from(self.all[d]));
        if left >= all {
            return if all == 0 { 0 } else { 1 << 28 };
        }
        // At most one too little, since the inverse is.
        let below = (left * self.inverse[d]) >> 32;
        (below + u64::from((below + 1) * all <= left << 28)) as u32
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_share_is_the_exact_quotient_rounded_down(cpu: u32, part in 0.0..=1.0, near in -2i64..=2) {
            // Also just below, at and above a whole number of units.
            let units = (part * f64::from(1 << 28)) as u128;
            let left = (((units * u128::from(cpu)) >> 28) as i64 + near).clamp(0, u32::MAX.into());
            let whole = Whole::of(&Node::new(cpu, 0, 0, 0).unwrap());
            let exact = ((left as u64) << 28).checked_div(u64::from(cpu)).unwrap_or(0);
            prop_assert_eq!(u64::from(whole.share(0, left as u32)), exact.min(1 << 28));
        }
    }
}
