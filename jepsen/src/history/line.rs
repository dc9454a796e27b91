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
        /// The node that was asked first.
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
        /// The node.
        node: u64,
        /// Its process.
        process: u32,
        /// Its term.
        term: u64,
        /// The leader that it knows; 0 is none.
        leader: u64,
        /// The newest entry that it knows to be committed.
        committed: u64,
        /// The newest entry that it has applied.
        applied: u64,
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
    /// The watch ended for good, and why.
    Failed {
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
