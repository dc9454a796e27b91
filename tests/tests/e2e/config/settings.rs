//! Scenarios 59 to 64: settings of the gateway and of sandboxes.

use openshell_proto::sandbox::{GetGatewayConfigRequest, SettingScope, SettingValue, setting_value};
use openshell_proto::v1::{CreateSandboxRequest, Sandbox, UpdateConfigRequest};
use openshell_tests::unique;
use tonic::Code;

use super::{Stage, cleared, everywhere, everywhere_alone, flag, globally, says};
use crate::rpc::Calls;

const KEY: &str = "ocsf_json_enabled";

/// The effective value of [`KEY`] and where it comes from.
async fn shown(stage: &Stage, sandbox: &Sandbox) -> (Option<SettingValue>, SettingScope) {
    let setting = stage.effective(sandbox).await.settings.remove(KEY).expect("every registered key is there");
    (setting.value.clone(), setting.scope())
}

#[tokio::test]
async fn config_scenario_59_60_62_63_settings_of_the_gateway() {
    everywhere_alone(async |stage| {
        let sandbox = stage.made("s", None).await;
        // 59
        let settings = stage.effective(&sandbox).await.settings;
        assert_eq!(settings.len(), 4);
        assert!(settings.values().all(|one| one.value.is_none() && one.scope() == SettingScope::Unspecified));
        let gateway = stage.ok(&GetGatewayConfigRequest {}).await;
        assert!(gateway.settings.len() == 4 && gateway.settings.values().all(|one| one.value.is_none()));
        // 60
        stage.ok(&stage.set("s", KEY, false)).await;
        let global = globally(stage.set("", KEY, true));
        assert_eq!(stage.ok(&global).await.settings_revision, 1);
        assert_eq!(shown(&stage, &sandbox).await, (Some(flag(true)), SettingScope::Global));
        for request in [stage.set("s", KEY, true), cleared(stage.set("s", KEY, true))] {
            says(&stage.refused(Code::FailedPrecondition, &request).await, &["managed globally"]);
        }
        // 62
        assert_eq!(stage.ok(&global).await.settings_revision, 1);
        assert_eq!(stage.ok(&globally(stage.set("", KEY, false))).await.settings_revision, 2);
        assert!(stage.ok(&cleared(global)).await.deleted);
        assert_eq!(shown(&stage, &sandbox).await, (Some(flag(false)), SettingScope::Sandbox));
        // 63
        let keys = [KEY, "agent_policy_proposals_enabled", "providers_v2_enabled"];
        let changes = keys.map(|key| globally(stage.set("", key, true)));
        let answers = futures::future::join_all(changes.iter().map(|change| stage.ok(change))).await;
        let mut revisions: Vec<u64> = answers.iter().map(|answer| answer.settings_revision).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, [4, 5, 6]);
        let gateway = stage.ok(&GetGatewayConfigRequest {}).await;
        assert!(keys.iter().all(|key| gateway.settings[*key] == flag(true)), "{gateway:?}");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_61_keys_and_values() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let worded = |key: &str, text: &str| UpdateConfigRequest {
            setting_value: Some(SettingValue { value: Some(setting_value::Value::StringValue(text.to_owned())) }),
            ..stage.set("s", key, true)
        };
        says(&stage.refused(Code::InvalidArgument, &stage.set("s", "nope", true)).await, &["unknown setting key"]);
        stage.refused(Code::InvalidArgument, &worded(KEY, "true")).await;
        let mode = stage.refused(Code::InvalidArgument, &worded("proposal_approval_mode", "autom")).await;
        says(&mode, &["manual", "auto"]);
        for request in [stage.set("s", "policy", true), globally(stage.set("", "policy", true))] {
            stage.refused(Code::InvalidArgument, &request).await;
        }
        assert_eq!(stage.ok(&worded("proposal_approval_mode", "auto")).await.settings_revision, 1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_64_equal_names_in_two_workspaces() {
    everywhere(async |stage| {
        let here = stage.made("s", None).await;
        let workspace = unique("other");
        let made = openshell_proto::v1::CreateWorkspaceRequest { name: workspace.clone(), ..Default::default() };
        stage.scene.api.call(&openshell_client::methods::CREATE_WORKSPACE, made).await.expect("a workspace");
        let request = CreateSandboxRequest { workspace: workspace.clone(), ..stage.sandbox("s", &[], None) };
        let there = stage.ok(&request).await.sandbox.expect("a sandbox");
        stage.ok(&UpdateConfigRequest { workspace, ..stage.set("s", KEY, true) }).await;
        assert_eq!(shown(&stage, &here).await, (None, SettingScope::Unspecified));
        assert_eq!(shown(&stage, &there).await, (Some(flag(true)), SettingScope::Sandbox));
    })
    .await;
}
