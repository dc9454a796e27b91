//! What it is to follow a cluster: how soon a change is in force at the sandboxes that it concerns, how long
//! the loss of a node is felt, and what many that follow cost it. On three processes of its own; those who
//! follow are tasks of the library in this one, their state in memory, so that it is the cluster that is
//! measured. What each figure is exactly stands in `figures`.

mod arrivals;
mod figures;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::join_all;
use openshell_client::{Tls, methods};
use openshell_proto::sync::GetRolloutRequest;
use openshell_proto::v1::ProviderProfile;
use openshell_sync::{Position, Standing};
use openshell_tests::{Cluster, Follower, Scene, folder_in_memory, followers, policy_allowing, profile};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use self::arrivals::Arrivals;
pub(crate) use self::figures::Figures;
use crate::fleet;
use crate::times::{READY_MAX, Times};

/// The profile of some, and that of everybody.
const SOME: &str = "measured";
const ALL: &str = "everyone";
/// After the start, until what was recorded of it is over.
const SETTLE: Duration = Duration::from_secs(15);
/// Nothing happens for so long while it is measured what that costs.
const IDLE: Duration = Duration::from_secs(30);
/// For a change to be everywhere.
const LIMIT: Duration = Duration::from_secs(60);
/// Those who are started side by side.
const STARTED: usize = 50;

/// Measures all of it.
pub(crate) async fn measure(clients: u16, using: u16, updates: u16, runs: u16) -> anyhow::Result<Figures> {
    ensure!(using <= clients, "--using {using} is more than there are: {clients}");
    let mut cluster = Cluster::start_with(fleet::without_snapshots()).await?;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.api.enable_providers_v2(true).await;
    let mut stored = Vec::new();
    for id in [SOME, ALL] {
        stored.push(scene.import(profile(id, &["a.example.com"])).await);
        scene.create_provider(id, id).await;
    }
    let [mut of_some, mut of_all] = <[ProviderProfile; 2]>::try_from(stored).ok().context("two profiles")?;
    let (folder, place) = place()?;
    let mut all = sandboxes(&scene, clients, using, &folder).await?;
    for id in cluster.ids() {
        cluster.restart(id).await;
    }
    let before = resident(&cluster)?;
    let begun = Instant::now();
    start(&cluster, &mut all).await?;
    let start = begun.elapsed();
    sleep(SETTLE).await;
    let memory_kib = (resident(&cluster)? - before) / 1024.0 / f64::from(clients);
    let processor_percent = idle(&cluster).await?;
    let mut arrivals = Arrivals::of(&all);
    let some = changes(&scene, &mut of_some, updates, using, &mut arrivals).await?;
    let everyone = changes(&scene, &mut of_all, updates, clients, &mut arrivals).await?;
    drop(arrivals);
    let failover = failovers(&mut cluster, &all, runs).await?;
    for some in all.chunks_mut(STARTED) {
        join_all(some.iter_mut().map(Follower::stop)).await;
    }
    Ok(Figures { clients, using, place, start, some, everyone, failover, memory_kib, processor_percent })
}

/// A folder for the state of those who follow, in memory where there is such a place; and what it is.
fn place() -> anyhow::Result<(TempDir, String)> {
    let (folder, is_in_memory) = folder_in_memory("openshell-bench-sync-").context("a folder for state directories")?;
    let kind = if is_in_memory { "tmpfs" } else { "no tmpfs: the disk is measured, too" };
    let told = format!("{} ({kind})", folder.path().display());
    Ok((folder, told))
}

/// Those whom most updates concern come first.
async fn sandboxes(scene: &Scene, clients: u16, using: u16, folder: &TempDir) -> anyhow::Result<Vec<Follower>> {
    let policy = policy_allowing("docs.example.com");
    let name = |number: u16| format!("s{number}");
    let mut all = followers(scene, (0..using).map(name).collect(), &[ALL, SOME], &policy, folder.path()).await?;
    all.extend(followers(scene, (using..clients).map(name).collect(), &[ALL], &policy, folder.path()).await?);
    Ok(all)
}

