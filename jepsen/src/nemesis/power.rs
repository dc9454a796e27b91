//! Power that is lost: what was not synced is gone, and the process with it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use openshell_tests::{Gateway, thread_states};

use super::{Nemesis, Scope};
use crate::run::Machinery;

/// A process that was told to stop does so by then, unless it waits for a disk.
const STOP_LIMIT: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(super) struct PowerLoss(pub(super) Scope);

impl Nemesis for PowerLoss {
    async fn install(&mut self) -> anyhow::Result<String> {
        let victims = self.0.victims.clone();
        self.0.rig.with(|machinery| machinery.lose_power(&victims)).await?;
        Ok("what was not synced is gone".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.0.start_all().await
    }
}

impl Machinery {
    /// These nodes lose their power at one moment, and their disks are there again afterwards.
    ///
    /// # Errors
    /// When one has no disk of its own, or the system refuses.
    pub(crate) fn lose_power(&mut self, nodes: &[u64]) -> anyhow::Result<()> {
        self.excused.extend(nodes);
        // Nobody acknowledges anything after the first disk is gone. A file system that is shut down in the midst of a sync may
        // report it done, which at a loss of power nobody would live to hear.
        let still = self.stand_still(nodes);
        let lost = still.and_then(|()| nodes.iter().try_for_each(|id| self.disk(*id)?.lose_power()));
        for id in nodes {
            self.kill(*id)?;
        }
        lost?;
        for id in nodes {
            self.disk(*id)?.remount()?;
        }
        Ok(())
    }

    /// Stops the processes of these nodes, as far as they run, until they are killed.
    fn stand_still(&self, nodes: &[u64]) -> anyhow::Result<()> {
        let gateways = || nodes.iter().map(|id| self.cluster.gateway(*id));
        let running = || gateways().filter(|gateway| gateway.process().is_some());
        running().try_for_each(Gateway::pause)?;
        running().filter_map(Gateway::process).try_for_each(stands)
    }
}

/// Waits until no thread of a process runs: each is stopped, or is in the kernel and stops before it is out of it.
fn stands(process: u32) -> anyhow::Result<()> {
    let limit = Instant::now() + STOP_LIMIT;
    let runs = |state: &char| !['T', 'D', 'Z', 'X'].contains(state);
    while thread_states(process)?.iter().any(runs) {
        ensure!(Instant::now() < limit, "process {process} was told to stop and runs");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
