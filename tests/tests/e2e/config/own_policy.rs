//! Scenarios 45, 47 and 65: what a sandbox may change. Every user is platform admin on these clusters, which have
//! no admin role; what one without the role is told is decided on a state in memory: `state/config_rules.rs`.

use openshell_proto::sandbox::GetGatewayConfigRequest;
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, RemoveNetworkRule, UpdateConfigRequest};
use tonic::Code;

use super::reporting::with_a_sandbox;
use super::{cleared, endpoint, globally, policy, policy_of, says};
use crate::rpc::Calls;

#[tokio::test]
async fn config_scenario_47_a_sandbox_sets_its_own_policy_and_nothing_else() {
    with_a_sandbox(None, async |user, own| {
        user.made("t", None).await;
        let removal = Operation::RemoveRule(RemoveNetworkRule { rule_name: "r1".to_owned() });
        for request in [
            globally(own.set_policy("", policy("a.example.com"))),
            own.set("s", "ocsf_json_enabled", true),
            cleared(own.set("s", "ocsf_json_enabled", true)),
            UpdateConfigRequest { delete_setting: true, ..own.set_policy("s", policy("a.example.com")) },
            own.merge("s", &[removal]),
            own.set_policy(" ", policy("a.example.com")),
        ] {
            own.refused(Code::PermissionDenied, &request).await;
        }
        let told = async |name: &str| {
            let text = own.refused(Code::PermissionDenied, &own.set_policy(name, policy("a.example.com"))).await;
            text.replace(&format!("{name:?}"), "NAME")
        };
        let known = told("t").await;
        assert_eq!(known, told("u").await, "whether or not it exists");
        says(&known, &["not owned by caller"]);
        assert_eq!(own.ok(&own.set_policy("s", policy("a.example.com"))).await.version, 1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_45_reserved_rules_of_a_sandbox_are_left_out() {
    with_a_sandbox(None, async |user, own| {
        let mut sent = policy("a.example.com");
        sent.network_policies.extend(policy_of("_provider_x", endpoint("b.example.com")).network_policies);
        user.refused(Code::InvalidArgument, &user.set_policy("s", sent.clone())).await;
        own.ok(&own.set_policy("s", sent)).await;
        assert_eq!(user.rules("s").await.into_keys().collect::<Vec<_>>(), ["r1"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_65_settings_and_policies_of_the_gateway_are_not_for_sandboxes() {
    with_a_sandbox(None, async |user, own| {
        user.ok(&GetGatewayConfigRequest {}).await;
        own.refused(Code::PermissionDenied, &GetGatewayConfigRequest {}).await;
        let global = GetSandboxPolicyStatusRequest { global: true, ..GetSandboxPolicyStatusRequest::default() };
        own.refused(Code::PermissionDenied, &global).await;
        own.refused(Code::PermissionDenied, &globally(own.set("", "ocsf_json_enabled", true))).await;
    })
    .await;
}
