//! Nodes, a policy, and what is kept so that a choice costs what changed, not what there is.

use std::collections::HashMap;

use super::{
    Adaptive, Among, Changes, DeviceSet, Kinds, MAX_KINDS, Node, REDRAW, Shape, Tuning, Typical,
    fgd::Fgd,
    ranking::{Ranking, UNFIT},
    rules::{Largest, Whole, tightest_devices, widest_devices},
    typical_of,
};
use crate::placement::order;

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

/// A mirror of what nodes have free, and a policy on it.
///
/// A choice costs a fraction of a microsecond and as much again for each node that changed since
/// a request of the same kind came; no policy looks at all nodes, but for a kind that is new.
#[derive(Clone, Debug)]
pub struct Placer {
    nodes: Vec<Node>,
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
    /// Only what a node may take more is a change, see [`Rule::is_order_alone`].
    fn goes_by_order_alone(&self) -> bool {
        matches!(self, State::Board(board) if board.rule.is_order_alone())
    }
}

impl Placer {
    /// For nodes with all that they have free, in the order that decides between equals.
    pub fn new(nodes: Vec<Node>, method: Method) -> Placer {
        let state = match method {
            Method::Adaptive(tuning) => State::Adaptive(Box::new(Adaptive::new(&nodes, tuning))),
            method => State::Board(Board {
                seen: matches!(method, Method::FgdSoFar).then(Box::default),
                rule: Rule::new(method, &nodes),
                wholes: nodes.iter().map(Whole::of).collect(),
                tables: HashMap::new(),
            }),
        };
        Placer { changes: Changes::new(nodes.len()), nodes, state }
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
            State::Board(board) => board.arrive(shape),
        }
    }

    /// The node and devices for a request with this key's hash; none if it fits nowhere. Nothing
    /// is taken.
    pub fn choose(&mut self, shape: &Shape, hash: u64) -> Option<Choice> {
        self.choose_among(shape, hash, &Among::ALL)
    }

    /// The same among some of the nodes.
    pub fn choose_among(&mut self, shape: &Shape, hash: u64, among: &Among<'_>) -> Option<Choice> {
        let (nodes, changes) = (&self.nodes, &self.changes);
        if nodes.is_empty() {
            return None;
        }
        let found = match &mut self.state {
            State::Adaptive(adaptive) => adaptive.choose(nodes, changes, shape, among),
            State::Board(board) => board.choose((nodes, changes), shape, hash, among),
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
        self.changes = Changes::new(nodes);
        match &mut self.state {
            State::Adaptive(adaptive) => adaptive.forget_nodes(),
            State::Board(board) => {
                board.wholes.resize(nodes, Whole::of(&Node::ABSENT));
                board.tables.clear();
            }
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
            *state = now;
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
            *state = now;
        }
    }

    /// The kinds of requests that came, of policies that learn.
    pub fn kinds(&self) -> Option<&Kinds> {
        match &self.state {
            State::Adaptive(adaptive) => Some(&adaptive.learned().kinds),
            State::Board(board) => board.seen.as_ref().map(|seen| &seen.kinds),
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

/// How nodes are scored, or that only their order counts.
#[derive(Clone, Debug)]
enum Rule {
    Affinity,
    First,
    Tightest,
    Spread,
    PowerOfTwo,
    Dot(Largest),
    Fgd(Box<Fgd>),
}

impl Rule {
    fn new(method: Method, nodes: &[Node]) -> Rule {
        match method {
            Method::Affinity => Rule::Affinity,
            Method::TightestFit => Rule::Tightest,
            Method::Spread => Rule::Spread,
            Method::PowerOfTwo => Rule::PowerOfTwo,
            Method::DotProduct => Rule::Dot(Largest::of(nodes)),
            Method::Fgd(typical) => Rule::Fgd(Box::new(Fgd::new(typical))),
            Method::FgdSoFar => Rule::Fgd(Box::new(Fgd::new(Vec::new()))),
            Method::FirstFit | Method::Adaptive(_) => Rule::First,
        }
    }

    /// All nodes that fit are equal: a node that has less is the worse for it only if it does not fit any
    /// more, which is seen when it is about to be chosen.
    fn is_order_alone(&self) -> bool {
        matches!(self, Rule::Affinity | Rule::First | Rule::PowerOfTwo)
    }

    /// The node's score, lower is better; none where the request does not fit.
    fn key(&self, node: &Node, whole: &Whole, shape: &Shape) -> Option<u32> {
        node.fits(shape).then(|| match self {
            Rule::Affinity | Rule::First => 0,
            Rule::Tightest => whole.left(node, shape),
            Rule::Spread | Rule::PowerOfTwo => UNFIT - 1 - whole.left(node, shape),
            Rule::Dot(largest) => largest.dot(node, shape),
            Rule::Fgd(fgd) => fgd.key(node, shape),
        })
    }

    /// The devices that a request which fits takes.
    fn devices(&self, node: &Node, shape: &Shape) -> DeviceSet {
        match self {
            Rule::Spread | Rule::PowerOfTwo => widest_devices(node, shape),
            Rule::Fgd(fgd) => fgd.devices(node, shape),
            _ => tightest_devices(node, shape),
        }
    }
}

/// Scores of every node for each kind of request, brought up to date when the kind comes again.
#[derive(Clone, Debug)]
struct Board {
    rule: Rule,
    wholes: Vec<Whole>,
    /// By number of the nodes in question, and kind.
    tables: HashMap<(u32, Shape), Table>,
    /// Where the rule follows what was typical so far.
    seen: Option<Box<Seen>>,
}

/// The mix of requests, and when to look at it again: after 8, 16, 32 and so on, and then after each
/// [`REDRAW`] times as many kinds as are typical, since each is scored anew then.
#[derive(Clone, Debug, Default)]
struct Seen {
    kinds: Kinds,
    next: u64,
}

#[derive(Clone, Debug)]
struct Table {
    ranking: Ranking,
    seen: u64,
}

impl Board {
    fn arrive(&mut self, shape: &Shape) {
        let Some(seen) = &mut self.seen else { return };
        seen.kinds.count(&shape.without_memory());
        let arrived = seen.kinds.arrived();
        if arrived < seen.next.max(8) {
            return;
        }
        let typical = typical_of(seen.kinds.iter().map(|(shape, count)| (*shape, count)));
        seen.next = arrived + arrived.min(REDRAW * typical.len() as u64);
        self.rule = Rule::Fgd(Box::new(Fgd::new(typical)));
        self.tables.clear();
    }

    fn choose(
        &mut self,
        (nodes, changes): (&[Node], &Changes),
        shape: &Shape,
        hash: u64,
        among: &Among<'_>,
    ) -> Option<(usize, DeviceSet)> {
        let Board { rule, wholes, tables, .. } = self;
        let score = |node: usize| match among.has(node) {
            true => rule.key(&nodes[node], &wholes[node], shape),
            false => None,
        };
        if let Rule::PowerOfTwo = rule {
            // Without a look at the rest, as long as one of the two fits.
            let two = [hash, order::other(hash)].map(|hash| place(hash, nodes.len()));
            let fitting = two.into_iter().filter_map(|node| Some((score(node)?, node)));
            let fitting = fitting.filter(|&(_, node)| (among.accept)(node));
            if let Some((_, node)) = fitting.min() {
                return Some((node, rule.devices(&nodes[node], shape)));
            }
        }
        let kind = (among.number, *shape);
        if tables.len() >= MAX_KINDS && !tables.contains_key(&kind) {
            // Any will do: they come back at the cost of one look at all nodes.
            tables.clear();
        }
        let table = tables
            .entry(kind)
            .or_insert_with(|| Table { ranking: Ranking::new(nodes.len()), seen: 0 });
        let key = |node: usize| match rule {
            Rule::PowerOfTwo => score(node).map_or(UNFIT, |_| 0),
            _ => score(node).unwrap_or(UNFIT),
        };
        if table.seen == 0 {
            table.ranking.fill((0..nodes.len()).map(key));
            table.seen = changes.now();
        } else {
            let ranking = &mut table.ranking;
            table.seen = changes.since(table.seen, |node| {
                ranking.put(node, key(node));
                true
            });
            ranking.settle();
        }
        let ranking = &mut table.ranking;
        let mut turned_away = Vec::new();
        let found = loop {
            let next = match rule {
                Rule::Affinity | Rule::PowerOfTwo => {
                    let from = place(hash, nodes.len());
                    ranking.first_from(from).or_else(|| ranking.first_from(0))
                }
                _ => ranking.best().map(|(node, _)| node),
            };
            match next {
                Some(node) if rule.is_order_alone() && score(node).is_none() => {
                    ranking.set(node, UNFIT);
                }
                Some(node) if !(among.accept)(node) => {
                    turned_away.push((node, ranking.key(node)));
                    ranking.set(node, UNFIT);
                }
                found => break found,
            }
        };
        turned_away.into_iter().for_each(|(node, key)| ranking.set(node, key));
        found.map(|node| (node, rule.devices(&nodes[node], shape)))
    }
}

/// The node that a hash points to.
fn place(hash: u64, nodes: usize) -> usize {
    order::start(hash, nodes as u32) as usize
}
