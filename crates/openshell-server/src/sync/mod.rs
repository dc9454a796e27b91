//! Sandboxes that follow their configuration (`openshell.sync.v1`). A stream of this node composes the newest
//! state when something that concerns its sandbox has changed ([`follow`]); what the node knows of its
//! sandboxes, and they report, stays in its memory ([`sessions`], [`polls`]); any node puts together how far a
//! change has come ([`mod@rollout`]); and of all this only the phase of a sandbox's record is ever written
//! ([`presence`]).

mod composed;
mod follow;
mod limits;
mod message;
mod polls;
mod presence;
mod pulse;
mod reasons;
mod report;
mod rollout;
mod session;
mod sessions;

use std::time::Duration;

pub(crate) use follow::open;
pub(crate) use limits::Limits;
pub(crate) use presence::{RECORD, recorded, watch};
pub(crate) use report::report;
pub(crate) use rollout::rollout;
pub(crate) use sessions::{SessionGauges, Sessions};

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
