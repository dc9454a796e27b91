//! Whether a run tested anything: the faults that it must have seen took effect while calls were answered,
//! and every workload came to do what it is there for. A run that proves too little is not passed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::findings::Finding;
use super::windows::windows;
use crate::history::{Action, Edit, Line, Operation, Outcome, Stage, Story, nanoseconds};
use crate::workload::{Workload, mutating_methods};

/// The name of the checker.
pub(crate) const NAME: &str = "coverage";
/// A fault counts when so many calls were answered within this before it.
const FLOW_BEFORE: Duration = Duration::from_secs(3);
const FLOW_MIN: usize = 5;

/// A method that can succeed does so now and then: when it was refused so often and never answered, nothing of it was
/// tested. A short run does not come that far.
const REFUSALS_MAX: usize = 40;

/// Methods that only ever refuse what is sent here.
const NEVER_SUCCEED: [&str; 5] = [
    // No gateway has these: they reach into a running sandbox, and there is no compute driver.
    "openshell.v1.OpenShell/CreateSshSession",
    "openshell.v1.OpenShell/RevokeSshSession",
    "openshell.v1.OpenShell/ExposeService",
    "openshell.v1.OpenShell/DeleteService",
    // Its fields are left alone, since it would take a node out of the cluster: nodes are replaced by a fault.
    "openshell.cluster.v1.Cluster/ReplaceNode",
];

/// A fault that a run must have seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Required {
    /// As its lines call it; several, of which any counts, have [`OR`] between them.
    pub(crate) kind: String,
    /// So often at least.
    pub(crate) least: usize,
}

/// Between kinds of which any counts. No kind has a space in its name.
const OR: &str = " or ";

impl Required {
    /// One of these, once.
    pub(crate) fn any_of(kinds: &[&str]) -> Self {
        Self { kind: kinds.join(OR), least: 1 }
    }

    /// Those that count.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kind.split(OR)
    }
}

/// Whether the run saw what it must.
pub(super) fn check(
    story: &Story<'_>,
    workloads: &[Workload],
    required: &[Required],
    acknowledged_min: usize,
) -> Finding {
    let mut finding = Finding::of(NAME);
    let acknowledged = story
        .operations
        .iter()
        .filter(|one| matches!(one.outcome, Outcome::Done { .. } | Outcome::Made { .. }))
        .count();
    finding.at_least("acknowledged changes", acknowledged, acknowledged_min);
    faults(story, required, &mut finding);
    for workload in workloads {
        for lacks in lacking(story, *workload) {
            finding.unknown(format!("{workload}: {lacks}"));
        }
    }
    finding
}

fn faults(story: &Story<'_>, required: &[Required], finding: &mut Finding) {
    let mut answered: Vec<u64> =
        story.operations.iter().filter(|operation| operation.outcome.is_ok()).map(|one| one.returned_ns).collect();
    answered.sort_unstable();
    let mut felt: BTreeMap<&str, usize> = BTreeMap::new();
    for window in windows(story.lines).into_iter().filter(|window| window.is_felt) {
        let earlier = answered.partition_point(|at| *at + nanoseconds(FLOW_BEFORE) < window.from_ns);
        let by_then = answered.partition_point(|at| *at <= window.from_ns);
        *felt.entry(window.kind).or_default() += usize::from(by_then - earlier >= FLOW_MIN);
    }
    for one in required {
        let Required { kind, least } = one;
        let seen: usize = one.kinds().filter_map(|kind| felt.get(kind)).sum();
        if seen < *least {
            finding.unknown(format!("{kind} was felt {seen} times; below {least} the run proves too little"));
        }
    }
    for (kind, seen) in felt {
        finding.count(&format!("times {kind}"), seen);
    }
    let skipped = story
        .lines
        .iter()
        .filter(|line| matches!(line, Line::Fault { stage: Stage::Skipped | Stage::Indeterminate, .. }));
    finding.count("faults skipped or indeterminate", skipped.count());
}

