//! Policies that score a node by what it has and what is asked for, and what is kept of their scores.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    Among, DeviceSet, Kinds, MAX_KINDS, Method, Node, REDRAW, Shape,
    fgd::Fgd,
    known::Known,
    placer::Mirror,
    ranking::{Ranking, UNFIT},
    rules::{Largest, Whole, tightest_devices, widest_devices},
    typical_of,
};
use crate::placement::order;

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
            Method::Fgd(typical) => Rule::Fgd(Box::new(Fgd::new(typical, nodes))),
            Method::FgdSoFar => Rule::Fgd(Box::new(Fgd::new(Vec::new(), nodes))),
            Method::FirstFit | Method::Adaptive(_) => Rule::First,
        }
    }

    /// All nodes that fit are equal: a node that has less is the worse for it only if it does not fit any
    /// more, which is seen when it is about to be chosen.
    fn is_order_alone(&self) -> bool {
        matches!(self, Rule::Affinity | Rule::First | Rule::PowerOfTwo)
    }

    fn goes_by_share(&self) -> bool {
        matches!(self, Rule::Tightest | Rule::Spread | Rule::PowerOfTwo)
    }

    /// The requests that nodes are scored alike for: the fewer these are, the sooner each comes again, and the
    /// less has changed. Where scores differ, without the models that a request is bound to: nodes of others are
    /// passed over when the best is looked for. Where memory does not count, as powers of two of it: nodes that
    /// have half of the memory and not all of it are passed over when they are about to be chosen.
    fn kind(&self, shape: &Shape) -> Shape {
        let memory = shape.memory().checked_ilog2().map_or(0, |n| 1 << n);
        match self {
            rule if rule.is_order_alone() => shape.with_memory(memory),
            Rule::Fgd(_) => shape.without_models().with_memory(memory),
            _ => shape.without_models(),
        }
    }

    /// The devices that a request which fits takes.
    fn devices(&self, node: usize, state: &Node, shape: &Shape) -> DeviceSet {
        match self {
            Rule::Spread | Rule::PowerOfTwo => widest_devices(state, shape),
            Rule::Fgd(fgd) => fgd.devices(node, state, shape),
            _ => tightest_devices(state, shape),
        }
    }
}

/// What is free of each node as a share of what it has when empty.
#[derive(Clone, Debug)]
struct Shares {
    /// What nodes have when empty, each once.
    wholes: Vec<Whole>,
    /// By node: which of them it has, and the share that is free.
    free: Vec<(u32, u32)>,
}

impl Shares {
    /// Of nodes that are empty.
    fn of(nodes: &[Node]) -> Shares {
        let (mut numbers, mut wholes) = (HashMap::new(), Vec::new());
        let free = nodes.iter().map(|node| {
            let whole = Whole::of(node);
            let number = *numbers.entry(whole).or_insert_with(|| {
                wholes.push(whole);
                wholes.len() as u32 - 1
            });
            (number, whole.free(node))
        });
        let free = free.collect();
        Shares { wholes, free }
    }

    fn update(&mut self, node: usize, now: &Node) {
        let (whole, free) = &mut self.free[node];
        *free = self.wholes[*whole as usize].free(now);
    }

    /// The shares that a request asks for, by whole.
    fn asked(&self, shape: &Shape) -> Vec<u32> {
        self.wholes.iter().map(|whole| whole.asked(shape)).collect()
    }

    /// What is left of a node's by a request that fits, and something else by one that does not; `asked`
    /// tells the shares that it asks for, by whole.
    #[inline]
    fn left(&self, node: usize, asked: impl Fn(usize) -> u32) -> u32 {
        let (whole, free) = self.free[node];
        free.wrapping_sub(asked(whole as usize))
    }
}

/// Scores of every node for each kind of request, brought up to date when the kind comes again.
#[derive(Clone, Debug)]
pub struct Board {
    rule: Rule,
    shares: Shares,
    /// By number of the nodes in question, and kind.
    tables: HashMap<(u32, Shape), Table>,
    /// Where the rule follows what was typical so far.
    seen: Option<Box<Seen>>,
    /// Room for a list of nodes.
    changed: Vec<u32>,
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
    /// The shares that the kind asks for, where the rule goes by them.
    asked: Vec<u32>,
}

