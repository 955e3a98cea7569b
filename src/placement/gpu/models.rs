//! Which nodes have which model, so that nodes of other models are passed over many at a time.

use super::{
    ModelSet, Node,
    ranking::{FAN, Ranking},
};

/// By model, for each block of [`FAN`] nodes which of them have it, as bits. Holds an eighth of a byte a node
/// for each model.
#[derive(Clone, Debug)]
pub struct Models {
    bits: Vec<Vec<u16>>,
    blocks: usize,
}

impl Models {
    /// Of these nodes.
    pub fn of(nodes: &[Node]) -> Models {
        let mut models = Models { bits: Vec::new(), blocks: nodes.len().div_ceil(FAN) };
        nodes.iter().enumerate().for_each(|(node, state)| models.flip(node, state.model()));
        models
    }

    /// A node has another model now.
    pub fn change(&mut self, node: usize, before: &Node, now: &Node) {
        if before.model() != now.model() {
            self.flip(node, before.model());
            self.flip(node, now.model());
        }
    }

    fn flip(&mut self, node: usize, model: u8) {
        if self.bits.len() <= usize::from(model) {
            self.bits.resize(usize::from(model) + 1, vec![0; self.blocks]);
        }
        self.bits[usize::from(model)][node / FAN] ^= 1 << (node % FAN);
    }

    /// The lowest node with the least key among those of some models, and the key.
    #[inline]
    pub fn best(&self, ranking: &Ranking, models: ModelSet) -> Option<(usize, u32)> {
        match models {
            ModelSet::ANY => ranking.best(),
            _ => ranking.best_of(|block| self.in_block(models, block)),
        }
    }

    /// Which nodes of a block have one of these models.
    #[inline]
    fn in_block(&self, models: ModelSet, block: usize) -> u16 {
        let known = models.iter().filter_map(|model| self.bits.get(usize::from(model)));
        known.fold(0, |bits, of| bits | of[block])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::MAX_MODELS, *};

    #[test]
    fn nodes_are_found_by_model() {
        let node = |model| Node::new(1, 1, 1, model).unwrap();
        let mut nodes: Vec<Node> = (0..40).map(|n| node(n % 3)).collect();
        let mut models = Models::of(&nodes);
        let last = MAX_MODELS as u8 - 1;
        for (at, model) in [(3, 2), (17, last), (39, 0), (17, 1), (17, last)] {
            models.change(at, &nodes[at], &node(model));
            nodes[at] = node(model);
            for set in
                [ModelSet::ANY, ModelSet::NONE, ModelSet::of([0]), ModelSet::of([2, 7, last])]
            {
                for (at, state) in nodes.iter().enumerate() {
                    let is_in = models.in_block(set, at / FAN) >> (at % FAN) & 1 == 1;
                    assert_eq!(is_in, set.contains(state.model()), "{set:?} {at}");
                }
            }
        }
    }
}
