//! Scenarios 71 to 84: what a sandbox gets as its configuration.

use openshell_client::{CallError, methods};
use openshell_proto::cluster::GetDigestRequest;
use openshell_proto::sandbox::{GetSandboxConfigRequest, NetworkCredentialBinding, NetworkEndpoint, PolicySource};
use openshell_proto::v1::{
    ImportProviderProfilesRequest, ProviderProfile, ProviderProfileImportItem, UpdateConfigRequest,
};
use openshell_tests::{Cluster, Scene, bool_setting, unique};
use tonic::Code;

use super::furnished::{
    bound, credential, environment, global_policy, global_setting, id, keyed, policy, policy_of, rules,
};
use super::{Stage, endpoint, everywhere, everywhere_alone, map, says};
use crate::rpc::Calls;
use crate::scenario::minimal;

const V2: &str = "providers_v2_enabled";

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> tonic::Status {
    match result {
        Err(CallError::Refused(status)) => status,
        other => panic!("a refusal is expected: {other:?}"),
    }
}

#[tokio::test]
async fn config_scenario_71_composition_is_switched_on_only_when_all_compose() {
    everywhere_alone(async |stage| {
        let mut open = keyed("open", "OPEN_KEY", Some("a.example.com"));
        open.endpoints[0].tls = "skip".to_owned();
        open.endpoints[0].allow_uninspected_credentials = true;
        stage.profiles(&[open]).await;
        stage.ok(&stage.provider("p", "open", &["OPEN_KEY"])).await;
        stage.with_providers("box", &["p"], Some(policy("a.example.com"))).await;
        let named = format!("{}/box", stage.own());
        says(&stage.refused(Code::FailedPrecondition, &global_setting(V2, Some(true))).await, &[&named]);
        stage.ok(&global_policy(policy("g.example.com"))).await;
        stage.ok(&global_setting(V2, Some(true))).await;
        let cleared = global_setting("policy", None);
        says(&stage.refused(Code::FailedPrecondition, &cleared).await, &[&named]);
        stage.scene.detach("box", "p").await;
        assert!(stage.ok(&cleared).await.deleted);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_72_77_83_and_92_what_the_gateways_settings_change() {
    everywhere_alone(async |stage| {
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("api.example.com"))]).await;
        stage.ok(&stage.provider("my-github", "tool", &["TOOL_KEY"])).await;
        let sandbox = stage.with_providers("box", &["my-github"], Some(policy("api.example.com"))).await;
        // 77: without composition the sandbox's own endpoint carries the credentials, and is marked.
        let updated = stage.ok(&stage.update_policy("box", policy("api.example.com"))).await;
        let off = stage.effective(&sandbox).await;
        let own = off.policy.clone().expect("a policy").network_policies.remove("r1").expect("the rule");
        assert!(own.endpoints[0].provider_credentialed);
        assert_ne!(off.policy_hash, updated.policy_hash);
        // 72: with it, the layer is there, and nothing else is different.
        assert_eq!(rules(off.policy.as_ref()), ["r1"]);
        let given = stage.environment(&sandbox).await;
        stage.ok(&global_setting(V2, Some(true))).await;
        let on = stage.effective(&sandbox).await;
        let mut composed = on.policy.clone().expect("a policy");
        let layer = composed.network_policies.remove("_provider_my_github").expect("the layer");
        assert_eq!((layer.endpoints.len(), layer.endpoints[0].host.as_str()), (1, "api.example.com"));
        assert_eq!(Some(composed), off.policy);
        let stored = stage.scene.stored_policy("box").await.policy;
        assert_eq!(rules(stored.as_ref()), ["r1"]);
        // 92: the environment knows nothing of it.
        assert_eq!(stage.environment(&sandbox).await, given);
        assert_eq!(on.provider_env_revision, off.provider_env_revision);
        // 83: each of these shows in the configuration's revision, and reading shows nowhere.
        let mut revisions = vec![off.config_revision, on.config_revision];
        stage.ok(&global_setting("ocsf_json_enabled", Some(false))).await;
        revisions.push(stage.effective(&sandbox).await.config_revision);
        stage.ok(&global_policy(policy("api.example.com"))).await;
        let global = stage.effective(&sandbox).await;
        assert_eq!(global.policy_source(), PolicySource::Global);
        revisions.push(global.config_revision);
        let all = revisions.len();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), all);
        reading_writes_nothing(&stage, id(&sandbox)).await;
    })
    .await;
}

