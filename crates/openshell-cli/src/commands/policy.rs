//! `openshell policy`: set, update, get, list, and delete, which is about the global one.

mod file;
mod list;
mod set;
mod show;
mod update;

use clap::{Args, Subcommand, ValueEnum};
use openshell_client::methods;
use openshell_proto::sandbox::{GetSandboxConfigRequest, LeftOutProfile, PolicySource};
use openshell_proto::v1;

pub(crate) use self::file::PolicyFile;
use super::rollout::wait::WaitArguments;
use super::sandbox::sandbox_id;
use super::settings::{check_target, delete_global};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Console};

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
    /// Adds single rules to a sandbox's policy, or takes some away.
    Update(update::UpdateArguments),
    /// Shows the policy in effect, or a revision of it.
    Get(GetArguments),
    /// Lists the revisions, newest first.
    List(list::ListArguments),
    /// Deletes the policy for all sandboxes, so that their own hold again.
    Delete {
        /// A sandbox's own policy cannot be deleted.
        #[arg(hide = true)]
        name: Option<String>,
        /// The one for all sandboxes.
        #[arg(long)]
        global: bool,
        /// Does not ask before changing something for all.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArguments,
    },
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
        Some(PolicyCommand::Update(arguments)) => update::run(arguments, context).await,
        Some(PolicyCommand::Get(arguments)) => get(arguments, context).await,
        Some(PolicyCommand::List(arguments)) => list::run(arguments, context).await,
        Some(PolicyCommand::Delete { name, global: true, yes, wait }) => {
            check_target(name.as_deref(), true)?;
            delete_global("policy", yes, wait, context).await
        }
        Some(PolicyCommand::Delete { global: false, .. }) => Err(Failure::new(
            "a sandbox always has a policy: --global deletes the one for all sandboxes, 'openshell policy set' replaces a sandbox's own",
        )),
    }
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

/// Says on stderr which providers a sandbox gets without their profile.
pub(crate) fn warn_left_out(profiles: &[LeftOutProfile], console: &mut Console) {
    for profile in profiles {
        console.warn(&show::left_out(profile));
    }
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
    let (text, left_out) = if arguments.global || arguments.rev > 0 {
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
        let text = match is_json {
            true => output::json(show::revision_document(sandbox, revision, status.active_version)),
            false => show::revision_lines(arguments.global, revision, status.active_version, part),
        };
        (text, status.left_out_profiles)
    } else {
        let sandbox_id = sandbox_id(&session, &name).await?;
        let config = session.read(&methods::GET_SANDBOX_CONFIG, GetSandboxConfigRequest { sandbox_id }).await?;
        if config.policy.is_none() {
            return Err(Failure::new(format!("sandbox {name} has no policy")));
        }
        let text = match is_json {
            true => output::json(show::effective_document(&name, &config, part)),
            false => show::effective_lines(&config, part),
        };
        (text, config.left_out_profiles)
    };
    context.console.print(&text);
    warn_left_out(&left_out, context.console);
    Ok(())
}
