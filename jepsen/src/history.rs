//! What clients asked and were told: the lines of a history, and the operations they amount to.
//! Writing lines down is in `recorder`, judging operations in `checker`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// What a client asked of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// A linearizable read.
    Read,
    /// An update on an expected version, to a value that nobody else writes.
    Write {
        /// The resource version that the client expects.
        expected: u64,
        /// The new display name.
        value: String,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The read was answered.
    Read {
        /// The resource version read.
        version: u64,
        /// The display name read.
        value: String,
    },
    /// The update was acknowledged.
    Written {
        /// The resource version that it made.
        version: u64,
    },
    /// The update was refused, because the profile had another version.
    Conflict {
        /// The version that the refusal states.
        current: Option<u64>,
    },
    /// The cluster said something that is never true here, such as that the profile does not exist.
    Wrong {
        /// Its words.
        said: String,
    },
    /// Certainly nothing happened.
    NotDone,
    /// It may have happened, may still happen, or never will.
    Unknown {
        /// The failure that left the doubt.
        why: String,
    },
}

/// Which state an answer speaks of. Positions are in the order of the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Which life of the cluster.
    pub(crate) epoch: u64,
    /// The log index that made the state.
    pub(crate) revision: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "revision {} of epoch {}", self.revision, self.epoch)
    }
}

/// One line of a history. Times are nanoseconds on one monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A profile as it was before any client worked.
    Profile {
        /// Its id.
        key: String,
        /// Its version.
        version: u64,
        /// Its display name.
        value: String,
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
        /// The profile.
        key: String,
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
    },
    /// A fault that was done or healed.
    Fault {
        /// When.
        time_ns: u64,
        /// In words.
        what: String,
    },
}

/// One operation from its call to its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The client.
    pub(crate) process: u64,
    /// What was asked.
    pub(crate) action: Action,
    /// When.
    pub(crate) invoked_ns: u64,
    /// When the answer was there.
    pub(crate) returned_ns: u64,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// Of which state the answer speaks.
    pub(crate) at: Option<Position>,
}

/// All operations on one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyHistory {
    /// Version and display name before the first operation.
    pub(crate) initial: (u64, String),
    /// In order of their calls.
    pub(crate) operations: Vec<Operation>,
}

/// Sorts lines by profile. A call without a return is one in doubt.
///
/// # Errors
/// For a return without a call, and a call about a profile that has no line of its own.
pub(crate) fn by_key(lines: &[Line]) -> anyhow::Result<BTreeMap<String, KeyHistory>> {
    let mut keys: BTreeMap<String, KeyHistory> = BTreeMap::new();
    let mut open: BTreeMap<u64, (String, Operation)> = BTreeMap::new();
    let mut closed: Vec<(String, Operation)> = Vec::new();
    for line in lines {
        match line {
            Line::Profile { key, version, value } => {
                keys.insert(key.clone(), KeyHistory { initial: (*version, value.clone()), operations: Vec::new() });
            }
            Line::Invoke { operation, process, time_ns, key, action, .. } => {
                let why = "the history ends before the answer".to_owned();
                let opened = Operation {
                    process: *process,
                    action: action.clone(),
                    invoked_ns: *time_ns,
                    returned_ns: u64::MAX,
                    outcome: Outcome::Unknown { why },
                    at: None,
                };
                open.insert(*operation, (key.clone(), opened));
            }
            Line::Return { operation, time_ns, outcome, at } => {
                let (key, opened) =
                    open.remove(operation).with_context(|| format!("operation {operation} returns without a call"))?;
                ensure!(opened.invoked_ns <= *time_ns, "operation {operation} returns before its call");
                let returned = Operation { returned_ns: *time_ns, outcome: outcome.clone(), at: *at, ..opened };
                closed.push((key, returned));
            }
            Line::Fault { .. } => {}
        }
    }
    for (key, operation) in closed.into_iter().chain(open.into_values()) {
        let history = keys.get_mut(&key).with_context(|| format!("profile {key} has no line of its own"))?;
        history.operations.push(operation);
    }
    for history in keys.values_mut() {
        history.operations.sort_by_key(|operation| operation.invoked_ns);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_a_return_is_in_doubt() {
        let action = Action::Write { expected: 1, value: "a".to_owned() };
        let lines = [
            Line::Profile { key: "k".to_owned(), version: 1, value: "first".to_owned() },
            Line::Invoke { operation: 0, process: 0, time_ns: 5, node: 1, key: "k".to_owned(), action },
        ];
        let keys = by_key(&lines).expect("a history");
        assert!(matches!(keys["k"].operations[0].outcome, Outcome::Unknown { .. }));
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let outcome = Outcome::Conflict { current: Some(4) };
        let at = Some(Position { epoch: 1, revision: 8 });
        let line = Line::Return { operation: 3, time_ns: 9, outcome: outcome.clone(), at };
        let text = serde_json::to_string(&line).expect("a line is JSON");
        let place = r#""at":{"epoch":1,"revision":8}"#;
        let rest = r#"{"type":"return","operation":3,"time_ns":9,"outcome":{"conflict":{"current":4}}"#;
        assert_eq!(text, format!("{rest},{place}}}"));
        assert_eq!(serde_json::from_str::<Line>(&text).expect("a line"), line);
        let without = Line::Return { operation: 3, time_ns: 9, outcome, at: None };
        assert_eq!(serde_json::to_string(&without).expect("a line is JSON"), format!("{rest}}}"));
    }

    #[test]
    fn a_return_without_a_call_is_an_error() {
        assert!(by_key(&[Line::Return { operation: 1, time_ns: 1, outcome: Outcome::NotDone, at: None }]).is_err());
    }
}
