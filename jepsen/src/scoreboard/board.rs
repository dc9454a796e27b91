//! Compares what was measured with what it must be. It fails closed: a figure that nobody measured has failed, and what
//! this machine cannot run, or is not there yet, says so and has not passed.

use serde::{Deserialize, Serialize};

use super::catalogue::{self, Breach, Counted, Figure, Limit, ROWS, Row, Several, Side};
use super::row::Measured;
use super::samples;
use crate::checker::Verdict;

/// A time is far beyond its limit at more than so many times the limit, and more than [`SLACK_LEAST`] above it.
const SLACK: f64 = 5.0;
/// In seconds: a small limit is missed by that on a busy machine.
const SLACK_LEAST: f64 = 1.0;

/// Which limits apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Targets {
    /// Those of the gate.
    Ci,
    /// Those of a long run.
    Long,
}

impl Targets {
    /// Those of a profile. Whatever else is run is held to those of the gate.
    pub(crate) fn of(profile: Option<&str>) -> Self {
        if profile == Some("long") { Self::Long } else { Self::Ci }
    }
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Measured, and within its limit.
    Passed,
    /// Measured, and beyond its limit, or the command that measured was not content.
    Failed,
    /// Nobody measured it, or on too few samples.
    Missing,
    /// This machine cannot measure it.
    Skipped,
    /// Nothing measures it yet.
    NotThere,
    /// It is not asked for with these targets.
    NotAsked,
}

impl Standing {
    /// What it is called in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Missing => "MISSING",
            Self::Skipped => "SKIPPED",
            Self::NotThere => "NOT THERE",
            Self::NotAsked => "not asked",
        }
    }
}

/// One line of the scoreboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Number of the row.
    pub(crate) row: u8,
    /// Of the row.
    pub(crate) title: String,
    /// Id of the figure; the row's number where it has none.
    pub(crate) figure: String,
    /// Of the figure.
    pub(crate) what: String,
    pub(crate) value: Option<f64>,
    pub(crate) unit: String,
    pub(crate) samples: u64,
    /// Below this is the probability of a failure, at 95 %, when there was none (the rule of three).
    pub(crate) bound: Option<f64>,
    /// What it must be, in words.
    pub(crate) limit: String,
    pub(crate) seeds: Vec<u64>,
    /// The same of others.
    pub(crate) anchor: String,
    pub(crate) standing: Standing,
    /// Why it has not passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What it makes of a run that came to it, at least; nothing when it is none of the run's business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of_run: Option<Verdict>,
}

/// All lines, as `scoreboard.json` has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Board {
    pub(crate) targets: Targets,
    pub(crate) lines: Vec<Line>,
}

/// What several commands measured of one figure.
struct Together {
    value: Option<f64>,
    /// Somebody measured it, and came to nothing.
    is_without_value: bool,
    samples: u64,
    seeds: Vec<u64>,
    discontent: Option<String>,
    skipped: Option<String>,
}

impl Board {
    /// Every row of the catalogue, and a failure for every measurement that belongs to none.
    pub(crate) fn of(measured: &[Measured], targets: Targets) -> Self {
        let mut lines: Vec<Line> = ROWS.iter().flat_map(|row| lines_of(row, measured, targets)).collect();
        lines.extend(measured.iter().filter(|one| catalogue::figure(&one.row).is_none()).map(stray));
        Self { targets, lines }
    }

    /// Lines that stand so.
    pub(crate) fn count(&self, standing: Standing) -> usize {
        self.lines.iter().filter(|line| line.standing == standing).count()
    }

    /// Nothing failed and nothing that could be measured here is missing.
    pub(crate) fn passed(&self) -> bool {
        [Standing::Failed, Standing::Missing, Standing::Skipped].into_iter().all(|standing| self.count(standing) == 0)
    }

