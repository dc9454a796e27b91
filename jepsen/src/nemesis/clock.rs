//! Wall clocks that jump, run at another rate, or go to and fro.

use std::time::Duration;

use anyhow::Context;
use openshell_tests::{eventually, http_get_at};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Nemesis, Scope};
use crate::env::{Clock, NOTICED_AFTER_S, Shift};
use crate::plan::Kind;

/// Others may have ended the process or made it stand still, and have it go on.
const CLOCK_LIMIT: Duration = Duration::from_secs(5);
/// One that does not run when its clock is right again starts with the right one.
const RIGHT_LIMIT: Duration = Duration::from_secs(NOTICED_AFTER_S + 1);

pub(super) struct WrongClock(pub(super) Scope);

impl WrongClock {
    fn set(&self, shift: Shift) -> anyhow::Result<()> {
        for id in &self.0.victims {
            let clock = self.0.rig.clocks.get(id).with_context(|| format!("node {id} has no clock of its own"))?;
            clock.set(shift)?;
        }
        Ok(())
    }

    /// Waits until a node has asked what its clock says since that was set.
    async fn is_noticed(&self, id: u64, limit: Duration) -> anyhow::Result<()> {
        let (node, clock) = (self.0.rig.node(id)?, self.0.rig.clocks.get(&id).context("no clock of its own")?);
        let noticed = async || {
            let process = self.0.rig.with(|machinery| machinery.process(id)).await.ok()?;
            Clock::is_of(process).ok()?;
            // Every answer has a date. What this one is does not matter: it is kept for a while, per thread.
            drop(http_get_at(node.address, node.ports.health, "/healthz").await);
            clock.is_noticed().ok()?.then_some(())
        };
        eventually("a process to look at its clock", limit, noticed).await
    }
}

impl Nemesis for WrongClock {
    async fn install(&mut self) -> anyhow::Result<String> {
        let amount = self.0.planned.amount;
        let (shift, said) = match self.0.planned.kind {
            Kind::ClockRate => (Shift::Rate(amount), format!("at {amount} % of the right rate")),
            Kind::ClockStrobe => (Shift::By(amount), format!("to and fro by {amount} s")),
            _ => (Shift::By(amount), format!("wrong by {amount} s")),
        };
        self.set(shift)?;
        for id in &self.0.victims {
            self.is_noticed(*id, CLOCK_LIMIT).await?;
        }
        Ok(said)
    }

    async fn last(&mut self, until: Instant) -> anyhow::Result<()> {
        let mut amount = self.0.planned.amount;
        while self.0.planned.kind == Kind::ClockStrobe && Instant::now() + Duration::from_secs(NOTICED_AFTER_S) < until
        {
            sleep(Duration::from_secs(NOTICED_AFTER_S)).await;
            amount = -amount;
            self.set(Shift::By(amount))?;
        }
        sleep_until(until).await;
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.set(Shift::None)?;
        let mut right = "right again";
        for id in &self.0.victims {
            if self.is_noticed(*id, RIGHT_LIMIT).await.is_err() {
                right = "right as soon as somebody asks it";
            }
        }
        Ok(right.to_owned())
    }
}
