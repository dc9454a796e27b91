//! Each rule against a history that breaks it and no other, and all of them against histories of a
//! register that is right.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Rule, contradictions};
use crate::history::{Action, KeyHistory, Operation, Outcome, Position};

/// A history of profiles `a` and `b`, which begin as version 1, "first". Each operation is one unit
/// of time after the one before, unless its times are set.
#[derive(Default)]
struct Story(BTreeMap<String, KeyHistory>, u64);

impl Story {
    fn add(mut self, key: &str, process: u64, action: Action, outcome: Outcome, revision: Option<u64>) -> Self {
        self.1 += 10;
        let at = revision.map(|revision| Position { epoch: 1, revision });
        let operation = Operation { process, action, invoked_ns: self.1, returned_ns: self.1 + 5, outcome, at };
        let history = self.0.entry(key.to_owned()).or_default();
        history.initial = (1, "first".to_owned());
        history.operations.push(operation);
        self
    }

    fn write(self, key: &str, version: u64, value: &str, revision: u64) -> Self {
        let action = Action::Write { expected: version - 1, value: value.to_owned() };
        let process = self.1;
        self.add(key, process, action, Outcome::Written { version }, Some(revision))
    }

    fn doubt(self, key: &str, version: u64, value: &str) -> Self {
        let action = Action::Write { expected: version - 1, value: value.to_owned() };
        let process = self.1;
        self.add(key, process, action, Outcome::Unknown { why: "no answer".to_owned() }, None)
    }

    fn read(self, key: &str, version: u64, value: &str, revision: u64) -> Self {
        let process = self.1;
        self.read_by(process, key, version, value, revision)
    }

    fn read_by(self, process: u64, key: &str, version: u64, value: &str, revision: u64) -> Self {
        let outcome = Outcome::Read { version, value: value.to_owned() };
        self.add(key, process, Action::Read, outcome, Some(revision))
    }

    fn refused(self, key: &str, current: u64, revision: u64) -> Self {
        let process = self.1;
        let action = Action::Write { expected: 99, value: "never".to_owned() };
        self.add(key, process, action, Outcome::Conflict { current: Some(current) }, Some(revision))
    }

    /// The last operation was asked before everything else.
    fn asked_early(mut self, key: &str) -> Self {
        let history = self.0.get_mut(key).expect("a profile");
        history.operations.last_mut().expect("an operation").invoked_ns = 0;
        self
    }

    #[track_caller]
    fn breaks(self, rules: &[Rule]) {
        let found = contradictions(&self.0);
        let broken: Vec<Rule> = found.iter().map(|contradiction| contradiction.rule).collect();
        assert_eq!(broken, rules, "{found:?}");
    }
}

#[test]
fn a_sound_story_breaks_nothing() {
    Story::default()
        .write("a", 2, "x", 10)
        .read("a", 2, "x", 10)
        .write("b", 2, "y", 11)
        .read("a", 2, "x", 13)
        .refused("a", 2, 13)
        .write("a", 3, "z", 14)
        .read("b", 2, "y", 14)
        .breaks(&[]);
}

#[test]
fn a_write_in_doubt_may_have_taken_effect_or_not() {
    Story::default().doubt("a", 2, "x").read("a", 1, "first", 9).breaks(&[]);
    Story::default().doubt("a", 2, "x").read("a", 1, "first", 9).read("a", 2, "x", 11).breaks(&[]);
    Story::default().doubt("a", 2, "x").write("a", 3, "y", 12).read("a", 3, "y", 12).breaks(&[]);
}

#[test]
fn a_repetition_may_hear_of_an_older_revision_when_it_was_asked_before() {
    Story::default().write("b", 2, "y", 12).write("a", 2, "x", 10).asked_early("a").breaks(&[]);
}

#[test]
fn a_stale_read_is_found() {
    Story::default().write("a", 2, "x", 10).read("a", 1, "first", 9).breaks(&[Rule::Fresh]);
}

#[test]
fn a_stale_read_of_another_profile_is_found() {
    Story::default().write("a", 2, "x", 10).read("b", 1, "first", 9).breaks(&[Rule::Fresh]);
}

#[test]
fn a_stale_read_with_a_forged_revision_is_found() {
    Story::default().write("a", 2, "x", 10).read("a", 1, "first", 10).breaks(&[Rule::Kept]);
}

#[test]
fn time_that_runs_backwards_for_one_client_is_found() {
    Story::default().read_by(7, "a", 1, "first", 10).read_by(7, "b", 1, "first", 9).breaks(&[Rule::Forwards]);
}

#[test]
fn an_older_epoch_is_an_older_state() {
    let mut story = Story::default().read_by(7, "a", 1, "first", 10).read_by(7, "a", 1, "first", 12);
    let operations = &mut story.0.get_mut("a").expect("a profile").operations;
    operations[0].at = Some(Position { epoch: 2, revision: 10 });
    story.breaks(&[Rule::Forwards]);
}

#[test]
fn a_lost_update_is_found() {
    Story::default().write("a", 2, "x", 10).write("a", 3, "y", 11).read("a", 2, "x", 15).breaks(&[Rule::Kept]);
}

