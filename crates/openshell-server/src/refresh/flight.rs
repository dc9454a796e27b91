//! One mint from claim to settlement. A call that rotates a credential makes at most one claim, whatever
//! becomes of its attempts: the claim is remembered under an id that follows from the caller's, its
//! result under the caller's own.

use std::sync::Arc;

use openshell_chaos::{Point, point};
use openshell_proto::peer::{MintCaller, SettleRefreshRequest, settle_refresh_request};
use openshell_proto::v1::{RotateProviderCredentialRequest, StoredRefreshClaim};
use openshell_raft::{Answered, CallContext, IdStanding, SystemClock, Unavailable};
use openshell_state::access::Principal;
use openshell_state::decide::refresh::{self, Awaited, Claiming};
use openshell_state::{Identifiers, RequestId, query};
use prost::Message;
use tokio::time::Instant;

use crate::grpc::{Context, Gateway, Led};
use crate::refresh::Wanted;
use crate::refresh::asking::{Asking, CLAIM_MS, SETTLE_MAX};

/// Under which name nodes settle mints among themselves.
pub(crate) const SETTLE: &str = "openshell/settle-refresh";

/// `RotateProviderCredential`, on the leader: mints before it answers, or waits for the mint that is
/// under way.
pub(crate) async fn rotate(
    gateway: Arc<Gateway>,
    context: CallContext,
    request: RotateProviderCredentialRequest,
) -> Led {
    let wanted = Wanted {
        workspace: request.workspace.clone(),
        provider: request.provider.trim().to_owned(),
        credential_key: request.credential_key.trim().to_owned(),
    };
    let claiming = claiming(&gateway, &wanted, false);
    let first = CallContext { request_id: context.request_id.map(id_of_claim), ..context.clone() };
    let claimed = gateway.cluster.decide(first, |call| refresh::claim(call, &claiming).into()).await?;
    let Ok(reply) = &claimed.reply else { return Ok(claimed) };
    let held = StoredRefreshClaim::decode(reply.as_slice()).map_err(|error| lost(&error.to_string()))?;
    if held.id == claiming.id {
        let caller = MintCaller {
            principal: Some(context.principal.to_proto()),
            rpc: context.rpc.clone(),
            request_id: context.request_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            fingerprint: context.fingerprint.to_vec(),
        };
        // On its own: it goes on when the caller does not wait for it.
        tokio::spawn(fly(Arc::clone(&gateway), wanted.clone(), held.id.clone(), Some(caller)));
    }
    if !landed(&gateway, &wanted, &held.id, context.deadline).await {
        return Err(lost("the token endpoint has not answered yet; see `provider refresh status`"));
    }
    let awaited = Awaited { request, claim: held };
    let standing = gateway.cluster.decide(context, |call| refresh::standing(call, &awaited).into()).await;
    match standing {
        // To its caller that would say that nothing was done, and under another id it would be done again.
        Ok(Answered { standing: IdStanding::Untimely { .. }, .. }) => {
            Err(lost("the cluster's time went on beyond the request id; see `provider refresh status`"))
        }
        standing => standing.map_err(|error| lost(&error.to_string())),
    }
}

/// The claim was made: whatever fails from now on, a mint may come of it.
fn lost(reason: &str) -> Unavailable {
    Unavailable::Unknown { reason: reason.to_owned() }
}

/// A second id of the same call and the same time, which its caller cannot have used for anything else.
fn id_of_claim(id: RequestId) -> RequestId {
    let mut bytes = *id.as_bytes();
    bytes[9..].iter_mut().for_each(|byte| *byte ^= 0xA5);
    RequestId::from_bytes(&bytes).expect("version and variant are in other bytes")
}

fn claiming(gateway: &Gateway, wanted: &Wanted, only_when_due: bool) -> Claiming {
    Claiming {
        workspace: wanted.workspace.clone(),
        provider: wanted.provider.clone(),
        credential_key: wanted.credential_key.clone(),
        id: gateway.identifiers.uuid(),
        node: gateway.cluster.node(),
        term: gateway.cluster.gauges().term,
        patience_ms: CLAIM_MS,
        only_when_due,
    }
}

