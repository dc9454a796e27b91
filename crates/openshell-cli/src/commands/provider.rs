//! `openshell provider`: providers, and the list of profiles. Values of credentials go in and never come
//! out.

mod adc;
mod create;
mod discover;
mod list_profiles;
mod opencode;
mod profile;
mod refresh;
mod show;
mod update;

use clap::{Args, Subcommand};
use openshell_client::methods;
use openshell_proto::v1;

use super::provider_profile::{self, ProfileCommand};
use crate::context::{Context, required};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pages::WindowArguments;

/// `openshell provider ...`.
#[derive(Debug, Args)]
pub(crate) struct ProviderArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ProviderCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Creates a provider from exactly one source of credentials.
    Create(create::CreateArguments),
    /// Shows a provider, without values.
    Get {
        /// Its name.
        name: String,
    },
    /// Lists providers.
    List(ListArguments),
    /// Changes credentials, configuration and expiry times; what is not named stays.
    Update(update::UpdateArguments),
    /// Deletes providers, in order, up to the first failure.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Lists the profiles that providers can be made from.
    ListProfiles(list_profiles::ListProfilesArguments),
    /// Profiles of your own.
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = true)]
    Profile(ProfileCommand),
    /// Credentials that the cluster mints by itself.
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = true)]
    Refresh(refresh::RefreshCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    window: WindowArguments,
    /// Prints names, one a line.
    #[arg(long, conflicts_with = "output")]
    names: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Those of every workspace.
    #[arg(long)]
    all_workspaces: bool,
}

pub(crate) async fn run(arguments: ProviderArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        None => Ok(()),
        Some(ProviderCommand::Create(arguments)) => create::run(arguments, context).await,
        Some(ProviderCommand::Get { name }) => get(name, context).await,
        Some(ProviderCommand::List(arguments)) => list(arguments, context).await,
        Some(ProviderCommand::Update(arguments)) => update::run(arguments, context).await,
        Some(ProviderCommand::Delete { names }) => delete(names, context).await,
        Some(ProviderCommand::ListProfiles(arguments)) => list_profiles::run(arguments, context).await,
        Some(ProviderCommand::Profile(command)) => provider_profile::run(command, context).await,
        Some(ProviderCommand::Refresh(command)) => refresh::run(command, context).await,
    }
}

async fn get(name: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = v1::GetProviderRequest { name, workspace: session.workspace.clone() };
    let provider = required(session.read(&methods::GET_PROVIDER, request).await?.provider, "provider")?;
    let text = show::detail(&provider, context.console.paint);
    context.console.print(&text);
    Ok(())
}

async fn list(arguments: ListArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let all_workspaces = arguments.all_workspaces;
    let request = v1::ListProvidersRequest {
        workspace: if all_workspaces { String::new() } else { session.workspace.clone() },
        all_workspaces,
        ..v1::ListProvidersRequest::default()
    };
    let listed = session.list(&request, arguments.window.window()).await?;
    let providers = &listed.items;
    let text = if arguments.names {
        show::names(providers, all_workspaces)
    } else {
        match arguments.output {
            Format::Table if providers.is_empty() => "No providers found.\n".to_owned(),
            Format::Table => show::rows(providers, all_workspaces, context.console.paint),
            Format::Json => output::json(providers.iter().map(show::document).collect()),
            Format::Yaml => output::yaml(providers.iter().map(show::document).collect()),
        }
    };
    context.console.print(&text);
    arguments.window.note(&listed, context.console);
    Ok(())
}

async fn delete(names: Vec<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    for name in names {
        let request = v1::DeleteProviderRequest { name: name.clone(), workspace: session.workspace.clone() };
        match session.write(&methods::DELETE_PROVIDER, request).await?.deleted {
            true => context.console.done(&format!("Deleted provider {name}")),
            false => context.console.missed(&format!("Provider {name} not found")),
        }
    }
    Ok(())
}
