//! What a node is told at start: who it is, where its peers are, its timings, and the things
//! that differ between a machine and a simulation (clock, randomness, sealing, transport).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openshell_proto::log::Command;
use openshell_state::{Identifiers, Sealer};
use openshell_store::FaultHook;
use openshell_store::settings::Timings;
use tokio::net::TcpListener;

use crate::peer::ClusterKey;

/// Makes the cluster's first command from its id and the time (milliseconds since the Unix
/// epoch). It may be proposed more than once, so it guards that there is no cluster record yet.
pub type Genesis = Arc<dyn Fn(&str, i64) -> Command + Send + Sync>;

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Bounds on calls between nodes, taken from the timings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) heartbeat: Duration,
    /// The leader's lease, and about the length of an election.
    pub(crate) election: Duration,
}

impl Pace {
    pub(crate) fn of(timings: &Timings) -> Self {
        Self {
            heartbeat: Duration::from_millis(timings.heartbeat_ms),
            election: Duration::from_millis(timings.election_max_ms),
        }
    }

    /// How long a request of the append stream may stay unanswered before the stream is given up.
    pub(crate) fn append_silence(self) -> Duration {
        (self.election * 2).max(Duration::from_secs(1))
    }

    /// How long a call to a peer that involves no disk may take.
    pub(crate) fn call_limit(self) -> Duration {
        self.election * 2
    }

    /// Beyond this age a node is not ready: its leader is gone, or it lags.
    pub(crate) fn ready_age_max(self) -> Duration {
        self.election * 4
    }
}

/// Everything that [`Cluster::start`](crate::Cluster::start) needs beside the opened store.
pub struct ClusterConfig<T = TcpListener> {
    /// This node's id, from 1; never reused for an empty data directory.
    pub node: u64,
    /// Where the node is placed; may be empty.
    pub zone: String,
    /// Version of the program, for people.
    pub version: String,
    /// Takes connections from peers, bound by the caller, and makes those to them.
    pub peer_listener: T,
    /// `host:port` under which peers reach the node.
    pub advertise_peer: String,
    /// Where clients reach it: a URL or `host:port`.
    pub advertise_client: String,
    /// Id to peer address, the same on every node. Only this node: a cluster of one.
    pub initial_cluster: BTreeMap<u64, String>,
    /// Peer addresses of members of a cluster that this node waits to be added to; none: it forms
    /// one with its initial cluster.
    pub join: Vec<String>,
    /// Proves peers to each other.
    pub cluster_key: ClusterKey,
    /// Heartbeats and elections; the thresholds below replace its own.
    pub timings: Timings,
    /// A snapshot is due after so many entries.
    pub snapshot_after_entries: u64,
    /// Entries kept below the last snapshot, for nodes that lag.
    pub log_entries_kept: u64,
    /// The first command.
    pub genesis: Genesis,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Names for new things.
    pub identifiers: Arc<dyn Identifiers + Send + Sync>,
    /// Seals secrets.
    pub sealer: Arc<dyn Sealer + Send + Sync>,
    /// Told once when this node cannot go on: Raft or storage failed. The process must end; what it says from then on may be wrong.
    pub fault: FaultHook,
}
