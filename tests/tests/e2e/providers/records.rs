//! Scenarios 53 to 67: providers as records.

use futures::future::join_all;
use openshell_client::CallError;
use openshell_proto::datamodel::{CredentialHandle, Provider};
use openshell_proto::v1::{
    CreateProviderRequest, ListProvidersRequest, ProviderCredentialRefresh, ProviderCredentialRefreshStrategy,
    ProviderProfile, ProviderProfileCredential,
};
use openshell_tests::policy_allowing;
use tonic::Code;

use super::{Stage, everywhere, map, minimal, says};
use crate::rpc::Calls;

fn changed(request: CreateProviderRequest, change: impl FnOnce(&mut Provider)) -> CreateProviderRequest {
    let mut request = request;
    change(request.provider.as_mut().expect("a provider"));
    request
}

async fn read(stage: &Stage, name: &str) -> Provider {
    stage.ok(&stage.get_provider(name)).await.provider.expect("a provider")
}

fn version(provider: Option<Provider>) -> u64 {
    provider.and_then(|provider| provider.metadata).expect("metadata").resource_version
}

async fn sandbox(stage: &Stage, providers: &[&str]) {
    stage.scene.create_sandbox("box", providers, policy_allowing("docs.example.com")).await;
}

#[tokio::test]
async fn providers_scenario_53_round_trip() {
    everywhere(async |stage| {
        let request = changed(stage.provider("gitlab-local", "gitlab", &["A", "B"]), |asked| {
            asked.config = map(&[("region", "eu"), ("url", "https://x")]);
        });
        stage.ok(&request).await;
        let update = stage.update_provider("gitlab-local", |asked| {
            asked.credentials = map(&[("A", "new")]);
            asked.config = map(&[("region", "us")]);
        });
        let answer = stage.ok(&update).await.provider;
        let after = read(&stage, "gitlab-local").await;
        assert_eq!(Some(&after), answer.as_ref());
        assert_eq!(after.credentials, map(&[("A", "REDACTED"), ("B", "REDACTED")]));
        assert_eq!(after.config, map(&[("region", "us"), ("url", "https://x")]));
        assert!(stage.ok(&stage.delete_provider("gitlab-local")).await.deleted);
        assert!(!stage.ok(&stage.delete_provider("gitlab-local")).await.deleted);
        stage.refused(Code::NotFound, &stage.get_provider("gitlab-local")).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_54_a_name_is_unique_within_its_workspace() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "github", &["KEY"])).await;
        stage.refused(Code::AlreadyExists, &stage.provider("p", "gitlab", &["KEY"])).await;
        let mut elsewhere =
            changed(stage.provider("p", "github", &["KEY"]), |asked| asked.profile_workspace = String::new());
        elsewhere.workspace = stage.workspace().await;
        let second = stage.ok(&elsewhere).await.provider.and_then(|provider| provider.metadata).expect("metadata");
        assert_ne!(read(&stage, "p").await.metadata.expect("metadata").id, second.id);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_55_which_providers_may_have_no_credentials() {
    let credential = |name: &str, required| ProviderProfileCredential {
        name: name.to_owned(),
        env_vars: vec![name.to_uppercase()],
        required,
        ..ProviderProfileCredential::default()
    };
    let refresh = ProviderCredentialRefresh {
        strategy: ProviderCredentialRefreshStrategy::Oauth2ClientCredentials.into(),
        token_url: "https://auth.example.com/token".to_owned(),
        ..ProviderCredentialRefresh::default()
    };
    let minted = ProviderProfileCredential { refresh: Some(refresh), ..credential("minted", true) };
    everywhere(async |stage| {
        stage.refused(Code::InvalidArgument, &stage.provider("p", "gitlab", &[])).await;
        stage.ok(&stage.provider("vertex", "google-vertex-ai", &[])).await;
        for (id, more, accepted) in [
            ("alone", None, true),
            ("required", Some(credential("fixed", true)), false),
            ("optional", Some(credential("fixed", false)), true),
        ] {
            let credentials = [minted.clone()].into_iter().chain(more).collect();
            stage.imported(stage.own(), &[ProviderProfile { credentials, ..minimal(id) }]).await;
            let request = stage.provider(&format!("of-{id}"), id, &[]);
            if accepted {
                stage.ok(&request).await;
            } else {
                stage.refused(Code::InvalidArgument, &request).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_56_arguments_that_are_missing() {
    everywhere(async |stage| {
        stage.refused(Code::InvalidArgument, &stage.provider("p", "", &["KEY"])).await;
        stage.refused(Code::InvalidArgument, &stage.get_provider("")).await;
        stage.refused(Code::InvalidArgument, &stage.delete_provider("")).await;
        stage.refused(Code::NotFound, &stage.update_provider("unknown", |_| {})).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_57_an_update_of_nothing_counts() {
    everywhere(async |stage| {
        let before = stage.ok(&stage.provider("p", "github", &["KEY"])).await.provider.expect("a provider");
        let after = stage.ok(&stage.update_provider("p", |_| {})).await.provider.expect("a provider");
        let mut counted = before;
        counted.metadata.as_mut().expect("metadata").resource_version = 2;
        assert_eq!(after, counted);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_58_an_empty_value_deletes() {
    everywhere(async |stage| {
        let request = changed(stage.provider("p", "github", &["PRIMARY", "SECONDARY"]), |asked| {
            asked.config = map(&[("region", "eu"), ("zone", "a")]);
        });
        stage.ok(&request).await;
        let update = stage.update_provider("p", |asked| {
            asked.credentials = map(&[("SECONDARY", "")]);
            asked.config = map(&[("region", "")]);
        });
        stage.ok(&update).await;
        let after = read(&stage, "p").await;
        assert_eq!((after.credentials, after.config), (map(&[("PRIMARY", "REDACTED")]), map(&[("zone", "a")])));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_59_a_type_never_changes() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "github", &["KEY"])).await;
        let to = |word: &str| stage.update_provider("p", |asked| word.clone_into(&mut asked.r#type));
        says(&stage.refused(Code::InvalidArgument, &to("gitlab")).await, &["type cannot be changed"]);
        stage.ok(&to("")).await;
        assert_eq!(read(&stage, "p").await.r#type, "github");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_60_versions() {
    everywhere(async |stage| {
        assert_eq!(version(stage.ok(&stage.provider("p", "github", &["KEY"])).await.provider), 1);
        let at = |version| {
            stage.update_provider("p", |asked| {
                asked.metadata.as_mut().expect("metadata").resource_version = version;
                asked.credentials = map(&[("KEY", "new"), ("ADDED", "new")]);
            })
        };
        let stale = stage.refused(Code::Aborted, &at(99)).await;
        says(&stale, &["modified concurrently", "resource_version is 1"]);
        assert_eq!(read(&stage, "p").await.credentials.len(), 1, "nothing was added");
        assert_eq!(version(stage.ok(&at(1)).await.provider), 2);
        assert_eq!(version(stage.ok(&at(0)).await.provider), 3);
        let request = at(3);
        let answers = join_all((0..3).map(|_| stage.call(&request))).await;
        let refused = |answer: &&Result<_, _>| {
            matches!(answer, Err(CallError::Refused(status)) if status.code() == Code::Aborted)
        };
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(refused).count(), 2, "{answers:?}");
        assert_eq!(version(Some(read(&stage, "p").await)), 4);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_61_handles_are_the_gateways_own() {
    everywhere(async |stage| {
        let handles = |asked: &mut Provider| {
            asked.credential_handles = [("KEY".to_owned(), CredentialHandle::default())].into();
        };
        let text = stage.refused(Code::InvalidArgument, &changed(stage.provider("p", "github", &["K"]), handles)).await;
        says(&text, &["internal gateway state"]);
        stage.ok(&stage.provider("p", "github", &["KEY"])).await;
        stage.refused(Code::InvalidArgument, &stage.update_provider("p", handles)).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_62_the_scope_of_a_providers_profile() {
    everywhere(async |stage| {
        let of = |name: &str, scope: &str| {
            changed(stage.provider(name, "github", &["KEY"]), |asked| scope.clone_into(&mut asked.profile_workspace))
        };
        says(&stage.refused(Code::InvalidArgument, &of("p", "other")).await, &["profile_workspace"]);
        for (name, scope) in [("p", ""), ("q", stage.own())] {
            assert_eq!(stage.ok(&of(name, scope)).await.provider.expect("a provider").profile_workspace, scope);
        }
        let own = |asked: &mut Provider| stage.own().clone_into(&mut asked.profile_workspace);
        stage.refused(Code::InvalidArgument, &stage.update_provider("p", own)).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_63_sizes() {
    everywhere(async |stage| {
        stage.refused(Code::InvalidArgument, &stage.provider("p", "github", &[&"K".repeat(257)])).await;
        let large = |asked: &mut Provider| asked.config = map(&[("k", &"v".repeat(8193))]);
        stage.refused(Code::InvalidArgument, &changed(stage.provider("p", "github", &["KEY"]), large)).await;
        stage.refused(Code::NotFound, &stage.get_provider("p")).await;
        let largest = |asked: &mut Provider| asked.config = map(&[("k", &"v".repeat(8192))]);
        stage.ok(&changed(stage.provider("p", "github", &[&"K".repeat(256)]), largest)).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_64_an_attached_provider_is_not_deleted() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "github", &["KEY"])).await;
        sandbox(&stage, &["p"]).await;
        says(&stage.refused(Code::FailedPrecondition, &stage.delete_provider("p")).await, &["box"]);
        stage.ok(&stage.get_provider("p")).await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_65_an_update_must_not_take_a_neighbours_key() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("a", "one", &["MS_GRAPH_ACCESS_TOKEN"])).await;
        stage.ok(&stage.provider("b", "two", &["OTHER"])).await;
        sandbox(&stage, &["a", "b"]).await;
        let taking = stage.update_provider("b", |asked| asked.credentials = map(&[("MS_GRAPH_ACCESS_TOKEN", "x")]));
        let text = stage.refused(Code::FailedPrecondition, &taking).await;
        says(&text, &["\"box\"", "MS_GRAPH_ACCESS_TOKEN", "\"a\"", "\"b\""]);
        assert_eq!(version(Some(read(&stage, "b").await)), 1);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_66_a_credential_must_not_be_a_neighbours_generated_key() {
    everywhere(async |stage| {
        let cloud = changed(stage.provider("cloud", "google-cloud", &["CLOUD_KEY"]), |asked| {
            asked.config = map(&[("project_id", "x")]);
        });
        stage.ok(&cloud).await;
        stage.ok(&stage.provider("other", "one", &["OTHER"])).await;
        for (name, order) in [("one-way", ["cloud", "other"]), ("other-way", ["other", "cloud"])] {
            stage.scene.create_sandbox(name, &order, policy_allowing("docs.example.com")).await;
            let taking = stage.update_provider("other", |asked| asked.credentials = map(&[("GCP_PROJECT_ID", "x")]));
            let text = stage.refused(Code::FailedPrecondition, &taking).await;
            says(&text, &["GCP_PROJECT_ID", "\"cloud\"", "\"other\""]);
            for provider in order {
                stage.scene.detach(name, provider).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_67_lists() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "github", &["KEY"])).await;
        let mut elsewhere =
            changed(stage.provider("q", "github", &["KEY"]), |asked| asked.profile_workspace = String::new());
        elsewhere.workspace = stage.workspace().await;
        stage.ok(&elsewhere).await;
        let list = |workspace: &str, all_workspaces, limit| ListProvidersRequest {
            workspace: workspace.to_owned(),
            all_workspaces,
            limit,
            ..ListProvidersRequest::default()
        };
        stage.refused(Code::InvalidArgument, &list(stage.own(), true, 0)).await;
        let own = stage.ok(&list(stage.own(), false, 0)).await.providers;
        assert_eq!(own.iter().map(|one| &one.credentials).collect::<Vec<_>>(), [&map(&[("KEY", "REDACTED")])]);
        let all = stage.ok(&list("", true, 1000)).await.providers;
        let workspaces = all.iter().filter_map(|one| Some(one.metadata.as_ref()?.workspace.as_str()));
        let ours = workspaces.filter(|name| [stage.own(), &*elsewhere.workspace].contains(name));
        assert_eq!(ours.count(), 2);
    })
    .await;
}
