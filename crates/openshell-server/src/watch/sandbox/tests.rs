//! What the watcher of one sandbox is shown, and how its watch ends.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};
use openshell_proto::v1::{
    ClearDraftChunksRequest, DeleteSandboxRequest, DraftPolicyUpdate, PolicyChunk, PolicyStatus,
    ReportPolicyStatusRequest, SandboxPhase, SubmitPolicyAnalysisRequest, UpdateConfigRequest, WorkspaceMember,
    WorkspaceRole,
};
use openshell_state::{Call, Key, decide};
use tonic::Code;

use super::*;
use crate::logs;
use crate::logs::tests::{Nodes, line, push_as};
use crate::watch::census::Limits;
use crate::watch::feed::Feed;
use crate::watch::feed::tests::{Standing, member};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

type Events = std::pin::Pin<Box<dyn Stream<Item = Result<SandboxStreamEvent, Status>>>>;

/// A node with a sandbox that a member of its workspace watches, once the record was shown.
struct Scene {
    node: Arc<Standing>,
    key: Key,
    id: String,
    logs: Arc<Nodes>,
    events: Events,
    stop: CancellationToken,
}

impl Scene {
    async fn open() -> Self {
        let asked = WatchSandboxRequest { follow_status: true, ..WatchSandboxRequest::default() };
        let mut scene = Self::watching(asked);
        scene.shown().await;
        assert!(scene.events.next().now_or_never().is_none(), "nothing has changed");
        scene
    }

    /// Before the record was shown.
    fn watching(asked: WatchSandboxRequest) -> Self {
        let node = Standing::new();
        let (key, id) = node.create_sandbox("box");
        let role = WorkspaceMember { role: WorkspaceRole::User as i32, ..WorkspaceMember::default() };
        node.write(&Key::member("default", "mia"), Some(&role));
        node.publish();
        let hub = node.hub(Limits::default());
        let stop = CancellationToken::new();
        let asked = WatchSandboxRequest { id: id.clone(), ..asked };
        let logs = Nodes::new(1, logs::Limits::default());
        let lines = asked.follow_logs.then(|| logs.logs(1).follow(&asked).map_err(drop).expect("there is room"));
        let begun = Watcher::begin(&hub, &node.state(), member("mia"), asked, stop.clone());
        let begun = Watcher { lines, ..begun.expect("she may see it") };
        let events = Box::pin(begun.events());
        tokio::spawn(hub.run(stop.clone()));
        Self { node, key, id, logs, events, stop }
    }

    async fn next(&mut self) -> Option<Result<SandboxStreamEvent, Status>> {
        tokio::time::timeout(LIMIT, self.events.next()).await.expect("something in time")
    }

    async fn shown(&mut self) -> Sandbox {
        let event = self.next().await.expect("an event").expect("no error");
        let Some(Payload::Sandbox(sandbox)) = event.payload else { panic!("no record") };
        sandbox
    }

    /// Applies what the sandbox reports about the revision of its policy.
    fn report(&self, status: PolicyStatus) {
        let own = Principal::Sandbox { id: self.id.clone() };
        let request = ReportPolicyStatusRequest {
            sandbox_id: self.id.clone(),
            version: 1,
            status: status.into(),
            load_error: String::new(),
        };
        let rule = |call: Call<'_>| decide::report::policy_status(Call { principal: &own, ..call }, &request).into();
        self.node.decide(rule);
    }

    async fn said(&mut self) -> String {
        let event = self.next().await.expect("an event").expect("no error");
        let Some(Payload::Log(line)) = event.payload else { panic!("no line") };
        line.message
    }

    /// Receives a line.
    fn push(&self, text: &str) {
        push_as(&self.logs.keeper(1), &self.key, &self.id, vec![line(1, text)]);
    }

    /// Applies the record with a change.
    fn change(&self, change: impl FnOnce(&mut Sandbox)) {
        let mut sandbox = find(&self.node.state(), &self.id).expect("it exists").1.clone();
        change(&mut sandbox);
        self.node.write(&self.key, Some(&sandbox));
    }

    /// Applies the record with another label.
    fn label(&self, value: &str) {
        self.change(|sandbox| {
            let metadata = sandbox.metadata.as_mut().expect("metadata");
            metadata.labels.insert("label".to_owned(), value.to_owned());
        });
    }

