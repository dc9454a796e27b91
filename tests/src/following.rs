//! Sandboxes that are kept current by the library, in this process, each with a record of everything that
//! was put into force; and one that the program keeps current, a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use futures::future::join_all;
use nix::sys::signal::Signal;
use openshell_client::{Tls, methods, parse_endpoints};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_sync::{Change, ChangeKind, Options, Position, Status, SyncClient, TokenSource};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::binary::binary;
use crate::offspring;
use crate::scene::Scene;
use crate::signals;

/// Sandboxes that are made side by side.
const MAKERS: usize = 32;

/// One thing that was put into force.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Why.
    pub kind: ChangeKind,
    /// Of which state.
    pub position: Option<Position>,
    /// The whole policy.
    pub policy: SandboxPolicy,
    /// When.
    pub at: Instant,
}

/// A sandbox and whoever keeps it current.
pub struct Follower {
    /// The sandbox's name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its token.
    pub token: String,
    /// Where its state is kept.
    pub state_dir: PathBuf,
    record: Arc<Mutex<Vec<Installed>>>,
    sync: Option<SyncClient>,
    status: Option<watch::Receiver<Arc<Status>>>,
}

/// Makes sandboxes side by side, with these providers and a policy for one host, and a token for each. Their
/// state is kept under `folder`; nothing is started.
///
/// # Errors
/// As [`Follower::new`].
///
/// # Panics
/// As [`Scene::create_sandbox`].
pub async fn followers(
    scene: &Scene,
    names: Vec<String>,
    providers: &[&str],
    policy: &SandboxPolicy,
    folder: &Path,
) -> anyhow::Result<Vec<Follower>> {
    let mut made = Vec::new();
    for some in names.chunks(MAKERS) {
        let making = some.iter().map(async |name| {
            let id = scene.create_sandbox(name, providers, policy.clone()).await;
            Follower::new(scene, name, &id, folder).await
        });
        made.extend(join_all(making).await.into_iter().collect::<Result<Vec<_>, _>>()?);
    }
    Ok(made)
}

impl Follower {
    /// A sandbox that is there, with a token of its own. Nothing is started.
    ///
    /// # Errors
    /// When no token is issued.
    pub async fn new(scene: &Scene, name: &str, id: &str, folder: &Path) -> anyhow::Result<Self> {
        let request = IssueSandboxTokenRequest { name: name.to_owned(), workspace: scene.workspace.clone() };
        let answer = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await?;
        Ok(Self {
            name: name.to_owned(),
            id: id.to_owned(),
            token: answer.message.token,
            state_dir: folder.join(name),
            record: Arc::default(),
            sync: None,
            status: None,
        })
    }

    /// Starts the library, on these URLs.
    ///
    /// # Errors
    /// As of the library.
    ///
    /// # Panics
    /// When a URL is none.
    pub async fn start(&mut self, endpoints: &str, tls: Tls, zone: Option<String>) -> anyhow::Result<()> {
        let endpoints = parse_endpoints(endpoints).expect("the harness makes well-formed endpoints");
        let token = TokenSource::Text(self.token.clone());
        let options = Options { tls, zone, ..Options::new(&self.id, token, endpoints, self.state_dir.clone()) };
        self.start_with(options).await
    }

    /// Starts the library with these options.
    ///
    /// # Errors
    /// As of the library.
    pub async fn start_with(&mut self, options: Options) -> anyhow::Result<()> {
        let record = Arc::clone(&self.record);
        let hook = move |change: &Change| {
            let policy = change.configuration.config.policy.clone().unwrap_or_default();
            let installed =
                Installed { kind: change.kind, position: change.configuration.position, policy, at: Instant::now() };
            record.lock().unwrap_or_else(PoisonError::into_inner).push(installed);
            Ok::<(), String>(())
        };
        let sync = SyncClient::start(options, hook).await?;
        self.status = Some(sync.status());
        self.sync = Some(sync);
        Ok(())
    }

    /// Ends it, waiting for the end.
    pub async fn stop(&mut self) {
        if let Some(sync) = self.sync.take() {
            sync.stop().await;
        }
    }

    /// How it stands.
    ///
    /// # Panics
    /// When it was never started.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.changes().borrow())
    }

    /// How it stands, whenever that changes.
    ///
    /// # Panics
    /// When it was never started.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone().expect("it was started")
    }

    /// What nodes have taken note of as in force, whenever that changes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn acknowledged(&self) -> watch::Receiver<Option<Position>> {
        self.sync.as_ref().expect("it runs").acknowledged()
    }

    /// Everything that was put into force so far.
    #[must_use]
    pub fn record(&self) -> Vec<Installed> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The program, which keeps one sandbox current. Dropping it kills it, and so does the end of this process.
#[derive(Debug)]
pub struct SyncProcess {
    child: Child,
    log: PathBuf,
    _folder: Arc<TempDir>,
}

impl SyncProcess {
    /// Starts it with these words; its output goes to a file in `folder`.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn start(folder: &Arc<TempDir>, words: &[&str]) -> anyhow::Result<Self> {
        let program = binary("openshell-sync")?;
        let log = folder.path().join("openshell-sync.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = offspring::tied(&Command::new(&program));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENSHELL_")) {
            command.env_remove(name);
        }
        command.args(words).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = offspring::spawn(command).with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, log, _folder: Arc::clone(folder) })
    }

    /// Asks it to stop with SIGTERM, and says how it ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        signals::send(&self.child, Signal::SIGTERM)?;
        Ok(self.child.wait()?)
    }

    /// SIGSTOP: it lives, keeps its connections and does nothing.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> anyhow::Result<()> {
        signals::pause(&self.child)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> anyhow::Result<()> {
        signals::send(&self.child, Signal::SIGCONT).map(drop)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// How it ended, if it has.
    pub fn exit_status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// All that it wrote.
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for SyncProcess {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.kill();
    }
}