#[test]
fn a_lost_update_that_only_reads_saw_is_found() {
    Story::default().doubt("a", 2, "x").read("a", 2, "x", 11).read("a", 1, "first", 12).breaks(&[Rule::Kept]);
}

#[test]
fn a_duplicated_effect_is_found() {
    Story::default()
        .doubt("a", 2, "x")
        .read("a", 2, "x", 10)
        .write("a", 3, "y", 11)
        .doubt("a", 4, "z")
        .read("a", 4, "x", 13)
        .breaks(&[Rule::Once, Rule::Gapless]);
}

#[test]
fn a_split_brain_that_gives_one_revision_twice_is_found() {
    Story::default().write("a", 2, "x", 10).write("b", 2, "y", 10).asked_early("b").breaks(&[Rule::One]);
}

#[test]
fn a_split_brain_that_makes_one_version_twice_is_found() {
    Story::default().write("a", 2, "x", 10).write("a", 2, "y", 11).breaks(&[Rule::One]);
}

#[test]
fn a_split_brain_that_reads_another_value_is_found() {
    Story::default().write("a", 2, "x", 10).doubt("a", 2, "y").read("a", 2, "y", 11).breaks(&[Rule::One]);
}

#[test]
fn a_skipped_version_is_found() {
    Story::default().write("a", 3, "x", 10).breaks(&[Rule::Gapless]);
}

#[test]
fn an_effect_that_nobody_asked_for_is_found() {
    Story::default().read("a", 2, "x", 10).breaks(&[Rule::Gapless]);
}

#[test]
fn a_read_ahead_of_its_revision_is_found() {
    Story::default().read("a", 2, "x", 9).write("a", 2, "x", 10).breaks(&[Rule::NotAhead]);
}

#[test]
fn a_refusal_ahead_of_its_revision_is_found() {
    Story::default().refused("a", 2, 9).write("a", 2, "x", 10).breaks(&[Rule::NotAhead]);
}

#[test]
fn an_answer_without_a_place_is_found() {
    let outcome = Outcome::Read { version: 1, value: "first".to_owned() };
    Story::default().add("a", 1, Action::Read, outcome, None).breaks(&[Rule::Placed]);
}

/// What one right register answers to clients side by side; revisions grow by one or two with each
/// effect, and some writes are left in doubt.
fn generated(random: &mut StdRng) -> BTreeMap<String, KeyHistory> {
    let mut free_at = [0_u64; 6];
    let mut timed = Vec::new();
    for _ in 0..300 {
        let client = random.random_range(0..free_at.len());
        let invoked = free_at[client] + random.random_range(1..5);
        let effect = invoked + random.random_range(0..9);
        let returned = effect + random.random_range(0..9);
        free_at[client] = returned + 1;
        timed.push((effect, invoked, returned, client as u64));
    }
    timed.sort_unstable();
    let mut keys: BTreeMap<String, KeyHistory> = BTreeMap::new();
    let mut revision = 5;
    let mut states: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for (number, (_, invoked_ns, returned_ns, client)) in timed.into_iter().enumerate() {
        let key = format!("profile-{}", random.random_range(0..3));
        let state = states.entry(key.clone()).or_insert((1, "first".to_owned()));
        let mut process = client;
        let (action, outcome) = match random.random_range(0..10) {
            0..5 => (Action::Read, Outcome::Read { version: state.0, value: state.1.clone() }),
            5 => {
                let action = Action::Write { expected: 77, value: format!("w{number}") };
                (action, Outcome::Conflict { current: Some(state.0) })
            }
            kind => {
                let value = format!("w{number}");
                let action = Action::Write { expected: state.0, value: value.clone() };
                let is_done = kind > 6 || random.random_bool(0.5);
                if is_done {
                    *state = (state.0 + 1, value);
                    revision += random.random_range(1..3);
                }
                if kind > 6 {
                    (action, Outcome::Written { version: state.0 })
                } else {
                    process = 1000 + number as u64;
                    (action, Outcome::Unknown { why: "no answer".to_owned() })
                }
            }
        };
        let at = (!matches!(outcome, Outcome::Unknown { .. })).then_some(Position { epoch: 1, revision });
        let history = keys.entry(key).or_default();
        history.initial = (1, "first".to_owned());
        history.operations.push(Operation { process, action, invoked_ns, returned_ns, outcome, at });
    }
    keys.values_mut().for_each(|history| history.operations.sort_by_key(|operation| operation.invoked_ns));
    keys
}

#[test]
fn what_a_right_register_answers_breaks_nothing() {
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..300 {
        let found = contradictions(&generated(&mut random));
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn one_read_that_forgets_the_last_write_before_it_is_found_in_every_history() {
    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..300 {
        let mut keys = generated(&mut random);
        let history = keys.values_mut().next().expect("a profile");
        let reads =
            |operation: &&mut Operation| matches!(operation.outcome, Outcome::Read { version, .. } if version > 2);
        let last = history.operations.iter_mut().rfind(reads).expect("a late read");
        last.outcome = Outcome::Read { version: 1, value: "first".to_owned() };
        assert!(!contradictions(&keys).is_empty());
    }
}
