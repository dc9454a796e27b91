//! A rolling restart, as for an upgrade: each node in turn is asked to stop, ends in order, and is ready again before
//! the next one.

use std::time::Duration;

use openshell_tests::eventually;
use tokio::time::{Instant, sleep_until};

use super::process::stop;
use super::{Nemesis, Scope};
use crate::run::Organ;

/// With fewer that were started again it is no rolling restart.
const RESTARTS_MIN: usize = 2;
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
        if let Err(error) = stop(rig, id).await {
            rig.complain(format!("{error:#}"));
            rig.with(|machinery| machinery.kill(id)).await?;
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
            let rig = &self.scope.rig;
            if Instant::now() >= until || !rig.hold(&[id], Organ::Process) {
                self.left_out.push(id);
                continue;
            }
            let runs = rig.listens(id).await?;
            let restarted = if runs { self.restart(id).await } else { Ok(()) };
            rig.release(&[id], Organ::Process);
            restarted?;
            if runs {
                self.done.push(id)
            } else {
                self.left_out.push(id)
            };
        }
        if self.done.is_empty() {
            sleep_until(until).await;
        }
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok(format!("{:?} were started again, {:?} were left out", self.done, self.left_out))
    }

    fn in_vain(&self) -> Option<String> {
        let restarts = self.done.len();
        (restarts < RESTARTS_MIN).then(|| format!("only {restarts} nodes could be started again"))
    }
}
