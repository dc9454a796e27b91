//! `openshell provider profile`: profiles of one's own, as files. Validation beyond what a file's message
//! can show is the gateway's.

mod changes;
mod diagnostics;
mod files;
mod places;
mod update;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use openshell_client::{CallError, methods};
use openshell_proto::v1::{
    DeleteProviderProfileRequest, GetProviderProfileRequest, ImportProviderProfilesRequest,
    LintProviderProfilesRequest, ProviderProfile,
};
use openshell_providers::file;

use self::diagnostics::{has_error, rejected};
use self::files::Files;
use crate::commands::rollout::wait::WaitArguments;
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::output::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Prints a profile as a file.
    Export {
        /// Its id.
        id: String,
        /// Form of the file.
        #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
        output: Format,
        #[command(flatten)]
        scope: Scope,
    },
    /// Adds profiles from files: all of them or none.
    Import {
        #[command(flatten)]
        files: FileArguments,
        #[command(flatten)]
        scope: Scope,
    },
    /// Replaces profiles by what files say: all of them or none. Every provider of such a profile is
    /// affected at once.
    Update {
        /// Its id; that of the file when absent.
        #[arg(conflicts_with = "from")]
        id: Option<String>,
        #[command(flatten)]
        files: FileArguments,
        #[command(flatten)]
        scope: Scope,
        /// Form of the output: with a file alone, `table` is one sentence.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
        #[command(flatten)]
        wait: WaitArguments,
    },
    /// Checks files as an import would, and stores nothing.
    Lint {
        #[command(flatten)]
        files: FileArguments,
        #[command(flatten)]
        scope: Scope,
    },
    /// Deletes a profile.
    Delete {
        /// Its id.
        id: String,
        #[command(flatten)]
        scope: Scope,
    },
}

/// Where the profiles lie.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FileArguments {
    /// One file, .yaml, .yml or .json.
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Every such file of a folder, not of folders in it.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Whose profiles.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Scope {
    /// Those of the whole platform, not of the workspace.
    #[arg(long)]
    global: bool,
}

impl Scope {
    /// As it goes into requests: nothing for the platform.
    fn workspace(self, workspace: &str) -> String {
        if self.global { String::new() } else { workspace.to_owned() }
    }
}

pub(crate) async fn run(command: ProfileCommand, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        ProfileCommand::Export { id, output, scope } => export(id, output, scope, context).await,
        ProfileCommand::Import { files, scope } => import(&files, scope, context).await,
        ProfileCommand::Update { id, files, scope, output, wait } => {
            update::run(id, &files, scope, output, wait, context).await
        }
        ProfileCommand::Lint { files, scope } => lint(&files, scope, context).await,
        ProfileCommand::Delete { id, scope } => delete(id, scope, context).await,
    }
}

async fn export(id: String, format: Format, scope: Scope, context: &mut Context<'_>) -> Result<(), Failure> {
    let render = match format {
        Format::Yaml => file::render_yaml,
        Format::Json => file::render_json,
        Format::Table => return Err(Failure::new("a profile is exported as a file: use -o yaml or -o json")),
    };
    let session = context.session()?;
    let request = GetProviderProfileRequest { id, workspace: scope.workspace(&session.workspace) };
    let profile = required(session.read(&methods::GET_PROVIDER_PROFILE, request).await?.profile, "profile")?;
    context.console.print(&render(&profile));
    if let Some(warning) = invalid(&profile) {
        context.console.warn(&warning);
    }
    Ok(())
}

/// The profile of this id as it is stored now, if there is one.
pub(super) async fn stored(session: &Session, id: &str, workspace: &str) -> Result<Option<ProviderProfile>, Failure> {
    let request = GetProviderProfileRequest { id: id.to_owned(), workspace: workspace.to_owned() };
    match session.read(&methods::GET_PROVIDER_PROFILE, request).await {
        Ok(reply) => required(reply.profile, "profile").map(Some),
        Err(CallError::Refused(status)) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The warning about a stored profile that is not valid. It is no part of a file.
pub(crate) fn invalid(profile: &ProviderProfile) -> Option<String> {
    let (id, scope, reason) = (&profile.id, &profile.scope, &profile.invalid_reason);
    let whose = if scope.is_empty() { String::new() } else { format!(" of the {scope}") };
    (!reason.is_empty()).then(|| format!("provider profile '{id}'{whose} is invalid and left out: {reason}"))
}

async fn import(arguments: &FileArguments, scope: Scope, context: &mut Context<'_>) -> Result<(), Failure> {
    let (profiles, places) = Files::read(arguments)?.all_or_nothing("import", context.console)?;
    let session = context.session()?;
    let request = ImportProviderProfilesRequest { profiles, workspace: scope.workspace(&session.workspace) };
    let reply = session.write(&methods::IMPORT_PROVIDER_PROFILES, request).await?;
    if !reply.imported {
        return Err(rejected("import", &reply.diagnostics, &places, context.console));
    }
    let count = reply.profiles.len();
    context.console.line(&format!("Imported {count} provider profile{}.", if count == 1 { "" } else { "s" }));
    for warning in reply.profiles.iter().filter_map(invalid) {
        context.console.warn(&warning);
    }
    Ok(())
}

async fn lint(arguments: &FileArguments, scope: Scope, context: &mut Context<'_>) -> Result<(), Failure> {
    let files = Files::read(arguments)?;
    let mut diagnostics = files.diagnostics;
    if !files.items.is_empty() {
        let session = context.session()?;
        let request =
            LintProviderProfilesRequest { profiles: files.items, workspace: scope.workspace(&session.workspace) };
        diagnostics.extend(session.read(&methods::LINT_PROVIDER_PROFILES, request).await?.diagnostics);
    }
    if has_error(&diagnostics) {
        return Err(rejected("lint", &diagnostics, &files.places, context.console));
    }
    context.console.line("Provider profile lint passed.");
    Ok(())
}

async fn delete(id: String, scope: Scope, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = DeleteProviderProfileRequest { id: id.clone(), workspace: scope.workspace(&session.workspace) };
    context.console.line(&match session.write(&methods::DELETE_PROVIDER_PROFILE, request).await?.deleted {
        true => format!("Deleted provider profile '{id}'."),
        false => format!("Provider profile '{id}' was not deleted."),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ProfileCommand, invalid};
    use clap::Parser;
    use openshell_proto::v1::ProviderProfile;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        _command: ProfileCommand,
    }

    #[test]
    fn cli_scenario_44_a_file_and_a_folder_exclude_each_other_and_one_is_required() {
        let is_good = |words: &[&str]| Line::try_parse_from([&["profile"], words].concat()).is_ok();
        assert!(is_good(&["import", "-f", "a.yaml"]) && is_good(&["lint", "--from", "d", "--global"]));
        assert!(!is_good(&["import"]) && !is_good(&["import", "-f", "a.yaml", "--from", "d"]));
        assert!(is_good(&["update", "-f", "a.yaml"]) && is_good(&["update", "a", "-f", "a.yaml"]));
        assert!(is_good(&["update", "--from", "d"]) && !is_good(&["update", "a", "--from", "d"]));
    }
    #[test]
    fn a_warning_names_an_invalid_profile_its_scope_and_why() {
        let mut profile = ProviderProfile { id: "acme".into(), scope: "platform".into(), ..ProviderProfile::default() };
        assert_eq!(invalid(&profile), None);
        profile.invalid_reason = "binaries[0]: no path".into();
        let expected = "provider profile 'acme' of the platform is invalid and left out: binaries[0]: no path";
        assert_eq!(invalid(&profile).as_deref(), Some(expected));
    }
}
