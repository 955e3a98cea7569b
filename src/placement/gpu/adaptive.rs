//! The engine's own policy: it learns the mix of requests as it goes, and puts each where it
//! destroys the least of what that mix would still place.
//!
//! 1. A node is worth what short random sequences drawn from the mix would fill of its devices
//!    ([`fill`](super::fill)). A request destroys the worth before, less the worth after, less what
//!    it takes itself.
//! 2. To that come the prices of what is scarce ([`prices`](super::prices)).
//! 3. The sum counts in steps of 50 thousandths of a device, or fewer where sequences are shorter; among
//!    equals, the lowest node wins.
//!
//! What is kept: for each kind of request and each node, what the request would destroy there and
//! which places it would cost. It is computed again when the node changed, a bounded number of
//! times for each request, and when new sequences were drawn, a few nodes at a time. Until then
//! what was computed last stands; what is about to win is always looked at as it is now.

use std::collections::HashMap;
use std::ops::Range;

use super::{
    Among, Changes, DeviceSet, Learned, MAX_KINDS, ModelSet, Node, Shape, Tuning, WHOLE,
    cell::{Cell, EMPTY, Lost, NO_FIT, NO_LOOK, Scale},
    fill::Sequences,
    known::Known,
    lanes::LANES,
    memo::Memo,
    models::Models,
    placer::Mirror,
    prices::{self, LEAST_PLACE, Needs, PLACES, Prices, Supply},
    ranking::{FAN, Ranking, UNFIT},
    round::Round,
    rules::tightest_devices,
};

/// Requests between two looks at prices, at least.
pub const REPRICE: u64 = 100;

/// Steps behind the best within which a node of an older epoch may win by new sequences.
const NEAR: u32 = 3;

/// Epochs after which a node is looked at again in any case.
const OLD: u32 = 8;

/// In place of the epoch: of a node that does not fit, and of one that was put off.
const NEVER: u32 = u32::MAX;
const PUT_OFF: u32 = u32::MAX - 1;

/// What is kept for one kind of request.
#[derive(Clone, Debug)]
struct Table {
    shape: Shape,
    cells: Vec<Cell>,
    /// The epoch that each cell was computed in, or [`NEVER`], or [`PUT_OFF`].
    epochs: Vec<u32>,
    ranking: Ranking,
    /// Changes up to here are in the cells.
    seen: u64,
    /// What the keys were made with, or are being made with.
    scale: Scale,
    pricing: Round,
    /// What the places lost were counted with, or are being counted anew with.
    needs: Needs,
    recount: bool,
    /// Sequences that the cells were computed with, or are being computed with.
    epoch: u32,
    renewing: Round,
}

/// What was learned, and what is kept. Memory: at most [`super::MAX_KINDS`] kinds of 24 bytes a
/// node, and a quarter of a megabyte.
#[derive(Clone, Debug)]
pub struct Adaptive {
    tuning: Tuning,
    learned: Learned,
    epoch: u32,
    memo: Memo,
    /// By number of the nodes in question, and kind.
    tables: HashMap<(u32, Shape), Box<Table>>,
    prices: Prices,
    supply: Supply,
    counting: Supply,
    survey: usize,
    priced_at: u64,
    held: Vec<(usize, u32)>,
}

impl Adaptive {
    /// For these nodes, which must stay as many.
    pub fn new(nodes: &[Node], tuning: Tuning) -> Adaptive {
        let mut adaptive = Adaptive {
            tuning,
            learned: Learned::default(),
            epoch: 0,
            memo: Memo::new(1 << 14),
            tables: HashMap::new(),
            prices: Prices::NONE,
            counting: Supply::NONE,
            supply: Supply::NONE,
            survey: 0,
            priced_at: 0,
            held: Vec::new(),
        };
        adaptive.survey(nodes);
        adaptive
    }

    /// Adds up all nodes, of which many are new.
    pub(super) fn survey(&mut self, nodes: &[Node]) {
        self.supply = Supply::NONE;
        nodes.iter().for_each(|node| self.supply.add(node, &self.learned.needs));
        (self.counting, self.survey) = (self.supply, 0);
    }

    /// What it knows by now.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// A request that was placed left.
    pub fn release(&mut self) {
        self.learned.release();
    }