/// What a ranking is brought up to date by.
struct Look<'a, F> {
    nodes: &'a [Node],
    shares: &'a Shares,
    kind: &'a Shape,
    /// The nodes that changed since.
    changed: &'a [u32],
    is_new: bool,
    /// Whether a node is in question at all.
    has: F,
}

impl<F: Fn(usize) -> bool> Look<'_, F> {
    fn at_changes(&self, rule: &Rule, ranking: &mut Ranking, asked: &[u32]) {
        let Look { nodes, shares, kind, .. } = *self;
        match rule {
            Rule::Affinity | Rule::First | Rule::PowerOfTwo => {
                self.put(ranking, |node| self.or_unfit(node, 0));
            }
            Rule::Tightest => {
                self.put(ranking, |node| {
                    self.or_unfit(node, shares.left(node, |whole| asked[whole]))
                });
            }
            Rule::Spread => {
                let key = |node| (UNFIT - 1).wrapping_sub(shares.left(node, |whole| asked[whole]));
                self.put(ranking, |node| self.or_unfit(node, key(node)));
            }
            Rule::Dot(largest) => self.put(ranking, |node| match self.fits(node) {
                true => largest.dot(&nodes[node], kind),
                false => UNFIT,
            }),
            Rule::Fgd(fgd) => {
                let mut known = self.is_new.then(|| Known::new(nodes, Node::digest));
                self.put(ranking, |node| {
                    if !self.fits(node) {
                        return UNFIT;
                    }
                    let find = || fgd.key(node, &nodes[node], kind);
                    let Some(known) = &mut known else { return find() };
                    known.get(node).unwrap_or_else(|| {
                        let key = find();
                        known.put(node, key);
                        key
                    })
                });
            }
        }
    }

    #[inline]
    fn put(&self, ranking: &mut Ranking, mut key: impl FnMut(usize) -> u32) {
        if self.is_new {
            return ranking.set_run(0..self.nodes.len(), key);
        }
        for &node in self.changed {
            ranking.put(node as usize, key(node as usize));
        }
        ranking.settle();
    }

    #[inline]
    fn fits(&self, node: usize) -> bool {
        self.nodes[node].fits(self.kind) & (self.has)(node)
    }

    /// The key, if the request fits. By arithmetic, since whether it does is guessed wrong too often.
    #[inline]
    fn or_unfit(&self, node: usize, key: u32) -> u32 {
        key | (UNFIT * u32::from(!self.fits(node)))
    }
}

impl Board {
    /// For nodes with all that they have free.
    pub fn new(nodes: &[Node], method: Method) -> Board {
        Board {
            seen: matches!(method, Method::FgdSoFar).then(Box::default),
            rule: Rule::new(method, nodes),
            shares: Shares::of(nodes),
            tables: HashMap::new(),
            changed: Vec::new(),
        }
    }

    /// Only what a node may take more is a change, see [`Rule::is_order_alone`].
    pub fn goes_by_order_alone(&self) -> bool {
        self.rule.is_order_alone()
    }

    /// The kinds of requests that came, where the rule follows them.
    pub fn kinds(&self) -> Option<&Kinds> {
        self.seen.as_ref().map(|seen| &seen.kinds)
    }

    /// There are so many nodes now; the new ones have nothing.
    pub fn grow(&mut self, nodes: usize) {
        let absent = Shares::of(&[Node::ABSENT]);
        let number = self.shares.wholes.len() as u32;
        self.shares.wholes.extend(absent.wholes);
        let known = self.shares.free.len();
        self.shares.free.resize(nodes, (number, 0));
        if let Rule::Fgd(fgd) = &mut self.rule {
            (known..nodes).for_each(|node| fgd.update(node, &Node::ABSENT));
        }
        self.tables.clear();
    }

