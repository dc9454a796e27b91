//! Into the log: one proposal at a time or side by side, bounded in bytes, never after its
//! deadline, and what became of each is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use openshell_chaos::{Point, point};
use openshell_state::Outcome;
use openshell_store::{Proposal, TypeConfig};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, Semaphore};
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};

use crate::call::Unavailable;
use crate::node::Node;

/// Entries on their way into the log, together. openraft's own queues count entries, not bytes.
const IN_FLIGHT_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Rules that run at once; more wait, so that there are threads for everything else.
const RULES_AT_ONCE: usize = 16;
/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// What proposals share on one node.
pub(crate) struct Proposals {
    /// Held shared from a decision until its entry is applied, exclusively to decide alone.
    turns: Arc<RwLock<()>>,
    bytes: Arc<Semaphore>,
    /// Rules that run at once: each takes a processor for as long as it runs.
    rules: Semaphore,
    pub(crate) counts: Counts,
}

/// The right to decide and propose. Kept until the entry is applied, also when nobody waits for
/// it any more: only then is nothing on its way.
pub(crate) enum Turn {
    /// Side by side with others.
    Shared {
        /// Ends the turn.
        _held: OwnedRwLockReadGuard<()>,
    },
    /// Nothing else is on its way.
    Alone {
        /// Ends the turn.
        _held: OwnedRwLockWriteGuard<()>,
    },
}

/// What became of a proposal that was applied.
pub(crate) struct Proposed {
    /// Log index of the entry.
    pub(crate) index: u64,
    /// What apply made of it.
    pub(crate) outcome: Outcome,
}

impl Proposals {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::default(),
            bytes: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX as usize)),
            rules: Semaphore::new(RULES_AT_ONCE),
            counts: Counts::default(),
        }
    }

    /// Runs a rule, which may think for long, so that what else the runtime has to do does not wait for it: an
    /// election would follow from a heartbeat that comes too late. A runtime of one thread has no other to
    /// hand it to.
    pub(crate) async fn think<T>(&self, deadline: Instant, rule: impl FnOnce() -> T) -> Result<T, Unavailable> {
        let room = timeout_at(deadline, self.rules.acquire()).await;
        let _room = room.map_err(|_| late())?.expect("the semaphore is never closed");
        Ok(match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => block_in_place(rule),
            _ => rule(),
        })
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, alone: bool, deadline: Instant) -> Result<Turn, Unavailable> {
        let turns = Arc::clone(&self.turns);
        let waiting = async {
            if alone {
                self.counts.exclusive.fetch_add(1, Ordering::Relaxed);
                Turn::Alone { _held: turns.write_owned().await }
            } else {
                Turn::Shared { _held: turns.read_owned().await }
            }
        };
        timeout_at(deadline, waiting).await.map_err(|_| late())
    }
}

fn late() -> Unavailable {
    Unavailable::not_done("the deadline passed before the change could be proposed", None)
}

impl Node {
    /// Proposes an entry and waits until it is applied here.
    ///
    /// # Errors
    /// `NotDone` when it did not get into the log; `Unknown` when it may have.
    pub(crate) async fn propose(
        &self,
        proposal: Proposal,
        turn: Turn,
        deadline: Instant,
    ) -> Result<Proposed, Unavailable> {
        let cost = proposal.bytes().len() + ENTRY_OVERHEAD_BYTES;
        let cost = u32::try_from(cost).unwrap_or(IN_FLIGHT_BYTES_MAX).min(IN_FLIGHT_BYTES_MAX);
        let room = timeout_at(deadline, Arc::clone(&self.proposals.bytes).acquire_many_owned(cost)).await;
        let room = room.map_err(|_| late())?.expect("the semaphore is never closed");
        if Instant::now() >= deadline {
            return Err(late());
        }
        self.check_taking_part()?;
        let raft = self.raft.clone();
        // A task of its own, because giving up waiting does not take the entry out of the log.
        let writing = self.tasks.spawn(async move {
            let written = raft.client_write(proposal).await;
            drop((turn, room));
            written
        });
        let waiting = async {
            match timeout_at(deadline, writing).await {
                Ok(Ok(written)) => self.written(written),
                Ok(Err(error)) => Err(Unavailable::unknown(format!("the proposal was interrupted: {error}"))),
                Err(_) => Err(Unavailable::unknown("the deadline passed before the change was known to be in")),
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = waiting => outcome,
            lost = self.until_quorum_lost() => Err(Unavailable::unknown(lost)),
        };
        self.proposals.counts.count(&outcome);
        if outcome.is_ok() {
            point(Point::ProposeBeforeAnswer);
        }
        outcome
    }

    fn written(
        &self,
        written: Result<ClientWriteResponse<TypeConfig>, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>,
    ) -> Result<Proposed, Unavailable> {
        match written {
            Ok(response) => match response.data.0 {
                Some(outcome) => Ok(Proposed { index: response.log_id.index, outcome }),
                None => Err(Unavailable::unknown("the entry was applied without a command")),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                let hint = forward.leader_id.filter(|leader| *leader != self.id);
                let reason = match hint {
                    Some(leader) => format!("node {leader} leads"),
                    None => "no node is known to lead with a majority".to_owned(),
                };
                Err(Unavailable::not_done(reason, hint))
            }
            Err(error) => Err(Unavailable::unknown(error.to_string())),
        }
    }
}

/// How many proposals came to what, since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProposalCounts {
    /// Took effect.
    pub installed: u64,
    /// The request id had taken effect before.
    pub repeated: u64,
    /// The request id was too old.
    pub expired: u64,
    /// The request id belonged to another request.
    pub mismatched: u64,
    /// The state had changed since the decision.
    pub guard_failed: u64,
    /// Nobody knows yet.
    pub unknown: u64,
    /// This node did not lead.
    pub not_leader: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    installed: AtomicU64,
    repeated: AtomicU64,
    expired: AtomicU64,
    mismatched: AtomicU64,
    guard_failed: AtomicU64,
    unknown: AtomicU64,
    not_leader: AtomicU64,
    exclusive: AtomicU64,
}

impl Counts {
    fn count(&self, outcome: &Result<Proposed, Unavailable>) {
        let counter = match outcome {
            Ok(Proposed { outcome: Outcome::Installed, .. }) => &self.installed,
            Ok(Proposed { outcome: Outcome::Repeated { .. }, .. }) => &self.repeated,
            Ok(Proposed { outcome: Outcome::Expired, .. }) => &self.expired,
            Ok(Proposed { outcome: Outcome::Mismatched, .. }) => &self.mismatched,
            Ok(Proposed { outcome: Outcome::GuardFailed { .. }, .. }) => &self.guard_failed,
            Err(Unavailable::NotDone { .. }) => &self.not_leader,
            Err(Unavailable::Unknown { .. }) => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn mismatched(&self) {
        self.mismatched.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_leader(&self) {
        self.not_leader.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn exclusive(&self) -> u64 {
        self.exclusive.load(Ordering::Relaxed)
    }

    pub(crate) fn read(&self) -> ProposalCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProposalCounts {
            installed: read(&self.installed),
            repeated: read(&self.repeated),
            expired: read(&self.expired),
            mismatched: read(&self.mismatched),
            guard_failed: read(&self.guard_failed),
            unknown: read(&self.unknown),
            not_leader: read(&self.not_leader),
        }
    }
}
