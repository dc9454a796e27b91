//! Histories told step by step, each a unit of time after the one before unless its times are set.

use crate::history::{Action, Cell, Cells, Edit, Line, Outcome, Position};
use crate::workload::Workload;

/// A history in the making.
#[derive(Clone, Default)]
pub(in crate::checker) struct Tale {
    pub(in crate::checker) lines: Vec<Line>,
    time_ns: u64,
    operations: u64,
}

/// One second, in the time of tales.
pub(in crate::checker) const SECOND: u64 = 1_000_000_000;

pub(in crate::checker) fn at(revision: u64) -> Position {
    Position { epoch: 1, revision }
}

pub(in crate::checker) fn cell(version: u64, value: &str) -> Cell {
    Cell { version, value: value.to_owned() }
}

pub(in crate::checker) fn found(cells: &[(&str, u64, &str)]) -> Outcome {
    Outcome::Found {
        cells: cells.iter().map(|(key, version, value)| ((*key).to_owned(), cell(*version, value))).collect(),
    }
}

pub(in crate::checker) fn unknown() -> Outcome {
    Outcome::Unknown { why: "no answer".to_owned() }
}

pub(in crate::checker) fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// The edit that leaves a key with this version and value.
pub(in crate::checker) fn edit(key: &str, version: u64, value: &str) -> Edit {
    let (key, value) = (key.to_owned(), value.to_owned());
    match version {
        1 => Edit::Create { key, value },
        _ => Edit::Replace { key, on: version - 1, value },
    }
}

impl Tale {
    /// Of profiles `a` and `b`, which begin with version 1 and the value `first`.
    pub(in crate::checker) fn new() -> Self {
        Self::default().object("a", &[("a", 1, "first")]).object("b", &[("b", 1, "first")])
    }

    /// Adds an object with keys that are there, or not when their version is 0.
    pub(in crate::checker) fn object(mut self, name: &str, with: &[(&str, u64, &str)]) -> Self {
        let there = with.iter().filter(|(_, version, _)| *version > 0);
        let cells: Cells = there.map(|(key, version, value)| ((*key).to_owned(), cell(*version, value))).collect();
        let keys = with.iter().map(|(key, _, _)| (*key).to_owned()).collect();
        self.lines.push(Line::Object { object: name.to_owned(), workload: Workload::Register, keys, cells });
        self
    }

    /// Any line.
    pub(in crate::checker) fn line(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    /// The time of the next line.
    pub(in crate::checker) fn now_ns(&self) -> u64 {
        self.time_ns + 10
    }

    /// So much time passes.
    pub(in crate::checker) fn pass(mut self, nanoseconds: u64) -> Self {
        self.time_ns += nanoseconds;
        self
    }

    /// An operation of a client of its own.
    pub(in crate::checker) fn ask(self, action: Action, outcome: Outcome, revision: Option<u64>) -> Self {
        let process = self.operations;
        self.ask_by(process, 1, action, outcome, revision)
    }

    /// An operation of a client, at a node.
    pub(in crate::checker) fn ask_by(
        mut self,
        process: u64,
        node: u64,
        action: Action,
        outcome: Outcome,
        revision: Option<u64>,
    ) -> Self {
        let (operation, workload) = (self.operations, Workload::Register);
        self.operations += 1;
        self.time_ns += 10;
        let (time_ns, at) = (self.time_ns, revision.map(at));
        self.lines.push(Line::Invoke { operation, process, time_ns, node, workload, action });
        self.lines.push(Line::Return { operation, time_ns: time_ns + 5, outcome, at, attempts: 1 });
        self
    }

    /// An acknowledged write.
    pub(in crate::checker) fn write(self, key: &str, version: u64, value: &str, revision: u64) -> Self {
        self.write_all(&[(key, version, value)], revision)
    }

    /// An acknowledged write of several keys.
    pub(in crate::checker) fn write_all(self, left: &[(&str, u64, &str)], revision: u64) -> Self {
        let edits = left.iter().map(|(key, version, value)| edit(key, *version, value)).collect();
        let versions = left.iter().map(|(key, version, _)| ((*key).to_owned(), *version)).collect();
        self.ask(Action::Write { edits }, Outcome::Done { versions }, Some(revision))
    }

    /// An acknowledged removal.
    pub(in crate::checker) fn remove(self, key: &str, revision: u64) -> Self {
        let edits = vec![Edit::Remove { key: key.to_owned() }];
        self.ask(Action::Write { edits }, Outcome::Done { versions: [].into() }, Some(revision))
    }

    /// A write in doubt.
    pub(in crate::checker) fn doubt(self, key: &str, version: u64, value: &str) -> Self {
        self.ask(Action::Write { edits: vec![edit(key, version, value)] }, unknown(), None)
    }

    /// A read that finds one key.
    pub(in crate::checker) fn read(self, key: &str, version: u64, value: &str, revision: u64) -> Self {
        self.ask(Action::Read { keys: keys(&[key]) }, found(&[(key, version, value)]), Some(revision))
    }

    /// A read of several keys.
    pub(in crate::checker) fn read_all(self, asked: &[&str], seen: &[(&str, u64, &str)], revision: u64) -> Self {
        self.ask(Action::Read { keys: keys(asked) }, found(seen), Some(revision))
    }

    /// A read of what one node has, by who has been at a position.
    pub(in crate::checker) fn read_local(
        self,
        key: &str,
        seen: &[(&str, u64, &str)],
        not_before: u64,
        revision: u64,
    ) -> Self {
        let action = Action::ReadLocal { keys: keys(&[key]), not_before: Some(at(not_before)) };
        self.ask_by(7, revision % 3 + 1, action, found(seen), Some(revision))
    }

    /// A refusal of a write on a version that is not this one.
    pub(in crate::checker) fn refused(self, key: &str, current: u64, revision: u64) -> Self {
        let edits = vec![Edit::Replace { key: key.to_owned(), on: 99, value: "never".to_owned() }];
        let outcome = Outcome::Conflict { key: key.to_owned(), current: Some(current) };
        self.ask(Action::Write { edits }, outcome, Some(revision))
    }

    /// The last operation was asked before everything else.
    pub(in crate::checker) fn asked_early(mut self) -> Self {
        let last = self.lines.iter_mut().rev().find_map(|line| match line {
            Line::Invoke { time_ns, .. } => Some(time_ns),
            _ => None,
        });
        *last.expect("an operation") = 0;
        self
    }

    /// What follows is the end.
    pub(in crate::checker) fn settled(self) -> Self {
        let time_ns = self.now_ns();
        self.line(Line::Settled { time_ns })
    }
}
