//! The process of one node, on its host: opens the store, starts the node, and does what it is asked
//! until it is ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openshell_proto::log::{self, Command, Origin, command};
use openshell_raft::{
    Cluster, ClusterConfig, ClusterKey, Consistency, FaultHook, Genesis, Heir, Replaced, Timings,
    initial_cluster_digest,
};
use openshell_state::access::Principal;
use openshell_state::{Draft, Identifiers, Key, Sealer, State};
use openshell_store::{Expected, Opened, Options, Store, WriterMode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::disk::NodeDisk;
use crate::entry::{self, Heard, Request};
use crate::network::{Port, address};
use crate::plan::Plan;
use crate::world::{Running, World};

const KEY: [u8; 32] = [7; 32];
/// How long a node that is stopped in order may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long a local read waits for a revision (`architecture.md`, one revision orders everything).
const CATCH_UP: Duration = Duration::from_millis(250);

/// What a node is asked, with where the answer goes. Whoever asked may be gone by then.
pub(crate) enum Ask {
    /// Carries a write to the leader.
    Write(Request, Duration, oneshot::Sender<Heard>),
    /// The state, within a time.
    Read(Fresh, Duration, oneshot::Sender<Option<Arc<State>>>),
    /// Whether it can serve, and who the voters are, as far as it knows.
    Status(oneshot::Sender<Status>),
    /// Moves leadership to a node, within a time.
    Transfer(u64, Duration),
    /// Puts a node into the place of another, within a time; says whether it is done.
    Replace { old: u64, new: u64, limit: Duration, done: oneshot::Sender<bool> },
    /// Hands over and stops.
    Stop,
}

/// How fresh a read has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fresh {
    Linearizable,
    AtLeast(u64),
}

/// What a node says of itself.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) ready: Result<(), String>,
    pub(crate) voters: Vec<u64>,
}

/// The node's process. Whatever keeps it from starting is a violation: its disk is honest.
pub(crate) async fn run(world: Arc<World>, node: u64) -> turmoil::Result {
    let (disk, clock, life) = world.place(node, |place| (place.disk.clone(), Arc::clone(&place.clock), place.life));
    let fault: FaultHook = {
        let world = Arc::clone(&world);
        Arc::new(move |sentence| world.is_broken(node, life, sentence))
    };
    let plan = &world.plan;
    let opened = open(NodeDisk { disk, planted: world.planted }, plan, node, Arc::clone(&fault));
    let opened = match opened {
        Ok(opened) => opened,
        Err(sentence) => {
            world.is_broken(node, life, &sentence);
            return Ok(());
        }
    };
    let (initial_cluster, join) = told(plan, node);
    let config = ClusterConfig {
        node,
        zone: String::new(),
        version: "simulated".to_owned(),
        peer_listener: Port::bind().await.map_err(|error| format!("node {node}, life {life}: {error}"))?,
        advertise_peer: address(node),
        advertise_client: String::new(),
        initial_cluster,
        join,
        cluster_key: ClusterKey::new(KEY),
        timings: Timings::clone(&plan.timings),
        snapshot_after_entries: plan.snapshot_after_entries,
        log_entries_kept: plan.log_entries_kept,
        genesis: genesis(),
        clock,
        identifiers: Arc::new(Names(Mutex::new(Chance::new(plan.seed, &format!("names {node} {life}"))))),
        sealer: Arc::new(NoSecrets),
        fault: Arc::clone(&fault),
    };
    let cluster = match Cluster::start(config, opened).await {
        Ok(cluster) => cluster,
        Err(error) => {
            world.is_broken(node, life, &error.to_string());
            return Ok(());
        }
    };
    cluster.set_call_handler(Arc::new(entry::FromPeers { cluster: Some(cluster.clone()), padding: plan.padding }));
    let (asks, asked) = mpsc::unbounded_channel();
    world.started(node, Running { cluster: cluster.clone(), asks });
    tokio::select! {
        biased;
        refusal = cluster.refused() => fault(&format!("its start is refused: {refusal}")),
        () = serve(&cluster, plan.padding, asked) => {}
    }
    world.place(node, |place| place.running = None);
    cluster.shutdown().await;
    world.place(node, |place| place.has_ended = true);
    Ok(())
}

