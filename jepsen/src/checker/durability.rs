//! Nothing that was acknowledged is lost: what the last reads find under a key was left there by the last
//! acknowledged write of it, or by one in doubt that came after.

use std::collections::BTreeMap;

use super::doubt::may_follow;
use super::findings::Finding;
use crate::history::{Action, Cell, Edit, Operation, Outcome, Position, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "durability";

/// What is known of one key.
#[derive(Default)]
struct Known<'a> {
    /// The last acknowledged write, where it took effect, and what it left.
    last: Option<(Operation<'a>, Position, Option<Cell>)>,
    /// Writes in doubt, and what they do to the key.
    doubtful: Vec<(Operation<'a>, &'a Edit)>,
    acknowledged: usize,
    /// What the last reads found.
    found: Vec<Option<&'a Cell>>,
}

/// Whether everything that was acknowledged is there at the end.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let settled_ns = story.settled_ns().unwrap_or(u64::MAX);
    let mut keys: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for operation in &story.operations {
        note(&mut keys, operation, settled_ns);
    }
    let (mut acknowledged, mut looked_at) = (0, 0);
    for (key, known) in keys.iter().filter(|(_, known)| known.acknowledged > 0) {
        acknowledged += known.acknowledged;
        looked_at += known.found.len();
        if known.found.is_empty() {
            finding.unknown(format!("{key} was written and not read at the end"));
        }
        for found in &known.found {
            if let Some(said) = lost(known, *found) {
                finding.violated(format!("{key}: {said}"));
            }
        }
    }
    finding.at_least("acknowledged writes", acknowledged, 1);
    finding.count("last reads", looked_at);
    finding
}

fn note<'a>(keys: &mut BTreeMap<&'a str, Known<'a>>, operation: &Operation<'a>, settled_ns: u64) {
    match (operation.action, operation.outcome) {
        (Action::Write { edits }, Outcome::Done { versions }) => {
            for edit in edits {
                let known = keys.entry(edit.key()).or_default();
                known.acknowledged += 1;
                let version = versions.get(edit.key()).copied().unwrap_or_default();
                let cell = edit.value().map(|value| Cell { version, value: value.to_owned() });
                let is_last = known.last.as_ref().is_none_or(|(_, at, _)| operation.at.is_none_or(|own| own > *at));
                if is_last {
                    known.last = Some((*operation, operation.at.unwrap_or_default(), cell));
                }
            }
        }
        (Action::Write { edits }, Outcome::Unknown { .. }) => {
            for edit in edits {
                keys.entry(edit.key()).or_default().doubtful.push((*operation, edit));
            }
        }
        (Action::Read { keys: asked }, Outcome::Found { cells }) if operation.invoked_ns >= settled_ns => {
            for key in asked {
                keys.entry(key).or_default().found.push(cells.get(key));
            }
        }
        _ => {}
    }
}

/// What was lost, if something was.
fn lost(known: &Known<'_>, found: Option<&Cell>) -> Option<String> {
    let (write, at, left) = known.last.as_ref()?;
    let later = || known.doubtful.iter().filter(|(doubt, _)| may_follow(doubt, write)).map(|(_, edit)| *edit);
    let is_removed = later().any(|edit| matches!(edit, Edit::Remove { .. }));
    // Versions only grow, until the key is removed and made again.
    let is_made_again = (left.is_none() || is_removed) && later().any(|edit| matches!(edit, Edit::Create { .. }));
    let is_explained = match found {
        _ if found == left.as_ref() => true,
        None => is_removed,
        Some(cell) => {
            let is_newer = left.as_ref().is_some_and(|left| cell.version > left.version);
            (is_newer || is_made_again) && later().any(|edit| leaves(edit, cell))
        }
    };
    (!is_explained).then(|| format!("{left:?} was acknowledged at {at}, and {found:?} is there at the end"))
}

/// Whether an edit that takes effect leaves this: a replacement does so on one version only.
fn leaves(edit: &Edit, cell: &Cell) -> bool {
    match edit {
        Edit::Create { value, .. } => (cell.version, &cell.value) == (1, value),
        Edit::Replace { on, value, .. } => (cell.version, &cell.value) == (on + 1, value),
        Edit::Remove { .. } => false,
    }
}
