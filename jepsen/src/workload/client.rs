//! One client: chooses nodes, writes down what it asks and hears, and repeats under one request id when it
//! is in doubt. What it asks is its workload's business.

use std::sync::Arc;
use std::time::Duration;

use openshell_client::CallError;
use openshell_tests::{Access, Api};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::heard::Heard;
use super::time::new_id;
use super::{Shared, Workload};
use crate::history::{Action, Outcome, Position};
use crate::recorder::Recorder;

/// For one attempt.
pub(super) const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);
/// Between the beginnings of two steps.
const PACE: Duration = Duration::from_millis(10);
/// Attempts under one request id, for operations that repeat at all.
const ATTEMPTS_MAX: u32 = 4;
/// For one call of a client that repeats by itself: some attempts, and an election between them.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// In the place of a node's number: one that a library chooses.
const ANY_NODE: u64 = 0;

/// A client of one workload. It calls each node by itself and never repeats a call unless it says so.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) random: StdRng,
    /// The newest state that it has heard of.
    pub(super) position: Option<Position>,
    workload: Workload,
    nodes: Vec<Api>,
    /// Who calls in the place of this client, chooses nodes and repeats what is in doubt; see
    /// [`Client::through_the_library`].
    shipped: Option<Api>,
    process: u64,
    name: String,
    written: u64,
    ticks: Interval,
}

fn ticking(pace: Duration) -> Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Client {
    /// Number `number` of its workload.
    pub(super) fn new(shared: &Arc<Shared>, workload: Workload, number: u64) -> Self {
        let seed = shared.wishes.seed ^ (workload as u64) << 32 ^ number << 40;
        Self {
            random: StdRng::seed_from_u64(seed),
            position: None,
            workload,
            nodes: shared.nodes.iter().map(|node| node.api().once().deadline(ATTEMPT_LIMIT)).collect(),
            shipped: None,
            process: shared.recorder.new_process(),
            name: format!("c{number}"),
            written: 0,
            ticks: ticking(PACE),
            shared: Arc::clone(shared),
        }
    }

    /// The same client, with so much time between the beginnings of its steps.
    pub(super) fn every(mut self, pace: Duration) -> Self {
        self.ticks = ticking(pace);
        self
    }

    /// The same client, whose calls go through the library that is shipped as programs use it: it knows all nodes that
    /// writes go through, and repeats a call until its deadline. What comes of all attempts is one operation.
    pub(super) fn through_the_library(mut self) -> Self {
        let nodes = &self.shared.nodes[..self.writers()];
        self.shipped = Some(Access::to_all(nodes).api().deadline(CALL_LIMIT));
        self
    }

    /// Waits until it is time for the next step; false when the run is over.
    pub(super) async fn turn(&mut self) -> bool {
        self.ticks.tick().await;
        Instant::now() < self.shared.end()
    }

    /// A caller of one node.
    pub(super) fn api(&self, node: usize) -> Api {
        self.nodes[node].clone()
    }

    /// Any node, for reads.
    pub(super) fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.nodes.len())
    }

    /// Any node that writes go through.
    pub(super) fn any_writer(&mut self) -> usize {
        let writers = self.writers();
        self.random.random_range(0..writers)
    }

    fn writers(&self) -> usize {
        self.shared.wishes.written_through.clamp(1, self.nodes.len())
    }

    /// A value that nobody else writes.
    pub(super) fn value(&mut self) -> String {
        self.written += 1;
        format!("{}-{}", self.name, self.written)
    }

    /// Asks, and writes down what was asked and heard. A client in doubt is gone afterwards, and another one
    /// goes on: what it asked may still happen.
    pub(super) async fn ask(&mut self, node: usize, action: Action, asking: impl Future<Output = Heard>) -> Outcome {
        self.ask_at(node as u64 + 1, action, asking).await
    }

    /// As [`Client::ask`], the node by its number, or [`ANY_NODE`].
    async fn ask_at(&mut self, node: u64, action: Action, asking: impl Future<Output = Heard>) -> Outcome {
        let recorder = Arc::clone(&self.shared.recorder);
        let operation = recorder.invoke(self.process, node, self.workload, action);
        let heard = asking.await;
        recorder.returned(operation, heard.clone());
        self.position = self.position.max(heard.at);
        if matches!(heard.outcome, Outcome::Unknown { .. }) {
            self.process = recorder.new_process();
        }
        heard.outcome
    }

    /// As [`Client::ask`] for a read, through any node.
    pub(super) async fn read<F>(&mut self, action: Action, attempt: impl FnOnce(Api) -> F) -> Outcome
    where
        F: Future<Output = Heard>,
    {
        if let Some(shipped) = self.shipped.clone() {
            return self.ask_at(ANY_NODE, action, attempt(shipped)).await;
        }
        let node = self.any_node();
        let api = self.api(node);
        self.ask(node, action, attempt(api)).await
    }

    /// Writes down a call that failed although no operation is made of it otherwise, where a node said what it never
    /// rightly says. Other failures of such calls say nothing.
    pub(super) fn note(&self, node: usize, rpc: &str, error: CallError) {
        note(&self.shared.recorder, self.workload, node as u64 + 1, rpc, Heard::failed(error, |_| None));
    }

    /// The same of a call that a node may rightly refuse, since it answers from what it has.
    pub(super) fn note_behind(&self, node: usize, rpc: &str, error: CallError) {
        note(&self.shared.recorder, self.workload, node as u64 + 1, rpc, Heard::failed_behind(error));
    }

    /// Writes the same down of what a library is told that goes on at other nodes by itself.
    pub(super) fn notes(&self, rpc: &str) -> impl Fn(Heard) + Send + use<> {
        let (recorder, workload, rpc) = (Arc::clone(&self.shared.recorder), self.workload, rpc.to_owned());
        move |heard| note(&recorder, workload, ANY_NODE, &rpc, heard)
    }

    /// As [`Client::ask`] for a write: half of them are repeated under the same request id when in doubt,
    /// through any node, as programs do.
    pub(super) async fn write<F>(&mut self, action: Action, attempt: impl Fn(Api) -> F) -> Outcome
    where
        F: Future<Output = Heard>,
    {
        if let Some(shipped) = self.shipped.clone() {
            return self.ask_at(ANY_NODE, action, attempt(shipped)).await;
        }
        let attempts = if self.random.random_bool(0.5) { ATTEMPTS_MAX } else { 1 };
        let nodes: Vec<usize> = (0..attempts).map(|_| self.any_writer()).collect();
        let apis: Vec<Api> = nodes.iter().map(|node| self.api(*node)).collect();
        self.ask(nodes[0], action, repeated(apis, attempt)).await
    }
}

