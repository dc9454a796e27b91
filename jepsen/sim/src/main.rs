//! `openshell-sim`: runs seeds of the simulation, those that failed before first. Prints a line for
//! each that fails, keeps it, and ends with failure.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use openshell_sim::{Kept, Outcome, Settings, Sweep, append, keep, kept, run};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Deterministic simulation of a cluster.
#[derive(Debug, Parser)]
#[command(name = "openshell-sim")]
struct Arguments {
    /// Seeds from A to before B, after those that are kept.
    #[arg(long, value_name = "A..B", value_parser = range, default_value = "0..40")]
    seeds: Range<u64>,
    /// This seed alone, twice, with what it did.
    #[arg(long, value_name = "SEED")]
    reproduce: Option<u64>,
    /// Steps with faults, of a millisecond of simulated time each.
    #[arg(long, default_value_t = 20_000)]
    ticks: u64,
    /// A folder to whose `rows.json` the scoreboard's figure is appended, as `jepsen/README.md` has it.
    #[arg(long, value_name = "FOLDER")]
    rows: Option<PathBuf>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write it as A..B")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    Ok(number(from)?..number(to)?)
}

#[expect(clippy::print_stdout, reason = "it speaks to people")]
fn line(text: &str) {
    println!("{text}");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    listen();
    match arguments.reproduce {
        Some(seed) => reproduce(seed, arguments.ticks),
        None => sweep(&arguments),
    }
}

/// With `RUST_LOG` (`openshell_sim=info,openshell_raft=debug,openraft=debug`) what nodes log goes to standard error.
fn listen() {
    let Some(targets) = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok()) else { return };
    let lines = tracing_subscriber::fmt::layer().without_time().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

/// One seed, and whether it is the same twice.
fn reproduce(seed: u64, ticks: u64) -> ExitCode {
    let settings = Settings { ticks, planted: None };
    let outcome = run(seed, settings);
    line(&format!("{outcome:#?}"));
    let again = run(seed, settings);
    if again.trace != outcome.trace {
        line(&format!("seed {seed}: the second run was another one: {:x} after {:x}", again.trace, outcome.trace));
        return ExitCode::FAILURE;
    }
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn sweep(arguments: &Arguments) -> ExitCode {
    let old = match kept() {
        Ok(old) => old,
        Err(error) => {
            line(&format!("the kept seeds cannot be read: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let begin = Instant::now();
    let mut failed = Vec::new();
    let mut steps = 0;
    let all = old.iter().map(|kept| (kept.seed, kept.ticks));
    let all: Vec<_> = all.chain(arguments.seeds.clone().map(|seed| (seed, arguments.ticks))).collect();
    for (seed, ticks) in &all {
        let outcome = run(*seed, Settings { ticks: *ticks, planted: None });
        steps += outcome.steps;
        if fails(*seed, *ticks, &outcome) {
            failed.push(*seed);
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    line(&format!("{} seeds, {} failed, {} s simulated in {seconds:.1} s", all.len(), failed.len(), steps / 1000));
    let is_well = failed.is_empty();
    let kept = old.iter().map(|kept| kept.seed).collect();
    let sweep = Sweep { seeds: arguments.seeds.clone(), kept, failed };
    if let Some(Err(error)) = arguments.rows.as_deref().map(|folder| append(folder, &sweep)) {
        line(&format!("the figure cannot be written: {error}"));
        return ExitCode::FAILURE;
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says that a seed failed, and keeps it.
fn fails(seed: u64, ticks: u64, outcome: &Outcome) -> bool {
    let Some(violation) = &outcome.violation else { return false };
    line(&format!("seed {seed} ({ticks} steps) fails {violation}"));
    line(&format!("  again: openshell-sim --reproduce {seed} --ticks {ticks}"));
    if let Err(error) = keep(&Kept { seed, ticks, sentence: violation.clone() }) {
        line(&format!("  it could not be kept: {error}"));
    }
    true
}
