//! Adding what one endpoint allows to another. Whether anybody gets more by that than the operation says is
//! judged in `authorization`.

use std::sync::Arc;

use openshell_proto::sandbox::{L7DenyRule, L7Rule, NetworkEndpoint};
use prost::Message;

use super::{Reason, access, append_missing, keep_first, mcp};
use crate::ports;

/// Where an endpoint is: its host, lowercased, and its path as written. Two endpoints of one place that share
/// a port are one to a merge (config.md UC-50, UC-53). Shared, because it is noted for each port.
pub(super) type Place = Arc<(String, String)>;

pub(super) fn place(endpoint: &NetworkEndpoint) -> Place {
    Arc::new((endpoint.host.to_ascii_lowercase(), endpoint.path.clone()))
}

/// Ports ascending and each once, `port` the first of them; allowed addresses and rules each once, the first
/// kept (config.md UC-52, UC-55).
pub(super) fn normalise(endpoint: &mut NetworkEndpoint) {
    set_ports(endpoint, ports::effective(endpoint));
    keep_first(&mut endpoint.allowed_ips, String::clone);
    keep_first(&mut endpoint.rules, L7Rule::encode_to_vec);
    keep_first(&mut endpoint.deny_rules, L7DenyRule::encode_to_vec);
}

/// Gives an endpoint these ports, in normal form.
pub(super) fn set_ports(endpoint: &mut NetworkEndpoint, mut ports: Vec<u32>) {
    ports.sort_unstable();
    ports.dedup();
    endpoint.port = ports.first().copied().unwrap_or(0);
    endpoint.ports = ports;
}

/// Adds what `incoming` allows to `existing`, which is at the same place (config.md UC-54, UC-55, UC-60).
///
/// What neither adds up nor fills a gap stays as it was: persisted queries, signing, the credential binding,
/// body limits.
///
/// Errors: [`Reason::OtherMcpContract`], [`Reason::UnknownAccess`].
pub(super) fn merge(rule: &str, existing: &mut NetworkEndpoint, incoming: &NetworkEndpoint) -> Result<(), Reason> {
    mcp::meet(rule, existing, incoming)?;
    let mut all = ports::effective(existing);
    all.extend(ports::effective(incoming));
    existing.ports = all;
    for (kept, new) in [
        (&mut existing.protocol, &incoming.protocol),
        (&mut existing.enforcement, &incoming.enforcement),
        (&mut existing.tls, &incoming.tls),
    ] {
        if kept.is_empty() {
            kept.clone_from(new);
        }
    }
    if !incoming.rules.is_empty() {
        access::expand(existing)?;
        append_missing(&mut existing.rules, &incoming.rules, L7Rule::encode_to_vec);
    } else if existing.rules.is_empty() && existing.access.is_empty() {
        existing.access.clone_from(&incoming.access);
    }
    append_missing(&mut existing.deny_rules, &incoming.deny_rules, L7DenyRule::encode_to_vec);
    append_missing(&mut existing.allowed_ips, &incoming.allowed_ips, String::clone);
    existing.allow_encoded_slash |= incoming.allow_encoded_slash;
    existing.websocket_credential_rewrite |= incoming.websocket_credential_rewrite;
    existing.request_body_credential_rewrite |= incoming.request_body_credential_rewrite;
    existing.allow_uninspected_credentials |= incoming.allow_uninspected_credentials;
    existing.advisor_proposed |= incoming.advisor_proposed;
    normalise(existing);
    Ok(())
}
