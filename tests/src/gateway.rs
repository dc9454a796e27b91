//! One gateway process: its arguments, its life and its death. Signals go to the process that was
//! started here, by its id.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::api::Api;
use crate::binary::binary;
use crate::http::http_get_at;
use crate::metrics::scrape_at;
use crate::offspring;
use crate::place::{Access, Place};
use crate::signals;
use crate::vitals::Vitals;
use crate::wait::eventually;

/// Where a gateway listens, all on one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayPorts {
    /// For clients.
    pub client: u16,
    /// For other gateways.
    pub peer: u16,
    /// For `/healthz` and `/readyz`.
    pub health: u16,
    /// For `/metrics`.
    pub metrics: u16,
}

/// A gateway that can be started any number of times, in one data directory. Dropping it kills it, and so does the end
/// of this process.
#[derive(Debug)]
pub struct Gateway {
    id: u64,
    place: Place,
    ports: GatewayPorts,
    arguments: Vec<String>,
    /// In front of the program: another one that becomes it.
    before: Vec<String>,
    /// Of its process, beside those of this one.
    variables: BTreeMap<String, String>,
    log: PathBuf,
    child: Option<Child>,
    /// The process that was started last, for who looks at it meanwhile.
    process: Arc<AtomicU32>,
    /// The node that it is in its cluster, for the same.
    node: Arc<AtomicU64>,
}

impl Gateway {
    /// A gateway that does not run yet. Its output is appended to the file `log`.
    #[must_use]
    pub fn new(id: u64, ports: GatewayPorts, arguments: Vec<String>, log: PathBuf) -> Self {
        let (place, variables, process) = (Place::loopback(), BTreeMap::new(), Arc::default());
        let node = Arc::new(AtomicU64::new(id));
        Self { id, place, ports, arguments, before: Vec::new(), variables, log, child: None, process, node }
    }

