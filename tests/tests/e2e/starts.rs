//! Starts that are wrong: each ends with one sentence and exit code 1, and has no effect.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use openshell_tests::{Cluster, ClusterOptions, Gateway, Scene, binary, eventually, plant_format_version, profile};

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a gateway that must not run, and returns the sentence with which it ends.
pub(crate) async fn refusal(mut gateway: Gateway) -> String {
    gateway.start().expect("the program is there");
    let status = eventually("the end of a wrong start", LIMIT, async || gateway.exit_status()).await;
    let (status, log) = (status.unwrap_or_else(|error| panic!("{error}: {}", gateway.log_text())), gateway.log_text());
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("Error: ")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    // A cause may hold the sentence, as with every error of the program.
    log.lines().skip_while(|line| !line.starts_with("Error: ")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_wrong_start_of_a_member_ends_with_its_sentence_and_has_no_effect() {
    let mut cluster = Cluster::start().await;
    let stranger = Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await;
    let stranger = stranger.expect("another cluster starts");
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    let elsewhere = tempfile::tempdir().expect("a directory");
    let path = |name: &str| elsewhere.path().join(name).display().to_string();
    let (key, empty, foreign) = (path("other.key"), path("empty"), path("foreign"));
    std::fs::write(&key, format!("{:064x}\n", 7)).expect("a key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("for its owner");
    let strangers_data = stranger.gateway(1).flag("--data-dir").expect("a data directory").to_owned();
    drop_but_keep(stranger, &strangers_data, &foreign);
    let status = cluster.gateway_mut(1).terminate(LIMIT).await.expect("it ends");
    assert!(status.success(), "{status}");
    let (one, two) = (cluster.gateway(1), cluster.gateway(2));
    let list = one.flag("--initial-cluster").expect("a list").to_owned();
    let other_list = list.replace(&format!("3=127.0.0.1:{}", cluster.gateway(3).ports().peer), "3=127.0.0.1:9");
    let alone = format!("1=127.0.0.1:{}", one.ports().peer);
    let used = two.flag("--data-dir").expect("a data directory");
    for (number, (flags, sentence)) in [
        (vec![("--node-id", "2")], "the data directory belongs to node 1, but --node-id is 2"),
        (vec![("--initial-cluster", other_list.as_str())], "--initial-cluster is not the one that this data directory"),
        (vec![("--secrets-key-file", key.as_str())], "--secrets-key-file does not hold the key"),
        // Of a cluster of one; and a member's data in the place of such a cluster.
        (vec![("--data-dir", foreign.as_str())], "--initial-cluster is not the one that this data directory"),
        (vec![("--initial-cluster", alone.as_str())], "--initial-cluster is not the one that this data directory"),
        (vec![("--data-dir", empty.as_str())], "node 1 is empty, but node"),
        (vec![("--data-dir", used)], "is in use by another process"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = refusal(one.changed(&flags, elsewhere.path().join(format!("{number}.log")))).await;
        assert!(said.contains(sentence), "{flags:?}: {said}");
    }
    // An empty node that is given another list: it is told so, and not that it was lost.
    let flags = [("--data-dir", empty.as_str()), ("--initial-cluster", other_list.as_str())];
    let said = refusal(one.changed(&flags, elsewhere.path().join("list.log"))).await;
    assert!(said.contains("a cluster that was formed from another one"), "{said}");
    // A member's id is not a new node's, and its peers say so.
    let addresses: Vec<&str> = list.split(',').filter_map(|entry| Some(entry.split_once('=')?.1)).collect();
    let joining = one.joining(&addresses.join(","), &empty, elsewhere.path().join("join.log"));
    let said = refusal(joining).await;
    assert!(said.contains("node 1 is empty, but is a member of this cluster"), "{said}");
    // Nothing of it touched the cluster or the data: the node starts, and has what the others have.
    cluster.restart(1).await;
    assert_eq!(scene.through(cluster.api(1).linearizable()).profile("acme").await.resource_version, 1);
    let digests = cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

/// Ends a cluster and moves a data directory of its out of its way.
fn drop_but_keep(mut cluster: Cluster, data: &str, place: &str) {
    cluster.kill(1);
    std::fs::rename(data, place).expect("the directory is moved");
}

#[test]
fn a_malformed_initial_cluster_is_refused_before_anything_is_made() {
    let program = binary("openshell-gateway").expect("the program is there");
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    for (list, sentence) in [
        ("2=127.0.0.1:9,3=127.0.0.1:10,4=127.0.0.1:11", "does not name this node (1)"),
        ("1=127.0.0.1:9,1=127.0.0.1:10,3=127.0.0.1:11", "names node 1 twice"),
        ("1=127.0.0.1:9,2=127.0.0.1:9,3=127.0.0.1:11", "gives two nodes the address 127.0.0.1:9"),
        ("1=127.0.0.1:9,2=127.0.0.1:10", "even numbers bear no more failures"),
        ("1=127.0.0.1:9,2,3=127.0.0.1:11", "must read id=peer-address"),
        ("1=127.0.0.1:9,two=127.0.0.1:10,3=127.0.0.1:11", "is not a node id"),
        ("0=127.0.0.1:9,1=127.0.0.1:10,3=127.0.0.1:11", "node ids start at 1"),
        ("1=127.0.0.1,2=127.0.0.1:10,3=127.0.0.1:11", "must read host:port"),
    ] {
        let ended = Command::new(&program)
            .args(["--node-id", "1", "--secrets-key-file", "none", "--initial-cluster", list, "--data-dir"])
            .arg(&data)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{list}: {said}");
        assert!(said.starts_with("Error: ") && said.contains(sentence), "{list}: {said}");
        assert!(!data.exists(), "{list} made the data directory");
    }
}

#[tokio::test]
async fn data_of_a_cluster_are_not_opened_with_a_new_key() {
    let mut cluster =
        Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await.expect("it starts");
    cluster.kill(1);
    let one = cluster.gateway(1);
    let data = one.flag("--data-dir").expect("a data directory");
    let program = binary("openshell-gateway").expect("the program is there");
    // As a cluster of one would be started that keeps its key beside its data.
    let ended = Command::new(program).args(["--data-dir", data]).output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("--secrets-key-file"), "{said}");
    assert!(!std::path::Path::new(data).join("secrets.key").exists(), "no key is made for data of another");
    cluster.restart(1).await;
}

#[tokio::test]
async fn data_of_an_unknown_format_are_refused_and_stay_as_they_are() {
    let mut cluster =
        Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await.expect("it starts");
    let scene = Scene::open(cluster.api(1)).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    cluster.gateway_mut(1).terminate(LIMIT).await.expect("it ends");
    let data = PathBuf::from(cluster.gateway(1).argument("--data-dir"));
    plant_format_version(&data, 7).expect("planted");
    let said = refusal(cluster.gateway(1).changed(&[], cluster.file("format.log"))).await;
    assert!(said.contains("the data has format version 7, this build reads 1"), "{said}");
    plant_format_version(&data, 1).expect("planted");
    cluster.restart(1).await;
    assert_eq!(scene.profile("acme").await.resource_version, 1);
}

#[tokio::test]
async fn an_empty_node_with_another_key_than_most_ends_with_its_sentence() {
    let mut cluster = Cluster::start().await;
    let id = cluster.followers().await[0];
    cluster.kill(id);
    let (key, empty) = (cluster.file("other.key"), cluster.file("empty").display().to_string());
    std::fs::write(&key, format!("{:064x}\n", 7)).expect("a key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("for its owner");
    let key = key.display().to_string();
    let flags = [("--secrets-key-file", key.as_str()), ("--data-dir", empty.as_str())];
    let said = refusal(cluster.gateway(id).changed(&flags, cluster.file("key.log"))).await;
    assert!(said.contains(&format!("node {id} does not hold the key that most nodes of its cluster hold")), "{said}");
    cluster.restart(id).await;
}

#[tokio::test]
async fn a_second_signal_ends_a_node_that_is_stopping() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let leader = cluster.leader().await;
    for peer in cluster.ids().filter(|id| *id != leader) {
        cluster.gateway(peer).pause().expect("a node can be paused");
    }
    // A call that cannot end, which the node waits for.
    let waiting = scene.through(cluster.api(leader).once());
    let call = tokio::spawn(async move { waiting.try_import(vec![profile("acme", &["a.example.com"])]).await.is_ok() });
    cluster.gateway(leader).ask_to_stop().expect("asked");
    let stopping = eventually("the node to be stopping", LIMIT, async || {
        cluster.gateway(leader).log_text().contains("stopping").then_some(())
    });
    stopping.await.expect("it has heard the first signal");
    let status = cluster.gateway_mut(leader).terminate(LIMIT).await.expect("it ends");
    assert_eq!(status.code(), Some(1), "{status}");
    let log = cluster.gateway(leader).log_text();
    assert!(log.contains("SIGTERM came while the node was stopping"), "{log}");
    assert!(!call.await.expect("joined"), "the call had no answer");
    for peer in cluster.ids().filter(|id| *id != leader) {
        cluster.gateway(peer).resume().expect("a node can go on");
    }
}
