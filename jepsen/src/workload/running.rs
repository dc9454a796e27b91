//! A run of workloads from their setting up to their last reads. What is done to the cluster meanwhile is
//! the caller's business.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use openshell_tests::Access;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::attach::Attach;
use super::batch::Batch;
use super::dedup::Dedup;
use super::environment::Environment;
use super::list::List;
use super::mixed::Mixed;
use super::part::{Part, Tasks};
use super::register::Register;
use super::session::Session;
use super::sync::Sync;
use super::watch::Watch;
use super::{Shared, Wishes, Workload};
use crate::history::{Line, Position};
use crate::recorder::Recorder;

/// Those who follow have so long to come to the end.
const FOLLOWING_LIMIT: Duration = Duration::from_secs(60);

/// Workloads under way. Dropping it ends their clients.
pub(crate) struct Running {
    shared: Arc<Shared>,
    parts: Vec<Box<dyn Part>>,
    /// They end with the run.
    clients: Tasks,
    /// They end once the last reads are done.
    followers: Tasks,
    settle: signal::Sender<Option<Position>>,
}

/// Sets these workloads up through a cluster that is whole, and starts their clients.
///
/// # Errors
/// When something that they need is not made.
pub(crate) async fn start(
    workloads: &[Workload],
    wishes: Wishes,
    nodes: Vec<Access>,
    recorder: &Arc<Recorder>,
) -> anyhow::Result<Running> {
    let (settle, settled) = signal::channel(None);
    let all = Access::to_all(&nodes);
    let (recorder, begun) = (Arc::clone(recorder), OnceLock::new());
    let shared = Arc::new(Shared { recorder, wishes, nodes, all, begun, settled });
    let mut parts = Vec::new();
    for workload in workloads {
        parts.push(prepare(*workload, &shared).await.with_context(|| format!("setting up {workload}"))?);
    }
    // From now on, time counts.
    shared.begun();
    let (mut clients, mut followers) = (JoinSet::new(), JoinSet::new());
    for part in &parts {
        part.start(&mut clients, &mut followers);
    }
    Ok(Running { shared, parts, clients, followers, settle })
}

async fn prepare(workload: Workload, shared: &Arc<Shared>) -> anyhow::Result<Box<dyn Part>> {
    Ok(match workload {
        Workload::Register => Box::new(Register::prepare(shared).await?),
        Workload::Batch => Box::new(Batch::prepare(shared).await?),
        Workload::Attach => Box::new(Attach::prepare(shared).await?),
        Workload::Watch => Box::new(Watch::prepare(shared).await?),
        Workload::Dedup => Box::new(Dedup::prepare(shared).await?),
        Workload::Session => Box::new(Session::prepare(shared).await?),
        Workload::List => Box::new(List::prepare(shared).await?),
        Workload::Sync => Box::new(Sync::prepare(shared).await?),
        Workload::Environment => Box::new(Environment::prepare(shared).await?),
        Workload::Mixed => Box::new(Mixed::prepare(shared).await?),
    })
}

impl Running {
    /// When the clients began.
    pub(crate) fn begun(&self) -> Instant {
        self.shared.begun()
    }

    /// When they stop.
    pub(crate) fn end(&self) -> Instant {
        self.shared.end()
    }

    /// Waits until the clients have stopped.
    ///
    /// # Errors
    /// When one could not do its work, which says nothing about the cluster.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        while let Some(client) = self.clients.join_next().await {
            client.context("a client failed")??;
        }
        Ok(())
    }

    /// Reads everything for the last time, through every node of a cluster that is whole again, and lets those
    /// who follow come to the end.
    ///
    /// # Errors
    /// As [`Running::ended`].
    pub(crate) async fn settle(mut self) -> anyhow::Result<()> {
        self.ended().await?;
        let recorder = &self.shared.recorder;
        recorder.add(Line::Settled { time_ns: recorder.now_ns() });
        for part in &self.parts {
            part.finish().await;
        }
        self.settle.send_replace(Some(recorder.newest().unwrap_or_default()));
        let following = async {
            while let Some(follower) = self.followers.join_next().await {
                follower.context("a follower failed")??;
            }
            anyhow::Ok(())
        };
        // Who has not come to the end by then is found by the checkers.
        timeout(FOLLOWING_LIMIT, following).await.unwrap_or(Ok(()))
    }
}
