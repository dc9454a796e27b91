//! A history once it is complete: operations from their calls to their returns, and the objects that they
//! are about. Everything else is looked up among the lines by whoever needs it.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use super::KEYS_MAX;
use super::action::{Action, Cells, Outcome, Position};
use super::line::Line;
use crate::workload::Workload;

/// Of a call without a return: the history ends before the answer.
static UNANSWERED: Outcome = Outcome::Unknown { why: String::new() };

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation<'a> {
    /// Its number.
    pub(crate) number: u64,
    /// The client.
    pub(crate) process: u64,
    /// The node that was asked first; 0 where a client chose among all of them by itself.
    pub(crate) node: u64,
    /// Whose it is.
    pub(crate) workload: Workload,
    /// What was asked.
    pub(crate) action: &'a Action,
    /// When.
    pub(crate) invoked_ns: u64,
    /// When the answer was there; for ever later when there was none.
    pub(crate) returned_ns: u64,
    /// What became of it.
    pub(crate) outcome: &'a Outcome,
    /// Of which state the answer speaks.
    pub(crate) at: Option<Position>,
    /// Attempts under its request id.
    pub(crate) attempts: u32,
}

/// Keys that are written together, and everything about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object<'a> {
    /// Whose it is.
    pub(crate) workload: Workload,
    /// All keys.
    pub(crate) keys: &'a [String],
    /// What was there before the first operation.
    pub(crate) cells: &'a Cells,
    /// In order of their calls.
    pub(crate) operations: Vec<Operation<'a>>,
}

/// A complete history.
#[derive(Clone, Debug)]
pub(crate) struct Story<'a> {
    /// All lines, in the order they were written.
    pub(crate) lines: &'a [Line],
    /// By name.
    pub(crate) objects: BTreeMap<&'a str, Object<'a>>,
    /// All of them, in order of their calls.
    pub(crate) operations: Vec<Operation<'a>>,
}

impl<'a> Story<'a> {
    /// Puts lines together.
    ///
    /// # Errors
    /// For a return without a call, a return before its call, a key of two objects or of too large a one, a call
    /// about a key that belongs to none, and a write of several objects.
    pub(crate) fn of(lines: &'a [Line]) -> anyhow::Result<Self> {
        let mut objects: BTreeMap<&str, Object<'_>> = BTreeMap::new();
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open: BTreeMap<u64, Operation<'_>> = BTreeMap::new();
        let mut operations = Vec::new();
        for line in lines {
            match line {
                Line::Object { object, workload, keys, cells } => {
                    ensure!(keys.len() <= KEYS_MAX, "{object} has more than {KEYS_MAX} keys");
                    for key in keys {
                        let other = owners.insert(key, object);
                        ensure!(other.is_none(), "key {key} belongs to {other:?} and to {object}");
                    }
                    let operations = Vec::new();
                    objects.insert(object, Object { workload: *workload, keys, cells, operations });
                }
                Line::Invoke { .. } => {
                    let called = called(line).context("a call")?;
                    ensure!(
                        open.insert(called.number, called).is_none(),
                        "operation {} is called twice",
                        called.number
                    );
                }
                Line::Return { operation, time_ns, outcome, at, attempts } => {
                    let called = open.remove(operation);
                    let called = called.with_context(|| format!("operation {operation} returns without a call"))?;
                    ensure!(called.invoked_ns <= *time_ns, "operation {operation} returns before its call");
                    let (at, attempts) = (*at, *attempts);
                    operations.push(Operation { returned_ns: *time_ns, outcome, at, attempts, ..called });
                }
                _ => {}
            }
        }
        operations.extend(open.into_values());
        operations.sort_by_key(|operation| (operation.invoked_ns, operation.number));
        for operation in &operations {
            let mut named = Vec::new();
            for key in operation.action.keys() {
                let owner = owners.get(key).with_context(|| format!("key {key} belongs to no object"))?;
                if !named.contains(owner) {
                    named.push(*owner);
                }
            }
            let is_write = matches!(operation.action, Action::Write { .. });
            ensure!(!is_write || named.len() == 1, "operation {} writes several objects", operation.number);
            for name in named {
                objects.get_mut(name).context("an object")?.operations.push(*operation);
            }
        }
        Ok(Self { lines, objects, operations })
    }

    /// When the last reads began, if the run came to them.
    pub(crate) fn settled_ns(&self) -> Option<u64> {
        self.lines.iter().rev().find_map(|line| match line {
            Line::Settled { time_ns } => Some(*time_ns),
            _ => None,
        })
    }

    /// The operations since the last reads began; none if the run did not come to them.
    pub(crate) fn last_operations(&self) -> &[Operation<'a>] {
        let settled_ns = self.settled_ns().unwrap_or(u64::MAX);
        &self.operations[self.operations.partition_point(|one| one.invoked_ns < settled_ns)..]
    }
}

fn called(line: &Line) -> Option<Operation<'_>> {
    let Line::Invoke { operation, process, time_ns, node, workload, action } = line else { return None };
    Some(Operation {
        number: *operation,
        process: *process,
        node: *node,
        workload: *workload,
        action,
        invoked_ns: *time_ns,
        returned_ns: u64::MAX,
        outcome: &UNANSWERED,
        at: None,
        attempts: 1,
    })
}
