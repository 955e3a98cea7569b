//! Values by digest, in a table of fixed size: a value that another one pushed out is computed
//! again.

use super::node::mix;

/// Bits of a cell that are the value; the rest is of the digest and the epoch, as one number.
const VALUE: u32 = 20;

/// Values of node states, valid for one epoch of what they depend on, each below 2^20. Two states are taken
/// for one another by one chance in 2^58. What is looked at costs about as much as computing it if it is in no
/// near cache of the processor, so cells are small.
#[derive(Clone, Debug)]
pub struct Memo {
    /// 0 is none.
    cells: Vec<u64>,
}

impl Memo {
    /// With `cells` places, a power of two.
    pub fn new(cells: usize) -> Memo {
        Memo { cells: vec![0; cells.next_power_of_two()] }
    }

    /// The value of a digest in an epoch, computed where it is not known.
    #[inline]
    pub fn get(&mut self, digest: u64, epoch: u32, compute: impl FnOnce() -> i32) -> i32 {
        const MASK: u64 = (1 << VALUE) - 1;
        // A number without the bit would be none where the value is 0.
        let number = mix(digest ^ u64::from(epoch)) | 1 << 63;
        let at = number as usize & (self.cells.len() - 1);
        let cell = &mut self.cells[at];
        if (*cell ^ number) & !MASK == 0 {
            return (*cell & MASK) as i32;
        }
        let value = compute();
        debug_assert!((0..1 << VALUE).contains(&value), "{value}");
        *cell = number & !MASK | value as u64 & MASK;
        value
    }
}
