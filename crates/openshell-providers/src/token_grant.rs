//! Token grants of attached providers: where each applies, whether two of them tie, and what a
//! sandbox is told about them. Which providers are attached is for the caller to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use openshell_policy::Budget;
use openshell_proto::sandbox::NetworkEndpoint;
use openshell_proto::v1::{
    ProviderCredentialTokenGrantAudienceOverride as AudienceOverride, ProviderProfile, ProviderProfileCredential,
};
use prost::Message;

use crate::predicates::endpoint_ports;
use crate::selector::host_matches;

mod ties;

/// A profile whose token grants could apply to more places than this is refused, since each place may
/// have to be compared with every other one, for every sandbox. The specification has no such limit.
pub const PLACES_MAX: usize = 10_000;

/// One place where one credential's token grant applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantBinding {
    /// Name of the provider.
    pub provider: Arc<str>,
    /// Name of the credential in its profile.
    pub credential: Arc<str>,
    /// Host or host pattern, lower-cased.
    pub host: Arc<str>,
    /// Port, as the endpoint or the override has it.
    pub port: u32,
    /// Path selector as it was written; empty for every path.
    pub path: Arc<str>,
}

impl GrantBinding {
    /// Who it belongs to, as `provider:credential`.
    fn owner(&self) -> (&str, &str) {
        (&self.provider, &self.credential)
    }

    fn path_words(&self) -> &str {
        if self.path.is_empty() { "<any-path>" } else { &self.path }
    }
}

/// Two bindings of different credentials that no selector tells apart, or that were not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguity {
    /// The earlier one in the order of evaluation.
    pub first: GrantBinding,
    /// The one that ties with it.
    pub second: GrantBinding,
    /// Whether they were compared: there may be too many patterns for that.
    pub compared: bool,
}

/// Says who ties where, and what to do about it (anchors `dynamic token grants`, `ambiguous`).
impl fmt::Display for Ambiguity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, compared } = self;
        let (are, remedy) = match compared {
            true => ("are ambiguous", "make one host or path selector more specific"),
            false => (
                "may be ambiguous, there are too many patterns to compare them all,",
                "name hosts and paths instead of patterns",
            ),
        };
        write!(
            out,
            "dynamic token grants of '{}:{}' and '{}:{}' {are} for {}:{} (path selectors '{}' and '{}'): {remedy}, or \
             attach only one of these providers",
            first.provider,
            first.credential,
            second.provider,
            second.credential,
            first.host,
            first.port,
            first.path_words(),
            second.path_words(),
        )
    }
}

/// The bindings of a provider under a profile, exact duplicates removed.
///
/// *Shape*: by credential, endpoint and port in the profile's order, the default one before those of
/// audience overrides. A profile without endpoints has none. Source: providers.md 5.3.
pub fn bindings(provider: &str, profile: &ProviderProfile) -> Vec<GrantBinding> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    // A text is kept once, however many ports and credentials it goes with.
    let (mut texts, mut hosts) = (BTreeMap::<&str, Arc<str>>::new(), BTreeMap::<&str, Arc<str>>::new());
    let provider: Arc<str> = provider.into();
    each_place(profile, |credential, place, _| {
        let binding = GrantBinding {
            provider: Arc::clone(&provider),
            credential: Arc::clone(texts.entry(&credential.name).or_insert_with(|| credential.name.as_str().into())),
            host: Arc::clone(hosts.entry(place.host).or_insert_with(|| place.host.to_ascii_lowercase().into())),
            port: place.port,
            path: Arc::clone(texts.entry(place.path).or_insert_with(|| place.path.into())),
        };
        if seen.insert(binding.clone()) {
            found.push(binding);
        }
    });
    found
}

/// The first pair, in list order, of bindings that tie: different credentials, equal port and score,
/// overlapping hosts and paths.
///
/// Work is bounded: where there are too many patterns, or too long ones, to be compared within about a second,
/// the pair is one that was not compared, which refuses them. Source: providers.md 5.3.
pub fn first_ambiguity(bindings: &[GrantBinding]) -> Option<Ambiguity> {
    ties::first(bindings, &mut Budget::for_policy())
}

