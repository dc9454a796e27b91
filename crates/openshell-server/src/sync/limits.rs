//! What following may cost a node, and how long who follows may take.

use std::time::Duration;

/// Bounds of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Streams that go on.
    pub(crate) streams: usize,
    /// Of them, those of one sandbox: one follows, others are about to end.
    pub(crate) streams_of_one: usize,
    /// Sandboxes that are remembered once they follow no more.
    pub(crate) remembered: usize,
    /// Sandboxes that poll and are remembered.
    pub(crate) polling: usize,
    /// A stream says something at least so often.
    pub(crate) quiet: Duration,
    /// Who takes nothing for so long is cut off.
    pub(crate) slow: Duration,
    /// A sandbox that no node has heard of for so long is not ready any more (`config.md` SR-41).
    pub(crate) grace: Duration,
}

/// Clients of ours say every 3 s or so that they are there: who is only slow is not silent.
const SILENCE: Duration = Duration::from_secs(10);

impl Limits {
    /// Who has said nothing for so long is not counted among the connected until it says something. It is
    /// missed, if it stays silent, once the grace is over.
    pub(super) fn silence(&self) -> Duration {
        SILENCE.min(self.grace / 2)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 10_000,
            streams_of_one: 16,
            remembered: 10_000,
            polling: 20_000,
            quiet: Duration::from_secs(2),
            slow: Duration::from_secs(10),
            grace: Duration::from_secs(30),
        }
    }
}
