//! What a proposed profile would do to the sandboxes that use it (`providers.md` 5). Found
//! through the reverse indexes, so that the cost is that of the sandboxes affected.
//!
//! A departure from AS-6: a provider uses a candidate exactly when it would resolve to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::{ambiguity, credentials};
use openshell_proto::datamodel::Provider;
use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic};
use openshell_providers::{environment, predicates, validate};

use crate::checks;
use crate::composition::{self, Member, Subject, View};
use crate::decision::Draft;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;

/// A profile that would be stored.
#[derive(Clone)]
pub(super) struct Candidate<'a> {
    /// Label of the item in diagnostics.
    pub(super) source: &'a str,
    /// Where it would be stored: a workspace, or empty for the platform.
    pub(super) scope: &'a str,
    pub(super) profile: Cow<'a, ProviderProfile>,
}

/// The diagnostics AS-D1 to D4 of storing these candidates together. `operation` begins each
/// text. Records everything relied on: who uses the candidates, what else those sandboxes
/// compose with, and whether composition is on.
pub(super) fn attached_diagnostics<'a>(
    state: &'a State,
    draft: &mut Draft,
    operation: &str,
    candidates: &'a [Candidate<'a>],
) -> Result<Vec<ProviderProfileDiagnostic>, Refusal> {
    let mut view = View::of(state);
    for candidate in candidates {
        let key = (candidate.scope.to_owned(), candidate.profile.id.clone());
        view.profiles.insert(key, candidate.profile.clone());
    }
    draft.rely_on(state, Key::gateway_settings());
    let on = composition::is_on(state)?;
    let mut affected = BTreeSet::new();
    for candidate in candidates {
        draft.rely_on(state, Key::profile_users(candidate.scope, &candidate.profile.id));
        affected.extend(users(&view, candidate));
    }
    let mut diagnostics = Vec::new();
    for (workspace, name) in affected {
        let sandbox = state.sandbox(&workspace, &name).expect("an indexed sandbox exists").value;
        let subject = Subject::stored(state, &workspace, sandbox);
        let names = subject.providers.iter();
        // A name without a record is skipped (AS-4).
        let members: Vec<Member<'_>> = names.filter_map(|name| view.member(&workspace, name)).collect();
        composition::rely_on_profiles(draft, state, &members);
        diagnostics.extend(judge(operation, candidates, &subject, &members, on));
    }
    Ok(diagnostics)
}

/// (workspace, sandbox) of every sandbox that lists a provider which would resolve to the candidate.
fn users(view: &View<'_>, candidate: &Candidate<'_>) -> BTreeSet<(String, String)> {
    let mut users = BTreeSet::new();
    for (workspace, name) in view.state.providers_of_profile(&candidate.profile.id) {
        let Some(member) = view.member(workspace, name) else { continue };
        if uses(&member, candidate) {
            let sandboxes = view.state.sandboxes_listing(workspace, name);
            users.extend(sandboxes.map(|sandbox| (workspace.to_string(), sandbox.to_string())));
        }
    }
    users
}

fn uses(member: &Member<'_>, candidate: &Candidate<'_>) -> bool {
    member.resolved.as_ref().is_some_and(|resolved| {
        resolved.proposed && resolved.workspace == candidate.scope && resolved.id == candidate.profile.id
    })
}

/// The diagnostics of one sandbox: per provider first, then per candidate (AS-10).
fn judge(
    operation: &str,
    candidates: &[Candidate<'_>],
    subject: &Subject<'_>,
    members: &[Member<'_>],
    on: bool,
) -> Vec<ProviderProfileDiagnostic> {
    let mut diagnostics = Vec::new();
    let mut used: BTreeMap<(&str, &str), &Candidate<'_>> = BTreeMap::new();
    let base = subject.base_or_empty();
    let sandbox = subject.name;
    for member in members {
        let Some(candidate) = candidates.iter().find(|candidate| uses(member, candidate)) else { continue };
        used.insert((candidate.source, &candidate.profile.id), candidate);
        let usable = predicates::has_usable_endpoint(&candidate.profile);
        // A malformed binding is some policy update's to refuse, not this profile's.
        let bound = credentials::bindings(&base).is_ok_and(|bindings| bindings.contains_key(&member.name));
        let provider = &member.name;
        let say = |field: &str, text: String| validate::error(candidate.source, &candidate.profile.id, field, text);
        if has_static_secret(&member.provider) && !usable && !bound {
            diagnostics.push(say(
                "endpoints",
                format!(
                    "{operation} would leave the static credentials of provider {provider:?} without any endpoint on \
                     sandbox {sandbox:?}; keep an endpoint or bind the provider in the sandbox's policy"
                ),
            ));
        }
        if usable && bound {
            diagnostics.push(say(
                "endpoints",
                format!(
                    "{operation} would bind provider {provider:?} twice on sandbox {sandbox:?}: by the profile's endpoints \
                     and by a credential_binding of the sandbox's policy; remove one of them"
                ),
            ));
        }
    }
    let grants = checks::token_grants(members).err();
    let conflicts = if on { ambiguity::conflicts(&checks::composed(&base, members, true)) } else { Vec::new() };
    for candidate in used.into_values() {
        let say = |field: &str, text: String| validate::error(candidate.source, &candidate.profile.id, field, text);
        if let Some(explanation) = &grants {
            diagnostics.push(say(
                "credentials.token_grant.audience_overrides",
                format!(
                    "{operation} would create ambiguous dynamic token grants on sandbox {sandbox:?}: {explanation}"
                ),
            ));
        }
        if !conflicts.is_empty() {
            diagnostics.push(say(
                "endpoints",
                format!(
                    "{operation} would create ambiguous network endpoints on sandbox {sandbox:?}: {}",
                    ambiguity::refusal(&conflicts)
                ),
            ));
        }
    }
    diagnostics
}

/// Only values kept inline count (AS-15).
fn has_static_secret(provider: &Provider) -> bool {
    provider.credentials.keys().any(|key| environment::is_injectable(&provider.r#type, key))
}
