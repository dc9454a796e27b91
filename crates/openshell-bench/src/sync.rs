//! What it is to follow a cluster: how soon a change is in force at the sandboxes that it concerns, how long
//! the loss of a node is felt, and what many that follow cost it. On three processes of its own; those who
//! follow are tasks of the library in this one, their state in memory, so that it is the cluster that is
//! measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::join_all;
use openshell_client::Tls;
use openshell_proto::v1::ProviderProfile;
use openshell_sync::{Position, Standing};
use openshell_tests::{Cluster, Follower, Scene, followers, policy_allowing, profile};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::fleet;
use crate::times::{READY_MAX, Times};

/// The profile of some, and that of everybody.
const SOME: &str = "measured";
const ALL: &str = "everyone";
/// Memory that is a disk to those who follow.
const SHM: &str = "/dev/shm";
/// After the start, until what was recorded of it is over.
const SETTLE: Duration = Duration::from_secs(15);
/// Nothing happens for so long while it is measured what that costs.
const IDLE: Duration = Duration::from_secs(30);
/// For a change to be everywhere.
const LIMIT: Duration = Duration::from_secs(60);
/// Those who are started side by side.
const STARTED: usize = 50;

/// Arrivals that may wait to be counted; more than there are at once.
const ARRIVALS: usize = 65_536;

/// What somebody has installed, and when.
type Arrival = (usize, Position, Instant);

/// Measures all of it.
pub(crate) async fn measure(clients: u16, using: u16, updates: u16, runs: u16) -> anyhow::Result<String> {
    ensure!(using <= clients, "--using {using} is more than there are: {clients}");
    let mut cluster = Cluster::start_with(fleet::without_snapshots()).await?;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.api.enable_providers_v2(true).await;
    let mut stored = Vec::new();
    for id in [SOME, ALL] {
        stored.push(scene.import(profile(id, &["a.example.com"])).await);
        scene.create_provider(id, id).await;
    }
    let place = if Path::new(SHM).is_dir() { Path::new(SHM).to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("openshell-bench-sync-").tempdir_in(place)?;
    let mut all = sandboxes(&scene, clients, using, &folder).await?;
    for id in cluster.ids() {
        cluster.restart(id).await;
    }
    let before = resident(&cluster)?;
    let begun = Instant::now();
    start(&cluster, &mut all).await?;
    let mut lines =
        vec![format!("{clients} sandboxes current {} ms after the first started", begun.elapsed().as_millis())];
    lines.extend(idle(&cluster, before, clients).await?);
    let (mut arrivals, followed) = listen(&all);
    let [mut some, mut everyone] = <[ProviderProfile; 2]>::try_from(stored).ok().context("two profiles")?;
    for (stored, count, concerned) in
        [(&mut some, updates, usize::from(using)), (&mut everyone, updates / 5, usize::from(clients))]
    {
        let times = changes(&scene, stored, count, concerned, &mut arrivals).await?;
        lines.push(times.line(&format!("update acknowledged to in force at all {concerned} of {clients} that use it")));
    }
    lines.push(failovers(&mut cluster, &all, runs).await?);
    followed.into_iter().for_each(|task| task.abort());
    for some in all.chunks_mut(STARTED) {
        join_all(some.iter_mut().map(Follower::stop)).await;
    }
    Ok(lines.join("\n"))
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

/// Memory and processor time of the nodes while nothing happens.
async fn idle(cluster: &Cluster, before: f64, clients: u16) -> anyhow::Result<Vec<String>> {
    sleep(SETTLE).await;
    let kib = (resident(cluster)? - before) / 1024.0 / f64::from(clients);
    let spent = || -> anyhow::Result<Duration> { cluster.gateways().iter().map(|node| node.processor_time()).sum() };
    let (first, begun) = (spent()?, Instant::now());
    sleep(IDLE).await;
    let share = (spent()? - first).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    Ok(vec![
        format!("memory of the three nodes for each of {clients} sandboxes, with what they were sent: {kib:.1} KiB"),
        format!("processor time of the three nodes while nothing happens: {share:.1}% of one core"),
    ])
}

fn resident(cluster: &Cluster) -> anyhow::Result<f64> {
    cluster.gateways().iter().map(|node| Ok(node.resident_bytes()? as f64)).sum()
}

/// Hears of everything that anybody installs.
fn listen(all: &[Follower]) -> (mpsc::Receiver<Arrival>, Vec<tokio::task::JoinHandle<()>>) {
    let (sender, receiver) = mpsc::channel(ARRIVALS);
    let tasks = all.iter().enumerate().map(|(number, follower)| {
        let (mut changes, sender) = (follower.changes(), sender.clone());
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let status = changes.borrow_and_update().clone();
                let installed = status.configuration.as_ref().and_then(|configuration| configuration.position);
                if let Some(position) = installed.filter(|_| status.problem.is_empty()) {
                    let _ = sender.send((number, position, Instant::now())).await;
                }
            }
        })
    });
    let tasks = tasks.collect();
    (receiver, tasks)
}

/// Updates a profile so often, and says how long each took from its acknowledgement until the first
/// `concerned` have it.
async fn changes(
    scene: &Scene,
    stored: &mut ProviderProfile,
    count: u16,
    concerned: usize,
    arrivals: &mut mpsc::Receiver<Arrival>,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for number in 0..count {
        stored.endpoints[0].host = format!("a{number}.example.com");
        let answer = scene.update(stored.clone()).await;
        let acknowledged = Instant::now();
        *stored = answer.message;
        let (epoch, revision) = answer.seen.epoch.zip(answer.seen.revision).context("an answer says its state")?;
        let last = everywhere(arrivals, concerned, Position { epoch, revision }).await?;
        times.add(last.saturating_duration_since(acknowledged));
    }
    Ok(times)
}

/// When the last of the first `concerned` has it.
async fn everywhere(
    arrivals: &mut mpsc::Receiver<Arrival>,
    concerned: usize,
    position: Position,
) -> anyhow::Result<Instant> {
    let mut missing: std::collections::BTreeSet<usize> = (0..concerned).collect();
    let mut last = None;
    while !missing.is_empty() {
        let arrival = timeout(LIMIT, arrivals.recv()).await.ok().flatten();
        let (number, found, at) = arrival.with_context(|| format!("{} do not have {position}", missing.len()))?;
        if found >= position && missing.remove(&number) {
            last = last.max(Some(at));
        }
    }
    last.context("somebody is concerned")
}

/// Kills one node after the other, and says how long each of its sandboxes was not current.
async fn failovers(cluster: &mut Cluster, all: &[Follower], runs: u16) -> anyhow::Result<String> {
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
    Ok(times.line(&format!("kill -9 of a node to current again at another, {runs} nodes, each of their sandboxes")))
}

async fn current_elsewhere(follower: &Follower, victim: u64) -> anyhow::Result<Instant> {
    let mut changes = follower.changes();
    let elsewhere = |node: Option<u64>| node.is_some_and(|node| node != victim);
    let found = changes.wait_for(|status| status.standing == Standing::Current && elsewhere(status.node)).await;
    found.map(|_| Instant::now()).context("it follows")
}
