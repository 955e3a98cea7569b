//! Gathering the workers of a selector: whole classes, or those that it looks up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::views::{Selected, Source, Tier, rank};
use super::writer::{Was, Writer, rank_class};
use super::{Constraints, Selector, SelectorError, check};
use crate::placement::Rank;
use crate::slots::{Occupant, Ring};

impl Writer {
    pub(super) fn select(&mut self, constraints: &Constraints) -> Result<Selector, SelectorError> {
        if let Some(&selector) = self.by_constraints.get(constraints) {
            return Ok(Selector(selector));
        }
        check::constraints(constraints)?;
        if self.selected.len() >= self.limits.selectors {
            return Err(SelectorError::TooMany { limit: self.limits.selectors });
        }
        let constraints = Arc::new(constraints.clone());
        let selector = self.selected.len() as u32;
        let separate = self.limits.gpu_separation;
        self.selected.push(Selected::new(Arc::clone(&constraints), Source::Classes, separate));
        self.by_constraints.insert(constraints, selector);
        self.source(selector);
        Ok(Selector(selector))
    }

    /// Decides where a selector's workers come from, and gathers them.
    ///
    /// Returns the rings that it had and has no more: once that is shown, they are the caller's to
    /// retire.
    pub(super) fn source(&mut self, selector: u32) -> Vec<Arc<Ring>> {
        let constraints = Arc::clone(&self.selected[selector as usize].constraints);
        let label = constraints.labels.iter().find(|(key, _)| self.labels.is_looked_up(key));
        let source = match (&constraints.machine, label) {
            (Some(machine), _) => {
                self.by_machine.entry(machine.clone()).or_default().insert(selector);
                Source::Machine(machine.clone())
            }
            (None, Some((key, values))) => {
                for value in values {
                    let key = (key.clone(), value.clone());
                    self.by_label.entry(key).or_default().insert(selector);
                }
                Source::Label(key.clone(), values.clone())
            }
            (None, None) => Source::Classes,
        };
        let by_class = source == Source::Classes;
        let selected = &mut self.selected[selector as usize];
        let was_by_class = selected.source == Source::Classes;
        selected.source = source;
        if by_class {
            self.gather_classes(selector);
            return Vec::new();
        }
        let rings = core::mem::take(&mut selected.rings);
        if was_by_class {
            for class in self.classes.iter().map(|(i, _)| i).collect::<Vec<_>>() {
                self.classes.get_mut(class).part_of.retain(|(s, ..)| *s != selector);
            }
        }
        self.list(selector, None);
        rings.into_iter().flat_map(|rings| rings.into_values().map(|(ring, _)| ring)).collect()
    }

    fn gather_classes(&mut self, selector: u32) {
        let selected = &self.selected[selector as usize];
        let matching: Vec<_> = (self.classes.iter())
            .map(|(class, c)| (class, rank_class(&selected.wanted, &c.traits)))
            .collect();
        for (class, ranks) in matching {
            for (gpus, rank) in ranks.into_iter().enumerate() {
                let Some(rank) = rank else { continue };
                let class = self.classes.get_mut(class);
                class.part_of.push((selector, gpus, rank));
                for block in class.blocks().collect::<Vec<_>>() {
                    self.push_block(selector, gpus, rank, block);
                }
            }
        }
        self.directory.set(selector, self.selected[selector as usize].ring_view());
        self.unseen = true;
    }

    /// Selectors that look this worker up.
    pub(super) fn lookers(&self, slot: u32) -> BTreeSet<u32> {
        let facts = &self.entries[slot].facts;
        let by_machine =
            facts.machine.as_ref().and_then(|m| self.by_machine.get(m)).into_iter().flatten();
        let by_label = facts.own_labels.iter().filter_map(|pair| self.by_label.get(pair)).flatten();
        by_machine.chain(by_label).copied().collect()
    }

    /// Makes the lists of a selector that looks its workers up. `was`: a worker that is moving, as
    /// it was, which is listed both ways until it has moved.
    pub(super) fn list(&mut self, selector: u32, was: Option<&Was>) {
        let selected = &self.selected[selector as usize];
        let slots: BTreeSet<u32> = match &selected.source {
            Source::Classes => return,
            Source::Machine(machine) => self.on_machine(machine).collect(),
            Source::Label(key, values) => {
                values.iter().flat_map(|value| self.labels.with(key, value)).collect()
            }
        };
        let tiers = [0, 1].map(|gpus| {
            let wanted = &selected.wanted[gpus];
            let mut by_rank = BTreeMap::<Rank, Vec<Occupant>>::new();
            for slot in slots.iter().copied() {
                let Some(entry) = self.entries.get(slot) else { continue };
                let facts = &entry.facts;
                if let Ok(rank) = rank(wanted, &facts.traits, &facts.own_labels) {
                    by_rank.entry(rank).or_default().push(entry.occupant(slot));
                }
            }
            if let Some(was) = was {
                let occupant = Occupant { slot: was.slot, epoch: was.facts.stamp.epoch };
                if let Ok(rank) = rank(wanted, &was.facts.traits, &was.facts.own_labels) {
                    by_rank.entry(rank).or_default().push(occupant);
                }
            }
            by_rank.into_iter().map(|(rank, list)| (rank, Tier::List(list.into()))).collect()
        });
        self.directory.set(selector, selected.view(tiers));
        self.unseen = true;
    }
}
