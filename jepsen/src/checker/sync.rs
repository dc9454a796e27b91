//! Sandboxes that are kept current: what is put into force is never older than what was, and in the end it
//! is the newest.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use super::followers;
use crate::history::{Action, Cell, Edit, Line, Outcome, Position, Story};
use crate::workload::Workload;

/// The name of the checker.
pub(crate) const NAME: &str = "sync";

/// One sandbox, as far as it came.
#[derive(Default)]
struct Sandbox<'a> {
    position: Option<Position>,
    key: &'a str,
    value: &'a str,
    installed: usize,
}

/// Whether sandboxes only went forward, to the end.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let order = order(story);
    let mut sandboxes: BTreeMap<&str, Sandbox<'_>> = BTreeMap::new();
    for line in story.lines {
        let Line::Installed { sandbox: name, at, key, value, kind, .. } = line else { continue };
        let sandbox = sandboxes.entry(name).or_default();
        if *at < sandbox.position {
            finding.violated(format!("{name} went back from {:?} to {at:?} ({kind})", sandbox.position));
        }
        match (order.get(sandbox.value), order.get(value.as_str())) {
            (Some(before), Some(now)) if now < before => {
                finding.violated(format!("{name} went back from {:?} to {value:?} ({kind})", sandbox.value));
            }
            (_, None) => finding.violated(format!("{name} put {value:?} into force, which nobody wrote")),
            _ => {}
        }
        *sandbox = Sandbox { position: *at, key, value, installed: sandbox.installed + 1 };
    }
    let last = last_read(story);
    for (name, sandbox) in &sandboxes {
        match last.get(sandbox.key) {
            Some(cell) if cell.value == sandbox.value => {}
            Some(cell) => finding.violated(format!("{name} has {:?} in the end, and not {cell:?}", sandbox.value)),
            None => finding.unknown(format!("{name} follows {}, which was not read at the end", sandbox.key)),
        }
    }
    let heard: BTreeSet<String> = sandboxes.keys().map(|name| (*name).to_owned()).collect();
    followers::check(story, Workload::Sync, &heard, &mut finding);
    finding.count("sandboxes", sandboxes.len());
    finding.at_least("configurations put into force", sandboxes.values().map(|one| one.installed).sum(), 2);
    finding
}

/// Every value that was there first or was written, in the order in which it was asked for: each key has one
/// writer, who never writes an earlier value after a later one. Other workloads write the same values under keys
/// of theirs.
fn order<'a>(story: &Story<'a>) -> BTreeMap<&'a str, usize> {
    let own = story.objects.values().filter(|object| object.workload == Workload::Sync);
    let first = own.flat_map(|object| object.cells.values()).map(|cell| cell.value.as_str());
    let own = story.operations.iter().filter(|operation| operation.workload == Workload::Sync);
    let writes = own.filter_map(|operation| match operation.action {
        Action::Write { edits } => Some(edits),
        _ => None,
    });
    first.chain(writes.flatten().filter_map(Edit::value)).zip(0..).collect()
}

/// What the last reads found.
fn last_read<'a>(story: &Story<'a>) -> BTreeMap<&'a str, &'a Cell> {
    let found = story.last_operations().iter().filter_map(|operation| match (operation.action, operation.outcome) {
        (Action::Read { .. }, Outcome::Found { cells }) => Some(cells),
        _ => None,
    });
    found.flatten().map(|(key, cell)| (key.as_str(), cell)).collect()
}
