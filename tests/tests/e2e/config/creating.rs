//! Scenarios 1 to 12: creating sandboxes. What needs a driver (13) or several users (14, 15) is elsewhere.

use openshell_client::methods;
use openshell_proto::sandbox::{ProcessPolicy, SandboxPolicy};
use openshell_proto::v1::{
    CreateSandboxRequest, CreateWorkspaceRequest, DeleteSandboxRequest, GetSandboxRequest, GpuResourceRequirements,
    ListSandboxesRequest, ResourceRequirements, SandboxSpec, SandboxTemplate,
};
use openshell_tests::unique;
use tonic::Code;

use super::attaching::provider;
use super::{Stage, endpoint, everywhere, map, policy, policy_of, says};
use crate::rpc::Calls;

/// A creation of sandbox `s` with this specification.
fn with_spec(stage: &Stage, change: impl FnOnce(&mut SandboxSpec)) -> CreateSandboxRequest {
    let mut request = stage.sandbox("s", &[], None);
    change(request.spec.as_mut().expect("a spec"));
    request
}

/// Makes a sandbox and deletes it, so that its name is free again.
async fn accepted(stage: &Stage, request: &CreateSandboxRequest) {
    let made = stage.ok(request).await.sandbox.expect("a creation answers the sandbox");
    let name = made.metadata.expect("sandboxes have metadata").name;
    assert!(stage.ok(&DeleteSandboxRequest { name, workspace: stage.own().to_owned() }).await.deleted);
}

