//! The gate meets planted bugs: two that show themselves at once must be caught, from the variable that plants them to
//! the verdict. All of them, with more seeds, are for `openshell-jepsen controls`.
//!
//! A file of its own: whoever starts a cluster removes what killed runs left, for which a test in `control.rs` looks.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use openshell_tests::eventually;

/// Of one bug. It takes a second or two on a quiet machine, and needs neither root nor a network of its own.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs the control of a bug once: what it ended with, and what it said.
async fn control(bug: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("said");
    let mut command = Command::new(env!("CARGO_BIN_EXE_openshell-jepsen"));
    command.args(["controls", "--seeds", "1", "--bug", bug]);
    // What was built is tried: a gateway that is missing is not built here, and one without bugs catches nothing.
    command.env("TMPDIR", folder.path()).env_remove("CARGO");
    let mut control = command.stdin(Stdio::null()).stdout(File::create(&path).unwrap()).spawn().unwrap();
    let ended = eventually("the end of the control", LIMIT, async || control.try_wait().unwrap()).await;
    if ended.is_err() {
        // Its nodes end with it.
        control.kill().unwrap();
        control.wait().unwrap();
    }
    let said = std::fs::read_to_string(&path).unwrap();
    let status = ended.unwrap_or_else(|error| panic!("{error:#}; it said: {said}"));
    (status.code(), said)
}

#[tokio::test]
async fn planted_bugs_are_caught_by_the_checkers_that_must_see_them() {
    // One after the other: a vote must be asked for while a disk stands still.
    for (bug, checker) in [("unsynced-vote", "raft"), ("local-clock", "digest")] {
        let (code, said) = control(bug).await;
        assert!(said.contains(&format!("{bug}, seed 1: caught by {checker} in ")), "{said}");
        assert_eq!(code, Some(0), "{said}");
    }
}
