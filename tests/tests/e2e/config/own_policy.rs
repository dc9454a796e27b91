//! Scenarios 45, 47 and 65: what a sandbox may change. A user is platform admin here as long as no admin role
//! can be configured; what one without the role is told is decided on a state in memory:
//! `state/config_rules.rs`.

use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::GetGatewayConfigRequest;
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, RemoveNetworkRule, UpdateConfigRequest};
use openshell_tests::{Api, Cluster};
use tonic::Code;

use super::{Stage, cleared, endpoint, globally, policy, policy_of, says};

/// The same workspace, seen by sandbox `s` in it.
async fn seen_by_a_sandbox(stage: &Stage, endpoint: &str) -> Stage {
    let request = IssueSandboxTokenRequest { name: "s".to_owned(), workspace: stage.own().to_owned() };
    let answer = stage.scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
    Stage { scene: stage.scene.through(Api::bearer(endpoint, &answer.message.token).linearizable()) }
}

/// Runs a scenario with a user and sandbox `s`, both at a follower and both at a single node.
async fn with_a_sandbox(scenario: impl AsyncFn(Stage, Stage)) {
    let clusters = [Cluster::shared().await, Cluster::shared_single().await];
    for cluster in clusters {
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        let user = Stage::open(cluster.api(node)).await;
        user.made("s", None).await;
        let own = seen_by_a_sandbox(&user, &cluster.gateway(node).endpoint()).await;
        scenario(user, own).await;
    }
}

#[tokio::test]
async fn config_scenario_47_a_sandbox_sets_its_own_policy_and_nothing_else() {
    with_a_sandbox(async |user, own| {
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
    with_a_sandbox(async |user, own| {
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
    with_a_sandbox(async |user, own| {
        user.ok(&GetGatewayConfigRequest {}).await;
        own.refused(Code::PermissionDenied, &GetGatewayConfigRequest {}).await;
        let global = GetSandboxPolicyStatusRequest { global: true, ..GetSandboxPolicyStatusRequest::default() };
        own.refused(Code::PermissionDenied, &global).await;
        own.refused(Code::PermissionDenied, &globally(own.set("", "ocsf_json_enabled", true))).await;
    })
    .await;
}
