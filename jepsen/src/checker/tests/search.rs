//! The search: against brute force on small histories, right ones and ones with a mutated answer; against a
//! plain search without its three rules on larger ones; on long histories of right objects; and what it
//! finds is a proof.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::generated::{Planned, initial, mutated, mutations, plans, seen, told};
use crate::checker::findings::Verdict;
use crate::checker::model::{Operation, State};
use crate::checker::search::{Budget, Found, search};

fn found(operations: &[Operation]) -> Found {
    search(initial(), operations, Budget::default())
}

/// Whether some order explains the operations, by trying all.
fn brute_force(state: State, operations: &[Operation]) -> bool {
    if operations.iter().all(|operation| operation.returned.is_none()) {
        return true;
    }
    let first_return = operations.iter().filter_map(|operation| operation.returned).min().unwrap_or(u64::MAX);
    (0..operations.len()).any(|index| {
        let rest = || [&operations[..index], &operations[index + 1..]].concat();
        operations[index].invoked <= first_return
            && operations[index].step.take(state).is_some_and(|after| brute_force(after, &rest()))
    })
}

/// The same with a memory of what was tried, and none of the search's rules; none when it takes too long.
fn plain(state: State, operations: &[Operation]) -> Option<bool> {
    const TRIED_MAX: usize = 200_000;
    let ended = (0..operations.len()).filter(|index| operations[*index].returned.is_some());
    let all: u64 = ended.map(|index| 1 << index).sum();
    let (mut tried, mut open) = (HashSet::new(), vec![(0_u64, state)]);
    while let Some((done, state)) = open.pop() {
        if done & all == all {
            return Some(true);
        }
        if !tried.insert((done, state)) {
            continue;
        }
        if tried.len() > TRIED_MAX {
            return None;
        }
        let left = || (0..operations.len()).filter(|index| done >> index & 1 == 0);
        let first_return = left().filter_map(|index| operations[index].returned).min().unwrap_or(u64::MAX);
        for index in left().filter(|index| operations[*index].invoked <= first_return) {
            open.extend(operations[index].step.take(state).map(|after| (done | 1 << index, after)));
        }
    }
    Some(false)
}

fn verdict(is_explained: bool) -> Verdict {
    if is_explained { Verdict::Passed } else { Verdict::Violated }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn small_histories_of_right_objects_have_an_order(plan in plans(7)) {
        let history = told(&plan);
        prop_assert!(brute_force(initial(), &history), "the generator is right");
        prop_assert_eq!(found(&history).verdict, Verdict::Passed);
    }

    #[test]
    fn small_histories_with_a_wrong_answer_are_judged_as_by_brute_force(
        plan in plans(7),
        mutation in mutations(),
        place in any::<usize>(),
    ) {
        let history = mutated(told(&plan), mutation, place);
        prop_assert_eq!(found(&history).verdict, verdict(brute_force(initial(), &history)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_rules_for_unknown_outcomes_change_no_verdict(
        plan in plans(40),
        mutation in proptest::option::of(mutations()),
        place in any::<usize>(),
    ) {
        let right = told(&plan);
        let history = match mutation {
            Some(mutation) => mutated(right, mutation, place),
            None => right,
        };
        if let Some(is_explained) = plain(initial(), &history) {
            prop_assert_eq!(found(&history).verdict, verdict(is_explained));
        }
    }
}

/// Both verdicts are met, or the comparisons would say little.
#[test]
fn of_wrong_answers_many_are_found_and_some_could_be_right() {
    let mut random = StdRng::seed_from_u64(0x6a65_7073);
    let kinds = {
        use super::generated::Mutation::{Ahead, Duplicate, Lose, Stale, Swap};
        [Swap, Stale, Duplicate, Lose, Ahead]
    };
    for mutation in kinds {
        let (mut explained, mut violated) = (0, 0);
        for _ in 0..600 {
            let history = mutated(told(&plan(&mut random, 7)), mutation, random.random_range(0..1_000));
            match found(&history).verdict {
                Verdict::Passed => explained += 1,
                Verdict::Violated => violated += 1,
                Verdict::Unknown => panic!("{history:?} is undecided"),
            }
        }
        assert!(explained > 20 && violated > 20, "{mutation:?}: {explained} explained, {violated} violated");
    }
}

fn plan(random: &mut StdRng, count: usize) -> Vec<Planned> {
    let one = |random: &mut StdRng| {
        let times = (random.random_range(0..5), random.random_range(0..10), random.random_range(0..10));
        (random.random_range(0..4), times.0, times.1, times.2, random.random_range(0..20), random.random())
    };
    (0..count).map(|_| one(random)).collect()
}

#[test]
fn long_histories_of_right_objects_have_an_order() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        assert_eq!(found(&told(&plan(&mut random, 1_000))).verdict, Verdict::Passed);
    }
}

#[test]
fn a_stale_read_in_a_long_history_is_found() {
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..10 {
        let mut plan = plan(&mut random, 400);
        // To find that there is no order takes trying all, so that few are in doubt here.
        for (.., choice) in plan.iter_mut().filter(|(.., choice)| choice.is_multiple_of(5)) {
            *choice += u8::from(*choice < u8::MAX && random.random_bool(0.8));
        }
        let mut history = told(&plan);
        let reads = |one: &&mut Operation| one.step.effects.is_empty() && one.returned.is_some();
        history.iter_mut().rev().find(reads).expect("a read").step = seen(initial());
        assert!(history.iter().filter(|one| one.returned.is_none()).count() > 3, "some are in doubt");
        assert_eq!(found(&history).verdict, Verdict::Violated);
    }
}

#[test]
fn a_spent_budget_is_no_verdict() {
    let history = told(&plan(&mut StdRng::seed_from_u64(1), 200));
    let budget = Budget { situations: 3, time: Duration::from_secs(20) };
    assert_eq!(search(initial(), &history, budget).verdict, Verdict::Unknown);
}

#[test]
fn the_order_found_is_a_proof() {
    let mut random = StdRng::seed_from_u64(9);
    for _ in 0..200 {
        let history = told(&plan(&mut random, 60));
        let found = found(&history);
        assert_eq!(found.verdict, Verdict::Passed);
        let (mut state, mut latest_call) = (initial(), 0);
        for index in &found.longest {
            let operation = &history[*index];
            state = operation.step.take(state).expect("each step can be taken");
            assert!(operation.returned.is_none_or(|returned| returned >= latest_call), "real time is kept");
            latest_call = latest_call.max(operation.invoked);
        }
        let ended = history.iter().filter(|operation| operation.returned.is_some()).count();
        let placed = found.longest.iter().filter(|index| history[**index].returned.is_some()).count();
        assert_eq!(placed, ended);
    }
}
