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
    before: Option<Before>,
    /// The others have let go of what it lacks.
    is_far_behind: bool,
    took_snapshot: bool,
}

/// The victim when it was cut off.
#[derive(Clone, Copy)]
struct Before {
    applied: f64,
    /// Snapshots that its process had installed.
    installs: f64,
    process: u32,
}

impl Blackhole {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, before: None, is_far_behind: false, took_snapshot: false }
    }

    async fn metric(&self, id: u64, name: &str) -> Option<f64> {
        self.scope.rig.node(id).ok()?.metric(name).await
    }

    async fn look(&self, victim: u64) -> Option<Before> {
        let process = self.scope.rig.with(|machinery| machinery.process(victim)).await.ok()?;
        let (applied, installs) = (self.metric(victim, APPLIED).await?, self.metric(victim, INSTALLS).await?);
        Some(Before { applied, installs, process })
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
        self.scope.cut(&Cut::Apart(vec![victim])).await?;
        // Only now, since what it still took before would keep it from needing a snapshot. Clients reach it.
        self.before = self.look(victim).await;
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
            if let Some(Before { applied, .. }) = self.before
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
        if let Some(before) = self.before.filter(|_| self.is_far_behind) {
            let installed = eventually("a snapshot", INSTALL_LIMIT, async || {
                let now = self.look(victim).await?;
                // A process that was started meanwhile counts from nothing.
                let installs = if now.process == before.process { before.installs } else { 0.0 };
                (now.installs > installs).then_some(())
            });
            self.took_snapshot = installed.await.is_ok();
        }
        Ok(self.in_vain().unwrap_or_else(|| "what it lacked is in no log, and it took a snapshot".to_owned()))
    }

    fn in_vain(&self) -> Option<String> {
        let why = match (self.before, self.is_far_behind, self.took_snapshot) {
            (None, ..) => "it did not say what it had",
            (_, false, _) => "healed before the others had let go of what it lacks",
            (_, _, false) => "what it lacks is in no log, and it took no snapshot yet",
            (_, _, true) => return None,
        };
        Some(why.to_owned())
    }
}
