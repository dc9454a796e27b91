//! `docs/architecture.md` is true: every path and crate that it names in backticks exists, and it names
//! every crate. What is only planned is written without backticks.

use super::Finding;
use super::floors::Package;
use super::tree::Tree;

const DOCUMENT: &str = "docs/architecture.md";
/// Beginnings of paths from the root.
const FOLDERS: [&str; 8] = ["crates/", "docs/", "proto/", "tests/", "jepsen/", "deploy/", ".ci/", ".cargo/"];

pub(super) fn check(tree: &Tree, packages: &[Package]) -> Vec<Finding> {
    let Some(file) = tree.file(DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, 1, "there is no picture of the house", "Write it.")];
    };
    let mut findings = Vec::new();
    let is_known = |name: &str| {
        packages.iter().any(|package| package.name == name || package.programs.iter().any(|program| program == name))
    };
    for (number, line) in file.lines() {
        for token in backticked(line) {
            if let Some(path) = path(token)
                && !tree.has(&path)
            {
                let what = format!("`{token}` does not exist");
                findings.push(Finding::new(
                    DOCUMENT,
                    number,
                    what,
                    "Name what is there, or take the backticks off a plan.",
                ));
            }
            let is_crate = token.starts_with("openshell-") && !token.contains(['/', ' ', '=', ':', '*']);
            if is_crate && !is_known(token) {
                let what = format!("`{token}` is no crate or program of the workspace");
                findings.push(Finding::new(
                    DOCUMENT,
                    number,
                    what,
                    "Name what is there, or take the backticks off a plan.",
                ));
            }
        }
    }
    let is_named = |name: &str| file.text.contains(&format!("`{name}`"));
    for package in packages.iter().filter(|package| !is_named(&package.name)) {
        let what = format!("`{}` is not named", package.name);
        findings.push(Finding::new(DOCUMENT, 1, what, "Say in a sentence what the crate is."));
    }
    findings
}

/// What stands between single backticks.
pub(super) fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The path from the root that a token means, if it means one.
fn path(token: &str) -> Option<String> {
    if token.contains(['<', '*', ' ', '{', '$']) {
        return None;
    }
    if token.starts_with("openshell-") && token.contains('/') {
        return Some(format!("crates/{token}"));
    }
    if token.ends_with(".proto") && !token.contains('/') {
        return Some(format!("proto/{token}"));
    }
    FOLDERS.iter().any(|folder| token.starts_with(folder)).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::floors::Package;
    use crate::tidy::tree::tree_of;

    fn whats(text: &str) -> Vec<String> {
        let package = Package {
            name: "openshell-a".into(),
            manifest: "crates/openshell-a/Cargo.toml".into(),
            floor: Some(0),
            dependencies: Vec::new(),
            programs: vec!["openshell-gateway".into()],
        };
        let files = [("docs/architecture.md", text), ("crates/openshell-a/src/x.rs", ""), ("proto/log.proto", "")];
        check(&tree_of(&files).1, &[package]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn what_is_named_exists() {
        let good =
            "`openshell-a`, `openshell-gateway`, `openshell-a/src/x.rs`, `log.proto`, `proto/`, planned: openshell-b";
        assert!(whats(good).is_empty());
        assert_eq!(whats("`openshell-a` `openshell-a/src/y.rs`"), ["`openshell-a/src/y.rs` does not exist"]);
        assert_eq!(whats("`openshell-a` `sync.proto`"), ["`sync.proto` does not exist"]);
        assert_eq!(whats("`openshell-a` `deploy/x`"), ["`deploy/x` does not exist"]);
        assert_eq!(whats("`openshell-a` `openshell-b`"), ["`openshell-b` is no crate or program of the workspace"]);
        assert!(whats("`openshell-a` `openshell-a/src/<noun>.rs` `openshell.v1`").is_empty());
    }

    #[test]
    fn every_crate_is_named_and_the_document_exists() {
        assert_eq!(whats("nothing"), ["`openshell-a` is not named"]);
        assert_eq!(check(&tree_of(&[("LICENSE", "")]).1, &[]).len(), 1);
    }
}
