//! Every invariant has a home: `docs/invariants.md` has a section for each, `## 1.` and on, and each names at
//! least one test and at least one home as `path/to/file.rs::function` in backticks, all of which exist.

use super::Finding;
use super::architecture::backticked;
use super::tree::Tree;

const DOCUMENT: &str = "docs/invariants.md";
/// As many as `docs/architecture.md` lists under "What must always hold".
const COUNT: usize = 10;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, 1, "the invariants have no home", "Write one section for each.")];
    };
    let mut findings = Vec::new();
    // (line of the heading, number of tests that it names)
    let mut sections: Vec<(usize, usize)> = Vec::new();
    for (number, line) in file.lines() {
        if line.starts_with("## ") {
            sections.push((number, 0));
            let expected = format!("## {}. ", sections.len());
            if !line.starts_with(&expected) {
                let what = format!("expected a heading that starts with `{}`", expected.trim_end());
                findings.push(Finding::new(
                    DOCUMENT,
                    number,
                    what,
                    "Number the sections as docs/architecture.md does.",
                ));
            }
        }
        for token in backticked(line) {
            let Some((path, name)) = token.split_once("::").filter(|(path, _)| path.ends_with(".rs")) else { continue };
            if !has_function(tree, path, name) {
                let what = format!("there is no function {name} in {path}");
                findings.push(Finding::new(DOCUMENT, number, what, "Name the test or assertion as it is called now."));
            } else if line.trim_start().starts_with("- test:")
                && let Some((_, tests)) = sections.last_mut()
            {
                *tests += 1;
            }
        }
    }
    for (line, _) in sections.iter().filter(|(_, tests)| *tests == 0) {
        let advice = "Add a line `- test: ` with `path/to/file.rs::function` in backticks.";
        findings.push(Finding::new(DOCUMENT, *line, "the invariant names no test", advice));
    }
    if sections.len() != COUNT {
        let what = format!("{} sections, where {COUNT} invariants are promised", sections.len());
        findings.push(Finding::new(DOCUMENT, 1, what, "Write one section for each of docs/architecture.md."));
    }
    findings
}

fn has_function(tree: &Tree, path: &str, name: &str) -> bool {
    let Some(file) = tree.file(path) else { return false };
    let start = format!("fn {name}");
    file.text.match_indices(&start).any(|(at, _)| file.text[at + start.len()..].starts_with(['(', '<']))
}

#[cfg(test)]
mod tests {
    use super::{COUNT, check};
    use crate::tidy::tree::tree_of;

    fn whats(change: impl Fn(usize, String) -> String) -> Vec<String> {
        let section = |number| change(number, format!("## {number}. Name\n- test: `crates/a/src/x.rs::holds`\n"));
        let text: String = (1..=COUNT).map(section).collect();
        let files =
            [("docs/invariants.md", text.as_str()), ("crates/a/src/x.rs", "fn holds() {}\nfn holds_more<T>() {}\n")];
        check(&tree_of(&files).1).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn each_invariant_names_a_test_that_exists() {
        assert!(whats(|_, text| text).is_empty());
        assert!(whats(|_, text| text.replace("holds", "holds_more")).is_empty());
        let renamed = whats(|number, text| if number == 2 { text.replace("holds", "hold") } else { text });
        assert_eq!(renamed, ["there is no function hold in crates/a/src/x.rs", "the invariant names no test"]);
        let moved = whats(|number, text| if number == 2 { text.replace("x.rs", "y.rs") } else { text });
        assert_eq!(moved.len(), 2);
    }

    #[test]
    fn an_assertion_alone_is_not_enough() {
        let found = whats(|number, text| if number == 3 { text.replace("- test", "- assertion") } else { text });
        assert_eq!(found, ["the invariant names no test"]);
    }

    #[test]
    fn all_are_there_in_their_order() {
        let short = whats(|number, text| if number == COUNT { String::new() } else { text });
        assert_eq!(short, ["9 sections, where 10 invariants are promised"]);
        assert_eq!(whats(|number, text| if number == 1 { text.replace("1.", "9.") } else { text }).len(), 1);
        assert_eq!(check(&tree_of(&[("LICENSE", "")]).1).len(), 1);
    }
}
