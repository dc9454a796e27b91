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
        let process = vitals.process();
        let Some(metrics) = vitals.metrics().await else { continue };
        // An answer of a life that has ended meanwhile belongs to none.
        if vitals.process() == process {
            recorder.add(raft_line(vitals.id, process, recorder.now_ns(), &metrics));
        }
    }
}

fn raft_line(node: u64, process: u32, time_ns: u64, metrics: &Metrics) -> Line {
    let number = |name: &str| metrics.sum(name).map_or(0, whole);
    Line::Raft {
        time_ns,
        node,
        process,
        term: number("openshell_raft_term"),
        leader: number("openshell_raft_leader"),
        committed: number("openshell_raft_committed_revision"),
        applied: number("openshell_raft_applied_revision"),
    }
}

/// A gauge that counts: no number of a run comes near those that a float cannot hold.
fn whole(value: f64) -> u64 {
    format!("{value:.0}").parse().unwrap_or_default()
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
