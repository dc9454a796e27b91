//! What is said of a sandbox by what nodes know of it.

use super::*;

const REVISION: u64 = 100;

fn asked() -> Asked {
    Asked { revision: REVISION, stale_after_ms: 10_000, rows: 10, reason_bytes: 1_000 }
}

/// A stream that goes on and was heard of just now.
fn stream(sent_revision: u64, applied_revision: u64) -> SandboxSession {
    SandboxSession {
        open: true,
        opened_ms: Some(60_000),
        heard_ms: Some(1_000),
        sent_revision,
        applied_revision,
        ..SandboxSession::default()
    }
}

fn ended(heard_ms: u64, session: SandboxSession) -> SandboxSession {
    SandboxSession { open: false, heard_ms: Some(heard_ms), ..session }
}

fn failed(failed_revision: u64, session: SandboxSession) -> SandboxSession {
    SandboxSession { failed_revision, failure: "no".to_owned(), ..session }
}

fn polled(polled_ms: u64, polled_revision: u64) -> SandboxSession {
    SandboxSession { polled_ms: Some(polled_ms), polled_revision, ..SandboxSession::default() }
}

fn target(name: &str, is_ready: bool) -> Target {
    Target { workspace: "w".to_owned(), name: name.to_owned(), id: name.to_owned(), is_ready }
}

/// The row of a sandbox of which nodes 1, 2, ... know this.
fn row_of(is_ready: bool, sessions: Vec<SandboxSession>) -> RolloutRow {
    let parts = (1..).zip(sessions).map(|(node, session)| Part { node, session }).collect();
    row(target("box", is_ready), &BTreeMap::from([("box".to_owned(), parts)]), &asked())
}

#[track_caller]
fn check(sessions: Vec<SandboxSession>, state: RolloutState, node: u64) {
    check_when(false, sessions, state, node);
}

#[track_caller]
fn check_when(is_ready: bool, sessions: Vec<SandboxSession>, state: RolloutState, node: u64) {
    let row = row_of(is_ready, sessions);
    assert_eq!((row.state(), row.node), (state, node));
}

#[test]
fn a_sandbox_is_as_far_as_its_newest_stream_says() {
    check(vec![stream(90, 90)], RolloutState::Pending, 1);
    check(vec![stream(100, 90)], RolloutState::Sent, 1);
    check(vec![stream(105, 100)], RolloutState::Applied, 1);
    check(vec![failed(100, stream(100, 90))], RolloutState::Failed, 1);
    check(vec![failed(99, stream(99, 90))], RolloutState::Pending, 1);
    check(vec![failed(110, stream(110, 105))], RolloutState::Applied, 1);
    assert_eq!(row_of(false, vec![failed(100, stream(100, 90))]).reason, "no");
    // It went from node 1 to node 2.
    check(vec![ended(500, stream(90, 90)), stream(100, 90)], RolloutState::Sent, 2);
    let late = SandboxSession { opened_ms: Some(5), ..stream(100, 0) };
    check(vec![stream(90, 90), late], RolloutState::Sent, 2);
    // It failed at what it had, or after it began anew.
    check(vec![failed(105, stream(105, 105))], RolloutState::Failed, 1);
    check(vec![ended(500, stream(100, 100)), failed(110, stream(110, 0))], RolloutState::Failed, 2);
    check(vec![ended(500, failed(100, stream(100, 0))), stream(100, 100)], RolloutState::Applied, 2);
    check(vec![failed(110, ended(500, stream(110, 90))), stream(105, 105)], RolloutState::Applied, 2);
    // It had applied it there already, and may have begun anew here: it counts when it says so.
    check(vec![ended(500, stream(100, 100)), stream(0, 0)], RolloutState::Pending, 2);
    check(vec![ended(500, stream(100, 100)), stream(100, 0)], RolloutState::Sent, 2);
    check(vec![ended(500, stream(100, 100)), stream(0, 100)], RolloutState::Applied, 2);
    assert_eq!(row_of(false, vec![ended(500, stream(100, 100)), stream(100, 0)]).applied_revision, 0);
}

