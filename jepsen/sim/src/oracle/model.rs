//! What every entry came to, in the order of the log, as the first node that applied it says. Whoever
//! applies it later must say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_proto::log::HistoryEntry;

use crate::rules::{self, Held};

/// The truth, as far as it is known.
#[derive(Default)]
pub(super) struct Model {
    entries: BTreeMap<u64, Arc<HistoryEntry>>,
    /// By name: what was there from which revision on.
    held: BTreeMap<String, BTreeMap<u64, Held>>,
    through: u64,
}

impl Model {
    /// Everything through this revision is known. The first node that applies an entry is looked at
    /// before it can forget it.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    pub(super) fn advance(&mut self, through: u64) {
        self.through = self.through.max(through);
    }

    /// Whether an entry is known, as it is here.
    ///
    /// # Errors
    /// When another node had something else at its revision.
    pub(super) fn is_known(&self, entry: &HistoryEntry) -> Result<bool, String> {
        let revision = entry.revision;
        match self.entries.get(&revision) {
            Some(known) if **known == *entry => Ok(true),
            Some(known) => Err(format!("at revision {revision} one node did {known:?}, another {entry:?}")),
            None if revision <= self.through => {
                Err(format!("at revision {revision} one node did nothing, another {entry:?}"))
            }
            None => Ok(false),
        }
    }

    /// Adds an entry after all that are known, and says what it changed.
    ///
    /// # Errors
    /// When a version does not go up by one.
    pub(super) fn add(&mut self, entry: &HistoryEntry) -> Result<Vec<(String, Held)>, String> {
        let revision = entry.revision;
        let mut changes = Vec::new();
        for change in &entry.changes {
            let Some(name) = change.key.as_ref().and_then(rules::name) else { continue };
            let held = change.value.as_deref().and_then(rules::decoded).unwrap_or_default();
            let before = self.at(name, revision);
            if held.version != before.version + 1 {
                return Err(format!("{name} went from {before:?} to {held:?} at revision {revision}"));
            }
            self.held.entry(name.to_owned()).or_default().insert(revision, held.clone());
            changes.push((name.to_owned(), held));
        }
        self.entries.insert(revision, Arc::new(entry.clone()));
        Ok(changes)
    }

    /// What was at a name at a revision.
    pub(super) fn at(&self, name: &str, revision: u64) -> Held {
        let held = self.held.get(name).and_then(|held| held.range(..=revision).next_back());
        held.map(|(_, held)| held.clone()).unwrap_or_default()
    }

    /// The revisions between two at which anything may have been different.
    pub(super) fn moments(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        std::iter::once(from).chain(self.entries.range(from..=to).map(|(revision, _)| *revision))
    }
}
