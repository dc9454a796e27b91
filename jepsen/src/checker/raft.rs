//! What Raft promises, as far as it can be seen from outside: the term of the vote on disk never goes back, and
//! a node that was started again is in no earlier term than that; within one life of a process, neither terms go
//! back nor do the leader of a term and what is applied, and what Raft then says to be committed is no less than
//! what had been applied. More than that a node may hear of and forget again: a term in which it has told nobody
//! anything yet, since a full or slow disk is in the way of its vote; and a new leader knows of less until it has
//! committed an entry of its own.
//!
//! Leaders are ordered by term, then by node: openraft lets a node of a higher id take over within a term.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use crate::history::{Line, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "raft";
/// Of so many samples at least something is said.
const SAMPLES_MIN: usize = 20;

/// What a node said last.
#[derive(Clone, Copy)]
struct Sample {
    process: u32,
    term: u64,
    saved: u64,
    leader: u64,
    committed: u64,
    applied: u64,
}

/// Whether nodes stand as they may, of which there were so many at first; 0 when that is not known.
pub(super) fn check(story: &Story<'_>, first: u64) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut nodes: BTreeMap<u64, Sample> = BTreeMap::new();
    let mut leaders = BTreeSet::new();
    let mut samples = 0;
    gauges(story, first, &mut finding);
    for line in story.lines {
        let Line::Raft { node, process, term, saved, leader, committed, applied, .. } = *line else { continue };
        samples += 1;
        if leader != 0 {
            leaders.insert((term, leader));
        }
        let now = Sample { process, term, saved, leader, committed, applied };
        if let Some(before) = nodes.insert(node, now) {
            for said in went_back(before, now) {
                finding.violated(format!("node {node}: {said}"));
            }
        }
    }
    finding.count("leader changes", changes(&leaders));
    finding.count("nodes", nodes.len());
    finding.at_least("samples", samples, SAMPLES_MIN);
    finding
}

/// Whether every node said how it stands, and did so most of the time.
fn gauges(story: &Story<'_>, first: u64, finding: &mut Finding) {
    // Of each node, how often it was said, and how often something lacked.
    let mut said: BTreeMap<u64, (usize, usize)> = (1..=first).map(|node| (node, (0, 0))).collect();
    for line in story.lines {
        match line {
            Line::Raft { node, .. } => said.entry(*node).or_default().0 += 1,
            Line::Unmeasured { node, .. } => said.entry(*node).or_default().1 += 1,
            // Who goes may have had no time to say anything, and who comes too, until it has its place.
            Line::Replaced { old, new, at, .. } => {
                if said.get(old) == Some(&(0, 0)) {
                    said.remove(old);
                }
                if at.is_some() {
                    said.entry(*new).or_default();
                }
            }
            _ => {}
        }
    }
    for (node, (samples, lacking)) in &said {
        if *samples == 0 {
            finding.unknown(format!("node {node} never said how it stands"));
        } else if lacking > samples {
            finding.unknown(format!("node {node} lacked a gauge {lacking} times, and had all {samples} times"));
        }
    }
    finding.count("samples that lack a gauge", said.values().map(|(_, lacking)| lacking).sum());
}

fn went_back(before: Sample, now: Sample) -> Vec<String> {
    let mut found = Vec::new();
    if now.saved < before.saved {
        found.push(format!("a vote in term {} was on disk, and then one in term {}", before.saved, now.saved));
    }
    if now.process != before.process {
        if now.term < before.saved {
            found.push(format!("a vote in term {} was on disk, and it came back in term {}", before.saved, now.term));
        }
        return found;
    }
    if now.term < before.term {
        found.push(format!("the term went back from {} to {}", before.term, now.term));
    }
    if now.term == before.term && now.leader != 0 && now.leader < before.leader {
        let (term, one, other) = (now.term, before.leader, now.leader);
        found.push(format!("in term {term}, node {one} led, and then node {other}"));
    }
    if now.applied < before.applied {
        found.push(format!("what is applied went back from {} to {}", before.applied, now.applied));
    }
    // What is applied is there at once; the rest is as of when Raft last said how it stands, which it does not while a
    // hung disk has it wait, such as for a vote to be written.
    let has_spoken = (now.term, now.leader, now.committed) != (before.term, before.leader, before.committed);
    if has_spoken && now.committed < before.applied {
        let (applied, committed) = (before.applied, now.committed);
        found.push(format!("{applied} was applied, and then only {committed} was known to be committed"));
    }
    found
}

/// Changes of the leading node from one leadership to the next.
fn changes(leaders: &BTreeSet<(u64, u64)>) -> usize {
    let leaders: Vec<u64> = leaders.iter().map(|(_, leader)| *leader).collect();
    leaders.windows(2).filter(|pair| pair[0] != pair[1]).count()
}