#[test]
fn who_was_not_heard_of_is_stale_as_long_as_its_record_is_ready_and_absent_after() {
    check(vec![ended(9_000, stream(90, 90))], RolloutState::Pending, 1);
    check_when(true, vec![ended(11_000, stream(90, 90))], RolloutState::Stale, 1);
    check(vec![ended(11_000, stream(90, 90))], RolloutState::Absent, 1);
    assert_eq!(row_of(false, vec![ended(11_000, stream(90, 90))]).last_seen_ms, Some(11_000), "it was there once");
    check(vec![], RolloutState::Absent, 0);
    assert_eq!(row_of(true, vec![]).state(), RolloutState::Stale, "the node that had it is gone");
    check(vec![ended(11_000, stream(100, 100))], RolloutState::Applied, 1);
}

#[test]
fn a_stream_that_goes_on_says_nothing_of_a_sandbox_that_does_not() {
    let silent = |session| SandboxSession { heard_ms: Some(11_000), ..session };
    check_when(true, vec![silent(stream(90, 90))], RolloutState::Stale, 1);
    check(vec![silent(stream(90, 90))], RolloutState::Absent, 1);
    check_when(true, vec![silent(failed(100, stream(100, 90)))], RolloutState::Stale, 1);
    check(vec![silent(stream(100, 100))], RolloutState::Applied, 1);
    // It was cut off from node 1, went to node 2, and is on its way from there.
    check(vec![silent(stream(90, 90)), ended(500, stream(100, 90))], RolloutState::Sent, 2);
    let row = row_of(true, vec![silent(stream(90, 90)), ended(12_000, stream(100, 90))]);
    assert_eq!((row.state(), row.node, row.last_seen_ms), (RolloutState::Stale, 1, Some(11_000)));
}

#[test]
fn who_polls_is_unsupported_and_shown_with_what_it_got() {
    check(vec![polled(9_000, 90)], RolloutState::Unsupported, 1);
    check(vec![polled(29_000, 100), ended(60_000, stream(90, 90))], RolloutState::Unsupported, 1);
    check(vec![polled(31_000, 90)], RolloutState::Absent, 1);
    let row = row_of(false, vec![polled(20_000, 80), polled(1_000, 100)]);
    assert_eq!((row.node, row.fetched_revision, row.last_seen_ms), (2, 100, Some(1_000)));
    // Long after its last stream it was polling, and does no more.
    let row = row_of(true, vec![ended(60_000, stream(90, 90)), polled(31_000, 95)]);
    assert_eq!((row.state(), row.node, row.last_seen_ms), (RolloutState::Stale, 2, Some(31_000)));
    // A stream says more than a poll.
    check(vec![polled(9_000, 100), stream(90, 90)], RolloutState::Pending, 2);
}

#[test]
fn counts_are_whole_and_those_who_lag_come_first() {
    let known = [
        ("applied", stream(100, 100)),
        ("sent", stream(100, 0)),
        ("failed", failed(100, stream(100, 0))),
        ("fetched", polled(1, 100)),
        ("behind", polled(1, 99)),
        ("stale", ended(11_000, stream(0, 0))),
    ];
    let targets = known.iter().map(|(name, _)| target(name, *name == "stale"));
    let targets = targets.chain([target("absent", false)]).collect();
    let part = |session| vec![Part { node: 1, session }];
    let parts = known.into_iter().map(|(name, session)| (name.to_owned(), part(session))).collect();
    let (counts, rows) = rows(targets, &parts, &Asked { rows: 4, reason_bytes: 1, ..asked() });
    let expected = RolloutCounts {
        affected: 7,
        pending: 0,
        sent: 1,
        applied: 1,
        failed: 1,
        stale: 1,
        unsupported: 2,
        absent: 1,
        unsupported_fetched: 1,
    };
    assert_eq!(counts, expected);
    let names: Vec<&str> = rows.iter().map(|row| row.sandbox.as_str()).collect();
    assert_eq!(names, ["failed", "stale", "sent", "behind"]);
    assert_eq!(rows[0].reason, "n", "reasons have their bound");
}