    /// What the program ends with: 1 when a figure failed, 2 when one was not measured.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.count(Standing::Failed), self.passed()) {
            (0, true) => 0,
            (0, false) => 2,
            (1.., _) => 1,
        }
    }

    /// What all figures make of the run that came to them: what was wrong fails it, times only far beyond their limits,
    /// and what is missing is for the command `scoreboard` alone.
    pub(crate) fn of_run(&self) -> Verdict {
        self.lines.iter().filter_map(|line| line.of_run).max().unwrap_or(Verdict::Passed)
    }

    /// The verdict in a sentence, with all that was not measured.
    pub(crate) fn verdict(&self) -> String {
        let mut parts = vec![format!("{} figures passed", self.count(Standing::Passed))];
        for (standing, words) in [
            (Standing::Failed, "failed"),
            (Standing::Missing, "missing, which is a failure"),
            (Standing::Skipped, "cannot be measured on this machine"),
            (Standing::NotThere, "not there yet"),
        ] {
            let which: Vec<&str> =
                self.lines.iter().filter(|line| line.standing == standing).map(|line| line.figure.as_str()).collect();
            if !which.is_empty() {
                parts.push(format!("{} {words} ({})", which.len(), which.join(", ")));
            }
        }
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        format!("scoreboard: {verdict}: {}", parts.join("; "))
    }
}

fn lines_of(row: &Row, measured: &[Measured], targets: Targets) -> Vec<Line> {
    if let Some(why) = row.not_there {
        return vec![Line {
            figure: row.number.to_string(),
            standing: Standing::NotThere,
            why: Some(why.to_owned()),
            ..line(row.number, row.title, row.anchor)
        }];
    }
    row.figures.iter().map(|figure| line_of(row, figure, measured, targets)).collect()
}

fn line(row: u8, title: &str, anchor: &str) -> Line {
    Line {
        row,
        title: title.to_owned(),
        figure: String::new(),
        what: String::new(),
        value: None,
        unit: String::new(),
        samples: 0,
        bound: None,
        limit: "none".to_owned(),
        seeds: Vec::new(),
        anchor: anchor.to_owned(),
        standing: Standing::Missing,
        why: None,
        of_run: None,
    }
}

fn line_of(row: &Row, figure: &Figure, measured: &[Measured], targets: Targets) -> Line {
    let limit = match targets {
        Targets::Ci => figure.ci,
        Targets::Long => figure.long,
    };
    let together = together(figure, measured);
    let (standing, why) = judge(figure, limit, &together);
    let is_free_of_failures = figure.is_count_of_failures && together.value == Some(0.0);
    Line {
        figure: figure.id.to_owned(),
        what: figure.what.to_owned(),
        value: together.value,
        unit: figure.unit.to_owned(),
        samples: together.samples,
        bound: is_free_of_failures.then(|| rule_of_three(together.samples)).flatten(),
        limit: limit.map_or_else(|| "none".to_owned(), |limit| words(figure, limit)),
        of_run: of_run(figure, limit, &together),
        seeds: together.seeds,
        standing,
        why,
        ..line(row.number, row.title, row.anchor)
    }
}

/// A measurement that no row knows: its name is wrong, here or there, and it must not be lost.
fn stray(one: &Measured) -> Line {
    Line {
        figure: one.row.clone(),
        value: one.value,
        unit: one.unit.clone(),
        samples: one.samples,
        seeds: one.seeds.clone(),
        standing: Standing::Failed,
        why: Some("the catalogue has no figure of this name".to_owned()),
        of_run: Some(Verdict::Unknown),
        ..line(0, "no row", "none")
    }
}

