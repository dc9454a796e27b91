//! Scenarios 10 and 16 to 27: lists, providers of a sandbox, its phases and its watch. The phases that only a
//! driver or a connected supervisor sets are decided on a state in memory: `state/lifecycle.rs`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use openshell_client::{CallError, CallOptions, methods};
use openshell_proto::sandbox::NetworkCredentialBinding;
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateProviderRequest, CreateSandboxRequest, DetachSandboxProviderRequest,
    ImportProviderProfilesRequest, ListSandboxProvidersRequest, ListSandboxesRequest, ProviderProfileImportItem,
    ReportMainProcessExitRequest, Sandbox, SandboxPhase, SandboxStreamEvent, StopSandboxRequest, WatchSandboxRequest,
    sandbox_stream_event,
};
use tonic::{Code, Streaming};

use super::reporting::with_a_sandbox;
use super::{Stage, endpoint, everywhere, map, policy, policy_of, says};
use crate::rpc::Calls;
use crate::scenario;

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A provider of the workspace's own scope, with one credential.
pub(super) fn provider(stage: &Stage, name: &str, provider_type: &str, key: &str) -> CreateProviderRequest {
    scenario::provider(stage.own(), name, provider_type, &[(key, "not-a-real-secret")])
}

/// Providers without a profile, each with a key of its own.
async fn providers(stage: &Stage, names: &[&str]) {
    for name in names {
        stage.ok(&provider(stage, name, "no-profile", &format!("{}_KEY", name.to_uppercase()))).await;
    }
}

fn attach(stage: &Stage, provider: &str, expected: u64) -> AttachSandboxProviderRequest {
    AttachSandboxProviderRequest {
        sandbox_name: "s".to_owned(),
        provider_name: provider.to_owned(),
        expected_resource_version: expected,
        workspace: stage.own().to_owned(),
    }
}

fn detach(stage: &Stage, provider: &str, expected: u64) -> DetachSandboxProviderRequest {
    DetachSandboxProviderRequest {
        sandbox_name: "s".to_owned(),
        provider_name: provider.to_owned(),
        expected_resource_version: expected,
        workspace: stage.own().to_owned(),
    }
}

async fn listed(stage: &Stage) -> Vec<String> {
    stage.record("s").await.spec.expect("a spec").providers
}

