//! What the reference gateway answered to the same questions (`tests/vectors`).

use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{PolicySource, SandboxPolicy};
use openshell_proto::v1::{CreateProviderRequest, ProviderProfile, UpdateConfigRequest};
use openshell_state::{Key, Refusal};
use prost_reflect::{DynamicMessage, ReflectMessage};
use serde_json::Value;

use crate::support::{World, config as config_of, global_setting, import, sandbox, texts};

fn message<M: prost::Message + Default>(name: &str, value: &Value) -> M {
    let descriptor = openshell_proto::pool().get_message_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let message = DynamicMessage::deserialize(descriptor, value).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(message.descriptor().full_name(), name);
    message.transcode_to().expect("a message transcodes to its own type")
}

fn config() -> Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/config.json")).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// The name of a gRPC code, as the vectors have it.
fn code(refusal: &Refusal) -> String {
    let words = format!("{:?}", refusal.code);
    let name = words.char_indices().flat_map(|(at, letter)| {
        let gap = (at > 0 && letter.is_uppercase()).then_some('_');
        gap.into_iter().chain(letter.to_uppercase())
    });
    name.collect()
}

/// The cases of a file of vectors that `docs/compatibility.md` lists as departures.
fn departures(file: &str) -> Vec<String> {
    let rows = include_str!("../../../../docs/compatibility.md").lines();
    let cases = rows.filter_map(|row| row.strip_prefix(&format!("| `{file}` | `"))?.split_once("` |"));
    cases.map(|(case, _)| case.to_owned()).collect()
}

/// Asserts that what differs, each a case and how, is what is listed.
#[track_caller]
fn departs_as_listed(file: &str, differences: &[(String, String)]) {
    let cases: Vec<_> = differences.iter().map(|(case, _)| case.clone()).collect();
    assert_eq!(cases, departures(file), "docs/compatibility.md lists what differs in {file}: {differences:#?}");
}

/// The profiles of the set-up, at platform scope.
fn with_profiles() -> World {
    let mut world = World::new();
    // The reference had no issuer of sandbox tokens, which shows in the revision of a configuration.
    let mut cluster = world.state.cluster().expect("formed").value.clone();
    cluster.sealed_signing_key.clear();
    world.write(&Key::cluster(), Some(&cluster));
    for value in list(&config()["setup"]["profiles"]) {
        let profile: ProviderProfile = message("openshell.v1.ProviderProfile", value);
        let answer = world.ok(&import("", &[profile]));
        assert!(answer.imported, "{}", texts(&answer.diagnostics));
    }
    world
}

fn provider(value: &Value) -> Provider {
    message("openshell.datamodel.v1.Provider", value)
}

fn set_up() -> World {
    let mut world = with_profiles();
    world.ok(&global_setting("providers_v2_enabled", true));
    for value in list(&config()["setup"]["providers"]) {
        let mut described = value.clone();
        let name = described.as_object_mut().expect("an object").remove("name").expect("a name");
        described["metadata"] = serde_json::json!({ "name": name });
        let asked = Some(provider(&described));
        world.ok(&CreateProviderRequest { provider: asked, ..CreateProviderRequest::default() });
    }
    world
}

/// How an answer differs from the reference's; none when it does not.
fn difference(world: &mut World, name: &str, case: &Value) -> Option<String> {
    let policy = case["policy"].is_object().then(|| message("openshell.sandbox.v1.SandboxPolicy", &case["policy"]));
    let providers: Vec<&str> = list(&case["providers"]).iter().map(|name| name.as_str().expect("a name")).collect();
    let made = world.call(&sandbox(name, &providers, policy));
    let expected = &case["config"];
    let effective = match (made, case["create_status"].as_str()) {
        (Err(refusal), Some(status)) if code(&refusal) == status => return None,
        (Err(refusal), _) => return Some(format!("refused with {}: {}", code(&refusal), refusal.message)),
        (Ok(_), Some(status)) => return Some(format!("accepted instead of {status}")),
        (Ok(_), None) => world.effective(name),
    };
    let source = PolicySource::from_str_name(expected["policy_source"].as_str().expect("a source"));
    let policy: Option<SandboxPolicy> =
        expected["policy"].is_object().then(|| message("openshell.sandbox.v1.SandboxPolicy", &expected["policy"]));
    let revision = expected["config_revision"].as_str().and_then(|digits| digits.parse().ok());
    let checks = [
        ("policy", effective.policy == policy),
        ("version", u64::from(effective.version) == expected["version"].as_u64().expect("a number")),
        ("policy_hash", effective.policy_hash == expected["policy_hash"]),
        ("config_revision", revision == Some(effective.config_revision)),
        ("policy_source", Some(effective.policy_source()) == source),
    ];
    let wrong: Vec<&str> = checks.into_iter().filter(|(_, equal)| !equal).map(|(what, _)| what).collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

#[test]
fn every_effective_configuration_is_the_references() {
    let mut world = set_up();
    let file = config();
    let mut differences = Vec::new();
    for (number, case) in list(&file["cases"]).iter().enumerate() {
        if let Some(difference) = difference(&mut world, &format!("s{number}"), case) {
            differences.push((case["case"].as_str().expect("a name").to_owned(), difference));
        }
    }
    departs_as_listed("config.json", &differences);
}

#[test]
fn every_provider_is_created_or_refused_as_by_the_reference() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/create_provider.json")).expect("JSON");
    let mut world = with_profiles();
    let mut differences = Vec::new();
    for case in list(&file["cases"]) {
        let asked = Some(provider(&case["request"]));
        let made = world.call(&CreateProviderRequest { provider: asked, ..CreateProviderRequest::default() });
        let difference = match (made, case["status"].as_str()) {
            (Err(refusal), Some(status)) => {
                (code(&refusal) != status).then(|| format!("{} instead of {status}", code(&refusal)))
            }
            (Err(refusal), None) => Some(format!("refused: {}", refusal.message)),
            (Ok(_), Some(status)) => Some(format!("accepted instead of {status}")),
            (Ok(answer), None) => stored_differently(&answer.provider.expect("a provider"), &case["stored"]),
        };
        let case = case["case"].as_str().expect("a name").to_owned();
        differences.extend(difference.map(|difference| (case, difference)));
    }
    departs_as_listed("create_provider.json", &differences);
}

