//! The history in Jepsen's form (EDN), beside the JSON lines, for Jepsen's own checkers. It holds what they know words
//! for: what clients asked and heard, and faults. What watches, sandboxes and nodes said is in the JSON lines alone.
//!
//! A call about one key has the value `[key payload]`, as `independent` wants it; one about several is a `:txn` of
//! `[f key payload]`. A key's payload is `[version text]`, or `:absent`. What was there at first is written by `:init`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use crate::history::{Action, Cell, Cells, Edit, Line, Outcome, Position};
use crate::report::Kind;

/// Writes the history into a file.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(lines: &[Line], path: &Path) -> anyhow::Result<()> {
    let describe = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(describe)?);
    for line in edn(lines) {
        writeln!(file, "{line}").with_context(describe)?;
    }
    file.flush().with_context(describe)
}

/// The history, a line an event.
pub(crate) fn edn(lines: &[Line]) -> Vec<String> {
    let mut writer = Writer { written: Vec::new(), processes: Processes::of(lines), open: BTreeMap::new() };
    for line in lines {
        writer.line(line);
    }
    writer.written
}

/// A call that has not returned.
struct Open<'a> {
    /// Of the history.
    recorded: u64,
    /// Of the EDN.
    process: u64,
    node: u64,
    action: &'a Action,
}

struct Writer<'a> {
    written: Vec<String>,
    processes: Processes,
    open: BTreeMap<u64, Open<'a>>,
}

impl<'a> Writer<'a> {
    fn line(&mut self, line: &'a Line) {
        match line {
            Line::Object { cells, .. } => self.initial(cells),
            Line::Invoke { operation, process: recorded, time_ns, node, action, .. } => {
                let process = self.processes.of_call(*recorded);
                let (f, value) = asked(action);
                self.add(*time_ns, "invoke", &process.to_string(), &f, &format!(", :value {value}, :node n{node}"));
                self.open.insert(*operation, Open { recorded: *recorded, process, node: *node, action });
            }
            Line::Return { operation, time_ns, outcome, at, .. } => {
                if let Some(open) = self.open.remove(operation) {
                    self.returned(&open, *time_ns, outcome, *at);
                }
            }
            Line::Fault { time_ns, number, kind, nodes, stage, said } => {
                let stage = keyword(&format!("{stage:?}"));
                let (nodes, said) = (names(nodes), text(said));
                let value = format!("{{:fault {number}, :nodes {nodes}, :outcome {stage}, :said {said}}}");
                self.add(*time_ns, "info", ":nemesis", &keyword(kind), &format!(", :value {value}"));
            }
            Line::Ended { time_ns, node, said } => {
                let value = format!("{{:nodes [n{node}], :said {}}}", text(said));
                self.add(*time_ns, "info", ":nemesis", ":ended", &format!(", :value {value}"));
            }
            Line::Settled { time_ns } => self.add(*time_ns, "info", ":nemesis", ":settled", ", :value nil"),
            Line::Watched { .. }
            | Line::Follower { .. }
            | Line::Unmeasured { .. }
            | Line::Installed { .. }
            | Line::Fact { .. }
            | Line::Raft { .. }
            | Line::Replaced { .. }
            | Line::Members { .. }
            | Line::Resources { .. }
            | Line::Log { .. } => {}
        }
    }

    /// What was there before any client worked, as written by a client of its own.
    fn initial(&mut self, cells: &Cells) {
        let process = self.processes.setup.to_string();
        for (key, cell) in cells {
            for kind in ["invoke", "ok"] {
                self.add(0, kind, &process, ":init", &format!(", :value [{} {}]", text(key), found(Some(cell))));
            }
        }
    }

    fn returned(&mut self, open: &Open<'_>, time_ns: u64, outcome: &Outcome, at: Option<Position>) {
        let (f, asked) = asked(open.action);
        let kind = kind(open.action, outcome);
        let mut rest = format!(", :value {}", answered(open.action, outcome).unwrap_or(asked));
        if let Outcome::Done { versions } = outcome {
            rest.push_str(&made(versions));
        }
        if let Some(Position { epoch, revision }) = at {
            let _ = write!(rest, ", :epoch {epoch}, :raft-index {revision}");
        }
        if let Some(error) = error(outcome) {
            let _ = write!(rest, ", :error {error}");
        }
        let _ = write!(rest, ", :node n{}", open.node);
        self.add(time_ns, kind.class(), &open.process.to_string(), &f, &rest);
        if kind == Kind::Info {
            self.processes.retire(open.recorded);
        }
    }

    fn add(&mut self, time_ns: u64, kind: &str, process: &str, f: &str, rest: &str) {
        let index = self.written.len();
        self.written
            .push(format!("{{:index {index}, :time {time_ns}, :type :{kind}, :process {process}, :f {f}{rest}}}"));
    }
}

/// Numbers of clients. In Jepsen, one whose call ended with `:info` never calls again: who does so here, because the
/// answer was no doubt but a wrong one, gets a new number.
struct Processes {
    setup: u64,
    next: u64,
    renamed: BTreeMap<u64, u64>,
}

impl Processes {
    fn of(lines: &[Line]) -> Self {
        let numbers = lines.iter().filter_map(|line| match line {
            Line::Invoke { process, .. } => Some(*process),
            _ => None,
        });
        let setup = numbers.max().map_or(0, |most| most + 1);
        Self { setup, next: setup + 1, renamed: BTreeMap::new() }
    }

