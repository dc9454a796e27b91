//! Every rule and scenario of the contract about providers has a test of its number: the sections of
//! `docs/rules/providers.md` say in their headings which rows they have, `## V-EP-1 to V-EP-15, V-EP-30: ...`,
//! and each row, `| V-EP-1 | ... |`, names tests as `end/of/path.rs::function` in backticks, all of which exist.

use super::Finding;
use super::architecture::backticked;
use super::tree::{File, Tree};

const DOCUMENT: &str = "docs/rules/providers.md";
/// Validation rules, then scenarios, as many as the contract has: a heading that goes is missed too.
const COUNT: usize = 89 + 75;
const SCENARIO: &str = "scenario";

/// What a heading promises: its line, and the rows that are still to come, first one first.
struct Section {
    line: usize,
    missing: Vec<(String, usize)>,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, 1, "the rules have no table", "Write a row for each rule and scenario.")];
    };
    let mut findings = Vec::new();
    let mut section = Section { line: 1, missing: Vec::new() };
    let mut promised = 0;
    for (number, line) in file.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            complete(&section, &mut findings);
            section = Section { line: number, missing: rows_of(heading) };
            promised += section.missing.len();
        }
        let Some((name, cells)) = line.strip_prefix("| ").and_then(|row| row.split_once(" |")) else { continue };
        let Some(id) = id(name) else { continue };
        match section.missing.iter().position(|missing| *missing == id) {
            Some(at) => drop(section.missing.remove(at)),
            None => findings.push(Finding::new(
                DOCUMENT,
                number,
                format!("the heading does not promise a row {name}, or it is there twice"),
                "Write each row once, below the heading that names it.",
            )),
        }
        row(tree, number, &id, cells, &mut findings);
    }
    complete(&section, &mut findings);
    if promised != COUNT {
        let what = format!("headings promise {promised} rows, where the contract has {COUNT} rules and scenarios");
        findings.push(Finding::new(DOCUMENT, 1, what, "Name each in the heading of one section."));
    }
    findings
}

/// Finds what a section lacks.
fn complete(section: &Section, findings: &mut Vec<Finding>) {
    for (family, number) in &section.missing {
        let what = format!("no row for {family} {number}");
        findings.push(Finding::new(DOCUMENT, section.line, what, "Add a row that names its test."));
    }
}

/// The tests of one row, of which one must carry its number.
fn row(tree: &Tree, line: usize, (family, number): &(String, usize), cells: &str, findings: &mut Vec<Finding>) {
    let prefix = match family.as_str() {
        SCENARIO => "providers_scenario_".to_owned(),
        rules => format!("{}_", rules.to_lowercase().replace('-', "_")),
    };
    let mut carries = false;
    for token in backticked(cells) {
        let Some((path, name)) = token.split_once("::").filter(|(path, _)| path.ends_with(".rs")) else { continue };
        if !is_test(tree, path, name) {
            let what = format!("there is no test {name} in a file {path}, or in several");
            findings.push(Finding::new(DOCUMENT, line, what, "Name the test as it is called now."));
        }
        let words = name.strip_prefix(&prefix).into_iter().flat_map(|rest| rest.split('_'));
        // The numbers come first: what follows says the claim, and may hold others.
        let mut numbers = words.take_while(|word| *word == "and" || word.parse::<usize>().is_ok());
        carries |= numbers.any(|word| word == number.to_string());
    }
    if !carries {
        let what = format!("no test of {family} {number} is named `{prefix}{number}_...`");
        findings.push(Finding::new(DOCUMENT, line, what, "Name one that carries the number."));
    }
}

/// The rows that a heading promises: what stands before its colon, `A-1 to A-3, B-7`.
fn rows_of(heading: &str) -> Vec<(String, usize)> {
    let Some((promises, _)) = heading.split_once(':') else { return Vec::new() };
    let mut rows = Vec::new();
    for promise in promises.split(", ") {
        let (first, last) = promise.split_once(" to ").unwrap_or((promise, promise));
        let (Some((family, first)), Some((_, last))) = (id(first), id(last)) else { return Vec::new() };
        rows.extend((first..=last).map(|number| (family.clone(), number)));
    }
    rows
}

/// Family and number of `V-EP-12`, or of a bare number, which is a scenario's.
fn id(name: &str) -> Option<(String, usize)> {
    let (family, number) = name.rsplit_once(['-', ' ']).unwrap_or((SCENARIO, name));
    Some((family.to_owned(), number.parse().ok()?))
}

/// Whether exactly one file has this ending, and a test of this name.
fn is_test(tree: &Tree, path: &str, name: &str) -> bool {
    let ending = format!("/{path}");
    let mut files = tree.files().iter().filter(|file| file.path.ends_with(&ending));
    matches!((files.next(), files.next()), (Some(file), None) if has_test(file, name))
}

