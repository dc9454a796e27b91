//! A node that takes no part any more, for good: it was removed from its cluster, or its state
//! differs from that of the others. It hands leadership away and stops Raft, so that its state stays
//! as it is; the process stays, to say why.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::leadership;
use crate::node::Node;

/// How long a leader may take to hand over.
const HAND_OVER_MAX: Duration = Duration::from_secs(3);

impl Node {
    /// Takes the node out. The first reason stays.
    pub(crate) async fn withdraw(self: &Arc<Self>, sentence: String) {
        if self.withdrawn.set(sentence.clone()).is_err() {
            return;
        }
        tracing::error!(node = self.id, reason = %sentence, "this node takes no part any more");
        self.gone.cancel();
        leadership::hand_over(self, Instant::now() + HAND_OVER_MAX).await;
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "Raft did not stop cleanly");
        }
    }
}
