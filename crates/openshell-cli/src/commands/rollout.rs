//! `openshell rollout`: how far a change has come among the sandboxes that it concerns. Waiting for one, right
//! after it was made, is in `wait`.

mod progress;
mod show;
pub(crate) mod wait;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openshell_client::{CallError, methods};
use openshell_proto::sync::{GetRolloutRequest, GetRolloutResponse};
use tokio::time::sleep;

use self::progress::{Progress, Until};
use crate::context::{Context, Session};
use crate::failure::Failure;
use crate::output;

/// Rows that are asked for.
const ROWS: u32 = 100;
/// Between two looks at a rollout that is watched.
const LOOK: Duration = Duration::from_millis(500);

/// `openshell rollout ...`.
#[derive(Debug, Args)]
pub(crate) struct RolloutArguments {
    #[command(subcommand)]
    pub(crate) command: Option<RolloutCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Which sandboxes a change concerns, and how far each of them is.
    Status(StatusArguments),
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The revision of the change, as `openshell cluster watch` and --wait show it.
    #[arg(long)]
    revision: u64,
    /// Goes on until every connected sandbox has applied it.
    #[arg(long)]
    watch: bool,
    /// Sandboxes of every workspace.
    #[arg(long)]
    all_workspaces: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// For scripts; with --watch a line each time.
    Json,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subject {
    revision: u64,
    all_workspaces: bool,
}

pub(crate) async fn run(arguments: RolloutArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        Some(RolloutCommand::Status(arguments)) => status(arguments, context).await,
        None => Ok(()),
    }
}

async fn status(arguments: StatusArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let subject = Subject { revision: arguments.revision, all_workspaces: arguments.all_workspaces };
    if arguments.watch {
        return watch(&session, subject, arguments.output, context).await;
    }
    let answer = ask(&session, subject).await?;
    let text = match arguments.output {
        Form::Table => show::text(&answer, context.console.paint),
        Form::Json => output::json(show::document(&answer)),
    };
    context.console.print(&text);
    Ok(())
}

/// Tells each time when it is another, and ends with how it ended.
async fn watch(session: &Session, subject: Subject, form: Form, context: &mut Context<'_>) -> Result<(), Failure> {
    let mut shown = None;
    loop {
        let answer = ask(session, subject).await?;
        let progress = Progress::of(&answer, Until::Applied);
        if shown != Some(answer.counts) {
            shown = Some(answer.counts);
            match form {
                Form::Table => context.console.line(&show::counts(&answer)),
                Form::Json => context.console.line(&show::document(&answer).to_string()),
            }
        }
        if progress.is_over() {
            return wait::conclude(&answer, progress, Until::Applied, None, context);
        }
        sleep(LOOK).await;
    }
}

async fn ask(session: &Session, subject: Subject) -> Result<GetRolloutResponse, CallError> {
    ask_within(session, subject, Duration::MAX).await
}

/// Asks within a time, and never longer than the session's own.
async fn ask_within(session: &Session, subject: Subject, limit: Duration) -> Result<GetRolloutResponse, CallError> {
    let workspace = if subject.all_workspaces { String::new() } else { session.workspace.clone() };
    let request = GetRolloutRequest {
        workspace,
        all_workspaces: subject.all_workspaces,
        revision: subject.revision,
        page_size: ROWS,
        ..GetRolloutRequest::default()
    };
    session.look(&methods::GET_ROLLOUT, request, limit).await
}
