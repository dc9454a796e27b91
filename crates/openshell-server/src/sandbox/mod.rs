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
        let now_ms = self.clock.now_ms().max(state.last_time_ms());
        let answer =
            self.answers.environment(state, found, now_ms, |kept| kept.answer(&*self.secrets, static_bindings));
        // The encoded answer goes with the connection's own buffers.
        answer.map(Bytes::from)
    }

    /// What is kept of configurations and of environments.
    pub(crate) fn usage(&self) -> [Usage; 2] {
        self.answers.usage()
    }
}