/// Writes a call down that nothing else is said of, by a client that asks nothing more, if a node said what it never rightly
/// says.
fn note(recorder: &Recorder, workload: Workload, node: u64, rpc: &str, heard: Heard) {
    if heard.is_never_right() {
        let action = Action::Call { rpc: rpc.to_owned() };
        let operation = recorder.invoke(recorder.new_process(), node, workload, action);
        recorder.returned(operation, heard);
    }
}

/// One attempt after the other, through these nodes, until there is no doubt.
async fn repeated<F>(nodes: Vec<Api>, attempt: impl Fn(Api) -> F) -> Heard
where
    F: Future<Output = Heard>,
{
    let id = new_id();
    let mut doubt: Option<String> = None;
    let mut attempts = 0;
    for api in nodes {
        attempts += 1;
        let heard = attempt(api.request(id, attempts)).await;
        match heard.outcome {
            // That is a finding, and would be forgotten if another attempt were answered.
            outcome if outcome.said_broken().is_some() => return Heard { outcome, attempts, ..heard },
            Outcome::Unknown { why } => doubt = Some(why),
            // Of an attempt that came to nothing, an earlier one in doubt keeps its doubt.
            Outcome::NotDone if doubt.is_some() => {}
            _ => return Heard { attempts, ..heard },
        }
    }
    let why = doubt.unwrap_or_default();
    Heard { attempts, ..Heard::nowhere(Outcome::Unknown { why }) }
}
