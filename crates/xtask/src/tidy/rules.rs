//! Every rule and scenario of the contract has a test of its number: the sections of `docs/rules/providers.md`,
//! `docs/rules/config.md` and `docs/rules/cli.md` say in their headings which rows they have,
//! `## SR-1 to SR-9, SR-12 except SR-4: ...`, and each row, `| SR-1 | ... |`, names tests as `end/of/path.rs::function` in backticks, all of which exist. The rows
//! after `except` name none: their last cell says `left out: ` and why.

use super::Finding;
use super::architecture::backticked;
use super::tree::{File, Tree};

/// A table, and what the part of the contract that it covers has: what a heading forgets is missed too.
struct Document {
    path: &'static str,
    /// Rules, then scenarios.
    count: usize,
    /// As many of them are out of scope.
    left_out: usize,
    /// Of the name of a scenario's test, before the number.
    scenario: &'static str,
}

const DOCUMENTS: [Document; 3] = [
    Document { path: "docs/rules/providers.md", count: 89 + 75, left_out: 0, scenario: "providers_scenario_" },
    Document { path: "docs/rules/config.md", count: 310 + 103, left_out: 24, scenario: "config_scenario_" },
    Document { path: "docs/rules/cli.md", count: 85, left_out: 0, scenario: "cli_scenario_" },
];
const SCENARIO: &str = "scenario";
const LEFT_OUT: &str = "left out";

/// A family and a number in it.
type Id = (String, usize);

/// What a heading promises: its line, the rows that are still to come, first one first, and those of all its rows
/// that have no test.
struct Section {
    line: usize,
    missing: Vec<Id>,
    left_out: Vec<Id>,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    DOCUMENTS.iter().flat_map(|document| check_document(document, tree)).collect()
}

fn check_document(document: &Document, tree: &Tree) -> Vec<Finding> {
    let path = document.path;
    let Some(file) = tree.file(path) else {
        return vec![Finding::new(path, 1, "the rules have no table", "Write a row for each rule and scenario.")];
    };
    let mut findings = Vec::new();
    let mut section = Section { line: 1, missing: Vec::new(), left_out: Vec::new() };
    let (mut promised, mut left_out) = (0, 0);
    for (number, line) in file.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            complete(path, &section, &mut findings);
            section = section_of(path, number, heading, &mut findings);
            promised += section.missing.len();
            left_out += section.left_out.len();
        }
        let Some((name, cells)) = line.strip_prefix("| ").and_then(|row| row.split_once(" |")) else { continue };
        let Some(id) = id(name) else { continue };
        match section.missing.iter().position(|missing| *missing == id) {
            Some(at) => drop(section.missing.remove(at)),
            None => findings.push(Finding::new(
                path,
                number,
                format!("the heading does not promise a row {name}, or it is there twice"),
                "Write each row once, below the heading that names it.",
            )),
        }
        if section.left_out.contains(&id) {
            row_left_out(path, number, name, cells, &mut findings);
        } else {
            row(document, tree, number, &id, cells, &mut findings);
        }
    }
    complete(path, &section, &mut findings);
    for (what, found, expected) in [("promise", promised, document.count), ("leave out", left_out, document.left_out)] {
        if found != expected {
            let what = format!("headings {what} {found} rows, where it should be {expected}");
            findings.push(Finding::new(path, 1, what, "Name each rule and scenario in the heading of one section."));
        }
    }
    findings
}

/// Finds what a section lacks.
fn complete(path: &str, section: &Section, findings: &mut Vec<Finding>) {
    for (family, number) in &section.missing {
        let what = format!("no row for {family} {number}");
        findings.push(Finding::new(path, section.line, what, "Add a row that names its test."));
    }
}

/// A row without a test, of which the last cell says why.
fn row_left_out(path: &str, line: usize, name: &str, cells: &str, findings: &mut Vec<Finding>) {
    let last = cells.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
    let reason = last.strip_prefix(LEFT_OUT).and_then(|rest| rest.strip_prefix(": "));
    if reason.is_none_or(str::is_empty) {
        let what = format!("{name} is left out without a reason, or has a test and is not");
        findings.push(Finding::new(path, line, what, "Say why, or take it off the heading's exceptions."));
    }
}

