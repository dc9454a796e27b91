//! How it stands, for the embedding program.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::configuration::Configuration;
use crate::installed::Standing;
use crate::position::Position;

/// How a sandbox stands to its cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Current, stale, closed, or nothing yet.
    pub standing: Standing,
    /// What is in force; nothing before the first and while it is closed.
    pub configuration: Option<Arc<Configuration>>,
    /// The newest state that it is known to be of, which may be later than the one that it came from.
    pub position: Option<Position>,
    /// When a node last knew that the policy is current, milliseconds since the Unix epoch; 0 is never.
    pub as_of_ms: i64,
    /// The node that is followed.
    pub node: Option<u64>,
    /// Why the newest is not, or not all, in force; or why no node is followed. Empty when all is well. What a node said ends
    /// with its code and number, as in `(Internal, node 2)`.
    pub problem: String,
}

impl Status {
    /// Nothing installed, nobody followed.
    pub(crate) fn empty() -> Self {
        Self {
            standing: Standing::Empty,
            configuration: None,
            position: None,
            as_of_ms: 0,
            node: None,
            problem: String::new(),
        }
    }

    /// For how long nobody knows whether the policy is the newest, as of now.
    #[must_use]
    pub fn age(&self) -> Duration {
        clock::span(clock::now_ms().saturating_sub(self.as_of_ms))
    }

    /// Whether nothing differs that is worth waking somebody: time and position go on by themselves.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same_configuration = match (&self.configuration, &other.configuration) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_configuration && (self.standing, self.node, &self.problem) == (other.standing, other.node, &other.problem)
    }
}
