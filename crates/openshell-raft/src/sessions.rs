//! Asking another node which sandboxes follow their configuration through it, and how far they are. What is
//! known of them, and what follows from it, is the server's.

use openshell_proto::peer::{Presence, ReadPresenceRequest, ReadSessionsRequest, Sessions};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::peer::{Client, sentence, within};

impl Cluster {
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
        self.node.read_sessions(id, request, deadline).await
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
        self.node.read_presence(id, request, deadline).await
    }
}

impl Node {
    /// Asks a peer how far sandboxes are.
    pub(crate) async fn read_sessions(
        &self,
        peer: u64,
        request: ReadSessionsRequest,
        deadline: Instant,
    ) -> Result<Sessions, String> {
        let mut client = self.session_client(peer)?;
        let limit = deadline.saturating_duration_since(Instant::now());
        within(limit, client.read_sessions(request)).await.map_err(|status| reason(&status))
    }

    /// Asks a peer who is connected to it.
    pub(crate) async fn read_presence(
        &self,
        peer: u64,
        request: ReadPresenceRequest,
        deadline: Instant,
    ) -> Result<Presence, String> {
        let mut client = self.session_client(peer)?;
        let limit = deadline.saturating_duration_since(Instant::now());
        within(limit, client.read_presence(request)).await.map_err(|status| reason(&status))
    }

    /// Beside log lines: neither is waited for by Raft.
    fn session_client(&self, peer: u64) -> Result<Client, String> {
        let link = self.link(peer).ok_or_else(|| format!("node {peer} is not a member"))?;
        Ok(link.channels().logs.clone())
    }
}

/// Why a node does not say what it has. One of an older version says so without words.
fn reason(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => "it is of a version that sandboxes do not follow".to_owned(),
        _ => sentence(status),
    }
}
