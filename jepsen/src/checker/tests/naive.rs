//! The model a second time, in the plainest words, and orders found by trying all: for small histories. Nothing is used
//! of what the search and the certificate read answers with, so that a mistake in that is seen.

use std::collections::{BTreeMap, BTreeSet};

use super::concurrent::Told;
use super::tale::cell;
use crate::history::{Action, Cells, Edit, Outcome};

/// What an order must keep beside real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing.
    Nothing,
    /// The revisions that answers claim.
    Revisions,
}

/// Whether some order of a history explains every answer.
pub(super) fn is_explained(first: &Cells, told: &[Told], kept: Kept) -> bool {
    let says_something = |one: &&Told| !matches!(one.outcome, Outcome::NotDone);
    let told: Vec<&Told> = told.iter().filter(says_something).collect();
    if kept == Kept::Revisions && !told.iter().all(|one| told.iter().all(|other| is_as_new(one, other))) {
        return false;
    }
    let all = (1 << told.len()) - 1;
    Trial { told, kept, tried: BTreeSet::new() }.finds(first, 0, all)
}

/// The part of a history that is about some keys.
pub(super) fn about(told: &[Told], keys: &[&str]) -> Vec<Told> {
    let mut own = Vec::new();
    for one in told.iter().filter(|one| one.action.keys().iter().any(|key| keys.contains(key))) {
        let mut one = one.clone();
        if let Action::Read { keys: asked } = &mut one.action {
            asked.retain(|key| keys.contains(&key.as_str()));
        }
        if let Outcome::Found { cells } = &mut one.outcome {
            cells.retain(|key, _| keys.contains(&key.as_str()));
        }
        own.push(one);
    }
    own
}

fn is_ended(told: &Told) -> bool {
    !matches!(told.outcome, Outcome::Unknown { .. })
}

/// An answer claims no older revision than one that was there before its call; a write a newer one.
fn is_as_new(one: &Told, before: &Told) -> bool {
    let (Some(own), Some(other)) = (one.at, before.at) else { return true };
    let was_there = before.returned.is_some_and(|returned| returned < one.invoked);
    let is_write = matches!(one.outcome, Outcome::Done { .. });
    !was_there || other < own || (other == own && !is_write)
}

/// Orders of operations, each a bit of a number.
struct Trial<'a> {
    told: Vec<&'a Told>,
    kept: Kept,
    /// What was left, after which revision, and what was there: it led nowhere.
    tried: BTreeSet<(u32, u64, Cells)>,
}

impl Trial<'_> {
    fn finds(&mut self, cells: &Cells, revision: u64, left: u32) -> bool {
        let waiting: Vec<usize> = (0..self.told.len()).filter(|index| left >> index & 1 == 1).collect();
        let ended = waiting.iter().map(|index| self.told[*index]).filter(|one| is_ended(one));
        let Some(first_return) = ended.filter_map(|one| one.returned).min() else { return true };
        if !self.tried.insert((left, revision, cells.clone())) {
            return false;
        }
        let next: Vec<usize> = waiting.into_iter().filter(|index| self.told[*index].invoked <= first_return).collect();
        next.into_iter().any(|index| {
            let Some(after) = after(cells, self.told[index]) else { return false };
            let Some(revision) = self.revision_after(revision, self.told[index]) else { return false };
            self.finds(&after, revision, left & !(1 << index))
        })
    }

    /// The revision once an operation has taken effect after this one; none when it cannot by what is kept.
    fn revision_after(&self, revision: u64, told: &Told) -> Option<u64> {
        if self.kept == Kept::Nothing {
            return Some(0);
        }
        let claimed = told.at.map(|at| at.revision);
        match told.outcome {
            Outcome::Unknown { .. } => {
                // Whoever answers of it, or of what comes later, does so after it was called.
                let is_later = |one: &&&Told| one.at.is_some_and(|at| at.revision > revision);
                let mut later = self.told.iter().filter(is_later).filter_map(|one| one.returned);
                later.all(|returned| returned >= told.invoked).then_some(revision + 1)
            }
            Outcome::Done { .. } => claimed.filter(|claimed| *claimed > revision),
            Outcome::Found { .. } => claimed.filter(|claimed| *claimed >= revision),
            // A refusal may be told later than it was decided.
            _ => claimed.filter(|claimed| *claimed >= revision).map(|_| revision),
        }
    }
}

/// What is there after an operation; none when its outcome cannot come of what there is.
fn after(cells: &Cells, told: &Told) -> Option<Cells> {
    let edits = match &told.action {
        Action::Read { keys } => {
            let Outcome::Found { cells: seen } = &told.outcome else { return None };
            return keys.iter().all(|key| cells.get(key) == seen.get(key)).then(|| cells.clone());
        }
        Action::Write { edits } => edits,
        other => panic!("{other:?} is not generated"),
    };
    match &told.outcome {
        Outcome::Unknown { .. } => written(cells, edits),
        Outcome::Done { versions } => {
            let after = written(cells, edits)?;
            let left = edits.iter().filter_map(|edit| Some((edit.key().to_owned(), after.get(edit.key())?.version)));
            let is_true = left.collect::<BTreeMap<String, u64>>() == *versions;
            is_true.then_some(after)
        }
        Outcome::Conflict { key, current } => {
            let version = cells.get(key)?.version;
            let is_expected =
                |edit: &Edit| matches!(edit, Edit::Replace { key: other, on, .. } if other == key && *on == version);
            let is_true = !edits.iter().any(is_expected) && current.is_none_or(|current| current == version);
            is_true.then(|| cells.clone())
        }
        Outcome::Exists { keys } => are_exactly(cells, edits, keys, true).then(|| cells.clone()),
        Outcome::Absent { keys } => are_exactly(cells, edits, keys, false).then(|| cells.clone()),
        other => panic!("{other:?} is not generated"),
    }
}

fn written(cells: &Cells, edits: &[Edit]) -> Option<Cells> {
    let mut after = cells.clone();
    for edit in edits {
        let version = cells.get(edit.key()).map(|cell| cell.version);
        match (edit, version) {
            (Edit::Create { key, value }, None) => after.insert(key.clone(), cell(1, value)),
            (Edit::Replace { key, on, value }, Some(version)) if version == *on => {
                after.insert(key.clone(), cell(version + 1, value))
            }
            (Edit::Remove { key }, Some(_)) => after.remove(key),
            _ => return None,
        };
    }
    Some(after)
}

/// Of the keys to be made, those named and no others are there; or of the keys to be changed, they are not.
fn are_exactly(cells: &Cells, edits: &[Edit], named: &[String], are_there: bool) -> bool {
    let asked = edits.iter().filter(|edit| matches!(edit, Edit::Create { .. }) == are_there).map(Edit::key);
    let fitting: BTreeSet<&str> = asked.filter(|key| cells.contains_key(*key) == are_there).collect();
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    !named.is_empty() && fitting == named
}
