//! Sandboxes that follow their configuration, as a client sees it that knows nothing but the API, and what
//! people see of them.

mod ending;
mod older;
pub(crate) mod phases;
pub(crate) mod rollouts;
mod slow;
mod streams;

use std::time::Duration;

use openshell_client::{CallError, CallOptions, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sync::follow_response::Event;
use openshell_proto::sync::{
    Configuration, FollowRequest, FollowResponse, Heartbeat, ReportRequest, Session, SyncPosition,
};
use openshell_proto::v1::SandboxPhase;
use openshell_tests::{Access, Api, Cluster, Scene};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A sandbox and what it authenticates with.
#[derive(Clone)]
struct Supervised {
    id: String,
    token: String,
}

/// A stream that is read by hand.
struct Consumer {
    sandbox: Supervised,
    api: Api,
    stream: Streaming<FollowResponse>,
    session: Session,
}

/// A stream that somebody reads who is there, until it is dropped.
struct Attended(JoinHandle<()>);

/// A token of a sandbox of the scene.
async fn supervised(scene: &Scene, name: &str, id: String) -> Supervised {
    let request = IssueSandboxTokenRequest { name: name.to_owned(), workspace: scene.workspace.clone() };
    let answer = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
    Supervised { id, token: answer.message.token }
}

async fn opened(api: &Api, request: FollowRequest) -> Result<Streaming<FollowResponse>, Status> {
    match api.client().stream(&methods::FOLLOW, request, &CallOptions::default()).await {
        Ok(stream) => Ok(stream),
        Err(CallError::Refused(status)) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

impl Supervised {
    /// Begins a stream at a node with nothing installed.
    async fn follow(&self, access: &Access) -> Consumer {
        self.resume(access, FollowRequest::default()).await
    }

    /// Begins it with what the request says is installed.
    async fn resume(&self, access: &Access, request: FollowRequest) -> Consumer {
        let api = access.bearer(&self.token);
        let request = FollowRequest { sandbox_id: self.id.clone(), ..request };
        let mut stream = opened(&api, request).await.expect("a stream");
        let Event::Session(session) = message(&mut stream).await.expect("it goes on") else {
            panic!("the session is said first");
        };
        Consumer { sandbox: self.clone(), api, stream, session }
    }
}

async fn message(stream: &mut Streaming<FollowResponse>) -> Result<Event, Status> {
    let message = timeout(LIMIT, stream.message()).await.expect("a message in time")?;
    Ok(message.expect("a stream ends with a reason").event.expect("a message says something"))
}

impl Consumer {
    /// The next configuration.
    async fn configuration(&mut self) -> Configuration {
        loop {
            match message(&mut self.stream).await.expect("it goes on") {
                Event::Configuration(configuration) => return configuration,
                Event::Heartbeat(_) => {}
                Event::Session(session) => panic!("said twice: {session:?}"),
            }
        }
    }

    /// The next heartbeat at a revision or a later one, when no configuration comes before it.
    async fn quiet_through(&mut self, revision: u64) -> Heartbeat {
        loop {
            match message(&mut self.stream).await.expect("it goes on") {
                Event::Heartbeat(heartbeat) if position(heartbeat.position).revision >= revision => return heartbeat,
                Event::Heartbeat(_) => {}
                // What concerned everybody came to nothing for it.
                Event::Configuration(configuration) if configuration.unchanged => {}
                Event::Configuration(configuration) => panic!("it does not concern it: {:?}", configuration.position),
                Event::Session(session) => panic!("said twice: {session:?}"),
            }
        }
    }

    /// The end of the stream, whatever comes before it.
    async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = message(&mut self.stream).await {
                return status;
            }
        }
    }

    /// Says what became of a configuration; empty for well.
    async fn report(&self, position: SyncPosition, failed: &str) -> Result<(), Code> {
        let request = ReportRequest {
            session: self.session.id.clone(),
            sandbox_id: self.sandbox.id.clone(),
            position: Some(position),
            failed: failed.to_owned(),
        };
        match self.api.call(&methods::REPORT, request).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) => Err(status.code()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Goes on beside the test: everything that comes is read and applied, and each time it says that it is there.
    fn attended(mut self) -> Attended {
        Attended(tokio::spawn(async move {
            while let Ok(event) = message(&mut self.stream).await {
                let at = match event {
                    Event::Configuration(configuration) => position(configuration.position),
                    Event::Heartbeat(heartbeat) => position(heartbeat.position),
                    Event::Session(session) => panic!("said twice: {session:?}"),
                };
                self.report(at, "").await.expect("the report is taken");
            }
        }))
    }

    /// Takes the next configuration and says that it is applied.
    async fn apply(&mut self) -> Configuration {
        let configuration = self.configuration().await;
        self.report(position(configuration.position), "").await.expect("the report is taken");
        configuration
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn position(position: Option<SyncPosition>) -> SyncPosition {
    position.expect("a position")
}

pub(crate) async fn phase_of(scene: &Scene, name: &str) -> SandboxPhase {
    scene.sandbox(name).await.status.expect("a status").phase()
}

/// A node that does not lead.
async fn follower(cluster: &Cluster) -> u64 {
    cluster.followers().await[0]
}
