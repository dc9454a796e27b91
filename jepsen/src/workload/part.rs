//! What a workload is to the run: it is set up, its clients work, and when the cluster is whole again it reads
//! for the last time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::{BoxFuture, join_all};
use openshell_client::{Answer, methods};
use openshell_proto::v1::CreateWorkspaceRequest;
use openshell_tests::{Api, unique};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::Client;
use super::heard::Heard;
use super::{Shared, Workload};
use crate::history::{Action, Outcome};

/// Tasks of a run, each of which may find that the run did not come about.
pub(super) type Tasks = JoinSet<anyhow::Result<()>>;

/// A workload that is set up.
pub(super) trait Part: Send + Sync {
    /// Starts its clients. Those of the first end with the run, those of the second once the last reads are done.
    fn start(&self, clients: &mut Tasks, followers: &mut Tasks);

    /// Reads everything for the last time, through every node.
    fn finish(&self) -> BoxFuture<'_, ()>;
}

/// Of one last read, and before it is tried again.
const LAST_READ_ATTEMPTS: usize = 8;
const LAST_READ_PAUSE: Duration = Duration::from_millis(500);

/// A workspace of its own.
///
/// # Errors
/// When the cluster does not make it.
pub(super) async fn workspace(shared: &Shared, prefix: &str) -> anyhow::Result<String> {
    workspace_through(&shared.all.api(), prefix).await
}

/// The same, asked for by somebody who is no client of a run.
///
/// # Errors
/// When the cluster does not make it.
pub(crate) async fn workspace_through(api: &Api, prefix: &str) -> anyhow::Result<String> {
    let name = unique(prefix);
    let request = CreateWorkspaceRequest { name: name.clone(), ..CreateWorkspaceRequest::default() };
    let answer = api.call(&methods::CREATE_WORKSPACE, request).await;
    let Answer { .. } = answer.with_context(|| format!("making the workspace {name}"))?;
    Ok(name)
}

/// Asks the same of every node, until each has answered or was asked often enough.
pub(super) async fn ask_everywhere<F>(
    shared: &Arc<Shared>,
    workload: Workload,
    actions: &[Action],
    perform: impl Fn(Api, Action) -> F,
) where
    F: Future<Output = Heard>,
{
    let clients = (0..shared.nodes.len()).map(|node| last_client(shared, workload, node));
    join_all(clients.enumerate().map(|(node, client)| ask_one(client, node, actions, &perform))).await;
}

async fn ask_one<F>(mut client: Client, node: usize, actions: &[Action], perform: &impl Fn(Api, Action) -> F)
where
    F: Future<Output = Heard>,
{
    let api = client.api(node);
    for action in actions {
        ask_last(&mut client, node, action, || perform(api.clone(), action.clone())).await;
    }
}

/// Who reads at the end from a node.
pub(super) fn last_client(shared: &Arc<Shared>, workload: Workload, node: usize) -> Client {
    Client::new(shared, workload, LAST_CLIENT + node as u64)
}

/// Asks a node the same, until it has answered or was asked often enough.
pub(super) async fn ask_last<F>(client: &mut Client, node: usize, action: &Action, ask: impl Fn() -> F)
where
    F: Future<Output = Heard>,
{
    for _ in 0..LAST_READ_ATTEMPTS {
        let outcome = client.ask(node, action.clone(), ask()).await;
        if !matches!(outcome, Outcome::Unknown { .. } | Outcome::NotDone) {
            return;
        }
        sleep(LAST_READ_PAUSE).await;
    }
}

/// Those who read at the end have numbers from here on.
const LAST_CLIENT: u64 = 1_000;
