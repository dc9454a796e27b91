//! How an endpoint speaks MCP, which one host and port can do in one way only (config.md UC-60).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};

use super::Reason;
use crate::ambiguity::body_limit;
use crate::ports;

/// The terms on which an endpoint speaks MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Contract {
    strict_tool_names: bool,
    allow_all_known_methods: bool,
    body_bytes_max: u32,
}

/// The contract of an endpoint; none when it does not speak MCP.
pub(super) fn contract(endpoint: &NetworkEndpoint) -> Option<Contract> {
    if !endpoint.protocol.eq_ignore_ascii_case("mcp") {
        return None;
    }
    let options = endpoint.mcp.unwrap_or_default();
    Some(Contract {
        strict_tool_names: options.strict_tool_names.unwrap_or(true),
        allow_all_known_methods: options.allow_all_known_mcp_methods.unwrap_or(false),
        body_bytes_max: body_limit(endpoint.json_rpc_max_body_bytes),
    })
}

/// Endpoints that merge have one contract. An existing one that says nothing about requests yet takes over the
/// incoming one's; its protocol is filled in by the merge itself.
pub(super) fn meet(rule: &str, existing: &mut NetworkEndpoint, incoming: &NetworkEndpoint) -> Result<(), Reason> {
    let coming = contract(incoming);
    if contract(existing) == coming {
        return Ok(());
    }
    let says_nothing = existing.protocol.is_empty() && existing.mcp.is_none() && existing.json_rpc_max_body_bytes == 0;
    if coming.is_none() || !says_nothing {
        return Err(Reason::OtherMcpContract { rule: rule.to_owned(), host: existing.host.clone() });
    }
    existing.mcp = incoming.mcp;
    existing.json_rpc_max_body_bytes = incoming.json_rpc_max_body_bytes;
    Ok(())
}

/// What is wrong at a host and port, over all rules and paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conflict {
    host: Arc<str>,
    port: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    BesideOther,
    SeveralContracts,
}

impl Conflict {
    pub(super) fn into_reason(self) -> Reason {
        let (host, port, kind) = (self.host.to_string(), self.port, self.kind);
        match kind {
            Kind::BesideOther => Reason::McpBesideOther { host, port },
            Kind::SeveralContracts => Reason::SeveralMcpContracts { host, port },
        }
    }
}

/// Every host and port of a policy, provider rules included, that is inspected as MCP in two ways, or as MCP
/// and as another protocol.
pub(super) fn conflicts(policy: &SandboxPolicy) -> BTreeSet<Conflict> {
    let mut seen: BTreeMap<(Arc<str>, u32), BTreeSet<Option<Contract>>> = BTreeMap::new();
    for endpoint in policy.network_policies.values().flat_map(|rule| &rule.endpoints) {
        let inspected = !endpoint.protocol.is_empty() && !endpoint.protocol.eq_ignore_ascii_case("tcp");
        if inspected {
            let host: Arc<str> = endpoint.host.to_ascii_lowercase().into();
            for port in ports::effective(endpoint) {
                seen.entry((Arc::clone(&host), port)).or_default().insert(contract(endpoint));
            }
        }
    }
    let mut found = BTreeSet::new();
    for ((host, port), contracts) in seen {
        let spoken = contracts.iter().flatten().count();
        let mut tell = |kind| found.insert(Conflict { host: Arc::clone(&host), port, kind });
        if spoken > 0 && contracts.contains(&None) {
            tell(Kind::BesideOther);
        }
        if spoken > 1 {
            tell(Kind::SeveralContracts);
        }
    }
    found
}
