//! Power that is lost: what was not synced is gone, and the process with it.

use super::{Nemesis, Scope};

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
        // All disks first: what is acknowledged after the first one is gone must be on the others.
        for id in nodes {
            self.disk(*id)?.lose_power()?;
        }
        for id in nodes {
            self.kill(*id)?;
        }
        for id in nodes {
            self.disk(*id)?.remount()?;
        }
        Ok(())
    }
}
