//! Each rule against a history that breaks it and no other, and all of them against histories of objects
//! that are right.

use rand::rngs::StdRng;
use rand::seq::IndexedMutRandom;
use rand::{Rng, SeedableRng};

use super::check;
use crate::checker::findings::Verdict;
use crate::checker::tests::tale::{Tale, edit, found, unknown};
use crate::history::{Action, Edit, Line, Outcome, Position, Story};

impl Tale {
    #[track_caller]
    fn breaks(self, rules: &[&str]) {
        let finding = check(&Story::of(&self.lines).expect("a history"));
        let broken: Vec<&str> = finding.said.iter().filter_map(|said| said.split(':').next()).collect();
        assert_eq!(broken, rules, "{finding:?}");
        assert_eq!(finding.verdict == Verdict::Passed, rules.is_empty());
    }
}

#[test]
fn a_sound_story_breaks_nothing() {
    Tale::new()
        .write("a", 2, "x", 10)
        .read("a", 2, "x", 10)
        .write("b", 2, "y", 11)
        .read("a", 2, "x", 13)
        .refused("a", 2, 13)
        .write("a", 3, "z", 14)
        .read_all(&["a", "b"], &[("a", 3, "z"), ("b", 2, "y")], 14)
        .breaks(&[]);
}

#[test]
fn what_is_removed_and_made_again_begins_anew() {
    let removed = || Tale::new().write("a", 2, "x", 10).remove("a", 11);
    removed().read_all(&["a"], &[], 11).write("a", 1, "y", 12).read("a", 1, "y", 12).breaks(&[]);
    removed().read("a", 2, "x", 11).breaks(&["Follows"]);
    removed().write("a", 3, "y", 12).breaks(&["Follows"]);
}

#[test]
fn a_write_in_doubt_may_have_taken_effect_or_not() {
    Tale::new().doubt("a", 2, "x").read("a", 1, "first", 9).breaks(&[]);
    Tale::new().doubt("a", 2, "x").read("a", 1, "first", 9).read("a", 2, "x", 11).breaks(&[]);
    Tale::new().doubt("a", 2, "x").write("a", 3, "y", 12).read("a", 3, "y", 12).breaks(&[]);
    let remove = Action::Write { edits: vec![Edit::Remove { key: "a".to_owned() }] };
    Tale::new().ask(remove, unknown(), None).write("a", 1, "y", 12).breaks(&[]);
}

#[test]
fn a_write_in_doubt_explains_nothing_that_was_seen_before_it_was_called() {
    Tale::new().read("a", 2, "x", 9).doubt("a", 2, "x").breaks(&["Follows"]);
}

#[test]
fn between_two_answers_of_one_revision_nothing_takes_effect() {
    Tale::new().doubt("a", 2, "x").read("a", 1, "first", 9).read("a", 2, "x", 9).breaks(&["Follows"]);
}

#[test]
fn a_repetition_may_hear_of_an_older_revision_when_it_was_asked_before() {
    Tale::new().write("b", 2, "y", 12).write("a", 2, "x", 10).asked_early().breaks(&[]);
}

#[test]
fn a_refusal_may_be_of_a_state_shortly_before_its_revision() {
    let story = || Tale::new().write("a", 2, "x", 10).write("a", 3, "y", 12);
    story().refused("a", 2, 13).asked_early().breaks(&[]);
    story().refused("a", 2, 13).breaks(&["Follows"]);
}

#[test]
fn a_stale_read_is_found() {
    Tale::new().write("a", 2, "x", 10).read("a", 1, "first", 9).breaks(&["Fresh"]);
}

#[test]
fn a_stale_read_of_another_profile_is_found() {
    Tale::new().write("a", 2, "x", 10).read("b", 1, "first", 9).breaks(&["Fresh"]);
}

#[test]
fn a_stale_read_with_a_forged_revision_is_found() {
    Tale::new().write("a", 2, "x", 10).read("a", 1, "first", 10).breaks(&["Follows"]);
}

#[test]
fn a_read_that_may_be_old_may_not_be_wrong() {
    let story = || Tale::new().write("a", 2, "x", 10);
    story().read_local("a", &[("a", 1, "first")], 9, 9).breaks(&[]);
    story().read_local("a", &[("a", 1, "first")], 9, 10).breaks(&["Follows"]);
    story().read_local("a", &[("a", 2, "x")], 9, 12).read("a", 2, "x", 11).breaks(&["Fresh"]);
}

