//! The figures that follow from a run: from what the checkers said, and from its history. Those of single measurements are
//! in `rows.json`.

use std::path::Path;

use super::observed::{Observed, observed};
use super::row::Measured;
use crate::checker::{Finding, Findings, Verdict, leak};
use crate::report;

/// Of a folder; none when no run was judged there.
///
/// # Errors
/// When its results or its history cannot be read.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let Some(findings) = report::findings(folder)? else { return Ok(Vec::new()) };
    let seed = report::json(folder, "results.json")?.and_then(|results| results.get("seed")?.as_u64());
    let observed = observed(&report::lines(folder)?);
    Ok(rows(&findings, observed, seed))
}

fn rows(findings: &Findings, observed: Observed, seed: Option<u64>) -> Vec<Measured> {
    let number = |checker: &str, name: &str| findings.number(checker, name);
    let violations: u64 = findings.0.iter().map(violations).sum();
    let operations = observed.operations;
    let stale = findings.get("search").map_or(0, self::violations) + of(findings, "certificate");
    // The whole run counts for nothing unless all of it passed.
    let all = findings.passed();
    let is_good = |checker: &str| findings.get(checker).is_some_and(|finding| finding.verdict == Verdict::Passed);
    let is_ordered = is_good("search") && is_good("certificate");
    let mut rows = Rows { rows: Vec::new(), seed };
    rows.add("1.operations", operations, "operations", operations, all);
    rows.add("1.faults", felt(findings), "faults", felt(findings), all);
    rows.add("1.violations", violations, "operations", operations, all);
    rows.add("1.undecided", number("search", "objects undecided"), "objects", number("search", "objects"), all);
    rows.add("10.stale", stale, "reads", observed.exposed_reads, is_ordered);
    if findings.get("watch").is_some() {
        let (events, changes) = (number("watch", "events"), number("raft", "leader changes"));
        rows.add("11.wrong", of(findings, "watch"), "events", events, is_good("watch"));
        rows.add("11.leader-changes", changes, "changes", changes, is_good("raft"));
    }
    let compared = number("digest", "facts compared between nodes");
    rows.add("12.unequal", of(findings, "digest"), "comparisons", compared, is_good("digest"));
    rows.add("16.leaks", of(findings, leak::NAME), "files", number(leak::NAME, "files"), is_good(leak::NAME));
    rows.add("18.violations", violations, "faults", observed.clock_faults, all);
    rows.rows
}

struct Rows {
    rows: Vec<Measured>,
    seed: Option<u64>,
}

impl Rows {
    /// What rests on nothing was not measured.
    fn add(&mut self, row: &str, value: u64, unit: &str, samples: u64, passed: bool) {
        if samples > 0 {
            self.rows.push(Measured {
                row: row.to_owned(),
                // Counts of a run are far below 2^53.
                value: Some(value as f64),
                unit: unit.to_owned(),
                samples,
                seeds: self.seed.into_iter().collect(),
                passed,
                ..Measured::default()
            });
        }
    }
}

/// How many violations a checker found.
fn violations(finding: &Finding) -> u64 {
    match finding.verdict {
        Verdict::Violated => finding.said.len().max(1) as u64,
        Verdict::Passed | Verdict::Unknown => 0,
    }
}

fn of(findings: &Findings, checker: &str) -> u64 {
    findings.get(checker).map_or(0, violations)
}

/// Faults of all kinds that were felt while calls were answered.
fn felt(findings: &Findings) -> u64 {
    let counts = findings.get("coverage").map(|finding| &finding.counts);
    counts.into_iter().flatten().filter(|(name, _)| name.starts_with("times ")).map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(checker: &str, counts: &[(&str, usize)]) -> Finding {
        let mut finding = Finding::of(checker);
        counts.iter().for_each(|(name, count)| finding.count(name, *count));
        finding
    }

    fn findings() -> Findings {
        Findings(vec![
            finding("search", &[("operations", 50_000), ("objects", 90), ("objects undecided", 0)]),
            finding("certificate", &[]),
            finding("digest", &[("facts compared between nodes", 25)]),
            finding("watch", &[("events", 21_000)]),
            finding("raft", &[("leader changes", 6)]),
            finding("coverage", &[("times kill", 9), ("times pause", 4), ("acknowledged changes", 7)]),
            finding("leak", &[("secrets made", 300), ("files", 60)]),
        ])
    }

    fn row(findings: &Findings, observed: Observed, id: &str) -> Option<(f64, u64, bool)> {
        let rows = rows(findings, observed, Some(7));
        rows.iter().find(|row| row.row == id).map(|row| (row.value.expect("a value"), row.samples, row.passed))
    }

    #[test]
    fn a_good_run_counts_what_it_looked_at() {
        let observed = Observed { operations: 40_000, exposed_reads: 6_000, clock_faults: 3 };
        let of = |id| row(&findings(), observed, id);
        assert_eq!(
            of("1.operations"),
            Some((40_000.0, 40_000, true)),
            "as often as they were asked, not as keys have it"
        );
        assert_eq!(of("1.faults"), Some((13.0, 13, true)));
        assert_eq!(of("1.violations"), Some((0.0, 40_000, true)));
        assert_eq!(of("10.stale"), Some((0.0, 6_000, true)));
        assert_eq!(of("11.wrong"), Some((0.0, 21_000, true)));
        assert_eq!(of("11.leader-changes"), Some((6.0, 6, true)));
        assert_eq!(of("12.unequal"), Some((0.0, 25, true)));
        assert_eq!(of("16.leaks"), Some((0.0, 60, true)));
        assert_eq!(of("18.violations"), Some((0.0, 3, true)));
    }

    #[test]
    fn what_did_not_happen_has_no_row() {
        let without_watch = Findings(findings().0.into_iter().filter(|finding| finding.checker != "watch").collect());
        for id in ["10.stale", "11.wrong", "11.leader-changes", "18.violations"] {
            assert_eq!(row(&without_watch, Observed::default(), id), None, "{id}");
        }
    }

    #[test]
    fn a_violation_or_a_doubt_anywhere_fails_the_first_row() {
        let observed = Observed { operations: 40_000, ..Observed::default() };
        let mut violated = findings();
        violated.0[3].violated("an event is missing".to_owned());
        assert_eq!(row(&violated, observed, "1.violations"), Some((1.0, 40_000, false)));
        assert_eq!(row(&violated, observed, "11.wrong"), Some((1.0, 21_000, false)));
        let mut doubtful = findings();
        doubtful.0[5].unknown("no kill was felt".to_owned());
        assert_eq!(row(&doubtful, observed, "1.operations"), Some((40_000.0, 40_000, false)));
        assert_eq!(row(&doubtful, observed, "12.unequal"), Some((0.0, 25, true)));
    }
}
