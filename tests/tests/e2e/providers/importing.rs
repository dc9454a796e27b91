//! Scenarios 10 to 23: what may be imported, and what lint says.

use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkBinary, NetworkCredentialBinding, NetworkEndpoint};
use openshell_proto::v1::{
    ImportProviderProfilesRequest, LintProviderProfilesRequest, ProviderProfile, ProviderProfileCredential,
    ProviderProfileDiscovery, ProviderProfileImportItem,
};
use openshell_tests::endpoint;

use super::{broken, everywhere, fields, hosted, minimal, says, texts};
use crate::rpc::Calls;

#[tokio::test]
async fn providers_scenario_10_a_built_in_id_is_refused() {
    everywhere(async |stage| {
        let found = stage.not_imported(stage.own(), &[minimal("github")]).await;
        assert_eq!(fields(&found), ["id"]);
        says(&texts(&found), &["managed by source 'builtin'"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_11_a_legacy_word_is_an_id_like_another() {
    everywhere(async |stage| {
        assert_eq!(stage.imported(stage.own(), &[minimal("custom-llm"), minimal("openai")]).await, []);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_12_non_canonical_ids_are_each_reported() {
    everywhere(async |stage| {
        let batch = [minimal(" alex-api "), minimal("alex_api"), minimal("Alex-API")];
        assert_eq!(fields(&stage.not_imported(stage.own(), &batch).await), ["id", "id", "id"]);
        stage.missing(stage.own(), "alex-api").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_13_an_import_is_not_partial() {
    everywhere(async |stage| {
        let batch = [minimal("bulk-one"), broken("bulk-bad"), minimal("bulk-two")];
        let found = stage.not_imported(stage.own(), &batch).await;
        assert_eq!((found[0].profile_id.as_str(), fields(&found)), ("bulk-bad", vec!["endpoints[0]"]));
        stage.missing(stage.own(), "bulk-one").await;
        stage.missing(stage.own(), "bulk-two").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_14_a_batch_names_an_id_once() {
    everywhere(async |stage| {
        let found = stage.not_imported(stage.own(), &[minimal("dup"), minimal("dup")]).await;
        assert_eq!(fields(&found), ["id"]);
        says(&texts(&found), &["duplicate"]);
        stage.missing(stage.own(), "dup").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_15_an_import_only_creates() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("custom-api")]).await;
        let again = ProviderProfile { display_name: "Again".to_owned(), ..minimal("custom-api") };
        let found = stage.not_imported(stage.own(), std::slice::from_ref(&again)).await;
        says(&texts(&found), &["already exists"]);
        assert_eq!(stage.get(stage.own(), "custom-api").await.display_name, "custom-api");
        stage.imported(&stage.workspace().await, &[again]).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_16_shadowing_warns() {
    everywhere(async |stage| {
        let id = stage.platform_id("shadow-warn");
        stage.imported("", &[minimal(&id)]).await;
        let found = stage.imported(stage.own(), &[minimal(&id)]).await;
        assert_eq!(found.iter().map(|one| one.severity.as_str()).collect::<Vec<_>>(), ["warning"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_17_lint_stores_nothing() {
    everywhere(async |stage| {
        let answer = stage.lint(stage.own(), &[minimal("one"), broken("bad"), minimal("two")]).await;
        assert!(!answer.valid && fields(&answer.diagnostics) == ["endpoints[0]"], "{answer:?}");
        for id in ["one", "bad", "two"] {
            stage.missing(stage.own(), id).await;
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_18_lint_looks_at_the_requests_workspace() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("scoped-lint")]).await;
        let here = stage.lint(stage.own(), &[minimal("scoped-lint")]).await;
        assert!(!here.valid);
        says(&texts(&here.diagnostics), &["already exists"]);
        let there = stage.lint(&stage.workspace().await, &[minimal("scoped-lint")]).await;
        assert!(there.valid && there.diagnostics.is_empty());
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_19_an_empty_request() {
    everywhere(async |stage| {
        assert_eq!(fields(&stage.not_imported(stage.own(), &[]).await), ["profiles"]);
        let answer = stage.lint(stage.own(), &[]).await;
        assert!(!answer.valid && fields(&answer.diagnostics) == ["profiles"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_20_an_item_without_a_profile() {
    everywhere(async |stage| {
        let profiles = vec![ProviderProfileImportItem { source: "a.yaml".to_owned(), profile: None }];
        let workspace = stage.own().to_owned();
        let import = ImportProviderProfilesRequest { profiles: profiles.clone(), workspace: workspace.clone() };
        let imported = stage.ok(&import).await;
        let linted = stage.ok(&LintProviderProfilesRequest { profiles, workspace }).await;
        assert!(!imported.imported && !linted.valid);
        for found in [imported.diagnostics, linted.diagnostics] {
            assert_eq!(fields(&found), ["profile"]);
            assert_eq!((found[0].source.as_str(), found[0].profile_id.as_str()), ("a.yaml", ""));
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_21_a_profile_binds_no_provider() {
    everywhere(async |stage| {
        let mut bound = hosted("bound", "a.example.com");
        let binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
        bound.endpoints.push(NetworkEndpoint { credential_binding: binding, ..endpoint("b.example.com") });
        let found = stage.not_imported(stage.own(), &[bound]).await;
        assert_eq!(fields(&found), ["endpoints[1].credential_binding"]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_22_what_is_imported_is_read_unchanged() {
    everywhere(async |stage| {
        let allow = L7Allow { method: "GET".to_owned(), path: "/v1/**".to_owned(), ..L7Allow::default() };
        let mut profile = hosted("lossless", "a.example.com");
        profile.endpoints[0] = NetworkEndpoint {
            port: 0,
            ports: vec![443, 8443],
            access: String::new(),
            allowed_ips: vec!["10.0.0.0/8".to_owned()],
            rules: vec![L7Rule { allow: Some(allow) }],
            allow_encoded_slash: true,
            path: "/v1".to_owned(),
            ..endpoint("a.example.com")
        };
        profile.binaries.push(NetworkBinary { path: "/usr/bin/tool".to_owned(), harness: true });
        stage.imported(stage.own(), std::slice::from_ref(&profile)).await;
        let read = stage.get(stage.own(), "lossless").await;
        assert_eq!((read.endpoints, read.binaries), (profile.endpoints, profile.binaries));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_23_all_problems_are_reported_at_once() {
    let credential = |name: &str, style: &str, template: &str, variables: &[&str]| ProviderProfileCredential {
        name: name.to_owned(),
        auth_style: style.to_owned(),
        path_template: template.to_owned(),
        env_vars: variables.iter().map(|variable| (*variable).to_owned()).collect(),
        ..ProviderProfileCredential::default()
    };
    let wrong = ProviderProfile {
        credentials: vec![
            credential("one", "query", "", &["SAME", "SAME", "", "v10_GITHUB_TOKEN"]),
            credential("one", "path", "", &[]),
            credential("two", "path", "/none", &[]),
            credential("three", "cookie", "", &[]),
        ],
        discovery: Some(ProviderProfileDiscovery { credentials: vec!["unknown".to_owned()] }),
        binaries: vec![NetworkBinary { path: " ".to_owned(), ..NetworkBinary::default() }],
        ..broken("wrong")
    };
    let wanted = [
        "credentials.name",
        "discovery.credentials[0]",
        "credentials.env_vars",
        "credentials.env_vars",
        "credentials.env_vars",
        "credentials.query_param",
        "credentials.path_template",
        "credentials.path_template",
        "credentials.auth_style",
        "endpoints[0]",
        "binaries[0]",
    ];
    everywhere(async |stage| {
        let found = stage.lint(stage.own(), std::slice::from_ref(&wrong)).await.diagnostics;
        assert_eq!(fields(&found), wanted);
        assert!(found.iter().all(|one| (&*one.source, &*one.severity) == ("wrong.yaml", "error")), "{found:?}");
    })
    .await;
}
