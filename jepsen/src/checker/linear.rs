//! The search over all objects: each by itself, since a history is linearizable exactly when that of every
//! object is; the largest first, as many at once as there are processors. One that has no order does not
//! keep the others from being looked at.

use std::cmp::Reverse;

use super::findings::{Evidence, Finding, Verdict};
use super::model::{Operation, Reading, State};
use super::parallel::each;
use super::search::{Budget, Found, search};
use crate::history::{Object, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "search";
/// So many objects without an order are looked at again, for what can be shown.
const SHOWN_MAX: usize = 5;
/// What is shown begins so many operations before the one that has no place.
const SHOWN_BEFORE: usize = 12;

/// Whether each object's history has an order.
pub(super) fn check(story: &Story<'_>, budget: Budget) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut objects: Vec<(&str, &Object<'_>)> = story.objects.iter().map(|(name, object)| (*name, object)).collect();
    objects.sort_by_key(|(_, object)| Reverse(object.operations.len()));
    let found = each(&objects, |(_, object)| {
        let reading = Reading::of(object);
        let operations = reading.operations(object, false);
        search(reading.initial(object.cells), &operations, budget)
    });
    let mut undecided = 0;
    for ((name, object), found) in objects.iter().zip(&found) {
        match found.verdict {
            Verdict::Passed => {}
            Verdict::Unknown => {
                undecided += 1;
                finding.unknown(format!("{name}: its {} operations are undecided", object.operations.len()));
            }
            Verdict::Violated => {
                let evidence = (finding.evidence.len() < SHOWN_MAX).then(|| evidence(name, object, found, budget));
                finding.violated(format!("{name}: {}", sentence(object, found)));
                finding.evidence.extend(evidence);
            }
        }
    }
    finding.count("objects", objects.len());
    finding.count("objects undecided", undecided);
    finding.count("operations", objects.iter().map(|(_, object)| object.operations.len()).sum());
    let most = objects.first().map_or(0, |(_, object)| object.operations.len());
    finding.count("operations on one object at most", most);
    finding
}

fn sentence(object: &Object<'_>, found: &Found) -> String {
    let operations = Reading::of(object).operations(object, false);
    let told = |index: usize| &object.operations[operations[index].source];
    let (count, last) = (found.longest.len(), found.longest.last().map(|index| told(*index)));
    let blocked = found.blocked.map(told);
    format!("{count} operations can be explained, the last being {last:?}; then not {blocked:?}")
}

/// A few operations that have no order together, where the search came furthest.
fn evidence(name: &str, object: &Object<'_>, found: &Found, budget: Budget) -> Evidence {
    let reading = Reading::of(object);
    let operations = reading.operations(object, false);
    let kept = shrunk(reading.initial(object.cells), &operations, found, budget);
    let number = |index: &usize| object.operations[operations[*index].source].number;
    let order: Vec<u64> = found.longest.iter().filter(|index| kept.contains(index)).map(number).collect();
    let operations = kept.iter().map(number).collect();
    Evidence { object: name.to_owned(), operations, order, blocked: found.blocked.as_ref().map(number) }
}

/// The last operations that found a place, the one that did not, and what was under way meanwhile; without
/// observations that change nothing about it.
fn shrunk(initial: State, operations: &[Operation], found: &Found, budget: Budget) -> Vec<usize> {
    let Some(blocked) = found.blocked else { return Vec::new() };
    let cut = found.longest.len().saturating_sub(SHOWN_BEFORE);
    let (before, last) = found.longest.split_at(cut);
    let state = before.iter().try_fold(initial, |state, index| operations[*index].step.take(state));
    let end = operations[blocked].returned.unwrap_or(u64::MAX);
    let open =
        (0..operations.len()).filter(|index| !found.longest.contains(index) && operations[*index].invoked <= end);
    let mut kept: Vec<usize> = last.iter().copied().chain(open).collect();
    let Some(state) = state else { return kept };
    let is_violated = |kept: &[usize]| {
        let some: Vec<Operation> = kept.iter().map(|index| operations[*index].clone()).collect();
        search(state, &some, budget).verdict == Verdict::Violated
    };
    for index in kept.clone() {
        let without: Vec<usize> = kept.iter().copied().filter(|other| *other != index).collect();
        if index != blocked && operations[index].step.effects.is_empty() && is_violated(&without) {
            kept = without;
        }
    }
    kept
}
