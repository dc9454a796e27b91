//! What the page says, and that nothing on it comes from elsewhere.

use super::*;
use crate::checker::{Evidence, Finding};
use crate::history::{Action, Cell, Cells, Edit, Line as Event, Outcome, Stage};
use crate::report;
use crate::scoreboard::{Measured, Targets};
use crate::workload::Workload;

const HOSTILE: &str = "<script>alert('&')</script>";

fn invoke(operation: u64, action: Action) -> Event {
    let (process, time_ns) = (operation, operation * 1_000_000_000);
    Event::Invoke { operation, process, time_ns, node: 1, workload: Workload::Register, action }
}

fn returned(operation: u64, outcome: Outcome) -> Event {
    Event::Return { operation, time_ns: operation * 1_000_000_000 + 5_000_000, outcome, at: None, attempts: 1 }
}

/// A write, a stale read, and a write that takes two seconds longer; a fault that was felt, and one that was not.
fn lines() -> Vec<Event> {
    let fault = |time_ns, number, kind: &str, stage, said: &str| {
        let (kind, said) = (kind.to_owned(), said.to_owned());
        Event::Fault { time_ns, number, kind, nodes: vec![2], stage, said }
    };
    let key = || "k".to_owned();
    let write = |on| Action::Write { edits: vec![Edit::Replace { key: key(), on, value: HOSTILE.to_owned() }] };
    let done = |version| Outcome::Done { versions: [(key(), version)].into() };
    vec![
        Event::Object {
            object: key(),
            workload: Workload::Register,
            keys: vec![key()],
            cells: [(key(), Cell { version: 1, value: "first".to_owned() })].into(),
        },
        invoke(0, write(1)),
        returned(0, done(2)),
        fault(800_000_000, 0, "kill", Stage::Installed, ""),
        invoke(1, Action::Read { keys: vec![key()] }),
        returned(1, Outcome::Found { cells: [(key(), Cell { version: 1, value: "first".to_owned() })].into() }),
        fault(2_000_000_000, 0, "kill", Stage::Healed, ""),
        fault(2_100_000_000, 1, "clock", Stage::Skipped, HOSTILE),
        invoke(3, write(2)),
        returned(3, done(3)),
        Event::Raft { time_ns: 0, node: 1, process: 9, term: 4, saved: 4, leader: 1, committed: 1, applied: 1 },
    ]
}

fn findings() -> Findings {
    let mut search = Finding::of("search");
    search.violated(format!("k: {HOSTILE}"));
    search.count("operations", 3);
    search.evidence.push(Evidence { object: "k".to_owned(), operations: vec![0, 1], order: vec![0], blocked: Some(1) });
    Findings(vec![search, Finding::of("durability")])
}

fn passed() -> Option<Findings> {
    Some(Findings(vec![Finding::of("search")]))
}

fn page_of(findings: Option<Findings>, lines: &[Event]) -> String {
    page_with(findings, lines, &[], None)
}

fn page_with(
    findings: Option<Findings>,
    lines: &[Event],
    measured: &[Measured],
    outcome: Option<report::Outcome>,
) -> String {
    let story = Story::of(lines).expect("a history");
    let facts = vec![("seed".to_owned(), "7".to_owned()), ("said".to_owned(), HOSTILE.to_owned())];
    page(&Content {
        title: "run <7>".to_owned(),
        facts,
        story: &story,
        findings,
        outcome,
        board: Board::of(measured, Targets::Ci),
        replay: "openshell-jepsen run --plan 'a&b'/plan.json".to_owned(),
    })
}

