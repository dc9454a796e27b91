//! What a proposed profile would do to the sandboxes that use it (`providers.md` 5). Found
//! through the reverse indexes, so that the cost is that of the sandboxes affected.
//!
//! A departure from AS-6: a provider uses a candidate exactly when it would resolve to it. And beyond the
//! reference: no sandbox loses its configuration, nor rules without a word.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::{ambiguity, credentials};
use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic};
use openshell_providers::{environment, predicates, validate, verdict};

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
    /// Why it would be left out; empty when it is valid.
    reason: String,
}

impl<'a> Candidate<'a> {
    /// Judges it, once for all the sandboxes that use it.
    pub(super) fn new(source: &'a str, scope: &'a str, profile: Cow<'a, ProviderProfile>) -> Self {
        let reason = verdict::invalid_reason(&profile);
        Self { source, scope, profile, reason }
    }

    /// Scope and id, as a view has it.
    pub(super) fn place(&self) -> (String, String) {
        (self.scope.to_owned(), self.profile.id.clone())
    }
}

/// The diagnostics AS-D1 to D4, and ours, of storing these candidates together. `operation` begins each
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
        view.profiles.insert(candidate.place(), candidate.profile.clone());
    }
    diagnostics_in(&view, draft, operation, candidates)
}

/// As [`attached_diagnostics`], in a view that proposes these candidates, and maybe others with them.
pub(super) fn diagnostics_in(
    view: &View<'_>,
    draft: &mut Draft,
    operation: &str,
    candidates: &[Candidate<'_>],
) -> Result<Vec<ProviderProfileDiagnostic>, Refusal> {
    let state = view.state;
    draft.rely_on(state, Key::gateway_settings());
    let judge = Judge {
        operation,
        candidates,
        on: composition::is_on(state)?,
        global: composition::global_policy(state)?,
        before: View::of(state),
    };
    let mut affected = BTreeSet::new();
    for candidate in candidates {
        draft.rely_on(state, Key::profile_users(candidate.scope, &candidate.profile.id));
        affected.extend(users(view, candidate));
    }
    let mut diagnostics = Vec::new();
    for (workspace, name) in affected {
        let sandbox = state.sandbox(&workspace, &name).expect("an indexed sandbox exists").value;
        let subject = Subject::stored(state, &workspace, sandbox);
        let names = subject.providers.iter();
        // A name without a record is skipped (AS-4).
        let members: Vec<Member<'_>> = names.filter_map(|name| view.member(&workspace, name)).collect();
        composition::rely_on_profiles(draft, state, &members);
        // Keys and configuration of all of them count for the environment.
        composition::rely_on_profile_users(draft, state, &members);
        diagnostics.extend(judge.diagnostics(&subject, &members));
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

/// What candidates are judged by, the same for every sandbox.
struct Judge<'a> {
    operation: &'a str,
    candidates: &'a [Candidate<'a>],
    /// Whether provider rules are composed.
    on: bool,
    global: Option<SandboxPolicy>,
    /// The state without the candidates.
    before: View<'a>,
}

impl Judge<'_> {
    /// The diagnostics of one sandbox: per provider first, then per candidate (AS-10).
    fn diagnostics(&self, subject: &Subject<'_>, members: &[Member<'_>]) -> Vec<ProviderProfileDiagnostic> {
        let mut diagnostics = Vec::new();
        let mut used: BTreeMap<(&str, &str), &Candidate<'_>> = BTreeMap::new();
        for member in members {
            let Some(candidate) = self.candidates.iter().find(|candidate| uses(member, candidate)) else { continue };
            used.insert((candidate.source, &candidate.profile.id), candidate);
            self.secrets(candidate, subject, member, &mut diagnostics);
        }
        let composed = checks::composed(subject.base_or_empty(), members, self.on);
        let composed = composed.as_deref();
        let problems = self.problems(subject, members, composed);
        let context = match diagnostics.is_empty() && problems.is_empty() {
            true => self.context(subject, members, composed),
            false => None,
        };
        for candidate in used.into_values() {
            let mut say = |field: &str, text: String| {
                diagnostics.push(validate::error(candidate.source, &candidate.profile.id, field, text));
            };
            problems.iter().for_each(|(field, text)| say(field, text.clone()));
            let (operation, sandbox) = (self.operation, subject.name);
            if !candidate.reason.is_empty() {
                let reason = &candidate.reason;
                say(
                    "endpoints",
                    format!(
                        "{operation} would leave the profile out of sandbox {sandbox:?}, which uses it, as its rule is \
                         unsafe: {reason}"
                    ),
                );
            } else if let Some(why) = &context {
                say("endpoints", format!("{operation} would leave sandbox {sandbox:?} without a configuration: {why}"));
            }
        }
        diagnostics
    }

    /// AS-D1 and AS-D2.
    fn secrets(
        &self,
        candidate: &Candidate<'_>,
        subject: &Subject<'_>,
        member: &Member<'_>,
        diagnostics: &mut Vec<ProviderProfileDiagnostic>,
    ) {
        let usable = predicates::has_usable_endpoint(&candidate.profile);
        // A malformed binding is some policy update's to refuse, not this profile's.
        let bound =
            credentials::bindings(&subject.base_or_empty()).is_ok_and(|bindings| bindings.contains_key(&member.name));
        let (operation, provider, sandbox) = (self.operation, &member.name, subject.name);
        let mut say = |text: String| {
            diagnostics.push(validate::error(candidate.source, &candidate.profile.id, "endpoints", text));
        };
        if has_static_secret(&member.provider) && !usable && !bound {
            say(format!(
                "{operation} would leave the static credentials of provider {provider:?} without any endpoint on sandbox \
                 {sandbox:?}; keep an endpoint or bind the provider in the sandbox's policy"
            ));
        }
        if usable && bound {
            say(format!(
                "{operation} would bind provider {provider:?} twice on sandbox {sandbox:?}: by the profile's endpoints \
                 and by a credential_binding of the sandbox's policy; remove one of them"
            ));
        }
    }

    /// AS-D3 and AS-D4: field and text.
    fn problems(
        &self,
        subject: &Subject<'_>,
        members: &[Member<'_>],
        composed: Result<&SandboxPolicy, &Refusal>,
    ) -> Vec<(&'static str, String)> {
        let (operation, sandbox) = (self.operation, subject.name);
        let mut found = Vec::new();
        if let Err(explanation) = checks::token_grants(members) {
            found.push((
                "credentials.token_grant.audience_overrides",
                format!(
                    "{operation} would create ambiguous dynamic token grants on sandbox {sandbox:?}: {explanation}"
                ),
            ));
        }
        // What is too large to be composed is no configuration at all: see `lacking`.
        let composed = composed.ok().filter(|_| self.on);
        let conflicts = composed.map(ambiguity::conflicts).unwrap_or_default();
        if !conflicts.is_empty() {
            let pairs = ambiguity::refusal(&conflicts);
            found.push((
                "endpoints",
                format!("{operation} would create ambiguous network endpoints on sandbox {sandbox:?}: {pairs}"),
            ));
        }
        found
    }

    /// Why bindings and signing endpoints of the sandbox would lack what they need (EC-18), or it would be sent too
    /// much, if that is not so now.
    fn context(
        &self,
        subject: &Subject<'_>,
        members: &[Member<'_>],
        composed: Result<&SandboxPolicy, &Refusal>,
    ) -> Option<String> {
        let after = self.lacking(members, composed)?;
        let names = subject.providers.iter();
        let before: Vec<_> = names.filter_map(|name| self.before.member(subject.workspace, name)).collect();
        let composed = checks::composed(subject.base_or_empty(), &before, self.on);
        self.lacking(&before, composed.as_deref()).is_none().then_some(after)
    }

    /// In what the sandbox composes, and in the global policy while there is one: its removal brings back the other.
    fn lacking(&self, members: &[Member<'_>], composed: Result<&SandboxPolicy, &Refusal>) -> Option<String> {
        let composed = match composed {
            Ok(composed) => composed,
            Err(refusal) => return Some(refusal.message.clone()),
        };
        let fits = |policy: &SandboxPolicy| {
            checks::credential_context(policy, members).and_then(|()| checks::environment_size(policy, members))
        };
        let mut refusals = std::iter::once(composed).chain(&self.global).filter_map(|policy| fits(policy).err());
        refusals.next().map(|refusal| refusal.message)
    }
}

/// Only values kept inline count (AS-15).
fn has_static_secret(provider: &Provider) -> bool {
    provider.credentials.keys().any(|key| environment::is_injectable(&provider.r#type, key))
}
