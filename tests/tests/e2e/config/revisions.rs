//! Scenarios 28 to 35 and 38 to 44: policies and their revisions.

use openshell_proto::sandbox::{
    FilesystemPolicy, L7Allow, L7DenyRule, L7Rule, LandlockPolicy, McpOptions, MiddlewareEndpointSelector,
    NetworkEndpoint, NetworkMiddlewareConfig, ProcessPolicy, SandboxPolicy,
};
use openshell_proto::v1::{ListSandboxPoliciesRequest, PolicyStatus, SandboxPolicyRevision, UpdateConfigRequest};
use tonic::Code;

use super::attaching::{shown, watched};
use super::{Stage, endpoint, everywhere, globally, map, policy, policy_of, says};
use crate::rpc::Calls;

async fn list(stage: &Stage, name: &str) -> Vec<SandboxPolicyRevision> {
    let (name, workspace) = (name.to_owned(), stage.own().to_owned());
    stage.ok(&ListSandboxPoliciesRequest { name, workspace, ..Default::default() }).await.revisions
}

fn annotated(request: UpdateConfigRequest, pairs: &[(&str, &str)]) -> UpdateConfigRequest {
    UpdateConfigRequest { annotations: map(pairs), ..request }
}

/// A policy with one endpoint that is changed.
fn with(change: impl FnOnce(&mut NetworkEndpoint)) -> SandboxPolicy {
    let mut changed = endpoint("a.example.com");
    change(&mut changed);
    policy_of("r1", changed)
}

/// All of these policies are refused to sandbox `s`.
async fn refused(stage: &Stage, code: Code, policies: impl IntoIterator<Item = SandboxPolicy>) {
    for policy in policies {
        stage.refused(code, &stage.set_policy("s", policy)).await;
    }
}

#[tokio::test]
async fn config_scenario_28_the_policy_of_the_spec_is_revision_1() {
    everywhere(async |stage| {
        let made = stage.made("s", Some(policy("a.example.com"))).await;
        let listed = list(&stage, "s").await;
        let revisions: Vec<_> =
            listed.iter().map(|revision| (revision.version, revision.status(), revision.loaded_at_ms)).collect();
        assert_eq!(revisions, [(1, PolicyStatus::Loaded, 0)], "a departure from PR-10: before the first read");
        for _ in 0..2 {
            assert_eq!(stage.effective(&made).await.version, 1);
            assert_eq!(list(&stage, "s").await, listed, "a read writes nothing");
        }
    })
    .await;
}

