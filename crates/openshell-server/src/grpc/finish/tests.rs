//! Completing what a cluster of one has decided.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openshell_proto::cluster::Position;
use openshell_proto::v1::{CreateSandboxRequest, CreateWorkspaceRequest, SandboxResponse, SandboxSpec};
use openshell_raft::{Clock, SystemClock};
use openshell_state::decide;
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::*;
use crate::alone;
use crate::grpc::table::{Complete, Table};
use crate::grpc::{Facts, table};
use crate::identifiers::RandomIdentifiers;
use crate::options::WhenStale;
use crate::sandbox::Sandboxes;
use crate::secrets::Secrets;

const SERVICE: &str = "openshell.v1.OpenShell";

/// Runs a test on a gateway with this table, over a cluster of one. The runtime goes before the folder:
/// its tasks hold the store, which writes its mark when it is closed.
fn on_gateway(table: Table, test: impl AsyncFnOnce(&Arc<Gateway>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let gateway = gateway(table, folder.path()).await;
        test(&gateway).await;
        gateway.cluster.shutdown().await;
    });
}

async fn gateway(table: Table, folder: &Path) -> Arc<Gateway> {
    let (secrets, identifiers) = (Arc::new(Secrets::of(&[7; 32])), Arc::new(RandomIdentifiers::from_os()));
    let cluster = alone::start(folder, &secrets, secrets.clone(), identifiers.clone()).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sandboxes = Sandboxes::new(&secrets, &clock, Duration::ZERO);
    let facts = Facts {
        stale_after: Duration::from_secs(30),
        when_stale: WhenStale::Serve,
        disconnect_grace: Duration::from_secs(30),
    };
    Gateway::new(cluster, table, secrets, sandboxes, identifiers, facts, CancellationToken::new())
}

fn context(patience: Duration) -> Context {
    let context = Context::read(&MetadataMap::new(), alone::admin()).expect("no header is malformed");
    Context { deadline: Instant::now() + patience, ..context }
}

fn creation(name: &str) -> CreateSandboxRequest {
    let spec = Some(SandboxSpec::default());
    CreateSandboxRequest { name: name.to_owned(), spec, issue_token: true, ..CreateSandboxRequest::default() }
}

/// What `CreateSandbox` answers.
async fn create(gateway: &Arc<Gateway>, name: &str) -> Answer {
    let method = gateway.method(&format!("{SERVICE}/CreateSandbox")).expect("it is in the table").clone();
    gateway.answer(&method, &context(alone::LIMIT), creation(name).encode_to_vec().into()).await
}

fn outcome(status: &Status) -> Option<&str> {
    status.metadata().get("x-openshell-outcome").map(|value| value.to_str().expect("text"))
}

/// Completes nothing: the caller has lost its role since.
fn demoted(_: CreateSandboxRequest) -> Option<Complete> {
    Some(Box::new(|_, _, _| Err(Status::permission_denied("the admin role is needed"))))
}

#[test]
fn a_creation_whose_token_fails_is_not_said_to_be_refused() {
    let table = Table::default().service(SERVICE).decide_then("CreateSandbox", decide::sandbox::create, demoted);
    on_gateway(table, async |gateway| {
        let answer = create(gateway, "box").await;
        let status = answer.reply.expect_err("the token failed");
        assert!(!answer.settled, "an effect that is there is not settled as a refusal");
        assert_eq!((status.code(), outcome(&status)), (Code::PermissionDenied, Some("unknown")));
        assert!(
            status.message().contains("the call took effect") && status.message().contains("the admin role is needed")
        );
        let state = gateway.cluster.state();
        assert!(state.sandbox("default", "box").is_some(), "the sandbox is there");
    });
}

#[test]
fn a_node_that_is_behind_completes_an_answer_once_it_has_applied_it() {
    on_gateway(table(), async |gateway| {
        let created = create(gateway, "box").await;
        let reply = created.reply.expect("created");
        assert_ne!(SandboxResponse::decode(reply.clone()).expect("it decodes").token, "");
        let next = gateway.cluster.state().revision() + 1;
        let at = |revision| Position { revision, ..gateway.here() };
        let behind = |revision| Answer { reply: Ok(reply.clone()), at: at(revision), settled: true };
        // It sees the state that the answer speaks of, and none before.
        let complete: Complete = Box::new(move |gateway, _, reply| {
            assert!(gateway.cluster.state().revision() >= next, "completed before it was applied");
            Ok(reply)
        });
        let patient = context(alone::LIMIT);
        let other = CreateWorkspaceRequest { name: "other".to_owned(), ..CreateWorkspaceRequest::default() };
        let (answer, revision) = tokio::join!(
            completed(gateway, &patient, complete, behind(next)),
            alone::decide(&gateway.cluster, |call| decide::workspace::create(call, &other).into()),
        );
        assert!(answer.reply.is_ok() && answer.settled, "revision {revision}");
        // What it does not apply in time is not completed, and is not refused either.
        let complete: Complete = Box::new(|_, _, _| panic!("completed on a state that lacks the decision"));
        let answer = completed(gateway, &context(Duration::from_millis(50)), complete, behind(next + 1000)).await;
        let status = answer.reply.expect_err("it is behind");
        assert!(!answer.settled);
        assert_eq!((status.code(), outcome(&status)), (Code::Unavailable, Some("unknown")));
        // A refusal has nothing to complete.
        let refusal = Answer { reply: Err(Status::not_found("no")), at: at(next + 1000), settled: true };
        let complete: Complete = Box::new(|_, _, _| Ok(Bytes::new()));
        let answer = completed(gateway, &context(Duration::from_millis(50)), complete, refusal).await;
        assert!(answer.settled && answer.reply.is_err());
    });
}
