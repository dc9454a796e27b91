//! How long calls took, and how many were answered: drawn over the time of the run, with the faults behind. When none were
//! is in `gaps`.

use std::collections::BTreeMap;

use super::faults::{self, Band};
use super::svg::{Anchor, Area, Scale, Svg, axes};
use crate::history::{Operation, Outcome};

/// More points than this are drawn as cells.
const POINTS_MAX: usize = 20_000;
const WIDTH: f64 = 1_000.0;
const AREA: Area = Area { left: 60.0, top: 30.0, width: 925.0, height: 240.0 };
const HEIGHT: f64 = 300.0;
/// Quantiles are of so many parts of the run at most.
const WINDOWS_MAX: f64 = 150.0;
/// Those that are drawn: share and class.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "max")];

/// What became of a call, in Jepsen's three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It was done, or answered.
    Ok,
    /// It had no effect.
    Fail,
    /// Nobody knows.
    Info,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Ok, Self::Fail, Self::Info];

    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Found { .. }
            | Outcome::Done { .. }
            | Outcome::Made { .. }
            | Outcome::There { .. }
            | Outcome::Answered => Self::Ok,
            Outcome::Conflict { .. }
            | Outcome::Exists { .. }
            | Outcome::Absent { .. }
            | Outcome::Refused { .. }
            | Outcome::NotDone => Self::Fail,
            Outcome::Wrong { .. } | Outcome::Unknown { .. } => Self::Info,
        }
    }

    /// What it is called in drawings and in EDN.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// When it returned, in seconds.
    pub(super) at: f64,
    /// How long it took, in milliseconds.
    pub(super) took: f64,
    pub(super) kind: Kind,
}

impl Point {
    /// Of a call that returned.
    pub(super) fn of(operation: &Operation<'_>) -> Option<Self> {
        let took_ns = operation.returned_ns.checked_sub(operation.invoked_ns)?;
        (operation.returned_ns < u64::MAX).then(|| Self {
            at: seconds(operation.returned_ns),
            took: took_ns as f64 / 1e6,
            kind: Kind::of(operation.outcome),
        })
    }
}

/// Of nanoseconds; those of hours are below 2^53.
pub(super) fn seconds(time_ns: u64) -> f64 {
    time_ns as f64 / 1e9
}

fn across(end: f64) -> Scale {
    Scale::linear((0.0, end), (AREA.left, AREA.left + AREA.width))
}

fn upward(values: (f64, f64)) -> Scale {
    Scale::logarithmic(values, (AREA.top + AREA.height, AREA.top))
}

/// The least and the greatest time of the points, in milliseconds, neither of them 0.
fn range(points: &[Point]) -> (f64, f64) {
    let times = points.iter().map(|point| point.took.max(0.01));
    let (low, high) = times.fold((f64::INFINITY, 0.0f64), |(low, high), took| (low.min(took), high.max(took)));
    if low.is_finite() { (low, high) } else { (1.0, 10.0) }
}

/// Every call by when it returned and how long it took.
pub(super) fn scatter(points: &[Point], bands: &[Band], end: f64) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let (across, up) = (across(end), upward(range(points)));
    faults::draw(&mut svg, AREA, &across, bands);
    axes(&mut svg, AREA, &across, &up, "latency, ms");
    if points.len() <= POINTS_MAX {
        for point in points {
            svg.circle(across.place(point.at), up.place(point.took), 1.4, point.kind.class(), "");
        }
    } else {
        for cell in cells(points, &across, &up) {
            let class = format!("{} {}", cell.kind.class(), cell.shade());
            let side = cell.side;
            let place = Area { left: cell.left, top: cell.top, width: side, height: side };
            svg.rectangle(place, &class, &format!("{} {}", cell.count, cell.kind.class()));
        }
    }
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let left = AREA.left + AREA.width - 150.0 + 50.0 * index as f64;
        svg.circle(left, AREA.top - 10.0, 3.0, kind.class(), "");
        svg.text(left + 6.0, AREA.top - 6.0, Anchor::Start, "caption", kind.class());
    }
    svg.finish()
}

/// Points of one kind that are drawn as one square.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    left: f64,
    top: f64,
    side: f64,
    kind: Kind,
    count: usize,
}

impl Cell {
    /// The class of its opacity.
    fn shade(&self) -> &'static str {
        match self.count {
            0..3 => "few",
            3..30 => "some",
            _ => "many",
        }
    }
}

/// Sorts points into squares of the drawing, as small ones as leave no more of them than may be drawn.
fn cells(points: &[Point], across: &Scale, up: &Scale) -> Vec<Cell> {
    let mut side = 2.0;
    loop {
        let mut counts = BTreeMap::<(u32, u32, Kind), usize>::new();
        for point in points {
            let column = (across.place(point.at) / side) as u32;
            let line = (up.place(point.took) / side) as u32;
            *counts.entry((column, line, point.kind)).or_default() += 1;
        }
        if counts.len() <= POINTS_MAX {
            let cell = |((column, line, kind), count): ((u32, u32, Kind), usize)| Cell {
                left: f64::from(column) * side,
                top: f64::from(line) * side,
                side,
                kind,
                count,
            };
            return counts.into_iter().map(cell).collect();
        }
        side *= 2.0;
    }
}

