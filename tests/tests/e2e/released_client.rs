//! A client that others released works with this gateway: the Python package `openshell` of version 0.0.116,
//! as its index has it. What it does is in `tests/released_client`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use openshell_tests::{Cluster, ReleasedClient, Scene, Working};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// Where the calls are listed that the client made, each in backticks.
const DOCUMENT: &str = include_str!("../../../docs/compatibility.md");
const HEADING: &str = "## Released clients";

async fn client() -> ReleasedClient {
    ReleasedClient::in_folder(Path::new(env!("CARGO_TARGET_TMPDIR"))).await
}

/// These nodes as grpc takes several addresses of one server: the next is tried when one cannot be reached.
fn address(cluster: &Cluster, nodes: &[u64]) -> String {
    let ports = nodes.iter().map(|node| format!("127.0.0.1:{}", cluster.gateway(*node).ports().client));
    format!("ipv4:{}", ports.collect::<Vec<_>>().join(","))
}

/// The followers, then the leader.
async fn followers_first(cluster: &Cluster) -> Vec<u64> {
    let leader = cluster.leader().await;
    cluster.ids().filter(|id| *id != leader).chain([leader]).collect()
}

async fn stopped(work: Working) -> Value {
    serde_json::from_str(&work.stop().await).expect("JSON")
}

/// Which calls of a work failed, once all else is as it must be: nothing was read that was not written, and every
/// node has what was acknowledged.
async fn failures(cluster: &Cluster, came_to: &Value, workspace: &str) -> Vec<Value> {
    assert_eq!(came_to["wrong"], json!([]), "{came_to}");
    assert!(came_to["calls"].as_u64().is_some_and(|calls| calls > 100), "{came_to}");
    let known = &came_to["known"];
    for node in cluster.ids() {
        let scene = Scene { workspace: workspace.to_owned(), api: cluster.api(node).linearizable() };
        assert_eq!(scene.profile("acme").await.display_name, known["profile"], "node {node}");
        assert_eq!(scene.provider("main").await.config["round"], known["provider"], "node {node}");
        let policy = scene.stored_policy("box").await.policy.expect("a policy");
        assert_eq!(policy.network_policies["base"].endpoints[0].host, known["policy"], "node {node}");
    }
    let digests = cluster.digests_at_rest(LIMIT).await.expect("digests");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
    came_to["failures"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_released_client_makes_each_call_through_a_follower_and_the_document_names_them() {
    let client = client().await;
    let cluster = Cluster::start().await;
    let follower = cluster.followers().await[0];
    let printed = client.run("calls.py", &[&address(&cluster, &[follower])]).await;
    let made: BTreeSet<&str> = printed.lines().collect();
    let (_, section) = DOCUMENT.split_once(HEADING).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    // Names of calls are of letters, and not of capital ones alone, as those of codes are.
    let is_name = |word: &str| word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphabetic);
    let is_call = |word: &&str| is_name(word) && word.contains(char::is_lowercase);
    let told: BTreeSet<&str> = section.split('`').skip(1).step_by(2).filter(is_call).collect();
    assert_eq!(made, told, "docs/compatibility.md lists the calls that were made");
}

#[tokio::test]
async fn a_released_client_works_through_a_rolling_restart_without_one_failed_call() {
    let client = client().await;
    let mut cluster = Cluster::start().await;
    let nodes = followers_first(&cluster).await;
    let mut work = client.start("work.py", &[&address(&cluster, &nodes), "rolling"]);
    // The node that the client is at is the first to go; the leader is the last.
    for node in nodes {
        work.lines(3).await;
        let status = cluster.gateway_mut(node).terminate(LIMIT).await.expect("it ends");
        assert!(status.success(), "{status}");
        work.lines(3).await;
        cluster.restart(node).await;
    }
    work.lines(3).await;
    assert_eq!(failures(&cluster, &stopped(work).await, "rolling").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_released_client_meets_at_most_doubt_when_the_leader_is_killed() {
    let client = client().await;
    let mut cluster = Cluster::start().await;
    let mut nodes = followers_first(&cluster).await;
    let mut at_a_follower = client.start("work.py", &[&address(&cluster, &nodes), "follower"]);
    nodes.reverse();
    let leader = nodes[0];
    let mut at_the_leader = client.start("work.py", &[&address(&cluster, &nodes), "leader"]);
    tokio::join!(at_a_follower.lines(5), at_the_leader.lines(5));
    cluster.kill(leader);
    tokio::join!(at_a_follower.lines(5), at_the_leader.lines(5));
    cluster.restart(leader).await;
    tokio::join!(at_a_follower.lines(3), at_the_leader.lines(3));
    let (at_a_follower, at_the_leader) = tokio::join!(stopped(at_a_follower), stopped(at_the_leader));
    for (came_to, workspace) in [(at_a_follower, "follower"), (at_the_leader, "leader")] {
        let failures = failures(&cluster, &came_to, workspace).await;
        let is_doubt = |failure: &Value| ["UNAVAILABLE", "UNKNOWN"].iter().any(|code| failure["code"] == *code);
        assert!(failures.iter().all(is_doubt), "{failures:?}");
        assert!(failures.len() <= 3, "one call is under way when a node dies: {failures:?}");
    }
}
