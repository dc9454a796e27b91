//! Log lines of sandboxes: kept in the memory of the node that received them ([`keeper`]), bounded, and
//! found through any node, which asks the others for theirs ([`read`] once, [`follow`] as they come). They
//! are the sandboxes' own words: none is written to the Raft log, to a disk, or to a log of ours.

mod counts;
mod filter;
mod follow;
mod keeper;
mod limits;
mod line;
mod merge;
mod peers;
mod pump;
mod push;
mod queue;
mod read;
mod rings;
mod serve;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

pub(crate) use follow::{Follow, Said};
pub(crate) use keeper::{Keeper, LogGauges};
pub(crate) use limits::Limits;
pub(crate) use peers::Peers;
pub(crate) use push::push;
pub(crate) use read::get;

/// The lines of a node, and the way to those of the others.
pub(crate) struct Logs {
    keeper: Arc<Keeper>,
    peers: Arc<dyn Peers>,
}

impl Logs {
    pub(crate) fn new(keeper: Arc<Keeper>, peers: Arc<dyn Peers>) -> Arc<Self> {
        Arc::new(Self { keeper, peers })
    }

    /// What this node has received.
    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }
}
