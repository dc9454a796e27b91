//! The draft policy inbox (`config.md` appendix B): rules that a sandbox proposes, and what people decide
//! about them. What was reviewed has a token; an approval names it, is decided again on the state as it
//! then is, and is refused when anything that was reviewed has changed.

mod applied;
mod approve;
mod approve_all;
mod clear;
mod edit;
mod evaluation;
mod inbox;
mod proposal;
mod submit;
mod withdraw;
mod write;

pub use approve::approve;
pub use approve_all::approve_all;
pub use clear::clear;
pub use edit::edit;
pub use submit::submit;
pub use withdraw::{reject, undo};

use openshell_proto::v1::Sandbox;

use crate::access::{Role, workspace_or_default};
use crate::decide::{Need, enter_workspace};
use crate::decision::{Call, Draft};
use crate::key::Key;
use crate::names;
use crate::query;
use crate::refusal::Refusal;

/// Bytes of a rationale, of security notes, and of a reason.
const TEXT_MAX: usize = 8192;

/// The sandbox whose inbox a call is about.
struct Desk<'a> {
    workspace: &'a str,
    sandbox: &'a Sandbox,
    id: &'a str,
}

/// Authorises an admin in the workspace, and looks whether the fields that the call needs are there, in
/// this order. Answers the workspace's name.
fn enter<'a>(
    call: &Call<'_>,
    draft: &mut Draft,
    workspace: &'a str,
    needed: &[(&str, &str)],
) -> Result<&'a str, Refusal> {
    let workspace = workspace_or_default(workspace);
    enter_workspace(call, draft, workspace, Role::Admin, Need::Existing)?;
    for (field, value) in needed {
        if value.is_empty() {
            return Err(Refusal::invalid(format!("{field} is required")));
        }
    }
    Ok(workspace)
}

/// Finds the sandbox. The draft relies on it.
fn open<'a>(call: &Call<'a>, draft: &mut Draft, workspace: &'a str, name: &str) -> Result<Desk<'a>, Refusal> {
    let sandbox = query::sandbox::find(call.state, workspace, name)?;
    let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    draft.rely_on(call.state, Key::sandbox(workspace, name));
    Ok(Desk { workspace, sandbox, id })
}

fn bounded(field: &str, value: &str) -> Result<(), Refusal> {
    names::bounded(field, value, TEXT_MAX)
}

/// The state of a chunk does not allow what is asked.
fn wrong_status(id: &str, status: &str, allowed: &str) -> Refusal {
    Refusal::precondition(format!("draft chunk {id:?} is {status}; this needs one that is {allowed}"))
}
