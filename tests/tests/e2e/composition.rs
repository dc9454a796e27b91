//! What sandboxes are given: provider layers over their own policy, and when these are left out.

use std::collections::BTreeSet;

use openshell_client::methods;
use openshell_proto::sandbox::PolicySource;
use openshell_proto::v1::{ProviderProfile, UpdateConfigRequest};
use openshell_tests::{
    Cluster, Scene, layer_key, layered_hosts, layered_keys, policy_allowing, profile, token_grant_profile,
};

/// A workspace with a profile, its provider, and a sandbox that uses it; returns the sandbox's id.
async fn attached(scene: &Scene) -> (ProviderProfile, String) {
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    (stored, sandbox)
}

fn with_host(stored: &ProviderProfile, host: &str) -> ProviderProfile {
    ProviderProfile { resource_version: stored.resource_version, ..profile(&stored.id, &[host]) }
}

#[tokio::test]
async fn the_effective_policy_changes_on_the_next_read_on_every_node() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.follower_api().await).await;
    let (stored, sandbox) = attached(&scene).await;
    let before = scene.config(&sandbox).await.message;
    let updated = scene.update(with_host(&stored, "b.example.com")).await;
    for node in cluster.ids() {
        let after = scene.through(cluster.api(node).not_before(&updated.seen)).config(&sandbox).await.message;
        let policy = after.policy.as_ref().expect("a policy");
        assert_eq!(layered_hosts(policy, "acme-main"), ["b.example.com"], "on node {node}");
        assert_ne!(after.policy_hash, before.policy_hash);
        assert_ne!(after.config_revision, before.config_revision);
        assert_eq!(after.version, before.version, "the sandbox's own policy is as it was");
    }
}

#[tokio::test]
async fn the_stored_policy_of_a_sandbox_has_no_provider_rules() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.follower_api().await).await;
    let (stored, sandbox) = attached(&scene).await;
    let updated = scene.update(with_host(&stored, "b.example.com")).await;
    for node in cluster.ids() {
        let there = scene.through(cluster.api(node).not_before(&updated.seen));
        assert_eq!(layered_keys(&there.effective_policy(&sandbox).await), [layer_key("acme-main")]);
        let revision = there.stored_policy("box").await.policy.expect("a revision has its policy");
        assert_eq!(layered_keys(&revision), [""; 0]);
        let spec = there.sandbox("box").await.spec.and_then(|spec| spec.policy).expect("the sandbox has a policy");
        assert_eq!(layered_keys(&spec), [""; 0]);
    }
}

#[tokio::test]
async fn without_providers_v2_a_profile_has_no_effect() {
    let cluster = Cluster::start().await;
    let scene = Scene::open(cluster.follower_api().await).await;
    let (stored, sandbox) = attached(&scene).await;
    let before = scene.config(&sandbox).await.message;
    assert_eq!(layered_keys(before.policy.as_ref().expect("a policy")), [""; 0]);
    let updated = scene.update(with_host(&stored, "b.example.com")).await;
    for node in cluster.ids() {
        let after = scene.through(cluster.api(node).not_before(&updated.seen)).config(&sandbox).await.message;
        assert_eq!((&after.policy, &after.policy_hash), (&before.policy, &before.policy_hash), "on node {node}");
        assert_eq!(after.config_revision, before.config_revision);
    }
    let seen = cluster.api(1).enable_providers_v2(true).await;
    for node in cluster.ids() {
        let policy = scene.through(cluster.api(node).not_before(&seen)).effective_policy(&sandbox).await;
        assert_eq!(layered_hosts(&policy, "acme-main"), ["b.example.com"], "on node {node}");
    }
}

#[tokio::test]
async fn an_active_global_policy_suppresses_provider_layers() {
    let cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.follower_api().await).await;
    let (stored, sandbox) = attached(&scene).await;
    let global = UpdateConfigRequest {
        global: true,
        policy: Some(policy_allowing("global.example.com")),
        ..UpdateConfigRequest::default()
    };
    scene.api.call(&methods::UPDATE_CONFIG, global).await.expect("the global policy is accepted");
    let updated = scene.update(with_host(&stored, "b.example.com")).await;
    for node in cluster.ids() {
        let config = scene.through(cluster.api(node).not_before(&updated.seen)).config(&sandbox).await.message;
        assert_eq!(config.policy_source(), PolicySource::Global);
        let policy = config.policy.expect("a policy");
        assert_eq!(layered_keys(&policy), [""; 0], "on node {node}");
        assert_eq!(policy.network_policies["base"].endpoints[0].host, "global.example.com");
    }
    let gone = UpdateConfigRequest {
        global: true,
        setting_key: "policy".to_owned(),
        delete_setting: true,
        ..UpdateConfigRequest::default()
    };
    let seen = scene.api.call(&methods::UPDATE_CONFIG, gone).await.expect("the global policy is deleted").seen;
    let policy = scene.through(scene.api.not_before(&seen)).effective_policy(&sandbox).await;
    assert_eq!(layered_hosts(&policy, "acme-main"), ["b.example.com"]);
}

#[tokio::test]
async fn changed_token_grants_change_the_environment_revision_of_the_sandboxes_that_use_them_and_of_no_other() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.follower_api().await).await;
    let granted = scene.import(token_grant_profile("granted", "/v1/**")).await;
    scene.import(token_grant_profile("other", "/v2/**")).await;
    scene.create_provider("granted-main", "granted").await;
    scene.create_provider("other-main", "other").await;
    let user = scene.create_sandbox("user", &["granted-main"], policy_allowing("docs.example.com")).await;
    let bystander = scene.create_sandbox("bystander", &["other-main"], policy_allowing("docs.example.com")).await;
    let user_before = scene.config(&user).await.message.provider_env_revision;
    let bystander_before = scene.config(&bystander).await.message.provider_env_revision;
    let mut edited = granted;
    let grant = edited.credentials[0].token_grant.as_mut().expect("a token grant");
    grant.token_endpoint = "https://login.example.com/token".to_owned();
    let updated = scene.update(edited).await;
    let mut revisions = BTreeSet::new();
    for node in cluster.ids() {
        let there = scene.through(cluster.api(node).not_before(&updated.seen));
        revisions.insert(there.config(&user).await.message.provider_env_revision);
        let bystander_after = there.config(&bystander).await.message.provider_env_revision;
        assert_eq!(bystander_after, bystander_before, "on node {node}");
    }
    assert_eq!(revisions.len(), 1, "equal on all nodes: {revisions:?}");
    assert!(!revisions.contains(&user_before), "and another than before");
}
