//! `openshell sandbox`: records of sandboxes. What needs one to run (exec, connect, files) is known by name
//! only, as there is no compute driver.

mod create;
mod lifecycle;
mod resources;
mod show;
mod token;

use clap::{Args, Subcommand};
use openshell_client::methods;
use openshell_proto::sandbox::{GetSandboxConfigRequest, GetSandboxConfigResponse};
use openshell_proto::v1;

use super::absent::{Anything, needs_compute};
use super::logs::{self, LogsArguments};
use super::sandbox_provider::{self, SandboxProviderCommand};
use crate::config::forget_sandbox;
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pages::{Window, WindowArguments};

/// `openshell sandbox ...`.
#[derive(Debug, Args)]
pub(crate) struct SandboxArguments {
    #[command(subcommand)]
    pub(crate) command: Option<SandboxCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Creates a sandbox record and returns once it exists.
    Create(Box<create::CreateArguments>),
    /// Shows a sandbox and the policy in effect.
    Get {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
        /// Prints the policy file and nothing else.
        #[arg(long, conflicts_with = "output")]
        policy_only: bool,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Lists sandboxes.
    List(ListArguments),
    /// Deletes sandboxes, in order, up to the first failure.
    Delete {
        /// Their names.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All of the workspace.
        #[arg(long)]
        all: bool,
    },
    /// Stops a sandbox that runs.
    Stop {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
    },
    /// Starts a sandbox that was stopped, and waits until its supervisor is connected.
    Start {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
    },
    /// Shows what a sandbox has logged; the same as `openshell logs`.
    Logs(LogsArguments),
    /// Writes a token for a sandbox's supervisor into a file. Needs the admin role: who has the token
    /// can read the credentials of the sandbox's providers.
    Token(token::TokenArguments),
    /// Which providers a sandbox has.
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = true)]
    Provider(SandboxProviderCommand),
    /// Runs a command in a running sandbox; not available here.
    Exec(Anything),
    /// Opens a shell in a running sandbox; not available here.
    Connect(Anything),
    /// Copies files into a running sandbox; not available here.
    Upload(Anything),
    /// Copies files out of a running sandbox; not available here.
    Download(Anything),
    /// Prints the ssh configuration for a running sandbox; not available here.
    SshConfig(Anything),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    window: WindowArguments,
    /// Prints ids, one a line.
    #[arg(long, conflicts_with_all = ["names", "output"])]
    ids: bool,
    /// Prints names, one a line.
    #[arg(long, conflicts_with = "output")]
    names: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Only those with these labels.
    #[arg(long, default_value = "")]
    selector: String,
    /// Those of every workspace.
    #[arg(long)]
    all_workspaces: bool,
}

pub(crate) async fn run(arguments: SandboxArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        None => Ok(()),
        Some(SandboxCommand::Create(arguments)) => create::run(*arguments, context).await,
        Some(SandboxCommand::Get { name, policy_only, output }) => get(name, policy_only, output, context).await,
        Some(SandboxCommand::List(arguments)) => list(arguments, context).await,
        Some(SandboxCommand::Delete { names, all }) => delete(names, all, context).await,
        Some(SandboxCommand::Stop { name }) => lifecycle::stop(name, context).await,
        Some(SandboxCommand::Start { name }) => lifecycle::start(name, context).await,
        Some(SandboxCommand::Logs(arguments)) => logs::run(arguments, context).await,
        Some(SandboxCommand::Token(arguments)) => token::run(arguments, context).await,
        Some(SandboxCommand::Provider(command)) => sandbox_provider::run(command, context).await,
        Some(SandboxCommand::Exec(_)) => Err(needs_compute("sandbox exec")),
        Some(SandboxCommand::Connect(_)) => Err(needs_compute("sandbox connect")),
        Some(SandboxCommand::Upload(_)) => Err(needs_compute("sandbox upload")),
        Some(SandboxCommand::Download(_)) => Err(needs_compute("sandbox download")),
        Some(SandboxCommand::SshConfig(_)) => Err(needs_compute("sandbox ssh-config")),
    }
}

