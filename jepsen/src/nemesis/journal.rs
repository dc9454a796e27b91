//! What a fault writes into the history: that it begins, what became of it, and that it is undone.

use std::sync::Arc;

use crate::history::{Line, Position, Stage};
use crate::plan::Kind;
use crate::recorder::Recorder;
use crate::report::say;

/// Of one fault.
#[derive(Clone)]
pub(super) struct Journal {
    recorder: Arc<Recorder>,
    number: u64,
    kind: Kind,
    nodes: Vec<u64>,
}

impl Journal {
    pub(super) fn new(recorder: &Arc<Recorder>, number: u64, kind: Kind) -> Self {
        Self { recorder: Arc::clone(recorder), number, kind, nodes: Vec::new() }
    }

    /// The same, of a fault whose victims are known.
    pub(super) fn about(mut self, nodes: &[u64]) -> Self {
        self.nodes = nodes.to_vec();
        self
    }

    /// It is about to be done.
    pub(super) fn begun(&self, said: &str) {
        self.write(Stage::Begun, said);
    }

    /// It was done, and found to have taken effect.
    pub(super) fn installed(&self, said: &str) {
        self.write(Stage::Installed, said);
    }

    /// It is undone.
    pub(super) fn healed(&self, said: &str) {
        self.write(Stage::Healed, said);
    }

    /// It was not done.
    pub(super) fn skipped(&self, why: &str) {
        self.write(Stage::Skipped, why);
    }

    /// Nobody knows whether it took effect.
    pub(super) fn indeterminate(&self, why: &str) {
        self.write(Stage::Indeterminate, why);
    }

    /// A member goes for good and another one comes into its place; once that is done, in which state.
    pub(super) fn replaced(&self, node: u64, (old, new): (u64, u64), at: Option<Position>) {
        let time_ns = self.recorder.now_ns();
        self.recorder.add(Line::Replaced { time_ns, node, old, new, at });
    }

    fn write(&self, stage: Stage, said: &str) {
        let (time_ns, number, nodes) = (self.recorder.now_ns(), self.number, self.nodes.clone());
        let kind = self.kind.name().to_owned();
        let seconds = std::time::Duration::from_nanos(time_ns).as_secs_f64();
        say(&format!("{seconds:7.1} s  fault {number} {kind} {nodes:?} {stage:?}: {said}"));
        self.recorder.add(Line::Fault { time_ns, number, kind, nodes, stage, said: said.to_owned() });
    }
}

/// Says of kinds that no fault of the plan has why they are left out, under numbers that no fault has.
pub(super) fn left_out<'a>(
    recorder: &Arc<Recorder>,
    from: u64,
    kinds: impl IntoIterator<Item = (&'a Kind, &'a String)>,
) {
    for (number, (kind, why)) in (from..).zip(kinds) {
        Journal::new(recorder, number, *kind).skipped(why);
    }
}
