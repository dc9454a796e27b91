//! How a cluster comes to be. Every node is started with the same initial cluster. The lowest id
//! forms it, once every other node has answered in this process's life that it is empty, under a
//! random cluster id that the others take over with Raft's first call.
//!
//! A node that is asked promises, on disk before it answers, to be a member of what its initial
//! cluster forms. So no two initial clusters that share a node both form, and whatever crashes
//! while a cluster is formed, its nodes go on from where they were.
//!
//! An empty node without a promise has lost its data, or was given another's id: it lets no Raft
//! call in, since it has forgotten its votes, and ends with a sentence as soon as it sees that a
//! peer is initialised. That order is safe: nobody is initialised before everybody has promised.
//! A node with data of another cluster than that of most of its peers ends likewise.
//!
//! A cluster whose nodes were all restored from one export forms in the same way: they have state
//! and log already, equal ones, and lack only the cluster id under which Raft's calls may go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use openraft::errors::{InitializeError, RaftError};
use openshell_chaos::{Point, point};
use openshell_proto::peer::{IntroduceRequest, IntroduceResponse, NodeStatusRequest};
use openshell_store::Member;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::call::Consistency;
use crate::join;
use crate::node::Node;
use crate::peer::{has_other_key, other_cluster, sentence, was_removed, within};

/// Between two rounds of asking.
const ROUND_PAUSE: Duration = Duration::from_millis(150);
/// How long one peer may take to answer, connecting included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// What a node knows about how its cluster is formed.
pub(crate) struct Formation {
    /// Id to peer address, this node included.
    initial: BTreeMap<u64, String>,
    digest: [u8; 32],
    /// Raft's calls may come in: the node has data, or has promised to be a member.
    admitted: AtomicBool,
    /// Addresses of members of the cluster that this node waits to be added to; none: it forms one.
    pub(crate) join: Vec<String>,
    /// What the node waits for, for people.
    pub(crate) waiting_for: ArcSwap<String>,
    /// One promise or join at a time.
    joining: Mutex<()>,
}

/// What a round of asking found.
enum Round {
    /// Everybody is empty and means the same cluster.
    AllEmpty,
    /// Not yet, and why.
    Wait(String),
    /// Most of the initial cluster holds another key than this node.
    OtherKey,
    /// A peer has data, this node has none.
    Refused {
        peer: u64,
        /// The peer was started with another initial cluster.
        other_list: bool,
    },
}

impl Formation {
    /// `admitted`: the node was part of a cluster before, or has promised to be. `restored`: from
    /// which export, if any.
    pub(crate) fn new(
        initial: BTreeMap<u64, String>,
        join: Vec<String>,
        admitted: bool,
        restored: Option<[u8; 32]>,
    ) -> Self {
        let mut digest = initial_cluster_digest(&initial);
        if let Some(export) = restored {
            // Nodes that were restored from something else, or not at all, are not to form with this one.
            digest = Sha256::new().chain_update(digest).chain_update(export).finalize().into();
        }
        Self {
            initial,
            digest,
            join,
            admitted: AtomicBool::new(admitted),
            waiting_for: ArcSwap::from_pointee("its first start to finish".to_owned()),
            joining: Mutex::default(),
        }
    }

    /// What the node waits for while it has no cluster.
    pub(crate) fn waiting_for(&self) -> Arc<String> {
        self.waiting_for.load_full()
    }

    fn lowest(&self) -> u64 {
        *self.initial.keys().next().expect("the initial cluster holds this node")
    }

    /// Answers what this node is. Being asked by the node that forms makes an empty node a
    /// member of what is being formed.
    pub(crate) async fn introduce(&self, node: &Node, caller: u64, digest: &[u8]) -> Result<IntroduceResponse, Status> {
        let initialised = node.is_initialised().await.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        if !initialised && caller == self.lowest() && digest == self.digest {
            self.promise(node).await.map_err(Status::unavailable)?;
        }
        Ok(IntroduceResponse {
            node: node.id,
            cluster_id: node.myself.cluster_id().as_ref().clone(),
            initial_cluster_digest: self.digest.to_vec(),
            initialised,
        })
    }

