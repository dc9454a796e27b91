//! What counts say about a rollout: how many have it, who counts, and whether it is over.

use clap::ValueEnum;
use openshell_proto::sync::{GetRolloutResponse, RolloutRow, RolloutState};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Every connected sandbox has it in force.
    Applied,
    /// Every connected sandbox was sent it.
    Sent,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Sandboxes that count: those that are connected, or were lately.
    pub(super) live: u32,
    /// Of them, those that have it.
    pub(super) done: u32,
    /// And those that could not take it.
    pub(super) failed: u32,
    /// Sandboxes that are not connected, and do not count.
    pub(super) absent: u32,
    /// Nodes could not be asked: who seems not connected may be connected to one of them.
    pub(super) is_partial: bool,
}

impl Progress {
    pub(super) fn of(answer: &GetRolloutResponse, until: Until) -> Self {
        let counts = answer.counts.unwrap_or_default();
        let applied = counts.applied + counts.unsupported_fetched;
        let (done, failed) = match until {
            Until::Applied => (applied, counts.failed),
            Until::Sent => (applied + counts.sent + counts.failed, 0),
        };
        Self {
            live: counts.affected.saturating_sub(counts.absent),
            done,
            failed,
            absent: counts.absent,
            is_partial: counts.absent > 0 && !answer.unasked.is_empty(),
        }
    }

    /// Everybody who counts has it.
    pub(super) fn is_complete(self) -> bool {
        self.done >= self.live && !self.is_partial
    }

    /// Nobody is on the way any more.
    pub(super) fn is_over(self) -> bool {
        self.done + self.failed >= self.live && !self.is_partial
    }

    /// A bar of so many cells.
    pub(super) fn bar(self, cells: usize) -> String {
        let share = |count: u32| if self.live == 0 { cells } else { cells * count as usize / self.live as usize };
        let full = share(self.done).min(cells);
        format!("[{}{}] {}/{} sandboxes", "#".repeat(full), "-".repeat(cells - full), self.done, self.live)
    }
}

impl Until {
    /// Whether a sandbox has what is waited for.
    pub(super) fn is_met_by(self, row: &RolloutRow, revision: u64) -> bool {
        match row.state() {
            RolloutState::Applied => true,
            RolloutState::Unsupported => row.fetched_revision >= revision,
            RolloutState::Sent | RolloutState::Failed => self == Until::Sent,
            RolloutState::Unspecified | RolloutState::Pending | RolloutState::Stale | RolloutState::Absent => false,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Until::Applied => "applied",
            Until::Sent => "been sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::sync::{RolloutCounts, UnaskedNode};

    fn answer(counts: RolloutCounts) -> GetRolloutResponse {
        GetRolloutResponse { counts: Some(counts), ..GetRolloutResponse::default() }
    }

    #[test]
    fn who_was_never_connected_does_not_count_and_who_is_stale_does() {
        let counts = RolloutCounts { affected: 5, applied: 3, absent: 2, ..RolloutCounts::default() };
        assert!(Progress::of(&answer(counts), Until::Applied).is_complete());
        let stale = RolloutCounts { affected: 6, stale: 1, ..counts };
        let progress = Progress::of(&answer(stale), Until::Applied);
        assert!(!progress.is_complete() && !progress.is_over());
        assert_eq!(progress.bar(8), "[######--] 3/4 sandboxes");
    }

    #[test]
    fn who_seems_absent_may_be_at_a_node_that_was_not_asked() {
        let counts = RolloutCounts { affected: 3, applied: 2, absent: 1, ..RolloutCounts::default() };
        let unasked = vec![UnaskedNode { node: 3, reason: "no answer".to_owned() }];
        let partial = GetRolloutResponse { unasked: unasked.clone(), ..answer(counts) };
        let progress = Progress::of(&partial, Until::Applied);
        assert!(!progress.is_complete() && !progress.is_over());
        let everybody = RolloutCounts { affected: 2, absent: 0, ..counts };
        let known = GetRolloutResponse { unasked, ..answer(everybody) };
        assert!(Progress::of(&known, Until::Applied).is_complete(), "everybody is known elsewhere");
    }

    #[test]
    fn a_failure_ends_the_wait_for_applied_and_is_enough_for_sent() {
        let counts = RolloutCounts { affected: 3, applied: 1, failed: 1, sent: 1, ..RolloutCounts::default() };
        let applied = Progress::of(&answer(counts), Until::Applied);
        assert!(!applied.is_over(), "one may still apply it");
        assert!(Progress::of(&answer(counts), Until::Sent).is_complete());
        let last = RolloutCounts { applied: 2, sent: 0, ..counts };
        let over = Progress::of(&answer(last), Until::Applied);
        assert!(over.is_over() && !over.is_complete());
    }

    #[test]
    fn who_polls_has_it_once_it_fetched_it() {
        let counts = RolloutCounts { affected: 2, unsupported: 2, unsupported_fetched: 1, ..RolloutCounts::default() };
        assert!(!Progress::of(&answer(counts), Until::Applied).is_complete());
        let fetched = RolloutCounts { unsupported_fetched: 2, ..counts };
        assert!(Progress::of(&answer(fetched), Until::Applied).is_complete());
        let row = |fetched_revision| RolloutRow {
            state: RolloutState::Unsupported as i32,
            fetched_revision,
            ..RolloutRow::default()
        };
        assert!(Until::Applied.is_met_by(&row(7), 7) && !Until::Applied.is_met_by(&row(6), 7));
    }
}
