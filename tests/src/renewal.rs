//! Clusters that outlive their nodes: members that go and come, and clusters that are made from an
//! export.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;
use openshell_chaos::POINT_VARIABLE;

use crate::binary::binary;
use crate::cluster::{Cluster, ClusterOptions, LIMIT};
use crate::gateway::Gateway;
use crate::http::http_get;
use crate::trapping::needs_planted_faults;
use crate::wait::eventually;

/// Runs a subcommand of the gateway program to its end.
///
/// # Panics
/// When the program is missing.
#[must_use]
pub fn gateway_command(words: &[&str]) -> Output {
    try_gateway_command(words).expect("the gateway is built, and runs")
}

/// The same.
///
/// # Errors
/// When the program is missing, or cannot be started.
pub fn try_gateway_command(words: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary("openshell-gateway")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENSHELL_")) {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::null()).output().context("starting the gateway")
}

impl Cluster {
    /// Starts one more node, which waits to be added to the cluster by way of any member.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn start_newcomer(&mut self, id: u64) -> anyhow::Result<()> {
        self.newcomer(id, None).await
    }

    /// The same with a trap, as [`POINT_VARIABLE`] has it, which is set from the start.
    ///
    /// # Errors
    /// When it does not come to that, or the gateway is a build without traps.
    pub async fn start_trapped_newcomer(&mut self, id: u64, trap: &str) -> anyhow::Result<()> {
        needs_planted_faults()?;
        self.newcomer(id, Some(trap)).await
    }

    async fn newcomer(&mut self, id: u64, trap: Option<&str>) -> anyhow::Result<()> {
        // Laid out by the same hand as the others, as a cluster of its own that is never started.
        let one = Self::prepare(ClusterOptions { nodes: 1, ..ClusterOptions::default() }, None)?;
        let any = self.gateways.first().context("a cluster has nodes")?;
        let [members, key] = ["--initial-cluster", "--secrets-key-file"].map(|flag| any.argument(flag).to_owned());
        let folder = self.directory.as_ref().context("the cluster keeps its files")?.path().to_path_buf();
        let mut gateway = one.gateways[0].renumbered(id, folder.join(format!("node-{id}.log")));
        gateway.set_argument("--data-dir", folder.join(format!("node-{id}")).display().to_string());
        gateway.set_argument("--secrets-key-file", key);
        gateway.set_argument("--initial-cluster", members);
        gateway.become_newcomer(id);
        gateway.set_variable(POINT_VARIABLE, trap);
        gateway.start()?;
        let port = gateway.ports().health;
        self.gateways.push(gateway);
        eventually("the new node to wait", LIMIT, async || {
            let (status, page) = http_get(port, "/readyz").await.ok()?;
            (status == 503 && page.contains("openshell cluster replace")).then_some(())
        })
        .await
    }

    /// Takes a node out of what is waited for and asked; it lives on, if it does.
    ///
    /// # Panics
    /// When no node has the id.
    pub fn take_out(&mut self, id: u64) -> Gateway {
        let at = self.gateways.iter().position(|gateway| gateway.id() == id).expect("a node of the cluster");
        self.gateways.remove(at)
    }

    /// A new cluster of three, made from an export of this one, with the same secrets key. Ready.
    ///
    /// # Errors
    /// When a node cannot be restored, or they are not ready in time.
    pub async fn restored_from(&self, export: &Path) -> anyhow::Result<(Self, Vec<String>)> {
        let mut restored = Self::prepare(ClusterOptions::default(), None)?;
        let mut said = Vec::new();
        for gateway in &mut restored.gateways {
            gateway.set_argument("--secrets-key-file", self.gateways[0].argument("--secrets-key-file").to_owned());
            let words = ["--node-id", "--data-dir", "--initial-cluster", "--secrets-key-file"];
            let flags = words.iter().flat_map(|flag| [*flag, gateway.argument(flag)]);
            let words: Vec<&str> =
                ["restore", "--from", export.to_str().context("a path of text")?].into_iter().chain(flags).collect();
            let output = gateway_command(&words);
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            said.push(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        restored.start_all().await?;
        Ok((restored, said))
    }

    /// A path for a file of the test, beside the data of the nodes.
    ///
    /// # Panics
    /// When the files were kept.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.as_ref().expect("the cluster keeps its files").path().join(name)
    }
}
