//! A follower that is cut off until the log that it lacks is gone: when it is healed it needs a snapshot.

use std::time::Duration;

use openshell_tests::{Cut, eventually};
use tokio::time::{Instant, sleep};

use super::{Nemesis, Scope};

/// Between two looks at how far the others are.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A snapshot is there after so long at most.
const INSTALL_LIMIT: Duration = Duration::from_secs(20);

const APPLIED: &str = "openshell_raft_applied_revision";
const PURGED: &str = "openshell_raft_purged_revision";
const INSTALLS: &str = "openshell_snapshot_installs";

pub(super) struct Blackhole {
    scope: Scope,
    /// What the victim had when it was cut off, and how many snapshots it had installed.
    before: Option<(f64, f64)>,
    /// The others have let go of what it lacks.
    is_far_behind: bool,
}

impl Blackhole {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, before: None, is_far_behind: false }
    }

    async fn metric(&self, id: u64, name: &str) -> Option<f64> {
        self.scope.rig.node(id).ok()?.metric(name).await
    }

    /// What the victim lacks is in no log of the others, any of which may lead.
    async fn nobody_has(&self, applied: f64, victim: u64) -> bool {
        for node in self.scope.rig.nodes.iter().filter(|node| node.id != victim) {
            if self.metric(node.id, PURGED).await.is_none_or(|purged| purged <= applied) {
                return false;
            }
        }
        true
    }
}

impl Nemesis for Blackhole {
    async fn install(&mut self) -> anyhow::Result<String> {
        let victim = self.scope.victim()?;
        let before = (self.metric(victim, APPLIED).await, self.metric(victim, INSTALLS).await);
        self.before = before.0.zip(before.1);
        self.scope.cut(&Cut::Apart(vec![victim])).await?;
        let other = self.scope.rig.nodes.iter().map(|node| node.id).find(|id| *id != victim);
        if let Some(other) = other {
            let reached = self.scope.rig.reaches(Some(victim), self.scope.peer_place(other)?)?;
            anyhow::ensure!(!reached, "node {victim} still reaches node {other}");
        }
        Ok("cut off until it needs a snapshot".to_owned())
    }

    async fn last(&mut self, until: Instant) -> anyhow::Result<()> {
        let victim = self.scope.victim()?;
        while Instant::now() < until {
            if let Some((applied, _)) = self.before
                && self.nobody_has(applied, victim).await
            {
                self.is_far_behind = true;
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let victim = self.scope.victim()?;
        self.scope.uncut().await?;
        let Some((_, installs)) = self.before.filter(|_| self.is_far_behind) else {
            return Ok("healed before the others had let go of what it lacks".to_owned());
        };
        let installed = eventually("a snapshot", INSTALL_LIMIT, async || {
            self.metric(victim, INSTALLS).await.filter(|now| *now > installs).map(|_| ())
        });
        let took = if installed.await.is_ok() { "it took a snapshot" } else { "it took no snapshot yet" };
        Ok(format!("what it lacks is in no log; {took}"))
    }
}
