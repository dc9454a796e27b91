//! A run of workloads from their setting up to their last reads. What is done to the cluster meanwhile is
//! the caller's business.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use openshell_client::{CallError, id_time_ms, methods};
use openshell_proto::v1::CreateWorkspaceRequest;
use openshell_tests::{Access, Api, unique};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::attach::Attach;
use super::batch::Batch;
use super::dedup::Dedup;
use super::environment::Environment;
use super::heard::Heard;
use super::list::List;
use super::membership::Membership;
use super::mixed::Mixed;
use super::part::{self, Part, Tasks};
use super::register::Register;
use super::session::Session;
use super::sync::Sync;
use super::time::{self, new_id};
use super::watch::Watch;
use super::{Shared, Wishes, Workload};
use crate::history::{Action, Line, Outcome, Position};
use crate::recorder::Recorder;

/// Those who follow have so long to come to the end.
const FOLLOWING_LIMIT: Duration = Duration::from_secs(60);

/// The write that each node is asked for once the cluster is whole again. What it makes is no matter of any workload; the
/// mark behind the method's name keeps it apart from their calls, and is no word, which would say what a call is about.
pub(crate) const LAST_WRITE: &str = "openshell.v1.OpenShell/CreateWorkspace#last";

const LAST_WRITE_ATTEMPTS: u32 = 5;

/// Workloads under way. Dropping it ends their clients.
pub(crate) struct Running {
    shared: Arc<Shared>,
    parts: Vec<Box<dyn Part>>,
    /// Whose the last writes are: the first of them, since each operation is somebody's.
    first: Option<Workload>,
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
    Ok(Running { shared, parts, first: workloads.first().copied(), clients, followers, settle })
}

/// Writes down that somebody begins to follow, or has come to the end, so that who is never heard of is missed.
pub(super) fn note_follower(recorder: &Recorder, workload: Workload, name: &str, is_done: bool) {
    let (time_ns, name) = (recorder.now_ns(), name.to_owned());
    recorder.add(Line::Follower { time_ns, workload, name, is_done });
}

/// Makes a workspace of a new name each time, so that an attempt in doubt is in nobody's way. What is refused for the time of
/// its request id is asked again under one of the time that was told: clocks were wrong, and others write.
async fn last_write(api: Api) -> Heard {
    let mut attempts = LAST_WRITE_ATTEMPTS;
    loop {
        attempts -= 1;
        let request = CreateWorkspaceRequest { name: unique("last"), ..CreateWorkspaceRequest::default() };
        match api.request(new_id(), 1).call(&methods::CREATE_WORKSPACE, request).await {
            Ok(answer) => return Heard::of(Outcome::Answered, &answer.seen),
            Err(CallError::Refused(refusal)) if attempts > 0 && id_time_ms(&refusal).is_some() => time::note(&refusal),
            Err(error) => return Heard::failed(error, |_| None),
        }
    }
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
        Workload::Membership => Box::new(Membership::prepare(shared).await?),
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

    /// Writes something through every node of a cluster that is whole again, reads everything for the last time, through
    /// every node too, and lets those who follow come to the end.
    ///
    /// # Errors
    /// As [`Running::ended`].
    pub(crate) async fn settle(mut self) -> anyhow::Result<()> {
        self.ended().await?;
        let recorder = &self.shared.recorder;
        recorder.add(Line::Settled { time_ns: recorder.now_ns() });
        if let Some(workload) = self.first {
            let action = Action::Call { rpc: LAST_WRITE.to_owned() };
            part::ask_everywhere(&self.shared, workload, &[action], |api, _| last_write(api)).await;
        }
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
