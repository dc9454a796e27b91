//! What no run meets by chance in a minute: told step by step, with the same cluster and, where they apply, the same
//! checkers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use openshell_chaos::{Bug, Point};
use openshell_client::{CallError, Uuid, methods};
use openshell_proto::cluster::TransferLeadershipRequest;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::CreateProviderRequest;
use openshell_tests::{Api, Cluster, ClusterOptions, Leaks, eventually, leadership_of, profile};
use serde::Deserialize;
use tonic::Code;

use crate::checker::{self, Expectations, Finding, Findings};
use crate::history::{Line, Position, Topic};
use crate::ledger::Ledger;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a disk stands still: longer than an election.
const STANDSTILL_MS: u64 = 15_000;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scene {
    /// A node votes while its disk stands still, is killed, and says what it remembers.
    ForgottenVote,
    /// A leader whose disk stands still is killed with all others, and comes back first.
    LostTail,
    /// A request is repeated at a node that was started anew and leads.
    OldRequest,
    /// A node is killed, the newest record of its write-ahead log is damaged, and it is started.
    DamagedLog,
    /// A record is made, and the nodes are compared.
    DifferentClocks,
    /// A credential is refused.
    RefusedSecret,
    /// Somebody without a right asks through every node.
    Stranger,
}

/// Plays it, with a bug or without.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn play(scene: Scene, bug: Option<Bug>) -> anyhow::Result<Findings> {
    let options = ClusterOptions { bug, ..ClusterOptions::default() };
    match scene {
        Scene::ForgottenVote => forgotten_vote(options).await,
        Scene::LostTail => lost_tail(options).await.map(alone),
        Scene::OldRequest => old_request(options).await.map(alone),
        Scene::DamagedLog => damaged_log(options).await.map(alone),
        Scene::DifferentClocks => different_clocks(options).await,
        Scene::RefusedSecret => refused_secret(options).await.map(alone),
        Scene::Stranger => stranger(options).await.map(alone),
    }
}

fn alone(finding: Finding) -> Findings {
    Findings(vec![finding])
}

async fn leader(cluster: &Cluster) -> anyhow::Result<u64> {
    Ok(eventually("a leader", LIMIT, async || cluster.leadership().await).await?.leader)
}

/// A cluster in which the next sync of a node can be made to stand still.
async fn with_slow_disks(options: ClusterOptions) -> anyhow::Result<(Cluster, Ledger)> {
    let mut cluster = Cluster::trapped(options, &format!("{}=sleep:{STANDSTILL_MS}", Point::BeforeSync.name()))?;
    cluster.bring_up().await?;
    let ledger = Ledger::open(cluster.api_of_all()).await?;
    Ok((cluster, ledger))
}

/// One update, which makes the node sync and so stand still.
async fn stands_still(cluster: &Cluster, ledger: &mut Ledger, node: u64) -> anyhow::Result<()> {
    cluster.set_trap(node)?;
    ledger.write_all(1).await?;
    eventually("a disk that stands still", LIMIT, async || cluster.has_sprung(node).then_some(())).await
}

/// How a node stands to Raft, in its `life`-th life.
async fn sample(cluster: &Cluster, node: u64, life: u32) -> anyhow::Result<Line> {
    eventually("a node to say its term", LIMIT, async || {
        let status = cluster.statuses().await.into_iter().find(|status| status.node == node)?;
        let own = status.members.iter().find(|member| member.id == node)?;
        let (term, leader) = (own.term, status.leader);
        Some(Line::Raft { time_ns: 0, node, process: life, term, leader, committed: 0, applied: 0 })
    })
    .await
}

async fn forgotten_vote(options: ClusterOptions) -> anyhow::Result<Findings> {
    let (mut cluster, mut ledger) = with_slow_disks(options).await?;
    let led = leader(&cluster).await?;
    let mut others = cluster.ids().filter(|id| *id != led);
    let (voter, heir) = others.next().zip(others.next()).context("a cluster of three")?;
    let mut lines = vec![sample(&cluster, voter, 1).await?];
    stands_still(&cluster, &mut ledger, voter).await?;
    cluster.gateway_mut(led).kill()?;
    // Only the voter's vote makes it a leader.
    eventually("another leader", LIMIT, async || {
        leadership_of(cluster.api(heir)).await.filter(|known| known.leader == heir)
    })
    .await?;
    lines.push(sample(&cluster, voter, 1).await?);
    cluster.gateway_mut(voter).kill()?;
    cluster.gateway_mut(heir).kill()?;
    cluster.take_trap_away(voter);
    cluster.gateway_mut(voter).start()?;
    // Alone it elects nobody, and its term is the one that it remembers.
    for _ in 0..20 {
        lines.push(sample(&cluster, voter, 2).await?);
    }
    checker::judge(&lines, &Expectations::default())
}

async fn lost_tail(options: ClusterOptions) -> anyhow::Result<Finding> {
    let (mut cluster, mut ledger) = with_slow_disks(options).await?;
    let led = leader(&cluster).await?;
    stands_still(&cluster, &mut ledger, led).await?;
    // The others' disks are a majority.
    ledger.write_all(5).await?;
    for id in cluster.ids() {
        cluster.gateway_mut(id).kill()?;
    }
    cluster.take_trap_away(led);
    cluster.gateway_mut(led).start()?;
    for id in cluster.ids() {
        cluster.gateway_mut(id).start()?;
    }
    leader(&cluster).await?;
    let mut finding = Finding::of("durability");
    finding.count("last reads", cluster.ids().count());
    for id in cluster.ids() {
        if let Err(error) = ledger.check(&cluster.api(id)).await {
            finding.violated(format!("through node {id}: {error:#}"));
        }
    }
    Ok(finding)
}

