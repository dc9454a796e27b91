//! A change that one node's history does not go back to: whoever has it says whom it concerns.

use std::time::Duration;

use openshell_client::{CallError, methods};
use openshell_proto::sync::{GetRolloutRequest, RolloutState};
use openshell_tests::{Cluster, ClusterOptions, Scene, eventually};
use tonic::Code;

use super::rollouts::{changed, rollout, users};
use super::{LIMIT, follower};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_came_back_by_a_snapshot_asks_the_others_what_an_older_revision_changed() {
    let options = ClusterOptions { snapshot_after_entries: 40, log_entries_kept: 10, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await.expect("it starts");
    cluster.api_of_all().enable_providers_v2(true).await;
    let away = follower(&cluster).await;
    let others: Vec<u64> = cluster.ids().filter(|node| *node != away).collect();
    let scene = Scene::open(cluster.api_of_all_from(others[0])).await;
    let (stored, users) = users(&scene, &["first", "second"]).await;
    let _following = users[0].follow(&cluster.gateway(others[0]).access()).await.attended();
    let (mut stored, revision) = changed(&scene, stored, "b.example.com").await;
    let has = cluster.gateway(away).metric("openshell_raft_applied_revision").await.expect("it answers");
    cluster.kill(away);
    // It may have had a few more when it was killed.
    let beyond = has.max(revision as f64) + 20.0;
    let cut = eventually("the log to be cut beyond what it has", LIMIT, async || {
        stored = changed(&scene, stored.clone(), &format!("v{}.example.com", stored.resource_version)).await.0;
        for node in &others {
            let purged = cluster.gateway(*node).metric("openshell_raft_purged_revision").await?;
            (purged > beyond).then_some(())?;
        }
        Some(())
    });
    cut.await.expect("snapshots are taken while a node is away");
    cluster.restart(away).await;
    let floor = cluster.gateway(away).metric("openshell_history_floor_revision").await.expect("a number");
    assert!(floor > revision as f64, "its history begins later: {floor}");

    let told = eventually("both to be told of, one that has it", LIMIT, async || {
        let told = rollout(&scene.through(cluster.api(away)), revision, 0).await;
        let counts = told.counts.expect("counts");
        (counts.affected == 2 && counts.applied == 1).then_some(told)
    });
    let told = told.await.expect("another node says whom it concerns");
    assert!(told.unasked.is_empty(), "{:?}", told.unasked);
    let states: Vec<_> = told.rows.iter().map(|row| (row.sandbox.as_str(), row.state())).collect();
    assert_eq!(states, [("second", RolloutState::Absent), ("first", RolloutState::Applied)]);

    // Nobody is left who has it: that is said, and why it is not sure.
    for node in &others {
        cluster.kill(*node);
    }
    let request = GetRolloutRequest { revision, workspace: scene.workspace.clone(), ..GetRolloutRequest::default() };
    let alone = cluster.api(away).local().once().deadline(Duration::from_secs(10));
    let status = match alone.call(&methods::GET_ROLLOUT, request).await {
        Err(CallError::Refused(status)) => status,
        other => panic!("a refusal is expected: {other:?}"),
    };
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    for node in &others {
        let word = format!("node {node} could not be asked");
        assert!(status.message().contains(&word), "{}", status.message());
    }
}
