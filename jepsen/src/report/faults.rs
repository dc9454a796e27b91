//! The faults of a run as its history has them: when each was there, which ones never were, and why.

use std::collections::BTreeMap;

use super::latency::seconds;
use super::svg::{Area, Scale, Svg, number};
use crate::history::{Line, Stage};

/// One fault of the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fault {
    kind: String,
    nodes: Vec<u64>,
    /// When it was done, surely or not.
    from: Option<f64>,
    until: Option<f64>,
    is_installed: bool,
    is_skipped: bool,
    is_indeterminate: bool,
    /// What was said when it was done, or why it was not.
    said: String,
}

/// A fault while it lasted, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) what: String,
    /// Whether it was felt for certain.
    pub(super) is_installed: bool,
}

/// Faults of one kind, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) installed: usize,
    pub(super) skipped: usize,
    pub(super) indeterminate: usize,
    /// Why some were skipped or are not certain, and how often.
    pub(super) reasons: BTreeMap<String, usize>,
}

/// All faults that a history speaks of, in order of their numbers.
pub(super) fn faults(lines: &[Line]) -> Vec<Fault> {
    let mut faults: BTreeMap<u64, Fault> = BTreeMap::new();
    for line in lines {
        let Line::Fault { time_ns, number, kind, nodes, stage, said } = line else { continue };
        let fault = faults.entry(*number).or_default();
        let at = Some(seconds(*time_ns));
        fault.kind.clone_from(kind);
        fault.is_installed |= *stage == Stage::Installed;
        fault.is_indeterminate |= *stage == Stage::Indeterminate;
        fault.is_skipped |= *stage == Stage::Skipped;
        if *stage == Stage::Healed {
            fault.until = at;
            continue;
        }
        fault.nodes.clone_from(nodes);
        fault.said.clone_from(said);
        if *stage != Stage::Skipped {
            fault.from = fault.from.or(at);
        }
        if *stage == Stage::Indeterminate {
            // What is not certain is undone at once.
            fault.until = fault.until.or(at);
        }
    }
    faults.into_values().collect()
}

/// Those that were there; one that was never healed was there to the end.
pub(super) fn bands(faults: &[Fault], end: f64) -> Vec<Band> {
    let band = |fault: &Fault| {
        let nodes: Vec<String> = fault.nodes.iter().map(ToString::to_string).collect();
        Some(Band {
            from: fault.from?,
            until: fault.until.unwrap_or(end),
            what: format!("{} {}", fault.kind, nodes.join(", ")).trim_end().to_owned(),
            is_installed: fault.is_installed && !fault.is_indeterminate,
        })
    };
    faults.iter().filter_map(band).collect()
}

/// Counts by kind.
pub(super) fn coverage(faults: &[Fault]) -> BTreeMap<&str, Coverage> {
    let mut kinds: BTreeMap<&str, Coverage> = BTreeMap::new();
    for fault in faults {
        let coverage = kinds.entry(&fault.kind).or_default();
        // What turned out not to be certain is no fault that was felt.
        coverage.installed += usize::from(fault.is_installed && !fault.is_indeterminate);
        coverage.skipped += usize::from(fault.is_skipped);
        coverage.indeterminate += usize::from(fault.is_indeterminate);
        if fault.is_skipped || fault.is_indeterminate {
            *coverage.reasons.entry(fault.said.clone()).or_default() += 1;
        }
    }
    kinds
}

/// Draws faults behind what is to come.
pub(super) fn draw(svg: &mut Svg, area: Area, across: &Scale, bands: &[Band]) {
    for band in bands {
        let (left, right) = (across.place(band.from), across.place(band.until));
        let place = Area { left, width: (right - left).max(1.0), ..area };
        let title = format!("{} to {} s: {}", number(band.from), number(band.until), band.what);
        svg.rectangle(place, band.class(), &title);
    }
}

impl Band {
    /// In drawings.
    pub(super) fn class(&self) -> &'static str {
        if self.is_installed { "band" } else { "band idle" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seconds: u64, number: u64, kind: &str, stage: Stage, said: &str) -> Line {
        let time_ns = seconds * 1_000_000_000;
        let nodes = if stage == Stage::Healed { Vec::new() } else { vec![2] };
        Line::Fault { time_ns, number, kind: kind.to_owned(), nodes, stage, said: said.to_owned() }
    }

    fn lines() -> Vec<Line> {
        vec![
            line(3, 0, "kill", Stage::Installed, "node 2 is gone"),
            line(5, 0, "kill", Stage::Healed, ""),
            line(6, 1, "clock", Stage::Skipped, "libfaketime is not installed"),
            line(7, 2, "kill", Stage::Installed, "node 2 is gone"),
            line(8, 3, "clock", Stage::Skipped, "libfaketime is not installed"),
            line(9, 4, "loss", Stage::Indeterminate, "no packet was lost"),
        ]
    }

    #[test]
    fn a_fault_lasts_until_it_is_healed_or_to_the_end() {
        let bands = bands(&faults(&lines()), 20.0);
        let places: Vec<_> = bands.iter().map(|band| (band.from, band.until, band.what.as_str())).collect();
        assert_eq!(places, [(3.0, 5.0, "kill 2"), (7.0, 20.0, "kill 2"), (9.0, 9.0, "loss 2")]);
        assert_eq!(bands.iter().map(Band::class).collect::<Vec<_>>(), ["band", "band", "band idle"]);
    }

    #[test]
    fn what_was_not_done_is_counted_with_its_reasons() {
        let faults = faults(&lines());
        let coverage = coverage(&faults);
        assert_eq!((coverage["kill"].installed, coverage["kill"].reasons.len()), (2, 0));
        assert_eq!((coverage["clock"].installed, coverage["clock"].skipped), (0, 2));
        assert_eq!(coverage["clock"].reasons["libfaketime is not installed"], 2);
        assert_eq!((coverage["loss"].installed, coverage["loss"].indeterminate), (0, 1));
    }

    #[test]
    fn a_fault_that_turns_out_to_be_uncertain_does_not_count_as_felt() {
        let lines = [
            line(3, 0, "loss", Stage::Installed, "done"),
            line(4, 0, "loss", Stage::Indeterminate, "no packet was lost"),
        ];
        let faults = faults(&lines);
        assert_eq!((coverage(&faults)["loss"].installed, coverage(&faults)["loss"].indeterminate), (0, 1));
        assert!(!bands(&faults, 9.0)[0].is_installed);
    }

    #[test]
    fn a_fault_is_drawn_behind_with_its_words() {
        let mut svg = Svg::new(100.0, 50.0);
        let band = Band { from: 1.0, until: 3.0, what: "kill <2>".to_owned(), is_installed: true };
        let area = Area { left: 0.0, top: 0.0, width: 100.0, height: 40.0 };
        draw(&mut svg, area, &Scale::linear((0.0, 10.0), (0.0, 100.0)), &[band]);
        let drawn = svg.finish();
        assert!(drawn.contains("x=\"10.0\" y=\"0.0\" width=\"20.0\" height=\"40.0\" class=\"band\""), "{drawn}");
        assert!(drawn.contains("<title>1 to 3 s: kill &lt;2&gt;</title>"), "{drawn}");
    }
}
