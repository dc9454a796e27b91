//! Whether a leader still has its majority. openraft never makes a leader step down that hears of
//! nobody: what it took into its log before its lease ended waits for ever, and what comes later is
//! turned away. Callers of such a node should hear so and go elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openraft::{Instant as _, RaftMetrics, ServerState};
use openshell_store::TypeConfig;
use tokio::time::{Instant, sleep};

use crate::call::Unavailable;
use crate::node::Node;

/// Since when this node leads.
#[derive(Debug, Default)]
pub(crate) struct Tenure(Mutex<Option<(u64, Instant)>>);

impl Tenure {
    /// Notes the term that this node leads in; nothing while it does not lead.
    pub(crate) fn note(&self, term: Option<u64>, now: Instant) {
        let mut led = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if led.map(|(term, _)| term) != term {
            *led = term.map(|term| (term, now));
        }
    }

    /// How long it has led in this term; no time when that is not noted yet.
    fn length(&self, term: u64, now: Instant) -> Duration {
        let led = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        led.filter(|(led, _)| *led == term).map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since))
    }
}

/// The term that the node leads in, as Raft sees it.
pub(crate) fn term_led(metrics: &RaftMetrics<TypeConfig>) -> Option<u64> {
    let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
    leads.then_some(metrics.current_term)
}

impl Node {
    /// For how long this leader has heard of no majority; nothing on a node that does not lead. A
    /// new leader counts from its election: before that, nobody had anything to answer.
    fn silence(&self) -> Option<Duration> {
        let metrics = self.metrics();
        let term = term_led(&metrics)?;
        if metrics.membership_config.voter_ids().eq([self.id]) {
            // A quorum of one is always there.
            return Some(Duration::ZERO);
        }
        let led = self.tenure.length(term, Instant::now());
        Some(metrics.last_quorum_acked.map_or(led, |acked| led.min(acked.elapsed())))
    }

    /// Why nothing comes of calls to this node, when it leads and has heard of no majority for
    /// longer than an election takes. While nobody leads, and at a follower, there is none: calls
    /// are held until there is a leader.
    pub(crate) fn quorum_lost(&self) -> Option<Unavailable> {
        let limit = self.pace.ready_age_max();
        self.silence().filter(|silence| *silence > limit).map(|_| Unavailable::not_done(self.lost(), None))
    }

    /// Ends, with why, once this node leads and has heard of no majority for so long. The first look
    /// is after that time, so that a wait that is shorter costs nothing.
    pub(crate) async fn until_quorum_lost(&self) -> String {
        let limit = self.pace.ready_age_max();
        let mut pause = limit;
        loop {
            sleep(pause).await;
            pause = match self.silence() {
                Some(silence) if silence > limit => return self.lost(),
                Some(silence) => (limit - silence).max(self.pace.heartbeat),
                None => limit,
            };
        }
    }

    fn lost(&self) -> String {
        let limit = self.pace.ready_age_max().as_millis();
        format!(
            "node {} leads but has heard of no majority for more than {limit} ms; it is cut off or the others are down, \
             another node may do",
            self.id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_begins_anew_with_each_term_and_ends_with_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let tenure = Tenure::default();
        assert_eq!(tenure.length(1, at(9)), Duration::ZERO);
        tenure.note(Some(1), at(0));
        tenure.note(Some(1), at(3));
        assert_eq!(tenure.length(1, at(5)), Duration::from_secs(5));
        assert_eq!(tenure.length(2, at(5)), Duration::ZERO, "the new term is not noted yet");
        tenure.note(Some(2), at(6));
        assert_eq!(tenure.length(2, at(7)), Duration::from_secs(1));
        tenure.note(None, at(8));
        tenure.note(Some(2), at(9));
        assert_eq!(tenure.length(2, at(9)), Duration::ZERO);
    }
}
