//! Watches that miss, repeat, reorder or invent.

use std::collections::BTreeMap;

use super::is;
use crate::checker::findings::Finding;
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{Tale, at, cell};
use crate::checker::watch;
use crate::history::{Line, News, Story};

fn judged(tale: &Tale) -> Finding {
    watch::check(&Story::of(&tale.lines).expect("a history"))
}

impl Tale {
    fn told(self, watcher: u64, news: News) -> Self {
        let time_ns = self.now_ns();
        self.line(Line::Watched { watcher, time_ns, node: watcher % 3 + 1, news })
    }

    /// The state as it is at first: `a` and `b` with version 1.
    fn synced(self, watcher: u64, revision: u64) -> Self {
        let cells = ["a", "b"].map(|key| (key.to_owned(), cell(1, "first"))).into();
        self.told(watcher, News::Synced { at: at(revision), cells })
    }

    fn changed(self, watcher: u64, revision: u64, key: &str, version: u64, value: &str) -> Self {
        let changes = BTreeMap::from([(key.to_owned(), Some(cell(version, value)))]);
        self.told(watcher, News::Changed { at: at(revision), changes })
    }

    fn removed(self, watcher: u64, revision: u64, key: &str) -> Self {
        let changes = BTreeMap::from([(key.to_owned(), None)]);
        self.told(watcher, News::Changed { at: at(revision), changes })
    }
}

/// Two writes, and a watcher who began before them.
fn watched() -> Tale {
    Tale::new().synced(1, 5).write("a", 2, "x", 10).write("b", 2, "y", 11)
}

#[test]
fn what_was_acknowledged_is_told_once_and_in_order() {
    let whole = || watched().changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y");
    is(&judged(&whole()), Passed, "");
    is(&judged(&whole().told(1, News::Quiet { at: at(15) })), Passed, "");
    is(&judged(&whole().settled().read("a", 2, "x", 11)), Passed, "");
    is(&judged(&whole().settled().read("a", 3, "z", 12)), Violated, "believes in");
}

#[test]
fn a_missed_event_is_found() {
    is(&judged(&watched().changed(1, 11, "b", 2, "y")), Violated, "told to nobody");
    let other = watched().synced(2, 5).changed(2, 10, "a", 2, "x").changed(2, 11, "b", 2, "y");
    is(&judged(&other.changed(1, 11, "b", 2, "y")), Violated, "watcher 1 was told nothing of revision 10");
    let unasked = Tale::new().synced(1, 5).doubt("a", 2, "x").doubt("a", 3, "z").changed(1, 12, "a", 3, "z");
    is(&judged(&unasked), Violated, "after Some(Cell { version: 1");
}

#[test]
fn a_repeated_or_late_event_is_found() {
    let twice = watched().changed(1, 10, "a", 2, "x").changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y");
    is(&judged(&twice), Violated, "came after");
    let late = watched().changed(1, 11, "b", 2, "y").changed(1, 10, "a", 2, "x");
    is(&judged(&late), Violated, "came after");
    let passed = watched().told(1, News::Quiet { at: at(10) }).changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y");
    is(&judged(&passed), Violated, "came after");
}

#[test]
fn an_event_that_is_another_one_is_found() {
    let wrong = watched().changed(1, 10, "a", 2, "z").changed(1, 11, "b", 2, "y");
    is(&judged(&wrong), Violated, "and told as");
    let differs = watched().synced(2, 5).changed(2, 10, "a", 2, "z").changed(1, 10, "a", 2, "x");
    is(&judged(&differs.changed(1, 11, "b", 2, "y")), Violated, "to one watcher and");
    let invented = watched().changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y").removed(1, 12, "a");
    is(&judged(&invented), Violated, "nobody asked for it");
}

#[test]
fn a_watch_goes_on_where_the_state_came_anew() {
    let anew = || watched().changed(1, 10, "a", 2, "x").told(1, News::Anew);
    let cells = [("a".to_owned(), cell(2, "x")), ("b".to_owned(), cell(2, "y"))].into();
    is(&judged(&anew().told(1, News::Synced { at: at(20), cells })), Passed, "");
    is(&judged(&anew().synced(1, 9)), Violated, "the state came anew as of");
}

#[test]
fn a_watcher_that_did_not_come_to_the_end_proves_nothing() {
    is(&judged(&watched().changed(1, 10, "a", 2, "x")), Unknown, "and not to revision 11");
    let failed = watched().changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y");
    is(&judged(&failed.told(1, News::Failed { said: "too many".to_owned() })), Unknown, "too many");
    is(&judged(&Tale::new()), Unknown, "0 events");
}

#[test]
fn profiles_of_others_are_no_matter() {
    let others = watched().changed(1, 9, "mixed", 4, "m").changed(1, 10, "a", 2, "x").changed(1, 11, "b", 2, "y");
    is(&judged(&others), Passed, "");
}
