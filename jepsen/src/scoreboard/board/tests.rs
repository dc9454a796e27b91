//! What passes, and all that must not.

use openshell_chaos::Point;

use super::*;

fn measured(row: &str, value: f64, unit: &str, samples: u64) -> Measured {
    Measured {
        row: row.to_owned(),
        value: Some(value),
        unit: unit.to_owned(),
        samples,
        seeds: vec![7],
        passed: true,
        ..Measured::default()
    }
}

fn standing(measured: &[Measured], figure: &str) -> Standing {
    let board = Board::of(measured, Targets::Ci);
    board.lines.iter().find(|line| line.figure == figure).expect("a line of the figure").standing
}

fn names(points: &[Point]) -> Vec<String> {
    points.iter().map(|point| point.name().to_owned()).collect()
}

/// All figures of the catalogue, just within their limits.
fn good(targets: Targets) -> Vec<Measured> {
    let figures = ROWS.iter().flat_map(|row| row.figures);
    let limited = figures.filter_map(|figure| {
        let limit = match targets {
            Targets::Ci => figure.ci,
            Targets::Long => figure.long,
        }?;
        let subjects = match figure.counted {
            Counted::All => Vec::new(),
            Counted::EachPoint => names(&Point::ALL),
        };
        Some(Measured { subjects, ..measured(figure.id, limit.value, figure.unit, limit.samples) })
    });
    limited.collect()
}

#[test]
fn a_board_with_every_figure_at_its_limit_passes_and_names_what_is_not_there() {
    for targets in [Targets::Ci, Targets::Long] {
        let board = Board::of(&good(targets), targets);
        assert!(board.passed() && board.exit_code() == 0, "{}", board.verdict());
        assert!(board.verdict().contains("not there yet (13, 14, 15, 19)"), "{}", board.verdict());
    }
}

#[test]
fn each_figure_that_is_left_out_fails_the_board() {
    let all = good(Targets::Ci);
    for left_out in 0..all.len() {
        let mut some = all.clone();
        let gone = some.remove(left_out);
        let board = Board::of(&some, Targets::Ci);
        assert!(!board.passed(), "{} is missing", gone.row);
        assert!(board.verdict().contains(&gone.row), "{}", board.verdict());
    }
}

#[test]
fn a_board_of_nothing_fails() {
    let board = Board::of(&[], Targets::Ci);
    assert!(!board.passed());
    assert_eq!((board.count(Standing::Passed), board.exit_code()), (0, 2));
}

#[test]
fn a_value_beyond_its_limit_fails_and_one_on_too_few_samples_is_missing() {
    assert_eq!(standing(&[measured("3.p50", 0.61, "s", 20)], "3.p50"), Standing::Failed);
    assert_eq!(standing(&[measured("3.p50", 0.6, "s", 20)], "3.p50"), Standing::Passed);
    assert_eq!(standing(&[measured("3.p50", 0.1, "s", 19)], "3.p50"), Standing::Missing);
    assert_eq!(standing(&[measured("1.operations", 29_999.0, "operations", 0)], "1.operations"), Standing::Failed);
    assert_eq!(standing(&[measured("7.silent", 1.0, "injections", 5)], "7.silent"), Standing::Failed);
}

#[test]
fn no_value_no_number_and_another_unit_do_not_pass() {
    let nothing = Measured { value: None, ..measured("3.p50", 0.0, "s", 20) };
    assert_eq!(standing(std::slice::from_ref(&nothing), "3.p50"), Standing::Missing);
    assert_eq!(standing(&[measured("3.p50", f64::NAN, "s", 20)], "3.p50"), Standing::Missing);
    assert_eq!(standing(&[measured("3.p50", 0.4, "ms", 20)], "3.p50"), Standing::Failed);
    // A round that came to nothing is not hidden by another.
    assert_eq!(standing(&[measured("3.p50", 0.4, "s", 20), nothing], "3.p50"), Standing::Missing);
}

