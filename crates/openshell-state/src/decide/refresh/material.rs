//! What a mint is made from: checked when it is configured, sealed from then on (`providers.md`
//! 7.3, steps 5 to 8 and 13 to 15).

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::datamodel::CredentialHandle;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, ProviderCredentialRefresh, ProviderCredentialRefreshStrategy as Strategy,
    StoredProviderCredentialRefreshState,
};

use crate::decide::provider::SEALED;
use crate::decision::{Call, Opener};
use crate::names;
use crate::refusal::Refusal;

/// The kind that sealed material is bound to.
const KIND: &str = "provider-refresh";
const ENTRIES_MAX: usize = 64;
const KEY_MAX: usize = 256;

/// Sizes, and what may never be material: an endpoint is the profile's to name, and half of a pair is
/// a mistake.
pub(super) fn check(request: &ConfigureProviderRefreshRequest) -> Result<(), Refusal> {
    names::bounded_map("material", &request.material, ENTRIES_MAX)?;
    if request.secret_material_keys.len() > ENTRIES_MAX {
        let count = request.secret_material_keys.len();
        let text = format!("secret_material_keys has {count} entries; at most {ENTRIES_MAX} are allowed");
        return Err(Refusal::invalid(text));
    }
    for key in &request.secret_material_keys {
        names::bounded("an entry of secret_material_keys", key, KEY_MAX)?;
    }
    let given = |name: &str| request.material.get(name).is_some_and(|value| !value.trim().is_empty());
    for name in ["token_url", "token_uri"] {
        if given(name) {
            let text = format!("material {name:?} cannot be given: the token endpoint is the profile's to name");
            return Err(Refusal::invalid(text));
        }
    }
    if request.material.contains_key("sts_endpoint_url") {
        return Err(Refusal::invalid("material \"sts_endpoint_url\" cannot be given"));
    }
    let pair = [given("aws_access_key_id"), given("aws_secret_access_key")];
    if pair[0] != pair[1] {
        let text = "material aws_access_key_id and aws_secret_access_key are given both or not at all";
        return Err(Refusal::invalid(text));
    }
    if given("aws_session_token") && !pair[0] {
        return Err(Refusal::invalid(
            "material aws_session_token needs aws_access_key_id and aws_secret_access_key beside it",
        ));
    }
    Ok(())
}

/// What the profile requires is there, and every name that is called secret is.
pub(super) fn complete(
    request: &ConfigureProviderRefreshRequest,
    declared: Option<&ProviderCredentialRefresh>,
) -> Result<(), Refusal> {
    for material in declared.iter().flat_map(|refresh| &refresh.material).filter(|material| material.required) {
        let name = material.name.trim();
        if request.material.get(name).is_none_or(|value| value.trim().is_empty()) {
            return Err(Refusal::invalid(format!("material {name:?} is required by the provider's profile")));
        }
    }
    match request.secret_material_keys.iter().find(|key| !request.material.contains_key(*key)) {
        Some(key) => Err(Refusal::invalid(format!("secret_material_keys names {key:?}, which is not in material"))),
        None => Ok(()),
    }
}

/// A number of seconds that the material states.
pub(super) fn seconds(request: &ConfigureProviderRefreshRequest, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = request.material.get(name) else { return Ok(None) };
    let seconds: i64 =
        text.trim().parse().map_err(|_| Refusal::invalid(format!("material {name:?} must be a number of seconds")))?;
    if seconds < 0 {
        return Err(Refusal::invalid(format!("material {name:?} must not be negative: {seconds}")));
    }
    Ok(Some(seconds))
}

/// The scopes that the material states (RC-2).
pub(super) fn scopes(request: &ConfigureProviderRefreshRequest) -> Option<Vec<String>> {
    let text = ["scope", "scopes"].iter().find_map(|name| request.material.get(*name))?;
    let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    Some(words.map(str::to_owned).collect::<Vec<_>>()).filter(|scopes| !scopes.is_empty())
}

/// The names of what is secret: said by the caller, the profile, or the strategy (RC-1). Callers can
/// add to it and not take away.
pub(super) fn secret_names(
    request: &ConfigureProviderRefreshRequest,
    declared: Option<&ProviderCredentialRefresh>,
) -> Vec<String> {
    let by_profile = declared.iter().flat_map(|refresh| &refresh.material).filter(|material| material.secret);
    let by_profile = by_profile.map(|material| material.name.trim());
    let by_strategy: &[&str] = match request.strategy() {
        Strategy::Oauth2RefreshToken => &["refresh_token", "client_secret"],
        Strategy::Oauth2ClientCredentials => &["client_secret"],
        Strategy::GoogleServiceAccountJwt => &["private_key"],
        Strategy::AwsStsAssumeRole => &["aws_secret_access_key", "aws_session_token"],
        Strategy::Unspecified | Strategy::Static | Strategy::External => &[],
    };
    let said = request.secret_material_keys.iter().map(String::as_str);
    let names: BTreeSet<&str> = said.chain(by_profile).chain(by_strategy.iter().copied()).collect();
    names.into_iter().filter(|name| request.material.contains_key(*name)).map(str::to_owned).collect()
}

/// All of the material, sealed. What nobody called secret is sealed as well: no call ever answers with
/// material, and whoever forgot to mark a secret should not find it in a backup.
pub(super) fn sealed(
    call: &Call<'_>,
    (workspace, provider_id, credential_key): (&str, &str, &str),
    material: &BTreeMap<String, String>,
) -> BTreeMap<String, CredentialHandle> {
    let seal = |name: &String, value: &String| {
        let field = field(credential_key, name);
        let handle = call.stamp.sealer.seal(KIND, workspace, provider_id, &field, value.as_bytes());
        CredentialHandle { driver: SEALED.to_owned(), handle, metadata: BTreeMap::new() }
    };
    material.iter().map(|(name, value)| (name.clone(), seal(name, value))).collect()
}

/// The material of a refresh state, in plain text: for the call to a token endpoint, and no longer.
///
/// # Errors
/// `FAILED_PRECONDITION` naming what does not open.
pub fn opened(
    opener: &dyn Opener,
    state: &StoredProviderCredentialRefreshState,
) -> Result<BTreeMap<String, String>, Refusal> {
    let workspace = state.metadata.as_ref().map_or("", |metadata| metadata.workspace.as_str());
    let open = |(name, handle): (&String, &CredentialHandle)| {
        let field = field(&state.credential_key, name);
        let plain = opener.open(KIND, workspace, &state.provider_id, &field, &handle.handle);
        let plain = plain.and_then(|plain| String::from_utf8(plain).ok());
        plain.map(|plain| (name.clone(), plain)).ok_or_else(|| {
            Refusal::precondition(format!(
                "material {name:?} of {:?} on provider {:?} cannot be opened; configure its refresh again",
                state.credential_key, state.provider_name
            ))
        })
    };
    state.secret_material_handles.iter().map(open).collect()
}

/// What sealed material is bound to beside its provider's id.
fn field(credential_key: &str, name: &str) -> String {
    format!("{credential_key}/{name}")
}
