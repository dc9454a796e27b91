//! Scenarios 33 to 41: token grants that would tie on a sandbox, and profiles that are in use.

use openshell_proto::v1::ProviderProfile;
use openshell_tests::{policy_allowing, token_grant_profile};
use tonic::Code;

use super::{Stage, delete, everywhere, fields, minimal, says, texts, update};
use crate::rpc::Calls;

const TIED: &str = "credentials.token_grant.audience_overrides";

/// "TG profile X" for one path; two of them have no variable in common.
fn granted(id: &str, path: &str) -> ProviderProfile {
    token_grant_profile(id, path)
}

/// The profile of provider `a` in the workspace, and providers `a` of it and `b` of `grant-new`.
async fn two(stage: &Stage) {
    stage.imported(stage.own(), &[granted("grant-existing", "/v1/**")]).await;
    stage.ok(&stage.provider("a", "grant-existing", &["A_KEY"])).await;
    stage.ok(&stage.provider("b", "grant-new", &["B_KEY"])).await;
}

async fn sandbox(stage: &Stage, providers: &[&str]) {
    stage.scene.create_sandbox("box", providers, policy_allowing("docs.example.com")).await;
}

#[tokio::test]
async fn providers_scenario_33_an_import_must_not_tie_token_grants() {
    everywhere(async |stage| {
        two(&stage).await;
        sandbox(&stage, &["a", "b"]).await;
        let found = stage.not_imported(stage.own(), &[granted("grant-new", "/v1/**")]).await;
        assert_eq!(fields(&found), [TIED], "{found:?}");
        says(&texts(&found), &["import", "ambiguous dynamic token grants", "box"]);
        stage.missing(stage.own(), "grant-new").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_34_an_update_must_not_tie_token_grants() {
    everywhere(async |stage| {
        two(&stage).await;
        stage.imported(stage.own(), &[granted("grant-new", "/v2/**")]).await;
        sandbox(&stage, &["a", "b"]).await;
        let answer = stage.ok(&update(stage.own(), 1, granted("grant-new", "/v1/**"))).await;
        assert!(!answer.updated && fields(&answer.diagnostics) == [TIED], "{answer:?}");
        says(&texts(&answer.diagnostics), &["update", "ambiguous dynamic token grants", "box"]);
        assert_eq!(stage.get(stage.own(), "grant-new").await.endpoints[0].path, "/v2/**");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_35_a_more_specific_path_does_not_tie() {
    everywhere(async |stage| {
        two(&stage).await;
        stage.imported(stage.own(), &[granted("grant-new", "/v1/admin/**")]).await;
        sandbox(&stage, &["a"]).await;
        assert!(stage.ok(&stage.attach("box", "b")).await.attached);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_36_providers_on_no_sandbox_do_not_tie() {
    everywhere(async |stage| {
        two(&stage).await;
        assert_eq!(stage.imported(stage.own(), &[granted("grant-new", "/v1/**")]).await, []);
        sandbox(&stage, &["a"]).await;
        let text = stage.refused(Code::FailedPrecondition, &stage.attach("box", "b")).await;
        says(&text, &["dynamic token grants", "ambiguous"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_37_a_provider_of_the_platforms_scope_uses_no_profile_of_a_workspace() {
    everywhere(async |stage| {
        let (existing, new) = (stage.platform_id("existing"), stage.platform_id("new"));
        stage.imported("", &[granted(&existing, "/v1/**")]).await;
        for (name, of) in [("a", &existing), ("b", &new)] {
            let mut request = stage.provider(name, of, &[&format!("{}_KEY", name.to_uppercase())]);
            request.provider.as_mut().expect("a provider").profile_workspace = String::new();
            stage.ok(&request).await;
        }
        sandbox(&stage, &["a", "b"]).await;
        let tied = granted(&new, "/v1/**");
        stage.imported(stage.own(), std::slice::from_ref(&tied)).await;
        let found = stage.not_imported("", &[tied]).await;
        assert_eq!(fields(&found), [TIED], "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_38_a_built_in_profile_is_not_deleted() {
    everywhere(async |stage| {
        let text = stage.refused(Code::FailedPrecondition, &delete(stage.own(), "github")).await;
        says(&text, &["managed by source 'builtin'"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_39_a_profile_in_use_is_not_deleted() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("used")]).await;
        stage.ok(&stage.provider("p", "used", &["KEY"])).await;
        sandbox(&stage, &["p"]).await;
        says(&stage.refused(Code::FailedPrecondition, &delete(stage.own(), "used")).await, &["box"]);
        stage.scene.detach("box", "p").await;
        assert!(stage.ok(&delete(stage.own(), "used")).await.deleted);
        stage.ok(&stage.get_provider("p")).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_40_an_unknown_profile_is_not_found() {
    everywhere(async |stage| {
        stage.refused(Code::NotFound, &delete(stage.own(), "unknown")).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_41_a_scope_is_exact() {
    everywhere(async |stage| {
        let id = stage.platform_id("wide");
        stage.imported("", &[minimal(&id)]).await;
        stage.refused(Code::NotFound, &delete(stage.own(), &id)).await;
        assert!(stage.ok(&delete("", &id)).await.deleted);
    })
    .await;
}
