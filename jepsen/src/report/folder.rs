//! The folder of a run, read for its page. Only the history has to be there: of a run that was cut short there is no more,
//! and its last line may be half a line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::Outcome;
use crate::checker::Findings;
use crate::history::Line;

/// Files whose plain values are facts of the run.
const FACTS: [&str; 3] = ["config.json", "env.json", "results.json"];
const RESULTS: &str = "results.json";
const HISTORY: &str = "history.jsonl";

/// The lines of the folder's history; a last one that was cut is left out.
///
/// # Errors
/// When there is no such file, or a line before the last cannot be read.
pub(crate) fn lines(folder: &Path) -> anyhow::Result<Vec<Line>> {
    lines_of(&folder.join(HISTORY))
}

/// The same of a history in any file.
///
/// # Errors
/// As [`lines`].
pub(crate) fn lines_of(path: &Path) -> anyhow::Result<Vec<Line>> {
    let describe = || format!("reading {}", path.display());
    let file = fs::File::open(path).with_context(describe)?;
    let mut lines = Vec::new();
    let mut cut = None;
    for (index, text) in BufReader::new(file).split(b'\n').enumerate() {
        if let Some(error) = cut {
            return Err(error).with_context(describe);
        }
        let parsed = serde_json::from_slice(&text.with_context(describe)?);
        match parsed.with_context(|| format!("line {}", index + 1)) {
            Ok(line) => lines.push(line),
            Err(error) => cut = Some(error),
        }
    }
    Ok(lines)
}

/// What the checkers said, if the run came to it.
///
/// # Errors
/// When the file is there and holds something else.
pub(crate) fn findings(folder: &Path) -> anyhow::Result<Option<Findings>> {
    let Some(results) = json(folder, RESULTS)? else { return Ok(None) };
    let findings = results.get("findings").context("results without findings")?;
    serde_json::from_value(findings.clone()).map(Some).context("the findings of results.json")
}

/// What the program ended with, if the run came to it. The code says it in folders of every age: in older ones the
/// verdict beside it is that of the checkers alone.
///
/// # Errors
/// When the file is there and holds something else.
pub(super) fn outcome(folder: &Path) -> anyhow::Result<Option<Outcome>> {
    let Some(results) = json(folder, RESULTS)? else { return Ok(None) };
    let Some(code) = results.get("exit_code") else { return Ok(None) };
    code.as_u64().and_then(Outcome::of_exit_code).map(Some).context("the exit code of results.json")
}

/// Names and values of everything plain that the folder's files say about the run.
///
/// # Errors
/// When a file is there and is no JSON.
pub(super) fn facts(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for name in FACTS {
        if let Some(Value::Object(values)) = json(folder, name)? {
            let plain = values.iter().filter_map(|(name, value)| Some((name.replace('_', " "), plain(value)?)));
            for (name, value) in plain {
                if !facts.contains(&(name.clone(), value.clone())) {
                    facts.push((name, value));
                }
            }
        }
    }
    Ok(facts)
}

