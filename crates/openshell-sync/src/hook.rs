//! Who has to be told before a configuration counts as installed: the embedding program, or an
//! operator's command. When, is decided in `keeper`.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::configuration::Configuration;

/// Of what a command says about its failure, so much is told on.
const SAID_BYTES_MAX: usize = 1024;
/// So long what it said is read on after its end, when what it started holds its standard error open.
const GRACE: Duration = Duration::from_millis(100);

/// What happened to the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new. When this fails, the one before stays installed, and the failure is reported.
    Installed,
    /// It was installed when the program ended, and nothing newer is known yet.
    Restored,
    /// It is the same without credentials that expired. They are gone whatever the hook says.
    CredentialsExpired,
    /// Nothing is in force any more: what was is older than the maximum age, and the declared mode is to
    /// fail closed. What the hook says changes nothing.
    Closed,
    /// What was closed is in force again: it was found to be current.
    Reopened,
}

/// One change, as a hook hears of it.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// What is, or is to be, in force; when nothing is any more, what was.
    pub configuration: Arc<Configuration>,
    /// Where its files are: `config.json` and `credentials.json`. Until the hook has answered, this is not
    /// `current` in the state directory.
    pub folder: PathBuf,
    /// For how long nobody knows whether it is the newest; zero for what has just come.
    pub age: Duration,
}

/// What a hook answers with.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Puts configurations into force. Called for one change at a time; what comes meanwhile is called with
/// once, in its newest form. After a failure it is called again with the same, so applying twice must do
/// no harm.
pub trait Hook: Send + Sync + 'static {
    /// Puts it into force, or says why not, for people.
    fn apply<'a>(&'a self, change: &'a Change) -> Answer<'a>;
}

impl<F: Fn(&Change) -> Result<(), String> + Send + Sync + 'static> Hook for F {
    fn apply<'a>(&'a self, change: &'a Change) -> Answer<'a> {
        let answer = self(change);
        Box::pin(async move { answer })
    }
}

impl ChangeKind {
    /// One word for commands: `installed`, `restored`, `credentials-expired`, `closed`, `reopened`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Restored => "restored",
            Self::CredentialsExpired => "credentials-expired",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
        }
    }
}

/// Takes note of everything and does nothing: for whoever reads the state directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn apply<'a>(&'a self, _: &'a Change) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// An operator's command, run by `/bin/sh -c`. It learns everything from variables: `OPENSHELL_SYNC_CHANGE`
/// ([`ChangeKind::as_str`]), `_FOLDER`, `_CONFIG`, `_CREDENTIALS` (paths), `_SANDBOX_ID`, `_EPOCH`,
/// `_REVISION` (empty from a released gateway), `_AGE_MS`. Exit code 0 is success; otherwise the end of what
/// it wrote to its standard error is the reason. What it started ends with it when it fails or takes too long;
/// what it leaves running after success goes on.
#[derive(Clone, Debug)]
pub struct CommandHook {
    command: String,
    sandbox_id: String,
    limit: Duration,
}

impl CommandHook {
    /// A command for a sandbox, and how long it may take.
    #[must_use]
    pub fn new(command: &str, sandbox_id: &str, limit: Duration) -> Self {
        Self { command: command.to_owned(), sandbox_id: sandbox_id.to_owned(), limit }
    }

