//! What sandboxes report about their network activity: counted by the node that was told, and kept
//! nowhere else.

use std::sync::atomic::{AtomicU64, Ordering};

use openshell_proto::v1::{NetworkActivitySummary, SubmitPolicyAnalysisRequest};

use crate::grpc::Complete;

/// Counts since the node started.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    network: AtomicU64,
    denied: AtomicU64,
}

/// The counts at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActivityCounts {
    /// Network activities.
    pub(crate) network: u64,
    /// Actions that were denied.
    pub(crate) denied: u64,
}

impl Activity {
    fn add(&self, summaries: &[NetworkActivitySummary]) {
        let sum = |count: fn(&NetworkActivitySummary) -> u32| summaries.iter().map(|one| u64::from(count(one))).sum();
        self.network.fetch_add(sum(|one| one.network_activity_count), Ordering::Relaxed);
        self.denied.fetch_add(sum(|one| one.denied_action_count), Ordering::Relaxed);
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> ActivityCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ActivityCounts { network: read(&self.network), denied: read(&self.denied) }
    }
}

/// The end of `SubmitPolicyAnalysis`: a report of nothing but activity is counted once it was accepted
/// (`config.md` DC-2). The answer stays as it is.
pub(crate) fn counted(request: SubmitPolicyAnalysisRequest) -> Option<Complete> {
    let only_activity = request.proposed_chunks.is_empty() && !request.network_activity_summaries.is_empty();
    only_activity.then(|| -> Complete {
        Box::new(move |gateway, _, reply| {
            gateway.sandboxes.activity.add(&request.network_activity_summaries);
            Ok(reply)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dc_2_activity_is_summed_up() {
        let activity = Activity::default();
        let summary = |network_activity_count, denied_action_count| NetworkActivitySummary {
            network_activity_count,
            denied_action_count,
            ..NetworkActivitySummary::default()
        };
        activity.add(&[summary(u32::MAX, 1), summary(2, 3)]);
        assert_eq!(activity.counts(), ActivityCounts { network: u64::from(u32::MAX) + 2, denied: 4 });
    }

    #[test]
    fn dc_2_only_reports_without_proposals_are_counted() {
        let told = vec![NetworkActivitySummary::default()];
        let activity = SubmitPolicyAnalysisRequest { network_activity_summaries: told, ..Default::default() };
        assert!(counted(activity.clone()).is_some());
        assert!(counted(SubmitPolicyAnalysisRequest::default()).is_none());
        assert!(
            counted(SubmitPolicyAnalysisRequest { proposed_chunks: vec![Default::default()], ..activity }).is_none()
        );
    }
}
