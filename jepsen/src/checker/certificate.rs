//! Arithmetic on versions, without a search: no version is given twice, versions grow in real time,
//! and the last one counts every acknowledged write. Weaker than the search, and independent of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, KeyHistory, Operation, Outcome};

/// What contradicts itself in the versions of one profile, a sentence each; empty when nothing does.
pub(super) fn contradictions(history: &KeyHistory) -> Vec<String> {
    let mut found = Vec::new();
    let mut acknowledged: BTreeMap<u64, &Operation> = BTreeMap::new();
    let mut doubtful_on: BTreeSet<u64> = BTreeSet::new();
    for operation in &history.operations {
        match (&operation.action, &operation.outcome) {
            (Action::Write { expected, .. }, Outcome::Written { version }) => {
                if *version != expected + 1 {
                    found.push(format!("a write on version {expected} was acknowledged as version {version}"));
                }
                if acknowledged.insert(*version, operation).is_some() {
                    found.push(format!("version {version} was acknowledged twice"));
                }
            }
            (Action::Write { expected, .. }, Outcome::Unknown { .. }) => {
                doubtful_on.insert(*expected);
            }
            (_, Outcome::Wrong { said }) => found.push(format!("the cluster said: {said}")),
            (Action::Read, _) | (_, Outcome::Read { .. } | Outcome::Conflict { .. } | Outcome::NotDone) => {}
        }
    }
    found.extend(times_run_backwards(history));
    found.extend(unexplained_versions(history, &acknowledged, &doubtful_on));
    found.extend(values_that_differ(history, &acknowledged));
    found
}

/// The version that an answer proves to have existed while it was made.
fn version_seen(operation: &Operation) -> Option<u64> {
    match &operation.outcome {
        Outcome::Read { version, .. } | Outcome::Written { version } => Some(*version),
        Outcome::Conflict { current } => *current,
        Outcome::Wrong { .. } | Outcome::NotDone | Outcome::Unknown { .. } => None,
    }
}

/// An operation that was called after another returned must not have seen an older version, nor
/// made the same one.
fn times_run_backwards(history: &KeyHistory) -> Vec<String> {
    let mut returns: Vec<(u64, u64)> =
        history.operations.iter().filter_map(|one| Some((one.returned_ns, version_seen(one)?))).collect();
    returns.sort_unstable();
    let mut returns = returns.into_iter().peekable();
    let mut newest = history.initial.0;
    let mut found = Vec::new();
    for operation in &history.operations {
        while let Some((_, version)) = returns.next_if(|(returned, _)| *returned < operation.invoked_ns) {
            newest = newest.max(version);
        }
        let is_write = matches!(operation.outcome, Outcome::Written { .. });
        if let Some(version) =
            version_seen(operation).filter(|version| version.saturating_sub(u64::from(is_write)) < newest)
        {
            let what = if is_write { "made" } else { "seen" };
            found.push(format!("version {version} was {what} after version {newest} had been answered"));
        }
    }
    found
}

/// Each version up to the last one seen was acknowledged, or may be that of a write in doubt; and
/// no acknowledged version is above the last one read.
fn unexplained_versions(
    history: &KeyHistory,
    acknowledged: &BTreeMap<u64, &Operation>,
    doubtful_on: &BTreeSet<u64>,
) -> Vec<String> {
    let read_last = history.operations.iter().rev().find_map(|operation| match &operation.outcome {
        Outcome::Read { version, .. } => Some((operation.invoked_ns, *version)),
        _ => None,
    });
    let mut found = Vec::new();
    let Some((asked_ns, last)) = read_last else { return found };
    for version in history.initial.0 + 1..=last {
        if !acknowledged.contains_key(&version) && !doubtful_on.contains(&(version - 1)) {
            found.push(format!("version {version} was made by no write"));
        }
    }
    let lost = acknowledged.iter().filter(|(version, write)| **version > last && write.returned_ns < asked_ns);
    found.extend(lost.map(|(version, _)| format!("version {version} was acknowledged, but the last read saw {last}")));
    found
}

/// A read of an acknowledged version sees what was written in it.
fn values_that_differ(history: &KeyHistory, acknowledged: &BTreeMap<u64, &Operation>) -> Vec<String> {
    let mut found = Vec::new();
    for operation in &history.operations {
        let Outcome::Read { version, value: read } = &operation.outcome else { continue };
        let Some(write) = acknowledged.get(version) else { continue };
        let Action::Write { value, .. } = &write.action else { continue };
        if value != read {
            found.push(format!("version {version} was written as {value:?} and read as {read:?}"));
        }
    }
    found
}