async fn old_request(options: ClusterOptions) -> anyhow::Result<Finding> {
    let mut cluster = Cluster::start_with(options).await?;
    let scene = Ledger::open(cluster.api_of_all()).await?.scene;
    let id = Uuid::now_v7();
    let import = async |api: Api| scene.through(api).try_import(vec![profile("once", &["b.example.com"])]).await;
    let first = import(cluster.api_of_all().request(id, 1)).await?.message;
    ensure!(first.imported, "the first attempt was not accepted: {:?}", first.diagnostics);
    let led = leader(&cluster).await?;
    let heir = cluster.ids().find(|id| *id != led).context("a cluster has followers")?;
    cluster.gateway_mut(heir).kill()?;
    cluster.bring_up().await?;
    let transfer = TransferLeadershipRequest { to: heir, from: 0 };
    cluster.api_of_all().call(&methods::TRANSFER_LEADERSHIP, transfer).await?;
    let again = import(cluster.api(heir).request(id, 2)).await;
    let mut finding = Finding::of("dedup");
    finding.count("attempts", 2);
    match again {
        Ok(answer) if answer.message == first => {}
        other => finding.violated(format!("{id} was answered {first:?}, and again {other:?}")),
    }
    Ok(finding)
}

async fn damaged_log(options: ClusterOptions) -> anyhow::Result<Finding> {
    let mut cluster = Cluster::start_with(options).await?;
    let mut ledger = Ledger::open(cluster.api_of_all()).await?;
    let led = leader(&cluster).await?;
    let victim = cluster.ids().find(|id| *id != led).context("a cluster has followers")?;
    // Until the moment of the kill: the high-water mark, which would tell of the loss, lags behind.
    ledger.write_all(150).await?;
    let gateway = cluster.gateway_mut(victim);
    gateway.kill()?;
    let starts = |text: &str| text.matches("node started").count();
    let before = starts(&gateway.log_text());
    let log = newest_log(Path::new(gateway.argument("--data-dir")))?;
    flip_near_the_end(&log)?;
    gateway.start()?;
    let opened = eventually("a start or an end", LIMIT, async || {
        let opened = (starts(&gateway.log_text()) > before).then_some(true);
        opened.or_else(|| gateway.exit_status().map(|_| false))
    })
    .await?;
    let mut finding = Finding::of("corruption");
    finding.count("injections", 1);
    if opened {
        finding
            .violated(format!("node {victim} opened {} without a word, one bit of which was flipped", log.display()));
    }
    Ok(finding)
}

/// The write-ahead log that was written last.
fn newest_log(data: &Path) -> anyhow::Result<PathBuf> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(data.join("db"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
    logs.sort();
    logs.pop().context("the database has no write-ahead log")
}

/// Flips a bit in the last record's content.
fn flip_near_the_end(file: &Path) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(file)?;
    let at = bytes.len().checked_sub(10).context("the write-ahead log is empty")?;
    bytes[at] ^= 1;
    Ok(std::fs::write(file, bytes)?)
}

async fn different_clocks(options: ClusterOptions) -> anyhow::Result<Findings> {
    let cluster = Cluster::start_with(options).await?;
    let mut ledger = Ledger::open(cluster.api_of_all()).await?;
    ledger.write_all(1).await?;
    let said = cluster.digests_at_rest(LIMIT).await?.into_iter().map(|said| Line::Fact {
        time_ns: 0,
        node: said.node,
        topic: Topic::Digest,
        subject: "state".to_owned(),
        at: Position { epoch: said.epoch, revision: said.revision },
        values: [("digest".to_owned(), format!("{:02x?}", said.digest))].into(),
    });
    checker::judge(&said.collect::<Vec<_>>(), &Expectations::default())
}

async fn refused_secret(options: ClusterOptions) -> anyhow::Result<Finding> {
    let cluster = Cluster::start_with(ClusterOptions { log_level: "debug", ..options }).await?;
    let scene = Ledger::open(cluster.api_of_all()).await?.scene;
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut leaks = Leaks::default();
    leaks.plant("CreateProvider provider.credentials", &secret);
    let provider = Provider {
        metadata: Some(ObjectMeta { name: "marked".to_owned(), ..ObjectMeta::default() }),
        r#type: "acme".to_owned(),
        credentials: [("not a variable".to_owned(), secret)].into(),
        ..Provider::default()
    };
    let mut finding = Finding::of("secrets");
    for id in cluster.ids() {
        let request = CreateProviderRequest { provider: Some(provider.clone()), workspace: scene.workspace.clone() };
        let answer = cluster.api(id).call(&methods::CREATE_PROVIDER, request).await;
        ensure!(answer.is_err(), "a credential under the name of no variable was accepted");
        for leak in leaks.find(&format!("the answer of node {id}"), format!("{answer:?}").as_bytes()) {
            finding.violated(format!("{}: {}", leak.place, leak.secret));
        }
    }
    let folder = cluster.folder().context("the cluster keeps its files")?;
    for leak in leaks.find_in(folder)? {
        finding.violated(format!("{}: {}", leak.place, leak.secret));
    }
    finding.count("secrets planted", leaks.planted());
    Ok(finding)
}

async fn stranger(options: ClusterOptions) -> anyhow::Result<Finding> {
    let cluster = Cluster::start_with(ClusterOptions { admin_role: Some("admins"), ..options }).await?;
    let scene = Ledger::open(cluster.api_of_all()).await?.scene;
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
