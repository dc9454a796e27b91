//! Revisions and handles that a script in another language computed from the written layouts
//! (`tests/vectors/hashes.py`), and that its cases reach every field that takes part.

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::hash;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::{GetSandboxConfigResponse, SandboxPolicy};
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentResponse, ProviderProfile, Sandbox, SandboxSpec, StoredProviderCredentialRefreshState,
    StoredProviderProfile,
};
use openshell_state::effective::{self, Environment};
use openshell_state::{Key, Opener};
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage};
use serde_json::Value;

use crate::support::World;

fn hashes(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/vectors/hashes.json")).expect("JSON");
    file[part].as_array().expect("cases").clone()
}

fn dynamic(name: &str, value: &Value) -> DynamicMessage {
    let descriptor = openshell_proto::pool().get_message_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    DynamicMessage::deserialize(descriptor, value).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn message<M: Message + Default>(name: &str, value: &Value) -> M {
    dynamic(name, value).transcode_to().expect("a message transcodes to its own type")
}

fn provider_of(value: &Value) -> Provider {
    message("openshell.datamodel.v1.Provider", value)
}

fn policy_of(case: &Value) -> Option<SandboxPolicy> {
    case.get("policy").map(|policy| message("openshell.sandbox.v1.SandboxPolicy", policy))
}

/// Every field that is set somewhere in a message, as `Message.field`.
fn fields_set(message: &DynamicMessage, found: &mut BTreeSet<String>) {
    let mut values = Vec::new();
    for (field, value) in message.fields() {
        found.insert(field.full_name().to_owned());
        match value {
            prost_reflect::Value::List(list) => values.extend(list.iter()),
            prost_reflect::Value::Map(map) => values.extend(map.values()),
            other => values.push(other),
        }
    }
    for value in values {
        if let prost_reflect::Value::Message(inner) = value {
            fields_set(inner, found);
        }
    }
}

/// Every field of a message and of those in it.
fn fields_of(message: &MessageDescriptor, found: &mut BTreeSet<String>) {
    for field in message.fields() {
        let new = found.insert(field.full_name().to_owned());
        let inner = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        match inner {
            // What is in a free-form configuration is any kind of value.
            Kind::Message(inner) if new && !inner.full_name().starts_with("google.") => fields_of(&inner, found),
            _ => {}
        }
    }
}

/// The fields that no message of these sets, but for `except`.
fn missed(name: &str, messages: &[DynamicMessage], except: &[&str]) -> Vec<String> {
    let (mut all, mut set) = (BTreeSet::new(), BTreeSet::new());
    fields_of(&openshell_proto::pool().get_message_by_name(name).expect("a message"), &mut all);
    messages.iter().for_each(|message| fields_set(message, &mut set));
    assert_eq!(messages.first().map(|message| message.descriptor().full_name().to_owned()).as_deref(), Some(name));
    all.retain(|field| !set.contains(field) && !except.iter().any(|except| field.ends_with(except)));
    all.into_iter().collect()
}

#[test]
fn ec_52_and_53_every_configuration_has_the_revision_that_the_script_computed() {
    let cases = hashes("configs");
    let mut revisions = BTreeMap::new();
    for case in &cases {
        let mut answer: GetSandboxConfigResponse =
            message("openshell.sandbox.v1.GetSandboxConfigResponse", &case["answer"]);
        answer.policy_hash = answer.policy.as_ref().map(hash::policy_hash).unwrap_or_default();
        assert_eq!(answer.policy_hash, case["policy_hash"], "{}", case["case"]);
        let revision = effective::config_revision(&answer).to_string();
        assert_eq!(revision, case["config_revision"], "{}", case["case"]);
        revisions.entry(revision).or_insert_with(Vec::new).push(case["case"].as_str().expect("a name").to_owned());
    }
    let alike: Vec<_> = revisions.into_values().filter(|names| names.len() > 1).collect();
    assert_eq!(alike, [["nothing set", "what takes no part"]]);
    let services: Vec<_> =
        cases.iter().filter_map(|case| case["answer"].get("supervisor_middleware_services")).collect();
    let services = services.iter().flat_map(|list| list.as_array().expect("a list"));
    let name = "openshell.sandbox.v1.SupervisorMiddlewareService";
    let services: Vec<_> = services.map(|service| dynamic(name, service)).collect();
    assert_eq!(missed(name, &services, &[]), [""; 0]);
    let settings = cases.iter().filter_map(|case| case["answer"].get("settings"));
    let settings = settings.flat_map(|map| map.as_object().expect("a map").values());
    let name = "openshell.sandbox.v1.EffectiveSetting";
    let settings: Vec<_> = settings.map(|setting| dynamic(name, setting)).collect();
    assert_eq!(missed(name, &settings, &[]), [""; 0]);
}

/// Opens everything to the same text.
struct Anything;

impl Opener for Anything {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Option<Vec<u8>> {
        Some(b"opened".to_vec())
    }
}

/// A world with what a case says, written past the rules.
fn world_of(case: &Value) -> World {
    let mut world = World::new();
    let mut names = Vec::new();
    for member in case["providers"].as_array().expect("a list") {
        let mut provider = provider_of(&member["provider"]);
        for handle in provider.credential_handles.values_mut() {
            (handle.driver, handle.handle) = ("sealed".to_owned(), "anything".to_owned());
        }
        let metadata = provider.metadata.clone().expect("metadata");
        if let Some(found) = member.get("profile") {
            let profile: ProviderProfile = message("openshell.v1.ProviderProfile", &found["profile"]);
            let (key, scope) = match found["from"].as_str().expect("where it is from") {
                "builtin" => (Key::builtin_profile(&profile.id), ""),
                "platform" => (Key::profile("", &profile.id), ""),
                _ => (Key::profile("default", &profile.id), "default"),
            };
            scope.clone_into(&mut provider.profile_workspace);
            let resource_version = found["resource_version"].as_u64().expect("a number");
            let metadata = Some(ObjectMeta { resource_version, ..ObjectMeta::default() });
            world.write(&key, Some(&StoredProviderProfile { metadata, profile: Some(profile), ..Default::default() }));
        }
        for refresh in member["refreshes"].as_array().expect("a list") {
            let name = "openshell.v1.StoredProviderCredentialRefreshState";
            let mut refresh: StoredProviderCredentialRefreshState = message(name, refresh);
            (refresh.provider_id, refresh.provider_name) = (metadata.id.clone(), metadata.name.clone());
            world.write(&Key::refresh("default", &metadata.id, &refresh.credential_key), Some(&refresh));
        }
        world.write(&Key::provider("default", &metadata.name), Some(&provider));
        names.push(metadata.name);
    }
    let id = case["sandbox_id"].as_str().expect("an id").to_owned();
    let sandbox = Sandbox {
        metadata: Some(ObjectMeta { id, name: "s".to_owned(), resource_version: 1, ..ObjectMeta::default() }),
        spec: Some(SandboxSpec { providers: names, policy: policy_of(case), ..SandboxSpec::default() }),
        ..Sandbox::default()
    };
    world.write(&Key::sandbox("default", "s"), Some(&sandbox));
    world
}

#[test]
fn er_1_every_environment_has_the_revision_and_pe_13_the_handles_that_the_script_computed() {
    let mut revisions = BTreeMap::new();
    for case in hashes("environments") {
        let (name, world) = (case["case"].as_str().expect("a name"), world_of(&case));
        let composed = Environment::compose(&world.state, "default", world.stored_sandbox("s"), world.time_ms);
        let composed = composed.unwrap_or_else(|refusal| panic!("{name}: {}", refusal.message));
        let encoded = composed.answer(&Anything, true).expect("it opens");
        let answer = GetSandboxProviderEnvironmentResponse::decode(encoded.as_slice()).expect("an answer");
        assert_eq!(answer.provider_env_revision.to_string(), case["provider_env_revision"], "{name}");
        assert_eq!(world.effective("s").provider_env_revision, answer.provider_env_revision, "{name}: ER-6");
        let bound = answer.static_credential_bindings.iter();
        let handles: BTreeMap<_, _> =
            bound.map(|(key, binding)| (key.clone(), binding.workload_credential_handle.clone())).collect();
        let expected: BTreeMap<String, String> =
            serde_json::from_value(case["workload_credential_handles"].clone()).expect("texts");
        assert_eq!(handles, expected, "{name}");
        revisions.entry(answer.provider_env_revision).or_insert_with(Vec::new).push(name.to_owned());
    }
    let alike: Vec<_> = revisions.into_values().filter(|names| names.len() > 1).collect();
    // Whether a refresh is being deleted shows in its version; in which sandbox it is used, in its handle.
    assert_eq!(alike, [["a refresh", "a refresh that goes", "the same in another sandbox"]]);
}

#[test]
fn er_1_the_cases_reach_every_field_of_a_profile_and_of_what_else_takes_part() {
    let cases = hashes("environments");
    let members: Vec<Value> =
        cases.iter().flat_map(|case| case["providers"].as_array().expect("a list").clone()).collect();
    let profile = "openshell.v1.ProviderProfile";
    let profiles = members.iter().filter_map(|member| member.get("profile"));
    let profiles: Vec<_> = profiles.map(|found| dynamic(profile, &found["profile"])).collect();
    // Set by the gateway, by where it found the profile. One that is invalid takes no part with its fields.
    let set = ["source", "scope", "resource_version", "invalid_reason"].map(|field| format!("ProviderProfile.{field}"));
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    assert_eq!(missed(profile, &profiles, &set), [""; 0]);
    let from: BTreeSet<_> = members.iter().filter_map(|member| member["profile"]["from"].as_str()).collect();
    assert_eq!(from, ["builtin", "platform", "workspace"].into());
    let mut refreshes = BTreeSet::new();
    for refresh in members.iter().flat_map(|member| member["refreshes"].as_array().expect("a list")) {
        refreshes.extend(refresh.as_object().expect("an object").keys().cloned());
    }
    let all = ["additional_output_keys", "authorization_epoch", "credential_key", "metadata", "status", "strategy"];
    assert_eq!(refreshes, all.map(str::to_owned).into());
    let policies: Vec<_> = cases.iter().filter_map(policy_of).collect();
    assert!(policies.iter().any(|policy| policy.network_policies.len() == 5), "bindings of several endpoints");
}

#[test]
fn ec_51_the_cases_reach_every_field_of_a_policy() {
    let name = "openshell.sandbox.v1.SandboxPolicy";
    let policies: Vec<_> = hashes("policies").iter().map(|case| dynamic(name, &case["policy"])).collect();
    assert_eq!(missed(name, &policies, &[]), [""; 0]);
}
