//! Compare-and-swap updates of custom profiles: latency of one client, throughput of many that
//! never meet.

use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Api, Scene, profile};

use crate::load::{self, AsyncCall};

/// A client with a profile of its own.
#[derive(Clone)]
pub(crate) struct Updater {
    scene: Scene,
    profile: ProviderProfile,
    count: u64,
}

impl Updater {
    /// Imports a new profile to update.
    pub(crate) async fn new(scene: Scene, id: &str) -> Self {
        let profile = scene.import(profile(id, &["bench.example.com"])).await;
        Self { scene, profile, count: 0 }
    }
}

/// One update, on the version that the last one left.
#[derive(Clone)]
struct Update;

impl AsyncCall<Updater> for Update {
    async fn call(&self, mut caller: Updater) -> anyhow::Result<Updater> {
        caller.count += 1;
        caller.profile.display_name = format!("Profile number {}", caller.count);
        caller.profile = caller.scene.update(caller.profile.clone()).await.message;
        Ok(caller)
    }
}

/// Measures one client through each node, then all clients together.
pub(crate) async fn measure(endpoints: &str, clients: u16, seconds: u64) -> anyhow::Result<String> {
    let nodes: Vec<Api> = endpoints.split(',').map(|node| Api::new(node.trim())).collect();
    let scene = Scene::open(nodes[0].clone()).await;
    let mut lines = Vec::new();
    for (number, node) in (1..).zip(&nodes) {
        let updater = Updater::new(scene.through(node.clone()), &format!("one-{number}")).await;
        let figures = load::run(vec![updater], seconds, Update).await?;
        lines.push(figures.line(&format!("updates, 1 client through endpoint {number}")));
    }
    let mut updaters = Vec::new();
    for client in 0..clients {
        let node = nodes[usize::from(client) % nodes.len()].clone();
        updaters.push(Updater::new(scene.through(node), &format!("many-{client}")).await);
    }
    let figures = load::run(updaters, seconds, Update).await?;
    lines.push(figures.line(&format!("updates, {clients} clients on their own profiles, {} endpoints", nodes.len())));
    Ok(lines.join("\n"))
}
