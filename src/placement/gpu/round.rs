//! A way round all nodes that is gone a slice at a time, for one request after the other.

use std::ops::Range;

/// A way round all nodes, a slice at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    at: usize,
    /// How many are ahead.
    pub left: usize,
}

impl Round {
    /// All nodes are ahead, from wherever it is now.
    pub fn start(&mut self, nodes: usize) {
        self.left = nodes;
    }

    /// The next ones that are side by side, at most so many and no more than are left.
    pub fn ahead(&self, nodes: usize, most: usize) -> Range<usize> {
        self.at..self.at + most.min(self.left).min(nodes - self.at)
    }

    /// Whether a node is ahead.
    pub fn is_ahead(&self, nodes: usize, node: usize) -> bool {
        let steps = if node < self.at { node + nodes } else { node } - self.at;
        steps < self.left
    }

    /// Goes past them.
    pub fn run(&mut self, nodes: usize, most: usize) -> Range<usize> {
        let run = self.ahead(nodes, most);
        self.at = if run.end < nodes { run.end } else { 0 };
        self.left -= run.len();
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_node_is_passed_once(nodes in 1usize..50, steps in prop::collection::vec(1usize..30, 0..40)) {
            let mut round = Round::default();
            for start in [true, false, true] {
                let mut ahead = vec![start || round.left > 0; nodes];
                if start {
                    round.start(nodes);
                } else {
                    ahead.iter_mut().enumerate().for_each(|(n, is)| *is = round.is_ahead(nodes, n));
                }
                for &most in &steps {
                    for node in round.run(nodes, most) {
                        prop_assert!(std::mem::replace(&mut ahead[node], false));
                    }
                    let is_ahead = |node| round.is_ahead(nodes, node);
                    prop_assert_eq!(&ahead, &(0..nodes).map(is_ahead).collect::<Vec<_>>());
                    prop_assert_eq!(round.left, ahead.iter().filter(|is| **is).count());
                }
            }
        }
    }
}
