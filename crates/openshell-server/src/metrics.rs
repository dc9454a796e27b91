//! The metrics page: gauges read at the moment of the scrape.

use std::sync::atomic::AtomicU64;

use openshell_raft::Cluster;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::watch::Hub;

type Labels = Vec<(&'static str, String)>;

/// The page of this node, in the OpenMetrics text format.
pub(crate) fn page(cluster: &Cluster, hub: &Hub) -> Result<String, std::fmt::Error> {
    let gauges = cluster.gauges();
    let state = cluster.state();
    let mut registry = Registry::with_prefix("openshell");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("raft_term", "Raft's term", gauges.term);
    gauge("raft_leader", "Node id of the leader known, 0 for none", gauges.leader.unwrap_or(0));
    gauge("raft_committed_revision", "Newest revision known to be committed", gauges.committed);
    gauge("raft_applied_revision", "Newest revision applied on this node", gauges.applied);
    gauge(
        "raft_commit_lag",
        "Log entries that are not known to be committed",
        gauges.last_log_index.saturating_sub(gauges.committed),
    );
    gauge(
        "raft_apply_lag",
        "Committed entries that are not applied on this node",
        gauges.committed.saturating_sub(gauges.applied),
    );
    gauge("raft_purged_revision", "Newest entry that is in a snapshot only, 0 for none", gauges.purged);
    gauge("state_age_ms", "Milliseconds since this node knew that it was current", cluster.age_ms());
    let differs = cluster.doubt().is_some() || cluster.withdrawn().is_some();
    gauge(
        "state_in_doubt",
        "1 when this node withdrew, or states of nodes differ and no majority tells which is right",
        u64::from(differs),
    );
    gauge("state_records", "Records in the state", state.record_count() as u64);
    gauge("state_request_ids", "Remembered request ids", state.requests().len() as u64);
    gauge("guard_failures", "Proposals of this node that met a changed state, since start", gauges.guard_failures);
    gauge(
        "exclusive_decisions",
        "Decisions of this node that were made alone, since start",
        gauges.exclusive_decisions,
    );
    let history = cluster.history();
    gauge("history_floor_revision", "The change history is complete after this revision", history.floor());
    gauge("history_entries", "Entries of the change history", history.len() as u64);
    gauge("history_bytes", "Encoded bytes of the change history", history.bytes() as u64);
    let watches = hub.gauges();
    gauge("watches", "Watches of changes that go on", watches.watches);
    gauge("sandbox_watches", "Watches of single sandboxes that go on", watches.sandbox_watches);
    gauge("watch_queued_bytes", "Bytes of changes that wait for readers", watches.queued_bytes);
    gauge("watches_cut_off", "Readers that were too slow, since start", watches.cut_off);
    gauge("watches_refused", "Watches that were not taken because there were too many, since start", watches.refused);
    let installs = *cluster.watch_installs().borrow();
    gauge("snapshot_installs", "Snapshots that replaced the state, since start", installs);
    let role = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    role.get_or_create(&vec![("role", gauges.role.to_owned())]).set(1);
    registry.register("raft_role", "1 for the role that this node has", role);
    let proposals = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    let counts = gauges.proposals;
    for (outcome, count) in [
        ("installed", counts.installed),
        ("repeated", counts.repeated),
        ("expired", counts.expired),
        ("mismatched", counts.mismatched),
        ("guard_failed", counts.guard_failed),
        ("unknown", counts.unknown),
        ("not_leader", counts.not_leader),
    ] {
        proposals.get_or_create(&vec![("outcome", outcome.to_owned())]).set(count);
    }
    registry.register("proposals", "Proposals of this node by what became of them, since start", proposals);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
