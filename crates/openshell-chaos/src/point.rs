//! The points at which a process can be made to end, to stand still or to meet an error.

/// A place that the product passes. What is passed once for each node, entry or part is said with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Entries are about to be queued for the disk.
    AppendBeforeWrite,
    /// Entries are on disk, and Raft has not heard of it.
    AppendAfterSync,
    /// A vote is about to be queued for the disk.
    VoteBeforeSave,
    /// A vote is on disk, and not given yet.
    VoteAfterSave,
    /// Entries that a snapshot covers are about to be removed.
    PurgeBeforeWrite,
    /// They are removed from the disk.
    PurgeAfterWrite,
    /// Entries of an earlier leader, which nobody committed, are about to be removed.
    TruncateBeforeWrite,
    /// They are removed from the disk.
    TruncateAfterWrite,
    /// The writer has a batch that is to be synced.
    BeforeSync,
    /// The batch is synced, and nobody has heard of it.
    AfterSync,
    /// The next high-water mark is written beside the one that holds.
    MarkBeforeRename,
    /// A snapshot of the state is wanted.
    SnapshotBuildBegin,
    /// It is taken, and Raft has not heard of it.
    SnapshotBuildEnd,
    /// Another part of a snapshot is on its way to another node.
    SnapshotSendPart,
    /// Another part of a snapshot came in.
    SnapshotReceivePart,
    /// A snapshot is complete and verified, and nothing of it is written.
    SnapshotInstallBegin,
    /// Some of it is written; only of a state of more than a mebibyte.
    SnapshotInstallPiece,
    /// All of it is written but the batch with which it takes the place of the state.
    SnapshotInstallBeforeSwap,
    /// It took the place of the state on disk, and nobody sees it yet.
    SnapshotInstallAfterSwap,
    /// Committed entries are about to be applied.
    ApplyBegin,
    /// They are applied in memory, and nothing is written.
    ApplyBeforeWrite,
    /// What they changed is queued for the disk, and not published.
    ApplyAfterWrite,
    /// It is published, and nobody is answered.
    ApplyAfterPublish,
    /// A change of the members is about to be applied.
    ApplyMembership,
    /// A change is committed and applied, and its caller has not heard of it.
    ProposeBeforeAnswer,
    /// A node has promised to be a member of what its list forms, and has not said so.
    FormationAfterPromise,
    /// A node has written down which cluster it belongs to.
    FormationAfterAdopt,
    /// It is written down that a member is to be replaced, and nothing else is done.
    ReplaceAfterRecord,
    /// The new node has caught up, and is no member.
    ReplaceAfterLearner,
    /// The members are changed, and the record does not say so.
    ReplaceAfterSwap,
    /// A change is about to be handed to those who watch.
    WatchBeforeSend,
    /// A credential is claimed for minting, and its issuer is not asked.
    MintAfterClaim,
    /// Its issuer has answered, and nothing of it is in the log.
    MintAfterAnswer,
}

impl Point {
    /// Every one, in the order in which a node may pass them in its life.
    pub const ALL: [Point; 33] = [
        Point::AppendBeforeWrite,
        Point::AppendAfterSync,
        Point::VoteBeforeSave,
        Point::VoteAfterSave,
        Point::PurgeBeforeWrite,
        Point::PurgeAfterWrite,
        Point::TruncateBeforeWrite,
        Point::TruncateAfterWrite,
        Point::BeforeSync,
        Point::AfterSync,
        Point::MarkBeforeRename,
        Point::SnapshotBuildBegin,
        Point::SnapshotBuildEnd,
        Point::SnapshotSendPart,
        Point::SnapshotReceivePart,
        Point::SnapshotInstallBegin,
        Point::SnapshotInstallPiece,
        Point::SnapshotInstallBeforeSwap,
        Point::SnapshotInstallAfterSwap,
        Point::ApplyBegin,
        Point::ApplyBeforeWrite,
        Point::ApplyAfterWrite,
        Point::ApplyAfterPublish,
        Point::ApplyMembership,
        Point::ProposeBeforeAnswer,
        Point::FormationAfterPromise,
        Point::FormationAfterAdopt,
        Point::ReplaceAfterRecord,
        Point::ReplaceAfterLearner,
        Point::ReplaceAfterSwap,
        Point::WatchBeforeSend,
        Point::MintAfterClaim,
        Point::MintAfterAnswer,
    ];

