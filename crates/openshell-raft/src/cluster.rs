//! The handle on a running node: everything that a server asks of the cluster. How it is done is
//! in the modules beside this one.

mod asking;

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use openshell_proto::peer::{ForwardRequest, ForwardResponse, NodeStatusResponse};
use openshell_state::access::Principal;
use openshell_state::{Call, Decision, Refusal, RequestId, State};
use openshell_store::{History, Member, Opened};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::age::{Freshness, age_of};
use crate::call::{Answered, CallContext, CallHandler, Consistency, Unavailable};
use crate::config::{ClusterConfig, Pace};
use crate::divergence;
use crate::formation::{self, Formation};
use crate::leadership;
use crate::node::{Handler, Node};
use crate::peer::{self, Links, Myself, Network, Transport, Wire};
use crate::propose::Proposals;
use crate::quorum::Tenure;
use crate::read::{self, ReadLine};
use crate::replace::{self, Replaced};
use crate::start::{self, StartError};
use crate::status::{Gauges, MemberInfo};
use crate::transfer::Heir;
use crate::vacancy;

/// A running node of a cluster. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
}

impl Cluster {
    /// Starts a node. Returns once peers can connect; formation goes on in the background, and
    /// [`Cluster::ready`] says how far it is.
    ///
    /// # Errors
    /// [`StartError`] when the node cannot start at all.
    pub async fn start<T: Transport>(config: ClusterConfig<T>, opened: Opened) -> Result<Self, StartError> {
        start::check(&config, &opened)?;
        let pace = Pace::of(&config.timings);
        let raft_config = start::raft_config(&config)?;
        let myself = Arc::new(Myself {
            node: config.node,
            cluster_id: ArcSwap::from_pointee(opened.identity.cluster_id()),
            key: config.cluster_key.clone(),
            is_removed: start::is_removed(opened.view.clone()),
            expelled: OnceLock::new(),
        });
        let (departed, departures) = vacancy::departures();
        let wire = Arc::new(Wire::new(config.peer_listener, Arc::clone(&myself), departed).map_err(StartError::Tls)?);
        let links = Arc::new(Links::new(Arc::clone(&wire)));
        let network = Network { node: config.node, links: Arc::clone(&links), pace };
        let raft = openraft::Raft::new(config.node, Arc::new(raft_config), network, opened.log.clone(), opened.machine);
        let raft = raft.await.map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        let initialised = raft.is_initialized().await.map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        let restored = opened.identity.restored_from();
        let has_data = (initialised && restored.is_none()) || !myself.cluster_id().is_empty();
        let (leader, leader_changes) = watch::channel(None);
        let (read_line, readers) = ReadLine::new();
        let admitted = has_data || opened.identity.is_promised();
        let formation = Formation::new(config.initial_cluster, config.join, admitted, restored);
        let node = Arc::new(Node {
            id: config.node,
            version: config.version,
            me: Member {
                peer_address: config.advertise_peer,
                client_address: config.advertise_client,
                zone: config.zone,
            },
            raft,
            log: opened.log,
            freshness: Freshness::new(Instant::now(), age_of(&opened.view.load(), config.clock.now_ms())),
            view: opened.view,
            history: opened.history,
            identity: opened.identity,
            myself,
            links,
            tenure: Tenure::default(),
            formation,
            proposals: Proposals::new(),
            read_line,
            call_handler: ArcSwapOption::empty(),
            leader_changes,
            pace,
            clock: config.clock,
            identifiers: config.identifiers,
            sealer: config.sealer,
            genesis: config.genesis,
            fault_hook: config.fault,
            fault: OnceLock::new(),
            refusal: watch::Sender::new(None),
            withdrawn: OnceLock::new(),
            doubt: std::sync::Mutex::default(),
            gone: CancellationToken::new(),
            applicants: std::sync::Mutex::default(),
            replacing: tokio::sync::Mutex::default(),
            heard: std::sync::Mutex::default(),
            receiving_snapshot: tokio::sync::Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        if let Some(reason) = divergence::withdrawn_before(&node) {
            // Before anybody can ask it anything.
            node.withdraw(reason).await;
        }
        spawn_tasks(&node, wire, leader, (readers, departures));
        Ok(Self { node })
    }

    /// Sets what answers other nodes. Until then they hear "not done", or that this node is starting.
    pub fn set_call_handler(&self, handler: Arc<dyn CallHandler>) {
        self.node.call_handler.store(Some(Arc::new(Handler(handler))));
    }

    /// Decides a call by a rule, on the leader only. The rule may run several times, on newer
    /// states; it must rely on nothing but what it is given.
    ///
    /// # Errors
    /// [`Unavailable::NotDone`] on a node that does not lead, with where the leader may be, and
    /// when the deadline passed first; [`Unavailable::Unknown`] when the change may be in the log.
    pub async fn decide<F>(&self, call: CallContext, rule: F) -> Result<Answered, Unavailable>
    where
        F: Fn(Call<'_>) -> Decision + Send + Sync,
    {
        self.node.decide(&call, &rule).await
    }

    /// Whether an id that a node made for its caller, and sent to nobody yet, has to be replaced by
    /// one made at another time: milliseconds since the Unix epoch. Asked on the leader.
    #[must_use]
    pub fn untimely(&self, id: &RequestId) -> Option<i64> {
        self.node.untimely(id)
    }

    /// The state at a consistency.
    ///
    /// # Errors
    /// [`Unavailable::NotDone`] when no leader could be asked, or this node lags, until the deadline.
    pub async fn read(&self, consistency: Consistency, deadline: Instant) -> Result<Arc<State>, Unavailable> {
        self.node.read(consistency, deadline).await
    }

    /// Whether this node has applied a revision, or does so before the deadline.
    pub async fn wait_for_revision(&self, revision: u64, deadline: Instant) -> bool {
        self.node.wait_for_revision(revision, deadline).await
    }

    /// Passes a call on to the node that leads, one hop, and waits until the deadline, or until
    /// another node leads and this one has had a moment to say what it knows.
    ///
    /// # Errors
    /// [`Unavailable::NotDone`] when it certainly was not handled, otherwise [`Unavailable::Unknown`].
    pub async fn forward(
        &self,
        to: u64,
        request: ForwardRequest,
        deadline: Instant,
    ) -> Result<ForwardResponse, Unavailable> {
        self.node.forward(to, request, deadline).await
    }

    /// What this node has applied.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.node.view.load()
    }

    /// The applied revision, as it grows. Borrow it only for a moment.
    #[must_use]
    pub fn watch_revision(&self) -> watch::Receiver<u64> {
        self.node.view.applied()
    }

    /// Grows by one whenever a snapshot replaced the state: caches must drop.
    #[must_use]
    pub fn watch_installs(&self) -> watch::Receiver<u64> {
        self.node.view.installs()
    }

    /// What changed on this node, by whom and when. Its newest entries may be ahead of the published
    /// state for a moment.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.node.history
    }

    /// The leader known, as it changes.
    #[must_use]
    pub fn watch_leader(&self) -> watch::Receiver<Option<u64>> {
        self.node.leader_changes.clone()
    }

    /// Why this node, which leads, can conclude nothing: it has heard of no majority for longer than
    /// an election takes. Nothing on any other node, and nothing was done by whoever is told.
    #[must_use]
    pub fn quorum_lost(&self) -> Option<Unavailable> {
        self.node.quorum_lost()
    }

    /// This node's id.
    #[must_use]
    pub fn node(&self) -> u64 {
        self.node.id
    }

    /// Where this node is placed; may be empty.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.node.me.zone
    }

