//! READY and PROVISIONING, as streams come and go (`config.md` SR-41).

use std::time::{Duration, Instant};

use openshell_client::methods;
use openshell_proto::v1::{SandboxPhase, StartSandboxRequest, StopSandboxRequest};
use openshell_tests::{Cluster, ClusterOptions, Scene, eventually, policy_allowing};

use super::{LIMIT, follower, phase_of, supervised};

const GRACE: u64 = 2;

async fn becomes(scene: &Scene, name: &str, phase: SandboxPhase) {
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
    let mut steady = boxes[1].follow(&cluster.gateway(kept).access()).await;
    steady.apply().await;
    becomes(&scene, "a", SandboxPhase::Ready).await;
    becomes(&scene, "b", SandboxPhase::Ready).await;
    let versions = (version(&scene, "a").await, version(&scene, "b").await);

    // The node is killed, and the sandbox goes to another one: nothing is written.
    cluster.kill(lost);
    let scene = scene.through(cluster.api_of_all_from(kept));
    following.end().await;
    let mut following = boxes[0].follow(&cluster.gateway(kept).access()).await;
    following.apply().await;
    let began = Instant::now();
    let grace = Duration::from_secs(2 * GRACE);
    let outlasted = eventually("the grace to be over", LIMIT, async || {
        assert_eq!((version(&scene, "a").await, version(&scene, "b").await), versions);
        (began.elapsed() > grace).then_some(())
    });
    outlasted.await.expect("time passes");

    // It goes, and stays away.
    let gone = Instant::now();
    drop(following);
    becomes(&scene, "a", SandboxPhase::Provisioning).await;
    assert!(gone.elapsed() >= Duration::from_secs(GRACE), "{:?}", gone.elapsed());
    assert_eq!(phase_of(&scene, "b").await, SandboxPhase::Ready);
    let mut again = boxes[0].follow(&cluster.gateway(kept).access()).await;
    again.apply().await;
    becomes(&scene, "a", SandboxPhase::Ready).await;
}

#[tokio::test]
async fn sr_40_and_41_a_sandbox_that_is_started_while_it_follows_becomes_ready() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let mut following = sandbox.follow(&cluster.gateway(2).access()).await;
    following.apply().await;
    becomes(&scene, "box", SandboxPhase::Ready).await;
    let (name, workspace) = ("box".to_owned(), scene.workspace.clone());
    let stop = StopSandboxRequest { name: name.clone(), workspace: workspace.clone() };
    let stopped = scene.api.call(&methods::STOP_SANDBOX, stop).await.expect("stopped");
    let revision = stopped.seen.revision.expect("a revision");
    following.quiet_through(revision).await;
    assert_eq!(phase_of(&scene, "box").await, SandboxPhase::Stopped, "who is stopped does not become ready");
    let start = StartSandboxRequest { name, workspace };
    scene.api.call(&methods::START_SANDBOX, start).await.expect("started");
    becomes(&scene, "box", SandboxPhase::Ready).await;
}
