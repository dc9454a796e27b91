//! `openshell workspace`: create, get, list and delete; `member` is about who belongs to one.

mod member;

use clap::{Args, Subcommand};
use openshell_client::methods;
use openshell_proto::datamodel::{Workspace, WorkspacePhase};
use openshell_proto::v1;
use serde_json::{Value, json};

use self::member::MemberCommand;
use super::pairs::pairs;
use crate::context::{Context, required};
use crate::failure::Failure;
use crate::output::{self, Format, Paint, table, time_text};
use crate::pages::WindowArguments;

/// `openshell workspace ...`.
#[derive(Debug, Args)]
pub(crate) struct WorkspaceArguments {
    #[command(subcommand)]
    pub(crate) command: Option<WorkspaceCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Creates a workspace.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// A label, repeatable.
        #[arg(long = "label", value_name = "K=V")]
        labels: Vec<String>,
    },
    /// Shows a workspace.
    Get {
        /// Its name.
        name: String,
    },
    /// Lists workspaces.
    List {
        #[command(flatten)]
        window: WindowArguments,
        /// Only those with these labels.
        #[arg(long, default_value = "")]
        label_selector: String,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Deletes workspaces, in order, up to the first failure.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Who belongs to a workspace, and in which role.
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = true)]
    Member(MemberCommand),
}

pub(crate) async fn run(arguments: WorkspaceArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Some(command) = arguments.command else { return Ok(()) };
    match command {
        WorkspaceCommand::Create { name, labels } => {
            let labels = pairs("--label", &labels)?;
            let request = v1::CreateWorkspaceRequest { name, labels };
            let reply = context.session()?.write(&methods::CREATE_WORKSPACE, request).await?;
            let metadata = required(reply.workspace.and_then(|workspace| workspace.metadata), "workspace")?;
            context.console.done(&format!("Created workspace {}", metadata.name));
        }
        WorkspaceCommand::Get { name } => {
            let reply = context.session()?.read(&methods::GET_WORKSPACE, v1::GetWorkspaceRequest { name }).await?;
            let text = detail(&required(reply.workspace, "workspace")?, context.console.paint);
            context.console.print(&text);
        }
        WorkspaceCommand::List { window, label_selector, output } => {
            let request = v1::ListWorkspacesRequest { label_selector, ..v1::ListWorkspacesRequest::default() };
            let listed = context.session()?.list(&request, window.window()).await?;
            let workspaces = &listed.items;
            let text = match output {
                Format::Table if workspaces.is_empty() => "No workspaces found.\n".to_owned(),
                Format::Table => rows(workspaces, context.console.paint),
                Format::Json => output::json(workspaces.iter().map(document).collect()),
                Format::Yaml => output::yaml(workspaces.iter().map(document).collect()),
            };
            context.console.print(&text);
            window.note(&listed, context.console);
        }
        WorkspaceCommand::Delete { names } => delete(names, context).await?,
        WorkspaceCommand::Member(command) => member::run(command, context).await?,
    }
    Ok(())
}

async fn delete(names: Vec<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    for name in names {
        let request = v1::DeleteWorkspaceRequest { name: name.clone() };
        match session.write(&methods::DELETE_WORKSPACE, request).await?.deleted {
            true => context.console.done(&format!("Deleted workspace {name}")),
            false => context.console.missed(&format!("Workspace {name} not found")),
        }
    }
    Ok(())
}

fn detail(workspace: &Workspace, paint: Paint) -> String {
    let metadata = workspace.metadata.clone().unwrap_or_default();
    let mut text = format!("{}\n\n", paint.bold("Workspace:"));
    let mut line = |label: &str, value: String| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Name:", metadata.name);
    line("Id:", metadata.id);
    line("Resource version:", metadata.resource_version.to_string());
    if metadata.created_at_ms != 0 {
        line("Created:", time_text(metadata.created_at_ms));
    }
    if !metadata.labels.is_empty() {
        line("Labels:", labels(&metadata.labels));
    }
    text
}

fn rows(workspaces: &[Workspace], paint: Paint) -> String {
    let row = |workspace: &Workspace| {
        let metadata = workspace.metadata.clone().unwrap_or_default();
        vec![metadata.name, phase(workspace).to_owned(), time_text(metadata.created_at_ms), labels(&metadata.labels)]
    };
    let rows: Vec<_> = workspaces.iter().map(row).collect();
    table(&["NAME", "STATUS", "CREATED", "LABELS"], &rows, "", paint)
}

fn labels(labels: &std::collections::BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn phase(workspace: &Workspace) -> &'static str {
    match workspace.status.unwrap_or_default().phase() {
        WorkspacePhase::Unspecified | WorkspacePhase::Active => "Active",
        WorkspacePhase::Terminating => "Terminating",
    }
}

fn document(workspace: &Workspace) -> Value {
    let metadata = workspace.metadata.clone().unwrap_or_default();
    let mut item = json!({
        "id": metadata.id,
        "name": metadata.name,
        "resource_version": metadata.resource_version,
        "status": phase(workspace),
    });
    if metadata.created_at_ms != 0 {
        item["created_at"] = json!(time_text(metadata.created_at_ms));
    }
    if !metadata.labels.is_empty() {
        item["labels"] = json!(metadata.labels);
    }
    item
}

#[cfg(test)]
mod tests {
    use super::{detail, document, rows};
    use crate::output::{self, Paint};
    use openshell_proto::datamodel::{ObjectMeta, Workspace, WorkspacePhase, WorkspaceStatus};

    fn workspace() -> Workspace {
        Workspace {
            metadata: Some(ObjectMeta {
                id: "1".into(),
                name: "team-a".into(),
                created_at_ms: 1_893_456_000_000,
                labels: [("env".to_owned(), "dev".to_owned())].into(),
                resource_version: 2,
                ..ObjectMeta::default()
            }),
            status: Some(WorkspaceStatus { phase: WorkspacePhase::Terminating.into() }),
        }
    }

    #[test]
    fn a_workspace_is_a_row_a_text_and_a_document() {
        assert_eq!(
            rows(&[workspace()], Paint::plain()),
            "NAME    STATUS       CREATED              LABELS\nteam-a  Terminating  2030-01-01 00:00:00  env=dev\n"
        );
        assert_eq!(
            detail(&workspace(), Paint::plain()),
            "Workspace:\n\n  Name: team-a\n  Id: 1\n  Resource version: 2\n  Created: 2030-01-01 00:00:00\n  Labels: env=dev\n"
        );
        assert_eq!(
            output::yaml(document(&workspace())),
            "created_at: 2030-01-01 00:00:00\nid: '1'\nlabels:\n  env: dev\nname: team-a\nresource_version: 2\nstatus: Terminating\n"
        );
    }
}
