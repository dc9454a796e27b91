//! How old what this node knows is. On a follower: the time since it had applied the commit index
//! that a leader told it, counted from when it was told, so that a node that lags does not look
//! fresh. A leader counts from its last quorum instead (see `node`). Until a node is told anything
//! after a start, its state is as old as its last entry: how long the node was down nobody knows.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openshell_state::State;
use openshell_store::{LogId, Vote};
use tokio::time::Instant;

/// What leaders told a node, and whether it has caught up with it.
#[derive(Debug)]
pub(crate) struct Freshness(Mutex<Told>);

#[derive(Debug)]
struct Told {
    /// The last moment at which everything committed then is known to be applied now.
    current_at: Instant,
    /// How old the state was then: nothing, unless it is that of the start.
    age_then: Duration,
    /// Some leader was caught up with since the start.
    caught_up: bool,
    /// The oldest commit index told that was not applied when told, and when that was.
    oldest: Option<(u64, Instant)>,
    /// The newest such.
    newest: Option<(u64, Instant)>,
}

/// How old a state is that was found on disk: as old as its last entry, and one without any is not old.
pub(crate) fn age_of(state: &State, now_ms: i64) -> Duration {
    let last_ms = if state.is_formed() { state.last_time_ms() } else { now_ms };
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(last_ms)).unwrap_or(0))
}

/// The commit index that a leader tells, if it is one that the leader has found in its own term. Before
/// its first entry is committed a new leader may know of less than is committed, or of nothing, and
/// whoever has applied that is not current.
pub(crate) fn proven_commit(leader: &Vote, commit: Option<&LogId>) -> Option<u64> {
    let led =
        |id: &&LogId| (id.leader_id.term, id.leader_id.node_id) == (leader.leader_id.term, leader.leader_id.node_id);
    commit.filter(led).map(|id| id.index)
}

impl Freshness {
    /// Nothing told yet, and the state that was found is of this age.
    pub(crate) fn new(now: Instant, age: Duration) -> Self {
        Self(Mutex::new(Told { current_at: now, age_then: age, caught_up: false, oldest: None, newest: None }))
    }

    /// A leader told this node, at `told_at`, that everything up to `commit` is committed; the
    /// node has applied everything up to `applied`.
    pub(crate) fn told(&self, commit: u64, told_at: Instant, applied: u64) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if commit <= applied {
            told.current(told_at);
            told.oldest = None;
            told.newest = None;
            return;
        }
        told.settle(applied);
        told.newest = Some((commit, told_at));
        told.oldest = told.oldest.or(told.newest);
    }

    /// Whether the node had applied everything that a leader told it, at some moment since its start. Before
    /// that its state may be young and yet no cluster's any more: the node may have been removed.
    pub(crate) fn has_caught_up(&self, applied: u64) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.settle(applied);
        told.caught_up
    }

    /// The age at `now` of a state at revision `applied`.
    pub(crate) fn age(&self, now: Instant, applied: u64) -> Duration {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.settle(applied);
        now.saturating_duration_since(told.current_at) + told.age_then
    }
}

impl Told {
    /// Everything committed at that moment is applied now.
    fn current(&mut self, at: Instant) {
        self.current_at = self.current_at.max(at);
        self.age_then = Duration::ZERO;
        self.caught_up = true;
    }

    /// Counts what has been applied meanwhile. Under a steady stream of writes the newest word
    /// is never applied yet, so the oldest is remembered beside it.
    fn settle(&mut self, applied: u64) {
        for (commit, told_at) in [self.oldest, self.newest].into_iter().flatten() {
            if commit <= applied {
                self.current(told_at);
            }
        }
        self.oldest = self.oldest.filter(|(commit, _)| *commit > applied);
        self.newest = self.newest.filter(|(commit, _)| *commit > applied);
        self.oldest = self.oldest.or(self.newest);
    }
}

#[cfg(test)]
mod tests {
    use openshell_store::LeaderId;

    use super::*;

    fn check(freshness: &Freshness, now: Instant, applied: u64, expected_ms: u64) {
        assert_eq!(freshness.age(now, applied), Duration::from_millis(expected_ms));
    }

    #[test]
    fn age_counts_from_the_last_word_that_was_applied() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let freshness = Freshness::new(start, Duration::ZERO);
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
    fn what_was_found_at_the_start_is_old_until_a_leader_was_heard_and_caught_up_with() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let freshness = Freshness::new(start, Duration::from_secs(7));
        check(&freshness, at(50), 3, 7_050);
        freshness.told(5, at(60), 3);
        check(&freshness, at(70), 4, 7_070);
        assert!(!freshness.has_caught_up(4));
        check(&freshness, at(80), 5, 20);
        assert!(freshness.has_caught_up(5));
    }

    #[test]
    fn what_a_new_leader_knows_of_earlier_terms_makes_no_node_current() {
        let leader = Vote::new_committed(4, 2);
        let entry = |term, node_id, index| LogId::new(LeaderId { term, node_id }, index);
        assert_eq!(proven_commit(&leader, None), None);
        assert_eq!(proven_commit(&leader, Some(&entry(3, 1, 7))), None);
        assert_eq!(proven_commit(&leader, Some(&entry(4, 2, 8))), Some(8));
    }

    #[test]
    fn a_node_that_is_always_one_entry_behind_is_not_old() {
        let start = Instant::now();
        let freshness = Freshness::new(start, Duration::ZERO);
        for step in 1..100 {
            freshness.told(step + 1, start + Duration::from_millis(step * 10), step);
        }
        check(&freshness, start + Duration::from_millis(1000), 99, 20);
    }
}
