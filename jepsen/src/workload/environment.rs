//! What a sandbox is given, read from what each node has while its provider's credential changes: at one
//! revision all nodes give the same, to the byte.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::{Answer, CallError, methods};
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{GetSandboxProviderEnvironmentRequest, UpdateProviderRequest};
use openshell_tests::{Api, profile};
use prost::Message;
use rand::Rng;

use super::client::{ATTEMPT_LIMIT, Client};
use super::furnish::{Furnishing, variable};
use super::heard::{Heard, position};
use super::part::{self, Part, Tasks};
use super::{Shared, Workload};
use crate::history::{Action, Line, Outcome, Topic};

/// The environment changes so seldom that answers of one revision meet.
const WRITER_PACE: Duration = Duration::from_millis(120);
const READER_PACE: Duration = Duration::from_millis(25);
const READERS: u64 = 2;
const PROFILE: &str = "environment-tool";
const PROVIDER: &str = "tool";
const SANDBOX: &str = "box";
const UPDATE: &str = "openshell.v1.OpenShell/UpdateProvider";

pub(super) struct Environment {
    shared: Arc<Shared>,
    workspace: String,
    sandbox_id: String,
    token: String,
}

impl Environment {
    /// Makes a sandbox with one provider.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "env").await?;
        let room = Furnishing { api: shared.all.api(), workspace: workspace.clone() };
        room.compose_rules().await?;
        room.profiles(&shared.recorder, Workload::Environment, vec![profile(PROFILE, &["tool.example.com"])]).await?;
        room.provider(PROVIDER, PROFILE).await?;
        let sandbox_id = room.sandbox(SANDBOX, &[PROVIDER]).await?;
        let token = room.token(SANDBOX).await?;
        Ok(Self { shared: Arc::clone(shared), workspace, sandbox_id, token })
    }
}

impl Part for Environment {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        let mut writer = Client::new(&self.shared, Workload::Environment, 0).every(WRITER_PACE);
        let workspace = self.workspace.clone();
        clients.spawn(async move {
            while writer.turn().await {
                write(&mut writer, &workspace).await;
            }
            Ok(())
        });
        for number in 1..=READERS {
            let mut reader = Client::new(&self.shared, Workload::Environment, number).every(READER_PACE);
            let own: Vec<Api> = self.shared.nodes.iter().map(|node| node.bearer(&self.token)).collect();
            let own: Vec<Api> = own.into_iter().map(|api| api.once().deadline(ATTEMPT_LIMIT).local()).collect();
            let id = self.sandbox_id.clone();
            clients.spawn(async move {
                while reader.turn().await {
                    read(&mut reader, &own, &id).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {})
    }
}

/// Another value for the credential.
async fn write(client: &mut Client, workspace: &str) {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: PROVIDER.to_owned(), ..ObjectMeta::default() }),
        credentials: [(variable(PROFILE), client.value())].into(),
        ..Provider::default()
    };
    let request = UpdateProviderRequest {
        provider: Some(provider),
        workspace: workspace.to_owned(),
        ..UpdateProviderRequest::default()
    };
    let update = |api: Api| {
        let request = request.clone();
        async move {
            match api.call(&methods::UPDATE_PROVIDER, request).await {
                Ok(Answer { seen, .. }) => Heard::of(Outcome::Answered, &seen),
                Err(error) => Heard::failed(error, |_| None),
            }
        }
    };
    client.write(Action::Call { rpc: UPDATE.to_owned() }, update).await;
}

/// The environment or the configuration, as any node has it.
async fn read(client: &mut Client, own: &[Api], id: &str) {
    let node = client.any_node();
    let sandbox_id = id.to_owned();
    if client.random.random_bool(0.5) {
        let request = GetSandboxProviderEnvironmentRequest { sandbox_id, supports_static_credential_bindings: true };
        let answer = own[node].call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await;
        tell(client, node, "environment", answer, |message| message.provider_env_revision);
    } else {
        let request = GetSandboxConfigRequest { sandbox_id };
        let answer = own[node].call(&methods::GET_SANDBOX_CONFIG, request).await;
        tell(client, node, "configuration", answer, |message| message.provider_env_revision);
    }
}

/// Writes down what a node said: the revision of the environment, and a fingerprint of all of it.
fn tell<M: Message>(
    client: &Client,
    node: usize,
    subject: &str,
    answer: Result<Answer<M>, CallError>,
    revision: impl Fn(&M) -> u64,
) {
    let Ok(Answer { message, seen, .. }) = answer else { return };
    let Some(at) = position(&seen) else { return };
    let mut fingerprint = DefaultHasher::new();
    message.encode_to_vec().hash(&mut fingerprint);
    let values = BTreeMap::from([
        ("environment revision".to_owned(), revision(&message).to_string()),
        ("fingerprint".to_owned(), format!("{:016x}", fingerprint.finish())),
    ]);
    let recorder = &client.shared.recorder;
    let (time_ns, node, subject) = (recorder.now_ns(), node as u64 + 1, subject.to_owned());
    recorder.add(Line::Fact { time_ns, node, topic: Topic::Environment, subject, at, values });
}
