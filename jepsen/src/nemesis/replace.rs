//! A node that is lost for good, with everything that it stored, and another member that takes its place as an operator
//! would have it: an empty node under an id of its own is started at the same addresses, waits, and is put into the place
//! of the one that is gone. Only one at a time: when two have lost their data, nothing that only they had is anywhere.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use openshell_client::methods;
use openshell_proto::cluster::{ReplaceNodeRequest, ReplaceNodeResponse};
use openshell_tests::eventually;
use tokio::time::{Instant, sleep};

use super::journal::Journal;
use super::{Nemesis, Scope};
use crate::run::Machinery;
use crate::workload::position;

/// Nobody is taken away while there is no leader for so long.
const LEADER_LIMIT: Duration = Duration::from_secs(4);
/// Of one call: the node that is asked may be hurt by another fault, and then the next one is asked.
const CALL_LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Beyond its time, and when other faults are over, it must be done within so long.
const LATE_LIMIT: Duration = Duration::from_secs(60);
const READY_LIMIT: Duration = Duration::from_secs(20);

/// Who goes and who comes.
#[derive(Clone, Copy)]
struct Change {
    node: u64,
    old: u64,
    new: u64,
}

pub(super) struct Replace {
    scope: Scope,
    journal: Journal,
    until: Instant,
    /// None while nothing was done.
    change: Option<Change>,
    is_done: bool,
}

impl Replace {
    pub(super) fn new(scope: Scope, journal: Journal, until: Instant) -> Self {
        Self { scope, journal, until, change: None, is_done: false }
    }

    /// Starts the one that comes, unless it was started.
    async fn started(&self, change: Change) -> anyhow::Result<()> {
        let rig = &self.scope.rig;
        if rig.member(change.node) == change.new {
            return Ok(());
        }
        rig.with(|machinery| machinery.start_newcomer(change.node, change.new)).await?;
        rig.put(change.node, change.new);
        Ok(())
    }

    /// Asks one node after the other, as often as it takes.
    async fn completed(&mut self, change: Change, limit: Instant) -> anyhow::Result<()> {
        let Change { node, old, new } = change;
        let request = ReplaceNodeRequest { old, new };
        let rig = &self.scope.rig;
        let mut asked = rig.nodes.iter().filter(|other| other.id != node).cycle();
        let mut said = "nobody was asked".to_owned();
        while Instant::now() < limit {
            let Some(through) = asked.next() else { break };
            // A call of its own each time: the same request id would hear the same answer.
            let api = through.access.api().once().deadline(CALL_LIMIT);
            match api.call(&methods::REPLACE_NODE, request).await {
                Ok(answer) if answer.message.done => {
                    self.is_done = true;
                    rig.conclude_replacement();
                    self.journal.replaced(node, (old, new), position(&answer.seen));
                    return Ok(());
                }
                Ok(answer) => {
                    let ReplaceNodeResponse { caught_up, target, .. } = answer.message;
                    said = format!("it has {caught_up} entries of {target}");
                }
                Err(error) => said = format!("{error:#}"),
            }
            sleep(PAUSE).await;
        }
        bail!("member {new} has not taken the place of member {old}: {said}")
    }
}

impl Nemesis for Replace {
    async fn install(&mut self) -> anyhow::Result<String> {
        let (node, rig) = (self.scope.victim()?, &self.scope.rig);
        ensure!(rig.leader(LEADER_LIMIT).await.is_some(), "nobody leads, and nothing was done");
        let new = rig.newcomer().context("another member is being replaced, and nothing was done")?;
        let change = Change { node, old: rig.member(node), new };
        self.change = Some(change);
        self.journal.replaced(node, (change.old, new), None);
        rig.with(|machinery| machinery.lose_for_good(node)).await?;
        sleep(Duration::from_millis(u64::try_from(self.scope.planned.amount).unwrap_or_default())).await;
        self.started(change).await?;
        self.completed(change, self.until).await?;
        Ok(format!("member {} was lost, and member {new} took its place", change.old))
    }

    async fn last(&mut self, _: Instant) -> anyhow::Result<()> {
        // The others may have the node as soon as it is a member.
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let Some(change) = self.change else { return Ok("nothing is to be undone".to_owned()) };
        self.started(change).await?;
        if !self.is_done
            && let Err(error) = self.completed(change, self.until.max(Instant::now()) + LATE_LIMIT).await
        {
            self.scope.rig.complain(format!("node {}: {error:#}", change.node));
            return Ok(format!("{error:#}"));
        }
        let (rig, Change { node, new, .. }) = (&self.scope.rig, change);
        // In brutal mode, others may be hurt meanwhile: it is not waited for for ever.
        let ready = eventually("it to be ready", READY_LIMIT, async || rig.is_ready(node).await.then_some(())).await;
        Ok(format!("member {new} is {}", if ready.is_ok() { "ready" } else { "a member, and not ready yet" }))
    }
}

impl Machinery {
    /// Kills a node, and removes everything that it stored.
    ///
    /// # Errors
    /// When the system refuses.
    fn lose_for_good(&mut self, id: u64) -> anyhow::Result<()> {
        self.kill(id)?;
        match fs::remove_dir_all(self.data(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing what node {id} stored"))
            }
            _ => Ok(()),
        }
    }

    /// Starts an empty node in the place of one that is lost, under this id.
    ///
    /// # Errors
    /// When the one before still runs or has data, or the system refuses.
    fn start_newcomer(&mut self, id: u64, member: u64) -> anyhow::Result<()> {
        // It may be that losing the one before was cut short.
        self.lose_for_good(id)?;
        self.cluster.gateway_mut(id).become_newcomer(member);
        self.start(id)
    }
}
