//! All checkers together: which are asked, and what their findings come to.

use super::tale::Tale;
use crate::checker::{Expectations, Finding, Findings, Verdict, agree, judge};
use crate::workload::Workload;

#[test]
fn each_workload_brings_its_checkers() {
    let names = |workloads: &[Workload]| {
        let expected = Expectations { workloads: workloads.to_vec(), ..Expectations::default() };
        let findings = judge(&Tale::new().lines, &expected).expect("a history");
        findings.0.into_iter().map(|finding| finding.checker).collect::<Vec<_>>()
    };
    let always = ["certificate", "search", "durability", "last_reads", "digest"];
    let at_the_end = ["raft", "crash", "coverage"];
    assert_eq!(names(&[Workload::Register]), [&always[..], &at_the_end].concat());
    let all = names(&Workload::ALL);
    for checker in ["watch", "dedup", "session", "sync", "composition", "list", "environment", "membership"] {
        assert!(all.iter().any(|name| name == checker), "{checker} of {all:?}");
    }
}

#[test]
fn nothing_and_what_is_undecided_do_not_pass() {
    assert!(!Findings::default().passed());
    let finding = |verdict| Finding { verdict, ..Finding::of("search") };
    let verdict = |verdicts: &[Verdict]| Findings(verdicts.iter().copied().map(finding).collect()).verdict();
    assert_eq!(verdict(&[Verdict::Passed, Verdict::Passed]), Verdict::Passed);
    assert_eq!(verdict(&[Verdict::Passed, Verdict::Unknown]), Verdict::Unknown);
    assert_eq!(verdict(&[Verdict::Violated, Verdict::Unknown]), Verdict::Violated);
}

#[test]
fn findings_read_back_as_they_were_written() {
    let findings = judge(&Tale::new().write("a", 2, "x", 10).lines, &Expectations::default()).expect("a history");
    let text = serde_json::to_string(&findings).expect("findings are JSON");
    assert_eq!(serde_json::from_str::<Findings>(&text).expect("findings"), findings);
}

#[test]
fn a_search_that_contradicts_a_proof_is_broken() {
    let passed = Finding::of("certificate");
    let mut search = Finding::of("search");
    search.violated("a: no order".to_owned());
    agree(&passed, &mut search);
    assert!(search.said.iter().any(|said| said.contains("a checker is broken")), "{search:?}");
}

#[test]
fn a_history_that_contradicts_itself_is_an_error() {
    let tale = Tale::new().read("c", 1, "first", 9);
    assert!(judge(&tale.lines, &Expectations::default()).is_err());
}