/// Compares all but what the reference drew itself, which its vectors show as `*`.
fn stored_differently(provider_made: &Provider, stored: &Value) -> Option<String> {
    let mut expected = stored.clone();
    let metadata = expected["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|_, value| value != "*");
    let mut made = provider_made.clone();
    let shown = made.metadata.as_mut().expect("metadata");
    shown.id.clear();
    shown.created_at_ms = 0;
    let expected = provider(&expected);
    (made != expected).then(|| format!("{made:?} instead of {expected:?}"))
}

/// How a merge differs from the reference's; none when it does not. `later` tells whether its versions are one
/// higher than recorded, as they are when revision 1 is written with the sandbox.
fn merge_difference(
    world: &mut World,
    name: &str,
    base: &SandboxPolicy,
    case: &Value,
    later: &mut Vec<bool>,
) -> Option<String> {
    world.ok(&sandbox(name, &[], Some(base.clone())));
    let operations = list(&case["merge_operations"]).iter();
    let merge_operations = operations.map(|one| message("openshell.v1.PolicyMergeOperation", one)).collect();
    let request = UpdateConfigRequest { merge_operations, ..config_of(name) };
    let merged = match (world.call(&request), case["status"].as_str()) {
        (Err(refusal), Some(status)) if code(&refusal) == status => None,
        (Err(refusal), _) => return Some(format!("refused with {}: {}", code(&refusal), refusal.message)),
        (Ok(_), Some(status)) => return Some(format!("accepted instead of {status}")),
        (Ok(answer), None) => Some(answer),
    };
    let effective = world.effective(name);
    let after = &case["after"];
    let rules = after["network_policies"].as_object().expect("rules").iter();
    let rules = rules.map(|(key, rule)| (key.clone(), message("openshell.sandbox.v1.NetworkPolicyRule", rule)));
    let expected = SandboxPolicy { network_policies: rules.collect(), ..base.clone() };
    if effective.policy != Some(expected) || effective.policy_hash != after["policy_hash"] {
        return Some(format!("{:?} instead of {after}", effective.policy));
    }
    if let Some(answer) = merged {
        if answer.policy_hash != case["update_hash"] {
            return Some(format!("answered the hash {}", answer.policy_hash));
        }
        let recorded = case["version"].as_u64().expect("a number");
        later.push(u64::from(answer.version) == recorded + 1 && effective.version == answer.version);
    }
    None
}

#[test]
fn every_merge_is_answered_and_stored_as_by_the_reference() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/vectors/merge.json")).expect("JSON");
    let base: SandboxPolicy = message("openshell.sandbox.v1.SandboxPolicy", &file["base"]);
    let mut world = World::new();
    let (mut differences, mut later) = (Vec::new(), Vec::new());
    for (number, case) in list(&file["cases"]).iter().enumerate() {
        let difference = merge_difference(&mut world, &format!("s{number}"), &base, case, &mut later);
        let name = case["case"].as_str().expect("a name").to_owned();
        differences.extend(difference.map(|difference| (name, difference)));
    }
    assert!(later.len() >= 10, "only {} merges were accepted", later.len());
    if later.iter().all(|later| *later) {
        differences.push(("every version".to_owned(), "one higher".to_owned()));
    }
    departs_as_listed("merge.json", &differences);
}