    /// The same gateway in another place than on loopback.
    #[must_use]
    pub(crate) fn standing(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same gateway, not running, with other values for some of its flags, each given with its
    /// dashes, and its output in another file.
    #[must_use]
    pub fn changed(&self, flags: &[(&str, &str)], log: PathBuf) -> Self {
        let mut arguments = self.arguments.clone();
        for (flag, value) in flags {
            match arguments.iter().position(|argument| argument == flag) {
                Some(at) => (*value).clone_into(&mut arguments[at + 1]),
                None => arguments.extend([(*flag).to_owned(), (*value).to_owned()]),
            }
        }
        let mut changed = Self::new(self.id, self.ports, arguments, log);
        changed.variables.clone_from(&self.variables);
        changed
    }

    /// Sets a variable of its process, from its next start on; none takes it away.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.variables.insert(name.to_owned(), value.to_owned()),
            None => self.variables.remove(name),
        };
    }

    /// From its next start on it is started by a program, with its arguments, that becomes it in the end; by none when there
    /// are no words.
    pub fn start_behind(&mut self, words: Vec<String>) {
        self.before = words;
    }

    /// The same gateway, not running, that joins the members at these addresses instead of forming a
    /// cluster, in another directory and with its output in another file.
    #[must_use]
    pub fn joining(&self, addresses: &str, data_dir: &str, log: PathBuf) -> Self {
        let mut joining = self.changed(&[("--data-dir", data_dir), ("--initial-cluster", addresses)], log);
        joining.rename_argument("--initial-cluster", "--join");
        joining
    }

    /// The value that it is given for a flag.
    #[must_use]
    pub fn flag(&self, flag: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == flag)?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// The node id that it began with. It keeps this name when another node [takes its place](Self::become_newcomer).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> GatewayPorts {
        self.ports
    }

    /// The value that it is started with for a flag.
    ///
    /// # Panics
    /// When it is started without.
    #[must_use]
    pub fn argument(&self, flag: &str) -> &str {
        let at = self.arguments.iter().position(|argument| argument == flag).expect("the flag is given");
        &self.arguments[at + 1]
    }

    /// One that is started alike, under another id.
    pub(crate) fn renumbered(&self, id: u64, log: PathBuf) -> Self {
        Self::new(id, self.ports, self.arguments.clone(), log)
    }

    /// The same process with another value for a flag, from its next start on.
    ///
    /// # Panics
    /// When it is started without.
    pub fn set_argument(&mut self, flag: &str, value: String) {
        let at = self.arguments.iter().position(|argument| argument == flag).expect("the flag is given");
        self.arguments[at + 1] = value;
    }

    /// The same process with another flag in the place of one.
    pub(crate) fn rename_argument(&mut self, flag: &str, name: &str) {
        let at = self.arguments.iter().position(|argument| argument == flag).expect("the flag is given");
        name.clone_into(&mut self.arguments[at]);
    }

    /// From its next start on it is another node at the same addresses, under an id that was never used, and waits to
    /// be added to the cluster of the one before. The data directory is the caller's to empty.
    ///
    /// # Panics
    /// When it is started without `--node-id`.
    pub fn become_newcomer(&mut self, node: u64) {
        // One that took a place before has its peers behind this flag already.
        if let Some(members) = self.flag("--initial-cluster") {
            let addresses: Vec<&str> = members.split(',').filter_map(|entry| Some(entry.split_once('=')?.1)).collect();
            let addresses = addresses.join(",");
            self.set_argument("--initial-cluster", addresses);
            self.rename_argument("--initial-cluster", "--join");
        }
        self.set_argument("--node-id", node.to_string());
        self.node.store(node, Ordering::Relaxed);
    }

    /// Its URL for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.access().urls
    }

    /// Its URL for clients, and what it takes to be let in.
    #[must_use]
    pub fn access(&self) -> Access {
        self.place.access(self.ports)
    }

    /// A caller that knows this gateway only.
    #[must_use]
    pub fn api(&self) -> Api {
        self.access().api()
    }

    /// A look at its process, whoever starts and ends it.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let (process, node) = (Arc::clone(&self.process), Arc::clone(&self.node));
        Vitals { id: self.id, address: self.place.address, metrics_port: self.ports.metrics, process, node }
    }

    /// A page of its health port: status and body.
    ///
    /// # Errors
    /// As [`http_get_at`].
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        http_get_at(self.place.address, self.ports.health, path).await
    }

    /// The sum of the samples of one name on its metrics page; none when it does not answer, or has
    /// no such number.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        scrape_at(self.place.address, self.ports.metrics).await.ok()?.sum(name)
    }

    /// Starts the process; does nothing when it runs.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let program = binary("openshell-gateway")?;
        let log = self.open_log()?;
        let words = self.before.iter().map(Path::new).chain([program.as_path()]).collect::<Vec<_>>();
        let mut command = offspring::tied(self.place.command(words[0]).args(&words[1..]));
        // The variables of whoever runs the tests must not reach the gateway.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENSHELL_")) {
            command.env_remove(name);
        }
        command.envs(&self.variables).args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = offspring::spawn(command).with_context(|| format!("starting {}", program.display()))?;
        self.process.store(child.id(), Ordering::Relaxed);
        self.child = Some(child);
        Ok(())
    }

    fn open_log(&self) -> anyhow::Result<File> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        log.with_context(|| format!("opening {}", self.log.display()))
    }

    /// Whether the process lives; a paused one does.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none() && self.child.is_some()
    }

    /// How the process ended, if it was started and has ended by itself.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// SIGKILL, and waits for the end. Does nothing when it is not running.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().with_context(|| format!("killing node {}", self.id))?;
            child.wait().with_context(|| format!("waiting for the end of node {}", self.id))?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it is not running, or has not ended after `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        let what = format!("the end of node {} after SIGTERM", self.id);
        let status = eventually(&what, limit, async || self.exit_status()).await?;
        self.child = None;
        Ok(status)
    }

    /// SIGTERM, without waiting for the end.
    ///
    /// # Errors
    /// When it is not running.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// SIGSTOP: the process lives, keeps its ports and does nothing.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> anyhow::Result<()> {
        signals::pause(self.child()?).with_context(|| format!("pausing node {}", self.id))
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        signals::send(self.child()?, signal).map(drop).with_context(|| format!("telling node {}", self.id))
    }

    fn child(&self) -> anyhow::Result<&Child> {
        self.child.as_ref().with_context(|| format!("node {} is not running", self.id))
    }

    /// The id of its process; none when it is not running, or has ended and nobody has asked how.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How many bytes of memory the process has, of its own and shared.
    ///
    /// # Errors
    /// When it is not running, or the system does not say.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child()?.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("a number of kB")?;
        Ok(kib * 1024)
    }

    /// For how long its threads, those that live now, have had a processor.
    ///
    /// # Errors
    /// As [`Gateway::resident_bytes`].
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child()?.id()))? {
            // One that ends meanwhile is passed over.
            let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().context("a time")?.parse::<u64>().context("a number")?;
            sum += Duration::from_nanos(nanoseconds);
        }
        Ok(sum)
    }

    /// The file that everything goes into that the process writes, over all its lives.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of what the process wrote, at most `lines` lines.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// All that the process wrote, over all its lives.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.kill();
    }
}
