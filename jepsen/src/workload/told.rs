//! What is told step by step, by somebody who knows what comes next: with the calls of the workloads, and taken down as
//! theirs, so that the same checkers judge it.

use std::time::Duration;

use anyhow::{bail, ensure};
use openshell_client::{Consistency, Uuid};
use openshell_tests::Api;
use tokio::time::sleep;

use super::profiles::Profiles;
use super::{Heard, Workload, dedup, part, register};
use crate::history::{Action, Edit, Line, Outcome};
use crate::recorder::Recorder;

/// The only profile there is.
const KEY: &str = "profile-0";
/// A node that does not answer is asked again so often.
const READS_MAX: usize = 20;
/// Nobody leads for a moment.
const WRITES_IN_VAIN_MAX: u64 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// One profile in a workspace of its own, and everything that was asked about it.
pub(crate) struct Told {
    recorder: Recorder,
    profiles: Profiles,
    /// As it was last acknowledged.
    version: u64,
    writes: u64,
}

impl Told {
    /// Makes the profile.
    ///
    /// # Errors
    /// When the cluster does not make it.
    pub(crate) async fn begin(api: &Api) -> anyhow::Result<Self> {
        let workspace = part::workspace_through(api, "told").await?;
        let recorder = Recorder::new(None)?;
        recorder.object(Workload::Register, KEY, &[KEY.to_owned()]);
        let profiles = Profiles { workspace, make: register::plain, reads: Consistency::Linearizable };
        let told = Self { recorder, profiles, version: 1, writes: 0 };
        let create = Edit::Create { key: KEY.to_owned(), value: "0".to_owned() };
        match told.perform(0, api, Action::Write { edits: vec![create] }).await {
            Outcome::Done { .. } => Ok(told),
            other => bail!("the profile was not made: {other:?}"),
        }
    }

    /// Replaces the profile; what became of it.
    pub(crate) async fn write(&mut self, api: &Api) -> Outcome {
        self.writes += 1;
        let replace = Edit::Replace { key: KEY.to_owned(), on: self.version, value: self.writes.to_string() };
        let outcome = self.perform(0, api, Action::Write { edits: vec![replace] }).await;
        self.version += u64::from(outcome.is_ok());
        outcome
    }

    /// So many times, each until it is acknowledged.
    ///
    /// # Errors
    /// When one is neither done nor certainly not, and when none is done for too long.
    pub(crate) async fn write_all(&mut self, api: &Api, count: u64) -> anyhow::Result<()> {
        let (goal, last) = (self.version + count, self.writes + count + WRITES_IN_VAIN_MAX);
        while self.version < goal {
            ensure!(self.writes < last, "of {count} writes {} were not acknowledged", goal - self.version);
            match self.write(api).await {
                Outcome::Done { .. } | Outcome::NotDone => {}
                other => bail!("write {} came to {other:?}", self.writes),
            }
        }
        Ok(())
    }

    /// Makes something under a request id, through a node; false when it was not answered.
    pub(crate) async fn make(&self, node: u64, api: &Api, (id, attempt): (Uuid, u32)) -> bool {
        let request = id.to_string();
        let operation = self.invoke(node, Workload::Dedup, Action::Make { request: request.clone() });
        let heard = dedup::make(&api.request(id, attempt), &self.profiles.workspace, &request).await;
        let is_made = matches!(heard.outcome, Outcome::Made { .. });
        self.recorder.returned(operation, heard);
        is_made
    }

    /// The last reads, of each node: what is left of the profile, and what was made.
    ///
    /// # Errors
    /// When the history is none.
    pub(crate) async fn end(self, nodes: &[(u64, Api)]) -> anyhow::Result<Vec<Line>> {
        self.recorder.add(Line::Settled { time_ns: self.recorder.now_ns() });
        for (node, api) in nodes {
            for action in [Action::Read { keys: vec![KEY.to_owned()] }, Action::Look { request: None }] {
                for _ in 0..READS_MAX {
                    if self.perform(*node, api, action.clone()).await.is_ok() {
                        break;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
        self.recorder.finish()
    }

    async fn perform(&self, node: u64, api: &Api, action: Action) -> Outcome {
        let workload = if matches!(action, Action::Look { .. }) { Workload::Dedup } else { Workload::Register };
        let operation = self.invoke(node, workload, action.clone());
        let heard: Heard = match action {
            Action::Look { .. } => dedup::look(api, &self.profiles.workspace, None).await,
            other => self.profiles.perform(api, &other).await,
        };
        self.recorder.returned(operation, heard.clone());
        heard.outcome
    }

    fn invoke(&self, node: u64, workload: Workload, action: Action) -> u64 {
        self.recorder.invoke(self.recorder.new_process(), node, workload, action)
    }
}