/// A third beside each node; until everybody is current.
async fn start(cluster: &Cluster, all: &mut [Follower]) -> anyhow::Result<()> {
    for (number, some) in all.chunks_mut(STARTED).enumerate() {
        let starting = some.iter_mut().enumerate().map(|(place, follower)| {
            let zone = format!("zone-{}", (number * STARTED + place) % 3 + 1);
            let endpoints = cluster.endpoints();
            async move { follower.start(&endpoints, Tls::None, Some(zone)).await }
        });
        join_all(starting).await.into_iter().collect::<anyhow::Result<()>>()?;
    }
    let current = all.iter().map(|follower| async move {
        let mut changes = follower.changes();
        let current = changes.wait_for(|status| status.standing == Standing::Current).await;
        current.map(drop).context("it follows")
    });
    let current = timeout(READY_MAX, join_all(current)).await.context("not everybody became current")?;
    current.into_iter().collect()
}

/// How much of one core the nodes need while nothing happens, percent.
async fn idle(cluster: &Cluster) -> anyhow::Result<f64> {
    let spent = || -> anyhow::Result<Duration> { cluster.gateways().iter().map(|node| node.processor_time()).sum() };
    let (first, begun) = (spent()?, Instant::now());
    sleep(IDLE).await;
    // Of threads that ended meanwhile nothing is known any more.
    Ok(spent()?.saturating_sub(first).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

fn resident(cluster: &Cluster) -> anyhow::Result<f64> {
    cluster.gateways().iter().map(|node| Ok(node.resident_bytes()? as f64)).sum()
}

/// Updates a profile so often, and says how long each took from its acknowledgement until the nodes know that
/// the first `concerned` have it in force.
async fn changes(
    scene: &Scene,
    stored: &mut ProviderProfile,
    count: u16,
    concerned: u16,
    arrivals: &mut Arrivals,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for number in 0..count {
        stored.endpoints[0].host = format!("a{number}.example.com");
        let answer = scene.update(stored.clone()).await;
        let acknowledged = Instant::now();
        *stored = answer.message;
        let (epoch, revision) = answer.seen.epoch.zip(answer.seen.revision).context("an answer says its state")?;
        let last = arrivals.everywhere(usize::from(concerned), Position { epoch, revision }, LIMIT).await?;
        times.add(last.saturating_duration_since(acknowledged));
        if number + 1 == count {
            counted(scene, revision, concerned).await?;
        }
    }
    Ok(times)
}

/// What the nodes took note of is what whoever asks them is told.
async fn counted(scene: &Scene, revision: u64, concerned: u16) -> anyhow::Result<()> {
    let request = GetRolloutRequest { workspace: scene.workspace.clone(), revision, ..GetRolloutRequest::default() };
    let answer = scene.api.call(&methods::GET_ROLLOUT, request).await.context("asking for the rollout")?.message;
    let counts = answer.counts.unwrap_or_default();
    let concerned = u32::from(concerned);
    ensure!((counts.affected, counts.applied) == (concerned, concerned), "of {concerned}, a rollout has {counts:?}");
    Ok(())
}

/// Kills one node after the other, and says how long each of its sandboxes was not current.
async fn failovers(cluster: &mut Cluster, all: &[Follower], runs: u16) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for run in 0..u64::from(runs) {
        let victim = run % 3 + 1;
        let lost = all.iter().filter(|follower| follower.status().node == Some(victim));
        let waiting: Vec<_> = lost.map(|follower| current_elsewhere(follower, victim)).collect();
        let begun = Instant::now();
        cluster.gateway_mut(victim).kill()?;
        for found in timeout(LIMIT, join_all(waiting)).await.context("not everybody found another node")? {
            times.add(found?.saturating_duration_since(begun));
        }
        cluster.gateway_mut(victim).start()?;
        cluster.ready(READY_MAX).await?;
    }
    Ok(times)
}

async fn current_elsewhere(follower: &Follower, victim: u64) -> anyhow::Result<Instant> {
    let mut changes = follower.changes();
    let elsewhere = |node: Option<u64>| node.is_some_and(|node| node != victim);
    let found = changes.wait_for(|status| status.standing == Standing::Current && elsewhere(status.node)).await;
    found.map(|_| Instant::now()).context("it follows")
}
