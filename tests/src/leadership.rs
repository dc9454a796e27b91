//! Who leads, as the nodes themselves say it.

use std::time::Duration;

use futures::future::join_all;
use openshell_client::methods;
use openshell_proto::cluster::{GetStatusRequest, GetStatusResponse};

use crate::api::Api;
use crate::cluster::{Cluster, LIMIT};
use crate::gateway::Gateway;
use crate::place::Access;
use crate::wait::{eventually, within};

/// Who leads, as one node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader of that term.
    pub leader: u64,
}

impl Cluster {
    /// What every node that answers within a second says about the cluster.
    pub async fn statuses(&self) -> Vec<GetStatusResponse> {
        let asked = self.gateways.iter().map(|gateway| status(gateway.api()));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Who leads, when a majority of the nodes says the same.
    pub async fn leadership(&self) -> Option<Leadership> {
        leadership_among(&self.gateways.iter().map(Gateway::access).collect::<Vec<_>>()).await
    }

    /// The leader, waiting for one if need be.
    ///
    /// # Panics
    /// When there is none for too long.
    pub async fn leader(&self) -> u64 {
        let found = eventually("a leader that a majority knows", LIMIT, async || self.leadership().await).await;
        found.expect("a leader").leader
    }

    /// The other nodes, in order of their ids.
    ///
    /// # Panics
    /// When there is no leader for too long.
    pub async fn followers(&self) -> Vec<u64> {
        let leader = self.leader().await;
        self.ids().filter(|id| *id != leader).collect()
    }

    /// A caller of one follower.
    ///
    /// # Panics
    /// When there is no leader for too long.
    pub async fn follower_api(&self) -> Api {
        self.api(self.followers().await[0])
    }
}

/// Who leads, when a majority of these nodes, which are all of a cluster, says the same.
pub async fn leadership_among(nodes: &[Access]) -> Option<Leadership> {
    let asked = join_all(nodes.iter().map(|node| leadership_of(node.api()))).await;
    let mut said: Vec<Leadership> = asked.into_iter().flatten().collect();
    said.sort_unstable();
    let majority = nodes.len() / 2 + 1;
    said.chunk_by(|left, right| left == right).find(|same| same.len() >= majority).map(|same| same[0])
}

/// Who leads, as the node that is called knows it; none when it knows of nobody, or does not
/// answer within two seconds.
pub async fn leadership_of(api: Api) -> Option<Leadership> {
    leadership(&status(api).await?)
}

/// What a node says about its cluster; nothing when it takes two seconds.
pub(crate) async fn status(api: Api) -> Option<GetStatusResponse> {
    let api = api.once();
    let asked = async { api.call(&methods::GET_STATUS, GetStatusRequest {}).await };
    Some(within(Duration::from_secs(2), asked).await?.ok()?.message)
}

/// What one node says about itself and its leader.
pub(crate) fn leadership(status: &GetStatusResponse) -> Option<Leadership> {
    let own = status.members.iter().find(|member| member.id == status.node)?;
    (status.leader != 0).then_some(Leadership { term: own.term, leader: status.leader })
}
