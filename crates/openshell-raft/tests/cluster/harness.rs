//! Clusters in one process: real peers over loopback, on simulated disks or on RocksDB.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openshell_proto::log::{self, Command, Origin, command};
use openshell_raft::{Cluster, ClusterConfig, ClusterKey, StartError, SystemClock, Timings, initial_cluster_digest};
use openshell_state::{Draft, Identifiers, Key, Sealer, State};
use openshell_store::disk::Disk;
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::{Expected, Options, Store};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::network::{Port, Switches};

/// Far more than anything takes; a test that needs it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Waits until something is so, looking again and again.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = interval(Duration::from_millis(5));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            looks.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    };
    timeout_at(soon(), looking).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// Opens the disk of a node, anew after each stop; none while it is still in use.
pub(crate) type OpenDisk = Arc<dyn Fn() -> Option<Arc<dyn Disk>> + Send + Sync>;

/// What the nodes of a test are like.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) timings: Timings,
    pub(crate) snapshot_after_entries: u64,
    pub(crate) log_entries_kept: u64,
    /// What may wait to be written; none: as much as in a gateway.
    pub(crate) queue_bytes: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        // Slow enough for a busy machine: an election by accident would only cost time.
        Self {
            timings: Timings::slow_disk(),
            snapshot_after_entries: 10_000,
            log_entries_kept: 10_000,
            queue_bytes: None,
        }
    }
}

/// A node's place: it outlives the running node.
pub(crate) struct Place {
    pub(crate) disk: OpenDisk,
    pub(crate) key: [u8; 32],
    pub(crate) initial: BTreeMap<u64, String>,
    pub(crate) join: Vec<String>,
    listener: Option<TcpListener>,
    pub(crate) address: String,
}

/// Nodes of a test, running or not.
pub(crate) struct Nodes {
    pub(crate) running: BTreeMap<u64, Cluster>,
    pub(crate) places: BTreeMap<u64, Place>,
    pub(crate) switches: Switches,
    faults: Arc<Mutex<Vec<(u64, String)>>>,
    setup: Setup,
}

pub(crate) fn simulated() -> OpenDisk {
    let disk = SimulatedDisk::new();
    Arc::new(move || Some(Arc::new(disk.clone())))
}

impl Nodes {
    /// Places for nodes 1 to `count`, none running.
    pub(crate) async fn new(count: u64, setup: Setup, disk: impl Fn(u64) -> OpenDisk) -> Self {
        let mut places = BTreeMap::new();
        for node in 1..=count {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound").to_string();
            let (initial, join) = (BTreeMap::new(), Vec::new());
            let place = Place { disk: disk(node), key: [7; 32], initial, join, listener: Some(listener), address };
            places.insert(node, place);
        }
        let initial: BTreeMap<u64, String> =
            places.iter().map(|(node, place)| (*node, place.address.clone())).collect();
        for place in places.values_mut() {
            place.initial.clone_from(&initial);
        }
        Self { running: BTreeMap::new(), places, switches: Switches::default(), faults: Arc::default(), setup }
    }