    async fn run(&self, change: &Change) -> Result<(), String> {
        let position = change.configuration.position;
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(&self.command)
            .env("OPENSHELL_SYNC_CHANGE", change.kind.as_str())
            .env("OPENSHELL_SYNC_FOLDER", &change.folder)
            .env("OPENSHELL_SYNC_CONFIG", change.folder.join("config.json"))
            .env("OPENSHELL_SYNC_CREDENTIALS", change.folder.join("credentials.json"))
            .env("OPENSHELL_SYNC_SANDBOX_ID", &self.sandbox_id)
            .env("OPENSHELL_SYNC_EPOCH", number(position.map(|position| position.epoch)))
            .env("OPENSHELL_SYNC_REVISION", number(position.map(|position| position.revision)))
            .env("OPENSHELL_SYNC_AGE_MS", change.age.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // So that what it started can be ended with it.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| format!("the command cannot be started: {error}"))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let ended = timeout(self.limit, outcome(&mut child, group)).await;
        match ended {
            Ok(Ok((status, _))) if status.success() => Ok(()),
            Ok(Ok((status, said))) if said.is_empty() => Err(format!("the command ended with {status}")),
            Ok(Ok((status, said))) => Err(format!("the command ended with {status}: {said}")),
            Ok(Err(error)) => Err(format!("the command cannot be waited for: {error}")),
            Err(_) => {
                end_all(group);
                let _ = child.wait().await;
                Err(format!("the command did not end within {} s", self.limit.as_secs_f64()))
            }
        }
    }
}

impl Hook for CommandHook {
    fn apply<'a>(&'a self, change: &'a Change) -> Answer<'a> {
        Box::pin(self.run(change))
    }
}

/// Ends a command with all that it started.
fn end_all(group: Option<Pid>) {
    if let Some(group) = group {
        // It may have ended meanwhile.
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// Waits for the end, reading meanwhile so that the command never waits for a reader; nor does what it leaves
/// running, which may write to the same standard error.
async fn outcome(child: &mut Child, group: Option<Pid>) -> std::io::Result<(ExitStatus, String)> {
    let Some(mut stderr) = child.stderr.take() else { return Ok((child.wait().await?, String::new())) };
    let mut end = Vec::new();
    let has_ended = CancellationToken::new();
    let waiting = async {
        let status = child.wait().await;
        has_ended.cancel();
        status
    };
    let reading = async {
        tokio::select! {
            biased;
            () = read_end(&mut stderr, &mut end) => true,
            () = async { has_ended.cancelled().await; sleep(GRACE).await } => false,
        }
    };
    let (status, is_read) = tokio::join!(waiting, reading);
    let status = status?;
    if !is_read && status.success() {
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    } else if !is_read {
        end_all(group);
    }
    let said = String::from_utf8_lossy(&end).split_whitespace().collect::<Vec<_>>().join(" ");
    Ok((status, said))
}

/// Keeps the end of what is written there.
async fn read_end(from: &mut (impl AsyncRead + Unpin), end: &mut Vec<u8>) {
    let mut part = [0; SAID_BYTES_MAX];
    while let Ok(count @ 1..) = from.read(&mut part).await {
        end.extend_from_slice(&part[..count]);
        end.drain(..end.len().saturating_sub(SAID_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn change() -> Change {
        let configuration = Configuration {
            position: Some(Position { epoch: 2, revision: 40 }),
            config: Default::default(),
            environment: Default::default(),
        };
        Change {
            kind: ChangeKind::Installed,
            configuration: Arc::new(configuration),
            folder: PathBuf::from("/nowhere/configuration-000001"),
            age: Duration::ZERO,
        }
    }

    async fn run(command: &str, limit: Duration) -> Result<(), String> {
        CommandHook::new(command, "box", limit).apply(&change()).await
    }

    #[tokio::test]
    async fn a_command_learns_everything_from_variables() {
        let command = r#"echo "$OPENSHELL_SYNC_CHANGE $OPENSHELL_SYNC_SANDBOX_ID $OPENSHELL_SYNC_EPOCH
            $OPENSHELL_SYNC_REVISION $OPENSHELL_SYNC_CONFIG" >&2; exit 3"#;
        let said = run(command, Duration::from_secs(60)).await.expect_err("exit code 3");
        assert!(
            said.contains("exit status: 3: installed box 2 40 /nowhere/configuration-000001/config.json"),
            "{said}"
        );
        run("exit 0", Duration::from_secs(60)).await.expect("exit code 0");
    }

    #[tokio::test]
    async fn what_a_command_says_is_bounded_and_its_end_is_kept() {
        let said = run("yes x | head -c 1000000 >&2; echo the end >&2; exit 1", Duration::from_secs(60)).await;
        let said = said.expect_err("exit code 1");
        assert!(said.len() < SAID_BYTES_MAX + 100 && said.ends_with("the end"), "{} bytes", said.len());
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_goes_on_after_success() {
        let folder = tempfile::tempdir().expect("a folder");
        let (go, mark) = (folder.path().join("go"), folder.path().join("mark"));
        // It writes to the standard error that it was given, which is still read.
        let proxy =
            format!("(until [ -e {} ]; do sleep 0.01; done; echo on >&2 && touch {}) &", go.display(), mark.display());
        run(&proxy, Duration::from_secs(60)).await.expect("the command itself has ended");
        assert!(!mark.exists());
        std::fs::write(&go, "").expect("written");
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        let found = async {
            while !mark.exists() {
                looks.tick().await;
            }
        };
        timeout(Duration::from_secs(60), found).await.expect("it goes on");
        // One that says nothing more, and whose command fails.
        std::fs::remove_file(&go).expect("removed");
        let said = run(&format!("echo why >&2; {proxy} exit 3"), Duration::from_secs(60)).await;
        assert!(said.expect_err("exit code 3").ends_with("why"));
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        // The inner one would hold standard error open, and write its mark later.
        let command = format!("(sleep 1000; touch {}) & wait", mark.display());
        let said = run(&command, Duration::from_millis(50)).await.expect_err("it does not end");
        assert!(said.contains("did not end within 0.05 s"), "{said}");
        assert!(!mark.exists());
    }
}