/// At most so many bytes does what a sandbox is told about the token grants of a provider take, encoded.
///
/// Counted without making any of it: a place has a copy of its credential.
pub fn dynamic_credentials_bytes(provider: &str, profile: &ProviderProfile) -> usize {
    let mut bytes = 0_usize;
    let mut last: Option<(&ProviderProfileCredential, usize)> = None;
    each_place(profile, |credential, place, chosen| {
        let alone = match last {
            Some((known, alone)) if std::ptr::eq(known, credential) => alone,
            Some(_) | None => without_overrides(credential).encoded_len(),
        };
        last = Some((credential, alone));
        let key = place.host.len() + place.path.len() + provider.len() + credential.name.len();
        let chosen = chosen.map_or(0, Message::encoded_len);
        bytes = bytes.saturating_add(key + alone + chosen + PLACE_BYTES);
    });
    bytes
}

/// What an entry of dynamic credentials takes beside its texts: the port, separators, tags and lengths.
const PLACE_BYTES: usize = 48;

fn without_overrides(credential: &ProviderProfileCredential) -> ProviderProfileCredential {
    let mut credential = credential.clone();
    if let Some(grant) = &mut credential.token_grant {
        grant.audience_overrides.clear();
    }
    credential
}

/// What a sandbox is told about the token grants of a provider: credential by place, where audience
/// and scopes are those of the override that chose the place.
///
/// *Shape*: the key is host, port, path and `provider:credential`, separated by tabs; an override
/// that resolves to the default's place replaces it. Source: providers.md DYN-1 to DYN-3.
pub fn dynamic_credentials(provider: &str, profile: &ProviderProfile) -> BTreeMap<String, ProviderProfileCredential> {
    let mut found = BTreeMap::new();
    each_place(profile, |credential, place, chosen| {
        let host = place.host.to_ascii_lowercase();
        let key = format!("{host}\t{}\t{}\t{provider}:{}", place.port, place.path, credential.name);
        let mut credential = without_overrides(credential);
        if let Some(grant) = &mut credential.token_grant {
            if let Some(chosen) = chosen.filter(|chosen| !chosen.audience.is_empty()) {
                grant.audience.clone_from(&chosen.audience);
            }
            if let Some(chosen) = chosen.filter(|chosen| !chosen.scopes.is_empty()) {
                grant.scopes.clone_from(&chosen.scopes);
            }
        }
        found.insert(key, credential);
    });
    found
}

/// At most so many places do the token grants of a profile apply to: every override is counted for
/// every port of every endpoint.
pub(crate) fn places_bound(profile: &ProviderProfile) -> usize {
    let ports: usize = profile.endpoints.iter().map(|endpoint| endpoint_ports(endpoint).len()).sum();
    let grants = profile.credentials.iter().filter_map(|credential| credential.token_grant.as_ref());
    let places = grants.map(|grant| ports.saturating_mul(1 + grant.audience_overrides.len()));
    places.fold(0, usize::saturating_add)
}

struct Place<'a> {
    host: &'a str,
    port: u32,
    path: &'a str,
}

/// Visits every place of every token grant, with the override that names it if one does.
fn each_place<'a>(
    profile: &'a ProviderProfile,
    mut visit: impl FnMut(&'a ProviderProfileCredential, Place<'a>, Option<&'a AudienceOverride>),
) {
    for credential in &profile.credentials {
        let Some(grant) = &credential.token_grant else { continue };
        for endpoint in &profile.endpoints {
            for port in endpoint_ports(endpoint) {
                visit(credential, Place { host: &endpoint.host, port, path: &endpoint.path }, None);
                for chosen in grant.audience_overrides.iter().filter(|chosen| applies(chosen, endpoint, port)) {
                    let place = Place {
                        host: if chosen.host.is_empty() { &endpoint.host } else { &chosen.host },
                        port: if chosen.port == 0 { port } else { chosen.port },
                        path: if chosen.path.is_empty() { &endpoint.path } else { &chosen.path },
                    };
                    visit(credential, place, Some(chosen));
                }
            }
        }
    }
}

fn applies(chosen: &AudienceOverride, endpoint: &NetworkEndpoint, port: u32) -> bool {
    let host = chosen.host.is_empty()
        || host_matches(&chosen.host, &endpoint.host)
        || host_matches(&endpoint.host, &chosen.host);
    host && (chosen.port == 0 || chosen.port == port)
}

#[cfg(test)]
mod tests;
