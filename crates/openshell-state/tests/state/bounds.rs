//! Bounds on what a policy and a sandbox may hold: what is within can be stored and read back, what is
//! beyond is refused with its field, whichever way it comes.

use openshell_proto::log::{Origin, Transaction};
use openshell_proto::sandbox::{
    GetSandboxConfigResponse, MiddlewareEndpointSelector, NetworkEndpoint, NetworkMiddlewareConfig, SandboxPolicy,
};
use openshell_proto::v1::{CreateSandboxRequest, SandboxTemplate};
use openshell_state::{Code, Draft, Fault, Key, check};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::support::{
    World, add_rule, endpoint, global_policy, merge, policy, policy_of, sandbox, says, setting, update_policy,
};

/// Objects inside each other, so many, with a word innermost.
fn nested(levels: usize) -> Struct {
    nested_around(levels, Value { kind: Some(Kind::StringValue("redact".to_owned())) })
}

fn nested_around(levels: usize, innermost: Value) -> Struct {
    let mut object = Struct { fields: [("mode".to_owned(), innermost)].into() };
    for _ in 1..levels {
        object = Struct { fields: [("a".to_owned(), Value { kind: Some(Kind::StructValue(object)) })].into() };
    }
    object
}

fn with_config(config: Struct) -> SandboxPolicy {
    let endpoints = MiddlewareEndpointSelector { include: vec!["a.example.com".to_owned()], ..Default::default() };
    let entry = NetworkMiddlewareConfig {
        middleware: "openshell/regex".to_owned(),
        config: Some(config),
        endpoints: Some(endpoints),
        ..NetworkMiddlewareConfig::default()
    };
    SandboxPolicy { network_middlewares: [("m".to_owned(), entry)].into(), ..policy("a.example.com") }
}

fn with_template(change: impl FnOnce(&mut SandboxTemplate)) -> CreateSandboxRequest {
    let mut request = sandbox("t", &[], None);
    change(request.spec.as_mut().expect("a spec").template.get_or_insert_default());
    request
}

#[test]
fn what_nests_too_deep_is_refused_in_every_way_it_comes() {
    let mut world = World::new();
    let field = "network_middlewares.m.config: nests 25 levels";
    let deep = || with_config(nested(25));
    says(&world.refused(Code::InvalidArgument, &sandbox("s", &[], Some(deep()))), &[field]);
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    says(&world.refused(Code::InvalidArgument, &update_policy("s", deep())), &[field]);
    says(&world.refused(Code::InvalidArgument, &global_policy(deep())), &[field]);
    let text = world.refused(Code::InvalidArgument, &with_template(|template| template.resources = Some(nested(25))));
    says(&text, &["spec.template.resources", "25"]);
    let list = Value { kind: Some(Kind::ListValue(ListValue { values: Vec::new() })) };
    let mut lists = nested(1);
    for _ in 1..25 {
        let value = lists.fields.remove("a").unwrap_or_else(|| list.clone());
        let value = Value { kind: Some(Kind::ListValue(ListValue { values: vec![value] })) };
        lists.fields.insert("a".to_owned(), value);
    }
    let text = world.refused(Code::InvalidArgument, &with_template(|template| template.driver_config = Some(lists)));
    says(&text, &["spec.template.driver_config"]);
}

#[test]
fn what_nests_as_deep_as_it_may_is_stored_and_read_and_merged() {
    let mut world = World::new();
    let allowed = || with_config(nested(24));
    world.ok(&sandbox("s", &[], Some(allowed())));
    world.ok(&with_template(|template| template.driver_config = Some(nested(24))));
    world.ok(&sandbox("u", &[], None));
    world.ok(&update_policy("u", allowed()));
    world.ok(&merge("u", &[add_rule("b", endpoint("b.example.com", 443))]));
    let answer = world.effective("u").encode_to_vec();
    GetSandboxConfigResponse::decode(answer.as_slice()).expect("a reader takes it");
    world.ok(&global_policy(allowed()));
}

