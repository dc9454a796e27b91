//! The job the project exists for: a profile is updated through any node, and sandboxes get the new
//! effective policy from any other.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use openshell_client::Uuid;
use openshell_tests::{
    Cluster, Scene, eventually, http_get, layered_hosts, policy_allowing, profile, scrape, token_grant_profile,
};
use prost::Message;

#[tokio::test]
async fn an_update_through_any_node_is_in_the_effective_policy_on_every_other() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let mut acme = scene.import(profile("acme", &["host-0.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    for writer in cluster.ids() {
        let host = format!("host-{writer}.example.com");
        let edited = openshell_proto::v1::ProviderProfile {
            resource_version: acme.resource_version,
            ..profile("acme", &[&host])
        };
        let updated = scene.through(cluster.api(writer)).update(edited).await;
        acme = updated.message;
        let mut answers = BTreeSet::new();
        for reader in cluster.ids() {
            let config = scene.through(cluster.api(reader).not_before(&updated.seen)).config(&sandbox).await.message;
            let policy = config.policy.clone().expect("the sandbox has a policy");
            assert_eq!(layered_hosts(&policy, "acme-main"), [host.as_str()], "written by {writer}, read by {reader}");
            answers.insert(config.encode_to_vec());
        }
        assert_eq!(answers.len(), 1, "every node gives the same bytes");
    }
    assert_eq!(acme.resource_version, 4);
}

#[tokio::test]
async fn a_linearizable_read_through_any_node_sees_the_update_that_was_just_acknowledged() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(2)).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    for round in 0..9 {
        let writer = round % 3 + 1;
        stored.display_name = format!("Round {round}");
        stored = scene.through(cluster.api(writer)).update(stored).await.message;
        for reader in cluster.ids() {
            let read = scene.through(cluster.api(reader).linearizable()).profile("acme").await;
            assert_eq!(read.display_name, format!("Round {round}"), "through node {reader}");
            assert_eq!(read.resource_version, stored.resource_version);
        }
    }
}

#[tokio::test]
async fn a_request_id_that_is_repeated_through_another_node_hears_the_first_answer() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let mut edited = scene.import(profile("acme", &["a.example.com"])).await;
    edited.display_name = "Edited once".to_owned();
    let request = Uuid::now_v7();
    let mut answers = Vec::new();
    for (attempt, node) in (1..).zip(cluster.ids()) {
        let through = scene.through(cluster.api(node).request(request, attempt));
        answers.push(through.try_update(edited.clone()).await.expect("every repetition is answered").message);
    }
    assert!(answers[0].updated);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(scene.profile("acme").await.resource_version, 2, "it took effect once");
}

#[tokio::test]
async fn a_request_id_sent_through_two_nodes_at_once_takes_effect_once() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    for round in 0..10 {
        stored.display_name = format!("Round {round}");
        let request = Uuid::now_v7();
        let calls = cluster.ids().map(|node| {
            let through = scene.through(cluster.api(node).request(request, 1));
            let edited = stored.clone();
            async move { through.update(edited).await.message }
        });
        let answers = join_all(calls).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0].resource_version, stored.resource_version + 1);
        stored = answers[0].clone();
    }
}

#[tokio::test]
async fn a_follower_cut_off_from_both_peers_still_answers_a_sandbox_with_a_growing_age() {
    let cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let follower = cluster.followers().await[0];
    let scene = Scene::open(cluster.api(1)).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    let seen = scene.config(&sandbox).await.seen;
    let there = scene.through(cluster.api(follower));
    let before = scene.through(cluster.api(follower).not_before(&seen)).config(&sandbox).await;
    for peer in cluster.ids().filter(|id| *id != follower) {
        cluster.gateway(peer).pause().expect("a node can be paused");
    }
    let mut ages = Vec::new();
    let grown = eventually("an age of three seconds", Duration::from_secs(30), async || {
        let now = there.config(&sandbox).await;
        assert_eq!(now.message, before.message, "the answer stays what it was");
        assert_eq!(now.seen.node, Some(follower));
        ages.push(now.seen.age_ms.expect("every answer has an age"));
        ages.last().is_some_and(|age| *age >= 3_000).then_some(())
    });
    grown.await.expect("the age grows");
    let risen = ages.iter().rposition(|age| *age < 500).map_or(0, |at| at + 1);
    assert!(ages[risen..].is_sorted(), "nothing makes a node without peers younger: {ages:?}");
    assert!(ages.len() > 10, "it answered all the time: {ages:?}");
    for peer in cluster.ids().filter(|id| *id != follower) {
        cluster.gateway(peer).resume().expect("a node can go on");
    }
    let young = eventually("a young answer", Duration::from_secs(30), async || {
        let age = there.config(&sandbox).await.seen.age_ms?;
        (age < 1_000).then_some(())
    });
    young.await.expect("the node catches up");
}

