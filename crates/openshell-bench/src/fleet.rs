//! Many sandboxes that are alike, for what is measured beside them.

use anyhow::Context;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_tests::{ClusterOptions, Scene, profile, unique};

/// Sandboxes that are made side by side.
const MAKERS: u64 = 64;

/// For a cluster that makes no snapshot while it is measured.
pub(crate) fn without_snapshots() -> ClusterOptions {
    ClusterOptions { snapshot_after_entries: 100_000, log_entries_kept: 100_000, ..ClusterOptions::default() }
}

/// Three providers, each of a profile of its own.
pub(crate) async fn providers(scene: &Scene) -> Vec<String> {
    let mut providers = Vec::new();
    for number in 1..=3 {
        let id = format!("reads-{number}");
        scene.import(profile(&id, &[&format!("host-{number}.example.com")])).await;
        scene.create_provider(&id, &id).await;
        providers.push(id);
    }
    providers
}

/// So many sandboxes with these providers, each with a policy for a host of its own; their names and ids.
pub(crate) async fn sandboxes(
    scene: &Scene,
    count: u64,
    providers: &[String],
    policy: fn(&str) -> SandboxPolicy,
) -> anyhow::Result<Vec<(String, String)>> {
    let prefix = unique("f");
    let makers = (0..MAKERS.min(count)).map(|maker| {
        let (scene, providers, prefix) = (scene.clone(), providers.to_vec(), prefix.clone());
        tokio::spawn(async move {
            let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
            let mut made = Vec::new();
            for number in (maker..count).step_by(MAKERS as usize) {
                let policy = policy(&format!("base-{number}.example.com"));
                let name = format!("{prefix}-{number}");
                let id = scene.create_sandbox(&name, &providers, policy).await;
                made.push((name, id));
            }
            made
        })
    });
    let made = futures::future::join_all(makers).await.into_iter().collect::<Result<Vec<_>, _>>();
    Ok(made.context("making sandboxes")?.concat())
}
