//! The file form as people see it: each policy file under `golden` has a neighbour with its written form and
//! hash, each wrong file under `golden/errors` one with its error. With `OPENSHELL_WRITE_GOLDEN` set the
//! neighbours are written instead of compared.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_policy::{hash, safety, yaml};

/// The files of a folder below `golden` that end in `.policy.yaml`, in order.
fn inputs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/golden").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".policy.yaml"));
    files.sort();
    assert!(files.len() >= 4, "only {} files in {}", files.len(), folder.display());
    files
}

#[track_caller]
fn check(input: &Path, ending: &str, actual: &str) {
    let neighbour = PathBuf::from(input.to_string_lossy().replace(".policy.yaml", ending));
    if std::env::var_os("OPENSHELL_WRITE_GOLDEN").is_some() {
        fs::write(&neighbour, actual).expect("the golden file is writable");
    }
    let expected = fs::read_to_string(&neighbour).unwrap_or_else(|error| panic!("{}: {error}", neighbour.display()));
    assert_eq!(actual, expected, "{}", neighbour.display());
}

#[test]
fn a_policy_has_one_written_form_and_one_hash() {
    for input in inputs("") {
        let text = fs::read_to_string(&input).expect("a readable file");
        let policy = yaml::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
        let written = yaml::render(&policy);
        assert_eq!(yaml::parse(&written).as_ref(), Ok(&policy), "{}", input.display());
        assert_eq!(safety::violations(&policy), [""; 0], "{}", input.display());
        check(&input, ".written.yaml", &format!("# {}\n{written}", hash::policy_hash(&policy)));
    }
}

#[test]
fn a_wrong_file_has_one_error() {
    for input in inputs("errors") {
        let text = fs::read_to_string(&input).expect("a readable file");
        let error = yaml::parse(&text).expect_err("a wrong file");
        check(&input, ".error.txt", &format!("{error}\n"));
    }
}
