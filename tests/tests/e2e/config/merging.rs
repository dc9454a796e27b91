//! Scenarios 44 and 48 to 58: operations merged into the policy of a sandbox.

use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkEndpoint};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddAllowRules, AddNetworkRule, RemoveNetworkBinary, RemoveNetworkEndpoint, RemoveNetworkRule, UpdateConfigRequest,
};
use openshell_tests::Cluster;
use tonic::Code;

use super::{Stage, endpoint, everywhere, map, policy, rule, says};
use crate::rpc::Calls;

fn add(rule_name: &str, endpoint: NetworkEndpoint) -> Operation {
    Operation::AddRule(AddNetworkRule { rule_name: rule_name.to_owned(), rule: Some(rule("", endpoint)) })
}

/// For these binaries instead of the one that every rule here is for.
fn add_for(binaries: &[&str], rule_name: &str, endpoint: NetworkEndpoint) -> Operation {
    let mut rule = rule("", endpoint);
    let one = rule.binaries[0].clone();
    let with = |path: &&str| openshell_proto::sandbox::NetworkBinary { path: (*path).to_owned(), ..one.clone() };
    rule.binaries = binaries.iter().map(with).collect();
    Operation::AddRule(AddNetworkRule { rule_name: rule_name.to_owned(), rule: Some(rule) })
}

fn requests(method: &str, path: &str) -> Vec<L7Rule> {
    let (method, path) = (method.to_owned(), path.to_owned());
    vec![L7Rule { allow: Some(L7Allow { method, path, ..L7Allow::default() }) }]
}

/// An endpoint that allows one kind of request.
fn with_rule(host: &str, method: &str, path: &str) -> NetworkEndpoint {
    NetworkEndpoint { access: String::new(), rules: requests(method, path), ..endpoint(host) }
}

fn allow(host: &str, method: &str, path: &str) -> Operation {
    Operation::AddAllowRules(AddAllowRules { host: host.to_owned(), port: 443, rules: requests(method, path) })
}

fn remove_endpoint(host: &str, port: u32) -> Operation {
    Operation::RemoveEndpoint(RemoveNetworkEndpoint { rule_name: String::new(), host: host.to_owned(), port })
}

fn remove_binary(rule_name: &str, path: &str) -> Operation {
    let (rule_name, binary_path) = (rule_name.to_owned(), path.to_owned());
    Operation::RemoveBinary(RemoveNetworkBinary { rule_name, binary_path })
}

fn remove_rule(rule_name: &str) -> Operation {
    Operation::RemoveRule(RemoveNetworkRule { rule_name: rule_name.to_owned() })
}

async fn keys(stage: &Stage, sandbox: &str) -> Vec<String> {
    stage.rules(sandbox).await.into_keys().collect()
}

#[tokio::test]
async fn config_scenario_44_a_merge_that_contradicts_the_rest_is_refused() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("*.example.com") };
        let text = stage.refused(Code::FailedPrecondition, &stage.merge("s", &[add("n", open)])).await;
        says(&text, &["ambiguity validation failed", "tls"]);
        assert_eq!(stage.revision("s", 0).await.version, 1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_48_a_rule_is_added_or_folded_into_one_that_is_there() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        assert_eq!(stage.ok(&stage.merge("s", &[add("n1", endpoint("api.example.com"))])).await.version, 1);
        assert_eq!(keys(&stage, "s").await, ["n1"]);
        let more = add("n2", with_rule("api.example.com", "PUT", "/x"));
        assert_eq!(stage.ok(&stage.merge("s", &[more])).await.version, 2);
        assert_eq!(keys(&stage, "s").await, ["n1"]);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_49_a_proposal_for_another_binary_stands_alone() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let before = stage.rules("s").await;
        let proposal = |name: &str| add_for(&["/usr/bin/b"], name, with_rule("a.example.com", "POST", "/x"));
        stage.refused(Code::FailedPrecondition, &stage.merge("s", &[proposal("r1")])).await;
        stage.ok(&stage.merge("s", &[proposal("n2")])).await;
        let after = stage.rules("s").await;
        assert_eq!(after["r1"], before["r1"]);
        assert_eq!((after["n2"].binaries[0].path.as_str(), after["n2"].endpoints[0].rules.len()), ("/usr/bin/b", 1));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_50_what_no_rule_may_name() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let ips = |entry: &str| NetworkEndpoint { allowed_ips: vec![entry.to_owned()], ..endpoint("x.example.com") };
        for operation in [
            add("_provider_x", endpoint("x.example.com")),
            add("n", endpoint("localhost")),
            add("n", endpoint("169.254.169.254")),
            add("n", endpoint("metadata.google.internal")),
            add("n", ips("127.0.0.0/8")),
        ] {
            let text = stage.refused(Code::InvalidArgument, &stage.merge("s", &[operation])).await;
            says(&text, &["merge_operations[0].add_rule"]);
        }
        stage.ok(&stage.merge("s", &[add("n", ips("10.0.0.0/8"))])).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_51_rules_for_one_endpoint() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        stage.ok(&stage.merge("s", &[allow("a.example.com", "POST", "/x")])).await;
        let endpoint_of = stage.rules("s").await["r1"].endpoints[0].clone();
        let rules = endpoint_of.rules.iter().filter_map(|rule| rule.allow.as_ref());
        let rules: Vec<_> = rules.map(|allow| format!("{} {}", allow.method, allow.path)).collect();
        assert_eq!(
            (endpoint_of.access.as_str(), rules.join(", ").as_str()),
            ("", "GET **, HEAD **, OPTIONS **, POST /x")
        );
        let below = NetworkEndpoint { path: "/v1".to_owned(), ..endpoint("a.example.com") };
        stage.ok(&stage.merge("s", &[add("n", below)])).await;
        stage.refused(Code::FailedPrecondition, &stage.merge("s", &[allow("a.example.com", "PUT", "/x")])).await;
        for (rule_name, protocol, access) in [("l4", "", ""), ("ql", "graphql", "full")] {
            let host = format!("{rule_name}.example.com");
            let (protocol, access) = (protocol.to_owned(), access.to_owned());
            let other = NetworkEndpoint { protocol, access, ..endpoint(&host) };
            stage.ok(&stage.merge("s", &[add(rule_name, other)])).await;
            stage.refused(Code::FailedPrecondition, &stage.merge("s", &[allow(&host, "POST", "/x")])).await;
        }
    })
    .await;
}

