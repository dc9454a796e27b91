//! `Sync.GetRollout`: which sandboxes a change concerns, and how far each of them is, put together from what the
//! nodes know of their own.

mod changed;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use openshell_proto::log;
use openshell_proto::peer::ReadSessionsRequest;
use openshell_proto::sync::{GetRolloutRequest, GetRolloutResponse, UnaskedNode};
use openshell_state::{State, phase, query};
use prost::Message;
use tokio::time::Instant;
use tonic::Status;

use self::rows::{Asked, Part, Target};
use super::reasons::REASON_BYTES;
use crate::grpc::{Context, Gateway, refused};

/// How long a node may take to say what it knows.
const PEER_WAIT: Duration = Duration::from_secs(1);
/// From so many on, nodes are asked for everybody whom they know.
const NAMED_MAX: usize = 1_000;
const STALE_AFTER_MS: u32 = 10_000;
const ROWS: u32 = 100;
const ROWS_MAX: u32 = 1_000;

/// Answers for one revision.
///
/// # Errors
/// A refusal about the request, the caller or the workspace; `OUT_OF_RANGE` when no node that can be asked has a
/// history that goes back so far; `FAILED_PRECONDITION` for a revision that the cluster has not come to.
pub(crate) async fn rollout(
    gateway: Arc<Gateway>,
    state: Arc<State>,
    context: Context,
    request: GetRolloutRequest,
) -> Result<Bytes, Status> {
    let workspace = query::rollout::within(&state, &context.principal, &request);
    let workspace = workspace.map_err(|refusal| refused(&refusal))?;
    if request.revision > state.revision() {
        let text = format!("the cluster is at revision {} and has none {} yet", state.revision(), request.revision);
        return Err(Status::failed_precondition(text));
    }
    let asked = Asked {
        revision: request.revision,
        stale_after_ms: u64::from(if request.stale_after_ms == 0 { STALE_AFTER_MS } else { request.stale_after_ms }),
        rows: if request.page_size == 0 { ROWS } else { request.page_size.min(ROWS_MAX) } as usize,
        reason_bytes: REASON_BYTES,
    };
    let (epoch, revision) = (state.epoch(), request.revision);
    // Nobody waits for other nodes with a state in hand.
    drop(state);
    let keys = changed::keys(&gateway, revision, context.deadline).await?;
    let targets = targets(&gateway.cluster.state(), workspace, revision, &keys);
    let (parts, unasked) = match targets.is_empty() {
        true => Default::default(),
        false => parts(&gateway, &targets, context.deadline).await,
    };
    let (counts, rows) = rows::rows(targets, &parts, &asked);
    Ok(GetRolloutResponse { epoch, revision, counts: Some(counts), rows, unasked }.encode_to_vec().into())
}

fn targets(state: &State, workspace: Option<&str>, revision: u64, keys: &[log::Key]) -> Vec<Target> {
    let concerned = query::rollout::concerned(state, workspace, revision, keys).into_iter();
    let target = |(key, sandbox): (&openshell_state::Key, &openshell_proto::v1::Sandbox)| Target {
        workspace: key.workspace.to_string(),
        name: key.name.to_string(),
        id: sandbox.metadata.as_ref().map_or_else(String::new, |metadata| metadata.id.clone()),
        is_ready: phase::is_ready(sandbox),
    };
    concerned.map(target).collect()
}

/// What every node knows, by sandbox; and those that did not say.
async fn parts(
    gateway: &Gateway,
    targets: &[Target],
    deadline: Instant,
) -> (BTreeMap<String, Vec<Part>>, Vec<UnaskedNode>) {
    let named = targets.len() <= NAMED_MAX;
    let sandbox_ids = targets.iter().filter(|_| named).map(|target| target.id.clone()).collect();
    let request = ReadSessionsRequest { sandbox_ids };
    let cluster = &gateway.cluster;
    let until = deadline.min(Instant::now() + PEER_WAIT);
    let members = cluster.members().into_iter().map(|member| member.id);
    let asking = members.map(async |node| {
        let said = match node == cluster.node() {
            true => Ok(gateway.sessions.read(&request)),
            false => cluster.read_sessions(node, request.clone(), until).await,
        };
        (node, said)
    });
    let mut parts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let mut unasked = Vec::new();
    for (node, said) in join_all(asking).await {
        match said {
            Ok(said) => {
                for session in said.sessions {
                    parts.entry(session.sandbox_id.clone()).or_default().push(Part { node, session });
                }
            }
            Err(reason) => unasked.push(UnaskedNode { node, reason }),
        }
    }
    (parts, unasked)
}