/// The command that does the same again: the faults are in the plan, and what clients do follows from the seed in it.
///
/// # Errors
/// When `config.json` is there and is no JSON.
pub(super) fn replay(folder: &Path) -> anyhow::Result<String> {
    let config = json(folder, "config.json")?.unwrap_or_default();
    let option = |name: &str, key: &str| {
        let value = plain(&config[key])?.replace(", ", ",");
        Some(format!(" --{name} {value}"))
    };
    let options = |names: &[(&str, &str)]| names.iter().filter_map(|(name, key)| option(name, key)).collect::<String>();
    if config["stale_reads"] == true {
        // This control has a plan of its own.
        let same = options(&[("seed", "seed"), ("seconds", "seconds"), ("nodes", "nodes"), ("workload", "workloads")]);
        return Ok(format!("openshell-jepsen run --stale-reads{same}"));
    }
    let plan = folder.join("plan.json");
    let same = options(&[("workload", "workloads"), ("clients", "clients"), ("hot", "hot")]);
    Ok(format!("openshell-jepsen run --plan '{}'{same}", plan.display()))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(plain).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// A file of the folder, if it is there.
pub(crate) fn json(folder: &Path, name: &str) -> anyhow::Result<Option<Value>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: &str = "{\"type\":\"settled\",\"time_ns\":5}\n";

    #[test]
    fn a_history_that_was_cut_is_read_to_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HISTORY);
        fs::write(&path, format!("{SETTLED}{SETTLED}{{\"type\":\"sett")).unwrap();
        assert_eq!(lines(folder.path()).unwrap(), [Line::Settled { time_ns: 5 }, Line::Settled { time_ns: 5 }]);
        fs::write(&path, format!("{SETTLED}{{\"type\":\"sett\n{SETTLED}")).unwrap();
        let error = format!("{:#}", lines(folder.path()).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
        assert!(lines(&folder.path().join("other")).is_err());
    }

    #[test]
    fn facts_are_what_is_plain_each_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), r#"{"seed":7,"workloads":["register","watch"],"none":null}"#)
            .unwrap();
        fs::write(folder.path().join(RESULTS), r#"{"seed":7,"exit_code":1,"findings":[],"more":{"a":1}}"#).unwrap();
        let facts = facts(folder.path()).unwrap();
        let expected = [("seed", "7"), ("workloads", "register, watch"), ("exit code", "1")];
        assert_eq!(facts, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_same_again_has_the_same_plan_and_the_same_clients() {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.json").display().to_string();
        assert_eq!(replay(folder.path()).unwrap(), format!("openshell-jepsen run --plan '{plan}'"));
        let config = r#"{"seed":7,"nodes":3,"seconds":90,"clients":8,"hot":5,"workloads":["register","watch"]}"#;
        fs::write(folder.path().join("config.json"), config).unwrap();
        let expected = format!("openshell-jepsen run --plan '{plan}' --workload register,watch --clients 8 --hot 5");
        assert_eq!(replay(folder.path()).unwrap(), expected);
        let control = config.replace("\"seed\"", "\"stale_reads\":true,\"seed\"");
        fs::write(folder.path().join("config.json"), control).unwrap();
        let expected = "openshell-jepsen run --stale-reads --seed 7 --seconds 90 --nodes 3 --workload register,watch";
        assert_eq!(replay(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_run_without_results_was_not_judged_and_broken_results_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(findings(folder.path()).unwrap().is_none());
        fs::write(folder.path().join(RESULTS), "{}").unwrap();
        assert!(findings(folder.path()).is_err());
        let text = r#"{"findings":[{"checker":"search","verdict":"violated","said":["k"],"counts":{"operations":3}}]}"#;
        fs::write(folder.path().join(RESULTS), text).unwrap();
        let findings = findings(folder.path()).unwrap().expect("findings");
        assert_eq!(findings.number("search", "operations"), 3);
    }

    #[test]
    fn the_exit_code_says_what_the_program_ended_with_in_older_folders_too() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(outcome(folder.path()).unwrap(), None);
        for (text, expected) in [
            (r#"{"verdict":"passed","findings":[]}"#, None),
            (r#"{"verdict":"passed","exit_code":0,"findings":[]}"#, Some(Outcome::Passed)),
            (r#"{"verdict":"passed","exit_code":1,"findings":[]}"#, Some(Outcome::Violated)),
            (r#"{"verdict":"passed","exit_code":2,"findings":[]}"#, Some(Outcome::Unknown)),
            (r#"{"verdict":"passed","exit_code":3,"findings":[]}"#, Some(Outcome::NotJudged)),
        ] {
            fs::write(folder.path().join(RESULTS), text).unwrap();
            assert_eq!(outcome(folder.path()).unwrap(), expected, "{text}");
        }
        fs::write(folder.path().join(RESULTS), r#"{"exit_code":9}"#).unwrap();
        assert!(outcome(folder.path()).is_err(), "no run ends with 9");
    }
}
