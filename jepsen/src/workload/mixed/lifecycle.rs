//! A sandbox that is stopped and started. Only one that is READY is stopped, and it is READY while somebody follows the
//! cluster in its place: so somebody does, from before the first stop to the end. No other message names it.

use openshell_proto::v1::{StartSandboxRequest, StopSandboxRequest};
use openshell_sync::NoHook;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use super::message::transcoded;
use crate::workload::client::Client;
use crate::workload::followed::{FOLLOW, Followed, Problems};

/// Its name.
pub(super) const FOLLOWED: &str = "kept-followed";

/// Follows in its place until the clients stop.
pub(super) async fn follow(mut client: Client, sandbox: Followed) -> anyhow::Result<()> {
    let sync = sandbox.start(&mut client, NoHook).await?;
    let (mut status, note, end) = (sync.status(), client.notes(FOLLOW), client.shared.end());
    let mut problems = Problems::default();
    while let Ok(Ok(())) = timeout_at(end, status.changed()).await {
        let problem = status.borrow_and_update().problem.clone();
        problems.told(problem).into_iter().for_each(&note);
    }
    // Without it every stop would be refused, and nobody would know why.
    anyhow::ensure!(Instant::now() >= end, "the library that follows for {} ended by itself", sandbox.name);
    sync.stop().await;
    Ok(())
}

/// A request to stop or start it; none of any other type.
pub(super) fn request(workspace: &str, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
    let (name, workspace) = (FOLLOWED.to_owned(), workspace.to_owned());
    match descriptor.full_name() {
        "openshell.v1.StopSandboxRequest" => transcoded(&StopSandboxRequest { name, workspace }, descriptor),
        "openshell.v1.StartSandboxRequest" => transcoded(&StartSandboxRequest { name, workspace }, descriptor),
        _ => None,
    }
}

/// Whether a refusal to stop it is right: nobody has been heard of in its place, at first, or for longer than the grace; or
/// it was started and nobody has been heard of since. One that is stopped is not refused.
pub(super) fn may_not_stop(refusal: &Status) -> bool {
    is_in(refusal, &["PROVISIONING", "STARTING"])
}

/// Whether a refusal to start it is right: it was not stopped, and nobody is heard of. One that runs or is started already
/// is not refused.
pub(super) fn may_not_start(refusal: &Status) -> bool {
    is_in(refusal, &["PROVISIONING"])
}

/// Whether it is refused for one of these phases.
fn is_in(refusal: &Status, phases: &[&str]) -> bool {
    let says = |phase: &&str| refusal.message().contains(&format!("is {phase} and cannot be "));
    refusal.code() == Code::FailedPrecondition && phases.iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_not_there_is_neither_stopped_nor_started() {
        let refusal = |phase: &str| {
            let said = format!("sandbox \"{FOLLOWED}\" is {phase} and cannot be stopped; it has to be READY first");
            Status::failed_precondition(said)
        };
        let right = |phase: &str| (may_not_stop(&refusal(phase)), may_not_start(&refusal(phase)));
        assert_eq!(right("PROVISIONING"), (true, true));
        assert_eq!(right("STARTING"), (true, false));
        for phase in ["READY", "STOPPED", "STOPPING", "ERROR", "DELETING", "UNKNOWN", "UNSPECIFIED"] {
            assert_eq!(right(phase), (false, false), "{phase}");
        }
        let of_another_code = Status::not_found(refusal("PROVISIONING").message());
        assert!(!may_not_stop(&of_another_code) && !may_not_start(&of_another_code));
    }
}
