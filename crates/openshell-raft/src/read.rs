//! Reads at a consistency. A linearizable read asks the leader for the index that it must have
//! applied (the read index), waits for it, and reads this node's own state.
//!
//! On a follower at most one such question is on its way; readers that come meanwhile join the
//! next one. None joins the one that was asked before it came, whose answer could be too old.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::LinearizableReadError;
use openshell_chaos::{Bug, bug};
use openshell_proto::peer::ReadIndexRequest;
use openshell_state::State;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::{Consistency, Unavailable};
use crate::node::Node;
use crate::peer::{sentence, within};
use crate::succession::superseded;

/// Readers that wait for one question; more wait to be let in.
const READERS_MAX: usize = 4096;
/// Before a question is asked again, unless the leader changes earlier.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// One reader that waits for an index.
pub(crate) type Reader = oneshot::Sender<Result<u64, Unavailable>>;

/// Where followers' readers queue up.
pub(crate) struct ReadLine {
    readers: mpsc::Sender<Reader>,
}

impl ReadLine {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reader>) {
        let (readers, queue) = mpsc::channel(READERS_MAX);
        (Self { readers }, queue)
    }

    async fn ask(&self) -> Result<u64, Unavailable> {
        let stopped = || Unavailable::not_done("this node is stopping", None);
        let (reader, answer) = oneshot::channel();
        self.readers.send(reader).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// Asks the leader on behalf of whoever waits, one question at a time.
pub(crate) async fn ask_for_all(node: Arc<Node>, mut queue: mpsc::Receiver<Reader>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, READERS_MAX).await > 0 {
        let answer = node.ask_leader().await;
        for reader in waiting.drain(..) {
            // A reader that has given up hears nothing.
            drop(reader.send(answer.clone()));
        }
    }
}

impl Node {
    /// The state at a consistency. Never `Unknown`: a read changes nothing.
    pub(crate) async fn read(&self, consistency: Consistency, deadline: Instant) -> Result<Arc<State>, Unavailable> {
        match consistency {
            Consistency::Local => Ok(self.view.load()),
            Consistency::Linearizable if bug(Bug::StaleReads) => Ok(self.view.load()),
            Consistency::Linearizable => self.linearizable(deadline).await,
        }
    }

    async fn linearizable(&self, deadline: Instant) -> Result<Arc<State>, Unavailable> {
        let mut leader = self.leader_changes.clone();
        let mut reason = "the leader did not answer in time".to_owned();
        loop {
            leader.mark_unchanged();
            let asking =
                async { if self.is_leader() { self.leader_read_index().await } else { self.read_line.ask().await } };
            match timeout_at(deadline, asking).await {
                Ok(Ok(index)) => return self.applied(index, deadline).await,
                Ok(Err(unavailable)) => reason = unavailable.to_string(),
                Err(_) => return Err(Unavailable::not_done(reason, self.leader())),
            }
            if let Some(lost) = self.quorum_lost() {
                return Err(lost);
            }
            tokio::select! {
                () = sleep(RETRY_PAUSE) => {}
                // Closed: the node ends, and says so at once as often as it is asked, without end.
                changed = leader.changed() => if changed.is_err() {
                    return Err(Unavailable::not_done("this node is stopping", None));
                }
            }
        }
    }

    /// The state once everything up to `index` is applied.
    async fn applied(&self, index: u64, deadline: Instant) -> Result<Arc<State>, Unavailable> {
        if self.wait_for_revision(index, deadline).await {
            return Ok(self.view.load());
        }
        let revision = self.view.load().revision();
        let reason = format!("this node has applied revision {revision} and must reach {index} to answer");
        Err(Unavailable::not_done(reason, self.leader()))
    }

    /// Whether everything up to `revision` was applied here before the deadline.
    pub(crate) async fn wait_for_revision(&self, revision: u64, deadline: Instant) -> bool {
        let mut revisions = self.view.applied();
        // An error means that the store is closed, and then it will not get there.
        matches!(timeout_at(deadline, revisions.wait_for(|applied| *applied >= revision)).await, Ok(Ok(_)))
    }

    /// This node leads, has the state that a decision may be refused on, and proves it: a
    /// majority still follows it, and everything committed is applied.
    pub(crate) async fn prove_leadership(&self, deadline: Instant) -> Result<Arc<State>, Unavailable> {
        let state = match timeout_at(deadline, self.leader_read_index()).await {
            Ok(index) => self.applied(index?, deadline).await?,
            Err(_) => {
                return Err(Unavailable::not_done("a majority did not confirm in time that this node leads", None));
            }
        };
        self.check_taking_part()?;
        Ok(state)
    }

    /// The index that a read must see, if this node leads.
    pub(crate) async fn leader_read_index(&self) -> Result<u64, Unavailable> {
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(openraft::errors::RaftError::Fatal(fatal)) => Err(Unavailable::not_done(fatal.to_string(), None)),
            Err(openraft::errors::RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                let hint = forward.leader_id.filter(|leader| *leader != self.id);
                Err(Unavailable::not_done("this node does not lead", hint))
            }
            Err(openraft::errors::RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(Unavailable::not_done("a majority did not confirm that this node leads", None))
            }
        }
    }

    /// Asks the leader for its read index, unless another node leads meanwhile: a read may be asked
    /// again at once, and others wait behind it.
    async fn ask_leader(&self) -> Result<u64, Unavailable> {
        let Some(leader) = self.leader() else {
            return Err(Unavailable::not_done("no leader is known", None));
        };
        if leader == self.id {
            return self.leader_read_index().await;
        }
        let Some(link) = self.link(leader) else {
            return Err(Unavailable::not_done(format!("the address of node {leader} is not known"), Some(leader)));
        };
        let mut control = link.channels().control.clone();
        let other = superseded(self.leader_changes.clone(), leader, Duration::ZERO);
        let answer = tokio::select! {
            biased;
            answer = within(self.pace.call_limit(), control.read_index(ReadIndexRequest {})) => answer,
            () = other => {
                let reason = format!("node {leader} did not answer and leads no more");
                return Err(Unavailable::not_done(reason, self.leader()));
            }
        };
        match answer {
            Ok(response) => response.index.ok_or_else(|| {
                let hint = (response.leader_hint != 0).then_some(response.leader_hint);
                Unavailable::not_done(format!("node {leader} could not confirm that it leads"), hint)
            }),
            Err(status) => {
                let reason = format!("node {leader} did not answer: {}", sentence(&status));
                Err(Unavailable::not_done(reason, Some(leader)))
            }
        }
    }
}
