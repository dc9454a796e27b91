//! `openshell policy update`: single changes of a sandbox's policy. They are tried here first, on the policy that
//! the gateway shows, so that a dry run and most refusals need no write; the gateway applies them to the policy
//! that it has by then.

mod operations;

use std::time::Duration;

use clap::Args;
use openshell_client::methods;
use openshell_policy::{credentials, hash, merge, reserved, yaml};
use openshell_proto::sandbox::{GetSandboxConfigRequest, PolicySource};
use openshell_proto::v1::UpdateConfigRequest;

use super::set;
use crate::commands::sandbox::sandbox_id;
use crate::context::Context;
use crate::failure::Failure;

/// `openshell policy update`.
#[derive(Debug, Default, Args)]
pub(crate) struct UpdateArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// Allows an endpoint.
    #[arg(long, value_name = "HOST:PORT[:ACCESS[:PROTOCOL[:ENFORCEMENT[:OPTIONS]]]]")]
    add_endpoint: Vec<String>,
    /// Takes an endpoint away, from every rule.
    #[arg(long, value_name = "HOST:PORT")]
    remove_endpoint: Vec<String>,
    /// Allows requests at an endpoint.
    #[arg(long, value_name = "HOST:PORT:METHOD:PATH")]
    add_allow: Vec<String>,
    /// Denies requests at an endpoint.
    #[arg(long, value_name = "HOST:PORT:METHOD:PATH")]
    add_deny: Vec<String>,
    /// Takes a rule away.
    #[arg(long, value_name = "NAME")]
    remove_rule: Vec<String>,
    /// A binary that may use the endpoints added; any may without this.
    #[arg(long, value_name = "PATH")]
    binary: Vec<String>,
    /// The rule that the endpoint is added to.
    #[arg(long, value_name = "NAME")]
    rule_name: Option<String>,
    /// Shows what the policy would be, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Waits until the sandbox has loaded it.
    #[arg(long)]
    wait: bool,
    /// Seconds to wait, a week at most.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=604_800))]
    timeout: u64,
}

pub(crate) async fn run(arguments: UpdateArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let merge_operations = operations::from_flags(&arguments).map_err(Failure::new)?;
    let operations = merge::parse(&merge_operations).map_err(|error| Failure::new(error.to_string()))?;
    let session = context.session()?;
    let name = context.sandbox_name(&session, arguments.name.clone())?;
    let sandbox_id = sandbox_id(&session, &name).await?;
    let config = session.read(&methods::GET_SANDBOX_CONFIG, GetSandboxConfigRequest { sandbox_id }).await?;
    if config.policy_source() == PolicySource::Global {
        return Err(Failure::new(format!(
            "the policy of sandbox {name} is managed globally; delete the global policy first"
        )));
    }
    // As it is stored: what providers add, and the gateway's marks, come with every answer anew.
    let mut base = config.policy.unwrap_or_default();
    reserved::strip(&mut base);
    credentials::clear_markers(&mut base);
    let merged = merge::apply(&base, &operations).map_err(|error| Failure::new(error.to_string()))?;
    if arguments.dry_run {
        let effect = if merged == base { "would not change" } else { "would change" };
        let count = operations.len();
        context.console.note(&format!("· Dry run: the policy of sandbox {name} {effect} (operations: {count})"));
        context.console.print(&yaml::render(&merged));
        return Ok(());
    }
    let workspace = session.workspace.clone();
    let request =
        UpdateConfigRequest { name: name.clone(), merge_operations, workspace, ..UpdateConfigRequest::default() };
    let reply = session.write(&methods::UPDATE_CONFIG, request).await?;
    let is_unchanged = reply.version == config.version && reply.policy_hash == hash::policy_hash(&base);
    let limit = arguments.wait.then(|| Duration::from_secs(arguments.timeout));
    set::conclude(&session, &name, &reply, is_unchanged, limit, context).await
}
