//! What the reference gateway answered to the same calls (`tests/vectors`), but for the departures
//! that `docs/compatibility.md` lists.

use openshell_client::CallError;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::{GetSandboxConfigResponse, PolicySource, SandboxPolicy, setting_value};
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, ImportProviderProfilesRequest, ProviderProfileImportItem,
    UpdateConfigRequest,
};
use openshell_tests::{Cluster, ClusterOptions};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Stage, everywhere};
use crate::recorded::{CONFIG, code_name, departs_as_listed, json, list, message};
use crate::rpc::Calls;

const MERGE: &str = include_str!("../../../vectors/merge.json");

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The `config_revision` of an answer (`config.md` EC-52), as a gateway computes it that signs tokens for
/// sandboxes, or, as the recorded one, does not.
fn config_revision(answer: &GetSandboxConfigResponse, signs_tokens: bool) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(answer.policy_source.to_le_bytes());
    hasher.update(&answer.policy_validation_failure_mode);
    hasher.update([u8::from(signs_tokens)]);
    if answer.policy.is_some() {
        hasher.update(&answer.policy_hash);
    }
    for (key, setting) in &answer.settings {
        hasher.update(key);
        hasher.update(setting.scope.to_le_bytes());
        match setting.value.as_ref().and_then(|value| value.value.as_ref()) {
            None => {}
            Some(setting_value::Value::BoolValue(value)) => hasher.update([1, u8::from(*value)]),
            other => panic!("the vectors set no {other:?}"),
        }
    }
    u64::from_le_bytes(hasher.finalize()[..8].try_into().expect("eight bytes"))
}

