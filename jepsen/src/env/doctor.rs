//! `doctor`: what this machine can do, as a table or as JSON. Everything is tried.

use std::fmt::Write;

use clap::ValueEnum;
use serde::Serialize;

use super::{Capability, Machine, facts};

/// How it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// One line.
#[derive(Debug, Serialize)]
struct Finding {
    capability: Capability,
    what: &'static str,
    works: bool,
    /// What was tried, or why it does not work.
    said: String,
}

/// Tries everything, and says what came of it.
///
/// # Errors
/// Never, in truth: what is printed is made of words.
pub(crate) fn doctor(format: Format) -> anyhow::Result<String> {
    let machine = Machine::tried(Capability::ALL);
    let findings = machine.0.iter().map(|(capability, found)| {
        let (works, said) = match found {
            Ok(tried) => (true, tried.clone()),
            Err(why) => (false, why.clone()),
        };
        Finding { capability: *capability, what: capability.what(), works, said }
    });
    let findings: Vec<Finding> = findings.collect();
    let facts = facts();
    match format {
        Format::Table => Ok(table(&findings, &facts)),
        Format::Json => Ok(serde_json::to_string_pretty(&serde_json::json!({
            "machine": facts,
            "rig": rig(&machine),
            "capabilities": findings,
        }))?),
    }
}

fn table(findings: &[Finding], facts: &serde_json::Value) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or_default();
    let mut table = String::new();
    for Finding { what, works, said, .. } in findings {
        let standing = if *works { "works" } else { "NOT HERE" };
        let said = said.lines().next().unwrap_or_default();
        let _ = writeln!(table, "{what:width$}  {standing:<8}  {said}");
    }
    for (name, value) in facts.as_object().into_iter().flatten() {
        let _ = writeln!(table, "{:width$}  {value}", name.replace('_', " "));
    }
    table.trim_end().to_owned()
}

/// The best place for nodes.
fn rig(machine: &Machine) -> &'static str {
    if machine.lacks(&[Capability::Namespaces]).is_none() {
        "namespaces"
    } else if machine.lacks(&[Capability::RootlessNamespaces]).is_none() {
        "rootless namespaces"
    } else {
        "loopback"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_of_each_whether_it_works_and_why_not() {
        let finding =
            |what, works, said: &str| Finding { capability: Capability::Loopback, what, works, said: said.to_owned() };
        let findings = [finding("one", true, "tried"), finding("another", false, "no\nmore")];
        let table = table(&findings, &serde_json::json!({ "cores": 2 }));
        assert_eq!(table, "one      works     tried\nanother  NOT HERE  no\ncores    2");
    }
}
