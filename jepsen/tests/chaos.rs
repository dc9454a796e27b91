//! What is built together with this crate can be told to fail, says so, and does nothing of it by itself.

use std::process::Command;

use openshell_tests::binary;

fn gateway() -> Command {
    Command::new(binary("openshell-gateway").expect("the gateway is built"))
}

#[test]
fn a_build_that_can_be_told_to_fail_says_so() {
    let output = gateway().arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("(chaos build: for tests only)"), "{said}");
}

#[test]
fn a_fault_that_means_nothing_is_refused_before_anything_is_made() {
    for (name, value, words) in [
        ("OPENSHELL_CHAOS_BUG", "no-bug", "there is no bug \"no-bug\"; there are stale-reads"),
        ("OPENSHELL_CHAOS_POINT", "vote.after_save:0", "a number from 1 is expected"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let output = gateway().arg("--data-dir").arg(&data).env(name, value).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!data.exists(), "{name} had an effect");
    }
}
