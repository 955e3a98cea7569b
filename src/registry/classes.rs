//! Classes: workers that no selector can tell apart, and the places at which they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Name;
use super::growing::Growing;
use super::views::Facts;
use crate::placement::{Rank, Traits};
use crate::slots::{BLOCK, BlockRef, Blocks, Place, Stamp};

pub(super) type ClassTraits = Traits<Name>;

/// One class.
pub(super) struct Class {
    pub(super) traits: Arc<ClassTraits>,
    /// A place is (row, place in its block).
    rows: Growing<Row>,
    /// Rows with a free place.
    open: BTreeSet<u32>,
    members: u32,
    /// The last facts of a worker that had nothing of its own.
    plain: Option<Arc<Facts>>,
    /// The tiers that it is part of: selector, with GPUs or without, rank.
    pub(super) part_of: Vec<(u32, usize, Rank)>,
}

/// A block of a class, and who is on it.
#[derive(Default)]
struct Row {
    /// None while nobody is.
    block: Option<BlockRef>,
    /// The places that are taken, a bit each.
    taken: u32,
    slots: [u32; BLOCK],
}

const _: () = assert!(BLOCK == u32::BITS as usize);

impl Class {
    fn new(traits: Arc<ClassTraits>) -> Self {
        Class {
            traits,
            rows: Growing::default(),
            open: BTreeSet::new(),
            members: 0,
            plain: None,
            part_of: Vec::new(),
        }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.rows.iter().filter_map(|row| row.block)
    }

    /// Slots, in the order of their places.
    pub(super) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().flat_map(|row| {
            let taken = (0..BLOCK).filter(|at| row.taken >> at & 1 != 0);
            taken.map(|at| row.slots[at])
        })
    }
}

/// A worker's place, and how its class finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) class: u32,
    row: u32,
    pub(super) place: Place,
}

/// What taking or leaving a seat did to the class's blocks.
pub(super) enum BlockChange {
    None,
    Opened(BlockRef),
    /// The block is empty and must leave its rings, then [`Classes::give_up`].
    Emptied(BlockRef),
}

/// All classes, and the blocks that they take their places from.
#[derive(Default)]
pub(super) struct Classes {
    by_traits: BTreeMap<Arc<ClassTraits>, u32>,
    slab: Growing<Option<Class>>,
    vacant: Vec<u32>,
    free_blocks: Vec<u32>,
    next_block: u32,
}

impl Classes {
    pub(super) fn get(&self, class: u32) -> &Class {
        self.slab[class].as_ref().expect("a seat's class exists while the seat is taken")
    }

    pub(super) fn get_mut(&mut self, class: u32) -> &mut Class {
        self.slab[class].as_mut().expect("a seat's class exists while the seat is taken")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Class)> {
        (0..).zip(self.slab.iter()).filter_map(|(i, c)| Some((i, c.as_ref()?)))
    }

