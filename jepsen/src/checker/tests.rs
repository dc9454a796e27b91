//! The search against brute force, against histories of a register that is right, and against
//! those histories with one answer changed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::register::{Operation, Register, Step};
use super::search::{Budget, Verdict, search};
use super::{check_key, register};
use crate::history::{self, Action, KeyHistory, Outcome};

const BUDGET: Budget = Budget { time: Duration::from_secs(20), situations: 2_000_000 };
const INITIAL: Register = Register { version: 1, value: 0 };

fn key(operations: Vec<(Action, u64, u64, Outcome)>) -> KeyHistory {
    let operations = operations.into_iter().map(|(action, invoked_ns, returned_ns, outcome)| history::Operation {
        process: 0,
        action,
        invoked_ns,
        returned_ns,
        outcome,
        at: None,
    });
    KeyHistory { initial: (1, "first".to_owned()), operations: operations.collect() }
}

fn write(expected: u64, value: &str) -> Action {
    Action::Write { expected, value: value.to_owned() }
}

fn read(version: u64, value: &str) -> Outcome {
    Outcome::Read { version, value: value.to_owned() }
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: "no answer".to_owned() }
}

#[track_caller]
fn check(operations: Vec<(Action, u64, u64, Outcome)>, verdict: Verdict) {
    let report = check_key(&key(operations), BUDGET);
    assert_eq!(report.verdict, verdict, "{report:?}");
    assert_eq!(report.contradictions.is_empty(), verdict == Verdict::Linearizable, "{report:?}");
}

#[test]
fn a_read_may_see_a_concurrent_write_or_not() {
    for seen in [read(1, "first"), read(2, "a")] {
        check(
            vec![(write(1, "a"), 0, 10, Outcome::Written { version: 2 }), (Action::Read, 5, 6, seen)],
            Verdict::Linearizable,
        );
    }
}

#[test]
fn a_stale_read_is_found() {
    check(
        vec![
            (write(1, "a"), 0, 10, Outcome::Written { version: 2 }),
            (Action::Read, 11, 12, read(1, "first")),
            (Action::Read, 13, 14, read(2, "a")),
        ],
        Verdict::Violation,
    );
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    check(
        vec![(write(1, "a"), 0, 10, Outcome::Written { version: 2 }), (Action::Read, 20, 21, read(1, "first"))],
        Verdict::Violation,
    );
}

#[test]
fn two_writes_on_one_version_are_found() {
    check(
        vec![
            (write(1, "a"), 0, 10, Outcome::Written { version: 2 }),
            (write(1, "b"), 0, 10, Outcome::Written { version: 2 }),
            (Action::Read, 20, 21, read(2, "b")),
        ],
        Verdict::Violation,
    );
}

#[test]
fn a_skipped_version_is_found() {
    check(vec![(Action::Read, 0, 1, read(3, "first"))], Verdict::Violation);
}

#[test]
fn a_write_in_doubt_may_take_effect_late_or_never() {
    let doubtful = (write(1, "a"), 0, 10, unknown());
    check(
        vec![doubtful.clone(), (Action::Read, 20, 21, read(1, "first")), (Action::Read, 30, 31, read(2, "a"))],
        Verdict::Linearizable,
    );
    check(vec![doubtful, (Action::Read, 20, 21, read(1, "first"))], Verdict::Linearizable);
}

#[test]
fn a_write_in_doubt_does_not_take_effect_twice() {
    check(
        vec![
            (write(1, "a"), 0, 10, unknown()),
            (Action::Read, 20, 21, read(2, "a")),
            (write(2, "b"), 22, 23, Outcome::Written { version: 3 }),
            (Action::Read, 30, 31, read(4, "a")),
        ],
        Verdict::Violation,
    );
}

#[test]
fn a_refusal_must_state_a_version_that_existed() {
    let conflict = |current| {
        vec![
            (write(7, "a"), 0, 10, Outcome::Conflict { current: Some(current) }),
            (Action::Read, 20, 21, read(1, "first")),
        ]
    };
    check(conflict(1), Verdict::Linearizable);
    check(conflict(2), Verdict::Violation);
}

#[test]
fn a_refusal_on_the_version_that_stood_all_the_time_is_found() {
    let report = check_key(
        &key(vec![
            (write(1, "a"), 0, 10, Outcome::Conflict { current: None }),
            (Action::Read, 20, 21, read(1, "first")),
        ]),
        BUDGET,
    );
    assert_eq!(report.verdict, Verdict::Violation);
}

#[test]
fn what_is_never_true_explains_nothing() {
    let said = "it does not exist".to_owned();
    check(vec![(Action::Read, 0, 1, Outcome::Wrong { said })], Verdict::Violation);
}

#[test]
fn a_spent_budget_is_no_verdict() {
    let history = generated(&mut StdRng::seed_from_u64(1), 200, 10);
    let budget = Budget { situations: 3, ..BUDGET };
    assert_eq!(search(INITIAL, &history, budget).verdict, Verdict::Undecided);
}

/// Whether some order explains the operations, by trying all.
fn brute_force(register: Register, operations: &[Operation]) -> bool {
    if operations.iter().all(|operation| operation.returned.is_none()) {
        return true;
    }
    let first_return = operations.iter().filter_map(|operation| operation.returned).min().unwrap_or(u64::MAX);
    (0..operations.len()).any(|index| {
        let operation = operations[index];
        let rest: Vec<Operation> =
            operations.iter().copied().filter(|other| other.source != operation.source).collect();
        operation.invoked <= first_return
            && operation.step.take(register).is_some_and(|register| brute_force(register, &rest))
    })
}