fn open(disk: NodeDisk, plan: &Plan, node: u64, on_fault: FaultHook) -> Result<Opened, String> {
    let initial = told(plan, node).0;
    let is_joining = node == plan.spare();
    let initial_cluster = (!is_joining).then(|| initial_cluster_digest(&initial));
    let expected = Expected { node_id: node, initial_cluster, secrets_key: KEY };
    let writer = if plan.disk_ms.is_some() { WriterMode::Task } else { WriterMode::Inline };
    let options = Options { writer, ..Options::new(expected, on_fault) };
    Store::open(Arc::new(disk), options).map_err(|error| format!("its store is not opened: {error}"))
}

/// What a node is told of others: the initial cluster, or whom to join.
fn told(plan: &Plan, node: u64) -> (BTreeMap<u64, String>, Vec<String>) {
    let members = (1..=plan.nodes).map(|member| (member, address(member)));
    match node == plan.spare() {
        true => (BTreeMap::from([(node, address(node))]), members.map(|(_, address)| address).collect()),
        false => (members.collect(), Vec::new()),
    }
}

/// Takes what it is asked until it is asked to stop.
async fn serve(cluster: &Cluster, padding: usize, mut asked: mpsc::UnboundedReceiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        if let Ask::Stop = ask {
            return cluster.hand_over(Instant::now() + HAND_OVER).await;
        }
        let cluster = cluster.clone();
        // Ends by itself in time, or with the runtime of the host.
        tokio::spawn(async move { answer(&cluster, padding, ask).await });
    }
}

/// Who asked may have gone; then the answer goes nowhere.
async fn answer(cluster: &Cluster, padding: usize, ask: Ask) {
    match ask {
        Ask::Write(request, limit, heard) => {
            drop(heard.send(entry::submit(cluster, padding, request, limit).await));
        }
        Ask::Read(fresh, limit, state) => drop(state.send(read(cluster, fresh, limit).await)),
        Ask::Status(status) => {
            let voters = cluster.members().iter().filter(|member| member.voter).map(|member| member.id).collect();
            drop(status.send(Status { ready: cluster.ready(), voters }));
        }
        Ask::Transfer(to, limit) => {
            let deadline = Instant::now() + limit;
            // Refused, or not done in time: nothing is owed to anybody.
            drop(cluster.transfer(&Principal::Cluster, Heir::Node(to), false, deadline).await);
        }
        Ask::Replace { old, new, limit, done } => {
            let replaced = cluster.replace(&Principal::Cluster, old, new, Instant::now() + limit).await;
            done.send(matches!(replaced, Ok(Ok(Replaced::Done)))).unwrap_or_default();
        }
        Ask::Stop => unreachable!("taken before"),
    }
}

async fn read(cluster: &Cluster, fresh: Fresh, limit: Duration) -> Option<Arc<State>> {
    let deadline = Instant::now() + limit;
    match fresh {
        Fresh::Linearizable => cluster.read(Consistency::Linearizable, deadline).await.ok(),
        Fresh::AtLeast(revision) => {
            let is_there = cluster.wait_for_revision(revision, Instant::now() + CATCH_UP).await;
            is_there.then(|| cluster.state())
        }
    }
}

/// The record of the cluster, unless there is one.
fn genesis() -> Genesis {
    Arc::new(|cluster_id, now_ms| {
        let record = log::Cluster {
            cluster_id: cluster_id.to_owned(),
            epoch: 1,
            feature_level: openshell_state::FEATURE_LEVEL,
            formed_at_ms: now_ms,
            ..log::Cluster::default()
        };
        let mut draft = Draft::new();
        draft.rely_on(&State::empty(), Key::cluster());
        draft.put(&Key::cluster(), &record);
        let origin = Origin { time_ms: now_ms, principal: "cluster".to_owned(), ..Origin::default() };
        Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) }
    })
}

/// Names from the seed.
struct Names(Mutex<Chance>);

impl Names {
    fn next(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Identifiers for Names {
    fn uuid(&self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    fn letters(&self) -> String {
        "abcdef".to_owned()
    }

    fn choose(&self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }

    fn key(&self) -> [u8; 32] {
        KEY
    }
}

/// Nothing that is written here is a secret.
struct NoSecrets;

impl Sealer for NoSecrets {
    fn seal(&self, _: &str, _: &str, _: &str, _: &str, _: &[u8]) -> String {
        String::new()
    }
}
