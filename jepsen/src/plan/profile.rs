//! The profiles: what a run of a name does when nothing else is said. They are files of this crate, and part of it.

use anyhow::Context;
use serde::Deserialize;

use super::Mode;

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// How long clients work.
    pub(crate) seconds: u64,
    pub(crate) nodes: u64,
    pub(crate) mode: Mode,
    /// So many faults may be there at one time.
    pub(crate) overlap: usize,
    /// Clients that work at one thing side by side in the largest workload; the others have a part of that.
    pub(crate) clients: u64,
    /// By their names; `all` is each of them.
    pub(crate) workloads: Vec<String>,
    /// Names of kinds and groups of faults.
    pub(crate) nemeses: Vec<String>,
    /// Faults without which the run proves too little.
    pub(crate) require: Vec<String>,
    /// The same, where the machine can do them.
    #[serde(default)]
    pub(crate) require_where_possible: Vec<String>,
    /// Fewer changes of the leader than this prove too little.
    pub(crate) leader_changes_min: usize,
    /// Fewer acknowledged changes than this prove too little.
    pub(crate) acknowledged_min: usize,
    /// What is measured after it.
    #[serde(default)]
    pub(crate) rows: Rows,
}

/// How many rounds of each measurement; none are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rows {
    /// Kills of the leader.
    pub(crate) failover: u64,
    /// Other ways to lose it, each.
    pub(crate) failover_others: u64,
    /// Kills of all nodes.
    pub(crate) recovery: u64,
    /// Kills of all nodes when they have a gigabyte of state.
    pub(crate) recovery_large: u64,
    /// Power losses of all nodes.
    pub(crate) power_all: u64,
    /// Power losses of one node.
    pub(crate) power_one: u64,
    /// Damaged files.
    pub(crate) corrupt: u64,
    /// Clocks that go wrong alone.
    pub(crate) clocks: u64,
    /// Acknowledged writes on quiet disks, with a traced node, and with one that is slow, too; of two nodes.
    pub(crate) slow_disk: u64,
}

impl Rows {
    /// Those that may be measured beside something else, and those that measure time.
    pub(crate) fn split(self) -> (Self, Self) {
        let beside = Self { corrupt: self.corrupt, ..Self::default() };
        (beside, Self { corrupt: 0, ..self })
    }
}

impl Profile {
    /// Their names.
    pub(crate) const NAMES: [&str; 3] = ["smoke", "ci", "long"];

    /// The one of a name.
    ///
    /// # Errors
    /// When there is none, or its file is wrong.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let text = match name {
            "smoke" => include_str!("../../profiles/smoke.toml"),
            "ci" => include_str!("../../profiles/ci.toml"),
            "long" => include_str!("../../profiles/long.toml"),
            _ => anyhow::bail!("there is no profile {name:?}; there are {}", Self::NAMES.join(", ")),
        };
        toml::from_str(text).with_context(|| format!("the profile {name}"))
    }
}

impl Default for Profile {
    /// Without a name: kills, pauses and partitions while profiles are updated.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            seconds: 120,
            nodes: 3,
            mode: Mode::Brutal,
            overlap: 1,
            clients: 8,
            workloads: words(&["register"]),
            nemeses: words(&["kill", "pause", "isolate", "peer-only", "halves", "deaf", "mute", "loss"]),
            require: words(&["kill:3"]),
            require_where_possible: words(&["isolate", "halves", "deaf", "mute"]),
            leader_changes_min: 3,
            acknowledged_min: 1_000,
            rows: Rows::default(),
        }
    }
}
