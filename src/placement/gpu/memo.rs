//! Values by digest, in a table of fixed size: a value that another one pushed out is computed
//! again.

/// Values of node states, valid for one epoch of what they depend on.
#[derive(Clone, Debug)]
pub struct Memo<V> {
    cells: Vec<Option<(u64, u32, V)>>,
}

impl<V: Copy> Memo<V> {
    /// With `cells` places, a power of two.
    pub fn new(cells: usize) -> Memo<V> {
        Memo { cells: vec![None; cells.next_power_of_two()] }
    }

    /// The value of a digest in an epoch, computed where it is not known.
    #[inline]
    pub fn get(&mut self, digest: u64, epoch: u32, compute: impl FnOnce() -> V) -> V {
        let at = digest as usize & (self.cells.len() - 1);
        match self.cells[at] {
            Some((known, of, value)) if known == digest && of == epoch => value,
            _ => {
                let value = compute();
                self.cells[at] = Some((digest, epoch, value));
                value
            }
        }
    }
}
