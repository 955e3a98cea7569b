//! The policies for devices once more, slow and obviously right: what [`Placer`](super::Placer) is
//! held to.

use super::{
    Among, Choice, DeviceSet, LANES, Learned, Method, ModelSet, Node, REDRAW, REPRICE, Shape,
    Supply, Tuning, Typical, WHOLE, prices, typical_of,
};
use crate::placement::order;

/// A policy that looks at everything each time and keeps nothing but what it learns.
#[derive(Clone, Debug)]
pub struct Naive {
    /// What nodes have free.
    pub nodes: Vec<Node>,
    capacity: Vec<Node>,
    method: Method,
    learned: Learned,
    supply: Supply,
    prices: prices::Prices,
    priced_at: u64,
    typical: Vec<Typical>,
    typical_next: u64,
}

impl Naive {
    /// For nodes with all that they have free. An adaptive policy puts nothing off here, whatever
    /// its tuning says, which is [`Tuning::EXACT`].
    pub fn new(nodes: Vec<Node>, method: Method) -> Naive {
        let mut supply = Supply::NONE;
        nodes.iter().for_each(|node| supply.add(node, &[0; 4]));
        Naive {
            capacity: nodes.clone(),
            nodes,
            method,
            learned: Learned::default(),
            supply,
            prices: prices::Prices::NONE,
            priced_at: 0,
            typical: Vec::new(),
            typical_next: 0,
        }
    }

    /// A request came.
    pub fn arrive(&mut self, shape: &Shape) {
        let seed = match self.method {
            Method::Adaptive(Tuning { seed, .. }) => seed,
            Method::FgdSoFar => return self.see(shape),
            _ => return,
        };
        self.learned.arrive(shape, seed, &self.supply);
        let arrived = self.learned.kinds.arrived();
        if self.priced_at == 0 || arrived >= self.priced_at + REPRICE {
            self.supply = Supply::NONE;
            self.nodes.iter().for_each(|node| self.supply.add(node, &self.learned.needs));
            self.prices = prices::Prices::of(&self.learned.kinds, &self.supply);
            self.priced_at = arrived;
        }
    }

    fn see(&mut self, shape: &Shape) {
        self.learned.kinds.count(&shape.without_memory());
        let arrived = self.learned.kinds.arrived();
        if arrived >= self.typical_next.max(8) {
            let kinds = self.learned.kinds.iter().map(|(shape, count)| (*shape, count));
            self.typical = typical_of(kinds);
            self.typical_next = arrived + arrived.min(REDRAW * self.typical.len() as u64);
        }
    }

    /// A node has this free now.
    pub fn update(&mut self, node: usize, now: Node) {
        if now.has_more_than(&self.nodes[node]) {
            self.learned.release();
        }
        self.nodes[node] = now;
    }

    /// The node and devices for a request.
    pub fn choose(&self, shape: &Shape, hash: u64) -> Option<Choice> {
        self.choose_among(shape, hash, &Among::ALL)
    }

    /// The same among some of the nodes.
    pub fn choose_among(&self, shape: &Shape, hash: u64, among: &Among<'_>) -> Option<Choice> {
        let in_question = |n: usize| among.has(n) && (among.accept)(n);
        let fits = |&n: &usize| in_question(n) && self.fits(n, shape);
        let fitting: Vec<usize> = (0..self.nodes.len()).filter(fits).collect();
        let start = |hash| order::start(hash, self.nodes.len() as u32) as usize;
        let left = |n: usize| self.share_left(n, shape);
        let round = || {
            let from = start(hash);
            fitting.iter().copied().min_by_key(|&n| (n < from, n))
        };
        let node = match &self.method {
            Method::Affinity => round(),
            Method::FirstFit => fitting.first().copied(),
            Method::TightestFit => fitting.iter().copied().min_by_key(|&n| left(n)),
            Method::Spread => fitting.iter().copied().min_by_key(|&n| (u32::MAX - left(n), n)),
            Method::PowerOfTwo => {
                let two = [hash, order::other(hash)].map(start).into_iter();
                let two = two.filter(|n| fitting.contains(n));
                two.min_by_key(|&n| (u32::MAX - left(n), n)).or_else(round)
            }
            Method::DotProduct => fitting.iter().copied().min_by_key(|&n| self.dot(n, shape)),
            Method::Fgd(typical) => return self.fgd(typical, &fitting, shape),
            Method::FgdSoFar => return self.fgd(&self.typical, &fitting, shape),
            Method::Adaptive(_) => return self.adaptive(&fitting, shape),
        };
        let widest = matches!(self.method, Method::Spread | Method::PowerOfTwo);
        node.map(|node| Choice { node, devices: self.devices(node, shape, widest) })
    }

    fn fits(&self, node: usize, shape: &Shape) -> bool {
        let node = &self.nodes[node];
        let devices = node.devices().iter().filter(|&&free| free >= shape.milli()).count();
        node.cpu >= shape.cpu()
            && node.memory >= shape.memory()
            && (shape.num_gpu() == 0
                || devices >= usize::from(shape.num_gpu()) && shape.models().contains(node.model()))
    }

