//! The handle of a credential that the gateway mints: stable while its tokens rotate, another one
//! when the grant or the endpoints change (`config.md` PE-13).

use std::collections::BTreeSet;

use openshell_proto::v1::StoredProviderCredentialRefreshState;
use openshell_providers::predicates;
use sha2::{Digest as _, Sha256};

use crate::checks::REFRESH_DELETING;
use crate::composition::{Member, minted_keys};
use crate::effective::environment::Place;
use crate::effective::environment_revision::authorization_epoch;
use crate::refusal::Refusal;

const PREFIX: &str = "openshell-workload-credential-handle-v1";

/// The handle of a provider's key, when some refresh mints it.
///
/// # Errors
/// `FAILED_PRECONDITION` when two authorisations claim the key, or provider or refresh lack an id.
pub(super) fn handle(
    sandbox_id: &str,
    member: &Member<'_>,
    key: &str,
    places: &[Place<'_>],
) -> Result<Option<String>, Refusal> {
    let live = member.refreshes.iter().filter(|refresh| mints(refresh, key));
    let epochs = live.map(|refresh| authorization_epoch(member, refresh)).collect::<Result<BTreeSet<_>, _>>()?;
    let mut epochs = epochs.into_iter();
    let Some(epoch) = epochs.next() else { return Ok(None) };
    if epochs.next().is_some() {
        return Err(Refusal::precondition(format!(
            "credential {key:?} of provider {:?} is claimed by two refresh authorizations; delete one of them",
            member.name
        )));
    }
    let provider_id = member.provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    if provider_id.is_empty() {
        return Err(Refusal::precondition(format!("provider {:?} has no id; create it again", member.name)));
    }
    let mut hasher = Sha256::new();
    let mut component = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for text in [PREFIX, sandbox_id, provider_id, key, epoch] {
        component(text.as_bytes());
    }
    for (host, port, path) in places.iter().map(normalised).collect::<BTreeSet<_>>() {
        component(host.as_bytes());
        component(&port.to_le_bytes());
        component(path.as_bytes());
    }
    Ok(Some(hex::encode(hasher.finalize())))
}

fn mints(refresh: &StoredProviderCredentialRefreshState, key: &str) -> bool {
    predicates::is_mintable(refresh.strategy())
        && refresh.status != REFRESH_DELETING
        && minted_keys(refresh).any(|minted| minted == key)
}

/// One place, however it is written.
fn normalised<'a>(place: &Place<'a>) -> (String, u32, &'a str) {
    let host = place.host.trim().trim_end_matches('.').to_lowercase();
    let path = match place.path.trim() {
        "" | "**" => "/**",
        path => path,
    };
    (host, place.port, path)
}
