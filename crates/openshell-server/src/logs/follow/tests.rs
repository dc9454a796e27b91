//! What a reader of one node is shown of the lines that any node receives.

use openshell_proto::v1::SandboxLogLine;
use tonic::Code;

use super::super::Limits;
use super::super::tests::{LIMIT, Nodes, Reach, line, push};
use super::*;

fn asked(lines: u32) -> WatchSandboxRequest {
    WatchSandboxRequest { id: "box".to_owned(), log_tail_lines: lines, ..WatchSandboxRequest::default() }
}

fn numbered(numbers: std::ops::Range<i64>) -> Vec<SandboxLogLine> {
    numbers.map(|number| line(number, &number.to_string())).collect()
}

async fn next(follow: &mut Follow) -> Result<Said, Status> {
    tokio::time::timeout(LIMIT, follow.next()).await.expect("something in time")
}

/// The next lines.
async fn lines(follow: &mut Follow, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match next(follow).await.expect("it goes on") {
            Said::Line(line) => texts.push(line.message),
            Said::Warning(text) => panic!("a line is expected: {text}"),
        }
    }
    texts
}

/// The next word about lines.
async fn warning(follow: &mut Follow) -> String {
    match next(follow).await.expect("it goes on") {
        Said::Line(line) => panic!("a word is expected: {}", line.message),
        Said::Warning(text) => text,
    }
}

#[tokio::test]
async fn sr_46_the_last_lines_of_all_nodes_come_first_by_their_time_then_each_line_as_it_comes_once() {
    let nodes = Nodes::new(3, Limits::default());
    for number in 0..12 {
        push(&nodes.keeper(number % 3 + 1), "box", numbered(number as i64..number as i64 + 1));
    }
    for node in 1..=3 {
        let mut follow = nodes.logs(node).follow(&asked(5)).expect("it begins");
        assert_eq!(lines(&mut follow, 5).await, ["7", "8", "9", "10", "11"], "through node {node}");
        for (at, receiver) in (20..).zip([1, 2, 3, 1]) {
            push(&nodes.keeper(receiver), "box", numbered(at..at + 1));
            assert_eq!(lines(&mut follow, 1).await, [at.to_string()], "through node {node}");
        }
        for receiver in 1..=3 {
            assert!(nodes.keeper(receiver).gauges().queued_bytes == 0, "nothing is left");
        }
        nodes.restart(1);
        nodes.restart(2);
        nodes.restart(3);
        for number in 0..12 {
            push(&nodes.keeper(number % 3 + 1), "box", numbered(number as i64..number as i64 + 1));
        }
    }
}

#[tokio::test]
async fn sr_46_two_hundred_lines_come_first_when_nobody_says_how_many() {
    let nodes = Nodes::new(1, Limits::default());
    for hundred in 0..5 {
        push(&nodes.keeper(1), "box", numbered(hundred * 100..hundred * 100 + 100));
    }
    push(&nodes.keeper(1), "box", numbered(500..501));
    let mut follow = nodes.logs(1).follow(&asked(0)).expect("it begins");
    assert_eq!(lines(&mut follow, 200).await.first().expect("200"), "301");
}

#[tokio::test]
async fn a_node_that_is_down_is_named_and_what_it_still_has_follows_when_it_is_back() {
    let nodes = Nodes::new(2, Limits::default());
    push(&nodes.keeper(1), "box", numbered(1..2));
    push(&nodes.keeper(2), "box", numbered(0..1));
    nodes.set(2, Reach::Down);
    let mut follow = nodes.logs(1).follow(&asked(5)).expect("it begins");
    assert_eq!(lines(&mut follow, 1).await, ["1"]);
    assert_eq!(warning(&mut follow).await, "lines that node 2 has received are missing: it is down");
    nodes.set(2, Reach::Up);
    assert!(warning(&mut follow).await.contains("node 2 answers again"));
    assert_eq!(lines(&mut follow, 1).await, ["0"]);
    // A connection that breaks loses nothing, and repeats nothing.
    push(&nodes.keeper(2), "box", numbered(2..3));
    assert_eq!(lines(&mut follow, 1).await, ["2"]);
    nodes.set(2, Reach::Down);
    assert!(warning(&mut follow).await.contains("the connection broke"));
    push(&nodes.keeper(2), "box", numbered(3..5));
    nodes.set(2, Reach::Up);
    assert!(warning(&mut follow).await.contains("node 2 answers again"));
    assert_eq!(lines(&mut follow, 2).await, ["3", "4"]);
}

#[tokio::test]
async fn a_node_that_was_started_again_tells_all_that_it_has_received_since() {
    let nodes = Nodes::new(2, Limits::default());
    push(&nodes.keeper(2), "box", numbered(0..2));
    let mut follow = nodes.logs(1).follow(&asked(5)).expect("it begins");
    assert_eq!(lines(&mut follow, 2).await, ["0", "1"]);
    nodes.set(2, Reach::Down);
    assert!(warning(&mut follow).await.contains("missing"));
    nodes.restart(2);
    push(&nodes.keeper(2), "box", numbered(5..6));
    assert!(warning(&mut follow).await.contains("node 2 answers again"));
    assert_eq!(lines(&mut follow, 1).await, ["5"]);
}

#[tokio::test]
async fn a_node_that_is_silent_is_not_waited_for_and_its_lines_come_late() {
    let nodes = Nodes::new(2, Limits::default());
    push(&nodes.keeper(1), "box", numbered(1..2));
    push(&nodes.keeper(2), "box", numbered(0..1));
    nodes.set(2, Reach::Silent);
    let begin = Instant::now();
    let mut follow = nodes.logs(1).follow(&asked(5)).expect("it begins");
    assert_eq!(lines(&mut follow, 1).await, ["1"]);
    assert!(begin.elapsed() >= PEERS_WAIT, "it had its time");
    assert!(warning(&mut follow).await.contains("node 2 has not said in time"));
    nodes.set(2, Reach::Up);
    assert_eq!(lines(&mut follow, 1).await, ["0"]);
}

#[tokio::test]
async fn sr_49_a_reader_that_does_not_read_is_cut_off_and_told_how_much_it_missed() {
    let nodes = Nodes::new(2, Limits { queue_lines: 50, ..Limits::default() });
    let mut follow = nodes.logs(1).follow(&asked(5)).expect("it begins");
    push(&nodes.keeper(1), "box", numbered(0..1));
    assert_eq!(lines(&mut follow, 1).await, ["0"]);
    for receiver in [1, 1, 2] {
        push(&nodes.keeper(receiver), "box", numbered(0..40));
    }
    let status = next(&mut follow).await.err().expect("what waited was dropped");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let dropped: u64 = status.message().split(' ').find_map(|word| word.parse().ok()).expect("a number");
    assert!((80..=120).contains(&dropped), "{status}");
    assert_eq!(nodes.keeper(1).gauges().queued_bytes, 0);
}

#[tokio::test]
async fn a_node_has_room_for_so_many_who_follow() {
    let nodes = Nodes::new(1, Limits { followers: 1, ..Limits::default() });
    let first = nodes.logs(1).follow(&asked(5)).map_err(drop).expect("there is room");
    assert_eq!(nodes.logs(1).follow(&asked(5)).err().expect("there is none").code(), Code::ResourceExhausted);
    drop(first);
    assert!(nodes.logs(1).follow(&asked(5)).is_ok());
}
