//! Every method that changes something, with messages that are made from the descriptor: many are refused,
//! others take effect, and none may break anything. What is made is in workspaces of its own.

mod apt;
mod issuer;
mod lifecycle;
mod message;
mod minting;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::{Answer, CallError, Method, methods};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{GetDraftPolicyRequest, ListSandboxProvidersRequest, ListSandboxesRequest, PolicyChunk};
use openshell_proto::{AuthMode, Route, method_rules, pool};
use openshell_tests::{Api, Issuer};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::{Code, Status};

use super::client::{ATTEMPT_LIMIT, Client};
use super::followed::Followed;
use super::furnish::Furnishing;
use super::heard::{Heard, refused};
use super::part::{self, Part, Tasks};
use super::register::plain;
use super::time::new_id;
use super::{Shared, Workload};
use crate::env;
use crate::history::{Action, Outcome};
use message::{Maker, Pool};

const PACE: Duration = Duration::from_millis(20);
const CLIENTS: u64 = 2;
const WORKSPACES: usize = 2;
/// A sandbox with a provider of the same name, which no message deletes, so that there is one to look at in the end;
/// what is proposed is about it.
const KEPT: &str = "kept";
/// A sandbox and a provider of the same kind: for what is attached, and for what is refreshed.
const ATTACHED: &str = "kept-attached";
const REFRESHED: &str = "kept-refreshed";
/// It moves what everybody else waits for, so it comes at first, and then once in so many turns.
const SELDOM: &str = "openshell.cluster.v1.Cluster/TransferLeadership";
const SELDOM_ONCE_IN: usize = 100;

/// Full names of the methods that the leader decides, without a leading slash.
pub(crate) fn mutating_methods() -> Vec<String> {
    let rules = method_rules().iter().filter(|(_, rule)| rule.route == Route::Leader);
    rules.map(|(name, _)| name.clone()).collect()
}

pub(super) struct Mixed {
    shared: Arc<Shared>,
    pool: Pool,
    token: String,
    followed: Followed,
    /// Mints as long as anything is asked.
    _issuer: Issuer,
}

/// A method as it is called here.
struct Called {
    name: String,
    request: MessageDescriptor,
    by_sandbox: bool,
}

impl Mixed {
    /// Makes workspaces, and in the first of them sandboxes and providers that are kept.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let mut workspaces = Vec::new();
        for _ in 0..WORKSPACES {
            workspaces.push(part::workspace(shared, "mixed").await?);
        }
        let room = Furnishing::of(shared, &workspaces[0]);
        let profile = message::PROFILES[0];
        room.profiles(&shared.recorder, Workload::Mixed, vec![plain("mixed-kept", "")]).await?;
        room.provider(KEPT, "mixed-kept").await?;
        room.provider(REFRESHED, "mixed-kept").await?;
        room.sandbox(ATTACHED, &[]).await?;
        let kept_id = room.sandbox(KEPT, &[KEPT]).await?;
        let token = room.token(KEPT).await?;
        let folder = Arc::new(env::folder_for("mixed")?);
        let followed = Followed::new(&room, lifecycle::FOLLOWED, &[], &folder).await?;
        let canary = Arc::clone(&shared.wishes.canary);
        let issuer = issuer::beside(&shared.nodes, &canary)?;
        minting::prepare(shared, &room, &workspaces[0], issuer.url()).await?;
        let pool = Pool { workspaces, sandbox_ids: vec![kept_id], profile: profile.to_owned(), canary };
        Ok(Self { shared: Arc::clone(shared), pool, token, followed, _issuer: issuer })
    }

    /// Every sandbox that is left, in words that say what is asked of it.
    async fn sandboxes(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for workspace in &self.pool.workspaces {
            let request = ListSandboxesRequest { limit: 1_000, workspace: workspace.clone(), ..Default::default() };
            // A workspace that was deleted has none.
            let Ok(answer) = self.shared.all.api().call(&methods::LIST_SANDBOXES, request).await else { continue };
            for metadata in answer.message.sandboxes.into_iter().filter_map(|sandbox| sandbox.metadata) {
                actions.push(Action::Call { rpc: format!("{CONFIGURATION} {}", metadata.id) });
                actions.push(Action::Call { rpc: format!("{PROVIDERS} {workspace} {}", metadata.name) });
            }
        }
        actions
    }
}

/// The first words of calls about what a sandbox comes to.
const CONFIGURATION: &str = "GetSandboxConfig";
const PROVIDERS: &str = "ListSandboxProviders";

