//! Asking another node what it knows of sandboxes: the log lines that it has, which sandboxes follow their
//! configuration through it, and how far they are; and which records a change wrote that concerns them. What is
//! kept, what follows from it, and who may read it, is the server's.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use openshell_proto::peer::{
    ChangedKeys, LogLines, Presence, ReadChangedKeysRequest, ReadLogsRequest, ReadPresenceRequest, ReadSessionsRequest,
    Sessions,
};
use tokio::time::Instant;
use tonic::{Code, Response, Status};

use crate::cluster::Cluster;
use crate::peer::{Channels, Client, sentence, within};

/// How long a node may take to begin a stream, connecting included.
const OPEN_MAX: Duration = Duration::from_secs(3);
/// What a node of an older version is, which has no words for it itself.
const KEEPS_NO_LOGS: &str = "it is of a version that keeps no logs";
const IS_NOT_FOLLOWED: &str = "it is of a version that sandboxes do not follow";
const TELLS_NO_KEYS: &str = "it is of a version that does not say what an entry changed";

impl Cluster {
    /// Log lines of a sandbox that another node has.
    ///
    /// # Errors
    /// A sentence when it does not answer before the deadline.
    pub async fn read_logs(&self, id: u64, request: ReadLogsRequest, deadline: Instant) -> Result<LogLines, String> {
        let mut client = self.client(id, |channels| &channels.logs)?;
        ask(until(deadline), client.read_logs(request), KEEPS_NO_LOGS).await
    }

    /// The same, at once, and those that the other node receives from then on. Whoever asks takes them
    /// without delay: the connection is shared.
    ///
    /// # Errors
    /// A sentence when it does not answer, or not any more.
    pub async fn follow_logs(
        &self,
        id: u64,
        request: ReadLogsRequest,
    ) -> Result<BoxStream<'static, Result<LogLines, String>>, String> {
        let mut client = self.client(id, |channels| &channels.logs)?;
        let lines = ask(OPEN_MAX, client.follow_logs(request), KEEPS_NO_LOGS).await?;
        Ok(lines.map(|lines| lines.map_err(|status| reason(&status, KEEPS_NO_LOGS))).boxed())
    }

    /// What another node knows of sandboxes that follow their configuration through it, or poll it.
    ///
    /// # Errors
    /// A sentence when it does not answer before the deadline.
    pub async fn read_sessions(
        &self,
        id: u64,
        request: ReadSessionsRequest,
        deadline: Instant,
    ) -> Result<Sessions, String> {
        let mut client = self.client(id, |channels| &channels.sessions)?;
        ask(until(deadline), client.read_sessions(request), IS_NOT_FOLLOWED).await
    }

    /// Which sandboxes follow their configuration through another node.
    ///
    /// # Errors
    /// As [`Cluster::read_sessions`].
    pub async fn read_presence(
        &self,
        id: u64,
        request: ReadPresenceRequest,
        deadline: Instant,
    ) -> Result<Presence, String> {
        let mut client = self.client(id, |channels| &channels.sessions)?;
        ask(until(deadline), client.read_presence(request), IS_NOT_FOLLOWED).await
    }

    /// Which records an entry wrote, by another node's history.
    ///
    /// # Errors
    /// As [`Cluster::read_sessions`].
    pub async fn read_changed_keys(
        &self,
        id: u64,
        request: ReadChangedKeysRequest,
        deadline: Instant,
    ) -> Result<ChangedKeys, String> {
        let mut client = self.client(id, |channels| &channels.sessions)?;
        ask(until(deadline), client.read_changed_keys(request), TELLS_NO_KEYS).await
    }

    /// One of the ways to another node.
    fn client(&self, id: u64, channel: fn(&Channels) -> &Client) -> Result<Client, String> {
        let link = self.node.link(id).ok_or_else(|| format!("node {id} is not a member"))?;
        Ok(channel(&link.channels()).clone())
    }
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Waits for an answer, but not beyond `limit`; `older` is said of a node that does not know the call.
async fn ask<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
    older: &str,
) -> Result<T, String> {
    within(limit, call).await.map_err(|status| reason(&status, older))
}

/// Why a node does not say what it has.
fn reason(status: &Status, older: &str) -> String {
    match status.code() {
        Code::Unimplemented => older.to_owned(),
        _ => sentence(status),
    }
}
