//! What may be wrong with the network, as rules for the bridge. Text in, text out: nothing is run.

use std::fmt::Write as _;

/// Makes the place for rules.
pub(super) const PREPARE: &str = "add table bridge faults\n";
/// The chain of cuts that replace each other.
pub(super) const ONLY: &str = "only";

/// Makes a chain, if it is not there, that passes everything on. A packet goes through all chains.
pub(super) fn empty(chain: &str) -> String {
    let hook = "{ type filter hook forward priority 0 ; policy accept ; }";
    format!("add chain bridge faults {chain} {hook}\nflush chain bridge faults {chain}\n")
}

/// Shows a chain's rules with their counters.
pub(super) fn list(chain: &str) -> String {
    format!("list chain bridge faults {chain}\n")
}

/// Shows everything.
pub(super) const LIST_ALL: &str = "list table bridge faults\n";

/// Removes a chain with its rules.
pub(super) fn remove(chain: &str) -> String {
    format!("flush chain bridge faults {chain}\ndelete chain bridge faults {chain}\n")
}

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
    /// Clients outside of the network do not reach these, whom the other nodes reach.
    Unvisited(Vec<u64>),
    /// The two nodes of each pair do not reach each other.
    Pairs(Vec<(u64, u64)>),
}

/// The bridge's port of a node.
pub(super) fn port(id: u64) -> String {
    format!("node{id}")
}

impl Cut {
    /// The transaction that makes a chain cut a network of so many nodes like this and no other way.
    pub(super) fn rules(&self, chain: &str, nodes: u64) -> String {
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
            Self::Unvisited(these) => both(these, vec![super::UPLINK.to_owned()]),
            Self::Pairs(pairs) => pairs.iter().flat_map(|(one, other)| both(&[*one], vec![port(*other)])).collect(),
        };
        let mut text = empty(chain);
        for (from, to) in ways.into_iter().filter(|(from, to)| !from.is_empty() && !to.is_empty()) {
            let _ = writeln!(
                text,
                "add rule bridge faults {chain} iifname {} oifname {} {matching}counter drop",
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

/// The chains in a listing of everything that stop something.
pub(super) fn cutting(listed: &str) -> Vec<String> {
    let mut cutting = Vec::new();
    let mut chain = None;
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            chain = Some(name);
        } else if line.ends_with(" drop") {
            cutting.extend(chain.take().map(str::to_owned));
        }
    }
    cutting
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules alone, without how they begin.
    fn rules(cut: &Cut, nodes: u64) -> Vec<String> {
        let text = cut.rules("only", nodes);
        let rules = text.strip_prefix(&empty("only")).expect("a chain is emptied in the same transaction");
        rules
            .lines()
            .map(|line| line.strip_prefix("add rule bridge faults only ").expect("a rule").to_owned())
            .collect()
    }

    #[test]
    fn a_cut_replaces_the_one_before_in_one_transaction() {
        assert_eq!(
            rules(&Cut::Apart(vec![2]), 3),
            [
                r#"iifname { "node2" } oifname { "node1", "node3" } counter drop"#,
                r#"iifname { "node1", "node3" } oifname { "node2" } counter drop"#,
            ]
        );
    }

    #[test]
    fn a_one_way_cut_has_one_rule_and_the_right_direction() {
        let deaf = rules(&Cut::Deaf(vec![1]), 2);
        assert_eq!(deaf, ["iifname { \"node2\" } oifname { \"node1\" } counter drop"]);
        let mute = rules(&Cut::Mute(vec![1]), 2);
        assert_eq!(mute, ["iifname { \"node1\" } oifname { \"node2\" } counter drop"]);
    }

    #[test]
    fn clients_are_cut_off_only_where_it_says_so() {
        assert!(Cut::Gone(vec![1]).rules("only", 3).contains("uplink"));
        for cut in [Cut::Apart(vec![1]), Cut::Deaf(vec![1]), Cut::Lossy(vec![1], 20), Cut::Scattered] {
            assert!(!cut.rules("only", 3).contains("uplink"), "{cut:?}");
        }
        assert_eq!(
            rules(&Cut::Unvisited(vec![1]), 3),
            [
                "iifname { \"node1\" } oifname { \"uplink\" } counter drop",
                "iifname { \"uplink\" } oifname { \"node1\" } counter drop",
            ]
        );
    }

    #[test]
    fn the_two_of_a_pair_are_cut_off_from_each_other_and_from_nobody_else() {
        let pairs = rules(&Cut::Pairs(vec![(1, 3)]), 3);
        assert_eq!(
            pairs,
            [
                "iifname { \"node1\" } oifname { \"node3\" } counter drop",
                "iifname { \"node3\" } oifname { \"node1\" } counter drop",
            ]
        );
    }

    #[test]
    fn nobody_is_cut_from_nobody() {
        assert_eq!(Cut::Apart(vec![1, 2, 3]).rules("only", 3), empty("only"));
    }

    #[test]
    fn a_chain_without_rules_cuts_nothing() {
        let chain = |name: &str, rules: &str| {
            format!("\tchain {name} {{\n\t\ttype filter hook forward priority 0; policy accept;\n{rules}\t}}\n")
        };
        let rule = "\t\tiifname \"node1\" oifname { \"node2\", \"node3\" } counter packets 0 bytes 0 drop\n";
        let chains = [chain("only", ""), chain("f3", &rule.repeat(2)), chain("f12", "")].join("\n");
        assert_eq!(cutting(&format!("table bridge faults {{\n{chains}}}\n")), ["f3"]);
    }

    #[test]
    fn counters_are_added() {
        let listed = "iifname \"a\" counter packets 7 bytes 420 drop\n oifname \"b\" counter packets 5 bytes 1 drop";
        assert_eq!(packets_stopped(listed), 12);
    }
}
