//! What a node says about itself, its caller and its cluster.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openshell_proto::cluster::{
    GetDigestRequest, GetDigestResponse, GetMembersRequest, GetMembersResponse, GetStatusRequest, GetStatusResponse,
    Member, MemberStatus, ReplaceNodeRequest, ReplaceNodeResponse, TransferLeadershipRequest,
    TransferLeadershipResponse,
};
use openshell_proto::v1::{
    GetCurrentUserRequest, GetCurrentUserResponse, GetGatewayInfoRequest, GetGatewayInfoResponse, HealthRequest,
    HealthResponse, ServiceStatus,
};
use openshell_raft::{Answered, CallContext, Heir, IdStanding, MemberInfo, Replaced};
use openshell_state::Refusal;
use openshell_state::access::Principal;
use prost::Message;
use tokio::time::Instant;
use tonic::Status;

use crate::grpc::gateway::Gateway;
use crate::grpc::table::Led;

/// The version that answers show.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a member may take to say how it is.
const MEMBER_WAIT: Duration = Duration::from_secs(1);

fn status(gateway: &Gateway) -> i32 {
    let status = match gateway.cluster.ready() {
        Ok(()) => ServiceStatus::Healthy,
        Err(_) => ServiceStatus::Degraded,
    };
    status as i32
}

/// `Health`: answers whatever the cluster does, so that a node can be found alive.
pub(super) async fn health(gateway: Arc<Gateway>, _: Principal, _: HealthRequest) -> Result<HealthResponse, Status> {
    Ok(HealthResponse { status: status(&gateway), version: VERSION.to_owned() })
}

/// `GetGatewayInfo`. There is no compute driver.
pub(super) async fn gateway_info(
    gateway: Arc<Gateway>,
    _: Principal,
    _: GetGatewayInfoRequest,
) -> Result<GetGatewayInfoResponse, Status> {
    Ok(GetGatewayInfoResponse {
        status: status(&gateway),
        gateway_version: VERSION.to_owned(),
        compute_drivers: Vec::new(),
    })
}

/// `GetCurrentUser`: the caller as authentication found it.
pub(super) async fn current_user(
    _: Arc<Gateway>,
    principal: Principal,
    _: GetCurrentUserRequest,
) -> Result<GetCurrentUserResponse, Status> {
    match principal {
        Principal::User(user) => Ok(GetCurrentUserResponse {
            subject: user.subject,
            display_name: user.display_name,
            roles: user.roles,
            scopes: user.scopes,
            identity_provider: user.identity_provider,
        }),
        Principal::Anonymous | Principal::Sandbox { .. } | Principal::Cluster => {
            Err(Status::unauthenticated("no user is authenticated"))
        }
    }
}

/// `Cluster.GetStatus`: one row a member, asked at the same time.
pub(super) async fn cluster_status(
    gateway: Arc<Gateway>,
    _: Principal,
    _: GetStatusRequest,
) -> Result<GetStatusResponse, Status> {
    let cluster = &gateway.cluster;
    let deadline = Instant::now() + MEMBER_WAIT;
    let members = cluster.members();
    let said = join_all(members.iter().map(|member| cluster.peer_status(member.id, deadline))).await;
    let state = cluster.state();
    let committed = said.iter().flatten().map(|status| status.committed_revision).max().unwrap_or(0);
    let rows = members.into_iter().zip(said).map(|(member, said)| match said {
        Ok(status) => MemberStatus {
            role: status.role,
            term: status.term,
            applied_revision: status.applied_revision,
            lag: committed.saturating_sub(status.applied_revision),
            age_ms: status.age_ms,
            version: status.version,
            reachable: true,
            error: status.withdrawn,
            ..row(member)
        },
        Err(error) => MemberStatus { role: "unreachable".to_owned(), error, ..row(member) },
    });
    Ok(GetStatusResponse {
        cluster_id: cluster.cluster_id(),
        epoch: state.epoch(),
        leader: cluster.leader().unwrap_or(0),
        node: cluster.node(),
        members: rows.collect(),
        feature_level: state.cluster().map_or(0, |record| record.value.feature_level),
    })
}

fn row(member: MemberInfo) -> MemberStatus {
    MemberStatus {
        id: member.id,
        client_address: member.client_address,
        peer_address: member.peer_address,
        zone: member.zone,
        voter: member.voter,
        ..MemberStatus::default()
    }
}

