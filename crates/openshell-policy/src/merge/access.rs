//! What an access preset stands for, as rules.

use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkEndpoint};
use prost::Message;

use super::{Reason, append_missing};

/// The path of every rule that a preset stands for.
const EVERY_PATH: &str = "**";

/// Methods that a preset allows for a protocol; none when the preset is unknown (config.md UC-56).
fn methods(access: &str, protocol: &str) -> Option<&'static [&'static str]> {
    let websocket = protocol.eq_ignore_ascii_case("websocket");
    match (access, websocket) {
        ("full", _) => Some(&["*"]),
        ("read-only", false) => Some(&["GET", "HEAD", "OPTIONS"]),
        ("read-write", false) => Some(&["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"]),
        ("read-only", true) => Some(&["GET"]),
        ("read-write", true) => Some(&["GET", "WEBSOCKET_TEXT"]),
        _ => None,
    }
}

/// Replaces the access preset of an endpoint by the rules that it stands for, so that rules can be added.
///
/// Errors: [`Reason::UnknownAccess`]. Source: config.md UC-54, UC-56, UC-62.
pub(super) fn expand(endpoint: &mut NetworkEndpoint) -> Result<(), Reason> {
    if endpoint.access.is_empty() {
        return Ok(());
    }
    let Some(methods) = methods(&endpoint.access, &endpoint.protocol) else {
        return Err(Reason::UnknownAccess { host: endpoint.host.clone(), access: endpoint.access.clone() });
    };
    let rule = |method: &&str| L7Rule {
        allow: Some(L7Allow { method: (*method).to_owned(), path: EVERY_PATH.to_owned(), ..L7Allow::default() }),
    };
    let rules: Vec<L7Rule> = methods.iter().map(rule).collect();
    append_missing(&mut endpoint.rules, &rules, L7Rule::encode_to_vec);
    endpoint.access.clear();
    Ok(())
}
