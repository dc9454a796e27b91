//! Links that are thin, late, or reset.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use openshell_tests::eventually;
use tokio::task::block_in_place;

use super::{Nemesis, Scope};
use crate::env::{Late, Passed, Thin, reset_connections};
use crate::plan::Kind;
use crate::run::Node;

/// A node that runs has connections by then.
const CONNECTION_LIMIT: Duration = Duration::from_secs(3);
/// Looks at how long a connection takes: others may cut the node off for a moment.
const LOOKS: usize = 5;

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

/// A link with a rate, to everybody or to one other node.
pub(super) struct ThinLink {
    scope: Scope,
    links: Vec<Thin>,
    waited: u64,
}

impl ThinLink {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, links: Vec::new(), waited: 0 }
    }

    /// The one to whom it is thin, where it is not to everybody.
    fn other(&self) -> anyhow::Result<Option<&Node>> {
        if self.scope.planned.kind != Kind::ThinPeer {
            return Ok(None);
        }
        let mut others: Vec<&Node> = self.scope.rig.nodes.iter().collect();
        others.retain(|node| !self.scope.victims.contains(&node.id));
        let turn = self.scope.planned.choice % (others.len() as u64).max(1);
        Ok(Some(*others.get(usize::try_from(turn)?).context("there is no other node")?))
    }
}

impl Nemesis for ThinLink {
    async fn install(&mut self) -> anyhow::Result<String> {
        let kbit = self.scope.planned.amount;
        let other = self.other()?.map(|node| (node.id, node.address));
        for namespace in self.scope.namespaces()? {
            self.links.push(block_in_place(|| match other {
                Some((_, address)) => Thin::toward(&namespace, kbit, address),
                None => Thin::new(&namespace, kbit),
            })?);
        }
        let whom = other.map(|(id, _)| format!(" to node {id}")).unwrap_or_default();
        Ok(format!("{kbit} kbit/s{whom}"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        for link in self.links.drain(..) {
            self.waited += block_in_place(|| link.widen())?;
        }
        Ok(format!("{} packets had to wait", self.waited))
    }

    fn in_vain(&self) -> Option<String> {
        (self.waited == 0).then(|| "no packet had to wait".to_owned())
    }
}

/// Packets that come late, or out of order.
pub(super) struct LatePackets {
    scope: Scope,
    links: Vec<Late>,
    passed: Passed,
}

impl LatePackets {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, links: Vec::new(), passed: Passed::default() }
    }

    /// A connection cannot be made sooner than its answer is let through.
    fn is_late(&self, least: Duration) -> anyhow::Result<()> {
        let node = self.scope.rig.node(self.scope.victim()?)?;
        for _ in 0..LOOKS {
            let begin = Instant::now();
            let is_reached = self.scope.rig.reaches(None, SocketAddr::new(node.address, node.ports.health))?;
            let took = begin.elapsed();
            if is_reached {
                ensure!(took >= least, "a connection was made within {took:?}");
                return Ok(());
            }
        }
        bail!("no connection was made, early or late")
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
        if jitter_ms == 0 {
            self.is_late(Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0)))?;
        }
        Ok(format!("late by {delay_ms} ms, give or take {jitter_ms} ms"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        for link in self.links.drain(..) {
            self.passed += block_in_place(|| link.end())?;
        }
        let Passed { late, overtaken } = self.passed;
        Ok(format!("{late} packets were late, and others overtook {overtaken}"))
    }

    fn in_vain(&self) -> Option<String> {
        let Passed { late, overtaken } = self.passed;
        match self.scope.planned.kind {
            Kind::Reorder => (overtaken == 0).then(|| "no packet overtook another".to_owned()),
            _ => (late == 0).then(|| "no packet was late".to_owned()),
        }
    }
}

/// Connections that are reset, all at once.
pub(super) struct Reset(pub(super) Scope);

impl Nemesis for Reset {
    async fn install(&mut self) -> anyhow::Result<String> {
        let namespaces = self.0.namespaces()?;
        let reset = || namespaces.iter().map(|namespace| reset_connections(namespace)).sum::<anyhow::Result<usize>>();
        // A node that was started this moment has some soon.
        let some = async || block_in_place(reset).ok().filter(|count| *count > 0);
        let count = eventually("a connection", CONNECTION_LIMIT, some).await?;
        Ok(format!("{count} connections were reset"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok("nothing is to be undone".to_owned())
    }
}
