//! `GetSandboxConfig` as sandboxes call it, of one node: from what it keeps, and composed anew, since a setting of
//! the gateway changed that every answer depends on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::v1::UpdateConfigRequest;
use openshell_tests::{Api, Cluster, Scene, bool_setting, policy_allowing};

use crate::fleet;
use crate::load::{self, AsyncCall, Figures};

/// A client that asks for one sandbox after the other.
#[derive(Clone)]
pub(crate) struct Reader {
    scene: Scene,
    sandboxes: Arc<[String]>,
    next: usize,
    step: usize,
}

#[derive(Clone)]
pub(crate) struct Read;

impl AsyncCall<Reader> for Read {
    async fn call(&self, mut caller: Reader) -> anyhow::Result<Reader> {
        let answer = caller.scene.config(&caller.sandboxes[caller.next % caller.sandboxes.len()]).await;
        anyhow::ensure!(answer.message.policy.is_some(), "a configuration without a policy");
        caller.next += caller.step;
        Ok(caller)
    }
}

/// Clients of one node, each with a connection of its own, that share the sandboxes among them.
pub(crate) fn readers(scene: &Scene, endpoint: &str, clients: usize, sandboxes: &Arc<[String]>) -> Vec<Reader> {
    let reader = |number| Reader {
        scene: scene.through(Api::new(endpoint).local()),
        sandboxes: Arc::clone(sandboxes),
        next: number,
        step: clients,
    };
    (0..clients).map(reader).collect()
}

/// Measures the configurations of sandboxes with three providers each, warm and cold: of this node, or of a
/// follower among three processes of its own.
pub(crate) async fn measure(
    endpoint: Option<&str>,
    clients: u16,
    sandboxes: u16,
    seconds: u64,
) -> anyhow::Result<String> {
    if let Some(endpoint) = endpoint {
        return measure_at(endpoint, clients, sandboxes, seconds).await;
    }
    let cluster = Cluster::start_with(fleet::without_snapshots()).await?;
    let follower = cluster.followers().await[0];
    measure_at(&cluster.gateway(follower).endpoint(), clients, sandboxes, seconds).await
}

async fn measure_at(endpoint: &str, clients: u16, sandboxes: u16, seconds: u64) -> anyhow::Result<String> {
    let api = Api::new(endpoint);
    api.enable_providers_v2(true).await;
    let scene = Scene::open(api).await;
    let providers = fleet::providers(&scene).await;
    let made = fleet::sandboxes(&scene, u64::from(sandboxes), &providers, policy_allowing).await?;
    let ids: Arc<[String]> = made.into_iter().map(|(_, id)| id).collect();
    let clients = usize::from(clients.min(sandboxes));
    let each = (ids.len() / clients) as u64;
    let what = format!("GetSandboxConfig of {sandboxes} sandboxes with 3 providers, {clients} clients");
    // Everyone once, so that all of it is kept.
    let (_, readers) = load::pass(readers(&scene, endpoint, clients, &ids), each + 1, Read).await?;
    let warm = load::run(readers.clone(), seconds, Read).await?;
    let (mut cold, mut readers, mut on) = (Figures::none()?, readers, false);
    while cold.elapsed() < Duration::from_secs(seconds) {
        on = !on;
        forget(&scene, endpoint, &ids[0], on).await?;
        let (figures, asked) = load::pass(readers, each, Read).await?;
        cold.add(&figures)?;
        readers = asked;
    }
    Ok([warm.line(&format!("{what}, kept")), cold.line(&format!("{what}, composed"))].join("\n"))
}

/// Changes a setting that every configuration holds, and waits until the node knows.
async fn forget(scene: &Scene, endpoint: &str, sandbox_id: &str, on: bool) -> anyhow::Result<()> {
    let request = UpdateConfigRequest {
        global: true,
        setting_key: "ocsf_json_enabled".to_owned(),
        setting_value: Some(bool_setting(on)),
        ..UpdateConfigRequest::default()
    };
    let answer = scene.api.call(&methods::UPDATE_CONFIG, request).await.context("changing a setting")?;
    scene.through(Api::new(endpoint).local().not_before(&answer.seen)).config(sandbox_id).await;
    Ok(())
}
