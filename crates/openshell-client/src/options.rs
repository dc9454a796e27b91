//! What one call asks for beside its request: consistency, deadline, identity, how often it may be
//! repeated. Values only; `call` acts on them.

use std::time::Duration;

use uuid::Uuid;

use crate::position::Position;
use crate::seen::Seen;

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Nothing acknowledged before the call is missing from the answer.
    Linearizable,
    /// Whatever the node that is reached has applied.
    Local,
}

impl Consistency {
    /// The value of the header `x-openshell-consistency`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Local => "local",
        }
    }
}

/// The wishes of one call. Starts from [`CallOptions::default`] (the client's deadline, the RPC's own
/// consistency, a fresh request id, repeated as often as the deadline allows).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) at_least: Option<(u64, u64)>,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) first_attempt: u32,
    pub(crate) attempts_max: u32,
    pub(crate) attempt_limit: Option<Duration>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            deadline: None,
            consistency: None,
            at_least: None,
            request_id: None,
            first_attempt: 1,
            attempts_max: u32::MAX,
            attempt_limit: None,
        }
    }
}

impl CallOptions {
    /// The defaults, asking for a linearizable answer.
    #[must_use]
    pub fn linearizable() -> Self {
        Self { consistency: Some(Consistency::Linearizable), ..Self::default() }
    }

    /// Asks for a consistency other than the RPC's own. A client may overrule it
    /// ([`crate::ClientBuilder::consistency`]).
    #[must_use]
    pub fn consistency(self, consistency: Consistency) -> Self {
        Self { consistency: Some(consistency), ..self }
    }

    /// Bounds the whole call, repetitions included, in place of the client's own deadline.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// How long one attempt may take while other endpoints are left to ask, for a call whose answer takes
    /// longer to make than most. Otherwise the client's own limit holds.
    #[must_use]
    pub fn attempt_limit(self, attempt_limit: Duration) -> Self {
        Self { attempt_limit: Some(attempt_limit), ..self }
    }

    /// Makes one attempt at one endpoint and reports what came of it: for callers that judge doubt
    /// themselves, such as a history checker.
    #[must_use]
    pub fn once(self) -> Self {
        Self { attempts_max: 1, ..self }
    }

    /// Gives the call an identity of the caller's, so that a call left in doubt
    /// ([`crate::CallError::Unknown`]) can be repeated safely.
    #[must_use]
    pub fn request_id(self, request_id: Uuid) -> Self {
        Self { request_id: Some(request_id), ..self }
    }

    /// Says that earlier attempts under the same request id were made elsewhere: the first one of
    /// this call counts as number `attempt`.
    #[must_use]
    pub fn first_attempt(self, attempt: u32) -> Self {
        Self { first_attempt: attempt, ..self }
    }

    /// Refuses an answer from a state older than `seen`, in place of what the client itself has seen.
    /// Without a position in it, asks for nothing.
    #[must_use]
    pub fn not_before(self, seen: &Seen) -> Self {
        Self { at_least: Position::of(seen).map(|position| (position.epoch, position.revision)), ..self }
    }
}
