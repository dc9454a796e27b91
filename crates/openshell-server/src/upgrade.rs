//! The built-in catalogue that this build brings, installed by an entry when it is newer.

use std::time::Duration;

use openshell_raft::{CallContext, Cluster, Unavailable};
use openshell_state::access::Principal;
use openshell_state::decide::formation;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Proposes the catalogue of this build, on the leader, until it is known to be in or this
/// node no longer leads.
pub(crate) async fn catalogue(cluster: &Cluster) {
    while cluster.is_leader() {
        let call = CallContext {
            principal: Principal::Cluster,
            rpc: "catalogue".to_owned(),
            request_id: None,
            repeated_attempt: false,
            fingerprint: [0; 32],
            deadline: Instant::now() + DEADLINE,
        };
        // Before the first entry there is no cluster to upgrade: the rule refuses, and is asked again.
        match cluster.decide(call, |call| formation::upgrade(call).into()).await {
            Ok(answered) if answered.reply.is_ok() => return,
            Ok(_) | Err(Unavailable::NotDone { .. } | Unavailable::Unknown { .. }) => tokio::time::sleep(PAUSE).await,
        }
    }
}
