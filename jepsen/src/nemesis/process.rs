//! Processes that end, stand still, and end again while they recover.

use std::time::Duration;

use anyhow::{Context, ensure};
use openshell_tests::{eventually, process_state};
use tokio::time::sleep;

use super::{Nemesis, Scope};
use crate::env::Uptime;
use crate::run::Rig;

/// A gateway lets calls under way end for twelve seconds.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Of the log of one that did not end in order.
const LINES: usize = 3;

impl Scope {
    /// SIGKILL to every victim, one right after the other.
    pub(super) async fn kill_all(&self) -> anyhow::Result<()> {
        self.rig.each(&self.victims, |machinery, id| machinery.kill(id)).await
    }

    /// Starts every victim that does not run, and says whether all of them listen.
    pub(super) async fn start_all(&self) -> anyhow::Result<String> {
        self.rig.each(&self.victims, |machinery, id| machinery.start(id)).await?;
        self.all_listen().await
    }

    /// Waits for every victim that was started, and says whether all of them listen.
    pub(super) async fn all_listen(&self) -> anyhow::Result<String> {
        let mut silent = Vec::new();
        for id in &self.victims {
            if !self.rig.listens(*id).await? {
                silent.push(*id);
            }
        }
        Ok(if silent.is_empty() { "they listen again".to_owned() } else { format!("{silent:?} do not listen") })
    }

    /// That its processes end is not their own doing from now on, until they are started again.
    pub(super) async fn excuse(&self) -> anyhow::Result<()> {
        let each = self.rig.each(&self.victims, |machinery, id| {
            machinery.excused.insert(id);
            Ok(())
        });
        each.await
    }

    /// They may find out later that calls about files have failed.
    pub(super) async fn forgive(&self) -> anyhow::Result<()> {
        let each = self.rig.each(&self.victims, |machinery, id| {
            machinery.forgiven.insert(id);
            Ok(())
        });
        each.await
    }

    /// Those that have ended.
    pub(super) async fn ended(&self) -> anyhow::Result<Vec<u64>> {
        let mut ended = Vec::new();
        let each = self.rig.each(&self.victims, |machinery, id| {
            ended.extend(machinery.ended(id).map(|_| id));
            Ok(())
        });
        each.await?;
        Ok(ended)
    }

    /// Of the only victim, or the first one.
    pub(super) fn victim(&self) -> anyhow::Result<u64> {
        self.victims.first().copied().ok_or_else(|| anyhow::anyhow!("a fault without a victim"))
    }
}

/// Stops a node in order, once it listens: before that nobody in it hears of a signal.
///
/// # Errors
/// When it does not run, or does not end like that, with how it did.
pub(crate) async fn stop(rig: &Rig, id: u64) -> anyhow::Result<()> {
    ensure!(rig.listens(id).await?, "node {id} was to be asked to stop, and does not run");
    let asked = rig.with(|machinery| {
        machinery.excused.insert(id);
        machinery.cluster.gateway(id).ask_to_stop()
    });
    asked.await?;
    let ended = eventually("a node that was asked to stop to end", STOP_LIMIT, async || {
        rig.with(|machinery| Ok(machinery.ended(id))).await.ok().flatten()
    });
    let status = ended.await.with_context(|| format!("node {id}"))?;
    let log = rig.with(|machinery| Ok(machinery.cluster.gateway(id).log_tail(LINES))).await?;
    // Only after an orderly end its mark, by which a node knows that nothing is missing, is up to date.
    ensure!(status.success(), "node {id} was asked to stop and ended with {status}: {log}");
    rig.with(|machinery| machinery.kill(id)).await
}

/// SIGKILL, and a new start.
pub(super) struct Kill(pub(super) Scope);

impl Nemesis for Kill {
    async fn install(&mut self) -> anyhow::Result<String> {
        // The system says that each has ended: nothing else is to be looked for.
        self.0.kill_all().await?;
        Ok("killed".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.0.start_all().await
    }
}

/// SIGKILL, and again while they recover.
pub(super) struct KillInRecovery(pub(super) Scope);

impl Nemesis for KillInRecovery {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.0.kill_all().await?;
        self.0.rig.each(&self.0.victims, |machinery, id| machinery.start(id)).await?;
        let alive_ms = u64::try_from(self.0.planned.amount).unwrap_or(1);
        sleep(Duration::from_millis(alive_ms)).await;
        self.0.kill_all().await?;
        Ok(format!("killed, started, and killed after {alive_ms} ms"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.0.start_all().await
    }
}

/// SIGKILL, and a new start on a machine that came up this moment, or long ago.
pub(super) struct Reboot {
    scope: Scope,
    started_elsewhere: usize,
}

impl Reboot {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, started_elsewhere: 0 }
    }
}

impl Nemesis for Reboot {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.scope.kill_all().await?;
        Ok(format!("killed, to find the machine up for {} s", self.scope.planned.amount))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let up_s = u64::try_from(self.scope.planned.amount)?;
        let started = self.scope.rig.each(&self.scope.victims, |machinery, id| {
            machinery.cluster.gateway_mut(id).start_behind(Uptime::of_seconds(up_s)?.words());
            let started = machinery.start(id);
            // Whoever starts it later does so on the machine as it is.
            machinery.cluster.gateway_mut(id).start_behind(Vec::new());
            started
        });
        started.await?;
        // One that ends of it does so by itself, and is the guard's to start again.
        let listening = self.scope.all_listen().await?;
        for id in &self.scope.victims {
            let found = self.scope.rig.with(|machinery| Uptime::is_of(machinery.process(*id)?)).await;
            self.started_elsewhere += usize::from(found.unwrap_or(false));
        }
        Ok(format!("{} of them found it so, {listening}", self.started_elsewhere))
    }

    fn in_vain(&self) -> Option<String> {
        (self.started_elsewhere == 0).then(|| "all of them found the machine as it is".to_owned())
    }
}

/// SIGSTOP, and SIGCONT.
pub(super) struct Pause(pub(super) Scope);

impl Pause {
    async fn are_stopped(&self, expected: bool) -> anyhow::Result<()> {
        let each = self.0.rig.each(&self.0.victims, |machinery, id| {
            let stopped = process_state(machinery.process(id)?) == Some('T');
            ensure!(stopped == expected, "node {id}: stopped is {stopped}, and {expected} was expected");
            Ok(())
        });
        each.await
    }
}

impl Nemesis for Pause {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.0.rig.each(&self.0.victims, |machinery, id| machinery.cluster.gateway(id).pause()).await?;
        self.are_stopped(true).await?;
        Ok("stopped".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.0.rig.each(&self.0.victims, |machinery, id| machinery.cluster.gateway(id).resume()).await?;
        self.are_stopped(false).await?;
        Ok("they go on".to_owned())
    }
}
