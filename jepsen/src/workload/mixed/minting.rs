//! A credential that is rotated: of a profile whose tokens come from the run's `issuer`, with a provider of its own. It is
//! configured anew again and again, so that a mint that was lost with its leader holds up the others for a moment only, and
//! it is never deleted. No other message names it.

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, ProviderCredentialRefresh, ProviderCredentialRefreshStrategy, ProviderProfile,
    RotateProviderCredentialRequest,
};
use tonic::{Code, Status};

use crate::canary::Canary;
use crate::workload::furnish::{Furnishing, variable};
use crate::workload::register::plain;
use crate::workload::{Shared, Workload};

/// The provider's name.
pub(super) const ROTATED: &str = "kept-rotated";
const PROFILE: &str = "mixed-rotated";
const STRATEGY: ProviderCredentialRefreshStrategy = ProviderCredentialRefreshStrategy::Oauth2RefreshToken;

/// Why nothing was minted, as far as faults may bring it about: a node that could not read what it needs for asking,
const NO_CLIENT: &str = "the HTTP client of this node does not start";
/// or what begins so and
const ENDPOINT: &str = "the token endpoint ";
/// goes on with one of these. It is not asked where the clock went on too far.
const UNREACHED: [&str; 4] =
    ["cannot be reached", "did not answer in time", "broke the connection off", "was not asked"];

/// Makes profile and provider in a workspace. From then on the cluster mints.
pub(super) async fn prepare(
    shared: &Shared,
    room: &Furnishing,
    workspace: &str,
    token_url: &str,
) -> anyhow::Result<()> {
    room.profiles(&shared.recorder, Workload::Mixed, vec![profile(token_url)]).await?;
    room.provider(ROTATED, PROFILE).await?;
    let configure = configuration(workspace, &shared.wishes.canary);
    let answer = shared.all.api().call(&methods::CONFIGURE_PROVIDER_REFRESH, configure).await;
    answer.with_context(|| format!("configuring what {ROTATED} is minted from"))?;
    Ok(())
}

fn profile(token_url: &str) -> ProviderProfile {
    let mut profile = plain(PROFILE, "");
    for credential in &mut profile.credentials {
        credential.refresh = Some(ProviderCredentialRefresh {
            strategy: STRATEGY.into(),
            token_url: token_url.to_owned(),
            ..ProviderCredentialRefresh::default()
        });
    }
    profile
}

/// A request to mint it from now on. The issuer takes whatever it is sent.
pub(super) fn configuration(workspace: &str, canary: &Canary) -> ConfigureProviderRefreshRequest {
    let material = ["client_id", "refresh_token", "client_secret"].map(|name| (name.to_owned(), canary.secret(name)));
    ConfigureProviderRefreshRequest {
        provider: ROTATED.to_owned(),
        credential_key: variable(PROFILE),
        strategy: STRATEGY.into(),
        material: material.into(),
        workspace: workspace.to_owned(),
        ..ConfigureProviderRefreshRequest::default()
    }
}

/// A request to mint it at once.
pub(super) fn rotation(workspace: &str) -> RotateProviderCredentialRequest {
    RotateProviderCredentialRequest {
        provider: ROTATED.to_owned(),
        credential_key: variable(PROFILE),
        workspace: workspace.to_owned(),
    }
}

/// Whether a refusal to rotate it is right: it was configured anew meanwhile, or nothing was minted.
pub(super) fn may_not_rotate(refusal: &Status) -> bool {
    let said = refusal.message();
    let is_unreached = || said.starts_with(ENDPOINT) && UNREACHED.iter().any(|failure| said.contains(failure));
    match refusal.code() {
        Code::Aborted => said.contains("was changed or deleted while its credential was minted"),
        Code::FailedPrecondition | Code::Unavailable => said.starts_with(NO_CLIENT) || is_unreached(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_credential_of_the_profile_is_minted_under_the_key_that_is_rotated() {
        let profile = profile("http://127.0.0.1:1/token");
        let keys: Vec<&String> = profile.credentials.iter().flat_map(|credential| &credential.env_vars).collect();
        assert_eq!(keys, [&rotation("w").credential_key]);
        assert!(profile.credentials.iter().all(|credential| credential.refresh.is_some()));
    }

    #[test]
    fn a_rotation_is_refused_for_what_happened_to_it_and_for_nothing_else() {
        let superseded = "the refresh of \"K\" on provider \"p\" was changed or deleted while its credential was minted; \
                          nothing was written (concurrent modification)";
        let unreached = "the token endpoint at 127.0.0.1 cannot be reached";
        for right in
            [Status::aborted(superseded), Status::failed_precondition(unreached), Status::unavailable(unreached)]
        {
            assert!(may_not_rotate(&right), "{right:?}");
        }
        for wrong in [
            Status::not_found("provider \"p\" has no refresh configured for \"K\""),
            Status::failed_precondition("material \"client_secret\" of \"K\" on provider \"p\" cannot be opened"),
            Status::failed_precondition("the token endpoint at 127.0.0.1 answered without an access_token"),
            Status::aborted("something else"),
            Status::failed_precondition(superseded),
        ] {
            assert!(!may_not_rotate(&wrong), "{wrong:?}");
        }
    }
}
