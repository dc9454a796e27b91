//! A released client of OpenShell, in a virtual environment of Python that is made once and kept. What it
//! does is in the programs of `tests/released_client`.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// What is installed, by name and version.
const REQUIREMENTS: &str = include_str!("../released_client/requirements.txt");
/// For the index of packages to answer, and for a program to end.
const LIMIT: Duration = Duration::from_secs(300);
/// For one line of a program that works.
const LINE_LIMIT: Duration = Duration::from_secs(60);

/// One test of a program installs it, the others wait.
static INSTALLING: Mutex<()> = Mutex::const_new(());

/// An installed client.
#[derive(Clone, Debug)]
pub struct ReleasedClient {
    python: PathBuf,
}

/// A program of it that works until it is told to stop.
#[derive(Debug)]
pub struct Working {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ReleasedClient {
    /// The client, installed into this folder unless it is there from an earlier run. The folder of each set of
    /// versions is made beside its place and put there when it is whole.
    ///
    /// # Panics
    /// When there is no `python3` with `venv`, or the index of Python packages does not give what is asked for.
    pub async fn in_folder(folder: &Path) -> Self {
        let _alone = INSTALLING.lock().await;
        Self::installed(folder).await.expect("the released client is installed")
    }

    async fn installed(folder: &Path) -> anyhow::Result<Self> {
        let version = output(Command::new("python3").arg("--version")).await.context("python3 is needed")?;
        let mut hash = Sha256::new_with_prefix(REQUIREMENTS);
        hash.update(&version.stdout);
        let name = format!("released-client-{}", &hex::encode(hash.finalize())[..16]);
        let place = folder.join(&name);
        if !place.exists() {
            std::fs::create_dir_all(folder)?;
            let making = tempfile::Builder::new().prefix(&name).tempdir_in(folder)?;
            let environment = making.path().join("venv");
            let made = output(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await;
            made.context("python3 needs venv; on Debian and Ubuntu the package is python3-venv")?;
            let requirements = programs().join("requirements.txt");
            let mut pip = Command::new(python_of(&environment));
            // Building grpc from its source would take longer than all other tests.
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r"]);
            output(pip.arg(requirements)).await?;
            if let Err(error) = std::fs::rename(&environment, &place) {
                // Another process was quicker.
                ensure!(place.exists(), "putting {} in its place: {error}", environment.display());
            }
        }
        Ok(Self { python: python_of(&place) })
    }

    /// Runs a program to its end, and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it said.
    pub async fn run(&self, program: &str, words: &[&str]) -> String {
        let ended = output(self.command(program).args(words)).await.expect("the program succeeds");
        String::from_utf8(ended.stdout).expect("it prints text")
    }

    /// Starts a program that works until its input ends. Dropping it kills it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, program: &str, words: &[&str]) -> Working {
        let mut command = self.command(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let output = child.stdout.take().expect("a pipe was asked for");
        Working { child, lines: BufReader::new(output).lines() }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.python);
        // Loopback is reached directly; a proxy of this machine would not know it.
        for variable in ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"] {
            command.env_remove(variable).env_remove(variable.to_uppercase());
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(programs().join(program));
        command
    }
}

impl Working {
    /// Waits until it has printed so many lines more.
    ///
    /// # Panics
    /// When one does not come within a minute, or the program has ended.
    pub async fn lines(&mut self, count: usize) {
        for _ in 0..count {
            let line = timeout(LINE_LIMIT, self.lines.next_line()).await.expect("a line in time");
            line.expect("it can be read").expect("the program goes on");
        }
    }

    /// Tells it to stop, and returns the last line that it prints.
    ///
    /// # Panics
    /// When it fails, or does not end in time.
    pub async fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        let mut last = None;
        while let Some(line) =
            timeout(LINE_LIMIT, self.lines.next_line()).await.expect("the end in time").expect("text")
        {
            last = Some(line);
        }
        let status = timeout(LIMIT, self.child.wait()).await.expect("the end in time").expect("it can be waited for");
        assert!(status.success(), "{status}");
        last.expect("it prints what it came to")
    }
}

/// The programs and what they need.
fn programs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/released_client"))
}

fn python_of(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

/// Runs a command to its good end.
async fn output(command: &mut Command) -> anyhow::Result<Output> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(LIMIT, running).await.context("it hangs")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(output)
}
