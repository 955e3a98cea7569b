//! Nodes, a policy, and what is kept so that a choice costs what changed, not what there is.

use super::{
    Adaptive, Among, Changes, DeviceSet, Kinds, Node, Shape, Tuning, Typical, board::Board,
    models::Models,
};

/// A policy and what it has to know.
#[derive(Clone, Debug)]
pub enum Method {
    /// [`Policy::Affinity`](crate::Policy::Affinity).
    Affinity,
    /// [`Policy::FirstFit`](crate::Policy::FirstFit).
    FirstFit,
    /// [`Policy::TightestFit`](crate::Policy::TightestFit).
    TightestFit,
    /// [`Policy::Spread`](crate::Policy::Spread).
    Spread,
    /// [`Policy::PowerOfTwo`](crate::Policy::PowerOfTwo).
    PowerOfTwo,
    /// [`Policy::DotProduct`](crate::Policy::DotProduct).
    DotProduct,
    /// [`Policy::Fgd`](crate::Policy::Fgd) for typical requests.
    Fgd(Vec<Typical>),
    /// [`Policy::Fgd`](crate::Policy::Fgd) for what was typical so far.
    FgdSoFar,
    /// [`Policy::Adaptive`](crate::Policy::Adaptive).
    Adaptive(Tuning),
}

/// Where a request should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The node's place in the order of nodes.
    pub node: usize,
    /// Which of its devices.
    pub devices: DeviceSet,
}

/// What a policy looks at.
#[derive(Clone, Copy)]
pub(super) struct Mirror<'a> {
    pub nodes: &'a [Node],
    pub models: &'a Models,
    pub changes: &'a Changes,
}

/// A mirror of what nodes have free, and a policy on it.
///
/// A choice costs a fraction of a microsecond and as much again for each node that changed since
/// a request of the same kind came; no policy looks at all nodes, but for a kind that is new.
#[derive(Clone, Debug)]
pub struct Placer {
    nodes: Vec<Node>,
    models: Models,
    /// Those that the policy has to look at.
    changes: Changes,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Adaptive(Box<Adaptive>),
    Board(Board),
}

impl State {
    /// Only what a node may take more is a change, see [`Board::goes_by_order_alone`].
    fn goes_by_order_alone(&self) -> bool {
        matches!(self, State::Board(board) if board.goes_by_order_alone())
    }

    /// What a node has is another amount now.
    fn update(&mut self, node: usize, now: &Node) {
        if let State::Board(board) = self {
            board.update(node, now);
        }
    }
}

impl Placer {
    /// For nodes with all that they have free, in the order that decides between equals.
    pub fn new(nodes: Vec<Node>, method: Method) -> Placer {
        let state = match method {
            Method::Adaptive(tuning) => State::Adaptive(Box::new(Adaptive::new(&nodes, tuning))),
            method => State::Board(Board::new(&nodes, method)),
        };
        Placer { changes: Changes::new(nodes.len()), models: Models::of(&nodes), nodes, state }
    }

    /// What nodes have free, as far as this was told.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A request came: policies that learn take note. Once for each, before [`Placer::choose`],
    /// whether or not it can be placed, and not again when it is tried again.
    pub fn arrive(&mut self, shape: &Shape) {
        match &mut self.state {
            State::Adaptive(adaptive) => adaptive.arrive(&self.nodes, shape),
            State::Board(board) => board.arrive(&self.nodes, shape),
        }
    }

    /// The node and devices for a request with this key's hash; none if it fits nowhere. Nothing
    /// is taken.
    pub fn choose(&mut self, shape: &Shape, hash: u64) -> Option<Choice> {
        self.choose_among(shape, hash, &Among::ALL)
    }

    /// The same among some of the nodes.
    pub fn choose_among(&mut self, shape: &Shape, hash: u64, among: &Among<'_>) -> Option<Choice> {
        if self.nodes.is_empty() {
            return None;
        }
        let mirror = Mirror { nodes: &self.nodes, models: &self.models, changes: &self.changes };
        let found = match &mut self.state {
            State::Adaptive(adaptive) => adaptive.choose(mirror, shape, among),
            State::Board(board) => board.choose(mirror, shape, hash, among),
        };
        found.map(|(node, devices)| Choice { node, devices })
    }

    /// Makes room for so many nodes in all; the new ones are [absent](Node::ABSENT) until they are told
    /// of. What is kept about nodes is made anew.
    pub fn grow(&mut self, nodes: usize) {
        if nodes <= self.nodes.len() {
            return;
        }
        self.nodes.resize(nodes, Node::ABSENT);
        (self.models, self.changes) = (Models::of(&self.nodes), Changes::new(nodes));
        match &mut self.state {
            State::Adaptive(adaptive) => adaptive.forget_nodes(),
            State::Board(board) => board.grow(nodes),
        }
    }

    /// Adds up what all nodes have free, where a policy would do so in slices: after many were told of.
    pub fn survey(&mut self) {
        if let State::Adaptive(adaptive) = &mut self.state {
            adaptive.survey(&self.nodes);
        }
    }

    /// A node is another one now, or has other members' rights, see [`Among`]. Nothing was released.
    pub fn touch(&mut self, node: usize, now: Node) {
        if let Some(state) = self.nodes.get_mut(node) {
            self.models.change(node, state, &now);
            *state = now;
            self.state.update(node, &now);
            self.changes.record(node);
        }
    }

    /// A node has this free now; a number of no node is ignored. More than before counts as a release
    /// to policies that learn, so tell of each on its own.
    pub fn update(&mut self, node: usize, now: Node) {
        if let Some(state) = self.nodes.get_mut(node).filter(|state| **state != now) {
            if let State::Adaptive(adaptive) = &mut self.state
                && now.has_more_than(state)
            {
                adaptive.release();
            }
            if !self.state.goes_by_order_alone() || now.may_take_more(state) {
                self.changes.record(node);
            }
            self.state.update(node, &now);
            self.models.change(node, state, &now);
            *state = now;
        }
    }

    /// The kinds of requests that came, of policies that learn.
    pub fn kinds(&self) -> Option<&Kinds> {
        match &self.state {
            State::Adaptive(adaptive) => Some(&adaptive.learned().kinds),
            State::Board(board) => board.kinds(),
        }
    }

    /// What an adaptive policy has learned.
    pub fn adaptive(&self) -> Option<&Adaptive> {
        match &self.state {
            State::Adaptive(adaptive) => Some(adaptive),
            State::Board(_) => None,
        }
    }
}
