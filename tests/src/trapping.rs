//! Clusters whose nodes can be made to fall at a point of their own code, at a moment of the harness' choice. Which
//! points there are is in `openshell-chaos`; the gateway must be a build that has them.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use openshell_chaos::{FILE_VARIABLE, POINT_VARIABLE};

use crate::cluster::{Cluster, ClusterOptions};
use crate::renewal::gateway_command;

impl Cluster {
    /// A cluster of which no node runs yet, each with a trap (as [`POINT_VARIABLE`] has it) that is not set.
    ///
    /// # Errors
    /// When the gateway is a build without traps, or the files cannot be made.
    pub fn trapped(options: ClusterOptions, trap: &str) -> anyhow::Result<Self> {
        needs_planted_faults()?;
        let mut cluster = Self::prepare(options, None)?;
        for id in cluster.ids() {
            let file = cluster.trap_file(id).display().to_string();
            let gateway = cluster.gateway_mut(id);
            gateway.set_variable(POINT_VARIABLE, Some(trap));
            gateway.set_variable(FILE_VARIABLE, Some(&file));
        }
        Ok(cluster)
    }

    /// Starts every node, and waits until all are ready.
    ///
    /// # Errors
    /// When they are not in time, with the ends of their logs.
    pub async fn bring_up(&mut self) -> anyhow::Result<()> {
        self.start_all().await
    }

    /// Sets the trap of a node.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_trap(&self, id: u64) -> anyhow::Result<()> {
        let file = self.trap_file(id);
        std::fs::write(&file, b"").with_context(|| format!("writing {}", file.display()))
    }

    /// Takes a node's trap away, from its next start on.
    pub fn take_trap_away(&mut self, id: u64) {
        self.gateway_mut(id).set_variable(POINT_VARIABLE, None);
    }

    /// Whether a node said that its trap has sprung.
    #[must_use]
    pub fn has_sprung(&self, id: u64) -> bool {
        self.springs(id) > 0
    }

    /// How often it said so, over all its lives.
    #[must_use]
    pub fn springs(&self, id: u64) -> usize {
        self.gateway(id).log_text().lines().filter(|line| line.starts_with("chaos: ")).count()
    }

    fn trap_file(&self, id: u64) -> PathBuf {
        self.file(&format!("trap-{id}"))
    }
}

/// Refuses a gateway in which nothing can be planted: with it, a control would miss what is not there.
pub(crate) fn needs_planted_faults() -> anyhow::Result<()> {
    let version = gateway_command(&["--version"]).stdout;
    let version = String::from_utf8_lossy(&version);
    let build = "cargo build --release --workspace";
    ensure!(version.contains("chaos build"), "{} cannot be told to fail: build it with `{build}`", version.trim());
    Ok(())
}
