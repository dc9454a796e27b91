//! The program `openshell`, run as a person would, with a home directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::binary::binary;

const LIMIT: Duration = Duration::from_secs(60);
/// The variable that names the gateway's URLs.
const ENDPOINT: &str = "OPENSHELL_GATEWAY_ENDPOINT";

/// Runs `openshell` for one person.
#[derive(Debug)]
pub struct CommandLine {
    home: TempDir,
    variables: Vec<(String, String)>,
}

/// A command that goes on.
#[derive(Debug)]
pub struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What one run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl CommandLine {
    /// A person with an empty home.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn new() -> Self {
        Self { home: TempDir::new().expect("a temporary directory"), variables: Vec::new() }
    }

    /// The same person with a variable in the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file into the home, with the folders that it lies in, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the home")).expect("folders can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a command against these URLs, separated by commas.
    ///
    /// # Panics
    /// When the program is missing, or still runs after a minute.
    pub async fn run(&self, endpoints: &str, words: &[&str]) -> Output {
        self.run_with(&[(ENDPOINT, endpoints)], words).await
    }

    /// Runs a command with these variables beside the person's own, and without an endpoint unless one
    /// of them names it.
    ///
    /// # Panics
    /// When the program is missing, or still runs after a minute.
    pub async fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Output {
        self.try_run(variables, words).await.expect("the command runs")
    }

    /// Starts a command that does not end by itself, and returns the lines that it prints. Dropping
    /// them kills it.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn follow(&self, endpoints: &str, words: &[&str]) -> Following {
        let mut command = self.command(&[(ENDPOINT, endpoints)], words).expect("the program is there");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let output = child.stdout.take().expect("a pipe was asked for");
        Following { child, lines: BufReader::new(output).lines() }
    }

    async fn try_run(&self, variables: &[(&str, &str)], words: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(variables, words)?;
        let output = timeout(LIMIT, command.output()).await.with_context(|| format!("openshell {words:?} hangs"))??;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn command(&self, variables: &[(&str, &str)], words: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("openshell")?);
        command
            .args(words)
            .current_dir(self.home.path())
            // Variables of whoever runs the tests may hold credentials, which commands would find.
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            // What this machine has registered for all its users is nothing to this one.
            .env("OPENSHELL_SYSTEM_GATEWAY_DIR", self.home.path().join("system"))
            .env("NO_COLOR", "1")
            .env("NO_GRAPHICS", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Following {
    /// The next line.
    ///
    /// # Panics
    /// When none comes within a minute, or the command has ended.
    pub async fn line(&mut self) -> String {
        let line = timeout(LIMIT, self.lines.next_line()).await.expect("a line in time");
        line.expect("it can be read").expect("the command goes on")
    }

    /// What Ctrl-C does to it.
    ///
    /// # Panics
    /// When it has ended.
    pub fn interrupt(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("a child can be sent signals");
    }

    /// Waits until the command has ended well, whatever it still prints.
    ///
    /// # Panics
    /// When it ends otherwise, or not within a minute.
    pub async fn ended_well(mut self) {
        while timeout(LIMIT, self.lines.next_line()).await.expect("the end in time").expect("it can be read").is_some()
        {
        }
        let status = timeout(LIMIT, self.child.wait()).await.expect("the end in time").expect("it can be waited for");
        assert!(status.success(), "{status}");
    }

    /// Waits until the command has ended, well and without another line.
    ///
    /// # Panics
    /// When it prints something, ends otherwise, or does not end within a minute.
    pub async fn ended(mut self) {
        let line = timeout(LIMIT, self.lines.next_line()).await.expect("the end in time");
        assert_eq!(line.expect("it can be read"), None, "nothing more is printed");
        let status = timeout(LIMIT, self.child.wait()).await.expect("the end in time").expect("it can be waited for");
        assert!(status.success(), "{status}");
    }
}

impl Default for CommandLine {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// What it printed, once it ended well.
    ///
    /// # Panics
    /// When it did not.
    pub fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stdout
    }

    /// What it said beside, once it ended with exit code 1.
    ///
    /// # Panics
    /// When it ended otherwise.
    pub fn failure(&self) -> &str {
        assert_eq!(self.code, Some(1), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stderr
    }
}
