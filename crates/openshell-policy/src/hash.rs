//! The hash that names the content of a policy, equal on every node and after every restart.
//! The configuration revision, which also covers settings, is computed where the settings are.

use std::collections::BTreeMap;

use openshell_proto::sandbox::{NetworkMiddlewareConfig, NetworkPolicyRule, SandboxPolicy};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use sha2::{Digest, Sha256};

/// The deterministic hash of a policy: 64 lowercase hexadecimal characters.
///
/// The order of repeated fields takes part, the insertion order of maps does not; every field takes
/// part. Source: config.md EC-50, EC-51.
pub fn policy_hash(policy: &SandboxPolicy) -> String {
    let rest = SandboxPolicy {
        version: policy.version,
        filesystem: policy.filesystem.clone(),
        landlock: policy.landlock.clone(),
        process: policy.process.clone(),
        network_policies: BTreeMap::new(),
        network_middlewares: BTreeMap::new(),
    };
    let mut out = Vec::new();
    chunk(&mut out, &rest.encode_to_vec());
    chunk(&mut out, b"network_policies");
    count(&mut out, policy.network_policies.len());
    for (key, rule) in &policy.network_policies {
        chunk(&mut out, key.as_bytes());
        chunk(&mut out, &rule_bytes(rule));
    }
    chunk(&mut out, b"network_middlewares");
    count(&mut out, policy.network_middlewares.len());
    for (key, middleware) in &policy.network_middlewares {
        chunk(&mut out, key.as_bytes());
        chunk(&mut out, &middleware_bytes(middleware));
    }
    hex::encode(Sha256::digest(&out))
}

/// The canonical bytes of one rule: its encoding with every map taken out, then the maps in key order.
///
/// Source: config.md EC-50 (`RULE`).
pub fn rule_bytes(rule: &NetworkPolicyRule) -> Vec<u8> {
    let mut out = Vec::new();
    chunk(&mut out, &without_maps(rule).encode_to_vec());
    for (index, endpoint) in rule.endpoints.iter().enumerate() {
        count(&mut out, index);
        map(&mut out, "graphql_persisted_queries", &endpoint.graphql_persisted_queries);
        for (index, entry) in endpoint.rules.iter().enumerate() {
            count(&mut out, index);
            if let Some(allow) = &entry.allow {
                map(&mut out, "allow_query", &allow.query);
                map(&mut out, "allow_params", &allow.params);
            }
        }
        for (index, deny) in endpoint.deny_rules.iter().enumerate() {
            count(&mut out, index);
            map(&mut out, "deny_query", &deny.query);
            map(&mut out, "deny_params", &deny.params);
        }
    }
    out
}

fn without_maps(rule: &NetworkPolicyRule) -> NetworkPolicyRule {
    let mut rule = rule.clone();
    for endpoint in &mut rule.endpoints {
        endpoint.graphql_persisted_queries.clear();
        for allow in endpoint.rules.iter_mut().filter_map(|entry| entry.allow.as_mut()) {
            allow.query.clear();
            allow.params.clear();
        }
        for deny in &mut endpoint.deny_rules {
            deny.query.clear();
            deny.params.clear();
        }
    }
    rule
}

fn middleware_bytes(middleware: &NetworkMiddlewareConfig) -> Vec<u8> {
    let mut out = Vec::new();
    let bare = NetworkMiddlewareConfig { config: None, ..middleware.clone() };
    chunk(&mut out, &bare.encode_to_vec());
    if let Some(config) = &middleware.config {
        chunk(&mut out, &struct_bytes(config));
    }
    out
}

fn struct_bytes(config: &Struct) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, config.fields.len());
    for (key, value) in &config.fields {
        chunk(&mut out, key.as_bytes());
        chunk(&mut out, &value_bytes(value));
    }
    out
}