    /// Makes this node a member of whatever its initial cluster forms, on disk first.
    async fn promise(&self, node: &Node) -> Result<(), String> {
        let _one_at_a_time = self.joining.lock().await;
        if !self.admitted.load(Ordering::Acquire) {
            node.identity.promise().await.map_err(|error| error.to_string())?;
            point(Point::FormationAfterPromise);
            self.admitted.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The leader adds this node: it takes Raft's calls from now on.
    pub(crate) fn admit(&self) -> Result<(), String> {
        if self.join.is_empty() && !self.admitted.load(Ordering::Acquire) {
            return Err("this node was not started with --join, and waits for nobody to add it".to_owned());
        }
        self.admitted.store(true, Ordering::Release);
        Ok(())
    }

    /// A Raft call of a member of `cluster_id` arrived: lets it in, or says why not.
    pub(crate) async fn join(&self, node: &Node, cluster_id: &str) -> Result<(), String> {
        if !self.admitted.load(Ordering::Acquire) {
            let asked = if self.join.is_empty() { "asked to form a cluster" } else { "added to a cluster" };
            return Err(format!("node {} is empty and was not {asked}", node.id));
        }
        if node.myself.cluster_id().is_empty() {
            let _one_at_a_time = self.joining.lock().await;
            if node.myself.cluster_id().is_empty() {
                self.adopt(node, cluster_id).await?;
            }
        }
        let mine = node.myself.cluster_id();
        if *mine == cluster_id {
            return Ok(());
        }
        Err(format!("node {} belongs to cluster {mine}, not to {cluster_id}", node.id))
    }

    /// Takes a cluster id over, on disk first.
    async fn adopt(&self, node: &Node, cluster_id: &str) -> Result<(), String> {
        node.identity.adopt_cluster_id(cluster_id).await.map_err(|error| error.to_string())?;
        point(Point::FormationAfterAdopt);
        node.myself.cluster_id.store(Arc::new(cluster_id.to_owned()));
        // The handshakes so far said that this node has no cluster.
        node.links.renew();
        tracing::info!(node = node.id, cluster_id, "joined the cluster");
        Ok(())
    }
}

/// SHA-256 over the initial cluster, so that two different lists cannot both form. In that of a
/// cluster of one the address does not count: nobody dials it, and it may change with every start.
#[must_use]
pub fn initial_cluster_digest(initial: &BTreeMap<u64, String>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    if let (1, Some((node, _))) = (initial.len(), initial.first_key_value()) {
        return hasher.chain_update(node.to_be_bytes()).finalize().into();
    }
    for (node, address) in initial {
        hasher.update(node.to_be_bytes());
        hasher.update((address.len() as u64).to_be_bytes());
        hasher.update(address.as_bytes());
    }
    hasher.finalize().into()
}

/// Brings an empty node into a cluster, or refuses its start; then makes sure that the cluster is
/// that of its peers.
pub(crate) async fn run(node: Arc<Node>) {
    if !node.formation.join.is_empty() {
        return join::run(&node).await;
    }
    loop {
        match node.is_initialised().await {
            Ok(false) if node.myself.expelled.get().is_some() => return node.refuse(was_removed(node.id)),
            Ok(false) => {}
            Ok(true) => return belong(&node).await,
            // Stopped, which the fault watch reports.
            Err(_) => return,
        }
        let lowest = node.formation.lowest() == node.id;
        match round(&node).await {
            Round::AllEmpty if lowest => match form(&node).await {
                Ok(()) => return,
                Err(reason) => node.formation.waiting_for.store(Arc::new(reason)),
            },
            Round::AllEmpty => {
                let text = format!("node {} to form the cluster", node.formation.lowest());
                node.formation.waiting_for.store(Arc::new(text));
            }
            Round::Wait(reason) => node.formation.waiting_for.store(Arc::new(reason)),
            // Also after a promise: what this list was to form cannot be formed any more.
            Round::Refused { peer, other_list: true } => return node.refuse(misled(node.id, peer)),
            Round::Refused { peer, .. } if node.formation.admitted.load(Ordering::Acquire) && !lowest => {
                let text = format!("Raft's first call; node {peer} has it already");
                node.formation.waiting_for.store(Arc::new(text));
            }
            Round::OtherKey if !node.formation.admitted.load(Ordering::Acquire) => {
                return node.refuse(other_key_than_most(node.id));
            }
            Round::OtherKey => {
                let text = format!("most of its peers: {}", other_key_than_most(node.id));
                node.formation.waiting_for.store(Arc::new(text));
            }
            Round::Refused { peer, other_list: false } => return node.refuse(replaced(node.id, peer)),
        }
        sleep(ROUND_PAUSE).await;
    }
}

/// The refusal of an empty node, which loses nothing by ending.
pub(crate) fn other_key_than_most(node: u64) -> String {
    format!(
        "node {node} does not hold the key that most nodes of its cluster hold: give it the same secrets key file as those, \
         with --secrets-key-file"
    )
}

fn misled(node: u64, peer: u64) -> String {
    format!(
        "node {node} is empty, and node {peer} of its --initial-cluster is a member of a cluster that was formed from another \
         one: give node {node} the list of the cluster that it is meant for"
    )
}

fn replaced(node: u64, peer: u64) -> String {
    format!(
        "node {node} is empty, but node {peer} of its initial cluster holds data: a node never comes back empty under \
         its old id, because it has forgotten its votes. Restore the data directory of node {node}; or, if it is lost, \
         remove node {node} from the cluster and add a new node under an id that was never used (openshell cluster \
         replace {node} --with NEW). If the cluster was never completely formed, empty the data directories of all nodes \
         and start them again"
    )
}

/// Until a majority has answered this node for the first time: ends it when most members are of one other cluster.
/// They cannot all have been given wrong data, so this node was. A node that lags or is alone
/// meets no such majority. A cluster of one that was told of others is not theirs either.
async fn belong(node: &Node) {
    if let Some(told) = told_of_others(node.formation.initial.len(), &[])
        && is_alone(node)
    {
        return node.refuse(alone(node.id, &node.myself.cluster_id(), told));
    }
    loop {
        let proof = node.read(Consistency::Linearizable, Instant::now() + ANSWER_TIMEOUT);
        let (proof, other) = tokio::join!(proof, other_cluster_of_most(node));
        if proof.is_ok() {
            return;
        }
        if let Some(other) = other {
            return node.refuse(stranger(node.id, &node.myself.cluster_id(), &other));
        }
        sleep(ROUND_PAUSE).await;
    }
}

/// Whether this node's data are those of a cluster of one. Such a cluster never gets more members.
pub(crate) fn is_alone(node: &Node) -> bool {
    node.server_metrics().membership_config.voter_ids().eq([node.id])
}

/// What a node was told, for people, when that is of a cluster with other nodes.
pub(crate) fn told_of_others(initial: usize, join: &[String]) -> Option<&'static str> {
    match (initial, join) {
        (_, [_, ..]) => Some("--join names members of another"),
        (2.., []) => Some("--initial-cluster names other nodes as well"),
        (_, []) => None,
    }
}

/// The refusal of data of a cluster of one in a place that is for a member of a larger one.
pub(crate) fn alone(node: u64, mine: &str, told: &str) -> String {
    format!(
        "the data of node {node} are those of cluster {mine}, which has no other member, but {told}: give the node its own \
         data directory, or start it as the cluster of one that it is"
    )
}

async fn other_cluster_of_most(node: &Node) -> Option<String> {
    let members = node.members();
    let asking = members.iter().filter(|member| member.id != node.id).map(async |member| {
        let mut control = node.links.to(member.id, &member.peer_address).channels().control.clone();
        let answer = within(ANSWER_TIMEOUT, control.node_status(NodeStatusRequest {})).await;
        answer.err().and_then(|status| other_cluster(&status).map(str::to_owned))
    });
    let mut counts = BTreeMap::<String, usize>::new();
    for other in futures::future::join_all(asking).await.into_iter().flatten() {
        *counts.entry(other).or_default() += 1;
    }
    counts.into_iter().find(|(_, count)| *count > members.len() / 2).map(|(other, _)| other)
}

fn stranger(node: u64, mine: &str, other: &str) -> String {
    format!(
        "the data of node {node} belong to cluster {mine}, but most of its peers belong to cluster {other}: give the node \
         its own data directory, or the addresses of its own peers"
    )
}

/// Asks every peer once.
async fn round(node: &Node) -> Round {
    let formation = &node.formation;
    let asking = formation.initial.iter().filter(|(peer, _)| **peer != node.id).map(async |(peer, address)| {
        let mut control = node.links.to(*peer, address).channels().control.clone();
        let request = IntroduceRequest { initial_cluster_digest: formation.digest.to_vec() };
        (*peer, address, within(ANSWER_TIMEOUT, control.introduce(request)).await)
    });
    let answers = futures::future::join_all(asking).await;
    let mut wait = None;
    let mut other_keys = 0;
    for (peer, address, answer) in answers {
        other_keys += usize::from(answer.as_ref().is_err_and(has_other_key));
        match answer {
            Ok(answer) if answer.initialised => {
                return Round::Refused { peer, other_list: answer.initial_cluster_digest != formation.digest };
            }
            Ok(answer) if answer.initial_cluster_digest != formation.digest => {
                let restored =
                    node.identity.restored_from().map_or("", |_| ", and to be restored from the same export");
                let text = format!("node {peer} to be started with the same initial cluster as this node{restored}");
                wait = Some(text);
            }
            Ok(_) => {}
            Err(status) => wait = Some(format!("node {peer} at {address}: {}", sentence(&status))),
        }
    }
    // More than half of all, this node counted: where two keys are about, those of one key go on.
    if other_keys > formation.initial.len() / 2 {
        return Round::OtherKey;
    }
    wait.map_or(Round::AllEmpty, Round::Wait)
}

/// Forms the cluster: its id on disk first, then Raft's first entry, the membership.
async fn form(node: &Node) -> Result<(), String> {
    let restored = node.identity.restored_from().is_some();
    let members = if restored { BTreeMap::new() } else { members(node).await? };
    let formation = &node.formation;
    formation.admitted.store(true, Ordering::Release);
    if node.myself.cluster_id().is_empty() {
        formation.adopt(node, &node.identifiers.uuid()).await?;
    }
    if restored {
        tracing::info!(node = node.id, cluster_id = %node.myself.cluster_id(), "formed the restored cluster");
        return Ok(());
    }
    match node.raft.initialize(members).await {
        Ok(()) => {
            tracing::info!(node = node.id, cluster_id = %node.myself.cluster_id(), "formed the cluster");
            Ok(())
        }
        // Somebody's vote came first: the cluster is there.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(format!("Raft to take the first members: {error}")),
    }
}

/// The members with what each says about itself.
async fn members(node: &Node) -> Result<BTreeMap<u64, Member>, String> {
    let mut members = BTreeMap::from([(node.id, node.me.clone())]);
    for (peer, address) in node.formation.initial.iter().filter(|(peer, _)| **peer != node.id) {
        let mut control = node.links.to(*peer, address).channels().control.clone();
        let status = within(ANSWER_TIMEOUT, control.node_status(NodeStatusRequest {})).await;
        let status = status.map_err(|status| format!("node {peer} at {address}: {}", sentence(&status)))?;
        let member = Member { peer_address: address.clone(), client_address: status.client_address, zone: status.zone };
        members.insert(*peer, member);
    }
    if let Some((me, address)) = members.get_mut(&node.id).zip(node.formation.initial.get(&node.id)) {
        me.peer_address.clone_from(address);
    }
    Ok(members)
}
