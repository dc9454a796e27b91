//! One client: reads and updates contended profiles through random nodes, and writes down what it
//! asked and heard. What an outcome proves is decided here, and carefully: doubt stays doubt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openshell_client::{Answer, CallError, Consistency, Seen, Uuid, methods};
use openshell_proto::v1::{
    GetProviderProfileRequest, ProviderProfileImportItem, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
};
use openshell_tests::{Access, Api, profile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Code;

use crate::history::{Action, Outcome, Position};
use crate::recorder::Recorder;

/// Between the beginnings of two operations of one client.
const PACE: Duration = Duration::from_millis(10);
/// For one attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);
/// Attempts under one request id, for operations that repeat at all.
const ATTEMPTS_MAX: u32 = 4;

/// What the clients of a run share.
pub(crate) struct Shared {
    pub(crate) recorder: Arc<Recorder>,
    /// How each node is reached.
    pub(crate) nodes: Vec<Access>,
    /// The first so many of them are asked for updates.
    pub(crate) written_through: usize,
    /// What reads ask for.
    pub(crate) reads: Consistency,
    pub(crate) workspace: String,
    /// The profiles, as many as [`Shared::hot`] at a time.
    pub(crate) keys: Vec<String>,
    pub(crate) hot: usize,
    /// For how long one set of profiles is used.
    pub(crate) shift: Duration,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

/// What an operation came to, and of which state its answer speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) outcome: Outcome,
    pub(crate) at: Option<Position>,
}

impl Heard {
    /// An outcome that speaks of no state.
    fn nowhere(outcome: Outcome) -> Self {
        Self { outcome, at: None }
    }

    fn of(outcome: Outcome, seen: Seen) -> Self {
        let at = seen.epoch.zip(seen.revision).map(|(epoch, revision)| Position { epoch, revision });
        Self { outcome, at }
    }
}

/// Works until the end of the run.
pub(crate) async fn work(shared: Arc<Shared>, seed: u64) {
    let nodes: Vec<Api> = shared.nodes.iter().map(|node| node.api().once().deadline(ATTEMPT_LIMIT)).collect();
    let mut worker = Worker {
        process: shared.recorder.new_process(),
        random: StdRng::seed_from_u64(seed),
        known: BTreeMap::new(),
        written: 0,
        seed,
        nodes,
        shared,
    };
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < worker.shared.end {
        ticks.tick().await;
        worker.step().await;
    }
}

struct Worker {
    shared: Arc<Shared>,
    nodes: Vec<Api>,
    random: StdRng,
    seed: u64,
    process: u64,
    /// The newest version known of each profile.
    known: BTreeMap<String, u64>,
    written: u64,
}

impl Worker {
    async fn step(&mut self) {
        let key = self.choose_key();
        let action = match self.known.get(&key) {
            Some(version) if self.random.random_bool(0.5) => {
                self.written += 1;
                Action::Write { expected: *version, value: format!("c{}-{}", self.seed, self.written) }
            }
            _ => Action::Read,
        };
        let node = self.random.random_range(
            0..match action {
                Action::Read => self.nodes.len(),
                Action::Write { .. } => self.shared.written_through,
            },
        );
        let recorder = self.shared.recorder.clone();
        let operation = recorder.invoke(self.process, node as u64 + 1, &key, action.clone());
        let heard = match &action {
            Action::Read => read(&self.nodes[node], &self.shared.workspace, &key, self.shared.reads).await,
            Action::Write { expected, value } => self.write(node, &key, *expected, value).await,
        };
        recorder.returned(operation, heard.clone());
        let version = match heard.outcome {
            Outcome::Read { version, .. } | Outcome::Written { version } => Some(version),
            Outcome::Conflict { current } => current,
            Outcome::Wrong { .. } | Outcome::NotDone => None,
            Outcome::Unknown { .. } => {
                // A client in doubt is gone; what it asked may still happen.
                self.process = recorder.new_process();
                None
            }
        };
        if let Some(version) = version {
            self.known.insert(key, version);
        }
    }

    /// One of the profiles of the shift that is on.
    fn choose_key(&mut self) -> String {
        let shared = &self.shared;
        let shift = shared.start.elapsed().as_millis() / shared.shift.as_millis();
        let shifts = shared.keys.len() / shared.hot;
        let first = usize::try_from(shift).unwrap_or(usize::MAX).min(shifts - 1) * shared.hot;
        shared.keys[first + self.random.random_range(0..shared.hot)].clone()
    }

    /// An update; half of them are repeated under the same request id when in doubt, through any
    /// node, as programs do.
    async fn write(&mut self, node: usize, key: &str, expected: u64, value: &str) -> Heard {
        let request = update(&self.shared.workspace, key, expected, value);
        let id = Uuid::now_v7();
        let attempts = if self.random.random_bool(0.5) { ATTEMPTS_MAX } else { 1 };
        let mut node = node;
        let mut doubt: Option<String> = None;
        for attempt in 1..=attempts {
            let api = self.nodes[node].request(id, attempt);
            let heard = judge(api.call(&methods::UPDATE_PROVIDER_PROFILES, request.clone()).await);
            match heard.outcome {
                Outcome::Unknown { why } => doubt = Some(why),
                // Of an attempt that came to nothing, an earlier one in doubt keeps its doubt.
                Outcome::NotDone if doubt.is_some() => {}
                Outcome::Read { .. }
                | Outcome::Written { .. }
                | Outcome::Conflict { .. }
                | Outcome::Wrong { .. }
                | Outcome::NotDone => return heard,
            }
            node = self.random.random_range(0..self.shared.written_through);
        }
        Heard::nowhere(Outcome::Unknown { why: doubt.unwrap_or_default() })
    }
}

fn update(workspace: &str, key: &str, expected: u64, value: &str) -> UpdateProviderProfilesRequest {
    let mut payload = profile(key, &["api.example.com"]);
    payload.display_name = value.to_owned();
    UpdateProviderProfilesRequest {
        profile: Some(ProviderProfileImportItem { profile: Some(payload), source: String::new() }),
        expected_resource_version: expected,
        id: key.to_owned(),
        workspace: workspace.to_owned(),
        updates: Vec::new(),
    }
}

/// A read of one profile.
pub(crate) async fn read(api: &Api, workspace: &str, key: &str, consistency: Consistency) -> Heard {
    let request = GetProviderProfileRequest { id: key.to_owned(), workspace: workspace.to_owned() };
    let api = match consistency {
        Consistency::Linearizable => api.linearizable(),
        Consistency::Local => api.local(),
    };
    match api.call(&methods::GET_PROVIDER_PROFILE, request).await {
        Ok(Answer { message, seen, .. }) => match message.profile {
            Some(profile) => {
                Heard::of(Outcome::Read { version: profile.resource_version, value: profile.display_name }, seen)
            }
            None => Heard::of(Outcome::Wrong { said: "a read was answered without a profile".to_owned() }, seen),
        },
        Err(CallError::Refused(status)) if status.code() == Code::NotFound => {
            Heard::nowhere(Outcome::Wrong { said: format!("{key} was not found: {}", status.message()) })
        }
        Err(error) => Heard::nowhere(Outcome::Unknown { why: error.to_string() }),
    }
}

/// What one attempt of an update proves. Only what is certainly without effect counts as such.
fn judge(result: Result<Answer<UpdateProviderProfilesResponse>, CallError>) -> Heard {
    match result {
        Ok(Answer { message, seen, .. }) => match message {
            UpdateProviderProfilesResponse { updated: true, profile: Some(profile), .. } => {
                Heard::of(Outcome::Written { version: profile.resource_version }, seen)
            }
            message => {
                let said = format!("an update was answered with {:?}", message.diagnostics);
                Heard::of(Outcome::Wrong { said }, seen)
            }
        },
        Err(CallError::Refused(status)) if status.code() == Code::Aborted => {
            let current = stated_version(status.message());
            Heard::of(Outcome::Conflict { current }, Seen::from_metadata(status.metadata()))
        }
        Err(CallError::Refused(status)) if status.code() == Code::InvalidArgument => {
            Heard::nowhere(Outcome::Wrong { said: format!("an update was refused: {}", status.message()) })
        }
        Err(CallError::NotDone { .. } | CallError::Unreachable(_)) => Heard::nowhere(Outcome::NotDone),
        Err(error @ (CallError::Refused(_) | CallError::Unknown { .. })) => {
            Heard::nowhere(Outcome::Unknown { why: error.to_string() })
        }
    }
}

/// The current version that a refusal states.
fn stated_version(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("current resource_version is ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use openshell_client::CallError;
    use tonic::Status;

    use super::{Outcome, judge, stated_version};

    #[test]
    fn the_current_version_is_read_from_a_refusal() {
        let text = "expected resource_version 3, the current resource_version is 14; read it again";
        assert_eq!(stated_version(text), Some(14));
        assert_eq!(stated_version("something else"), None);
    }

    #[test]
    fn an_internal_error_leaves_doubt() {
        let heard = judge(Err(CallError::Refused(Status::internal("a fault"))));
        assert!(matches!(heard.outcome, Outcome::Unknown { .. }));
    }

    #[test]
    fn an_endpoint_that_was_not_reached_leaves_none() {
        assert_eq!(judge(Err(CallError::Unreachable(Vec::new()))).outcome, Outcome::NotDone);
    }
}
