//! How long writes pause when the leader is asked to stop: one client writes without pause through
//! another node, and the longest time between two of its acknowledgements is the pause.

use std::time::{Duration, Instant};

use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Cluster, ClusterOptions, Scene, profile};
use tokio_util::sync::CancellationToken;

use crate::times::{READY_MAX, Times};

/// How long a node may take to stop.
const STOP_MAX: Duration = Duration::from_secs(60);
/// Updates before the signal, so that the pace is steady.
const UPDATES_BEFORE: u64 = 20;
/// And after the process is gone.
const UPDATES_AFTER: u64 = 20;

/// Stops the leader with SIGTERM so often.
pub(crate) async fn measure(runs: u16) -> anyhow::Result<String> {
    let options =
        ClusterOptions { snapshot_after_entries: 10_000, log_entries_kept: 10_000, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await?;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("handover", &["a.example.com"])).await;
    let mut times = Times::default();
    for _ in 0..runs {
        let leader = cluster.leader().await;
        let survivor = cluster.ids().find(|id| *id != leader).expect("three nodes");
        let scene = scene.through(cluster.api(survivor).once());
        let mut stored = scene.profile("handover").await;
        for number in 0..UPDATES_BEFORE {
            stored = update(&scene, stored, number).await?;
        }
        let gone = CancellationToken::new();
        let writing = tokio::spawn(write(scene, stored, gone.clone()));
        let stopped = cluster.gateway_mut(leader).terminate(STOP_MAX).await;
        gone.cancel();
        times.add(writing.await??);
        anyhow::ensure!(stopped?.success(), "the leader did not stop well");
        cluster.gateway_mut(leader).start()?;
        cluster.ready(READY_MAX).await?;
    }
    Ok(times.line("longest pause of one client's updates around SIGTERM of the leader (one attempt each, none failed)"))
}

/// Writes until the leader is gone and a little longer; the longest time from one acknowledgement to
/// the next.
async fn write(scene: Scene, mut stored: ProviderProfile, gone: CancellationToken) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    let (mut number, mut after) = (0, 0);
    while after < UPDATES_AFTER {
        let begin = Instant::now();
        stored = update(&scene, stored, number).await?;
        longest = longest.max(begin.elapsed());
        number += 1;
        after += u64::from(gone.is_cancelled());
    }
    Ok(longest)
}

/// One attempt, which must succeed.
async fn update(scene: &Scene, mut stored: ProviderProfile, number: u64) -> anyhow::Result<ProviderProfile> {
    stored.display_name = format!("Update {number} of version {}", stored.resource_version);
    let answer = scene.try_update(stored).await?.message;
    anyhow::ensure!(answer.updated, "an update was not accepted: {:?}", answer.diagnostics);
    answer.profile.ok_or_else(|| anyhow::anyhow!("an accepted update has the profile"))
}
