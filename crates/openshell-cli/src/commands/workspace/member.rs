//! `openshell workspace member`: who belongs to a workspace, and in which role.

use clap::{Args, Subcommand};
use openshell_client::methods;
use openshell_proto::v1::{self, WorkspaceMember, WorkspaceRole};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, table};
use crate::pages::WindowArguments;

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Makes somebody a member. To change a role, remove the member first.
    Add {
        #[command(flatten)]
        member: Member,
        /// What the member may do: user or admin.
        #[arg(long)]
        role: String,
    },
    /// Ends a membership.
    Remove {
        #[command(flatten)]
        member: Member,
    },
    /// Lists the members, those who have been one for longest first.
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        window: WindowArguments,
    },
}

/// Takes the place of the global flag of that name, which has a default: members are of a workspace that
/// was named.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The workspace.
    #[arg(long, required = true, value_name = "NAME")]
    workspace: String,
}

#[derive(Debug, Args)]
pub(crate) struct Member {
    #[command(flatten)]
    of: Of,
    /// The member, as the gateway knows it: `openshell whoami` says so.
    #[arg(long)]
    subject: String,
}

pub(crate) async fn run(command: MemberCommand, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        MemberCommand::Add { member: Member { of, subject }, role } => {
            let named = named_role(&role)?;
            let request = v1::AddWorkspaceMemberRequest {
                workspace: of.workspace.clone(),
                principal_subject: subject.clone(),
                role: named as i32,
            };
            context.session()?.write(&methods::ADD_WORKSPACE_MEMBER, request).await?;
            context.console.done(&format!("Added {subject} to workspace {} as {role}", of.workspace));
        }
        MemberCommand::Remove { member: Member { of, subject } } => {
            let request = v1::RemoveWorkspaceMemberRequest {
                workspace: of.workspace.clone(),
                principal_subject: subject.clone(),
            };
            match context.session()?.write(&methods::REMOVE_WORKSPACE_MEMBER, request).await?.removed {
                true => context.console.done(&format!("Removed {subject} from workspace {}", of.workspace)),
                false => context.console.missed(&format!("Member {subject} not found in workspace {}", of.workspace)),
            }
        }
        MemberCommand::List { of, window } => {
            let request = v1::ListWorkspaceMembersRequest { workspace: of.workspace.clone(), ..Default::default() };
            let listed = context.session()?.list(&request, window.window()).await?;
            match listed.items.is_empty() {
                true => context.console.line(&format!("No members found in workspace {}.", of.workspace)),
                false => context.console.print(&rows(&listed.items, context.console.paint)),
            }
            window.note(&listed, context.console);
        }
    }
    Ok(())
}

/// The role of a word, in capitals or not.
fn named_role(word: &str) -> Result<WorkspaceRole, Failure> {
    match word.to_lowercase().as_str() {
        "user" => Ok(WorkspaceRole::User),
        "admin" => Ok(WorkspaceRole::Admin),
        _ => Err(Failure::new(format!("--role {word:?} must be user or admin"))),
    }
}

fn rows(members: &[WorkspaceMember], paint: Paint) -> String {
    let row = |member: &WorkspaceMember| {
        let role = match member.role() {
            WorkspaceRole::User => "user",
            WorkspaceRole::Admin => "admin",
            WorkspaceRole::Unspecified => "unknown",
        };
        vec![member.principal_subject.clone(), role.to_owned()]
    };
    let rows: Vec<_> = members.iter().map(row).collect();
    table(&["SUBJECT", "ROLE"], &rows, "", paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_of_two_words_in_capitals_or_not() {
        for (word, role) in [("user", WorkspaceRole::User), ("ADMIN", WorkspaceRole::Admin)] {
            assert_eq!(named_role(word), Ok(role));
        }
        let failure = named_role("owner").unwrap_err();
        assert!(failure.message.contains("owner") && failure.exit_code == 1, "{failure:?}");
    }

    #[test]
    fn a_member_is_a_row() {
        let member =
            |subject: &str, role| WorkspaceMember { principal_subject: subject.into(), role, ..Default::default() };
        let members = [member("ann", 2), member("mia@example.com", 1), member("odd", 7)];
        assert_eq!(
            rows(&members, Paint::plain()),
            "SUBJECT          ROLE\nann              admin\nmia@example.com  user\nodd              unknown\n"
        );
    }
}
