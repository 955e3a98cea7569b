//! Pseudo-random numbers whose sequence is part of the program's output and so must never change
//! with a dependency: SplitMix64 (Steele, Lea, Flood 2014).

/// A sequence of 64-bit numbers, the same for the same seed and stream on every machine.
pub struct Rng(u64);

impl Rng {
    /// Streams of one seed start at unrelated places.
    pub fn new(seed: u64, stream: u64) -> Rng {
        Rng(Rng(seed).next() ^ Rng(!stream).next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number under `n`, which must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// The index of one entry, each as likely as its weight says.
    pub fn pick<T>(&mut self, entries: &[T], weight: impl Fn(&T) -> u64) -> usize {
        let mut at = self.below(entries.iter().map(&weight).sum());
        entries
            .iter()
            .position(|entry| {
                let inside = at < weight(entry);
                at = at.wrapping_sub(weight(entry));
                inside
            })
            .expect("a number under the sum of the weights lies in one of them")
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn is_the_published_generator() {
        // First outputs of SplitMix64 for seed 1234567, from its authors' reference program.
        let mut rng = Rng(1234567);
        assert_eq!(rng.next(), 6457827717110365317);
        assert_eq!(rng.next(), 3203168211198807973);
    }

    #[test]
    fn weights_and_bounds_hold() {
        let mut rng = Rng::new(1, 0);
        let mut seen = [0u32; 3];
        for _ in 0..40_000 {
            assert!(rng.below(7) < 7);
            seen[rng.pick(&[1u64, 0, 3], |w| *w)] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((9_000..11_000).contains(&seen[0]), "{seen:?}");
    }

    #[test]
    fn streams_differ() {
        assert_ne!(Rng::new(1, 0).next(), Rng::new(1, 1).next());
        assert_ne!(Rng::new(1, 0).next(), Rng::new(2, 0).next());
    }
}
