//! Power that is lost: what was not synced is gone, and the process with it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Nemesis, Scope};

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

impl crate::run::Machinery {
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
}

impl crate::run::Machinery {
    /// Stops the processes of these nodes, as far as they run, until they are killed.
    fn stand_still(&self, nodes: &[u64]) -> anyhow::Result<()> {
        let gateways = || nodes.iter().map(|id| self.cluster.gateway(*id));
        let running = || gateways().filter(|gateway| gateway.process().is_some());
        running().try_for_each(openshell_tests::Gateway::pause)?;
        running().filter_map(openshell_tests::Gateway::process).try_for_each(stands)
    }
}

/// Waits until no thread of a process runs: each is stopped, or is in the kernel and stops before it is out of it.
fn stands(process: u32) -> anyhow::Result<()> {
    let limit = Instant::now() + STOP_LIMIT;
    while !all_stand(process)? {
        ensure!(Instant::now() < limit, "process {process} was told to stop and runs");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The letter behind a thread's name is its state: T is stopped, D is in the kernel, Z and X have ended.
fn all_stand(process: u32) -> anyhow::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
        if !state.starts_with(['T', 'D', 'Z', 'X']) && !state.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
