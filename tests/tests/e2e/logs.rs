//! Log lines of sandboxes: pushed to one node, found through any, bounded, and nobody else's.

use std::time::Duration;

use openshell_client::{CallError, CallOptions, Client, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::v1::sandbox_stream_event::Payload;
use openshell_proto::v1::{
    DeleteSandboxRequest, GetSandboxLogsRequest, GetSandboxLogsResponse, SandboxLogLine, SandboxStreamEvent,
    WatchSandboxRequest,
};
use openshell_tests::{
    Api, Cluster, ClusterOptions, CommandLine, Leaks, LogPusher, Scene, eventually, log_line, policy_allowing,
};
use tonic::{Code, Status, Streaming};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;

/// A sandbox that was made in a workspace of its own.
struct Sandbox {
    scene: Scene,
    name: String,
    id: String,
    token: String,
}

impl Sandbox {
    async fn make(cluster: &Cluster, name: &str) -> Self {
        let scene = Scene::open(cluster.api_of_all()).await;
        Self::make_in(scene, name).await
    }

    async fn make_in(scene: Scene, name: &str) -> Self {
        let id = scene.create_sandbox(name, &[], policy_allowing("docs.example.com")).await;
        let request = IssueSandboxTokenRequest { name: name.to_owned(), workspace: scene.workspace.clone() };
        let answer = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
        Self { scene, name: name.to_owned(), id, token: answer.message.token }
    }

    /// A stream of this sandbox to a node.
    async fn pusher(&self, cluster: &Cluster, node: u64) -> LogPusher {
        LogPusher::open(&cluster.gateway(node).endpoint(), Some(&self.token)).await
    }

    /// Pushes lines to a node, which has them when this returns.
    async fn push(&self, cluster: &Cluster, node: u64, lines: Vec<SandboxLogLine>) {
        let pusher = self.pusher(cluster, node).await;
        for batch in lines.chunks(100) {
            pusher.push(&self.id, batch.to_vec()).await;
        }
        pusher.end().await.expect("the lines are taken");
    }

    async fn delete(&self) {
        let request = DeleteSandboxRequest { name: self.name.clone(), workspace: self.scene.workspace.clone() };
        self.scene.api.call(&methods::DELETE_SANDBOX, request).await.expect("deleted");
    }

    /// All lines, through a node that every other one answers in time.
    async fn logs(&self, cluster: &Cluster, node: u64) -> GetSandboxLogsResponse {
        self.logs_lacking(cluster, node, &[]).await
    }

    /// All lines, through a node that every other one answers in time but these.
    async fn logs_lacking(&self, cluster: &Cluster, node: u64, lost: &[u64]) -> GetSandboxLogsResponse {
        let what = format!("an answer of node {node} without the lines of {lost:?}");
        let found = eventually(&what, LIMIT, async || {
            let request = GetSandboxLogsRequest { sandbox_id: self.id.clone(), ..GetSandboxLogsRequest::default() };
            let answer = logs(&cluster.api(node), request).await.expect("an answer");
            answer.missing.iter().map(|missing| missing.node).eq(lost.iter().copied()).then_some(answer)
        });
        found.await.expect("the others answer")
    }

    /// Follows the log through a node, from the first record on.
    async fn follow(&self, cluster: &Cluster, node: u64) -> Streaming<SandboxStreamEvent> {
        let client = Client::new(&cluster.gateway(node).endpoint()).expect("a URL");
        let request = WatchSandboxRequest { id: self.id.clone(), follow_logs: true, ..WatchSandboxRequest::default() };
        let options = CallOptions::linearizable();
        let mut events = client.stream(&methods::WATCH_SANDBOX, request, &options).await.expect("a watch");
        let first = next(&mut events).await.expect("no error").expect("an event");
        assert!(matches!(first.payload, Some(Payload::Sandbox(_))), "{first:?}");
        events
    }
}

async fn logs(api: &Api, request: GetSandboxLogsRequest) -> Result<GetSandboxLogsResponse, Status> {
    match api.linearizable().call(&methods::GET_SANDBOX_LOGS, request).await {
        Ok(answer) => Ok(answer.message),
        Err(CallError::Refused(status)) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

fn numbered(numbers: impl IntoIterator<Item = i64>) -> Vec<SandboxLogLine> {
    numbers.into_iter().map(|number| log_line(number, &format!("line {number}"))).collect()
}

fn times(answer: &GetSandboxLogsResponse) -> Vec<i64> {
    answer.logs.iter().map(|line| line.timestamp_ms).collect()
}

async fn next(events: &mut Streaming<SandboxStreamEvent>) -> Result<Option<SandboxStreamEvent>, Status> {
    tokio::time::timeout(LIMIT, events.message()).await.expect("an event in time")
}

/// The times of the next lines, past warnings, which are returned as well.
async fn lines(events: &mut Streaming<SandboxStreamEvent>, count: usize) -> (Vec<i64>, Vec<String>) {
    let (mut times, mut warnings) = (Vec::new(), Vec::new());
    while times.len() < count {
        match next(events).await.expect("no error").expect("an event").payload {
            Some(Payload::Log(line)) => times.push(line.timestamp_ms),
            Some(Payload::Warning(warning)) => warnings.push(warning.message),
            other => panic!("a line is expected: {other:?}"),
        }
    }
    (times, warnings)
}

async fn metric(cluster: &Cluster, node: u64, name: &str) -> f64 {
    cluster.gateway(node).metric(name).await.unwrap_or_else(|| panic!("node {node} has {name}"))
}

#[tokio::test]
async fn lines_pushed_to_any_node_are_read_through_every_node_each_once_and_change_no_state() {
    let cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let before = cluster.digests_at_rest(LIMIT).await.expect("at rest");
    for node in cluster.ids() {
        let own = (0..90).filter(|number| number % 3 + 1 == node as i64);
        sandbox.push(&cluster, node, numbered(own)).await;
    }
    for node in cluster.ids() {
        let answer = sandbox.logs(&cluster, node).await;
        assert_eq!(times(&answer), (0..90).collect::<Vec<_>>(), "through node {node}");
        assert_eq!((answer.buffer_total, answer.missing.len()), (90, 0));
        assert!(answer.logs.iter().all(|line| line.sandbox_id == sandbox.id && line.source == "sandbox"));
        let request =
            GetSandboxLogsRequest { sandbox_id: sandbox.id.clone(), lines: 5, since_ms: 87, ..Default::default() };
        let last = logs(&cluster.api(node), request).await.expect("an answer");
        assert_eq!((times(&last), last.buffer_total), (vec![87, 88, 89], 5));
    }
    let after = cluster.digests_at_rest(LIMIT).await.expect("at rest");
    assert_eq!(before, after, "nothing of it went through the log");
}

#[tokio::test]
async fn while_a_node_is_killed_the_lines_of_the_others_are_read_and_it_is_named() {
    let mut cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let lost = cluster.followers().await[0];
    let others: Vec<u64> = cluster.ids().filter(|node| *node != lost).collect();
    let (reader, receiver) = (others[0], others[1]);
    sandbox.push(&cluster, lost, numbered([1, 3])).await;
    sandbox.push(&cluster, receiver, numbered([2, 4])).await;
    assert_eq!(times(&sandbox.logs(&cluster, reader).await), [1, 2, 3, 4]);
    let mut events = sandbox.follow(&cluster, reader).await;
    assert_eq!(lines(&mut events, 4).await, (vec![1, 2, 3, 4], vec![]));
    let pusher = sandbox.pusher(&cluster, receiver).await;
    cluster.kill(lost);
    pusher.push(&sandbox.id, numbered([5])).await;
    assert_eq!(lines(&mut events, 1).await.0, [5], "the others go on");
    for node in &others {
        let begin = std::time::Instant::now();
        let answer = sandbox.logs_lacking(&cluster, *node, &[lost]).await;
        assert!(begin.elapsed() < Duration::from_secs(20), "a bounded wait");
        assert_eq!(times(&answer), [2, 4, 5], "through node {node}");
        assert!(!answer.missing[0].reason.is_empty(), "it is said why");
    }
    pusher.end().await.expect("the lines are taken");
    cluster.restart(lost).await;
    // Its memory is new; what reaches it from now on is found again, also by who has followed all the time.
    sandbox.push(&cluster, lost, numbered([6])).await;
    let (times_seen, warnings) = lines(&mut events, 1).await;
    assert_eq!(times_seen, [6]);
    let about = format!("node {lost}");
    assert!(warnings.iter().all(|warning| warning.contains(&about)), "{warnings:?}");
    for node in cluster.ids() {
        let answer = sandbox.logs(&cluster, node).await;
        assert_eq!((times(&answer), answer.missing.len()), (vec![2, 4, 5, 6], 0), "through node {node}");
    }
}

#[tokio::test]
async fn a_paused_node_costs_a_bounded_wait_and_its_lines_come_when_it_goes_on() {
    let cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let paused = cluster.followers().await[0];
    let reader = cluster.ids().find(|node| *node != paused).expect("another node");
    sandbox.push(&cluster, paused, numbered([1])).await;
    sandbox.push(&cluster, reader, numbered([2])).await;
    assert_eq!(times(&sandbox.logs(&cluster, reader).await), [1, 2]);
    cluster.gateway(paused).pause().expect("a node can be paused");
    assert_eq!(times(&sandbox.logs_lacking(&cluster, reader, &[paused]).await), [2]);
    let mut events = sandbox.follow(&cluster, reader).await;
    let (first, _) = lines(&mut events, 1).await;
    assert_eq!(first, [2]);
    cluster.gateway(paused).resume().expect("a node can go on");
    let (late, warnings) = lines(&mut events, 1).await;
    assert_eq!(late, [1]);
    assert!(warnings.iter().any(|warning| warning.contains(&format!("node {paused}"))), "{warnings:?}");
}

#[tokio::test]
async fn sr_46_a_follower_has_the_last_lines_and_then_each_line_whichever_node_receives_it() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    sandbox.push(&cluster, 1, numbered([1])).await;
    let mut followers = Vec::new();
    for node in cluster.ids() {
        assert_eq!(times(&sandbox.logs(&cluster, node).await), [1]);
        let mut events = sandbox.follow(&cluster, node).await;
        assert_eq!(lines(&mut events, 1).await.0, [1]);
        followers.push(events);
    }
    let mut pushers = Vec::new();
    for node in cluster.ids() {
        pushers.push(sandbox.pusher(&cluster, node).await);
    }
    for number in 2..50_i64 {
        pushers[usize::try_from(number % 3).expect("small")].push(&sandbox.id, numbered([number])).await;
        for events in &mut followers {
            assert_eq!(lines(events, 1).await, (vec![number], vec![]));
        }
    }
    for pusher in pushers {
        pusher.end().await.expect("the lines are taken");
    }
}

#[tokio::test]
async fn sr_52_a_sandbox_pushes_its_own_lines_and_no_others() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let other = Sandbox::make(&cluster, "other").await;
    let kept = async || times(&sandbox.logs(&cluster, 2).await);
    // Batches without an id are skipped; a hundred lines of each are kept.
    let pusher = sandbox.pusher(&cluster, 1).await;
    pusher.push("", numbered([1])).await;
    pusher.push(&sandbox.id, numbered(100..201)).await;
    pusher.push("", numbered([2])).await;
    pusher.push(&sandbox.id, numbered([300])).await;
    pusher.end().await.expect("the lines are taken");
    let expected: Vec<i64> = (100..200).chain([300]).collect();
    assert_eq!(kept().await, expected);
    // Another id, first or later, ends the stream; what came before is kept.
    for wrong in [other.id.as_str(), "no such sandbox"] {
        let pusher = sandbox.pusher(&cluster, 1).await;
        pusher.push(wrong, numbered([400])).await;
        assert_eq!(pusher.refused().await.code(), Code::PermissionDenied);
    }
    let pusher = sandbox.pusher(&cluster, 1).await;
    pusher.push(&sandbox.id, numbered([500])).await;
    pusher.push(&other.id, numbered([501])).await;
    pusher.push(&sandbox.id, numbered([502])).await;
    assert_eq!(pusher.refused().await.code(), Code::PermissionDenied);
    let expected: Vec<i64> = expected.into_iter().chain([500]).collect();
    assert_eq!(kept().await, expected);
    assert_eq!(times(&other.logs(&cluster, 3).await), [0; 0]);
}

#[tokio::test]
async fn a_token_that_is_wrong_pushes_nothing() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let changed = format!("{}AAAA", &sandbox.token[..sandbox.token.len() - 4]);
    for (token, code) in [(Some(changed.as_str()), Code::Unauthenticated), (None, Code::PermissionDenied)] {
        let pusher = LogPusher::open(&cluster.gateway(1).endpoint(), token).await;
        pusher.push(&sandbox.id, numbered([1])).await;
        // Said before anything is read.
        assert_eq!(pusher.refused().await.code(), code);
    }
    // The token of a sandbox that is gone, also while a stream goes on.
    let gone = Sandbox::make(&cluster, "gone").await;
    let pusher = gone.pusher(&cluster, 2).await;
    pusher.push(&gone.id, numbered([1])).await;
    eventually("the line is there", LIMIT, async || (gone.logs(&cluster, 1).await.buffer_total == 1).then_some(()))
        .await
        .expect("it is kept");
    gone.delete().await;
    let refused = eventually("the stream to be refused", LIMIT, async || {
        pusher.push(&gone.id, numbered([2])).await;
        pusher.is_over().then_some(())
    });
    refused.await.expect("it is refused");
    assert_eq!(pusher.refused().await.code(), Code::NotFound);
    let again = gone.pusher(&cluster, 3).await;
    again.push(&gone.id, numbered([3])).await;
    assert_eq!(again.refused().await.code(), Code::NotFound);
    for node in cluster.ids() {
        assert_eq!(times(&sandbox.logs(&cluster, node).await), [0; 0], "through node {node}");
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_refused_by_its_size_and_the_lines_before_it_are_kept() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let pusher = sandbox.pusher(&cluster, 1).await;
    pusher.push(&sandbox.id, numbered([1])).await;
    pusher.push(&sandbox.id, vec![log_line(2, &"x".repeat(1024 * 1024))]).await;
    let status = pusher.refused().await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(times(&sandbox.logs(&cluster, 2).await), [1]);
}

#[tokio::test]
async fn sr_50_and_51_who_asks_for_lines_is_judged_and_gets_those_that_fit() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let levels = ["ERROR", "WARN", "INFO", "OCSF", "DEBUG", "TRACE", "odd"];
    let leveled = (1..)
        .zip(levels)
        .map(|(time_ms, level)| SandboxLogLine { level: level.to_owned(), ..log_line(time_ms, level) });
    sandbox.push(&cluster, 1, leveled.collect()).await;
    let ask = async |min_level: &str, sources: &[&str]| {
        let request = GetSandboxLogsRequest {
            sandbox_id: sandbox.id.clone(),
            min_level: min_level.to_owned(),
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
            ..GetSandboxLogsRequest::default()
        };
        let answer = logs(&cluster.api(2), request).await.expect("an answer");
        assert_eq!(answer.buffer_total, 7, "what was there before the conditions");
        times(&answer)
    };
    assert_eq!(ask("", &[]).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask("INFO", &[]).await, [1, 2, 3, 4]);
    assert_eq!(ask("ERROR", &["sandbox"]).await, [1]);
    assert_eq!(ask("nonsense", &["sandbox", "gateway"]).await.len(), 7);
    assert_eq!(ask("", &["gateway"]).await, [0; 0], "a pushed line is the sandbox's");
    let code = async |api: &Api, id: &str| {
        let request = GetSandboxLogsRequest { sandbox_id: id.to_owned(), ..GetSandboxLogsRequest::default() };
        logs(api, request).await.expect_err("a refusal").code()
    };
    assert_eq!(code(&cluster.api(1), "").await, Code::InvalidArgument);
    assert_eq!(code(&cluster.api(1), "none").await, Code::NotFound);
    let own = Api::bearer(&cluster.gateway(1).endpoint(), &sandbox.token);
    assert_eq!(code(&own, &sandbox.id).await, Code::PermissionDenied, "it is for users");
}

