//! Questions about one profile that several decisions ask: which credentials the cluster can obtain
//! by itself, what a refresh yields, which ports an endpoint has. No state, no diagnostics.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::sandbox::NetworkEndpoint;
use openshell_proto::v1::{ProviderCredentialRefreshStrategy as Strategy, ProviderProfile, ProviderProfileCredential};

/// Whether the gateway itself can mint credentials with this strategy.
///
/// Source: providers.md 3.8, strategy table.
pub fn is_mintable(strategy: Strategy) -> bool {
    match strategy {
        Strategy::Oauth2RefreshToken
        | Strategy::Oauth2ClientCredentials
        | Strategy::GoogleServiceAccountJwt
        | Strategy::AwsStsAssumeRole => true,
        Strategy::Unspecified | Strategy::Static | Strategy::External => false,
    }
}

/// Whether this credential of the profile is obtained at run time rather than given by a person: it
/// has a token grant, or a mintable refresh, or is an additional output of a mintable refresh.
///
/// Source: providers.md PRED-1.
pub fn resolves_at_runtime(profile: &ProviderProfile, credential: &ProviderProfileCredential) -> bool {
    resolves(&minted_names(profile), credential)
}

fn resolves(minted: &BTreeSet<&str>, credential: &ProviderProfileCredential) -> bool {
    credential.token_grant.is_some() || mints(credential) || minted.contains(credential.name.as_str())
}

/// The names that mintable refreshes fill with additional outputs.
fn minted_names(profile: &ProviderProfile) -> BTreeSet<&str> {
    let refreshes = profile.credentials.iter().filter(|credential| mints(credential));
    let outputs = refreshes.flat_map(|credential| &credential.refresh).flat_map(|refresh| &refresh.additional_outputs);
    outputs.map(|output| output.credential.trim()).collect()
}

fn mints(credential: &ProviderProfileCredential) -> bool {
    credential.refresh.as_ref().is_some_and(|refresh| is_mintable(refresh.strategy()))
}

/// Whether a provider of this profile may be created without credentials: something resolves at run
/// time, and nothing that is required does not.
///
/// Source: providers.md PRED-2.
pub fn allows_empty_credentials(profile: &ProviderProfile) -> bool {
    let minted = minted_names(profile);
    let resolves = |credential: &ProviderProfileCredential| resolves(&minted, credential);
    profile.credentials.iter().any(resolves)
        && profile.credentials.iter().filter(|credential| credential.required).all(resolves)
}

/// The first credential that a provider's key means: its name or one of its variables is that key.
///
/// Source: providers.md PRED-3.
pub fn credential_for_key<'a>(profile: &'a ProviderProfile, key: &str) -> Option<&'a ProviderProfileCredential> {
    profile
        .credentials
        .iter()
        .find(|credential| credential.name == key || credential.env_vars.iter().any(|variable| variable == key))
}

/// What else a refresh of this key yields: output id -> the one variable of the credential it fills.
/// Outputs whose credential is missing, or has not exactly one variable, are left out.
///
/// Source: providers.md PRED-4.
pub fn additional_outputs(profile: &ProviderProfile, key: &str) -> BTreeMap<String, String> {
    let matches = |credential: &&ProviderProfileCredential| {
        credential.refresh.is_some()
            && (credential.name == key || credential.env_vars.iter().any(|variable| variable == key))
    };
    let Some(refresh) = profile.credentials.iter().find(matches).and_then(|found| found.refresh.as_ref()) else {
        return BTreeMap::new();
    };
    let variable = |name: &str| {
        let sibling = profile.credentials.iter().find(|credential| credential.name == name.trim())?;
        match sibling.env_vars.as_slice() {
            [only] => Some(only.trim().to_owned()),
            _ => None,
        }
    };
    let outputs = refresh.additional_outputs.iter();
    outputs.filter_map(|output| Some((output.output.trim().to_owned(), variable(&output.credential)?))).collect()
}

/// The first credential that the application default credentials of gcloud can refresh: by refresh
/// token, with material for the client and the token.
///
/// Source: providers.md PRED-5.
pub fn adc_credential(profile: &ProviderProfile) -> Option<&ProviderProfileCredential> {
    let declares = |credential: &&ProviderProfileCredential| {
        credential.refresh.as_ref().is_some_and(|refresh| {
            refresh.strategy() == Strategy::Oauth2RefreshToken
                && ["client_id", "client_secret", "refresh_token"]
                    .iter()
                    .all(|name| refresh.material.iter().any(|material| material.name == *name))
        })
    };
    profile.credentials.iter().find(declares)
}

/// Whether endpoints of this profile carry credentials: it declares any, or an endpoint signs.
///
/// Source: config.md EC-27, providers.md V-EP-30.
pub fn is_credentialed(profile: &ProviderProfile) -> bool {
    !profile.credentials.is_empty()
        || profile.endpoints.iter().any(|endpoint| !endpoint.credential_signing.trim().is_empty())
}

/// Whether some endpoint has a host and a port, so that credentials have a place to be used.
///
/// Source: providers.md AS-11.
pub fn has_usable_endpoint(profile: &ProviderProfile) -> bool {
    profile.endpoints.iter().any(|endpoint| !endpoint.host.trim().is_empty() && !endpoint_ports(endpoint).is_empty())
}

/// The ports an endpoint really has, in its own order: the non-zero ones of `ports` when that list
/// is filled, else `port` when that is not zero.
///
/// Source: providers.md 5.3, endpoint ports.
pub fn endpoint_ports(endpoint: &NetworkEndpoint) -> Vec<u32> {
    let listed = if endpoint.ports.is_empty() { std::slice::from_ref(&endpoint.port) } else { &endpoint.ports };
    listed.iter().copied().filter(|port| *port != 0).collect()
}

#[cfg(test)]
mod tests;
