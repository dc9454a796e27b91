//! What a sandbox is given, read from what each node has while its provider's credential changes: at one
//! revision all nodes give the same, to the byte.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use openshell_client::{Answer, CallError, methods};
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentRequest, GetSandboxProviderEnvironmentResponse, UpdateProviderRequest,
};
use openshell_tests::{Api, profile};
use prost::Message;
use rand::Rng;

use super::client::{ATTEMPT_LIMIT, Client};
use super::furnish::{Furnishing, variable};
use super::heard::{Heard, position};
use super::part::{self, Part, Tasks};
use super::{Shared, Workload};
use crate::history::{Action, Line, Outcome, Topic};
use crate::recorder::Recorder;

/// The environment changes so seldom that answers of one revision meet.
const WRITER_PACE: Duration = Duration::from_millis(120);
const READER_PACE: Duration = Duration::from_millis(25);
const READERS: u64 = 2;
const PROFILE: &str = "environment-tool";
const PROVIDER: &str = "tool";
const SANDBOX: &str = "box";
/// The value that is given follows it, so that it can be looked for at the end.
const UPDATE: &str = "openshell.v1.OpenShell/UpdateProvider";
const READ: &str = "openshell.v1.OpenShell/GetSandboxProviderEnvironment";
const CONFIGURATION: &str = "openshell.v1.OpenShell/GetSandboxConfig";
/// The name under which an environment's facts have the credential.
pub(crate) const CREDENTIAL: &str = "credential";

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
        let room = Furnishing::of(shared, &workspace);
        room.compose_rules().await?;
        room.profiles(&shared.recorder, Workload::Environment, vec![profile(PROFILE, &["tool.example.com"])]).await?;
        room.provider(PROVIDER, PROFILE).await?;
        let sandbox_id = room.sandbox(SANDBOX, &[PROVIDER]).await?;
        let token = room.token(SANDBOX).await?;
        Ok(Self { shared: Arc::clone(shared), workspace, sandbox_id, token })
    }

    /// How the sandbox calls each node.
    fn own(&self) -> Vec<Api> {
        let own = self.shared.nodes.iter().map(|node| node.bearer(&self.token));
        own.map(|api| api.once().deadline(ATTEMPT_LIMIT)).collect()
    }

    /// The newest environment, until this node has answered or was asked often enough.
    async fn read_last(&self, node: usize, own: Api) {
        let own = &own.linearizable();
        let ask = || async move {
            match environment(own, &self.sandbox_id).await {
                Ok(answer) => {
                    tell_environment(&self.shared.recorder, node, &answer);
                    Heard::of(Outcome::Answered, &answer.seen)
                }
                Err(error) => Heard::failed(error, |_| None),
            }
        };
        let mut client = part::last_client(&self.shared, Workload::Environment, node);
        part::ask_last(&mut client, node, &Action::Call { rpc: READ.to_owned() }, ask).await;
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
            let own: Vec<Api> = self.own().iter().map(Api::local).collect();
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
        Box::pin(async move {
            join_all(self.own().into_iter().enumerate().map(|(node, own)| self.read_last(node, own))).await;
        })
    }
}

/// Another value for the credential.
async fn write(client: &mut Client, workspace: &str) {
    let value = client.value();
    let value = client.shared.wishes.canary.secret(&value);
    let provider = Provider {
        metadata: Some(ObjectMeta { name: PROVIDER.to_owned(), ..ObjectMeta::default() }),
        credentials: [(variable(PROFILE), value.clone())].into(),
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
    client.write(Action::Call { rpc: format!("{UPDATE} {value}") }, update).await;
}

/// The environment or the configuration, as any node has it.
async fn read(client: &mut Client, own: &[Api], id: &str) {
    let node = client.any_node();
    if client.random.random_bool(0.5) {
        match environment(&own[node], id).await {
            Ok(answer) => tell_environment(&client.shared.recorder, node, &answer),
            Err(error) => client.note_behind(node, READ, error),
        }
    } else {
        let request = GetSandboxConfigRequest { sandbox_id: id.to_owned() };
        match own[node].call(&methods::GET_SANDBOX_CONFIG, request).await {
            Ok(answer) => {
                let values = [("environment revision", answer.message.provider_env_revision.to_string())];
                tell(&client.shared.recorder, node, "configuration", &answer, values);
            }
            Err(error) => client.note_behind(node, CONFIGURATION, error),
        }
    }
}

async fn environment(own: &Api, id: &str) -> Result<Answer<GetSandboxProviderEnvironmentResponse>, CallError> {
    let request =
        GetSandboxProviderEnvironmentRequest { sandbox_id: id.to_owned(), supports_static_credential_bindings: true };
    own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await
}

/// Writes down what environment a node gave: its revision, and the credential.
fn tell_environment(recorder: &Recorder, node: usize, answer: &Answer<GetSandboxProviderEnvironmentResponse>) {
    let message = &answer.message;
    let credential = message.environment.get(&variable(PROFILE)).cloned().unwrap_or_default();
    let revision = message.provider_env_revision.to_string();
    tell(recorder, node, "environment", answer, [("environment revision", revision), (CREDENTIAL, credential)]);
}

/// Writes down what a node said, with a fingerprint of all of it.
fn tell<M: Message, const N: usize>(
    recorder: &Recorder,
    node: usize,
    subject: &str,
    Answer { message, seen, .. }: &Answer<M>,
    values: [(&str, String); N],
) {
    let Some(at) = position(seen) else { return };
    let mut fingerprint = DefaultHasher::new();
    message.encode_to_vec().hash(&mut fingerprint);
    let mut values: BTreeMap<String, String> =
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    values.insert("fingerprint".to_owned(), format!("{:016x}", fingerprint.finish()));
    let (time_ns, node, subject) = (recorder.now_ns(), node as u64 + 1, subject.to_owned());
    recorder.add(Line::Fact { time_ns, node, topic: Topic::Environment, subject, at, values });
}
