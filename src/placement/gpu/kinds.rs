//! The kinds of requests met so far, counted, in bounded memory.

use std::collections::HashMap;

use super::Shape;

/// The most kinds that are told apart.
pub const MAX_KINDS: usize = 512;

/// Counts are halved when there are this many, so that a mix that changes is followed.
const MEMORY: u64 = 1 << 15;

/// Kinds by number and how often each came: the counts of the most frequent ones are kept when
/// there are more kinds than places (space-saving, Metwally, Agrawal, El Abbadi 2005).
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    shapes: Vec<(Shape, u64)>,
    numbers: HashMap<Shape, usize>,
    total: u64,
    arrived: u64,
}

impl Kinds {
    /// A kind's number, if it is known.
    #[inline]
    fn number(&self, shape: &Shape) -> Option<usize> {
        self.numbers.get(shape).copied()
    }

    /// One more of this kind.
    pub fn count(&mut self, shape: &Shape) {
        if self.total >= MEMORY {
            self.shapes.iter_mut().for_each(|(_, count)| *count = count.div_ceil(2));
            self.total = self.shapes.iter().map(|(_, count)| count).sum();
        }
        (self.total, self.arrived) = (self.total + 1, self.arrived + 1);
        if let Some(number) = self.number(shape) {
            self.shapes[number].1 += 1;
            return;
        }
        let number = if self.shapes.len() < MAX_KINDS {
            self.shapes.push((*shape, 1));
            self.shapes.len() - 1
        } else {
            // The least frequent kind makes room; its count stays as what the new one may have had.
            let least = self.shapes.iter().map(|(_, count)| *count).min().unwrap_or(0);
            let at = self.shapes.iter().position(|(_, count)| *count == least).unwrap_or(0);
            self.numbers.remove(&self.shapes[at].0);
            self.shapes[at] = (*shape, least + 1);
            at
        };
        self.numbers.insert(*shape, number);
    }

    /// Every kind and its count, by number.
    pub fn iter(&self) -> impl Iterator<Item = (&Shape, u64)> {
        self.shapes.iter().map(|(shape, count)| (shape, *count))
    }

    /// The sum of the counts.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many requests were counted, those that were forgotten since included.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ModelSet, *};

    #[test]
    fn memory_is_bounded_and_what_is_frequent_stays() {
        let shape = |cpu| Shape::new(cpu, 0, 0, 0, ModelSet::ANY).unwrap();
        let mut kinds = Kinds::default();
        for i in 0..200_000u64 {
            kinds.count(&shape(if i % 2 == 0 { 1 } else { 2 + i % 5000 }));
        }
        assert_eq!(kinds.iter().count(), MAX_KINDS);
        assert!(kinds.total() <= MEMORY);
        assert_eq!(kinds.arrived(), 200_000);
        assert_eq!(kinds.total(), kinds.iter().map(|(_, count)| count).sum());
        let number = kinds.number(&shape(1)).expect("the most frequent one is known");
        assert!(kinds.iter().nth(number).unwrap().1 > MEMORY / 5);
    }
}
