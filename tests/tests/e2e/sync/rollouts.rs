//! How far a change is, asked of any node and on the command line.

use openshell_client::{CallError, methods};
use openshell_proto::sync::{GetRolloutRequest, GetRolloutResponse, RolloutCounts, RolloutRow, RolloutState};
use openshell_proto::v1::{ProviderProfile, SandboxPhase};
use openshell_tests::{
    Cluster, ClusterOptions, CommandLine, Scene, eventually, policy_allowing, profile, profile_file,
};
use tonic::Code;

use super::phases::becomes;
use super::{Consumer, LIMIT, Supervised, follower, position, supervised};

/// Sandboxes of these names that use one profile.
pub(super) async fn users(scene: &Scene, names: &[&str]) -> (ProviderProfile, Vec<Supervised>) {
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("main", "acme").await;
    let mut users = Vec::new();
    for name in names {
        let id = scene.create_sandbox(name, &["main"], policy_allowing("docs.example.com")).await;
        users.push(supervised(scene, name, id).await);
    }
    (stored, users)
}

/// Changes the profile; the revision of that.
pub(super) async fn changed(scene: &Scene, stored: ProviderProfile, host: &str) -> (ProviderProfile, u64) {
    let mut edited = stored;
    edited.endpoints[0].host = host.to_owned();
    let answer = scene.update(edited).await;
    (answer.message, answer.seen.revision.expect("a revision"))
}

/// How far a change is, as the node that is asked says.
pub(crate) async fn rollout(scene: &Scene, revision: u64, stale_after_ms: u32) -> GetRolloutResponse {
    let request = GetRolloutRequest {
        workspace: scene.workspace.clone(),
        revision,
        stale_after_ms,
        ..GetRolloutRequest::default()
    };
    scene.api.call(&methods::GET_ROLLOUT, request).await.expect("answered").message
}

/// What it says of one sandbox.
pub(crate) fn row<'a>(answer: &'a GetRolloutResponse, name: &str) -> &'a RolloutRow {
    answer.rows.iter().find(|row| row.sandbox == name).expect("a row of that sandbox")
}

#[tokio::test]
async fn every_node_tells_how_far_each_sandbox_is() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let names = ["absent", "applied", "failed", "polling", "sent", "stale"];
    let (stored, users) = users(&scene, &names).await;
    let user = |name: &str| &users[names.iter().position(|other| *other == name).expect("a name")];
    let through = |node| cluster.gateway(node).access();
    let mut applied = user("applied").follow(&through(1)).await;
    applied.apply().await;
    let mut failed = user("failed").follow(&through(2)).await;
    failed.apply().await;
    let mut sent = user("sent").follow(&through(3)).await;
    let first = sent.apply().await;
    let mut stale = user("stale").follow(&through(3)).await;
    stale.apply().await;
    becomes(&scene, "stale", SandboxPhase::Ready).await;
    drop(stale);
    let (_, revision) = changed(&scene, stored, "b.example.com").await;
    applied.apply().await;
    let wrong = failed.configuration().await;
    failed.report(position(wrong.position), "the hook said no").await.expect("taken");
    sent.configuration().await;
    let polling = scene.through(through(2).bearer(&user("polling").token).linearizable());
    polling.config(&user("polling").id).await;
    let expected = RolloutCounts {
        affected: 6,
        applied: 1,
        failed: 1,
        sent: 1,
        stale: 1,
        unsupported: 1,
        unsupported_fetched: 1,
        absent: 1,
        ..RolloutCounts::default()
    };
    for node in cluster.ids() {
        let asked = scene.through(cluster.api(node));
        let told = eventually("the one that went to be stale", LIMIT, async || {
            // The others are heard of: who takes what comes and says nothing becomes stale, too.
            sent.report(position(first.position), "").await.expect("taken");
            failed.report(position(wrong.position), "the hook said no").await.expect("taken");
            let answer = rollout(&asked, revision, 5_000).await;
            (answer.counts == Some(expected)).then_some(answer)
        });
        let told = told.await.expect("every node says the same");
        assert!(told.unasked.is_empty(), "{:?}", told.unasked);
        let states: Vec<(&str, RolloutState, u64)> =
            told.rows.iter().map(|row| (row.sandbox.as_str(), row.state(), row.node)).collect();
        let expected = [
            ("failed", RolloutState::Failed, 2),
            ("stale", RolloutState::Stale, 3),
            ("sent", RolloutState::Sent, 3),
            ("polling", RolloutState::Unsupported, 2),
            ("absent", RolloutState::Absent, 0),
            ("applied", RolloutState::Applied, 1),
        ];
        assert_eq!(states, expected, "node {node}");
        assert_eq!(row(&told, "failed").reason, "the hook said no");
        assert!(row(&told, "polling").fetched_revision >= revision);
        assert!(row(&told, "stale").last_seen_ms.is_some_and(|last_seen_ms| last_seen_ms > 5_000));
        assert_eq!(row(&told, "absent").last_seen_ms, None);
    }
    let shown = CommandLine::new().with_variable("OPENSHELL_WORKSPACE", &scene.workspace);
    let words = ["rollout", "status", "--revision", &revision.to_string(), "-o", "json"];
    let shown = shown.run(&cluster.endpoints(), &words).await;
    let document: serde_json::Value = serde_json::from_str(shown.success()).expect("JSON");
    assert_eq!((&document["counts"]["affected"], &document["counts"]["failed"]), (&6.into(), &1.into()));
}

