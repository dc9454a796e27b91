//! How much of the log another node has, as far as the leader knows.

use std::time::Duration;

use openshell_store::LogId;
use tokio::time::{Instant, sleep};

use crate::call::Unavailable;
use crate::node::Node;

/// A node that lacks no more than this has caught up: it is one append away.
const LAG_MAX: u64 = 128;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

impl Node {
    /// The newest entry that a node is known to have; none unless this node leads and has heard of it.
    pub(crate) fn matched(&self, node: u64) -> Option<LogId> {
        self.metrics().replication?.get(&node).copied().flatten()
    }

    /// Waits until a node has nearly everything, but not beyond `until`: then which entry it has, and of which.
    ///
    /// # Errors
    /// When this node does not lead, or not any more.
    pub(crate) async fn catches_up(&self, node: u64, until: Instant) -> Result<Result<(), (u64, u64)>, Unavailable> {
        loop {
            self.check_leading()?;
            let of = self.metrics().last_log_index.unwrap_or(0);
            let has = self.matched(node).map(|id| id.index);
            if has.is_some_and(|has| has + LAG_MAX >= of) {
                return Ok(Ok(()));
            }
            if Instant::now() >= until {
                return Ok(Err((has.unwrap_or(0), of)));
            }
            sleep(LOOK_PAUSE).await;
        }
    }
}
