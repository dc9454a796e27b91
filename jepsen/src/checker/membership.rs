//! Whose votes count, as nodes say it. They are always as many as at first, or one more while a place changes hands;
//! nobody's vote counts who was never brought in; and who was replaced never counts again at a node that has heard of it.
//! A node may go back before that: what is not committed yet may be undone.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use crate::history::{Line, Position, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "membership";
/// Of so many answers at least something is said.
const SAMPLES_MIN: usize = 20;
/// More sentences say nothing more.
const SAID_MAX: usize = 20;
/// After a node has applied something, it may say for so long what it was before: state and members are told apart.
const GRACE_NS: u64 = 2_000_000_000;

/// A replacement that the cluster has said to be done.
struct Done {
    old: u64,
    /// It is done in this state.
    at: Position,
    /// When each member had that state for the first time, as it said.
    heard_ns: BTreeMap<u64, u64>,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    /// How many voters there were at first; 0 before anybody was heard.
    size: usize,
    /// All that were ever voters, or are to be.
    ids: BTreeSet<u64>,
    begun: usize,
    done: Vec<Done>,
}

/// Whether voters are those that they may be.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut known = Known::default();
    let mut found = BTreeSet::new();
    let mut samples = 0;
    for line in story.lines {
        match line {
            Line::Replaced { new, at: None, .. } => {
                known.ids.insert(*new);
                known.begun += 1;
            }
            Line::Replaced { old, at: Some(at), .. } => {
                known.done.push(Done { old: *old, at: *at, heard_ns: BTreeMap::new() });
            }
            // One that waits to be a member knows of none.
            Line::Members { time_ns, member, at, voters, .. } if !voters.is_empty() => {
                samples += 1;
                if let Some(said) = known.saw(*time_ns, *member, *at, voters)
                    && found.len() < SAID_MAX
                {
                    found.insert(format!("member {member} at {at}: {said}"));
                }
            }
            _ => {}
        }
    }
    for said in found {
        finding.violated(said);
    }
    finding.count("voters", known.size);
    finding.count("members replaced", known.done.len());
    finding.at_least("answers", samples, SAMPLES_MIN);
    finding
}

impl Known {
    /// What is wrong with these voters, as a member said them, if anything is.
    fn saw(&mut self, time_ns: u64, member: u64, at: Position, voters: &[u64]) -> Option<String> {
        if self.size == 0 {
            self.size = voters.len();
            self.ids.extend(voters);
        }
        let mut has_heard_all = self.begun == self.done.len();
        let mut returned = None;
        for done in &mut self.done {
            if at >= done.at {
                done.heard_ns.entry(member).or_insert(time_ns);
            } else {
                // Of what others made durable it may have applied more than its own disk has: killed, it knows less.
                done.heard_ns.remove(&member);
            }
            let heard = done.heard_ns.get(&member).is_some_and(|heard| time_ns >= heard.saturating_add(GRACE_NS));
            has_heard_all &= heard;
            if heard && voters.contains(&done.old) {
                returned = Some(format!("member {} was replaced before, and votes in {voters:?}", done.old));
            }
        }
        if let Some(stranger) = voters.iter().find(|voter| !self.ids.contains(*voter)) {
            return Some(format!("member {stranger} votes in {voters:?}, and nobody brought it in"));
        }
        let most = self.size + usize::from(!has_heard_all);
        if voters.len() < self.size || voters.len() > most {
            return Some(format!("{voters:?} vote, and there were {} voters at first", self.size));
        }
        returned
    }
}
