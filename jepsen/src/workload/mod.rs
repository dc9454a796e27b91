//! What clients do while faults happen: each workload uses one part of the public API, without the library's
//! retries unless these are what it is about, and writes down what was asked and heard. Which outcome is right is
//! in `checker`.

mod attach;
mod attachments;
mod batch;
mod client;
mod dedup;
mod environment;
mod followed;
mod furnish;
mod heard;
mod list;
mod membership;
mod mixed;
mod part;
mod profiles;
mod register;
mod running;
mod session;
mod sync;
mod time;
mod told;
mod watch;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;
use openshell_client::Consistency;
use openshell_tests::Access;
use serde::{Deserialize, Serialize};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use crate::canary::Canary;
use crate::history::Position;
use crate::recorder::Recorder;

pub(crate) use environment::CREDENTIAL;
pub(crate) use heard::{Heard, position};
pub(crate) use mixed::mutating_methods;
pub(crate) use part::workspace_through;
pub(crate) use running::{LAST_WRITE, start};
pub(crate) use told::Told;

/// The workloads, by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    /// Profiles one by one: get, import, update on a version, delete.
    Register,
    /// Profiles several at a time, all or none, seen through lists.
    Batch,
    /// Attachments against profile updates: every sandbox composes at any time.
    Attach,
    /// Watches that go on at other nodes.
    Watch,
    /// One request id at several nodes.
    Dedup,
    /// Reads of what one wrote, through other nodes, not before one's position.
    Session,
    /// Pages of a list at one revision.
    List,
    /// Sandboxes that are kept current.
    Sync,
    /// A sandbox's environment, on every node.
    Environment,
    /// Who the members are, as each node says it.
    Membership,
    /// Every method that changes something, with messages that are made from the descriptor.
    Mixed,
}

impl Workload {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Register,
        Self::Batch,
        Self::Attach,
        Self::Watch,
        Self::Dedup,
        Self::Session,
        Self::List,
        Self::Sync,
        Self::Environment,
        Self::Membership,
        Self::Mixed,
    ];

    /// Whether its clients give secrets to the cluster.
    pub(crate) fn gives_secrets(self) -> bool {
        match self {
            Self::Attach | Self::Sync | Self::Environment | Self::Mixed => true,
            Self::Register
            | Self::Batch
            | Self::Watch
            | Self::Dedup
            | Self::Session
            | Self::List
            | Self::Membership => false,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        formatter.write_str(&name)
    }
}

/// How clients are to work.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// Of everything that they leave to chance.
    pub(crate) seed: u64,
    /// For how long they work.
    pub(crate) lasts: Duration,
    /// Clients of the largest workload; the others have fewer.
    pub(crate) clients: u64,
    /// Profiles that are contended for at one time.
    pub(crate) hot: usize,
    /// For how long one set of them is; short histories are checked faster.
    pub(crate) shift: Duration,
    /// What reads that are said to be linearizable ask for.
    pub(crate) reads: Consistency,
    /// So many nodes, from the first on, are asked for writes.
    pub(crate) written_through: usize,
    /// What every secret has in it that they give to the cluster.
    pub(crate) canary: Arc<Canary>,
}

/// What the clients of a run share.
pub(crate) struct Shared {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) wishes: Wishes,
    /// How each node is reached.
    pub(crate) nodes: Vec<Access>,
    /// How any of them is.
    pub(crate) all: Access,
    /// When the clients began; set once everything is set up.
    begun: OnceLock<Instant>,
    /// How far those who follow have to come, once that is known.
    settled: signal::Receiver<Option<Position>>,
}

impl Shared {
    fn begun(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    fn end(&self) -> Instant {
        self.begun() + self.wishes.lasts
    }

    /// How many sets of keys there are.
    fn shifts(&self) -> usize {
        let shifts = self.wishes.lasts.as_millis().div_ceil(self.wishes.shift.as_millis().max(1));
        usize::try_from(shifts).unwrap_or(usize::MAX).max(1)
    }

    /// Which of them is on.
    fn shift(&self) -> usize {
        let shift = self.begun().elapsed().as_millis() / self.wishes.shift.as_millis().max(1);
        usize::try_from(shift).unwrap_or(usize::MAX).min(self.shifts() - 1)
    }

    /// Those of the keys of all shifts that are on.
    fn hot<'a>(&self, keys: &'a [String]) -> &'a [String] {
        let first = self.shift() * self.wishes.hot;
        &keys[first..first + self.wishes.hot]
    }
}
