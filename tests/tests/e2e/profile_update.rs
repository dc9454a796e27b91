//! `UpdateProviderProfiles` by its rules (`providers.md` 4.3), each through a follower.

use openshell_client::{CallError, methods};
use openshell_proto::v1::{
    ProviderProfile, ProviderProfileDiagnostic, ProviderProfileImportItem, ProviderProfileUpdate,
    UpdateProviderProfilesRequest,
};
use openshell_tests::{Cluster, Scene, Shared, endpoint, policy_allowing, profile, token_grant_profile};
use prost::Message;
use tonic::Code;

async fn follower_scene() -> (Shared, Scene) {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.follower_api().await).await;
    (cluster, scene)
}

/// The one diagnostic of an update that was refused.
async fn refused(scene: &Scene, id: &str, expected: u64, payload: ProviderProfile) -> ProviderProfileDiagnostic {
    let answer = scene.try_update_as(id, expected, payload).await.expect("the update is answered").message;
    assert!(!answer.updated);
    assert_eq!(answer.profile, None);
    assert_eq!(answer.diagnostics.len(), 1, "{:?}", answer.diagnostics);
    answer.diagnostics[0].clone()
}

#[track_caller]
fn code_of<T: std::fmt::Debug>(result: Result<T, CallError>) -> (Code, String) {
    let error = result.expect_err("a refusal");
    let status = error.status().expect("a refusal has a status");
    assert!(matches!(error, CallError::Refused(_)), "{error}");
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn an_existing_custom_profile_is_updated_through_a_follower() {
    let (_cluster, scene) = follower_scene().await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let edited = ProviderProfile {
        display_name: "Acme, edited".to_owned(),
        resource_version: stored.resource_version,
        ..profile("acme", &["b.example.com", "c.example.com"])
    };
    let updated = scene.update(edited).await.message;
    assert_eq!(updated.display_name, "Acme, edited");
    let read = scene.profile("acme").await;
    assert_eq!((read.source.as_str(), read.scope.as_str()), ("user", "workspace"));
    assert_eq!(
        read.endpoints.iter().map(|endpoint| &endpoint.host).collect::<Vec<_>>(),
        ["b.example.com", "c.example.com"]
    );
}

#[tokio::test]
async fn the_call_has_two_names() {
    let (_cluster, scene) = follower_scene().await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let request = UpdateProviderProfilesRequest {
        profile: Some(ProviderProfileImportItem { profile: Some(stored), source: "acme.yaml".to_owned() }),
        id: "acme".to_owned(),
        workspace: scene.workspace.clone(),
        ..UpdateProviderProfilesRequest::default()
    };
    let answer = scene.api.call(&methods::UPDATE_PROVIDER_PROFILE, request).await.expect("an answer").message;
    assert!(answer.updated);
    assert_eq!(answer.profile.expect("the profile").resource_version, 2);
}

#[tokio::test]
async fn a_built_in_profile_is_not_updated_and_the_error_says_why() {
    let (_cluster, scene) = follower_scene().await;
    let github = scene.profile("github").await;
    let diagnostic = refused(&scene, "github", 1, github.clone()).await;
    assert_eq!((diagnostic.field.as_str(), diagnostic.severity.as_str()), ("id", "error"));
    assert!(diagnostic.message.contains("managed by source 'builtin'"), "{}", diagnostic.message);
    assert_eq!(scene.profile("github").await, github);
}

#[tokio::test]
async fn a_missing_profile_is_not_found() {
    let (_cluster, scene) = follower_scene().await;
    let diagnostic = refused(&scene, "missing-custom", 1, profile("missing-custom", &["a.example.com"])).await;
    assert_eq!(diagnostic.field, "id");
    assert!(diagnostic.message.contains("does not exist"), "{}", diagnostic.message);
    let (code, _) = code_of(scene.try_profile("missing-custom").await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test]
async fn an_id_that_changes_in_the_payload_is_rejected() {
    let (_cluster, scene) = follower_scene().await;
    scene.import(profile("profile-a", &["a.example.com"])).await;
    let other = scene.import(profile("profile-b", &["b.example.com"])).await;
    let diagnostic = refused(&scene, "profile-a", 1, profile("profile-b", &["c.example.com"])).await;
    assert_eq!(diagnostic.field, "id");
    assert!(diagnostic.message.contains("payload id"), "{}", diagnostic.message);
    assert_eq!(scene.profile("profile-b").await.endpoints, other.endpoints);
}

#[tokio::test]
async fn the_id_is_normalised_and_validated_as_on_import() {
    let (_cluster, scene) = follower_scene().await;
    let stored = scene.import(profile("alex-api", &["a.example.com"])).await;
    let answer = scene.try_update_as(" Alex-API ", 0, stored.clone()).await.expect("an answer").message;
    assert!(answer.updated, "the target id is normalised: {:?}", answer.diagnostics);
    let (code, _) = code_of(scene.try_update_as("alex_api", 2, stored.clone()).await);
    assert_eq!(code, Code::InvalidArgument);
    for spelled in [" alex-api ", "alex_api", "Alex-API"] {
        let payload = ProviderProfile { id: spelled.to_owned(), ..stored.clone() };
        let imported = scene.try_import(vec![payload.clone()]).await.expect("an answer").message;
        let updated = scene.try_update_as("alex-api", 2, payload).await.expect("an answer").message;
        assert!(!imported.imported && !updated.updated, "{spelled:?} is no canonical id");
        // That the id is taken is the one thing that only an import says.
        let of_spelling = |diagnostics: &[ProviderProfileDiagnostic]| -> Vec<String> {
            let about = diagnostics.iter().filter(|one| one.field == "id" && !one.message.contains("already exists"));
            about.map(|one| format!("{} {} {}", one.profile_id, one.severity, one.message)).collect()
        };
        assert!(!of_spelling(&imported.diagnostics).is_empty(), "{:?}", imported.diagnostics);
        assert_eq!(of_spelling(&updated.diagnostics), of_spelling(&imported.diagnostics), "{spelled:?}");
    }
    assert_eq!(scene.profile("alex-api").await.resource_version, 2);
}

/// Labels and creation time of a profile's record are in no answer; that they are kept is shown on the
/// state itself, by `providers_scenario_24` in `openshell-state`.
#[tokio::test]
async fn the_payload_is_replaced_the_id_is_kept_and_the_version_grows_by_one() {
    let (_cluster, scene) = follower_scene().await;
    let mut first = profile("acme", &["a.example.com"]);
    first.annotations.insert("team".to_owned(), "platform".to_owned());
    let stored = scene.import(first).await;
    assert_eq!(stored.resource_version, 1);
    let mut version = 1;
    for host in ["b.example.com", "c.example.com", "c.example.com"] {
        let edited = ProviderProfile { resource_version: version, ..profile("acme", &[host]) };
        let updated = scene.update(edited).await.message;
        assert_eq!(updated.resource_version, version + 1, "also when nothing changed");
        version = updated.resource_version;
        let read = scene.profile("acme").await;
        assert_eq!(read.id, "acme");
        assert_eq!(read.resource_version, version);
        assert!(read.annotations.is_empty(), "what the payload does not have is gone");
    }
}

#[tokio::test]
async fn a_stale_expected_version_is_aborted_with_the_current_version() {
    let (_cluster, scene) = follower_scene().await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let current = scene.update(stored.clone()).await.message;
    assert_eq!(current.resource_version, 2);
    let (code, message) = code_of(scene.try_update(stored.clone()).await);
    assert_eq!(code, Code::Aborted);
    assert!(message.contains("resource_version is 2"), "{message}");
    let (code, _) = code_of(scene.try_update_as("acme", 99, current.clone()).await);
    assert_eq!(code, Code::Aborted, "the request's version wins over the payload's");
    assert_eq!(scene.profile("acme").await.resource_version, 2);
    let answer = scene.try_update_as("acme", 2, stored).await.expect("an answer").message;
    assert!(answer.updated, "the request's version wins over the payload's");
}

#[tokio::test]
async fn an_update_without_any_version_asks_for_one() {
    let (_cluster, scene) = follower_scene().await;
    scene.import(profile("acme", &["a.example.com"])).await;
    let diagnostic = refused(&scene, "acme", 0, profile("acme", &["b.example.com"])).await;
    assert_eq!(diagnostic.field, "resource_version");
    assert!(diagnostic.message.contains("non-zero resource_version"), "{}", diagnostic.message);
}

#[tokio::test]
async fn an_update_gives_the_diagnostics_that_an_import_gives() {
    let (_cluster, scene) = follower_scene().await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let mut bad = profile("acme", &[]);
    bad.endpoints =
        vec![endpoint(""), openshell_proto::sandbox::NetworkEndpoint { port: 0, ..endpoint("b.example.com") }];
    bad.credentials[0].auth_style = "smoke-signal".to_owned();
    bad.credentials.push(bad.credentials[0].clone());
    bad.binaries = vec![openshell_proto::sandbox::NetworkBinary::default()];
    let told = |diagnostics: Vec<ProviderProfileDiagnostic>| -> Vec<(String, String, String)> {
        diagnostics.into_iter().map(|one| (one.field, one.severity, one.message)).collect()
    };
    let elsewhere = Scene::open(scene.api.clone()).await;
    let imported = elsewhere.try_import(vec![bad.clone()]).await.expect("an answer").message;
    assert!(!imported.imported && imported.diagnostics.len() >= 4, "{:?}", imported.diagnostics);
    let stale = scene.try_update_as("acme", 99, bad).await.expect("diagnostics come before the version").message;
    assert!(!stale.updated);
    assert_eq!(told(stale.diagnostics), told(imported.diagnostics));
    assert_eq!(scene.profile("acme").await.resource_version, stored.resource_version);
}

#[tokio::test]
async fn ambiguous_token_grants_of_an_attached_sandbox_are_refused_before_anything_is_written() {
    let (_cluster, scene) = follower_scene().await;
    scene.import(token_grant_profile("grant-existing", "/v1/**")).await;
    let updated = scene.import(token_grant_profile("grant-updated", "/v2/**")).await;
    scene.create_provider("existing", "grant-existing").await;
    scene.create_provider("updated", "grant-updated").await;
    let sandbox = scene.create_sandbox("box", &["existing", "updated"], policy_allowing("docs.example.com")).await;
    let before = scene.config(&sandbox).await.message;
    let diagnostic = refused(&scene, "grant-updated", 1, token_grant_profile("grant-updated", "/v1/**")).await;
    assert_eq!(diagnostic.field, "credentials.token_grant.audience_overrides");
    assert!(diagnostic.message.contains("ambiguous dynamic token grants"), "{}", diagnostic.message);
    assert!(diagnostic.message.contains("box"), "it names the sandbox: {}", diagnostic.message);
    let read = scene.profile("grant-updated").await;
    assert_eq!((read.resource_version, read.endpoints), (updated.resource_version, updated.endpoints));
    assert_eq!(scene.config(&sandbox).await.message, before);
}

#[tokio::test]
async fn a_profile_in_use_is_not_deleted() {
    let (_cluster, scene) = follower_scene().await;
    scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    let (code, message) = code_of(scene.try_delete_profile("acme").await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("box"), "{message}");
    let (code, _) = code_of(scene.try_delete_profile("github").await);
    assert_eq!(code, Code::FailedPrecondition);
    scene.detach("box", "acme-main").await;
    assert!(scene.try_delete_profile("acme").await.expect("an answer").message.deleted);
    let (code, _) = code_of(scene.try_delete_profile("acme").await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test]
async fn provider_records_are_byte_identical_before_and_after_an_update() {
    let (cluster, scene) = follower_scene().await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    let before = scene.provider("acme-main").await.encode_to_vec();
    for host in ["b.example.com", "c.example.com"] {
        stored.endpoints = vec![endpoint(host)];
        stored = scene.update(stored).await.message;
        for node in cluster.ids() {
            let record = scene.through(cluster.api(node).linearizable()).provider("acme-main").await;
            assert_eq!(record.encode_to_vec(), before, "through node {node}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_one_change_or_none_and_leaves_what_is_equal_unwritten() {
    let (_cluster, scene) = follower_scene().await;
    let a = scene.import(profile("batch-a", &["a.example.com"])).await;
    let b = scene.import(profile("batch-b", &["b.example.com"])).await;
    let update = |profile: &ProviderProfile| ProviderProfileUpdate {
        item: Some(ProviderProfileImportItem {
            profile: Some(profile.clone()),
            source: format!("{}.yaml", profile.id),
        }),
        id: profile.id.clone(),
        expected_resource_version: 0,
    };
    let batch = |updates| UpdateProviderProfilesRequest {
        workspace: scene.workspace.clone(),
        updates,
        ..UpdateProviderProfilesRequest::default()
    };
    let edited = ProviderProfile { display_name: "Edited".to_owned(), ..b.clone() };
    let stale = ProviderProfile { resource_version: 9, display_name: "Stale".to_owned(), ..a.clone() };
    let refused =
        scene.api.call(&methods::UPDATE_PROVIDER_PROFILES, batch(vec![update(&stale), update(&edited)])).await;
    assert_eq!(code_of(refused).0, Code::Aborted);
    assert_eq!(scene.profile("batch-b").await.resource_version, 1, "all or nothing");
    let answer = scene.api.call(&methods::UPDATE_PROVIDER_PROFILES, batch(vec![update(&edited), update(&a)])).await;
    let answer = answer.expect("an answer").message;
    let results: Vec<_> = answer.results.iter().map(|result| (result.id.as_str(), result.changed)).collect();
    assert_eq!(results, [("batch-a", false), ("batch-b", true)]);
    assert_eq!(scene.profile("batch-a").await.resource_version, 1);
    assert_eq!(scene.profile("batch-b").await.resource_version, 2);
}