/// A measurement without a value leaves the whole without one, unless it was skipped: a round that came to nothing is
/// not hidden by another that did. What one machine skipped another may have measured.
fn together(figure: &Figure, measured: &[Measured]) -> Together {
    let mine: Vec<&Measured> = measured.iter().filter(|one| one.row == figure.id).collect();
    let (skipped, rest): (Vec<&Measured>, Vec<&Measured>) = mine.iter().partition(|one| one.skipped.is_some());
    let values: Option<Vec<f64>> = rest.iter().map(|one| one.value.filter(|value| value.is_finite())).collect();
    let value = values.filter(|values| !values.is_empty()).map(|values| match (figure.several, figure.side) {
        (Several::Sum, _) => values.iter().sum(),
        (Several::Worst, Side::AtMost) => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
        (Several::Worst, Side::AtLeast) => values.into_iter().fold(f64::INFINITY, f64::min),
    });
    let mut seeds: Vec<u64> = rest.iter().flat_map(|one| &one.seeds).copied().collect();
    seeds.sort_unstable();
    seeds.dedup();
    Together {
        value,
        is_without_value: value.is_none() && !rest.is_empty(),
        samples: samples::together(figure.counted, &rest),
        seeds,
        discontent: rest.iter().find_map(|one| discontent(figure, one)),
        skipped: if rest.is_empty() { skipped.first().and_then(|one| one.skipped.clone()) } else { None },
    }
}

fn judge(figure: &Figure, limit: Option<Limit>, together: &Together) -> (Standing, Option<String>) {
    if let Some(why) = &together.discontent {
        return (Standing::Failed, Some(why.clone()));
    }
    let Some(limit) = limit else { return (Standing::NotAsked, None) };
    if let Some(why) = &together.skipped {
        return (Standing::Skipped, Some(why.clone()));
    }
    let Some(value) = together.value else {
        return (Standing::Missing, Some("nobody measured it".to_owned()));
    };
    if !is_within(figure, limit, value) {
        return (Standing::Failed, Some("beyond its limit".to_owned()));
    }
    if together.samples < limit.samples {
        let share = match figure.counted {
            Counted::All => "",
            Counted::EachPoint => ", as many of each crash point",
        };
        let why = format!("{} samples, where {} are needed{share}", together.samples, limit.samples);
        return (Standing::Missing, Some(why));
    }
    (Standing::Passed, None)
}

fn is_within(figure: &Figure, limit: Limit, value: f64) -> bool {
    match figure.side {
        Side::AtMost => value <= limit.value,
        Side::AtLeast => value >= limit.value,
    }
}

/// What a figure makes of the run that came to it. Whether something was wrong is said by its value: a measurement is
/// discontent for doubts too.
fn of_run(figure: &Figure, limit: Option<Limit>, together: &Together) -> Option<Verdict> {
    let is_undecided = together.is_without_value && matches!(figure.breach, Breach::Wrong | Breach::Doubtful);
    let doubt = (together.discontent.is_some() || is_undecided).then_some(Verdict::Unknown);
    let beyond = limit.zip(together.value).filter(|(limit, value)| !is_within(figure, *limit, *value));
    let Some((limit, value)) = beyond else { return doubt };
    let verdict = match figure.breach {
        Breach::Wrong => Some(Verdict::Violated),
        Breach::Doubtful => Some(Verdict::Unknown),
        Breach::Slow => {
            let is_far = value > (SLACK * limit.value).max(limit.value + SLACK_LEAST);
            is_far.then_some(Verdict::Unknown)
        }
        Breach::Nothing => None,
    };
    verdict.max(doubt)
}

/// Why a measurement does not count, whatever its value. One without a value is no failure, but missing.
fn discontent(figure: &Figure, one: &Measured) -> Option<String> {
    if one.unit != figure.unit {
        return Some(format!("measured in {}, where the limit is in {}", one.unit, figure.unit));
    }
    (one.value.is_some() && !one.passed).then(|| "what measured it did not pass".to_owned())
}

/// The limit in words.
fn words(figure: &Figure, limit: Limit) -> String {
    let side = match figure.side {
        Side::AtMost => "at most",
        Side::AtLeast => "at least",
    };
    let samples = match limit.samples {
        0 => String::new(),
        samples => format!(", {samples} samples or more"),
    };
    format!("{side} {} {}{samples}", limit.value, figure.unit)
}

/// None in so many: the probability of one is below this, at 95 %. Too few say nothing.
fn rule_of_three(samples: u64) -> Option<f64> {
    // More samples than 2^53 are not to be had.
    (samples > 3).then(|| 3.0 / samples as f64)
}

#[cfg(test)]
mod tests;
