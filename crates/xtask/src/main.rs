//! `cargo xtask`: the tasks that people and CI run. `demo` shows the main job on three real nodes, `test`
//! is the gate, `chaos` runs faults for as long as one likes, `fix` edits what a tool can edit, `tidy` looks for what no
//! compiler sees. Nothing of the product is linked in: this program builds it, runs it and reads its text.

mod cargo;
mod chaos;
mod demo;
mod fix;
mod output;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds, starts three nodes in a temporary directory and runs the main job through the CLI.
    Demo {
        /// Leaves the cluster running at the end, and says how to use and stop it.
        #[arg(long)]
        keep: bool,
    },
    /// The gate: formatting, tidy, clippy, build, all tests, the simulation, documentation, the jepsen scenario.
    Test {
        /// Seed of the jepsen scenario; a random one, which is printed, when absent.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Long runs of every fault on five nodes, as `jepsen/README.md` has it, each of 40 minutes at most. Their folders
    /// are below `store/`. Ends with the worst exit code of them.
    Chaos {
        /// For how long clients work while faults happen, in all runs together.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_440))]
        minutes: u64,
        /// Decides plan and workload of the first run, the number after it those of the second, and so on; a random
        /// one, which is printed, when absent.
        #[arg(long)]
        seed: Option<u64>,
        /// Measures what the profile measures beside and after each run, which takes longer than the runs.
        #[arg(long)]
        rows: bool,
    },
    /// Formats, and applies what clippy can apply.
    Fix,
    /// Checks what no compiler checks: floors, file lengths, documents, words that must not be committed.
    Tidy,
}

fn main() -> ExitCode {
    let passed = |passed: bool| u8::from(!passed);
    let result = match Arguments::parse().task {
        Task::Demo { keep } => demo::run(keep).map(passed),
        Task::Test { seed } => test::run(seed).map(passed),
        Task::Chaos { minutes, seed, rows } => Ok(chaos::run(minutes, seed, rows)),
        Task::Fix => fix::run().map(passed),
        Task::Tidy => tidy::run().map(passed),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
