//! What is shipped cannot be told to fail: built by the command that the documents give, the programs have none of
//! `openshell-chaos`. Cargo itself is asked, since it is Cargo that unites features.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::Finding;
use super::tree::Tree;
use crate::cargo::Cargo;

/// How the shipped programs are built. A build of the whole workspace has the faults that `jepsen` plants.
const BUILD: &str = "cargo build --release -p openshell-server -p openshell-cli";
/// What people ship.
pub(super) const SHIPPED: [&str; 6] = ["-p", "openshell-server", "-p", "openshell-cli", "-p", "openshell-sync"];
const MANIFEST: &str = "crates/openshell-chaos/Cargo.toml";

/// Every package that a build of these takes, a line each: name, version, place, `|`, features.
pub(super) fn resolved(cargo: &Cargo, packages: &[&str]) -> Result<String> {
    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}|{f}"];
    let output = cargo.command(&[&tree[..], packages].concat()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo tree could not be started")?;
    if !output.status.success() {
        bail!("cargo tree failed with {}", output.status);
    }
    String::from_utf8(output.stdout).context("cargo tree did not answer with text")
}

pub(super) fn check(tree: &Tree, resolved: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    match features(resolved) {
        Some("") => {}
        Some(features) => {
            let what = format!("the shipped programs are built with its feature {features}");
            let advice = "Only openshell-jepsen names it; no shipped package may depend on that.";
            findings.push(Finding::new(MANIFEST, 1, what, advice));
        }
        None => {
            let advice = "Where the faults are has moved: tell this check.";
            findings.push(Finding::new(MANIFEST, 1, "the shipped programs do not depend on it", advice));
        }
    }
    let documents = tree.files().iter().filter(|file| file.path == "README.md" || file.path.starts_with("deploy/"));
    for file in documents {
        for (number, line) in file.lines() {
            if line.contains("cargo build") && line.trim() != BUILD {
                let what = format!("what people use is built otherwise than by `{BUILD}`");
                let advice = "A build of the whole workspace can be told to fail: it is for tests.";
                findings.push(Finding::new(&file.path, number, what, advice));
            }
        }
    }
    findings
}

/// The features that the crate of the faults is built with.
fn features(resolved: &str) -> Option<&str> {
    let line = resolved.lines().find(|line| line.starts_with("openshell-chaos v"))?;
    // A package that stands in the list for a second time has a mark behind its features.
    line.split_once('|').map(|(_, features)| features.trim_end_matches("(*)").trim())
}

#[cfg(test)]
mod tests {
    use super::{BUILD, SHIPPED, check, features, resolved};
    use crate::cargo::Cargo;
    use crate::tidy::tree::tree_of;

    const WITHOUT: &str = "openshell-server v0.1.0 (/r/x)|\nopenshell-chaos v0.1.0 (/r/y)| (*)\n";

    #[test]
    fn what_is_shipped_has_no_planted_faults_and_a_build_of_everything_has() {
        let cargo = Cargo::new().unwrap();
        assert_eq!(features(&resolved(&cargo, &SHIPPED).unwrap()), Some(""));
        assert_eq!(features(&resolved(&cargo, &["--workspace"]).unwrap()), Some("chaos"));
    }

    #[test]
    fn a_feature_that_reached_the_shipped_programs_is_found() {
        let (_folder, tree) = tree_of(&[]);
        assert_eq!(check(&tree, WITHOUT), []);
        let with = WITHOUT.replace("| (*)", "|chaos");
        assert!(check(&tree, &with)[0].what.contains("feature chaos"));
        assert!(check(&tree, "openshell-server v0.1.0 (/r/x)|\n")[0].what.contains("do not depend"));
    }

    #[test]
    fn documents_build_what_is_shipped_and_not_everything() {
        let found = |text: &str| check(&tree_of(&[("deploy/README.md", text)]).1, WITHOUT).len();
        assert_eq!(found(&format!("    {BUILD}\n")), 0);
        assert_eq!(found("    cargo build --release --workspace\n"), 1);
        assert_eq!(check(&tree_of(&[("docs/x.md", "cargo build --workspace")]).1, WITHOUT), []);
    }
}