#[test]
fn half_of_a_batch_is_found() {
    let story = || Tale::default().object("group", &[("g", 0, ""), ("h", 0, "")]);
    let made = || story().write_all(&[("g", 1, "x"), ("h", 1, "y")], 10);
    made().read_all(&["g", "h"], &[("g", 1, "x"), ("h", 1, "y")], 10).breaks(&[]);
    made().read_all(&["g", "h"], &[("g", 1, "x")], 10).breaks(&["Follows"]);
    let edits = vec![edit("g", 1, "x"), edit("h", 1, "y")];
    let doubtful = || story().ask(Action::Write { edits: edits.clone() }, unknown(), None);
    doubtful().read_all(&["g", "h"], &[("g", 1, "x"), ("h", 1, "y")], 10).breaks(&[]);
    doubtful().read_all(&["g", "h"], &[("g", 1, "x")], 10).breaks(&["Follows"]);
}

#[test]
fn two_groups_in_one_list_are_of_one_revision() {
    let story = || Tale::new().write("a", 2, "x", 10).write("b", 2, "y", 11);
    story().read_all(&["a", "b"], &[("a", 1, "first"), ("b", 2, "y")], 11).breaks(&["Follows"]);
    story().read_all(&["a", "b"], &[("a", 2, "x"), ("b", 2, "y")], 11).breaks(&[]);
}

#[test]
fn time_that_runs_backwards_for_one_client_is_found() {
    let read = |key: &str| Action::Read { keys: vec![key.to_owned()] };
    Tale::new()
        .ask_by(7, 1, read("a"), found(&[("a", 1, "first")]), Some(10))
        .ask_by(7, 1, read("b"), found(&[("b", 1, "first")]), Some(9))
        .breaks(&["Forwards"]);
}

#[test]
fn an_older_epoch_is_an_older_state() {
    let mut story = Tale::new().read("a", 1, "first", 10).read("a", 1, "first", 12);
    for line in &mut story.lines {
        if let Line::Return { operation: 0, at, .. } = line {
            *at = Some(Position { epoch: 2, revision: 10 });
        }
    }
    story.breaks(&["Fresh"]);
}

#[test]
fn a_lost_update_is_found() {
    Tale::new().write("a", 2, "x", 10).write("a", 3, "y", 11).read("a", 2, "x", 15).breaks(&["Follows"]);
}

#[test]
fn a_lost_update_that_only_reads_saw_is_found() {
    Tale::new().doubt("a", 2, "x").read("a", 2, "x", 11).read("a", 1, "first", 12).breaks(&["Follows"]);
}

#[test]
fn a_duplicated_effect_is_found() {
    let story = Tale::new().doubt("a", 2, "x").read("a", 2, "x", 10).write("a", 3, "y", 11);
    story.doubt("a", 4, "z").read("a", 4, "x", 13).breaks(&["Follows"]);
}

#[test]
fn a_split_brain_that_gives_one_revision_twice_is_found() {
    Tale::new().write("a", 2, "x", 10).write("b", 2, "y", 10).asked_early().breaks(&["One"]);
}

#[test]
fn a_split_brain_that_makes_one_version_twice_is_found() {
    Tale::new().write("a", 2, "x", 10).write("a", 2, "y", 11).breaks(&["Follows"]);
}

#[test]
fn a_split_brain_that_reads_another_value_is_found() {
    Tale::new().write("a", 2, "x", 10).doubt("a", 2, "y").read("a", 2, "y", 11).breaks(&["Follows"]);
}

#[test]
fn a_skipped_version_is_found() {
    Tale::new().write("a", 3, "x", 10).breaks(&["Follows"]);
}

#[test]
fn an_effect_that_nobody_asked_for_is_found() {
    Tale::new().read("a", 2, "x", 10).breaks(&["Follows"]);
}

#[test]
fn a_read_ahead_of_its_revision_is_found() {
    Tale::new().read("a", 2, "x", 9).write("a", 2, "x", 10).breaks(&["Follows"]);
}

