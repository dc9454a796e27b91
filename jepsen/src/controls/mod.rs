//! `controls`: that the checkers would notice. Broken versions of our own code run, and the right checker must say so
//! of each; the same without the bugs must find nothing.

mod control;
mod damaged_log;
mod scene;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use openshell_chaos::Bug;

use crate::checker::{Findings, Verdict};
use crate::report::say;
use crate::scoreboard::{self, Measured};
use crate::workload::Workload;
use control::Control;

/// Which bugs, and how often.
#[derive(Clone, Debug, Args)]
pub(crate) struct ControlsArguments {
    /// Only this bug, by its number or its name.
    #[arg(long, value_name = "BUG", value_parser = bug)]
    bug: Option<Bug>,
    /// Runs of each, with as many seeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The same without the bugs: then no checker at all may find something violated, and those that must see the bug
    /// must have passed.
    #[arg(long)]
    sound: bool,
    /// A folder for the scoreboard's figures.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn bug(text: &str) -> Result<Bug, String> {
    let numbered = |bug: &Bug| text.parse() == Ok(bug.number());
    Bug::named(text).or_else(|| Bug::ALL.into_iter().find(numbered)).ok_or_else(|| {
        let known = Bug::ALL.map(|bug| format!("{} ({})", bug.name(), bug.number())).join(", ");
        format!("there are {known}")
    })
}

/// A run that a control asks for.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// What is planted in every node.
    pub(crate) bug: Option<Bug>,
    /// What clients do.
    pub(crate) workloads: Vec<Workload>,
    /// Names of the only faults there are.
    pub(crate) faults: Vec<String>,
    /// For how long clients work.
    pub(crate) seconds: u64,
    /// How many nodes there are.
    pub(crate) nodes: u64,
    /// How many clients the largest workload has.
    pub(crate) clients: u64,
    /// Decides everything else.
    pub(crate) seed: u64,
}

/// What became of one bug.
struct Record {
    control: Control,
    caught: u64,
    /// Of each run, from the first process to the verdict.
    seconds: Vec<f64>,
}

/// Runs them; true when each bug was caught each time, or, without bugs, no checker found anything violated and those
/// that must see the bug passed. `scenario` carries a run out.
///
/// # Errors
/// When a control's file is none, or the figures cannot be written.
pub(crate) async fn run(
    arguments: &ControlsArguments,
    scenario: impl AsyncFn(&Trial) -> anyhow::Result<Findings>,
) -> anyhow::Result<bool> {
    let mut records = Vec::new();
    for bug in Bug::ALL.into_iter().filter(|bug| arguments.bug.is_none_or(|only| only == *bug)) {
        let mut record = Record { control: Control::of(bug)?, caught: 0, seconds: Vec::new() };
        for seed in arguments.seed..arguments.seed + arguments.seeds {
            record.add(arguments.sound, seed, &scenario).await;
        }
        records.push(record);
    }
    say(&table(&records, arguments.seeds));
    if let Some(folder) = arguments.out.as_deref().filter(|_| !arguments.sound) {
        write_down(folder, arguments, &records)?;
    }
    Ok(records.iter().all(|record| record.caught == arguments.seeds))
}

