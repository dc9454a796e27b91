//! Watches that miss, repeat, reorder or invent.

use std::collections::BTreeMap;

use super::is;
use crate::checker::findings::Finding;
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{Tale, at, cell};
use crate::checker::watch;
use crate::history::{Line, News};
use crate::workload::Workload;

fn judged(tale: &Tale) -> Finding {
    super::judged(tale, watch::check)
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

/// A watcher who was told of twenty writes, and two more.
fn watched() -> Tale {
    followed().write("a", 2, "x", 30).write("b", 2, "y", 31)
}

fn followed() -> Tale {
    (6..26).fold(Tale::new().object("c", &[("c", 0, "")]).synced(1, 5), |tale, revision| {
        let value = format!("c{revision}");
        tale.write("c", revision - 5, &value, revision).changed(1, revision, "c", revision - 5, &value)
    })
}

/// It was told of all.
fn whole() -> Tale {
    watched().changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y")
}

#[test]
fn what_was_acknowledged_is_told_once_and_in_order() {
    is(&judged(&whole()), Passed, "");
    is(&judged(&whole().told(1, News::Quiet { at: at(35) })), Passed, "");
    is(&judged(&whole().settled().read("a", 2, "x", 31)), Passed, "");
    is(&judged(&whole().settled().read("a", 3, "z", 32)), Violated, "believes in");
}

#[test]
fn a_missed_event_is_found() {
    is(&judged(&watched().changed(1, 31, "b", 2, "y")), Violated, "told to nobody");
    let other = watched().synced(2, 29).changed(2, 30, "a", 2, "x").changed(2, 31, "b", 2, "y");
    is(&judged(&other.changed(1, 31, "b", 2, "y")), Violated, "watcher 1 was told nothing of revision 30");
    let unasked = Tale::new().synced(1, 5).doubt("a", 2, "x").doubt("a", 3, "z").changed(1, 32, "a", 3, "z");
    is(&judged(&unasked), Violated, "after Some(Cell { version: 1");
}

#[test]
fn a_repeated_or_late_event_is_found() {
    let twice = watched().changed(1, 30, "a", 2, "x").changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y");
    is(&judged(&twice), Violated, "came after");
    let late = watched().changed(1, 31, "b", 2, "y").changed(1, 30, "a", 2, "x");
    is(&judged(&late), Violated, "came after");
    let passed = watched().told(1, News::Quiet { at: at(30) }).changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y");
    is(&judged(&passed), Violated, "came after");
}

#[test]
fn an_event_that_is_another_one_is_found() {
    let wrong = watched().changed(1, 30, "a", 2, "z").changed(1, 31, "b", 2, "y");
    is(&judged(&wrong), Violated, "and told as");
    let differs = watched().synced(2, 29).changed(2, 30, "a", 2, "z").changed(1, 30, "a", 2, "x");
    is(&judged(&differs.changed(1, 31, "b", 2, "y")), Violated, "to one watcher and");
    let invented = watched().changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y").removed(1, 32, "a");
    is(&judged(&invented), Violated, "nobody asked for it");
}

#[test]
fn a_watch_goes_on_where_the_state_came_anew() {
    let anew = || watched().changed(1, 30, "a", 2, "x").told(1, News::Anew);
    let cells = [("a".to_owned(), cell(2, "x")), ("b".to_owned(), cell(2, "y"))].into();
    is(&judged(&anew().told(1, News::Synced { at: at(40), cells })), Passed, "");
    is(&judged(&anew().synced(1, 29)), Violated, "the state came anew as of");
}

#[test]
fn a_watcher_that_did_not_come_to_the_end_proves_nothing() {
    is(&judged(&watched().changed(1, 30, "a", 2, "x")), Unknown, "and not to revision 31");
    let failed = watched().changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y");
    is(
        &judged(&failed.told(1, News::Failed { code: String::new(), said: "too many".to_owned() })),
        Unknown,
        "too many",
    );
    is(&judged(&Tale::new()), Unknown, "0 events");
}

#[test]
fn profiles_of_others_are_no_matter() {
    let others = watched().changed(1, 29, "mixed", 4, "m").changed(1, 30, "a", 2, "x").changed(1, 31, "b", 2, "y");
    is(&judged(&others), Passed, "");
}

#[test]
fn a_state_that_comes_again_in_the_place_of_what_is_next_is_found() {
    is(&judged(&whole().synced(1, 31)), Violated, "where it was to go on after");
    let anew = |times: u64| (0..times).fold(whole(), |tale, time| tale.told(1, News::Anew).synced(1, 40 + time));
    is(&judged(&anew(3)), Passed, "");
    is(&judged(&anew(4)), Unknown, "the state came anew 4 times");
}

#[test]
fn a_position_that_is_refused_is_found_and_other_failures_pass() {
    let failed = |code: &str| News::Failed { code: code.to_owned(), said: "no".to_owned() };
    let on = |news| whole().told(1, news).told(1, News::Quiet { at: at(35) });
    is(&judged(&on(failed(""))), Passed, "");
    is(&judged(&on(failed("FailedPrecondition"))), Violated, "it was told FailedPrecondition");
    is(&judged(&on(failed("Unspecified"))), Violated, "it was told Unspecified");
}

#[test]
fn writes_while_nobody_listens_prove_nothing() {
    let untold = |tale: Tale| {
        (26..36).fold(tale, |tale, revision| tale.write("c", revision - 5, &format!("c{revision}"), revision))
    };
    let missed = untold(followed().told(1, News::Anew)).synced(1, 40);
    is(&judged(&missed), Unknown, "followed 20 of the 30 writes");
    let late = untold(followed()).synced(2, 35).write("a", 2, "x", 36).changed(2, 36, "a", 2, "x");
    is(&judged(&late.told(1, News::Anew).synced(1, 40)), Unknown, "1 acknowledged writes followed by each watcher");
}

#[test]
fn a_watcher_that_says_nothing_is_missed() {
    let follows = |tale: Tale, name, is_done| tale.follows(Workload::Watch, name, is_done);
    is(&judged(&follows(whole(), "1", true)), Passed, "");
    is(&judged(&follows(whole(), "1", false)), Unknown, "1 did not come to the end");
    is(&judged(&follows(follows(whole(), "1", true), "2", false)), Unknown, "nothing was heard of 2");
}
