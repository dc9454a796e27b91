//! What a rule lets through, port by port, and whether an operation says enough about it. Nobody gets more by
//! a merge than what its operation declares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule};
use prost::Message;

use super::endpoint::{Place, place};
use super::{Reason, mcp};
use crate::ports;

/// Everything about an endpoint that decides what it lets through at each of its ports, in normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant<'a> {
    /// Protocol, tls, enforcement, access: what a declaration leaves empty it takes as it is.
    retained: [&'a str; 4],
    /// As `retained`: persisted queries, signing and the bound provider.
    fillable: [&'a str; 5],
    /// As `retained`, 0 being empty: body limits of GraphQL and JSON-RPC.
    limits: [u32; 2],
    /// As `retained`: registered GraphQL operations, encoded.
    graphql: BTreeMap<&'a str, Vec<u8>>,
    mcp: Option<mcp::Contract>,
    rules: BTreeSet<Vec<u8>>,
    deny_rules: BTreeSet<Vec<u8>>,
    allowed_ips: BTreeSet<&'a str>,
    flags: [bool; 5],
}

impl<'a> Grant<'a> {
    fn of(endpoint: &'a NetworkEndpoint) -> Self {
        let graphql = endpoint.graphql_persisted_queries.iter();
        Self {
            retained: [&endpoint.protocol, &endpoint.tls, &endpoint.enforcement, &endpoint.access],
            fillable: [
                &endpoint.persisted_queries,
                &endpoint.credential_signing,
                &endpoint.signing_service,
                &endpoint.signing_region,
                endpoint.credential_binding.as_ref().map_or("", |binding| &binding.provider),
            ],
            limits: [endpoint.graphql_max_body_bytes, endpoint.json_rpc_max_body_bytes],
            graphql: graphql.map(|(name, operation)| (name.as_str(), operation.encode_to_vec())).collect(),
            mcp: mcp::contract(endpoint),
            rules: endpoint.rules.iter().map(Message::encode_to_vec).collect(),
            deny_rules: endpoint.deny_rules.iter().map(Message::encode_to_vec).collect(),
            allowed_ips: endpoint.allowed_ips.iter().map(String::as_str).collect(),
            flags: [
                endpoint.allow_encoded_slash,
                endpoint.websocket_credential_rewrite,
                endpoint.request_body_credential_rewrite,
                endpoint.allow_uninspected_credentials,
                endpoint.advisor_proposed,
            ],
        }
    }

    /// Whether a declaration says all that `actual` lets through. That each of two covers the other means that
    /// they are equal: what one leaves empty the other must leave empty too.
    fn covers(&self, actual: &Grant<'_>) -> bool {
        let filled = |(declared, actual): (&&str, &&str)| declared.is_empty() || declared == actual;
        self.retained.iter().zip(&actual.retained).all(filled)
            && self.fillable.iter().zip(&actual.fillable).all(filled)
            && self.limits.iter().zip(&actual.limits).all(|(declared, actual)| *declared == 0 || declared == actual)
            && (self.graphql.is_empty() || self.graphql == actual.graphql)
            && self.mcp == actual.mcp
            && self.flags.iter().zip(&actual.flags).all(|(declared, actual)| *declared || !actual)
            && self.rules.is_superset(&actual.rules)
            && self.deny_rules.is_superset(&actual.deny_rules)
            && self.allowed_ips.is_superset(&actual.allowed_ips)
    }
}

/// The grants of some endpoints by place and port, each made once.
struct Grants<'a>(BTreeMap<(Place, u32), BTreeSet<Arc<Grant<'a>>>>);

impl<'a> Grants<'a> {
    fn of(endpoints: &'a [NetworkEndpoint]) -> Self {
        let mut grants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for endpoint in endpoints {
            let (place, grant) = (place(endpoint), Arc::new(Grant::of(endpoint)));
            for port in ports::effective(endpoint) {
                grants.entry((Arc::clone(&place), port)).or_default().insert(Arc::clone(&grant));
            }
        }
        Self(grants)
    }

    fn at(&self, place: &Place, port: u32) -> Option<&BTreeSet<Arc<Grant<'a>>>> {
        self.0.get(&(Arc::clone(place), port))
    }
}

/// What a merge made of a rule.
pub(super) struct Merged<'a> {
    pub(super) key: &'a str,
    pub(super) before: &'a NetworkPolicyRule,
    /// What the operation declares, in normal form.
    pub(super) declared: &'a NetworkPolicyRule,
    pub(super) after: &'a NetworkPolicyRule,
    /// Places in `after.endpoints` of what the merge touched; the others are as they were.
    pub(super) touched: &'a BTreeSet<usize>,
}

/// Refuses a merge by which binaries would inherit what the operation does not say (config.md UC-57 to UC-59).
pub(super) fn check(merged: &Merged<'_>) -> Result<(), Reason> {
    let declared = Grants::of(&merged.declared.endpoints);
    new_binaries(merged, &declared)?;
    if changes(merged, &declared)? { existing_binaries(merged) } else { Ok(()) }
}

/// UC-57: new binaries get nothing but what is declared for them.
fn new_binaries(merged: &Merged<'_>, declared: &Grants<'_>) -> Result<(), Reason> {
    let (before, coming) = (&merged.before.binaries, &merged.declared.binaries);
    let known: BTreeSet<&str> = before.iter().map(|binary| binary.path.as_str()).collect();
    let widens = coming.is_empty() || coming.iter().any(|binary| !known.contains(binary.path.as_str()));
    if before.is_empty() || !widens {
        return Ok(());
    }
    for endpoint in &merged.after.endpoints {
        let (place, actual) = (place(endpoint), Grant::of(endpoint));
        for port in ports::effective(endpoint) {
            if !declared.at(&place, port).is_some_and(|grants| grants.iter().any(|grant| grant.covers(&actual))) {
                let (rule, host) = (merged.key.to_owned(), endpoint.host.clone());
                return Err(Reason::NewBinaries { rule, host, port });
            }
        }
    }
    Ok(())
}

/// Whether what is allowed changes anywhere; each such port is named by the operation (UC-58).
fn changes(merged: &Merged<'_>, declared: &Grants<'_>) -> Result<bool, Reason> {
    let before = Grants::of(&merged.before.endpoints);
    let mut changed = false;
    for endpoint in merged.touched.iter().map(|at| &merged.after.endpoints[*at]) {
        let (place, actual) = (place(endpoint), Grant::of(endpoint));
        for port in ports::effective(endpoint) {
            if before.at(&place, port).is_some_and(|grants| grants.contains(&actual)) {
                continue;
            }
            changed = true;
            if declared.at(&place, port).is_none() {
                let (rule, host) = (merged.key.to_owned(), endpoint.host.clone());
                return Err(Reason::UnnamedPort { rule, host, port });
            }
        }
    }
    Ok(changed)
}

/// UC-59: who is affected by a change is listed.
fn existing_binaries(merged: &Merged<'_>) -> Result<(), Reason> {
    let coming = &merged.declared.binaries;
    if coming.is_empty() {
        return Ok(());
    }
    let listed: BTreeSet<&str> = coming.iter().map(|binary| binary.path.as_str()).collect();
    let paths = merged.before.binaries.iter().map(|binary| &binary.path);
    let missing: Vec<String> = paths.filter(|path| !listed.contains(path.as_str())).cloned().collect();
    if merged.before.binaries.is_empty() || !missing.is_empty() {
        return Err(Reason::UnlistedBinaries { rule: merged.key.to_owned(), missing });
    }
    Ok(())
}