    /// The class with these traits, made if there is none; and whether it was made.
    pub(super) fn of(&mut self, traits: ClassTraits) -> (u32, bool) {
        if let Some(&class) = self.by_traits.get(&traits) {
            return (class, false);
        }
        let traits = Arc::new(traits);
        let class = Class::new(Arc::clone(&traits));
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slab[index] = Some(class);
                index
            }
            None => self.slab.push(Some(class)),
        };
        self.by_traits.insert(traits, index);
        (index, true)
    }

    /// The lowest free place of a class.
    pub(super) fn sit(&mut self, blocks: &Blocks, class: u32, slot: u32) -> (Seat, BlockChange) {
        let c = self.slab[class].as_mut().expect("made by `of`, which came before");
        c.members += 1;
        let index = c.open.first().copied().unwrap_or_else(|| {
            let index = c.rows.push(Row::default());
            c.open.insert(index);
            index
        });
        let row = &mut c.rows[index];
        let at = row.taken.trailing_ones();
        row.taken |= 1 << at;
        row.slots[at as usize] = slot;
        if row.taken == u32::MAX {
            c.open.remove(&index);
        }
        let (block, change) = match row.block {
            Some(block) => (block, BlockChange::None),
            None => {
                let index = self.free_blocks.pop().unwrap_or_else(|| {
                    self.next_block += 1;
                    self.next_block - 1
                });
                let block = blocks.open(index);
                row.block = Some(block);
                (block, BlockChange::Opened(block))
            }
        };
        (Seat { class, row: index, place: Place { block, at } }, change)
    }

    /// Leaves a seat.
    pub(super) fn leave(&mut self, seat: Seat) -> BlockChange {
        let class = self.get_mut(seat.class);
        class.members -= 1;
        class.open.insert(seat.row);
        let row = &mut class.rows[seat.row];
        row.taken &= !(1 << seat.place.at);
        match row.block.take_if(|_| row.taken == 0) {
            Some(block) => BlockChange::Emptied(block),
            None => BlockChange::None,
        }
    }

    /// What the worker on this seat is to whoever names it. Workers of a class that have nothing
    /// of their own and the same stamp, as all have that are the first on their slots, share it.
    pub(super) fn facts(
        &mut self,
        seat: Seat,
        stamp: Stamp,
        own_labels: Vec<(Name, Name)>,
        machine: Option<Name>,
    ) -> Arc<Facts> {
        let class = self.get_mut(seat.class);
        let plain = own_labels.is_empty() && machine.is_none();
        if plain && let Some(same) = class.plain.as_ref().filter(|facts| facts.stamp == stamp) {
            return Arc::clone(same);
        }
        let traits = Arc::clone(&class.traits);
        let own_labels = own_labels.into();
        let facts = Arc::new(Facts { stamp, traits, own_labels, machine });
        if plain {
            class.plain = Some(Arc::clone(&facts));
        }
        facts
    }

    /// A block that is in no ring any more.
    pub(super) fn give_up(&mut self, blocks: &Blocks, block: BlockRef) {
        if blocks.close(block) {
            self.free_blocks.push(block.index);
        }
    }

    /// Forgets the class if it is empty.
    pub(super) fn tidy(&mut self, class: u32) {
        let cell = &mut self.slab[class];
        if let Some(gone) = cell.take_if(|c| c.members == 0) {
            self.by_traits.remove(&gone.traits);
            self.vacant.push(class);
        }
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    fn traits() -> ClassTraits {
        Traits {
            tenant: None,
            pool: None,
            labels: Vec::new(),
            gpus: false,
            devices: false,
            gpu_type: None,
            tier: 0,
            priority: 0,
            requires_selector: false,
            preemptable: false,
        }
    }

    #[test]
    fn the_lowest_place_that_was_left_is_taken_first() {
        let (blocks, mut classes) = (Blocks::new(100), Classes::default());
        let (class, _) = classes.of(traits());
        let mut seats: Vec<Seat> = (0..70).map(|s| classes.sit(&blocks, class, s).0).collect();
        for slot in [69, 40, 3, 35] {
            assert!(matches!(classes.leave(seats[slot]), BlockChange::None));
        }
        for slot in [3, 35, 40, 69] {
            let (seat, _) = classes.sit(&blocks, class, 100 + slot as u32);
            assert_eq!(seat, seats[slot]);
        }
        let members: Vec<u32> = classes.get(class).members().collect();
        assert_eq!(members.len(), 70);
        assert_eq!(members[34..37], [34, 135, 36]);
        // The last block is given up when its last worker leaves, and the row starts anew.
        let last = seats.split_off(64);
        let changes: Vec<_> = last.iter().map(|&seat| classes.leave(seat)).collect();
        assert!(matches!(changes[..], [.., BlockChange::None, BlockChange::Emptied(_)]));
        let (seat, change) = classes.sit(&blocks, class, 70);
        assert_eq!((seat.row, seat.place.at), (2, 0));
        assert!(matches!(change, BlockChange::Opened(_)));
    }

    #[test]
    fn workers_that_have_nothing_of_their_own_share_their_facts() {
        let (blocks, mut classes) = (Blocks::new(100), Classes::default());
        let (class, _) = classes.of(traits());
        let (seat, _) = classes.sit(&blocks, class, 0);
        let first = Stamp { incarnation: 1, epoch: 1 };
        let mut facts = |stamp, machine| classes.facts(seat, stamp, Vec::new(), machine);
        let plain = facts(first, None);
        assert!(Arc::ptr_eq(&plain, &facts(first, None)));
        assert!(!Arc::ptr_eq(&plain, &facts(first, Some("m".into()))));
        let moved = facts(Stamp { epoch: 2, ..first }, None);
        assert_eq!((plain.stamp.epoch, moved.stamp.epoch), (1, 2));
    }
}
