//! What watches said: nothing twice, nothing out of order, nothing missed on whichever node they went on,
//! and nothing that nobody did. Watchers are held against each other, against the state that they began
//! with, and against what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::findings::Finding;
use super::followers;
use crate::history::{Action, Cell, Edit, Line, News, Outcome, Position, Story, is_profile};
use crate::workload::Workload;

/// The name of the checker.
pub(crate) const NAME: &str = "watch";
/// To fewer acknowledged writes than these each watcher must have been there.
const FOLLOWED_MIN: usize = 20;
/// Of those that were acknowledged while it was there, so many percent.
const FOLLOWED_PERCENT: usize = 90;
/// The state comes anew when all nodes that answer have lost what comes next. That is so for a moment when one is as
/// good as new and the others are cut off, but not more often than this, and than once in so many changes of the node.
const ANEW_MAX: usize = 3;
const MOVES_PER_ANEW: usize = 10;
/// What no watch is ever told: that a position which a node gave it is none, and a message of no kind.
const NEVER_RIGHT: [&str; 2] = ["FailedPrecondition", "Unspecified"];

/// What one entry changed.
type Changes = BTreeMap<String, Option<Cell>>;

/// One watcher, as far as it came.
#[derive(Default)]
struct Watcher<'a> {
    /// What it believes is there.
    cells: BTreeMap<&'a str, &'a Cell>,
    /// Since where it has missed nothing, and up to where.
    from: Option<Position>,
    last: Option<Position>,
    /// Since then.
    heard: BTreeSet<Position>,
    /// What it said before the state came anew.
    before: Vec<(Position, Position, BTreeSet<Position>)>,
    nodes: BTreeSet<u64>,
    /// Where it was last, and how often that was elsewhere than before.
    node: u64,
    moves: usize,
    anew: usize,
    failures: usize,
    /// Why its last stream ended, when it heard nothing since.
    failed: Option<&'a str>,
}

/// Whether watches have the properties that they promise.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut watchers: BTreeMap<u64, Watcher<'_>> = BTreeMap::new();
    let mut entries: BTreeMap<Position, &Changes> = BTreeMap::new();
    let declared: BTreeSet<&str> = story.objects.values().flat_map(|object| object.keys).map(String::as_str).collect();
    let mut events = 0;
    for line in story.lines {
        let Line::Watched { watcher, node, news, .. } = line else { continue };
        let one = watchers.entry(*watcher).or_default();
        one.is_at(*node);
        if let Err(said) = one.hear(news, &declared) {
            finding.violated(format!("watcher {watcher}: {said}"));
        }
        if let News::Changed { at, changes } = news {
            events += changes.len();
            let other = *entries.entry(*at).or_insert(changes);
            if other != changes {
                finding.violated(format!("{at} is {other:?} to one watcher and {changes:?} to watcher {watcher}"));
            }
        }
    }
    for (number, watcher) in &watchers {
        for (from, to, heard) in watcher.spans() {
            let due = entries.range((Bound::Excluded(from), Bound::Included(to))).map(|(at, _)| at);
            if let Some(missed) = due.filter(|at| !heard.contains(at)).min() {
                finding.violated(format!("watcher {number} was told nothing of {missed}, between {from} and {to}"));
            }
        }
    }
    against_writes(story, &declared, &watchers, &entries, &mut finding);
    ends(story, &watchers, &mut finding);
    let heard = watchers.keys().map(u64::to_string).collect();
    followers::check(story, Workload::Watch, &heard, &mut finding);
    resumptions(&watchers, &mut finding);
    finding.count("watchers", watchers.len());
    finding.count("entries", entries.len());
    finding.count("nodes watched", watchers.values().flat_map(|watcher| &watcher.nodes).collect::<BTreeSet<_>>().len());
    finding.at_least("events", events, 1);
    finding
}

/// Watches go on where they were: that is what they are for.
fn resumptions(watchers: &BTreeMap<u64, Watcher<'_>>, finding: &mut Finding) {
    let (anew, moves): (usize, usize) =
        watchers.values().fold((0, 0), |(anew, moves), one| (anew + one.anew, moves + one.moves));
    if anew > ANEW_MAX + moves / MOVES_PER_ANEW {
        finding.unknown(format!("the state came anew {anew} times, in {moves} changes of the node"));
    }
    finding.count("states anew", anew);
    finding.count("changes of the node", moves);
    finding.count("streams refused or given up", watchers.values().map(|one| one.failures).sum());
}

