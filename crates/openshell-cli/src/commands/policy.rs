//! `openshell policy`: set and get. Merging single rules into a policy, listing revisions and deleting
//! are not built.

mod set;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use openshell_client::methods;
use openshell_proto::sandbox::{GetSandboxConfigRequest, PolicySource, SandboxPolicy};
use openshell_proto::v1;

use super::sandbox::sandbox_id;
use super::settings::check_target;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// `openshell policy ...`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    #[command(subcommand)]
    pub(crate) command: Option<PolicyCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Gives a sandbox a policy, or one to all sandboxes.
    Set(set::SetArguments),
    /// Shows the policy in effect, or a revision of it.
    Get(GetArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// A revision; 0 is the one in effect.
    #[arg(long, default_value_t = 0)]
    rev: u32,
    /// Shows the policy without what providers add.
    #[arg(long, conflicts_with = "full")]
    base: bool,
    /// Shows the whole policy.
    #[arg(long)]
    full: bool,
    /// The one for all sandboxes.
    #[arg(long)]
    global: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = PolicyFormat::Table)]
    output: PolicyFormat,
}

/// `policy get` knows no YAML form of its own; `--full` prints the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PolicyFormat {
    /// Labelled lines.
    Table,
    /// Indented by two spaces.
    Json,
}

pub(crate) async fn run(arguments: PolicyArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        None => Ok(()),
        Some(PolicyCommand::Set(arguments)) => set::run(arguments, context).await,
        Some(PolicyCommand::Get(arguments)) => get(arguments, context).await,
    }
}

/// Reads a policy file (`cli.md` 4). The extension does not matter.
pub(crate) fn read_policy(path: &Path) -> Result<SandboxPolicy, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("could not read policy file {}", path.display())).because(&error))?;
    openshell_policy::yaml::parse(&text)
        .map_err(|error| Failure::new(format!("policy file {} is not valid", path.display())).because(&error))
}

/// The policy file of `sandbox create` when no flag names one.
pub(crate) fn policy_from_variable() -> Option<PathBuf> {
    std::env::var_os("OPENSHELL_SANDBOX_POLICY").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where the policy in effect comes from, in a word.
pub(crate) fn source_word(source: PolicySource) -> &'static str {
    match source {
        PolicySource::Unspecified => "unspecified",
        PolicySource::Sandbox => "sandbox",
        PolicySource::Global => "global",
    }
}

/// The first twelve characters, however short or strange the hash is.
pub(crate) fn short_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

async fn get(arguments: GetArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    check_target(arguments.name.as_deref(), arguments.global)?;
    let session = context.session()?;
    let name = match arguments.global {
        true => String::new(),
        false => context.sandbox_name(&session, arguments.name.clone())?,
    };
    let part = match (arguments.full, arguments.base) {
        (true, _) => show::Part::Full,
        (false, true) => show::Part::Base,
        (false, false) => show::Part::Nothing,
    };
    let is_json = arguments.output == PolicyFormat::Json;
    let text = if arguments.global || arguments.rev > 0 {
        let request = v1::GetSandboxPolicyStatusRequest {
            name: name.clone(),
            version: arguments.rev,
            global: arguments.global,
            workspace: session.workspace.clone(),
        };
        let status = session.read(&methods::GET_SANDBOX_POLICY_STATUS, request).await?;
        let Some(revision) = &status.revision else {
            context.console.note("There is no such policy revision.");
            return Ok(());
        };
        let sandbox = (!arguments.global).then_some(name.as_str());
        match is_json {
            true => output::json(show::revision_document(sandbox, revision, status.active_version)),
            false => show::revision_lines(arguments.global, revision, status.active_version, part),
        }
    } else {
        let sandbox_id = sandbox_id(&session, &name).await?;
        let config = session.read(&methods::GET_SANDBOX_CONFIG, GetSandboxConfigRequest { sandbox_id }).await?;
        if config.policy.is_none() {
            return Err(Failure::new(format!("sandbox {name} has no policy")));
        }
        match is_json {
            true => output::json(show::effective_document(&name, &config, part)),
            false => show::effective_lines(&config, part),
        }
    };
    context.console.print(&text);
    Ok(())
}
