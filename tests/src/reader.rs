//! A person who reads a document and types what it says, with our programs at hand, in a folder of their own
//! that has the repository's examples in it. What a block leaves running goes on until the reader is gone.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::binary::binary;
use crate::document::{Step, settled, steps};

/// For the commands of one block.
const LIMIT: Duration = Duration::from_secs(120);
const EXAMPLES: &str = "docs/examples";
/// A document that shows a program of these shows what is compiled.
const CRATES: &str = "crates";

/// A reader, before an open document.
#[derive(Debug)]
pub struct Reader {
    /// Where commands run.
    folder: TempDir,
    /// What the shell leaves for the next block.
    memory: TempDir,
    endpoints: String,
    /// What names in documents stand for here.
    places: Vec<(String, String)>,
    /// The process groups of blocks that left something running.
    running: Mutex<Vec<Pid>>,
}

impl Reader {
    /// Somebody who talks to the gateways at these URLs, separated by commas.
    ///
    /// # Panics
    /// When there is no room for their folder.
    #[must_use]
    pub fn new(endpoints: &str) -> Self {
        let folder = || TempDir::new().expect("a temporary directory");
        Self {
            folder: folder(),
            memory: folder(),
            endpoints: endpoints.to_owned(),
            places: Vec::new(),
            running: Mutex::default(),
        }
    }

    /// Where the document says `name`, which is no place of this world, `here` is meant.
    #[must_use]
    pub fn with_place(mut self, name: &str, here: &str) -> Self {
        self.places.push((name.to_owned(), here.to_owned()));
        self
    }

    /// Does everything that a document of the repository says, to its end.
    ///
    /// # Panics
    /// When a block cannot be run, or does not end or print as the document has it; with all of these.
    pub async fn follow(&self, document: &str) {
        let text = std::fs::read_to_string(root().join(document)).expect("the document is there");
        let steps = steps(&text).unwrap_or_else(|error| panic!("{document}: {error}"));
        assert!(!steps.is_empty(), "{document} has no example");
        self.take_examples().expect("the examples can be copied");
        let mut untrue = String::new();
        for step in &steps {
            if let Err(error) = self.take(step).await {
                let _ = writeln!(untrue, "{document}, {error:#}\n");
            }
        }
        assert!(untrue.is_empty(), "{untrue}");
    }

    fn take_examples(&self) -> anyhow::Result<()> {
        let folder = self.folder.path().join(EXAMPLES);
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(root().join(EXAMPLES))? {
            let entry = entry?;
            let text = std::fs::read_to_string(entry.path())?;
            std::fs::write(folder.join(entry.file_name()), self.here(&text))?;
        }
        Ok(())
    }

    async fn take(&self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::File { line, path, text } => {
                if path.starts_with(CRATES) {
                    let kept = std::fs::read_to_string(root().join(path)).unwrap_or_default();
                    ensure!(kept == *text, "line {line}: {path} is not as the document shows it");
                    return Ok(());
                }
                let place = self.folder.path().join(path);
                let text = self.here(text);
                if path.starts_with(EXAMPLES) {
                    let kept = std::fs::read_to_string(&place).unwrap_or_default();
                    ensure!(kept == text, "line {line}: {path} is not as the document shows it");
                }
                let folder = place.parent().unwrap_or(Path::new("."));
                std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&place, text))?;
                Ok(())
            }
            Step::Run { line, script, output } => {
                let (succeeded, printed) = self.run(script).await.with_context(|| format!("line {line}"))?;
                let told = settled(output);
                let fails = told.lines().any(|line| line.starts_with("Error:"));
                let printed = self.there(&printed);
                let is_true = settled(&printed) == told && succeeded != fails;
                let end = if succeeded { "succeeded" } else { "failed" };
                ensure!(is_true, "line {line}:\n{script}---- told\n{output}---- printed, and {end}\n{printed}----");
                Ok(())
            }
        }
    }

    /// Whether the last command succeeded, and what all of them printed.
    async fn run(&self, script: &str) -> anyhow::Result<(bool, String)> {
        let memory = self.memory.path().join("environment");
        let memory = memory.display();
        let script = format!(
            "exec 2>&1\n[ ! -f '{memory}' ] || . '{memory}'\ntrap \"export -p > '{memory}'\" EXIT\nset -eu\n{}",
            self.here(script)
        );
        let program = binary("openshell")?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .current_dir(self.folder.path())
            // Variables of whoever runs the tests may hold credentials, which commands would find.
            .env_clear()
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join(".config"))
            .env("OPENSHELL_GATEWAY_ENDPOINT", &self.endpoints)
            .env("OPENSHELL_GATEWAY", "documents")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            // So that what they leave running is known by it.
            .process_group(0);
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let output = timeout(LIMIT, child.wait_with_output()).await;
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.extend(group);
            // A group that is empty is nobody's, and its number may be another's soon.
            running.retain(|group| killpg(*group, None).is_ok());
        }
        let output = output.context("the commands hang")??;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn here(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, here)| text.replace(name, here))
    }

    fn there(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, here)| text.replace(here, name))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for group in self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // It may have ended by itself.
            let _ = killpg(*group, Signal::SIGKILL);
        }
    }
}

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
