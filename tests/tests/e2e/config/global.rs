//! Scenarios 44, 56 and 66 to 70: a policy for all sandboxes of a gateway.

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint, PolicySource, SandboxPolicy};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, PolicyStatus, RemoveNetworkRule, SandboxPolicyRevision, UpdateConfigRequest,
};
use openshell_tests::{layer_key, profile};
use tonic::Code;

use super::{Stage, cleared, endpoint, everywhere, everywhere_alone, globally, map, policy, policy_of, says};
use crate::rpc::Calls;

fn global(stage: &Stage, policy: SandboxPolicy) -> UpdateConfigRequest {
    globally(stage.set_policy("", policy))
}

async fn global_revision(stage: &Stage, version: u32) -> SandboxPolicyRevision {
    let request = GetSandboxPolicyStatusRequest { version, global: true, ..GetSandboxPolicyStatusRequest::default() };
    stage.ok(&request).await.revision.expect("an answer has the revision")
}

#[tokio::test]
async fn config_scenario_56_66_67_68_69_a_global_policy_takes_the_place_of_each_sandboxs_own() {
    everywhere_alone(async |stage| {
        stage.scene.api.enable_providers_v2(true).await;
        stage.scene.import(profile("tool", &["tool.example.com"])).await;
        stage.scene.create_provider("my-tool", "tool").await;
        let sandbox = stage.ok(&stage.sandbox("s", &["my-tool"], Some(policy("a.example.com")))).await.sandbox;
        let (sandbox, bare) = (sandbox.expect("a sandbox"), stage.made("bare", None).await);
        for host in ["b.example.com", "c.example.com"] {
            stage.ok(&stage.set_policy("s", policy(host))).await;
        }
        let keys = async || stage.effective(&sandbox).await.policy.expect("a policy").network_policies.into_keys();
        assert_eq!(keys().await.collect::<Vec<_>>(), [layer_key("my-tool").as_str(), "r1"]);
        // 66 and 69
        let answer = stage.ok(&global(&stage, policy("g.example.com"))).await;
        assert_eq!((answer.version, answer.annotations.len()), (1, 0));
        let effective = stage.effective(&sandbox).await;
        assert_eq!(effective.policy_source(), PolicySource::Global);
        assert_eq!((effective.version, effective.global_policy_version), (3, 1));
        assert_eq!(effective.policy_hash, answer.policy_hash);
        assert_eq!(keys().await.collect::<Vec<_>>(), ["r1"]);
        assert_eq!(stage.effective(&bare).await.version, 1);
        // 56
        let removal = Operation::RemoveRule(RemoveNetworkRule { rule_name: "r1".to_owned() });
        for request in [stage.merge("s", &[removal]), stage.set_policy("s", policy("d.example.com"))] {
            says(&stage.refused(Code::FailedPrecondition, &request).await, &["managed globally"]);
        }
        // 67
        assert_eq!(stage.ok(&global(&stage, policy("g.example.com"))).await.version, 1);
        assert_eq!(stage.ok(&global(&stage, policy("h.example.com"))).await.version, 2);
        assert_eq!(global_revision(&stage, 1).await.status(), PolicyStatus::Superseded);
        let second = global_revision(&stage, 2).await;
        assert!(second.status() == PolicyStatus::Loaded && second.loaded_at_ms > 0);
        // 68
        let deleted = globally(cleared(stage.set("", "policy", true)));
        assert!(stage.ok(&deleted).await.deleted);
        assert_eq!(stage.effective(&sandbox).await.policy_source(), PolicySource::Sandbox);
        assert_eq!(keys().await.len(), 2);
        assert_eq!(global_revision(&stage, 2).await.status(), PolicyStatus::Superseded);
        assert!(!stage.ok(&deleted).await.deleted);
        assert_eq!(stage.ok(&global(&stage, policy("g.example.com"))).await.version, 3);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_44_70_what_a_global_policy_may_not_be() {
    everywhere(async |stage| {
        let credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
        let bound = NetworkEndpoint { credential_binding, ..endpoint("a.example.com") };
        let mut both = policy("a.example.com");
        let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com") };
        both.network_policies.extend(policy_of("r2", open).network_policies);
        let annotated =
            UpdateConfigRequest { annotations: map(&[("a", "b")]), ..global(&stage, policy("a.example.com")) };
        let removal = Operation::RemoveRule(RemoveNetworkRule { rule_name: "r1".to_owned() });
        for (code, request) in [
            (Code::FailedPrecondition, global(&stage, policy_of("r1", bound))),
            (Code::FailedPrecondition, global(&stage, both)),
            (Code::InvalidArgument, global(&stage, policy_of("_provider_x", endpoint("a.example.com")))),
            (Code::InvalidArgument, annotated),
            (Code::InvalidArgument, globally(stage.merge("", &[removal]))),
        ] {
            stage.refused(code, &request).await;
        }
    })
    .await;
}
