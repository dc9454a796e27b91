//! `add_rule`: where the rule goes, and how it joins the rule that is there.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::sandbox::{NetworkBinary, NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};

use super::authorization::{self, Merged};
use super::endpoint::{self, Place, normalise, place};
use super::{Reason, append_missing, keep_first};
use crate::ports;
use crate::reserved::PREFIX;

/// Adds a rule (config.md UC-50 to UC-61).
pub(super) fn add(policy: &mut SandboxPolicy, requested: &str, rule: &NetworkPolicyRule) -> Result<(), Reason> {
    let incoming = normal(rule);
    let rules = &mut policy.network_policies;
    if let Some(existing) = rules.get_mut(requested) {
        *existing = merged(requested, existing, &incoming)?;
        return Ok(());
    }
    let at: BTreeSet<(Place, u32)> = incoming.endpoints.iter().flat_map(places).collect();
    let shares = |endpoint: &NetworkEndpoint| places(endpoint).any(|place| at.contains(&place));
    let overlapping =
        rules.iter_mut().find(|(key, existing)| !key.starts_with(PREFIX) && existing.endpoints.iter().any(shares));
    if let Some((key, existing)) = overlapping {
        match merged(key, existing, &incoming) {
            Ok(joined) => {
                *existing = joined;
                return Ok(());
            }
            // UC-51: nobody asked for that rule, so the incoming one stands beside it.
            Err(reason) if reason.is_inheritance() => {}
            Err(reason) => return Err(reason),
        }
    }
    let name = if incoming.name.is_empty() { requested.to_owned() } else { incoming.name.clone() };
    rules.insert(requested.to_owned(), NetworkPolicyRule { name, ..incoming });
    Ok(())
}

/// An incoming rule in normal form (config.md UC-52).
fn normal(rule: &NetworkPolicyRule) -> NetworkPolicyRule {
    let mut rule = rule.clone();
    rule.endpoints.iter_mut().for_each(normalise);
    keep_first(&mut rule.binaries, |binary| binary.path.clone());
    rule
}

fn places(endpoint: &NetworkEndpoint) -> impl Iterator<Item = (Place, u32)> {
    let place = place(endpoint);
    ports::effective(endpoint).into_iter().map(move |port| (place.clone(), port))
}

/// The existing rule with what the incoming one allows.
fn merged(key: &str, existing: &NetworkPolicyRule, incoming: &NetworkPolicyRule) -> Result<NetworkPolicyRule, Reason> {
    let mut after = existing.clone();
    let touched = join_endpoints(key, &mut after.endpoints, &incoming.endpoints)?;
    join_binaries(&mut after.binaries, &incoming.binaries);
    authorization::check(&Merged { key, before: existing, declared: incoming, after: &after, touched: &touched })?;
    Ok(after)
}

/// Merges each incoming endpoint into the first at its place that shares a port, or appends it (config.md
/// UC-53). Answers the places of what was touched.
fn join_endpoints(
    key: &str,
    endpoints: &mut Vec<NetworkEndpoint>,
    incoming: &[NetworkEndpoint],
) -> Result<BTreeSet<usize>, Reason> {
    let mut first: BTreeMap<(Place, u32), usize> = BTreeMap::new();
    let note = |first: &mut BTreeMap<_, usize>, endpoint: &NetworkEndpoint, at: usize| {
        for place in places(endpoint) {
            let known = first.entry(place).or_insert(at);
            *known = at.min(*known);
        }
    };
    for (at, endpoint) in endpoints.iter().enumerate() {
        note(&mut first, endpoint, at);
    }
    let mut touched = BTreeSet::new();
    for one in incoming {
        let met = places(one).filter_map(|place| first.get(&place)).min().copied();
        let at = match met {
            Some(at) => {
                endpoint::merge(key, &mut endpoints[at], one)?;
                at
            }
            None => {
                endpoints.push(one.clone());
                endpoints.len() - 1
            }
        };
        note(&mut first, &endpoints[at], at);
        touched.insert(at);
    }
    Ok(touched)
}

/// Any binary stays any, and becomes any when nothing is listed; otherwise what is missing is appended
/// (config.md UC-61). An entry that a user declares again is no longer the advisor's.
fn join_binaries(binaries: &mut Vec<NetworkBinary>, incoming: &[NetworkBinary]) {
    if binaries.is_empty() || incoming.is_empty() {
        binaries.clear();
        return;
    }
    let marks: BTreeMap<&str, bool> = incoming.iter().map(|one| (one.path.as_str(), one.harness)).collect();
    for binary in binaries.iter_mut() {
        binary.harness &= marks.get(binary.path.as_str()).copied().unwrap_or(true);
    }
    append_missing(binaries, incoming, |binary| binary.path.clone());
}
