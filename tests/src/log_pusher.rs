//! A sandbox's supervisor that pushes log lines to one node, as `PushSandboxLogs` has it.

use std::time::Duration;

use futures::stream;
use openshell_proto::v1::open_shell_client::OpenShellClient;
use openshell_proto::v1::{PushSandboxLogsRequest, SandboxLogLine};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::{Request, Status};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);
/// Batches that may be under way.
const BATCHES: usize = 4;

/// One stream of batches.
pub struct LogPusher {
    batches: mpsc::Sender<PushSandboxLogsRequest>,
    outcome: JoinHandle<Result<(), Status>>,
}

/// A line at a time, milliseconds since the Unix epoch.
#[must_use]
pub fn log_line(time_ms: i64, message: &str) -> SandboxLogLine {
    SandboxLogLine {
        timestamp_ms: time_ms,
        level: "INFO".to_owned(),
        target: "tests".to_owned(),
        message: message.to_owned(),
        ..SandboxLogLine::default()
    }
}

impl LogPusher {
    /// Begins a stream at a plaintext URL. A token, when there is one, is shown as it is.
    ///
    /// # Panics
    /// When the node cannot be connected.
    pub async fn open(endpoint: &str, token: Option<&str>) -> Self {
        let mut client = OpenShellClient::connect(endpoint.to_owned()).await.expect("the node listens");
        let (batches, waiting) = mpsc::channel(BATCHES);
        let waiting =
            stream::unfold(
                waiting,
                |mut waiting: mpsc::Receiver<_>| async move { Some((waiting.recv().await?, waiting)) },
            );
        let mut request = Request::new(waiting);
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().expect("a token fits in a header");
            request.metadata_mut().insert("authorization", bearer);
        }
        let outcome = tokio::spawn(async move { client.push_sandbox_logs(request).await.map(drop) });
        Self { batches, outcome }
    }

    /// Sends a batch, once there is room for it. A stream that has ended takes nothing.
    pub async fn push(&self, sandbox_id: &str, logs: Vec<SandboxLogLine>) {
        let batch = PushSandboxLogsRequest { sandbox_id: sandbox_id.to_owned(), logs };
        // How it ended is said at the end.
        let _ = self.batches.send(batch).await;
    }

    /// Whether the node has ended the stream.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome.is_finished()
    }

    /// Ends the stream: everything that was sent is kept, or what the node says otherwise.
    ///
    /// # Errors
    /// The node's refusal.
    ///
    /// # Panics
    /// When the node says nothing.
    pub async fn end(self) -> Result<(), Status> {
        let Self { batches, outcome } = self;
        drop(batches);
        ended(outcome).await
    }

    /// Waits until the node has ended the stream, and says how.
    ///
    /// # Panics
    /// When it does not.
    pub async fn refused(self) -> Status {
        let Self { batches, outcome } = self;
        let refusal = ended(outcome).await.expect_err("the node ends the stream with a refusal");
        drop(batches);
        refusal
    }
}

async fn ended(outcome: JoinHandle<Result<(), Status>>) -> Result<(), Status> {
    let outcome = timeout(LIMIT, outcome).await.expect("the end of the stream in time");
    outcome.expect("the stream is taken care of")
}
