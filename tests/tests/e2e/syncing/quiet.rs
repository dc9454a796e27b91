//! What sandboxes that go from one node to another write: nothing.

use std::time::Duration;

use openshell_client::{Tls, methods};
use openshell_proto::cluster::{GetDigestRequest, GetDigestResponse};
use openshell_proto::v1::{PolicyStatus, SandboxPhase};
use openshell_sync::Position;
use openshell_tests::{Api, Cluster, ClusterOptions, Follower, eventually};
use tokio::time::Instant;

use super::{LIMIT, Stage, all_are, all_have, is_current_elsewhere, start_beside_the_nodes};
use crate::sync::phase_of;

const SANDBOXES: usize = 60;
const GRACE: u64 = 10;
/// Longer than the grace, and than whoever leads takes to look who is gone.
const OUTLASTED: Duration = Duration::from_secs(GRACE + 5);

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_of_60_sandboxes_writes_nothing() {
    let options = ClusterOptions { disconnect_grace: GRACE, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await.expect("it starts");
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(SANDBOXES).await;
    start_beside_the_nodes(&mut followers, &cluster, &Tls::None).await;
    let at = stage.update().await;
    all_have(&followers, &stage.host(), at, LIMIT).await;
    everything_is_recorded(&stage, &followers).await;

    let (leader, victim) = (cluster.leader().await, cluster.followers().await[0]);
    let (before, after) = failed_over(&mut cluster, &followers, victim, at).await;
    assert_eq!(after, before, "neither an entry nor a difference");

    // The entry of a new leader is of Raft alone, and changes nothing.
    cluster.restart(victim).await;
    let (before, after) = failed_over(&mut cluster, &followers, leader, at).await;
    assert_eq!(after.digest, before.digest, "{before:?} became {after:?}");
    for follower in &mut followers {
        follower.stop().await;
    }
}

/// Waits until every sandbox is ready and its policy is loaded, as its records say: nothing is left to be written.
async fn everything_is_recorded(stage: &Stage, followers: &[Follower]) {
    for follower in followers {
        let what = format!("the records of {}", follower.name);
        let recorded = eventually(&what, LIMIT, async || {
            let is_ready = phase_of(&stage.scene, &follower.name).await == SandboxPhase::Ready;
            let is_loaded = stage.scene.stored_policy(&follower.name).await.status() == PolicyStatus::Loaded;
            (is_ready && is_loaded).then_some(())
        });
        recorded.await.expect("they are written");
    }
}

/// Kills a node, waits until everybody follows another one and longer than anybody may be missed. What a node
/// that stays had before, and has then.
async fn failed_over(
    cluster: &mut Cluster,
    followers: &[Follower],
    victim: u64,
    at: Position,
) -> (GetDigestResponse, GetDigestResponse) {
    let stays = cluster.ids().find(|id| *id != victim).expect("another node");
    let before = cluster.digests_at_rest(LIMIT).await.expect("they rest");
    let before = before.into_iter().find(|digest| digest.node == stays).expect("its digest");
    cluster.kill(victim);
    let what = "every sandbox to be current at another node";
    all_are(followers, what, LIMIT, |follower| is_current_elsewhere(follower, victim, at)).await;
    let (api, since) = (cluster.api(stays), Instant::now());
    let outlasted = eventually("the grace to be over", LIMIT, async || {
        let now = digest(&api).await;
        assert_eq!(now.digest, before.digest, "after {:?}", since.elapsed());
        (since.elapsed() > OUTLASTED).then_some(now)
    });
    (before.clone(), outlasted.await.expect("time passes"))
}

async fn digest(api: &Api) -> GetDigestResponse {
    api.call(&methods::GET_DIGEST, GetDigestRequest {}).await.expect("a node says it of itself").message
}
