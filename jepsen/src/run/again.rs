//! Judging a history that a run left. What no history shows, such as whether the nodes came back, stands in other files
//! of the run's folder: without them the verdict is about less, and says so.

use std::path::Path;

use super::leak::is_asked_for;
use super::scenario::workloads_of;
use crate::checker::{self, Expectations, Finding, Findings, leak};
use crate::history::Line;
use crate::report;

/// Those of a run that are made beside its history.
const BESIDE: [&str; 4] = ["recovery", "faults", "safe", leak::NAME];
/// What is said where there is nothing that says what the run was to come to.
const NOTHING_EXPECTED: &str = "which faults had to be felt, how many changes there had to be, whether every node's log was \
    read, and how long writes may be missing";

/// What the checkers of today say about these lines, with what else the run's folder has, and what of a run could not be
/// judged.
///
/// # Errors
/// When the history contradicts itself, or a file of the folder cannot be read.
pub(super) fn judge(lines: &[Line], folder: &Path) -> anyhow::Result<(Findings, Vec<String>)> {
    let mut lacking = Vec::new();
    let expected = expected(folder)?.unwrap_or_else(|why| {
        lacking.push(format!("{NOTHING_EXPECTED}: {why}"));
        Expectations { workloads: workloads_of(lines), ..Expectations::default() }
    });
    let mut findings = checker::judge(lines, &expected)?;
    match report::findings(folder)? {
        Some(of_run) => {
            if is_asked_for(&expected) && of_run.get(leak::NAME).is_none() {
                lacking.push(format!("what {} says: results.json has nothing of it", leak::NAME));
            }
            findings.0.extend(taken_over(of_run, &findings));
        }
        None => lacking.push(format!("what {} say: no results.json is beside the history", BESIDE.join(", "))),
    }
    Ok((findings, lacking))
}

/// What the run was to come to, or why that is not known.
fn expected(folder: &Path) -> anyhow::Result<Result<Expectations, String>> {
    let Some(config) = report::json(folder, "config.json")? else {
        return Ok(Err("no config.json is beside the history".to_owned()));
    };
    let Some(expected) = config.get("expectations") else {
        return Ok(Err("config.json does not say it".to_owned()));
    };
    Ok(serde_json::from_value(expected.clone()).map_err(|error| format!("config.json says it otherwise: {error}")))
}

/// The findings of the run that nobody makes from its history.
fn taken_over(of_run: Findings, judged: &Findings) -> Vec<Finding> {
    let others = of_run.0.into_iter().filter(|finding| judged.get(&finding.checker).is_none());
    let said = |mut finding: Finding| {
        finding.said.insert(0, "as the run found it, from results.json: the history does not show it".to_owned());
        finding
    };
    others.map(said).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::checker::{Required, Verdict};
    use crate::workload::Workload;

    const LINES: [Line; 1] = [Line::Settled { time_ns: 5 }];

    fn write(folder: &Path, name: &str, value: &serde_json::Value) {
        fs::write(folder.join(name), value.to_string()).unwrap();
    }

    #[test]
    fn a_run_that_did_not_recover_has_not_passed_when_it_is_judged_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut recovery = Finding::of("recovery");
        recovery.violated("node 2 is not ready".to_owned());
        write(folder.path(), "results.json", &serde_json::json!({ "findings": [Finding::of("search"), recovery] }));
        let (findings, lacking) = judge(&LINES, folder.path()).unwrap();
        assert_eq!(findings.verdict(), Verdict::Violated);
        let recovery = findings.get("recovery").expect("it is taken over");
        assert!(recovery.said[0].contains("results.json") && recovery.said[1].contains("node 2"), "{recovery:?}");
        let searches = findings.0.iter().filter(|finding| finding.checker == "search").count();
        assert_eq!(searches, 1, "what the history shows is judged, and not taken over");
        assert_eq!(lacking.len(), 1, "{lacking:?}");
        assert!(lacking[0].contains("config.json"), "{lacking:?}");
    }

    #[test]
    fn a_run_that_never_looked_for_its_secrets_is_not_judged_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let of_workload = |workload| Expectations { workloads: vec![workload], ..Expectations::default() };
        let about_leaks = |workload, findings: &[Finding]| {
            write(folder.path(), "config.json", &serde_json::json!({ "expectations": of_workload(workload) }));
            write(folder.path(), "results.json", &serde_json::json!({ "findings": findings }));
            judge(&LINES, folder.path()).unwrap().1.iter().any(|lacks| lacks.contains(leak::NAME))
        };
        assert!(about_leaks(Workload::Environment, &[]));
        assert!(!about_leaks(Workload::Register, &[]), "it gave none");
        assert!(!about_leaks(Workload::Environment, &[Finding::of(leak::NAME)]), "it is taken over");
    }

    #[test]
    fn what_the_run_had_to_come_to_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let required = vec![Required { kind: "kill".to_owned(), least: 1 }];
        let expectations = Expectations { required, ..Expectations::default() };
        write(folder.path(), "config.json", &serde_json::json!({ "seed": 7, "expectations": expectations }));
        let (findings, lacking) = judge(&LINES, folder.path()).unwrap();
        let coverage = findings.get("coverage").expect("it is judged");
        assert!(coverage.said.iter().any(|said| said.contains("kill was felt 0 times")), "{coverage:?}");
        assert_eq!(lacking.len(), 1, "{lacking:?}");
        assert!(lacking[0].contains("recovery"), "{lacking:?}");
    }

    #[test]
    fn a_history_alone_is_judged_and_what_is_missing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (findings, lacking) = judge(&LINES, folder.path()).unwrap();
        assert!(findings.get("recovery").is_none());
        assert_eq!(lacking.len(), 2, "{lacking:?}");
        write(folder.path(), "config.json", &serde_json::json!({ "expectations": { "required": 3 } }));
        let (_, lacking) = judge(&LINES, folder.path()).unwrap();
        assert!(lacking[0].contains("says it otherwise"), "{lacking:?}");
    }
}
