//! The planted faults. Each is a line or two where the right code is, and says its name there; which checker must
//! see it is in `jepsen/controls`.

/// A fault that can be planted. The numbers are those by which they are asked for, and are never reused.
///
/// Number 10, a learner that counts in the quorum, is left out: who counts is decided within openraft, by a
/// membership whose voters are private to it, and to make the learner a voter is a lawful change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Linearizable reads are answered from what the node has, without a read index.
    StaleReads = 1,
    /// Entries are reported durable before they are written.
    EarlyAcknowledgement = 2,
    /// A vote is given before it is on disk.
    UnsyncedVote = 3,
    /// The guards of one entry in a hundred are not compared: its compare-and-swap swaps always.
    SkippedGuards = 4,
    /// Some imports of several profiles leave the last one out, and say that all are there.
    TornImport = 5,
    /// A node that took its state from a snapshot, its own on disk or another node's, has forgotten which
    /// requests took effect.
    ForgottenRequests = 6,
    /// A watch is not told of the first change that a new leader decided.
    DroppedEvent = 7,
    /// Applying an entry reads the node's own clock in place of the entry's stamp.
    LocalClock = 8,
    /// `RocksDB` opens its write-ahead log in its default mode, which stops at damage without a word.
    LenientRecovery = 9,
    /// A refusal quotes the credential that it refuses.
    SecretInError = 11,
    /// A follower forwards calls as if it were their caller, with its own rights.
    BorrowedIdentity = 12,
    /// A leader that restarts resumes its term.
    LeaderRestore = 13,
    /// Decisions do not guard the fences of the users of profiles.
    MissingGuard = 14,
    /// Whoever changes who uses a profile does not touch its fence.
    UntouchedFence = 15,
    /// A configuration that was kept is given again although it does not hold any more.
    StaleAnswer = 16,
}

impl Bug {
    /// Every one, by number.
    pub const ALL: [Bug; 15] = [
        Bug::StaleReads,
        Bug::EarlyAcknowledgement,
        Bug::UnsyncedVote,
        Bug::SkippedGuards,
        Bug::TornImport,
        Bug::ForgottenRequests,
        Bug::DroppedEvent,
        Bug::LocalClock,
        Bug::LenientRecovery,
        Bug::SecretInError,
        Bug::BorrowedIdentity,
        Bug::LeaderRestore,
        Bug::MissingGuard,
        Bug::UntouchedFence,
        Bug::StaleAnswer,
    ];

    /// Its number.
    #[must_use]
    pub fn number(self) -> u64 {
        self as u64
    }

    /// Its name in the variable, and that of its control's file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::StaleReads => "stale-reads",
            Bug::EarlyAcknowledgement => "early-acknowledgement",
            Bug::UnsyncedVote => "unsynced-vote",
            Bug::SkippedGuards => "skipped-guards",
            Bug::TornImport => "torn-import",
            Bug::ForgottenRequests => "forgotten-requests",
            Bug::DroppedEvent => "dropped-event",
            Bug::LocalClock => "local-clock",
            Bug::LenientRecovery => "lenient-recovery",
            Bug::SecretInError => "secret-in-error",
            Bug::BorrowedIdentity => "borrowed-identity",
            Bug::LeaderRestore => "leader-restore",
            Bug::MissingGuard => "missing-guard",
            Bug::UntouchedFence => "untouched-fence",
            Bug::StaleAnswer => "stale-answer",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Bug;

    #[test]
    fn every_bug_is_found_by_its_name_and_has_a_number_of_its_own() {
        assert!(Bug::ALL.iter().all(|bug| Bug::named(bug.name()) == Some(*bug)));
        assert!(Bug::ALL.is_sorted_by(|one, next| one.number() < next.number()));
        assert_eq!(Bug::ALL.map(Bug::number)[9], 11, "number 10 is left out");
    }
}