/// The tests of one row, of which one must carry its number.
fn row(document: &Document, tree: &Tree, line: usize, id: &Id, cells: &str, findings: &mut Vec<Finding>) {
    let (family, number) = id;
    let prefix = match family.as_str() {
        SCENARIO => document.scenario.to_owned(),
        rules => format!("{}_", rules.to_lowercase().replace('-', "_")),
    };
    let mut carries = false;
    for token in backticked(cells) {
        let Some((path, name)) = token.split_once("::").filter(|(path, _)| path.ends_with(".rs")) else { continue };
        if !is_test(tree, path, name) {
            let what = format!("there is no test {name} in a file {path}, or in several");
            findings.push(Finding::new(document.path, line, what, "Name the test as it is called now."));
        }
        let words = name.strip_prefix(&prefix).into_iter().flat_map(|rest| rest.split('_'));
        // The numbers come first: what follows says the claim, and may hold others.
        let mut numbers = words.take_while(|word| *word == "and" || word.parse::<usize>().is_ok());
        carries |= numbers.any(|word| word == number.to_string());
    }
    if !carries {
        let what = format!("no test of {family} {number} is named `{prefix}{number}_...`");
        findings.push(Finding::new(document.path, line, what, "Name one that carries the number."));
    }
}

/// What a heading promises before its colon, `A-1 to A-3, B-7`, and after `except` which of that is left out.
fn section_of(path: &str, line: usize, heading: &str, findings: &mut Vec<Finding>) -> Section {
    let promises = heading.split_once(':').map_or("", |(promises, _)| promises);
    let (rows, exceptions) = promises.split_once(" except ").unwrap_or((promises, ""));
    let section = Section { line, missing: rows_of(rows), left_out: rows_of(exceptions) };
    for (family, number) in section.left_out.iter().filter(|id| !section.missing.contains(id)) {
        let what = format!("the heading excepts {family} {number}, which it does not name");
        findings.push(Finding::new(path, line, what, "Except only what the heading names."));
    }
    section
}

/// The rows of `A-1 to A-3, B-7`.
fn rows_of(promises: &str) -> Vec<Id> {
    let mut rows = Vec::new();
    for promise in promises.split(", ") {
        let (first, last) = promise.split_once(" to ").unwrap_or((promise, promise));
        let (Some((family, first)), Some((_, last))) = (id(first), id(last)) else { return Vec::new() };
        rows.extend((first..=last).map(|number| (family.clone(), number)));
    }
    rows
}