impl Record {
    /// One run. Without the bug, to see nothing counts as to catch it.
    async fn add(&mut self, sound: bool, seed: u64, scenario: &impl AsyncFn(&Trial) -> anyhow::Result<Findings>) {
        let Control { bug, workloads, faults, seconds, nodes, clients, .. } = self.control.clone();
        let planted = (!sound).then_some(bug);
        let begin = Instant::now();
        let findings = match self.control.scene {
            Some(scene) => scene::play(scene, planted, seed).await,
            None => scenario(&Trial { bug: planted, workloads, faults, seconds, nodes, clients, seed }).await,
        };
        let took = begin.elapsed().as_secs_f64();
        self.seconds.push(took);
        let (name, checkers) = (bug.name(), self.control.caught_by.join(" and "));
        match findings {
            Err(error) => say(&format!("{name}, seed {seed}: FAILED, it did not come about: {error:#}")),
            Ok(findings) if sound && !self.control.is_clean(&findings) => {
                let seen =
                    if findings.verdict() == Verdict::Violated { "was seen although" } else { "is in doubt where" };
                say(&format!("{name}, seed {seed}: FAILED, something {seen} no bug is there\n{}", all(&findings)));
            }
            Ok(findings) if !sound && !self.control.is_caught(&findings) => {
                say(&format!("{name}, seed {seed}: MISSED by {checkers} in {took:.1} s\n{}", all(&findings)));
            }
            Ok(_) => {
                self.caught += 1;
                let verb = if sound { "rightly not seen" } else { "caught" };
                say(&format!("{name}, seed {seed}: {verb} by {checkers} in {took:.1} s"));
            }
        }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn slowest(&self) -> f64 {
        self.seconds.iter().copied().fold(0.0, f64::max)
    }
}

/// What all checkers said, a line each.
fn all(findings: &Findings) -> String {
    let lines = findings.0.iter().map(|finding| {
        let said: String = finding.said.iter().take(3).map(|said| format!("\n      {said}")).collect();
        format!("    {finding}{said}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// As the README has it.
fn table(records: &[Record], seeds: u64) -> String {
    let mut lines = vec![
        "| number | bug | must be seen by | caught | median | slowest |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for record in records {
        let Control { bug, caught_by, .. } = &record.control;
        lines.push(format!(
            "| {} | {} | {} | {} of {seeds} | {:.1} s | {:.1} s |",
            bug.number(),
            bug.name(),
            caught_by.join(", "),
            record.caught,
            record.median(),
            record.slowest()
        ));
    }
    lines.join("\n")
}

fn write_down(folder: &Path, arguments: &ControlsArguments, records: &[Record]) -> anyhow::Result<()> {
    let missed = records.iter().filter(|record| record.caught < arguments.seeds).count();
    let slowest = records.iter().map(Record::slowest).fold(0.0, f64::max);
    let figure = |row: &str, value: f64, unit: &str| Measured {
        row: row.to_owned(),
        value: Some(value),
        unit: unit.to_owned(),
        samples: records.len() as u64,
        seeds: (arguments.seed..arguments.seed + arguments.seeds).collect(),
        passed: missed == 0,
        // Another command with the same bugs proves no more.
        subjects: records.iter().map(|record| record.control.bug.name().to_owned()).collect(),
        skipped: None,
    };
    let missed = u32::try_from(missed).map_or(f64::MAX, f64::from);
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    scoreboard::append(folder, &[figure("8.missed", missed, "controls"), figure("8.slowest", slowest, "s")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Finding;

    fn arguments(sound: bool) -> ControlsArguments {
        ControlsArguments { bug: Some(Bug::StaleReads), seeds: 2, seed: 7, sound, out: None }
    }

    fn findings(verdict: Verdict) -> Findings {
        let checkers = Control::of(Bug::StaleReads).unwrap().caught_by;
        Findings(checkers.iter().map(|name| Finding { verdict, ..Finding::of(name) }).collect())
    }

    #[test]
    fn a_bug_is_asked_for_by_number_or_name() {
        assert_eq!((bug("16"), bug("stale-answer")), (Ok(Bug::StaleAnswer), Ok(Bug::StaleAnswer)));
        assert!(bug("10").unwrap_err().contains("secret-in-error (11)"));
    }

    #[tokio::test]
    async fn a_control_passes_when_its_bug_is_caught_each_time() {
        let seen = async |trial: &Trial| {
            assert_eq!((trial.bug, trial.nodes, trial.clients), (Some(Bug::StaleReads), 3, 8));
            Ok(findings(Verdict::Violated))
        };
        assert!(run(&arguments(false), seen).await.unwrap());
        let once =
            async |trial: &Trial| Ok(findings(if trial.seed == 7 { Verdict::Violated } else { Verdict::Passed }));
        assert!(!run(&arguments(false), once).await.unwrap());
        let broken = async |_: &Trial| anyhow::bail!("no cluster");
        assert!(!run(&arguments(false), broken).await.unwrap(), "what does not come about catches nothing");
    }

    #[tokio::test]
    async fn without_the_bug_nothing_may_be_seen() {
        let nothing = async |trial: &Trial| {
            assert_eq!(trial.bug, None);
            Ok(findings(Verdict::Passed))
        };
        assert!(run(&arguments(true), nothing).await.unwrap());
        for other in [Verdict::Violated, Verdict::Unknown] {
            assert!(!run(&arguments(true), async |_: &Trial| Ok(findings(other))).await.unwrap(), "{other:?}");
        }
        let other = async |_: &Trial| {
            let mut all = findings(Verdict::Passed);
            all.0.push(Finding { verdict: Verdict::Violated, ..Finding::of("watch") });
            Ok(all)
        };
        assert!(!run(&arguments(true), other).await.unwrap(), "whoever sees it");
    }
}
