//! READY and PROVISIONING, as streams come and go (`config.md` SR-41).

use std::time::{Duration, Instant};

use openshell_client::methods;
use openshell_proto::v1::{SandboxPhase, StartSandboxRequest, StopSandboxRequest};
use openshell_tests::{Cluster, ClusterOptions, Scene, eventually, policy_allowing};

use super::{LIMIT, follower, phase_of, position, supervised};

/// As short as it may be.
const GRACE: u64 = 5;

/// Waits until a sandbox's record has a phase.
pub(crate) async fn becomes(scene: &Scene, name: &str, phase: SandboxPhase) {
    let what = format!("{name} to be {phase:?}");
    let reached = eventually(&what, LIMIT, async || (phase_of(scene, name).await == phase).then_some(()));
    reached.await.expect("it becomes so");
}

async fn version(scene: &Scene, name: &str) -> u64 {
    scene.sandbox(name).await.metadata.expect("metadata").resource_version
}

#[tokio::test]
async fn sr_41_a_sandbox_is_ready_while_it_follows_any_node_and_for_a_grace_after() {
    let options = ClusterOptions { disconnect_grace: GRACE, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await.expect("it starts");
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut boxes = Vec::new();
    for name in ["a", "b"] {
        let id = scene.create_sandbox(name, &[], policy_allowing("docs.example.com")).await;
        boxes.push(supervised(&scene, name, id).await);
        assert_eq!(phase_of(&scene, name).await, SandboxPhase::Provisioning);
    }
    let lost = follower(&cluster).await;
    let kept = cluster.ids().find(|node| *node != lost).expect("another node");
    let mut following = boxes[0].follow(&cluster.gateway(lost).access()).await;
    following.apply().await;
    let _steady = boxes[1].follow(&cluster.gateway(kept).access()).await.attended();
    becomes(&scene, "a", SandboxPhase::Ready).await;
    becomes(&scene, "b", SandboxPhase::Ready).await;
    let versions = (version(&scene, "a").await, version(&scene, "b").await);

    // The node is killed, and the sandbox goes to another one: nothing is written.
    cluster.kill(lost);
    let scene = scene.through(cluster.api_of_all_from(kept));
    following.end().await;
    let mut following = boxes[0].follow(&cluster.gateway(kept).access()).await;
    let at = position(following.apply().await.position);
    let began = Instant::now();
    let grace = Duration::from_secs(2 * GRACE);
    let outlasted = eventually("the grace to be over", LIMIT, async || {
        following.report(at, "").await.expect("the report is taken");
        assert_eq!((version(&scene, "a").await, version(&scene, "b").await), versions);
        (began.elapsed() > grace).then_some(())
    });
    outlasted.await.expect("time passes");

    // It goes, and stays away.
    let heard = Instant::now();
    following.report(at, "").await.expect("the report is taken");
    drop(following);
    becomes(&scene, "a", SandboxPhase::Provisioning).await;
    assert!(heard.elapsed() >= Duration::from_secs(GRACE), "{:?}", heard.elapsed());
    assert_eq!(phase_of(&scene, "b").await, SandboxPhase::Ready);
    let mut again = boxes[0].follow(&cluster.gateway(kept).access()).await;
    again.apply().await;
    becomes(&scene, "a", SandboxPhase::Ready).await;
}

#[tokio::test]
async fn sr_41_a_sandbox_is_ready_only_when_it_has_applied_what_it_was_sent() {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let mut following = supervised(&scene, "box", id).await.follow(&cluster.gateway(1).access()).await;
    let at = position(following.configuration().await.position);
    following.report(at, "the hook said no").await.expect("the report is taken");
    for _ in 0..2 {
        following.quiet_through(at.revision).await;
    }
    assert_eq!(phase_of(&scene, "box").await, SandboxPhase::Provisioning, "it is connected and not current");
    following.report(at, "").await.expect("the report is taken");
    becomes(&scene, "box", SandboxPhase::Ready).await;
}

#[tokio::test]
async fn sr_41_a_sandbox_that_says_nothing_is_gone_though_its_stream_goes_on_until_it_says_something() {
    let options = ClusterOptions { nodes: 1, disconnect_grace: GRACE, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let mut following = supervised(&scene, "box", id).await.follow(&cluster.gateway(1).access()).await;
    let heard = Instant::now();
    let at = position(following.apply().await.position);
    becomes(&scene, "box", SandboxPhase::Ready).await;
    becomes(&scene, "box", SandboxPhase::Provisioning).await;
    assert!(heard.elapsed() >= Duration::from_secs(GRACE), "{:?}", heard.elapsed());
    // What it is still sent does not bring it back.
    let gone = version(&scene, "box").await;
    let applied = cluster.gateway(1).metric("openshell_raft_applied_revision").await.expect("a number");
    for _ in 0..2 {
        let heartbeat = following.quiet_through(applied as u64).await;
        assert!(position(heartbeat.position).revision >= at.revision);
    }
    assert_eq!(version(&scene, "box").await, gone, "nothing more is written");
    following.report(at, "").await.expect("the report is taken");
    becomes(&scene, "box", SandboxPhase::Ready).await;
}

#[tokio::test]
async fn sr_40_and_41_a_sandbox_that_is_started_while_it_follows_becomes_ready() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let mut following = sandbox.follow(&cluster.gateway(2).access()).await;
    let at = position(following.apply().await.position);
    becomes(&scene, "box", SandboxPhase::Ready).await;
    let (name, workspace) = ("box".to_owned(), scene.workspace.clone());
    let stop = StopSandboxRequest { name: name.clone(), workspace: workspace.clone() };
    let stopped = scene.api.call(&methods::STOP_SANDBOX, stop).await.expect("stopped");
    let revision = stopped.seen.revision.expect("a revision");
    following.quiet_through(revision).await;
    assert_eq!(phase_of(&scene, "box").await, SandboxPhase::Stopped, "who is stopped does not become ready");
    let start = StartSandboxRequest { name, workspace };
    scene.api.call(&methods::START_SANDBOX, start).await.expect("started");
    following.report(at, "").await.expect("it is there");
    becomes(&scene, "box", SandboxPhase::Ready).await;
}
