//! `openshell cluster`: the nodes behind the gateway, as the one that answered sees them.

mod watch;

use std::time::Duration;

use clap::{Args, Subcommand};
use openshell_client::{CallOptions, methods};
use openshell_proto::cluster::{GetStatusRequest, GetStatusResponse, MemberStatus, ReplaceNodeRequest};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, Paint, table};

/// How long one attempt at replacing a member may take: as long as a gateway holds any call.
const REPLACE_ATTEMPT: Duration = Duration::from_secs(10);

/// `openshell cluster ...`.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ClusterCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// One row for each node: role, term, what it has applied and how far behind it is.
    Status {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Puts a new node in the place of a member that is lost or is to go. Repeat it when it was interrupted.
    #[command(after_help = "Start the new node first, in an empty directory, under an id that was never used:\n  \
                            openshell-gateway --node-id NEW --join ADDRESS --secrets-key-file FILE")]
    Replace {
        /// Id of the member that goes, dead or alive.
        old: u64,
        /// Id of the new node.
        #[arg(long = "with", value_name = "NEW")]
        new: u64,
    },
    /// What changes, a line each, until it is interrupted. Goes on at another node when one goes away.
    Watch(watch::WatchArguments),
}

pub(crate) async fn run(arguments: ClusterArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        Some(ClusterCommand::Status { output }) => status(output, context).await,
        Some(ClusterCommand::Replace { old, new }) => replace(old, new, context).await,
        Some(ClusterCommand::Watch(arguments)) => watch::run(arguments, context).await,
        None => Ok(()),
    }
}

/// Asks again and again until it is done: each answer says how far it is.
async fn replace(old: u64, new: u64, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let mut said = None;
    loop {
        // A call of its own each time: the same request id would hear the same answer.
        // Nothing remembers it for a second attempt: one that asks the members and the new node needs its time.
        let options = CallOptions::default().attempt_limit(REPLACE_ATTEMPT);
        let answer =
            session.client.call(&methods::REPLACE_NODE, ReplaceNodeRequest { old, new }, &options).await?.message;
        if answer.done {
            context.console.done(&format!("Node {new} took the place of node {old}; node {old} is let in no more"));
            return Ok(());
        }
        let progress = (answer.caught_up, answer.target);
        if said.replace(progress) != Some(progress) {
            let arrow = context.console.paint_err.dim("→");
            let (has, of) = progress;
            context.console.note(&format!("{arrow} Node {new} catches up: entry {has} of {of}"));
        }
    }
}

async fn status(output: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    // No consistency is asked for: a cluster without a leader must still say how it is.
    let status = session.client.call(&methods::GET_STATUS, GetStatusRequest {}, &CallOptions::default()).await?.message;
    let text = match output {
        Format::Table => rows(&status, context.console.paint),
        Format::Json => output::json(document(&status)),
        Format::Yaml => output::yaml(document(&status)),
    };
    context.console.print(&text);
    Ok(())
}

fn rows(status: &GetStatusResponse, paint: Paint) -> String {
    let row = |member: &MemberStatus| {
        let when_known = |text: String| if member.reachable { text } else { "-".to_owned() };
        vec![
            member.id.to_string(),
            member.client_address.clone(),
            member.role.clone(),
            when_known(member.term.to_string()),
            when_known(member.applied_revision.to_string()),
            when_known(member.lag.to_string()),
            when_known(age(member.age_ms)),
            if member.zone.is_empty() { "-".to_owned() } else { member.zone.clone() },
            when_known(member.version.clone()),
        ]
    };
    let headers = ["ID", "ADDRESS", "ROLE", "TERM", "APPLIED", "LAG", "AGE", "ZONE", "VERSION"];
    let mut text = table(&headers, &status.members.iter().map(row).collect::<Vec<_>>(), "", paint);
    for member in status.members.iter().filter(|member| !member.error.is_empty()) {
        text.push_str(&format!("{} node {}: {}\n", paint.yellow("!"), member.id, member.error));
    }
    text
}

/// Milliseconds below a second, then tenths of a second, then whole seconds.
fn age(age_ms: u64) -> String {
    match age_ms {
        0..1_000 => format!("{age_ms}ms"),
        1_000..60_000 => format!("{}.{}s", age_ms / 1000, age_ms % 1000 / 100),
        60_000.. => format!("{}s", age_ms / 1000),
    }
}

fn document(status: &GetStatusResponse) -> Value {
    let member = |member: &MemberStatus| {
        let mut item = json!({
            "address": member.client_address,
            "age_ms": member.age_ms,
            "applied_revision": member.applied_revision,
            "id": member.id,
            "lag": member.lag,
            "peer_address": member.peer_address,
            "reachable": member.reachable,
            "role": member.role,
            "term": member.term,
            "version": member.version,
            "voter": member.voter,
            "zone": member.zone,
        });
        if !member.error.is_empty() {
            item["error"] = json!(member.error);
        }
        item
    };
    json!({
        "cluster_id": status.cluster_id,
        "epoch": status.epoch,
        "feature_level": status.feature_level,
        "leader": status.leader,
        "members": status.members.iter().map(member).collect::<Vec<_>>(),
        "node": status.node,
    })
}

#[cfg(test)]
mod tests {
    use super::{document, rows};
    use crate::output::{self, Paint};
    use openshell_proto::cluster::{GetStatusResponse, MemberStatus};

    fn status() -> GetStatusResponse {
        let leader = MemberStatus {
            id: 1,
            client_address: "127.0.0.1:17670".into(),
            role: "leader".into(),
            term: 4,
            applied_revision: 118,
            age_ms: 12,
            zone: "a".into(),
            version: "0.1.0".into(),
            reachable: true,
            voter: true,
            ..MemberStatus::default()
        };
        let lost = MemberStatus {
            id: 3,
            client_address: "127.0.0.1:17672".into(),
            role: "unreachable".into(),
            error: "connection refused".into(),
            ..MemberStatus::default()
        };
        GetStatusResponse {
            cluster_id: "c".into(),
            epoch: 1,
            leader: 1,
            node: 1,
            members: vec![leader, lost],
            feature_level: 1,
        }
    }

    #[test]
    fn there_is_one_row_for_each_node_and_a_reason_for_each_lost_one() {
        assert_eq!(
            rows(&status(), Paint::plain()),
            "ID  ADDRESS          ROLE         TERM  APPLIED  LAG  AGE   ZONE  VERSION\n\
             1   127.0.0.1:17670  leader       4     118      0    12ms  a     0.1.0\n\
             3   127.0.0.1:17672  unreachable  -     -        -    -     -     -\n\
             ! node 3: connection refused\n"
        );
    }

    #[test]
    fn the_document_has_the_same_facts() {
        let text = output::yaml(document(&status()));
        assert!(
            text.starts_with(
                "cluster_id: c\nepoch: 1\nfeature_level: 1\nleader: 1\nmembers:\n- address: 127.0.0.1:17670\n"
            ),
            "{text}"
        );
        assert!(text.contains("error: connection refused"));
    }
}
