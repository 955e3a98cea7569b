//! Where a probe starts.

/// The place among `len` that a hash points to, by linear hashing (Litwin 1980): the hash's low
/// bits under the next power of two, or under the one before where that is past the end.
///
/// A place that is added takes its keys from one other place only; nothing else moves. With `len`
/// not a power of two, some places are met up to twice as often as others.
#[inline]
pub fn start(hash: u64, len: u32) -> u32 {
    if len <= 1 {
        return 0;
    }
    let mask = u32::MAX >> (len - 1).leading_zeros();
    let at = hash as u32 & mask;
    if at < len { at } else { at & mask >> 1 }
}

/// The hash for the place within a block: the bits that [`start`] does not use.
#[inline]
pub fn second(hash: u64) -> u64 {
    hash >> 32
}

/// The other of two hashes that power of two choices picks by; SeaHash's diffusion.
#[inline]
pub fn other(hash: u64) -> u64 {
    let x = (hash ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0x6eed_0e9d_a4d9_4a4f);
    let x = x ^ ((x >> 32) >> (x >> 60));
    x.wrapping_mul(0x6eed_0e9d_a4d9_4a4f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_that_is_added_takes_keys_from_one_other(hash: u64, len in 1u32..100_000) {
            let (before, after) = (start(hash, len), start(hash, len + 1));
            prop_assert!(before < len);
            if before != after {
                // To the new place, and only from the one that it splits.
                let half = (len + 1).next_power_of_two() / 2;
                prop_assert_eq!((before, after), (len & (half - 1), len));
            }
        }
    }

    #[test]
    fn every_place_is_met() {
        for len in 1..200 {
            let mut met = vec![0; len as usize];
            (0..1024).for_each(|h| met[start(h, len) as usize] += 1);
            assert!(met.iter().all(|&n| n > 0), "{len}: {met:?}");
        }
    }
}