#[tokio::test]
async fn sr_49_a_follower_that_does_not_read_is_cut_off_and_a_flood_keeps_the_bounds() {
    // About forty megabytes: far more than queues and connections hold.
    const BATCHES: i64 = 40;
    let cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let mut elsewhere = sandbox.follow(&cluster, 2).await;
    let mut here = sandbox.follow(&cluster, 1).await;
    // Nobody reads from here on.
    let pusher = sandbox.pusher(&cluster, 1).await;
    let text = "x".repeat(10_000);
    for batch in 0..BATCHES {
        pusher.push(&sandbox.id, (0..100).map(|number| log_line(batch * 100 + number, &text)).collect()).await;
        for node in cluster.ids() {
            let queued = metric(&cluster, node, "openshell_log_queued_bytes").await;
            assert!(queued <= 9.0 * MIB, "{queued} bytes wait at node {node}");
        }
    }
    pusher.end().await.expect("whoever pushes is not held up by who does not read");
    assert!(metric(&cluster, 1, "openshell_log_bytes").await <= 2.0 * MIB, "the bound of a sandbox is kept");
    assert!(metric(&cluster, 1, "openshell_log_lines_forgotten").await > 0.0);
    for node in [1, 2] {
        assert!(metric(&cluster, node, "openshell_log_followers_cut_off").await >= 1.0, "node {node}");
    }
    for stream in [&mut elsewhere, &mut here] {
        let end = loop {
            match next(stream).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end is said"),
                Err(status) => break status,
            }
        };
        assert_eq!(end.code(), Code::ResourceExhausted, "{end}");
        assert!(end.message().contains("log lines were dropped"), "{end}");
    }
    let none_waits = eventually("nothing to wait for anybody", LIMIT, async || {
        let mut queued = 0.0;
        for node in cluster.ids() {
            queued += metric(&cluster, node, "openshell_log_queued_bytes").await;
            queued += metric(&cluster, node, "openshell_log_followers").await;
        }
        (queued == 0.0).then_some(())
    });
    none_waits.await.expect("who is cut off costs nothing");
    // Of many small lines the newest two thousand are there.
    sandbox.push(&cluster, 1, numbered(100_000..103_000)).await;
    let answer = sandbox.logs(&cluster, 3).await;
    assert_eq!((answer.logs.len(), answer.buffer_total), (2_000, 2_000));
    assert_eq!(times(&answer).last(), Some(&102_999));
    assert_eq!(metric(&cluster, 1, "openshell_log_lines").await, 2_000.0);
}