#[tokio::test]
async fn a_node_without_a_majority_acknowledges_nothing_and_answers_no_linearizable_read() {
    let cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api(1)).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    let leader = cluster.leader().await;
    for peer in cluster.ids().filter(|id| *id != leader) {
        cluster.gateway(peer).pause().expect("a node can be paused");
    }
    stored.display_name = "Never acknowledged".to_owned();
    let alone = scene.through(cluster.api(leader).once().deadline(Duration::from_secs(4)));
    let update = alone.try_update(stored.clone());
    let read = scene.through(cluster.api(leader).linearizable().once().deadline(Duration::from_secs(4)));
    let (update, read) = tokio::join!(update, read.try_profile("acme"));
    update.expect_err("an update needs a majority");
    read.expect_err("a linearizable read needs a majority");
    for peer in cluster.ids().filter(|id| *id != leader) {
        cluster.gateway(peer).resume().expect("a node can go on");
    }
    let after = scene.through(cluster.api_of_all().linearizable()).profile("acme").await;
    assert!(after.resource_version <= 2, "at most the update in doubt took effect: {after:?}");
}

#[tokio::test]
async fn sixty_four_clients_on_their_own_profiles_never_fail_a_guard() {
    const CLIENTS: usize = 64;
    const UPDATES: u64 = 5;
    let cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api(1)).await;
    // Token grants and attachments, so that a decision relies on as much as it can.
    let profiles: Vec<_> = (0..CLIENTS)
        .map(|number| token_grant_profile(&format!("profile-{number}"), &format!("/v{number}/**")))
        .collect();
    let imported = scene.try_import(profiles).await.expect("the import is answered").message;
    assert!(imported.imported, "{:?}", imported.diagnostics);
    for number in 0..CLIENTS {
        let (provider, id) = (format!("provider-{number}"), format!("profile-{number}"));
        scene.create_provider(&provider, &id).await;
        scene.create_sandbox(&format!("box-{number}"), &[&provider], policy_allowing("docs.example.com")).await;
    }
    let failures = guard_failures(&cluster).await;
    let clients = imported.profiles.into_iter().enumerate().map(|(number, mut stored)| {
        let own = scene.through(cluster.api(number as u64 % 3 + 1));
        async move {
            for update in 0..UPDATES {
                stored.display_name = format!("Update {update}");
                stored = own.update(stored).await.message;
            }
            stored.resource_version
        }
    });
    let versions = join_all(clients).await;
    assert!(versions.iter().all(|version| *version == UPDATES + 1), "{versions:?}");
    assert_eq!(guard_failures(&cluster).await, failures, "disjoint updates never conflict");
    assert_eq!(failures, 0.0);
}

async fn guard_failures(cluster: &Cluster) -> f64 {
    let mut sum = 0.0;
    for gateway in cluster.gateways() {
        let metrics = scrape(gateway.ports().metrics).await.expect("a metrics page");
        sum += metrics.sum("openshell_guard_failures").expect("the page counts guard failures");
    }
    sum
}

#[tokio::test]
async fn health_readiness_and_the_first_gauges_are_served_over_http() {
    let cluster = Cluster::shared().await;
    let mut leaders = 0.0;
    for gateway in cluster.gateways() {
        let (status, _) = http_get(gateway.ports().health, "/healthz").await.expect("an answer");
        assert_eq!(status, 200);
        let (status, words) = http_get(gateway.ports().health, "/readyz").await.expect("an answer");
        assert_eq!(status, 200, "{words}");
        let metrics = scrape(gateway.ports().metrics).await.expect("a metrics page");
        for name in ["raft_role", "raft_term", "raft_commit_lag", "raft_apply_lag", "proposals", "guard_failures"] {
            assert!(metrics.sum(&format!("openshell_{name}")).is_some(), "{name} is on the page");
        }
        let [term, saved] = ["openshell_raft_term", "openshell_raft_saved_term"].map(|name| metrics.sum(name));
        assert!(term > Some(0.0) && saved == term, "term {term:?}, on disk {saved:?}");
        leaders += f64::from(u8::from(metrics.sum("openshell_raft_leader") == Some(gateway.id() as f64)));
    }
    assert_eq!(leaders, 1.0, "one node says that it leads");
}
