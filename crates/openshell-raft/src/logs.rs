//! Asking another node for the log lines of a sandbox that it has. What is kept, and who may read it, is
//! the server's.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use openshell_proto::peer::{LogLines, ReadLogsRequest};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::node::Node;
use crate::peer::{Client, sentence, within};

/// How long a node may take to begin, connecting included.
const OPEN_MAX: Duration = Duration::from_secs(3);

impl Node {
    /// Asks a peer once.
    pub(crate) async fn read_logs(
        &self,
        peer: u64,
        request: ReadLogsRequest,
        deadline: Instant,
    ) -> Result<LogLines, String> {
        let mut client = self.log_client(peer)?;
        let limit = deadline.saturating_duration_since(Instant::now());
        within(limit, client.read_logs(request)).await.map_err(|status| reason(&status))
    }

    /// Asks a peer to go on telling.
    pub(crate) async fn follow_logs(
        &self,
        peer: u64,
        request: ReadLogsRequest,
    ) -> Result<BoxStream<'static, Result<LogLines, String>>, String> {
        let mut client = self.log_client(peer)?;
        let lines = within(OPEN_MAX, client.follow_logs(request)).await.map_err(|status| reason(&status))?;
        Ok(lines.map(|lines| lines.map_err(|status| reason(&status))).boxed())
    }

    fn log_client(&self, peer: u64) -> Result<Client, String> {
        let link = self.link(peer).ok_or_else(|| format!("node {peer} is not a member"))?;
        Ok(link.channels().logs.clone())
    }
}

/// Why a node does not say what it has. One of an older version says so without words.
fn reason(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => "it is of a version that keeps no logs".to_owned(),
        _ => sentence(status),
    }
}