#[test]
fn a_transaction_is_checked_by_what_applying_it_would_meet() {
    let check_put = |message: &openshell_proto::v1::Sandbox| {
        let mut draft = Draft::new();
        draft.put(&Key::sandbox("default", "s"), message);
        check(&draft.into_transaction(Origin::default()))
    };
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let mut sandbox = world.stored_sandbox("s").clone();
    check_put(&sandbox).expect("it reads");
    // As many messages inside each other as a decoder takes of a request; in the record there is one more.
    let in_list = |value| Value { kind: Some(Kind::ListValue(ListValue { values: vec![value] })) };
    let innermost = Value { kind: Some(Kind::NumberValue(1.0)) };
    let deepest = with_config(nested_around(31, in_list(in_list(innermost))));
    let request = update_policy("s", deepest.clone()).encode_to_vec();
    openshell_proto::v1::UpdateConfigRequest::decode(request.as_slice()).expect("the request reads");
    sandbox.spec.as_mut().expect("a spec").policy = Some(deepest);
    let fault = check_put(&sandbox).expect_err("it does not read");
    assert!(matches!(fault, Fault::Undecodable { .. }), "{fault}");
    check(&Transaction::default()).expect_err("it has no origin");
}

#[test]
fn what_a_policy_stands_for_is_bounded_in_every_way_it_comes() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let at = |host: String, ports: u32, path: String| NetworkEndpoint {
        host,
        ports: (1..=ports).collect(),
        path,
        ..endpoint("b.example.com", 443)
    };
    let host = || "b.example.com".to_owned();
    let long_host = format!("{}.com", "b".repeat(250));
    for (wrong, field) in [
        (at(long_host, 1, String::new()), "endpoints[0].host: has 254 bytes"),
        (at(host(), 1, format!("/{}", "p".repeat(4096))), "endpoints[0].path: has 4097 bytes"),
        (at(host(), 10_001, String::new()), "10001 ports"),
        (at(host(), 1_000, format!("/{}", "p".repeat(2000))), "host and path at every port"),
    ] {
        let policy = || policy_of("b", wrong.clone());
        says(&world.refused(Code::InvalidArgument, &sandbox("t", &[], Some(policy()))), &[field]);
        says(&world.refused(Code::InvalidArgument, &update_policy("s", policy())), &[field]);
        says(&world.refused(Code::InvalidArgument, &global_policy(policy())), &[field]);
        says(&world.refused(Code::InvalidArgument, &merge("s", &[add_rule("b", wrong.clone())])), &[field]);
    }
    let key = policy_of(&"k".repeat(1025), endpoint("b.example.com", 443));
    says(&world.refused(Code::InvalidArgument, &update_policy("s", key)), &["network_policies: a key has 1025 bytes"]);
    world.ok(&update_policy("s", policy_of("b", at(host(), 10_000, String::new()))));
    // What several operations add counts together, and with what is there.
    let half = |rule: &str, host: &str| add_rule(rule, at(host.to_owned(), 5_001, String::new()));
    let both = merge("s", &[half("c", "c.example.com"), half("d", "d.example.com")]);
    says(&world.refused(Code::InvalidArgument, &both), &["merge_operations", "10002 ports"]);
    let one = merge("s", &[half("c", "c.example.com")]);
    says(&world.refused(Code::InvalidArgument, &one), &["the merged policy", "15001 ports"]);
}

#[test]
fn annotations_of_a_sandbox_are_bounded_together() {
    let mut world = World::new();
    let annotated = |mut request: openshell_proto::v1::UpdateConfigRequest, keys: std::ops::Range<usize>, bytes| {
        request.annotations = keys.map(|at| (format!("k{at}"), "v".repeat(bytes))).collect();
        request
    };
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let policies = || update_policy("s", policy("b.example.com"));
    let settings = || setting("s", "ocsf_json_enabled", true);
    world.ok(&annotated(policies(), 0..100, 1));
    world.ok(&annotated(settings(), 50..128, 1));
    for request in [policies(), settings()] {
        says(&world.refused(Code::InvalidArgument, &annotated(request, 128..129, 1)), &["129 entries"]);
    }
    for request in [policies(), settings()] {
        says(&world.refused(Code::InvalidArgument, &annotated(request, 0..40, 8000)), &["262144"]);
    }
    // The value of a key may change, and who adds nothing is not asked.
    world.ok(&annotated(policies(), 0..1, 2));
    world.ok(&settings());
    assert_eq!(world.stored_sandbox("s").metadata.as_ref().expect("metadata").annotations.len(), 128);
}