fn has_test(file: &File, name: &str) -> bool {
    let mut is_marked = false;
    for (_, line) in file.lines() {
        let line = line.trim_start();
        if ["#[test]", "#[tokio::test]", "#[tokio::test("].iter().any(|mark| line.starts_with(mark)) {
            is_marked = true;
        } else if !line.starts_with("#[") {
            let declared = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if is_marked && declared.is_some_and(|rest| rest.strip_prefix(name).is_some_and(|end| end.starts_with('(')))
            {
                return true;
            }
            is_marked = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{COUNT, DOCUMENT, check};
    use crate::tidy::tree::tree_of;

    const TESTS: &str = "#[test]\nfn v_a_1_and_2_claim() {}\n\n#[test]\n#[expect(x)]\nfn v_a_7_claim() {}\n\n\
                         #[tokio::test]\nasync fn providers_scenario_1_claim() {}\n\nfn v_a_3_no_test() {}\n\
                         #[test]\nfn v_a_4_after_2_others() {}\n";

    fn tests() -> String {
        let scenario = |number| format!("#[test]\nfn providers_scenario_{number}_claim() {{}}\n");
        (2..=COUNT - 3).map(scenario).fold(TESTS.to_owned(), |text, test| text + &test)
    }

    fn row(number: usize) -> String {
        format!("| {number} | `tests/x.rs::providers_scenario_{number}_claim` |\n")
    }

    /// A table of a few rules, and of as many scenarios as are left.
    fn table() -> String {
        let scenarios = COUNT - 3;
        let mut text = "# Rules\n\n## V-A-1 to V-A-2, V-A-7: some\n\n| rule | tests |\n|---|---|\n".to_owned();
        for (rule, test) in [("V-A-1", "v_a_1_and_2_claim"), ("V-A-2", "v_a_1_and_2_claim"), ("V-A-7", "v_a_7_claim")] {
            text += &format!("| {rule} | `tests/x.rs::{test}` |\n");
        }
        text += &format!("\n## 1 to {scenarios}: all\n\n");
        (1..=scenarios).fold(text, |text, number| text + &row(number))
    }

    fn whats(from: &str, to: &str) -> Vec<String> {
        let text = table();
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let tests = tests();
        let files =
            [(DOCUMENT, text.as_str()), ("crates/a/src/tests/x.rs", &*tests), ("crates/b/src/tests/z.rs", TESTS)];
        check(&tree_of(&files).1).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn each_row_names_a_test_that_exists_and_carries_its_number() {
        assert!(whats("", "").is_empty());
        let unknown = "there is no test v_a_7_clai in a file tests/x.rs, or in several";
        assert_eq!(whats("v_a_7_claim", "v_a_7_clai"), [unknown]);
        assert_eq!(whats("`tests/x.rs::v_a_7", "`tests/y.rs::v_a_7").len(), 1, "no such file");
        assert_eq!(whats("`tests/x.rs::v_a_7", "`a/src/tests/x.rs::v_a_7").len(), 0);
        assert_eq!(whats("v_a_7_claim", "v_a_3_no_test").len(), 2, "no test, and not of that number");
        let other = "no test of V-A 7 is named `v_a_7_...`";
        assert_eq!(whats("v_a_7_claim", "v_a_1_and_2_claim"), [other]);
        assert_eq!(whats("`tests/x.rs::v_a_7_claim`", ""), [other]);
        assert_eq!(
            whats("| V-A-2 | `tests/x.rs::v_a_1_and_2_claim`", "| V-A-2 | `tests/x.rs::v_a_4_after_2_others`").len(),
            1
        );
    }

    #[test]
    fn an_ending_that_two_files_have_names_none() {
        let files =
            [(DOCUMENT, table()), ("crates/a/tests/x.rs", TESTS.to_owned()), ("b/tests/x.rs", TESTS.to_owned())];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(check(&tree_of(&files).1).len(), COUNT);
    }

    #[test]
    fn a_row_that_is_missing_twice_or_too_many_is_found() {
        assert_eq!(whats(&row(9), ""), ["no row for scenario 9"]);
        assert_eq!(whats("| 9 |", "| 8 |").len(), 3, "one too few, one too many, and no test of it");
        assert_eq!(whats("| V-A-2 ", "| V-A-3 ").len(), 3, "one too few, one too many, and no test of it");
        assert_eq!(whats("| V-A-7 ", "| V-B-7 ").len(), 3);
    }

    #[test]
    fn a_heading_that_is_missing_or_shorter_is_found() {
        assert_eq!(whats(", V-A-7:", ":").len(), 2, "a row without a promise, and a promise too few");
        assert_eq!(whats("## V-A-1 to", "### V-A-1 to").len(), 4);
        assert_eq!(check(&tree_of(&[("LICENSE", "")]).1).len(), 1);
    }
}
