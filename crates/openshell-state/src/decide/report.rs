//! What a sandbox reports about itself: what became of a policy revision (`config.md` PR-8, PR-9), and that
//! its main process has ended (SR-43). One entry each. A report that says nothing new writes nothing, so
//! that it may come any number of times; one that comes late counts all the same (C-10).

use openshell_proto::v1::{
    PolicyStatus, ReportMainProcessExitRequest, ReportMainProcessExitResponse, ReportPolicyStatusRequest,
    ReportPolicyStatusResponse, Sandbox, SandboxStatus, StoredPolicyRevision,
};

use crate::access::Principal;
use crate::decide::lifecycle;
use crate::decision::{Call, Decision, Draft};
use crate::effective::version_of;
use crate::key::Key;
use crate::phase;
use crate::query;
use crate::record::revision_status::{FAILED, LOADED, SUPERSEDED};
use crate::refusal::Refusal;

/// As much as is kept of why a policy did not load, bytes.
const LOAD_ERROR_MAX: usize = 8192;

/// Decides a report about a policy revision.
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox; `INVALID_ARGUMENT` about the version or the status; `NOT_FOUND`
/// when the sandbox has no such revision.
pub fn policy_status(call: Call<'_>, request: &ReportPolicyStatusRequest) -> Result<Decision, Refusal> {
    own(&call, &request.sandbox_id)?;
    if request.version == 0 {
        return Err(Refusal::invalid("version is required: 0 is no revision"));
    }
    let loaded = match request.status() {
        PolicyStatus::Loaded => true,
        PolicyStatus::Failed => false,
        PolicyStatus::Unspecified | PolicyStatus::Pending | PolicyStatus::Superseded => {
            return Err(Refusal::invalid("status must be LOADED or FAILED"));
        }
    };
    let (key, sandbox) = query::sandbox::of_principal(call.state, call.principal)?;
    let workspace = &*key.workspace;
    let Some(entry) = call.state.policy_revision(workspace, &request.sandbox_id, request.version) else {
        return Err(Refusal::not_found(format!("policy revision {} does not exist", request.version)));
    };
    let report = Report { call: &call, workspace, sandbox, reported: &entry.value.stored };
    let mut draft = Draft::new();
    draft.rely_on(call.state, Key::policy_revision(workspace, &request.sandbox_id, request.version));
    if loaded {
        report.loaded(&mut draft)
    } else {
        report.failed(&mut draft, &request.load_error)
    }
    let response = ReportPolicyStatusResponse {};
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

/// Decides a report that the main process has ended.
///
/// # Errors
/// `INVALID_ARGUMENT` when an id is missing; `PERMISSION_DENIED` for another sandbox. Nothing else is
/// refused: what a report is about may be gone.
pub fn main_process_exit(call: Call<'_>, request: &ReportMainProcessExitRequest) -> Result<Decision, Refusal> {
    for (field, value) in [("sandbox_id", &request.sandbox_id), ("instance_id", &request.instance_id)] {
        if value.is_empty() {
            return Err(Refusal::invalid(format!("{field} is required")));
        }
    }
    own(&call, &request.sandbox_id)?;
    let response = ReportMainProcessExitResponse {};
    let Some((key, entry)) = call.state.sandbox_by_id(&request.sandbox_id) else {
        return Ok(Decision::answer(&response));
    };
    let before = lifecycle::status(entry.value);
    let Some(after) = phase::exited(&before, &request.instance_id, request.exit_code, call.stamp.time_ms) else {
        return Ok(Decision::answer(&response));
    };
    let mut draft = Draft::new();
    draft.rely_on(call.state, key.clone());
    lifecycle::put(&mut draft, &key.workspace, entry.value, after);
    Ok(draft.answer(&response))
}

/// The caller is the sandbox that it reports about (AU-12); whether it exists is asked later.
fn own(call: &Call<'_>, sandbox_id: &str) -> Result<(), Refusal> {
    match call.principal {
        Principal::Sandbox { id } if id == sandbox_id => Ok(()),
        Principal::Sandbox { .. } => Err(Refusal::denied("a sandbox may only report about itself")),
        Principal::Anonymous | Principal::User(_) | Principal::Cluster => {
            query::sandbox::of_principal(call.state, call.principal).map(drop)
        }
    }
}

/// A report about one revision of a sandbox.
struct Report<'a> {
    call: &'a Call<'a>,
    workspace: &'a str,
    sandbox: &'a Sandbox,
    reported: &'a StoredPolicyRevision,
}

impl Report<'_> {
    /// The revision is what the sandbox enforces: status, everything superseded by it, and the sandbox's
    /// current version together.
    ///
    /// A newer revision that was loaded is superseded as well, so that one is loaded at a time: otherwise a
    /// sandbox could report so many that superseding them all is more than one entry holds, and nobody could
    /// change its policy any more.
    fn loaded(&self, draft: &mut Draft) {
        let (state, reported) = (self.call.state, self.reported);
        let version = version_of(reported);
        let before = lifecycle::status(self.sandbox);
        // No other can be: what is loaded is current, and what is pending is the latest (`policy::supersede`).
        let other = state
            .policy_revision(self.workspace, &reported.sandbox_id, before.current_policy_version.max(1))
            .map(|entry| &entry.value.stored)
            .filter(|other| other.version != reported.version && other.status == LOADED);
        let is_known = reported.status == LOADED && reported.load_error.is_none();
        if is_known && other.is_none() && before.current_policy_version == version {
            return;
        }
        let key = |stored| Key::policy_revision(self.workspace, &reported.sandbox_id, version_of(stored));
        let loaded = StoredPolicyRevision {
            status: LOADED.to_owned(),
            load_error: None,
            loaded_at_ms: Some(self.call.stamp.time_ms),
            ..reported.clone()
        };
        draft.put(&key(reported), &loaded);
        if let Some(other) = other {
            draft.rely_on(state, key(other));
            draft.put(&key(other), &StoredPolicyRevision { status: SUPERSEDED.to_owned(), ..other.clone() });
        }
        // Written also when the version is the same: that wakes who watches the sandbox.
        draft.rely_on(state, Key::sandbox(self.workspace, self.name()));
        let status = SandboxStatus { current_policy_version: version, ..before };
        lifecycle::put(draft, self.workspace, self.sandbox, status);
    }

    /// The revision could not be loaded. What it had superseded stays superseded, and the current version
    /// still names what the sandbox enforces (PR-9).
    fn failed(&self, draft: &mut Draft, load_error: &str) {
        let kept = &load_error[..load_error.floor_char_boundary(LOAD_ERROR_MAX)];
        let failed = StoredPolicyRevision {
            status: FAILED.to_owned(),
            load_error: (!kept.is_empty()).then(|| kept.to_owned()),
            loaded_at_ms: None,
            ..self.reported.clone()
        };
        if failed != *self.reported {
            let version = version_of(self.reported);
            draft.put(&Key::policy_revision(self.workspace, &self.reported.sandbox_id, version), &failed);
        }
    }

    fn name(&self) -> &str {
        self.sandbox.metadata.as_ref().map_or("", |metadata| &metadata.name)
    }
}
