//! Attaching providers to a sandbox and detaching them (`config.md` 1.3).

use openshell_proto::v1::{
    AttachSandboxProviderRequest, AttachSandboxProviderResponse, DetachSandboxProviderRequest,
    DetachSandboxProviderResponse, Sandbox,
};

use crate::access::{Role, workspace_or_default};
use crate::checks;
use crate::composition::{self, Member, Subject, View};
use crate::decide::spec::{self, PROVIDERS_MAX};
use crate::decide::{Need, enter_workspace, expect_version, next_metadata, policy, sandbox};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::names;
use crate::query;
use crate::refusal::Refusal;

/// Decides an attachment. The record is written even when the provider was attached before,
/// as released clients expect (SR-33).
///
/// # Errors
/// A refusal about the caller, the workspace, a name, the resulting set of providers or the
/// policy they compose to; `ABORTED` when the caller's expected version does not hold.
pub fn attach(call: Call<'_>, request: &AttachSandboxProviderRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::User, Need::Active)?;
    provider_name(&request.provider_name)?;
    View::of(call.state).members(workspace, std::slice::from_ref(&request.provider_name))?;
    let before = query::sandbox::find(call.state, workspace, &request.sandbox_name)?;
    let listed = before.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
    let attached = !listed.contains(&request.provider_name);
    if attached && listed.len() >= PROVIDERS_MAX {
        return Err(Refusal::invalid(format!(
            "sandbox {:?} already lists {} providers; at most {PROVIDERS_MAX} are allowed",
            request.sandbox_name,
            listed.len()
        )));
    }
    let mut providers = without_repetition(listed);
    if attached {
        providers.push(request.provider_name.clone());
    }
    let change = Change { workspace, before, providers, expected: request.expected_resource_version };
    let mut spec = before.spec.clone().unwrap_or_default();
    spec.providers.clone_from(&change.providers);
    spec::check(&spec)?;
    let members = change.check(&call, &mut draft)?;
    composition::rely_on_providers(&mut draft, call.state, workspace, &members);
    checks::environment_keys(&members, call.stamp.time_ms)?;
    change.preflight(&call, &members, true)?;
    let sandbox = change.write(&call, &mut draft, &members)?;
    Ok(draft.answer(&AttachSandboxProviderResponse { sandbox: Some(sandbox), attached }))
}

/// Decides a detachment. The provider itself need not exist any more (SR-34).
///
/// # Errors
/// As [`attach`]; `FAILED_PRECONDITION` when the sandbox's policy binds the provider.
pub fn detach(call: Call<'_>, request: &DetachSandboxProviderRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::User, Need::Existing)?;
    provider_name(&request.provider_name)?;
    let before = query::sandbox::find(call.state, workspace, &request.sandbox_name)?;
    let listed = before.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
    let detached = listed.contains(&request.provider_name);
    let providers = if detached {
        let mut rest = without_repetition(listed);
        rest.retain(|name| *name != request.provider_name);
        rest
    } else {
        listed.to_vec()
    };
    let change = Change { workspace, before, providers, expected: request.expected_resource_version };
    let members = change.check(&call, &mut draft)?;
    change.preflight(&call, &members, false)?;
    let sandbox = change.write(&call, &mut draft, &members)?;
    Ok(draft.answer(&DetachSandboxProviderResponse { sandbox: Some(sandbox), detached }))
}

fn provider_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid("provider_name is required"));
    }
    names::bounded("provider_name", name, names::NAME_MAX)
}

/// The names in order, later repetitions left out.
fn without_repetition(names: &[String]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect()
}

/// A sandbox that is to list other providers than before.
struct Change<'a> {
    workspace: &'a str,
    before: &'a Sandbox,
    providers: Vec<String>,
    expected: u64,
}

impl Change<'_> {
    /// The resulting members, with everything relied on recorded.
    fn check<'s>(&self, call: &Call<'s>, draft: &mut Draft) -> Result<Vec<Member<'s>>, Refusal> {
        let state = call.state;
        let metadata = self.before.metadata.as_ref();
        let (id, name) = metadata.map_or(("", ""), |metadata| (metadata.id.as_str(), metadata.name.as_str()));
        draft.rely_on(state, Key::sandbox(self.workspace, name));
        draft.rely_on(state, policy::next_revision_key(state, self.workspace, id));
        draft.rely_on(state, Key::gateway_settings());
        let members = View::of(state).members(self.workspace, &self.providers)?;
        composition::rely_on_profiles(draft, state, &members);
        Ok(members)
    }

    /// The composed policy is unambiguous and its credentials are bound and, on attach,
    /// inspected (SR-31, SR-32). What is attached leaves a policy that is safe to run.
    fn preflight(&self, call: &Call<'_>, members: &[Member<'_>], inspected: bool) -> Result<(), Refusal> {
        let subject = Subject::stored(call.state, self.workspace, self.before);
        let on = composition::is_on(call.state)?;
        let base = subject.base_or_empty();
        // What is detached makes nothing larger, and may be the way back to less.
        let composed = match inspected {
            true => checks::composed(base, members, on)?,
            false => checks::composed_of_any_size(base, members, on),
        };
        checks::endpoint_ambiguity(&composed)?;
        checks::credential_context(&composed, members)?;
        if inspected {
            checks::environment_size(&composed, members)?;
            checks::safe(&composed)?;
            let global = composition::global_policy(call.state)?;
            checks::uninspected(global.as_ref().unwrap_or(&composed), members)?;
        }
        Ok(())
    }

    /// Writes the sandbox and touches the fences of those who relied on the old list or the new.
    fn write(&self, call: &Call<'_>, draft: &mut Draft, members: &[Member<'_>]) -> Result<Sandbox, Refusal> {
        let metadata = self.before.metadata.as_ref();
        let (name, current) = metadata.map_or(("", 0), |metadata| (metadata.name.as_str(), metadata.resource_version));
        expect_version(&format!("sandbox {name:?}"), self.expected, current)?;
        let mut spec = self.before.spec.clone().unwrap_or_default();
        spec.providers.clone_from(&self.providers);
        let after =
            Sandbox { metadata: Some(next_metadata(metadata)), spec: Some(spec), status: self.before.status.clone() };
        draft.put(&Key::sandbox(self.workspace, name), &after);
        let view = View::of(call.state);
        let listed = self.before.spec.iter().flat_map(|spec| &spec.providers);
        let before: Vec<_> = listed.filter_map(|name| view.member(self.workspace, name)).collect();
        sandbox::touch(draft, self.workspace, &before);
        sandbox::touch(draft, self.workspace, members);
        Ok(after)
    }
}
