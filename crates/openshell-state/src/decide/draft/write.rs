//! What decisions about drafts do to a sandbox's policy: one more revision, without provenance and without
//! a change of the sandbox's record (`config.md` DC-9), in the entry of the decision.

use std::collections::BTreeMap;

use openshell_policy::hash;
use openshell_proto::sandbox::SandboxPolicy;

use crate::decide::draft::Desk;
use crate::decide::draft::evaluation::Evaluator;
use crate::decide::policy::Change;
use crate::decision::{Call, Draft};
use crate::effective::version_of;
use crate::refusal::Refusal;

/// The revision that a decision leaves a sandbox with.
pub(super) struct Written {
    /// 0 when the sandbox has no revision.
    pub(super) version: u32,
    /// Of the sandbox's own policy; empty when it has none.
    pub(super) hash: String,
}

/// The revision as it is.
pub(super) fn latest(call: &Call<'_>, desk: &Desk<'_>) -> Written {
    match call.state.latest_policy(desk.workspace, desk.id) {
        Some(latest) => {
            let stored = &latest.value.stored;
            Written { version: version_of(stored), hash: stored.policy_hash.clone() }
        }
        None => {
            let own = desk.sandbox.spec.as_ref().and_then(|spec| spec.policy.as_ref());
            Written { version: 0, hash: own.map(hash::policy_hash).unwrap_or_default() }
        }
    }
}

/// Writes a policy as the sandbox's newest revision, unless it is the newest already.
///
/// Refuses nothing that callers could cause: neither annotations nor a version are expected.
pub(super) fn revision(
    call: &Call<'_>,
    draft: &mut Draft,
    desk: &Desk<'_>,
    evaluator: &Evaluator<'_>,
    policy: &SandboxPolicy,
) -> Result<Written, Refusal> {
    let before = latest(call, desk);
    if before.version > 0 && before.hash == hash::policy_hash(policy) {
        return Ok(before);
    }
    let nothing = BTreeMap::new();
    let Desk { workspace, sandbox, .. } = *desk;
    let change = Change { workspace, sandbox, annotations: &nothing, expected_resource_version: 0 };
    let written = change.write(call, draft, evaluator.members(), policy, false)?;
    Ok(Written { version: written.version, hash: written.policy_hash })
}
