//! What a node was told about itself.

use std::time::Duration;

use crate::options::WhenStale;

/// What the operator wants of it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) stale_after: Duration,
    pub(crate) when_stale: WhenStale,
    /// How long a sandbox may be gone before its record says so.
    pub(crate) disconnect_grace: Duration,
}
