//! What this build brings and the cluster lacks, such as a newer built-in catalogue, installed by
//! entries.

use std::time::Duration;

use openshell_raft::{CallContext, Cluster, Unavailable};
use openshell_state::access::Principal;
use openshell_state::decide::formation;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(10);
/// After a first attempt that came to nothing. Each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Proposes what the cluster lacks, on the leader, until all is known to be in or this node no
/// longer leads.
pub(crate) async fn catalogue(cluster: &Cluster) {
    let mut pause = PAUSE;
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
            Ok(answered) if formation::is_upgraded(&answered.state) => return,
            // One entry does not hold everything.
            Ok(answered) if answered.reply.is_ok() => pause = PAUSE,
            Ok(_) | Err(Unavailable::NotDone { .. } | Unavailable::Unknown { .. }) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}
