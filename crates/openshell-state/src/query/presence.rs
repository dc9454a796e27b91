//! Who is connected, as far as records say it. Who is connected indeed, no state knows.

use crate::phase;
use crate::query::sandboxes;
use crate::state::State;

/// The ids of the sandboxes whose record says that they are ready.
pub fn ready(state: &State) -> impl Iterator<Item = &str> {
    let ready = sandboxes(state, None).filter(|(_, sandbox)| phase::is_ready(sandbox));
    ready.filter_map(|(_, sandbox)| sandbox.metadata.as_ref().map(|metadata| metadata.id.as_str()))
}