#[test]
fn a_refusal_ahead_of_its_revision_is_found() {
    Tale::new().refused("a", 2, 9).write("a", 2, "x", 10).breaks(&["Follows"]);
}

#[test]
fn a_refusal_that_only_a_write_explains_which_never_was_is_found() {
    let doubt = || Tale::new().doubt("a", 2, "x");
    doubt().refused("a", 2, 9).read("a", 2, "x", 10).breaks(&[]);
    doubt().refused("a", 2, 9).read("a", 1, "first", 10).breaks(&["Follows"]);
    doubt().refused("a", 2, 9).read("a", 1, "first", 9).breaks(&["Follows"]);
    Tale::new().refused("a", 2, 9).doubt("a", 2, "x").breaks(&["Follows"]);
}

#[test]
fn refusals_are_in_order_too() {
    let doubt = || Tale::new().doubt("a", 2, "x");
    doubt().refused("a", 1, 9).refused("a", 2, 9).breaks(&[]);
    doubt().refused("a", 2, 9).refused("a", 1, 9).breaks(&["Follows"]);
}

#[test]
fn a_write_in_doubt_was_called_before_any_answer_of_a_later_revision() {
    let list = |tale: Tale| tale.read_all(&["a", "b"], &[("a", 2, "x"), ("b", 1, "first")], 8).asked_early();
    list(Tale::new().doubt("a", 2, "x").write("b", 2, "y", 9)).breaks(&[]);
    list(Tale::new().write("b", 2, "y", 9).doubt("a", 2, "x")).breaks(&["Follows"]);
}

#[test]
fn an_answer_without_a_place_is_found() {
    let read = Action::Read { keys: vec!["a".to_owned()] };
    Tale::new().ask(read, found(&[("a", 1, "first")]), None).breaks(&["Placed"]);
}

#[test]
fn what_is_never_true_is_found() {
    let read = Action::Read { keys: vec!["a".to_owned()] };
    let wrong = Outcome::Wrong { said: "it is a teapot".to_owned() };
    Tale::new().ask(read, wrong, None).breaks(&["Sensible"]);
}

/// What right objects answer to clients side by side; revisions grow by one or two with each effect, and
/// some writes are left in doubt.
fn generated(random: &mut StdRng) -> Tale {
    let mut tale = Tale::new();
    let mut states = [("a", Some((1, "first".to_owned()))), ("b", Some((1, "first".to_owned())))];
    let mut revision = 5;
    for number in 0..200 {
        let (key, state) = states.choose_mut(random).expect("a key");
        let value = format!("w{number}");
        let seen = state.clone();
        match (random.random_range(0..10), seen) {
            (0..4, Some((version, value))) => tale = tale.read(key, version, &value, revision),
            (0..4, None) => tale = tale.read_all(&[key], &[], revision),
            (4, Some((version, _))) => tale = tale.refused(key, version, revision),
            (5, Some((version, _))) => {
                if random.random_bool(0.5) {
                    revision += random.random_range(1..3);
                    *state = Some((version + 1, value.clone()));
                }
                tale = tale.doubt(key, version + 1, &value);
            }
            (6, Some(_)) => {
                revision += random.random_range(1..3);
                *state = None;
                tale = tale.remove(key, revision);
            }
            (_, seen) => {
                let version = seen.map_or(0, |(version, _)| version) + 1;
                revision += random.random_range(1..3);
                *state = Some((version, value.clone()));
                tale = tale.write(key, version, &value, revision);
            }
        }
    }
    tale
}

#[test]
fn what_right_objects_answer_breaks_nothing() {
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..100 {
        generated(&mut random).breaks(&[]);
    }
}

#[test]
fn one_read_that_forgets_the_last_write_before_it_is_found_in_every_history() {
    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..100 {
        let mut tale = generated(&mut random);
        let reads = tale.lines.iter_mut().rev().find_map(|line| match line {
            Line::Return { outcome: Outcome::Found { cells }, .. } => cells.values_mut().next(),
            _ => None,
        });
        reads.expect("a read that finds something").value = "first of all".to_owned();
        let finding = check(&Story::of(&tale.lines).expect("a history"));
        assert_eq!(finding.verdict, Verdict::Violated, "{finding:?}");
    }
}
