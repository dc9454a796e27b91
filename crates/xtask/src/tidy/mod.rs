//! `cargo xtask tidy`: what no compiler sees. Each check is a function from the tree (and what cargo knows
//! of it) to findings, and edits nothing. What clippy can check is left to clippy.

mod architecture;
mod dependencies;
mod floors;
mod invariants;
mod licence;
mod links;
mod rules;
mod shipped;
mod sources;
mod tree;
mod words;

use std::fmt;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::output;
use tree::Tree;

/// Something to change: where, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root.
    path: String,
    /// From 1.
    line: usize,
    what: String,
    advice: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, advice: &'static str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), advice }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, advice } = self;
        write!(formatter, "{path}:{line}: {what}\n    {advice}")
    }
}

/// Prints findings; true when there are none.
pub(crate) fn run() -> Result<bool> {
    let cargo = Cargo::new()?;
    let tree = Tree::read(cargo.root())?;
    let packages = floors::packages(&cargo.metadata()?, cargo.root())?;
    let mut findings = findings(&tree, &packages);
    findings.extend(shipped::check(&tree, &shipped::resolved(&cargo, &shipped::SHIPPED)?));
    findings.sort();
    for finding in &findings {
        output::line(&finding.to_string());
    }
    output::line(&format!("tidy: {} files, {} findings", tree.files().len(), findings.len()));
    Ok(findings.is_empty())
}

fn findings(tree: &Tree, packages: &[floors::Package]) -> Vec<Finding> {
    [
        floors::check(packages),
        sources::check(tree),
        words::check(tree),
        licence::check(tree),
        links::check(tree),
        architecture::check(tree, packages),
        invariants::check(tree),
        rules::check(tree),
        dependencies::check(tree, packages),
    ]
    .concat()
}
