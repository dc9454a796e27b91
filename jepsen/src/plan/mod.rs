//! Which faults happen when: expanded from a seed before the run (`expand`), so that a plan can be read first, kept in a
//! file, and carried out again. Carrying it out is in `nemesis`.

mod expand;
mod kind;
mod profile;
mod resolved;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

pub(crate) use expand::{Wishes, expand};
pub(crate) use kind::{Choice, Kind};
pub(crate) use profile::{Profile, Rows};
pub(crate) use resolved::hit_by;

/// How much may be damaged at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// At most a minority of the nodes: the cluster must go on, and that it does is asserted.
    Safe,
    /// Anything: nothing may be lost or wrong.
    #[default]
    Brutal,
}

/// To whom; resolved when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Whoever leads.
    Leader,
    /// One of the others.
    Follower,
    /// The leader with as many others as make about a half.
    Half,
    /// The leader and a follower.
    Pair,
    /// All of them.
    Everyone,
    /// The node of the highest id, whether it leads or not.
    Last,
}

impl Target {
    /// How many nodes of so many it is.
    pub(crate) fn count(self, nodes: u64) -> u64 {
        match self {
            Target::Leader | Target::Follower | Target::Last => 1,
            Target::Pair => 2.min(nodes),
            Target::Half => half(nodes),
            Target::Everyone => nodes,
        }
    }
}

/// How many are on the leader's side: a minority, but of three nodes two, since the leader alone is a fault of its own.
fn half(nodes: u64) -> u64 {
    if nodes <= 3 { 2.min(nodes) } else { nodes / 2 }
}

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// From 0, in the order of their beginnings.
    pub(crate) number: u64,
    /// After the start.
    pub(crate) at_ms: u64,
    /// Until it is healed.
    pub(crate) lasts_ms: u64,
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// Whom it hit when the plan was carried out before, and is to hit again, whoever leads then; nobody where `target`
    /// is to be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<u64>,
    /// What its kind says: percent, milliseconds, seconds or kbit/s.
    #[serde(default)]
    pub(crate) amount: i64,
    /// Chooses among followers, files and points.
    #[serde(default)]
    pub(crate) choice: u64,
}

impl Planned {
    /// When it is to be healed.
    pub(crate) fn until_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms
    }

    /// How many nodes it damages at worst.
    pub(crate) fn damage(&self, nodes: u64) -> u64 {
        damage(self.kind, self.target, nodes)
    }
}

/// How many nodes a fault damages at worst.
pub(crate) fn damage(kind: Kind, target: Target, nodes: u64) -> u64 {
    damage_of(kind, target.count(nodes), nodes)
}

/// The same of a fault that hits so many.
pub(crate) fn damage_of(kind: Kind, hit: u64, nodes: u64) -> u64 {
    let others: [(&[Kind], u64); 4] = [
        (&[Kind::Transfer, Kind::ClockJump, Kind::ClockStrobe], 0),
        (&[Kind::Rolling, Kind::Replace], 1),
        // The smaller side is lost.
        (&[Kind::Halves], hit.min(nodes.saturating_sub(hit))),
        (&[Kind::Ring, Kind::Bridge], nodes),
    ];
    others.into_iter().find(|(kinds, _)| kinds.contains(&kind)).map_or(hit, |(_, damage)| damage)
}

/// A whole plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: u64,
    /// How long clients work.
    pub(crate) seconds: u64,
    pub(crate) mode: Mode,
    /// In the order of their beginnings.
    pub(crate) faults: Vec<Planned>,
    /// Kinds that were asked for and cannot be done, and why.
    #[serde(default)]
    pub(crate) left_out: BTreeMap<Kind, String>,
}

impl Plan {
    /// Reads a plan that was written before.
    ///
    /// # Errors
    /// When there is none, or it contradicts itself.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let describe = || format!("reading the plan {}", path.display());
        let text = fs::read_to_string(path).with_context(describe)?;
        let plan: Self = serde_json::from_str(&text).with_context(describe)?;
        let is_ordered = plan.faults.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms);
        ensure!(is_ordered, "{}: faults are in the order of their beginnings", path.display());
        ensure!([3, 5].contains(&plan.nodes), "{}: clusters have 3 or 5 nodes", path.display());
        for fault in &plan.faults {
            let is_there = |node: &u64| (1..=plan.nodes).contains(node);
            ensure!(fault.nodes.iter().all(is_there), "fault {} hits a node that is not there", fault.number);
            ensure!(fault.until_ms() <= plan.seconds * 1_000, "fault {} ends after the run", fault.number);
        }
        Ok(plan)
    }

    /// As a file has it.
    ///
    /// # Errors
    /// Never, in truth: it is made of numbers and words.
    pub(crate) fn to_text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether one of its faults is such.
    pub(crate) fn has(&self, is: impl Fn(Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| is(fault.kind))
    }

    /// A plan without faults, for runs that do one thing.
    pub(crate) fn calm(seed: u64, nodes: u64, seconds: u64) -> Self {
        Self { seed, nodes, seconds, mode: Mode::Brutal, faults: Vec::new(), left_out: BTreeMap::new() }
    }

    /// The one fault of a control whose reads may be stale: from the quiet beginning to the calm end, the last node
    /// falls behind while clients read from it.
    pub(crate) fn of_staleness(seed: u64, nodes: u64, seconds: u64) -> Self {
        let at_ms = expand::QUIET_MS;
        let lasts_ms = (seconds * 1_000).saturating_sub(at_ms + expand::CALM_END_MS);
        let (kind, target) = (Kind::PeerOnly, Target::Last);
        let fault = Planned { number: 0, at_ms, lasts_ms, kind, target, nodes: Vec::new(), amount: 0, choice: 0 };
        Self { faults: vec![fault], ..Self::calm(seed, nodes, seconds) }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            Target::Leader => "the leader",
            Target::Follower => "a follower",
            Target::Half => "half of the nodes",
            Target::Pair => "the leader and a follower",
            Target::Everyone => "every node",
            Target::Last => "the last node",
        };
        let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
        let (at, lasts, kind) = (seconds(self.at_ms), seconds(self.lasts_ms), self.kind.name());
        write!(formatter, "{:>3}  {at:6.1} s  {kind} {target} for {lasts:.1} s", self.number)?;
        if !self.nodes.is_empty() {
            write!(formatter, ", which was {:?}", self.nodes)?;
        }
        if self.amount != 0 {
            write!(formatter, " ({})", self.amount)?;
        }
        Ok(())
    }
}
