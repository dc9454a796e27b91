//! What the reference gateway answered, as far as it can be checked without a state: hashes, and which
//! policies are safe and unambiguous. And what a script in another language computed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use openshell_policy::{ambiguity, credentials, hash, layering, merge, safety, yaml};
use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};
use prost_reflect::{DynamicMessage, ReflectMessage};
use serde_json::{Value, json};

fn message<M: prost::Message + Default>(name: &str, value: &Value) -> M {
    let descriptor = openshell_proto::pool().get_message_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let message = DynamicMessage::deserialize(descriptor, value).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(message.descriptor().full_name(), name);
    message.transcode_to().expect("a message transcodes to its own type")
}

fn policy(value: &Value) -> SandboxPolicy {
    message("openshell.sandbox.v1.SandboxPolicy", value)
}

fn config() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/config.json")).expect("the vectors are JSON")
}

fn cases(file: &Value) -> &Vec<Value> {
    file["cases"].as_array().expect("cases are a list")
}

#[test]
fn every_effective_policy_has_the_hash_that_the_reference_computed() {
    let file = config();
    let mut seen = 0;
    for case in cases(&file) {
        let answer = &case["config"];
        if answer["policy"].is_object() {
            assert_eq!(hash::policy_hash(&policy(&answer["policy"])), answer["policy_hash"], "{}", case["case"]);
            seen += 1;
        }
    }
    assert!(seen >= 26, "only {seen} cases");
}

#[test]
fn every_merged_policy_has_the_hash_that_the_reference_computed() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/merge.json")).expect("JSON");
    let mut seen = 0;
    for case in cases(&file) {
        let after = &case["after"];
        if !after.is_object() {
            continue;
        }
        let mut merged = file["base"].clone();
        merged["network_policies"] = after.get("network_policies").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(hash::policy_hash(&policy(&merged)), after["policy_hash"], "{}", case["case"]);
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases");
}

#[test]
fn what_the_reference_accepted_is_safe_and_what_it_called_invalid_is_not() {
    let file = config();
    for case in cases(&file).iter().filter(|case| case["policy"].is_object()) {
        let authored = policy(&case["policy"]);
        let found = [safety::violations(&authored), safety::middleware_violations(&authored, &[])].concat();
        let invalid = case["create_status"] == "INVALID_ARGUMENT";
        assert_eq!(!found.is_empty(), invalid, "{}: {found:?}", case["case"]);
        if case["config"]["policy"].is_object() {
            let effective = policy(&case["config"]["policy"]);
            assert_eq!(ambiguity::conflicts(&effective), [], "{}", case["case"]);
            assert_eq!(safety::violations(&effective), [""; 0], "{}", case["case"]);
        }
    }
}

#[test]
fn layers_and_marks_come_out_as_in_the_reference() {
    let file = config();
    let find = |list: &str, key: &str, name: &Value| {
        file["setup"][list].as_array().and_then(|all| all.iter().find(|one| one[key] == *name)).cloned()
    };
    let mut seen = 0;
    for case in cases(&file).iter().filter(|case| case["config"]["policy"].is_object()) {
        let mut layers = Vec::new();
        let mut scopes = Vec::new();
        let providers = case["providers"].as_array().cloned().unwrap_or_default();
        let profiles: Vec<_> = providers
            .iter()
            .map(|name| {
                let provider = find("providers", "name", name)?;
                Some((name.as_str()?.to_owned(), find("profiles", "id", &provider["type"])?))
            })
            .collect();
        // Providers whose profile is built in, or missing, are a matter of the crate above; so are bindings.
        if profiles.iter().any(Option::is_none) || case.to_string().contains("credential_binding") {
            continue;
        }
        for (name, profile) in profiles.into_iter().flatten() {
            let part = |key: &str| profile.get(key).cloned().unwrap_or_else(|| json!([]));
            let rule = json!({
                "name": layering::provider_rule_name(&name),
                "endpoints": part("endpoints"),
                "binaries": part("binaries"),
            });
            let rule: NetworkPolicyRule = message("openshell.sandbox.v1.NetworkPolicyRule", &rule);
            if profile["credentials"].is_array() {
                scopes.extend(rule.endpoints.iter().map(|endpoint| credentials::Scope {
                    host: endpoint.host.to_lowercase(),
                    ports: openshell_policy::ports::effective(endpoint),
                }));
            }
            layers.push(layering::Layer { rule });
        }
        let mut effective = layering::compose(policy(&case["policy"]), layers);
        credentials::clear_markers(&mut effective);
        credentials::stamp(&mut effective, &scopes);
        assert_eq!(effective, policy(&case["config"]["policy"]), "{}", case["case"]);
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} cases");
}

