//! Folders, and the board that is made of them.

use super::*;

fn measured(row: &str, value: f64, unit: &str, samples: u64) -> Measured {
    let (row, value, unit) = (row.to_owned(), Some(value), unit.to_owned());
    Measured { row, value, unit, samples, seeds: vec![7], passed: true, ..Measured::default() }
}

#[test]
fn measurements_of_several_folders_make_one_board_in_the_last_of_them() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    append(one.path(), &[measured("3.p50", 0.4, "s", 20)]).unwrap();
    append(other.path(), &[measured("3.max", 0.9, "s", 20), measured("3.max", 1.0, "s", 5)]).unwrap();
    let folders = [one.path().to_owned(), other.path().to_owned()];
    let board = of_folders(&folders, Targets::Ci, None).unwrap();
    assert_eq!(board.count(Standing::Passed), 2, "{}", board.verdict());
    assert_eq!(of_folder(other.path()).unwrap(), board);
    assert!(!one.path().join(FILE).exists());
    assert_eq!(show(&folders, Targets::Ci, None).unwrap(), 2, "the other rows are missing");
}

#[test]
fn what_is_kept_makes_the_same_board_and_is_kept_once() {
    let [one, other, kept] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    append(one.path(), &[measured("3.p50", 0.4, "s", 20)]).unwrap();
    append(other.path(), &[measured("7.silent", 0.0, "injections", 120)]).unwrap();
    let [first, second] = [one.path().to_owned(), other.path().to_owned()];
    let place = kept.path().join("of today");
    show(std::slice::from_ref(&first), Targets::Ci, Some(&place)).unwrap();
    show(std::slice::from_ref(&second), Targets::Ci, Some(&place)).unwrap();
    let again = show(&[first.clone(), second.clone()], Targets::Ci, Some(&place)).unwrap_err().to_string();
    assert!(again.contains("3.p50 of seeds [7]") && again.contains("already"), "{again}");
    let board = of_folders(&[first, second], Targets::Ci, None).unwrap();
    assert_eq!(of_folders(&[place], Targets::Ci, None).unwrap(), board);
}

#[test]
fn the_end_of_a_run_leaves_its_board_held_to_its_profile() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), &[measured("3.p50", 0.4, "s", 20), measured("2.kill-all", 0.0, "rounds", 40)]).unwrap();
    assert_eq!(conclude(folder.path(), Some("long")).unwrap(), Verdict::Passed);
    let board = of_folder(folder.path()).unwrap();
    assert_eq!((board.targets, board.count(Standing::Passed)), (Targets::Long, 0), "20 rounds are too few there");
    append(folder.path(), &[measured("2.kill-all", 1.0, "rounds", 40)]).unwrap();
    assert_eq!(conclude(folder.path(), Some("ci")).unwrap(), Verdict::Violated);
    assert_eq!(of_folder(folder.path()).unwrap().targets, Targets::Ci);
}

#[test]
fn a_page_that_is_made_without_a_board_goes_by_the_profile_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"profile":"long"}"#).unwrap();
    assert_eq!(of_folder(folder.path()).unwrap().targets, Targets::Long);
}

#[test]
fn a_folder_in_which_nothing_was_measured_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let error = of_folders(&[empty.path().to_owned()], Targets::Ci, None).unwrap_err();
    assert!(format!("{error:#}").contains("rows.json"), "{error:#}");
}

#[test]
fn the_table_has_each_row_once_with_value_limit_bound_seeds_and_anchor() {
    let board =
        Board::of(&[measured("7.silent", 0.0, "injections", 300), measured("3.p50", 0.7, "s", 20)], Targets::Ci);
    let table = table(&board);
    assert_eq!(table.matches("corruption that stayed silent").count(), 1);
    let line = "passed     7.silent          0 injections, 300 samples; limit: at most 0 injections, 120 samples or more; \
        a failure is below 1.0e-2 at 95 %; injections with a silent loss or a wrong value";
    assert!(table.contains(line), "{table}");
    assert!(table.contains("FAILED     3.p50             0.7 s, 20 samples"), "{table}");
    assert!(table.contains("of others: etcd on two cores: p50 1.29"), "{table}");
    assert!(table.contains("           seeds: 7\n"), "{table}");
    assert!(table.contains("NOT THERE  13"), "{table}");
    assert!(table.ends_with(&board.verdict()));
}
