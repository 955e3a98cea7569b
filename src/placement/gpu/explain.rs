//! Why a request was not placed.

use super::{Node, Shape};

/// What a request is short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Devices, or a large enough part of one.
    Devices,
    /// Nothing alone, but all of it on one node.
    Together,
    /// A node of an allowed model.
    Model,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// It would fit if others left; otherwise it fits nowhere even when all is empty.
    pub busy: bool,
    /// What most nodes that could take it are short of now, or what it asks too much of.
    pub short: Short,
}

/// Why a request fits nowhere, by a look at all nodes: as they are, and as they are when empty.
/// Equal counts: CPU before memory before devices.
pub fn explain(nodes: &[Node], empty: &[Node], shape: &Shape) -> Refused {
    let short_of = |node: &Node| {
        if node.cpu < shape.cpu() {
            Short::Cpu
        } else if node.memory < shape.memory() {
            Short::Memory
        } else {
            Short::Devices
        }
    };
    let mut counts = [0u32; 3];
    for (node, empty) in nodes.iter().zip(empty) {
        if empty.fits(shape) && !node.fits(shape) {
            counts[short_of(node) as usize] += 1;
        }
    }
    if counts.iter().any(|&n| n > 0) {
        let most = counts.iter().max();
        let short = [Short::Cpu, Short::Memory, Short::Devices].into_iter();
        let short = short.zip(&counts).find(|(_, n)| Some(*n) == most);
        return Refused { busy: true, short: short.map_or(Short::Devices, |(short, _)| short) };
    }
    let allowed = || {
        let any = shape.num_gpu() == 0;
        empty.iter().filter(move |node| any || shape.models().contains(node.model()))
    };
    let short =
        if allowed().filter(|n| shape.num_gpu() == 0 || !n.devices().is_empty()).count() == 0 {
            Short::Model
        } else if !allowed().any(|node| node.cpu >= shape.cpu()) {
            Short::Cpu
        } else if !allowed().any(|node| node.memory >= shape.memory()) {
            Short::Memory
        } else if !allowed().any(|node| node.devices_fit(shape)) {
            Short::Devices
        } else {
            Short::Together
        };
    Refused { busy: false, short }
}

#[cfg(test)]
mod tests {
    use super::{super::ModelSet, *};

    #[test]
    fn says_what_is_missing() {
        let empty = [Node::new(8000, 1000, 2, 0).unwrap(), Node::new(9000, 90, 0, 0).unwrap()];
        let shape = |cpu, memory, num_gpu, milli, models| {
            Shape::new(cpu, memory, num_gpu, milli, models).unwrap()
        };
        let never = |shape| explain(&empty, &empty, &shape);
        let refused = |busy, short| Refused { busy, short };
        let any = ModelSet::ANY;
        assert_eq!(never(shape(1, 1, 1, 9, ModelSet::of([7]))), refused(false, Short::Model));
        assert_eq!(never(shape(9999, 1, 0, 0, any)), refused(false, Short::Cpu));
        assert_eq!(never(shape(1, 1001, 0, 0, any)), refused(false, Short::Memory));
        assert_eq!(never(shape(1, 1, 3, 1000, any)), refused(false, Short::Devices));
        assert_eq!(never(shape(8500, 100, 0, 0, any)), refused(false, Short::Together));
        let two = shape(100, 10, 2, 1000, any);
        let mut now = empty;
        let first = now[0].options(&two).next().unwrap();
        now[0] = now[0].take(&two, first).unwrap();
        assert_eq!(explain(&now, &empty, &shape(1, 1, 1, 9, any)), refused(true, Short::Devices));
        assert_eq!(explain(&now, &empty, &shape(7950, 1, 1, 9, any)), refused(true, Short::Cpu));
    }
}
