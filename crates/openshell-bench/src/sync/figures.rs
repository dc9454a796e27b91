//! What was measured of those who follow, for people and for scripts: each figure with what it is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::times::{Times, ms};

const APPLIED: &str = "from the answer to the update at its caller until the last of them has the answer of the node \
                       that it follows to its report that this is in force; GetRollout counts all of them as applied \
                       then";
const FAILOVER: &str = "each sandbox that followed the killed node, from the kill -9 until another node has said that \
                        what it has is what the cluster has; the nodes are killed in turn, the leader among them";
const MEMORY: &str = "what the resident memory of the three nodes grew by from their start until all had been current \
                      for a while, by the number of sandboxes, each of which follows one node; with the answers that \
                      nodes keep";
const IDLE: &str = "the three nodes together while no record changes: heartbeats, reports, and what nodes say to each \
                    other";

/// All of it.
pub(crate) struct Figures {
    /// How many follow, and how many of them use the first profile.
    pub(super) clients: u16,
    pub(super) using: u16,
    /// Where their state directories are, and on what.
    pub(super) place: String,
    /// Until all were current.
    pub(super) start: Duration,
    pub(super) some: Times,
    pub(super) everyone: Times,
    pub(super) failover: Times,
    /// For each of them.
    pub(super) memory_kib: f64,
    pub(super) processor_percent: f64,
}

impl Figures {
    /// A line a figure, with what it is below.
    pub(crate) fn text(&self) -> String {
        let Self { clients, using, place, .. } = self;
        let applied = |count: &u16| format!("update acknowledged to applied at all {count} of {clients}");
        [
            format!("{clients} sandboxes follow, {using} of them use the one profile, all the other"),
            format!("their state directories: {place}"),
            format!("all of them started and current: {:.0} ms", ms(self.start)),
            self.some.line(&applied(using)),
            self.everyone.line(&applied(clients)),
            indented(APPLIED),
            self.failover.line("killed node to current again"),
            indented(FAILOVER),
            format!("memory of a gateway for each connected sandbox: {:.1} KiB", self.memory_kib),
            indented(MEMORY),
            format!("processor time of an idle cluster: {:.1}% of one core", self.processor_percent),
            indented(IDLE),
        ]
        .join("\n")
    }

    /// The same as one JSON object.
    pub(crate) fn json(&self) -> String {
        let applied =
            |count: u16, times: &Times| with(times.json(), json!({ "sandboxes": count, "measured": APPLIED }));
        let figures = json!({
            "sandboxes": self.clients,
            "state_directories": self.place,
            "start_ms": ms(self.start),
            "applied": [applied(self.using, &self.some), applied(self.clients, &self.everyone)],
            "failover": with(self.failover.json(), json!({ "measured": FAILOVER })),
            "memory_of_a_sandbox": { "kib": self.memory_kib, "measured": MEMORY },
            "idle_processor_time": { "percent_of_one_core": self.processor_percent, "measured": IDLE },
        });
        format!("{figures:#}")
    }
}

fn indented(what: &str) -> String {
    format!("    ({what})")
}

/// One object of two.
fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_scripts_read_the_same_figures() {
        let mut some = Times::default();
        (1..=100).for_each(|ms| some.add(Duration::from_millis(ms)));
        let mut everyone = Times::default();
        everyone.add(Duration::from_millis(400));
        let figures = Figures {
            clients: 1000,
            using: 100,
            place: "/shm/x (tmpfs)".to_owned(),
            start: Duration::from_millis(2_500),
            failover: everyone.clone(),
            some,
            everyone,
            memory_kib: 21.5,
            processor_percent: 3.5,
        };
        let text = figures.text();
        for told in ["at all 100 of 1000, 100 runs", "p50 50.0 ms", "p99 99.0 ms", "21.5 KiB", "3.5% of one core"] {
            assert!(text.contains(told), "{told} in {text}");
        }
        let read: Value = serde_json::from_str(&figures.json()).expect("JSON");
        let of = |path: &str| read.pointer(path).and_then(Value::as_f64);
        assert_eq!((of("/applied/0/sandboxes"), of("/applied/0/p99_ms")), (Some(100.0), Some(99.0)));
        assert_eq!((of("/applied/1/sandboxes"), of("/applied/1/maximum_ms")), (Some(1000.0), Some(400.0)));
        assert_eq!((of("/failover/runs"), of("/memory_of_a_sandbox/kib")), (Some(1.0), Some(21.5)));
        assert!(read["applied"][0]["measured"].as_str().is_some_and(|measured| measured.contains("report")));
    }
}
