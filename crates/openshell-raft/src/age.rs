//! How old what this node knows is. On a follower: the time since it had applied the commit index
//! that a leader told it, counted from when it was told, so that a node that lags does not look
//! fresh. A leader counts from its last quorum instead (see `node`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What leaders told a node, and whether it has caught up with it.
#[derive(Debug)]
pub(crate) struct Freshness(Mutex<Told>);

#[derive(Debug)]
struct Told {
    /// The last moment at which everything committed then is known to be applied now.
    current_at: Instant,
    /// The oldest commit index told that was not applied when told, and when that was.
    oldest: Option<(u64, Instant)>,
    /// The newest such.
    newest: Option<(u64, Instant)>,
}

impl Freshness {
    /// Nothing told yet: the age counts from now.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Told { current_at: now, oldest: None, newest: None }))
    }

    /// A leader told this node, at `told_at`, that everything up to `commit` is committed; the
    /// node has applied everything up to `applied`.
    pub(crate) fn told(&self, commit: u64, told_at: Instant, applied: u64) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if commit <= applied {
            told.current_at = told.current_at.max(told_at);
            told.oldest = None;
            told.newest = None;
            return;
        }
        told.settle(applied);
        told.newest = Some((commit, told_at));
        told.oldest = told.oldest.or(told.newest);
    }

    /// The age at `now` of a state at revision `applied`.
    pub(crate) fn age(&self, now: Instant, applied: u64) -> Duration {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.settle(applied);
        now.saturating_duration_since(told.current_at)
    }
}

impl Told {
    /// Counts what has been applied meanwhile. Under a steady stream of writes the newest word
    /// is never applied yet, so the oldest is remembered beside it.
    fn settle(&mut self, applied: u64) {
        for word in [&mut self.oldest, &mut self.newest] {
            if let Some((commit, told_at)) = *word
                && commit <= applied
            {
                self.current_at = self.current_at.max(told_at);
                *word = None;
            }
        }
        self.oldest = self.oldest.or(self.newest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(freshness: &Freshness, now: Instant, applied: u64, expected_ms: u64) {
        assert_eq!(freshness.age(now, applied), Duration::from_millis(expected_ms));
    }

    #[test]
    fn age_counts_from_the_last_word_that_was_applied() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let freshness = Freshness::new(start);
        check(&freshness, at(50), 0, 50);
        freshness.told(7, at(100), 7);
        check(&freshness, at(130), 7, 30);
        // Told of more than is applied: the age grows on from the last time it was current.
        freshness.told(9, at(150), 7);
        check(&freshness, at(200), 8, 100);
        // Applied at last: current as of when it was told.
        check(&freshness, at(210), 9, 60);
    }

    #[test]
    fn a_node_that_is_always_one_entry_behind_is_not_old() {
        let start = Instant::now();
        let freshness = Freshness::new(start);
        for step in 1..100 {
            freshness.told(step + 1, start + Duration::from_millis(step * 10), step);
        }
        check(&freshness, start + Duration::from_millis(1000), 99, 20);
    }
}
