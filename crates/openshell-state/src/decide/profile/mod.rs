//! Custom provider profiles: import, update, delete (`providers.md` 4). What a profile may
//! say is judged by `openshell-providers`; what it would do to sandboxes, in `attached`.

mod attached;
mod conflicts;
mod delete;
mod import;
mod judgement;
mod update;

pub use delete::delete;
pub use import::import;
pub use update::update;

pub(crate) use conflicts::conflicts;
pub(super) use judgement::{is_due, judge};

use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic, StoredProviderProfile};
use openshell_providers::verdict;

use crate::access::Role;
use crate::decide::{Need, enter_workspace};
use crate::decision::{Call, Draft};
use crate::refusal::Refusal;

/// Authorises a change of profiles in a scope: empty is the platform, which needs a platform
/// admin (`providers.md` AUTHZ-4); otherwise a workspace, which needs its admin.
fn enter_scope(call: &Call<'_>, draft: &mut Draft, scope: &str, need: Need) -> Result<(), Refusal> {
    if scope.is_empty() {
        return call.principal.require_platform_admin();
    }
    enter_workspace(call, draft, scope, Role::Admin, need)
}

/// Whether any diagnostic is an error rather than a warning.
fn has_error(diagnostics: &[ProviderProfileDiagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == "error")
}

/// The payload as it is stored: what the server sets is cleared (`providers.md` R-2).
fn stored_payload(profile: ProviderProfile) -> ProviderProfile {
    ProviderProfile {
        resource_version: 0,
        source: String::new(),
        scope: String::new(),
        invalid_reason: String::new(),
        ..openshell_providers::normalise_profile(profile)
    }
}

/// The record of a profile that passed validation. A built-in one of the same id hides it even so, and what is
/// unsafe to compose is left out.
fn accepted(metadata: ObjectMeta, profile: ProviderProfile, is_hidden: bool) -> StoredProviderProfile {
    let invalid_reason = if is_hidden { judgement::COLLIDES.to_owned() } else { verdict::invalid_reason(&profile) };
    StoredProviderProfile {
        metadata: Some(metadata),
        profile: Some(profile),
        judged_by_rules: verdict::RULES_NUMBER,
        invalid_reason,
    }
}

/// A stored profile as Import and Update answer it: with its version (`providers.md` R-5), and with why
/// it is left out, should it be.
fn answered(stored: &StoredProviderProfile) -> ProviderProfile {
    ProviderProfile {
        resource_version: stored.metadata.as_ref().map_or(0, |metadata| metadata.resource_version),
        invalid_reason: stored.invalid_reason.clone(),
        ..stored.profile.clone().unwrap_or_default()
    }
}
