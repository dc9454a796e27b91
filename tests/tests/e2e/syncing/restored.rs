//! A cluster that is made from a backup, which is older than what sandboxes have installed.

use openshell_sync::{Options, TokenSource};
use openshell_tests::{Cluster, gateway_command};

use super::{LIMIT, Stage, all_have};

#[tokio::test]
async fn a_cluster_restored_from_backup_is_taken_from_the_start() {
    let mut cluster = Cluster::start().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut follower = stage.followers(1).await.remove(0);
    let path = stage.folder.path().join("token");
    std::fs::write(&path, &follower.token).expect("written");
    let (leader, export) = (cluster.leader().await, cluster.file("export"));
    let backed_up = stage.host();
    cluster.kill(leader);
    let data_dir = cluster.gateway(leader).argument("--data-dir").to_owned();
    let words = ["export", "--data-dir", &data_dir, "--to", export.to_str().expect("text")];
    let exported = gateway_command(&words);
    assert!(exported.status.success(), "{exported:?}");
    cluster.restart_all().await;

    // What comes after the backup.
    let mut endpoints = openshell_client::parse_endpoints(&cluster.endpoints()).expect("URLs");
    let mut newest = None;
    for _ in 0..20 {
        newest = Some(stage.update().await);
    }
    let newest = newest.expect("updates");
    let options = |endpoints: &[openshell_client::EndpointUrl], follower: &openshell_tests::Follower| {
        let token = TokenSource::File(path.clone());
        Options::new(&follower.id, token, endpoints.to_vec(), follower.state_dir.clone())
    };
    follower.start_with(options(&endpoints, &follower)).await.expect("it starts");
    all_have(std::slice::from_ref(&follower), &stage.host(), newest, LIMIT).await;
    follower.stop().await;
    for id in cluster.ids() {
        cluster.kill(id);
    }

    let (restored, _) = cluster.restored_from(&export).await.expect("restored");
    endpoints.extend(openshell_client::parse_endpoints(&restored.endpoints()).expect("URLs"));
    let there = stage.scene.through(restored.api(1));
    let again = openshell_tests::Follower::new(&there, &follower.name, &follower.id, stage.folder.path());
    std::fs::write(&path, &again.await.expect("a token of the new cluster").token).expect("written");
    // Started on what the old cluster left, which is newer by its number and by its content.
    follower.start_with(options(&endpoints, &follower)).await.expect("it starts");
    let first = openshell_sync::Position { epoch: newest.epoch + 1, revision: 1 };
    all_have(std::slice::from_ref(&follower), &backed_up, first, LIMIT).await;
    let record = follower.record();
    let positions: Vec<_> = record.iter().filter_map(|installed| installed.position).collect();
    assert!(positions.is_sorted(), "{positions:?}");
    let last = positions.last().expect("installed");
    assert_eq!(last.epoch, newest.epoch + 1);
    assert!(last.revision < newest.revision, "the backup is older: {last} and {newest}");
    follower.stop().await;
}
