//! What can be seen of every node from beside, while a run goes on: how it stands to Raft, the digest of its
//! state, what its process takes. Judging is in `checker`, hurting in `nemesis`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openshell_client::methods;
use openshell_proto::cluster::GetDigestRequest;
use openshell_tests::{Api, Cluster, Metrics, Vitals};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::history::{Line, Position, Topic};
use crate::recorder::Recorder;

/// Digests are compared where two nodes were asked at one revision, so they are asked often.
const DIGEST_PACE: Duration = Duration::from_millis(50);
const RAFT_PACE: Duration = Duration::from_millis(200);
const RESOURCES_PACE: Duration = Duration::from_secs(1);
/// A node that does not answer is asked again.
const LIMIT: Duration = Duration::from_secs(1);

/// Looks at every node until it is dropped.
pub(crate) struct Observer {
    _looking: JoinSet<()>,
}

impl Observer {
    /// Begins.
    pub(crate) fn start(cluster: &Cluster, recorder: &Arc<Recorder>) -> Self {
        let mut looking = JoinSet::new();
        for gateway in cluster.gateways() {
            let (api, vitals) = (gateway.api().once().deadline(LIMIT), gateway.vitals());
            looking.spawn(digests(gateway.id(), api, Arc::clone(recorder)));
            looking.spawn(standing(vitals.clone(), Arc::clone(recorder)));
            looking.spawn(resources(vitals, Arc::clone(recorder)));
        }
        Self { _looking: looking }
    }
}

fn every(pace: Duration) -> Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn digests(node: u64, api: Api, recorder: Arc<Recorder>) {
    let mut ticks = every(DIGEST_PACE);
    loop {
        ticks.tick().await;
        let Ok(answer) = api.call(&methods::GET_DIGEST, GetDigestRequest {}).await else { continue };
        let digest: String = answer.message.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        recorder.add(Line::Fact {
            time_ns: recorder.now_ns(),
            node,
            topic: Topic::Digest,
            subject: "state".to_owned(),
            at: Position { epoch: answer.message.epoch, revision: answer.message.revision },
            values: BTreeMap::from([("digest".to_owned(), digest)]),
        });
    }
}

async fn standing(vitals: Vitals, recorder: Arc<Recorder>) {
    let mut ticks = every(RAFT_PACE);
    loop {
        ticks.tick().await;
        // The node is another one when it was replaced, and for Raft they have nothing in common.
        let (process, node) = (vitals.process(), vitals.node());
        let Some(metrics) = vitals.metrics().await else { continue };
        // An answer of a life that has ended meanwhile belongs to none.
        if (vitals.process(), vitals.node()) == (process, node) {
            recorder.add(raft_line(node, process, recorder.now_ns(), &metrics));
        }
    }
}

/// The gauges of how a node stands to Raft: its term and that on disk, leader, committed and applied.
const GAUGES: [&str; 5] = [
    "openshell_raft_term",
    "openshell_raft_saved_term",
    "openshell_raft_leader",
    "openshell_raft_committed_revision",
    "openshell_raft_applied_revision",
];

/// What a page says, all of it: in the place of a gauge that lacks, no number is right.
pub(crate) fn raft_line(node: u64, process: u32, time_ns: u64, metrics: &Metrics) -> Line {
    let numbers = GAUGES.map(|name| metrics.sum(name).and_then(whole));
    match numbers {
        [Some(term), Some(saved), Some(leader), Some(committed), Some(applied)] => {
            Line::Raft { time_ns, node, process, term, saved, leader, committed, applied }
        }
        _ => {
            let lacks = GAUGES.iter().zip(numbers).filter(|(_, number)| number.is_none());
            Line::Unmeasured { time_ns, node, lacks: lacks.map(|(name, _)| (*name).to_owned()).collect() }
        }
    }
}

/// A gauge that counts: no number of a run comes near those that a float cannot hold.
fn whole(value: f64) -> Option<u64> {
    format!("{value:.0}").parse().ok()
}

async fn resources(vitals: Vitals, recorder: Arc<Recorder>) {
    let mut ticks = every(RESOURCES_PACE);
    loop {
        ticks.tick().await;
        let process = vitals.process();
        if let Some((resident_bytes, descriptors)) = vitals.resident_bytes().zip(vitals.descriptors()) {
            let time_ns = recorder.now_ns();
            recorder.add(Line::Resources { time_ns, node: vitals.id, process, resident_bytes, descriptors });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_that_lacks_is_no_zero() {
        let Line::Unmeasured { node: 1, lacks, .. } = raft_line(1, 7, 5, &Metrics::default()) else {
            panic!("a page without gauges was taken for one of a node that stands at zero");
        };
        assert_eq!(lacks, GAUGES);
    }
}
