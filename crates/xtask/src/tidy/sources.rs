//! Rust files: how long they are, whether they say what they are, and what must not be left in them.

use super::Finding;
use super::tree::{File, Tree};

/// Lines of a file that are not tests.
const LINES_MAX: usize = 400;

/// Words of unfinished work, spelled in pieces so that this file holds none of them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("#[ign", "ore"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_ending("rs").flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tests_from = tests_from(file);
    let is_source = file.inside_crate().starts_with("src/");
    if is_source && !file.text.starts_with("//!") {
        let advice = "Begin with a `//!` line: what it is, and what is deliberately not here.";
        findings.push(Finding::new(&file.path, 1, "the file does not say what it is", advice));
    }
    let lines = tests_from - 1;
    if lines > LINES_MAX {
        let what = format!("{lines} lines without tests; a file ends at {LINES_MAX}");
        findings.push(Finding::new(
            &file.path,
            LINES_MAX + 1,
            what,
            "Find the second idea in it and give that a file.",
        ));
    }
    for (number, line) in file.lines() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            let advice = "Finish it, or leave it out and say so in the closing note.";
            findings.push(Finding::new(&file.path, number, format!("`{word}` in the code"), advice));
        }
        if number >= tests_from && calls_sleep(line) {
            let advice = "Wait for a condition or a message; a test that sleeps is slow or wrong.";
            findings.push(Finding::new(&file.path, number, "a test sleeps", advice));
        }
    }
    findings
}

/// The first line that is a test: 1 in a file of tests, the start of a trailing `mod tests {`, or one past
/// the end.
fn tests_from(file: &File) -> usize {
    let inside = file.inside_crate();
    let is_tests = inside.ends_with("/tests.rs") || inside.starts_with("tests/") || inside.contains("/tests/");
    if is_tests {
        return 1;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let opens = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].trim_end().ends_with("mod tests {");
    lines.windows(2).position(opens).map_or(lines.len() + 1, |index| index + 1)
}

/// A call, and not a word that ends alike.
fn calls_sleep(line: &str) -> bool {
    let call = concat!("sle", "ep(");
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(call).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, check};
    use crate::tidy::tree::tree_of;

    fn whats(path: &str, text: &str) -> Vec<String> {
        let (_folder, tree) = tree_of(&[(path, text)]);
        check(&tree).into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    const TESTS: &str = "#[cfg(test)]\nmod tests {\n";

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(whats("crates/a/src/x.rs", "//! It.\n"), Vec::<String>::new());
        assert_eq!(whats("crates/a/src/x.rs", "use x;\n"), ["1: the file does not say what it is"]);
        assert_eq!(whats("tests/src/x.rs", "use x;\n").len(), 1);
        assert!(whats("crates/a/tests/x.rs", "use x;\n").is_empty());
    }

    #[test]
    fn a_file_ends_at_its_limit_and_tests_do_not_count() {
        let code = |lines: usize| format!("//! It.\n{}", "x;\n".repeat(lines - 1));
        assert!(whats("crates/a/src/x.rs", &code(LINES_MAX)).is_empty());
        assert_eq!(whats("crates/a/src/x.rs", &code(LINES_MAX + 1)).len(), 1);
        assert!(whats("crates/a/src/x.rs", &(code(LINES_MAX) + TESTS + &code(50))).is_empty());
        assert_eq!(whats("crates/a/src/x.rs", &(code(LINES_MAX + 1) + TESTS)).len(), 1);
        for path in ["crates/a/src/tests.rs", "crates/a/src/x/tests/y.rs", "crates/a/tests/y.rs", "tests/tests/y.rs"] {
            assert!(whats(path, &code(LINES_MAX + 1)).is_empty(), "{path}");
        }
        assert_eq!(whats("tests/src/y.rs", &code(LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn unfinished_work_is_found() {
        for word in super::UNFINISHED {
            assert_eq!(whats("crates/a/src/x.rs", &format!("//! It.\n{word}\n")).len(), 1, "{word}");
        }
        assert!(whats("crates/a/src/x.rs", "//! It.\n// ignored, and to do later\n").is_empty());
    }

    #[test]
    fn a_test_that_sleeps_is_found_and_a_program_may_sleep() {
        let call = concat!("sle", "ep(time);\n");
        assert_eq!(whats("crates/a/tests/x.rs", &format!("std::thread::{call}")), ["1: a test sleeps"]);
        assert_eq!(whats("crates/a/src/x.rs", &format!("//! It.\n{TESTS}    {call}")), ["4: a test sleeps"]);
        assert!(whats("crates/a/src/x.rs", &format!("//! It.\n{call}")).is_empty());
        assert!(whats("crates/a/tests/x.rs", &format!("may_{call}// {call}")).is_empty());
    }
}