#[tokio::test]
async fn config_scenario_1_a_spec_is_required() {
    everywhere(async |stage| {
        let bare = CreateSandboxRequest { spec: None, ..stage.sandbox("s", &[], None) };
        stage.refused(Code::InvalidArgument, &bare).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_2_the_command_when_none_is_given() {
    everywhere(async |stage| {
        let stored = async |request| {
            accepted(&stage, &request).await;
            let spec = stage.ok(&request).await.sandbox.expect("a sandbox").spec.expect("a spec");
            let name = "s".to_owned();
            stage.ok(&DeleteSandboxRequest { name, workspace: stage.own().to_owned() }).await;
            (spec.command.join(" "), spec.tty)
        };
        assert_eq!(stored(with_spec(&stage, |_| {})).await, ("/bin/bash -l".to_owned(), true));
        let run = with_spec(&stage, |spec| spec.command = vec!["run".to_owned()]);
        assert_eq!(stored(run).await, ("run".to_owned(), false));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_3_names() {
    everywhere(async |stage| {
        for name in [&*"n".repeat(19), "a-b"] {
            stage.ok(&stage.sandbox(name, &[], None)).await;
        }
        for name in [&*"n".repeat(20), "Ab", "-a", "a-", "a--b"] {
            stage.refused(Code::InvalidArgument, &stage.sandbox(name, &[], None)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn config_scenario_4_a_name_made_up() {
    everywhere(async |stage| {
        let made = stage.made("", None).await;
        let name = made.metadata.expect("sandboxes have metadata").name;
        assert!(!name.is_empty() && name.len() <= 19, "{name}");
        stage.record(&name).await;
        stage.ok(&stage.sandbox(&format!("{}x", &name[..name.len().min(18)]), &[], None)).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_5_a_name_is_unique_within_its_workspace() {
    everywhere(async |stage| {
        let other = unique("other");
        let create = CreateWorkspaceRequest { name: other.clone(), ..CreateWorkspaceRequest::default() };
        stage.scene.api.call(&methods::CREATE_WORKSPACE, create).await.expect("the workspace is created");
        let first = stage.made("s1", None).await;
        stage.refused(Code::AlreadyExists, &stage.sandbox("s1", &[], None)).await;
        let elsewhere = CreateSandboxRequest { workspace: other.clone(), ..stage.sandbox("s1", &[], None) };
        let second = stage.ok(&elsewhere).await.sandbox.expect("a sandbox");
        stage.ok(&stage.set("s1", "ocsf_json_enabled", true)).await;
        let value = async |sandbox| stage.effective(sandbox).await.settings["ocsf_json_enabled"].value.clone();
        assert!(value(&first).await.is_some() && value(&second).await.is_none());
        let delete = DeleteSandboxRequest { name: "s1".to_owned(), workspace: stage.own().to_owned() };
        assert!(stage.ok(&delete).await.deleted);
        let get = GetSandboxRequest { name: "s1".to_owned(), workspace: other.clone() };
        assert_eq!(stage.ok(&get).await.sandbox, Some(second));
        stage.refused(Code::NotFound, &GetSandboxRequest { workspace: stage.own().to_owned(), ..get }).await;
        let list = ListSandboxesRequest { workspace: other, ..ListSandboxesRequest::default() };
        assert_eq!(stage.ok(&list).await.sandboxes.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_6_environment() {
    everywhere(async |stage| {
        for (key, value) in [("OPENSHELL_X", "x"), ("1A", "x"), ("A", "two\nlines")] {
            let own = with_spec(&stage, |spec| spec.environment = map(&[(key, value)]));
            stage.refused(Code::InvalidArgument, &own).await;
            let template = SandboxTemplate { environment: map(&[(key, value)]), ..SandboxTemplate::default() };
            let of_template = with_spec(&stage, |spec| spec.template = Some(template));
            stage.refused(Code::InvalidArgument, &of_template).await;
        }
    })
    .await;
}

#[tokio::test]
async fn config_scenario_7_sizes() {
    everywhere(async |stage| {
        let names: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            stage.ok(&provider(&stage, name, "no-profile", &format!("{}_KEY", name.to_uppercase()))).await;
        }
        accepted(&stage, &stage.sandbox("s", &names[..32], None)).await;
        stage.refused(Code::InvalidArgument, &stage.sandbox("s", &names, None)).await;
        let gpu = |count| {
            let resources = ResourceRequirements { gpu: Some(GpuResourceRequirements { count }) };
            with_spec(&stage, |spec| spec.resource_requirements = Some(resources))
        };
        stage.refused(Code::InvalidArgument, &gpu(Some(0))).await;
        accepted(&stage, &gpu(None)).await;
        let mut large = policy("a.example.com");
        let rule = large.network_policies.get_mut("r1").expect("r1");
        rule.binaries[0].path = format!("/{}", "x".repeat(262_144));
        stage.refused(Code::InvalidArgument, &stage.sandbox("s", &[], Some(large))).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_8_labels_and_annotations() {
    everywhere(async |stage| {
        let long = "v".repeat(1000);
        let annotations = map(&[("a", &long)]);
        stage.ok(&CreateSandboxRequest { annotations: annotations.clone(), ..stage.sandbox("s", &[], None) }).await;
        let stored = stage.record("s").await.metadata.expect("sandboxes have metadata");
        assert_eq!(stored.annotations, annotations);
        let labels = map(&[("a", &"v".repeat(64))]);
        stage.refused(Code::InvalidArgument, &CreateSandboxRequest { labels, ..stage.sandbox("t", &[], None) }).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_9_a_listed_provider_exists() {
    everywhere(async |stage| {
        let text = stage.refused(Code::FailedPrecondition, &stage.sandbox("s", &["nope"], None)).await;
        says(&text, &["\"nope\""]);
        let get = GetSandboxRequest { name: "s".to_owned(), workspace: stage.own().to_owned() };
        stage.refused(Code::NotFound, &get).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_11_reserved_rules() {
    everywhere(async |stage| {
        let reserved = policy_of("_provider_x", endpoint("a.example.com"));
        let text = stage.refused(Code::InvalidArgument, &stage.sandbox("s", &[], Some(reserved))).await;
        says(&text, &["_provider_x"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_12_a_user_without_a_group_stays_so() {
    everywhere(async |stage| {
        let process = ProcessPolicy { run_as_user: "1000".to_owned(), ..ProcessPolicy::default() };
        let sent = SandboxPolicy { process: Some(process.clone()), ..SandboxPolicy::default() };
        stage.made("s", Some(sent)).await;
        let stored = stage.record("s").await.spec.expect("a spec").policy.expect("a policy");
        assert_eq!(stored.process, Some(process));
    })
    .await;
}