#[tokio::test]
async fn what_the_history_does_not_keep_or_the_cluster_does_not_have_is_said() {
    let options = ClusterOptions { nodes: 1, history_entries_kept: 20, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let (mut stored, _) = users(&scene, &["box"]).await;
    let mut first = None;
    for number in 0..40 {
        let (newer, revision) = changed(&scene, stored, &format!("h{number}.example.com")).await;
        (stored, first) = (newer, first.or(Some(revision)));
    }
    let refused = async |revision: u64| {
        let request = GetRolloutRequest { revision, workspace: scene.workspace.clone(), ..Default::default() };
        match scene.api.call(&methods::GET_ROLLOUT, request).await {
            Err(CallError::Refused(status)) => status.code(),
            other => panic!("a refusal is expected: {other:?}"),
        }
    };
    assert_eq!(refused(first.expect("a revision")).await, Code::OutOfRange);
    assert_eq!(refused(1_000_000).await, Code::FailedPrecondition);
    assert_eq!(refused(0).await, Code::InvalidArgument);
}

#[tokio::test]
async fn when_a_node_is_killed_its_sandboxes_are_missed_until_they_come_to_another() {
    let mut cluster = Cluster::start_with(ClusterOptions::default()).await.expect("it starts");
    let scene = Scene::open(cluster.api_of_all()).await;
    let (stored, users) = users(&scene, &["here", "there"]).await;
    let lost = follower(&cluster).await;
    let kept = cluster.ids().find(|node| *node != lost).expect("another node");
    let mut there = users[1].follow(&cluster.gateway(lost).access()).await;
    there.apply().await;
    let mut here = users[0].follow(&cluster.gateway(kept).access()).await;
    here.apply().await;
    for name in ["here", "there"] {
        becomes(&scene, name, SandboxPhase::Ready).await;
    }
    cluster.kill(lost);
    let scene = scene.through(cluster.api_of_all_from(kept));
    let (_, revision) = changed(&scene, stored, "b.example.com").await;
    here.apply().await;
    let answer = rollout(&scene, revision, 0).await;
    assert_eq!(answer.unasked.iter().map(|unasked| unasked.node).collect::<Vec<_>>(), [lost]);
    assert_eq!(row(&answer, "here").state(), RolloutState::Applied);
    let missed = row(&answer, "there");
    assert_eq!((missed.state(), missed.node), (RolloutState::Stale, 0), "it was ready, and nobody has it");
    let mut there = users[1].follow(&cluster.gateway(kept).access()).await;
    there.apply().await;
    let answer = rollout(&scene, revision, 0).await;
    assert_eq!((row(&answer, "there").state(), row(&answer, "there").node), (RolloutState::Applied, kept));
}

/// The profile as a file with another host.
fn file(command_line: &CommandLine, host: &str) -> String {
    command_line.write(&format!("{host}.yaml"), &profile_file("acme", host)).display().to_string()
}

/// Takes configurations and reports them, as `failed` says, until it is dropped.
fn working(mut consumer: Consumer, failed: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let configuration = consumer.configuration().await;
            consumer.report(position(configuration.position), failed).await.expect("the report is taken");
        }
    })
}

#[tokio::test]
async fn the_command_line_waits_until_every_connected_sandbox_has_it_or_names_those_who_lag() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let (_, users) = users(&scene, &["good", "idle", "never"]).await;
    let mut good = users[0].follow(&cluster.gateway(1).access()).await;
    good.apply().await;
    let good = working(good, "");
    let command_line = CommandLine::new().with_variable("OPENSHELL_WORKSPACE", &scene.workspace);
    let endpoints = cluster.endpoints();
    let update = async |host: &str, wait: &[&str]| {
        let file = file(&command_line, host);
        let words = [&["provider", "profile", "update", "-f", &file], wait].concat();
        command_line.run(&endpoints, &words).await
    };
    let waited = update("b.example.com", &["--wait", "--wait-timeout", "30s"]).await;
    waited.success();
    assert!(waited.stderr.contains("1 of 1 sandboxes have applied"), "{}", waited.stderr);
    assert!(waited.stderr.contains("2 not connected"), "{}", waited.stderr);

    // One more that takes what comes and says nothing.
    let mut idle = users[1].follow(&cluster.gateway(2).access()).await;
    idle.apply().await;
    let idle = tokio::spawn(async move {
        loop {
            idle.configuration().await;
        }
    });
    update("c.example.com", &["--wait=sent", "--wait-timeout", "30s"]).await.success();
    let late = update("d.example.com", &["--wait", "--wait-timeout", "1s"]).await;
    assert_eq!(late.code, Some(124), "{}", late.stderr);
    assert!(late.stderr.contains("1 of 2 sandboxes have not applied"), "{}", late.stderr);
    let straggler = late.stderr.lines().find(|line| line.contains(" idle ")).expect("it is named");
    assert!(straggler.contains("sent") && straggler.contains(" 2 ") && straggler.contains("ago"), "{straggler}");
    assert!(!late.stderr.contains(" good "), "{}", late.stderr);
    idle.abort();

    // And one that says no.
    let mut failing = users[1].follow(&cluster.gateway(3).access()).await;
    failing.apply().await;
    let failing = working(failing, "the hook said no");
    let failed = update("e.example.com", &["--wait", "--wait-timeout", "30s"]).await;
    assert!(failed.failure().contains("the hook said no"), "{}", failed.stderr);
    failing.abort();
    good.abort();

    let words = ["sandbox", "provider", "attach", "good", "main", "--wait"];
    let again = command_line.run(&endpoints, &words).await;
    again.success();
    assert!(again.stderr.contains("nothing to wait for"), "{}", again.stderr);
}