/// Family and number of `V-EP-12`, or of a bare number, which is a scenario's.
fn id(name: &str) -> Option<Id> {
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
    use super::{DOCUMENTS, Document, check, check_document};
    use crate::tidy::tree::tree_of;

    const TABLE: Document = Document { path: "docs/rules/a.md", count: 9, left_out: 1, scenario: "a_scenario_" };

    const TESTS: &str = "#[test]\nfn v_a_1_and_2_claim() {}\n\n#[test]\n#[expect(x)]\nfn v_a_7_claim() {}\n\n\
                         #[tokio::test]\nasync fn a_scenario_1_claim() {}\n\nfn v_a_3_no_test() {}\n\
                         #[test]\nfn v_a_4_after_2_others() {}\n";

    fn tests() -> String {
        let scenario = |number| format!("#[test]\nfn a_scenario_{number}_claim() {{}}\n");
        (2..=5).map(scenario).fold(TESTS.to_owned(), |text, test| text + &test)
    }

    fn row(number: usize) -> String {
        format!("| {number} | `tests/x.rs::a_scenario_{number}_claim` |\n")
    }

    /// A table of a few rules, one of them left out, and of five scenarios.
    fn table() -> String {
        let mut text =
            "# Rules\n\n## V-A-1 to V-A-2, V-A-7 to V-A-8 except V-A-8: some\n\n| rule | tests |\n|---|---|\n"
                .to_owned();
        for (rule, test) in [("V-A-1", "v_a_1_and_2_claim"), ("V-A-2", "v_a_1_and_2_claim"), ("V-A-7", "v_a_7_claim")] {
            text += &format!("| {rule} | `tests/x.rs::{test}` |\n");
        }
        text += "| V-A-8 | it is done by others | left out: there are none |\n\n## 1 to 5: all\n\n";
        (1..=5).fold(text, |text, number| text + &row(number))
    }

    fn whats(from: &str, to: &str) -> Vec<String> {
        let text = table();
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let tests = tests();
        let files =
            [(TABLE.path, text.as_str()), ("crates/a/src/tests/x.rs", &*tests), ("crates/b/src/tests/z.rs", TESTS)];
        check_document(&TABLE, &tree_of(&files).1).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn each_row_names_a_test_that_exists_and_carries_its_number() {
        assert_eq!(whats("", ""), [""; 0]);
        let unknown = "there is no test v_a_7_clai in a file tests/x.rs, or in several";
        assert_eq!(whats("v_a_7_claim", "v_a_7_clai"), [unknown]);
        assert_eq!(whats("`tests/x.rs::v_a_7", "`tests/y.rs::v_a_7").len(), 1, "no such file");
        assert_eq!(whats("`tests/x.rs::v_a_7", "`a/src/tests/x.rs::v_a_7").len(), 0);
        assert_eq!(whats("v_a_7_claim", "v_a_3_no_test").len(), 2, "no test, and not of that number");
        let other = "no test of V-A 7 is named `v_a_7_...`";
        assert_eq!(whats("v_a_7_claim", "v_a_1_and_2_claim"), [other]);
        assert_eq!(whats("`tests/x.rs::v_a_7_claim`", ""), [other]);
        assert_eq!(whats("| `tests/x.rs::v_a_7_claim`", "| left out: no reason counts"), [other]);
        assert_eq!(
            whats("| V-A-2 | `tests/x.rs::v_a_1_and_2_claim`", "| V-A-2 | `tests/x.rs::v_a_4_after_2_others`").len(),
            1
        );
        assert_eq!(whats("x.rs::a_scenario_3_claim", "x.rs::a_scenario_4_claim").len(), 1, "another's");
    }

    #[test]
    fn a_row_is_left_out_for_a_reason_where_the_heading_excepts_it() {
        let unexplained = ["V-A-8 is left out without a reason, or has a test and is not"];
        assert_eq!(whats("left out: there are none", "left out:"), unexplained);
        assert_eq!(whats("left out: there are none", "left out"), unexplained);
        assert_eq!(whats("left out: there are none", "`tests/x.rs::v_a_7_claim`"), unexplained);
        assert_eq!(whats("left out: there are none |", "left out: there are none | `x.rs::y` |"), unexplained);
        assert_eq!(whats("| V-A-8 | it is done by others | left out: there are none |", ""), ["no row for V-A 8"]);
        let more = "headings leave out 2 rows, where it should be 1";
        assert_eq!(whats("except V-A-8", "except V-A-7 to V-A-8").last().map(String::as_str), Some(more));
        assert_eq!(whats(" except V-A-8", "").len(), 2, "no test of V-A-8, and nothing left out");
        assert_eq!(whats("except V-A-8", "except V-A-9").len(), 2, "V-A-9 is not promised, and no test of V-A-8");
    }

    #[test]
    fn an_ending_that_two_files_have_names_none() {
        let files =
            [(TABLE.path, table()), ("crates/a/tests/x.rs", TESTS.to_owned()), ("b/tests/x.rs", TESTS.to_owned())];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(check_document(&TABLE, &tree_of(&files).1).len(), TABLE.count - TABLE.left_out);
    }

    #[test]
    fn a_row_that_is_missing_twice_or_too_many_is_found() {
        assert_eq!(whats(&row(4), ""), ["no row for scenario 4"]);
        assert_eq!(whats("| 4 |", "| 3 |").len(), 3, "one too few, one too many, and no test of it");
        assert_eq!(whats("| V-A-2 ", "| V-A-3 ").len(), 3, "one too few, one too many, and no test of it");
        assert_eq!(whats("| V-A-7 ", "| V-B-7 ").len(), 3);
    }

    #[test]
    fn a_heading_that_is_missing_or_shorter_is_found() {
        assert_eq!(whats("## 1 to 5:", "## 1 to 4:").len(), 2, "a row without a promise, and a promise too few");
        assert_eq!(whats("## 1 to 5:", "### 1 to 5:").len(), 6);
    }

    #[test]
    fn each_part_of_the_contract_has_its_table() {
        assert_eq!(check(&tree_of(&[("LICENSE", "")]).1).len(), DOCUMENTS.len());
    }
}
