//! Scenarios 24 to 32: what an update replaces, and what it must not.

use openshell_proto::v1::{ProviderProfile, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse};
use openshell_tests::policy_allowing;
use tonic::Code;

use super::{Stage, broken, everywhere, fields, hosted, minimal, says, texts, update};
use crate::rpc::Calls;

/// An update that is answered with diagnostics.
async fn rejected(stage: &Stage, request: &UpdateProviderProfilesRequest) -> UpdateProviderProfilesResponse {
    let answer = stage.ok(request).await;
    assert!(!answer.updated && answer.profile.is_none() && !answer.diagnostics.is_empty(), "{answer:?}");
    answer
}

fn embedding(version: u64, id: &str) -> ProviderProfile {
    ProviderProfile { resource_version: version, ..minimal(id) }
}

#[tokio::test]
async fn providers_scenario_24_an_update_replaces_the_profile_and_counts() {
    // That id, creation time and labels of the record stay is no caller's to see: see the state's test.
    everywhere(async |stage| {
        stage.imported(stage.own(), &[hosted("custom-api", "old.example.com")]).await;
        let changed = ProviderProfile { display_name: "New".to_owned(), ..hosted("custom-api", "new.example.com") };
        let answer = stage.ok(&update(stage.own(), 1, changed.clone())).await;
        assert!(answer.updated && answer.diagnostics.is_empty(), "{answer:?}");
        assert_eq!(answer.profile.expect("a profile").resource_version, 2);
        let read = stage.get(stage.own(), "custom-api").await;
        assert_eq!((read.display_name.as_str(), read.resource_version), ("New", 2));
        assert_eq!((read.endpoints, read.scope.as_str()), (changed.endpoints, "workspace"));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_25_a_built_in_profile_is_not_updated() {
    everywhere(async |stage| {
        let answer = rejected(&stage, &update(stage.own(), 1, minimal("github"))).await;
        says(&texts(&answer.diagnostics), &["managed by source 'builtin'", "cannot be updated"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_26_a_missing_profile_is_a_diagnostic() {
    everywhere(async |stage| {
        let answer = rejected(&stage, &update(stage.own(), 1, minimal("missing-custom"))).await;
        says(&texts(&answer.diagnostics), &["does not exist"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_27_an_update_states_the_version_it_edited() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("custom-api")]).await;
        let answer = rejected(&stage, &update(stage.own(), 0, minimal("custom-api"))).await;
        assert_eq!(fields(&answer.diagnostics), ["resource_version"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_28_a_stale_version_is_aborted_with_the_current_one() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("custom-api")]).await;
        let before = stage.get(stage.own(), "custom-api").await;
        let stale = ProviderProfile { display_name: "Stale".to_owned(), ..embedding(99, "custom-api") };
        says(&stage.refused(Code::Aborted, &update(stage.own(), 0, stale)).await, &["resource_version is 1"]);
        assert_eq!(stage.get(stage.own(), "custom-api").await, before);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_29_the_requests_version_wins() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("custom-api")]).await;
        assert!(stage.ok(&update(stage.own(), 1, embedding(99, "custom-api"))).await.updated);
        stage.refused(Code::Aborted, &update(stage.own(), 99, embedding(2, "custom-api"))).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_30_an_id_never_changes() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("profile-a"), minimal("profile-b")]).await;
        let before = stage.get(stage.own(), "profile-b").await;
        let mut request = update(stage.own(), 1, minimal("profile-b"));
        request.id = "profile-a".to_owned();
        let answer = rejected(&stage, &request).await;
        assert_eq!(fields(&answer.diagnostics), ["id"]);
        says(&texts(&answer.diagnostics), &["payload id"]);
        assert_eq!(stage.get(stage.own(), "profile-b").await, before);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_31_what_is_invalid_and_stale_is_invalid() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("custom-api")]).await;
        let answer = rejected(&stage, &update(stage.own(), 99, broken("custom-api"))).await;
        assert_eq!(fields(&answer.diagnostics), ["endpoints[0]"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_32_a_profile_must_not_contradict_the_policy_it_is_composed_with() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[hosted("fanout", "other.example.com")]).await;
        stage.ok(&stage.provider("p", "fanout", &["KEY"])).await;
        stage.scene.create_sandbox("box", &["p"], policy_allowing("api.example.com")).await;
        let mut changed = hosted("fanout", "api.example.com");
        changed.endpoints[0].tls = "skip".to_owned();
        let answer = rejected(&stage, &update(stage.own(), 1, changed)).await;
        assert_eq!(fields(&answer.diagnostics), ["endpoints"]);
        says(&texts(&answer.diagnostics), &["update", "ambiguous network endpoints", "box", "tls"]);
        assert_eq!(stage.get(stage.own(), "fanout").await.endpoints[0].host, "other.example.com");
    })
    .await;
}
