//! Single figures of the scoreboard, each measured by a command of its own: how long a cluster takes to go on, and whether
//! anything is lost meanwhile. What the figures must be is in `scoreboard`.

mod clocks;
mod corruption;
mod failover;
mod figures;
mod powerloss;
mod progress;
mod recovery;
mod rounds;
mod slow_disk;
mod writers;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::checker::Verdict;
use crate::env::facts;
use crate::plan::Rows;
use crate::report::{self, say};
use crate::run::{Store, on_threads};
use crate::scoreboard::{self, Measured};

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Measurement {
    /// From the loss of the leader to the next acknowledged write: by kill -9, a partition, SIGSTOP, SIGTERM, and a disk that
    /// stands still.
    Failover {
        /// Kills.
        #[arg(long, default_value_t = 20)]
        rounds: u64,
        /// Of each other way.
        #[arg(long, default_value_t = 10)]
        others: u64,
        #[command(flatten)]
        more: More,
    },
    /// From kill -9 of all nodes to the next acknowledged write, and that none was lost.
    Recovery {
        /// Kills.
        #[arg(long, default_value_t = 40)]
        rounds: u64,
        /// Kills when the nodes have a gigabyte of state.
        #[arg(long, default_value_t = 0)]
        large: u64,
        #[command(flatten)]
        more: More,
    },
    /// Whether acknowledged writes survive a loss of power: of all nodes, and of one while another is cut off.
    Powerloss {
        /// Of all nodes.
        #[arg(long, default_value_t = 10)]
        rounds: u64,
        /// Of one node.
        #[arg(long, default_value_t = 5)]
        one: u64,
        #[command(flatten)]
        more: More,
    },
    /// Whether a node whose files are damaged starts as if nothing had happened.
    Corrupt {
        /// Damaged files.
        #[arg(long, default_value_t = 120)]
        rounds: u64,
        #[command(flatten)]
        more: More,
    },
    /// Whether clocks that jump or run faster move the leader, or lose a write.
    Clocks {
        /// Jumps, of the leader's clock and of a follower's in turn.
        #[arg(long, default_value_t = 8)]
        jumps: u64,
        #[command(flatten)]
        more: More,
    },
    /// How much slower writes become when the syncs of one node take 100 ms longer.
    SlowDisk {
        /// Writes as they are, with a node that is traced, and with one that is traced and slow; of the leader and of a
        /// follower: six times so many.
        #[arg(long, default_value_t = 300)]
        writes: u64,
        #[command(flatten)]
        more: More,
    },
}

/// What every measurement takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct More {
    /// Decides what is left to chance; chosen and printed when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the folder with the figures is made.
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    store: PathBuf,
}

/// Measures, prints the figures, and leaves them in a folder; what the program ends with.
///
/// # Errors
/// When it does not come about.
pub(crate) fn measure(measurement: &Measurement) -> anyhow::Result<u8> {
    let nothing = Rows::default();
    let (name, rows, more) = match measurement {
        Measurement::Failover { rounds, others, more } => {
            ("failover", Rows { failover: *rounds, failover_others: *others, ..nothing }, more)
        }
        Measurement::Recovery { rounds, large, more } => {
            ("recovery", Rows { recovery: *rounds, recovery_large: *large, ..nothing }, more)
        }
        Measurement::Powerloss { rounds, one, more } => {
            ("powerloss", Rows { power_all: *rounds, power_one: *one, ..nothing }, more)
        }
        Measurement::Corrupt { rounds, more } => ("corrupt", Rows { corrupt: *rounds, ..nothing }, more),
        Measurement::Clocks { jumps, more } => ("clocks", Rows { clocks: *jumps, ..nothing }, more),
        Measurement::SlowDisk { writes, more } => ("slow-disk", Rows { slow_disk: *writes, ..nothing }, more),
    };
    let seed = more.seed.unwrap_or_else(rand::random);
    let store = Store::new(&more.store, name)?;
    say(&format!("seed {seed}, figures in {}", store.folder.display()));
    store.write("env.json", &facts())?;
    let measured = on_threads(rows_of(&rows, seed, &store))?;
    Ok(report::exit_code(measured.max(scoreboard::conclude(&store.folder, None)?)))
}

/// Measures what a profile asks for; false when something was lost or wrong.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn rows(rows: &Rows, seed: u64, store: &Store) -> anyhow::Result<bool> {
    Ok(rows_of(rows, seed, store).await? != Verdict::Violated)
}

async fn rows_of(rows: &Rows, seed: u64, store: &Store) -> anyhow::Result<Verdict> {
    let mut outcome = Verdict::Passed;
    if rows.failover + rows.failover_others > 0 {
        let figures = failover::measure(rows.failover, rows.failover_others, seed).await?;
        outcome = outcome.max(note(&figures, store)?);
    }
    if rows.recovery > 0 {
        outcome = outcome.max(note(&recovery::measure(rows.recovery, seed).await?, store)?);
    }
    if rows.recovery_large > 0 {
        outcome = outcome.max(note(&recovery::measure_large(rows.recovery_large, seed).await?, store)?);
    }
    if rows.power_all + rows.power_one > 0 {
        outcome = outcome.max(note(&powerloss::measure(rows.power_all, rows.power_one, seed).await?, store)?);
    }
    if rows.corrupt > 0 {
        outcome = outcome.max(note(&corruption::measure(rows.corrupt, seed).await?, store)?);
    }
    if rows.clocks > 0 {
        outcome = outcome.max(note(&clocks::measure(rows.clocks, seed).await?, store)?);
    }
    if rows.slow_disk > 0 {
        outcome = outcome.max(note(&slow_disk::measure(rows.slow_disk, seed).await?, store)?);
    }
    Ok(outcome)
}

/// Prints figures and keeps them.
fn note(figures: &[Measured], store: &Store) -> anyhow::Result<Verdict> {
    let mut outcome = Verdict::Passed;
    for figure in figures {
        let Measured { row, value, unit, samples, skipped, .. } = figure;
        let value = value.map_or_else(|| "none".to_owned(), |value| format!("{value:.3} {unit}"));
        let why = skipped.as_deref().map_or_else(String::new, |why| format!(", skipped: {why}"));
        say(&format!("{row:<14} {value} of {samples} samples{why}"));
        // What was skipped, or came to nothing, has not passed, and is no violation either.
        let of_this = match (figure.passed, figure.value) {
            (_, None) => Verdict::Unknown,
            (true, Some(_)) => Verdict::Passed,
            (false, Some(_)) => Verdict::Violated,
        };
        outcome = outcome.max(of_this);
    }
    scoreboard::append(&store.folder, figures)?;
    Ok(outcome)
}
