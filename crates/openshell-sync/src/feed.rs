//! What goes between the task that follows a node and the one that installs: the newest of everything,
//! never a queue. Whoever is slow misses what is no longer true.

use std::sync::Arc;

use crate::installed::Offer;
use crate::position::Position;

/// From who follows to who installs.
#[derive(Clone, Default)]
pub(crate) struct Feed {
    /// What a node composed last.
    pub(crate) offer: Option<Arc<Offer>>,
    /// How many offers there were.
    pub(crate) offers: u64,
    /// Of which position a node last said what to have installed, or that nothing is to change.
    pub(crate) said: Option<Position>,
    /// The newest position that this is known to be of.
    pub(crate) position: Option<Position>,
    /// When a node last knew that, milliseconds since the Unix epoch.
    pub(crate) as_of_ms: i64,
    /// Whether a node is followed.
    pub(crate) followed: bool,
    /// Which; unknown of a released gateway.
    pub(crate) node: Option<u64>,
    /// Why none is.
    pub(crate) problem: String,
    /// The newest policy of the sandbox's own that the cluster was told is loaded.
    pub(crate) policy_reported: u32,
    /// And the one that it was told has failed; it may be loaded yet.
    pub(crate) policy_failed: u32,
}

/// From who installs to who follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The number of the offer that was dealt with last; 0 is what was on disk. None before that.
    pub(crate) settled: Option<u64>,
    /// Why it is not, or not all, in force.
    pub(crate) failed: String,
    /// The newest position that the hook has accepted whole; none while nothing is in force.
    pub(crate) applied: Option<Position>,
    /// The newest position that the disk has: nothing older is installed after a crash.
    pub(crate) kept: Option<Position>,
    /// By which a node knows what is in force; zeros when it is not all that it should be.
    pub(crate) revisions: (u64, u64),
    /// While it is closed and nothing is under way that may change it: the number of the newest offer.
    pub(crate) closed: Option<u64>,
    /// Of the policy that was dealt with, when it is the sandbox's own.
    pub(crate) policy_version: u32,
    /// Why that one is not in force; empty when it is.
    pub(crate) policy_error: String,
}

/// What a node is told of what is closed.
const CLOSED: &str = "closed: nothing fresh for longer than the maximum age";

impl Feed {
    /// Whether the cluster was told what became of this version of the sandbox's own policy.
    pub(crate) fn is_recorded(&self, version: u32, is_failed: bool) -> bool {
        version <= self.policy_reported || (is_failed && version == self.policy_failed)
    }

    /// Whether what was said last is in force, all of it.
    pub(crate) fn is_in_force(&self, outcome: &Outcome) -> bool {
        outcome.settled == Some(self.offers) && outcome.failed.is_empty()
    }

    /// The newest position that what is in force is known to be of.
    pub(crate) fn in_force(&self, outcome: &Outcome) -> Option<Position> {
        if self.is_in_force(outcome) { self.position } else { outcome.applied }
    }

    /// What a node is told that this sandbox has: the position and the revisions. The latter only when there is
    /// nothing under way, so that its `unchanged` is about what is in force.
    pub(crate) fn claim(&self, outcome: &Outcome) -> (Option<Position>, (u64, u64)) {
        let revisions = if self.is_in_force(outcome) { outcome.revisions } else { (0, 0) };
        (self.in_force(outcome), revisions)
    }

    /// What there is to report of the newest word, once it is dealt with and will not be undone by a crash.
    pub(crate) fn report(&self, outcome: &Outcome) -> Option<(Position, String)> {
        let said = self.said?;
        if outcome.settled != Some(self.offers) {
            return (outcome.closed == Some(self.offers)).then(|| (said, CLOSED.to_owned()));
        }
        let is_lasting = !outcome.failed.is_empty() || Some(said) <= outcome.kept;
        is_lasting.then(|| (said, outcome.failed.clone()))
    }

    /// What there is to report meanwhile, so that the node knows that somebody is there: what is in force, of
    /// the same epoch. Nothing before the node said anything.
    pub(crate) fn sign_of_life(&self, outcome: &Outcome) -> Option<Position> {
        let epoch = self.said?.epoch;
        let lasting = outcome.applied.min(outcome.kept).filter(|lasting| lasting.epoch == epoch);
        Some(lasting.unwrap_or(Position { epoch, revision: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_reported_of_what_is_not_dealt_with() {
        let position = Position { epoch: 1, revision: 9 };
        let mut feed = Feed { offers: 2, said: Some(position), ..Feed::default() };
        let mut outcome = Outcome { settled: Some(1), ..Outcome::default() };
        assert_eq!(feed.report(&outcome), None);
        outcome.settled = Some(2);
        outcome.kept = Some(Position { epoch: 1, revision: 8 });
        assert_eq!(feed.report(&outcome), None, "a crash would undo it");
        outcome.kept = Some(position);
        assert_eq!(feed.report(&outcome), Some((position, String::new())));
        outcome.failed = "the hook said no".to_owned();
        assert_eq!(feed.report(&outcome), Some((position, outcome.failed.clone())));
        assert_eq!(feed.in_force(&outcome), None, "nothing was applied before");
        feed.said = None;
        assert_eq!(feed.report(&outcome), None, "no node said anything yet");
    }

    #[test]
    fn what_is_closed_is_reported_as_such_until_something_newer_is_there() {
        let position = Position { epoch: 1, revision: 9 };
        let mut feed = Feed { offers: 2, said: Some(position), ..Feed::default() };
        let mut outcome = Outcome { closed: Some(2), kept: Some(position), ..Outcome::default() };
        assert_eq!(feed.report(&outcome), Some((position, CLOSED.to_owned())));
        feed.offers = 3;
        assert_eq!(feed.report(&outcome), None, "it was not looked at yet");
        (outcome.settled, outcome.closed) = (Some(3), None);
        assert_eq!(feed.report(&outcome), Some((position, String::new())));
    }

    #[test]
    fn a_failed_policy_is_recorded_once_and_may_be_loaded_later() {
        let mut feed = Feed { policy_reported: 3, policy_failed: 4, ..Feed::default() };
        assert!(feed.is_recorded(3, false) && feed.is_recorded(3, true) && feed.is_recorded(4, true));
        assert!(!feed.is_recorded(4, false) && !feed.is_recorded(5, true));
        feed.policy_reported = 4;
        assert!(feed.is_recorded(4, false));
    }

    #[test]
    fn nothing_is_claimed_that_is_not_in_force_as_a_whole() {
        let at = |revision| Some(Position { epoch: 1, revision });
        let feed = Feed { offers: 1, said: at(9), position: at(12), ..Feed::default() };
        let mut outcome = Outcome { kept: at(9), ..Outcome::default() };
        assert_eq!(feed.claim(&outcome), (None, (0, 0)), "the hook was not asked yet");
        assert_eq!(feed.sign_of_life(&outcome), at(0));
        (outcome.settled, outcome.applied, outcome.revisions) = (Some(0), at(5), (3, 4));
        assert_eq!(feed.claim(&outcome), (at(5), (0, 0)), "another one is under way");
        assert_eq!(feed.sign_of_life(&outcome), at(5));
        (outcome.settled, outcome.applied) = (Some(1), at(9));
        assert_eq!(feed.claim(&outcome), (at(12), (3, 4)));
        outcome.applied = Some(Position { epoch: 0, revision: 700 });
        assert_eq!(feed.sign_of_life(&outcome), at(0), "the epoch before");
        assert_eq!(Feed::default().sign_of_life(&outcome), None);
    }
}
