//! What is known of states of nodes, while a kind of request that is new is looked at on all of them: most
//! are in a state that others are in.

use super::Node;

/// How many are known at a time.
const PLACES: usize = 64;

/// By state, memory apart: the last one of each place.
pub struct Known<'a, T, P> {
    nodes: &'a [Node],
    /// Nodes in such a state, and what is known of it.
    places: [Option<(u32, T)>; PLACES],
    by: P,
}

impl<'a, T: Copy, P: Fn(&Node) -> u64> Known<'a, T, P> {
    /// Nothing yet, of these nodes; `by` says which states push one another out.
    pub fn new(nodes: &'a [Node], by: P) -> Known<'a, T, P> {
        Known { nodes, places: [None; PLACES], by }
    }

    #[inline]
    fn place(&self, state: &Node) -> usize {
        (self.by)(state) as usize % PLACES
    }

    /// What is known of a node's state.
    #[inline]
    pub fn get(&self, node: usize) -> Option<T> {
        let state = &self.nodes[node];
        let (like, what) = self.places[self.place(state)]?;
        self.nodes[like as usize].is_like(state).then_some(what)
    }

    /// This is known of a node's state from now on.
    #[inline]
    pub fn put(&mut self, node: usize, what: T) {
        self.places[self.place(&self.nodes[node])] = Some((node as u32, what));
    }
}
