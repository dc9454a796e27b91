//! What clients may see and what they may not, in the words of histories, as the search judges it.

use super::tale::{Tale, edit, unknown};
use crate::checker::findings::Verdict;
use crate::checker::linear;
use crate::checker::search::Budget;
use crate::history::{Action, Line, Outcome, Story};

impl Tale {
    #[track_caller]
    fn is(self, verdict: Verdict) {
        let finding = linear::check(&Story::of(&self.lines).expect("a history"), Budget::default());
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert_eq!(finding.evidence.is_empty(), verdict == Verdict::Passed);
    }

    /// The last operation but one lasts until now.
    fn overlapping(mut self) -> Self {
        let end = self.now_ns();
        let mut returns = self.lines.iter_mut().rev().filter_map(|line| match line {
            Line::Return { time_ns, .. } => Some(time_ns),
            _ => None,
        });
        *returns.nth(1).expect("two operations") = end;
        self
    }
}

#[test]
fn a_read_may_see_a_concurrent_write_or_not() {
    let write = || Tale::new().write("a", 2, "x", 10);
    write().read("a", 1, "first", 9).overlapping().is(Verdict::Passed);
    write().read("a", 2, "x", 10).overlapping().is(Verdict::Passed);
    write().read("a", 1, "first", 9).is(Verdict::Violated);
}

#[test]
fn two_writes_on_one_version_are_found() {
    Tale::new().write("a", 2, "x", 10).write("a", 2, "y", 11).overlapping().is(Verdict::Violated);
}

#[test]
fn a_write_in_doubt_may_take_effect_late_or_never_and_not_twice() {
    let doubt = || Tale::new().doubt("a", 2, "x");
    doubt().read("a", 1, "first", 9).read("a", 2, "x", 10).is(Verdict::Passed);
    doubt().read("a", 1, "first", 9).is(Verdict::Passed);
    doubt().read("a", 2, "x", 10).write("a", 3, "y", 11).read("a", 4, "x", 12).is(Verdict::Violated);
}

#[test]
fn a_refusal_must_state_a_version_that_was_there() {
    Tale::new().refused("a", 1, 9).read("a", 1, "first", 9).is(Verdict::Passed);
    Tale::new().refused("a", 2, 9).read("a", 1, "first", 9).is(Verdict::Violated);
}

#[test]
fn a_refusal_on_the_version_that_was_there_all_the_time_is_found() {
    let conflict = Outcome::Conflict { key: "a".to_owned(), current: None };
    let write = Action::Write { edits: vec![edit("a", 2, "x")] };
    Tale::new().ask(write, conflict, Some(9)).read("a", 1, "first", 9).is(Verdict::Violated);
}

#[test]
fn what_is_there_cannot_be_made_and_what_is_not_cannot_be_changed() {
    let create = Action::Write { edits: vec![edit("a", 1, "x")] };
    let exists = Outcome::Exists { keys: vec!["a".to_owned()] };
    let absent = Outcome::Absent { keys: vec!["a".to_owned()] };
    Tale::new().ask(create.clone(), exists.clone(), Some(9)).is(Verdict::Passed);
    Tale::new().remove("a", 9).ask(create, exists, Some(9)).is(Verdict::Violated);
    let replace = Action::Write { edits: vec![edit("a", 2, "x")] };
    Tale::new().ask(replace.clone(), absent.clone(), Some(9)).is(Verdict::Violated);
    Tale::new().remove("a", 9).ask(replace, absent, Some(9)).is(Verdict::Passed);
}

#[test]
fn what_is_never_true_explains_nothing() {
    let read = Action::Read { keys: vec!["a".to_owned()] };
    let wrong = Outcome::Wrong { said: "it is a teapot".to_owned() };
    Tale::new().ask(read, wrong, None).is(Verdict::Violated);
}

#[test]
fn what_says_nothing_is_left_out() {
    let read = Action::Read { keys: vec!["a".to_owned()] };
    let refused = Outcome::Refused { code: "ResourceExhausted".to_owned(), said: "later".to_owned() };
    let write = Action::Write { edits: vec![edit("a", 2, "x")] };
    let story = Tale::new().ask(read, unknown(), None).ask(write.clone(), Outcome::NotDone, None);
    story.ask(write, refused, Some(9)).read("a", 1, "first", 9).is(Verdict::Passed);
}

#[test]
fn a_read_that_may_be_old_is_no_matter_of_the_search() {
    Tale::new().write("a", 2, "x", 10).read_local("a", &[("a", 1, "first")], 9, 9).is(Verdict::Passed);
}

#[test]
fn half_of_a_batch_is_found() {
    let made = || {
        Tale::default().object("group", &[("g", 0, ""), ("h", 0, "")]).write_all(&[("g", 1, "x"), ("h", 1, "y")], 10)
    };
    made().read_all(&["g", "h"], &[("g", 1, "x"), ("h", 1, "y")], 10).is(Verdict::Passed);
    made().read_all(&["g", "h"], &[("g", 1, "x")], 10).is(Verdict::Violated);
}

#[test]
fn what_is_shown_of_a_violation_is_small_and_holds_the_one_that_has_no_place() {
    let mut tale = Tale::new();
    for version in 2..100 {
        tale = tale.write("a", version, &format!("v{version}"), version).read(
            "a",
            version,
            &format!("v{version}"),
            version,
        );
    }
    let stale = tale.read("a", 50, "v50", 50);
    let finding = linear::check(&Story::of(&stale.lines).expect("a history"), Budget::default());
    let [evidence] = finding.evidence.as_slice() else { panic!("{finding:?}") };
    assert_eq!(evidence.object, "a");
    assert_eq!(evidence.blocked, Some(196), "the last operation");
    assert!(evidence.operations.contains(&196) && evidence.operations.len() < 14, "{evidence:?}");
}

#[test]
fn an_object_without_an_order_keeps_no_other_from_being_judged() {
    let story = Tale::new().write("a", 2, "x", 10).read("a", 1, "first", 10).write("b", 2, "y", 11);
    let finding = linear::check(&Story::of(&story.lines).expect("a history"), Budget::default());
    assert_eq!((finding.counts["objects"], finding.said.len()), (2, 1));
    assert!(finding.said[0].starts_with("a: "), "{finding:?}");
}
