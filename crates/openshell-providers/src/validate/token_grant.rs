//! Rules about a credential's token grant (providers.md 3.9). Ties between different credentials
//! matter only when both are attached to one sandbox, and are found in `crate::token_grant`.

use std::collections::BTreeMap;

use openshell_proto::v1::{
    ProviderCredentialTokenGrantAudienceOverride as AudienceOverride, ProviderProfile, ProviderProfileCredential,
};
use url::{Host, Url};

use super::Report;
use crate::predicates::endpoint_ports;
use crate::selector::{host_matches, hosts_overlap, paths_overlap, score};
use crate::token_grant::{PLACES_MAX, places_bound};

/// Headers that frame a message or its connection; a secret there would break both.
const FRAMING_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// Whether the places of a profile's token grants are few enough to be compared with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// Compare them.
    Bounded,
    /// So many that comparing would occupy a node: refused instead.
    TooMany,
}

impl Places {
    pub(super) fn count(profile: &ProviderProfile) -> Self {
        if places_bound(profile) <= PLACES_MAX { Self::Bounded } else { Self::TooMany }
    }
}

pub(super) fn token_grant(
    profile: &ProviderProfile,
    credential: &ProviderProfileCredential,
    places: Places,
    report: &mut Report<'_>,
) {
    let Some(grant) = &credential.token_grant else { return };
    let field = "credentials.token_grant.token_endpoint";
    match Url::parse(&grant.token_endpoint) {
        Err(reason) => {
            let message = format!("token_endpoint {:?} is not an absolute URL: {reason}", grant.token_endpoint);
            report.error(field, message);
        }
        Ok(url) => report.error_if(
            !is_safe(&url),
            field,
            "token_endpoint is insecure: use https; plain http is only for loopback and cluster-internal service hosts",
        ),
    }
    match places {
        Places::Bounded => audience_overrides(profile, credential, &grant.audience_overrides, report),
        Places::TooMany => {
            let message = format!(
                "the token grants of this profile apply to more than {PLACES_MAX} places (credentials x endpoint ports x \
                 overrides): split the profile"
            );
            report.error("credentials.token_grant.audience_overrides", message);
        }
    }
    placement(credential, report);
}

fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host().is_some_and(|host| is_internal(&host)),
        _ => false,
    }
}

fn is_internal(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        Host::Domain(name) => {
            let name = name.to_ascii_lowercase();
            name == "localhost" || is_service(name.trim_end_matches('.'))
        }
    }
}

/// `<name>.<namespace>.svc`, with or without `.cluster.local`.
fn is_service(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    labels.iter().all(|label| !label.is_empty())
        && matches!(labels.as_slice(), [_, _, "svc"] | [_, _, "svc", "cluster", "local"])
}

/// Where one override would apply.
struct Candidate<'a> {
    index: usize,
    host: String,
    port: u32,
    path: &'a str,
}

/// V-TG-3: overrides of one credential that tie.
fn audience_overrides(
    profile: &ProviderProfile,
    credential: &ProviderProfileCredential,
    overrides: &[AudienceOverride],
    report: &mut Report<'_>,
) {
    // Candidates by port and score, since only those of equal port and score can tie.
    let mut earlier: BTreeMap<(u32, u64), Vec<Candidate<'_>>> = BTreeMap::new();
    for candidate in candidates(profile, overrides) {
        let group = earlier.entry((candidate.port, score(&candidate.host, candidate.path))).or_default();
        for other in group.iter().filter(|other| other.index != candidate.index) {
            if report.is_full() {
                return;
            }
            if hosts_overlap(&other.host, &candidate.host) && paths_overlap(other.path, candidate.path) {
                let message = format!(
                    "audience overrides of credential '{}' are ambiguous: indexes {} and {} tie for {}:{} (path \
                     selectors '{}' and '{}'); make one of them more specific",
                    credential.name,
                    other.index,
                    candidate.index,
                    candidate.host,
                    candidate.port,
                    other.path,
                    candidate.path
                );
                report.error("credentials.token_grant.audience_overrides", message);
            }
        }
        group.push(candidate);
    }
}

fn candidates<'a>(profile: &'a ProviderProfile, overrides: &'a [AudienceOverride]) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for (index, chosen) in overrides.iter().enumerate() {
        let (own_host, own_path) = (chosen.host.trim(), chosen.path.trim());
        for endpoint in &profile.endpoints {
            let host = endpoint.host.trim();
            if !(own_host.is_empty() || host_matches(own_host, host) || host_matches(host, own_host)) {
                continue;
            }
            for port in endpoint_ports(endpoint).into_iter().filter(|port| chosen.port == 0 || chosen.port == *port) {
                let host = if own_host.is_empty() { host } else { own_host }.to_ascii_lowercase();
                let path = if own_path.is_empty() { endpoint.path.trim() } else { own_path };
                found.push(Candidate { index, host, port, path });
            }
        }
    }
    found
}

fn placement(credential: &ProviderProfileCredential, report: &mut Report<'_>) {
    let style = credential.auth_style.trim().to_ascii_lowercase();
    let given = credential.header_name.trim();
    let header = match style.as_str() {
        "" | "bearer" if given.is_empty() => "Authorization",
        "" | "bearer" | "header" => given,
        _ => {
            let message = "a token grant is placed in a header: auth_style must be bearer, header or empty";
            report.error("credentials.token_grant.auth_style", message);
            return;
        }
    };
    let field = "credentials.header_name";
    if !header.bytes().all(is_token) {
        report.error(field, format!("{header:?} is not a valid header name: use letters, digits and hyphens"));
    } else if FRAMING_HEADERS.iter().any(|framing| header.eq_ignore_ascii_case(framing)) {
        report
            .error(field, format!("header {header} is reserved for HTTP framing and connection handling: use another"));
    }
}

/// The `token` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
