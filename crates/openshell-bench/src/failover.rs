//! From `kill -9` of the leader to the next acknowledged update, asked for without pause through
//! a node that lives on.

use std::time::{Duration, Instant};

use openshell_tests::{Cluster, ClusterOptions, Scene, profile};

/// How long the cluster may take to be whole again between two runs.
const READY_MAX: Duration = Duration::from_secs(60);

/// Kills the leader so often, and says how long each loss was felt.
pub(crate) async fn measure(runs: u16) -> anyhow::Result<String> {
    let options =
        ClusterOptions { snapshot_after_entries: 10_000, log_entries_kept: 10_000, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await?;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut stored = scene.import(profile("failover", &["a.example.com"])).await;
    let mut times = Vec::new();
    for run in 1..=runs {
        let leader = cluster.leader().await;
        let survivor = cluster.ids().find(|id| *id != leader).expect("three nodes");
        let scene = scene.through(cluster.api(survivor));
        // The connection stands before the kill, as a client's would.
        stored = scene.profile("failover").await;
        stored.display_name = format!("run {run}");
        let begin = Instant::now();
        cluster.kill(leader);
        stored = scene.update(stored).await.message;
        times.push(begin.elapsed());
        cluster.restart(leader).await;
        cluster.ready(READY_MAX).await?;
    }
    drop(stored);
    times.sort_unstable();
    let ms = |time: &Duration| time.as_millis();
    Ok(format!(
        "kill -9 of the leader to the next acknowledged update, {runs} runs: minimum {} ms, median {} ms, maximum {} ms",
        ms(&times[0]),
        ms(&times[times.len() / 2]),
        ms(&times[times.len() - 1]),
    ))
}
