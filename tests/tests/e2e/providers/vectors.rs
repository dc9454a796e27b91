//! What the reference gateway answered to the same calls (`tests/vectors`), but for the departures
//! that `docs/compatibility.md` lists.

use openshell_client::CallError;
use openshell_proto::datamodel::Provider;
use openshell_proto::v1::{
    CreateProviderRequest, LintProviderProfilesRequest, ProviderProfile, ProviderProfileImportItem,
};
use openshell_tests::{Cluster, ClusterOptions};
use serde_json::Value;

use super::{Stage, everywhere, import};
use crate::recorded::{CONFIG, code_name, departs_as_listed, json, list, message};
use crate::rpc::Calls;

const LINT: &str = include_str!("../../../vectors/lint.json");
const CREATE_PROVIDER: &str = include_str!("../../../vectors/create_provider.json");
/// How lint differs from the reference; nothing when it does not.
async fn lint_difference(stage: &Stage, case: &Value) -> Option<String> {
    let profiles = list(&case["profiles"]).iter().enumerate().map(|(index, profile)| ProviderProfileImportItem {
        profile: Some(message("openshell.v1.ProviderProfile", profile)),
        source: format!("s{index}"),
    });
    let request = LintProviderProfilesRequest { profiles: profiles.collect(), workspace: stage.own().to_owned() };
    let answer = stage.ok(&request).await;
    let keys = ["source", "profile_id", "field", "severity"];
    let wanted: Vec<_> =
        list(&case["diagnostics"]).iter().map(|one| keys.map(|key| one[key].as_str().expect("a text"))).collect();
    let got = answer.diagnostics.iter();
    let got: Vec<[&str; 4]> = got.map(|one| [&*one.source, &*one.profile_id, &*one.field, &*one.severity]).collect();
    let valid = case["valid"].as_bool().expect("a verdict");
    (got != wanted || answer.valid != valid).then(|| format!("{valid} {wanted:?}, not {answer:?}"))
}

#[tokio::test]
async fn lint_answers_as_the_reference_through_a_follower_and_on_a_single_node() {
    let cases = json(LINT);
    assert_eq!(list(&cases).len(), 146);
    everywhere(async |stage| {
        let mut differences = Vec::new();
        for case in list(&cases) {
            let difference = lint_difference(&stage, case).await;
            let name = || case["case"].as_str().expect("a name").to_owned();
            differences.extend(difference.map(|difference| (name(), difference)));
        }
        departs_as_listed("lint.json", &differences);
    })
    .await;
}

/// How a creation differs from the reference's; nothing when it does not.
async fn creation_difference(stage: &Stage, case: &Value) -> Option<String> {
    let provider: Provider = message("openshell.datamodel.v1.Provider", &case["request"]);
    // In the workspace `default`, which an empty name means.
    let request = CreateProviderRequest { provider: Some(provider), workspace: String::new() };
    let got = match stage.call(&request).await {
        Ok(answer) => Ok(answer.provider.expect("a provider")),
        Err(CallError::Refused(status)) => Err((code_name(status.code()), status.message().to_owned())),
        Err(error) => panic!("{error}"),
    };
    match (got, case["status"].as_str()) {
        (Ok(mut made), None) => {
            // What the reference drew itself its vectors show as `*`.
            let mut stored = case["stored"].clone();
            stored["metadata"].as_object_mut().expect("metadata").retain(|_, value| value != "*");
            let metadata = made.metadata.as_mut().expect("metadata");
            metadata.id.clear();
            metadata.created_at_ms = 0;
            let stored: Provider = message("openshell.datamodel.v1.Provider", &stored);
            (made != stored).then(|| format!("{made:?}, not {stored:?}"))
        }
        (Err((code, text)), Some(status)) => (code != status).then(|| format!("{code} ({text}), not {status}")),
        (got, status) => Some(format!("{got:?}, not {status:?}")),
    }
}

/// In a cluster of its own, since the vectors are about the workspace `default`.
async fn created_as_by_the_reference(nodes: u64) {
    let options = ClusterOptions { nodes, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster starts");
    let node = cluster.followers().await.first().copied().unwrap_or(1);
    let stage = Stage::open(cluster.api(node)).await;
    let set_up = json(CONFIG);
    for profile in list(&set_up["setup"]["profiles"]) {
        let profile: ProviderProfile = message("openshell.v1.ProviderProfile", profile);
        assert!(stage.ok(&import("", &[profile])).await.imported);
    }
    let mut differences = Vec::new();
    for case in list(&json(CREATE_PROVIDER)["cases"]) {
        let difference = creation_difference(&stage, case).await;
        let name = || case["case"].as_str().expect("a name").to_owned();
        differences.extend(difference.map(|difference| (name(), difference)));
    }
    departs_as_listed("create_provider.json", &differences);
}

#[tokio::test]
async fn providers_are_created_as_by_the_reference_through_a_follower() {
    created_as_by_the_reference(3).await;
}

#[tokio::test]
async fn providers_are_created_as_by_the_reference_on_a_single_node() {
    created_as_by_the_reference(1).await;
}
