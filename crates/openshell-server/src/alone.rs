//! A cluster of one in this process, for tests: formed, leading, in a data directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openshell_raft::{CallContext, Clock, Cluster, ClusterConfig, ClusterKey, SystemClock, Timings};
use openshell_state::access::{Principal, User};
use openshell_state::decide::formation;
use openshell_state::{Call, Decision, Identifiers, Sealer, Stamp};
use openshell_store::{Expected, Retention};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::identifiers::RandomIdentifiers;
use crate::secrets::Secrets;
use crate::storage;

/// Longest that forming, or one decision, may take here.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Starts it; what it stores is sealed by `sealer`.
pub(crate) async fn start(
    data_dir: &Path,
    secrets: &Secrets,
    sealer: Arc<dyn Sealer + Send + Sync>,
    identifiers: Arc<RandomIdentifiers>,
) -> Cluster {
    let fault: openshell_raft::FaultHook = Arc::new(|sentence| panic!("{sentence}"));
    let expected = Expected { node_id: 1, initial_cluster: None, secrets_key: secrets.check_value };
    let opened = storage::open(data_dir, expected, Retention::default(), Arc::clone(&fault)).expect("opened");
    let peer_listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = peer_listener.local_addr().expect("an address").to_string();
    let (first_ids, first_sealer) = (Arc::clone(&identifiers), Arc::clone(&sealer));
    let config = ClusterConfig {
        node: 1,
        zone: String::new(),
        version: String::new(),
        peer_listener,
        advertise_peer: address.clone(),
        advertise_client: String::new(),
        initial_cluster: BTreeMap::from([(1, address)]),
        join: Vec::new(),
        cluster_key: ClusterKey::new(secrets.cluster_key),
        timings: Timings::lan(),
        snapshot_after_entries: 1000,
        log_entries_kept: 1000,
        genesis: Arc::new(move |cluster_id, time_ms| {
            formation::form(cluster_id, 1, Stamp { time_ms, identifiers: &*first_ids, sealer: &*first_sealer })
        }),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        identifiers: identifiers as Arc<dyn Identifiers + Send + Sync>,
        sealer,
        fault,
    };
    let cluster = Cluster::start(config, opened).await.expect("started");
    let formed = async {
        let mut revisions = cluster.watch_revision();
        while !cluster.state().is_formed() {
            revisions.changed().await.expect("the store is open");
        }
        cluster.watch_leader().wait_for(|leader| *leader == Some(1)).await.expect("it runs");
    };
    tokio::time::timeout(LIMIT, formed).await.expect("a cluster of one forms");
    cluster
}

/// Who may do everything.
pub(crate) fn admin() -> Principal {
    Principal::User(User { subject: "admin".to_owned(), platform_admin: true, ..User::default() })
}

/// Decides by a rule that does not refuse, and returns the revision.
pub(crate) async fn decide(cluster: &Cluster, rule: impl Fn(Call<'_>) -> Decision + Send + Sync) -> u64 {
    let call = CallContext {
        principal: admin(),
        rpc: "a test".to_owned(),
        request_id: None,
        repeated_attempt: false,
        fingerprint: [0; 32],
        deadline: Instant::now() + LIMIT,
    };
    let answered = cluster.decide(call, rule).await.expect("decided");
    answered.reply.expect("not refused");
    answered.revision
}
