//! How a node is brought to a point: what has to happen in a cluster so that it passes there.

use openshell_chaos::Point;

/// What brings a node there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// The cluster forms; this node of it is trapped before its first start.
    Forming(u64),
    /// Updates go on, and the leader is trapped.
    Leading,
    /// Updates go on, and a follower is trapped.
    Following,
    /// The leader is killed, and a follower is trapped while it votes.
    Voting,
    /// A leader that was alone with entries of its own comes back trapped, and has to remove them.
    Conflicting,
    /// A node comes back trapped, far behind, and takes a snapshot.
    CatchingUp,
    /// A node comes back far behind, and the leader, which sends it a snapshot, is trapped.
    HelpingUp,
    /// A member is replaced, and the leader is trapped.
    Replacing,
    /// A credential is rotated, and the leader is trapped.
    Minting,
}

impl Approach {
    /// The way to a point; where leader and follower pass it, they take turns.
    pub(super) fn to(point: Point, round: u64) -> Self {
        let either = if round.is_multiple_of(2) { Self::Leading } else { Self::Following };
        match point {
            Point::AppendBeforeWrite
            | Point::AppendAfterSync
            | Point::BeforeSync
            | Point::AfterSync
            | Point::MarkBeforeRename
            | Point::SnapshotBuildBegin
            | Point::SnapshotBuildEnd
            | Point::PurgeBeforeWrite
            | Point::PurgeAfterWrite
            | Point::ApplyBegin
            | Point::ApplyBeforeWrite
            | Point::ApplyAfterWrite
            | Point::ApplyAfterPublish
            | Point::WatchBeforeSend => either,
            Point::ProposeBeforeAnswer => Self::Leading,
            Point::VoteBeforeSave | Point::VoteAfterSave => Self::Voting,
            Point::TruncateBeforeWrite | Point::TruncateAfterWrite => Self::Conflicting,
            Point::SnapshotSendPart => Self::HelpingUp,
            Point::SnapshotReceivePart
            | Point::SnapshotInstallBegin
            | Point::SnapshotInstallPiece
            | Point::SnapshotInstallBeforeSwap
            | Point::SnapshotInstallAfterSwap => Self::CatchingUp,
            // The node of the lowest id forms, the others promise.
            Point::FormationAfterPromise => Self::Forming(2 + round % 2),
            Point::FormationAfterAdopt | Point::ApplyMembership => Self::Forming(1 + round % 3),
            Point::ReplaceAfterRecord | Point::ReplaceAfterLearner | Point::ReplaceAfterSwap => Self::Replacing,
            Point::MintAfterClaim | Point::MintAfterAnswer => Self::Minting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Approach;
    use openshell_chaos::Point;

    #[test]
    fn what_both_pass_is_tried_on_both() {
        let of = |round| Approach::to(Point::AppendAfterSync, round);
        assert_eq!((of(0), of(1)), (Approach::Leading, Approach::Following));
        assert_eq!(Approach::to(Point::ProposeBeforeAnswer, 1), Approach::Leading, "only a leader proposes");
    }
}
