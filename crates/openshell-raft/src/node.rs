//! One running node: Raft, the state's view, the links to peers, and what its tasks share. The
//! handle that others hold is [`Cluster`](crate::Cluster).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use std::time::Duration;

use arc_swap::ArcSwapOption;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::{Instant as _, RaftMetrics, ServerState};
use openshell_state::{Identifiers, Sealer};
use openshell_store::{FaultHook, History, Identity, LogStore, Member, Raft, StateView, TypeConfig};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::age::Freshness;
use crate::call::{CallHandler, Unavailable};
use crate::config::{Clock, Genesis, Pace};
use crate::formation::Formation;
use crate::peer::{Link, Links, Myself};
use crate::propose::Proposals;
use crate::quorum::Tenure;
use crate::read::ReadLine;

/// The handler in a box of known size, so that it can be swapped in.
pub(crate) struct Handler(pub(crate) Arc<dyn CallHandler>);

/// What all tasks of a node share.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) version: String,
    pub(crate) me: Member,
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) view: StateView,
    pub(crate) history: History,
    pub(crate) identity: Identity,
    pub(crate) myself: Arc<Myself>,
    pub(crate) links: Arc<Links>,
    pub(crate) freshness: Freshness,
    pub(crate) tenure: Tenure,
    pub(crate) formation: Formation,
    pub(crate) proposals: Proposals,
    pub(crate) read_line: ReadLine,
    pub(crate) call_handler: ArcSwapOption<Handler>,
    pub(crate) leader_changes: watch::Receiver<Option<u64>>,
    pub(crate) pace: Pace,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identifiers: Arc<dyn Identifiers + Send + Sync>,
    pub(crate) sealer: Arc<dyn Sealer + Send + Sync>,
    pub(crate) genesis: Genesis,
    pub(crate) fault_hook: FaultHook,
    /// What ended this node, once something has.
    pub(crate) fault: OnceLock<String>,
    /// Why this node must not be a member of the cluster that it was started for, once that is known.
    pub(crate) refusal: watch::Sender<Option<String>>,
    /// Why this node takes no part any more, once it does not.
    pub(crate) withdrawn: OnceLock<String>,
    /// That states of nodes differ and no majority tells which is right, while it is so.
    pub(crate) doubt: Mutex<Option<String>>,
    /// Cancelled when the node takes no part any more.
    pub(crate) gone: CancellationToken,
    /// Nodes that wait to be added, and when they last said so.
    pub(crate) applicants: Mutex<BTreeMap<u64, (Member, Instant)>>,
    /// Held while a member is replaced: one at a time.
    pub(crate) replacing: tokio::sync::Mutex<()>,
    /// What peers last said about themselves, which is newer than what the membership says.
    pub(crate) heard: Mutex<BTreeMap<u64, Member>>,
    /// Held while a snapshot comes in: one at a time.
    pub(crate) receiving_snapshot: tokio::sync::Mutex<()>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Node {
    /// Whether the node is part of a cluster. A restored node has a log from the start, and is one
    /// once it has taken over the new cluster's id.
    pub(crate) async fn is_initialised(&self) -> Result<bool, openraft::errors::Fatal<TypeConfig>> {
        match self.identity.restored_from() {
            Some(_) => Ok(!self.myself.cluster_id().is_empty()),
            None => self.raft.is_initialized().await,
        }
    }

    /// Raft's view of the cluster now. Cloned out: holding the watch would stop Raft.
    pub(crate) fn server_metrics(&self) -> RaftServerMetrics<TypeConfig> {
        self.raft.server_metrics().borrow_watched().clone()
    }

    /// Everything that Raft measures.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The leader that this node follows or is: the value of the watch that tells of the next one.
    pub(crate) fn leader(&self) -> Option<u64> {
        *self.leader_changes.borrow()
    }

    /// Whether this node believes that it leads. Only a read index proves it.
    pub(crate) fn is_leader(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.state == ServerState::Leader && metrics.current_leader == Some(self.id)
    }

    /// Turns everything away once this node takes no part any more, also while it still leads: it
    /// hands over then, and its state may be wrong.
    pub(crate) fn check_taking_part(&self) -> Result<(), Unavailable> {
        let Some(reason) = self.withdrawn.get() else { return Ok(()) };
        Err(Unavailable::not_done(reason.as_str(), self.leader().filter(|leader| *leader != self.id)))
    }

    /// Turns a decision away that belongs elsewhere.
    pub(crate) fn check_leading(&self) -> Result<(), Unavailable> {
        self.check_taking_part()?;
        if self.is_leader() {
            return Ok(());
        }
        self.proposals.counts.not_leader();
        let hint = self.leader().filter(|leader| *leader != self.id);
        let reason = match hint {
            Some(leader) => format!("node {leader} leads"),
            None => "no leader is known".to_owned(),
        };
        Err(Unavailable::not_done(reason, hint))
    }

    /// How old what this node knows is.
    pub(crate) fn age(&self) -> Duration {
        let now = Instant::now();
        if !self.is_leader() {
            return self.freshness.age(now, self.view.load().revision());
        }
        let metrics = self.metrics();
        if metrics.membership_config.voter_ids().eq([self.id]) {
            // A quorum of one is always there.
            return Duration::ZERO;
        }
        match metrics.last_quorum_acked {
            Some(acked) => acked.elapsed(),
            None => self.freshness.age(now, self.view.load().revision()),
        }
    }

    /// The link to a member.
    pub(crate) fn link(&self, node: u64) -> Option<Arc<Link>> {
        if node == self.id {
            return None;
        }
        let metrics = self.server_metrics();
        let member = metrics.membership_config.membership().get_node(&node);
        match member {
            Some(member) => Some(self.links.to(node, &member.peer_address)),
            None => self.links.known(node),
        }
    }

    /// Ends the node: whatever it says from now on may be wrong. The hook is told once.
    pub(crate) fn fail(&self, sentence: String) {
        if self.stop.is_cancelled() {
            return;
        }
        tracing::error!(node = self.id, fault = %sentence, "this node cannot go on");
        if self.fault.set(sentence).is_ok()
            && let Some(sentence) = self.fault.get()
        {
            (self.fault_hook)(sentence);
        }
    }

    /// Gives the start up: the node was told something wrong, and nothing is broken.
    pub(crate) fn refuse(&self, sentence: String) {
        tracing::error!(node = self.id, refusal = %sentence, "this node must not be part of the cluster");
        self.refusal.send_replace(Some(sentence));
    }

    /// What a peer last said about itself.
    pub(crate) fn heard_from(&self, node: u64) -> Option<Member> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}
