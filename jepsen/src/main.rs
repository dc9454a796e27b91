//! Broken on purpose: real gateways are killed, paused, cut off and robbed of their disks while clients work through the
//! public API, and whether everything that was seen can be explained is judged afterwards. Starting processes is
//! `openshell_tests`' work; this crate has plan, faults, workloads, checkers, report.

mod canary;
mod checker;
mod controls;
mod crashpoints;
mod edn;
mod env;
mod history;
mod ledger;
mod measure;
mod nemesis;
mod observer;
mod plan;
mod recorder;
mod report;
mod run;
mod scoreboard;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use controls::ControlsArguments;
use crashpoints::CrashpointsArguments;
use env::{Entered, Format};
use measure::Measurement;
use report::say;
use run::RunArguments;
use scoreboard::Targets;

/// Faults on a real cluster, and a verdict on what its clients saw.
#[derive(Debug, Parser)]
#[command(name = "openshell-jepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what this machine can do. Everything is tried.
    Doctor {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Starts gateways, does the faults of a seeded plan while clients work, and judges.
    Run(Box<RunArguments>),
    /// Judges a history that a run left, with what else is in its folder.
    Check {
        /// The history, one JSON object a line.
        history: PathBuf,
    },
    #[command(flatten)]
    Measure(Measurement),
    /// Runs broken versions of our own code, which the checkers must see.
    Controls(ControlsArguments),
    /// Has a node end at each point of its code at which something could be half done.
    Crashpoints(CrashpointsArguments),
    /// Makes the page `report.html` of a run's folder again, and `history.edn`.
    Report {
        /// The folder.
        folder: PathBuf,
    },
    /// Compares what runs and measurements came to with what it must be.
    Scoreboard(ScoreboardArguments),
}

/// What is put together, and which limits apply.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScoreboardArguments {
    /// Folders of runs and measurements. The board is written into the last one.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Which limits apply.
    #[arg(long, value_enum, default_value_t = Targets::Ci)]
    targets: Targets,
    /// Adds what was measured to the rows of this folder, which makes the same board without the others.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let outcome = prepare(&command).and_then(|()| perform(&command));
    outcome.map_or_else(
        |error| {
            say(&format!("it did not come about: {error:#}\nverdict: {}", report::NO_VERDICT));
            ExitCode::from(report::NOT_JUDGED)
        },
        ExitCode::from,
    )
}

/// Makes what a command needs be there, and the program stand where it can do it.
///
/// # Errors
/// When the gateway is missing, and cannot be built.
fn prepare(command: &Command) -> anyhow::Result<()> {
    if command.needs_gateway() {
        env::build_missing()?;
    }
    if command.hurts() && env::enter() == Entered::Outside {
        say("this program is not root and cannot be in a user namespace: nodes share the loopback address");
    }
    if command.starts_nodes() {
        env::sweep();
    }
    Ok(())
}

/// Does it; what the program ends with.
///
/// # Errors
/// When it does not come about.
fn perform(command: &Command) -> anyhow::Result<u8> {
    let passed = |passed: bool| u8::from(!passed);
    match command {
        Command::Doctor { output } => env::doctor(*output).map(|table| {
            say(&table);
            0
        }),
        Command::Run(arguments) => run::run(arguments),
        Command::Check { history } => run::check_file(history),
        Command::Measure(measurement) => measure::measure(measurement),
        Command::Controls(arguments) => run::on_threads(controls::run(arguments, run::trial)).map(passed),
        Command::Crashpoints(arguments) => run::on_threads(crashpoints::run(arguments)).map(passed),
        Command::Report { folder } => report::rebuild(folder).map(|page| {
            say(&page.display().to_string());
            0
        }),
        Command::Scoreboard(ScoreboardArguments { folders, targets, keep }) => {
            scoreboard::show(folders, *targets, keep.as_deref())
        }
    }
}

impl Command {
    /// Whether it starts a cluster and breaks it, so that it is to stand where it can.
    fn hurts(&self) -> bool {
        matches!(self, Self::Doctor { .. } | Self::Run(_) | Self::Measure(_) | Self::Controls(_))
    }

    /// Whether what dead runs left behind is in its way.
    fn starts_nodes(&self) -> bool {
        self.hurts() || matches!(self, Self::Crashpoints(_))
    }

    /// Whether nothing comes of it without the gateway's program. `doctor` says what there is.
    fn needs_gateway(&self) -> bool {
        self.starts_nodes() && !matches!(self, Self::Doctor { .. })
    }
}
