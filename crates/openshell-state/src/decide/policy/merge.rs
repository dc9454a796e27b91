//! Merge operations on a sandbox's policy (`config.md` 3.6). The operations are applied to the latest revision
//! of the state decided on; who loses a race decides again, on the winner's, so both take effect.

use openshell_policy::{credentials, hash, merge, safety};
use openshell_proto::v1::PolicyMergeOperation;

use super::sandbox::{Change, Written};
use crate::decide::spec;
use crate::decision::{Call, Decision, Draft};
use crate::refusal::Refusal;

/// Decides merge operations (UC-40 to UC-46).
pub(in crate::decide) fn merge(
    call: &Call<'_>,
    mut draft: Draft,
    change: &Change<'_>,
    operations: &[PolicyMergeOperation],
) -> Result<Decision, Refusal> {
    change.enter(call, &mut draft)?;
    let operations = merge::parse(operations).map_err(refusal)?;
    merge::check_always_blocked(&operations).map_err(refusal)?;
    let members = change.members(call, &mut draft)?;
    let base = change.base(call);
    let mut policy = merge::apply(&base, &operations).map_err(refusal)?;
    credentials::clear_markers(&mut policy);
    change.keeps_static_fields(&policy)?;
    spec::policy_size("the merged policy", &policy)?;
    // Middlewares are as they were: no operation reaches them (C-18).
    let violations = safety::violations(&policy);
    if !violations.is_empty() {
        return Err(Refusal::invalid(safety::refusal(&violations)));
    }
    change.fits(call, &mut draft, &policy, &members)?;
    if !change.has_revisions(call) && policy == *base {
        let annotations = change.project(&mut draft, None, false)?;
        return Ok(Written { version: 0, policy_hash: hash::policy_hash(&policy), annotations }.answer(draft));
    }
    Ok(change.write(call, &mut draft, &members, &policy, false)?.answer(draft))
}

/// The refusal of operations that cannot be applied (UC-66).
fn refusal(error: merge::MergeError) -> Refusal {
    if error.is_invalid() { Refusal::invalid(error.to_string()) } else { Refusal::precondition(error.to_string()) }
}
