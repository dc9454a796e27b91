//! Where a client has been: the epoch and revision that its answers must not be older than. Keeping
//! it from one process to the next is the caller's business.

use std::sync::{Mutex, PoisonError};

use crate::seen::Seen;

/// A point in the life of a cluster. Ordered by epoch, then by revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which life of the cluster: another one after it was made from a backup.
    pub epoch: u64,
    /// The Raft log index that produced the state.
    pub revision: u64,
}

impl Position {
    /// The position of an answer; nothing when the node did not say it, or belongs to no formed
    /// cluster yet.
    #[must_use]
    pub fn of(seen: &Seen) -> Option<Self> {
        match (seen.epoch, seen.revision) {
            (Some(0), _) | (None, _) | (_, None) => None,
            (Some(epoch), Some(revision)) => Some(Self { epoch, revision }),
        }
    }
}

/// The position of one client.
pub(crate) struct Track {
    kept: Mutex<Option<Position>>,
}

/// What an answer did to the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It says nothing new.
    Stayed,
    Moved(Position),
    /// The answer is of a later life of the cluster.
    Entered {
        kept: Position,
        now: Position,
    },
}

impl Track {
    pub(crate) fn new(from: Option<Position>) -> Self {
        Self { kept: Mutex::new(from) }
    }

    pub(crate) fn kept(&self) -> Option<Position> {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves forward to an answer's position. An answer of an earlier life is not believed: a call that
    /// depends on the position hears about it from the node.
    pub(crate) fn saw(&self, seen: &Seen) -> Step {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, Some(now)) = (*kept, Position::of(seen)) else { return Step::Stayed };
        if before.is_some_and(|before| now <= before) {
            return Step::Stayed;
        }
        *kept = Some(now);
        match before {
            Some(before) if before.epoch != now.epoch => Step::Entered { kept: before, now },
            Some(_) | None => Step::Moved(now),
        }
    }

    /// Drops what a node found to be of another cluster, unless it was dropped already.
    pub(crate) fn lose(&self, carried: Position) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some_and(|kept| kept.epoch == carried.epoch && kept >= carried) {
            *kept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Step, Track};
    use crate::seen::Seen;

    fn at(epoch: u64, revision: u64) -> Position {
        Position { epoch, revision }
    }

    fn seen(epoch: u64, revision: u64) -> Seen {
        Seen { epoch: Some(epoch), revision: Some(revision), ..Seen::default() }
    }

    #[test]
    fn the_position_only_moves_forward() {
        let track = Track::new(None);
        assert_eq!(track.saw(&seen(1, 5)), Step::Moved(at(1, 5)));
        assert_eq!(track.saw(&seen(1, 4)), Step::Stayed);
        assert_eq!(track.saw(&seen(1, 5)), Step::Stayed);
        assert_eq!(track.saw(&seen(1, 6)), Step::Moved(at(1, 6)));
        assert_eq!(track.saw(&seen(2, 3)), Step::Entered { kept: at(1, 6), now: at(2, 3) });
        assert_eq!(track.saw(&seen(1, 9)), Step::Stayed, "an earlier life");
        assert_eq!(track.kept(), Some(at(2, 3)));
    }

    #[test]
    fn an_answer_without_a_position_or_of_no_cluster_moves_nothing() {
        let track = Track::new(Some(at(1, 5)));
        for seen in [Seen::default(), seen(0, 9), Seen { epoch: Some(2), ..Seen::default() }] {
            assert_eq!(track.saw(&seen), Step::Stayed);
        }
    }

    #[test]
    fn only_what_was_carried_is_lost() {
        let track = Track::new(Some(at(1, 5)));
        track.lose(at(1, 9));
        assert_eq!(track.kept(), Some(at(1, 5)), "found anew since");
        track.lose(at(2, 1));
        assert_eq!(track.kept(), Some(at(1, 5)));
        track.lose(at(1, 5));
        assert_eq!(track.kept(), None);
    }
}