    /// Its name in the variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Point::AppendBeforeWrite => "append.before_write",
            Point::AppendAfterSync => "append.after_sync",
            Point::VoteBeforeSave => "vote.before_save",
            Point::VoteAfterSave => "vote.after_save",
            Point::PurgeBeforeWrite => "purge.before_write",
            Point::PurgeAfterWrite => "purge.after_write",
            Point::TruncateBeforeWrite => "truncate.before_write",
            Point::TruncateAfterWrite => "truncate.after_write",
            Point::BeforeSync => "writer.before_sync",
            Point::AfterSync => "writer.after_sync",
            Point::MarkBeforeRename => "mark.before_rename",
            Point::SnapshotBuildBegin => "snapshot.build.begin",
            Point::SnapshotBuildEnd => "snapshot.build.end",
            Point::SnapshotSendPart => "snapshot.send.part",
            Point::SnapshotReceivePart => "snapshot.receive.part",
            Point::SnapshotInstallBegin => "snapshot.install.begin",
            Point::SnapshotInstallPiece => "snapshot.install.piece",
            Point::SnapshotInstallBeforeSwap => "snapshot.install.before_swap",
            Point::SnapshotInstallAfterSwap => "snapshot.install.after_swap",
            Point::ApplyBegin => "apply.begin",
            Point::ApplyBeforeWrite => "apply.before_write",
            Point::ApplyAfterWrite => "apply.after_write",
            Point::ApplyAfterPublish => "apply.after_publish",
            Point::ApplyMembership => "apply.membership",
            Point::ProposeBeforeAnswer => "propose.before_answer",
            Point::FormationAfterPromise => "formation.after_promise",
            Point::FormationAfterAdopt => "formation.after_adopt",
            Point::ReplaceAfterRecord => "replace.after_record",
            Point::ReplaceAfterLearner => "replace.after_learner",
            Point::ReplaceAfterSwap => "replace.after_swap",
            Point::WatchBeforeSend => "watch.before_send",
            Point::MintAfterClaim => "mint.after_claim",
            Point::MintAfterAnswer => "mint.after_answer",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }

    /// Whether the disk can fail there, so that an error can be asked for.
    #[must_use]
    pub fn can_fail(self) -> bool {
        match self {
            Point::AppendBeforeWrite
            | Point::VoteBeforeSave
            | Point::VoteAfterSave
            | Point::PurgeBeforeWrite
            | Point::TruncateBeforeWrite
            | Point::BeforeSync
            | Point::AfterSync
            | Point::MarkBeforeRename
            | Point::SnapshotBuildEnd
            | Point::SnapshotInstallBegin
            | Point::SnapshotInstallPiece
            | Point::SnapshotInstallBeforeSwap
            | Point::SnapshotInstallAfterSwap
            | Point::ApplyBegin
            | Point::ApplyBeforeWrite
            | Point::ApplyAfterWrite
            | Point::ApplyAfterPublish
            | Point::ApplyMembership => true,
            Point::AppendAfterSync
            | Point::PurgeAfterWrite
            | Point::TruncateAfterWrite
            | Point::SnapshotBuildBegin
            | Point::SnapshotSendPart
            | Point::SnapshotReceivePart
            | Point::ProposeBeforeAnswer
            | Point::FormationAfterPromise
            | Point::FormationAfterAdopt
            | Point::ReplaceAfterRecord
            | Point::ReplaceAfterLearner
            | Point::ReplaceAfterSwap
            | Point::WatchBeforeSend
            | Point::MintAfterClaim
            | Point::MintAfterAnswer => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Point;

    #[test]
    fn every_point_is_found_by_its_name() {
        assert!(Point::ALL.iter().all(|point| Point::named(point.name()) == Some(*point)));
        assert_eq!(Point::ALL.into_iter().collect::<BTreeSet<_>>().len(), Point::ALL.len());
    }
}