#[tokio::test]
async fn sr_49_a_deletion_ends_who_follows_and_drops_the_lines_on_every_node() {
    let cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let stays = Sandbox::make_in(sandbox.scene.clone(), "stays").await;
    for node in cluster.ids() {
        sandbox.push(&cluster, node, numbered([node as i64])).await;
        stays.push(&cluster, node, numbered([node as i64])).await;
    }
    let mut followers = Vec::new();
    for node in cluster.ids() {
        assert_eq!(times(&sandbox.logs(&cluster, node).await), [1, 2, 3]);
        let mut events = sandbox.follow(&cluster, node).await;
        assert_eq!(lines(&mut events, 3).await.0, [1, 2, 3]);
        followers.push(events);
    }
    sandbox.delete().await;
    for events in &mut followers {
        assert!(next(events).await.expect("no error").is_none(), "it ends without a word");
    }
    for node in cluster.ids() {
        let dropped = eventually("its lines to be gone", LIMIT, async || {
            (metric(&cluster, node, "openshell_log_lines").await == 1.0).then_some(())
        });
        dropped.await.expect("only the other's line is there");
        let request = GetSandboxLogsRequest { sandbox_id: sandbox.id.clone(), ..GetSandboxLogsRequest::default() };
        assert_eq!(logs(&cluster.api(node), request).await.expect_err("it is gone").code(), Code::NotFound);
        assert_eq!(times(&stays.logs(&cluster, node).await), [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_sandboxes_words_are_in_no_log_and_no_file_of_a_node() {
    let options = ClusterOptions { log_level: "trace", ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster");
    let sandbox = Sandbox::make(&cluster, "box").await;
    let word = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let mut leaks = Leaks::default();
    leaks.plant("a log line", &word);
    let mut line = log_line(1, &word);
    (line.target, line.level) = (word.clone(), word.clone());
    line.fields.insert(word.clone(), word.clone());
    sandbox.push(&cluster, 1, vec![line.clone(); 20]).await;
    let mut events = sandbox.follow(&cluster, 2).await;
    assert_eq!(lines(&mut events, 20).await.0.len(), 20);
    assert_eq!(sandbox.logs(&cluster, 3).await.logs[0].message, word);
    // Also of a stream that is refused half way.
    let pusher = sandbox.pusher(&cluster, 1).await;
    pusher.push(&sandbox.id, vec![line.clone()]).await;
    pusher.push(&word, vec![line]).await;
    assert_eq!(pusher.refused().await.code(), Code::PermissionDenied);
    sandbox.scene.create_sandbox("later", &[], policy_allowing("docs.example.com")).await;
    let found = leaks.find_in(cluster.folder().expect("a folder")).expect("readable files");
    assert_eq!(found, [], "what a sandbox says is its own");
    assert!(!cluster.gateway(1).log_text().is_empty(), "the node's own log is there");
}

#[tokio::test]
async fn a_node_that_stops_ends_who_pushes_and_who_follows_and_does_not_wait_for_them() {
    let mut cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let pusher = sandbox.pusher(&cluster, 2).await;
    pusher.push(&sandbox.id, numbered([1])).await;
    let mut events = sandbox.follow(&cluster, 2).await;
    assert_eq!(lines(&mut events, 1).await.0, [1]);
    let mut elsewhere = sandbox.follow(&cluster, 3).await;
    assert_eq!(lines(&mut elsewhere, 1).await.0, [1]);
    let status = cluster.gateway_mut(2).terminate(Duration::from_secs(8)).await.expect("it ends in time");
    assert!(status.success(), "{status}");
    assert_eq!(pusher.refused().await.code(), Code::Unavailable);
    assert_eq!(next(&mut events).await.expect_err("it ends with its node").code(), Code::Unavailable);
    sandbox.push(&cluster, 1, numbered([2])).await;
    assert_eq!(lines(&mut elsewhere, 1).await.0, [2]);
}

#[tokio::test]
async fn config_scenario_26_a_watch_that_follows_nothing_gets_one_record_first() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    sandbox.push(&cluster, 1, numbered([1])).await;
    let client = Client::new(&cluster.gateway(1).endpoint()).expect("a URL");
    let request = WatchSandboxRequest { id: sandbox.id.clone(), ..WatchSandboxRequest::default() };
    let options = CallOptions::linearizable();
    let mut events = client.stream(&methods::WATCH_SANDBOX, request, &options).await.expect("a watch");
    let first = next(&mut events).await.expect("no error").expect("an event");
    let Some(Payload::Sandbox(record)) = first.payload else { panic!("a record is expected: {first:?}") };
    assert_eq!(record.metadata.expect("metadata").id, sandbox.id);
    // Whatever happens to it, the next that is heard of it is that it is gone.
    sandbox.push(&cluster, 1, numbered([2])).await;
    sandbox.delete().await;
    assert!(next(&mut events).await.expect("no error").is_none());
}

/// The messages of printed lines.
fn printed(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split("[tests] ").nth(1).unwrap_or_else(|| panic!("a line: {line}"))).collect()
}

#[tokio::test]
async fn the_command_prints_the_lines_that_are_asked_for() {
    let cluster = Cluster::shared().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("a time");
    let debug = SandboxLogLine { level: "DEBUG".to_owned(), ..log_line(now_ms - 3_600_000, "an hour ago") };
    let mut fields = log_line(now_ms, "now");
    fields.fields.insert("port".to_owned(), "443".to_owned());
    sandbox.push(&cluster, 1, vec![debug]).await;
    sandbox.push(&cluster, 2, vec![fields]).await;
    assert_eq!(sandbox.logs(&cluster, 3).await.buffer_total, 2);
    let person = CommandLine::new();
    let endpoint = cluster.gateway(3).endpoint();
    let run = async |words: &[&str]| {
        let words = [&["--workspace", &sandbox.scene.workspace], words].concat();
        person.run(&endpoint, &words).await
    };
    for words in [&["logs", "box"][..], &["lg", "box"], &["sandbox", "logs", "box"]] {
        let output = run(words).await;
        assert_eq!(printed(output.success()), ["an hour ago", "now port=443"], "{words:?}");
        assert_eq!(output.stderr, "");
    }
    let (seconds, milliseconds) = (now_ms / 1000, now_ms % 1000);
    let last = run(&["logs", "box", "-n", "1"]).await;
    assert_eq!(last.success(), format!("[{seconds}.{milliseconds:03}] [sandbox] [INFO ] [tests] now port=443\n"));
    for words in [&["--since", "5m"][..], &["--level", "info"]] {
        let output = run(&[&["logs", "box"], words].concat()).await;
        assert_eq!(printed(output.success()), ["now port=443"], "{words:?}");
    }
    assert_eq!(run(&["logs", "box", "--source", "gateway"]).await.success(), "");
    assert_eq!(printed(run(&["logs", "box", "--source", "sandbox", "--source", "gateway"]).await.success()).len(), 2);
    assert!(run(&["logs", "nobody"]).await.failure().contains("does not exist"));
    assert!(run(&["logs", "box", "--since", "soon"]).await.failure().contains("--since"));
    assert!(run(&["logs", "box", "--level", "loud"]).await.failure().contains("--level"));
    assert_eq!(run(&["logs", "box", "-n", "many"]).await.code, Some(2));
    assert!(run(&["logs"]).await.failure().contains("no sandbox was named"));
}

#[tokio::test]
async fn the_command_follows_through_another_node_when_its_own_goes_and_names_what_is_missing() {
    let mut cluster = Cluster::start().await;
    let sandbox = Sandbox::make(&cluster, "box").await;
    sandbox.push(&cluster, 1, numbered([1, 2])).await;
    sandbox.push(&cluster, 2, numbered([3])).await;
    assert_eq!(times(&sandbox.logs(&cluster, 3).await), [1, 2, 3]);
    let person = CommandLine::new();
    // In this order, so that it begins at node 3.
    let endpoints = [3, 1, 2].map(|node| cluster.gateway(node).endpoint()).join(",");
    let words = ["--workspace", &sandbox.scene.workspace, "logs", "box", "--tail", "-n", "2"];
    let mut following = person.follow(&endpoints, &words);
    for number in [2, 3] {
        assert_eq!(printed(&following.line().await), [format!("line {number}")]);
    }
    sandbox.push(&cluster, 2, numbered([4])).await;
    assert_eq!(printed(&following.line().await), ["line 4"]);
    cluster.kill(3);
    sandbox.push(&cluster, 1, numbered([5])).await;
    assert_eq!(printed(&following.line().await), ["line 5"], "no line comes twice");
    let words = ["--workspace", &sandbox.scene.workspace, "logs", "box"];
    let output = person.run(&cluster.gateway(1).endpoint(), &words).await;
    assert_eq!(printed(output.success()).len(), 5);
    assert!(output.stderr.contains("node 3"), "{output:?}");
    sandbox.delete().await;
    following.ended().await;
}
