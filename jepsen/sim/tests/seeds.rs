//! The seeds of the gate: those that failed before, forty others, three of these twice, and a disk that lies.
#![expect(clippy::print_stdout, reason = "figures of the runs")]

use std::collections::BTreeMap;

use openshell_sim::{Outcome, Planted, Settings, kept, run};

const TICKS: u64 = 20_000;
const SEEDS: std::ops::Range<u64> = 0..40;
/// A planted fault is found within so many seeds.
const PLANTED_SEEDS: u64 = 10;

fn check(seed: u64, ticks: u64) -> Outcome {
    let outcome = run(seed, Settings { ticks, planted: None });
    if let Some(violation) = &outcome.violation {
        panic!("seed {seed} fails {violation}\nagain: openshell-sim --reproduce {seed} --ticks {ticks}");
    }
    outcome
}

#[test]
fn seeds_that_failed_do_not_fail_again() {
    for kept in kept().expect("readable") {
        check(kept.seed, kept.ticks);
    }
}

/// And what was to be tried was tried: quiet runs prove nothing.
#[test]
fn forty_seeds_hold_and_go_through_every_fault() {
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut acknowledged, mut reads, mut unknown, mut repeated) = (0, 0, 0, 0);
    let (mut leaders, mut installs, mut purges) = (0, 0, 0);
    for seed in SEEDS {
        let outcome = check(seed, TICKS);
        for (fault, count) in outcome.faults {
            *faults.entry(fault).or_default() += count;
        }
        acknowledged += outcome.told.acknowledged;
        reads += outcome.told.reads;
        unknown += outcome.told.unknown;
        repeated += outcome.told.repeated;
        leaders += outcome.figures.leaders;
        installs += outcome.figures.installs;
        purges += outcome.figures.purges;
        assert!(outcome.told.acknowledged > 20, "seed {seed} acknowledged no more than {:?}", outcome.told);
    }
    println!("{acknowledged} writes, {reads} reads, {unknown} unknown, {repeated} repeated, faults: {faults:?}");
    println!("{leaders} leaders, {installs} snapshots installed, {purges} purges");
    let kinds = [
        "blackout",
        "clock",
        "cut",
        "deafen",
        "disk error",
        "hold",
        "isolate",
        "kill",
        "loss",
        "mute",
        "power loss",
        "replace",
        "restart",
        "slow disk",
        "slow link",
        "split",
        "transfer",
    ];
    assert_eq!(faults.keys().copied().collect::<Vec<_>>(), kinds);
    assert!(reads > 1_000 && unknown > 0 && repeated > 100);
    assert!(leaders > 200 && installs > 20 && purges > 200);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3] {
        let (one, other) = (check(seed, 5_000), check(seed, 5_000));
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
    assert_ne!(check(1, 5_000).trace, check(2, 5_000).trace);
}

#[test]
fn a_disk_that_acknowledges_before_it_syncs_is_noticed() {
    let planted = Some(Planted::AcknowledgeBeforeSync);
    let mut runs = (0..PLANTED_SEEDS).map(|seed| (seed, run(seed, Settings { ticks: TICKS, planted }).violation));
    let found = runs.find_map(|(seed, violation)| Some((seed, violation?)));
    let (seed, violation) = found.expect("noticed");
    println!("seed {seed}: {violation}");
}
