//! How much a sandbox may be answered: its policy with the providers' rules, and its environment. Both are
//! counted before they are made, so that what would be too large costs nothing. Released clients read 4 MiB.

use std::borrow::Cow;
use std::collections::BTreeSet;

use openshell_policy::credentials::{self, Bindings, BoundEndpoint};
use openshell_policy::layering;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::ProviderProfile;
use openshell_providers::{environment as variables, predicates, token_grant};
use prost::Message;

use crate::composition::{Member, layers, minted_keys};
use crate::names::MAP_VALUE_MAX;
use crate::refusal::Refusal;

/// Of a policy with the providers' rules, encoded; the rest of the message is for what goes with it.
pub(crate) const COMPOSED_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Of an environment, encoded.
pub(crate) const ENVIRONMENT_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What a rule takes beside its content: its key, and the key's number.
const RULE_BYTES: usize = 32;
/// What a place of a static credential takes beside host and path: the port, tags and lengths.
const PLACE_BYTES: usize = 16;
/// What a credential takes beside its places: its identity and its handle, an expiry, tags and lengths.
const CREDENTIAL_BYTES: usize = 320;

/// The base policy with the providers' rules, when these are composed.
///
/// Refuses with `FAILED_PRECONDITION` when that would be larger than a sandbox can be answered.
pub(crate) fn composed<'a>(
    base: Cow<'a, SandboxPolicy>,
    members: &[Member<'_>],
    on: bool,
) -> Result<Cow<'a, SandboxPolicy>, Refusal> {
    if !on {
        return Ok(base);
    }
    let mut bytes = base.encoded_len();
    let mut taken = Vec::new();
    for layer in layers(members) {
        bytes += layer.rule.encoded_len() + layer.rule.name.len() + RULE_BYTES;
        if bytes > COMPOSED_BYTES_MAX {
            return Err(Refusal::precondition(format!(
                "the policy with the rules of all providers would have more than {COMPOSED_BYTES_MAX} bytes, which is \
                 more than sandboxes can be sent ({:?} is where it gets too large); detach some providers, or make \
                 their profiles or the policy smaller",
                layer.rule.name
            )));
        }
        taken.push(layer);
    }
    Ok(Cow::Owned(layering::compose(base.into_owned(), taken)))
}

/// As [`composed`], of any size: for changes that only take something away.
pub(crate) fn composed_of_any_size<'a>(
    base: Cow<'a, SandboxPolicy>,
    members: &[Member<'_>],
    on: bool,
) -> Cow<'a, SandboxPolicy> {
    if on { Cow::Owned(layering::compose(base.into_owned(), layers(members))) } else { base }
}

/// What is counted of a provider's credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// All that it has a credential for or will have, each as long as one can be: no value that is set or minted later
    /// makes more of it.
    AtMost,
    /// Those that it has, as they are.
    Stored,
}

/// The environment that members and policy can come to, whatever the values of the credentials are, is not larger
/// than a sandbox can be answered. What this lets pass is never refused by [`stored_environment`].
///
/// Refuses with `FAILED_PRECONDITION`, and with `INVALID_ARGUMENT` for a malformed binding.
pub(crate) fn environment(policy: &SandboxPolicy, members: &[Member<'_>]) -> Result<(), Refusal> {
    within(&credentials::bindings(policy).map_err(Refusal::invalid)?, members, Counted::AtMost)
}

/// As [`environment`] for the credentials that are there now, as they are, and a policy with these bindings.
pub(crate) fn stored_environment(bindings: &Bindings, members: &[Member<'_>]) -> Result<(), Refusal> {
    within(bindings, members, Counted::Stored)
}

fn within(bindings: &Bindings, members: &[Member<'_>], counted: Counted) -> Result<(), Refusal> {
    let mut bytes = 0_usize;
    for member in members {
        bytes = bytes.saturating_add(of_member(member, bindings.get(&member.name), counted));
        if bytes > ENVIRONMENT_BYTES_MAX {
            return Err(Refusal::precondition(format!(
                "the environment with the credentials of all providers, each with the places where it may be used, would \
                 have more than {ENVIRONMENT_BYTES_MAX} bytes, which is more than sandboxes can be sent ({:?} is where \
                 it gets too large); detach some providers, or give their profiles or bindings fewer endpoints and \
                 ports",
                member.name
            )));
        }
    }
    Ok(())
}

/// Whether the environment of some sandbox may become larger when a provider becomes what `after` is.
pub(crate) fn grows(before: &Member<'_>, after: &Member<'_>) -> bool {
    // What else a key takes grows with the places that policies bind, which are not looked at here.
    keys(after).len() > keys(before).len()
        || of_member(after, None, Counted::AtMost) > of_member(before, None, Counted::AtMost)
}

/// Whether what policies bind counts for the environment: a profile that has places itself leaves bindings out.
pub(crate) fn counts_bindings(member: &Member<'_>) -> bool {
    member.resolved.as_ref().is_some_and(|resolved| of_places(&resolved.profile, None) == 0)
}

/// The keys that a provider has a credential for, or will have once one is minted.
fn keys<'a>(member: &'a Member<'_>) -> BTreeSet<&'a String> {
    let minted = member.refreshes.iter().copied().flat_map(minted_keys);
    member.provider.credential_handles.keys().chain(minted).collect()
}

/// At most so many bytes of an environment are a provider's.
fn of_member(member: &Member<'_>, bound: Option<&BTreeSet<BoundEndpoint>>, counted: Counted) -> usize {
    let provider = &member.provider;
    let profile = member.resolved.as_ref().map(|resolved| &*resolved.profile);
    let places = profile.map_or(0, |profile| of_places(profile, bound));
    let of_key = |key: &String, value: usize| places.saturating_add(4 * key.len() + value + CREDENTIAL_BYTES);
    let credentials = match counted {
        Counted::AtMost => {
            keys(member).into_iter().map(|key| of_key(key, MAP_VALUE_MAX)).fold(0, usize::saturating_add)
        }
        // Sealed it is longer than in plain text, which has a bound.
        Counted::Stored => {
            let held = provider.credential_handles.iter();
            held.map(|(key, handle)| of_key(key, handle.handle.len().min(MAP_VALUE_MAX))).fold(0, usize::saturating_add)
        }
    };
    let variables = variables::generated_config(&provider.r#type, &provider.config);
    let variables = variables.iter().map(|(key, value)| 2 * key.len() + value.len() + PLACE_BYTES);
    let dynamic = profile.map_or(0, |profile| token_grant::dynamic_credentials_bytes(&member.name, profile));
    variables.fold(dynamic.saturating_add(credentials), usize::saturating_add)
}

/// At most so many bytes take the places of one static credential.
fn of_places(profile: &ProviderProfile, bound: Option<&BTreeSet<BoundEndpoint>>) -> usize {
    let place = |host: &str, path: &str| host.len() + path.len() + PLACE_BYTES;
    let of_profile = profile.endpoints.iter().map(|endpoint| {
        predicates::endpoint_ports(endpoint).len().saturating_mul(place(&endpoint.host, &endpoint.path))
    });
    match of_profile.fold(0, usize::saturating_add) {
        0 => bound.into_iter().flatten().map(|bound| place(&bound.host, &bound.path)).sum(),
        bytes => bytes,
    }
}
