//! Who follows the configuration of one sandbox, by its key: their bells ring when something that it is composed
//! from may have changed, or its record has. Found by the state's own indexes, so that what a change costs grows
//! with those whom it concerns.

use std::sync::Arc;

use openshell_proto::log::Kind;
use openshell_state::{Concerned, Key, State};

use super::Hub;
use super::bells::{Bell, Bells};

impl Hub {
    /// A bell for a sandbox by its key.
    pub(crate) fn follow(self: &Arc<Self>, sandbox: &Key) -> Bell {
        self.hang(|inner| &mut inner.followers, vec![sandbox.clone()])
    }
}

/// Rings for those whom a change of these records concerns, in a state that has it.
pub(super) fn ring(followers: &Bells, keys: &[Key], state: &State) {
    if followers.is_empty() {
        return;
    }
    for key in keys {
        // Also for what its phase says, and when it is gone.
        if key.kind == Kind::Sandbox {
            followers.ring(key);
            continue;
        }
        match state.concerned_by(key) {
            Concerned::Nobody => {}
            Concerned::Sandboxes(sandboxes) => sandboxes.iter().for_each(|sandbox| followers.ring(sandbox)),
            Concerned::Everybody => return followers.ring_all(),
        }
    }
}
