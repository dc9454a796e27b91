//! Diagnostics about profiles, from the request and the profiles alone. Conflicts with what is stored
//! or built in, and with attached sandboxes, need state and are judged there.

mod credential;
mod endpoint;
mod mcp;
mod refresh;
mod token_grant;

use std::collections::BTreeSet;

use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic, ProviderProfileImportItem};

use crate::id;
use crate::predicates::is_credentialed;

/// Once the diagnostics of a request take this much, further ones are dropped: a request of 1 MiB can
/// have more problems than memory, and nobody reads them.
const BYTES_MAX: usize = 256 * 1024;

/// Severity of a diagnostic that stops the operation.
pub const ERROR: &str = "error";

/// Severity of a diagnostic that does not. Only shadowing a platform profile is one (V-CONF-3).
pub const WARNING: &str = "warning";

/// What is wrong with the items of a request, before their profiles are looked at: a missing profile
/// (the item is then no candidate for [`profiles`]), an endpoint that names a provider.
///
/// *Shape*: in item order; past 256 KiB of diagnostics further ones are dropped. Source: providers.md V-ITEM-1, V-ITEM-2.
pub fn items(items: &[ProviderProfileImportItem]) -> Vec<ProviderProfileDiagnostic> {
    let mut report = Report { source: "", profile_id: "", found: Vec::new(), room: BYTES_MAX };
    for item in items {
        (report.source, report.profile_id) = (&item.source, "");
        let Some(profile) = &item.profile else {
            report.error("profile", "the item has no profile: a profile is required beside the source");
            continue;
        };
        report.profile_id = &profile.id;
        for (index, endpoint) in profile.endpoints.iter().enumerate() {
            if endpoint.credential_binding.is_some() {
                let message = "a profile cannot name a provider instance: credential_binding belongs in a sandbox \
                               policy, remove it here";
                report.error(format!("endpoints[{index}].credential_binding"), message);
            }
        }
    }
    report.found
}

/// The diagnostic for a request that has no profile at all; for requests where [`items`] found nothing.
///
/// Source: providers.md V-ITEM-3.
pub fn empty_request() -> ProviderProfileDiagnostic {
    error("", "", "profiles", "at least one provider profile is required".to_owned())
}

/// Every problem of every profile, each given with its source label. Nothing stops at a first problem;
/// only past 256 KiB of diagnostics are further ones dropped.
///
/// *Shape*: profiles in the given order; within one: id, credential names, discovery, each credential,
/// each endpoint, binaries; maps in key order. All of severity [`ERROR`].
/// Source: providers.md 3.3 to 3.11, V-GEN-1 to V-GEN-4.
pub fn profiles(profiles: &[(&str, &ProviderProfile)]) -> Vec<ProviderProfileDiagnostic> {
    let mut seen = BTreeSet::new();
    let mut report = Report { source: "", profile_id: "", found: Vec::new(), room: BYTES_MAX };
    for &(source, profile) in profiles {
        (report.source, report.profile_id) = (source, profile.id.trim());
        identity(profile, &mut seen, &mut report);
        credential::names(profile, &mut report);
        credential::discovery(profile, &mut report);
        credential::credentials(profile, &mut report);
        let credentialed = is_credentialed(profile);
        for (index, endpoint) in profile.endpoints.iter().enumerate() {
            endpoint::endpoint(index, endpoint, credentialed, &mut report);
        }
        for (index, binary) in profile.binaries.iter().enumerate() {
            if binary.path.trim().is_empty() {
                report.error(format!("binaries[{index}]"), "the binary has no path: give one, or remove the entry");
            }
        }
    }
    report.found
}

/// A diagnostic of severity [`ERROR`], for rules that are judged elsewhere.
pub fn error(source: &str, profile_id: &str, field: &str, message: String) -> ProviderProfileDiagnostic {
    ProviderProfileDiagnostic {
        source: source.to_owned(),
        profile_id: profile_id.to_owned(),
        field: field.to_owned(),
        message,
        severity: ERROR.to_owned(),
    }
}

/// Exactly one of V-ID-1 to V-ID-3, or none.
fn identity<'a>(profile: &'a ProviderProfile, seen: &mut BTreeSet<&'a str>, report: &mut Report<'_>) {
    if profile.id.trim().is_empty() {
        report.error("id", "the profile has no id: an id in lowercase kebab-case is required");
    } else if !id::is_canonical(&profile.id) {
        let message =
            format!("profile id {:?} is not lowercase kebab-case: use a-z, 0-9 and single hyphens", profile.id);
        report.error("id", message);
    } else if !seen.insert(&profile.id) {
        report.error("id", format!("duplicate profile id '{}' in this request: ids are unique", profile.id));
    }
}

/// Collects what is found, under the source and id of the profile that is being looked at.
struct Report<'a> {
    source: &'a str,
    profile_id: &'a str,
    found: Vec<ProviderProfileDiagnostic>,
    /// Bytes left; the diagnostic that uses up the last ones is kept.
    room: usize,
}

impl Report<'_> {
    fn error(&mut self, field: impl AsRef<str>, message: impl Into<String>) {
        if self.is_full() {
            return;
        }
        let found = error(self.source, self.profile_id, field.as_ref(), message.into());
        let bytes = [&found.source, &found.profile_id, &found.field, &found.message].map(|text| text.len());
        self.room = bytes.into_iter().fold(self.room, usize::saturating_sub);
        self.found.push(found);
    }

    /// Whether looking further is pointless. Loops whose work is not bounded by the request's size ask.
    fn is_full(&self) -> bool {
        self.room == 0
    }

    fn error_if(&mut self, wrong: bool, field: impl AsRef<str>, message: &str) {
        if wrong {
            self.error(field, message);
        }
    }
}

#[cfg(test)]
mod tests;