    /// A node has this free now.
    pub fn update(&mut self, node: usize, now: &Node) {
        match &mut self.rule {
            Rule::Fgd(fgd) => fgd.update(node, now),
            rule if rule.goes_by_share() => self.shares.update(node, now),
            _ => {}
        }
    }

    /// A request came.
    pub fn arrive(&mut self, nodes: &[Node], shape: &Shape) {
        let Some(seen) = &mut self.seen else { return };
        seen.kinds.count(&shape.without_memory());
        let arrived = seen.kinds.arrived();
        if arrived < seen.next.max(8) {
            return;
        }
        let typical = typical_of(seen.kinds.iter().map(|(shape, count)| (*shape, count)));
        seen.next = arrived + arrived.min(REDRAW * typical.len() as u64);
        self.rule = Rule::Fgd(Box::new(Fgd::new(typical, nodes)));
        self.tables.clear();
    }

    /// The node and the devices for a request, if it fits anywhere. Nothing is taken.
    pub fn choose(
        &mut self,
        Mirror { nodes, models, changes }: Mirror<'_>,
        shape: &Shape,
        hash: u64,
        among: &Among<'_>,
    ) -> Option<(usize, DeviceSet)> {
        let Board { rule, shares, tables, changed, .. } = self;
        let fits = |node: usize, shape: &Shape| nodes[node].fits(shape) & among.has(node);
        if let Rule::PowerOfTwo = rule {
            // Without a look at the rest, as long as one of the two fits.
            let two = [hash, order::other(hash)].map(|hash| place(hash, nodes.len()));
            let fitting = two.into_iter().filter(|&n| fits(n, shape) && (among.accept)(n));
            let left = |n| shares.left(n, |whole| shares.wholes[whole].asked(shape));
            let emptier = fitting.min_by_key(|&n| (u32::MAX - left(n), n));
            if let Some(node) = emptier {
                return Some((node, rule.devices(node, &nodes[node], shape)));
            }
        }
        let kind = rule.kind(shape);
        if tables.len() >= MAX_KINDS && !tables.contains_key(&(among.number, kind)) {
            // Any will do: they come back at the cost of one look at all nodes.
            tables.clear();
        }
        let table = match tables.entry((among.number, kind)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Table {
                ranking: Ranking::new(nodes.len()),
                seen: 0,
                asked: if rule.goes_by_share() { shares.asked(&kind) } else { Vec::new() },
            }),
        };
        let Table { ranking, seen, asked } = table;
        let is_new = *seen == 0;
        if !is_new {
            changes.list(*seen, changed);
        }
        *seen = changes.now();
        let kind = &kind;
        match among.member {
            None => Look { nodes, shares, kind, changed, is_new, has: |_| true }
                .at_changes(rule, ranking, asked),
            Some(has) => {
                Look { nodes, shares, kind, changed, is_new, has }.at_changes(rule, ranking, asked)
            }
        }
        let mut turned_away = Vec::new();
        let found = loop {
            let next = match rule {
                Rule::Affinity | Rule::PowerOfTwo => {
                    let from = place(hash, nodes.len());
                    ranking.first_from(from).or_else(|| ranking.first_from(0))
                }
                // Its kinds are told apart by models: of nodes that are all equal, many would be passed over.
                Rule::First => ranking.best().map(|(node, _)| node),
                _ => models.best(ranking, shape.models()).map(|(node, _)| node),
            };
            match next {
                Some(node) if rule.is_order_alone() && !fits(node, kind) => {
                    ranking.set(node, UNFIT);
                }
                Some(node) if nodes[node].memory < shape.memory() || !(among.accept)(node) => {
                    turned_away.push((node, ranking.key(node)));
                    ranking.set(node, UNFIT);
                }
                found => break found,
            }
        };
        turned_away.into_iter().for_each(|(node, key)| ranking.set(node, key));
        found.map(|node| (node, rule.devices(node, &nodes[node], shape)))
    }
}

/// The node that a hash points to.
fn place(hash: u64, nodes: usize) -> usize {
    order::start(hash, nodes as u32) as usize
}
