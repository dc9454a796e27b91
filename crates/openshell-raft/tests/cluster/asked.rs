//! What nodes ask each other beyond Raft: calls that are passed on, and log lines.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use openshell_proto::log::{Reply, reply};
use openshell_proto::peer::{
    ChangedKeys, ForwardRequest, ForwardResponse, LogLine, LogLines, Presence, ReadChangedKeysRequest, ReadLogsRequest,
    ReadPresenceRequest, ReadSessionsRequest, SandboxSession, Sessions, forward_response,
};
use openshell_raft::CallHandler;
use tokio::time::timeout;

use crate::harness::{Nodes, PATIENCE, soon};

/// Says what it is asked.
pub(crate) struct Echo;

impl CallHandler for Echo {
    fn handle(&self, request: ForwardRequest) -> BoxFuture<'_, ForwardResponse> {
        let reply = Reply { outcome: Some(reply::Outcome::Message(request.request)) };
        let outcome = forward_response::Outcome::Answered as i32;
        Box::pin(async move { ForwardResponse { outcome, reply: Some(reply), ..ForwardResponse::default() } })
    }

    fn read_logs(&self, request: &ReadLogsRequest) -> LogLines {
        let line = LogLine { time_ms: 1, line: request.sandbox_id.clone().into_bytes() };
        LogLines { lines: vec![line], ..LogLines::default() }
    }

    fn follow_logs(&self, request: &ReadLogsRequest) -> BoxStream<'static, LogLines> {
        let lines = self.read_logs(request);
        async move { lines }.into_stream().chain(stream::pending()).boxed()
    }

    fn read_sessions(&self, request: &ReadSessionsRequest) -> Sessions {
        let session = |id: &String| SandboxSession { sandbox_id: id.clone(), ..SandboxSession::default() };
        Sessions { sessions: request.sandbox_ids.iter().map(session).collect() }
    }

    fn read_presence(&self, request: &ReadPresenceRequest) -> Presence {
        Presence { life: request.life, generation: request.generation, unchanged: true, ..Presence::default() }
    }

    fn read_changed_keys(&self, request: &ReadChangedKeysRequest) -> BoxFuture<'_, Result<ChangedKeys, String>> {
        let said = match request.revision {
            0 => Err("the disk is broken".to_owned()),
            revision => Ok(ChangedKeys { floor: revision, ..ChangedKeys::default() }),
        };
        Box::pin(async move { said })
    }
}

fn asked(sandbox: &str) -> ReadLogsRequest {
    ReadLogsRequest { sandbox_id: sandbox.to_owned(), ..ReadLogsRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_asked_of_one_node_for_as_long_as_it_is_there() {
    let mut nodes = Nodes::formed(2).await;
    let early = nodes.node(1).read_logs(2, asked("box"), soon()).await.expect_err("nobody answers yet");
    assert!(early.contains("is starting"), "{early}");
    nodes.node(2).set_call_handler(Arc::new(Echo));
    let lines = nodes.node(1).read_logs(2, asked("box"), soon()).await.expect("an answer");
    assert_eq!(lines.lines[0].line, b"box");
    let mut lines = nodes.node(1).follow_logs(2, asked("box")).await.expect("a stream");
    assert_eq!(lines.next().await.expect("at once").expect("an answer").lines[0].line, b"box");
    assert!(nodes.node(1).read_logs(9, asked("box"), soon()).await.expect_err("no member").contains("not a member"));
    nodes.stop(2).await;
    let end = timeout(PATIENCE, lines.next()).await.expect("it is noticed");
    assert!(!matches!(end, Some(Ok(_))), "the stream ends with the node");
    nodes.node(1).read_logs(2, asked("box"), soon()).await.expect_err("nobody is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_asked_for_the_sandboxes_that_it_knows() {
    let mut nodes = Nodes::formed(2).await;
    nodes.node(2).set_call_handler(Arc::new(Echo));
    let request = ReadSessionsRequest { sandbox_ids: vec!["box".to_owned()] };
    let sessions = nodes.node(1).read_sessions(2, request.clone(), soon()).await.expect("an answer").sessions;
    assert_eq!(sessions[0].sandbox_id, "box");
    let known = ReadPresenceRequest { life: 3, generation: 4 };
    let presence = nodes.node(1).read_presence(2, known, soon()).await.expect("an answer");
    assert_eq!((presence.life, presence.generation, presence.unchanged), (3, 4, true));
    nodes.node(1).read_presence(9, known, soon()).await.expect_err("no member");
    let revision = |revision| ReadChangedKeysRequest { revision };
    let keys = nodes.node(1).read_changed_keys(2, revision(7), soon()).await.expect("an answer");
    assert_eq!((keys.kept, keys.floor), (false, 7));
    let broken = nodes.node(1).read_changed_keys(2, revision(0), soon()).await.expect_err("it cannot say");
    assert!(broken.contains("the disk is broken"), "{broken}");
    nodes.stop(2).await;
    nodes.node(1).read_sessions(2, request, soon()).await.expect_err("nobody is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_logs_are_followed_over_one_connection_and_let_go_at_once() {
    const FOLLOWED: usize = 1_000;
    let nodes = Nodes::formed(2).await;
    nodes.node(2).set_call_handler(Arc::new(Echo));
    for _ in 0..2 {
        let node = nodes.node(1);
        let following = (0..FOLLOWED).map(|number| async move {
            let name = number.to_string();
            let lines = node.follow_logs(2, asked(&name)).await;
            (name, lines)
        });
        let mut streams = Vec::new();
        for (name, lines) in timeout(PATIENCE, join_all(following)).await.expect("all are open at the same time") {
            let mut lines = lines.expect("a stream");
            assert_eq!(lines.next().await.expect("at once").expect("an answer").lines[0].line, name.as_bytes());
            streams.push(lines);
        }
        drop(streams);
        // Who is left is not taken for an attack.
        let limit = tokio::time::Instant::now() + Duration::from_secs(10);
        nodes.node(1).read_logs(2, asked("box"), limit).await.expect("the connection stands");
    }
}
