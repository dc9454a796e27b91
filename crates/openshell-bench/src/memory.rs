//! What a node's memory is for: the process before there is anything, with so many sandboxes of three providers
//! each, and with their answers kept. On three processes of its own; the node is a follower.

use std::sync::Arc;

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::v1::GetSandboxProviderEnvironmentRequest;
use openshell_tests::{Api, Cluster, Scene, policy_allowing, scrape};

use crate::fleet;
use crate::load;
use crate::reads::{Read, readers};

const CLIENTS: usize = 32;

/// Measures it, after a restart each time: what the log and the database keep in memory is not the question.
pub(crate) async fn measure(sandboxes: u64) -> anyhow::Result<String> {
    let mut cluster = Cluster::start_with(fleet::without_snapshots()).await?;
    let node = cluster.followers().await[0];
    let scene = Scene::open(cluster.api(node).once()).await;
    scene.api.enable_providers_v2(true).await;
    let providers = fleet::providers(&scene).await;
    cluster.restart(node).await;
    let mut lines = vec![line(&cluster, node, "restarted, with three providers and no sandbox").await?];
    let made = fleet::sandboxes(&scene, sandboxes, &providers, policy_allowing).await?;
    let ids: Arc<[String]> = made.iter().map(|(_, id)| id.clone()).collect();
    lines.push(line(&cluster, node, &format!("having applied {sandboxes} sandboxes")).await?);
    cluster.restart(node).await;
    lines.push(line(&cluster, node, "restarted").await?);
    let endpoint = cluster.gateway(node).endpoint();
    let clients = CLIENTS.min(ids.len());
    let each = ids.len().div_ceil(clients) as u64;
    load::pass(readers(&scene, &endpoint, clients, &ids), each, Read).await?;
    lines.push(line(&cluster, node, "having answered every configuration").await?);
    environments(&scene, &endpoint, made.into()).await?;
    lines.push(line(&cluster, node, "having answered every environment").await?);
    Ok(lines.join("\n"))
}

/// Each of these sandboxes asks for its environment.
async fn environments(scene: &Scene, endpoint: &str, sandboxes: Arc<[(String, String)]>) -> anyhow::Result<()> {
    let askers = (0..CLIENTS).map(|asker| {
        let (scene, sandboxes, endpoint) = (scene.clone(), Arc::clone(&sandboxes), endpoint.to_owned());
        tokio::spawn(async move {
            for (name, sandbox_id) in sandboxes.iter().skip(asker).step_by(CLIENTS) {
                let request = IssueSandboxTokenRequest { name: name.clone(), workspace: scene.workspace.clone() };
                let token = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await?.message.token;
                let request = GetSandboxProviderEnvironmentRequest {
                    sandbox_id: sandbox_id.clone(),
                    supports_static_credential_bindings: true,
                };
                let own = Api::bearer(&endpoint, &token).local();
                own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await?;
            }
            anyhow::Ok(())
        })
    });
    for asked in futures::future::join_all(askers).await {
        asked??;
    }
    Ok(())
}

/// What the process has in memory now, and how much of it is answers.
async fn line(cluster: &Cluster, node: u64, when: &str) -> anyhow::Result<String> {
    let gateway = cluster.gateway(node);
    let resident = gateway.resident_bytes()?;
    let metrics = scrape(gateway.ports().metrics).await?;
    let kept = metrics.sum("openshell_answers_kept_bytes").context("the size of what is kept")?;
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1024.0 / 1024.0);
    Ok(format!("memory of a follower, {when}: {} resident, answers kept {}", mib(resident as f64), mib(kept)))
}
