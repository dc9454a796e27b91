//! `openshell policy list`: the revisions of a policy, without the policies.

use clap::Args;
use openshell_proto::v1::{ListSandboxPoliciesRequest, SandboxPolicyRevision};

use super::short_hash;
use super::show::status_word;
use crate::commands::settings::check_target;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, plain, table};
use crate::pages::WindowArguments;

/// As much of an error as fits beside the other columns, characters.
const ERROR_MAX: usize = 40;

/// `openshell policy list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    #[command(flatten)]
    window: WindowArguments,
    /// Those for all sandboxes.
    #[arg(long)]
    global: bool,
}

pub(crate) async fn run(arguments: ListArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    check_target(arguments.name.as_deref(), arguments.global)?;
    let session = context.session()?;
    let name = match arguments.global {
        true => String::new(),
        false => context.sandbox_name(&session, arguments.name)?,
    };
    let workspace = session.workspace.clone();
    let request = ListSandboxPoliciesRequest { name, global: arguments.global, workspace, ..Default::default() };
    let listed = session.list(&request, arguments.window.window()).await?;
    match listed.items.is_empty() {
        true => context.console.note("No policy revisions found."),
        false => {
            let paint = context.console.paint.without_colour();
            context.console.print(&rows(&listed.items, paint));
        }
    }
    arguments.window.note(&listed, context.console);
    Ok(())
}

/// Never coloured (`cli.md` 1.10).
fn rows(revisions: &[SandboxPolicyRevision], paint: Paint) -> String {
    let cells = |revision: &SandboxPolicyRevision| {
        vec![
            revision.version.to_string(),
            short_hash(&revision.policy_hash),
            status_word(revision.status()).to_owned(),
            revision.created_at_ms.to_string(),
            shortened(&plain(&revision.load_error)),
        ]
    };
    let rows: Vec<_> = revisions.iter().map(cells).collect();
    table(&["VERSION", "HASH", "STATUS", "CREATED", "ERROR"], &rows, "", paint)
}

fn shortened(error: &str) -> String {
    match error.char_indices().nth(ERROR_MAX) {
        Some((end, _)) => format!("{}...", &error[..end]),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::rows;
    use crate::output::Paint;
    use openshell_proto::v1::{PolicyStatus, SandboxPolicyRevision};

    fn revision(version: u32, status: PolicyStatus, load_error: &str) -> SandboxPolicyRevision {
        SandboxPolicyRevision {
            version,
            policy_hash: "0123456789abcdef".into(),
            status: status.into(),
            load_error: load_error.into(),
            created_at_ms: 1_700_000_000_000,
            ..SandboxPolicyRevision::default()
        }
    }

    #[test]
    fn cli_scenario_67_revisions_have_five_columns() {
        let revisions = [revision(2, PolicyStatus::Failed, "no such\nbinary"), revision(1, PolicyStatus::Loaded, "")];
        let expected = "VERSION  HASH          STATUS  CREATED        ERROR\n\
                        2        0123456789ab  Failed  1700000000000  no such\\nbinary\n\
                        1        0123456789ab  Loaded  1700000000000\n";
        assert_eq!(rows(&revisions, Paint::plain()), expected);
    }

    #[test]
    fn cli_scenario_80_an_error_is_cut_between_letters() {
        let shown = |error: &str| rows(&[revision(1, PolicyStatus::Failed, error)], Paint::plain());
        let long = shown(&format!("x{}", "ä".repeat(40)));
        assert!(long.ends_with(&format!("x{}...\n", "ä".repeat(39))), "{long}");
        let whole = shown(&"ä".repeat(40));
        assert!(whole.ends_with(&format!("{}\n", "ä".repeat(40))), "{whole}");
    }
}