    /// The leader that this node follows or is.
    #[must_use]
    pub fn leader(&self) -> Option<u64> {
        self.node.leader()
    }

    /// Whether this node believes that it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.node.is_leader()
    }

    /// The cluster's id; empty while the node has no cluster.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.node.myself.cluster_id().as_ref().clone()
    }

    /// Milliseconds since this node had applied what a leader told it was committed; on a leader,
    /// since its last quorum.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        self.node.age_ms()
    }

    /// Every member, by id.
    #[must_use]
    pub fn members(&self) -> Vec<MemberInfo> {
        self.node.members()
    }

    /// What this node says about itself.
    #[must_use]
    pub fn status(&self) -> NodeStatusResponse {
        self.node.status()
    }

    /// What another node says about itself.
    ///
    /// # Errors
    /// A sentence when it does not answer before the deadline.
    pub async fn peer_status(&self, id: u64, deadline: Instant) -> Result<NodeStatusResponse, String> {
        self.node.peer_status(id, deadline).await
    }

    /// Whether the node can serve.
    ///
    /// # Errors
    /// The reason why not, in words.
    pub fn ready(&self) -> Result<(), String> {
        self.node.ready()
    }

    /// Why this node takes no part in its cluster any more: it was removed, or its state differs.
    /// It answers nothing then.
    #[must_use]
    pub fn withdrawn(&self) -> Option<&str> {
        self.node.withdrawn.get().map(String::as_str)
    }

    /// That states of nodes differ and no majority tells which is right, while it is so: the node
    /// serves, and people must look.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        self.node.doubted()
    }

    /// Returns once the node takes no part any more.
    pub async fn until_withdrawn(&self) {
        self.node.gone.cancelled().await;
    }

    /// Puts `new` in the place of the member `old`, on the leader only, as far as that comes before
    /// the deadline. It may be called again until it is done, by any leader.
    ///
    /// # Errors
    /// [`Unavailable`]: always safe to repeat. A [`Refusal`] says why it cannot be.
    pub async fn replace(
        &self,
        principal: &Principal,
        old: u64,
        new: u64,
        deadline: Instant,
    ) -> Result<Result<Replaced, Refusal>, Unavailable> {
        self.node.replace(principal, old, new, deadline).await
    }

    /// Hands leadership over, on the leader only, and says who leads then. Another attempt of the same
    /// call may be made at any leader: what is done already is the answer then.
    ///
    /// # Errors
    /// [`Unavailable`], safe to repeat as a repeated attempt. A [`Refusal`] says why it cannot be: the node is
    /// no voter, cannot be reached, lags, or leads already.
    pub async fn transfer(
        &self,
        principal: &Principal,
        heir: Heir,
        is_repeated: bool,
        deadline: Instant,
    ) -> Result<Result<u64, Refusal>, Unavailable> {
        self.node.transfer(principal, heir, is_repeated, deadline).await
    }

    /// Ends when this node turns out to be one that must not run: it is empty among peers that are
    /// not, or its data are another cluster's. The sentence says what to do. It took no part in
    /// anything; nothing is broken, and starting it again as it is changes nothing.
    pub async fn refused(&self) -> String {
        let mut refusal = self.node.refusal.subscribe();
        match refusal.wait_for(Option::is_some).await {
            Ok(refusal) => refusal.clone().unwrap_or_default(),
            // The sender lives in the node, and so as long as this handle.
            Err(_) => std::future::pending().await,
        }
    }

    /// Numbers for the metrics page.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.node.gauges()
    }

    /// Before a planned stop: makes another node the leader, if this one leads.
    pub async fn hand_over(&self, deadline: Instant) {
        leadership::hand_over(&self.node, deadline).await;
    }

    /// Stops the node: peers hear nothing more from it, and every task has ended. What was
    /// acknowledged is on disk. Hand over first.
    pub async fn shutdown(&self) {
        self.node.stop.cancel();
        self.node.call_handler.store(None);
        if let Err(error) = self.node.raft.shutdown().await
            && self.node.withdrawn.get().is_none()
        {
            tracing::warn!(%error, "Raft did not stop cleanly");
        }
        self.node.tasks.close();
        self.node.tasks.wait().await;
    }
}

/// Every task of the node ends with its stop token and is waited for at shutdown.
fn spawn_tasks(
    node: &Arc<Node>,
    wire: Arc<Wire>,
    leader: watch::Sender<Option<u64>>,
    (readers, departures): (mpsc::Receiver<read::Reader>, mpsc::Receiver<u64>),
) {
    fn run(node: &Arc<Node>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = node.stop.clone();
        node.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }
    run(node, peer::serve(Arc::clone(node), wire));
    run(node, leadership::observe(Arc::clone(node), leader));
    run(node, leadership::propose_genesis(Arc::clone(node)));
    run(node, read::ask_for_all(Arc::clone(node), readers));
    run(node, formation::run(Arc::clone(node)));
    run(node, replace::finish(Arc::clone(node)));
    run(node, divergence::watch(Arc::clone(node)));
    run(node, vacancy::watch(Arc::clone(node), departures));
}
