//! `openshell rule`: the network rules that a sandbox proposes, and what is decided about them. What was
//! read is what is approved: each approval sends the token of what it shows.

mod show;

use clap::{Args, Subcommand, ValueEnum};
use openshell_client::methods;
use openshell_proto::v1;

use crate::context::{Context, Session};
use crate::failure::Failure;
use crate::output::{self, Format};

/// `openshell rule ...`.
#[derive(Debug, Args)]
pub(crate) struct RuleArguments {
    #[command(subcommand)]
    pub(crate) command: Option<RuleCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Shows the rules that a sandbox proposes.
    Get {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
        /// Only those in this state.
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Approves one rule, which goes into the sandbox's policy.
    Approve {
        #[command(flatten)]
        chunk: Chunk,
        /// The token of what was reviewed, as `rule get` shows it; without it, what is stored now is approved.
        #[arg(long, value_name = "TOKEN")]
        review_token: Option<String>,
    },
    /// Rejects one rule; one that was approved leaves the policy.
    Reject {
        #[command(flatten)]
        chunk: Chunk,
        /// Why, for whoever proposed it.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Approves every pending rule that still is as it is stored, together.
    ApproveAll {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
        /// Those with security notes too.
        #[arg(long)]
        include_security_flagged: bool,
    },
    /// Takes an approval back: the rule leaves the policy and is pending again.
    Undo {
        #[command(flatten)]
        chunk: Chunk,
    },
    /// Deletes every pending rule.
    Clear {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
    },
    /// Shows what was proposed and decided, by time.
    History {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
}

/// One proposed rule.
#[derive(Debug, Args)]
pub(crate) struct Chunk {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// The proposal, as `rule get` shows it.
    #[arg(long, value_name = "ID")]
    chunk_id: String,
}

/// States of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    /// Nobody decided yet.
    Pending,
    /// In the policy.
    Approved,
    /// Not wanted.
    Rejected,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

pub(crate) async fn run(arguments: RuleArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Some(command) = arguments.command else { return Ok(()) };
    match command {
        RuleCommand::Get { name, status, output } => get(name, status, output, context).await,
        RuleCommand::Approve { chunk, review_token } => approve(chunk, review_token, context).await,
        RuleCommand::Reject { chunk, reason } => reject(chunk, reason, context).await,
        RuleCommand::ApproveAll { name, include_security_flagged } => {
            approve_all(name, include_security_flagged, context).await
        }
        RuleCommand::Undo { chunk } => undo(chunk, context).await,
        RuleCommand::Clear { name } => clear(name, context).await,
        RuleCommand::History { name, output } => history(name, output, context).await,
    }
}

/// A session, and the sandbox that is meant.
fn target(context: &mut Context<'_>, name: Option<String>) -> Result<(Session, String), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    Ok((session, name))
}

async fn inbox(session: &Session, name: &str, status: &str) -> Result<v1::GetDraftPolicyResponse, Failure> {
    let request = v1::GetDraftPolicyRequest {
        name: name.to_owned(),
        status_filter: status.to_owned(),
        workspace: session.workspace.clone(),
    };
    Ok(session.read(&methods::GET_DRAFT_POLICY, request).await?)
}

async fn get(
    name: Option<String>,
    status: Option<Status>,
    format: Format,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (session, name) = target(context, name)?;
    let found = inbox(&session, &name, status.map_or("", Status::word)).await?;
    let text = match format {
        Format::Table if found.chunks.is_empty() => format!("No proposed rules for sandbox {name}.\n"),
        Format::Table => show::lines(&found, context.console.paint),
        Format::Json => output::json(show::document(&name, &found)),
        Format::Yaml => output::yaml(show::document(&name, &found)),
    };
    context.console.print(&text);
    Ok(())
}

async fn approve(chunk: Chunk, review_token: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let (session, name) = target(context, chunk.name)?;
    let id = chunk.chunk_id;
    let review_token = match review_token {
        Some(token) => token,
        None => {
            let found = inbox(&session, &name, "").await?.chunks.into_iter().find(|found| found.id == id);
            found.ok_or_else(|| Failure::new(format!("sandbox {name} has no proposed rule {id}")))?.review_token
        }
    };
    let request = v1::ApproveDraftChunkRequest {
        name: name.clone(),
        chunk_id: id.clone(),
        workspace: session.workspace.clone(),
        review_token,
    };
    let reply = session.write(&methods::APPROVE_DRAFT_CHUNK, request).await?;
    context
        .console
        .done(&format!("Approved rule {id} for {name} {}", show::revision(reply.policy_version, &reply.policy_hash)));
    Ok(())
}

async fn reject(chunk: Chunk, reason: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let (session, name) = target(context, chunk.name)?;
    let id = chunk.chunk_id;
    let request = v1::RejectDraftChunkRequest {
        name: name.clone(),
        chunk_id: id.clone(),
        reason,
        workspace: session.workspace.clone(),
    };
    session.write(&methods::REJECT_DRAFT_CHUNK, request).await?;
    context.console.done(&format!("Rejected rule {id} for {name}"));
    Ok(())
}

async fn approve_all(
    name: Option<String>,
    include_security_flagged: bool,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (session, name) = target(context, name)?;
    let pending = inbox(&session, &name, Status::Pending.word()).await?.chunks;
    if pending.is_empty() {
        context.console.line(&format!("No pending rules for sandbox {name}."));
        return Ok(());
    }
    let approvals = pending
        .into_iter()
        .map(|chunk| v1::DraftChunkApproval { chunk_id: chunk.id, review_token: chunk.review_token });
    let request = v1::ApproveAllDraftChunksRequest {
        name: name.clone(),
        include_security_flagged,
        workspace: session.workspace.clone(),
        approvals: approvals.collect(),
    };
    let reply = session.write(&methods::APPROVE_ALL_DRAFT_CHUNKS, request).await?;
    let revision = show::revision(reply.policy_version, &reply.policy_hash);
    context.console.done(&format!("Approved {} for {name} {revision}", show::count(reply.chunks_approved)));
    if reply.chunks_skipped > 0 {
        context.console.missed(&format!(
            "Skipped {}: with security notes, changed since evaluated, or contradicting others; see `rule get`",
            show::count(reply.chunks_skipped)
        ));
    }
    Ok(())
}

async fn undo(chunk: Chunk, context: &mut Context<'_>) -> Result<(), Failure> {
    let (session, name) = target(context, chunk.name)?;
    let id = chunk.chunk_id;
    let request =
        v1::UndoDraftChunkRequest { name: name.clone(), chunk_id: id.clone(), workspace: session.workspace.clone() };
    let reply = session.write(&methods::UNDO_DRAFT_CHUNK, request).await?;
    let revision = show::revision(reply.policy_version, &reply.policy_hash);
    context.console.done(&format!("Took back the approval of rule {id} for {name} {revision}"));
    Ok(())
}

async fn clear(name: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let (session, name) = target(context, name)?;
    let request = v1::ClearDraftChunksRequest { name: name.clone(), workspace: session.workspace.clone() };
    let cleared = session.write(&methods::CLEAR_DRAFT_CHUNKS, request).await?.chunks_cleared;
    context.console.done(&format!("Cleared {} of {name}", show::count(cleared)));
    Ok(())
}

async fn history(name: Option<String>, format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let (session, name) = target(context, name)?;
    let request = v1::GetDraftHistoryRequest { name: name.clone(), workspace: session.workspace.clone() };
    let entries = session.read(&methods::GET_DRAFT_HISTORY, request).await?.entries;
    let text = match format {
        Format::Table if entries.is_empty() => format!("No proposed rules for sandbox {name}.\n"),
        Format::Table => show::history_rows(&entries, context.console.paint),
        Format::Json => output::json(entries.iter().map(show::history_document).collect()),
        Format::Yaml => output::yaml(entries.iter().map(show::history_document).collect()),
    };
    context.console.print(&text);
    Ok(())
}
