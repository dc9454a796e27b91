//! What a caller brings to a decision and what it hears, and how surely something did not happen.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openshell_proto::peer::{
    ChangedKeys, ForwardRequest, ForwardResponse, LogLines, Presence, ReadChangedKeysRequest, ReadLogsRequest,
    ReadPresenceRequest, ReadSessionsRequest, Sessions,
};
use openshell_state::access::Principal;
use openshell_state::{Refusal, RequestId, State};
use tokio::time::Instant;

/// One call that may change the state.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who asks.
    pub principal: Principal,
    /// Full method name without the leading slash.
    pub rpc: String,
    /// Under which id the call takes effect at most once; none for the cluster's own.
    pub request_id: Option<RequestId>,
    /// The id was sent before, so an earlier attempt may still be on its way.
    pub repeated_attempt: bool,
    /// Keyed hash over principal, RPC and request.
    pub fingerprint: [u8; 32],
    /// Nothing is proposed after it.
    pub deadline: Instant,
}

/// What an answer means for the other attempts under its request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdStanding {
    /// Nothing is remembered: an attempt that is still on its way may take effect.
    Open,
    /// The reply is remembered: no attempt, earlier or later, comes to anything else.
    Settled,
    /// The id was refused for its time. An attempt before this one may have taken effect.
    Untimely {
        /// An id made at this time is taken: milliseconds since the Unix epoch.
        take_ms: i64,
    },
}

/// What a decision came to.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The encoded response, or the rule's no.
    pub reply: Result<Vec<u8>, Refusal>,
    /// The revision that the reply speaks of. For a repeated request id, that of the first time.
    pub revision: u64,
    /// What the reply means for other attempts under the same request id.
    pub standing: IdStanding,
    /// This node's state, at or after that revision.
    pub state: Arc<State>,
}

/// The cluster cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing happened and nothing will: may be tried again freely.
    #[error("not done: {reason}")]
    NotDone {
        /// Why, in a sentence.
        reason: String,
        /// Where the leader may be.
        leader_hint: Option<u64>,
    },
    /// It may have happened, or happen yet: may be tried again only under the same request id.
    #[error("outcome unknown: {reason}")]
    Unknown {
        /// Why, in a sentence.
        reason: String,
    },
}

impl Unavailable {
    pub(crate) fn not_done(reason: impl Into<String>, leader_hint: Option<u64>) -> Self {
        Unavailable::NotDone { reason: reason.into(), leader_hint }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Unavailable::Unknown { reason: reason.into() }
    }
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Whatever this node has applied. Never waits.
    Local,
    /// Everything that was acknowledged anywhere before the read began.
    Linearizable,
}

/// Answers what other nodes ask of this one beyond Raft.
pub trait CallHandler: Send + Sync {
    /// A call that was passed on. Answered here or not at all: it is never forwarded again.
    fn handle(&self, request: ForwardRequest) -> BoxFuture<'_, ForwardResponse>;

    /// Log lines of a sandbox that this node has received and still has.
    fn read_logs(&self, request: &ReadLogsRequest) -> LogLines;

    /// The same as the first item, at once, then lines as this node receives them. The other node has
    /// seen to it that its caller may read them.
    fn follow_logs(&self, request: &ReadLogsRequest) -> BoxStream<'static, LogLines>;

    /// What this node knows of sandboxes that follow their configuration through it, or poll it.
    fn read_sessions(&self, request: &ReadSessionsRequest) -> Sessions;

    /// Which sandboxes follow their configuration through this node.
    fn read_presence(&self, request: &ReadPresenceRequest) -> Presence;

    /// Which records an entry wrote, by the change history of this node.
    ///
    /// # Errors
    /// A sentence when the disk does not give it.
    fn read_changed_keys(&self, request: &ReadChangedKeysRequest) -> BoxFuture<'_, Result<ChangedKeys, String>>;
}
