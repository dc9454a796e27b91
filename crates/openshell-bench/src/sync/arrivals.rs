//! Who has taken over what, and when, as the nodes know it: each arrival is a report that was acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use openshell_sync::Position;
use openshell_tests::Follower;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Arrivals that may wait to be counted; more than there are at once.
const WAITING_MAX: usize = 65_536;

/// A sandbox, what its node knows to be in force there, and since when.
type Arrival = (usize, Position, Instant);

/// Hears of every sandbox. Dropping it ends that.
pub(super) struct Arrivals {
    heard: mpsc::Receiver<Arrival>,
    _listening: JoinSet<()>,
}

impl Arrivals {
    /// Of all of these, by their place.
    pub(super) fn of(all: &[Follower]) -> Self {
        let (sender, heard) = mpsc::channel(WAITING_MAX);
        let mut listening = JoinSet::new();
        for (number, follower) in all.iter().enumerate() {
            let (mut acknowledged, sender) = (follower.acknowledged(), sender.clone());
            listening.spawn(async move {
                while acknowledged.changed().await.is_ok() {
                    let at = Instant::now();
                    let newest = *acknowledged.borrow_and_update();
                    if let Some(position) = newest {
                        // Nobody counts any more when the measurement ends.
                        let _ = sender.send((number, position, at)).await;
                    }
                }
            });
        }
        Self { heard, _listening: listening }
    }

    /// When the last of the first `concerned` has this.
    ///
    /// # Errors
    /// When somebody does not have it within this time.
    pub(super) async fn everywhere(
        &mut self,
        concerned: usize,
        position: Position,
        limit: Duration,
    ) -> anyhow::Result<Instant> {
        let mut missing: BTreeSet<usize> = (0..concerned).collect();
        let mut last = None;
        while !missing.is_empty() {
            let arrival = timeout(limit, self.heard.recv()).await.ok().flatten();
            let (number, found, at) = arrival.with_context(|| format!("{} do not have {position}", missing.len()))?;
            if found >= position && missing.remove(&number) {
                last = last.max(Some(at));
            }
        }
        last.context("somebody is concerned")
    }
}