#[test]
fn the_page_needs_nothing_else_and_holds_no_tag_that_a_run_said() {
    let page = page_of(Some(findings()), &lines());
    assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http") && !elsewhere.contains("src=") && !elsewhere.contains("url("), "{page}");
    assert!(
        page.contains("<title>run &lt;7&gt;</title>") && page.contains("--plan &#39;a&amp;b&#39;/plan.json"),
        "{page}"
    );
}

#[test]
fn the_verdict_stands_first_and_unknown_is_no_pass() {
    let verdict = |findings| {
        let page = page_of(findings, &lines());
        page.split("class=\"verdict ")
            .nth(1)
            .and_then(|rest| rest.split(':').next())
            .map(str::to_owned)
            .expect("a verdict")
    };
    assert_eq!(verdict(Some(findings())), "bad\">FAIL");
    assert_eq!(verdict(passed()), "good\">PASS");
    let mut doubt = Finding::of("search");
    doubt.unknown("too long".to_owned());
    assert_eq!(verdict(Some(Findings(vec![doubt]))), "doubt\">UNKNOWN");
    assert_eq!(verdict(Some(Findings::default())), "doubt\">UNKNOWN", "nothing was checked");
    assert_eq!(verdict(None), "doubt\">NOT JUDGED");
}

#[test]
fn what_was_not_measured_stands_on_the_page() {
    let page = page_of(Some(findings()), &lines());
    for standing in ["MISSING: nobody measured it", "NOT THERE: there is one release"] {
        assert!(page.contains(&format!("<td>{standing}</td>")), "{standing}");
    }
}

#[test]
fn a_loss_that_was_measured_is_part_of_the_verdict() {
    let lost = Measured {
        row: "2.kill-all".to_owned(),
        value: Some(1.0),
        unit: "rounds".to_owned(),
        samples: 40,
        ..Measured::default()
    };
    let page = page_with(passed(), &lines(), &[lost], None);
    assert!(page.contains("class=\"verdict bad\">FAIL"), "{page}");
}

#[test]
fn a_measurement_that_did_not_come_about_leaves_no_pass() {
    let page = page_with(passed(), &lines(), &[], Some(report::Outcome::NotJudged));
    assert!(page.contains("class=\"verdict doubt\">NOT JUDGED"));
}

#[test]
fn a_measurement_that_lost_something_fails_the_page_though_its_figure_is_within_its_limit() {
    let mute = Measured {
        row: "7.silent".to_owned(),
        value: Some(0.0),
        unit: "injections".to_owned(),
        samples: 120,
        ..Measured::default()
    };
    let page = |outcome| page_with(passed(), &lines(), std::slice::from_ref(&mute), outcome);
    assert!(page(None).contains("class=\"verdict doubt\">UNKNOWN"), "the figure alone is a doubt");
    assert!(page(Some(report::Outcome::Violated)).contains("class=\"verdict bad\">FAIL"));
    let others = page(Some(report::Outcome::Passed));
    assert!(others.contains("class=\"verdict good\">PASS"), "figures of several folders are no verdict on one of them");
}

#[test]
fn a_violation_is_drawn_with_its_reason() {
    let page = page_of(Some(findings()), &lines());
    assert!(
        page.contains("class=\"call blocking\"") && page.contains("saw 1 &quot;first&quot;, where there is 2"),
        "{page}"
    );
    let mut other = findings();
    other.0[0].evidence[0].object = "m".to_owned();
    assert!(page_of(Some(other), &lines()).contains("the history has no m"));
}

#[test]
fn gaps_faults_and_leaders_are_listed() {
    let page = page_of(Some(findings()), &lines());
    assert!(page.contains("<tr><td>3</td><td>0.005</td><td>3.005</td><td>kill 2</td></tr>"), "{page}");
    assert!(page.contains("<tr><td>kill</td><td>1</td><td>0</td><td>0</td><td></td></tr>"), "{page}");
    assert!(page.contains("<tr><td>clock</td><td>0</td><td>1</td><td>0</td><td>1 times: &lt;script&gt;"), "{page}");
    assert!(page.contains("node 1 leads in term 4"), "{page}");
}

#[test]
fn a_history_without_anything_has_a_page_too() {
    let page = page_of(None, &[]);
    assert!(page.contains("The history does not say who led.") && page.contains("None that a search found."), "{page}");
    let object =
        Event::Object { object: "k".to_owned(), workload: Workload::Register, keys: Vec::new(), cells: Cells::new() };
    assert!(page_of(None, &[object, invoke(0, Action::Read { keys: Vec::new() })]).ends_with("</html>\n"));
}
