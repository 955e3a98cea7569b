//! An array that grows at its end without moving what it has.

use core::ops::{Index, IndexMut};

/// Piece k holds 2^k elements, and is asked for when the ones before it are full: no push copies
/// anything, and memory that is not written yet is not touched.
pub(super) struct Growing<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Growing { pieces: Vec::new() }
    }
}

impl<T> Growing<T> {
    /// Adds an element and returns its index.
    pub(super) fn push(&mut self, element: T) -> u32 {
        if self.pieces.last().is_none_or(|last| last.len() == 1 << (self.pieces.len() - 1)) {
            self.pieces.push(Vec::with_capacity(1 << self.pieces.len()));
        }
        let k = self.pieces.len() - 1;
        self.pieces[k].push(element);
        ((1 << k) + self.pieces[k].len() - 2) as u32
    }

    /// Piece and position in it.
    fn find(index: u32) -> (usize, usize) {
        let n = index as usize + 1;
        (n.ilog2() as usize, n - (1 << n.ilog2()))
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (k, at) = Self::find(index);
        self.pieces.get(k)?.get(at)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (k, at) = Self::find(index);
        self.pieces.get_mut(k)?.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }
}

impl<T> Index<u32> for Growing<T> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        let (k, at) = Self::find(index);
        &self.pieces[k][at]
    }
}

impl<T> IndexMut<u32> for Growing<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        let (k, at) = Self::find(index);
        &mut self.pieces[k][at]
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_are() {
        let mut growing = Growing::default();
        for i in 0..100u32 {
            assert_eq!(growing.get(i), None);
            assert_eq!(growing.push(i), i);
        }
        let first: *const u32 = &growing[63];
        (100..1000).for_each(|i| assert_eq!(growing.push(i), i));
        assert!(core::ptr::eq(first, &growing[63]));
        growing[999] = 7;
        assert_eq!(growing.get_mut(999), Some(&mut 7));
        assert!(growing.iter().take(999).copied().eq(0..999));
    }
}
