//! `ImportProviderProfiles`: creates several profiles, all or none (`providers.md` 4.2).

use std::borrow::Cow;

use openshell_chaos::{Bug, bug};
use openshell_proto::v1::{ImportProviderProfilesRequest, ImportProviderProfilesResponse, ProviderProfileDiagnostic};
use openshell_providers::validate;

use crate::decide::profile::attached::{Candidate, attached_diagnostics};
use crate::decide::profile::{accepted, answered, conflicts, enter_scope, has_error, stored_payload};
use crate::decide::{Need, new_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::refusal::Refusal;

/// Decides an import.
///
/// # Errors
/// A refusal about the caller or the workspace. What is wrong with a profile is a diagnostic
/// in the answer, and nothing is written.
pub fn import(call: Call<'_>, request: &ImportProviderProfilesRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let scope = request.workspace.as_str();
    enter_scope(&call, &mut draft, scope, Need::Active)?;
    let mut diagnostics = validate::items(&request.profiles);
    if request.profiles.is_empty() && diagnostics.is_empty() {
        diagnostics.push(validate::empty_request());
    }
    let profiles: Vec<_> = request
        .profiles
        .iter()
        .filter_map(|item| Some((item.source.clone(), stored_payload(item.profile.clone()?))))
        .collect();
    diagnostics.extend(conflicts(call.state, &mut draft, scope, &profiles));
    let sources: Vec<_> = profiles.iter().map(|(source, profile)| (source.as_str(), profile)).collect();
    diagnostics.extend(validate::profiles(&sources));
    if !has_error(&diagnostics) {
        let candidates: Vec<_> =
            profiles.iter().map(|(source, profile)| Candidate::new(source, scope, Cow::Borrowed(profile))).collect();
        diagnostics.extend(attached_diagnostics(call.state, &mut draft, "import", &candidates)?);
    }
    if has_error(&diagnostics) {
        return Ok(refused(diagnostics));
    }
    let mut imported = Vec::with_capacity(profiles.len());
    for (_, profile) in profiles {
        let key = Key::profile(scope, &profile.id);
        let metadata = new_metadata(&call, scope, &profile.id);
        let stored = accepted(metadata, profile, false);
        draft.put(&key, &stored);
        imported.push(answered(&stored));
    }
    if bug(Bug::TornImport) && imported.len() > 1 && call.state.revision().is_multiple_of(4) {
        draft.writes.pop();
    }
    if !scope.is_empty() {
        draft.touch(Key::workspace_contents(scope));
    }
    draft.touch(Key::composition());
    Ok(draft.answer(&ImportProviderProfilesResponse { diagnostics, profiles: imported, imported: true }))
}

fn refused(diagnostics: Vec<ProviderProfileDiagnostic>) -> Decision {
    Decision::answer(&ImportProviderProfilesResponse { diagnostics, profiles: Vec::new(), imported: false })
}
