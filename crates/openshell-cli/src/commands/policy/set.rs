//! `openshell policy set`: one write, and what it did to the version. Everything is said on stderr.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use openshell_client::{CallError, methods};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, PolicyStatus, UpdateConfigRequest, UpdateConfigResponse};
use tokio::time::{Instant, sleep};

use super::{PolicyFile, short_hash};
use crate::commands::settings::check_target;
use crate::context::{Context, LOOK_MIN, Session};
use crate::failure::{Failure, TIMED_OUT};
use crate::global::DURATION_MAX;
use crate::output::{confirm, plain};

/// Between two looks at what became of a version.
const PAUSE: Duration = Duration::from_secs(1);

/// `openshell policy set`.
#[derive(Debug, Args)]
pub(crate) struct SetArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// For all sandboxes, instead of their own.
    #[arg(long)]
    global: bool,
    /// Does not ask before changing something for all.
    #[arg(long)]
    yes: bool,
    /// Waits until the sandbox has loaded it.
    #[arg(long)]
    wait: bool,
    /// Seconds to wait, a week at most.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=604_800))]
    timeout: u64,
}

pub(crate) async fn run(arguments: SetArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    check_target(arguments.name.as_deref(), arguments.global)?;
    if arguments.global {
        return set_global(arguments, context).await;
    }
    let file = PolicyFile::read(&arguments.policy)?;
    let session = context.session()?;
    let name = context.sandbox_name(&session, arguments.name.clone())?;
    // An error only means that there is nothing to compare with.
    let before = session.read(&methods::GET_SANDBOX_POLICY_STATUS, status_of(&session, &name, 0)).await;
    let before = before.ok().and_then(|status| status.revision).map_or(0, |revision| revision.version);
    let request = update(&session, name.clone(), file.policy.clone());
    let reply = session.write(&methods::UPDATE_CONFIG, request).await.map_err(|error| file.failure(error))?;
    let limit = arguments.wait.then(|| Duration::from_secs(arguments.timeout));
    conclude(&session, &name, &reply, reply.version == before, limit, context).await
}

/// Says what became of a change of a sandbox's policy, and waits for the sandbox if there is a limit.
pub(super) async fn conclude(
    session: &Session,
    name: &str,
    reply: &UpdateConfigResponse,
    is_unchanged: bool,
    limit: Option<Duration>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (version, hash) = (reply.version, short_hash(&reply.policy_hash));
    if is_unchanged {
        context.console.note(&format!("· Policy unchanged (version {version}, hash: {hash})"));
        return Ok(());
    }
    context.console.note_done(&format!("Policy version {version} submitted (hash: {hash})"));
    match limit {
        Some(limit) => wait(session, name, version, limit.min(DURATION_MAX), context).await,
        None => Ok(()),
    }
}

async fn set_global(arguments: SetArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    if arguments.wait {
        return Err(Failure::new("--wait is about one sandbox and cannot be combined with --global"));
    }
    confirm("Set this policy for every sandbox of this gateway, instead of their own?", arguments.yes)?;
    let file = PolicyFile::read(&arguments.policy)?;
    let session = context.session()?;
    let request = UpdateConfigRequest { global: true, ..update(&session, String::new(), file.policy.clone()) };
    let reply = session.write(&methods::UPDATE_CONFIG, request).await.map_err(|error| file.failure(error))?;
    context.console.note_done(&format!(
        "Global policy configured (hash: {}, settings revision: {})",
        short_hash(&reply.policy_hash),
        reply.settings_revision
    ));
    Ok(())
}

fn update(session: &Session, name: String, policy: SandboxPolicy) -> UpdateConfigRequest {
    let workspace = session.workspace.clone();
    UpdateConfigRequest { name, policy: Some(policy), workspace, ..UpdateConfigRequest::default() }
}

fn status_of(session: &Session, name: &str, version: u32) -> GetSandboxPolicyStatusRequest {
    GetSandboxPolicyStatusRequest {
        name: name.to_owned(),
        version,
        global: false,
        workspace: session.workspace.clone(),
    }
}

/// Asks once a second what the sandbox made of the version (`cli.md` 2.10). A gateway that cannot say for a
/// moment is asked again, and no look lasts longer than the waiting does.
async fn wait(
    session: &Session,
    name: &str,
    version: u32,
    limit: Duration,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(LOOK_MIN);
        let request = status_of(session, name, version);
        let unsaid = match session.look(&methods::GET_SANDBOX_POLICY_STATUS, request, left).await {
            Ok(status) => {
                let revision = status.revision.unwrap_or_default();
                match revision.status() {
                    PolicyStatus::Loaded => {
                        context.console.note_done(&format!("Policy version {version} loaded"));
                        return Ok(());
                    }
                    PolicyStatus::Superseded => {
                        context.console.note(&format!("· Policy version {version} was superseded by a later one"));
                        return Ok(());
                    }
                    PolicyStatus::Failed => {
                        return Err(Failure::new(format!(
                            "sandbox {name} could not load policy version {version}: {}",
                            plain(&revision.load_error)
                        )));
                    }
                    PolicyStatus::Unspecified | PolicyStatus::Pending => None,
                }
            }
            Err(error @ CallError::Refused(_)) => return Err(error.into()),
            Err(error) => Some(error),
        };
        if Instant::now() + PAUSE > deadline {
            let message = format!("sandbox {name} did not load policy version {version} within {} s", limit.as_secs());
            let late = Failure::new(message).with_exit_code(TIMED_OUT);
            return Err(match unsaid {
                Some(error) => late.because(&error),
                None => late,
            });
        }
        sleep(PAUSE).await;
    }
}
