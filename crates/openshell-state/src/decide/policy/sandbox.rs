//! The policy of one sandbox: set whole, and what every change of it has in common (`config.md` 3.5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_policy::{credentials, hash, reserved, static_fields};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{Sandbox, UpdateConfigResponse};

use super::{forget, next_revision_key, next_version, not_global, revision, supersede};
use crate::access::Principal;
use crate::checks;
use crate::composition::{self, Member, View};
use crate::decide::{expect_version, next_metadata, sandbox as sandboxes, spec};
use crate::decision::{Call, Decision, Draft};
use crate::effective::version_of;
use crate::key::Key;
use crate::names;
use crate::record::revision_status::PENDING;
use crate::refusal::Refusal;

/// A change of a sandbox's policy.
pub(in crate::decide) struct Change<'a> {
    pub(in crate::decide) workspace: &'a str,
    pub(in crate::decide) sandbox: &'a Sandbox,
    /// The provenance of the revision, and added to the sandbox's own.
    pub(in crate::decide) annotations: &'a BTreeMap<String, String>,
    /// The caller's expectation of the sandbox's version; 0 is none.
    pub(in crate::decide) expected_resource_version: u64,
}

/// What a change came to.
pub(in crate::decide) struct Written {
    pub(in crate::decide) version: u32,
    pub(in crate::decide) policy_hash: String,
    /// The sandbox's, all of them.
    pub(in crate::decide) annotations: BTreeMap<String, String>,
}

impl Written {
    /// The answer to `UpdateConfig`, with the draft when it changes anything.
    pub(super) fn answer(self, draft: Draft) -> Decision {
        let Written { version, policy_hash, annotations } = self;
        let response = UpdateConfigResponse { version, policy_hash, annotations, ..UpdateConfigResponse::default() };
        if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) }
    }
}

/// Decides a full policy of a sandbox (UC-23 to UC-31).
pub(in crate::decide) fn set(
    call: &Call<'_>,
    mut draft: Draft,
    change: &Change<'_>,
    policy: &SandboxPolicy,
) -> Result<Decision, Refusal> {
    change.enter(call, &mut draft)?;
    let mut policy = policy.clone();
    credentials::clear_markers(&mut policy);
    if matches!(call.principal, Principal::Sandbox { .. }) {
        reserved::strip(&mut policy);
    } else if let Some(key) = reserved::first_key(&policy) {
        return Err(Refusal::invalid(reserved::refusal(key)));
    }
    change.keeps_static_fields(&policy)?;
    spec::policy_size("policy", &policy)?;
    sandboxes::safe(&policy)?;
    let members = change.members(call, &mut draft)?;
    change.fits(call, &mut draft, &policy, &members)?;
    let backfill = change.baseline().is_none();
    Ok(change.write(call, &mut draft, &members, &policy, backfill)?.answer(draft))
}

impl<'a> Change<'a> {
    /// Records what every change relies on, and refuses it under a global policy.
    pub(super) fn enter(&self, call: &Call<'_>, draft: &mut Draft) -> Result<(), Refusal> {
        draft.rely_on(call.state, Key::sandbox(self.workspace, self.name()));
        draft.rely_on(call.state, next_revision_key(call.state, self.workspace, self.id()));
        not_global(call.state, draft)
    }