/// How an effective configuration differs from the reference's; nothing when it does not.
async fn config_difference(stage: &Stage, name: String, case: &Value) -> Option<String> {
    let policy = case["policy"].is_object().then(|| message("openshell.sandbox.v1.SandboxPolicy", &case["policy"]));
    let providers: Vec<String> = list(&case["providers"]).iter().map(text).collect();
    let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
    // In the workspace `default`, where the providers are.
    let request = CreateSandboxRequest { workspace: String::new(), ..stage.sandbox(&name, &providers, policy) };
    let made = match (stage.call(&request).await, case["create_status"].as_str()) {
        (Ok(answer), None) => answer.sandbox.expect("a sandbox"),
        (Err(CallError::Refused(status)), Some(recorded)) if code_name(status.code()) == recorded => return None,
        (got, recorded) => return Some(format!("{got:?}, not {recorded:?}")),
    };
    let (answer, recorded) = (stage.effective(&made).await, &case["config"]);
    let policy: Option<SandboxPolicy> =
        recorded["policy"].is_object().then(|| message("openshell.sandbox.v1.SandboxPolicy", &recorded["policy"]));
    let checks = [
        ("policy", answer.policy == policy),
        ("version", u64::from(answer.version) == recorded["version"].as_u64().expect("a number")),
        ("policy_hash", answer.policy_hash == recorded["policy_hash"]),
        ("policy_source", answer.policy_source().as_str_name() == recorded["policy_source"]),
        (
            "config_revision",
            recorded["config_revision"].as_str() == Some(config_revision(&answer, false).to_string().as_str()),
        ),
        ("config_revision here", answer.config_revision == config_revision(&answer, true)),
    ];
    assert!(answer.extension_authentication_enabled && answer.policy_source() != PolicySource::Unspecified);
    let wrong: Vec<&str> = checks.into_iter().filter(|(_, equal)| !equal).map(|(what, _)| what).collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

async fn set_up(stage: &Stage, set_up: &Value) {
    for profile in list(&set_up["profiles"]) {
        let profile = Some(message("openshell.v1.ProviderProfile", profile));
        let profiles = vec![ProviderProfileImportItem { source: "set-up".to_owned(), profile }];
        let answer = stage.ok(&ImportProviderProfilesRequest { profiles, workspace: String::new() }).await;
        assert!(answer.imported, "{answer:?}");
    }
    for provider in list(&set_up["providers"]) {
        let credentials = provider["credentials"].as_object().expect("credentials").iter();
        let made = Provider {
            metadata: Some(ObjectMeta { name: text(&provider["name"]), ..ObjectMeta::default() }),
            r#type: text(&provider["type"]),
            credentials: credentials.map(|(key, value)| (key.clone(), text(value))).collect(),
            ..Provider::default()
        };
        stage.ok(&CreateProviderRequest { provider: Some(made), workspace: String::new() }).await;
    }
}

/// In a cluster of its own, since the vectors are about the workspace `default` and the gateway's settings.
async fn configured_as_by_the_reference(nodes: u64) {
    let options = ClusterOptions { nodes, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster starts");
    let node = cluster.followers().await.first().copied().unwrap_or(1);
    let stage = Stage::open(cluster.api(node)).await;
    stage.scene.api.enable_providers_v2(true).await;
    let file = json(CONFIG);
    set_up(&stage, &file["setup"]).await;
    let mut differences = Vec::new();
    for (number, case) in list(&file["cases"]).iter().enumerate() {
        let difference = config_difference(&stage, format!("s{number}"), case).await;
        differences.extend(difference.map(|difference| (text(&case["case"]), difference)));
    }
    departs_as_listed("config.json", &differences);
}

#[tokio::test]
async fn configurations_are_the_references_through_a_follower() {
    configured_as_by_the_reference(3).await;
}

#[tokio::test]
async fn configurations_are_the_references_on_a_single_node() {
    configured_as_by_the_reference(1).await;
}

/// What a merge came to, beside the reference.
enum Outcome {
    Alike,
    /// Alike but for the versions, which are one higher, since revision 1 is written with the sandbox.
    Later,
    Different(String),
}

async fn merge_outcome(stage: &Stage, name: String, base: &SandboxPolicy, case: &Value) -> Outcome {
    let made = stage.made(&name, Some(base.clone())).await;
    let operations = list(&case["merge_operations"]).iter();
    let merge_operations = operations.map(|one| message("openshell.v1.PolicyMergeOperation", one)).collect();
    let request = UpdateConfigRequest { merge_operations, ..stage.config(&name) };
    let merged = match (stage.call(&request).await, case["status"].as_str()) {
        (Ok(answer), None) => Some(answer),
        (Err(CallError::Refused(status)), Some(recorded)) if code_name(status.code()) == recorded => None,
        (got, recorded) => return Outcome::Different(format!("{got:?}, not {recorded:?}")),
    };
    let (got, after) = (stage.effective(&made).await, &case["after"]);
    let rules = after["network_policies"].as_object().expect("rules").iter();
    let rules = rules.map(|(key, rule)| (key.clone(), message("openshell.sandbox.v1.NetworkPolicyRule", rule)));
    let expected = SandboxPolicy { network_policies: rules.collect(), ..base.clone() };
    if got.policy.as_ref() != Some(&expected) || got.policy_hash != after["policy_hash"] {
        return Outcome::Different(format!("{:?}, not {expected:?}", got.policy));
    }
    let Some(answer) = merged else { return Outcome::Alike };
    if answer.policy_hash != case["update_hash"] {
        return Outcome::Different(format!("the answer's hash is {}", answer.policy_hash));
    }
    let recorded = case["version"].as_u64().expect("a number");
    match u64::from(answer.version) == recorded + 1 && got.version == answer.version {
        true => Outcome::Later,
        false => Outcome::Different(format!("version {}, where {recorded} is recorded", answer.version)),
    }
}

#[tokio::test]
async fn merges_are_answered_as_by_the_reference_through_a_follower_and_on_a_single_node() {
    let file = json(MERGE);
    let base: SandboxPolicy = message("openshell.sandbox.v1.SandboxPolicy", &file["base"]);
    everywhere(async |stage| {
        let (mut differences, mut later) = (Vec::new(), 0);
        for (number, case) in list(&file["cases"]).iter().enumerate() {
            match merge_outcome(&stage, format!("s{number}"), &base, case).await {
                Outcome::Alike => {}
                Outcome::Later => later += 1,
                Outcome::Different(how) => differences.push((text(&case["case"]), how)),
            }
        }
        let accepted = list(&file["cases"]).iter().filter(|case| case["status"].is_null()).count();
        if later == accepted {
            differences.push(("every version".to_owned(), "one higher".to_owned()));
        }
        departs_as_listed("merge.json", &differences);
    })
    .await;
}