/// A history that a right register could have given: each operation takes effect at a random
/// moment between call and return; some writes are left in doubt, and some of those have no effect.
fn generated(random: &mut StdRng, count: usize, clients: usize) -> Vec<Operation> {
    let mut free_at = vec![0_u64; clients];
    let mut timed = Vec::new();
    for source in 0..count {
        let client = random.random_range(0..clients);
        let invoked = free_at[client] + random.random_range(0..5);
        let effect = invoked + random.random_range(0..10);
        let returned = effect + random.random_range(0..10);
        free_at[client] = returned + 1;
        timed.push((effect, invoked, returned, source));
    }
    timed.sort_unstable();
    let mut register = INITIAL;
    let mut operations = Vec::new();
    for (_, invoked, returned, source) in timed {
        let on = if random.random_bool(0.7) { register.version } else { random.random_range(1..=3) };
        let value = u32::try_from(source).expect("a small number") + 1;
        let write = Step::Write { on, value };
        let (step, returned) = match random.random_range(0..10) {
            0..4 => (Step::Read(register), Some(returned)),
            4 => {
                if random.random_bool(0.5) {
                    register = write.take(register).unwrap_or(register);
                }
                (write, None)
            }
            _ => match write.take(register) {
                Some(after) => {
                    register = after;
                    (write, Some(returned))
                }
                None => {
                    let current = random.random_bool(0.5).then_some(register.version);
                    (Step::Conflict { expected: on, current }, Some(returned))
                }
            },
        };
        operations.push(Operation { invoked, returned, step, source });
    }
    operations.sort_by_key(|operation| operation.invoked);
    operations
}

/// The same history with one answer changed: stale, from the future, swapped, or lost.
fn mutated(random: &mut StdRng, mut operations: Vec<Operation>) -> Vec<Operation> {
    let other = operations.choose(random).copied();
    let Some(index) = (!operations.is_empty()).then(|| random.random_range(0..operations.len())) else {
        return operations;
    };
    let operation = &mut operations[index];
    operation.step = match operation.step {
        Step::Read(seen) if random.random_bool(0.5) => Step::Read(Register { version: seen.version + 1, ..seen }),
        Step::Read(seen) => Step::Read(Register { version: seen.version.saturating_sub(1), value: 0 }),
        Step::Write { on, value } if random.random_bool(0.5) => Step::Write { on: on + 1, value },
        Step::Write { on, .. } => Step::Conflict { expected: on, current: None },
        Step::Conflict { expected, .. } => Step::Write { on: expected, value: 99 },
        Step::Impossible => Step::Impossible,
    };
    if let Some(other) = other.filter(|_| random.random_bool(0.3)) {
        operations[index].step = other.step;
    }
    operations
}

#[test]
fn small_histories_are_judged_as_by_brute_force() {
    let mut random = StdRng::seed_from_u64(0x6a65_7073);
    let (mut good, mut bad) = (0, 0);
    for round in 0..30_000 {
        let count = random.random_range(1..=7);
        let clients = random.random_range(1..=4);
        let mut history = generated(&mut random, count, clients);
        if round % 3 > 0 {
            history = mutated(&mut random, history);
        }
        let expected = brute_force(INITIAL, &history);
        let found = search(INITIAL, &history, BUDGET).verdict;
        let verdict = if expected { Verdict::Linearizable } else { Verdict::Violation };
        assert_eq!(found, verdict, "round {round}: {history:?}");
        *(if expected { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 3_000 && bad > 3_000, "both kinds were seen: {good} and {bad}");
}

#[test]
fn long_histories_of_a_right_register_are_linearizable() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let history = generated(&mut random, 1_000, 10);
        assert_eq!(search(INITIAL, &history, BUDGET).verdict, Verdict::Linearizable);
    }
}

#[test]
fn a_stale_read_in_a_long_history_is_found() {
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..20 {
        let mut history = generated(&mut random, 400, 8);
        let last = history.iter_mut().rev().find(|operation| matches!(operation.step, Step::Read(_)));
        last.expect("a read").step = Step::Read(INITIAL);
        assert_eq!(search(INITIAL, &history, BUDGET).verdict, Verdict::Violation);
    }
}

#[test]
fn the_order_found_is_a_proof() {
    let mut random = StdRng::seed_from_u64(9);
    for _ in 0..200 {
        let history = generated(&mut random, 60, 6);
        let found = search(INITIAL, &history, BUDGET);
        assert_eq!(found.verdict, Verdict::Linearizable);
        let mut register = INITIAL;
        let mut latest_call = 0;
        for index in &found.longest {
            let operation = history[*index];
            register = operation.step.take(register).expect("each step can be taken");
            assert!(operation.returned.is_none_or(|returned| returned >= latest_call), "real time is kept");
            latest_call = latest_call.max(operation.invoked);
        }
        let ended = history.iter().filter(|operation| operation.returned.is_some()).count();
        let placed = found.longest.iter().filter(|index| history[**index].returned.is_some()).count();
        assert_eq!(placed, ended);
    }
}

#[test]
fn operations_that_say_nothing_are_left_out() {
    let history = key(vec![
        (Action::Read, 0, 1, unknown()),
        (write(1, "a"), 0, 1, Outcome::NotDone),
        (Action::Read, 2, 3, read(1, "first")),
    ]);
    assert_eq!(register::operations(&history).1.len(), 1);
}
