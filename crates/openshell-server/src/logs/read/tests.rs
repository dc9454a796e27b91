//! What one answer has of the lines that any node has received.

use std::time::Duration;

use openshell_proto::v1::{GetSandboxLogsResponse, SandboxLogLine};

use super::super::Limits;
use super::super::tests::{LIMIT, Nodes, Reach, line, push};
use super::*;

async fn answer(logs: &Logs, lines: u32, filter: &Filter) -> GetSandboxLogsResponse {
    let answer = logs.last("box", lines, filter, Instant::now() + LIMIT).await.expect("an answer");
    // As a client reads it.
    GetSandboxLogsResponse::decode(&*answer.encode_to_vec()).expect("the wire is the same")
}

fn messages(answer: &GetSandboxLogsResponse) -> Vec<&str> {
    answer.logs.iter().map(|line| line.message.as_str()).collect()
}

#[tokio::test]
async fn sr_51_the_last_lines_are_taken_and_counted_and_then_those_that_fit_are_answered() {
    let nodes = Nodes::new(3, Limits::default());
    for number in 0..9 {
        let level = if number % 2 == 0 { "INFO" } else { "ERROR" }.to_owned();
        let sent = SandboxLogLine { level, source: "mine".to_owned(), ..line(number, &number.to_string()) };
        push(&nodes.keeper(number as u64 % 3 + 1), "box", vec![sent]);
    }
    for node in 1..=3 {
        let logs = nodes.logs(node);
        let all = answer(&logs, 0, &Filter::default()).await;
        assert_eq!(messages(&all), ["0", "1", "2", "3", "4", "5", "6", "7", "8"], "through node {node}");
        assert_eq!((all.buffer_total, all.missing.len()), (9, 0));
        assert!(all.logs.iter().all(|line| line.source == "sandbox" && line.sandbox_id == "box"));
        let errors = answer(&logs, 4, &Filter::read(0, &[], "ERROR").expect("a filter")).await;
        assert_eq!((messages(&errors), errors.buffer_total), (vec!["5", "7"], 4));
        let late = answer(&logs, 0, &Filter::read(7, &["sandbox".to_owned()], "").expect("a filter")).await;
        assert_eq!((messages(&late), late.buffer_total), (vec!["7", "8"], 9));
        let none = answer(&logs, 0, &Filter::read(0, &["gateway".to_owned()], "").expect("a filter")).await;
        assert_eq!((none.logs.len(), none.buffer_total), (0, 9));
    }
}

#[tokio::test]
async fn sr_51_an_answer_has_two_thousand_lines_of_all_nodes_together() {
    let nodes = Nodes::new(3, Limits::default());
    for batch in 0..63 {
        let lines = (batch * 100..batch * 100 + 100).map(|number| line(number, &number.to_string()));
        push(&nodes.keeper(batch as u64 % 3 + 1), "box", lines.collect());
    }
    for asked in [0, 2_000, 9_999, u32::MAX] {
        let answer = answer(&nodes.logs(2), asked, &Filter::default()).await;
        assert_eq!((answer.logs.len(), answer.buffer_total), (2_000, 2_000), "{asked}");
        assert_eq!((answer.logs[0].timestamp_ms, answer.logs[1_999].timestamp_ms), (4_300, 6_299));
    }
}

#[tokio::test]
async fn an_answer_is_never_too_large_for_a_released_client() {
    let nodes = Nodes::new(3, Limits::default());
    for node in 1..=3 {
        for number in 0..40 {
            push(&nodes.keeper(node), "box", vec![line(number, &"x".repeat(50_000))]);
        }
    }
    let answer = answer(&nodes.logs(1), 0, &Filter::default()).await;
    assert!(answer.encoded_len() < 4 * 1024 * 1024, "{}", answer.encoded_len());
    assert!(answer.logs.len() > 50 && answer.logs.iter().all(|line| line.timestamp_ms >= 19), "the newest are there");
}

#[tokio::test]
async fn a_node_that_is_down_or_silent_is_named_and_costs_a_bounded_wait() {
    let nodes = Nodes::new(3, Limits::default());
    push(&nodes.keeper(1), "box", vec![line(1, "here")]);
    nodes.set(2, Reach::Down);
    nodes.set(3, Reach::Silent);
    let begin = Instant::now();
    let answer = answer(&nodes.logs(1), 0, &Filter::default()).await;
    assert!(begin.elapsed() < PEERS_WAIT + Duration::from_secs(5));
    assert_eq!(messages(&answer), ["here"]);
    let missing: Vec<_> = answer.missing.iter().map(|missing| (missing.node, missing.reason.as_str())).collect();
    assert_eq!(missing, [(2, "it is down"), (3, "no answer in time")]);
}
