//! Environments of sandboxes, kept between questions as they were composed: with every credential
//! still sealed. One is used again only while all that it was composed from is as it was and no
//! credential has expired since; time changes an answer without an entry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;
use openshell_proto::v1::Sandbox;
use openshell_raft::Clock;
use openshell_state::effective::Environment;
use openshell_state::{Opener, Refusal, State};

/// The environments of this node's sandboxes, up to a size.
pub(crate) struct Environments {
    opener: Arc<dyn Opener + Send + Sync>,
    clock: Arc<dyn Clock>,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

/// What is kept, by sandbox id, with the order of last use.
#[derive(Default)]
struct Kept {
    /// How often a snapshot had replaced the state when these were composed.
    installs: u64,
    by_id: BTreeMap<String, (u64, Arc<Environment>)>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: usize,
}

impl Environments {
    pub(crate) fn new(opener: Arc<dyn Opener + Send + Sync>, clock: Arc<dyn Clock>, bytes_max: usize) -> Self {
        Self { opener, clock, bytes_max, kept: Mutex::default() }
    }

    /// The environment of a sandbox on a state that this node has, its credentials opened.
    /// `installs` counts the snapshots that replaced the state.
    ///
    /// # Errors
    /// As [`Environment::compose`] and [`Environment::answer`]. Refusals are not kept.
    pub(crate) fn answer(
        &self,
        state: &State,
        installs: u64,
        (workspace, sandbox): (&str, &Sandbox),
        static_bindings: bool,
    ) -> Result<GetSandboxProviderEnvironmentResponse, Refusal> {
        let now_ms = self.clock.now_ms().max(state.last_time_ms());
        let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        let kept = self.lock(installs).recall(id, state, now_ms);
        let environment = match kept {
            Some(environment) => environment,
            None => {
                let composed = Arc::new(Environment::compose(state, workspace, sandbox, now_ms)?);
                self.lock(installs).keep(id, &composed, self.bytes_max);
                composed
            }
        };
        environment.answer(&*self.opener, static_bindings)
    }

    /// What is kept, after dropping what a snapshot has outdated.
    fn lock(&self, installs: u64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.installs != installs {
            *kept = Kept { installs, ..Kept::default() };
        }
        kept
    }
}

impl Kept {
    /// The environment of a sandbox if it still holds; forgets it otherwise.
    fn recall(&mut self, id: &str, state: &State, now_ms: i64) -> Option<Arc<Environment>> {
        let environment = self.forget(id)?;
        if !environment.holds(state, now_ms) {
            return None;
        }
        self.insert(id, &environment);
        Some(environment)
    }

    fn keep(&mut self, id: &str, environment: &Arc<Environment>, bytes_max: usize) {
        self.forget(id);
        if environment.size() > bytes_max {
            return;
        }
        self.insert(id, environment);
        while self.bytes > bytes_max {
            let (_, longest_unused) = self.by_use.first_key_value().expect("what has a size is kept");
            let longest_unused = longest_unused.clone();
            self.forget(&longest_unused);
        }
    }

    fn insert(&mut self, id: &str, environment: &Arc<Environment>) {
        self.uses += 1;
        self.bytes += environment.size();
        self.by_use.insert(self.uses, id.to_owned());
        self.by_id.insert(id.to_owned(), (self.uses, Arc::clone(environment)));
    }

    fn forget(&mut self, id: &str) -> Option<Arc<Environment>> {
        let (used, environment) = self.by_id.remove(id)?;
        self.by_use.remove(&used);
        self.bytes -= environment.size();
        Some(environment)
    }
}

#[cfg(test)]
mod tests;
