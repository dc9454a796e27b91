//! The metrics page: gauges read at the moment of the scrape.

use std::sync::atomic::AtomicU64;

use openshell_raft::Gauges;
use openshell_state::Usage;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::grpc::Gateway;
use crate::logs::LogGauges;
use crate::sync::SessionGauges;
use crate::watch::Hub;

type Labels = Vec<(&'static str, String)>;

/// The page of this node, in the OpenMetrics text format.
pub(crate) fn page(gateway: &Gateway) -> Result<String, std::fmt::Error> {
    let (cluster, hub) = (&gateway.cluster, &gateway.hub);
    let gauges = cluster.gauges();
    let state = cluster.state();
    let mut registry = Registry::with_prefix("openshell");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("raft_term", "Raft's term", gauges.term);
    gauge("raft_saved_term", "Term of the vote on disk", gauges.saved_term);
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
    watch_gauges(&mut gauge, hub);
    session_gauges(&mut gauge, &gateway.sessions.gauges());
    let activity = gateway.sandboxes.activity.counts();
    gauge(
        "sandbox_network_activities",
        "Network activities that sandboxes reported here, since start",
        activity.network,
    );
    gauge("sandbox_denied_actions", "Denied actions that sandboxes reported here, since start", activity.denied);
    log_gauges(&mut gauge, &gateway.logs.keeper().gauges());
    let installs = *cluster.watch_installs().borrow();
    gauge("snapshot_installs", "Snapshots that replaced the state, since start", installs);
    raft_families(&mut registry, &gauges);
    answers(&mut registry, gateway.sandboxes.usage());
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What this node is to Raft, and what became of its proposals.
fn raft_families(registry: &mut Registry, gauges: &Gauges) {
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
}

/// What is kept of the answers to sandboxes.
fn answers(registry: &mut Registry, usage: [Usage; 2]) {
    let mut family = |name: &str, help: &str, value: fn(&Usage) -> u64| {
        let family = Family::<Labels, Gauge<u64, AtomicU64>>::default();
        for (answer, usage) in ["config", "environment"].into_iter().zip(&usage) {
            family.get_or_create(&vec![("answer", answer.to_owned())]).set(value(usage));
        }
        registry.register(name, help, family);
    };
    family("answers_kept", "Answers to sandboxes that are kept", |usage| usage.kept);
    family("answers_kept_bytes", "About how many bytes of memory they take", |usage| usage.bytes);
    family("answers_recalled", "Questions answered by what was kept, since start", |usage| usage.recalled);
    family("answers_composed", "Questions whose answer had to be composed, since start", |usage| usage.missed);
}

fn watch_gauges(gauge: &mut impl FnMut(&str, &str, u64), hub: &Hub) {
    let watches = hub.gauges();
    gauge("watches", "Watches of changes that go on", watches.watches);
    gauge("sandbox_watches", "Watches of single sandboxes that go on", watches.sandbox_watches);
    gauge("watch_queued_bytes", "Bytes of changes that wait for readers", watches.queued_bytes);
    gauge("watches_cut_off", "Readers that were too slow, since start", watches.cut_off);
    gauge("watches_refused", "Watches that were not taken because there were too many, since start", watches.refused);
}

fn session_gauges(gauge: &mut impl FnMut(&str, &str, u64), sessions: &SessionGauges) {
    gauge("sync_sessions", "Sandboxes that follow their configuration through this node", sessions.open);
    gauge("sync_polling", "Sandboxes that poll this node with the released API, or did lately", sessions.polling);
    gauge("sync_messages", "Configurations that were sent to sandboxes that follow, since start", sessions.messages);
    gauge("sync_reports", "Reports of sandboxes about configurations, since start", sessions.reports);
    gauge("sync_cut_off", "Streams of configurations that nobody read, since start", sessions.cut_off);
    gauge("sync_refused", "Streams that were not taken because there were too many, since start", sessions.refused);
}

fn log_gauges(gauge: &mut impl FnMut(&str, &str, u64), logs: &LogGauges) {
    gauge("log_lines", "Log lines of sandboxes that this node has received and keeps", logs.lines);
    gauge("log_bytes", "Bytes that they take", logs.bytes);
    gauge("log_lines_forgotten", "Log lines that were let go because there were too many, since start", logs.forgotten);
    gauge("log_pushes", "Streams that sandboxes push log lines through", logs.pushes);
    gauge("log_followers", "Readers that follow logs through this node", logs.followers);
    gauge("log_queued_bytes", "Bytes of log lines that wait for readers, of other nodes too", logs.queued_bytes);
    gauge("log_followers_cut_off", "Readers of logs that were too slow, since start", logs.cut_off);
}