    fn name(&self) -> &'a str {
        self.sandbox.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
    }

    fn id(&self) -> &'a str {
        self.sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str())
    }

    /// What the sandbox was created with, or first had (PR-11).
    fn baseline(&self) -> Option<&'a SandboxPolicy> {
        self.sandbox.spec.as_ref()?.policy.as_ref()
    }

    /// What a change starts from: the latest revision, else the baseline, else nothing (UC-44).
    pub(super) fn base(&self, call: &Call<'a>) -> Cow<'a, SandboxPolicy> {
        let latest = call.state.latest_policy(self.workspace, self.id()).map(|entry| &entry.value.policy);
        latest.or_else(|| self.baseline()).map_or_else(Cow::default, Cow::Borrowed)
    }

    /// Whether the sandbox has any revision.
    pub(super) fn has_revisions(&self, call: &Call<'_>) -> bool {
        call.state.latest_policy(self.workspace, self.id()).is_some()
    }

    /// The sandbox's providers, with what they resolve to; each must exist.
    pub(super) fn members(&self, call: &Call<'a>, draft: &mut Draft) -> Result<Vec<Member<'a>>, Refusal> {
        let providers = self.sandbox.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
        let members = View::of(call.state).members(self.workspace, providers)?;
        composition::rely_on_profiles(draft, call.state, &members);
        Ok(members)
    }

    /// What is fixed once the sandbox has it stays (PM-41).
    pub(super) fn keeps_static_fields(&self, policy: &SandboxPolicy) -> Result<(), Refusal> {
        let violations = self.baseline().map(|baseline| static_fields::violations(baseline, policy));
        match violations.unwrap_or_default().as_slice() {
            [] => Ok(()),
            found => Err(Refusal::invalid(format!("static policy fields cannot be changed: {}", found.join("; ")))),
        }
    }

    /// The policy and the providers' rules agree, bindings and signing have what they need, and a user lets no
    /// credential go uninspected (UC-26, UC-27, UC-44).
    pub(super) fn fits(
        &self,
        call: &Call<'_>,
        draft: &mut Draft,
        policy: &SandboxPolicy,
        members: &[Member<'_>],
    ) -> Result<(), Refusal> {
        if !credentials::bindings(policy).map_err(Refusal::invalid)?.is_empty() {
            // What they add to the environment depends on how many keys the providers have.
            composition::rely_on_providers(draft, call.state, self.workspace, members);
            checks::environment_size(policy, members)?;
        }
        let composed = checks::composed(Cow::Borrowed(policy), members, composition::is_on(call.state)?)?;
        checks::endpoint_ambiguity(&composed)?;
        checks::credential_context(&composed, members)?;
        match call.principal {
            Principal::User(_) | Principal::Cluster => checks::uninspected(&composed, members),
            Principal::Sandbox { .. } | Principal::Anonymous => Ok(()),
        }
    }

    /// The policy as the sandbox's next revision, unless the latest is the same, by content and provenance; and
    /// the annotations, with the policy as baseline if `backfill`, on the sandbox (PR-3, UC-29, UC-45).
    pub(in crate::decide) fn write(
        &self,
        call: &Call<'_>,
        draft: &mut Draft,
        members: &[Member<'_>],
        policy: &SandboxPolicy,
        backfill: bool,
    ) -> Result<Written, Refusal> {
        let policy_hash = hash::policy_hash(policy);
        let latest = call.state.latest_policy(self.workspace, self.id());
        let same = latest.filter(|latest| {
            latest.value.stored.policy_hash == policy_hash && latest.value.stored.provenance == *self.annotations
        });
        let expected = same.is_none();
        let annotations = self.project(draft, backfill.then_some(policy), expected)?;
        if let Some(latest) = same {
            return Ok(Written { version: version_of(&latest.value.stored), policy_hash, annotations });
        }
        let version = next_version(latest);
        let next = revision(call, self.id(), version, policy, &policy_hash, PENDING, self.annotations);
        draft.put(&Key::policy_revision(self.workspace, self.id(), version), &next);
        let current = self.sandbox.status.as_ref().map_or(0, |status| status.current_policy_version);
        supersede(call.state, draft, self.workspace, self.id(), current);
        forget(call.state, draft, self.workspace, self.id(), &next, current);
        if version == 1 {
            draft.touch(Key::workspace_contents(self.workspace));
        }
        composition::touch_users(draft, members);
        Ok(Written { version, policy_hash, annotations })
    }

    /// Adds the request's annotations to the sandbox, and a baseline when one is given (PR-3 c, d, e). The
    /// caller's expectation counts when that changes the sandbox, and whenever `expected` says so. Answers all
    /// annotations.
    pub(super) fn project(
        &self,
        draft: &mut Draft,
        baseline: Option<&SandboxPolicy>,
        expected: bool,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let mut after = self.sandbox.clone();
        if let Some(baseline) = baseline {
            after.spec.get_or_insert_default().policy = Some(baseline.clone());
        }
        let metadata = after.metadata.get_or_insert_default();
        let annotations = names::merged_annotations(&metadata.annotations, self.annotations)?;
        metadata.annotations.clone_from(&annotations);
        let changed = after != *self.sandbox;
        if changed || expected {
            let current = self.sandbox.metadata.as_ref().map_or(0, |metadata| metadata.resource_version);
            expect_version(&format!("sandbox {:?}", self.name()), self.expected_resource_version, current)?;
        }
        if changed {
            after.metadata = Some(next_metadata(after.metadata.as_ref()));
            draft.put(&Key::sandbox(self.workspace, self.name()), &after);
        }
        Ok(annotations)
    }
}
