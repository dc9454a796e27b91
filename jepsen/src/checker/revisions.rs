//! The certificate by revision, over all profiles at once and without a search: every answer says
//! of which (epoch, revision) it speaks, and in that order the answers must tell one story. It
//! believes no revision: what each answer saw, and when it was given, is held against it. Where no
//! write is in doubt, an order by revision that passes is the proof of linearizability itself.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use crate::history::{Action, KeyHistory, Operation, Outcome, Position};

/// What an answer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Every answer says of which state it speaks.
    Placed,
    /// No answer is of an older state than one that was there before the question.
    Fresh,
    /// Nor for one client, which asks one thing after the other.
    Forwards,
    /// One revision belongs to one write, and one version of a profile to one revision and value.
    One,
    /// What was acknowledged at a revision is there at every later one.
    Kept,
    /// One write takes effect once.
    Once,
    /// Versions are counted without gaps, each made by a write that somebody sent.
    Gapless,
    /// No answer speaks of a write of a later revision.
    NotAhead,
}

/// One broken rule, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    pub(crate) rule: Rule,
    said: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.said)
    }
}

/// An answer that says something about its profile, with its place.
struct Answer<'a> {
    key: &'a str,
    operation: &'a Operation,
    at: Position,
}

/// Everything that contradicts itself; empty for a sound history.
pub(crate) fn contradictions(keys: &BTreeMap<String, KeyHistory>) -> Vec<Contradiction> {
    let mut found = Vec::new();
    let mut answers = Vec::new();
    for (key, history) in keys {
        for operation in &history.operations {
            match (&operation.outcome, operation.at) {
                (Outcome::Read { .. } | Outcome::Written { .. } | Outcome::Conflict { .. }, Some(at)) => {
                    answers.push(Answer { key, operation, at });
                }
                (Outcome::Read { .. } | Outcome::Written { .. } | Outcome::Conflict { .. }, None) => {
                    found.push(broken(Rule::Placed, format!("{key}: no epoch and revision with {operation:?}")));
                }
                (Outcome::Wrong { .. } | Outcome::NotDone | Outcome::Unknown { .. }, _) => {}
            }
        }
    }
    found.extend(real_time(&mut answers));
    found.extend(one_write_a_revision(&answers));
    answers.sort_by_key(|answer| (answer.key, answer.at));
    for of_key in answers.chunk_by(|left, right| left.key == right.key) {
        found.extend(Story::of(&keys[of_key[0].key], of_key).contradictions(of_key));
    }
    found
}

fn broken(rule: Rule, said: String) -> Contradiction {
    Contradiction { rule, said }
}