    /// The lowest devices with the least, or the most, free of those that have enough.
    fn devices(&self, node: usize, shape: &Shape, widest: bool) -> DeviceSet {
        let free = self.nodes[node].devices();
        let mut enough: Vec<usize> =
            (0..free.len()).filter(|&i| free[i] >= shape.milli()).collect();
        enough.sort_by_key(|&i| (if widest { WHOLE - free[i] } else { free[i] }, i));
        enough.truncate(usize::from(shape.num_gpu()));
        DeviceSet(enough.into_iter().fold(0, |set, i| set | 1 << i))
    }

    fn share_left(&self, node: usize, shape: &Shape) -> u32 {
        let (free, all) = (&self.nodes[node], &self.capacity[node]);
        let share =
            |left: u32, all: u32| if all == 0 { 0 } else { ((left as u64) << 28) / all as u64 };
        let shares = |cpu, memory, devices| {
            share(cpu, all.cpu) + share(memory, all.memory) + share(devices, all.free())
        };
        let free = shares(free.cpu, free.memory, free.free());
        (free - shares(shape.cpu(), shape.memory(), shape.asks())) as u32
    }

    fn dot(&self, node: usize, shape: &Shape) -> u32 {
        let node = &self.nodes[node];
        let most = |amount: fn(&Node) -> u32| self.capacity.iter().map(amount).max().unwrap_or(0);
        let product = |free: u32, asked: u32, most: u32| match most {
            0 => 0,
            most => ((free as u128 * asked as u128) << 28) / (most as u128 * most as u128),
        };
        (product(node.cpu, shape.cpu(), most(|n| n.cpu))
            + product(node.memory, shape.memory(), most(|n| n.memory))
            + product(node.free(), shape.asks(), most(Node::free))) as u32
    }

    /// Every choice of devices there is, for one node: single ones, or the lowest whole ones.
    fn options(&self, node: usize, shape: &Shape) -> Vec<DeviceSet> {
        let free = self.nodes[node].devices();
        match shape.num_gpu() {
            1 => (0..free.len())
                .filter(|&i| free[i] >= shape.milli())
                .map(|i| DeviceSet(1 << i))
                .collect(),
            _ => vec![self.devices(node, shape, false)],
        }
    }

    fn fgd(&self, typical: &[Typical], fitting: &[usize], shape: &Shape) -> Option<Choice> {
        let mut best: Option<(u32, Choice)> = None;
        for &node in fitting {
            let before = super::fragmentation(&self.nodes[node], typical);
            for devices in self.options(node, shape) {
                let after = self.nodes[node].take(shape, devices)?;
                let after = super::fragmentation(&after, typical);
                let score = (100.0 / (1.0 + (-(before - after) / 1000.0).exp())) as u32;
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, Choice { node, devices }));
                }
            }
        }
        best.map(|(_, choice)| choice)
    }

    fn adaptive(&self, fitting: &[usize], shape: &Shape) -> Option<Choice> {
        let mut best: Option<(i64, Choice)> = None;
        for &node in fitting {
            let state = &self.nodes[node];
            let before = self.value(state);
            // The devices by what is destroyed alone; then prices come to it.
            let options = self.options(node, shape).into_iter().map(|devices| {
                let after = state.take(shape, devices).expect("it fits");
                let free = devices.iter().map(|i| state.devices()[i]).min().unwrap_or(0);
                (
                    before - self.value(&after) - i64::from(shape.asks()) * LANES as i64,
                    free,
                    devices,
                )
            });
            let (destroyed, _, devices) = options.min_by_key(|&(d, free, _)| (d, free))?;
            let after = state.take(shape, devices)?;
            let model = i64::from(self.prices.of_models(shape)[usize::from(state.model())]);
            let cost = destroyed + model + self.places_lost(state, &after, shape);
            let steps = cost.div_euclid(self.learned.step().into());
            if best.is_none_or(|(least, _)| steps < least) {
                best = Some((steps, Choice { node, devices }));
            }
        }
        best.map(|(_, choice)| choice)
    }

    fn places_lost(&self, before: &Node, after: &Node, shape: &Shape) -> i64 {
        let places = |node: &Node| prices::places(node, &self.learned.needs);
        let (before, after, price) = (places(before), places(after), self.prices.of_places());
        let lost = (0..price.len()).filter(|&i| shape.num_gpu() < prices::PLACES[i]);
        lost.map(|i| i64::from(before[i] - after[i]) * i64::from(price[i])).sum()
    }

    /// Every sequence on its own, request by request, device by device.
    fn value(&self, node: &Node) -> i64 {
        self.learned.sequences.drawn().iter().map(|lane| fill(*node, lane)).sum()
    }
}

/// Thousandths of devices that a sequence of requests fills on a node.
fn fill(node: Node, requests: &[Shape]) -> i64 {
    let mut free = node.devices().to_vec();
    let mut tenths = i64::from(node.cpu / 100);
    let mut filled = 0;
    for shape in requests {
        let cpu = i64::from(shape.cpu().div_ceil(100));
        let allowed = shape.num_gpu() == 0
            || shape.models() == ModelSet::ANY
            || shape.models().contains(node.model());
        let mut enough: Vec<usize> =
            (0..free.len()).filter(|&i| free[i] >= shape.milli()).collect();
        if !allowed || cpu > tenths || enough.len() < usize::from(shape.num_gpu()) {
            continue;
        }
        tenths -= cpu;
        enough.sort_by_key(|&i| free[i]);
        for &i in &enough[..usize::from(shape.num_gpu())] {
            free[i] -= shape.milli();
            filled += i64::from(shape.milli());
        }
    }
    filled
}
