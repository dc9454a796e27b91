//! Streams of what changes. One task of the node reads the change history and hands each entry to
//! those whom it concerns ([`hub`]): watches of the whole ([`changes`]), each behind a bounded
//! queue, and watches of single sandboxes, which are only told to look again ([`sandbox`]).

mod census;
pub(crate) mod changes;
mod feed;
mod hub;
mod pinned;
mod queue;
pub(crate) mod sandbox;

pub(crate) use census::Limits;
pub(crate) use hub::{Bell, Hub};