fn value_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match &value.kind {
        None => out.push(0),
        Some(Kind::NullValue(number)) => {
            out.push(1);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Some(Kind::NumberValue(number)) => {
            out.push(2);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Some(Kind::StringValue(text)) => {
            out.push(3);
            chunk(&mut out, text.as_bytes());
        }
        Some(Kind::BoolValue(flag)) => out.extend_from_slice(&[4, u8::from(*flag)]),
        Some(Kind::StructValue(fields)) => {
            out.push(5);
            chunk(&mut out, &struct_bytes(fields));
        }
        Some(Kind::ListValue(list)) => {
            out.push(6);
            count(&mut out, list.values.len());
            for value in &list.values {
                chunk(&mut out, &value_bytes(value));
            }
        }
    }
    out
}

fn map<M: Message>(out: &mut Vec<u8>, label: &str, entries: &BTreeMap<String, M>) {
    chunk(out, label.as_bytes());
    count(out, entries.len());
    for (key, value) in entries {
        chunk(out, key.as_bytes());
        chunk(out, &value.encode_to_vec());
    }
}

fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn count(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;
    use openshell_proto::sandbox::L7QueryMatcher;

    fn le(number: u64) -> Vec<u8> {
        number.to_le_bytes().to_vec()
    }

    fn text(text: &str) -> Vec<u8> {
        [le(text.len() as u64), text.as_bytes().to_vec()].concat()
    }

    #[test]
    fn ec_50_the_bytes_of_a_rule_are_laid_out_as_specified() {
        let policy = parse(
            "version: 1\nnetwork_policies: {r: {endpoints: [{rules: [{allow: {query: {b: y, a: x}}}], deny_rules: [{params: {c: z}}]}]}}",
        )
        .unwrap();
        let rule = &policy.network_policies["r"];
        let bare = without_maps(rule).encode_to_vec();
        let matcher = |glob: &str| L7QueryMatcher { glob: glob.to_owned(), any: vec![] }.encode_to_vec();
        let sized = |bytes: Vec<u8>| [le(bytes.len() as u64), bytes].concat();
        let expected = [
            sized(bare),
            le(0),
            text("graphql_persisted_queries"),
            le(0),
            le(0),
            text("allow_query"),
            le(2),
            text("a"),
            sized(matcher("x")),
            text("b"),
            sized(matcher("y")),
            text("allow_params"),
            le(0),
            le(0),
            text("deny_query"),
            le(0),
            text("deny_params"),
            le(1),
            text("c"),
            sized(matcher("z")),
        ]
        .concat();
        assert_eq!(rule_bytes(rule), expected);
    }

    #[test]
    fn ec_50_every_kind_of_value_has_its_own_bytes() {
        let bytes = |kind: Option<Kind>| value_bytes(&Value { kind });
        assert_eq!(bytes(None), [0]);
        assert_eq!(bytes(Some(Kind::NullValue(0))), [1, 0, 0, 0, 0]);
        assert_eq!(bytes(Some(Kind::NumberValue(1.0))), [2, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(bytes(Some(Kind::StringValue("a".into()))), [3, 1, 0, 0, 0, 0, 0, 0, 0, b'a']);
        assert_eq!(bytes(Some(Kind::BoolValue(true))), [4, 1]);
        assert_eq!(bytes(Some(Kind::StructValue(Struct::default()))), [vec![5], le(8), le(0)].concat());
        let list = prost_types::ListValue { values: vec![Value { kind: None }] };
        assert_eq!(bytes(Some(Kind::ListValue(list))), [vec![6], le(1), le(1), vec![0]].concat());
    }

    #[test]
    fn ec_51_every_field_takes_part() {
        let base =
            parse("version: 1\nnetwork_policies: {r: {endpoints: [{host: a}], binaries: [{path: /x}]}}").unwrap();
        let changed = |change: &dyn Fn(&mut SandboxPolicy)| {
            let mut policy = base.clone();
            change(&mut policy);
            policy_hash(&policy)
        };
        fn rule(policy: &mut SandboxPolicy) -> &mut NetworkPolicyRule {
            policy.network_policies.get_mut("r").unwrap()
        }
        let hashes = [
            policy_hash(&base),
            changed(&|policy| policy.version = 2),
            changed(&|policy| policy.landlock = Some(Default::default())),
            changed(&|policy| rule(policy).endpoints[0].provider_credentialed = true),
            changed(&|policy| rule(policy).endpoints[0].advisor_proposed = true),
            changed(&|policy| rule(policy).binaries[0].harness = true),
            changed(&|policy| {
                policy.network_middlewares.insert("m".into(), Default::default());
            }),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
        assert!(hashes.iter().all(|hash| hash.len() == 64));
    }
    #[test]
    fn ec_51_the_order_of_lists_takes_part_and_that_of_map_entries_on_the_wire_does_not() {
        let of = |text: &str| parse(&format!("version: 1\n{text}")).unwrap();
        let list = |text: &str| policy_hash(&of(&format!("filesystem_policy: {{read_only: {text}}}")));
        assert_ne!(list("[/a, /b]"), list("[/b, /a]"));
        let rule = |key: &str| of(&format!("network_policies: {{{key}: {{}}}}")).encode_to_vec();
        let hashes = [["a", "b"], ["b", "a"]].map(|keys| {
            let policy = SandboxPolicy::decode(keys.map(rule).concat().as_slice()).unwrap();
            assert_eq!(policy.network_policies.len(), 2);
            policy_hash(&policy)
        });
        assert_eq!(hashes[0], hashes[1]);
    }
}
