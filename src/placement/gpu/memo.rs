//! Values by digest, in a table of fixed size: a value that another one pushed out is computed
//! again.

use super::node::mix;

/// Values of node states, valid for one epoch of what they depend on. Where the table is larger than a
/// processor's cache, a look at it costs as much as computing what it has.
#[derive(Clone, Debug)]
pub struct Memo<V> {
    /// With the digest and the epoch, as one number; 0 is none.
    cells: Vec<(u64, V)>,
}

impl<V: Copy + Default> Memo<V> {
    /// With `cells` places, a power of two.
    pub fn new(cells: usize) -> Memo<V> {
        Memo { cells: vec![(0, V::default()); cells.next_power_of_two()] }
    }

    /// The value of a digest in an epoch, computed where it is not known.
    #[inline]
    pub fn get(&mut self, digest: u64, epoch: u32, compute: impl FnOnce() -> V) -> V {
        let number = mix(digest ^ u64::from(epoch)).max(1);
        let at = number as usize & (self.cells.len() - 1);
        let (known, value) = self.cells[at];
        if known == number {
            return value;
        }
        let value = compute();
        self.cells[at] = (number, value);
        value
    }
}