    fn of_call(&self, recorded: u64) -> u64 {
        self.renamed.get(&recorded).copied().unwrap_or(recorded)
    }

    fn retire(&mut self, recorded: u64) {
        self.renamed.insert(recorded, self.next);
        self.next += 1;
    }
}

/// A read that was not answered has had no effect for certain, so that its client may go on.
fn kind(action: &Action, outcome: &Outcome) -> Kind {
    match Kind::of(outcome) {
        Kind::Info if action.is_read() => Kind::Fail,
        kind => kind,
    }
}

/// Function and value of a call.
fn asked(action: &Action) -> (String, String) {
    match action {
        Action::Read { keys } => of_keys(":read", keys, |_| "nil".to_owned()),
        Action::ReadLocal { keys, .. } => of_keys(":read-local", keys, |_| "nil".to_owned()),
        Action::Write { edits } => match edits.as_slice() {
            [edit] => (function(edit).to_owned(), format!("[{} {}]", text(edit.key()), payload(edit))),
            edits => {
                let each =
                    edits.iter().map(|edit| format!("[{} {} {}]", function(edit), text(edit.key()), payload(edit)));
                (":txn".to_owned(), vector(each))
            }
        },
        Action::Make { request } => (":make".to_owned(), format!("[{} nil]", text(request))),
        Action::Look { request } => {
            (":look".to_owned(), request.as_ref().map_or_else(|| "nil".to_owned(), |one| text(one)))
        }
        Action::Clear { request, name } => (":clear".to_owned(), vector([text(request), text(name)])),
        Action::Call { rpc } => (":call".to_owned(), text(rpc)),
    }
}

/// The value of an answer, where it says more than the call.
fn answered(action: &Action, outcome: &Outcome) -> Option<String> {
    match (action, outcome) {
        (Action::Read { keys }, Outcome::Found { cells }) => {
            Some(of_keys(":read", keys, |key| found(cells.get(key))).1)
        }
        (Action::ReadLocal { keys, .. }, Outcome::Found { cells }) => {
            Some(of_keys(":read-local", keys, |key| found(cells.get(key))).1)
        }
        (Action::Make { request }, Outcome::Made { name }) => Some(vector([text(request), text(name)])),
        (Action::Look { .. }, Outcome::There { made }) => {
            Some(vector(made.iter().map(|(request, name)| vector([text(request), text(name)]))))
        }
        _ => None,
    }
}

/// Function and value of a read of one key, or of several.
fn of_keys(f: &str, keys: &[String], payload: impl Fn(&String) -> String) -> (String, String) {
    match keys {
        [key] => (f.to_owned(), format!("[{} {}]", text(key), payload(key))),
        keys => {
            let each = keys.iter().map(|key| format!("[{f} {} {}]", text(key), payload(key)));
            (":txn".to_owned(), vector(each))
        }
    }
}

fn function(edit: &Edit) -> &'static str {
    match edit {
        Edit::Create { .. } => ":create",
        Edit::Replace { .. } => ":cas",
        Edit::Remove { .. } => ":remove",
    }
}

fn payload(edit: &Edit) -> String {
    match edit {
        Edit::Create { value, .. } => text(value),
        Edit::Replace { on, value, .. } => format!("[{on} {}]", text(value)),
        Edit::Remove { .. } => "nil".to_owned(),
    }
}

fn found(cell: Option<&Cell>) -> String {
    cell.map_or_else(|| ":absent".to_owned(), |cell| format!("[{} {}]", cell.version, text(&cell.value)))
}

/// The versions that a write made.
fn made(versions: &BTreeMap<String, u64>) -> String {
    let mut each = versions.iter();
    match (each.next(), versions.len()) {
        (Some((_, version)), 1) => format!(", :version {version}"),
        (Some(_), _) => {
            let pairs: Vec<String> = versions.iter().map(|(key, version)| format!("{} {version}", text(key))).collect();
            format!(", :versions {{{}}}", pairs.join(", "))
        }
        (None, _) => String::new(),
    }
}

/// Why a call has not come to what it asked.
fn error(outcome: &Outcome) -> Option<String> {
    let texts = |each: &[String]| vector(each.iter().map(|one| text(one)));
    Some(match outcome {
        Outcome::Conflict { key, current } => {
            let current = current.map_or_else(|| "nil".to_owned(), |version| version.to_string());
            vector([":conflict".to_owned(), text(key), current])
        }
        Outcome::Exists { keys } => vector([":exists".to_owned(), texts(keys)]),
        Outcome::Absent { keys } => vector([":absent".to_owned(), texts(keys)]),
        Outcome::Refused { code, said } => vector([":refused".to_owned(), text(code), text(said)]),
        Outcome::Wrong { said } => vector([":wrong".to_owned(), text(said)]),
        Outcome::NotDone => ":not-done".to_owned(),
        Outcome::Unknown { why } => vector([":unknown".to_owned(), text(why)]),
        Outcome::Found { .. }
        | Outcome::Done { .. }
        | Outcome::Made { .. }
        | Outcome::There { .. }
        | Outcome::Answered => return None,
    })
}

fn vector(each: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", each.into_iter().collect::<Vec<_>>().join(" "))
}

fn names(nodes: &[u64]) -> String {
    vector(nodes.iter().map(|node| format!("n{node}")))
}

/// A word as a keyword.
fn keyword(word: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    format!(":{}", word.chars().map(letter).collect::<String>())
}

/// A text as EDN's readers take it back.
fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
