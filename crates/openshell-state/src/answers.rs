//! What a node keeps of its answers to sandboxes, encoded: configurations, and environments with their
//! credentials still sealed. One is given again while the state says that nothing it was composed from has
//! changed, and while no credential in it has expired. Nobody who reads takes a lock.

mod shelf;

use bytes::Bytes;
use openshell_proto::v1::Sandbox;
use prost::Message;

use crate::effective::{self, Environment};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;
use shelf::Shelf;
pub use shelf::Usage;

/// The answers of one node.
#[derive(Debug)]
pub struct Answers {
    configs: Shelf<Bytes>,
    environments: Shelf<Environment>,
}

impl Answers {
    /// Keeps answers up to about so many bytes of memory: three quarters for configurations, which are
    /// asked for all the time, the rest for environments.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let environments = bytes_max / 4;
        Self { configs: Shelf::new(bytes_max - environments), environments: Shelf::new(environments) }
    }

    /// The encoded answer to `GetSandboxConfig` for a sandbox of `state`, and its key there.
    ///
    /// # Errors
    /// As [`effective::sandbox_config`]. Refusals are not kept.
    pub fn config(&self, state: &State, (key, sandbox): (&Key, &Sandbox)) -> Result<Bytes, Refusal> {
        let (id, since) = (id(sandbox), state.unchanged_since(key));
        if let Some(kept) = self.configs.recall(id, since, |_| true) {
            return Ok(kept.value.clone());
        }
        let composed = effective::sandbox_config(state, &key.workspace, sandbox)?;
        let encoded = Bytes::from(composed.encode_to_vec());
        self.configs.keep(id, since, encoded.clone(), encoded.len(), |id, since| still_holds(state, id, since));
        Ok(encoded)
    }

    /// What `open` makes of a sandbox's environment at `now_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Environment::compose`], and what `open` refuses. Refusals are not kept.
    pub fn environment<T>(
        &self,
        state: &State,
        (key, sandbox): (&Key, &Sandbox),
        now_ms: i64,
        open: impl FnOnce(&Environment) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (id, since) = (id(sandbox), state.unchanged_since(key));
        if let Some(kept) = self.environments.recall(id, since, |environment| environment.holds_at(now_ms)) {
            return open(&kept.value);
        }
        let composed = Environment::compose(state, &key.workspace, sandbox, now_ms)?;
        let opened = open(&composed);
        let size = composed.size();
        self.environments.keep(id, since, composed, size, |id, since| still_holds(state, id, since));
        opened
    }

    /// What is kept now, and how often it was asked for: of configurations, then of environments.
    #[must_use]
    pub fn usage(&self) -> [Usage; 2] {
        [self.configs.usage(), self.environments.usage()]
    }
}

fn id(sandbox: &Sandbox) -> &str {
    sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str())
}

/// Whether an answer that was composed on a state that said `since` holds on this one, or on a later one.
fn still_holds(state: &State, id: &str, since: u64) -> bool {
    state.sandbox_by_id(id).is_some_and(|(key, _)| since >= state.unchanged_since(key))
}