#[tokio::test]
async fn config_scenario_29_a_policy_before_the_first_read() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let answer = stage.ok(&stage.set_policy("s", policy("b.example.com"))).await;
        assert_eq!(answer.version, 2, "a departure: revision 1 is the policy of the spec");
        assert_eq!(stage.revision("s", 0).await.policy, Some(policy("b.example.com")));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_30_without_a_policy_there_is_none() {
    everywhere(async |stage| {
        stage.scene.import(openshell_tests::profile("tool", &["tool.example.com"])).await;
        stage.scene.create_provider("p", "tool").await;
        let made = stage.ok(&stage.sandbox("s", &["p"], None)).await.sandbox.expect("a sandbox");
        let effective = stage.effective(&made).await;
        assert_eq!((effective.policy, effective.version, effective.policy_hash.as_str()), (None, 0, ""));
        assert_eq!(list(&stage, "s").await, []);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_31_a_new_policy_supersedes_and_is_watched_once() {
    everywhere(async |stage| {
        let made = stage.made("s", Some(policy("a.example.com"))).await;
        let mut events = watched(&stage, &made, true).await;
        assert_eq!(shown(&mut events).await, made);
        assert_eq!(stage.ok(&stage.set_policy("s", policy("b.example.com"))).await.version, 2);
        let states: Vec<_> =
            list(&stage, "s").await.iter().map(|revision| (revision.version, revision.status())).collect();
        assert_eq!(states, [(2, PolicyStatus::Pending), (1, PolicyStatus::Superseded)]);
        assert_eq!(shown(&mut events).await, made, "its own version is what it was");
        stage.ok(&annotated(stage.set("s", "ocsf_json_enabled", true), &[("a", "1")])).await;
        let next = shown(&mut events).await.metadata.expect("sandboxes have metadata");
        assert_eq!(next.resource_version, 2, "one event for the policy, then one for what came after it");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_32_the_same_policy_is_the_same_revision() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let request = annotated(stage.set_policy("s", policy("b.example.com")), &[("a", "1")]);
        let first = stage.ok(&request).await;
        let again = stage.ok(&request).await;
        assert_eq!((again.version, again.policy_hash), (first.version, first.policy_hash));
        assert_eq!((list(&stage, "s").await.len(), stage.version("s").await), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_33_other_annotations_make_another_revision() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let answer = stage.ok(&annotated(stage.set_policy("s", policy("a.example.com")), &[("a", "1")])).await;
        assert_eq!(answer.version, 2);
        let listed = list(&stage, "s").await;
        assert_eq!((&listed[0].provenance, &listed[1].provenance), (&map(&[("a", "1")]), &map(&[])));
        assert_eq!(listed[0].policy_hash, listed[1].policy_hash);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_34_annotations_add_up() {
    everywhere(async |stage| {
        let mut create = stage.sandbox("s", &[], Some(policy("a.example.com")));
        create.annotations = map(&[("a", "1")]);
        stage.ok(&create).await;
        let plain = stage.ok(&stage.set_policy("s", policy("b.example.com"))).await;
        assert_eq!(plain.annotations, map(&[("a", "1")]));
        let both = stage.ok(&annotated(stage.set_policy("s", policy("c.example.com")), &[("b", "2")])).await;
        assert_eq!(both.annotations, map(&[("a", "1"), ("b", "2")]));
        let stored = stage.record("s").await.metadata.expect("sandboxes have metadata").annotations;
        assert_eq!(stored, both.annotations);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_35_bad_annotations_in_any_mode() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let (set_policy, set) =
            (stage.set_policy("s", policy("b.example.com")), stage.set("s", "ocsf_json_enabled", true));
        for request in [set_policy.clone(), set.clone(), globally(set_policy), globally(set), stage.config("s")] {
            stage.refused(Code::InvalidArgument, &annotated(request, &[("not a key!", "x")])).await;
        }
        assert_eq!((list(&stage, "s").await.len(), stage.version("s").await), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_38_static_fields() {
    everywhere(async |stage| {
        let files = |include_workdir, read_only: &[&str]| FilesystemPolicy {
            include_workdir,
            read_only: read_only.iter().map(|path| (*path).to_owned()).collect(),
            read_write: Vec::new(),
        };
        let with = |filesystem| SandboxPolicy { filesystem, ..policy("a.example.com") };
        stage.made("s", Some(with(Some(files(false, &["/usr"]))))).await;
        stage.ok(&stage.set_policy("s", with(Some(files(false, &["/usr", "/opt"]))))).await;
        let kept = with(Some(files(false, &["/usr"])));
        let landlock = Some(LandlockPolicy { compatibility: "best_effort".to_owned() });
        let process = Some(ProcessPolicy { run_as_user: "1000".to_owned(), ..ProcessPolicy::default() });
        let changed = [
            with(Some(files(false, &["/opt"]))),
            with(None),
            with(Some(files(true, &["/usr"]))),
            SandboxPolicy { landlock, ..kept.clone() },
            SandboxPolicy { process, ..kept },
        ];
        refused(&stage, Code::InvalidArgument, changed).await;
        stage.made("t", Some(with(None))).await;
        stage.ok(&stage.set_policy("t", with(Some(files(true, &["/opt"]))))).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_39_what_is_unsafe_is_said_all_at_once() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let hosts = ["*.com", "*", "a.b*.c.com"].map(policy);
        let ports = [0, 70_000].map(|port| {
            with(|endpoint| {
                endpoint.port = 0;
                endpoint.ports = vec![port];
            })
        });
        let file = |read_only: &[&str], read_write: &[&str]| {
            let own = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
            let filesystem =
                FilesystemPolicy { read_only: own(read_only), read_write: own(read_write), include_workdir: false };
            SandboxPolicy { filesystem: Some(filesystem), ..policy("a.example.com") }
        };
        let process = ProcessPolicy { run_as_user: "root".to_owned(), ..ProcessPolicy::default() };
        let root = SandboxPolicy { process: Some(process), ..policy("a.example.com") };
        let files = [file(&[], &["/"]), file(&["/a/../b"], &[])];
        refused(&stage, Code::InvalidArgument, hosts.into_iter().chain(ports).chain(files).chain([root.clone()])).await;
        let all = SandboxPolicy {
            filesystem: file(&["/a/../b"], &["/"]).filesystem,
            network_policies: policy("*.com").network_policies,
            ..root
        };
        let text = stage.refused(Code::InvalidArgument, &stage.set_policy("s", all)).await;
        says(&text, &["unsafe content", "root", "'..'", "too broad", "TLD wildcard"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_40_connections_that_are_not_inspected() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let tcp = |host: &str, access: &str| NetworkEndpoint {
            host: host.to_owned(),
            port: 5432,
            protocol: "tcp".to_owned(),
            access: access.to_owned(),
            ..NetworkEndpoint::default()
        };
        let wrong = [tcp("10.0.0.1", ""), tcp("db.example.com", "full")].map(|endpoint| policy_of("r1", endpoint));
        refused(&stage, Code::InvalidArgument, wrong).await;
        stage.ok(&stage.set_policy("s", policy_of("r1", tcp("db.example.com", "")))).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_41_what_an_endpoint_allows_has_a_shape() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let allow = |allow: L7Allow| vec![L7Rule { allow: Some(allow) }];
        let method = || L7Allow { method: "GET".to_owned(), ..L7Allow::default() };
        let of = |protocol: &str, access: &str, rules: Vec<L7Rule>| {
            let (protocol, access) = (protocol.to_owned(), access.to_owned());
            with(move |endpoint| {
                endpoint.protocol = protocol;
                endpoint.access = access;
                endpoint.rules = rules;
            })
        };
        let denied = with(|endpoint| {
            endpoint.protocol.clear();
            endpoint.access.clear();
            endpoint.deny_rules = vec![L7DenyRule { method: "GET".to_owned(), ..L7DenyRule::default() }];
        });
        let any = L7Allow { operation_type: "*".to_owned(), ..L7Allow::default() };
        let wrong = [
            of("rest", "full", allow(method())),
            of("json-rpc", "full", vec![]),
            of("mcp", "", vec![]),
            denied,
            of("graphql", "", allow(any)),
        ];
        refused(&stage, Code::InvalidArgument, wrong).await;
        let all = with(|endpoint| {
            endpoint.protocol = "mcp".to_owned();
            endpoint.access.clear();
            endpoint.mcp = Some(McpOptions { allow_all_known_mcp_methods: Some(true), strict_tool_names: None });
        });
        stage.ok(&stage.set_policy("s", all)).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_42_signing_is_complete_and_alone() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let signed = |service: &str, rewrite| {
            let service = service.to_owned();
            with(move |endpoint| {
                endpoint.credential_signing = "sigv4".to_owned();
                endpoint.signing_service = service;
                endpoint.request_body_credential_rewrite = rewrite;
            })
        };
        refused(&stage, Code::InvalidArgument, [signed("", false), signed("s3", true)]).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_43_middleware_mistakes_come_together() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let middleware = |on_error: &str, include: &str, tls: &str| {
            let mut policy = with(|endpoint| tls.clone_into(&mut endpoint.tls));
            let selector = MiddlewareEndpointSelector { include: vec![include.to_owned()], exclude: Vec::new() };
            let entry = NetworkMiddlewareConfig {
                name: "m".to_owned(),
                middleware: "openshell/regex".to_owned(),
                on_error: on_error.to_owned(),
                endpoints: Some(selector),
                ..NetworkMiddlewareConfig::default()
            };
            policy.network_middlewares.insert("m".to_owned(), entry);
            policy
        };
        let wrong = stage.set_policy("s", middleware("maybe", "api[.example.com", ""));
        says(&stage.refused(Code::InvalidArgument, &wrong).await, &["'maybe'", "api[.example.com"]);
        let skipped = stage.set_policy("s", middleware("fail_closed", "*.example.com", "skip"));
        says(&stage.refused(Code::InvalidArgument, &skipped).await, &["tls: skip"]);
        stage.ok(&stage.set_policy("s", middleware("fail_closed", "*.example.com", ""))).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_44_endpoints_that_contradict_each_other() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let mut both = policy("a.example.com");
        let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com") };
        both.network_policies.extend(policy_of("r2", open).network_policies);
        let update = stage.set_policy("s", both.clone());
        says(&stage.refused(Code::FailedPrecondition, &update).await, &["ambiguity validation failed", "tls"]);
        stage.refused(Code::FailedPrecondition, &globally(update)).await;
        stage.refused(Code::FailedPrecondition, &stage.sandbox("t", &[], Some(both))).await;
        assert_eq!(list(&stage, "s").await.len(), 1);
    })
    .await;
}
