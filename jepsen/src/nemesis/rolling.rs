//! A rolling restart, as for an upgrade: each node in turn is asked to stop, ends in order, and is ready again before
//! the next one.

use std::time::Duration;

use openshell_tests::eventually;
use tokio::time::{Instant, sleep_until};

use super::{Nemesis, Scope};
use crate::run::Organ;

/// A gateway lets calls under way end for twelve seconds.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const READY_LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Rolling {
    scope: Scope,
    done: Vec<u64>,
    left_out: Vec<u64>,
}

impl Rolling {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, done: Vec::new(), left_out: Vec::new() }
    }

    async fn restart(&self, id: u64) -> anyhow::Result<()> {
        let rig = &self.scope.rig;
        let asked = rig.with(|machinery| {
            machinery.excused.insert(id);
            machinery.cluster.gateway(id).ask_to_stop()
        });
        asked.await?;
        let ended = eventually("a node that was asked to stop to end", STOP_LIMIT, async || {
            rig.with(|machinery| Ok(machinery.ended(id))).await.ok().flatten()
        });
        match ended.await {
            Ok(status) if status.success() => {}
            Ok(status) => rig.complain(format!("node {id} was asked to stop and ended with {status}")),
            Err(_) => {
                rig.complain(format!("node {id} was asked to stop and had not ended after {STOP_LIMIT:?}"));
                rig.with(|machinery| machinery.kill(id)).await?;
            }
        }
        rig.with(|machinery| machinery.start(id)).await?;
        // In brutal mode, others may be hurt meanwhile: it is not waited for for ever.
        let _ = eventually("it to be ready", READY_LIMIT, async || rig.is_ready(id).await.then_some(())).await;
        Ok(())
    }
}

impl Nemesis for Rolling {
    async fn install(&mut self) -> anyhow::Result<String> {
        Ok("each node in turn is asked to stop".to_owned())
    }

    async fn last(&mut self, until: Instant) -> anyhow::Result<()> {
        for id in self.scope.victims.clone() {
            if Instant::now() >= until || !self.scope.rig.hold(&[id], Organ::Process) {
                self.left_out.push(id);
                continue;
            }
            let restarted = self.restart(id).await;
            self.scope.rig.release(&[id], Organ::Process);
            restarted?;
            self.done.push(id);
        }
        if self.done.is_empty() {
            sleep_until(until).await;
        }
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok(format!("{:?} were started again, {:?} were left out", self.done, self.left_out))
    }
}
