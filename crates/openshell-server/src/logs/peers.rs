//! The other nodes, as who looks for log lines sees them.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openshell_proto::peer::{LogLines, ReadLogsRequest};
use openshell_raft::Cluster;
use tokio::time::Instant;

/// What another node says, or in words why it does not.
pub(crate) type Heard<T> = Result<T, String>;

/// The nodes that may have received lines.
pub(crate) trait Peers: Send + Sync {
    /// This node's id.
    fn node(&self) -> u64;

    /// The ids of the other members, as they are now.
    fn others(&self) -> Vec<u64>;

    /// What another node has.
    fn read(&self, node: u64, request: ReadLogsRequest, deadline: Instant) -> BoxFuture<'_, Heard<LogLines>>;

    /// The same at once, and then what it receives.
    fn follow(&self, node: u64, request: ReadLogsRequest) -> BoxFuture<'_, Heard<BoxStream<'static, Heard<LogLines>>>>;
}

impl Peers for Cluster {
    fn node(&self) -> u64 {
        Cluster::node(self)
    }

    fn others(&self) -> Vec<u64> {
        let own = Cluster::node(self);
        self.members().into_iter().map(|member| member.id).filter(|id| *id != own).collect()
    }

    fn read(&self, node: u64, request: ReadLogsRequest, deadline: Instant) -> BoxFuture<'_, Heard<LogLines>> {
        self.read_logs(node, request, deadline).boxed()
    }

    fn follow(&self, node: u64, request: ReadLogsRequest) -> BoxFuture<'_, Heard<BoxStream<'static, Heard<LogLines>>>> {
        self.follow_logs(node, request).boxed()
    }
}
