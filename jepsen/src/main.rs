//! The chaos scenario: three real nodes are killed, paused and cut off at random while clients update
//! and read a few profiles, and what the clients saw is checked for linearizability. Starting and
//! hurting processes is `openshell_tests`' work; this crate has plan, workload, history, verdict.

mod checker;
mod history;
mod nemesis;
mod observer;
mod plan;
mod recorder;
mod report;
mod run;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Faults on a real cluster, and a verdict on what its clients saw.
#[derive(Debug, Parser)]
#[command(name = "openshell-jepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts three gateways, does the faults of a seeded plan while clients work, and judges.
    Run(RunArguments),
    /// Judges a history that was written by `run --history`.
    Check {
        /// The history, one JSON object a line.
        history: PathBuf,
    },
}

/// Whether the network between the nodes is cut as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partitions {
    /// Where it can be done: as root, with the programs `ip` and `nft`.
    Auto,
    /// Or the run fails.
    Required,
    /// Never.
    Off,
}

/// What a run does, and what it must have seen to count.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// How long the clients work.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub(crate) seconds: u64,
    /// Decides plan and workload; chosen and printed when left out.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes the history here, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Clients that work side by side.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) clients: u64,
    /// Profiles that are contended for at one time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=50))]
    pub(crate) profiles: u64,
    /// Fewer kills than this fail the run.
    #[arg(long, default_value_t = 5)]
    pub(crate) kills_min: usize,
    /// Fewer changes of the leader than this fail the run.
    #[arg(long, default_value_t = 3)]
    pub(crate) leader_changes_min: usize,
    /// Fewer acknowledged updates than this fail the run.
    #[arg(long, default_value_t = 1000)]
    pub(crate) updates_min: usize,
    /// Whether nodes stand in network namespaces and are cut off from each other.
    #[arg(long, value_enum, default_value_t = Partitions::Auto)]
    pub(crate) partitions: Partitions,
    /// Fewer partitions than this fail a run that has them.
    #[arg(long, default_value_t = 3)]
    pub(crate) partitions_min: usize,
    /// A control, whose verdict must be FAIL: a node is cut off from the others, and clients read what the node
    /// at hand has. Needs partitions.
    #[arg(long)]
    pub(crate) stale_reads: bool,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check { history } => run::check_file(&history),
    };
    match outcome {
        Ok(report) => {
            report::say(&report.to_string());
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            report::say(&format!("the run did not come about: {error:#}\nverdict: FAIL"));
            ExitCode::FAILURE
        }
    }
}
