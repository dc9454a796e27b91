//! What a node holds for sandboxes beside the state: the key their tokens are signed with, opened, and
//! the answers it gave them, in which credentials stay sealed. Which call asks for what is in
//! `grpc/sandbox.rs`.

pub(crate) mod activity;
pub(crate) mod tokens;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openshell_proto::v1::Sandbox;
use openshell_raft::Clock;
use openshell_state::{Answers, Key, Refusal, State, Usage};

pub(crate) use activity::Activity;
pub(crate) use tokens::Tokens;

use crate::secrets::Secrets;

/// Answers to sandboxes are kept up to this size together.
const ANSWERS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A node's keeper of tokens and answers.
pub(crate) struct Sandboxes {
    pub(crate) tokens: Arc<Tokens>,
    /// What they report to this node.
    pub(crate) activity: Activity,
    answers: Answers,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
}

/// An environment and what tells it from another.
pub(crate) struct MarkedEnvironment {
    pub(crate) revision: u64,
    /// When a credential in it expires, milliseconds since the Unix epoch.
    pub(crate) valid_until_ms: Option<i64>,
    /// Encoded, with its credentials in plain text; none where it is known.
    pub(crate) answer: Option<Bytes>,
}

impl Sandboxes {
    /// `token_ttl` is how long a token is valid; zero is for ever.
    pub(crate) fn new(secrets: &Arc<Secrets>, clock: &Arc<dyn Clock>, token_ttl: Duration) -> Self {
        Self {
            tokens: Arc::new(Tokens::new(secrets.clone(), Arc::clone(clock), token_ttl)),
            activity: Activity::default(),
            answers: Answers::new(ANSWERS_BYTES_MAX),
            secrets: Arc::clone(secrets),
            clock: Arc::clone(clock),
        }
    }

    /// The encoded configuration of a sandbox of this state.
    ///
    /// # Errors
    /// As [`Answers::config`].
    pub(crate) fn config(&self, state: &State, found: (&Key, &Sandbox)) -> Result<Bytes, Refusal> {
        self.answers.config(state, found)
    }

    /// The encoded environment of a sandbox of this state, as it is now, its credentials opened.
    ///
    /// # Errors
    /// As [`Answers::environment`], and when a credential does not open.
    pub(crate) fn environment(
        &self,
        state: &State,
        found: (&Key, &Sandbox),
        static_bindings: bool,
    ) -> Result<Bytes, Refusal> {
        let answer = self
            .answers
            .environment(state, found, self.now_ms(state), |kept| kept.answer(&*self.secrets, static_bindings));
        // The encoded answer goes with the connection's own buffers.
        answer.map(Bytes::from)
    }

    /// The same with what tells it from another, and opened only if that is not `known` already: by its
    /// revision, and when a credential in it expires.
    ///
    /// # Errors
    /// As [`Sandboxes::environment`].
    pub(crate) fn environment_unless(
        &self,
        state: &State,
        found: (&Key, &Sandbox),
        known: impl FnOnce(u64, Option<i64>) -> bool,
    ) -> Result<MarkedEnvironment, Refusal> {
        self.answers.environment(state, found, self.now_ms(state), |kept| {
            let (revision, valid_until_ms) = (kept.revision(), kept.valid_until_ms());
            let answer = match known(revision, valid_until_ms) {
                true => None,
                false => Some(Bytes::from(kept.answer(&*self.secrets, true)?)),
            };
            Ok(MarkedEnvironment { revision, valid_until_ms, answer })
        })
    }

    /// The time that environments of this state are composed at, milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self, state: &State) -> i64 {
        self.clock.now_ms().max(state.last_time_ms())
    }

    /// What is kept of configurations and of environments.
    pub(crate) fn usage(&self) -> [Usage; 2] {
        self.answers.usage()
    }
}