/// Waits until a claim does not stand any more, as far as this node has applied; false at the deadline.
async fn landed(gateway: &Gateway, wanted: &Wanted, claim: &str, deadline: Instant) -> bool {
    let Wanted { workspace, provider, credential_key } = wanted;
    loop {
        let state = gateway.cluster.state();
        if !query::refresh::is_claimed(&state, workspace, provider, credential_key, claim) {
            return true;
        }
        if !gateway.cluster.wait_for_revision(state.revision() + 1, deadline).await {
            return false;
        }
    }
}

/// Mints what is due, if nobody else does.
pub(super) async fn fly_when_due(gateway: Arc<Gateway>, wanted: Wanted) {
    let claiming = claiming(&gateway, &wanted, true);
    let context = CallContext {
        principal: Principal::Cluster,
        rpc: SETTLE.to_owned(),
        request_id: None,
        repeated_attempt: false,
        fingerprint: [0; 32],
        deadline: Instant::now() + SETTLE_MAX,
    };
    let claimed = gateway.cluster.decide(context, |call| refresh::claim(call, &claiming).into()).await;
    let held = claimed.ok().and_then(|claimed| claimed.reply.ok());
    let held = held.and_then(|reply| StoredRefreshClaim::decode(reply.as_slice()).ok());
    if held.is_some_and(|held| held.id == claiming.id) {
        fly(Arc::clone(&gateway), wanted, claiming.id, None).await;
    }
}

/// Calls the token endpoint and settles what came of it.
async fn fly(gateway: Arc<Gateway>, wanted: Wanted, claim: String, caller: Option<MintCaller>) {
    let _counted = gateway.refresher.counted();
    point(Point::MintAfterClaim);
    let minted = mint(&gateway, &wanted, &claim).await;
    point(Point::MintAfterAnswer);
    if let Some(result) = minted {
        settle(&gateway, wanted, claim, result, caller).await;
    }
}

/// What the token endpoint made of the claim; nothing when the claim does not stand any more.
async fn mint(gateway: &Gateway, wanted: &Wanted, claim: &str) -> Option<settle_refresh_request::Result> {
    let state = gateway.cluster.state();
    let Wanted { workspace, provider, credential_key } = wanted;
    let refresh = query::refresh::current(&state, workspace, provider, credential_key)
        .filter(|refresh| refresh.claim.as_ref().is_some_and(|held| held.id == claim))?;
    let asking = Asking { issuer: &gateway.refresher.issuer, opener: &*gateway.secrets, clock: &SystemClock };
    Some(match asking.ask(refresh, state.last_time_ms()).await {
        Ok(minted) => settle_refresh_request::Result::Minted(minted),
        Err(failure) => {
            tracing::warn!(provider, credential_key, failure = failure.failure_code, "a credential was not minted");
            settle_refresh_request::Result::Failure(failure)
        }
    })
}

/// Carries the result to whoever leads, through elections.
async fn settle(
    gateway: &Arc<Gateway>,
    wanted: Wanted,
    claim: String,
    result: settle_refresh_request::Result,
    caller: Option<MintCaller>,
) {
    let Wanted { workspace, provider, credential_key } = wanted;
    let workspace = openshell_state::access::workspace_or_default(&workspace).to_owned();
    let what = format!("{workspace}/{provider}/{credential_key}");
    let request = SettleRefreshRequest { workspace, provider, credential_key, claim, result: Some(result), caller };
    let context = Context::of_cluster(Instant::now() + SETTLE_MAX);
    match gateway.submit(SETTLE, &context, &request.encode_to_vec()).await {
        Ok(answer) => tracing::debug!(what, settled = answer.reply.is_ok(), "a mint was settled"),
        Err(status) => tracing::warn!(what, reason = status.message(), "what a mint came to was lost"),
    }
}

/// Settles a mint on the leader, under the id of the call that asked for it.
pub(crate) async fn settled(gateway: Arc<Gateway>, context: CallContext, request: SettleRefreshRequest) -> Led {
    let context = match &request.caller {
        Some(caller) => CallContext {
            principal: caller.principal.clone().map_or(Principal::Anonymous, Principal::from_proto),
            rpc: caller.rpc.clone(),
            request_id: RequestId::from_bytes(&caller.request_id),
            repeated_attempt: true,
            fingerprint: caller.fingerprint.as_slice().try_into().unwrap_or_default(),
            deadline: context.deadline,
        },
        None => CallContext { principal: Principal::Cluster, request_id: None, ..context },
    };
    gateway.cluster.decide(context, |call| refresh::settle(call, &request).into()).await
}