/// The record of a sandbox.
pub(crate) async fn get_sandbox(session: &Session, name: &str) -> Result<v1::Sandbox, Failure> {
    let request = v1::GetSandboxRequest { name: name.to_owned(), workspace: session.workspace.clone() };
    required(session.read(&methods::GET_SANDBOX, request).await?.sandbox, "sandbox")
}

/// The id that a sandbox's configuration is asked for with.
pub(crate) async fn sandbox_id(session: &Session, name: &str) -> Result<String, Failure> {
    let metadata = get_sandbox(session, name).await?.metadata.unwrap_or_default();
    required(Some(metadata.id).filter(|id| !id.is_empty()), "sandbox id")
}

async fn get(
    name: Option<String>,
    policy_only: bool,
    format: Format,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    let sandbox = get_sandbox(&session, &name).await?;
    let id = sandbox.metadata.as_ref().map(|metadata| metadata.id.clone()).filter(|id| !id.is_empty());
    let request = GetSandboxConfigRequest { sandbox_id: required(id, "sandbox id")? };
    let config: GetSandboxConfigResponse = session.read(&methods::GET_SANDBOX_CONFIG, request).await?;
    let text = if policy_only {
        let policy = config.policy.as_ref().ok_or_else(|| Failure::new(format!("sandbox {name} has no policy")))?;
        openshell_policy::yaml::render(policy)
    } else {
        match format {
            Format::Table => show::detail(&sandbox, &config, context.console.paint),
            Format::Json => output::json(show::document_with_policy(&sandbox, &config)),
            Format::Yaml => output::yaml(show::document_with_policy(&sandbox, &config)),
        }
    };
    context.console.print(&text);
    super::policy::warn_left_out(&config.left_out_profiles, context.console);
    Ok(())
}

async fn list(arguments: ListArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let all_workspaces = arguments.all_workspaces;
    let request = v1::ListSandboxesRequest {
        label_selector: arguments.selector,
        workspace: if all_workspaces { String::new() } else { session.workspace.clone() },
        all_workspaces,
        ..v1::ListSandboxesRequest::default()
    };
    let listed = session.list(&request, arguments.window.window()).await?;
    let sandboxes = &listed.items;
    let text = if arguments.ids {
        show::ids(sandboxes)
    } else if arguments.names {
        show::names(sandboxes, all_workspaces)
    } else {
        match arguments.output {
            Format::Table if sandboxes.is_empty() => "No sandboxes found.\n".to_owned(),
            Format::Table => show::rows(sandboxes, all_workspaces, context.console.paint),
            Format::Json => output::json(sandboxes.iter().map(show::document).collect()),
            Format::Yaml => output::yaml(sandboxes.iter().map(show::document).collect()),
        }
    };
    context.console.print(&text);
    arguments.window.note(&listed, context.console);
    Ok(())
}

async fn delete(names: Vec<String>, all: bool, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let workspace = session.workspace.clone();
    let names = match all {
        false => names,
        true => {
            let request =
                v1::ListSandboxesRequest { workspace: workspace.clone(), ..v1::ListSandboxesRequest::default() };
            let sandboxes = session.list(&request, Window::all().in_large_pages()).await?.items;
            sandboxes.into_iter().filter_map(|sandbox| Some(sandbox.metadata?.name)).collect()
        }
    };
    if names.is_empty() {
        context.console.line("No sandboxes to delete.");
    }
    for name in names {
        let request = v1::DeleteSandboxRequest { name: name.clone(), workspace: workspace.clone() };
        match session.write(&methods::DELETE_SANDBOX, request).await?.deleted {
            true => context.console.done(&format!("Deleted sandbox {name}")),
            false => context.console.missed(&format!("Sandbox {name} not found")),
        }
        forget_sandbox(&context.paths, &session.gateway, &workspace, &name);
    }
    Ok(())
}
