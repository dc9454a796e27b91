//! Who led, and in which term, as each node said it: a lane a node. Where a node said nothing, its lane is empty.

use std::collections::BTreeMap;

use super::faults::{self, Band};
use super::latency::seconds;
use super::svg::{Anchor, Area, Scale, Svg};
use crate::history::Line;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 14.0;
const LANE: f64 = 26.0;
/// A node that said nothing for longer than this, in seconds, was not there in between.
const SILENCE: f64 = 1.0;
/// Classes of leaders; ids beyond share them.
const COLOURS: u64 = 6;

/// For how long a node said the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reign {
    from: f64,
    until: f64,
    term: u64,
    /// 0 is none.
    leader: u64,
}

/// What each node said, by its id.
fn reigns(lines: &[Line]) -> BTreeMap<u64, Vec<Reign>> {
    let mut nodes: BTreeMap<u64, Vec<Reign>> = BTreeMap::new();
    for line in lines {
        let Line::Raft { time_ns, node, term, leader, .. } = line else { continue };
        let (at, term, leader) = (seconds(*time_ns), *term, *leader);
        let reigns = nodes.entry(*node).or_default();
        let last = reigns.last_mut().filter(|last| at - last.until <= SILENCE);
        let is_same = last.as_ref().is_some_and(|last| (last.term, last.leader) == (term, leader));
        if let Some(last) = last {
            last.until = at;
        }
        if !is_same {
            reigns.push(Reign { from: at, until: at, term, leader });
        }
    }
    nodes
}

/// The strip; nothing when no node said anything.
pub(super) fn strip(lines: &[Line], bands: &[Band], end: f64) -> Option<String> {
    let nodes = reigns(lines);
    if nodes.is_empty() {
        return None;
    }
    let height = LANE * nodes.len() as f64;
    let mut svg = Svg::new(WIDTH, TOP + height + 24.0);
    let across = Scale::linear((0.0, end), (LEFT, WIDTH - 15.0));
    let area = Area { left: LEFT, top: TOP - 6.0, width: WIDTH - 15.0 - LEFT, height: height + 6.0 };
    faults::draw(&mut svg, area, &across, bands);
    for (index, (node, reigns)) in nodes.iter().enumerate() {
        let top = TOP + LANE * index as f64;
        svg.text(LEFT - 6.0, top + 14.0, Anchor::End, "caption", &format!("node {node}"));
        for reign in reigns {
            let left = across.place(reign.from);
            let width = (across.place(reign.until) - left).max(1.0);
            let place = Area { left, top: top + 3.0, width, height: LANE - 8.0 };
            svg.rectangle(place, &class(*node, reign.leader), &words(*node, *reign));
            // Where there is room for a number.
            if width > 24.0 {
                svg.text(left + 3.0, top + 15.0, Anchor::Start, "label", &reign.term.to_string());
            }
        }
    }
    for tick in across.ticks() {
        svg.text(across.place(tick), TOP + height + 14.0, Anchor::Middle, "tick", &super::svg::number(tick));
    }
    Some(svg.finish())
}

/// Each leader has a colour, and is drawn in full where it leads itself.
fn class(node: u64, leader: u64) -> String {
    match leader {
        0 => "reign none".to_owned(),
        leader if leader == node => format!("reign leader{} self", leader % COLOURS),
        leader => format!("reign leader{}", leader % COLOURS),
    }
}

fn words(node: u64, reign: Reign) -> String {
    let Reign { term, leader, .. } = reign;
    match leader {
        0 => format!("node {node} knows no leader in term {term}"),
        leader if leader == node => format!("node {node} leads in term {term}"),
        leader => format!("node {node} follows node {leader} in term {term}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raft(milliseconds: u64, node: u64, term: u64, leader: u64) -> Line {
        let time_ns = milliseconds * 1_000_000;
        Line::Raft { time_ns, node, process: 1, term, saved: term, leader, committed: 0, applied: 0 }
    }

    #[test]
    fn what_a_node_says_again_is_one_reign_and_what_it_says_anew_another() {
        let lines = [raft(0, 1, 1, 1), raft(200, 1, 1, 1), raft(400, 1, 2, 0), raft(600, 1, 2, 3)];
        let reign = |from, until, term, leader| Reign { from, until, term, leader };
        let expected = [reign(0.0, 0.4, 1, 1), reign(0.4, 0.6, 2, 0), reign(0.6, 0.6, 2, 3)];
        assert_eq!(reigns(&lines)[&1], expected);
    }

    #[test]
    fn a_node_that_was_silent_was_not_there() {
        let lines = [raft(0, 2, 1, 1), raft(500, 2, 1, 1), raft(5_000, 2, 1, 1)];
        let places: Vec<_> = reigns(&lines)[&2].iter().map(|reign| (reign.from, reign.until)).collect();
        assert_eq!(places, [(0.0, 0.5), (5.0, 5.0)]);
    }

    #[test]
    fn each_node_has_a_lane_and_leaders_are_told_apart() {
        let drawn = strip(&[raft(0, 1, 4, 1), raft(0, 2, 4, 1), raft(0, 3, 4, 0)], &[], 10.0).expect("a strip");
        assert!(drawn.contains("class=\"reign leader1 self\"><title>node 1 leads in term 4"), "{drawn}");
        assert!(drawn.contains("class=\"reign leader1\"><title>node 2 follows node 1 in term 4"), "{drawn}");
        assert!(drawn.contains("class=\"reign none\"><title>node 3 knows no leader in term 4"), "{drawn}");
        assert_eq!(strip(&[], &[], 10.0), None);
    }
}