#[test]
fn policies_of_the_vectors_survive_their_file_form() {
    let file = config();
    for case in cases(&file).iter().filter(|case| case["policy"].is_object()) {
        // The first reading settles what a file always says: names, port lists, method of MCP entries.
        let Ok(settled) = yaml::parse(&yaml::render(&policy(&case["policy"]))) else { continue };
        assert_eq!(yaml::parse(&yaml::render(&settled)).as_ref(), Ok(&settled), "{}", case["case"]);
        assert_eq!(yaml::parse(&yaml::to_json(&settled).to_string()), Ok(settled), "{}", case["case"]);
    }
}

#[test]
fn every_merge_comes_to_the_rules_and_the_hash_that_the_reference_computed() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/merge.json")).expect("JSON");
    let base = policy(&file["base"]);
    for case in cases(&file) {
        let operations = case["merge_operations"].as_array().expect("a list");
        if operations.is_empty() {
            // Not a merge at all; who asks for it is told so.
            assert_eq!(case["status"], "INVALID_ARGUMENT", "{}", case["case"]);
            continue;
        }
        let operations: Vec<_> =
            operations.iter().map(|one| message("openshell.v1.PolicyMergeOperation", one)).collect();
        let merged = merge::parse(&operations).and_then(|operations| {
            merge::check_always_blocked(&operations)?;
            merge::apply(&base, &operations)
        });
        let status = match &merged {
            Err(error) if error.is_invalid() => Some("INVALID_ARGUMENT"),
            Err(_) => Some("FAILED_PRECONDITION"),
            // A port of 0 is for the safety rules to refuse.
            Ok(merged) => (!safety::violations(merged).is_empty()).then_some("INVALID_ARGUMENT"),
        };
        assert_eq!(status, case["status"].as_str(), "{}: {merged:?}", case["case"]);
        if let (Ok(merged), None) = (merged, status) {
            let rules = &case["after"]["network_policies"];
            for (key, rule) in rules.as_object().expect("rules") {
                let rule: NetworkPolicyRule = message("openshell.sandbox.v1.NetworkPolicyRule", rule);
                assert_eq!(merged.network_policies.get(key), Some(&rule), "{}", case["case"]);
            }
            assert_eq!(merged.network_policies.len(), rules.as_object().map_or(0, |rules| rules.len()));
            assert_eq!(hash::policy_hash(&merged), case["update_hash"], "{}", case["case"]);
        }
    }
}

#[test]
fn ec_50_and_51_every_policy_has_the_hash_that_the_script_computed() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/hashes.json")).expect("JSON");
    let mut hashes = BTreeMap::new();
    for case in file["policies"].as_array().expect("cases") {
        let hash = hash::policy_hash(&policy(&case["policy"]));
        assert_eq!(hash, case["policy_hash"], "{}", case["case"]);
        let alike = hashes.insert(hash, case["case"].clone());
        assert_eq!(alike, None, "every field takes part: {}", case["case"]);
    }
    assert!(hashes.len() > 90, "only {} cases", hashes.len());
}

/// Elsewhere than in CI it is enough that the file is compared with what the gateway computes.
#[test]
fn the_script_writes_the_vectors_that_are_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let written = match Command::new("python3").arg("-B").arg(folder.join("hashes.py")).arg("-").output() {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var("CI").as_deref() != Ok("true") => return,
        ran => ran.expect("python3 runs"),
    };
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let kept = std::fs::read_to_string(folder.join("hashes.json")).expect("the vectors are there");
    let same = String::from_utf8_lossy(&written.stdout) == kept;
    assert!(same, "run tests/vectors/hashes.py, which writes another hashes.json now");
}