/// What a workload is there for and did not come to, in words.
fn lacking(story: &Story<'_>, workload: Workload) -> Vec<String> {
    let own: Vec<&Operation<'_>> = story.operations.iter().filter(|one| one.workload == workload).collect();
    let mut lacks: Vec<String> = needs(workload)
        .iter()
        .filter(|(_, is_met)| !own.iter().any(|one| one.outcome.is_ok() && is_met(one)))
        .map(|(what, _)| format!("no {what} was acknowledged"))
        .collect();
    if workload == Workload::Mixed {
        lacks.extend(unanswered(&own));
    }
    lacks
}

type Need = (&'static str, fn(&Operation<'_>) -> bool);

const CREATION: Need = ("creation", |one| has(one, |edit| matches!(edit, Edit::Create { .. })));
const REPLACEMENT: Need = ("update", |one| has(one, |edit| matches!(edit, Edit::Replace { .. })));
const REMOVAL: Need = ("removal", |one| has(one, |edit| matches!(edit, Edit::Remove { .. })));
const READ: Need = ("read", |one| matches!(one.action, Action::Read { .. }));
const LOCAL_READ: Need = ("read of what a node has", |one| matches!(one.action, Action::ReadLocal { .. }));
const BATCH_CREATION: Need = ("creation of several", |one| is_batch(one) && (CREATION.1)(one));
const BATCH_REPLACEMENT: Need = ("update of several", |one| is_batch(one) && (REPLACEMENT.1)(one));
const COMPOSITION: Need = ("composition", |one| matches!(one.action, Action::Call { .. }));
const MAKING: Need = ("creation under an id", |one| matches!(one.action, Action::Make { .. }));
const LOOK: Need = ("look", |one| matches!(one.action, Action::Look { .. }));

fn needs(workload: Workload) -> &'static [Need] {
    match workload {
        Workload::Register => &[CREATION, REPLACEMENT, REMOVAL, READ],
        Workload::Batch => &[BATCH_CREATION, BATCH_REPLACEMENT, REMOVAL, READ],
        Workload::Attach => &[CREATION, REMOVAL, REPLACEMENT, READ, COMPOSITION],
        Workload::Dedup => &[MAKING, LOOK],
        Workload::Session => &[CREATION, REPLACEMENT, LOCAL_READ],
        Workload::Sync => &[REPLACEMENT, READ],
        Workload::List => &[CREATION, REMOVAL],
        // Their own checkers say whether they saw enough.
        Workload::Watch | Workload::Environment | Workload::Membership | Workload::Mixed => &[],
    }
}

fn has(operation: &Operation<'_>, is: impl Fn(&Edit) -> bool) -> bool {
    matches!(operation.action, Action::Write { edits } if edits.iter().any(is))
}

fn is_batch(operation: &Operation<'_>) -> bool {
    matches!(operation.action, Action::Write { edits } if edits.len() > 1)
}

/// Methods that nobody was ever told anything about, and those that were refused every time although they can succeed.
fn unanswered(own: &[&Operation<'_>]) -> Vec<String> {
    // How often each was answered, and refused.
    let mut heard: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for one in own {
        match (one.action, one.outcome) {
            (Action::Call { rpc }, Outcome::Answered) => heard.entry(rpc).or_default().0 += 1,
            (Action::Call { rpc }, Outcome::Refused { .. }) => heard.entry(rpc).or_default().1 += 1,
            _ => {}
        }
    }
    let mut lacks = Vec::new();
    for rpc in mutating_methods() {
        match heard.get(rpc.as_str()) {
            None => lacks.push(format!("{rpc} was never answered")),
            Some((0, refused)) if !NEVER_SUCCEED.contains(&rpc.as_str()) && *refused >= REFUSALS_MAX => {
                lacks.push(format!("{rpc} was refused {refused} times, and never did anything"));
            }
            Some(_) => {}
        }
    }
    lacks
}