    /// One more request came; call it once for each, before [`Adaptive::choose`].
    pub fn arrive(&mut self, nodes: &[Node], shape: &Shape) {
        if self.learned.arrive(shape, self.tuning.seed, &self.supply) {
            self.epoch += 1;
        }
        self.look_at_prices(nodes);
    }

    /// Adds up a slice of the nodes; prices come from a whole round, so they may lag by one.
    fn look_at_prices(&mut self, nodes: &[Node]) {
        let arrived = self.learned.kinds.arrived();
        if self.survey == 0 {
            if arrived < self.priced_at + REPRICE && self.priced_at > 0 {
                return;
            }
            self.counting = Supply::NONE;
        }
        let end = self.survey.saturating_add(self.tuning.survey).min(nodes.len());
        for node in &nodes[self.survey..end] {
            self.counting.add(node, &self.learned.needs);
        }
        self.survey = end;
        if end == nodes.len() {
            (self.survey, self.priced_at) = (0, arrived);
            self.supply = self.counting;
            self.prices = Prices::of(&self.learned.kinds, &self.supply);
        }
    }

    /// The node and the devices for a request, if it fits anywhere. Nothing is taken.
    pub(super) fn choose(
        &mut self,
        mirror: Mirror<'_>,
        shape: &Shape,
        among: &Among<'_>,
    ) -> Option<(usize, DeviceSet)> {
        let nodes = mirror.nodes;
        // The models that a request is bound to tell which nodes are in question, and nothing about those.
        let kind = shape.without_memory().without_models();
        let at = (among.number, kind);
        let known = self.tables.remove(&at);
        if known.is_none() && self.tables.len() >= MAX_KINDS {
            // Any will do: they come back at the cost of one look at all nodes.
            self.tables.clear();
        }
        let scale = self.scale(&kind);
        let mut table = known.unwrap_or_else(|| {
            Box::new(Table {
                shape: kind,
                cells: vec![EMPTY; nodes.len()],
                epochs: vec![NEVER; nodes.len()],
                ranking: Ranking::new(nodes.len()),
                seen: 0,
                scale: scale.clone(),
                pricing: Round::default(),
                needs: self.learned.needs,
                recount: false,
                epoch: self.epoch,
                renewing: Round::default(),
            })
        });
        let mut held = core::mem::take(&mut self.held);
        let mut look = Look::new(self, &mut table, (shape.models(), scale), mirror, among);
        look.catch_up();
        let found = look.winner(shape.memory(), &mut held);
        self.held = held;
        self.tables.insert(at, table);
        found
    }

    /// What a kind's keys are made with now.
    fn scale(&self, kind: &Shape) -> Scale {
        Scale::new(self.prices.of_models(kind), self.prices.of_places(), self.learned.step())
    }

    /// There are more nodes now: what is kept about each is made anew.
    pub(super) fn forget_nodes(&mut self) {
        self.tables.clear();
    }
}

/// One request's look at its table.
struct Look<'a> {
    table: &'a mut Table,
    nodes: &'a [Node],
    changes: &'a Changes,
    among: &'a Among<'a>,
    tuning: Tuning,
    sequences: &'a Sequences,
    needs: &'a Needs,
    memo: &'a mut Memo,
    epoch: u32,
    models: &'a Models,
    /// The models that the request may use.
    bound_to: ModelSet,
    scale: Scale,
    /// Values computed so far.
    spent: u32,
    /// The answer of [`Look::best`], where it is known.
    best: Option<Option<(usize, u32)>>,
}

