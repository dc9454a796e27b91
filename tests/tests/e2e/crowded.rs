//! More connections than a node has descriptors for.

use std::time::Duration;

use openshell_tests::{Cluster, ClusterOptions, Scene, eventually, profile};
use tokio::net::TcpStream;

/// Of the node's process; clients have half of so few.
const DESCRIPTORS: usize = 300;
/// Who comes to each port: together with what a node has open anyway, more than there are descriptors.
const CLIENTS: usize = 200;
const VISITORS: usize = 80;
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_node_whose_clients_would_use_up_its_descriptors_has_others_wait_and_goes_on() {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::laid_out(options, false).expect("a cluster of one node");
    let few = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
    cluster.gateway_mut(1).start_behind(["sh", "-c", &few].map(str::to_owned).to_vec());
    cluster.bring_up().await.expect("the node is ready");
    let scene = Scene::open(cluster.api(1)).await;
    let ports = cluster.gateway(1).ports();
    let mut crowd = Vec::new();
    for (port, count) in [(ports.client, CLIENTS), (ports.health, VISITORS)] {
        for _ in 0..count {
            crowd.push(TcpStream::connect(("127.0.0.1", port)).await.expect("the system keeps it for the node"));
        }
    }
    let crowded = eventually("the node to say so", LIMIT, async || {
        cluster.gateway(1).log_text().contains("as many connections as there may be").then_some(())
    });
    crowded.await.expect("some wait");
    let visited = cluster.gateway(1).metric("openshell_log_bytes").await;
    assert!(visited.is_some(), "pages have room of their own");
    // Each takes files: the log, the mark beside it.
    for number in 0..20 {
        scene.import(profile(&format!("profile-{number}"), &["a.example.com"])).await;
    }
    drop(crowd);
    Scene::open(cluster.api(1)).await;
    let page = eventually("a new connection", LIMIT, async || cluster.gateway(1).page("/readyz").await.ok());
    assert_eq!(page.await.expect("there is room again").0, 200);
    let log = cluster.gateway(1).log_text();
    assert!(!log.contains("Too many open files"), "{log}");
}
