//! How long a node takes to come back after it missed so many records that the log no longer has
//! them, and it gets a snapshot: from its start until it is ready and has what the leader has.

use std::time::{Duration, Instant};

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::cluster::{GetDigestRequest, GetDigestResponse};
use openshell_tests::{Api, Cluster, ClusterOptions, Scene, eventually, profile, scrape};

use crate::times::Times;

/// Profiles of one import, far below the limit of a request.
const BATCH: u64 = 200;
/// Profiles of one workspace.
const WORKSPACE: u64 = 2_000;
const BACK_MAX: Duration = Duration::from_secs(300);

/// Writes `records` profiles while a follower is down, starts it, and waits. Then the same follower
/// goes and comes back `runs` times after its data was thrown behind the log again.
pub(crate) async fn measure(records: u64, runs: u16) -> anyhow::Result<String> {
    // A snapshot is due, and the log behind it goes, after a few hundred imports.
    let options = ClusterOptions { snapshot_after_entries: 200, log_entries_kept: 100, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await?;
    let mut times = Times::default();
    let mut written = Duration::ZERO;
    for run in 0..runs {
        let leader = cluster.leader().await;
        let absent = cluster.ids().find(|id| *id != leader).expect("three nodes");
        cluster.gateway_mut(absent).kill()?;
        let begin = Instant::now();
        if run == 0 {
            import(&cluster.api(leader), records).await?;
            written = begin.elapsed();
        }
        fill_log(&cluster.api(leader), options.snapshot_after_entries * 3).await;
        let goal = digest(&cluster.api(leader)).await.context("the leader's digest")?;
        let begin = Instant::now();
        cluster.gateway_mut(absent).start()?;
        let gateway = cluster.gateway(absent);
        let api = gateway.api();
        let same = eventually("the node to be back", BACK_MAX, async || {
            let (status, _) = gateway.page("/readyz").await.ok()?;
            let own = digest(&api).await.filter(|own| status == 200 && own.revision >= goal.revision)?;
            Some(own.revision > goal.revision || own.digest == goal.digest)
        });
        anyhow::ensure!(same.await?, "the node has another digest than the leader");
        times.add(begin.elapsed());
    }
    let leader = cluster.leader().await;
    let metrics = scrape(cluster.gateway(leader).ports().metrics).await?;
    let held = metrics.sum("openshell_state_records").context("the number of records")?;
    let what = format!(
        "back, ready and at the leader's revision, by a snapshot of {held} records ({records} imported in {:.1} s)",
        written.as_secs_f64()
    );
    Ok(times.line(&what))
}

async fn import(api: &Api, records: u64) -> anyhow::Result<()> {
    for first in (0..records).step_by(usize::try_from(WORKSPACE)?) {
        let scene = Scene::open(api.clone()).await;
        for batch in (first..records.min(first + WORKSPACE)).step_by(usize::try_from(BATCH)?) {
            let numbers = batch..records.min(batch + BATCH).min(first + WORKSPACE);
            let profiles = numbers.map(|number| profile(&format!("profile-{number}"), &["a.example.com"])).collect();
            let answer = scene.try_import(profiles).await?.message;
            anyhow::ensure!(answer.imported, "an import was not accepted: {:?}", answer.diagnostics);
        }
    }
    Ok(())
}

/// So many entries that what came before them leaves the log.
async fn fill_log(api: &Api, entries: u64) {
    let scene = Scene::open(api.clone()).await;
    let mut stored = scene.import(profile("filler", &["a.example.com"])).await;
    for number in 0..entries {
        stored.display_name = format!("Filler {number}");
        stored = scene.update(stored).await.message;
    }
}

async fn digest(api: &Api) -> Option<GetDigestResponse> {
    Some(api.call(&methods::GET_DIGEST, GetDigestRequest {}).await.ok()?.message)
}
