//! What became of the targets of a plan: whom each fault hit, as the history of its run says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Plan, Planned};
use crate::history::{Line, Stage};

impl Plan {
    /// The same plan, each fault of which hits whom it hit in a run of this history. One that was skipped there stays
    /// open, and of one that was tried again the first attempt counts.
    pub(crate) fn resolved(&self, history: &[Line]) -> Self {
        let mut nodes: BTreeMap<u64, &Vec<u64>> = BTreeMap::new();
        for line in history {
            if let Line::Fault { number, nodes: hit, stage: Stage::Begun, .. } = line {
                nodes.entry(*number).or_insert(hit);
            }
        }
        let resolve = |fault: &Planned| {
            let nodes = nodes.get(&fault.number).map_or_else(|| fault.nodes.clone(), |nodes| nodes.to_vec());
            Planned { nodes, ..fault.clone() }
        };
        Self { faults: self.faults.iter().map(resolve).collect(), ..self.clone() }
    }
}

/// The nodes that faults of such kinds hit, or may have hit.
pub(crate) fn hit_by(history: &[Line], is: impl Fn(Kind) -> bool) -> BTreeSet<u64> {
    let is_such = |name: &str| Kind::of_name(name).is_some_and(&is);
    let of_line = |line: &Line| match line {
        Line::Fault { kind, nodes, stage: Stage::Begun, .. } if is_such(kind) => nodes.clone(),
        _ => Vec::new(),
    };
    history.iter().flat_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, Target};
    use super::*;

    fn fault(number: u64, kind: Kind, nodes: &[u64], stage: Stage) -> Line {
        let (kind, nodes) = (kind.name().to_owned(), nodes.to_vec());
        Line::Fault { time_ns: number, number, kind, nodes, stage, said: String::new() }
    }

    #[test]
    fn a_plan_that_was_carried_out_names_those_that_were_hit() {
        let planned = |number, target| {
            let (at_ms, kind, nodes) = (number * 1_000, Kind::Kill, Vec::new());
            Planned { number, at_ms, lasts_ms: 100, kind, target, nodes, amount: 0, choice: 0 }
        };
        let targets = [(0, Target::Leader), (1, Target::Pair), (2, Target::Leader)];
        let faults = targets.map(|(number, target)| planned(number, target)).to_vec();
        let plan = Plan { mode: Mode::Brutal, faults, ..Plan::calm(7, 3, 10) };
        let history = [
            fault(0, Kind::Kill, &[3], Stage::Begun),
            fault(0, Kind::Kill, &[3], Stage::Installed),
            fault(1, Kind::Kill, &[1, 2], Stage::Begun),
            fault(2, Kind::Kill, &[], Stage::Skipped),
            // Another attempt of fault 2 has a number of its own.
            fault(3, Kind::Kill, &[2], Stage::Begun),
        ];
        let resolved = plan.resolved(&history);
        let nodes: Vec<&[u64]> = resolved.faults.iter().map(|fault| fault.nodes.as_slice()).collect();
        assert_eq!(nodes, [&[3][..], &[1, 2], &[]]);
        assert_eq!(resolved.resolved(&[]), resolved, "what is known stays");
        assert_eq!(serde_json::from_str::<Plan>(&resolved.to_text().unwrap()).unwrap(), resolved);
    }

    #[test]
    fn only_those_whose_files_failed_may_speak_of_it() {
        let history = [
            fault(0, Kind::Kill, &[1, 2], Stage::Begun),
            fault(1, Kind::FullDisk, &[], Stage::Skipped),
            fault(2, Kind::DiskError, &[3], Stage::Begun),
            fault(2, Kind::DiskError, &[3], Stage::Indeterminate),
        ];
        assert_eq!(hit_by(&history, Kind::fails_calls), BTreeSet::from([3]));
        assert!(hit_by(&history[..2], Kind::fails_calls).is_empty());
    }
}
