//! A planted violation for each checker of one promise, beside a history that keeps it.

mod availability;
mod clients;
mod cluster;
mod told;
mod watches;

use super::tale::Tale;
use crate::checker::findings::{Finding, Verdict};
use crate::history::{Line, Stage, Story};
use crate::workload::Workload;

/// What a checker says of a tale.
fn judged(tale: &Tale, check: impl Fn(&Story<'_>) -> Finding) -> Finding {
    check(&Story::of(&tale.lines).expect("a history"))
}

/// What a checker says.
#[track_caller]
fn is(finding: &Finding, verdict: Verdict, said: &str) {
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    assert!(finding.said.iter().any(|sentence| sentence.contains(said)) || said.is_empty(), "{said:?}: {finding:?}");
}

impl Tale {
    /// Everything so far is of another workload than is usual.
    fn of(mut self, other: Workload) -> Self {
        for line in &mut self.lines {
            if let Line::Object { workload, .. } | Line::Invoke { workload, .. } = line {
                *workload = other;
            }
        }
        self
    }

    /// A fault comes to a stage.
    fn hit(self, number: u64, kind: &str, nodes: &[u64], stage: Stage) -> Self {
        let (time_ns, kind, nodes) = (self.now_ns(), kind.to_owned(), nodes.to_vec());
        self.line(Line::Fault { time_ns, number, kind, nodes, stage, said: String::new() })
    }

    /// Somebody begins to follow, or has come to the end.
    fn follows(self, workload: Workload, name: &str, is_done: bool) -> Self {
        let (time_ns, name) = (self.now_ns(), name.to_owned());
        self.line(Line::Follower { time_ns, workload, name, is_done })
    }
}
