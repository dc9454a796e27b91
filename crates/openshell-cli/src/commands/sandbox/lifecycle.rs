//! `openshell sandbox stop` and `start`: the call, and then what the gateway tells until the sandbox is where
//! it is to be.

use std::time::Duration;

use openshell_client::{CallError, CallOptions, methods};
use openshell_proto::v1::{
    Sandbox, SandboxPhase, SandboxStatus, StartSandboxRequest, StopSandboxRequest, WatchSandboxRequest,
    sandbox_stream_event,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::show;
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::global::DURATION_MAX;

const WAIT_SECONDS: u64 = 300;
/// Before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_millis(200);

/// `openshell sandbox stop`.
pub(super) async fn stop(name: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    let request = StopSandboxRequest { name: name.clone(), workspace: session.workspace.clone() };
    let reply = session.write(&methods::STOP_SANDBOX, request).await?;
    reached(&session, required(reply.sandbox, "sandbox")?, SandboxPhase::Stopped).await?;
    context.console.done(&format!("Stopped sandbox {name}"));
    Ok(())
}

/// `openshell sandbox start`.
pub(super) async fn start(name: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    let request = StartSandboxRequest { name: name.clone(), workspace: session.workspace.clone() };
    let reply = session.write(&methods::START_SANDBOX, request).await?;
    reached(&session, required(reply.sandbox, "sandbox")?, SandboxPhase::Ready).await?;
    context.console.done(&format!("Started sandbox {name}"));
    Ok(())
}

/// Returns once the sandbox is in this phase. A watch that breaks is begun again, at another node if there
/// is one.
async fn reached(session: &Session, mut sandbox: Sandbox, wanted: SandboxPhase) -> Result<(), Failure> {
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    let asked = WatchSandboxRequest { id: metadata.id, follow_status: true, ..WatchSandboxRequest::default() };
    let (method, options) = (methods::WATCH_SANDBOX, CallOptions::default());
    let limit = limit(std::env::var("OPENSHELL_LIFECYCLE_TIMEOUT").ok().as_deref());
    let deadline = Instant::now() + limit;
    let gone = || Failure::new(format!("sandbox {} was deleted meanwhile", metadata.name));
    while !arrived(&sandbox, wanted)? {
        let late = late(&metadata.name, &sandbox, limit);
        let opened = timeout_at(deadline, session.client.stream(&method, asked.clone(), &options));
        let mut events = match opened.await.map_err(|_| late.clone())? {
            Ok(events) => events,
            Err(CallError::Refused(status)) if status.code() == tonic::Code::NotFound => return Err(gone()),
            Err(error @ CallError::Refused(_)) => return Err(error.into()),
            Err(_) => {
                timeout_at(deadline, sleep(Duration::from_secs(1))).await.map_err(|_| late)?;
                continue;
            }
        };
        while !arrived(&sandbox, wanted)? {
            match timeout_at(deadline, events.message()).await.map_err(|_| late.clone())? {
                Ok(Some(event)) => {
                    if let Some(sandbox_stream_event::Payload::Sandbox(shown)) = event.payload {
                        sandbox = shown;
                    }
                }
                Ok(None) => return Err(gone()),
                Err(_) => {
                    timeout_at(deadline, sleep(PAUSE)).await.map_err(|_| late)?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether it is there; a failure when it will not get there any more.
fn arrived(sandbox: &Sandbox, wanted: SandboxPhase) -> Result<bool, Failure> {
    let status = sandbox.status.clone().unwrap_or_default();
    match status.phase() {
        phase if phase == wanted => Ok(true),
        SandboxPhase::Error | SandboxPhase::Deleting => {
            let name = sandbox.metadata.as_ref().map_or("", |metadata| &metadata.name);
            Err(Failure::new(format!("sandbox {name} is {}{}", show::phase(sandbox), why(&status))))
        }
        SandboxPhase::Unspecified
        | SandboxPhase::Provisioning
        | SandboxPhase::Ready
        | SandboxPhase::Unknown
        | SandboxPhase::Stopping
        | SandboxPhase::Stopped
        | SandboxPhase::Starting => Ok(false),
    }
}

fn late(name: &str, sandbox: &Sandbox, limit: Duration) -> Failure {
    let why = why(&sandbox.status.clone().unwrap_or_default());
    Failure::new(format!("sandbox {name} is still {} after {} s{why}", show::phase(sandbox), limit.as_secs()))
}

/// What the gateway says of a sandbox that is not ready.
fn why(status: &SandboxStatus) -> String {
    let unready = status.conditions.iter().find(|condition| condition.r#type == "Ready" && condition.status == "False");
    unready.map(|condition| format!(" ({}: {})", condition.reason, condition.message)).unwrap_or_default()
}

/// A number of seconds; more than a week counts as one.
fn limit(variable: Option<&str>) -> Duration {
    let seconds = Duration::from_secs(variable.and_then(|text| text.parse().ok()).unwrap_or(WAIT_SECONDS));
    seconds.min(DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openshell_proto::v1::{Sandbox, SandboxCondition, SandboxPhase, SandboxStatus};

    use super::{arrived, late, limit};

    fn at(phase: SandboxPhase) -> Sandbox {
        let condition = SandboxCondition {
            r#type: "Ready".into(),
            status: "False".into(),
            reason: "Starting".into(),
            message: "the sandbox is starting".into(),
            ..SandboxCondition::default()
        };
        let status = SandboxStatus { phase: phase.into(), conditions: vec![condition], ..SandboxStatus::default() };
        Sandbox { status: Some(status), ..Sandbox::default() }
    }

    #[test]
    fn only_an_error_and_an_end_are_worth_no_waiting() {
        assert_eq!(arrived(&at(SandboxPhase::Ready), SandboxPhase::Ready), Ok(true));
        assert_eq!(arrived(&at(SandboxPhase::Starting), SandboxPhase::Ready), Ok(false));
        for phase in [SandboxPhase::Error, SandboxPhase::Deleting] {
            assert!(arrived(&at(phase), SandboxPhase::Ready).is_err(), "{phase:?}");
        }
    }

    #[test]
    fn who_waited_in_vain_hears_why() {
        assert_eq!(
            late("s1", &at(SandboxPhase::Starting), Duration::from_secs(5)).message,
            "sandbox s1 is still Starting after 5 s (Starting: the sandbox is starting)"
        );
    }

    #[test]
    fn the_time_to_wait_is_a_number_of_seconds() {
        assert_eq!(limit(Some("7")), Duration::from_secs(7));
        assert_eq!(limit(Some("soon")), Duration::from_secs(300));
        assert_eq!(limit(None), Duration::from_secs(300));
        assert_eq!(limit(Some("18446744073709551615")), Duration::from_secs(7 * 24 * 60 * 60));
    }
}
