//! Many sandboxes that are alike, for what is measured beside them.

use anyhow::Context;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_tests::{Scene, profile, unique};

/// Sandboxes that are made side by side.
const MAKERS: u64 = 64;

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

/// So many sandboxes with these providers, each with a policy for a host of its own; their ids.
pub(crate) async fn sandboxes(
    scene: &Scene,
    count: u64,
    providers: &[String],
    policy: fn(&str) -> SandboxPolicy,
) -> anyhow::Result<Vec<String>> {
    let prefix = unique("f");
    let makers = (0..MAKERS.min(count)).map(|maker| {
        let (scene, providers, prefix) = (scene.clone(), providers.to_vec(), prefix.clone());
        tokio::spawn(async move {
            let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
            let mut ids = Vec::new();
            for number in (maker..count).step_by(MAKERS as usize) {
                let policy = policy(&format!("base-{number}.example.com"));
                ids.push(scene.create_sandbox(&format!("{prefix}-{number}"), &providers, policy).await);
            }
            ids
        })
    });
    let made = futures::future::join_all(makers).await.into_iter().collect::<Result<Vec<_>, _>>();
    Ok(made.context("making sandboxes")?.concat())
}