impl<'a> Look<'a> {
    fn new(
        policy: &'a mut Adaptive,
        table: &'a mut Table,
        (bound_to, scale): (ModelSet, Scale),
        Mirror { nodes, models, changes }: Mirror<'a>,
        among: &'a Among<'a>,
    ) -> Look<'a> {
        let Adaptive { tuning, learned, epoch, memo, .. } = policy;
        Look {
            table,
            nodes,
            changes,
            among,
            tuning: *tuning,
            sequences: &learned.sequences,
            needs: &learned.needs,
            memo,
            epoch: *epoch,
            models,
            bound_to,
            scale,
            spent: 0,
            best: None,
        }
    }

    /// Brings the table up to date, as far as the request may cost.
    fn catch_up(&mut self) {
        if self.table.seen == 0 {
            return self.look_at_all();
        }
        let changes = self.changes;
        self.table.seen = changes.since(self.table.seen, |node| {
            let key = match self.spent >= self.tuning.values {
                true => self.postpone(node),
                false => self.renew(node),
            };
            self.table.ranking.put(node, key);
            self.spent < self.tuning.values
        });
        self.table.ranking.settle();
        self.take_over_prices();
        self.renew_older();
    }

    /// For a kind that is new.
    fn look_at_all(&mut self) {
        // By what nodes are alike in while they are empty.
        let by = |state: &Node| (u64::from(state.model()) * 5 + state.devices().len() as u64) % 16;
        let mut known = Known::new(self.nodes, by);
        for node in 0..self.nodes.len() {
            if !self.among.has(node) {
                self.renew(node);
            } else if let Some(cell) = known.get(node) {
                // Most nodes are in a state that others are in.
                let change = self.changes.last(node) as u32;
                self.table.cells[node] = Cell { change, ..cell };
                self.table.epochs[node] = self.epoch;
            } else if self.spent < self.tuning.values {
                self.renew(node);
                known.put(node, self.table.cells[node]);
            } else {
                self.postpone(node);
            }
        }
        self.table.seen = self.changes.now();
        let Look { table, nodes, scale, .. } = self;
        let Table { cells, ranking, .. } = &mut **table;
        ranking.set_run(0..nodes.len(), |node| scale.key(&cells[node]));
    }

    /// Makes keys by new prices, a slice of the nodes at a time; the others keep theirs meanwhile.
    fn take_over_prices(&mut self) {
        let (nodes, table) = (self.nodes.len(), &mut *self.table);
        if table.needs != *self.needs {
            (table.needs, table.recount) = (*self.needs, true);
            table.pricing.start(nodes);
        }
        if table.scale != self.scale {
            table.scale = self.scale.clone();
            table.pricing.start(nodes);
        }
        let mut left = self.tuning.sweep.min(self.table.pricing.left);
        while left > 0 {
            let run = self.table.pricing.run(nodes, left);
            left -= run.len();
            if self.table.recount {
                run.clone().for_each(|node| self.count_places(node));
            }
            let Look { table, scale, .. } = self;
            let Table { cells, ranking, .. } = &mut **table;
            ranking.set_run(run, |node| scale.key(&cells[node]));
        }
        self.table.recount &= self.table.pricing.left > 0;
    }

    /// Computes cells anew that are of older sequences and may win, or were put off.
    fn renew_older(&mut self) {
        let nodes = self.nodes.len();
        if self.table.epoch != self.epoch {
            self.table.epoch = self.epoch;
            self.table.renewing.start(nodes);
        }
        let near = self.best().map_or(UNFIT, |(_, key)| key.saturating_add(NEAR));
        let (before, mut renewals) = (self.spent, 0);
        let mut left = self.tuning.sweep;
        while left > 0
            && self.spent < self.tuning.values
            && self.spent - before < self.tuning.older
            && renewals < self.tuning.renewals
        {
            let ahead = self.table.renewing.ahead(nodes, left);
            if ahead.is_empty() {
                break;
            }
            let due = self.due(ahead.clone(), near);
            let passed =
                self.table.renewing.run(nodes, due.map_or(ahead.end, |at| at + 1) - ahead.start);
            left -= passed.len();
            if let Some(node) = due {
                renewals += 1;
                let key = self.renew(node);
                self.set(node, key);
            }
        }
    }

    /// The first of these nodes that was put off, or is older and may win: not far from the best, or very old.
    fn due(&self, among: Range<usize>, near: u32) -> Option<usize> {
        let all = self.tuning == (Tuning { seed: self.tuning.seed, ..Tuning::EXACT });
        let is_due = |node: usize| {
            let epoch = self.table.epochs[node];
            let may_win = || self.shown(node) <= near || self.epoch - epoch >= OLD || all;
            epoch == PUT_OFF || self.is_older(node) && may_win()
        };
        let Table { epochs, ranking, pricing, .. } = &*self.table;
        let nodes = self.nodes.len();
        // Sixteen at a time, since there is mostly nothing; those with a key by older prices one by one.
        let none_of = |block: usize, first: usize, last: usize| {
            let Some(epochs) = epochs[block * FAN..].first_chunk() else { return false };
            !pricing.is_ahead(nodes, first)
                && !pricing.is_ahead(nodes, last)
                && !any_due(epochs, ranking.block(block), self.epoch, near)
        };
        let mut start = among.start;
        while start < among.end {
            let end = (start / FAN * FAN + FAN).min(among.end);
            if all || !none_of(start / FAN, start, end - 1) {
                let due = (start..end).find(|&node| is_due(node));
                if due.is_some() {
                    return due;
                }
            }
            start = end;
        }
        None
    }

    /// The best node as it is now. `held`: room for nodes that are short of memory alone, or are not
    /// accepted.
    fn winner(&mut self, memory: u32, held: &mut Vec<(usize, u32)>) -> Option<(usize, DeviceSet)> {
        held.clear();
        let mut looks = 0;
        let found = loop {
            let Some((node, key)) = self.best() else {
                // What was put off may have room again.
                if self.table.seen == self.changes.now() {
                    break None;
                }
                let changes = self.changes;
                while self.table.seen < changes.now() {
                    self.table.seen = changes.since(self.table.seen, |node| {
                        let key = self.postpone(node);
                        self.set(node, key);
                        true
                    });
                }
                continue;
            };
            let stale = self.is_stale(node);
            if looks < self.tuning.looks && self.table.pricing.left > 0 && self.key(node) != key {
                looks += 1;
                self.set(node, self.key(node));
            } else if looks < self.tuning.looks && (stale || self.is_older(node)) {
                looks += 1;
                let key = self.renew(node);
                self.set(node, key);
            } else if stale && !self.fits(node) {
                let key = self.postpone(node);
                self.set(node, key);
            } else if self.nodes[node].memory < memory || !(self.among.accept)(node) {
                held.push((node, key));
                self.set(node, UNFIT);
            } else {
                // Not looked at for too many looks: it fits, and so do the tightest devices.
                let devices = match stale {
                    true => tightest_devices(&self.nodes[node], &self.table.shape),
                    false => self.table.cells[node].devices,
                };
                break Some((node, devices));
            }
        };
        held.drain(..).for_each(|(node, key)| self.table.ranking.set(node, key));
        found
    }

    /// The lowest node with the least key among those in question, and the key.
    fn best(&mut self) -> Option<(usize, u32)> {
        let find = || self.models.best(&self.table.ranking, self.bound_to);
        *self.best.get_or_insert_with(find)
    }

    /// Sets a node's key, after all that is set for many nodes at once.
    fn set(&mut self, node: usize, key: u32) {
        self.table.ranking.set(node, key);
        let Some(best) = self.best else { return };
        if !self.bound_to.contains(self.nodes[node].model()) {
            return;
        }
        self.best = match best {
            Some((at, least)) if at == node && key > least => None,
            Some((at, least)) if (key, node) > (least, at) => return,
            None if key == UNFIT => return,
            _ => Some(Some((node, key))),
        };
    }

    /// The node changed since, or was not looked at.
    fn is_stale(&self, node: usize) -> bool {
        let cell = &self.table.cells[node];
        cell.change != self.changes.last(node) as u32 || cell.base == NO_LOOK
    }

    /// New sequences were drawn since.
    fn is_older(&self, node: usize) -> bool {
        let epoch = self.table.epochs[node];
        epoch != self.epoch && epoch != NEVER && epoch != PUT_OFF
    }

    fn fits(&self, node: usize) -> bool {
        let (state, shape) = (&self.nodes[node], &self.table.shape);
        (state.cpu >= shape.cpu()) & state.devices_fit(shape) && self.among.has(node)
    }

    /// Sees to it that the node is found if it fits, and is not if it does not; no more. Its key.
    fn postpone(&mut self, node: usize) -> u32 {
        let fits = self.fits(node);
        let cell = &mut self.table.cells[node];
        match (fits, cell.base) {
            (false, _) => *cell = Cell { change: self.changes.last(node) as u32, ..EMPTY },
            (true, NO_FIT) => *cell = Cell { base: NO_LOOK, ..EMPTY },
            (true, _) => {}
        }
        self.table.epochs[node] = if fits { PUT_OFF } else { NEVER };
        self.table.renewing.start(self.nodes.len());
        self.key(node)
    }

    /// Computes the node's cell, and the key that it has by that.
    fn renew(&mut self, node: usize) -> u32 {
        let fits = self.fits(node);
        let mut cell = if fits { self.destroyed(&self.nodes[node]) } else { EMPTY };
        (cell.change, cell.model) = (self.changes.last(node) as u32, self.nodes[node].model());
        self.table.cells[node] = cell;
        self.table.epochs[node] = if fits { self.epoch } else { NEVER };
        // Of the cell in hand: what was just written in parts is long in coming back.
        self.scale.key(&cell)
    }

    /// What the request destroys on a node that it fits, by the choice of devices that destroys the
    /// least; among equal ones the device with the least free.
    fn destroyed(&mut self, node: &'a Node) -> Cell {
        let Look { sequences, memo, epoch, spent, .. } = self;
        let shape = self.table.shape;
        let mut value = |digest: u64, state: &dyn Fn() -> Node| -> i32 {
            memo.get(digest, *epoch, || {
                *spent += 1;
                sequences.value(&state())
            })
        };
        let (devices, model) = (sequences.devices(node), node.model());
        let before = value(sequences.digest(devices, node.cpu, model), &|| *node);
        let (cpu, takes) = (node.cpu - shape.cpu(), shape.asks() as i32 * LANES as i32);
        let (mut best, mut best_left) = (EMPTY, u16::MAX);
        for set in node.options(&shape) {
            let left = set.first().map_or(0, |i| node.devices()[i]);
            // The state itself is made only if nothing is known of it.
            let devices = sequences.devices_after(devices, left, &shape);
            let after = || node.take(&shape, set).unwrap_or(Node::ABSENT);
            let after = value(sequences.digest(devices, cpu, model), &after);
            let base = before - after - takes;
            if (base, left) < (best.base, best_left) {
                (best, best_left) = (Cell { base, devices: set, ..EMPTY }, left);
            }
        }
        best.lost = self.lost(node, best_left);
        best
    }

    /// The places that a node loses when the request takes devices of it that have `left` each. What takes
    /// as many devices itself needs the place and does not lose it.
    fn lost(&self, node: &Node, left: u16) -> Lost {
        if node.whole() < LEAST_PLACE {
            return Lost::NONE;
        }
        let (shape, needs) = (&self.table.shape, self.needs);
        let taken = if left == WHOLE { u32::from(shape.num_gpu()) } else { 0 };
        let before = prices::places(node, needs);
        let after = prices::places_in(node.whole() - taken, node.cpu - shape.cpu(), needs);
        let takes_it = |i: usize| shape.num_gpu() >= PLACES[i];
        Lost::of(|i| if takes_it(i) { 0 } else { before[i].saturating_sub(after[i]) })
    }

    /// Counts the places lost anew, in a cell that is of the node as it is.
    fn count_places(&mut self, node: usize) {
        let (cell, state) = (self.table.cells[node], &self.nodes[node]);
        if cell.base == NO_FIT || self.is_stale(node) {
            return;
        }
        let left = cell.devices.first().map_or(0, |i| state.devices()[i]);
        self.table.cells[node].lost = self.lost(state, left);
    }

    fn key(&self, node: usize) -> u32 {
        self.scale.key(&self.table.cells[node])
    }

    /// The same from the ranking, which is less to look through, unless that has a key by older prices.
    fn shown(&self, node: usize) -> u32 {
        match self.table.pricing.is_ahead(self.nodes.len(), node) {
            true => self.key(node),
            false => self.table.ranking.key(node),
        }
    }
}

/// Whether any of these nodes was put off, or may win and is older, or is very old.
#[inline]
fn any_due(epochs: &[u32; FAN], keys: &[u32; FAN], now: u32, near: u32) -> bool {
    let is_due = |(&epoch, &key): (&u32, &u32)| {
        let may_win = (key <= near) | (now.wrapping_sub(epoch) >= OLD);
        (epoch == PUT_OFF) | ((epoch != now) & (epoch < PUT_OFF) & may_win)
    };
    epochs.iter().zip(keys).fold(false, |any, node| any | is_due(node))
}
