//! What a profile update costs beside many sandboxes: it must grow with those that use the profile, and
//! not with those that exist. On three processes of its own, one client through a follower.

use std::time::Instant;

use anyhow::Context;
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Cluster, Scene, policy_allowing, profile, scrape};

use crate::fleet;
use crate::times::Times;

/// Sandboxes that are made side by side.
const MAKERS: u64 = 64;

/// Measures each of these: sandboxes in the cluster, and of them those that use the profile.
pub(crate) async fn measure(updates: u16) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for (sandboxes, using) in [(10, 10), (1_000, 10), (10_000, 10), (10_000, 10_000)] {
        lines.push(one(sandboxes, using, updates).await?);
    }
    Ok(lines.join("\n"))
}

async fn one(sandboxes: u64, using: u64, updates: u16) -> anyhow::Result<String> {
    let cluster = Cluster::start_with(fleet::without_snapshots()).await?;
    let scene = Scene::open(cluster.follower_api().await.once()).await;
    scene.api.enable_providers_v2(true).await;
    let mut stored = scene.import(profile("measured", &["a.example.com"])).await;
    scene.import(profile("beside", &["b.example.com"])).await;
    scene.create_provider("measured", "measured").await;
    scene.create_provider("beside", "beside").await;
    fill(&scene, sandboxes, using).await?;
    let before = guard_failures(&cluster).await?;
    let mut times = Times::default();
    for number in 0..updates {
        let begin = Instant::now();
        stored = update(&scene, stored, number).await?;
        times.add(begin.elapsed());
    }
    let failed = (guard_failures(&cluster).await? - before) * 1000.0 / f64::from(updates);
    let what = format!("UpdateProviderProfiles, {sandboxes} sandboxes of which {using} use it");
    Ok(format!("{}; {failed} guard failures per thousand", times.line(&what)))
}

/// Makes the sandboxes, those that use the profile first.
async fn fill(scene: &Scene, sandboxes: u64, using: u64) -> anyhow::Result<()> {
    let makers = (0..MAKERS).map(|maker| {
        let scene = scene.clone();
        tokio::spawn(async move {
            for number in (maker..sandboxes).step_by(MAKERS as usize) {
                let provider = if number < using { "measured" } else { "beside" };
                let policy = policy_allowing("docs.example.com");
                scene.create_sandbox(&format!("s{number}"), &[provider], policy).await;
            }
        })
    });
    for made in futures::future::join_all(makers).await {
        made.context("making sandboxes")?;
    }
    Ok(())
}

/// An update that every sandbox which uses the profile sees.
async fn update(scene: &Scene, mut stored: ProviderProfile, number: u16) -> anyhow::Result<ProviderProfile> {
    stored.endpoints[0].host = format!("a{number}.example.com");
    let answer = scene.try_update(stored).await?.message;
    anyhow::ensure!(answer.updated, "an update was not accepted: {:?}", answer.diagnostics);
    answer.profile.context("an accepted update has the profile")
}

/// Of all nodes, since their starts.
async fn guard_failures(cluster: &Cluster) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for gateway in cluster.gateways() {
        let metrics = scrape(gateway.ports().metrics).await?;
        sum += metrics.sum("openshell_guard_failures").context("the number of failed guards")?;
    }
    Ok(sum)
}