#[test]
fn a_command_that_was_not_content_fails_its_figure_whatever_the_value() {
    let discontent = Measured { passed: false, ..measured("3.p50", 0.1, "s", 20) };
    assert_eq!(standing(&[discontent], "3.p50"), Standing::Failed);
    let not_asked = Measured { passed: false, ..measured("3.p99", 0.1, "s", 200) };
    assert_eq!(standing(&[not_asked], "3.p99"), Standing::Failed);
    assert_eq!(standing(&[measured("3.p99", 9.0, "s", 200)], "3.p99"), Standing::NotAsked);
}

#[test]
fn what_a_machine_cannot_measure_does_not_pass_until_another_has() {
    let why = Some("loop devices are not available here".to_owned());
    let skipped = Measured { value: None, passed: false, skipped: why, ..measured("2.power-all", 0.0, "rounds", 0) };
    let board = Board::of(std::slice::from_ref(&skipped), Targets::Ci);
    let line = board.lines.iter().find(|line| line.figure == "2.power-all").expect("a line");
    assert_eq!((line.standing, line.why.as_deref()), (Standing::Skipped, Some("loop devices are not available here")));
    assert_eq!(standing(&[skipped, measured("2.power-all", 0.0, "rounds", 10)], "2.power-all"), Standing::Passed);
}

#[test]
fn of_several_commands_counts_are_added_and_the_worst_time_counts() {
    let several = [
        measured("3.max", 0.9, "s", 10),
        Measured { seeds: vec![3, 7], ..measured("3.max", 1.1, "s", 15) },
        measured("2.kill-all", 0.0, "rounds", 20),
        measured("2.kill-all", 0.0, "rounds", 20),
    ];
    let board = Board::of(&several, Targets::Ci);
    let line = |figure: &str| board.lines.iter().find(|line| line.figure == figure).expect("a line");
    let max = line("3.max");
    assert_eq!((max.value, max.samples, max.seeds.as_slice()), (Some(1.1), 25, &[3, 7][..]));
    assert_eq!((line("2.kill-all").samples, line("2.kill-all").standing), (40, Standing::Passed));
}

