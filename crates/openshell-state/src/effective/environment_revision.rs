//! `provider_env_revision` (`config.md` 5): changes whenever what a sandbox would get as its
//! provider environment may change, and is equal on all nodes at one revision.
//!
//! A departure from ER-4: it depends on the profiles that the sandbox uses and on no other.

use openshell_policy::credentials::Bindings;
use openshell_proto::v1::{ProviderProfile, StoredProviderCredentialRefreshState};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::composition::{Member, Resolved, Source};
use crate::effective::config::first_eight;
use crate::refusal::Refusal;

const PREFIX: &str = "openshell-provider-env-revision-v4";

/// First eight bytes of a SHA-256 over the members, in order, and the policy's bindings (ER-1).
pub(crate) fn environment_revision(members: &[Member<'_>], bindings: &Bindings) -> Result<u64, Refusal> {
    let mut hasher = Sha256::new();
    hasher.update(PREFIX);
    for member in members {
        hash_member(&mut hasher, member)?;
    }
    for (provider, endpoints) in bindings {
        hasher.update(provider);
        for endpoint in endpoints {
            hasher.update(endpoint.host.as_bytes());
            hasher.update(endpoint.port.to_le_bytes());
            hasher.update(endpoint.path.as_bytes());
        }
    }
    Ok(first_eight(hasher))
}

fn hash_member(hasher: &mut Sha256, member: &Member<'_>) -> Result<(), Refusal> {
    let provider = &member.provider;
    let metadata = provider.metadata.as_ref();
    hasher.update(&member.name);
    hasher.update(metadata.map_or("", |metadata| metadata.id.as_str()));
    hasher.update(metadata.map_or(0, |metadata| metadata.resource_version).to_le_bytes());
    let mut refreshes = member.refreshes.clone();
    refreshes.sort_by_key(|refresh| (refresh.credential_key.clone(), object_id(refresh).to_owned()));
    for refresh in refreshes {
        hash_refresh(hasher, member, refresh)?;
    }
    hasher.update(&provider.r#type);
    match &member.resolved {
        None if member.lost_its_profile() => hasher.update("invalid"),
        None => hasher.update("missing"),
        Some(resolved) => hash_profile(hasher, resolved),
    }
    for key in provider.credentials.keys().chain(provider.credential_handles.keys()) {
        hasher.update(key);
    }
    for (key, expiry) in &provider.credential_expires_at_ms {
        hasher.update(key);
        hasher.update(expiry.to_le_bytes());
    }
    Ok(())
}

fn hash_refresh(
    hasher: &mut Sha256,
    member: &Member<'_>,
    refresh: &StoredProviderCredentialRefreshState,
) -> Result<(), Refusal> {
    let epoch = authorization_epoch(member, refresh)?;
    hasher.update("provider-refresh-state");
    hasher.update(&refresh.credential_key);
    hasher.update(refresh.strategy.to_le_bytes());
    hasher.update(epoch);
    if let Some(metadata) = &refresh.metadata {
        hasher.update(&metadata.id);
        hasher.update(metadata.resource_version.to_le_bytes());
    }
    for (output, key) in &refresh.additional_output_keys {
        hasher.update(output);
        hasher.update(key);
    }
    Ok(())
}

/// What tells one authorisation of a refresh from the next (ER-2).
pub(super) fn authorization_epoch<'a>(
    member: &Member<'_>,
    refresh: &'a StoredProviderCredentialRefreshState,
) -> Result<&'a str, Refusal> {
    let stated = refresh.authorization_epoch.as_str();
    let epoch = if stated.is_empty() { object_id(refresh) } else { stated };
    if epoch.is_empty() {
        return Err(Refusal::precondition(format!(
            "the refresh state of {:?} on provider {:?} has no authorization epoch; configure it again",
            refresh.credential_key, member.name
        )));
    }
    Ok(epoch)
}

fn hash_profile(hasher: &mut Sha256, resolved: &Resolved<'_>) {
    let answered = answered(resolved);
    let bytes = answered.encode_to_vec();
    let (scope, managed) = match resolved.source {
        Source::Builtin => ("static", "source-managed"),
        Source::Platform => ("platform", "user-managed"),
        Source::Workspace => ("workspace", "user-managed"),
    };
    hasher.update("provider-profile-source-entry");
    hasher.update(resolved.source.id());
    hasher.update(format!("sha256:{}", hex::encode(Sha256::digest(&bytes))));
    hasher.update(scope);
    hasher.update(managed);
    hasher.update(&bytes);
}

/// The profile as answers show it: with source, scope and version.
pub(crate) fn answered(resolved: &Resolved<'_>) -> ProviderProfile {
    ProviderProfile {
        source: resolved.source.id().to_owned(),
        scope: resolved.source.scope().to_owned(),
        resource_version: resolved.resource_version,
        ..resolved.profile.clone().into_owned()
    }
}

fn object_id(refresh: &StoredProviderCredentialRefreshState) -> &str {
    refresh.metadata.as_ref().map_or("", |metadata| metadata.id.as_str())
}
