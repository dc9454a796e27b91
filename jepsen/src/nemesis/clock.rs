//! Wall clocks that jump, run at another rate, or go to and fro.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Nemesis, Scope};
use crate::env::{Clock, NOTICED_AFTER_S, Shift};
use crate::plan::Kind;

pub(super) struct WrongClock(pub(super) Scope);

impl WrongClock {
    fn set(&self, shift: Shift) -> anyhow::Result<()> {
        for id in &self.0.victims {
            let clock = self.0.rig.clocks.get(id).with_context(|| format!("node {id} has no clock of its own"))?;
            clock.set(shift)?;
        }
        Ok(())
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
            let process = self.0.rig.with(|machinery| machinery.process(*id)).await?;
            Clock::is_of(process)?;
        }
        // From now on it is noticed.
        sleep(Duration::from_secs(NOTICED_AFTER_S)).await;
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
        sleep(Duration::from_secs(NOTICED_AFTER_S)).await;
        Ok("right again".to_owned())
    }
}
