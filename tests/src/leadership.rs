//! Who leads, as the nodes themselves say it.

use std::time::Duration;

use openshell_client::methods;
use openshell_proto::cluster::{GetStatusRequest, GetStatusResponse};

use crate::api::Api;
use crate::wait::within;

/// Who leads, as one node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader of that term.
    pub leader: u64,
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
