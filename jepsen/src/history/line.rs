//! The lines of a history: everything that was seen while a run went on, so that it can be judged again
//! from its file alone. Times are nanoseconds on one monotonic clock. Judging is in `checker`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::action::{Action, Cell, Cells, Outcome, Position};
use crate::workload::Workload;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    /// Keys that are written together, before any client worked. Each key belongs to one object.
    Object {
        /// Its name.
        object: String,
        /// Whose it is.
        workload: Workload,
        /// All its keys, at most [`super::KEYS_MAX`].
        keys: Vec<String>,
        /// Those that are there already.
        #[serde(default, skip_serializing_if = "Cells::is_empty")]
        cells: Cells,
    },
    /// Before the first byte was sent.
    Invoke {
        /// Number of the operation.
        operation: u64,
        /// The client; one that was left in doubt is never heard of again.
        process: u64,
        /// When.
        time_ns: u64,
        /// The node that was asked first; 0 where a client chooses among all of them by itself.
        node: u64,
        /// Whose it is.
        workload: Workload,
        /// What was asked.
        action: Action,
    },
    /// After the answer was read, or given up.
    Return {
        /// Number of the operation.
        operation: u64,
        /// When.
        time_ns: u64,
        /// What became of it.
        outcome: Outcome,
        /// Of which state the answer speaks, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Position>,
        /// Attempts that were made under its request id.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        attempts: u32,
    },
    /// What a watch said.
    Watched {
        /// The watcher, over all its streams.
        watcher: u64,
        /// When.
        time_ns: u64,
        /// The node that its stream began at.
        node: u64,
        /// What the message is.
        news: News,
    },
    /// Somebody begins to follow the cluster, or has come to the end.
    Follower {
        /// When.
        time_ns: u64,
        /// Whose it is.
        workload: Workload,
        /// A watcher's number, or a sandbox's name.
        name: String,
        /// Whether it has come as far as the cluster came.
        is_done: bool,
    },
    /// A sandbox's synchronisation put something into force.
    Installed {
        /// The sandbox.
        sandbox: String,
        /// When.
        time_ns: u64,
        /// Why: the word of the library.
        kind: String,
        /// Of which state.
        at: Option<Position>,
        /// What it follows.
        key: String,
        /// The value of that key in what was put into force.
        value: String,
    },
    /// What a node said at a position, of something that every node must say alike there.
    Fact {
        /// When.
        time_ns: u64,
        /// The node.
        node: u64,
        /// What about.
        topic: Topic,
        /// Of whom.
        subject: String,
        /// Of which state.
        at: Position,
        /// What it said, by name.
        values: BTreeMap<String, String>,
    },
    /// How a node stands to Raft.
    Raft {
        /// When.
        time_ns: u64,
        /// The node, by the id that it has in the cluster: one that takes the place of another has one of its own.
        node: u64,
        /// Its process.
        process: u32,
        /// Its term.
        term: u64,
        /// The term of the vote that it has on disk.
        saved: u64,
        /// The leader that it knows; 0 is none.
        leader: u64,
        /// The newest entry that it knows to be committed.
        committed: u64,
        /// The newest entry that it has applied.
        applied: u64,
    },
    /// A node's page of metrics does not say how it stands to Raft.
    Unmeasured {
        /// When.
        time_ns: u64,
        /// The node, as in [`Line::Raft`].
        node: u64,
        /// Gauges that are not on it.
        lacks: Vec<String>,
    },
    /// A node is lost for good, and another member comes into its place, which other lines go on to call by its number.
    Replaced {
        /// When.
        time_ns: u64,
        /// The place.
        node: u64,
        /// The member that goes.
        old: u64,
        /// The one that comes.
        new: u64,
        /// A state in which it is done, once the cluster has said so; nothing when it begins.
        at: Option<Position>,
    },
    /// Whose votes count, as a node says it.
    Members {
        /// When.
        time_ns: u64,
        /// The place of the node that was asked.
        node: u64,
        /// The member that answered.
        member: u64,
        /// What it had applied before it answered.
        at: Position,
        /// Members, in the order of their ids; none while it waits to be one.
        voters: Vec<u64>,
    },
    /// What a node's process takes of its machine.
    Resources {
        /// When.
        time_ns: u64,
        /// The node.
        node: u64,
        /// Its process.
        process: u32,
        /// Memory.
        resident_bytes: u64,
        /// Open files and connections.
        descriptors: u64,
    },
    /// A fault, at one stage of its life.
    Fault {
        /// When.
        time_ns: u64,
        /// Its number in the plan.
        number: u64,
        /// A word for what it is, such as `kill` or `halves`.
        kind: String,
        /// Whom it hits.
        nodes: Vec<u64>,
        /// How far it is.
        stage: Stage,
        /// In words.
        said: String,
    },
    /// A gateway ended although nobody made it.
    Ended {
        /// When.
        time_ns: u64,
        /// The node.
        node: u64,
        /// How.
        said: String,
    },
    /// A node's log was read to its end.
    Log {
        /// The node.
        node: u64,
        /// How many lines it has.
        lines: u64,
        /// Those of them that may not be there.
        suspicious: Vec<String>,
    },
    /// The faults are over, the cluster is whole again, and the last reads begin.
    Settled {
        /// When.
        time_ns: u64,
    },
}

/// What a message of a watch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// The state is complete: what is there.
    Synced {
        /// Of which state.
        at: Position,
        /// The keys that are there.
        cells: Cells,
    },
    /// Everything that one entry changed.
    Changed {
        /// The entry.
        at: Position,
        /// Each key, with what it has now; nothing when it was removed.
        changes: BTreeMap<String, Option<Cell>>,
    },
    /// There was nothing else up to here.
    Quiet {
        /// Up to where.
        at: Position,
    },
    /// What comes next is no longer kept: the state comes anew.
    Anew,
    /// A stream was refused, or no node took it for too long.
    Failed {
        /// The gRPC code of a refusal; empty of what is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        code: String,
        /// Its words.
        said: String,
    },
}

/// What nodes must agree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Topic {
    /// The digest of the state.
    Digest,
    /// A sandbox's environment and configuration.
    Environment,
    /// What stands at each index of a list.
    List,
}

/// How far a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It is about to be done.
    Begun,
    /// It was done, and found to have taken effect.
    Installed,
    /// It is undone, and found to be.
    Healed,
    /// It was not done.
    Skipped,
    /// Whether it took effect is not known.
    Indeterminate,
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}
