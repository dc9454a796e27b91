//! Whether what was seen can be explained. Each checker looks at one promise and shares nothing with the
//! others; two of them, the search (`linear`) and the certificate, look at the same one, and must agree.

mod agreement;
mod availability;
mod certificate;
mod composition;
mod coverage;
mod crash;
mod dedup;
mod doubt;
mod durability;
mod environment;
mod events;
mod findings;
mod followers;
mod hurt;
mod last_reads;
pub(crate) mod leak;
mod linear;
mod membership;
mod model;
mod parallel;
mod raft;
mod search;
mod session;
mod sync;
mod watch;
mod windows;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::history::{Line, Story, Topic};
use crate::workload::Workload;

pub(crate) use availability::Limits;
pub(crate) use coverage::Required;
pub(crate) use crash::suspicious;
pub(crate) use findings::{Evidence, Finding, Findings, Verdict};
pub(crate) use search::Budget;

/// What a run must have come to beside its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expectations {
    /// Those that ran.
    pub(crate) workloads: Vec<Workload>,
    /// How many nodes there were, whose logs were read; 0 when nobody was there to read them.
    pub(crate) nodes: u64,
    /// Faults that must have been felt.
    pub(crate) required: Vec<Required>,
    /// Fewer changes of the leader than this prove too little.
    pub(crate) leader_changes_min: usize,
    /// Fewer acknowledged changes than this prove too little.
    pub(crate) acknowledged_min: usize,
    /// What the cluster must hold to while there is no fault; none where that does not count.
    pub(crate) limits: Option<Limits>,
    /// Of the search.
    pub(crate) budget: Budget,
}

/// Looks at a history in every way that its workloads ask for.
///
/// # Errors
/// When it contradicts itself, so that it is none.
pub(crate) fn judge(lines: &[Line], expected: &Expectations) -> anyhow::Result<Findings> {
    let story = Story::of(lines)?;
    let has = |workload| expected.workloads.contains(&workload);
    let mut search = linear::check(&story, expected.budget);
    let certificate = certificate::check(&story);
    agree(&certificate, &mut search);
    let (durability, last_reads) = (durability::check(&story), last_reads::check(&story));
    let mut all = vec![certificate, search, durability, last_reads, agreement::check(&story, Topic::Digest)];
    for (workload, check) in [
        (Workload::Watch, watch::check as fn(&Story<'_>) -> Finding),
        (Workload::Dedup, dedup::check),
        (Workload::Session, session::check),
        (Workload::Sync, sync::check),
        (Workload::Membership, membership::check),
        (Workload::List, |story| agreement::check(story, Topic::List)),
        (Workload::Environment, environment::check),
    ] {
        if has(workload) {
            all.push(check(&story));
        }
    }
    if has(Workload::Attach) || has(Workload::Mixed) {
        all.push(composition::check(&story));
    }
    let mut raft = raft::check(&story, expected.nodes);
    let changes = usize::try_from(raft.counts.get("leader changes").copied().unwrap_or_default()).unwrap_or(usize::MAX);
    raft.at_least("leader changes", changes, expected.leader_changes_min);
    all.push(raft);
    all.extend(expected.limits.map(|limits| availability::check(&story, limits, expected.nodes)));
    all.push(crash::check(&story, expected.nodes));
    all.push(coverage::check(&story, &expected.workloads, &expected.required, expected.acknowledged_min));
    Ok(Findings(all))
}

/// A certificate is a proof: where there is one, a search that finds no order is broken.
fn agree(certificate: &Finding, search: &mut Finding) {
    if certificate.verdict == Verdict::Passed && search.verdict == Verdict::Violated {
        search.said.push("a checker is broken: the certificate is a proof, and the search found no order".to_owned());
    }
}
