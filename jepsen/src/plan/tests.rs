//! Plans are the same for the same wishes, keep to their mode, and hold enough of everything.

use std::collections::BTreeSet;

use super::*;

fn wishes(seed: u64, names: &[&str], mode: Mode, nodes: u64) -> Wishes {
    let choices = names.iter().flat_map(|name| Choice::named(name).expect("a name")).collect();
    Wishes { seed, nodes, seconds: 120, mode, choices, first: Vec::new(), overlap: 1 }
}

#[test]
fn the_same_seed_gives_the_same_plan() {
    let of = |seed| expand(&wishes(seed, &["all"], Mode::Brutal, 5));
    assert_eq!(of(7), of(7));
    assert_ne!(of(7).faults, of(8).faults);
}

#[test]
fn a_plan_reads_back_from_its_file_as_it_was() {
    let mut plan = expand(&wishes(7, &["all"], Mode::Brutal, 5));
    plan.left_out.insert(Kind::PowerLoss, "no loop devices".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    fs::write(&path, plan.to_text().unwrap()).unwrap();
    assert_eq!(Plan::read(&path).unwrap(), plan);
    let mut other = plan.clone();
    other.faults[0].nodes = vec![6];
    fs::write(&path, other.to_text().unwrap()).unwrap();
    assert!(Plan::read(&path).is_err(), "a fault of a node that is not there");
    plan.faults[0].lasts_ms = 1_000_000;
    fs::write(&path, plan.to_text().unwrap()).unwrap();
    assert!(Plan::read(&path).is_err(), "a fault that outlasts the run");
}

#[test]
fn faults_are_in_order_and_undone_before_the_end() {
    for seed in 0..100 {
        let plan = expand(&Wishes { overlap: 3, ..wishes(seed, &["all"], Mode::Brutal, 5) });
        assert!(plan.faults.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms), "seed {seed}");
        assert!(plan.faults.iter().all(|fault| fault.until_ms() <= 115_000), "seed {seed}");
        assert!(plan.faults.iter().zip(0..).all(|(fault, number)| fault.number == number));
    }
}

#[test]
fn without_overlap_one_fault_follows_the_other() {
    for seed in 0..100 {
        let plan = expand(&wishes(seed, &["all"], Mode::Brutal, 3));
        assert!(plan.faults.windows(2).all(|pair| pair[0].until_ms() < pair[1].at_ms), "seed {seed}");
    }
}

#[test]
fn in_safe_mode_no_more_than_a_minority_is_damaged_at_any_time() {
    for (seed, nodes) in (0..200).zip([3, 5].into_iter().cycle()) {
        let plan = expand(&Wishes { overlap: 4, ..wishes(seed, &["all"], Mode::Safe, nodes) });
        assert!(plan.faults.len() > 10, "seed {seed}: {} faults", plan.faults.len());
        for fault in &plan.faults {
            let at = fault.at_ms;
            let there = plan.faults.iter().filter(|other| other.at_ms <= at && at < other.until_ms());
            let damaged: u64 = there.map(|other| other.damage(nodes)).sum();
            assert!(damaged <= (nodes - 1) / 2, "seed {seed}: {damaged} of {nodes} at {at}");
        }
        assert!(!plan.has(|kind| matches!(kind, Kind::Ring | Kind::Bridge)), "they damage everybody");
    }
}

#[test]
fn one_node_at_a_time_is_replaced_in_any_mode() {
    for (seed, mode) in (0..200).zip([Mode::Safe, Mode::Brutal].into_iter().cycle()) {
        let plan = expand(&Wishes { overlap: 4, ..wishes(seed, &["replace", "kill"], mode, 5) });
        let replaced: Vec<&Planned> = plan.faults.iter().filter(|fault| fault.kind == Kind::Replace).collect();
        assert!(replaced.len() > 1, "seed {seed}");
        assert!(replaced.windows(2).all(|pair| pair[0].until_ms() < pair[1].at_ms), "seed {seed}");
        assert!(replaced.iter().all(|fault| fault.target.count(5) == 1), "seed {seed}");
    }
    assert!(Choice::named("replace-all").unwrap_err().contains("all nodes at a time"));
    assert!(Choice::named("process-all").unwrap().iter().all(|choice| choice.kind != Kind::Replace));
}

#[test]
fn in_brutal_mode_majorities_are_hurt_and_faults_overlap() {
    let (mut majorities, mut overlaps) = (0, 0);
    for seed in 0..50 {
        let plan = expand(&Wishes { overlap: 3, ..wishes(seed, &["kill", "partition"], Mode::Brutal, 3) });
        majorities += plan.faults.iter().filter(|fault| fault.damage(3) > 1).count();
        overlaps += plan.faults.windows(2).filter(|pair| pair[0].until_ms() > pair[1].at_ms).count();
    }
    assert!(majorities > 50 && overlaps > 200, "{majorities} majorities, {overlaps} overlaps");
}