    /// A place for a node that is to join those that are there, not running.
    pub(crate) async fn newcomer(&mut self, node: u64) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let initial = BTreeMap::from([(node, address.clone())]);
        let join = self.places.values().map(|place| place.address.clone()).collect();
        let place = Place { disk: simulated(), key: [7; 32], initial, join, listener: Some(listener), address };
        self.places.insert(node, place);
    }

    /// A formed cluster on simulated disks.
    pub(crate) async fn formed(count: u64) -> Self {
        Self::formed_as(count, Setup::default(), |_| simulated()).await
    }

    pub(crate) async fn formed_as(count: u64, setup: Setup, disk: impl Fn(u64) -> OpenDisk) -> Self {
        let mut nodes = Self::new(count, setup, disk).await;
        for node in 1..=count {
            nodes.start(node).await.expect("started");
        }
        nodes.all_ready().await;
        nodes
    }

    pub(crate) async fn all_ready(&self) {
        for node in self.running.values() {
            until("every node is ready", || node.ready().ok()).await;
        }
    }

    /// Starts a node in its place.
    pub(crate) async fn start(&mut self, node: u64) -> Result<(), StartError> {
        let place = self.places.get_mut(&node).expect("a place");
        let listener = match place.listener.take() {
            Some(listener) => listener,
            // What a stopped node still holds goes with its last connection.
            None => until("its port is free again", || rebind(&place.address)).await,
        };
        let faults = Arc::clone(&self.faults);
        let fault: openshell_raft::FaultHook = Arc::new(move |sentence| {
            faults.lock().unwrap_or_else(PoisonError::into_inner).push((node, sentence.to_owned()));
        });
        let expected = Expected {
            node_id: node,
            initial_cluster: Some(initial_cluster_digest(&place.initial)),
            secrets_key: place.key,
        };
        let disk = until("its disk is free again", || (place.disk)()).await;
        let mut options = Options::new(expected, Arc::clone(&fault));
        options.queue_bytes = self.setup.queue_bytes.unwrap_or(options.queue_bytes);
        let opened = Store::open(disk, options).expect("the store opens");
        let config = ClusterConfig {
            node,
            zone: format!("zone-{node}"),
            version: "test".to_owned(),
            peer_listener: Port { listener, switches: self.switches.clone(), node },
            advertise_peer: place.address.clone(),
            advertise_client: format!("http://client-{node}"),
            initial_cluster: place.initial.clone(),
            join: place.join.clone(),
            cluster_key: ClusterKey::new(place.key),
            timings: self.setup.timings.clone(),
            snapshot_after_entries: self.setup.snapshot_after_entries,
            log_entries_kept: self.setup.log_entries_kept,
            genesis: Arc::new(genesis),
            clock: Arc::new(SystemClock),
            identifiers: Arc::new(Names),
            sealer: Arc::new(NoSecrets),
            fault,
        };
        let cluster = Cluster::start(config, opened).await?;
        self.running.insert(node, cluster);
        Ok(())
    }

    /// Why the disk of a node is not opened for it as it is told now.
    pub(crate) async fn refusal_of_disk(&self, node: u64) -> String {
        let place = &self.places[&node];
        let expected = Expected {
            node_id: node,
            initial_cluster: Some(initial_cluster_digest(&place.initial)),
            secrets_key: place.key,
        };
        let disk = until("its disk is free again", || (place.disk)()).await;
        match Store::open(disk, Options::new(expected, Arc::new(|_: &str| ()))) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the disk of node {node} is opened"),
        }
    }

    /// Stops a node, cleanly for its disk, abruptly for its peers.
    pub(crate) async fn stop(&mut self, node: u64) {
        self.running.remove(&node).expect("running").shutdown().await;
    }

    pub(crate) fn node(&self, node: u64) -> &Cluster {
        &self.running[&node]
    }

    /// The node that leads, once there is one that is not cut off.
    pub(crate) async fn leader(&self) -> &Cluster {
        self.leader_but(0).await
    }

    /// The same, but not this one.
    pub(crate) async fn leader_but(&self, not: u64) -> &Cluster {
        until("a leader", || {
            self.running.values().find(|node| node.node() != not && node.is_leader() && node.ready().is_ok())
        })
        .await
    }

    /// A node that does not lead.
    pub(crate) async fn follower(&self) -> &Cluster {
        let leader = self.leader().await.node();
        self.running.values().find(|node| node.node() != leader).expect("another node")
    }

    /// The first fault of a node.
    pub(crate) async fn fault(&self, node: u64) -> String {
        until("a fault", || {
            let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.iter().find(|(at, _)| *at == node).map(|(_, sentence)| sentence.clone())
        })
        .await
    }

    /// Whatever the test did, nodes at one revision hold one state, and none broke.
    pub(crate) async fn agree(&self) {
        let newest = self.running.values().map(|node| node.state().revision()).max().expect("a node");
        for node in self.running.values() {
            assert!(node.wait_for_revision(newest, soon()).await, "node {} lags", node.node());
        }
        let states: Vec<Arc<State>> = self.running.values().map(Cluster::state).collect();
        for pair in states.windows(2) {
            if pair[0].revision() == pair[1].revision() {
                assert_eq!(pair[0].digest(), pair[1].digest(), "at revision {}", pair[0].revision());
            }
        }
        assert_eq!(*self.faults.lock().unwrap_or_else(PoisonError::into_inner), []);
    }
}

fn rebind(address: &str) -> Option<TcpListener> {
    let listener = std::net::TcpListener::bind(address).ok()?;
    listener.set_nonblocking(true).ok()?;
    TcpListener::from_std(listener).ok()
}

/// The record of the cluster, unless there is one.
fn genesis(cluster_id: &str, now_ms: i64) -> Command {
    let record = log::Cluster {
        cluster_id: cluster_id.to_owned(),
        epoch: 1,
        feature_level: 1,
        formed_at_ms: now_ms,
        ..log::Cluster::default()
    };
    let mut draft = Draft::new();
    draft.rely_on(&State::empty(), Key::cluster());
    draft.put(&Key::cluster(), &record);
    let origin = Origin { time_ms: now_ms, principal: "cluster".to_owned(), ..Origin::default() };
    Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) }
}

struct Names;

impl Identifiers for Names {
    fn uuid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
    fn letters(&self) -> String {
        "abcdef".to_owned()
    }
    fn choose(&self, _: usize) -> usize {
        0
    }
    fn key(&self) -> [u8; 32] {
        [7; 32]
    }
}

struct NoSecrets;

impl Sealer for NoSecrets {
    fn seal(&self, _: &str, _: &str, _: &str, _: &str, _: &[u8]) -> String {
        String::new()
    }
}
