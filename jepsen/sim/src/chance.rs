//! Chance that follows from a seed: one stream for each purpose, so that a draw more in one place
//! changes nothing in another.

use std::time::Duration;

/// A stream of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of this seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut stream = Self(seed);
        for byte in purpose.bytes() {
            stream.0 = stream.next() ^ u64::from(byte);
        }
        stream
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to before `bound`; 0 when there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Yes, once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of some.
    ///
    /// # Panics
    /// When there are none.
    pub(crate) fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        let bound = u64::try_from(some.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(self.below(bound)).unwrap_or(0);
        &some[at]
    }

    /// A span from `least` to `most` milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_stream_follows_from_seed_and_purpose() {
        let drawn = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            (0..8).map(|_| chance.next()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1, "faults"), drawn(1, "faults"));
        assert_ne!(drawn(1, "faults"), drawn(2, "faults"));
        assert_ne!(drawn(1, "faults"), drawn(1, "clients"));
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut chance = Chance::new(7, "bounds");
        assert!((0..1000).map(|_| chance.between(3, 5)).all(|drawn| (3..=5).contains(&drawn)));
        assert_eq!(chance.below(0), 0);
    }
}
