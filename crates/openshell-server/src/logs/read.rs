//! `GetSandboxLogs`: the last lines of a sandbox, from all nodes (`config.md` SR-51).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use openshell_proto::peer::ReadLogsRequest;
use openshell_proto::v1::{GetSandboxLogsRequest, MissingLogs};
use openshell_state::{State, query};
use prost::Message;
use tokio::time::Instant;
use tonic::Status;

use super::Logs;
use super::filter::Filter;
use super::follow::PEERS_WAIT;
use super::line::Line;
use super::merge;
use super::rings::Start;
use crate::grpc::{Context, Gateway, refused};

/// A message `GetSandboxLogsResponse` with its lines left encoded.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    lines: Vec<Bytes>,
    #[prost(uint32, tag = "2")]
    buffer_total: u32,
    #[prost(message, repeated, tag = "1000")]
    missing: Vec<MissingLogs>,
}

/// Answers from this node and those that say in time what they have; the others are named.
///
/// # Errors
/// A refusal about the id, the caller or the sources.
pub(crate) async fn get(
    gateway: Arc<Gateway>,
    state: Arc<State>,
    context: Context,
    request: GetSandboxLogsRequest,
) -> Result<Bytes, Status> {
    if request.sandbox_id.is_empty() {
        return Err(Status::invalid_argument("sandbox_id is required"));
    }
    let found = query::sandbox::find_by_id(&state, &context.principal, &request.sandbox_id);
    found.map_err(|refusal| refused(&refusal))?;
    drop(state);
    let filter = Filter::read(request.since_ms, &request.sources, &request.min_level)?;
    let answer = gateway.logs.last(&request.sandbox_id, request.lines, &filter, context.deadline).await?;
    Ok(answer.encode_to_vec().into())
}

impl Logs {
    /// The last lines, so many as are asked for, and of them those that fit: the count is of what was there
    /// before the conditions.
    pub(super) async fn last(
        &self,
        sandbox: &str,
        lines: u32,
        filter: &Filter,
        deadline: Instant,
    ) -> Result<Answer, Status> {
        let limits = self.keeper.limits();
        let lines = match lines as usize {
            0 => limits.sandbox_lines,
            lines => lines.min(limits.sandbox_lines),
        };
        let request = ReadLogsRequest {
            sandbox_id: sandbox.to_owned(),
            lines: u32::try_from(lines).unwrap_or(u32::MAX),
            ..ReadLogsRequest::default()
        };
        let until = deadline.min(Instant::now() + PEERS_WAIT);
        let others = self.peers.others();
        let asking = others.iter().map(|node| self.peers.read(*node, request.clone(), until));
        let mut parts = BTreeMap::new();
        let mut missing = Vec::new();
        for (node, said) in others.iter().zip(join_all(asking).await) {
            match said {
                Ok(said) => drop(parts.insert(*node, said.lines.into_iter().map(Line::from_peer).collect())),
                Err(reason) => missing.push(MissingLogs { node: *node, reason }),
            }
        }
        parts.insert(self.peers.node(), self.keeper.begin(sandbox, &Filter::default(), Start::Last(lines)).lines);
        let found = merge::newest(parts.into_values().collect(), lines, limits.answer_bytes);
        let buffer_total = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut fitting = Vec::new();
        for line in found {
            let unreadable = |_| Status::internal("a node has sent a log line that does not decode");
            if filter.lets_read(&line.decode().map_err(unreadable)?) {
                fitting.push(line.encoded.clone());
            }
        }
        Ok(Answer { lines: fitting, buffer_total, missing })
    }
}

#[cfg(test)]
mod tests;