#[test]
fn two_minutes_of_few_kinds_hold_enough_of_each() {
    let names = ["kill", "pause", "isolate", "peer-only", "halves", "deaf", "mute", "loss"];
    for seed in 0..400 {
        let plan = expand(&wishes(seed, &names, Mode::Brutal, 3));
        let of = |kind| plan.faults.iter().filter(|fault| fault.kind == kind).count();
        assert!(of(Kind::Kill) >= 3, "seed {seed}: {} kills", of(Kind::Kill));
        for kind in [Kind::Pause, Kind::Isolate, Kind::Halves, Kind::Deaf, Kind::Mute] {
            assert!(of(kind) >= 1, "seed {seed}: {kind:?}");
        }
    }
}

#[test]
fn the_gates_plan_has_every_kind_and_those_that_are_required_twice() {
    let Profile { seconds, nodes, mode, overlap, nemeses, require, require_where_possible, .. } =
        Profile::named("ci").unwrap();
    let named = |names: &[String]| -> Vec<Choice> {
        names.iter().flat_map(|name| Choice::named(name.split(':').next().unwrap()).unwrap()).collect()
    };
    let choices: Vec<Choice> =
        named(&nemeses).into_iter().filter(|choice| choice.kind.obstacle(nodes).is_none()).collect();
    let first: Vec<Kind> = named(&[require, require_where_possible].concat()).iter().map(|one| one.kind).collect();
    assert!(choices.len() > 30 && first.len() > 7);
    for seed in 0..200 {
        let wishes = Wishes { seed, nodes, seconds, mode, choices: choices.clone(), first: first.clone(), overlap };
        let plan = expand(&wishes);
        assert!(plan.faults.iter().all(|fault| fault.until_ms() + 5_000 <= seconds * 1_000), "seed {seed}");
        for Choice { kind, .. } in &choices {
            let times = plan.faults.iter().filter(|fault| fault.kind == *kind).count();
            let least = if first.contains(kind) { 2 } else { 1 };
            assert!(times >= least, "seed {seed}: {kind:?} comes {times} times");
        }
    }
}

#[test]
fn where_time_is_long_faults_are_too() {
    for seed in 0..20 {
        let plan = expand(&Wishes { seconds: 1_800, ..wishes(seed, &["rolling", "kill"], Mode::Brutal, 3) });
        let rolling = plan.faults.iter().filter(|fault| fault.kind == Kind::Rolling);
        assert!({ rolling }.all(|fault| fault.lasts_ms >= 9_000), "seed {seed}");
        let rests = plan.faults.windows(2).map(|pair| pair[1].at_ms - pair[0].until_ms());
        assert!({ rests }.all(|rest| rest >= 1_000), "seed {seed}");
    }
}

#[test]
fn every_kind_comes_in_half_an_hour_and_what_is_required_comes_first() {
    let long = Wishes { seconds: 1_800, overlap: 3, ..wishes(3, &["all"], Mode::Brutal, 5) };
    let seen: BTreeSet<Kind> = expand(&long).faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(seen.len(), Kind::ALL.len());
    let first = vec![Kind::PowerLoss, Kind::Mute];
    for seed in 0..50 {
        let plan = expand(&Wishes { first: first.clone(), ..wishes(seed, &["all"], Mode::Brutal, 3) });
        let begin: Vec<Kind> = plan.faults.iter().take(2).map(|fault| fault.kind).collect();
        assert!(first.iter().all(|kind| begin.contains(kind)), "seed {seed}: {begin:?}");
    }
}

#[test]
fn a_name_may_say_whom_a_fault_hits() {
    let plan = expand(&wishes(1, &["kill-all"], Mode::Brutal, 3));
    assert!(!plan.faults.is_empty() && plan.faults.iter().all(|fault| fault.target == Target::Everyone));
    let plan = expand(&wishes(1, &["kill-leader"], Mode::Brutal, 3));
    assert!(plan.faults.iter().all(|fault| (fault.kind, fault.target) == (Kind::Kill, Target::Leader)));
    assert_eq!(Choice::named("kill-in-recovery").unwrap()[0].kind, Kind::KillInRecovery);
    let network = Choice::named("network").unwrap();
    assert!(network.iter().any(|choice| choice.kind == Kind::Reset) && network.len() > 10);
    assert!(Choice::named("kill-everything").unwrap_err().contains("kill-in-recovery"));
}

#[test]
fn every_kind_is_found_by_its_name_and_listed_once() {
    let names: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(Choice::named(kind.name()).unwrap(), [Choice { kind, only: None }]);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
    }
}

#[test]
fn a_plan_without_wishes_is_calm() {
    assert!(expand(&wishes(1, &[], Mode::Brutal, 3)).faults.is_empty());
}

#[test]
fn the_control_of_stale_reads_has_one_fault_that_lasts() {
    let plan = Plan::of_staleness(7, 3, 15);
    assert_eq!(plan.faults.len(), 1);
    assert_eq!((plan.faults[0].at_ms, plan.faults[0].until_ms()), (3_000, 10_000));
}
