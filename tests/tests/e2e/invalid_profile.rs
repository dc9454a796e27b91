//! A stored profile that an earlier release accepted and that today's rules refuse, on real nodes: who uses
//! it goes on without it, everywhere alike, and its owner sees why and repairs it.

use std::path::Path;
use std::time::Duration;

use openshell_client::methods;
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, ListProviderProfilesRequest};
use openshell_tests::{
    Cluster, CommandLine, Scene, eventually, layer_key, layered_keys, plant_profile_of_older_rules, policy_allowing,
    profile,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Stops the cluster, and starts it again with a profile that nobody judged by today's rules.
async fn with_an_older_profile(cluster: &mut Cluster, scene: &Scene, id: &str) {
    cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    let ids: Vec<u64> = cluster.ids().collect();
    for node in &ids {
        cluster.gateway_mut(*node).terminate(LIMIT).await.expect("it ends");
    }
    for node in &ids {
        let data = cluster.gateway(*node).argument("--data-dir");
        plant_profile_of_older_rules(Path::new(data), &scene.workspace, id).expect("planted");
    }
    for node in &ids {
        cluster.gateway_mut(*node).start().expect("it starts");
    }
    cluster.ready(LIMIT).await.expect("the nodes form a cluster again");
}

#[tokio::test]
async fn cat_11_a_profile_that_newer_rules_refuse_is_left_out_alike_on_every_node_until_it_is_repaired() {
    let mut cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.import(profile("tool", &["t.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    scene.create_provider("tool-main", "tool").await;
    let user = scene.create_sandbox("user", &["acme-main", "tool-main"], policy_allowing("docs.example.com")).await;
    let bystander = scene.create_sandbox("bystander", &["tool-main"], policy_allowing("docs.example.com")).await;
    let user_before = scene.config(&user).await.message;
    let bystander_before = scene.config(&bystander).await.message;

    with_an_older_profile(&mut cluster, &scene, "acme").await;
    let linearizable = scene.through(cluster.api_of_all().linearizable());
    let judged = eventually("a leader to judge what is stored", LIMIT, async || {
        let reason = linearizable.try_profile("acme").await.ok()?.invalid_reason;
        (!reason.is_empty()).then_some(reason)
    });
    let reason = judged.await.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs(20)));
    assert!(reason.contains("binaries[0]"), "{reason}");

    let seen = linearizable.config(&user).await;
    for node in cluster.ids() {
        let there = scene.through(cluster.api(node).not_before(&seen.seen));
        let config = there.config(&user).await.message;
        assert_eq!(config, seen.message, "on node {node}");
        assert_eq!(there.config(&bystander).await.message, bystander_before, "on node {node}");
        let status = GetSandboxPolicyStatusRequest {
            name: "user".to_owned(),
            workspace: scene.workspace.clone(),
            ..GetSandboxPolicyStatusRequest::default()
        };
        let status = there.api.call(&methods::GET_SANDBOX_POLICY_STATUS, status).await.expect("a status").message;
        assert_eq!(status.left_out_profiles, config.left_out_profiles, "on node {node}");
        let list = ListProviderProfilesRequest {
            workspace: scene.workspace.clone(),
            ..ListProviderProfilesRequest::default()
        };
        let listed = there.api.call(&methods::LIST_PROVIDER_PROFILES, list).await.expect("a list").message.profiles;
        let invalid: Vec<_> = listed.iter().filter(|profile| !profile.invalid_reason.is_empty()).collect();
        let [only] = &invalid[..] else { panic!("one profile is invalid: {invalid:?}") };
        assert_eq!((only.id.as_str(), &only.invalid_reason), ("acme", &reason));
    }
    let [left_out] = &seen.message.left_out_profiles[..] else { panic!("one profile is left out") };
    assert_eq!([&left_out.provider, &left_out.profile, &left_out.scope], ["acme-main", "acme", "workspace"]);
    assert_eq!(left_out.reason, reason);
    assert_eq!(layered_keys(seen.message.policy.as_ref().expect("a policy")), [layer_key("tool-main")]);
    assert_ne!(seen.message.provider_env_revision, user_before.provider_env_revision);

    by_command_line(&cluster, &scene, &reason).await;
    let repaired = scene.profile("acme").await;
    assert_eq!((repaired.invalid_reason.as_str(), repaired.resource_version), ("", stored.resource_version + 1));
    let after = linearizable.config(&user).await.message;
    assert_eq!((after.policy, after.left_out_profiles), (user_before.policy, Vec::new()));
}

/// What a person sees of it through a follower, and the repair: the file that is exported, without the
/// entry that the warning names.
async fn by_command_line(cluster: &Cluster, scene: &Scene, reason: &str) {
    let command_line = CommandLine::new();
    let endpoint = cluster.gateway(cluster.followers().await[0]).endpoint();
    let run = async |words: &[&str]| {
        let words: Vec<&str> = ["--workspace", &scene.workspace].into_iter().chain(words.iter().copied()).collect();
        command_line.run(&endpoint, &words).await
    };
    let listed = run(&["provider", "list-profiles"]).await;
    let row = |id: &str| {
        let row = listed.success().lines().find(|line| line.trim_start().starts_with(id));
        row.unwrap_or_else(|| panic!("{listed:?}")).to_owned()
    };
    assert!(row("acme").ends_with("  invalid") && row("tool").ends_with("  valid"), "{listed:?}");
    assert!(listed.stderr.contains("'acme'") && listed.stderr.contains(reason), "{listed:?}");
    for words in [
        &["sandbox", "get", "user"][..],
        &["policy", "get", "user"],
        &["policy", "get", "user", "--full", "-o", "json"],
        &["policy", "get", "user", "--rev", "1"],
    ] {
        let shown = run(words).await;
        assert!(!shown.success().contains(reason) && !shown.stdout.contains("_provider_acme_main"), "{shown:?}");
        assert!(shown.stderr.contains("'acme-main'") && shown.stderr.contains(reason), "{shown:?}");
        let about_the_other: Vec<&str> =
            words.iter().map(|word| if *word == "user" { "bystander" } else { *word }).collect();
        let other = run(&about_the_other).await;
        assert_eq!((other.code, other.stderr.as_str()), (Some(0), ""), "{other:?}");
    }
    let exported = run(&["provider", "profile", "export", "acme"]).await;
    assert!(!exported.success().contains("invalid"), "{exported:?}");
    assert!(exported.stderr.contains(reason), "{exported:?}");
    let repaired = exported.stdout.replace("- ''\n", "").replace("- \"\"\n", "");
    assert_ne!(repaired, exported.stdout);
    command_line.write("acme.yaml", &repaired);
    let updated = run(&["provider", "profile", "update", "-f", "acme.yaml"]).await;
    assert_eq!((updated.success(), updated.stderr.as_str()), ("Updated provider profile.\n", ""));
    let listed = run(&["provider", "list-profiles"]).await;
    assert!(!listed.success().contains("STATUS") && listed.stderr.is_empty(), "{listed:?}");
}
