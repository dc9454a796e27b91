//! Links that are thin, late, or reset.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::block_in_place;

use super::{Nemesis, Scope};
use crate::env::{Late, Thin, reset_connections};
use crate::plan::Kind;

impl Scope {
    /// The network namespaces of the victims.
    fn namespaces(&self) -> anyhow::Result<Vec<String>> {
        let namespace = |id: &u64| {
            let node = self.rig.node(*id)?;
            node.namespace.clone().ok_or_else(|| anyhow::anyhow!("node {id} has no network of its own"))
        };
        self.victims.iter().map(namespace).collect()
    }
}

/// A link with a rate.
pub(super) struct ThinLink {
    scope: Scope,
    links: Vec<Thin>,
}

impl ThinLink {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, links: Vec::new() }
    }
}

impl Nemesis for ThinLink {
    async fn install(&mut self) -> anyhow::Result<String> {
        let kbit = self.scope.planned.amount;
        for namespace in self.scope.namespaces()? {
            self.links.push(block_in_place(|| Thin::new(&namespace, kbit))?);
        }
        Ok(format!("{kbit} kbit/s"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let mut waited = 0;
        for link in self.links.drain(..) {
            waited += block_in_place(|| link.widen())?;
        }
        Ok(format!("{waited} packets had to wait"))
    }
}

/// Packets that come late, or out of order.
pub(super) struct LatePackets {
    scope: Scope,
    links: Vec<Late>,
}

impl LatePackets {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, links: Vec::new() }
    }
}

impl Nemesis for LatePackets {
    async fn install(&mut self) -> anyhow::Result<String> {
        let delay_ms = self.scope.planned.amount;
        let jitter_ms = if self.scope.planned.kind == Kind::Reorder { delay_ms } else { 0 };
        for namespace in self.scope.namespaces()? {
            let seed = self.scope.planned.choice;
            self.links.push(block_in_place(|| Late::new(&namespace, delay_ms, jitter_ms, seed))?);
        }
        let node = self.scope.rig.node(self.scope.victim()?)?;
        let begin = std::time::Instant::now();
        self.scope.rig.reaches(None, SocketAddr::new(node.address, node.ports.health))?;
        let took = begin.elapsed();
        let least = Duration::from_millis(u64::try_from(delay_ms - jitter_ms).unwrap_or(0));
        ensure!(took >= least, "a connection was made within {took:?}");
        Ok(format!("late by {delay_ms} ms, give or take {jitter_ms} ms"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let mut late = 0;
        for link in self.links.drain(..) {
            late += block_in_place(|| link.end())?;
        }
        Ok(format!("{late} packets were late"))
    }
}

/// Connections that are reset, all at once.
pub(super) struct Reset(pub(super) Scope);

impl Nemesis for Reset {
    async fn install(&mut self) -> anyhow::Result<String> {
        let mut count = 0;
        for namespace in self.0.namespaces()? {
            count += block_in_place(|| reset_connections(&namespace))?;
        }
        ensure!(count > 0, "there was no connection");
        Ok(format!("{count} connections were reset"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok("nothing is to be undone".to_owned())
    }
}
