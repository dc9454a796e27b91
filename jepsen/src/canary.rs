//! What marks every secret that a run gives to the product, so that it is known wherever it turns up. Looking for it is in
//! `checker`.

use std::sync::atomic::{AtomicU64, Ordering};

use openshell_tests::Leaks;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Of letters and digits, which nothing escapes, and so many that no chance writes them: two pieces of the search.
const LENGTH: usize = 32;
/// The mark has nothing to do with what else follows from the seed.
const OF_MARKS: u64 = 0x6361_6e61_7279_0001;

/// The mark of one run.
#[derive(Debug)]
pub(crate) struct Canary {
    mark: String,
    made: AtomicU64,
}

impl Canary {
    /// That of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ OF_MARKS);
        let mark = random.sample_iter(Alphanumeric).take(LENGTH).map(char::from).collect();
        Self { mark, made: AtomicU64::new(0) }
    }

    /// A secret with the mark in it, told from others by a word.
    pub(crate) fn secret(&self, word: &str) -> String {
        self.made.fetch_add(1, Ordering::Relaxed);
        format!("{}-{word}", self.mark)
    }

    /// How many secrets were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// What finds the mark.
    pub(crate) fn leaks(&self) -> Leaks {
        let mut leaks = Leaks::default();
        leaks.plant("a secret of the run", &self.mark);
        leaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_follows_from_the_seed_and_is_found_in_every_secret() {
        let (canary, other) = (Canary::of(7), Canary::of(8));
        assert_eq!(canary.secret("a"), Canary::of(7).secret("a"));
        assert_ne!(canary.mark, other.mark);
        assert!(canary.mark.chars().all(|letter| letter.is_ascii_alphanumeric()), "{}", canary.mark);
        for word in ["", "c0-1"] {
            let secret = canary.secret(word);
            assert_eq!(canary.leaks().find("here", secret.as_bytes()).len(), 1, "{secret}");
            assert!(other.leaks().find("here", secret.as_bytes()).is_empty(), "{secret}");
        }
        assert_eq!(canary.made(), 3);
    }
}
