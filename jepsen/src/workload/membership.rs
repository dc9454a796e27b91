//! Who the members are, as each node says it: asked all the time, while some are lost and others take their places.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::{Answer, methods};
use openshell_proto::cluster::GetMembersRequest;

use super::client::Client;
use super::heard::position;
use super::part::{Part, Tasks};
use super::{Shared, Workload};
use crate::history::Line;

const PACE: Duration = Duration::from_millis(100);
const MEMBERS: &str = "openshell.cluster.v1.Cluster/GetMembers";

pub(super) struct Membership {
    shared: Arc<Shared>,
}

impl Membership {
    /// There is nothing to set up.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        Ok(Self { shared: Arc::clone(shared) })
    }
}

impl Part for Membership {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        // One for each node: who does not answer holds up nobody else.
        for node in 0..self.shared.nodes.len() {
            let mut client = Client::new(&self.shared, Workload::Membership, node as u64).every(PACE);
            clients.spawn(async move {
                while client.turn().await {
                    look(&mut client, node).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for node in 0..self.shared.nodes.len() {
                look(&mut Client::new(&self.shared, Workload::Membership, node as u64), node).await;
            }
        })
    }
}

/// Asks a node, and writes down what it said. That is no operation, unless it says that it is broken: a node says it whether
/// the cluster works or not.
async fn look(client: &mut Client, node: usize) {
    let Answer { message, seen, .. } = match client.api(node).call(&methods::GET_MEMBERS, GetMembersRequest {}).await {
        Ok(answer) => answer,
        Err(error) => return client.note_behind(node, MEMBERS, error),
    };
    let Some(at) = position(&seen) else { return };
    let mut voters: Vec<u64> = message.members.iter().filter(|member| member.voter).map(|member| member.id).collect();
    voters.sort_unstable();
    let recorder = &client.shared.recorder;
    let (time_ns, node, member) = (recorder.now_ns(), node as u64 + 1, message.node);
    recorder.add(Line::Members { time_ns, node, member, at, voters });
}
