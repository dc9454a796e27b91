//! A few small rules over workspaces, calls to run them with, and the caller that repeats.

use openshell_proto::datamodel::{ObjectMeta, Workspace};
use openshell_raft::{Answered, CallContext, Unavailable};
use openshell_state::access::Principal;
use openshell_state::{Call, Decision, Draft, Key, Refusal, RequestId, State};
use prost::Message;

use crate::harness::{Nodes, soon, until};

pub(crate) fn new_id() -> RequestId {
    RequestId::from_bytes(uuid::Uuid::now_v7().as_bytes()).expect("version 7")
}

/// An id as if it had been made at this time.
pub(crate) fn id_made_at(seconds: u64) -> RequestId {
    let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
    RequestId::from_bytes(uuid::Uuid::new_v7(timestamp).as_bytes()).expect("version 7")
}

pub(crate) fn call(request_id: Option<RequestId>) -> CallContext {
    CallContext {
        principal: Principal::Cluster,
        rpc: "test.Workspaces/Change".to_owned(),
        request_id,
        repeated_attempt: false,
        fingerprint: [1; 32],
        deadline: soon(),
    }
}

fn record(name: &str, version: u64) -> Workspace {
    let metadata = ObjectMeta { name: name.to_owned(), resource_version: version, ..ObjectMeta::default() };
    Workspace { metadata: Some(metadata), status: None }
}

/// The version of a workspace, 0 when there is none.
pub(crate) fn version(state: &State, name: &str) -> u64 {
    let workspace = state.workspace(name);
    workspace.and_then(|entry| entry.value.metadata.as_ref()).map_or(0, |metadata| metadata.resource_version)
}

pub(crate) fn version_in(reply: &[u8]) -> u64 {
    Workspace::decode(reply).expect("a workspace").metadata.expect("metadata").resource_version
}

/// Makes a workspace; refuses when it exists.
pub(crate) fn create(name: impl Into<String>) -> impl Fn(Call<'_>) -> Decision + Send + Sync {
    let name = name.into();
    move |call| {
        if call.state.workspace(&name).is_some() {
            return Refusal::exists(format!("workspace {name:?} exists")).into();
        }
        bump(name.clone())(call)
    }
}

/// Counts a workspace's version up, from what it is.
pub(crate) fn bump(name: impl Into<String>) -> impl Fn(Call<'_>) -> Decision + Send + Sync {
    let name = name.into();
    move |call| {
        let key = Key::workspace(&name);
        let record = record(&name, version(call.state, &name) + 1);
        let mut draft = Draft::new();
        draft.rely_on(call.state, key.clone());
        draft.put(&key, &record);
        draft.answer(&record)
    }
}

/// Calls whoever leads, again and again under one id, until there is an answer.
pub(crate) async fn insist<F>(nodes: &Nodes, mut call: CallContext, rule: F) -> Answered
where
    F: Fn(Call<'_>) -> Decision + Send + Sync,
{
    loop {
        let leader = until("a leader", || nodes.running.values().find(|node| node.is_leader())).await;
        match leader.decide(call.clone(), &rule).await {
            Ok(answered) => return answered,
            Err(Unavailable::NotDone { .. }) => tokio::task::yield_now().await,
            Err(Unavailable::Unknown { .. }) => call.repeated_attempt = true,
        }
        assert!(tokio::time::Instant::now() < call.deadline, "no answer in time");
    }
}
