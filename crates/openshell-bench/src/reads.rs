//! `GetSandboxConfig` as sandboxes call it: composed by the node that is asked, from its own state.

use openshell_tests::{Api, Scene, policy_allowing, profile, unique};

use crate::load::{self, AsyncCall};

/// A client that asks for one sandbox.
#[derive(Clone)]
struct Reader {
    scene: Scene,
    sandbox_id: String,
}

#[derive(Clone)]
struct Read;

impl AsyncCall<Reader> for Read {
    async fn call(&self, caller: Reader) -> anyhow::Result<Reader> {
        let answer = caller.scene.config(&caller.sandbox_id).await;
        anyhow::ensure!(answer.message.policy.is_some(), "a configuration without a policy");
        Ok(caller)
    }
}

/// Measures the configuration of a sandbox with three providers, one connection a client.
pub(crate) async fn measure(endpoint: &str, clients: u16, seconds: u64) -> anyhow::Result<String> {
    let api = Api::new(endpoint);
    api.enable_providers_v2(true).await;
    let scene = Scene::open(api).await;
    let mut providers = Vec::new();
    for number in 1..=3 {
        let id = format!("reads-{number}");
        scene.import(profile(&id, &[&format!("host-{number}.example.com")])).await;
        scene.create_provider(&id, &id).await;
        providers.push(id);
    }
    let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
    let name = unique("b");
    let sandbox_id = scene.create_sandbox(&name, &providers, policy_allowing("base.example.com")).await;
    let reader = |_| Reader { scene: scene.through(Api::new(endpoint).local()), sandbox_id: sandbox_id.clone() };
    let figures = load::run((0..clients).map(reader).collect(), seconds, Read).await?;
    Ok(figures.line(&format!("GetSandboxConfig, {clients} clients, 3 providers")))
}
