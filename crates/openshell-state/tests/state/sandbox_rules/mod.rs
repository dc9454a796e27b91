//! Rules SR-1 to SR-35 of `config.md`: creating, reading, attaching and detaching. The scenarios about them
//! are in `sandboxes`; delete, stop and start are in `lifecycle`.

mod attachment;
mod creation;
mod specification;

use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision};

use crate::support::{Decide, World, credential, import, policy_of, provider, static_profile, texts};

/// Providers without a profile, each with a key of its own.
fn providers(world: &mut World, names: &[&str]) {
    for name in names {
        world.ok(&provider(name, "no-profile", &[&format!("{}_KEY", name.to_uppercase())]));
    }
}

/// The code of a refusal; none when the call is not refused.
fn code(world: &World, principal: &Principal, request: &dyn Decide) -> Option<Code> {
    match world.decide_as(principal, request) {
        Decision::Refuse(refusal) => Some(refusal.code),
        Decision::Answer(_) | Decision::Transact(_) => None,
    }
}

/// Provider `p` of a credentialed profile for `tool.example.com`.
fn tool(world: &mut World) {
    let mut tool = static_profile("tool", "tool.example.com");
    tool.credentials = vec![credential("k", "TOOL_KEY")];
    let answer = world.ok(&import("default", &[tool]));
    assert!(answer.imported, "{}", texts(&answer.diagnostics));
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
}

/// A rule through which credentials of `tool.example.com` would go uninspected.
fn plain() -> SandboxPolicy {
    let open = NetworkEndpoint { host: "tool.example.com".to_owned(), port: 443, ..NetworkEndpoint::default() };
    policy_of("r1", open)
}
