//! What is run on each input. A target neither returns nor checks much: that it ends, soon, within its memory
//! and without a panic is what its caller looks at.

use openshell_policy::{ambiguity, merge as merging, safety, static_fields, yaml};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{ImportProviderProfilesRequest, ProviderProfile, UpdateConfigRequest};
use openshell_proto::weight;
use openshell_providers::{file, validate};
use openshell_state::decide::profile;
use prost::Message;

use crate::world;

/// A named function over bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of its folder of seeds and of its `cargo fuzz` program.
    pub name: &'static str,
    /// Does it.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "profile_file", run: profile_file },
    Target { name: "validator", run: validator },
    Target { name: "import", run: import },
    Target { name: "policy_file", run: policy_file },
    Target { name: "merge", run: merge },
];

/// A profile file, as YAML and as JSON, to the message and back to both.
pub fn profile_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for parse in [file::parse_yaml, file::parse_json] {
        let Ok(read) = parse(text) else { continue };
        let Ok(profile) = file::lower(read) else { continue };
        // Only what a gateway would take has a file for everything that it says.
        if !validate::profiles(&[("input", &profile)]).is_empty() {
            continue;
        }
        let again = file::parse_yaml(&file::render_yaml(&profile)).map(file::lower);
        assert!(matches!(again, Ok(Ok(_))), "what was written of a file does not read back: {again:?}");
    }
}

/// Every diagnostic of a decoded profile.
pub fn validator(input: &[u8]) {
    let Some(profile) = decode::<ProviderProfile>("openshell.v1.ProviderProfile", input) else { return };
    validate::profiles(&[("input", &profile)]);
}

/// The import RPC from its bytes to its decision, on a small state.
pub fn import(input: &[u8]) {
    let Some(request) = decode::<ImportProviderProfilesRequest>("openshell.v1.ImportProviderProfilesRequest", input)
    else {
        return;
    };
    world::small().call(|call| profile::import(call, &request));
}

/// A policy file, and everything that is judged of a policy alone.
pub fn policy_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(policy) = yaml::parse(text) else { return };
    judge(&policy);
    let written = yaml::render(&policy);
    let again = yaml::parse(&written);
    assert!(again.is_ok(), "what was written of a file does not read back: {again:?}\n{written}");
}

/// The merge operations of an `UpdateConfig`, on a small policy, and what is judged of the result.
pub fn merge(input: &[u8]) {
    let Some(request) = decode::<UpdateConfigRequest>("openshell.v1.UpdateConfigRequest", input) else { return };
    let Ok(operations) = merging::parse(&request.merge_operations) else { return };
    if merging::check_always_blocked(&operations).is_err() {
        return;
    }
    let Ok(policy) = merging::apply(world::policy(), &operations) else { return };
    judge(&policy);
}

fn judge(policy: &SandboxPolicy) {
    let violations = safety::violations(policy);
    if !violations.is_empty() {
        safety::refusal(&violations);
    }
    static_fields::violations(world::policy(), policy);
    ambiguity::conflicts(policy);
}

/// As the gateway reads a request.
fn decode<M: Message + Default>(name: &str, input: &[u8]) -> Option<M> {
    weight::check(name, input).ok()?;
    M::decode(input).ok()
}
