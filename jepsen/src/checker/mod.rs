//! Whether what clients saw can be explained. Three checks that share nothing: a search for an order
//! that explains every answer (`search`), arithmetic on the versions of each profile
//! (`certificate`), and the order by revision that the answers claim (`revisions`).

mod certificate;
mod register;
mod revisions;
mod search;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::history::KeyHistory;

pub(crate) use revisions::{Contradiction, contradictions as contradicting_revisions};
pub(crate) use search::{Budget, Verdict};

/// What the two checks of one profile say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyReport {
    /// Of the search.
    pub(crate) verdict: Verdict,
    /// Where the search found no way on: the operations' numbers in the profile's history that it
    /// could explain, and the one that it could not.
    pub(crate) evidence: Option<String>,
    /// Each contradiction between the versions, in a sentence.
    pub(crate) contradictions: Vec<String>,
}

impl KeyReport {
    /// Explained, without contradiction.
    pub(crate) fn is_good(&self) -> bool {
        self.verdict == Verdict::Linearizable && self.contradictions.is_empty()
    }
}

/// Checks every profile by itself: a history is linearizable exactly when each of its objects'
/// histories is.
pub(crate) fn check(keys: &BTreeMap<String, KeyHistory>, budget: Budget) -> BTreeMap<String, KeyReport> {
    keys.iter().map(|(key, history)| (key.clone(), check_key(history, budget))).collect()
}

/// Checks one profile.
pub(crate) fn check_key(history: &KeyHistory, budget: Budget) -> KeyReport {
    let (initial, operations) = register::operations(history);
    let found = search::search(initial, &operations, budget);
    let evidence = found.blocked.map(|blocked| {
        let blocked = &history.operations[operations[blocked].source];
        let last = found.longest.last().map(|index| &history.operations[operations[*index].source]);
        format!("{} operations can be explained, the last being {last:?}; then not {blocked:?}", found.longest.len())
    });
    let evidence = evidence.filter(|_| found.verdict != Verdict::Linearizable);
    KeyReport { verdict: found.verdict, evidence, contradictions: certificate::contradictions(history) }
}