impl<'a> Watcher<'a> {
    fn is_at(&mut self, node: u64) {
        self.moves += usize::from(!self.nodes.is_empty() && self.node != node);
        self.nodes.insert(node);
        self.node = node;
    }

    /// `declared` are the keys that one object each has; others may be in several workspaces.
    fn hear(&mut self, news: &'a News, declared: &BTreeSet<&str>) -> Result<(), String> {
        self.failed = None;
        match news {
            News::Synced { at, cells } => {
                let before = self.before.last().map(|(_, to, _)| *to);
                // Who says where it is hears what comes next, and no state.
                if let Some(last) = self.last {
                    return Err(format!("the state came as of {at}, where it was to go on after {last}"));
                }
                self.cells = cells.iter().map(|(key, cell)| (key.as_str(), cell)).collect();
                (self.from, self.last) = (Some(*at), Some(*at));
                match before.filter(|before| before > at) {
                    Some(before) => Err(format!("the state came anew as of {at}, after {before}")),
                    None => Ok(()),
                }
            }
            News::Changed { at, changes } => {
                if self.last.is_none_or(|last| last >= *at) {
                    return Err(format!("{at} came after {:?}", self.last));
                }
                self.last = Some(*at);
                self.heard.insert(*at);
                let known = changes.iter().filter(|(key, _)| declared.contains(key.as_str()));
                { known }.try_for_each(|(key, cell)| self.change(*at, key, cell.as_ref()))
            }
            News::Quiet { at } => {
                if self.last.is_none_or(|last| last > *at) {
                    return Err(format!("it was said to be quiet up to {at}, after {:?}", self.last));
                }
                self.last = Some(*at);
                Ok(())
            }
            News::Anew => {
                self.anew += 1;
                if let Some((from, to)) = self.from.take().zip(self.last.take()) {
                    self.before.push((from, to, std::mem::take(&mut self.heard)));
                }
                Ok(())
            }
            News::Failed { code, said } => {
                self.failures += 1;
                self.failed = Some(said);
                let is_wrong = NEVER_RIGHT.contains(&code.as_str());
                if is_wrong { Err(format!("it was told {code}: {said}")) } else { Ok(()) }
            }
        }
    }

    /// A change follows from what was there, as far as this watcher knows.
    fn change(&mut self, at: Position, key: &'a str, cell: Option<&'a Cell>) -> Result<(), String> {
        let before = match cell {
            Some(cell) => self.cells.insert(key, cell),
            None => self.cells.remove(key),
        };
        let follows = match (before, cell) {
            (None, Some(cell)) => cell.version == 1,
            (Some(before), Some(cell)) => cell.version == before.version + 1,
            (before, None) => before.is_some(),
        };
        if follows { Ok(()) } else { Err(format!("{key} became {cell:?} at {at}, after {before:?}")) }
    }

    /// Where it has missed nothing, and what it heard there.
    fn spans(&self) -> impl Iterator<Item = (Position, Position, &BTreeSet<Position>)> {
        let last = self.from.zip(self.last).map(|(from, to)| (from, to, &self.heard));
        self.before.iter().map(|(from, to, heard)| (*from, *to, heard)).chain(last)
    }

    fn covers(&self, at: Position) -> bool {
        self.spans().any(|(from, to, _)| from < at && at <= to)
    }

    /// From the first state that it had to the last of which it heard.
    fn stay(&self) -> Option<(Position, Position)> {
        let first = self.spans().next().map(|(from, _, _)| from);
        first.zip(self.spans().last().map(|(_, to, _)| to))
    }
}

