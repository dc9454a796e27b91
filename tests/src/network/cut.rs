//! What may be wrong with the network, as rules for the bridge. Text in, text out: nothing is run.

use std::fmt::Write as _;

/// Makes the place for rules.
pub(super) const PREPARE: &str = "add table bridge faults\nadd chain bridge faults forward { type filter hook forward priority 0 ; policy accept ; }\n";
/// Removes every rule.
pub(super) const HEAL: &str = "flush chain bridge faults forward\n";
/// Shows the rules with their counters.
pub(super) const LIST: &str = "list chain bridge faults forward\n";

/// What a bridge does not pass on. Nodes are named by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// These and the others do not reach each other.
    Apart(Vec<u64>),
    /// These do not hear the others, who hear them.
    Deaf(Vec<u64>),
    /// These are not heard by the others, whom they hear.
    Mute(Vec<u64>),
    /// Of what passes between these and the others, so many in a hundred are lost.
    Lossy(Vec<u64>, u8),
    /// No node reaches another.
    Scattered,
    /// As [`Cut::Apart`], and clients outside of the network do not reach these either.
    Gone(Vec<u64>),
}

/// The bridge's port of a node.
pub(super) fn port(id: u64) -> String {
    format!("node{id}")
}

impl Cut {
    /// The transaction that makes a network of so many nodes be cut like this and no other way.
    pub(super) fn rules(&self, nodes: u64) -> String {
        let others =
            |these: &[u64]| -> Vec<String> { (1..=nodes).filter(|id| !these.contains(id)).map(port).collect() };
        let ports = |these: &[u64]| -> Vec<String> { these.iter().copied().map(port).collect() };
        let both = |these: &[u64], others: Vec<String>| {
            let these = ports(these);
            vec![(these.clone(), others.clone()), (others, these)]
        };
        let mut matching = "";
        let lossy;
        let ways = match self {
            Self::Apart(these) => both(these, others(these)),
            Self::Deaf(these) => vec![(others(these), ports(these))],
            Self::Mute(these) => vec![(ports(these), others(these))],
            Self::Lossy(these, percent) => {
                lossy = format!("numgen random mod 100 < {percent} ");
                matching = &lossy;
                both(these, others(these))
            }
            Self::Scattered => {
                let all: Vec<String> = (1..=nodes).map(port).collect();
                vec![(all.clone(), all)]
            }
            Self::Gone(these) => both(these, others(these).into_iter().chain([super::UPLINK.to_owned()]).collect()),
        };
        let mut text = HEAL.to_owned();
        for (from, to) in ways.into_iter().filter(|(from, to)| !from.is_empty() && !to.is_empty()) {
            let _ = writeln!(
                text,
                "add rule bridge faults forward iifname {} oifname {} {matching}counter drop",
                set(&from),
                set(&to)
            );
        }
        text
    }
}

fn set(ports: &[String]) -> String {
    let quoted: Vec<String> = ports.iter().map(|port| format!("\"{port}\"")).collect();
    format!("{{ {} }}", quoted.join(", "))
}

/// The sum of the counters in a listing.
pub(super) fn packets_stopped(listed: &str) -> u64 {
    let words: Vec<&str> = listed.split_whitespace().collect();
    let counters = words.windows(2).filter(|pair| pair[0] == "packets");
    counters.filter_map(|pair| pair[1].parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_replaces_the_one_before_in_one_transaction() {
        let rules = Cut::Apart(vec![2]).rules(3);
        let lines: Vec<&str> = rules.lines().collect();
        assert_eq!(
            lines,
            [
                "flush chain bridge faults forward",
                r#"add rule bridge faults forward iifname { "node2" } oifname { "node1", "node3" } counter drop"#,
                r#"add rule bridge faults forward iifname { "node1", "node3" } oifname { "node2" } counter drop"#,
            ]
        );
    }

    #[test]
    fn a_one_way_cut_has_one_rule_and_the_right_direction() {
        let deaf = Cut::Deaf(vec![1]).rules(2);
        assert!(deaf.ends_with("iifname { \"node2\" } oifname { \"node1\" } counter drop\n"), "{deaf}");
        let mute = Cut::Mute(vec![1]).rules(2);
        assert!(mute.ends_with("iifname { \"node1\" } oifname { \"node2\" } counter drop\n"), "{mute}");
        assert_eq!(mute.lines().count(), 2);
    }

    #[test]
    fn clients_are_cut_off_only_where_it_says_so() {
        assert!(Cut::Gone(vec![1]).rules(3).contains("uplink"));
        for cut in [Cut::Apart(vec![1]), Cut::Deaf(vec![1]), Cut::Lossy(vec![1], 20), Cut::Scattered] {
            assert!(!cut.rules(3).contains("uplink"), "{cut:?}");
        }
    }

    #[test]
    fn nobody_is_cut_from_nobody() {
        assert_eq!(Cut::Apart(vec![1, 2, 3]).rules(3), HEAL);
    }

    #[test]
    fn counters_are_added() {
        let listed = "iifname \"a\" counter packets 7 bytes 420 drop\n oifname \"b\" counter packets 5 bytes 1 drop";
        assert_eq!(packets_stopped(listed), 12);
    }
}
