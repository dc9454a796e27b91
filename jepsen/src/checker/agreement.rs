//! What nodes say at one position of something that follows from the state alone is the same on all of
//! them: the digest of the state, a sandbox's environment, what stands where in a list.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use super::windows::windows;
use crate::history::{Line, Position, Story, Topic};

impl Topic {
    /// The name of the checker that looks at it.
    pub(crate) fn checker(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Environment => "environment",
            Self::List => "list",
        }
    }

    /// Of so many positions at least something is said: to compare one again and again proves nothing more. Pages
    /// of a list meet more seldom.
    fn compared_min(self) -> usize {
        match self {
            Self::Digest | Self::Environment => 20,
            Self::List => 10,
        }
    }
}

/// What was said at one position, by name, and the node that said it first.
type Said<'a> = BTreeMap<&'a str, (u64, &'a str)>;

/// Whether all that was said about a topic agrees.
pub(super) fn check(story: &Story<'_>, topic: Topic) -> Finding {
    let mut finding = Finding::of(topic.checker());
    let mut said: BTreeMap<(&str, Position), Said<'_>> = BTreeMap::new();
    let faults: Vec<(u64, u64)> =
        windows(story.lines).iter().filter(|one| one.is_felt).map(|one| (one.from_ns, one.until_ns)).collect();
    let (mut facts, mut compared) = (0, 0);
    let (mut positions, mut during_faults) = (BTreeSet::new(), BTreeSet::new());
    for line in story.lines {
        let Line::Fact { time_ns, node, topic: about, subject, at, values } = line else { continue };
        if *about != topic {
            continue;
        }
        facts += 1;
        let known = said.entry((subject, *at)).or_default();
        let mut is_compared = false;
        for (name, value) in values {
            let (other, before) = *known.entry(name).or_insert((*node, value));
            is_compared |= other != *node;
            if before != value {
                finding.violated(format!(
                    "{subject} at {at}: {name} is {before} on node {other}, and {value} on node {node}"
                ));
            }
        }
        if is_compared {
            compared += 1;
            positions.insert((subject, *at));
            if faults.iter().any(|(from_ns, until_ns)| from_ns <= time_ns && time_ns <= until_ns) {
                during_faults.insert((subject, *at));
            }
        }
    }
    if topic == Topic::List {
        for ((subject, at), values) in &said {
            if let Some(why) = out_of_order(values) {
                finding.violated(format!("{subject} at {at}: {why}"));
            }
        }
    }
    finding.count("facts", facts);
    finding.count("facts compared between nodes", compared);
    finding.count("positions compared during faults", during_faults.len());
    finding.at_least("positions compared between nodes", positions.len(), topic.compared_min());
    finding
}

/// A list is in order of its names, so that each is at one index, and pages that follow each other miss and
/// repeat nothing. The names begin the values, and a space ends them.
fn out_of_order(values: &Said<'_>) -> Option<String> {
    let mut indexed: Vec<(usize, &str)> = values
        .iter()
        .filter_map(|(index, (_, value))| Some((index.parse().ok()?, value.split(' ').next().unwrap_or_default())))
        .collect();
    indexed.sort_unstable();
    // Behind the end there is nothing.
    let is_wrong = |one: &str, next: &str| !next.is_empty() && (one.is_empty() || one >= next);
    let pair = indexed.windows(2).find(|pair| is_wrong(pair[0].1, pair[1].1))?;
    let [(index, one), (next, other)] = pair else { return None };
    Some(format!("{one} stands at index {index}, and {other} at index {next}"))
}
