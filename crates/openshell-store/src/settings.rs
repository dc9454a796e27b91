//! openraft's settings, each with its reason. One function makes them
//! all, so that a node and a test run with the same.

use openraft::{Config, ConfigError, SnapshotPolicy, StepDownPolicy};
use openshell_chaos::{Bug, bug};

/// What differs from deployment to deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Between two heartbeats. At least the 99.9th percentile of a sync plus a round trip: a
    /// follower answers a heartbeat only when its log is synced.
    pub heartbeat_ms: u64,
    /// The least of the random part of an election timeout. At least three heartbeats.
    pub election_min_ms: u64,
    /// The most of it, and the leader's lease.
    pub election_max_ms: u64,
    /// A snapshot is taken after this many entries.
    pub snapshot_entries: u64,
    /// Entries that stay in the log behind a snapshot: more than are written while a snapshot
    /// is on its way, or who receives it needs the next one at once.
    pub log_entries_kept: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self::lan()
    }
}

impl Timings {
    /// Nodes in one network, with disks that sync in milliseconds: about 0.7 s from the loss
    /// of a leader to the next write, where nobody can tell that its process has ended.
    #[must_use]
    pub fn lan() -> Self {
        Self {
            heartbeat_ms: 80,
            election_min_ms: 250,
            election_max_ms: 400,
            snapshot_entries: 10_000,
            log_entries_kept: 10_000,
        }
    }

    /// Disks that take tens of milliseconds under load.
    #[must_use]
    pub fn slow_disk() -> Self {
        Self { heartbeat_ms: 150, election_min_ms: 500, election_max_ms: 800, ..Self::lan() }
    }

    /// Nodes far apart.
    #[must_use]
    pub fn wan() -> Self {
        Self { heartbeat_ms: 300, election_min_ms: 1_000, election_max_ms: 1_600, ..Self::lan() }
    }
}

/// Why timings were refused. No retry helps.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Elections would start while the leader is well.
    #[error(
        "election_min_ms is {election_min_ms}, it must be at least three times heartbeat_ms ({heartbeat_ms}); raise the \
         one or lower the other"
    )]
    Heartbeat {
        /// As given.
        heartbeat_ms: u64,
        /// As given.
        election_min_ms: u64,
    },
    /// What openraft itself refuses.
    #[error("the Raft settings do not fit together: {0}")]
    Openraft(#[from] ConfigError),
}

/// No purge waits for more entries.
const PURGE_BATCH_MAX: u64 = 512;

/// openraft's settings.
///
/// # Errors
/// [`SettingsError`] when the timings do not fit together.
pub fn raft_config(timings: &Timings) -> Result<Config, SettingsError> {
    let Timings { heartbeat_ms, election_min_ms, election_max_ms, snapshot_entries, log_entries_kept } = *timings;
    if election_min_ms < heartbeat_ms.saturating_mul(3) {
        return Err(SettingsError::Heartbeat { heartbeat_ms, election_min_ms });
    }
    let config = Config {
        cluster_name: "openshell".into(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_min_ms,
        election_timeout_max: election_max_ms,
        // SAFETY RULE. A leader that resumes its term after a crash gives the log ids of
        // entries that it lost, and that others have, to new ones: acknowledged writes are
        // lost and nodes diverge. The test `leader_restore` shows it.
        enable_leader_restore: Some(bug(Bug::LeaderRestore)),
        // A log that went back is a broken disk, never to be covered up.
        allow_log_reversion: Some(false),
        // A node that was cut off does not drive the term up when it comes back.
        enable_pre_vote: Some(true),
        // A leader that hears from a minority only falls silent, so that the others can elect.
        // openraft wants the lease and one election, that is twice the maximum, at least.
        quorum_loss_probe_interval: Some(election_max_ms.saturating_mul(5) / 2),
        removed_leader_step_down: StepDownPolicy::After(150),
        // Bounded in bytes as well, where the log is read (`READ_BYTES_MAX`).
        max_payload_entries: 256,
        max_append_entries: Some(512),
        // These bound counts; bytes are bounded in front of proposals.
        api_channel_size: Some(4096),
        state_machine_channel_size: Some(256),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        // Used when a learner is added and waited for, only.
        replication_lag_threshold: snapshot_entries.saturating_mul(2),
        max_in_snapshot_log_to_keep: log_entries_kept,
        // Each purge leaves one tombstone that reads cross. Purges follow snapshots: with a batch that is larger than what
        // comes between two of them, a log would be several times as long as was asked for. The few entries of a
        // simulation would never be purged.
        purge_batch_size: if cfg!(feature = "simulation") { 4 } else { snapshot_entries.clamp(1, PURGE_BATCH_MAX) },
        // A hint; the network has its own deadlines.
        install_snapshot_timeout: 30_000,
        // A follower that was away is back within half a second.
        backoff: "100ms 200ms 400ms ..500ms".into(),
        ..Config::default()
    };
    Ok(config.validate()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_valid_and_never_restores_a_leader() {
        for timings in [Timings::lan(), Timings::slow_disk(), Timings::wan()] {
            let config = raft_config(&timings).expect("valid");
            assert_eq!(config.enable_leader_restore, Some(false));
            assert_eq!(config.enable_pre_vote, Some(true));
            assert_eq!(config.allow_log_reversion, Some(false));
        }
        assert_eq!(raft_config(&Timings::lan()).expect("valid").quorum_loss_probe_interval, Some(1000));
    }

    #[test]
    #[cfg(not(feature = "simulation"))]
    fn each_snapshot_lets_the_log_go_where_they_come_often() {
        let batch = |snapshot_entries| {
            let timings = Timings { snapshot_entries, ..Timings::lan() };
            raft_config(&timings).expect("valid").purge_batch_size
        };
        assert_eq!([1, 100, 512, 10_000].map(batch), [1, 100, 512, 512]);
    }

    #[test]
    fn timings_that_start_needless_elections_are_refused_in_words() {
        let timings = Timings { heartbeat_ms: 100, ..Timings::lan() };
        let error = raft_config(&timings).expect_err("refused").to_string();
        assert!(error.contains("at least three times heartbeat_ms (100)"), "{error}");
        let timings = Timings { election_max_ms: 250, ..Timings::lan() };
        assert!(matches!(raft_config(&timings), Err(SettingsError::Openraft(_))));
    }
}
