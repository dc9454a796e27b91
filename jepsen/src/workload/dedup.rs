//! Request ids that go to several nodes, at once and again: what is made under one has a name that the
//! cluster makes up, so that whoever does it twice has two. Each is then looked for, and removed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use openshell_client::{Answer, methods};
use openshell_proto::v1::{CreateSandboxRequest, DeleteSandboxRequest, ListSandboxesRequest, Sandbox, SandboxSpec};
use openshell_tests::{Api, policy_allowing};
use rand::Rng;
use tonic::Code;

use super::client::Client;
use super::heard::{Heard, position};
use super::part::{self, Part, Tasks};
use super::time::new_id;
use super::{Shared, Workload};
use crate::history::{Action, Outcome};

const PACE: Duration = Duration::from_millis(150);
const CLIENTS: u64 = 2;
/// An id is sent so often at most, in all.
const ROUNDS_MAX: u32 = 4;
/// The label that says under which id a sandbox was made.
const LABEL: &str = "made-under";
const PAGE_MAX: u32 = 1_000;
/// So often the pages are read again, when they were not of one state.
const LOOKS_MAX: usize = 5;

pub(super) struct Dedup {
    shared: Arc<Shared>,
    workspace: String,
}

impl Dedup {
    /// Makes a workspace.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        Ok(Self { shared: Arc::clone(shared), workspace: part::workspace(shared, "dedup").await? })
    }
}

impl Part for Dedup {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        for number in 0..CLIENTS {
            let mut client = Client::new(&self.shared, Workload::Dedup, number).every(PACE);
            let workspace = self.workspace.clone();
            clients.spawn(async move {
                while client.turn().await {
                    step(&mut client, &workspace).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let perform = |api: Api, _: Action| async move { look(&api, &self.workspace, None).await };
            part::ask_everywhere(&self.shared, Workload::Dedup, &[Action::Look { request: None }], perform).await;
        })
    }
}

/// One id: to some nodes at once, and to others, until one has answered or it is enough; then what it made is
/// looked for and removed.
async fn step(client: &mut Client, workspace: &str) {
    let id = new_id();
    let request = id.to_string();
    let mut attempt = 1;
    for _ in 0..ROUNDS_MAX {
        let nodes: Vec<usize> = (0..client.random.random_range(1..=3)).map(|_| client.any_writer()).collect();
        let attempts: Vec<(usize, Api)> =
            (attempt..).zip(nodes).map(|(number, node)| (node, client.api(node).request(id, number))).collect();
        attempt += u32::try_from(attempts.len()).unwrap_or_default();
        let sent = attempts.into_iter().map(|(node, api)| send(client, node, api, workspace, &request));
        let is_answered = join_all(sent).await.iter().any(|outcome| matches!(outcome, Outcome::Made { .. }));
        // Now and then once more, to hear the same.
        if is_answered && client.random.random_bool(0.7) {
            break;
        }
    }
    let node = client.any_node();
    let api = client.api(node);
    let looked = look(&api, workspace, Some(&request));
    let found = client.ask(node, Action::Look { request: Some(request.clone()) }, looked).await;
    let Outcome::There { made } = found else { return };
    for (_, name) in made {
        let node = client.any_writer();
        let api = client.api(node);
        let action = Action::Clear { request: request.clone(), name: name.clone() };
        client.ask(node, action, clear(&api, workspace, &name)).await;
    }
}

/// One attempt of several at once, each written down as a client of its own.
async fn send(client: &Client, node: usize, api: Api, workspace: &str, request: &str) -> Outcome {
    let recorder = &client.shared.recorder;
    let action = Action::Make { request: request.to_owned() };
    let operation = recorder.invoke(recorder.new_process(), node as u64 + 1, Workload::Dedup, action);
    let heard = make(&api, workspace, request).await;
    recorder.returned(operation, heard.clone());
    heard.outcome
}

pub(super) async fn make(api: &Api, workspace: &str, request: &str) -> Heard {
    let spec = SandboxSpec { policy: Some(policy_allowing("docs.example.com")), ..SandboxSpec::default() };
    let labels = [(LABEL.to_owned(), request.to_owned())].into();
    let call = CreateSandboxRequest { spec: Some(spec), labels, workspace: workspace.to_owned(), ..Default::default() };
    match api.call(&methods::CREATE_SANDBOX, call).await {
        Ok(Answer { message, seen, .. }) => match message.sandbox.and_then(|sandbox| sandbox.metadata) {
            Some(metadata) => Heard::of(Outcome::Made { name: metadata.name }, &seen),
            None => Heard::wrong("a creation was answered without a sandbox".to_owned(), &seen),
        },
        Err(error) => Heard::failed(error, |_| None),
    }
}

/// All pages of one state: what goes meanwhile would move what is listed, and something could be on no page.
pub(super) async fn look(api: &Api, workspace: &str, request: Option<&str>) -> Heard {
    for _ in 0..LOOKS_MAX {
        if let Some(heard) = look_once(api, workspace, request).await {
            return heard;
        }
    }
    Heard::nowhere(Outcome::NotDone)
}

/// None when the state was another before the last page was there.
async fn look_once(api: &Api, workspace: &str, request: Option<&str>) -> Option<Heard> {
    let (mut made, mut first) = (Vec::new(), None);
    for page in 0.. {
        let call = ListSandboxesRequest {
            limit: PAGE_MAX,
            offset: page * PAGE_MAX,
            label_selector: request.map(|id| format!("{LABEL}={id}")).unwrap_or_default(),
            workspace: workspace.to_owned(),
            ..ListSandboxesRequest::default()
        };
        let Answer { message, seen, .. } = match api.linearizable().call(&methods::LIST_SANDBOXES, call).await {
            Ok(answer) => answer,
            Err(error) => return Some(Heard::failed(error, |_| None)),
        };
        let at = position(&seen);
        if *first.get_or_insert(at) != at {
            return None;
        }
        let is_last = message.sandboxes.len() < PAGE_MAX as usize;
        made.extend(message.sandboxes.into_iter().filter_map(made_under));
        if is_last {
            return Some(Heard::of(Outcome::There { made }, &seen));
        }
    }
    None
}

/// Under which id a sandbox was made, and its name.
fn made_under(sandbox: Sandbox) -> Option<(String, String)> {
    let metadata = sandbox.metadata?;
    Some((metadata.labels.get(LABEL)?.clone(), metadata.name))
}

async fn clear(api: &Api, workspace: &str, name: &str) -> Heard {
    let call = DeleteSandboxRequest { name: name.to_owned(), workspace: workspace.to_owned() };
    match api.request(new_id(), 1).call(&methods::DELETE_SANDBOX, call).await {
        Ok(Answer { seen, .. }) => Heard::of(Outcome::Answered, &seen),
        Err(error) => Heard::failed(error, |status| (status.code() == Code::NotFound).then_some(Outcome::Answered)),
    }
}