    /// Applies the record in another phase.
    fn phase(&self, phase: SandboxPhase) {
        self.change(|sandbox| sandbox.status.get_or_insert_default().phase = phase as i32);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_change_is_shown_also_when_it_came_in_a_snapshot() {
    let mut scene = Scene::open().await;
    for (value, in_a_snapshot) in [("one", false), ("two", true)] {
        scene.label(value);
        if in_a_snapshot {
            scene.node.forget();
        }
        scene.node.publish();
        assert_eq!(scene.shown().await.metadata.expect("metadata").labels["label"], value);
    }
}

#[tokio::test]
async fn who_is_no_member_any_more_is_shown_nothing_more_and_is_told() {
    let mut scene = Scene::open().await;
    scene.node.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    scene.node.publish();
    let status = scene.next().await.expect("the end is said").expect_err("she may not see it any more");
    let id = &scene.id;
    // What everybody hears who may not know whether it exists.
    assert_eq!((status.code(), status.message()), (Code::NotFound, &*format!("sandbox with id {id:?} does not exist")));
    assert!(scene.next().await.is_none(), "that was all");
}

#[tokio::test]
async fn a_change_that_comes_with_the_end_of_a_membership_is_not_shown() {
    let mut scene = Scene::open().await;
    scene.label("secret");
    scene.node.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    scene.node.publish();
    let status = scene.next().await.expect("the end is said").expect_err("she may not see it any more");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn sr_47_a_policy_is_shown_when_it_comes_and_when_it_is_loaded_but_not_when_it_failed() {
    let mut scene = Scene::open().await;
    let policy = SandboxPolicy { version: 1, ..SandboxPolicy::default() };
    let name = "box".to_owned();
    let request = UpdateConfigRequest { name, policy: Some(policy), ..UpdateConfigRequest::default() };
    scene.node.decide(|call| decide::update_config(call, &request).into());
    scene.node.publish();
    let current = |sandbox: Sandbox| sandbox.status.expect("a status").current_policy_version;
    let version = |scene: &Scene| find(&scene.node.state(), &scene.id).expect("it exists").0;
    assert_eq!(current(scene.shown().await), 0);
    for loaded_before in [false, true] {
        let before = version(&scene);
        scene.report(PolicyStatus::Failed);
        scene.node.publish();
        assert_eq!(version(&scene), before, "nothing to show, loaded before: {loaded_before}");
        scene.report(PolicyStatus::Loaded);
        scene.node.publish();
        assert_eq!(current(scene.shown().await), 1);
    }
}

#[tokio::test]
async fn sr_49_the_watch_of_a_sandbox_that_is_deleted_ends_without_a_word() {
    let mut scene = Scene::open().await;
    let request = DeleteSandboxRequest { name: "box".to_owned(), ..DeleteSandboxRequest::default() };
    scene.node.decide(|call| decide::sandbox::delete(call, &request).into());
    scene.node.publish();
    assert!(scene.next().await.is_none());
}

/// A submission of the sandbox with one proposal.
fn propose(scene: &Scene, host: &str) {
    let endpoint = NetworkEndpoint { host: host.to_owned(), port: 443, ..NetworkEndpoint::default() };
    let rule = NetworkPolicyRule { endpoints: vec![endpoint], ..NetworkPolicyRule::default() };
    let chunk = PolicyChunk { rule_name: host.to_owned(), proposed_rule: Some(rule), ..PolicyChunk::default() };
    let request = SubmitPolicyAnalysisRequest {
        name: "box".to_owned(),
        analysis_mode: "mechanistic".to_owned(),
        proposed_chunks: vec![chunk],
        ..SubmitPolicyAnalysisRequest::default()
    };
    let own = Principal::Sandbox { id: scene.id.clone() };
    scene.node.decide(|call| decide::draft::submit(Call { principal: &own, ..call }, &request).into());
}

async fn told_of_drafts(scene: &mut Scene) -> DraftPolicyUpdate {
    let event = scene.next().await.expect("an event").expect("no error");
    let Some(Payload::DraftPolicyUpdate(update)) = event.payload else { panic!("nothing about drafts: {event:?}") };
    update
}

#[tokio::test]
async fn sr_47_a_change_of_the_draft_inbox_is_shown_and_says_how_much_is_new() {
    let mut scene = Scene::open().await;
    propose(&scene, "a.example.com");
    propose(&scene, "b.example.com");
    scene.node.publish();
    scene.shown().await;
    let update = told_of_drafts(&mut scene).await;
    assert_eq!((update.draft_version, update.new_chunks, update.total_pending), (2, 2, 2));
    assert_eq!(update.summary, "2 new, 2 pending");
    let request = ClearDraftChunksRequest { name: "box".to_owned(), ..ClearDraftChunksRequest::default() };
    scene.node.decide(|call| decide::draft::clear(call, &request).into());
    scene.node.forget();
    scene.node.publish();
    scene.shown().await;
    let update = told_of_drafts(&mut scene).await;
    assert_eq!((update.new_chunks, update.total_pending), (0, 0));
    assert!(scene.events.next().now_or_never().is_none(), "once for each change");
}

#[tokio::test]
async fn sr_46_what_is_in_the_inbox_when_a_watch_begins_is_not_told() {
    let node = Standing::new();
    let (_, id) = node.create_sandbox("box");
    node.publish();
    let hub = node.hub(Limits::default());
    let begin = |asked: WatchSandboxRequest| {
        let begun = Watcher::begin(&hub, &node.state(), Principal::Cluster, asked, CancellationToken::new());
        begun.expect("the cluster may watch")
    };
    let events = WatchSandboxRequest { id: id.clone(), follow_events: true, ..WatchSandboxRequest::default() };
    let nothing = WatchSandboxRequest { id: id.clone(), ..WatchSandboxRequest::default() };
    let mut watchers = [begin(events), begin(nothing)];
    for watcher in &mut watchers {
        let Some(Ok(Some(Payload::Sandbox(_)))) = watcher.changed() else { panic!("the record first") };
        assert_eq!(watcher.quiet_at, None, "the inbox was not looked at");
        assert!(matches!(watcher.changed(), Some(Ok(None))));
        assert_eq!(watcher.quiet_at, Some(node.state().revision()));
    }
    let scene = Scene {
        node: node.clone(),
        key: Key::sandbox("default", "box"),
        id,
        logs: Nodes::new(1, logs::Limits::default()),
        events: Box::pin(stream::empty()),
        stop: CancellationToken::new(),
    };
    propose(&scene, "a.example.com");
    node.publish();
    assert!(matches!(watchers[0].changed(), Some(Ok(Some(Payload::DraftPolicyUpdate(_))))), "events are followed");
    assert!(matches!(watchers[1].changed(), Some(Ok(None))), "nothing is followed");
}

#[tokio::test]
async fn sr_45_a_watch_needs_an_id_and_one_that_may_not_be_seen_is_not_found() {
    let scene = Scene::open().await;
    let hub = scene.node.hub(Limits::default());
    let begin = |id: &str, who: &str| {
        let asked = WatchSandboxRequest { id: id.to_owned(), ..WatchSandboxRequest::default() };
        Watcher::begin(&hub, &scene.node.state(), member(who), asked, CancellationToken::new()).err()
    };
    assert_eq!(begin("", "mia").expect("refused").code(), Code::InvalidArgument);
    let (missing, foreign) = (begin("none", "mia").expect("refused"), begin(&scene.id, "eve").expect("refused"));
    assert_eq!((missing.code(), foreign.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(missing.message().replace("none", &scene.id), foreign.message(), "nothing tells them apart");
    assert!(begin(&scene.id, "mia").is_none());
}

#[tokio::test]
async fn sr_46_the_record_comes_first_then_the_last_lines_then_what_comes() {
    let asked = WatchSandboxRequest { follow_status: true, follow_logs: true, ..WatchSandboxRequest::default() };
    let mut scene = Scene::watching(asked);
    scene.push("early");
    scene.shown().await;
    assert_eq!(scene.said().await, "early");
    scene.push("late");
    assert_eq!(scene.said().await, "late");
    scene.label("changed");
    scene.node.publish();
    assert_eq!(scene.shown().await.metadata.expect("metadata").labels["label"], "changed");
}

#[tokio::test]
async fn config_scenario_26_one_record_comes_first_and_a_watch_until_ready_ends_with_it() {
    let mut scene = Scene::watching(WatchSandboxRequest::default());
    scene.shown().await;
    scene.phase(SandboxPhase::Ready);
    scene.node.publish();
    scene.push("not followed");
    assert!(scene.events.next().now_or_never().is_none(), "one record, and nothing that was not asked for");

    let until_ready =
        WatchSandboxRequest { stop_on_terminal: true, follow_logs: true, ..WatchSandboxRequest::default() };
    let mut scene = Scene::watching(until_ready.clone());
    scene.push("before");
    scene.phase(SandboxPhase::Ready);
    scene.node.publish();
    assert_eq!(scene.shown().await.status.expect("a status").phase(), SandboxPhase::Ready);
    assert!(scene.next().await.is_none(), "nothing comes after it, lines neither");
}

#[tokio::test]
async fn sr_47_a_change_of_the_phase_is_shown() {
    let mut scene = Scene::open().await;
    for phase in [SandboxPhase::Ready, SandboxPhase::Stopped, SandboxPhase::Error] {
        scene.phase(phase);
        scene.node.publish();
        assert_eq!(scene.shown().await.status.expect("a status").phase(), phase);
    }
}

#[tokio::test]
async fn sr_48_a_watch_until_ready_goes_on_through_an_error() {
    let asked = WatchSandboxRequest { stop_on_terminal: true, follow_status: true, ..WatchSandboxRequest::default() };
    let mut scene = Scene::watching(asked);
    scene.shown().await;
    for phase in [SandboxPhase::Error, SandboxPhase::Ready] {
        scene.phase(phase);
        scene.node.publish();
        assert_eq!(scene.shown().await.status.expect("a status").phase(), phase);
    }
    assert!(scene.next().await.is_none());
}

#[tokio::test]
async fn who_is_no_member_any_more_reads_no_line_that_came_at_the_same_time() {
    let asked = WatchSandboxRequest { follow_logs: true, ..WatchSandboxRequest::default() };
    let mut scene = Scene::watching(asked);
    scene.shown().await;
    scene.push("first");
    assert_eq!(scene.said().await, "first");
    scene.push("secret");
    scene.node.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    scene.node.publish();
    let status = scene.next().await.expect("the end is said").expect_err("she may not see it any more");
    assert_eq!(status.code(), Code::NotFound);
}