impl Part for Mixed {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        // It can be stopped once it has been heard of.
        let follower = Client::new(&self.shared, Workload::Mixed, CLIENTS);
        clients.spawn(lifecycle::follow(follower, self.followed.clone()));
        for number in 0..CLIENTS {
            let mut client = Client::new(&self.shared, Workload::Mixed, number).every(PACE);
            let own = self.shared.nodes.iter().map(|node| node.bearer(&self.token).once().deadline(ATTEMPT_LIMIT));
            let (maker, own) = (Maker::new(self.pool.clone()), own.collect::<Vec<Api>>());
            clients.spawn(async move {
                let (called, mut next) = (called(), usize::try_from(number).unwrap_or_default());
                while client.turn().await {
                    step(&mut client, &mut next, &called, &maker, &own).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let actions = self.sandboxes().await;
            let perform = |api: Api, action: Action| async move { look(&api, &action).await };
            part::ask_everywhere(&self.shared, Workload::Mixed, &actions, perform).await;
        })
    }
}

fn called() -> Vec<Called> {
    let named = mutating_methods().into_iter().filter_map(|name| {
        let (service, method) = name.split_once('/')?;
        let service = pool().get_service_by_name(service)?;
        let method = service.methods().find(|candidate| candidate.name() == method)?;
        let by_sandbox = method_rules().get(&name)?.auth == AuthMode::Sandbox;
        Some(Called { request: method.input(), by_sandbox, name })
    });
    named.collect()
}

/// The next method in turn.
async fn step(client: &mut Client, next: &mut usize, called: &[Called], maker: &Maker, own: &[Api]) {
    let turn = *next / called.len().max(1);
    let Some(method) = called.get(*next % called.len().max(1)) else { return };
    *next += 1;
    if method.name == SELDOM && !turn.is_multiple_of(SELDOM_ONCE_IN) {
        return;
    }
    let node = client.any_writer();
    let api = if method.by_sandbox { own[node].clone() } else { client.api(node) };
    let chunk = match apt::takes(&method.name) {
        Some(statuses) => newest(client, node, maker.workspace(), statuses).await,
        None => None,
    };
    let request = maker.request(&mut client.random, &method.request, chunk.as_ref());
    let is_right = apt::right_refusals(&method.request, &request);
    let rpc = method.name.clone();
    let calling = call(api, Method::named(&rpc), request, is_right);
    client.ask(node, Action::Call { rpc }, calling).await;
}

/// The newest proposal of one of these statuses, with what it takes to decide about it; none when there is none, or
/// nobody says.
async fn newest(client: &mut Client, node: usize, workspace: &str, statuses: &[&str]) -> Option<PolicyChunk> {
    let (name, workspace) = (KEPT.to_owned(), workspace.to_owned());
    let request = GetDraftPolicyRequest { name, workspace, ..GetDraftPolicyRequest::default() };
    match client.api(node).local().call(&methods::GET_DRAFT_POLICY, request).await {
        Ok(Answer { message, .. }) => {
            message.chunks.into_iter().rfind(|chunk| statuses.contains(&chunk.status.as_str()))
        }
        Err(error) => {
            client.note(node, "openshell.v1.OpenShell/GetDraftPolicy", error);
            None
        }
    }
}

/// Calls once. `is_right` tells the refusals that may be; without it, any may that has a reason of its own.
async fn call(
    api: Api,
    method: Method<DynamicMessage, ()>,
    request: DynamicMessage,
    is_right: Option<fn(&Status) -> bool>,
) -> Heard {
    let result = api.request(new_id(), 1).call(&method, request).await;
    answered(result, |status| typed(status).filter(|_| is_right.is_none_or(|is_right| is_right(status))))
}

fn answered<T>(result: Result<Answer<T>, CallError>, refused: impl FnOnce(&Status) -> Option<Outcome>) -> Heard {
    match result {
        Ok(Answer { seen, .. }) => Heard::of(Outcome::Answered, &seen),
        Err(error) => Heard::failed(error, refused),
    }
}

/// Of most requests nothing is known to be right, except that they are answered, or refused for reasons of their own; a node
/// that says that it is broken is found for other reasons.
fn typed(status: &Status) -> Option<Outcome> {
    match status.code() {
        Code::Internal | Code::DataLoss | Code::Unknown => None,
        _ => Some(refused(status)),
    }
}

/// Looks at what a sandbox comes to.
async fn look(api: &Api, action: &Action) -> Heard {
    let Action::Call { rpc } = action else { return Heard::nowhere(Outcome::NotDone) };
    let api = api.linearizable();
    match rpc.split(' ').collect::<Vec<_>>().as_slice() {
        [CONFIGURATION, sandbox_id] => {
            let request = GetSandboxConfigRequest { sandbox_id: (*sandbox_id).to_owned() };
            answered(api.call(&methods::GET_SANDBOX_CONFIG, request).await, typed)
        }
        [PROVIDERS, workspace, name] => {
            let (workspace, sandbox_name) = ((*workspace).to_owned(), (*name).to_owned());
            let request = ListSandboxProvidersRequest { sandbox_name, workspace };
            answered(api.call(&methods::LIST_SANDBOX_PROVIDERS, request).await, typed)
        }
        _ => Heard::nowhere(Outcome::NotDone),
    }
}