/// An answer is at least as new as every answer that was there before its call, and the write that
/// it acknowledges newer.
fn real_time(answers: &mut [Answer<'_>]) -> Vec<Contradiction> {
    let mut returns: Vec<(u64, Position)> =
        answers.iter().map(|answer| (answer.operation.returned_ns, answer.at)).collect();
    returns.sort_unstable();
    let mut returns = returns.into_iter().peekable();
    let mut newest = None;
    let mut own: BTreeMap<u64, Position> = BTreeMap::new();
    let mut found = Vec::new();
    answers.sort_by_key(|answer| answer.operation.invoked_ns);
    for Answer { key, operation, at } in answers.iter() {
        while let Some((_, position)) = returns.next_if(|(returned, _)| *returned < operation.invoked_ns) {
            newest = newest.max(Some(position));
        }
        let is_write = matches!(operation.outcome, Outcome::Written { .. });
        let is_older = |than: Position| *at < than || (is_write && *at == than);
        let process = operation.process;
        if let Some(before) = own.insert(process, *at).filter(|before| is_older(*before)) {
            found.push(broken(Rule::Forwards, format!("{key}: client {process} heard of {before}, then of {at}")));
        } else if let Some(newest) = newest.filter(|newest| is_older(*newest)) {
            let said = format!("{key}: {at} was answered after {newest} had been: {operation:?}");
            found.push(broken(Rule::Fresh, said));
        }
    }
    found
}

fn one_write_a_revision(answers: &[Answer<'_>]) -> Vec<Contradiction> {
    let mut writes: BTreeMap<Position, &Answer<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in answers.iter().filter(|answer| matches!(answer.operation.outcome, Outcome::Written { .. })) {
        if let Some(other) = writes.insert(answer.at, answer) {
            let (key, at) = (answer.key, answer.at);
            found.push(broken(Rule::One, format!("{at} was given to a write of {key} and to one of {}", other.key)));
        }
    }
    found
}

/// One profile by revision.
struct Story<'a> {
    initial: (u64, &'a str),
    /// Revision -> version and value of acknowledged writes.
    written: BTreeMap<Position, (u64, &'a str)>,
    /// Version -> revision of acknowledged writes.
    versions: BTreeMap<u64, Position>,
    /// What writes in doubt would make: version and value.
    doubtful: BTreeSet<(u64, &'a str)>,
}

impl<'a> Story<'a> {
    fn of(history: &'a KeyHistory, answers: &[Answer<'a>]) -> Self {
        let doubtful =
            history.operations.iter().filter_map(|operation| match (&operation.action, &operation.outcome) {
                (Action::Write { expected, value }, Outcome::Unknown { .. }) => Some((expected + 1, value.as_str())),
                _ => None,
            });
        let written = answers.iter().filter_map(|answer| match (&answer.operation.action, &answer.operation.outcome) {
            (Action::Write { value, .. }, Outcome::Written { version }) => {
                Some((answer.at, (*version, value.as_str())))
            }
            _ => None,
        });
        let written: BTreeMap<_, _> = written.collect();
        let versions = written.iter().map(|(at, (version, _))| (*version, *at)).collect();
        let initial = (history.initial.0, history.initial.1.as_str());
        Self { initial, written, versions, doubtful: doubtful.collect() }
    }

    /// `answers` are those of this profile, in order of their revisions.
    fn contradictions(&self, answers: &[Answer<'a>]) -> Vec<Contradiction> {
        let key = answers[0].key;
        let mut found = self.writes_in_order(key);
        found.extend(effects_once(answers));
        let mut before = self.initial.0;
        for answer in answers {
            let at = answer.at;
            match &answer.operation.outcome {
                Outcome::Read { version, value } => {
                    found.extend(self.read(answer, *version, value));
                    if *version < before {
                        let said = format!("{key}: version {version} was read at {at}, {before} at a revision before");
                        found.push(broken(Rule::Kept, said));
                    }
                    before = before.max(*version);
                }
                Outcome::Conflict { current: Some(current) } => {
                    if let Some(later) = self.versions.get(current).filter(|later| **later > at) {
                        let said = format!("{key}: a refusal at {at} states version {current}, written at {later}");
                        found.push(broken(Rule::NotAhead, said));
                    }
                }
                Outcome::Conflict { current: None }
                | Outcome::Written { .. }
                | Outcome::Wrong { .. }
                | Outcome::NotDone
                | Outcome::Unknown { .. } => {}
            }
        }
        found
    }

    /// Versions grow with revisions, and those between two acknowledged writes may be of writes in doubt.
    fn writes_in_order(&self, key: &str) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut last = self.initial.0;
        for (at, (version, _)) in &self.written {
            if *version <= last {
                found.push(broken(
                    Rule::One,
                    format!("{key}: version {version} was made at {at}, after version {last}"),
                ));
            }
            found.extend(self.unexplained(key, last + 1..*version));
            last = last.max(*version);
        }
        found
    }

    /// Versions that no write in doubt could have made.
    fn unexplained(&self, key: &str, versions: std::ops::Range<u64>) -> Option<Contradiction> {
        let is_explained =
            |version: &u64| self.doubtful.range((*version, "")..).next().is_some_and(|(made, _)| made == version);
        let missing = { versions }.find(|version| !is_explained(version))?;
        Some(broken(Rule::Gapless, format!("{key}: version {missing} was made by no write")))
    }

    /// A read sees the write of the greatest revision not above its own, or one in doubt after it.
    fn read(&self, answer: &Answer<'_>, version: u64, value: &str) -> Vec<Contradiction> {
        let (key, at) = (answer.key, answer.at);
        let last = self.written.range(..=at).next_back();
        let (seen, seen_value) = last.map_or(self.initial, |(_, write)| *write);
        if version < seen {
            let said = format!("{key}: version {version} was read at {at}, where {seen} had been acknowledged");
            return vec![broken(Rule::Kept, said)];
        }
        if version == seen {
            let said = format!("{key}: version {version} was written as {seen_value:?} and read as {value:?} at {at}");
            return if value == seen_value { Vec::new() } else { vec![broken(Rule::One, said)] };
        }
        let mut found = Vec::new();
        if let Some((later, (next, _))) = self.written.range((Bound::Excluded(at), Bound::Unbounded)).next()
            && *next <= version
        {
            let said = format!("{key}: version {version} was read at {at}, version {next} is of {later}");
            found.push(broken(Rule::NotAhead, said));
            return found;
        }
        found.extend(self.unexplained(key, seen + 1..version));
        if !self.doubtful.contains(&(version, value)) {
            let said = format!("{key}: version {version} with {value:?}, read at {at}, was made by no write");
            found.push(broken(Rule::Gapless, said));
        }
        found
    }
}

/// Each value is one write's, so it is seen in one version only.
fn effects_once(answers: &[Answer<'_>]) -> Vec<Contradiction> {
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for Answer { key, operation, .. } in answers {
        let (value, version) = match (&operation.action, &operation.outcome) {
            (_, Outcome::Read { version, value }) => (value, version),
            (Action::Write { value, .. }, Outcome::Written { version }) => (value, version),
            _ => continue,
        };
        match versions.entry(value) {
            Entry::Vacant(entry) => {
                entry.insert(*version);
            }
            Entry::Occupied(entry) if entry.get() != version => {
                let said = format!("{key}: {value:?} took effect as version {} and as {version}", entry.get());
                found.push(broken(Rule::Once, said));
            }
            Entry::Occupied(_) => {}
        }
    }
    found
}