#[test]
fn the_same_looked_at_again_is_no_further_sample() {
    let of = |bugs: &[&str]| Measured {
        subjects: bugs.iter().map(|bug| (*bug).to_owned()).collect(),
        ..measured("8.missed", 0.0, "controls", bugs.len() as u64)
    };
    let board = Board::of(&[of(&["stale-reads", "torn-import"]), of(&["stale-reads"])], Targets::Ci);
    let line = board.lines.iter().find(|line| line.figure == "8.missed").expect("a line");
    assert_eq!((line.samples, line.standing), (2, Standing::Missing));
    let eight = of(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(standing(&[eight], "8.missed"), Standing::Passed);
}

#[test]
fn seeds_that_are_run_again_are_no_further_seeds() {
    let of = |seeds: &str| Measured { subjects: vec![seeds.to_owned()], ..measured("9.failed", 0.0, "seeds", 30) };
    assert_eq!(standing(&[of("0..30"), of("0..30")], "9.failed"), Standing::Missing);
    assert_eq!(standing(&[of("0..30"), of("10..40")], "9.failed"), Standing::Passed);
}

#[test]
fn each_crash_point_must_have_its_rounds_and_commands_for_single_ones_add_up() {
    let of = |points: &[Point], rounds: u64| Measured {
        subjects: names(points),
        ..measured("6.failed", 0.0, "rounds", rounds * points.len() as u64)
    };
    let [first, others @ ..] = Point::ALL;
    let board = Board::of(&[of(&[first], 660)], Targets::Long);
    let line = board.lines.iter().find(|line| line.figure == "6.failed").expect("a line");
    assert_eq!((line.standing, line.samples), (Standing::Missing, 0));
    assert!(line.why.as_deref().is_some_and(|why| why.ends_with(" of each crash point")), "{:?}", line.why);
    assert_eq!(standing(&[of(&Point::ALL, 1)], "6.failed"), Standing::Passed);
    assert_eq!(standing(&[of(&[first], 3), of(&others, 1)], "6.failed"), Standing::Passed);
    let nameless = measured("6.failed", 0.0, "rounds", 660);
    assert_eq!(standing(&[nameless], "6.failed"), Standing::Missing, "it does not say which points fell");
    let failed = Measured { value: Some(1.0), passed: false, ..of(&[first], 1) };
    assert_eq!(standing(&[failed, of(&Point::ALL, 1)], "6.failed"), Standing::Failed);
}

#[test]
fn what_is_wrong_fails_the_run_and_a_busy_machine_does_not() {
    let of_run = |one: Measured| Board::of(&[one], Targets::Ci).of_run();
    for (row, unit) in [("2.kill-all", "rounds"), ("7.silent", "injections"), ("11.wrong", "events")] {
        assert_eq!(of_run(measured(row, 1.0, unit, 5)), Verdict::Violated, "{row}");
        assert_eq!(of_run(measured(row, 0.0, unit, 5)), Verdict::Passed, "{row}: too few samples");
    }
    assert_eq!(of_run(measured("1.undecided", 1.0, "objects", 5)), Verdict::Unknown);
    assert_eq!(of_run(measured("18.leader-changes", 1.0, "jumps", 5)), Verdict::Unknown);
    assert_eq!(of_run(measured("3.p50", 2.9, "s", 20)), Verdict::Passed, "beyond its limit, and not far");
    assert_eq!(of_run(measured("3.p50", 20.0, "s", 20)), Verdict::Unknown);
    assert_eq!(of_run(measured("4.graceful", 1.0, "s", 20)), Verdict::Passed);
    assert_eq!(of_run(measured("17.leader", 30.0, "times", 200)), Verdict::Passed, "of how quick a disk?");
    assert_eq!(of_run(measured("1.operations", 17.0, "operations", 17)), Verdict::Passed);
    let discontent = Measured { passed: false, ..measured("3.p50", 0.1, "s", 20) };
    assert_eq!(of_run(discontent), Verdict::Unknown);
    let nothing = |row: &str| Measured { value: None, passed: false, ..measured(row, 0.0, "injections", 5) };
    assert_eq!(of_run(nothing("7.silent")), Verdict::Unknown, "looked for, and nobody knows");
    let skipped = Measured { skipped: Some("no loop devices".to_owned()), ..nothing("7.silent") };
    assert_eq!(of_run(skipped), Verdict::Passed, "what cannot be looked for here is for the scoreboard alone");
    let factor = Measured { unit: "times".to_owned(), ..nothing("17.leader") };
    assert_eq!(of_run(factor), Verdict::Passed, "a machine was disturbed");
    assert_eq!(Board::of(&[], Targets::Ci).of_run(), Verdict::Passed, "what is missing is for the scoreboard alone");
}

#[test]
fn a_long_run_is_held_to_long_targets_and_all_others_to_those_of_the_gate() {
    assert_eq!(Targets::of(Some("long")), Targets::Long);
    for other in [None, Some("ci"), Some("smoke")] {
        assert_eq!(Targets::of(other), Targets::Ci);
    }
}

#[test]
fn none_of_many_bounds_the_probability_and_one_failure_bounds_nothing() {
    let bound = |value: f64| {
        let board = Board::of(&[measured("7.silent", value, "injections", 300)], Targets::Ci);
        board.lines.iter().find(|line| line.figure == "7.silent").expect("a line").bound
    };
    assert_eq!(bound(0.0), Some(0.01));
    assert_eq!(bound(1.0), None);
    assert_eq!(rule_of_three(3), None, "a probability is at most one");
}

#[test]
fn a_measurement_of_no_row_fails_the_board_instead_of_being_lost() {
    let mut all = good(Targets::Ci);
    all.push(measured("3.p90", 0.1, "s", 20));
    let board = Board::of(&all, Targets::Ci);
    assert_eq!(board.exit_code(), 1);
    assert!(board.verdict().contains("3.p90"), "{}", board.verdict());
}

#[test]
fn a_board_reads_back_as_it_was_written() {
    let board = Board::of(&good(Targets::Long), Targets::Long);
    let text = serde_json::to_string(&board).unwrap();
    assert_eq!(serde_json::from_str::<Board>(&text).unwrap(), board);
}
