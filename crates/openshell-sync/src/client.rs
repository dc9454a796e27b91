//! The library's front: starts the two tasks of one sandbox, says how it stands, and ends them.

use std::sync::Arc;

use openshell_client::ConfigurationError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Clock};
use crate::disk::{DiskError, Kept, StateDir};
use crate::feed::{Feed, Outcome};
use crate::follow::Follower;
use crate::hook::Hook;
use crate::installed::WhenStale;
use crate::keeper::{Ends, Keeper};
use crate::node;
use crate::options::Options;
use crate::position::Position;
use crate::status::Status;
use crate::token::{Token, TokenError};

/// Why it does not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sandbox's id is empty.
    #[error("the sandbox id is empty")]
    NoSandbox,
    /// It is to fail closed, and nobody says from which age on.
    #[error("to fail closed it needs a maximum age")]
    NoMaxAge,
    /// Endpoints or certificates that cannot be used.
    #[error(transparent)]
    Endpoints(#[from] ConfigurationError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Keeps one sandbox's policy, settings and environment current, in two tasks of the runtime that it is
/// started on. Dropping it ends them, too, without waiting.
#[derive(Debug)]
pub struct SyncClient {
    status: watch::Receiver<Arc<Status>>,
    acknowledged: watch::Receiver<Option<Position>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl SyncClient {
    /// Starts: what was installed last is put into force through the hook, and the newest is looked for. A
    /// gateway that cannot be reached is no failure.
    ///
    /// # Errors
    /// [`StartError`], for what no waiting mends.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(options: Options, hook: impl Hook) -> Result<Self, StartError> {
        if options.sandbox_id.is_empty() {
            return Err(StartError::NoSandbox);
        }
        if options.when_stale == WhenStale::FailClosed && options.max_age.is_none() {
            return Err(StartError::NoMaxAge);
        }
        if options.endpoints.is_empty() {
            return Err(ConfigurationError::NoEndpoint.into());
        }
        let token = Token::read(options.token.clone())?;
        for endpoint in &options.endpoints {
            node::connection(&options, endpoint, token.text())?;
        }
        let (path, sandbox_id) = (options.state_dir.clone(), options.sandbox_id.clone());
        let opened = tokio::task::spawn_blocking(move || StateDir::open(&path, &sandbox_id)).await;
        let (state, kept) = match opened {
            Ok(opened) => opened?,
            // It panicked, which it does not, or the runtime is shutting down.
            Err(error) => {
                let (doing, path, source) = ("opening", options.state_dir, std::io::Error::other(error));
                return Err(DiskError::Io { doing, path, source }.into());
            }
        };
        Ok(Self::with(Arc::new(options), token, state, kept, Arc::new(hook)))
    }

    fn with(options: Arc<Options>, token: Token, state: StateDir, kept: Kept, hook: Arc<dyn Hook>) -> Self {
        if let Some(unreadable) = &kept.unreadable {
            tracing::error!(error = unreadable as &dyn std::error::Error, "what was installed last cannot be used");
        }
        let found = kept.configuration.as_ref().and_then(|(configuration, _)| configuration.position);
        // Without the configuration, what was said of it is worth nothing: it is taken from the start.
        let floor = found.map(|found| kept.standing.position.map_or(found, |said| said.max(found)));
        let policy_reported = kept.standing.policy_reported;
        let (feed, heard) = watch::channel(Feed { policy_reported, position: floor, ..Feed::default() });
        // Whether it can be put into force again, the hook has to say: nothing is claimed before.
        let (settled, outcome) = watch::channel(Outcome { kept: floor, ..Outcome::default() });
        let (said, status) = watch::channel(Arc::new(Status::empty()));
        let (heard_of, acknowledged) = watch::channel(None);
        let stop = CancellationToken::new();
        let age_policy = options.age_policy();
        let follower = Follower::new(options, token, floor, feed, outcome, heard_of, stop.clone());
        let ends = Ends { feed: heard, outcome: settled, status: said, stop: stop.clone() };
        let keeper = Keeper::new(state, kept, hook, age_policy, Clock::new(clock::now_ms), ends);
        let tasks = vec![tokio::spawn(follower.run()), tokio::spawn(keeper.run())];
        Self { status, acknowledged, stop, tasks }
    }

    /// How it stands, now and whenever that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// The newest position of which a node has taken note that what it sent is in force here: from then on
    /// `openshell rollout status` counts this sandbox as `applied`.
    #[must_use]
    pub fn acknowledged(&self) -> watch::Receiver<Option<Position>> {
        self.acknowledged.clone()
    }

    /// Ends both tasks, and waits until the hook has finished what it is busy with. What is installed stays.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            // A task that panicked has ended, too.
            let _ = task.await;
        }
    }
}

impl Drop for SyncClient {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
