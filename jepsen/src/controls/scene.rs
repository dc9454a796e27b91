//! What no run meets by chance in a minute: told step by step, with the same cluster and the same checkers. Where a run has
//! none, the scene looks itself: at a file that is damaged, as `corrupt` does, and at calls that nobody may make.

use std::time::Duration;

use anyhow::{Context, ensure};
use openshell_chaos::{Bug, Point};
use openshell_client::{CallError, Uuid, methods};
use openshell_proto::cluster::TransferLeadershipRequest;
use openshell_tests::{Api, Cluster, ClusterOptions, eventually, profile, scrape};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use tonic::Code;

use super::damaged_log;
use crate::checker::{self, Expectations, Finding, Findings};
use crate::history::{Line, Position, Topic};
use crate::ledger::Ledger;
use crate::observer::raft_line;
use crate::workload::{Told, Workload};

pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// How long somebody waits for the answer to a write.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a disk stands still: longer than an election and the wait for an answer.
const STANDSTILL_MS: u64 = 15_000;
/// Fewer writes than this come first: no snapshot is taken yet.
const WRITES_MAX: u64 = 20;
/// Where nodes are compared, so many are made, and after each of them.
const RECORDS: u64 = 25;
/// Where requests are repeated, so many are.
const REQUESTS: usize = 6;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scene {
    /// A node votes while its disk stands still, is killed, and says what it remembers.
    ForgottenVote,
    /// All disks stand still while somebody writes, and all nodes are killed.
    Unwritten,
    /// A leader whose disk stands still is killed with all others, and comes back first.
    LostTail,
    /// Requests are repeated at a node that was started anew and leads.
    OldRequest,
    /// A node is killed, the newest record of its write-ahead log is damaged, and it is started.
    DamagedLog,
    /// Records are made, and the nodes are compared.
    DifferentClocks,
    /// Somebody without a right asks through every node.
    Stranger,
}

/// Plays it, with a bug or without. The seed chooses who is hurt, and what was written before.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn play(scene: Scene, bug: Option<Bug>, seed: u64) -> anyhow::Result<Findings> {
    let mut random = StdRng::seed_from_u64(seed);
    let random = &mut random;
    let options = ClusterOptions { bug, ..ClusterOptions::default() };
    match scene {
        Scene::ForgottenVote => forgotten_vote(options, random).await,
        Scene::Unwritten => unwritten(options, random).await,
        Scene::LostTail => lost_tail(options, random).await,
        Scene::OldRequest => old_request(options, random).await,
        Scene::DamagedLog => damaged_log::play(options, random).await.map(alone),
        Scene::DifferentClocks => different_clocks(options).await,
        Scene::Stranger => stranger(options, random).await.map(alone),
    }
}

fn alone(finding: Finding) -> Findings {
    Findings(vec![finding])
}

async fn leader(cluster: &Cluster) -> anyhow::Result<u64> {
    Ok(eventually("a leader", LIMIT, async || cluster.leadership().await).await?.leader)
}

/// One of the nodes that do not lead.
pub(super) async fn follower(cluster: &Cluster, random: &mut StdRng) -> anyhow::Result<u64> {
    let led = leader(cluster).await?;
    cluster.ids().filter(|id| *id != led).choose(random).context("a cluster has followers")
}

/// Somebody who has written a few times.
async fn written(cluster: &Cluster, random: &mut StdRng) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::open(cluster.api_of_all()).await?;
    ledger.write_all(random.random_range(0..WRITES_MAX)).await?;
    Ok(ledger)
}

