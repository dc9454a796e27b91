//! The search: against brute force on small histories, right ones and ones with a mutated answer; against a
//! plain search without its three rules on larger ones; on long histories of right objects; and what it
//! finds is a proof.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::generated::{Mutation, Planned, initial, mutated, mutations, plans, seen, told};
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

#[test]
fn the_rules_for_unknown_outcomes_change_no_verdict() {
    const CASES: usize = 400;
    let mut random = StdRng::seed_from_u64(10);
    let (mut explained, mut violated) = (0, 0);
    for number in 0..CASES {
        let count = random.random_range(1..=40);
        let right = told(&plan(&mut random, count));
        let history = match Mutation::ALL.get(number % 8) {
            Some(mutation) => mutated(right, *mutation, random.random_range(0..1_000)),
            None => right,
        };
        let Some(is_explained) = plain(initial(), &history) else { continue };
        assert_eq!(found(&history).verdict, verdict(is_explained), "{history:?}");
        *(if is_explained { &mut explained } else { &mut violated }) += 1;
    }
    // Those that the plain search gives up prove nothing.
    assert!((explained + violated) * 10 >= CASES * 9, "of {CASES}, {explained} and {violated} are decided");
    assert!(explained > 50 && violated > 50, "of {CASES}, {explained} are explained, {violated} violated");
}

/// Both verdicts are met, or the comparisons would say little.
#[test]
fn of_wrong_answers_many_are_found_and_some_could_be_right() {
    let mut random = StdRng::seed_from_u64(0x6a65_7073);
    for mutation in Mutation::ALL {
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

/// A plan in which few calls are left in doubt, as in a run: with many, a long history may take all the time there is.
fn mostly_sure(random: &mut StdRng, count: usize) -> Vec<Planned> {
    let mut plan = plan(random, count);
    for (.., choice) in plan.iter_mut().filter(|(.., choice)| choice.is_multiple_of(5)) {
        *choice += u8::from(*choice < u8::MAX && random.random_bool(0.8));
    }
    plan
}

#[test]
fn long_histories_of_right_objects_have_an_order() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let history = told(&mostly_sure(&mut random, 1_000));
        assert!(history.iter().filter(|one| one.returned.is_none()).count() > 10, "some are in doubt");
        assert_eq!(found(&history).verdict, Verdict::Passed);
        assert_eq!(found(&told(&plan(&mut random, 200))).verdict, Verdict::Passed);
    }
}

#[test]
fn a_stale_read_in_a_long_history_is_found() {
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..10 {
        let mut history = told(&mostly_sure(&mut random, 400));
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
