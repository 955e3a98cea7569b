//! Classes: workers that no selector can tell apart, and the places at which they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Name;
use crate::placement::{Rank, Traits};
use crate::slots::{BLOCK, BlockRef, Blocks, Place};

pub(super) type ClassTraits = Traits<Name>;

/// One class.
pub(super) struct Class {
    pub(super) traits: Arc<ClassTraits>,
    /// Its blocks; a place is (position in this list, place in the block).
    blocks: Vec<Option<(BlockRef, u32)>>,
    /// Places that have been left, lowest first.
    holes: BTreeSet<(u32, u32)>,
    /// First place never used.
    end: (u32, u32),
    pub(super) members: BTreeSet<u32>,
    /// The tiers that it is part of: selector, with GPUs or without, rank.
    pub(super) part_of: Vec<(u32, usize, Rank)>,
}

impl Class {
    fn new(traits: Arc<ClassTraits>) -> Self {
        Class {
            traits,
            blocks: Vec::new(),
            holes: BTreeSet::new(),
            end: (0, 0),
            members: BTreeSet::new(),
            part_of: Vec::new(),
        }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.blocks.iter().flatten().map(|(block, _)| *block)
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
    slab: Vec<Option<Class>>,
    vacant: Vec<u32>,
    free_blocks: Vec<u32>,
    next_block: u32,
}

impl Classes {
    pub(super) fn get(&self, class: u32) -> &Class {
        self.slab[class as usize].as_ref().expect("a seat's class exists while the seat is taken")
    }

    pub(super) fn get_mut(&mut self, class: u32) -> &mut Class {
        self.slab[class as usize].as_mut().expect("a seat's class exists while the seat is taken")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Class)> {
        self.slab.iter().enumerate().filter_map(|(i, c)| Some((i as u32, c.as_ref()?)))
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
                self.slab[index as usize] = Some(class);
                index
            }
            None => {
                self.slab.push(Some(class));
                self.slab.len() as u32 - 1
            }
        };
        self.by_traits.insert(traits, index);
        (index, true)
    }

    /// The lowest free place of a class.
    pub(super) fn sit(&mut self, blocks: &Blocks, class: u32, slot: u32) -> (Seat, BlockChange) {
        let c = self.slab[class as usize].as_mut().expect("made by `of`, which came before");
        c.members.insert(slot);
        let (row, at) = c.holes.pop_first().unwrap_or_else(|| {
            let (row, at) = c.end;
            c.end = if at as usize + 1 == BLOCK { (row + 1, 0) } else { (row, at + 1) };
            (row, at)
        });
        if c.blocks.len() <= row as usize {
            c.blocks.push(None);
        }
        let (block, change) = match &mut c.blocks[row as usize] {
            Some((block, taken)) => {
                *taken += 1;
                (*block, BlockChange::None)
            }
            gone => {
                let index = self.free_blocks.pop().unwrap_or_else(|| {
                    self.next_block += 1;
                    self.next_block - 1
                });
                let block = blocks.open(index);
                *gone = Some((block, 1));
                (block, BlockChange::Opened(block))
            }
        };
        (Seat { class, row, place: Place { block, at } }, change)
    }

    /// Leaves a seat. `stays`: for another one of the same class.
    pub(super) fn leave(&mut self, seat: Seat, slot: u32, stays: bool) -> BlockChange {
        let class = self.get_mut(seat.class);
        if !stays {
            class.members.remove(&slot);
        }
        class.holes.insert((seat.row, seat.place.at));
        let row = &mut class.blocks[seat.row as usize];
        let Some((block, taken)) = row else { return BlockChange::None };
        *taken -= 1;
        if *taken > 0 {
            return BlockChange::None;
        }
        let block = *block;
        *row = None;
        BlockChange::Emptied(block)
    }

    /// A block that is in no ring any more.
    pub(super) fn give_up(&mut self, blocks: &Blocks, block: BlockRef) {
        if blocks.close(block) {
            self.free_blocks.push(block.index);
        }
    }

    /// Forgets the class if it is empty.
    pub(super) fn tidy(&mut self, class: u32) {
        let cell = &mut self.slab[class as usize];
        if let Some(gone) = cell.take_if(|c| c.members.is_empty()) {
            self.by_traits.remove(&gone.traits);
            self.vacant.push(class);
        }
    }
}