#[tokio::test]
async fn config_scenario_52_removing_endpoints() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let ports = NetworkEndpoint { ports: vec![443, 8443], ..endpoint("a.example.com") };
        stage.ok(&stage.merge("s", &[add("n", ports)])).await;
        stage.ok(&stage.merge("s", &[remove_endpoint("a.example.com", 443)])).await;
        assert_eq!(stage.rules("s").await["n"].endpoints[0].ports, [8443]);
        assert_eq!(stage.ok(&stage.merge("s", &[remove_endpoint("unknown.example.com", 443)])).await.version, 2);
        assert_eq!(stage.ok(&stage.merge("s", &[remove_endpoint("a.example.com", 8443)])).await.version, 3);
        assert!(keys(&stage, "s").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn config_scenario_53_removing_binaries() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let any = add_for(&[], "any", endpoint("b.example.com"));
        stage.ok(&stage.merge("s", &[any, remove_binary("r1", "/usr/bin/curl")])).await;
        assert_eq!(keys(&stage, "s").await, ["any"]);
        stage.refused(Code::FailedPrecondition, &stage.merge("s", &[remove_binary("any", "/usr/bin/curl")])).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_54_a_batch_whose_third_operation_fails_leaves_nothing() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let operations = [add("n", endpoint("b.example.com")), remove_rule("r1"), allow("a.example.com", "GET", "/")];
        let text = stage.refused(Code::FailedPrecondition, &stage.merge("s", &operations)).await;
        says(&text, &["merge_operations[2]"]);
        assert_eq!((keys(&stage, "s").await, stage.revision("s", 0).await.version), (vec!["r1".to_owned()], 1));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_55_merges_at_once_through_every_node_all_survive() {
    let cluster = Cluster::shared().await;
    let stages: Vec<Stage> = {
        let first = Stage::open(cluster.api(1)).await;
        first.made("s", Some(policy("a.example.com"))).await;
        cluster.ids().map(|id| Stage { scene: first.scene.through(cluster.api(id)) }).collect()
    };
    const EACH: usize = 8;
    let merges = stages.iter().enumerate().map(async |(node, stage)| {
        let calls = (0..EACH).map(async |number| {
            let name = format!("n{node}-{number}");
            stage.ok(&stage.merge("s", &[add(&name, endpoint(&format!("{name}.example.com")))])).await.version
        });
        futures::future::join_all(calls).await
    });
    let mut versions: Vec<u32> = futures::future::join_all(merges).await.concat();
    versions.sort_unstable();
    let total = u32::try_from(EACH * stages.len()).expect("a few");
    assert_eq!(versions, (2..2 + total).collect::<Vec<_>>(), "each is a revision of its own, and none is skipped");
    assert_eq!(keys(&stages[0], "s").await.len(), EACH * stages.len() + 1);
}

#[tokio::test]
async fn config_scenario_57_annotations_come_with_a_merge() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let with = |name: &str, annotations: &[(&str, &str)]| UpdateConfigRequest {
            annotations: map(annotations),
            ..stage.merge("s", &[add(name, endpoint(&format!("{name}.example.com")))])
        };
        assert_eq!(stage.ok(&with("n1", &[("a", "1")])).await.annotations, map(&[("a", "1")]));
        assert_eq!(stage.ok(&with("n2", &[])).await.annotations, map(&[("a", "1")]));
        assert!(stage.revision("s", 0).await.provenance.is_empty());
        stage.ok(&with("n3", &[("b", "2")])).await;
        assert_eq!(stage.revision("s", 0).await.provenance, map(&[("b", "2")]));
        let metadata = stage.scene.sandbox("s").await.metadata.expect("metadata");
        assert_eq!(metadata.annotations, map(&[("a", "1"), ("b", "2")]));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_58_one_host_and_port_is_inspected_in_one_way() {
    everywhere(async |stage| {
        stage.made("s", None).await;
        let spoken = NetworkEndpoint { protocol: "mcp".to_owned(), ..with_rule("h.example.com", "*", "") };
        stage.ok(&stage.merge("s", &[add("m", spoken)])).await;
        let other = NetworkEndpoint { path: "/other".to_owned(), ..endpoint("h.example.com") };
        says(&stage.refused(Code::FailedPrecondition, &stage.merge("s", &[add("n", other)])).await, &["MCP"]);
    })
    .await;
}

#[tokio::test]
async fn uc_33_a_merge_on_a_stale_version_is_aborted() {
    everywhere(async |stage| {
        stage.made("s", Some(policy("a.example.com"))).await;
        let change = stage.merge("s", &[add("n", endpoint("b.example.com"))]);
        let expecting = |version| UpdateConfigRequest { expected_resource_version: version, ..change.clone() };
        stage.refused(Code::Aborted, &expecting(9)).await;
        assert_eq!(stage.ok(&expecting(1)).await.version, 2);
    })
    .await;
}