/// Into which windows of equal length the run is cut: their length in seconds.
fn window(end: f64) -> f64 {
    (end / WINDOWS_MAX).max(1.0)
}

/// Sorts values into windows by their times; what is beyond the last whole one belongs to it.
fn by_window<T: Copy>(values: impl Iterator<Item = (f64, T)>, end: f64) -> Vec<Vec<T>> {
    let length = window(end);
    let mut windows = vec![Vec::new(); (end / length).max(1.0) as usize];
    let last = windows.len() - 1;
    for (at, value) in values {
        windows[((at / length) as usize).min(last)].push(value);
    }
    windows
}

/// The smallest value that is not below this share of the values, which are sorted and not none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Quantiles of the calls that were answered. A window without an answer breaks the curves.
pub(super) fn quantiles(points: &[Point], bands: &[Band], end: f64) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let answered: Vec<Point> = points.iter().filter(|point| point.kind == Kind::Ok).copied().collect();
    let (across, up) = (across(end), upward(range(&answered)));
    faults::draw(&mut svg, AREA, &across, bands);
    axes(&mut svg, AREA, &across, &up, "latency of calls that were answered, ms");
    let mut windows = by_window(answered.iter().map(|point| (point.at, point.took)), end);
    windows.iter_mut().for_each(|window| window.sort_by(f64::total_cmp));
    for (index, (share, class)) in QUANTILES.into_iter().enumerate() {
        let middle = |number: usize| across.place((number as f64 + 0.5) * window(end));
        for run in windows.iter().enumerate().collect::<Vec<_>>().split(|(_, window)| window.is_empty()) {
            let curve: Vec<(f64, f64)> =
                run.iter().map(|(number, window)| (middle(*number), up.place(quantile(window, share)))).collect();
            match curve.as_slice() {
                [] => {}
                // A curve of one point would not be seen.
                [(x, y)] => svg.circle(*x, *y, 1.5, class, ""),
                curve => svg.curve(curve, class),
            }
        }
        let left = AREA.left + AREA.width - 200.0 + 50.0 * index as f64;
        svg.text(left, AREA.top - 6.0, Anchor::Start, &format!("caption {class}"), class);
    }
    svg.finish()
}

/// Calls answered a second.
pub(super) fn rate(points: &[Point], bands: &[Band], end: f64) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let answered = points.iter().filter(|point| point.kind == Kind::Ok);
    let windows = by_window(answered.map(|point| (point.at, ())), end);
    let rates: Vec<f64> = windows.iter().map(|window_of| window_of.len() as f64 / window(end)).collect();
    let most = rates.iter().copied().fold(1.0, f64::max);
    let (across, up) = (across(end), Scale::linear((0.0, most), (AREA.top + AREA.height, AREA.top)));
    faults::draw(&mut svg, AREA, &across, bands);
    axes(&mut svg, AREA, &across, &up, "answered calls a second");
    let curve: Vec<(f64, f64)> = rates
        .iter()
        .enumerate()
        .map(|(number, rate)| (across.place((number as f64 + 0.5) * window(end)), up.place(*rate)))
        .collect();
    svg.curve(&curve, "p50");
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: f64, took: f64, kind: Kind) -> Point {
        Point { at, took, kind }
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.95, 0.99, 1.0].map(|share| quantile(&values, share)), [50.0, 95.0, 99.0, 100.0]);
        assert_eq!(quantile(&[3.0], 0.5), 3.0);
    }

    #[test]
    fn few_points_are_drawn_each_and_many_as_cells_that_lose_none() {
        let few: Vec<Point> = (0..100).map(|index| point(f64::from(index), 3.0, Kind::Ok)).collect();
        assert_eq!(scatter(&few, &[], 100.0).matches("<circle").count(), 100 + Kind::ALL.len());
        let many: Vec<Point> = (0..90_000u32)
            .map(|index| {
                let kind = Kind::ALL[index as usize % 3];
                point(f64::from(index % 9_973) / 100.0, 1.0 + f64::from(index % 7_919), kind)
            })
            .collect();
        let (across, up) = (across(100.0), upward(range(&many)));
        let cells = cells(&many, &across, &up);
        assert!(cells.len() <= POINTS_MAX, "{}", cells.len());
        assert_eq!(cells.iter().map(|cell| cell.count).sum::<usize>(), many.len());
        assert_eq!(scatter(&many, &[], 100.0).matches("<rect").count(), cells.len());
    }

    #[test]
    fn a_window_without_answers_breaks_the_curves() {
        let answers = [0.5, 1.5, 2.5, 6.5, 7.5].map(|at| point(at, 4.0, Kind::Ok));
        let drawn = quantiles(&answers, &[], 10.0);
        assert_eq!(drawn.matches("<polyline").count(), 2 * QUANTILES.len());
    }

    #[test]
    fn what_comes_after_the_end_counts_for_the_last_window() {
        let windows = by_window([(0.2, 1), (9.9, 2), (12.0, 3)].into_iter(), 10.0);
        assert_eq!((windows.len(), windows[9].as_slice()), (10, &[2, 3][..]));
    }
}