/// `Cluster.GetMembers`: where nodes take calls, for everybody who is somebody.
pub(super) async fn members(
    gateway: Arc<Gateway>,
    _: Principal,
    _: GetMembersRequest,
) -> Result<GetMembersResponse, Status> {
    let cluster = &gateway.cluster;
    let member = |member: MemberInfo| Member {
        id: member.id,
        client_address: member.client_address,
        zone: member.zone,
        voter: member.voter,
    };
    Ok(GetMembersResponse {
        epoch: cluster.state().epoch(),
        node: cluster.node(),
        members: cluster.members().into_iter().map(member).collect(),
    })
}

/// `Cluster.GetDigest`.
pub(super) async fn digest(
    gateway: Arc<Gateway>,
    _: Principal,
    _: GetDigestRequest,
) -> Result<GetDigestResponse, Status> {
    let state = gateway.cluster.state();
    Ok(GetDigestResponse {
        node: gateway.cluster.node(),
        epoch: state.epoch(),
        revision: state.revision(),
        digest: state.digest().to_bytes().to_vec(),
    })
}

/// `Cluster.ReplaceNode`: as far as it comes in one call.
pub(super) async fn replace(gateway: Arc<Gateway>, context: CallContext, request: ReplaceNodeRequest) -> Led {
    let replaced = gateway.cluster.replace(&context.principal, request.old, request.new, context.deadline).await?;
    let reply = replaced.map(|replaced| match replaced {
        Replaced::Done => ReplaceNodeResponse { done: true, ..ReplaceNodeResponse::default() },
        Replaced::CatchingUp { has, of } => ReplaceNodeResponse { done: false, caught_up: has, target: of },
    });
    Ok(answered(&gateway, reply.map(|reply| reply.encode_to_vec())))
}

/// `Cluster.TransferLeadership`.
pub(super) async fn transfer(gateway: Arc<Gateway>, context: CallContext, request: TransferLeadershipRequest) -> Led {
    let heir = match heir(request, gateway.cluster.node(), context.repeated_attempt) {
        Ok(heir) => heir,
        Err(refusal) => return Ok(answered(&gateway, Err(refusal))),
    };
    let (principal, is_repeated) = (&context.principal, context.repeated_attempt);
    let leader = gateway.cluster.transfer(principal, heir, is_repeated, context.deadline).await?;
    let reply = leader.map(|leader| TransferLeadershipResponse { leader }.encode_to_vec());
    Ok(answered(&gateway, reply))
}

/// Who is to lead after a call that this node, which leads, is asked. A repeated attempt that finds another
/// leader than the two that it names has done its part: whatever came after that is not undone.
fn heir(request: TransferLeadershipRequest, leader: u64, is_repeated: bool) -> Result<Heir, Refusal> {
    match request {
        TransferLeadershipRequest { to: 0, from: 0 } => {
            let words = "from: without `to`, the leader that is to lead no more must be named";
            Err(Refusal::invalid(words))
        }
        TransferLeadershipRequest { to: 0, from } => Ok(Heir::AnyoneBut(from)),
        TransferLeadershipRequest { to, from } => {
            let has_moved_on = is_repeated && from != 0 && leader != from && leader != to;
            Ok(if has_moved_on { Heir::AnyoneBut(from) } else { Heir::Node(to) })
        }
    }
}

/// An answer that does not go through the ids that the state remembers.
fn answered(gateway: &Gateway, reply: Result<Vec<u8>, Refusal>) -> Answered {
    let state = gateway.cluster.state();
    Answered { reply, revision: state.revision(), standing: IdStanding::Open, state }
}

#[cfg(test)]
mod tests {
    use openshell_proto::cluster::TransferLeadershipRequest;
    use openshell_raft::Heir;

    use super::heir;

    #[test]
    fn a_repeated_attempt_undoes_no_later_election() {
        for (to, from, leader, is_repeated, expected) in [
            (2, 1, 1, false, Heir::Node(2)),
            (2, 1, 1, true, Heir::Node(2)),
            (2, 1, 2, true, Heir::Node(2)),
            (2, 1, 3, true, Heir::AnyoneBut(1)),
            // A first attempt says what is wanted now, and so does one that names nobody.
            (2, 1, 3, false, Heir::Node(2)),
            (2, 0, 3, true, Heir::Node(2)),
            (0, 1, 3, true, Heir::AnyoneBut(1)),
        ] {
            let request = TransferLeadershipRequest { to, from };
            assert_eq!(heir(request, leader, is_repeated), Ok(expected), "{request:?} at {leader}, {is_repeated}");
        }
        assert!(heir(TransferLeadershipRequest::default(), 1, false).is_err());
    }
}