/// Nobody else calls in this cluster.
async fn reading_writes_nothing(stage: &Stage, sandbox_id: &str) {
    let digest = async || {
        let answer = stage.scene.api.call(&methods::GET_DIGEST, GetDigestRequest {}).await.expect("a digest").message;
        (answer.revision, answer.digest)
    };
    let before = digest().await;
    for _ in 0..3 {
        stage.scene.config(sandbox_id).await;
    }
    let (revision, after) = digest().await;
    assert_eq!(after, before.1, "at {revision}, after {}", before.0);
}

#[tokio::test]
async fn config_scenario_73_two_names_for_one_rule() {
    everywhere(async |stage| {
        stage.profiles(&[ProviderProfile { endpoints: vec![endpoint("tool.example.com")], ..minimal("tool") }]).await;
        for (name, key) in [("a.b", "ONE_KEY"), ("a-b", "TWO_KEY")] {
            stage.ok(&stage.provider(name, "tool", &[key])).await;
        }
        let sandbox = stage.with_providers("box", &["a.b", "a-b"], Some(policy("a.example.com"))).await;
        let effective = stage.effective(&sandbox).await;
        assert_eq!(rules(effective.policy.as_ref()), ["_provider_a_b", "_provider_a_b_2", "r1"]);
        let named = |key: &str| effective.policy.as_ref().expect("a policy").network_policies[key].name.clone();
        assert_eq!([named("_provider_a_b"), named("_provider_a_b_2")], ["_provider_a_b", "_provider_a_b"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_74_a_provider_without_a_profile_has_no_layer() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "unheard-of", &["SOME_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], Some(policy("a.example.com"))).await;
        assert_eq!(rules(stage.effective(&sandbox).await.policy.as_ref()), ["r1"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_75_an_updated_profile_reaches_the_sandbox() {
    everywhere(async |stage| {
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("old.example.com"))]).await;
        stage.ok(&stage.provider("p", "tool", &["TOOL_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], Some(policy("a.example.com"))).await;
        let (provider, before) = (stage.scene.provider("p").await, stage.effective(&sandbox).await);
        // Twice, the second time from what the node keeps.
        assert_eq!(stage.effective(&sandbox).await, before);
        stage.profile_is_now(keyed("tool", "TOOL_KEY", Some("new.example.com"))).await;
        let after = stage.effective(&sandbox).await;
        assert_ne!((&after.policy_hash, after.config_revision), (&before.policy_hash, before.config_revision));
        let policy = after.policy.expect("a policy");
        assert_eq!(policy.network_policies["_provider_p"].endpoints[0].host, "new.example.com");
        assert_eq!(stage.scene.provider("p").await, provider);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_76_the_scope_of_a_provider_chooses_its_profile() {
    everywhere(async |stage| {
        // The platform's scope is shared by all scenarios.
        let shared = unique("tool");
        let at = |host: &str| ProviderProfile { endpoints: vec![endpoint(host)], ..minimal(&shared) };
        let item = ProviderProfileImportItem { source: "test".to_owned(), profile: Some(at("platform.example.com")) };
        let import = ImportProviderProfilesRequest { profiles: vec![item], workspace: String::new() };
        assert!(stage.ok(&import).await.imported);
        stage.profiles(&[at("workspace.example.com")]).await;
        let mut wide = stage.provider("wide", &shared, &["WIDE_KEY"]);
        wide.provider.as_mut().expect("a provider").profile_workspace = String::new();
        stage.ok(&wide).await;
        stage.ok(&stage.provider("own", &shared, &["OWN_KEY"])).await;
        let sandbox = stage.with_providers("box", &["wide", "own"], Some(policy("a.example.com"))).await;
        let composed = stage.effective(&sandbox).await.policy.expect("a policy");
        let host = |key: &str| composed.network_policies[key].endpoints[0].host.clone();
        assert_eq!([host("_provider_wide"), host("_provider_own")], ["platform.example.com", "workspace.example.com"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_78_a_mark_from_outside_is_not_believed() {
    everywhere(async |stage| {
        let sent = policy_of(NetworkEndpoint { provider_credentialed: true, ..endpoint("a.example.com") });
        let sandbox = stage.made("box", Some(sent.clone())).await;
        let marked = async || {
            let policy = stage.effective(&sandbox).await.policy.expect("a policy");
            policy.network_policies["r1"].endpoints[0].provider_credentialed
        };
        assert!(!marked().await);
        stage.ok(&stage.update_policy("box", sent)).await;
        assert!(!marked().await);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_79_credentials_do_not_travel_uninspected() {
    everywhere(async |stage| {
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("tool.example.com"))]).await;
        stage.ok(&stage.provider("p", "tool", &["TOOL_KEY"])).await;
        // Where the profile's credentials go, and no protocol.
        let here = |allowed: bool| {
            policy_of(NetworkEndpoint {
                host: "tool.example.com".to_owned(),
                port: 443,
                allow_uninspected_credentials: allowed,
                ..NetworkEndpoint::default()
            })
        };
        stage.refused(Code::FailedPrecondition, &stage.sandbox("no", &["p"], Some(here(false)))).await;
        stage.made("box", Some(here(false))).await;
        let refused = stage.scene.try_attach("box", "p").await;
        assert_eq!(refusal(refused).code(), Code::FailedPrecondition);
        let sandbox = stage.with_providers("user", &["p"], Some(policy("a.example.com"))).await;
        stage.refused(Code::FailedPrecondition, &stage.update_policy("user", here(false))).await;
        stage.ok(&stage.update_policy("user", here(true))).await;
        let own = stage.as_sandbox(&sandbox).await;
        let synced = own.call(&methods::UPDATE_CONFIG, stage.update_policy("user", here(false))).await;
        synced.expect("a supervisor's is taken");
        let effective = stage.effective(&sandbox).await.policy.expect("a policy");
        assert!(effective.network_policies["r1"].endpoints[0].provider_credentialed);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_80_bindings() {
    everywhere(async |stage| {
        let tool = keyed("tool", "TOOL_KEY", Some("tool.example.com"));
        stage.profiles(&[tool, keyed("bare", "BARE_KEY", None)]).await;
        stage.ok(&stage.provider("t", "tool", &["TOOL_KEY"])).await;
        stage.ok(&stage.provider("p", "bare", &["BARE_KEY"])).await;
        let sandbox = stage.with_providers("box", &["t"], Some(policy("a.example.com"))).await;
        let asked = |provider: &str| stage.update_policy("box", bound(provider, "bound.example.com", "/v1"));
        says(&stage.refused(Code::FailedPrecondition, &asked("p")).await, &["not attached"]);
        says(&stage.refused(Code::FailedPrecondition, &asked("t")).await, &["profile already defines endpoints"]);
        stage.refused(Code::InvalidArgument, &asked(" p")).await;
        stage.attach("box", "p").await;
        stage.ok(&asked("p")).await;
        let given = stage.environment(&sandbox).await;
        let places = &given.static_credential_bindings["BARE_KEY"].endpoints;
        assert_eq!((places.len(), places[0].host.as_str(), places[0].port), (1, "bound.example.com", 443));
        assert_eq!(given.environment["BARE_KEY"], "secret");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_81_signed_requests_need_a_source() {
    everywhere(async |stage| {
        let credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| credential(name, name));
        let keys = ProviderProfile { credentials: credentials.to_vec(), ..minimal("keys") };
        let signing = |host: &str| NetworkEndpoint {
            credential_signing: "sigv4".to_owned(),
            signing_service: "s3".to_owned(),
            ..endpoint(host)
        };
        let covering = ProviderProfile { endpoints: vec![signing("*.aws.example.com")], ..keys.clone() };
        stage.profiles(&[keys, ProviderProfile { id: "covering".to_owned(), ..covering }]).await;
        for (name, of) in [("k", "keys"), ("c", "covering")] {
            let pairs = [format!("{}_ID", name.to_uppercase()), format!("{}_KEY", name.to_uppercase())];
            stage.ok(&stage.provider(name, of, &[&pairs[0], &pairs[1]])).await;
        }
        let signed = |host: &str, provider: Option<&str>| {
            let credential_binding = provider.map(|name| NetworkCredentialBinding { provider: name.to_owned() });
            policy_of(NetworkEndpoint { credential_binding, ..signing(host) })
        };
        let (inside, outside) = ("s3.aws.example.com", "s3.other.example.com");
        for (providers, policy) in
            [(&[][..], signed(inside, None)), (&["k"], signed(inside, None)), (&["c"], signed(outside, None))]
        {
            let text = stage.refused(Code::FailedPrecondition, &stage.sandbox("no", providers, Some(policy))).await;
            says(&text, &["no resolvable AWS credential source"]);
        }
        let made = stage.with_providers("bound", &["k"], Some(signed(inside, Some("k")))).await;
        assert!(stage.effective(&made).await.policy.is_some());
        let made = stage.with_providers("covered", &["c"], Some(signed(inside, None))).await;
        assert!(stage.effective(&made).await.policy.is_some());
    })
    .await;
}

#[tokio::test]
async fn config_scenario_82_equal_states_give_equal_answers_on_every_node() {
    let cluster = Cluster::shared().await;
    let stage = Stage { scene: Scene::open(cluster.follower_api().await).await };
    stage.profiles(&[keyed("tool", "TOOL_KEY", Some("tool.example.com")), keyed("bare", "BARE_KEY", None)]).await;
    stage.ok(&stage.provider("t", "tool", &["TOOL_KEY"])).await;
    stage.ok(&stage.provider("p", "bare", &["BARE_KEY"])).await;
    let sandbox = stage.with_providers("box", &["t", "p"], Some(bound("p", "bound.example.com", "/v1"))).await;
    let (config, given) = (stage.effective(&sandbox).await, stage.environment(&sandbox).await);
    let own = stage.as_sandbox(&sandbox).await;
    let request = GetSandboxConfigRequest { sandbox_id: id(&sandbox).to_owned() };
    let seen = own.linearizable().call(&methods::GET_SANDBOX_CONFIG, request).await.expect("its own").seen;
    for node in cluster.ids() {
        let there = Stage { scene: stage.scene.through(cluster.api(node).not_before(&seen)) };
        // Twice: composed, and from what the node keeps.
        for _ in 0..2 {
            assert_eq!(there.effective(&sandbox).await, config, "on node {node}");
            assert_eq!(there.environment(&sandbox).await, given, "on node {node}");
        }
    }
}

#[tokio::test]
async fn config_scenario_83_what_changes_the_revision_of_a_configuration_and_what_does_not() {
    everywhere(async |stage| {
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("tool.example.com"))]).await;
        stage.ok(&stage.provider("p", "tool", &["TOOL_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], Some(policy("a.example.com"))).await;
        let seen = async || {
            let effective = stage.effective(&sandbox).await;
            (effective.version, effective.config_revision, effective.provider_env_revision)
        };
        let start = seen().await;
        let same = stage.update_policy("box", policy("a.example.com"));
        stage.ok(&UpdateConfigRequest { annotations: map(&[("a", "b")]), ..same }).await;
        assert_eq!(seen().await, (start.0 + 1, start.1, start.2), "another revision of the same content");
        stage.ok(&stage.update_provider("p", &[("TOOL_KEY", "rotated")])).await;
        let rotated = seen().await;
        assert_eq!(rotated.1, start.1);
        assert_ne!(rotated.2, start.2);
        let setting = UpdateConfigRequest {
            setting_key: "ocsf_json_enabled".to_owned(),
            setting_value: Some(bool_setting(true)),
            ..stage.config("box")
        };
        stage.ok(&setting).await;
        let set = seen().await;
        assert_ne!(set.1, rotated.1);
        assert_eq!(set.2, rotated.2);
        stage.ok(&stage.update_policy("box", policy("b.example.com"))).await;
        assert_ne!(seen().await.1, set.1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_84_a_sandbox_asks_about_itself_only() {
    everywhere(async |stage| {
        let (asking, other) = (stage.made("a", None).await, stage.made("b", None).await);
        let own = stage.as_sandbox(&asking).await;
        let config = async |asked: &str| {
            let request = GetSandboxConfigRequest { sandbox_id: asked.to_owned() };
            own.linearizable().call(&methods::GET_SANDBOX_CONFIG, request).await
        };
        let mut texts = Vec::new();
        for asked in [id(&other), "00000000-0000-4000-8000-000000000000"] {
            for status in [refusal(config(asked).await), refusal(environment(&own, asked, true).await)] {
                assert_eq!(status.code(), Code::PermissionDenied, "{status}");
                texts.push(status.message().to_owned());
            }
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "whether it exists is not to be heard: {texts:?}");
        config(id(&asking)).await.expect("its own");
        environment(&own, id(&asking), true).await.expect("its own");
    })
    .await;
}