/// What was acknowledged was told, and what was told was asked for.
fn against_writes(
    story: &Story<'_>,
    declared: &BTreeSet<&str>,
    watchers: &BTreeMap<u64, Watcher<'_>>,
    entries: &BTreeMap<Position, &Changes>,
    finding: &mut Finding,
) {
    let (mut acknowledged, mut doubtful) = (BTreeMap::new(), BTreeSet::new());
    for operation in &story.operations {
        let Action::Write { edits } = operation.action else { continue };
        if !edits.iter().all(|edit| is_profile(edit.key())) {
            continue;
        }
        match (operation.outcome, operation.at) {
            (Outcome::Done { versions }, Some(at)) => drop(acknowledged.insert(at, made(edits, versions))),
            (Outcome::Unknown { .. }, _) => doubtful.extend(edits.iter().map(|edit| (edit.key(), edit.value()))),
            _ => {}
        }
    }
    coverage(&acknowledged, watchers, finding);
    let mut told = 0;
    for (at, made) in &acknowledged {
        let is_covered = watchers.values().any(|watcher| watcher.covers(*at));
        match entries.get(at) {
            Some(changes) if *changes == made => told += 1,
            Some(changes) => finding.violated(format!("{made:?} was acknowledged at {at}, and told as {changes:?}")),
            None if is_covered => finding.violated(format!("{made:?} was acknowledged at {at}, and told to nobody")),
            None => {}
        }
    }
    for (at, changes) in entries.iter().filter(|(at, _)| !acknowledged.contains_key(at)) {
        let is_asked = |(key, cell): (&String, &Option<Cell>)| {
            !declared.contains(key.as_str())
                || doubtful.contains(&(key.as_str(), cell.as_ref().map(|cell| cell.value.as_str())))
        };
        if let Some((key, cell)) = changes.iter().find(|(key, cell)| !is_asked((key, cell))) {
            finding.violated(format!("{key} became {cell:?} at {at}, and nobody asked for it"));
        }
    }
    finding.count("acknowledged writes told", told);
}

/// Each watcher was there when writes were acknowledged: what it was not told of beside its spans is nobody's fault.
fn coverage(acknowledged: &BTreeMap<Position, Changes>, watchers: &BTreeMap<u64, Watcher<'_>>, finding: &mut Finding) {
    let mut least = None;
    for (number, watcher) in watchers {
        let stay = watcher.stay().map(|(from, to)| (Bound::Excluded(from), Bound::Included(to.max(from))));
        let due: Vec<Position> =
            stay.into_iter().flat_map(|stay| acknowledged.range(stay)).map(|(at, _)| *at).collect();
        let followed = due.iter().filter(|at| watcher.covers(**at)).count();
        if followed * 100 < due.len() * FOLLOWED_PERCENT {
            let due = due.len();
            finding.unknown(format!("watcher {number} followed {followed} of the {due} writes that were acknowledged"));
        }
        least = Some(least.map_or(followed, |least: usize| least.min(followed)));
    }
    finding.at_least("acknowledged writes followed by each watcher", least.unwrap_or(0), FOLLOWED_MIN);
}

/// What a write leaves.
fn made(edits: &[Edit], versions: &BTreeMap<String, u64>) -> Changes {
    let left = |edit: &Edit| {
        let version = versions.get(edit.key()).copied().unwrap_or_default();
        edit.value().map(|value| Cell { version, value: value.to_owned() })
    };
    edits.iter().map(|edit| (edit.key().to_owned(), left(edit))).collect()
}

/// Every watcher came as far as the last write that was acknowledged, and believes what the last reads found.
fn ends(story: &Story<'_>, watchers: &BTreeMap<u64, Watcher<'_>>, finding: &mut Finding) {
    let writes = story.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Done { .. }));
    let newest = writes.filter(|one| one.action.keys().into_iter().all(is_profile)).filter_map(|one| one.at).max();
    let mut read: BTreeMap<&str, Option<&Cell>> = BTreeMap::new();
    for operation in story.last_operations() {
        if let (Action::Read { keys }, Outcome::Found { cells }) = (operation.action, operation.outcome) {
            read.extend(keys.iter().filter(|key| is_profile(key)).map(|key| (key.as_str(), cells.get(key))));
        }
    }
    for (number, watcher) in watchers {
        if let Some(said) = watcher.failed {
            finding.unknown(format!("watcher {number} ended with: {said}"));
        } else if watcher.last < newest {
            let (last, newest) = (watcher.last, newest.unwrap_or_default());
            finding.unknown(format!("watcher {number} came as far as {last:?}, and not to {newest}"));
        } else if let Some((key, cell)) = read.iter().find(|(key, cell)| watcher.cells.get(**key) != cell.as_ref()) {
            let believed = watcher.cells.get(key);
            finding.violated(format!("watcher {number} believes in {believed:?} under {key}, where {cell:?} was read"));
        }
    }
}