/// A cluster in which the next sync of a node can be made to stand still.
async fn with_slow_disks(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<(Cluster, Ledger)> {
    let mut cluster = Cluster::trapped(options, &format!("{}=sleep:{STANDSTILL_MS}", Point::BeforeSync.name()))?;
    cluster.bring_up().await?;
    let ledger = written(&cluster, random).await?;
    Ok((cluster, ledger))
}

/// One update, which makes the node sync and so stand still.
async fn stands_still(cluster: &Cluster, ledger: &mut Ledger, node: u64) -> anyhow::Result<()> {
    cluster.set_trap(node)?;
    ledger.write_all(1).await?;
    eventually("a disk that stands still", LIMIT, async || cluster.has_sprung(node).then_some(())).await
}

/// The term of a node, as it says.
async fn term_of(cluster: &Cluster, node: u64) -> anyhow::Result<u64> {
    eventually("a node to say its term", LIMIT, async || {
        let status = cluster.statuses().await.into_iter().find(|status| status.node == node)?;
        let own = status.members.iter().find(|member| member.id == node)?;
        Some(own.term)
    })
    .await
}

/// How a node stands to Raft, as a run takes it down, in the node's `life`-th life.
async fn sample(cluster: &Cluster, node: u64, life: u32) -> anyhow::Result<Line> {
    let metrics = scrape(cluster.gateway(node).ports().metrics).await?;
    Ok(raft_line(node, life, 0, &metrics))
}

async fn forgotten_vote(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Findings> {
    let (mut cluster, mut ledger) = with_slow_disks(options, random).await?;
    let led = leader(&cluster).await?;
    let voter = cluster.ids().filter(|id| *id != led).choose(random).context("a cluster has followers")?;
    let before = term_of(&cluster, voter).await?;
    stands_still(&cluster, &mut ledger, voter).await?;
    cluster.gateway_mut(led).kill()?;
    // Of the two that are left both must vote, for whichever of them.
    eventually("a vote in a new term", LIMIT, async || {
        term_of(&cluster, voter).await.ok().filter(|term| *term > before)
    })
    .await?;
    let mut lines = vec![sample(&cluster, voter, 1).await?];
    for id in cluster.ids() {
        cluster.gateway_mut(id).kill()?;
    }
    cluster.take_trap_away(voter);
    cluster.gateway_mut(voter).start()?;
    term_of(&cluster, voter).await?;
    // Alone it elects nobody, and its term is the one that it remembers.
    for _ in 0..20 {
        lines.push(sample(&cluster, voter, 2).await?);
    }
    checker::judge(&lines, &Expectations::default())
}

async fn lost_tail(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Findings> {
    let (cluster, mut ledger) = with_slow_disks(options, random).await?;
    let api = cluster.api_of_all();
    let mut told = Told::begin(&api).await?;
    let led = leader(&cluster).await?;
    stands_still(&cluster, &mut ledger, led).await?;
    // The others' disks are a majority.
    told.write_all(&api, random.random_range(3..12)).await?;
    killed(cluster, told, led).await
}

async fn unwritten(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Findings> {
    let (cluster, _) = with_slow_disks(options, random).await?;
    let api = cluster.api_of_all();
    let mut told = Told::begin(&api).await?;
    told.write_all(&api, 1).await?;
    let led = leader(&cluster).await?;
    for id in cluster.ids() {
        cluster.set_trap(id)?;
    }
    // It is on no disk, so nobody may acknowledge it.
    told.write(&api.once().deadline(ANSWER_LIMIT)).await;
    for id in cluster.ids() {
        eventually("all disks to stand still", LIMIT, async || cluster.has_sprung(id).then_some(())).await?;
    }
    killed(cluster, told, led).await
}

/// All nodes are killed, `first` comes back before the others, and what was acknowledged is looked for.
async fn killed(mut cluster: Cluster, told: Told, first: u64) -> anyhow::Result<Findings> {
    for id in cluster.ids() {
        cluster.gateway_mut(id).kill()?;
        cluster.take_trap_away(id);
    }
    cluster.gateway_mut(first).start()?;
    term_of(&cluster, first).await?;
    for id in cluster.ids().filter(|id| *id != first) {
        cluster.gateway_mut(id).start()?;
    }
    leader(&cluster).await?;
    let lines = told.end(&each(&cluster)).await?;
    checker::judge(&lines, &Expectations::default())
}

/// A caller to each node.
fn each(cluster: &Cluster) -> Vec<(u64, Api)> {
    cluster.ids().map(|id| (id, cluster.api(id))).collect()
}

async fn old_request(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Findings> {
    let mut cluster = Cluster::start_with(options).await?;
    let mut told = Told::begin(&cluster.api_of_all()).await?;
    told.write_all(&cluster.api_of_all(), random.random_range(0..WRITES_MAX)).await?;
    let heir = follower(&cluster, random).await?;
    let led = leader(&cluster).await?;
    let ids: Vec<Uuid> = (0..REQUESTS).map(|_| Uuid::now_v7()).collect();
    for id in &ids {
        ensure!(told.make(led, &cluster.api(led), (*id, 1)).await, "{id} was not answered");
    }
    cluster.gateway_mut(heir).kill()?;
    cluster.bring_up().await?;
    let transfer = TransferLeadershipRequest { to: heir, from: 0 };
    cluster.api_of_all().call(&methods::TRANSFER_LEADERSHIP, transfer).await?;
    for id in &ids {
        ensure!(told.make(heir, &cluster.api(heir), (*id, 2)).await, "{id} was not answered again");
    }
    let lines = told.end(&each(&cluster)).await?;
    checker::judge(&lines, &Expectations { workloads: vec![Workload::Dedup], ..Expectations::default() })
}

async fn different_clocks(options: ClusterOptions) -> anyhow::Result<Findings> {
    let cluster = Cluster::start_with(options).await?;
    let mut lines = Vec::new();
    // Nodes may all come to one of them within the same millisecond.
    for _ in 0..RECORDS {
        Ledger::open(cluster.api_of_all()).await?;
        let said = cluster.digests_at_rest(LIMIT).await?;
        let is_alike = said.windows(2).all(|two| two[0].digest == two[1].digest);
        lines.extend(said.into_iter().map(|said| Line::Fact {
            time_ns: 0,
            node: said.node,
            topic: Topic::Digest,
            subject: "state".to_owned(),
            at: Position { epoch: said.epoch, revision: said.revision },
            values: [("digest".to_owned(), format!("{:02x?}", said.digest))].into(),
        }));
        if !is_alike {
            // It is seen, and soon one of them withdraws.
            break;
        }
    }
    checker::judge(&lines, &Expectations::default())
}

async fn stranger(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Finding> {
    let cluster = Cluster::start_with(ClusterOptions { admin_role: Some("admins"), ..options }).await?;
    let scene = written(&cluster, random).await?.scene;
    let mut finding = Finding::of("authorization");
    for id in cluster.ids() {
        let through = scene.through(cluster.api_as(id, "mia", &[]));
        match through.try_import(vec![profile(&format!("of-mia-{id}"), &["b.example.com"])]).await {
            Err(CallError::Refused(status)) if status.code() == Code::PermissionDenied => {}
            other => finding.violated(format!("mia, who is no member, asked through node {id}, and heard {other:?}")),
        }
    }
    finding.count("calls without a right", cluster.ids().count());
    Ok(finding)
}