#[tokio::test]
async fn config_scenario_10_two_providers_do_not_offer_one_key() {
    everywhere(async |stage| {
        for name in ["a", "b"] {
            stage.ok(&provider(&stage, name, "no-profile", "API_KEY")).await;
        }
        let text = stage.refused(Code::FailedPrecondition, &stage.sandbox("s", &["a", "b"], None)).await;
        says(&text, &["API_KEY"]);
        stage.ok(&stage.sandbox("s", &["a"], None)).await;
        stage.refused(Code::FailedPrecondition, &attach(&stage, "b", 0)).await;
        assert_eq!((listed(&stage).await, stage.version("s").await), (vec!["a".to_owned()], 1));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_16_lists_and_selectors() {
    everywhere(async |stage| {
        for (name, labels) in [("c3", map(&[("k", "v")])), ("b2", map(&[])), ("a1", map(&[("k", "v")]))] {
            stage.ok(&CreateSandboxRequest { labels, ..stage.sandbox(name, &[], None) }).await;
        }
        let list = |selector: &str, limit, offset| ListSandboxesRequest {
            limit,
            offset,
            label_selector: selector.to_owned(),
            workspace: stage.own().to_owned(),
            all_workspaces: false,
        };
        let names = async |request: ListSandboxesRequest| {
            let sandboxes = stage.ok(&request).await.sandboxes.into_iter();
            sandboxes.map(|sandbox| sandbox.metadata.expect("sandboxes have metadata").name).collect::<Vec<_>>()
        };
        assert_eq!(names(list("k=v", 1, 1)).await, ["a1"]);
        assert_eq!(names(list("k=v,", 0, 0)).await, ["c3", "a1"], "oldest first");
        stage.refused(Code::InvalidArgument, &list("k", 0, 0)).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_17_attaching_twice() {
    everywhere(async |stage| {
        providers(&stage, &["p"]).await;
        stage.made("s", None).await;
        assert!(stage.ok(&attach(&stage, "p", 0)).await.attached);
        assert_eq!(stage.version("s").await, 2);
        assert!(!stage.ok(&attach(&stage, "p", 0)).await.attached);
        assert_eq!((listed(&stage).await, stage.version("s").await), (vec!["p".to_owned()], 3));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_18_the_callers_version() {
    everywhere(async |stage| {
        providers(&stage, &["p"]).await;
        stage.made("s", None).await;
        stage.refused(Code::Aborted, &attach(&stage, "p", 9)).await;
        assert_eq!(listed(&stage).await, Vec::<String>::new());
        assert!(stage.ok(&attach(&stage, "p", 1)).await.attached);
        stage.refused(Code::Aborted, &detach(&stage, "p", 1)).await;
        assert_eq!(listed(&stage).await, ["p"]);
        assert!(stage.ok(&detach(&stage, "p", 2)).await.detached);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_19_three_attachments_at_once() {
    everywhere(async |stage| {
        providers(&stage, &["p", "q", "r"]).await;
        stage.made("s", None).await;
        let requests = ["p", "q", "r"].map(|name| attach(&stage, name, 1));
        let answers = join_all(requests.iter().map(|request| stage.call(request))).await;
        let codes: Vec<_> = answers.iter().map(code).collect();
        assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Code::Aborted).count(), 2, "{codes:?}");
        assert_eq!((listed(&stage).await.len(), stage.version("s").await), (1, 2));
    })
    .await;
}

pub(super) fn code<T>(answer: &Result<T, CallError>) -> Code {
    match answer {
        Ok(_) => Code::Ok,
        Err(CallError::Refused(status)) => status.code(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn config_scenario_20_thirty_two_providers() {
    everywhere(async |stage| {
        let names: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        providers(&stage, &names).await;
        stage.ok(&stage.sandbox("s", &names[..32], None)).await;
        stage.refused(Code::InvalidArgument, &attach(&stage, "p32", 0)).await;
        assert!(!stage.ok(&attach(&stage, "p31", 0)).await.attached);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_21_what_is_listed_twice_is_listed_once() {
    everywhere(async |stage| {
        providers(&stage, &["p", "q"]).await;
        stage.ok(&stage.sandbox("s", &["p", "q", "p"], None)).await;
        assert_eq!(listed(&stage).await, ["p", "q"], "a departure from SR-21");
        assert!(stage.ok(&detach(&stage, "p", 0)).await.detached);
        assert_eq!(listed(&stage).await, ["q"]);
        assert!(!stage.ok(&detach(&stage, "p", 0)).await.detached);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_22_a_bound_provider_stays_attached() {
    everywhere(async |stage| {
        let mut keyed = openshell_tests::profile("keyed", &[]);
        keyed.credentials[0].env_vars = vec!["P_KEY".to_owned()];
        let item = ProviderProfileImportItem { source: "keyed.yaml".to_owned(), profile: Some(keyed) };
        let import = ImportProviderProfilesRequest { profiles: vec![item], workspace: stage.own().to_owned() };
        let answer = stage.ok(&import).await;
        assert!(answer.imported, "{:?}", answer.diagnostics);
        stage.ok(&provider(&stage, "p", "keyed", "P_KEY")).await;
        let mut bound = endpoint("a.example.com");
        bound.credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
        stage.ok(&stage.sandbox("s", &["p"], Some(policy_of("r1", bound)))).await;
        says(&stage.refused(Code::FailedPrecondition, &detach(&stage, "p", 0)).await, &["not attached"]);
        assert_eq!(listed(&stage).await, ["p"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_23_the_providers_of_a_sandbox() {
    everywhere(async |stage| {
        providers(&stage, &["q", "p"]).await;
        stage.ok(&stage.sandbox("s", &["q"], None)).await;
        stage.ok(&attach(&stage, "p", 0)).await;
        let request = ListSandboxProvidersRequest { sandbox_name: "s".to_owned(), workspace: stage.own().to_owned() };
        let shown = stage
            .ok(&request)
            .await
            .providers
            .into_iter()
            .map(|provider| (provider.metadata.expect("providers have metadata").name, provider.credentials));
        let expected = [("q", "Q_KEY"), ("p", "P_KEY")];
        let expected = expected.map(|(name, key)| (name.to_owned(), map(&[(key, "REDACTED")])));
        assert_eq!(shown.collect::<Vec<_>>(), expected, "in order of attachment");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_24_provider_names_that_are_missing() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        stage.refused(Code::InvalidArgument, &attach(&stage, "", 0)).await;
        stage.refused(Code::InvalidArgument, &detach(&stage, "", 0)).await;
        stage.refused(Code::FailedPrecondition, &attach(&stage, "unknown", 0)).await;
        assert!(!stage.ok(&detach(&stage, "unknown", 0)).await.detached);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_25_what_was_never_ready_is_neither_stopped_nor_started() {
    everywhere(async |stage| {
        let made = stage.made("s", None).await;
        let (name, workspace) = ("s".to_owned(), stage.own().to_owned());
        let start = openshell_proto::v1::StartSandboxRequest { name: name.clone(), workspace: workspace.clone() };
        says(&stage.refused(Code::FailedPrecondition, &start).await, &["PROVISIONING"]);
        let stop = StopSandboxRequest { name, workspace };
        says(&stage.refused(Code::FailedPrecondition, &stop).await, &["PROVISIONING"]);
        assert_eq!(stage.record("s").await, made);
        let unnamed = StopSandboxRequest { name: String::new(), ..stop };
        stage.refused(Code::InvalidArgument, &unnamed).await;
    })
    .await;
}

/// A watch of a sandbox through the stage's node.
pub(super) async fn watched(stage: &Stage, sandbox: &Sandbox, follow_status: bool) -> Streaming<SandboxStreamEvent> {
    let id = sandbox.metadata.as_ref().expect("sandboxes have metadata").id.clone();
    let asked = WatchSandboxRequest { id, follow_status, ..WatchSandboxRequest::default() };
    let client = stage.scene.api.client();
    client.stream(&methods::WATCH_SANDBOX, asked, &CallOptions::linearizable()).await.expect("a watch")
}

/// The next record that a watch shows.
pub(super) async fn shown(events: &mut Streaming<SandboxStreamEvent>) -> Sandbox {
    let event = tokio::time::timeout(LIMIT, events.message()).await.expect("an event in time");
    match event.expect("no error").expect("an event").payload {
        Some(sandbox_stream_event::Payload::Sandbox(sandbox)) => sandbox,
        other => panic!("a record is expected: {other:?}"),
    }
}

#[tokio::test]
async fn config_scenario_26_a_watch_that_follows_nothing_shows_the_record_once() {
    everywhere(async |stage| {
        let made = stage.made("s", None).await;
        let mut events = watched(&stage, &made, false).await;
        let mut following = watched(&stage, &made, true).await;
        assert_eq!(shown(&mut events).await, made);
        assert_eq!(shown(&mut following).await, made);
        stage.ok(&detach(&stage, "unknown", 0)).await;
        // Who follows has heard of the change, so that who does not would have.
        assert_eq!(shown(&mut following).await.metadata.expect("sandboxes have metadata").resource_version, 2);
        assert!(events.message().now_or_never().is_none(), "and nothing more");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_27_the_exit_of_an_instance_that_is_not_the_recorded_one() {
    with_a_sandbox(Some(policy("a.example.com")), async |user, own| {
        let before = user.record("s").await;
        let id = before.metadata.as_ref().expect("sandboxes have metadata").id.clone();
        let report = ReportMainProcessExitRequest { sandbox_id: id, instance_id: "another".to_owned(), exit_code: 0 };
        own.ok(&report).await;
        assert_eq!(user.record("s").await, before);
        assert_eq!(before.status.expect("a status").phase(), SandboxPhase::Provisioning);
        let foreign = ReportMainProcessExitRequest { sandbox_id: "another".to_owned(), ..report.clone() };
        own.refused(Code::PermissionDenied, &foreign).await;
        let unnamed = ReportMainProcessExitRequest { instance_id: String::new(), ..report.clone() };
        own.refused(Code::InvalidArgument, &unnamed).await;
        user.refused(Code::PermissionDenied, &report).await;
    })
    .await;
}
