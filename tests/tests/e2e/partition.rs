//! Nodes in network namespaces, cut off from each other while clients still reach all of them: the
//! case in which a leader does not know that it leads no more. Without root no such network can be
//! made, and the test says so.

use std::time::Duration;

use openshell_proto::peer::Hello;
use openshell_tests::{Cluster, ClusterOptions, Cut, Network, Scene, eventually, policy_allowing, profile};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(90);
/// For calls that must not be answered; how long they are tried does not decide what they prove.
const PATIENCE: Duration = Duration::from_secs(3);

/// A cluster that can be cut; nothing where the obstacle is this user's, not the product's.
pub(crate) async fn apart() -> Option<Cluster> {
    apart_with(ClusterOptions::default()).await
}

/// The same, made otherwise than by default.
pub(crate) async fn apart_with(options: ClusterOptions) -> Option<Cluster> {
    match Cluster::start_apart(options).await {
        Ok(cluster) => Some(cluster),
        Err(error) => {
            let obstacle = Network::obstacle().unwrap_or_else(|| panic!("no network can be made: {error:#}"));
            assert!(!nix::unistd::geteuid().is_root(), "root can make networks, but: {obstacle}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_only_clients_reach_answers_no_linearizable_read_and_acknowledges_nothing() {
    let Some(mut cluster) = apart().await else { return };
    let leader = cluster.leader().await;
    let follower = cluster.ids().find(|id| *id != leader).expect("three nodes");
    let there = Scene::open(cluster.api(leader)).await;
    let stored = there.import(profile("cut", &["a.example.com"])).await;
    let sandbox = there.create_sandbox("cut-off", &[], policy_allowing("base.example.com")).await;
    let network = cluster.network().expect("a network of its own");

    network.cut(&Cut::Apart(vec![leader])).expect("the network can be cut");
    let mut edited = stored.clone();
    edited.display_name = "Written by the majority".to_owned();
    let here = there.through(cluster.api(follower));
    let acknowledged = here.update(edited).await.message;

    let cut_off = there.through(cluster.api(leader).once().deadline(PATIENCE));
    let asked = cut_off.through(cluster.api(leader).once().linearizable().deadline(PATIENCE));
    asked.try_profile("cut").await.expect_err("nobody can prove here that this is current");
    let mut lost = stored.clone();
    lost.display_name = "Written by nobody".to_owned();
    cut_off.try_update(lost).await.expect_err("no majority has it");
    let local = there.through(cluster.api(leader).local()).config(&sandbox).await;
    assert!(local.message.policy.is_some(), "a sandbox is served from what the node has");
    assert!(local.seen.revision < here.config(&sandbox).await.seen.revision, "it is older, and says so");

    assert!(network.heal().expect("the network can be healed") > 0, "the cut was felt");
    cluster.ready(LIMIT).await.expect("all nodes are ready again");
    let read = eventually("the old leader to read what the majority wrote", LIMIT, async || {
        there.try_profile("cut").await.ok()
    });
    let read = read.await.expect("a read");
    assert_eq!((read.resource_version, read.display_name), (acknowledged.resource_version, acknowledged.display_name));
    let digests = cluster.digests_at_rest(LIMIT).await.expect("digests");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_says_so_to_its_callers_instead_of_holding_them() {
    let Some(mut cluster) = apart().await else { return };
    let leader = cluster.leader().await;
    let scene = Scene::open(cluster.api(leader)).await;
    let stored = scene.import(profile("cut", &["a.example.com"])).await;
    let network = cluster.network().expect("a network of its own");
    network.cut(&Cut::Apart(vec![leader])).expect("the network can be cut");
    // They would be held for as long as this, if nothing were said.
    let patient = || cluster.api(leader).once().deadline(LIMIT);
    let (write, read) = (scene.through(patient()), scene.through(patient().linearizable()));
    let mut edited = stored.clone();
    edited.display_name = "Written by nobody".to_owned();
    // Those that are under way when it is cut off, and those that come when it knows.
    for _ in 0..2 {
        let (written, seen) = tokio::join!(write.try_update(edited.clone()), read.try_profile("cut"));
        let said = [format!("{:?}", written.err()), format!("{:?}", seen.err())];
        for said in said {
            assert!(said.contains("has heard of no majority for more than"), "{said}");
        }
    }
    assert!(network.heal().expect("the network can be healed") > 0, "the cut was felt");
    cluster.ready(LIMIT).await.expect("all nodes are ready again");
    let digests = cluster.digests_at_rest(LIMIT).await.expect("digests");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_in_plaintext_at_the_peer_port_off_loopback_hears_nothing_of_the_cluster() {
    let Some(mut cluster) = apart().await else { return };
    let address = cluster.gateway(1).argument("--peer-bind").to_owned();
    assert!(!address.starts_with("127."), "{address}");
    // The first words of a peer on loopback, where they are enough to be answered.
    let hello = Hello { protocol_version: 1, from: 2, to: 1, nonce: vec![0; 32], ..Hello::default() }.encode_to_vec();
    let length = u32::try_from(hello.len()).expect("short").to_be_bytes();
    for words in [[length.as_slice(), &hello].concat(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()] {
        let mut stream = TcpStream::connect(&address).await.expect("the port is open");
        stream.write_all(&words).await.expect("sent");
        let mut heard = Vec::new();
        // Closed, or reset for what it had not read.
        let ended = timeout(LIMIT, stream.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "the stranger is kept");
        // At most an alert of TLS: its content type, and nothing of a challenge.
        assert!(heard.first().is_none_or(|kind| *kind == 21) && heard.len() < 32, "{heard:?}");
    }
    cluster.ready(LIMIT).await.expect("the cluster does not mind");
}
