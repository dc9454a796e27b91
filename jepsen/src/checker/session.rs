//! Who carries a position never sees time run backwards: a read through another node, content with what
//! that node has, is not older than the position, and has what its reader wrote. Each key here has one
//! writer, who is its reader, and is never removed.

use std::collections::BTreeMap;

use super::findings::Finding;
use crate::history::{Action, Cell, Operation, Outcome, Position, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "session";
/// Of so many reads at least something is said.
const READS_MIN: usize = 20;

/// What the reader of a key knows of it.
#[derive(Default)]
struct Own {
    /// The newest version that was acknowledged or read, with its value.
    newest: Option<Cell>,
    position: Option<Position>,
    node: u64,
}

/// Whether readers see what they wrote.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut keys: BTreeMap<&str, Own> = BTreeMap::new();
    let (mut reads, mut elsewhere) = (0, 0);
    for operation in &story.operations {
        match (operation.action, operation.outcome) {
            (Action::ReadLocal { keys: asked, not_before }, Outcome::Found { cells }) => {
                for key in asked {
                    let own = keys.entry(key).or_default();
                    reads += 1;
                    elsewhere += usize::from(own.node != operation.node);
                    if let Some(said) = backwards(own, operation, *not_before, cells.get(key)) {
                        finding.violated(format!("{key} through node {}: {said}", operation.node));
                    }
                    own.saw(operation, cells.get(key).cloned());
                }
            }
            // Nobody carries a position that the cluster did not answer before.
            (Action::ReadLocal { .. }, Outcome::Refused { code, said }) if code == "FailedPrecondition" => {
                finding.violated(format!("node {} believes in no such position: {said}", operation.node));
            }
            (Action::Write { edits }, Outcome::Done { versions }) => {
                for edit in edits {
                    let version = versions.get(edit.key()).copied().unwrap_or_default();
                    let cell = edit.value().map(|value| Cell { version, value: value.to_owned() });
                    keys.entry(edit.key()).or_default().saw(operation, cell);
                }
            }
            _ => {}
        }
    }
    finding.count("reads through another node than before", elsewhere);
    finding.at_least("reads", reads, READS_MIN);
    finding
}

impl Own {
    fn saw(&mut self, operation: &Operation<'_>, cell: Option<Cell>) {
        self.node = operation.node;
        self.position = self.position.max(operation.at);
        if cell.as_ref().map(|cell| cell.version) > self.newest.as_ref().map(|cell| cell.version) {
            self.newest = cell;
        }
    }
}

/// Why a read is older than it may be, if it is.
fn backwards(
    own: &Own,
    operation: &Operation<'_>,
    not_before: Option<Position>,
    cell: Option<&Cell>,
) -> Option<String> {
    let at = operation.at;
    if not_before.is_some_and(|least| at.is_none_or(|at| at < least)) {
        return Some(format!("{at:?} was answered to who asked for {not_before:?}"));
    }
    let newest = own.newest.as_ref()?;
    // What the reader did not carry, it was not promised.
    if not_before < own.position {
        return None;
    }
    match cell {
        None => Some(format!("nothing was read after {newest:?}")),
        Some(cell) if cell.version < newest.version => Some(format!("{cell:?} was read after {newest:?}")),
        Some(cell) if cell.version == newest.version && cell.value != newest.value => {
            Some(format!("{cell:?} was read, which was {newest:?}"))
        }
        Some(_) => None,
    }
}
