//! What a node's memory is for: the process before there is anything, with so many sandboxes of three providers
//! each, and with their answers kept. On three processes of its own; the node is a follower.

use std::sync::Arc;

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::v1::GetSandboxProviderEnvironmentRequest;
use openshell_tests::{Api, Cluster, ClusterOptions, Scene, policy_allowing, scrape};

use crate::fleet;
use crate::load;
use crate::reads::{Read, readers};

const CLIENTS: usize = 32;

/// Measures it, after a restart each time: what the log and the database keep in memory is not the question.
pub(crate) async fn measure(sandboxes: u64) -> anyhow::Result<String> {
    let options =
        ClusterOptions { snapshot_after_entries: 100_000, log_entries_kept: 100_000, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(options).await?;
    let node = cluster.followers().await[0];
    let scene = Scene::open(cluster.api(node).once()).await;
    scene.api.enable_providers_v2(true).await;
    let providers = fleet::providers(&scene).await;
    cluster.restart(node).await;
    let mut lines = vec![line(&cluster, node, "restarted, with three providers and no sandbox").await?];
    let ids: Arc<[String]> = fleet::sandboxes(&scene, sandboxes, &providers, policy_allowing).await?.into();
    lines.push(line(&cluster, node, &format!("having applied {sandboxes} sandboxes")).await?);
    cluster.restart(node).await;
    lines.push(line(&cluster, node, "restarted").await?);
    let endpoint = cluster.gateway(node).endpoint();
    let clients = CLIENTS.min(ids.len());
    let each = ids.len().div_ceil(clients) as u64;
    load::pass(readers(&scene, &endpoint, clients, &ids), each, Read).await?;
    lines.push(line(&cluster, node, "having answered every configuration").await?);
    environments(&scene, &endpoint).await?;
    lines.push(line(&cluster, node, "having answered every environment").await?);
    Ok(lines.join("\n"))
}

/// Every sandbox of the workspace asks for its environment.
async fn environments(scene: &Scene, endpoint: &str) -> anyhow::Result<()> {
    let names: Arc<[(String, String)]> = all(scene).await?.into();
    let askers = (0..CLIENTS).map(|asker| {
        let (scene, names, endpoint) = (scene.clone(), Arc::clone(&names), endpoint.to_owned());
        tokio::spawn(async move {
            for (name, sandbox_id) in names.iter().skip(asker).step_by(CLIENTS) {
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

/// Name and id of every sandbox of the workspace.
async fn all(scene: &Scene) -> anyhow::Result<Vec<(String, String)>> {
    const PAGE: u32 = 1000;
    let mut found = Vec::new();
    loop {
        let request = openshell_proto::v1::ListSandboxesRequest {
            workspace: scene.workspace.clone(),
            limit: PAGE,
            offset: u32::try_from(found.len())?,
            ..openshell_proto::v1::ListSandboxesRequest::default()
        };
        let page = scene.api.call(&methods::LIST_SANDBOXES, request).await?.message.sandboxes;
        let metadata = page.into_iter().filter_map(|sandbox| sandbox.metadata);
        let before = found.len();
        found.extend(metadata.map(|metadata| (metadata.name, metadata.id)));
        if found.len() == before {
            return Ok(found);
        }
    }
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
